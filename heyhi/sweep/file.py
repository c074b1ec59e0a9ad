"""A sweep file: a Python module that yields points, read without being run as a program.

How its points are composed and checked is left to `expand`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, NoneType
from typing import TYPE_CHECKING, Any

from heyhi.config.schema import Schema
from heyhi.config.values import shorten
from heyhi.errors import SweepError, suggest
from heyhi.files import files_below, is_file
from heyhi.project import Project
from heyhi.quick_dataclass import replace
from heyhi.quick_tuple import NamedTuple
from heyhi.sweep.expand import ExpandFile, Expansion, Point, expand
from heyhi.sweep.label import label_of
from heyhi.sweep.own_code import own_code
from heyhi.sweep.size import check_size

if TYPE_CHECKING:
    from heyhi.config.frozen import FrozenConfig
    from heyhi.sweep.search import Search


def find_sweep_file(project: Project, path: Path) -> Path:
    """Return a sweep file's absolute path: as it is given, from here or from the project root.

    Raises:
        SweepError: it doesn't exist; the message has the nearest.
        UnknownError: nobody can tell.
    """
    for base in (Path.cwd(), project.root):
        if is_file(base / path):
            return Path(os.path.abspath(base / path))  # noqa: PTH100 (a link keeps its name)
    name = project.relative(Path(os.path.abspath(path)))  # noqa: PTH100
    known = [project.relative(p) for p in sorted(files_below(project.conf_root, "*.py"))]
    raise SweepError(f"sweep file '{name}' doesn't exist{suggest(name, known)}", key=name)


def load_sweep_module(project: Project, path: Path) -> ModuleType:
    """Import a sweep file, as `python -m` would where it lies in the project.

    Raises:
        SweepError: it doesn't exist or raises; the message has file and line.
    """
    path = find_sweep_file(project, path)
    if path.suffix != ".py":
        name = project.relative(path)
        how = f", or --cfg {name}: a config is no sweep" if path.suffix == ".prototxt" else ""
        raise SweepError(f"sweep file '{name}': expected a Python file (.py) with yield_sweep(){how}")
    parts = Path(project.relative(path)).with_suffix("").parts
    with own_code(project.root, path):
        # By the name that `python -m` gives it, so that relative imports work; read anew each time, since a notebook
        # lives longer than a version of the file.
        name = ".".join(parts) if all(part.isidentifier() for part in parts) else path.stem
        spec = importlib.util.spec_from_file_location(name, path, loader=_AnewLoader(name, str(path)))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up there
        spec.loader.exec_module(module)
        return module


class _AnewLoader(SourceFileLoader):
    """Reads a file's source each time: compiled code that is kept goes by seconds, and two versions may share one."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def expand_sweep_file(
    project: Project,
    schema: Schema,
    path: Path,
    *,
    progress: Callable[[Iterable[Point]], Iterable[Point]] = iter,
    within: tuple[str, ...] = (),
) -> Expansion:
    """Expand a sweep file.

    Args:
        project: where configs and results are.
        schema: what configs must fit.
        path: the file.
        progress: what the points go through, to count them.
        within: sweep files that are being expanded, each since the one before it names its best.

    Raises:
        SweepError: the file is wrong, or some of its experiments are: all of these are named.
    """
    sweep = read_sweep_file(project, path)
    return sweep.expand(project, schema, progress(sweep.points), within)


def file_expander(project: Project, schema: Schema) -> ExpandFile:
    """Return what expands the sweep files whose best ones are named."""

    def expand_file(path: Path, within: tuple[str, ...]) -> Expansion:
        return expand_sweep_file(project, schema, path, within=within)

    return expand_file


