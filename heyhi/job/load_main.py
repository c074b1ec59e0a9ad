"""The import of the task file's function, wherever an experiment runs; runner.py and ranks.py call it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from heyhi.code.import_path import own_modules_last
from heyhi.errors import ProjectError

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
