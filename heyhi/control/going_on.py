"""How a launch would go on with experiments that were started: which it leaves, and which have another config now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Self

from heyhi.control.listing import terminal_width
from heyhi.control.survey import Part, Survey
from heyhi.errors import HeyhiError
from heyhi.experiment.names import Status
from heyhi.project import Project
from heyhi.sweep.continuing import Continuing, Going
from heyhi.text import cut_alike

if TYPE_CHECKING:
    from heyhi.config.schema import Schema

_MAX_LISTED = 20  # experiments that are named, of which the same is said
_MAX_KINDS = 10  # of what is said


@dataclass(frozen=True)
class Goings:
    """How a launch would go on with some experiments.

    Attributes:
        found: exp path -> how, for those that have another config now.
        names: exp path -> exp id.
        is_allowed: the user has said that they may go on with another config.
    """

    found: dict[str, Going]
    names: dict[str, str]
    is_allowed: bool = False

    @classmethod
    def of(
        cls,
        survey: Survey,
        starting: Iterable[str],
        schema_of: Callable[[Project], Schema],
        *,
        is_allowed: bool = False,
    ) -> Self:
        """Look at those that would be started with the files that they have.

        Args:
            survey: of all experiments.
            starting: exp paths of those that would be started.
            schema_of: returns a project's schema as it is today.
            is_allowed: the user has said that they may go on with another config.
        """
        wanted = set(starting)
        names = {
            path: row.exp_id
            for row in survey.not_done
            if (path := row.exp_path) in wanted and row.status in (Status.DEAD, Status.PRUNED)
        }
        found: dict[str, Going] = {}
        for part in survey.parts if names else ():
            rule: Continuing | None = None
            for path in part.folders:
                if path in names and path not in found and (config := _planned(part.planned, path)) is not None:
                    rule = rule or Continuing(part.project, _schema(part, schema_of(part.project)))
                    going = rule.going_on_with(path, config)
                    if going.changed:
                        found[path] = going
        return cls(found, names, is_allowed)

    @property
    def left(self) -> dict[str, Going]:
        """Those that are left as they are."""
        return {path: g for path, g in self.found.items() if g.is_refused(is_allowed=self.is_allowed)}

    @property
    def lines(self) -> list[str]:
        """What to say of them, once for all of which it is the same: why they are left, or which keys have changed."""
        left = self.left
        kinds: dict[str, list[str]] = {f"left: {going.refusal}": [] for going in left.values()}
        for path, going in self.found.items():
            text = f"left: {going.refusal}" if path in left else going.note
            kinds.setdefault(text, []).append(self.names[path])
        lines = []
        for text, names in islice(kinds.items(), _MAX_KINDS):
            more = len(names) - _MAX_LISTED
            named, width = names[:_MAX_LISTED], terminal_width()
            lines += [text, *(f"  {name}" for name in (cut_alike(named, width - 2) if width else named))]
            lines += [f"  … and {more} more"] if more > 0 else []
        rest = sum(map(len, islice(kinds.values(), _MAX_KINDS, None)))
        return [*lines, *([f"… and {rest} more with other differences"] if rest else [])]


def _schema(part: Part, today: Schema) -> Schema:
    """Return the schema of what experiments would be started with, by the names of today."""
    if part.schema is None:
        return today
    from heyhi.config.earlier_protos import with_names_of

    return with_names_of(today, part.schema())


def _planned(planned: Callable[[str], bytes | None], path: str) -> bytes | None:
    try:
        return planned(path)
    except HeyhiError:  # of a damaged manifest, which says so to who starts it
        return None
