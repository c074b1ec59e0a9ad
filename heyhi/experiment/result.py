"""How what a task returned becomes the JSON of result.json; writing the file is left to `folder`.

A finished run never fails on its result: what JSON can't hold is kept as text, and a warning names its key.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

MAX_ARRAY_ITEMS = 10_000
MAX_DEPTH = 100
MAX_TEXT = 10_000
# Python refuses to write longer ints in decimal (sys.set_int_max_str_digits: 4,300 digits are 14,284 bits).
_MAX_INT_BITS = 14_000
_log = logging.getLogger(__name__)


def encode(result: object) -> str:
    """Write a result as a JSON object, one key a line.

    Kept as they are: dicts, lists, tuples, sets, strings, numbers, booleans, None. Kept by their value:
    paths, enums, dataclasses, scalars and small arrays of NumPy and of tensor libraries. NaN and infinities
    are written as Python's json does. Anything else is kept as text, with a warning that names its key.

    Args:
        result: what a task returned; None becomes `{}`, what is no mapping or dataclass `{"result": ...}`.
    """
    plain = _plain(result, "", ()) if result is not None else {}
    if not isinstance(plain, dict):
        plain = {"result": plain}
    return json.dumps(plain, indent=2) + "\n"


def _plain(value: Any, key: str, above: tuple[int, ...]) -> Any:
    """Return what JSON can hold; `above` are the ids of the containers around the value."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, key, above)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int) and value.bit_length() <= _MAX_INT_BITS:
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, os.PathLike):
        return _text(value)
    if id(value) in above or len(above) > MAX_DEPTH:
        return _kept_as_text(value, key, f"is nested {'in itself' if id(value) in above else 'too deeply'}")
    try:
        return _plain_container(value, key, (*above, id(value)))
    except Exception as error:  # a user's class may raise anything from its methods
        return _kept_as_text(value, key, f"raised {type(error).__name__}")


def _plain_container(value: Any, key: str, above: tuple[int, ...]) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # Not asdict(): it copies what it finds, tensors on a device too.
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        plain: dict[str, Any] = {}
        for name, one in value.items():
            text = _key(name)
            inner = f"{key}.{text}" if key else text
            if text in plain:
                _log.warning("Result: two keys read '%s'; the later one is kept", inner)
            plain[text] = _plain(one, inner, above)
        return plain
    if isinstance(value, (set, frozenset)):
        with contextlib.suppress(TypeError):
            value = sorted(value)
        value = list(value)
    if isinstance(value, (list, tuple)):
        return [_plain(one, f"{key}.{i}" if key else str(i), above) for i, one in enumerate(value)]
    shape = getattr(value, "shape", None)
    if hasattr(value, "tolist") and isinstance(shape, tuple):
        count = 1
        for size in shape:
            count *= int(size)
        if count > MAX_ARRAY_ITEMS:
            return _kept_as_text(value, key, f"has {count} elements (at most {MAX_ARRAY_ITEMS} are kept)")
        return _plain(value.tolist(), key, above)
    if hasattr(value, "item") and not isinstance(value, type):
        return _plain(value.item(), key, above)
    return _kept_as_text(value, key, "is nothing that JSON can hold")


def _key(name: object) -> str:
    """Return a key as json.dumps would write it."""
    if isinstance(name, enum.Enum):
        name = name.value
    if name is None or isinstance(name, bool):
        return {None: "null", True: "true", False: "false"}[name]
    return str(name) if isinstance(name, str) else _text(name)


def _kept_as_text(value: object, key: str, why: str) -> str:
    _log.warning("Result: %s (%s) %s; it is kept as text", f"'{key}'" if key else "it", type(value).__name__, why)
    return _text(value)


def _text(value: object) -> str:
    try:
        return str(value)[:MAX_TEXT]
    except Exception:  # a user's __str__ may raise anything; so may a huge int's or a deep list's
        return f"<{type(value).__name__}>"
