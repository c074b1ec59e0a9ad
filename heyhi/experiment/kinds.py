"""Lines of metrics as columns: those that hold the same names together, so that few of them are gone through singly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from operator import itemgetter
from typing import Any, NamedTuple

from heyhi.experiment.counters import counters_among

NUMBERS = frozenset({int, float})


class Kind(NamedTuple):
    """Lines that hold the same names.

    Attributes:
        counters: names of those that are finite in all of these lines, the first to go by first.
        metrics: names of the numbers that are no counters.
        places: which lines of the block they are.
        columns: name -> its values in these lines, for all numbers.
    """

    counters: tuple[str, ...]
    metrics: tuple[str, ...]
    places: Sequence[int]
    columns: Mapping[str, Sequence[float]]


def kinds_of(lines: Sequence[Mapping[str, Any]]) -> list[Kind]:
    """Sort a block of lines by what they hold; kinds come in the order of their first lines.

    The keys of nested dicts are joined by dots; what is no number is left out.
    """
    kind = _only_kind(lines)
    if kind is not None:
        return [kind]
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[list[int], list[Mapping[str, float]]]] = {}
    for place, line in enumerate(lines):
        numbers = numbers_of(line)
        names = tuple(numbers)
        counters = tuple([name for name in _split(names)[0] if is_finite(numbers[name])])
        places, its = found.setdefault((names, counters), ([], []))
        places.append(place)
        its.append(numbers)
    return [
        Kind(counters, _split(names)[1], places, dict(zip(names, zip(*map(_values, its), strict=True), strict=True)))
        for (names, counters), (places, its) in found.items()
    ]


def numbers_of(line: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the numbers of a line, with the keys of nested dicts joined by dots; a bool is none."""
    types = set(map(type, line.values()))
    if dict in types:
        line = dict(dotted_items(line))
        types = set(map(type, line.values()))
    if not NUMBERS.issuperset(types):
        line = {name: value for name, value in line.items() if type(value) in NUMBERS}
    return line


def dotted_items(record: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Yield the values of nested dicts, each with its keys joined by dots; a value of None is left out."""
    waiting = [("", iter(record.items()))]  # no recursion: a file may hold a thousand dicts in one another
    while waiting:
        prefix, items = waiting[-1]
        for key, value in items:
            if isinstance(value, dict):
                waiting.append((f"{prefix}{key}.", iter(value.items())))
                break
            if value is not None:
                yield f"{prefix}{key}", value
        else:
            waiting.pop()


def is_finite(value: float) -> bool:
    """Return whether a number is neither NaN nor infinite; an integer that no float can hold isn't either."""
    return type(value) is int or isfinite(value)


def _values(line: Mapping[str, float]) -> Sequence[float]:
    return tuple(line.values())


def _only_kind(lines: Sequence[Mapping[str, Any]]) -> Kind | None:
    """Return lines that all hold the same numbers, and nothing else; None where they don't."""
    names = tuple(lines[-1]) if lines else ()
    if len(names) < 2 or set(map(len, lines)) != {len(names)}:
        return None
    try:
        values = zip(*map(itemgetter(*names), lines), strict=True)
    except KeyError:
        return None
    columns = dict(zip(names, values, strict=True))
    if not all(NUMBERS.issuperset(map(type, column)) for column in columns.values()):
        return None
    counters, metrics = _split(names)
    if not all(all(map(is_finite, columns[name])) for name in counters):
        return None
    return Kind(counters, metrics, range(len(lines)), columns)


@lru_cache(maxsize=1024)
def _split(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    counters = counters_among(names)
    return counters, tuple([name for name in names if name not in counters])
