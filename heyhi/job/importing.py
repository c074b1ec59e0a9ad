"""The import of a task file by a run, by which nothing is to be launched; what of a script does, `guard` finds out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from heyhi.errors import LauncherError

GUARD = 'if __name__ == "__main__":'
_imported: ContextVar[str] = ContextVar("imported", default="")


@contextlib.contextmanager
def importing(entry: str) -> Iterator[None]:
    """Import a task file inside: nothing is to be launched by that."""
    token = _imported.set(entry)
    try:
        yield
    finally:
        _imported.reset(token)


def check_not_importing(what: str) -> None:
    """Make sure that nothing is launched while a task file is imported.

    Args:
        what: the function that launches.

    Raises:
        LauncherError: it is: the call has no guard, and would be made again by each run.
    """
    if entry := _imported.get():
        raise LauncherError(
            f"heyhi.{what} is called while main is imported as '{entry}', by a run of it: put the call below {GUARD}"
        )
