"""The metrics that a task wrote: the last and the best value of each, and which way is better.

Reading them from a file is left to the caller.
"""

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
# For `summed_up_unparsed`. A line of numbers that can be turned into a list, without the characters of its numbers:
_PLAIN_LINE = re.compile(rb'\{"[^"\\]*": ?(, ?"[^"\\]*": ?)*\}\n')
_IN_NUMBERS = b"0123456789.-"
_AS_LIST = bytes.maketrans(b"{}:\n", b"  ,,")
_IN_NAMES = bytes(set(range(256)) - set(b'{}:\n", ' + _IN_NUMBERS))


@lru_cache(maxsize=1024)
def has_best(name: str) -> bool:
    """Return whether a metric has a best value: what only counts or times has none."""
    return _NO_BEST.search(name.lower()) is None


@lru_cache(maxsize=1024)
def is_small_good(name: str) -> bool:
    """Return whether the smallest value of a metric is its best, by its name."""
    return _SMALL_IS_GOOD.search(name.lower()) is not None


def summed_up(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the last value of each numeric metric, and as `<name>.best` its best one.

    The best is the smallest of losses, errors and the like, else the largest; what counts or times has none.

    Args:
        metrics: lines of a metrics file, in their order.
    """
    found = _summed_up_by_column(metrics)
    if found is not None:
        return found
    columns: dict[str, list[float]] = {}
    for record in metrics:
        for name, number in record.items():
            if type(number) in _NUMBERS and name in columns:  # mostly; the rest takes five times as long
                columns[name].append(number)
                continue
            for key, value in dotted_items({name: number}):
                if is_number(value):
                    columns.setdefault(key, []).append(value)
    last = {key: values[-1] for key, values in columns.items()}
    best = {f"{key}.best": _best(key, values) for key, values in columns.items() if has_best(key)}
    return {**last, **best}


def _summed_up_by_column(metrics: Sequence[Any]) -> dict[str, Any] | None:
    """Return what `summed_up` does where all lines have the same keys and hold numbers only, else None.

    This is the usual case, and no line is gone through by itself.
    """
    last = metrics[-1] if metrics else None
    if type(last) is not dict or len(last) < 2 or not _NUMBERS.issuperset(map(type, last.values())):
        return None
    try:
        if set(map(len, metrics)) != {len(last)}:
            return None
        values_of, bests = _plan(tuple(last))
        columns = list(zip(*map(values_of, metrics), strict=True))
        found = dict(last)
        for place, name, choose in bests:
            found[name] = best = choose(columns[place])  # raises TypeError where one is no number
            if best != best:  # min and max stop comparing at a NaN
                return None
    except (KeyError, TypeError):
        return None
    return found


def summed_up_unparsed(data: bytes) -> dict[str, Any] | None:
    """Return what `summed_up` makes of the lines of a metrics file, without making a dict of each line.

    A fast path for the usual file: without it, a table of 10,000 experiments takes 1.06 to 1.13 times as long. It is
    for lines that differ in nothing but the digits of their numbers. All letters are taken out of the text, which then
    is one list: `{"step": 1, "loss": 0.5}` and the lines after it become `["", 1, "", 0.5, "", 2, "", 0.25]`. A digit
    in a name is left in that name's place, and so noticed.

    Args:
        data: the file's bytes.

    Returns:
        None where the lines differ in more, a number has an exponent, or something isn't JSON.
    """
    import orjson

    line = data[data.rfind(b"\n", 0, -1) + 1 :]
    try:
        last: dict[str, Any] = orjson.loads(line)
        shape = line.translate(None, _IN_NUMBERS)
        if not _is_plain(shape):
            return None
        shapes = data.translate(None, _IN_NUMBERS)
        lines = len(shapes) // len(shape)
        if shapes != shape * lines:
            return None
        found = orjson.loads(b"[%b]" % data[:-1].translate(_AS_LIST, _IN_NAMES))
    except ValueError:
        return None
    if found[::2].count("") != lines * len(last):  # a digit in a name, or a name that stands twice in a line
        return None
    width = 2 * len(last)
    for place, name, choose in _plan(tuple(last))[1]:
        last[name] = choose(found[2 * place + 1 :: width])
    return last


@lru_cache(maxsize=256)
def _is_plain(shape: bytes) -> bool:
    return _PLAIN_LINE.fullmatch(shape) is not None


@lru_cache(maxsize=256)
def _plan(keys: tuple[str, ...]) -> tuple[Callable[[Any], tuple[Any, ...]], list[tuple[int, str, Callable[..., Any]]]]:
    """Prepare summing up lines that have these keys.

    Returns:
        a function that takes the values out of a line; for each key that has a best value its place among the keys,
        `<name>.best`, and min or max.
    """
    bests = [(i, f"{key}.best", min if is_small_good(key) else max) for i, key in enumerate(keys) if has_best(key)]
    return itemgetter(*keys), bests


def _best(key: str, values: Sequence[float]) -> float:
    values = [v for v in values if v == v] or values  # without a NaN
    return min(values) if is_small_good(key) else max(values)


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


def is_number(value: object) -> bool:
    """Return whether a value is an int or a float; a bool is neither here."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
