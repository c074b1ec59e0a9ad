"""How what a task returned becomes the JSON of result.json; writing the file is left to `folder`.

A finished run never fails on its result: what JSON can't hold is kept as text where it has one of its own, and is
dropped where it has not. A warning names it in both cases.
"""

from __future__ import annotations

import contextlib
import enum
import io
import json
import os
import re
import types
from collections.abc import Iterable, Mapping
from typing import Any

from heyhi.loggers import get_logger
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex

MAX_ARRAY_ITEMS = 10_000
MAX_DEPTH = 100
MAX_TEXT = 10_000
MAX_DROPPED = 20
# Python refuses to write longer ints in decimal (sys.set_int_max_str_digits: 4,300 digits are 14,284 bits).
_MAX_INT_BITS = 14_000
_FIELD = "_FIELD"  # what dataclasses calls a field that is neither a ClassVar nor an InitVar
# What is not a value, whatever its text: that is gone with the process, or names nothing that could be found again.
_NO_VALUES = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    io.IOBase,
)
# `<Net object at 0x7f…>`, `<bound method Net.f of <Net object at 0x7f…>>`
_PLACE_IN_MEMORY = regex(r"<.* at 0x[0-9a-fA-F]+>+", re.DOTALL)
_WHOLE = "result"  # what a result is called that is no mapping
_log = get_logger(__name__)


class Encoded(NamedTuple):
    """A result as result.json has it.

    Attributes:
        text: the JSON object.
        dropped: keys of what is not in it, of a long list the first ones and how many there are.
    """

    text: str
    dropped: tuple[str, ...] = ()


class _NotKept(Exception):
    """A value is neither JSON nor has it a text of its own; says why."""


def encode(result: object) -> Encoded:
    """Write a result as a JSON object, one key a line.

    Kept as they are: dicts, lists, tuples, sets, strings, numbers, booleans, None. Kept by their value:
    paths, enums, dataclasses, scalars and small arrays of NumPy and of tensor libraries. NaN and infinities
    are written as Python's json does. Anything else is kept as text where its type has one (dates, decimals,
    devices), and else dropped: plain objects, functions, modules, generators, large arrays. A dropped element of a
    list is null. Both are warned of by key and type.

    Args:
        result: what a task returned; None becomes `{}`, what is no mapping or dataclass `{"result": ...}`; what was
            encoded already stays as it is.
    """
    if isinstance(result, Encoded):
        return result
    encoder = _Encoder()
    plain = encoder.whole(result)
    encoder.warn()
    return Encoded(json.dumps(plain, indent=2) + "\n", _shortened(list(encoder.dropped)))


def _shortened(keys: list[str]) -> tuple[str, ...]:
    more = len(keys) - MAX_DROPPED
    return (*keys[:MAX_DROPPED], f"… and {more} more") if more > 0 else tuple(keys)


