"""Rows of means: experiments that were put together, of how many each mean is, and what of them doesn't count."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from heyhi.config.fields import OVERRIDE, covers
from heyhi.experiment.metrics import BEST
from heyhi.experiment.names import Status
from heyhi.report.cells import hashable, is_missing, is_none, places_by, shared, typed, varying
from heyhi.report.counted import Counted
from heyhi.report.readings import OWN_NAMES, RESULT, USED
from heyhi.report.shaped import Spread
from heyhi.report.spread import is_finite, is_number, mean_and_spread

if TYPE_CHECKING:
    import pandas as pd

# Columns of numbers about experiments themselves; those of them that are added up, as well or only: what most have
# nothing of has no mean.
_OWN_NUMBERS = ("seconds", *USED)
_ADDED_UP = tuple(name for name in _OWN_NUMBERS if name != "mem_used")
_ONLY_ADDED_UP = ("gpu_hours_lost", "cpu_hours_lost")
# What is told of single experiments, and named in the row of a mean.
_TOLD = ("problem", "note", "drifted", "stale", "mixed")
LAST = ("n", "wanted", "missing", "diverged", "excluded", "code", *_TOLD)


def mean_rows(
    table: pd.DataFrame,
    groups: Sequence[Sequence[int]],
    counted: Counted,
    keys: Mapping[str, Sequence[Any]],
    fields: Sequence[str],
    spread: Spread,
) -> tuple[pd.DataFrame, list[str]]:
    """Return a row for each group of experiments.

    Args:
        table: a row an experiment.
        groups: places of the rows that are put together.
        counted: which of them count.
        keys: columns that are shown of what a group has in common.
        fields: that are averaged over.
        spread: what stands beside a mean.

    Returns:
        the rows; what is said of values that are in no mean.
    """
    import pandas as pd

    columns = {str(name): table[name].tolist() for name in table.columns}
    for name in _TOLD:  # of a table with types, None has become NaN
        if name in columns:
            columns[name] = [None if is_missing(value) else value for value in columns[name]]
    taken = {*keys, *varying(table), *table.attrs.get("needed", ()), *OWN_NAMES}
    counting = counted.of(range(len(table)))
    numbers = [
        name for name in columns if (name not in taken or name in _OWN_NUMBERS) and _is_numeric(columns[name], counting)
    ]
    named = [name for name in varying(table) if name in columns and covers(name, fields)]
    rows = [_Row(columns, places, counted, named) for places in groups]
    shown = {name: f"{name}{OVERRIDE}" if name in LAST and name != "code" else name for name in keys}
    names = _names(numbers, [*columns, *shown.values()], shown.values(), spread)
    data: dict[str, list[Any]] = {"status": [row.status for row in rows]}
    if "sweep" in columns and "sweep" not in keys:
        data["sweep"] = [shared([columns["sweep"][place] for place in row.places]) for row in rows]
    for name, values in keys.items():
        data[shown[name]] = [shared([values[place] for place in row.places]) for row in rows]
    for name in numbers:
        if name not in _ONLY_ADDED_UP:
            data |= _mean_columns(names[name], [row.numbers(name) for row in rows], [row.n for row in rows], spread)
        if name in _ADDED_UP:
            data[f"{name}.sum"] = [row.sum(name) for row in rows]
    data |= {
        "n": [row.n for row in rows],
        "wanted": [len(row.wanted) for row in rows],
        "missing": [row.missing for row in rows],
    }
    told: dict[str, list[str | None]] = {
        "diverged": [row.diverged(numbers, names) for row in rows],
        "excluded": [row.excluded for row in rows],
        "code": [None if "code" in keys else row.versions for row in rows],
        **{name: [row.told(name) for row in rows] for name in _TOLD},
    }
    data |= {name: column for name, column in told.items() if any(column)}
    frame = pd.DataFrame(data, dtype=object)
    frame.attrs["varying"] = list(shown.values())
    frame.attrs["metrics"] = [names[name] for name in numbers if name not in _OWN_NUMBERS]
    frame.attrs["spread"] = spread
    notes = left_out_notes({names[name]: columns[name] for name in numbers}, counting)
    return typed(frame), notes


def left_out_notes(columns: Mapping[str, Sequence[Any]], places: Sequence[int]) -> list[str]:
    """Say what has no number in columns of numbers, of the experiments that count.

    Args:
        columns: of which there are means, by their names there.
        places: of the experiments that count.
    """
    notes = []
    for name, column in columns.items():
        if set(map(type, column)) <= {float, type(None)}:  # mostly
            continue
        kinds = Counter(
            kind_of(value) for place in places if not is_none(value := column[place]) and not is_number(value)
        )
        for kind, count in kinds.items():
            what = "experiment that counts" if count == 1 else "experiments that count"
            notes.append(f"{name} is {kind} in {count} {what}: left out of its mean")
    return notes


def kind_of(value: Any) -> str:
    """Return what a value is that is no number."""
    if isinstance(value, bool):
        return "true or false"
    return "text" if isinstance(value, str) else "no number that can be averaged"


def _mean_columns(name: str, values: list[list[float]], counts: list[int], spread: Spread) -> dict[str, list[Any]]:
    """Return a metric's mean, its spread, and of how many it is where that isn't said by the row."""
    pairs = [mean_and_spread(own, spread) for own in values]
    found: dict[str, list[Any]] = {
        name: [mean for mean, _ in pairs],
        f"{name}.{spread}": [error for _, error in pairs],
    }
    if any(len(own) < count for own, count in zip(values, counts, strict=True)):
        found[f"{name}.n"] = [len(own) for own in values]
    return found


def _names(numbers: Sequence[str], known: Iterable[str], keys: Iterable[str], spread: Spread) -> dict[str, str]:
    """Return what each metric is called in a table of means: ` (result)` is added where a column is called as it is.

    Args:
        numbers: the metrics.
        known: all names that mean something there.
        keys: what the rows have in common.
        spread: what stands beside a mean.
    """
    own = {*LAST, "status", "sweep", *(f"{name}.sum" for name in _ADDED_UP), *keys}
    own |= {f"{name}.{end}" for name in (*numbers, *keys) for end in (spread, "n")}
    found: dict[str, str] = {}
    used = {*known, *own} - {name for name in numbers if name not in own}
    for name in numbers:
        shown = name
        while shown in used:
            shown += RESULT
        used |= {shown, f"{shown}.{spread}", f"{shown}.n"}
        found[name] = shown
    return found


@dataclass(frozen=True)
class _Row:
    """Experiments that are put together.

    Attributes:
        columns: of all experiments.
        places: of these.
        counted: which of them count.
        named: columns by which they are told apart.
    """

    columns: Mapping[str, list[Any]]
    places: Sequence[int]
    counted: Counted
    named: Sequence[str]

    @property
    def counting(self) -> list[int]:
        return self.counted.of(self.places)

    @property
    def wanted(self) -> list[int]:
        return self.counted.wanted(self.places)

    @property
    def n(self) -> int:
        return len(self.counting)

    @property
    def status(self) -> str:
        """The status that all have, or how many have which: `1/3 DEAD, 2/3 DONE`."""
        statuses = [self.columns["status"][place] for place in self.wanted]
        present = [status for status in Status if status in statuses]
        if len(present) == 1:
            return present[0].value
        return ", ".join(f"{statuses.count(status)}/{len(statuses)} {status.value}" for status in reversed(present))

    @property
    def missing(self) -> str | None:
        """The replicates that aren't DONE, less those that count because somebody asked for them."""
        done, counts = Status.DONE, self.counted.counts
        places = [place for place in self.wanted if self.columns["status"][place] != done and not counts[place]]
        return "; ".join(map(self._name, places)) or None

    @property
    def excluded(self) -> str | None:
        """The replicates that are out of the mean because somebody said so, and why."""
        flags: Sequence[Any] = self.columns.get("excluded", ())
        notes: Sequence[Any] = self.columns.get("note", ())
        found = [
            f"{self._name(place)}: {notes[place]}" if notes and notes[place] else self._name(place)
            for place in self.places
            if flags and flags[place] is True and not self.counted.counts[place]
        ]
        return "; ".join(found) or None

    @property
    def versions(self) -> str | None:
        """How many versions of code and packages made those that count, if several."""
        count = count_versions(self.columns, self.counting)
        return f"{count} versions" if count > 1 else None

    def numbers(self, name: str) -> list[float]:
        """Return the values of a metric that count."""
        column = self.columns[name]
        return [column[place] for place in self.counting if is_finite(column[place])]

    def sum(self, name: str) -> float | None:
        """Add up what there is of a column, whether it counts or not."""
        values = [value for place in self.places if is_finite(value := self.columns[name][place])]
        return math.fsum(values) if values else None

    def diverged(self, numbers: Iterable[str], names: Mapping[str, str]) -> str | None:
        """Name each replicate that counts with its metrics that are NaN or infinite, which are left out."""
        found: dict[int, list[str]] = {}
        every = set(numbers)
        for name in numbers:
            if name.endswith(BEST) and name.removesuffix(BEST) in every:
                continue  # the metric itself is named
            for place in self.counting:
                value = self.columns[name][place]
                if is_number(value) and not math.isfinite(value):
                    found.setdefault(place, []).append(names[name])
        return "; ".join(f"{self._name(place)}: {', '.join(found[place])}" for place in sorted(found)) or None

    def told(self, name: str) -> str | None:
        """Name the replicates of which something is told."""
        column = self.columns.get(name, [])
        found = [f"{self._name(place)}: {column[place]}" for place in self.places if column and column[place]]
        return "; ".join(found) or None

    def _name(self, place: int) -> str:
        return self._names[place]

    @cached_property
    def _names(self) -> dict[int, str]:
        """How each replicate is called: `seed=1`; where that doesn't tell it from the others, by its exp id."""
        texts = {p: ",".join(f"{name}={self.columns[name][p]}" for name in self.named) for p in self.places}
        count = Counter(texts.values())
        exp_ids = self.columns.get("exp_id")
        return {
            place: text if text and count[text] == 1 else str(exp_ids[place]) if exp_ids else text or "1"
            for place, text in texts.items()
        }


