"""A main that leaves its process past all that would put its end on record: by `os._exit`, or as another program."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, NoReturn


@contextlib.contextmanager
def noting_exit(note: Callable[[int], int], note_program: Callable[[str], None]) -> Iterator[None]:
    """Put on record that this process is left inside the context, and leave forked children alone.

    Args:
        note: gets the exit code of `os._exit`, and returns the one to end with.
        note_program: gets the program that this process becomes by one of `os.exec…`.
    """
    process = os.getpid()
    leave: Callable[[int], NoReturn] = os._exit
    before: dict[str, Callable[..., NoReturn]] = {"_exit": leave, "execv": os.execv, "execve": os.execve}

    def exit_noted(status: int) -> NoReturn:
        code = status
        try:
            if os.getpid() == process:
                code = note(status)
        finally:
            leave(code)

    def noting_program(become: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
        def become_noted(path: Any, *args: Any, **kwargs: Any) -> NoReturn:
            # What can't be run is an exception: execvp tries each folder of the path.
            if os.getpid() == process and _is_program(path):
                note_program(os.fsdecode(path) if not isinstance(path, int) else f"of descriptor {path}")
            become(path, *args, **kwargs)

        return become_noted

    # The others of their kind are written in Python, and end in these.
    noted: dict[str, Callable[..., NoReturn]] = {
        "_exit": exit_noted,
        **{name: noting_program(before[name]) for name in ("execv", "execve")},
    }
    for name, function in noted.items():
        setattr(os, name, function)
    try:
        yield
    finally:
        for name, function in noted.items():
            if getattr(os, name) is function:  # somebody else may have put another one around it
                setattr(os, name, before[name])


def _is_program(path: Any) -> bool:
    try:
        return isinstance(path, int) or (os.path.isfile(path) and os.access(path, os.X_OK))  # noqa: PTH113
    except (TypeError, ValueError):  # which Python says itself
        return False
