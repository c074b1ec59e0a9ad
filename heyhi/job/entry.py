"""How a function is named by which another process runs it: `[folder/]module:function`, seen from the project root.

How it is imported by that name is left to `load_main`.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import MethodType, ModuleType

from heyhi.code.version import copy_around
from heyhi.errors import LauncherError
from heyhi.job.guard import is_bound_on_import
from heyhi.job.importing import GUARD
from heyhi.project import Project
from heyhi.quick_tuple import NamedTuple

_SCRIPTS = ("__main__", "__mp_main__")  # the latter in processes that multiprocessing has spawned


class Importable(NamedTuple):
    """A function that another process can import.

    Attributes:
        module: dotted name of its module.
        name: of it in there, dotted where it is a class's.
        folder: that the module is imported from.
        file: of the module.
    """

    module: str
    name: str
    folder: Path
    file: Path

    @property
    def text(self) -> str:
        """`module:function`."""
        return f"{self.module}:{self.name}"

    def below(self, root: Path) -> Importable | None:
        """Return it as it is named from a project root that it lies in; None where it lies elsewhere.

        In a job it lies in a copy of the project's code, and is named as in the project.
        """
        file, root = self.file, copy_around(self.file, root) or root
        if not file.is_relative_to(root):  # by whatever links
            root, file = root.resolve(), file.resolve()
        if not file.is_relative_to(root):
            return None
        folder = file.parents[_depth(self.module, file)]
        below = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else "."
        module = self.module if below == "." else f"{below}/{self.module}"
        return self._replace(module=module, folder=folder, file=file.relative_to(root))


def find_importable(main: Callable[..., object], what_for: str) -> Importable:
    """Return by which name, and from which folder, another process can import a function.

    Args:
        main: the function.
        what_for: what it is imported for, for the error.

    Raises:
        LauncherError: no other process can.
    """
    name, module = _named(main)
    found = _importable(module, name, main)
    if found is None:
        raise LauncherError(
            f"{what_for}: main is '{name}', and must be a function of a module that others can import:"
            f" {_why_not(main, name, module)}"
        )
    return found


def entry_in(project: Project, main: Callable[..., object], what_for: str) -> Importable | None:
    """Return the function as the project's jobs find it; None where that is the entry of the settings.

    Args:
        project: whose code the jobs run.
        main: the function.
        what_for: what it is imported for, for the error.

    Raises:
        LauncherError: no job can: no other process can import it, or it isn't in the project.
    """
    if _is_entry(project, main):
        return None
    found = find_importable(main, what_for)
    below = found.below(project.root)
    if below is None:
        raise LauncherError(
            f"{what_for}: main is '{found.name}' of {found.file}, which is not in the project {project.root}: a job"
            " runs the project's code; give it a function of a module there"
        )
    return below


def _named(main: Callable[..., object]) -> tuple[str, ModuleType | None]:
    """Return the name of a function in its module, and that."""
    owner = main.__self__ if isinstance(main, MethodType) else None
    if isinstance(owner, type):  # of a class method, the class that it is called for
        return f"{owner.__qualname__}.{main.__name__}", sys.modules.get(owner.__module__)
    name = getattr(main, "__qualname__", None)
    module = getattr(main, "__module__", None)
    found = sys.modules.get(module) if isinstance(module, str) else None
    return (name, found) if isinstance(name, str) else (type(main).__qualname__, found)


def _importable(module: ModuleType | None, name: str, main: object) -> Importable | None:
    file = getattr(module, "__file__", None)
    if module is None or not isinstance(file, str) or not _is_same(_attribute(module, name), main):
        return None
    path = Path(os.path.abspath(file))  # noqa: PTH100 (a link keeps its name)
    if not _is_there_on_import(module, name, path):
        return None
    dotted = _dotted(module, path)
    if dotted in _SCRIPTS or not path.is_file():  # in an archive, or of a folder that was run
        return None
    return Importable(dotted, name, path.parents[_depth(dotted, path)], path)


def _is_there_on_import(module: ModuleType, name: str, path: Path) -> bool:
    """Return whether a module that was perhaps run has something when it is imported, too."""
    return module.__name__ not in _SCRIPTS or is_bound_on_import(path, name.partition(".")[0])


def _dotted(module: ModuleType, path: Path) -> str:
    """Return by which name a module is imported, that was perhaps run."""
    if module.__name__ not in _SCRIPTS:
        return module.__name__
    spec = getattr(module, "__spec__", None)  # `python run.py` has none, `python -m pkg.train` has
    name = spec.name if spec is not None else path.stem
    return name if spec is not None or "." not in name else _SCRIPTS[0]


def _depth(dotted: str, path: Path) -> int:
    return dotted.count(".") + (path.stem == "__init__")


def _attribute(module: ModuleType, name: str) -> object:
    try:
        return functools.reduce(getattr, name.split("."), module)
    except AttributeError:
        return None


def _is_same(found: object, main: object) -> bool:
    # A class method is made anew each time that it is asked for.
    return found is main or (isinstance(found, MethodType) and isinstance(main, MethodType) and found == main)


def _is_entry(project: Project, main: Callable[..., object]) -> bool:
    """Return whether a function is the one that the settings name, by whatever way it got its own name."""
    where, _, name = project.settings.entry.partition(":")
    folder, _, dotted = where.rpartition("/")
    for module in (sys.modules.get(dotted), *(sys.modules.get(script) for script in _SCRIPTS)):
        found = _importable(module, name, main)
        if found is None or found.module != dotted:
            continue
        root = (copy_around(found.file, project.root) or project.root) / folder
        if found.folder == root or found.folder.resolve() == root.resolve():
            return True
        # Of two modules of one name, the one in the root is meant; with a `src` folder there is none.
        first = root / dotted.split(".")[0]
        if not first.is_dir() and not first.with_suffix(".py").is_file():
            return found.below(project.root) is not None
    return False


def _why_not(main: Callable[..., object], name: str, module: ModuleType | None) -> str:
    """Say why no other process can import a function."""
    if isinstance(main, functools.partial):
        return "it is a functools.partial"
    if "<lambda>" in name:
        return "it is a lambda"
    if "<locals>" in name:
        return "it was made inside of another function (a decorator of yours keeps the name by functools.wraps)"
    if not hasattr(main, "__qualname__"):
        return "it is an object of that class"
    if isinstance(main, MethodType):
        return "it is a method of an object"
    if module is None or not isinstance(getattr(module, "__file__", None), str):
        return "its module has no file (as in a notebook, or with python -c)"
    if not _is_same(_attribute(module, name), main):
        return f"'{name}' is something else in {module.__file__}"
    if not _is_there_on_import(module, name, Path(module.__file__ or "")):
        return f"{module.__file__} makes '{name}' only when it is run; define it above {GUARD}"
    path = Path(os.path.abspath(module.__file__ or ""))  # noqa: PTH100
    if path.is_file():
        return f"{module.__file__} has a name with a dot, by which nothing can be imported"
    if (path.parent if path.name == "__main__.py" else path).exists():
        return f"{module.__file__} is run as an archive, or is gone: run a file of a module"
    return f"{module.__file__} is no file: a program that comes by standard input can't be imported"
