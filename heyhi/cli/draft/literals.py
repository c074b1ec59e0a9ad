"""What expressions of literals come to, in bounds: no script can make this take long, or much memory."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from heyhi.cli.draft.arguments import UNREAD, is_literal

_MOST_BITS, _MOST_ITEMS = 4096, 10_000
_NUMBERS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_SIGNS: Mapping[type, Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
_COMPARISONS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
NAMES: Mapping[str, Any] = {
    "math.inf": math.inf, "math.nan": math.nan, "math.pi": math.pi, "math.e": math.e, "numpy.inf": math.inf,
    "numpy.nan": math.nan, "numpy.pi": math.pi, "np.inf": math.inf, "np.nan": math.nan, "np.pi": math.pi,
    "float.inf": UNREAD, "os.sep": "/", "torch.inf": math.inf,
    "logging.DEBUG": 10, "logging.INFO": 20, "logging.WARNING": 30, "logging.ERROR": 40, "logging.CRITICAL": 50,
}  # fmt: skip
_PATHS = frozenset({"Path", "pathlib.Path", "PurePath", "pathlib.PurePath"})


def combine(kind: ast.operator, left: Any, right: Any) -> Any:
    """Return what an operator makes of two values."""
    if not (is_literal(left) and is_literal(right)):
        return UNREAD
    if isinstance(kind, ast.Div) and isinstance(left, PurePosixPath) and isinstance(right, (str, PurePosixPath)):
        return left / right
    if isinstance(left, str) and isinstance(kind, ast.Mod):
        return _formatted(left, right)
    numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
    if numbers and isinstance(kind, (ast.Pow, ast.LShift)) and not _is_small_power(kind, left, right):
        return UNREAD
    if not numbers and isinstance(kind, ast.Mult) and not _is_short(left, right):
        return UNREAD
    return _tried(lambda: _NUMBERS[type(kind)](left, right))


def signed(kind: ast.unaryop, value: Any) -> Any:
    """Return what a sign makes of a value."""
    return _tried(lambda: _SIGNS[type(kind)](value)) if is_literal(value) else UNREAD


def compared(left: Any, kind: ast.cmpop, right: Any) -> Any:
    """Return how two values compare."""
    return _tried(lambda: _COMPARISONS[type(kind)](left, right)) if is_literal(left) and is_literal(right) else UNREAD


def item_of(value: Any, key: Any) -> Any:
    """Return an item of a sequence or mapping."""
    return _tried(lambda: value[key]) if isinstance(value, (list, tuple, str, dict)) and is_literal(key) else UNREAD


def called(name: str, values: list[Any]) -> Any:
    """Return what a function of Python's makes of values; UNREAD for any other."""
    if name in ("list", "tuple", "sorted", "set", "len") and len(values) == 1:
        return _tried(lambda: _of_many(name, values[0]))
    if not all(map(is_literal, values)):
        return UNREAD
    if name == "range":
        return _tried(lambda: _few(range(*values)))
    if name in _PATHS and all(isinstance(value, (str, PurePosixPath)) for value in values):
        return PurePosixPath(*values)
    if name == "os.path.join" and values and all(isinstance(value, (str, PurePosixPath)) for value in values):
        import posixpath

        return posixpath.join(*map(str, values))
    plain: Mapping[str, Callable[..., Any]] = {
        "int": int, "float": float, "str": str, "bool": bool, "abs": abs, "min": min, "max": max, "round": round,
        "math.sqrt": math.sqrt, "math.log": math.log, "math.exp": math.exp, "dict": dict,
    }  # fmt: skip
    return _tried(lambda: plain[name](*values)) if name in plain else UNREAD


def text_of(value: Any, conversion: int, spec: str) -> Any:
    """Return what stands in an f-string for a value."""
    if not is_literal(value) or len(spec) > 8 or any(len(digits) > 2 for digits in _digits(spec)):
        return UNREAD
    shown = {ord("r"): f"{value!r}", ord("s"): f"{value!s}", ord("a"): f"{value!a}"}.get(conversion, value)
    return _tried(lambda: format(shown, spec))


def _of_many(name: str, value: Any) -> Any:
    if not isinstance(value, (list, tuple, set, frozenset, dict, str)) or len(value) > _MOST_ITEMS:
        return UNREAD
    if name == "len":
        return len(value)
    ordered = sorted(value) if name == "sorted" or isinstance(value, (set, frozenset)) else list(value)
    return {"tuple": tuple, "set": set}.get(name, list)(ordered)


def _few(values: range) -> Any:
    return list(values) if len(values) <= _MOST_ITEMS else UNREAD


def _formatted(text: str, values: Any) -> Any:
    return UNREAD if any(len(digits) > 2 for digits in _digits(text)) or "*" in text else _tried(lambda: text % values)


def _digits(text: str) -> list[str]:
    return "".join(char if char.isdecimal() else " " for char in text).split()


def _is_small_power(kind: ast.operator, left: float, right: float) -> bool:
    if isinstance(kind, ast.LShift):
        return abs(right) < _MOST_BITS
    return not isinstance(left, int) or not isinstance(right, int) or left.bit_length() * abs(right) < _MOST_BITS


def _is_short(left: Any, right: Any) -> bool:
    many, times = (left, right) if isinstance(right, int) else (right, left)
    return isinstance(times, int) and hasattr(many, "__len__") and len(many) * max(times, 0) <= _MOST_ITEMS


def _tried(make: Callable[[], Any]) -> Any:
    try:
        value = make()
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError, MemoryError):
        return UNREAD
    is_large = isinstance(value, int) and value.bit_length() > _MOST_BITS
    return UNREAD if is_large or isinstance(value, complex) else value
