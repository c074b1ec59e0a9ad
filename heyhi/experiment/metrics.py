"""The metrics that a task wrote: last and best values, and which way is better."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

_NUMBERS = frozenset({int, float})
_SMALL_IS_GOOD = re.compile(
    r"loss|error|perplexity|(^|[^a-z])(err|ppl|nll|mse|rmse|mae|wer|cer|fid|kl|cost|regret)([^a-z]|$)"
)
# What only counts or times has no best value.
_NO_BEST = re.compile(
    r"(^|[^a-z])(epochs?|steps?|iter(ation)?s?|batch(es)?|samples|seed|lr|learning_rate|time|seconds|timestamp)$"
)
# A line as a dict of numbers gives it, without what they are written with.
_PLAIN_LINE = re.compile(rb'\{"[^"\\]*": ?(, ?"[^"\\]*": ?)*\}\n')
_IN_NUMBERS = b"0123456789.-"
_AS_LIST = bytes.maketrans(b"{}:\n", b"  ,,")
_IN_NAMES = bytes(set(range(256)) - set(b'{}:\n", ' + _IN_NUMBERS))


def summed_up_unparsed(data: bytes) -> dict[str, Any] | None:
    """Do it for lines that differ in nothing but the digits of their numbers, without making a dict of each.

    Names are taken out of the text and all becomes one list, `["", 1, "", 0.5, ...]`, in half the time. A digit that
    stands in a name leaves something there.
    """
    import orjson

    line = data[data.rfind(b"\n", 0, -1) + 1 :]
    try:
        last: dict[str, Any] = orjson.loads(line)
        one = line.translate(None, _IN_NUMBERS)
        if not _is_plain(one):
            return None
        every = data.translate(None, _IN_NUMBERS)
        lines = len(every) // len(one)
        if every != one * lines:
            return None
        found = orjson.loads(b"[%b]" % data[:-1].translate(_AS_LIST, _IN_NAMES))
    except ValueError:
        return None
    if found[::2].count("") != lines * len(last):  # nor are there as many where a name stands twice in a line
        return None
    width = 2 * len(last)
    for index, name, choose in _plan(tuple(last))[1]:
        last[name] = choose(found[2 * index + 1 :: width])
    return last


@lru_cache(maxsize=256)
def _is_plain(line: bytes) -> bool:
    return _PLAIN_LINE.fullmatch(line) is not None


def summed_up(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the last value of each numeric metric, and as `<name>.best` its best one.

    The best is the smallest of losses, errors and the like, else the largest; what counts or times has none.
    """
    found = _summed_up_at_once(metrics)
    if found is not None:
        return found
    columns: dict[str, list[float]] = {}
    for record in metrics:
        for name, number in record.items():
            if type(number) in _NUMBERS and name in columns:  # mostly; the rest takes five times as long
                columns[name].append(number)
                continue
            for key, value in flattened({name: number}):
                if is_number(value):
                    columns.setdefault(key, []).append(value)
    last = {key: values[-1] for key, values in columns.items()}
    best = {f"{key}.best": _best(key, values) for key, values in columns.items() if has_best(key)}
    return {**last, **best}


def _summed_up_at_once(metrics: Sequence[Any]) -> dict[str, Any] | None:
    """Do it column by column; None where the lines differ in their keys, or hold something else than numbers."""
    last = metrics[-1] if metrics else None
    if type(last) is not dict or len(last) < 2 or not _NUMBERS.issuperset(map(type, last.values())):
        return None
    try:
        if set(map(len, metrics)) != {len(last)}:
            return None
        getter, bests = _plan(tuple(last))
        columns = list(zip(*map(getter, metrics), strict=True))
        found = dict(last)
        for index, name, choose in bests:
            found[name] = best = choose(columns[index])  # which can't compare a number with what is none
            if best != best:  # what comes after a NaN was not looked at
                return None
    except (KeyError, TypeError):
        return None
    return found


@lru_cache(maxsize=256)
def _plan(keys: tuple[str, ...]) -> tuple[Callable[[Any], tuple[Any, ...]], list[tuple[int, str, Callable[..., Any]]]]:
    """Return what takes the values out of a line, and which columns have a best value: place, its name, min or max."""
    bests = [(i, f"{key}.best", min if is_small_good(key) else max) for i, key in enumerate(keys) if has_best(key)]
    return itemgetter(*keys), bests


@lru_cache(maxsize=1024)
def has_best(name: str) -> bool:
    """Return whether a metric has a best value: what only counts or times has none."""
    return _NO_BEST.search(name.lower()) is None


@lru_cache(maxsize=1024)
def is_small_good(name: str) -> bool:
    """Return whether the smallest value of a metric is its best, by its name."""
    return _SMALL_IS_GOOD.search(name.lower()) is not None


def _best(key: str, values: Sequence[float]) -> float:
    values = [v for v in values if v == v] or values  # without a NaN
    return min(values) if is_small_good(key) else max(values)


def flattened(record: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the values of nested dicts, each with its keys joined by dots; a value of None is left out."""
    for key, value in record.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value


def is_number(value: object) -> bool:
    """Return whether a value is an int or a float; a bool is neither here."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