class _Encoder:
    """Turn one result into what JSON can hold.

    Attributes:
        dropped: key -> type of what could not be kept, and why.
        as_text: likewise for what is kept as text.
    """

    def __init__(self) -> None:
        self.dropped: dict[str, str] = {}
        self.as_text: dict[str, str] = {}

    def whole(self, result: object) -> dict[str, Any]:
        """Return the result as an object of JSON."""
        if result is None:
            return {}
        try:
            plain = self._plain(result, "", ())
        except _NotKept as why:
            self._drop(result, _WHOLE, why)
            return {}
        return plain if isinstance(plain, dict) else {_WHOLE: plain}

    def warn(self) -> None:
        """Name what is not in the result as it was."""
        for found, what in ((self.as_text, "is kept as text"), (self.dropped, "was dropped")):
            if found:
                named = [f"'{key}' ({why})" for key, why in found.items()]
                _log.warning("Result: what JSON can't hold %s: %s", what, ", ".join(_shortened(named)))

    def _drop(self, value: object, key: str, why: _NotKept) -> None:
        self.dropped[key] = f"{_type_name(value)}{f': {why}' if str(why) else ''}"

    def _plain(self, value: Any, key: str, above: tuple[int, ...]) -> Any:
        """Return what JSON can hold; `above` are the ids of the containers around the value.

        Raises:
            _NotKept: it can't be kept; what is in it and can't is left out of it.
        """
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, enum.Enum):
            return self._plain(value.value, key, above)
        if isinstance(value, str):
            return str(value)
        if isinstance(value, int):
            return int(value) if value.bit_length() <= _MAX_INT_BITS else self._large(value, key)
        if isinstance(value, float):
            return float(value)
        if id(value) in above or len(above) > MAX_DEPTH:
            raise _NotKept(f"is nested {'in itself' if id(value) in above else 'too deeply'}")
        try:
            if isinstance(value, os.PathLike):
                return os.fsdecode(value)
            return self._plain_container(value, key, (*above, id(value)))
        except _NotKept:
            raise
        except Exception as error:  # a user's class may raise anything from its methods
            return self._text(value, key, f"raised {type(error).__name__}")

    def _plain_container(self, value: Any, key: str, above: tuple[int, ...]) -> Any:
        if hasattr(type(value), "__dataclass_fields__"):
            # Not asdict(): it copies what it finds, tensors on a device too. Not fields(), either, which knows its own
            # by an object of its module: a task may have had that loaded anew.
            fields = type(value).__dataclass_fields__.values()
            value = {f.name: getattr(value, f.name) for f in fields if str(f._field_type) == _FIELD}
        if isinstance(value, Mapping):
            return self._mapping(value, key, above)
        if isinstance(value, (set, frozenset)):
            with contextlib.suppress(TypeError):
                value = sorted(value)
            return [one for one in self._items(value, key, above) if one is not None or None in value]
        if isinstance(value, (list, tuple)):
            return self._items(value, key, above)
        shape = getattr(value, "shape", None)
        if hasattr(value, "tolist") and isinstance(shape, tuple):
            count = 1
            for size in shape:
                count *= int(size)
            if count > MAX_ARRAY_ITEMS:
                raise _NotKept(f"has {count} elements (at most {MAX_ARRAY_ITEMS} are kept)")
            return self._plain(value.tolist(), key, above)
        if hasattr(value, "item") and not isinstance(value, type):
            return self._plain(value.item(), key, above)
        return self._text(value, key)

    def _mapping(self, value: Mapping[Any, Any], key: str, above: tuple[int, ...]) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for name, one in value.items():
            text = _key(name)
            if text is None:
                self._drop(one, _below(key, f"<{_type_name(name)}>"), _NotKept("its key has no text"))
                continue
            inner = _below(key, text)
            if text in plain:
                _log.warning("Result: two keys read '%s'; the later one is kept", inner)
            try:
                plain[text] = self._plain(one, inner, above)
            except _NotKept as why:
                self._drop(one, inner, why)
        return plain

    def _items(self, values: Iterable[Any], key: str, above: tuple[int, ...]) -> list[Any]:
        """Return the elements, null for each that can't be kept.

        Raises:
            _NotKept: none can be kept.
        """
        plain: list[Any] = []
        lost: list[tuple[Any, str, _NotKept]] = []
        for number, one in enumerate(values):
            inner = f"{key or _WHOLE}.{number}"
            try:
                plain.append(self._plain(one, inner, above))
            except _NotKept as why:
                lost.append((one, inner, why))
                plain.append(None)
        if lost and len(lost) == len(plain):
            raise _NotKept(f"of {_type_name(lost[0][0])}")
        for one, inner, reason in lost:
            self._drop(one, inner, reason)
        return plain

    def _large(self, value: int, key: str) -> str:
        text = hex(value)
        if len(text) > MAX_TEXT:
            raise _NotKept(f"has {value.bit_length()} bits")
        self.as_text[key or _WHOLE] = f"{_type_name(value)}, in base 16"
        return text

    def _text(self, value: object, key: str, why: str = "") -> str:
        """Return the text of a value whose type has one of its own.

        Raises:
            _NotKept: it has none.
        """
        text = _own_text(value)
        if text is None:
            raise _NotKept(why)
        self.as_text[key or _WHOLE] = f"{_type_name(value)}{f': {why}' if why else ''}"
        return text


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _key(name: object) -> str | None:
    """Return a key as json.dumps would write it; None where it has no text of its own."""
    if isinstance(name, enum.Enum):
        name = name.value
    if name is None or isinstance(name, bool):
        return {None: "null", True: "true", False: "false"}[name]
    if isinstance(name, str):
        return str(name)
    if isinstance(name, int) and name.bit_length() > _MAX_INT_BITS:
        return hex(name)
    return _own_text(name)


def _own_text(value: object) -> str | None:
    """Return the text of a value; None where it would only say that it is some object, or not all of an array."""
    if isinstance(value, _NO_VALUES):
        return None
    kind = type(value)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return None
    try:
        text = str(value)
        shape = getattr(value, "shape", None)
    except Exception:  # a user's __str__ may raise anything; so may a huge int's or a deep list's
        return None
    is_array = isinstance(shape, tuple) and len(shape) > 0
    if _PLACE_IN_MEMORY.fullmatch(text) or (is_array and ("..." in text or len(text) > MAX_TEXT)):
        return None
    return text[:MAX_TEXT]


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
