"""What a run finds around it: its folder as working directory, variables that tell its children, links to the project.

Which project a process belongs to is found out by `project`, which reads these variables.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from heyhi.experiment.folder import Experiment
from heyhi.experiment.names import is_record
from heyhi.files import writing
from heyhi.project import FOLDER_VARIABLE, ROOT_VARIABLE, Project

_ROOT_KEY = "project_root"  # in an experiment's roots


@contextlib.contextmanager
def in_place(experiment: Experiment, project: Project | None) -> Iterator[None]:
    """Be in an experiment's folder inside, and have this process and its children know the project from anywhere."""
    root = str(project.root) if project is not None else experiment.roots.get(_ROOT_KEY, "")
    wanted = {ROOT_VARIABLE: root, FOLDER_VARIABLE: str(experiment.exp_path)}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        with contextlib.chdir(experiment.exp_path):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def link_into(folder: Path, project: Project) -> list[str]:
    """Link into an experiment's folder what the settings name, unless something is there; return what was left out.

    Args:
        folder: of the experiment, which this process has claimed.
        project: whose root they lie in, also where a copy of its code is run.

    Raises:
        ResultError: a link can't be written.
    """
    said = []
    for name in project.settings.link:
        target, place = project.root / name, folder / name
        if is_record(name.partition("/")[0]):
            said.append(f"{name} (the name of a record of HeyHi's)")
        elif not target.exists():
            said.append(f"{name} (not in {project.root})")
        elif not os.path.lexists(place):
            with writing(folder):
                if not _has_room(place, folder):
                    said.append(f"{name} (a file or a link is in the way)")
                    continue
                with contextlib.suppress(FileExistsError):  # another rank's
                    place.symlink_to(target)
    return said


def _has_room(place: Path, folder: Path) -> bool:
    """Make the folders that a place lies in; return False where they would be elsewhere, or can't be."""
    for parent in reversed(place.parents[: len(place.relative_to(folder).parts) - 1]):
        if parent.is_symlink():
            return False
        try:
            parent.mkdir(exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            return False
    return True


def misplaced(error: BaseException) -> str:
    """Say where a file is that main has looked for in the wrong place; empty where it isn't there either.

    Args:
        error: that main has raised, while its working directory still is what it was.
    """
    root, folder = os.environ.get(ROOT_VARIABLE), os.environ.get(FOLDER_VARIABLE)
    name = error.filename if isinstance(error, FileNotFoundError) else None
    if not root or not folder or not isinstance(name, (str, bytes, os.PathLike)):
        return ""
    name = os.path.normpath(os.fsdecode(name))
    try:
        if os.path.isabs(name) or not os.path.samefile(folder, "."):  # noqa: PTH117, PTH121
            return ""
    except OSError:
        return ""
    parent = os.path.dirname(name)  # noqa: PTH120
    if os.path.exists(os.path.join(root, name)):  # noqa: PTH110, PTH118
        what = "it"
    # What is to be written has only its folder there.
    elif parent and os.path.isdir(os.path.join(root, parent)) and not os.path.exists(parent):  # noqa: PTH110, PTH112, PTH118
        what = f"the folder {parent!r}"
    else:
        return ""
    return (
        f"the working directory is the experiment's folder, and {what} is in the project's: write"
        f" heyhi.PROJ_ROOT / {name!r}, or {{{{ROOT_DIR}}}}/{name} in the config"
    )
