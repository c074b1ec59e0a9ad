"""The import of a task file by a run, by which nothing is to be launched; what of a script does, `guard` finds out."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from heyhi.errors import LauncherError

GUARD = 'if __name__ == "__main__":'
_imported = threading.local()  # which are loaded by then, and context variables are not


@contextlib.contextmanager
def importing(entry: str) -> Iterator[None]:
    """Import a task file inside: nothing is to be launched by that."""
    before, _imported.entry = _entry(), entry
    try:
        yield
    finally:
        _imported.entry = before


def check_not_importing(what: str) -> None:
    """Make sure that nothing is launched while a task file is imported.

    Args:
        what: the function that launches.

    Raises:
        LauncherError: it is: the call has no guard, and would be made again by each run.
    """
    if entry := _entry():
        raise LauncherError(
            f"heyhi.{what} is called while main is imported as '{entry}', by a run of it: put the call below {GUARD}"
        )


def _entry() -> str:
    """Return the task file that this thread imports; empty for none."""
    return getattr(_imported, "entry", "")
