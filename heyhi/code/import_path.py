"""Where a project's own modules are looked for: before all others while its code is imported and run, else after them.

A file such as `queue.py` or `pandas.py` in a project root would else be taken for what a library imports. A job looks
in the copy of the code that was pinned for it: pinned/ has how.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from heyhi.code import pinned
from heyhi.code.version import is_copy
from heyhi.project import Project

_MOST_NAMES = 5


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
    there = []
    for path in sys.path:
        with contextlib.suppress(OSError):  # a relative one, in a working directory that was removed
            there += [path] if os.path.realpath(path) == real else []
    if there:
        sys.path[:] = [*(path for path in sys.path if path not in there), there[0]]


@contextlib.contextmanager
def own_modules_out(root: Path) -> Iterator[None]:
    """Find none of a project's own modules inside: libraries are loaded, which look for some that aren't there."""
    real = os.path.realpath(root)
    before = list(sys.path)
    with contextlib.suppress(OSError):  # a relative one, in a working directory that was removed
        sys.path[:] = [path for path in before if os.path.realpath(path) != real]
    try:
        yield
    finally:
        sys.path[:] = before


def pin_imports(project: Project, code_root: Path) -> None:
    """Find a project's modules in the copy of its code that runs, in this process and in those that it starts.

    Args:
        project: whose code it is.
        code_root: folder of the code; nothing changes where it is no copy.
    """
    if is_copy(code_root):
        from heyhi.code.pinned import heyhi_pinning  # a run of the work tree needs nothing of it

        heyhi_pinning.pin(str(project.root), str(code_root))


def pinned_copy(project: Project) -> Path | None:
    """Return the copy of a project's code that this process, or the one that has started it, was pinned to."""
    root, copy = (os.environ.get(name) for name in (pinned.ROOT_VARIABLE, pinned.COPY_VARIABLE))
    if not root or not copy or os.path.realpath(root) != os.path.realpath(project.root):
        return None
    return Path(copy) if is_copy(Path(copy)) else None


def pinned_variables(project_root: Path, code_root: Path) -> dict[str, str]:
    """Return what tells a job's Pythons of the copy, from when they start on; `pinned_folder` must be on their path."""
    return {pinned.ROOT_VARIABLE: str(project_root), pinned.COPY_VARIABLE: str(code_root)}


def pinned_folder() -> str:
    """Return the folder that a job's Pythons have first on their path."""
    return pinned.HERE


def loaded_outside(project: Project, code_root: Path) -> tuple[str, ...]:
    """Return what a run of a copy has loaded from the work tree all the same, as paths below the project root."""
    if not is_copy(code_root):
        return ()
    from heyhi.code.pinned import heyhi_pinning

    return tuple(heyhi_pinning.outside(str(project.root), str(code_root), str(project.results_root)))


def outside_text(names: tuple[str, ...]) -> str:
    """Say what was loaded from the work tree: `2 modules of the work tree: a.so, b.py`; empty where nothing was."""
    if not names:
        return ""
    more = len(names) - _MOST_NAMES
    listed = ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"{len(names)} module{'s' * (len(names) > 1)} of the work tree, not of the copy that was pinned: {listed}"
