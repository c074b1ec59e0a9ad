"""What a run that crashes leaves in its log: where each of its threads was; `experiment/exits` reads it."""

from __future__ import annotations

import contextlib
import faulthandler
from collections.abc import Iterator


@contextlib.contextmanager
def stacks_when_it_crashes() -> Iterator[None]:
    """Have a crash inside the context (SIGSEGV, SIGABRT and their like) print the stacks, unless somebody else does."""
    if faulthandler.is_enabled():
        yield
        return
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # no standard error
        faulthandler.enable(2)
    try:
        yield
    finally:
        faulthandler.disable()
