"""What is computed from a table of experiments: seeds put together, best rows, and pivot tables."""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heyhi.errors import HeyhiError, suggest
from heyhi.experiment.directions import Direction
from heyhi.experiment.metrics import is_small_good
from heyhi.experiment.names import Status
from heyhi.report.gathered import Gathered
from heyhi.report.readings import OWN_NAMES
from heyhi.report.shaped import Shaped, Spread

if TYPE_CHECKING:
    import pandas as pd

SE = ".se"  # what ends the name of a standard error's column
_SUMMED = ("seconds",)
_MAX_LISTED = 40  # columns that an error names


class GroupError(HeyhiError):
    """What to group, sort or choose by is no column of the table."""


@dataclass(frozen=True)
class Shape:
    """How a table is put together.

    Attributes:
        sort: columns to sort by, `-name` downward.
        columns: columns to keep; empty: all.
        mean_over: fields such as `seed`: a row for all runs whose configs differ in nothing else; None: not asked for.
        group_by: columns or keys of the config: a row for each combination of their values; empty: not asked for.
        spread: what stands beside a mean.
        where: conditions on the experiments that are looked at.
        at_best: metric at whose best value the others are taken; None: their last and best ones.
        at_best_direction: which way it is better; None: as declared.
        best: column of which the best rows are kept.
        direction: which way that is better; None: as declared.
        per: columns for each combination of which the best row is kept.
        pivot: (rows, columns, metric).
    """

    sort: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    mean_over: tuple[str, ...] | None = None
    group_by: tuple[str, ...] = ()
    spread: Spread | None = None
    where: tuple[str, ...] = ()
    at_best: str | None = None
    at_best_direction: Direction | None = None
    best: str | None = None
    direction: Direction | None = None
    per: tuple[str, ...] = ()
    pivot: tuple[str, str, str] | None = None

    def warning(self, table: pd.DataFrame) -> str:
        """Return a warning where no experiments differ in the fields to group by, else an empty string."""
        varying = _varying(table)
        if not self.mean_over or any(is_replicate(name, self.mean_over) for name in varying):
            return ""
        return f"no experiments differ in {' or '.join(map(repr, self.mean_over))}{suggest(self.mean_over[0], varying)}"

    def apply(self, gathered: Gathered) -> Shaped:
        """Put a table together.

        Raises:
            GroupError: it lacks a column.
        """
        table = whole = gathered.table
        if self.mean_over is not None:
            table = grouped(table, self.mean_over)
        if self.best is not None:
            table = best(table, self.best, self.per)
        if self.pivot is not None:
            table = pivot(table, *self.pivot)
        if self.sort:
            table = sorted_by(table, self.sort)
        # A mean is chosen with its error.
        wanted = [n for name in self.columns for n in (name, f"{name}{SE}") if n == name or n in table.columns]
        table = chosen(table, wanted) if wanted else table
        places = list(range(len(whole)))
        is_done = [status == Status.DONE for status in whole["status"]]
        spread: Spread | None = "se" if self.mean_over is not None else None
        return Shaped(table, whole, [[place] for place in range(len(table))], is_done, places, spread)


def grouped(table: pd.DataFrame, replicate: Sequence[str] = ("seed",)) -> pd.DataFrame:
    """Put together experiments that differ in replicate fields only.

    Args:
        table: from `collect`.
        replicate: fields such as `seed`; a name also means every key that ends in it (`data.seed`).

    Returns:
        a row a group: `status` (of all, or `2/3 DONE`), what varies between groups, of each number its mean over
        those that have it and, as `<name>.se`, the standard error of that mean (sample deviation / √n; None for a
        single one), `done`, `wanted`, and `missing`: the replicates that are not done.
    """
    import pandas as pd

    varying = _varying(table)
    seeds = [name for name in varying if is_replicate(name, replicate)]
    keys = [name for name in varying if name not in seeds]
    # Of a group the others say nothing, or what the group's own columns say.
    left_out = {*varying, *OWN_NAMES}.difference(_SUMMED)
    numbers = [str(c) for c in table.columns if c not in left_out and _is_numeric(table[c])]
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for place, key in enumerate(_combinations(table, keys)):
        groups.setdefault(key, []).append(place)
    columns = {name: table[name].tolist() for name in (*keys, *seeds, *numbers, "status")}
    rows = [
        _group_row(
            {name: [column[place] for place in members] for name, column in columns.items()}, keys, seeds, numbers
        )
        for members in groups.values()
    ]
    # A table without rows has these columns still.
    names = dict.fromkeys(name for row in rows for name in row) or ("status", "done", "wanted", "missing")
    frame = pd.DataFrame({n: [row.get(n) for row in rows] for n in names}, dtype=object)
    frame.attrs["varying"] = keys
    return _typed(frame)


