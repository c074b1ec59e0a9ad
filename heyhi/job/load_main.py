"""The import of the function that is an experiment's main, wherever it runs; `entry` has how it is named."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from heyhi.code.import_path import own_modules_last
from heyhi.errors import ProjectError
from heyhi.job.importing import importing
from heyhi.job.task_main import check_main, returned

Main = Callable[..., object]


def call_main(entry: str, code_root: Path, *, is_given: bool = False, **kwargs: object) -> object:
    """Import the task file's function and call it; what we import afterwards is no module of the project.

    Args:
        entry: `[folder/]module:function`.
        code_root: folder of the code.
        is_given: it was launched with this function, whatever the settings say.
        **kwargs: what it is called with.

    Raises:
        ProjectError: there is no such module or function.
        LauncherError: calling it runs nothing.
    """
    try:
        main = load_main(entry, code_root, is_given=is_given)
        check_main(main, entry)
        return returned(main(**kwargs))
    finally:
        for folder in _folders(entry, code_root):
            own_modules_last(folder)


def load_main(entry: str, code_root: Path, *, is_given: bool = False) -> Main:
    """Import the task file's function, looked for in the code root before anywhere else.

    Args:
        entry: `[folder/]module:function`; the folder is one below the code root, and is looked in first.
        code_root: folder of the code.
        is_given: see `call_main`.

    Raises:
        ProjectError: there is no such module or function.
    """
    place, _, name = entry.partition(":")
    module_name = place.rpartition("/")[2]
    where = f"launched with {entry!r}" if is_given else f"[tool.heyhi] entry = {entry!r}"
    folders = _folders(entry, code_root)
    for folder in folders:
        if str(folder) not in sys.path[:1]:
            sys.path.insert(0, str(folder))
    try:
        with importing(entry):
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise  # one that the task file imports
        raise ProjectError(f"{where}: there is no module '{module_name}' in {folders[-1]}") from None
    function: object = module
    for part in name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        raise ProjectError(f"{where}: {module.__file__} has no function '{name}'")
    return function


def _folders(entry: str, code_root: Path) -> list[Path]:
    """Return where modules are looked for, the last one first."""
    folder = entry.partition(":")[0].rpartition("/")[0]
    return [code_root, code_root / folder] if folder else [code_root]
