"""Loads pathlib without urllib.parse, which it has for `Path.as_uri` alone: 28 classes, and 2 to 3 % of a start.

From Python 3.13 on it does so by itself. Whoever else asks for urllib.parse gets the real one, `Path.as_uri` too.
"""

from __future__ import annotations

import sys


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
    sys.modules[name] = stand_in
    try:
        import pathlib  # noqa: F401
    finally:
        del sys.modules[name]
