"""Whose the experiments of a results root are: the declared names of the projects that started something there.

They stand in one small file of the root, so that a command reads no experiment for it; whose a single experiment is
stands in its own folder. What two names mean for it is decided here, for both.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from heyhi.errors import ProjectError, ResultError, UnknownError
from heyhi.experiment.names import STATE_NAME
from heyhi.files import parse_json, read_bounded, replace_file, write_temp, writing
from heyhi.project import RESULTS_VARIABLE, Project, name_line

_RECORD_NAME = "project.json"  # in the state root
_KEY = "names"


def check_names(project: Project) -> str:
    """Make sure that what lies in a project's results root is its own, before it starts, wipes or ends anything there.

    Nothing is written: `take_root` does that, once something is started.

    Returns:
        what a user should know all the same: nobody can tell whose the results are; empty for nothing.

    Raises:
        ProjectError: a project of another declared name has started something there.
        UnknownError: the record of that can't be read.
    """
    names = _read(project.results_root)
    if project.name:
        if names and not _are_its(names, project):
            raise ProjectError(
                f"{_whose(project, names)}: nothing is started, wiped or ended there. Give this one other results"
                f" ({RESULTS_VARIABLE}, or results in [tool.heyhi]){_or_was(project, names)}"
            )
        return ""
    if not _is_outside(project):
        return ""
    known = f", where {_listed(names)} has some already," if names else ""
    return (
        f"this project has no name, so its results in {project.results_root}{known} can't be told from another"
        f" project's: {_line_to_add(project)}"
    )


def take_root(project: Project) -> None:
    """Put on record that a project starts something in its results root; of two that meet there, one gets it.

    Raises:
        ProjectError: a project of another declared name was faster.
        UnknownError: the record can't be read.
    """
    if not project.name:
        return
    own = {project.name, *project.settings.was}
    path = _path(project.results_root)
    names = _read(project.results_root)
    # Who may not write there is told so where it matters; what the record misses, each experiment's own folder says.
    with contextlib.suppress(ResultError):
        if not names:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                names = _make(path, sorted(own))
        if not own <= set(names):
            check_names(project)
            replace_file(path, _text(sorted({*names, *own})))


def foreign_names(project: Project) -> str:
    """Return what a user should know who only looks at what lies in a project's results root; empty for nothing."""
    try:
        names = _read(project.results_root)
    except UnknownError as error:
        return str(error)
    if not names or _are_its(names, project):
        return ""
    if project.name:
        return f"{_whose(project, names)}{_or_was(project, names, start='; ')}"
    return check_names(project)


def is_anothers(project: Project) -> bool:
    """Return whether what lies in a project's results root is, plainly, of a project of another declared name."""
    with contextlib.suppress(UnknownError):
        names = _read(project.results_root)
        return bool(project.name and names) and not _are_its(names, project)
    return False


def is_same_project(one: str, other: str, results_root: Path | str) -> bool:
    """Return whether two names are one project's, or one isn't declared.

    Args:
        one: name; empty where none was declared.
        other: likewise.
        results_root: whose record may have both, since a project was renamed.

    Raises:
        UnknownError: the record can't be read.
    """
    return not one or not other or one == other or {one, other} <= set(_read(results_root))


def _are_its(names: Iterable[str], project: Project) -> bool:
    return not {project.name, *project.settings.was}.isdisjoint(names)


def _is_outside(project: Project) -> bool:
    """Return whether the results lie outside of the project, where another one's may lie, too; links are followed."""
    root, results = os.path.realpath(project.root), os.path.realpath(project.results_root)
    return results != root and not results.startswith(f"{root.rstrip('/')}/")


def _whose(project: Project, names: Iterable[str]) -> str:
    where = f"this project is '{project.name}' ({project.root / 'pyproject.toml'})"
    return f"{project.results_root}: has the results of {_listed(names)}, and {where}"


def _or_was(project: Project, names: Iterable[str], start: str = "; or, ") -> str:
    was = json.dumps([*project.settings.was, *names], ensure_ascii=False)
    return f"{start}if that was this project's name, say so there in [tool.heyhi]: was = {was}"


def _line_to_add(project: Project) -> str:
    return f"add this line to [tool.heyhi] in {project.root / 'pyproject.toml'}: {name_line(project.root)}"


def _listed(names: Iterable[str]) -> str:
    return f"the project {' or '.join(map(repr, names))}"


# --- the record


def _path(results_root: Path | str) -> Path:
    return Path(results_root) / STATE_NAME / _RECORD_NAME


def _text(names: list[str]) -> str:
    return json.dumps({_KEY: names}, indent=2, ensure_ascii=False) + "\n"


def _make(path: Path, names: list[str]) -> list[str]:
    """Write the record if there is none, and return the names that it has then."""
    temp = write_temp(path, _text(names))
    try:
        path.hardlink_to(temp)
    except FileExistsError:
        return _read(path.parent.parent)
    finally:
        temp.unlink(missing_ok=True)
    return names


def _check_leads_somewhere(results_root: Path) -> None:
    """Make sure that no link on the way to a results root leads to nothing: nothing would have been run then.

    Raises:
        ProjectError: one does.
    """
    for folder in (results_root, *results_root.parents):
        if os.path.lexists(folder):
            if not folder.exists():
                raise ProjectError(
                    f"{folder}: leads to {os.path.realpath(folder)}, which isn't there (is its disk mounted?),"
                    " so nobody knows what was run"
                )
            return


def _read(results_root: Path | str) -> list[str]:
    """Read the record; no names where there is none.

    Raises:
        UnknownError: it can't be read, or is damaged.
        ProjectError: the results root is a link to what isn't there.
    """
    path = _path(results_root)
    try:
        names = parse_json(read_bounded(path))[_KEY]
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise ValueError
    except (FileNotFoundError, NotADirectoryError):
        _check_leads_somewhere(Path(results_root))
        return []
    except OSError as error:
        raise UnknownError(
            f"{path}: can't be read, so nobody knows whose results these are: {error.strerror or error}"
        ) from None
    except (ValueError, TypeError, KeyError):
        raise UnknownError(
            f"{path}: is damaged, so nobody knows whose results these are; where they are this project's, remove it"
        ) from None
    return names
