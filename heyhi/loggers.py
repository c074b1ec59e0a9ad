"""Loggers of modules, and the set-up of logging, without loading `logging` where nothing is logged.

It takes a job as long to load as a third of HeyHi, with what it loads to print tracebacks. Most tasks load it
themselves; then it is set up at once, before anything of theirs can ask it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import logging
    from types import ModuleType

_NAME = "logging"
_HOME = "heyhi.logs"  # which sets it up, and may be what loads it: then it settles that when it is loaded itself
_left: list[Callable[[], object]] = []


class _Later:
    """What a logger has, asked of the real one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        try:
            import logging
        except Exception:  # a task has left no descriptor, no memory or no sys.path, or has modules of those names
            return lambda text, *args, **_: None if name == "debug" else print(text % args, file=sys.stderr)
        return getattr(logging.getLogger(self._name), name)


def get_logger(name: str) -> logging.Logger:
    """Return a module's logger, as `logging.getLogger` does."""
    return cast("logging.Logger", _Later(name))


def when_loaded(set_up: Callable[[], object]) -> None:
    """Call a function as soon as `logging` is loaded: now, where it is."""
    if _NAME in sys.modules:
        set_up()
    else:
        sys.meta_path.insert(0, cast("Any", _Watch(set_up)))


def settle() -> None:
    """Call what is left to be called."""
    while _left:
        _left.pop()()


class _Watch:
    """What finds `logging` when it is first asked for, and has a function called when that is loaded."""

    def __init__(self, set_up: Callable[[], object]) -> None:
        self._set_up = set_up

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Find it where Python has it, not among a project's modules: HeyHi would have loaded it before these."""
        if name != _NAME:
            return None
        spec = PathFinder.find_spec(name, [os.path.dirname(os.__file__)])  # noqa: PTH120
        if spec is None or spec.loader is None:
            return None
        set_up, load = self._set_up, spec.loader.exec_module

        def load_and_set_up(module: ModuleType) -> None:
            # Not before: somebody may only have asked where it is.
            sys.meta_path[:] = [one for one in sys.meta_path if one is not self]
            load(module)
            _left.append(set_up)
            if _HOME not in sys.modules or hasattr(sys.modules[_HOME], "setup_logging"):
                settle()

        spec.loader.exec_module = load_and_set_up  # type: ignore[method-assign]
        return spec
