"""What `heyhi init` finds in a folder: which names are free there, and which packages are the user's."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from heyhi.errors import ProjectError
from heyhi.files import read_bounded
from heyhi.profiles import OTHER_PROFILES, OTHER_SNAKEFILE, PROFILES, SNAKEFILE, SNAKEFILES
from heyhi.project import Settings

_TASK, _OTHER_TASK = "run.py", "heyhi_task.py"
_CONF, _OTHER_CONF = "conf", "heyhi_conf"
_ROOT_MESSAGE = re.compile(r"^\s*message\s+MetaCfg\b", re.MULTILINE)
_RESULTS, _OTHER_RESULTS = "results", "heyhi_results"
# Folders of a repository that may have an __init__.py, and aren't what it is about.
_NO_PACKAGES = frozenset(("tests", "test", "docs", "doc", "examples", "scripts", "tools", "benchmarks", _CONF))


class Names(NamedTuple):
    """By which names files are added, relative to the folder.

    Attributes:
        task: the task file.
        conf: folder of protos and configs.
        snakefile: by which Snakemake runs experiments.
        profiles: folder of its profiles.
        results: folder of what runs leave behind.
    """

    task: str = _TASK
    conf: str = _CONF
    snakefile: str = SNAKEFILE
    profiles: str = PROFILES
    results: str = _RESULTS

    @property
    def entry(self) -> str:
        """What runs an experiment, as `[tool.heyhi] entry` has it."""
        return f"{self.task.removesuffix('.py')}:main"

    @property
    def taken(self) -> list[tuple[str, str]]:
        """Those names that are something else's, each with the one that is taken instead."""
        return [(usual, own) for usual, own in zip(Names(), self, strict=True) if usual != own]

    @property
    def settings(self) -> dict[str, str]:
        """What of `[tool.heyhi]` follows from them, and isn't the default."""
        given = {"entry": self.entry, "conf": self.conf, "results": self.results}
        return {key: value for key, value in given.items() if value != Settings._field_defaults[key]}


class OwnPackage(NamedTuple):
    """A package of the user's: its name, and its folder relative to the project's root."""

    name: str
    folder: str

    @property
    def is_below_src(self) -> bool:
        """Whether it has to be installed to be found."""
        return "/" in self.folder


def is_empty(root: Path) -> bool:
    """Return whether a folder is absent, or has nothing in it but what a fresh repository or an editor has."""
    try:
        names = set(os.listdir(root))  # noqa: PTH208
    except FileNotFoundError:
        return True
    return all(name.startswith(".") for name in names)


def names_in(root: Path, conf_files: Iterable[str] = ()) -> Names:
    """Choose the names by which files are added to a folder, such that nothing that is there is touched.

    Args:
        root: the folder; it may be absent.
        conf_files: what is added to the folder of configs, relative to it.

    Raises:
        ProjectError: something is in the way by all names, or would be imported in place of HeyHi.
    """
    for name in ("heyhi.py", "heyhi/__init__.py"):
        if os.path.lexists(root / name):
            raise ProjectError(
                f"{root / name} would be imported in place of HeyHi by all that lies beside it: nothing was written"
                " (rename it, or give another folder)"
            )
    files = tuple(conf_files)
    return Names(
        _first(root, (_TASK, _OTHER_TASK), lambda name: _is_module_free(root, name)),
        _first(root, (_CONF, _OTHER_CONF), lambda name: _is_conf_free(root, name, files)),
        _first(root, (SNAKEFILE, OTHER_SNAKEFILE), lambda name: _is_snakefile_free(root, name)),
        _first(root, (PROFILES, OTHER_PROFILES), lambda name: _are_profiles_free(root, name)),
        _first(root, (_RESULTS, _OTHER_RESULTS), lambda name: _is_free_folder(root / name)),
    )


def own_packages(root: Path) -> list[OwnPackage]:
    """Return the packages that a repository is about: those below src, else those beside its pyproject.toml."""
    for folder in ("src", ""):
        with contextlib.suppress(OSError):
            found = sorted(path.parent for path in (root / folder).glob("*/__init__.py"))
            packages = [OwnPackage(path.name, f"{folder}/{path.name}".lstrip("/")) for path in found]
            packages = [one for one in packages if one.name.isidentifier() and one.name not in _NO_PACKAGES]
            if packages:
                return packages
    return []


