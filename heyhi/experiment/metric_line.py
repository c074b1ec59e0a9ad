"""What a line of metrics holds: numbers by their names, whatever library they come from, and how far a run is.

Writing lines is left to `metric_log`, reading them to `metrics_file`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from heyhi.errors import MetricError
from heyhi.experiment.counters import counters_among

T = TypeVar("T")

STEP, TOTAL, TIME, ATTEMPT = "step", "total", "time", "attempt"
# What HeyHi says itself in a line that it writes: no metrics.
FACTS = {
    TOTAL: "is how far a run is to go, given as total=",
    TIME: "is when a line was written",
    ATTEMPT: "is which attempt has written a line",
}
MOST_LINE_BYTES = 1 << 22  # a longer line is no line of metrics, and isn't held by who reads it
_PROGRESS = frozenset({STEP, *FACTS})
_PLAIN = frozenset({float, bool, str, type(None)})
_NUMBERS = frozenset({int, float, bool})
_MOST_DEPTH = 50  # of dicts in one another
_MOST_INT_BITS = 14_000  # Python neither writes nor reads longer ones in decimal
_SMALL = 1 << 63
_MOST_SHOWN = 40
_NO_NAME = "heyhi.log: the name of a metric is empty"


def line_of(
    metrics: Mapping[Any, Any] | None, more: Mapping[str, Any], step: object = None, total: object = None
) -> dict[str, Any]:
    """Return a line as JSON has it, but for when and by which attempt it is written.

    Args:
        metrics: names -> values, also in dicts in one another.
        more: likewise.
        step: how far the run is.
        total: how far it is to go, by the first counter of the line.

    Raises:
        MetricError: something can't be logged, or stands there twice.
    """
    line: dict[str, Any] = {}
    if step is not None:
        line[STEP] = counted(step, STEP)
    for source in (more,) if metrics is None else (metrics, more):
        if not isinstance(source, Mapping):
            raise MetricError(f"heyhi.log: takes a dict of names and numbers, and was given {_shown(source)}")
        for name, value in source.items():
            key = name if type(name) is str else _key(name, "")
            if not key:
                raise MetricError(_NO_NAME)
            if key in FACTS:
                raise MetricError(
                    f"heyhi.log: '{key}' can't be the name of a metric: it {FACTS[key]}. Give it another name"
                )
            if key in line:
                raise MetricError(f"heyhi.log: '{key}' is given twice: {_shown(line[key])}, and {_shown(value)}")
            line[key] = value if type(value) in _PLAIN else _plain(value, key, _MOST_DEPTH)
    if dict in map(type, line.values()):
        _check_joined(line)
    if total is not None:
        line[TOTAL] = counted(total, TOTAL)
        if counter_of(line) is None:
            raise MetricError(
                "heyhi.log: total= is how many steps there are, and nothing says the step: give step=, too"
            )
    return line


def is_written_by_log(names: Container[str]) -> bool:
    """Return whether a line is one of `heyhi.log` in an experiment, by its names.

    Only there are `time`, `attempt` and `total` no metrics: a task that writes lines by itself may call one so.
    """
    return ATTEMPT in names and TIME in names


def is_progress(line: Mapping[str, Any]) -> bool:
    """Return whether a line says how far a run is, and no metrics."""
    return TOTAL in line and is_written_by_log(line) and _PROGRESS.issuperset(line)


def less_facts(line: Mapping[str, T]) -> Mapping[str, T]:
    """Return what was logged in a line, by `heyhi.log` or by hand."""
    return {name: value for name, value in line.items() if name not in FACTS} if is_written_by_log(line) else line


def counters_of(line: Mapping[str, Any]) -> dict[str, float]:
    """Return the counters of a line that are finite, the one first that says how far a run was when it wrote that."""
    numbers = dict(_numbers(line, "", _MOST_DEPTH))
    first = (STEP,) if STEP in numbers else ()
    return {name: numbers[name] for name in (*first, *counters_among(tuple(numbers)))}


def counter_of(line: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return name and value of the first of them; None where there is none."""
    return next(iter(counters_of(line).items()), None)


def _numbers(line: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, float]]:
    for key, value in line.items():
        if type(value) is int or (type(value) is float and math.isfinite(value)):
            yield f"{prefix}{key}", value
        elif isinstance(value, dict) and depth:
            yield from _numbers(value, f"{prefix}{key}.", depth - 1)


def _check_joined(line: Mapping[str, Any]) -> None:
    """Refuse names that are one where readers join those in one another by dots: `a.b`, and `b` in `a`.

    Raises:
        MetricError: there are such.
    """
    found: set[str] = set()
    waiting = [("", line)]
    while waiting:
        prefix, values = waiting.pop()
        for key, value in values.items():
            name = prefix + key
            if type(value) is dict:
                waiting.append((f"{name}.", value))
            elif name in found:
                raise MetricError(f"heyhi.log: '{_cut(name)}' is given twice: by its name, and by dicts in one another")
            else:
                found.add(name)


