"""The points of a sweep, made from the words of `--sweep` or by `heyhi.grid` and `heyhi.sample`.

It only makes values for keys: which keys a config has, and what fits them, is left to `expand`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from heyhi.errors import SweepError, suggest

_DIGITS = 6  # significant digits of a drawn number: enough for any search, and a path stays readable
_CALL = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


def grid(space: Mapping[str, Any] | None = None, /, **more: Any) -> list[dict[str, Any]]:
    """Make every combination of some keys' values; the last key varies fastest.

    Args:
        space: key -> list, range, or text as `--sweep` takes it (`"1,2"`, `"range(3)"`); for keys with dots.
        more: key=values for further keys, whose names Python takes for an argument.

    Raises:
        SweepError: a text can't be read.

    Example:
        >>> grid({"sgd.momentum": [0.0, 0.9]}, seed=range(2))[1]
        {'sgd.momentum': 0.0, 'seed': 1}
    """
    lists = {key: _listed(key, values) for key, values in {**(space or {}), **more}.items()}
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def sample(n: int, space: Mapping[str, Any] | None = None, /, *, seed: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Draw random points.

    A key's draws depend on the seed and its own name only: another key more, or a larger n, changes none of them.

    Args:
        n: how many points.
        space: key -> list or range to choose from, or text: `uniform(a,b)`, `loguniform(a,b)`, `choice(a,b,…)`.
        seed: of the draw; a key of that name goes into `space`.
        more: key=values for further keys, whose names Python takes for an argument.

    Raises:
        SweepError: a text can't be read.
    """
    if type(seed) is not int:
        raise SweepError(
            f"sample(): seed is the draw's own and a whole number, not {seed!r};"
            " to sweep a key of that name, put it into the dict: {'seed': [0, 1, 2]}"
        )
    columns = {key: _drawn(key, values, n, seed) for key, values in {**(space or {}), **more}.items()}
    return [{key: column[i] for key, column in columns.items()} for i in range(n)]


def sweep_points(axes: Sequence[str], *, pair: bool = False) -> list[dict[str, Any]]:
    """Read `--sweep key=VALUES` texts.

    Args:
        axes: VALUES is a list `a,b`, `range([start,]stop[,step])`, `uniform(low,high,n[,seed])`,
            `loguniform(low,high,n[,seed])` or `choice(a,b,…,n=…[,seed=…])`.
        pair: put the first values together, then the second ones, … instead of every combination.

    Raises:
        SweepError: a text can't be read, or the lists to be paired differ in length.
    """
    columns: dict[str, list[Any]] = {}
    for axis in axes:
        key, equals, text = axis.removeprefix("--").partition("=")
        if not equals or not key or not text:
            raise SweepError(f"--sweep '{axis}': expected key=value,value,… or key=range(…)")
        if key in columns:
            raise SweepError(f"--sweep '{axis}': the key '{key}' is swept twice")
        columns[key] = _listed(key, text)
    if not pair:
        return grid(columns)
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{key} has {len(values)}" for key, values in columns.items())
        raise SweepError(f"--zip pairs lists of one length: {lengths}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _listed(key: str, values: Any) -> list[Any]:
    if not isinstance(values, str):
        return list(values) if isinstance(values, Iterable) else [values]
    return [v for item in _split(values) for v in _item_values(key, item)]


def _item_values(key: str, item: str) -> list[Any]:
    call = _CALL.fullmatch(item)
    if call is None or call[1] not in (*_DRAWS, "range", "choice"):
        if call is not None and suggest(call[1], (*_DRAWS, "range", "choice")):
            raise SweepError(f"'{key}={item}': unknown function{suggest(call[1], (*_DRAWS, 'range', 'choice'))}")
        return [item]
    args, options = _arguments(key, item, call[2])
    if call[1] == "range":
        numbers = [_number(key, item, a) for a in args]
        if options or not 1 <= len(numbers) <= 3 or any(n != int(n) for n in numbers) or numbers[2:] == [0]:
            raise SweepError(f"'{key}={item}': expected range([start,]stop[,step]) with integers, step not 0")
        return list(range(*map(int, numbers)))
    names = () if call[1] == "choice" else ("n", "seed")
    positional = len(args) if call[1] == "choice" else 2
    for name, value in zip(names, args[positional:], strict=False):
        options.setdefault(name, value)
    if "n" not in options or len(args) > positional + len(names):
        form = "a,b,…,n=COUNT" if call[1] == "choice" else "low,high,n=COUNT"
        raise SweepError(f"'{key}={item}': expected {call[1]}({form}[,seed=SEED])")
    n, seed = _number(key, item, options["n"]), _number(key, item, options.get("seed", "0"))
    if n != int(n) or n < 1 or seed != int(seed):
        raise SweepError(f"'{key}={item}': n and seed are whole numbers, n at least 1")
    return _drawn(key, f"{call[1]}({','.join(args[:positional])})", int(n), int(seed))


def _drawn(key: str, values: Any, n: int, seed: int) -> list[Any]:
    draw = random.Random(f"{seed}:{key}")
    if isinstance(values, str):
        call = _CALL.fullmatch(values.strip())
        if call is not None and call[1] in _DRAWS:
            args, options = _arguments(key, values, call[2])
            bounds = [_number(key, values, a) for a in args]
            if options or len(bounds) != 2 or not bounds[0] <= bounds[1]:
                raise SweepError(f"'{key}={values}': expected {call[1]}(low,high) with low <= high")
            if call[1] == "loguniform" and bounds[0] <= 0:
                raise SweepError(f"'{key}={values}': loguniform takes bounds above 0")
            return [float(f"{_DRAWS[call[1]](draw, *bounds):.{_DIGITS}g}") for _ in range(n)]
        if call is not None and call[1] == "choice":
            values = _arguments(key, values, call[2])[0]
    choices = _listed(key, values)
    if not choices:
        raise SweepError(f"'{key}': there is nothing to choose from")
    return [draw.choice(choices) for _ in range(n)]


_DRAWS: dict[str, Callable[[random.Random, float, float], float]] = {
    "uniform": lambda draw, low, high: draw.uniform(low, high),
    "loguniform": lambda draw, low, high: math.exp(draw.uniform(math.log(low), math.log(high))),
}


def _arguments(key: str, item: str, text: str) -> tuple[list[str], dict[str, str]]:
    args: list[str] = []
    options: dict[str, str] = {}
    for part in _split(text) if text.strip() else []:
        name, equals, value = part.partition("=")
        if equals and name.strip() in ("n", "seed"):
            options[name.strip()] = value.strip()
        else:
            args.append(part.strip())
    if any(not a for a in args):
        raise SweepError(f"'{key}={item}': an argument is empty")
    return args, options


def _number(key: str, item: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise SweepError(f"'{key}={item}': '{text}' is no number") from None
    if not math.isfinite(number):
        raise SweepError(f"'{key}={item}': '{text}' is not finite")
    return number


def _split(text: str) -> list[str]:
    """Split at commas that stand in no brackets and no double quotes."""
    parts, start, depth, position = [], 0, 0, 0
    while position < len(text):
        char = text[position]
        if char == '"':
            with contextlib.suppress(ValueError):  # a lone quote is a character like any other
                position = json.JSONDecoder().raw_decode(text, position)[1] - 1
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth = max(0, depth - 1)
        elif char == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [*parts, text[start:]]
