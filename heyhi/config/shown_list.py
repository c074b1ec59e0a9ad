"""How a list is shown in a table, a difference or a page, whether it was read from an override, a config or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from heyhi.config.composite import bare_or_quoted
from heyhi.config.value_tree import Items, Text, read_value
from heyhi.errors import OverrideError
from heyhi.regex import regex

_WHOLE = regex(r"([+-]?[0-9]+)\.0")  # of a double: the same number is shown in one way
_BETWEEN = regex(r'("(?:[^"\\]|\\.)*")|\},\{')  # messages; not in a string


def shown_values(values: Iterable[Any]) -> str:
    """Show a list of scalars as frozen configs and JSON have them: `[64, 64]`."""
    return f"[{', '.join(_shown(value) for value in values)}]"


def shown_text(text: str) -> str:
    """Show the text of a list as an identity has it; another text is returned as it is."""
    found = _items(text)
    if found is None:
        return _BETWEEN.sub(lambda part: part[1] or "}, {", text) if text.startswith("[{") else text
    return f"[{', '.join(bare_or_quoted(one.text) if one.is_quoted else _number(one.text) for one in found)}]"


def shown_bytes(elements: Iterable[str]) -> str:
    """Show a list of bytes, each with C escapes: these are written once, and so it reads back."""
    quoted = (f'"{one}"' for one in elements)
    return f"[{', '.join(quoted)}]"


def shown_bytes_text(text: str) -> str:
    """Show the text of a list of bytes as an identity has it."""
    found = _items(text)
    return text if found is None else shown_bytes(one.raw for one in found)


def elements_of(text: str) -> list[str] | None:
    """Return what the elements of a list of scalars say, None where a text is none."""
    found = _items(text)
    return None if found is None else [one.text for one in found]


def _items(text: str) -> list[Text] | None:
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        found = read_value(text, "")
    except OverrideError:
        return None  # of a string field
    items = found.items if isinstance(found, Items) else ()
    texts = [one for one in items if isinstance(one, Text)]
    return texts if isinstance(found, Items) and len(texts) == len(items) else None


def shown_cell(value: Any) -> Any:
    """Show a value of a flat config: a list as text, another one as it is."""
    return shown_values(value) if isinstance(value, (list, tuple)) else value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return bare_or_quoted(value)
    return _number(repr(value)) if isinstance(value, (int, float)) else json.dumps(value, default=repr)


def _number(text: str) -> str:
    found = _WHOLE.fullmatch(text)
    return found[1] if found is not None else text
