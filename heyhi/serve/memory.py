"""How much memory a server keeps of what it needed for a moment: the C library holds on to it, unless it is told."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from functools import cache

LARGE = 1 << 20  # bytes of an answer, after which memory is given back
_ARENAS = -8  # M_ARENA_MAX of malloc.h
_MOST_ARENAS = 2  # by default each thread gets one, up to eight a core, and each keeps what its largest answer took

_giving = threading.Lock()


def bound() -> None:
    """Have threads share what they need; to be called before there are any."""
    if (mallopt := _of_libc("mallopt")) is not None:
        mallopt(_ARENAS, _MOST_ARENAS)


def give_back() -> None:
    """Give back what is needed no more, after much was; where another thread does so just now, it does for both."""
    if (trim := _of_libc("malloc_trim")) is not None and _giving.acquire(blocking=False):
        try:
            trim(0)
        finally:
            _giving.release()


@cache
def _of_libc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; None where it has no such, as on macOS and with musl."""
    if sys.platform != "linux":
        return None
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return found