def _plain(value: Any, name: str, depth: int) -> Any:
    """Return a value as JSON has it; `depth` is how many dicts may be in it."""
    number = _reader_of(type(value))(value)
    if isinstance(number, int) and not -_SMALL < number < _SMALL and number.bit_length() > _MOST_INT_BITS:
        raise MetricError(
            f"heyhi.log: '{_cut(name)}' is an integer of {number.bit_length()} bits, of at most {_MOST_INT_BITS}"
        )
    if number is not None:
        return number
    if isinstance(value, Mapping):
        if not depth:
            raise MetricError(f"heyhi.log: '{_cut(name)}' is a dict in itself, or in more than {_MOST_DEPTH} others")
        return _inner(value, name, depth - 1)
    raise MetricError(
        f"heyhi.log: '{_cut(name)}' is {_shown(value)}{_failure(value)}, and a metric is one number, or a dict of"
        " metrics: log its mean, say, or each of its numbers by a name of its own"
    )


def _inner(values: Mapping[Any, Any], name: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one, value in values.items():
        key = one if type(one) is str else _key(one, f"{name}.")
        if not key:
            raise MetricError(f"{_NO_NAME}, in '{_cut(name)}'")
        if key in found:
            raise MetricError(f"heyhi.log: '{_cut(name)}.{key}' is given twice: two keys read so")
        found[key] = value if type(value) in _PLAIN else _plain(value, f"{name}.{key}", depth)
    return found


def _find_reader(kind: type) -> Callable[[Any], int | float | str | None]:
    """Return what makes a number, or a text, of the values of a type; it returns None where one is neither."""
    if issubclass(kind, str):
        return str.__str__
    for plain in (bool, int, float):
        if issubclass(kind, plain):
            return plain
    if hasattr(kind, "item"):
        return _item
    # Fractions, decimals, NumPy's longest floats; complex numbers have none.
    return _as_number if hasattr(kind, "__index__") or hasattr(kind, "__float__") else _nothing


# A type is looked at once: each number that is logged pays for this.
_reader_of: Callable[[type], Callable[[Any], int | float | str | None]] = lru_cache(maxsize=256)(_find_reader)


def _nothing(value: object) -> None:
    pass


def _item(value: Any) -> int | float | str | None:
    """Return the number in a scalar or an array of NumPy, torch or JAX; None where there are several."""
    try:
        found = value.item()
    except Exception:  # each library has its own
        return None
    return found if type(found) in _NUMBERS else _as_number(found)


def _failure(value: Any) -> str:
    """Say what a scalar has raised instead of giving its number; empty where there are several, or it has none."""
    if not hasattr(type(value), "item"):
        return ""
    try:
        if math.prod(getattr(value, "shape", ())) == 1:
            value.item()
    except Exception as error:  # a device that is gone, say
        return f", whose .item() raised {type(error).__name__}: {error}"
    return ""


def _as_number(value: Any) -> int | float | None:
    kind = type(value)
    try:
        return int(value) if hasattr(kind, "__index__") else float(value) if hasattr(kind, "__float__") else None
    except Exception:  # a class of the task's may raise anything
        return None


def counted(value: object, name: str) -> float:
    """Return how far a run is, or is to go.

    Args:
        value: as it was given.
        name: of the argument that it was given by.

    Raises:
        MetricError: it is no number, or is infinite or NaN.
    """
    number = _reader_of(type(value))(value)
    if isinstance(number, int | float) and not isinstance(number, bool) and _is_finite(number):
        return number
    raise MetricError(f"heyhi.log: {name}= takes a number, and is {_shown(value)}")


def _is_finite(number: float) -> bool:
    return number.bit_length() <= _MOST_INT_BITS if isinstance(number, int) else math.isfinite(number)


def _key(key: Any, prefix: str) -> str:
    """Return a key that is no plain text as text."""
    if isinstance(key, str):
        return str.__str__(key)
    if type(key) is not bool and hasattr(type(key), "__index__"):
        number = _as_number(key)
        if isinstance(number, int) and number.bit_length() <= _MOST_INT_BITS:
            return str(number)
    where = f"'{_cut(prefix[:-1])}'" if prefix else "what it was given"
    raise MetricError(f"heyhi.log: a key in {where} is {_shown(key)}, and the name of a metric is a text")


def _shown(value: Any) -> str:
    """Name a value by its type, with how many numbers it holds, or what it is where that is short."""
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple) and shape:
            return f"an array of {' x '.join(map(str, shape))} ({name})"
        text = repr(value)
    except Exception:  # likewise
        return f"of type {name}"
    return f"{text} ({name})" if len(text) <= _MOST_SHOWN and text[0] != "<" else f"of type {name}"


def _cut(name: str) -> str:
    return name if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]}…"
