"""Finds experiments by what people call them: target, exp path, exp id, or the job that runs them.

Which kind of word stands on a command line is for the command line to say.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import NamedTuple

from heyhi.config.values import shorten
from heyhi.errors import HeyhiError, UnknownError, suggest
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import RESULT_NAME, is_slot
from heyhi.experiment.slots import shown_folder
from heyhi.experiment.trash import is_in_trash
from heyhi.files import is_there, parse_json, read_bounded
from heyhi.job.order import PACK_LIST_NAME, root_mark
from heyhi.project import Project
from heyhi.slurm.commands import Job, Queue, SlurmError, account, list_jobs
from heyhi.slurm.request import hashes_in
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.target import exp_id_of, folder_of, folders_at, is_slot_target


def find_started(project: Project, word: str) -> str | None:
    """Return the exp path of the experiment that a word names, if its folder says that it is one.

    Args:
        project: where it is.
        word: target, exp path (absolute, or relative to here or the project) or exp id.
    """
    for place in _places(project, word):
        with contextlib.suppress(ValueError):  # a name that no file can have
            if _is_experiment(place) and not is_in_trash(place):
                return _own_name(project, place)
    return None


def _is_experiment(place: Path) -> bool:
    """Return whether a folder holds an experiment; one that is there and can't be read does: how it is says so."""
    try:
        os.lstat(ExperimentDir(place).identity_path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return os.path.lexists(place)
    return True


def find_expanded(project: Project, word: str) -> str | None:
    """Return the exp path that a word names if it is known, or some manifest has it: it need not have been started."""
    if "\0" in word:
        return None
    index = ManifestIndex.open(project)
    for place in _places(project, word):
        if index.has(place):
            return _own_name(project, place)
    return None


def _own_name(project: Project, place: Path) -> str:
    """Return an experiment's folder by the name that the project has for its results root."""
    return folders_at([exp_id_of(place, project.results_root)], project.results_root)[0]


def explain_missing(project: Project, word: str) -> str:
    """Say what there is instead of an experiment: a folder of others, or names like this one; empty for nothing."""
    places = _places(project, word)
    with contextlib.suppress(ValueError, OSError):  # a name that no file can have
        for place in places if word else ():
            if closed := _unreadable(place):
                return closed
            if place.is_dir():
                return f"{project.relative(place)} is a folder, but no experiment{_inside(project, place)}"
        # Of several places, the one of which most is there; below the results root, if that is no less than elsewhere.
        return _near(project, min(reversed(places), key=_count_missing))
    return ""


def _places(project: Project, word: str) -> list[Path]:
    text = word.removesuffix("/").removesuffix(f"/{RESULT_NAME}")
    text = text.removesuffix(".json") if is_slot_target(text) else text
    bases = [Path.cwd(), project.root, project.results_root]
    return [Path(path) for path in dict.fromkeys(os.path.normpath(base / text) for base in bases)]


def _inside(project: Project, place: Path) -> str:
    found = [*sorted(place.glob("*/identity.json")), *sorted(place.glob("*/*/identity.json"))]
    names = [p.parent.relative_to(place).as_posix() for p in found if not is_in_trash(p)]
    more = ", …" if len(names) > 3 else ""
    return f"; in it are {', '.join(names[:3])}{more}" if names else ""


def _unreadable(place: Path) -> str:
    """Say why nobody can tell whether there is something of a name; empty where anybody can."""
    try:
        is_there(place)
    except UnknownError as error:
        why = error.__context__
        is_no_name = isinstance(why, OSError) and why.errno in (errno.ENOTDIR, errno.ENAMETOOLONG)
        return "" if is_no_name else str(error)
    return ""


def _count_missing(place: Path) -> int:
    return sum(not parent.is_dir() for parent in (place, *place.parents))


def _near(project: Project, place: Path) -> str:
    """Name what lies beside a path that doesn't exist: at the first of its parents that does."""
    wrong = place
    while not wrong.parent.is_dir() and wrong != wrong.parent:
        wrong = wrong.parent
    with contextlib.suppress(OSError):
        siblings = [p.name for p in wrong.parent.iterdir() if p.is_dir() and not p.name.startswith(".")]
        # An exp id without the hash at its end is short of many letters.
        begun = " or ".join(repr(name) for name in sorted(siblings) if name.startswith(wrong.name))
        hint = suggest(wrong.name, siblings) or (f" (did you mean {shorten(begun, 300)}?)" if begun else "")
        where = "the project root" if wrong.parent == project.root else project.relative(wrong.parent)
        return f"{where} has no '{wrong.name}'{hint}"
    return ""


# --- jobs


class Found(NamedTuple):
    """A job of Slurm's and its experiments.

    Attributes:
        job: as Slurm has it; None where it doesn't say.
        folders: exp paths of the experiments that it runs, or ran.
    """

    job: Job | None
    folders: list[str]


def find_job(project: Project, job_id: str) -> Found:
    """Find the experiments of a job: by its folder where Slurm still knows it, else by the experiments' own records.

    Raises:
        HeyhiError: no experiment of this results root has it.
    """
    job, silent = _ask(job_id)
    folders = experiments_of(project, job) if job is not None else []
    closed = ""
    if not folders:
        jobs = {path: _jobs_of(path) for path in _known_folders(project)}
        folders = [path for path, ids in jobs.items() if ids is not None and job_id in ids]
        trials = {shown_folder(path) for path in folders if is_slot(path)}
        folders = [path for path in folders if is_slot(path) or path not in trials]
        unread = sum(ids is None for ids in jobs.values())
        closed = f"; the records of {unread} experiments can't be read" if unread else ""
    if folders:
        return Found(job, folders)
    if job is not None:
        raise HeyhiError(f"job {job_id} is none of HeyHi's in {project.results_root}: no experiment has it{closed}")
    near = _near_jobs(project, job_id)
    raise HeyhiError(f"no experiment has a job {job_id}{near}{closed}{f' ({silent})' if silent else ''}", key=job_id)


def experiments_of(project: Project, job: Job) -> list[str]:
    """Return the exp paths of a job's experiments, as its folder and its comment say."""
    if not job.workdir or job.is_worker:  # which had one after another: their own records say so
        return []
    marks = hashes_in(job.comment)
    folder = Path(job.workdir)
    try:
        targets = parse_json(read_bounded(folder / PACK_LIST_NAME))
        paths = [folder_of(str(target), project.root) for target in targets]
    except (OSError, ValueError, TypeError):
        paths = [str(folder)]
    return [path for path in paths if _is_one_of(path, marks)]


def _is_one_of(path: str, marks: tuple[str, ...]) -> bool:
    """Return whether a folder holds one of the experiments of a comment, or any where the comment names none."""
    with contextlib.suppress(HeyhiError):
        identity = ExperimentDir(Path(path)).read_identity()
        # Accounting need not keep comments.
        return identity is not None and (not marks or identity.digest in marks)
    return False


def _ask(job_id: str) -> tuple[Job | None, str]:
    """Return what Slurm says of a job, and why it says nothing."""
    silent = ""
    try:
        for job in list_jobs([job_id]):
            if job.job_id == job_id:
                return job, ""
    except SlurmError as error:
        silent = str(error)
    with contextlib.suppress(SlurmError):  # a cluster may keep no accounts
        return account([job_id]).get(job_id), silent
    return None, silent


def _known_folders(project: Project) -> list[str]:
    return ManifestIndex.open(project).known()


def _jobs_of(path: str) -> set[str] | None:
    """Return the ids of an experiment's jobs; None where its records can't be read."""
    with contextlib.suppress(HeyhiError):
        return ExperimentDir(Path(path)).history().job_ids
    return None


def _near_jobs(project: Project, job_id: str) -> str:
    return suggest(job_id, [*(Queue().jobs(root_mark(project.results_root)) or ())])
