"""A project's own code while a sweep is expanded: what it imports, prints, draws and raises.

Its modules are found first. What it prints, or a process that it starts, goes to standard error, since others take what
stands on standard output for targets. `random` and NumPy begin anew each time, so that a file gives the same points
whenever it is read. What it raises becomes one error with file and line.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from heyhi.code.import_path import own_modules_first
from heyhi.errors import HeyhiError, SweepError
from heyhi.text import streams_as_they_are

_NUMPY = "numpy.random"


@contextlib.contextmanager
def own_code(root: Path, path: Path, *, seed: int = 0) -> Iterator[None]:
    """Run a project's code inside.

    Args:
        root: of the project.
        path: of the file, whose line an error names.
        seed: of the random numbers that it draws.

    Raises:
        SweepError: the code has raised something.
    """
    try:
        with running(root, seed=seed):
            yield
    except (HeyhiError, KeyboardInterrupt, GeneratorExit):
        raise
    # sys.exit() too: a command line takes what expand prints, and would go on with nothing.
    except BaseException as error:
        raise SweepError(f"{place_of(error, path)}: {type(error).__name__}: {said_by(error)}") from None


@contextlib.contextmanager
def running(root: Path, *, seed: int = 0) -> Iterator[None]:
    """Run a project's code inside, as `own_code` does; what it raises is left as it is."""
    with own_modules_first(root), streams_as_they_are(), stdout_to_stderr(), _seeded(seed):
        yield


def place_of(error: BaseException, path: Path) -> str:
    """Return where in a file something was raised, as file:line."""
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == str(path) else None
    trace: TracebackType | None = None if isinstance(error, SyntaxError) else error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{path}:{line or '?'}"


def said_by(error: BaseException) -> str:
    """Return what an error says: its text is made by the project's own code, and that may raise as well."""
    try:
        return error.msg if isinstance(error, SyntaxError) else str(error)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as other:
        return f"(its text can't be made: {type(other).__name__})"


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Have what is printed inside go to standard error: by Python, by C code, and by programs that are started."""
    _flush()
    kept = -1
    with contextlib.suppress(OSError):  # closed
        kept = os.dup(1)
        os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(_Kept(sys.stderr)):
            yield
    finally:
        _flush()
        if kept >= 0:
            os.dup2(kept, 1)
            os.close(kept)


class _Kept:
    """A stream that stays open where somebody closes it: who closes standard output doesn't mean standard error."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def __enter__(self) -> _Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stream.flush()


def _flush() -> None:
    """Write out what Python and C keep of what was printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    # Whoever prints from C by way of Python has loaded it.
    if (ctypes := sys.modules.get("ctypes")) is not None:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).fflush(None)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed `random` and NumPy for what is inside, and give back the states that they had."""
    before = random.getstate()
    random.seed(seed)
    try:
        with _seeded_numpy(seed):
            yield
    finally:
        random.setstate(before)


@contextlib.contextmanager
def _seeded_numpy(seed: int) -> Iterator[None]:
    loaded: Any = sys.modules.get(_NUMPY)
    if loaded is not None:
        before = loaded.get_state()
        loaded.seed(seed)
        try:
            yield
        finally:
            loaded.set_state(before)
        return
    # It is seeded when the code inside imports it, and not imported for that.
    finder = _SeedingFinder(seed)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(finder)
        if (loaded := sys.modules.get(_NUMPY)) is not None:
            loaded.seed()


class _SeedingFinder(importlib.abc.MetaPathFinder):
    """Finds NumPy's random numbers as others do, and seeds them once they are loaded."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _NUMPY:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            load: Callable[[ModuleType], None] = spec.loader.exec_module

            def load_and_seed(module: ModuleType) -> None:
                load(module)
                module.seed(self._seed)

            spec.loader.exec_module = load_and_seed  # type: ignore[method-assign]
        return spec
