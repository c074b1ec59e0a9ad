"""Values as Python code, protos and configs write them: whatever a script's strings hold, they stay strings."""

from __future__ import annotations

import json
import math
import re
import textwrap
from pathlib import PurePath
from typing import Any

from heyhi.text import in_line

_WIDTH = 118
# A comment must not list earlier names by chance: see heyhi.config.renames.
_WAS = re.compile(r"(?i)(^|[/*])(\s*(?:\w+\s+)?)was\b")


def python(value: Any) -> str:
    """Write a value as an expression of Python's."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, PurePath):
        return f"Path({python(str(value))})"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{python(key)}: {python(one)}' for key, one in value.items())}}}"
    if isinstance(value, (list, tuple, set, frozenset)):
        inner = ", ".join(map(python, value))
        if isinstance(value, tuple):
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        if isinstance(value, list):
            return f"[{inner}]"
        return f"{type(value).__name__}([{inner}])"
    return repr(value)


def _string(text: str) -> str:
    # As people write it where that is possible, else as Python does.
    return f'"{text}"' if text.isprintable() and '"' not in text and "\\" not in text else ascii(text)


def proto_default(kind: str, value: Any) -> str:
    """Write a value as the default of a proto's field, or in a config: of a scalar type, or an enum's value."""
    if kind == "string":
        text = str(value)
        # Braces that aren't a template of HeyHi's.
        return quoted(f"{{{{{json.dumps(text, ensure_ascii=False)}}}}}" if "{{" in text else text)
    if kind == "bool":
        return "true" if value else "false"
    if kind in ("int32", "int64", "uint32"):
        return str(int(value))
    return number(float(value)) if kind == "double" else str(value)


def number(value: float) -> str:
    """Write a double as protos do."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 and str(value)[0] != "-" else repr(value)


def quoted(text: str) -> str:
    """Write a text as a string of a proto or a config, in one line."""
    shown = []
    for char in text:
        if char in '"\\':
            shown.append(f"\\{char}")
        elif char.isprintable():
            shown.append(char)
        else:
            shown += [f"\\{byte:03o}" for byte in char.encode()]
    return f'"{_WAS.sub(_unlike_was, "".join(shown))}"'


def _unlike_was(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}\\{ord(found[0][-3]):03o}{found[0][-2:]}"


def comment(text: str, indent: str = "", sign: str = "//") -> list[str]:
    """Write a text as the lines of a comment, which it can't leave."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        shown = in_line(" ".join(paragraph.replace("\r", " ").split()))
        lines += textwrap.wrap(shown, _WIDTH - len(indent) - len(sign), break_on_hyphens=False)
    return [f"{indent}{sign} {_WAS.sub(_in_quotes, line)}" for line in lines if line.strip()]


def _in_quotes(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}'{found[0][-3:]}'"