def _group_row(
    members: dict[str, list[Any]], keys: Sequence[str], seeds: Sequence[str], numbers: Sequence[str]
) -> dict[str, Any]:
    """Return the row of a group.

    Args:
        members: columns of the group's experiments, by name.
        keys: columns in which they are the same.
        seeds: columns of replicate fields.
        numbers: columns to average, or to add up.
    """
    statuses = members["status"]
    count = len(statuses)
    row: dict[str, Any] = {"status": _group_status(statuses), **{name: members[name][0] for name in keys}}
    for name in numbers:
        values = [value for value in members[name] if _is_number(value)]
        if name in _SUMMED:
            row[name] = math.fsum(values) if values else None
        else:
            row[name], row[f"{name}{SE}"] = mean_and_error(values)
    missing = [i for i in range(count) if statuses[i] != Status.DONE]
    row |= {"done": count - len(missing), "wanted": count}
    row["missing"] = "; ".join(_named(seeds, [members[name][i] for name in seeds]) for i in missing) or None
    return row


def _group_status(statuses: Sequence[str]) -> str:
    """Return the status that all have, or how many have which: `1/3 DEAD, 2/3 DONE`."""
    present = [status for status in Status if status in statuses]
    if len(present) == 1:
        return present[0].value
    return ", ".join(f"{statuses.count(status)}/{len(statuses)} {status.value}" for status in reversed(present))


