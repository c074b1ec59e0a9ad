"""A main that ends its process by `os._exit`, past all that would put its end on record."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NoReturn


@contextlib.contextmanager
def noting_exit(note: Callable[[int], int]) -> Iterator[None]:
    """Put on record that this process is ended by `os._exit` inside the context, and leave forked children alone.

    Args:
        note: gets the exit code, and returns the one to end with.
    """
    process, leave = os.getpid(), os._exit

    def exit_noted(status: int) -> NoReturn:
        code = status
        try:
            if os.getpid() == process:
                code = note(status)
        finally:
            leave(code)

    os._exit = exit_noted
    try:
        yield
    finally:
        if os._exit is exit_noted:  # somebody else may have put another one around it
            os._exit = leave
