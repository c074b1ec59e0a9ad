"""Lines of metrics as columns: those that hold the same names together, so that few of them are gone through singly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import isfinite
from operator import itemgetter
from typing import Any, NamedTuple

from heyhi.experiment.counters import counters_among
from heyhi.experiment.metrics import dotted_items

NUMBERS = frozenset({int, float})


class Kind(NamedTuple):
    """Lines that hold the same metrics and counters.

    Attributes:
        counters: names of those that are finite in all of these lines, the first to go by first.
        metrics: names of all other numbers.
        places: which lines of the block they are.
        columns: name -> its values in these lines.
    """

    counters: tuple[str, ...]
    metrics: tuple[str, ...]
    places: Sequence[int]
    columns: Mapping[str, Sequence[float]]


def kinds_of(lines: Sequence[Mapping[str, Any]]) -> list[Kind]:
    """Sort a block of lines by what they hold; kinds come in the order of their first lines.

    The keys of nested dicts are joined by dots; what is no number is left out, and a counter that isn't finite.
    """
    if not lines:
        return []
    kind = _only_kind(lines)
    if kind is not None:
        return [kind]
    found: dict[tuple[str, ...], tuple[list[int], list[Mapping[str, float]]]] = {}
    for place, line in enumerate(lines):
        numbers = numbers_of(line)
        places, its = found.setdefault(tuple(numbers), ([], []))
        places.append(place)
        its.append(numbers)
    return [
        Kind(*_split(names), places, dict(zip(names, zip(*map(_values, its), strict=True), strict=True)))
        for names, (places, its) in found.items()
    ]


def _values(line: Mapping[str, float]) -> Sequence[float]:
    return tuple(line.values())


def numbers_of(line: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the numbers of a line, less counters that aren't finite, with the keys of nested dicts joined by dots."""
    types = set(map(type, line.values()))
    if dict in types:
        line = dict(dotted_items(line))
        types = set(map(type, line.values()))
    if not NUMBERS.issuperset(types):
        line = {name: value for name, value in line.items() if type(value) in NUMBERS}
    if all(_is_finite(line[name]) for name in _split(tuple(line))[0]):
        return line
    counters = _split(tuple(line))[0]
    return {name: value for name, value in line.items() if name not in counters or _is_finite(value)}


def _is_finite(value: float) -> bool:
    return type(value) is int or isfinite(value)


def _only_kind(lines: Sequence[Mapping[str, Any]]) -> Kind | None:
    """Return lines that all hold the same numbers, and nothing else; None where they don't."""
    names = tuple(lines[-1])
    if not names or set(map(len, lines)) != {len(names)}:
        return None
    columns: dict[str, Sequence[Any]] = {}
    try:
        if len(names) == 1:
            columns[names[0]] = tuple(map(itemgetter(names[0]), lines))
        else:
            columns.update(zip(names, zip(*map(itemgetter(*names), lines), strict=True), strict=True))
    except KeyError:
        return None
    counters, metrics = _split(names)
    if not all(NUMBERS.issuperset(map(type, column)) for column in columns.values()):
        return None
    if not all(all(map(_is_finite, columns[name])) for name in counters):
        return None
    return Kind(counters, metrics, range(len(lines)), columns)


@lru_cache(maxsize=1024)
def _split(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    counters = counters_among(names)
    return counters, tuple([name for name in names if name not in counters])