def where_imported(package: OwnPackage, root: Path) -> str:
    """Say where a package below src is imported from, where that isn't this folder; empty where all is well."""
    if not package.is_below_src:  # the task file lies beside it
        return ""
    found = _origin(package.name)
    if not found:
        return (
            f"{package.folder} isn't installed for {sys.executable}, so that no run could import it: pip install -e ."
        )
    own = os.path.realpath(root / package.folder)
    if os.path.realpath(found).startswith(f"{own}/"):
        return ""
    return f"{package.name} is imported from {os.path.dirname(found)}, not from here: pip install -e ."  # noqa: PTH120


def _origin(name: str) -> str:
    """Return the file from which a package would be imported, without importing it; empty where there is none."""
    # The folder that this command was started in is on no run's path.
    paths = [path for path in sys.path if path and path != os.getcwd()]  # noqa: PTH109
    here, sys.path[:] = list(sys.path), paths
    try:
        with contextlib.suppress(ImportError, ValueError, AttributeError):
            spec = importlib.util.find_spec(name)
            return spec.origin or "" if spec is not None else ""
    finally:
        sys.path[:] = here
    return ""


def _first(root: Path, names: tuple[str, str], is_free: Callable[[str], bool]) -> str:
    for name in names:
        if is_free(name):
            return name
    raise ProjectError(f"{root / names[0]} and {root / names[1]} are there already: nothing was written")


def _is_module_free(root: Path, name: str) -> bool:
    return not any(map(os.path.lexists, (root / name, root / name.removesuffix(".py"))))


def _is_conf_free(root: Path, name: str, files: tuple[str, ...]) -> bool:
    """Return whether files can be added below a folder: it may have others in it, such as YAML of Hydra's."""
    # By a module of that name, none that protoc writes into the folder could be imported.
    if os.path.lexists(root / f"{name}.py"):
        return False
    if not os.path.lexists(root / name):
        return True
    if not _is_inside(root, root / name):
        return False
    if any((root / name).glob("*.proto")):  # HeyHi would take them for its own
        return False
    return not any(_is_in_the_way(root / name, file) for file in files)


def own_protos(conf: Path) -> list[Path]:
    """Return the protos of a folder by which it is a project's of HeyHi's: those that say what its root configs are."""
    found = []
    for path in sorted(conf.glob("*.proto")):
        with contextlib.suppress(OSError):
            if _ROOT_MESSAGE.search(read_bounded(path).decode(errors="replace")):
                found.append(path)
    return found


def _is_snakefile_free(root: Path, name: str) -> bool:
    others = SNAKEFILES if name == SNAKEFILE else (name,)
    return not any(os.path.lexists(root / other) for other in others)


def _are_profiles_free(root: Path, name: str) -> bool:
    """Return whether profiles can be added to a folder: it has none of these names, and others at most."""
    folder = root / name
    if not os.path.lexists(folder):
        return True
    if not _is_inside(root, folder):
        return False
    there = list(folder.iterdir())
    return all((path / "config.yaml").is_file() and path.name not in ("local", "slurm") for path in there)


def _is_free_folder(path: Path) -> bool:
    """Return whether there is none, or one with nothing in it."""
    if not os.path.lexists(path):
        return True
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _is_inside(root: Path, folder: Path) -> bool:
    return folder.is_dir() and os.path.realpath(folder).startswith(f"{os.path.realpath(root)}/")


def _is_in_the_way(folder: Path, file: str) -> bool:
    """Return whether a file can't be made below a folder, since it or something on the way to it is there."""
    parts = file.split("/")
    on_the_way = [folder.joinpath(*parts[:count]) for count in range(1, len(parts))]
    if any(os.path.lexists(path) and (path.is_symlink() or not path.is_dir()) for path in on_the_way):
        return True
    return os.path.lexists(folder / file)
