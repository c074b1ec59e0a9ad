"""The points of a sweep, made from the words of `--sweep` or by `heyhi.grid`, `heyhi.zipped` and `heyhi.sample`.

It only makes values for keys: which keys a config has, and what fits them, is left to `expand`.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from heyhi.config.values import Drawn, shorten
from heyhi.errors import SweepError, blame
from heyhi.sweep.calls import DRAWS, Call, call_of
from heyhi.sweep.elements import Element, split_elements
from heyhi.sweep.size import check_size, length_of, listed

Points = list[dict[str, Any]]
_DIGITS = 6  # significant digits of a drawn number: enough for any search, and a path stays readable


def grid(*spaces: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None, **more: Any) -> Points:
    """Make every combination of some keys' values; the last key varies fastest.

    Args:
        spaces: key -> list, range, or text as `--sweep` takes it (`"1,2"`, `"range(3)"`), for keys with dots; or
            points, as `heyhi.zipped`, `heyhi.sample` and this make them, each of which is combined with the rest.
        more: key=values for further keys, whose names Python takes for an argument.

    Returns:
        a point for each combination, a dict of keys to values.

    Raises:
        SweepError: a text can't be read, a key comes twice, or there are too many combinations.

    Example:
        >>> grid({"sgd.momentum": [0.0, 0.9]}, seed=range(2))[1]
        {'sgd.momentum': 0.0, 'seed': 1}
        >>> len(grid(zipped(lr=[0.1, 0.2], batch_size=[16, 32]), seed=range(3)))
        6
    """
    factors: list[Points] = []
    keys: dict[str, None] = {}
    for space in (*spaces, more):
        own: dict[str, None] = {}
        for factor, its in _factors(space or {}):
            factors.append(factor)
            own |= its
        if twice := keys.keys() & own.keys():
            raise SweepError(f"grid(): the key '{min(twice)}' is given twice")
        keys |= own
    return _product(factors)


def zipped(space: Mapping[str, Any] | None = None, /, **more: Any) -> Points:
    """Put the first values of some keys together, then the second ones, and so on.

    Args:
        space: as for `grid`; the lists are of one length.
        more: key=values for further keys, whose names Python takes for an argument.

    Returns:
        as many points as a list has values, each a dict of keys to values.

    Raises:
        SweepError: a text can't be read, or the lists differ in length.

    Example:
        >>> zipped(lr=[0.1, 0.2], batch_size=[16, 32])[1]
        {'lr': 0.2, 'batch_size': 32}
    """
    columns = {key: _listed(key, values) for key, values in {**(space or {}), **more}.items()}
    return _zipped(columns, "zipped() takes")


def _factors(space: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Iterable[tuple[Points, dict[str, None]]]:
    """Yield what is to be combined with the rest, each with its keys."""
    if isinstance(space, Mapping):
        for key, values in space.items():
            yield [{key: value} for value in _listed(key, values)], {key: None}
        return
    points = list(space)
    if not all(isinstance(point, Mapping) for point in points):
        raise SweepError(f"grid(): {shorten(repr(space))} is no mapping of keys to values, and no list of points")
    yield [dict(point) for point in points], {str(key): None for point in points for key in point}


def _product(factors: Sequence[Points]) -> Points:
    size = math.prod(map(len, factors))
    check_size(None, size, f"{' x '.join(str(len(factor)) for factor in factors)} values make {size:,} points")
    found: Points = []
    for parts in itertools.product(*factors):
        point: dict[str, Any] = {}
        for part in parts:
            point.update(part)
        found.append(point)
    return found


def _zipped(columns: Mapping[str, list[Any]], what: str) -> Points:
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{key} has {len(values)}" for key, values in columns.items())
        raise SweepError(f"{what} lists of one length: {lengths}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def sample(n: int, space: Mapping[str, Any] | None = None, /, *, seed: int = 0, **more: Any) -> Points:
    """Draw random points.

    A key's draws depend on the seed and its own name only: another key more, or a larger n, changes none of them.

    Args:
        n: how many points.
        space: key -> list or range to choose from, or text: `uniform(a,b)`, `loguniform(a,b)`, `choice(a,b,…)`.
        seed: of the draw; a key of that name goes into `space`.
        more: key=values for further keys, whose names Python takes for an argument.

    Returns:
        n points, each a dict of keys to values.

    Raises:
        SweepError: a text can't be read, or n is too many.
    """
    if type(seed) is not int:
        raise SweepError(
            f"sample(): seed is the draw's own and a whole number, not {seed!r};"
            " to sweep a key of that name, put it into the dict: {'seed': [0, 1, 2]}"
        )
    check_size(None, n, f"sample() of {n:,} points")
    columns = {key: _drawn(key, values, n, seed) for key, values in {**(space or {}), **more}.items()}
    return [{key: column[i] for key, column in columns.items()} for i in range(n)]


def sweep_points(
    axes: Sequence[str],
    *,
    paired: Sequence[str] = (),
    pair: bool = False,
    today: Callable[[str], str] = str,
) -> Points:
    """Read `--sweep key=VALUES` and `--zip key=VALUES` texts.

    Args:
        axes: VALUES is a list `a,b`, `range([start,]stop[,step])`, `uniform(low,high,n[,seed])`,
            `loguniform(low,high,n[,seed])` or `choice(a,b,…,n=…[,seed=…])`.
        paired: of which the first values are put together, then the second ones, …; each of these pairs is combined
            with the values of the axes.
        pair: put the values of the axes together so.
        today: gives a key that was renamed the name that it has by now.

    Raises:
        SweepError: a text can't be read, a key is swept twice, or the lists to be paired differ in length.
    """
    columns: dict[str, list[Any]] = {}
    names: dict[str, str] = {}
    for option, axis in (*(("--zip", axis) for axis in paired), *(("--sweep", axis) for axis in axes)):
        key, equals, text = axis.removeprefix("--").partition("=")
        if not equals or not key or not text.strip():
            raise SweepError(f"{option} '{axis}': expected key=value,value,… or key=range(…)")
        if (first := names.setdefault(today(key), key)) != key:
            raise SweepError(f"{option} '{axis}': the key is swept twice: '{first}' and '{key}' are one and the same")
        if key in columns:
            raise SweepError(f"{option} '{axis}': the key '{key}' is swept twice")
        try:
            columns[key] = _listed(key, text)
        except SweepError as error:
            raise blame(error, axis) from None
    if paired and pair:
        raise SweepError("--zip stands alone, for all --sweep, or before each key that it pairs: not both")
    if len(paired) == 1:
        key = next(iter(columns))
        raise SweepError(
            f"--zip '{paired[0]}' pairs '{key}' with no other key: say --zip KEY=VALUES for each of them"
            " (an override goes before a --zip that stands alone)"
        )
    if pair:
        return _zipped(columns, "--zip pairs")
    together = dict(itertools.islice(columns.items(), len(paired)))
    rest = dict(itertools.islice(columns.items(), len(paired), None))
    return grid(_zipped(together, "--zip pairs") if together else None, rest)


def sweep_keys(axes: Iterable[str]) -> list[str]:
    """Return the keys of `--sweep key=VALUES` texts."""
    return [axis.removeprefix("--").partition("=")[0] for axis in axes]


def _listed(key: str, values: Any) -> list[Any]:
    if isinstance(values, str):
        return listed(key, itertools.chain.from_iterable(_values_of(key, one) for one in _elements(key, values)))
    if isinstance(values, (set, frozenset)):  # its order is another one in each process
        return sorted(values, key=repr)
    if isinstance(values, Iterable) and not isinstance(values, (bytes, Mapping)):
        return listed(key, values)
    return [values]


def _elements(key: str, values: str) -> list[Element]:
    return split_elements(values, f"'{shorten(f'{key}={values}')}'")


def _values_of(key: str, element: Element) -> Sequence[Any]:
    """Return the values that an element of a list stands for."""
    call = call_of(key, element)
    if call is None:
        return [element.text]
    if call.name == "range":
        return _range(call)
    options = dict(call.options)
    names = () if call.name == "choice" else ("n", "seed")
    positional = len(call.args) if call.name == "choice" else 2
    for name, value in zip(names, call.args[positional:], strict=False):
        options.setdefault(name, value)
    if "n" not in options or len(call.args) > positional + len(names):
        form = "a,b,…,n=COUNT" if call.name == "choice" else "low,high,n=COUNT"
        expected = f"expected {call.name}({form}[,seed=SEED])"
        if call.name == "choice" and not options and call.args and not any("," in one for one in call.args):
            each = f"{key}={','.join(call.args)}"
            raise SweepError(f"{call.where}: {expected}, which draws; each of them once: {each}")
        raise SweepError(f"{call.where}: {expected}")
    n, seed = call.number(options["n"]), call.number(options.get("seed", "0"))
    if n != int(n) or n < 1 or seed != int(seed):
        raise SweepError(f"{call.where}: n and seed are whole numbers, n at least 1")
    check_size(None, int(n), f"{call.where} has {int(n):,} values")
    draw = _source(key, int(seed))
    if call.name == "choice":
        return _choices(key, call.args, int(n), draw)
    return _numbers(call._replace(args=call.args[:positional]), int(n), draw)


def _range(call: Call) -> range:
    found = call.range()
    size = length_of(found) or 0
    check_size(None, size, f"{call.where} has {size:,} values")
    return found


def _drawn(key: str, values: Any, n: int, seed: int) -> list[Any]:
    """Draw values of a key for `sample`."""
    draw = _source(key, seed)
    if isinstance(values, str) and len(elements := _elements(key, values)) == 1:
        call = call_of(key, elements[0])
        if call is not None and call.name in DRAWS:
            if call.options:
                raise SweepError(f"{call.where}: expected {call.name}(low,high) with low <= high")
            return _numbers(call, n, draw)
        if call is not None and call.name == "choice":
            return _choices(key, call.args, n, draw)
    return _choices(key, _listed(key, values), n, draw)


def _source(key: str, seed: int) -> random.Random:
    return random.Random(f"{seed}:{key}")


def _choices(key: str, choices: Sequence[Any], n: int, draw: random.Random) -> list[Any]:
    if not choices:
        raise SweepError(f"'{key}': there is nothing to choose from")
    return [draw.choice(choices) for _ in range(n)]


def _numbers(call: Call, n: int, draw: random.Random) -> list[float]:
    low, high = call.bounds()
    # Between whole numbers, whole ones may be meant: the field says it.
    kind: Callable[[str], float] = Drawn if low == int(low) and high == int(high) else float
    return [kind(f"{_DRAWN[call.name](draw, low, high):.{_DIGITS}g}") for _ in range(n)]


_DRAWN: dict[str, Callable[[random.Random, float, float], float]] = {
    "uniform": lambda draw, low, high: draw.uniform(low, high),
    "loguniform": lambda draw, low, high: math.exp(draw.uniform(math.log(low), math.log(high))),
}
