"""A table that is made a DataFrame only where something asks for what plain columns can't answer.

To import pandas takes longer than all else that writes the table of a usual sweep. What the end of a run does with it
(names, columns, cells, lengths) is answered here from the plain columns, by the names that a DataFrame has for it.
Anything else is asked of the DataFrame, which is made then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from heyhi.report.plain_table import PlainTable

if TYPE_CHECKING:
    import pandas as pd

_INT64 = 1 << 63


def as_plain(table: pd.DataFrame) -> pd.DataFrame | PlainTable:
    """Return the columns of a table that is one of these; else itself."""
    given: Any = table
    return given.plain if isinstance(given, LazyFrame) else table


def as_frame(table: pd.DataFrame) -> pd.DataFrame:
    """Return the DataFrame of a table that may be one of these: for what takes nothing else."""
    given: Any = table
    return given.frame if isinstance(given, LazyFrame) else table


class LazyFrame:
    """Columns that answer as a DataFrame would.

    Args:
        plain: the columns; those of nothing but numbers get one type, as they would in a DataFrame.
        attrs: what is known of the table.
        make: makes the DataFrame.

    Attributes:
        attrs: what is known of the table.
    """

    def __init__(self, plain: PlainTable, attrs: dict[str, Any], make: Callable[[], pd.DataFrame]) -> None:
        self.attrs = attrs
        self._plain = plain
        self._make = make
        self._made: pd.DataFrame | None = None

    @property
    def frame(self) -> pd.DataFrame:
        """The DataFrame."""
        if self._made is None:
            self._made = self._make()
            self._made.attrs.update(self.attrs)
        return self._made

    @property
    def plain(self) -> PlainTable:
        """The columns."""
        return self._plain

    @property
    def columns(self) -> list[str]:
        """Their names."""
        return list(self._plain.columns)

    @property
    def iloc(self) -> Any:
        """Rows and columns by their places."""
        return _ByPlace(self)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a column, or what is given where there is none."""
        return _Column(self, name) if name in self.plain.columns else default

    def drop(self, *, columns: str | Sequence[str], errors: str = "raise") -> LazyFrame:
        """Return it without some columns."""
        names = [columns] if isinstance(columns, str) else list(columns)
        if errors == "raise" and (absent := [name for name in names if name not in self]):
            raise KeyError(f"{absent} not found in the table's columns")
        plain = self._plain
        for name in names:
            plain = plain.without(name)
        return LazyFrame(plain, dict(self.attrs), lambda: self.frame.drop(columns=names, errors="ignore"))

    def __len__(self) -> int:
        return len(self._plain)

    def __contains__(self, name: object) -> bool:
        return name in self._plain.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain.columns)

    def __getitem__(self, name: Any) -> Any:
        if isinstance(name, str):
            return _Column(self, name)
        return self.frame[name]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.frame, name)


class _ByPlace:
    """Returns a column by its place; anything else is the DataFrame's to say."""

    def __init__(self, table: LazyFrame) -> None:
        self._table = table

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, tuple) and len(place) == 2 and place[0] == slice(None) and isinstance(place[1], int):
            return self._table[self._table.columns[place[1]]]
        return self._table.frame.iloc[place]


class _Column:
    """One column; what isn't answered here is the Series's to say."""

    def __init__(self, table: LazyFrame, name: str) -> None:
        self._table = table
        self._name = name
        self._values = _of_one_type(table.plain.columns[name])

    def tolist(self) -> list[Any]:
        """Return its values."""
        return list(self._values)

    def notna(self) -> _Flags:
        """Say of each value whether it is there."""
        return _Flags(value is not None and value == value for value in self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table.frame[self._name], name)

    def __eq__(self, other: object) -> Any:
        return self._table.frame[self._name] == other

    __hash__ = None  # type: ignore[assignment]  # as that of a Series


class _Flags(tuple[bool, ...]):
    """Whether something is so, of each row."""

    __slots__ = ()

    def sum(self) -> int:
        """Return of how many it is."""
        return sum(self)

    def any(self) -> bool:
        """Return whether it is of one of them."""
        return any(self)


def _of_one_type(values: list[Any]) -> list[Any]:
    """Return integers among numbers as floats, as a column of a DataFrame has them."""
    types = set(map(type, values))
    if types == {int, float} and all(-_INT64 <= value < 2 * _INT64 for value in values if type(value) is int):
        return [float(value) for value in values]
    return values
