"""Where a project's own modules are looked for: before all others while its code is imported and run, else after them.

A file such as `queue.py` or `pandas.py` in a project root would else be taken for what a library imports.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def own_modules_first(root: Path) -> Iterator[None]:
    """Find a project's own modules inside, as `python -m` does, and not any more afterwards."""
    path = str(root)
    if sys.path[:1] == [path]:
        yield
        return
    sys.path.insert(0, path)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(path)


def own_modules_last(root: Path) -> None:
    """Find a project's own modules after all others from here on, if they are found."""
    real = os.path.realpath(root)
    there = [path for path in sys.path if os.path.realpath(path) == real]
    if there:
        sys.path[:] = [*(path for path in sys.path if path not in there), there[0]]
