"""Loads modules of others without what they have for one rare call, or for nothing: each 1 to 3 % of a start.

pathlib has urllib.parse for `Path.as_uri` alone, up to Python 3.12, and protobuf calendar, which loads locale, for
`Timestamp.FromDatetime`. Whoever else asks for these gets the real ones, and so do these calls. Nor is it looked six
times along sys.path for modules of Windows, which pathlib's sister for that system's paths asks for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

_OF_WINDOWS = ("nt", "_winapi")


def load_pathlib() -> None:
    """Load it, unless it is there, or another thread could meet what stands in for urllib.parse meanwhile."""
    if sys.version_info < (3, 13):
        _load("pathlib", "urllib.parse", "quote_from_bytes", without=_OF_WINDOWS)


def load_well_known_types() -> None:
    """Load what protobuf loads to make its first class, likewise."""
    _load("google.protobuf.internal.well_known_types", "calendar", "timegm")


def _load(name: str, less: str, function: str, *, without: Sequence[str] = ()) -> None:
    """Load a module that needs one function of another one, which is loaded when that is called.

    Args:
        name: of the module.
        less: of the other one.
        function: of that.
        without: modules that aren't there.
    """
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
    # None in a module's place says that there is none, without a look.
    missing: dict[str, Any] = dict.fromkeys(one for one in without if one not in sys.modules)
    sys.modules.update({less: stand_in, **missing})
    try:
        importlib.import_module(name)
    finally:
        for one in missing:
            del sys.modules[one]
        if sys.modules.get(less) is stand_in:
            del sys.modules[less]