def count_versions(columns: Mapping[str, Sequence[Any]], places: Sequence[int]) -> int:
    """Return how many versions of code and packages made some experiments, as far as is known."""
    return sum(max(1, len(packages)) for packages in _packages_by_code(columns, places).values())


def version_column(columns: Mapping[str, Sequence[Any]], places: Sequence[int]) -> list[str]:
    """Return the version of the code that made each of some experiments, with that of its packages where they differ.

    Where it isn't known which packages there were, they are taken for those of the others.
    """
    known = _packages_by_code(columns, places)
    found = []
    for place in places:
        code = _text(_cell(columns, "code", place))
        packages = _cell(columns, "packages", place) or "unknown"
        found.append(f"{code} (packages {packages})" if len(known[code]) > 1 else code)
    return found


def _packages_by_code(columns: Mapping[str, Sequence[Any]], places: Iterable[int]) -> dict[str, set[Any]]:
    known: dict[str, set[Any]] = {}
    for place in places:
        known.setdefault(_text(_cell(columns, "code", place)), set()).add(_cell(columns, "packages", place))
    return {code: packages - {None} for code, packages in known.items()}


def _cell(columns: Mapping[str, Sequence[Any]], name: str, place: int) -> Any:
    value = columns[name][place] if name in columns else None
    return None if is_missing(value) else value


def _text(code: str | None) -> str:
    return "unknown" if code is None else str(code)


def _is_numeric(values: Sequence[Any], counting: Sequence[int]) -> bool:
    """Return whether a column has numbers, by those that count; where none of these has anything, by all."""
    if any(is_number(values[place]) for place in counting):
        return True
    if any(not is_none(values[place]) for place in counting):
        return False
    present = [value for value in values if not is_none(value)]
    return bool(present) and all(map(is_number, present))


def combinations(columns: Iterable[Sequence[Any]], count: int) -> dict[tuple[Any, ...], list[int]]:
    """Return the places of the rows that have each combination of values in some columns."""
    return places_by(list(zip(*(map(hashable, column) for column in columns), strict=True)) or [()] * count)
