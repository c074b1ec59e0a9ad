"""Loads pathlib without urllib.parse, which it has for `Path.as_uri` alone: 28 classes, and 2 to 3 % of a start.

Nor is it looked six times along sys.path for modules of Windows, which its sister for that system's paths asks for.

From Python 3.13 on it does so by itself. Whoever else asks for urllib.parse gets the real one, `Path.as_uri` too.
"""

from __future__ import annotations

import sys
from typing import Any

_OF_WINDOWS = {"nt", "_winapi"}  # None in their places is said to be no module, without a look


def _quote_from_bytes(path: bytes) -> str:
    from urllib.parse import quote_from_bytes

    return quote_from_bytes(path)


def load_pathlib() -> None:
    """Load it, unless it is there, or another thread could meet what stands in for urllib.parse meanwhile."""
    if sys.version_info >= (3, 13) or "pathlib" in sys.modules or "urllib.parse" in sys.modules:
        return
    if len(sys._current_frames()) > 1:
        return
    name = "urllib.parse"
    stand_in = type(sys)(name)
    vars(stand_in)["quote_from_bytes"] = _quote_from_bytes
    modules: dict[str, Any] = {name: stand_in, **dict.fromkeys(_OF_WINDOWS - sys.modules.keys())}
    sys.modules.update(modules)
    try:
        import pathlib  # noqa: F401
    finally:
        for name in modules:
            del sys.modules[name]