class SweepFile(NamedTuple):
    """What a sweep file says.

    Attributes:
        name: of the file, relative to the project root.
        pattern: exp id pattern; None for the default one.
        points: (config, overrides); the file yields them when the first is read.
        validate: its own check of each config, if it has one.
        search: that it declares instead of points.
    """

    name: str
    pattern: str | None
    points: Iterable[Point]
    validate: Callable[[FrozenConfig], object] | None = None
    search: Search | None = None

    def expand(
        self, project: Project, schema: Schema, points: Iterable[Point], within: tuple[str, ...] = ()
    ) -> Expansion:
        """Expand points of it.

        Args:
            project: where configs and results are.
            schema: what configs must fit.
            points: of it.
            within: sweep files that are being expanded, each since the one before it names its best.

        Raises:
            SweepError: some are wrong: all of these are named.
        """
        label = label_of(project, self.name)
        if self.search is not None:
            from heyhi.sweep.search_expansion import expand_search

            expand_file = partial(expand_sweep_file, project, schema)
            return expand_search(
                project, schema, self.search, expand_file, label=label, sweep=self.name, validate=self.validate
            )
        found = expand(
            project,
            schema,
            points,
            label=label,
            sweep=self.name,
            pattern=self.pattern,
            expand_file=file_expander(project, schema),
            within=within,
        )
        return replace(found, validate=self.validate) if self.validate is not None else found


def read_sweep_file(project: Project, path: Path) -> SweepFile:
    """Run a sweep file, up to its points.

    Raises:
        SweepError: the file is wrong.
    """
    module = load_sweep_module(project, path)
    name = project.relative(Path(str(module.__file__)))
    search = _search_in(module, name)
    if search is None and not callable(getattr(module, "yield_sweep", None)):
        raise SweepError(
            f"{name}: has no function yield_sweep() that yields (config, {{key: value}}), and no SEARCH ="
            " heyhi.Search(…)"
        )
    pattern = getattr(module, "EXP_ID_PATTERN", None)
    if not isinstance(pattern, (str, NoneType)):
        raise SweepError(f"{name}: EXP_ID_PATTERN is {pattern!r}; expected a text")

    def points() -> Iterator[Point]:
        found: list[Any] = []
        # All of them at once, before the first is composed: what becomes of a point is done by code of ours.
        with own_code(project.root, Path(str(module.__file__)), seed=1):
            most = project.settings.max_points or sys.maxsize
            for point in module.yield_sweep():
                found.append(point)
                if len(found) > most:
                    check_size(project, len(found), f"{name} yields more than {most:,} points")
        for index, point in enumerate(found):
            if not (
                isinstance(point, tuple)
                and len(point) == 2
                and isinstance(point[0], (str, Path))
                and isinstance(point[1], (dict, list, tuple, Mapping))
            ):
                raise SweepError(f"{name}: point {index} is {point!r}; expected (config, {{key: value}})")
            yield point

    check = getattr(module, "validate", None)
    if check is not None and not callable(check):
        raise SweepError(f"{name}: validate is {check!r}; expected a function that is called with each config")
    return SweepFile(name, pattern, points() if search is None else (), check, search)


def _search_in(module: ModuleType, name: str) -> Search | None:
    """Return the search that a sweep file declares; None where it yields points."""
    found = getattr(module, "SEARCH", None)
    if found is None:
        return None
    from heyhi.sweep.search import Search

    if not isinstance(found, Search):
        raise SweepError(f"{name}: SEARCH is {shorten(repr(found))}; expected heyhi.Search(…)")
    if hasattr(module, "yield_sweep"):
        raise SweepError(f"{name}: has both SEARCH and yield_sweep(): which is it?")
    if getattr(module, "EXP_ID_PATTERN", None) is not None:
        raise SweepError(f"{name}: EXP_ID_PATTERN goes without SEARCH: trials have the names of ordinary experiments")
    return found


def default_sweep(project: Project) -> Path:
    """Return the sweep of the settings, which is meant where none is named.

    Raises:
        SweepError: the settings name none.
    """
    if project.settings.sweep is None:
        raise SweepError("which sweep? Give a sweep file, or --cfg CFG, or set [tool.heyhi] sweep in pyproject.toml")
    return project.root / project.settings.sweep
