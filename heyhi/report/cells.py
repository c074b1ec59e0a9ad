"""Cells of a table: how their values are compared, put in order and put together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from heyhi.report.setting_values import guessed

if TYPE_CHECKING:
    import pandas as pd


_Key = TypeVar("_Key", bound=Hashable)


def varying(table: pd.DataFrame) -> list[str]:
    """Return the columns of the config and of the overrides that are not the same for all."""
    return [str(name) for name in table.attrs.get("varying", ())]


def hashable(value: Any) -> Hashable:
    """Return what a value is compared by: 1, 1.0 and True are three values, and NaN is itself."""
    return type(value).__name__, repr(value)


def rank(value: Any) -> tuple[int, Any, str]:
    """Return what a value is sorted by: numbers come before text, and lists are sorted by their elements."""
    if isinstance(value, (int, float)):
        return 0, value, ""  # as it is: no float holds every integer
    if isinstance(value, str) and value.startswith("["):
        from heyhi.config.shown_list import elements_of

        if (elements := elements_of(value)) is not None:
            return 1, tuple(rank(guessed(one)) for one in elements), value
    return 1, (), str(value)


def is_missing(value: Any) -> bool:
    """Return whether a cell has no value to be put in order: None, NaN, or what a typed column has for them."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # of pandas
        return True


def is_none(value: Any) -> bool:
    """Return whether a cell has no value at all: NaN is one."""
    return value is None or (not isinstance(value, float) and is_missing(value))


def in_order(values: Mapping[Hashable, Any]) -> list[Hashable]:
    """Return the keys of some values in the order of these."""
    return sorted(values, key=lambda key: (is_missing(values[key]), is_missing(values[key]) or rank(values[key])))


def places_by(keys: Sequence[_Key]) -> dict[_Key, list[int]]:
    """Return the places at which each key stands."""
    found: dict[_Key, list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return found


def taken(table: pd.DataFrame, places: Sequence[int]) -> pd.DataFrame:
    """Return some rows of a table, in order."""
    found = table.iloc[list(places)].reset_index(drop=True)
    found.attrs.update(table.attrs)
    return found


def shared(values: Sequence[Any]) -> Any:
    """Return the value that all have; where they have several, these as text."""
    distinct = list({hashable(value): value for value in values}.values())
    if len(distinct) == 1:
        return distinct[0]
    return ", ".join("-" if value is None else str(value) for value in distinct) or None


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a column of nothing but numbers their type; None stays None in the others."""
    for name in frame.columns:
        if all(isinstance(value, (bool, int, float)) for value in frame[name]):
            frame[name] = frame[name].infer_objects()
    return frame
