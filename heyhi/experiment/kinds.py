"""Lines of metrics as columns: those that hold the same names together, so that few of them are gone through singly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple

from heyhi.experiment.counters import counters_among
from heyhi.experiment.metric_line import less_facts

NUMBERS = frozenset({int, float})
_DICTS = frozenset({dict})
_MOST_DEPTH = 20


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
    by_keys: dict[tuple[str, ...], list[int]] = {}
    for place, line in enumerate(lines):
        by_keys.setdefault(tuple(line), []).append(place)
    found = []
    for places in by_keys.values():
        own = lines if len(places) == len(lines) else [lines[place] for place in places]
        found_columns = _columns(own)
        columns = less_facts(found_columns) if found_columns is not None else None
        counters, metrics = _split(tuple(columns or ()))
        if columns is not None and all(all(map(is_finite, columns[name])) for name in counters):
            found += [Kind(counters, metrics, places, columns)] if columns else []
        else:
            found += _one_by_one(places, own)
    return sorted(found, key=lambda kind: kind.places[0])


def _columns(lines: Sequence[Mapping[str, Any]], prefix: str = "", depth: int = 0) -> dict[str, Sequence[float]] | None:
    """Turn lines that hold the same numbers, and nothing else, into columns; None where they don't.

    This is the usual case, and no line is gone through by itself.
    """
    names = tuple(lines[0])
    if depth > _MOST_DEPTH or set(map(len, lines)) != {len(names)}:
        return None
    found: dict[str, Sequence[float]] = {}
    for name in names:
        try:
            column = [line[name] for line in lines]
        except KeyError:
            return None
        types = set(map(type, column))
        if types == _DICTS:
            inner = _columns(column, f"{prefix}{name}.", depth + 1)
            if inner is None:
                return None
            found |= inner
        elif types <= NUMBERS:
            found[f"{prefix}{name}"] = column
        else:
            return None
    return found


def _one_by_one(places: Sequence[int], lines: Sequence[Mapping[str, Any]]) -> list[Kind]:
    kinds: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[list[int], list[Mapping[str, float]]]] = {}
    for place, line in zip(places, lines, strict=True):
        numbers = numbers_of(line)
        names = tuple(numbers)
        counters = tuple([name for name in _split(names)[0] if is_finite(numbers[name])])
        its_places, its = kinds.setdefault((names, counters), ([], []))
        its_places.append(place)
        its.append(numbers)
    return [
        Kind(counters, _split(names)[1], its_places, {name: [line[name] for line in its] for name in names})
        for (names, counters), (its_places, its) in kinds.items()
    ]


def numbers_of(line: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the numbers of a line, with the keys of nested dicts joined by dots; a bool is none."""
    line = less_facts(line)
    if NUMBERS.issuperset(map(type, line.values())):
        return line
    found: dict[str, float] = {}
    for name, value in line.items():
        kind = type(value)
        if kind in NUMBERS:
            found[name] = value
        elif kind is dict:
            found.update((key, inner) for key, inner in dotted_items(value, f"{name}.") if type(inner) in NUMBERS)
    return found


def dotted_items(record: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the values of nested dicts, each with its keys joined by dots; a value of None is left out."""
    waiting = [(prefix, iter(record.items()))]  # no recursion: a file may hold a thousand dicts in one another
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


@lru_cache(maxsize=1024)
def _split(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    counters = counters_among(names)
    return counters, tuple([name for name in names if name not in counters])
