"""What is read of experiments: of one as a row, of many as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from heyhi.config.identity import Identity
from heyhi.experiment.used import Sums

# Names of the columns of what experiments used, in the order of `Sums`: there for files, and for who asks for them.
USED = Sums._fields
# Names of the columns that are about an experiment itself; every other one varies in a sweep, or came out.
OWN_NAMES = [
    *"sweep status trial pruned_at reason problem note excluded needs drifted stale mixed".split(),  # noqa: SIM905
    *("attempts", "seconds"),
    *USED,
    *"updated job_id code packages exp_id exp_path".split(),  # noqa: SIM905
]
# Those of them that are left out of a table where nobody has them, though they were looked for.
IF_ANY = ("problem", "note", "excluded", "needs", "stale", "mixed", *USED, "job_id", "code", "packages")
# Those of them that are True or nothing.
FLAGS = ("excluded",)
# What ends the name of what came out, where another column has its name.
RESULT = " (result)"
THEN = " → "  # between versions of code, of which one went on from what the other had done


class Entry(NamedTuple):
    """What is known of an experiment before its folder is looked at.

    Attributes:
        folder: exp path (absolute).
        needs: exp paths of what it needs.
    """

    exp_id: str
    folder: str
    identity: Identity
    task: str
    needs: tuple[str, ...]


class Reading(NamedTuple):
    """What was read of one experiment: the one list of the fields that a report knows.

    Attributes:
        status: as text.
        reason: why it is dead, by what it is blocked, who runs it.
        names: of what came out.
        values: what came out, in the order of the names.
        problem: what could not be read, or was dropped from the result.
        attempts: how often it was started.
        seconds: of all its attempts that ended.
        gpu_hours: and the next ones: see `Sums`.
        job_id: of its last attempt, if that ran as a job.
        code: version of the code of its last attempt: commit, with `+` and the begin of a digest where it was edited.
            Where attempts that made what came out ran several, all of them, joined by ` → `.
        digest: of the files of that code, in the same way; None where none is known.
        packages: begin of the digest of the packages that its last attempt had loaded; None where that isn't known.
            Equal packages may have different ones: `code.environment.same_packages` says whether any differ.
        mixed: which attempts went on from what another config had done; None where none did.
        given: exp id of what it needs -> digests of the results that it is made of; None where it needs nothing.
        updated: when a file of it was last written, in seconds since 1970; None where there is none.
        repeated: names that the result has as well, with the value that was logged last: see `outcomes`.
        returned: names that only the result has.
    """

    status: str
    reason: str = ""
    names: tuple[str, ...] = ()  # the same object for many, so that a table is put together by columns
    values: Sequence[Any] = ()
    problem: str = ""
    attempts: int = 0
    seconds: float | None = None
    gpu_hours: float | None = None
    cpu_hours: float | None = None
    gpu_hours_lost: float | None = None
    cpu_hours_lost: float | None = None
    mem_used: float | None = None
    queued: float | None = None
    job_id: str | None = None
    code: str | None = None
    digest: str | None = None
    packages: str | None = None
    mixed: str | None = None
    given: dict[str, list[str]] | None = None
    updated: float | None = None
    repeated: str | None = None
    returned: str | None = None

    @property
    def outcome(self) -> dict[str, Any]:
        """What came out, by name."""
        return dict(zip(self.names, self.values, strict=True))


@dataclass
class Readings:
    """What was read of many experiments, as columns.

    Attributes:
        fields: a column for each field of `Reading` by its name; `values` has none.
        outcome: a column for each name of what came out; None where an experiment lacks it.
    """

    fields: dict[str, list[Any]]
    outcome: dict[str, list[Any]]

    @classmethod
    def of(cls, rows: Sequence[Reading]) -> Readings:
        """Turn readings into columns."""
        columns = map(list, zip(*rows, strict=True)) if rows else [[] for _ in Reading._fields]
        fields: dict[str, list[Any]] = dict(zip(Reading._fields, columns, strict=True))
        return cls(fields, transposed(fields["names"], fields.pop("values")))

    def row(self, place: int) -> Reading:
        """Return what was read of the experiment at a place."""
        fields = {name: column[place] for name, column in self.fields.items()}
        return Reading(**fields, values=tuple([self.outcome[name][place] for name in fields["names"]]))

    def rows(self) -> list[Reading]:
        """Return all of them as rows, which are put together column by column."""
        kinds = self.kinds()
        columns = [self.fields[name] for name in Reading._fields if name != "values"]
        place = Reading._fields.index("values")
        values: list[Sequence[Any]]
        if len(kinds) == 1:
            names = kinds[0]
            values = list(zip(*(self.outcome[name] for name in names), strict=True)) if names else []
            values = values or [()] * len(columns[0])
        else:
            found = self.fields["names"]
            values = [tuple([self.outcome[name][at] for name in names]) for at, names in enumerate(found)]
        return list(map(Reading._make, zip(*columns[:place], values, *columns[place:], strict=True)))

    def put(self, rows: Mapping[int, Reading]) -> None:
        """Replace what was read of the experiments at some places."""
        if not rows:
            return
        for name, column in self.fields.items():
            for place, row in rows.items():
                column[place] = getattr(row, name)
        count = len(self.fields["names"])
        for place, row in rows.items():
            found = row.outcome
            for name, values in self.outcome.items():
                values[place] = found.pop(name, None)
            for name, value in found.items():
                self.outcome[name] = [None] * count
                self.outcome[name][place] = value
        # The names that are left, in the order in which they would have come from the first.
        self.outcome = {name: self.outcome[name] for name in dict.fromkeys(chain.from_iterable(self.kinds()))}

    def only(self, places: Sequence[int]) -> Readings:
        """Return what was read of the experiments at some places, in their order."""
        fields = {name: [column[place] for place in places] for name, column in self.fields.items()}
        names = dict.fromkeys(chain.from_iterable({id(own): own for own in fields["names"]}.values()))
        return Readings(fields, {name: [self.outcome[name][place] for place in places] for name in names})

    def kinds(self) -> list[tuple[str, ...]]:
        """Return the tuples of names that occur, in the order of the experiments."""
        # Mostly all have the same object, so no tuple is hashed here; equal ones may come twice.
        return list({id(names): names for names in self.fields["names"]}.values())


def transposed(names: Sequence[tuple[str, ...]], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Turn rows into columns, given the names of what each row holds; None where a row lacks a name."""
    if len(set(map(id, names))) == 1:  # mostly all have the same, and then it is the same object
        return dict(zip(names[0], map(list, zip(*rows, strict=True)), strict=True))
    places: dict[tuple[str, ...], list[int]] = {}
    for place, own in enumerate(names):
        places.setdefault(own, []).append(place)
    columns: dict[str, list[Any]] = {}
    for own, at in places.items():
        for name, found in zip(own, zip(*[rows[place] for place in at], strict=True), strict=True):
            column = columns.setdefault(name, [None] * len(names))
            for place, value in zip(at, found, strict=True):
                column[place] = value
    return columns


def printable(value: Any) -> Any:
    """Return a value with each half of a surrogate pair, which JSON can spell and no file can hold, as its escape."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value


@lru_cache(maxsize=1024)
def printable_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names as `printable` writes them; equal ones give the same object."""
    return tuple(map(printable, names))