def mean_and_error(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the mean of some numbers and its standard error.

    Returns:
        (None, None) for none; no error for a single one; NaN where one of them is NaN.
    """
    if not values:
        return None, None
    count = len(values)
    if not all(map(math.isfinite, values)):
        total = sum(values)
        return total / count, (math.nan if count > 1 else None)
    try:
        mean = math.fsum(values) / count
        if count == 1:
            return mean, None
        return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (count - 1) / count)
    except OverflowError:  # the loss of a run that diverged
        scale = 2.0 ** (math.frexp(max(map(abs, values)))[1] - 1)
        small = [v / scale for v in values]
        mean = math.fsum(small) / count
        error = math.sqrt(math.fsum((v - mean) ** 2 for v in small) / (count - 1) / count)
        return mean * scale, error * scale


def is_replicate(name: str, replicate: Sequence[str]) -> bool:
    """Return whether a key is one of the replicate fields, by its whole name or its last part."""
    return any(name == field or name.endswith(f".{field}") for field in replicate)


def best(table: pd.DataFrame, metric: str, per: Sequence[str] = (), *, smallest: bool | None = None) -> pd.DataFrame:
    """Choose the best row, or the best one for each combination of some columns.

    Args:
        table: from `collect` or `grouped`.
        metric: column to compare; rows without a number in it are left out.
        per: columns that tell the groups apart.
        smallest: whether small is good; default: by the metric's name (a loss is).

    Raises:
        GroupError: there is no such column.
    """
    check_columns(table, [metric, *per])
    sign = 1 if (is_small_good(metric) if smallest is None else smallest) else -1
    winners: dict[tuple[Hashable, ...], tuple[float, int]] = {}
    for place, (key, value) in enumerate(zip(_combinations(table, per), table[metric].tolist(), strict=True)):
        if _is_number(value) and not math.isnan(value):
            candidate = (sign * value, place)
            winners[key] = min(winners.get(key, candidate), candidate)
    kept = table.iloc[[place for _, place in winners.values()]].reset_index(drop=True)
    kept.attrs.update(table.attrs)
    return kept


def pivot(table: pd.DataFrame, rows: str, columns: str, metric: str) -> pd.DataFrame:
    """Put a metric into a table of two keys, as for head-to-head evaluations: means where several rows meet.

    Args:
        table: from `collect`.
        rows: column whose values become rows.
        columns: column whose values become columns.
        metric: column that fills the cells; a cell without a number is None.

    Raises:
        GroupError: there is no such column.
    """
    import pandas as pd

    check_columns(table, [rows, columns, metric])
    cells: dict[tuple[Hashable, Hashable], list[float]] = {}
    heads: dict[Hashable, Any] = {}
    sides: dict[Hashable, Any] = {}
    for side, head, value in zip(table[rows], table[columns], table[metric], strict=True):
        sides.setdefault(_hashable(side), side)
        heads.setdefault(_hashable(head), head)
        if _is_number(value):
            cells.setdefault((_hashable(side), _hashable(head)), []).append(value)
    data: dict[str, list[Any]] = {rows: [sides[s] for s in _sorted(sides)]}
    for head in _sorted(heads):
        name = f"{columns}={heads[head] if heads[head] is not None else '-'}"
        data[name] = [mean_and_error(cells.get((side, head), []))[0] for side in _sorted(sides)]
    frame = pd.DataFrame(data, dtype=object)
    frame.attrs["varying"] = [rows]
    return _typed(frame)


def sorted_by(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Sort a table by columns, in order; `-name` downward. Numbers come before text, what is missing last.

    Raises:
        GroupError: there is no such column.
    """
    names = [key.removeprefix("-") for key in keys]
    check_columns(table, names)
    order = list(range(len(table)))
    for key, name in reversed(list(zip(keys, names, strict=True))):
        values = table[name].tolist()
        present = [i for i in order if values[i] is not None and values[i] == values[i]]
        absent = [i for i in order if not (values[i] is not None and values[i] == values[i])]
        present.sort(key=lambda i: _rank(values[i]), reverse=key.startswith("-"))
        order = [*present, *absent]
    found = table.iloc[order].reset_index(drop=True)
    found.attrs.update(table.attrs)
    return found


def chosen(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Keep some columns, in the order given.

    Raises:
        GroupError: there is no such column.
    """
    check_columns(table, names)
    found = table[list(dict.fromkeys(names))].copy()
    found.attrs.update(table.attrs)
    return found


def check_columns(table: pd.DataFrame, names: Sequence[str]) -> None:
    """Make sure that a table has some columns.

    Raises:
        GroupError: it lacks one; the message names the nearest.
    """
    known = [str(c) for c in table.columns]
    for name in names:
        if name not in known:
            # Nothing that a log says may command the terminal.
            listed = "".join(c if c.isprintable() else " " for c in ", ".join(known[:_MAX_LISTED]))
            more = f" and {len(known) - _MAX_LISTED} more" if len(known) > _MAX_LISTED else ""
            raise GroupError(f"the table has no column '{name}'{suggest(name, known)}; it has: {listed}{more}")


def _combinations(table: pd.DataFrame, names: Sequence[str]) -> Iterable[tuple[Hashable, ...]]:
    """Return for each row what tells its values in some columns from those of other rows."""
    return zip(*(map(_hashable, table[name]) for name in names), strict=True) if names else [()] * len(table)


def _varying(table: pd.DataFrame) -> list[str]:
    """Return the columns of the config and of the overrides that are not the same for all."""
    return [str(name) for name in table.attrs.get("varying", ())]


def _sorted(values: dict[Hashable, Any]) -> list[Hashable]:
    return sorted(values, key=lambda v: (values[v] is None, _rank(values[v])))


def _rank(value: Any) -> tuple[int, float, str]:
    """Return what a value is sorted by: numbers come before text."""
    if isinstance(value, (int, float)):
        return 0, value, ""  # as it is: no float holds every integer
    return 1, 0.0, str(value)


def _hashable(value: Any) -> Hashable:
    """Return what a value is compared by: 1, 1.0 and True are three values, and NaN is itself."""
    return type(value).__name__, repr(value)


def _is_number(value: Any) -> bool:
    """Return whether a value can be computed with; a bool can't, nor an integer that no float can hold."""
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_numeric(column: pd.Series[Any]) -> bool:
    values = [v for v in column.tolist() if v is not None]
    return bool(values) and all(map(_is_number, values))


def _named(names: Sequence[str], values: Sequence[Any]) -> str:
    """Write a replicate: `seed=1`; where no replicate field varies, `1`."""
    return ",".join(f"{n}={v}" for n, v in zip(names, values, strict=True)) or "1"


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a column of nothing but numbers their type; None stays None in the others."""
    for name in frame.columns:
        if all(isinstance(v, (bool, int, float)) for v in frame[name]):
            frame[name] = frame[name].infer_objects()
    return frame
