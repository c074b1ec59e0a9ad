"""The import of the task file's function, wherever an experiment runs, and by which name another process does it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from heyhi.code.import_path import own_modules_last
from heyhi.errors import LauncherError, ProjectError

Main = Callable[..., object]


def call_main(entry: str, code_root: Path, **kwargs: object) -> object:
    """Import the task file's function and call it; what we import afterwards is no module of the project.

    Args:
        entry: `module:function`.
        code_root: folder of the code.
        **kwargs: what it is called with.

    Raises:
        ProjectError: there is no such module or function.
    """
    try:
        return load_main(entry, code_root)(**kwargs)
    finally:
        own_modules_last(code_root)


def load_main(entry: str, code_root: Path) -> Main:
    """Import the task file's function, looked for in the code root before anywhere else.

    Args:
        entry: `module:function`.
        code_root: folder of the code.

    Raises:
        ProjectError: there is no such module or function.
    """
    module_name, _, name = entry.partition(":")
    where = f"[tool.heyhi] entry = {entry!r}"
    if str(code_root) not in sys.path[:1]:
        sys.path.insert(0, str(code_root))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise  # one that the task file imports
        raise ProjectError(f"{where}: there is no module '{module_name}' in {code_root}") from None
    function: Main | None = getattr(module, name, None)
    if not callable(function):
        raise ProjectError(f"{where}: {module.__file__} has no function '{name}'")
    return function


def entry_of(main: Main, what_for: str) -> tuple[str, Path]:
    """Return by which `module:function`, and from which folder, another process can import a function.

    Args:
        main: the function.
        what_for: what it is imported for, for the error.

    Raises:
        LauncherError: no other process can.
    """
    name = getattr(main, "__qualname__", repr(main))
    module = sys.modules.get(getattr(main, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if module is None or file is None or getattr(module, name, None) is not main:
        raise LauncherError(f"{what_for}: main is '{name}', and must be a function of a module that others can import")
    path, spec = Path(file).resolve(), module.__spec__
    if module.__name__ != "__main__":
        dotted = module.__name__
    else:  # `python run.py` has no spec, `python -m pkg.train` has
        dotted = spec.name if spec is not None else path.stem
    depth = dotted.count(".") + (path.stem == "__init__")
    return f"{dotted}:{name}", path.parents[depth]
