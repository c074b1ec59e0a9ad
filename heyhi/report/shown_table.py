"""A table as people read it, on a terminal or in a paper: which columns, under which heads, and each cell as text.

Means stand in one cell with their spread. What has room on a terminal is left to `fitting`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from heyhi.experiment.metrics import BEST
from heyhi.quick_dataclass import dataclass
from heyhi.report.cell_text import MISSING, mean_text, value_text, with_times
from heyhi.report.readings import USED
from heyhi.report.shaped import Shaped

# Of a table of experiments, columns that lines below it speak of, and what is there for machines.
_BELOW = ("reason", "problem", "drifted", "stale", "mixed", "note", "excluded", "packages")
_FOR_FILES = ("updated", "exp_path", *USED, *(f"{name}.sum" for name in USED))
_WHOLE = ("exp_id", "cfg")  # what is copied to the next command
_MAX_TEXT = 200  # characters of a cell, also in a pipe, where each row is as wide as the widest one
Spell = Callable[[Any, Any, int | None, int | None], str]


@dataclass(frozen=True)
class ShownColumn:
    """A column as text.

    Attributes:
        name: in the table.
        head: what stands above it.
        cells: of the rows that are shown.
        is_text: whether it is no column of numbers.
        is_same: whether all of several rows have the same, those that aren't shown too.
        is_echo: whether it is a best value that is the last one in all rows.
    """

    name: str
    head: str
    cells: list[str]
    is_text: bool
    is_same: bool = False
    is_echo: bool = False


@dataclass(frozen=True)
class ShownTable:
    """The columns that people read.

    Attributes:
        columns: in order.
        empty: names of columns that were asked for and have nothing in them.
    """

    columns: list[ShownColumn]
    empty: list[str]

    @classmethod
    def of(
        cls, shaped: Shaped, asked: Collection[str] = (), *, most: int | None = None, spell: Spell = mean_text
    ) -> ShownTable:
        """Take what people read out of a table.

        Args:
            shaped: the table.
            asked: columns that were asked for by name.
            most: how many rows are shown; None: all.
            spell: writes a mean, its spread, how many values count and how many there should be.
        """
        names = list(map(str, shaped.table.columns))
        columns, empty = [], []
        for place in _places(shaped, names, asked):
            column = _column(shaped, names, place, most, spell)
            if column is not None:
                columns.append(column)
            elif names[place] in asked:
                empty.append(names[place])
        return cls(columns, empty)


def _places(shaped: Shaped, names: Sequence[str], asked: Collection[str]) -> list[int]:
    """Return the places of the columns that are shown as such."""
    left_out = {*shaped.hidden, *_FOR_FILES}
    if shaped.spread is None:
        left_out.update(_BELOW)
    else:  # stands in one cell with its mean
        means = [name for name in names if f"{name}.{shaped.spread}" in names]
        left_out.update(f"{name}.{end}" for name in means for end in (shaped.spread, "n", "wanted"))
        left_out.update(("n", "wanted") if asked else ())
    return [place for place, name in enumerate(names) if name in asked or name not in left_out]


def _column(shaped: Shaped, names: Sequence[str], place: int, most: int | None, spell: Spell) -> ShownColumn | None:
    """Return a column as text; None where nobody has anything in it."""
    name = names[place]
    values = shaped.table.iloc[:, place].tolist()
    last = name.removesuffix(BEST)
    is_echo = last != name and last in names and _is_alike(values, shaped.table.iloc[:, names.index(last)].tolist())
    spread = f"{name}.{shaped.spread}"
    if shaped.spread is not None and spread in names:
        spreads = shaped.table.iloc[:, names.index(spread)].tolist()
        head = f"{name} ± {shaped.spread}"
        cells = [
            spell(mean, beside, n, wanted)
            for mean, beside, (n, wanted) in zip(values, spreads, _counts(shaped, names, name), strict=True)
        ]
        if set(cells) <= {MISSING}:
            return None
        is_same = len(cells) > 1 and len(set(cells)) == 1
        return ShownColumn(value_text(name), value_text(head, _MAX_TEXT), cells[:most], False, is_same, is_echo)
    if all(value is None for value in values):
        return None
    limit = None if name in _WHOLE else _MAX_TEXT
    cells = [value_text(with_times(name, value), limit) for value in values[:most]]
    is_text = any(isinstance(with_times(name, value), str) for value in values)
    is_same = len(values) > 1 and _is_alike(values, [values[0]] * len(values))
    return ShownColumn(value_text(name), value_text(name, _MAX_TEXT), cells, is_text, is_same, is_echo)


def _counts(shaped: Shaped, names: Sequence[str], name: str) -> list[tuple[int | None, int | None]]:
    """Return of each row how many values a mean is of, and how many there should be."""

    def counts(end: str) -> list[int | None]:
        """Return a number for each row: the metric's own, else that of all the row's experiments."""
        columns = [shaped.table.iloc[:, names.index(one)].tolist() for one in (f"{name}.{end}", end) if one in names]
        rows = zip(*columns, strict=True) if columns else [()] * len(shaped.table)
        return [next((int(value) for value in row if value is not None and value == value), None) for row in rows]

    return list(zip(counts("n"), counts("wanted"), strict=True))


def _is_alike(values: Sequence[Any], others: Sequence[Any]) -> bool:
    """Return whether two columns are equal; a NaN is itself, and 1 isn't true."""
    return all(
        type(one) is type(other) and (one == other or (one != one and other != other))
        for one, other in zip(values, others, strict=True)
    )
