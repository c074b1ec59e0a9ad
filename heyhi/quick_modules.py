"""Loads modules of others without what they have for one rare call, each of which is 1 to 3 % of a start.

pathlib has urllib.parse for `Path.as_uri` alone, up to Python 3.12, and protobuf calendar, which loads locale, for
`Timestamp.FromDatetime`. Whoever else asks for these gets the real ones, and so do these calls.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any


def load_pathlib() -> None:
    """Load it, unless it is there, or another thread could meet what stands in for urllib.parse meanwhile."""
    if sys.version_info < (3, 13):
        _load("pathlib", "urllib.parse", "quote_from_bytes")


def load_well_known_types() -> None:
    """Load what protobuf loads to make its first class, likewise."""
    _load("google.protobuf.internal.well_known_types", "calendar", "timegm")


def _load(name: str, less: str, function: str) -> None:
    """Load a module that needs one function of another one, which is loaded when that is called."""
    if name in sys.modules or less in sys.modules or len(sys._current_frames()) > 1:
        return
    stand_in = type(sys)(less)

    def real(attribute: str) -> Any:
        if attribute.startswith("__"):  # asked by what imports it
            raise AttributeError(attribute)
        if sys.modules.get(less) is stand_in:
            del sys.modules[less]
        return getattr(importlib.import_module(less), attribute)

    held: dict[str, Callable[..., Any]] = {"__getattr__": real, function: lambda *args: real(function)(*args)}
    vars(stand_in).update(held)
    sys.modules[less] = stand_in
    try:
        importlib.import_module(name)
    finally:
        if sys.modules.get(less) is stand_in:
            del sys.modules[less]
