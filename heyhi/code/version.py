"""Which version of the code runs: commit and changes, of the work tree or of its copy."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from heyhi.code.git import CodeVersion, read_version
from heyhi.files import parse_json, read_bounded
from heyhi.job_env import is_master
from heyhi.loggers import get_logger
from heyhi.project import Project

# Names in the folder of a copy of code: of the copied tree, and of the record of what it is a copy of.
TREE_NAME = "tree"
RECORD_NAME = "code.json"
DIFF_NAME = "workdir.diff"
_log = get_logger(__name__)


@lru_cache(maxsize=16)
def code_version(root: Path) -> CodeVersion:
    """Return the version of the code in a folder; git is asked once a process, and without git there is none.

    A copy that was made for a job has the version of the code that it is a copy of.
    """
    record = _record_of_copy(root)
    if record is not None:
        return CodeVersion(record.get("commit"), bool(record.get("dirty")))
    return read_version(root)


@lru_cache(maxsize=16)
def version_of_run(code_root: Path, project: Project) -> CodeVersion:
    """Return the version of the code that a run has, with its digest, and keep the list of its files.

    Asked once a process, since its code was imported once. The digest is empty where the code is not the project's, or
    can't be listed: no run fails for that.

    Args:
        code_root: folder of the code; of a copy, the copy's record has the answer.
        project: of the experiment.
    """
    copy = _record_of_copy(code_root)
    if copy is not None:
        return CodeVersion(copy.get("commit"), bool(copy.get("edited")), str(copy.get("code") or ""))
    version = code_version(code_root)
    if not _is_inside(code_root, project.root):
        return version
    try:
        from heyhi.code.versions import keep_code_of_run  # a job that runs a copy lists nothing

        listed = keep_code_of_run(project, is_dirty=version.dirty)
    except Exception as error:  # whatever it is, the run is worth more than this
        _log.debug("The code's files are not on record: %s", error)
        return version
    return CodeVersion(version.commit, listed.is_edited, listed.digest)


def _is_inside(folder: Path, root: Path) -> bool:
    inside, outside = os.path.realpath(folder), os.path.realpath(root)
    return inside == outside or inside.startswith(f"{outside}/")


def is_copy(root: Path) -> bool:
    """Return whether a folder is the tree of a copy of code."""
    return root.name == TREE_NAME and (root.parent / RECORD_NAME).is_file()


def copy_around(path: Path, project_root: Path) -> Path | None:
    """Return the tree of a copy of a project's code that a file or folder lies in; None where it lies in none.

    Args:
        path: of the file or folder.
        project_root: of the project.
    """
    for folder in (path, *path.parents) if TREE_NAME in path.parts else ():
        record = _record_of_copy(folder)
        if record is not None and os.path.realpath(str(record.get("project_root"))) == os.path.realpath(project_root):
            return folder
    return None


def _record_of_copy(root: Path) -> dict[str, Any] | None:
    """Read the record of a copy of code; None where the folder is no copy."""
    if root.name != TREE_NAME:
        return None
    try:
        record = parse_json(read_bounded(root.parent / RECORD_NAME))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def log_git_status(base_path_for_logging: str | Path | None = None) -> None:
    """Log the commit of the code that runs; where it was edited, save the difference.

    Args:
        base_path_for_logging: folder that gets the difference; default: the working directory.
    """
    import logging  # a run that has it logged has it loaded

    root = Path(sys.path[0] or ".").resolve()  # the folder of the script, or what the runner put there
    version = code_version(root)
    if version.commit is None:
        logging.info("Git: %s is in no repository", root)
    elif not version.dirty:
        logging.info("Git: commit %s", version.commit)
    elif not is_master():
        logging.info("Git: commit %s, edited", version.commit)
    else:
        path = Path(base_path_for_logging or "", DIFF_NAME).resolve()
        record = _record_of_copy(root)
        diff = _diff(root, path.parent) if record is None else str(record.get("diff") or "")
        path.write_text(diff, encoding="utf-8", errors="replace")
        logging.info("Git: commit %s, edited; the difference is in %s", version.commit, path)


def _diff(root: Path, folder: Path) -> str:
    """Return how the work tree differs, as it may be kept in a folder."""
    from heyhi.code.work_tree_diff import read_diff
    from heyhi.errors import HeyhiError
    from heyhi.project import find_project

    try:
        project = find_project(root)
    except HeyhiError:  # a script of its own
        project = Project(root)
    return read_diff(project._replace(root=root), folder)
