"""What earlier runs of a config have used, beside what is asked for the next ones: a line for a person."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.errors import HeyhiError, LauncherError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import RESULT_NAME
from heyhi.experiment.records import NOT_KNOWN
from heyhi.slurm.cost import counted
from heyhi.slurm.launcher import is_slurm
from heyhi.slurm.request import request_of
from heyhi.sweep.index import ManifestIndex

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.project import Project

_MOST_READ = 200  # of a config, the newest; their records are read
_MOST_LOOKED_AT = 2_000
_MOST_LINES = 10
_SHAPE = (("nodes", None), ("tasks", None), ("gpus", None), ("pack", 1))  # as a start has them on record


class Starting(NamedTuple):
    """An experiment that would start.

    Attributes:
        project: whose it is.
        exp_id: its name.
        cfg: its config file.
        task: message of its task.
    """

    project: Project
    exp_id: str
    cfg: str
    task: Message


class _Shape(NamedTuple):
    """What runs must have in common for what they use to be compared.

    Attributes:
        nodes: of a job.
        tasks: on all of them.
        gpus: of an experiment: where several share a job, its share.
    """

    nodes: int
    tasks: int
    gpus: float


class _Run(NamedTuple):
    """What an earlier run used, in the attempt that used most, and its shape, None where that isn't known."""

    hours: float
    mem_gb: float
    shape: _Shape | None


class _Asked(NamedTuple):
    """The most that experiments of a config ask for.

    Attributes:
        hours: time limit.
        mem_gb: memory of a node; of a job that several share, its share; 0: what the cluster gives.
    """

    hours: float = 0.0
    mem_gb: float = 0.0

    def or_more(self, hours: float, mem_gb: float) -> _Asked:
        return _Asked(max(self.hours, hours), max(self.mem_gb, mem_gb))


class UsedBefore:
    """Find out what earlier runs of the configs have used whose experiments would start."""

    def __init__(self) -> None:
        self._asked: dict[tuple[Project, str, str, _Shape], _Asked] = {}
        self._known: dict[bytes, tuple[_Shape, float, float] | None] = {}

    def passed(self, starting: Iterable[Starting]) -> Iterator[tuple[str, Message]]:
        """Take note of what is asked for, and yield exp id and task of each experiment."""
        for one in starting:
            asked = self._of(one.task)
            if asked is not None:
                # Runs of one config lie side by side.
                shape, *amounts = asked
                key = (one.project, one.cfg, one.exp_id.rpartition("/")[0], shape)
                self._asked[key] = self._asked.get(key, _Asked()).or_more(*amounts)
            yield one.exp_id, one.task

    def _of(self, task: Message) -> tuple[_Shape, float, float] | None:
        if not is_slurm(task):
            return None
        launcher = task.launcher.SerializeToString(deterministic=True)  # type: ignore[attr-defined]
        if launcher not in self._known:  # mostly all ask for the same
            try:
                request = request_of(task)
                shape = _Shape(request.nodes, request.tasks, request.gpus / request.pack)
                self._known[launcher] = (shape, request.hours, (request.mem_gb_per_node or 0.0) / request.pack)
            except LauncherError:
                self._known[launcher] = None
        return self._known[launcher]

    def lines(self) -> list[str]:
        """Say for each config and shape what its runs have used at most, if any is DONE."""
        found = []
        indices = {project: ManifestIndex.open(project) for project, *_ in self._asked}
        read: dict[tuple[Project, str, str], list[_Run]] = {}
        for (project, cfg, place, shape), asked in list(self._asked.items())[:_MOST_LINES]:
            key = (project, cfg, place)
            if key not in read:
                read[key] = list(_runs(cfg, indices[project].known_in(place)))
            if line := _line(cfg, read[key], shape, asked):
                found.append(line)
        return found


def _runs(cfg: str, folders: list[str]) -> Iterator[_Run]:
    for folder in _newest(folders):
        if (run := _most_used(folder, cfg)) is not None:
            yield run


def _line(cfg: str, runs: list[_Run], shape: _Shape, asked: _Asked) -> str:
    """Say what runs of the same shape have used; without any, what those of unknown shape have, or else others."""
    like = [run for run in runs if run.shape == shape] or [run for run in runs if run.shape is None]
    used = like or runs
    if not used:
        return ""
    most = _texts(max(run.hours for run in used), max(run.mem_gb for run in used))
    name = f"{counted(len(used), 'earlier run')} of {cfg.removesuffix('.prototxt')}"
    other = "" if like else ", with other GPUs, nodes or tasks"
    return f"{name}{other}: at most {most}; asked {_texts(*asked)}"


def _texts(hours: float, mem_gb: float) -> str:
    digits = f"{hours:.2g}" if hours < 100 else f"{hours:.0f}"
    return f"{digits} h" + (f" and {float(f'{mem_gb:.3g}'):g} GB" if mem_gb else "")


def _newest(folders: list[str]) -> list[str]:
    """Return those that are DONE, the newest ones of many."""
    step = -(-len(folders) // _MOST_LOOKED_AT) or 1
    done = []
    for folder in folders[::step]:
        try:
            done.append((os.stat(f"{folder}/{RESULT_NAME}").st_mtime, folder))  # noqa: PTH116 (there may be many)
        except OSError:
            continue
    return [folder for _, folder in heapq.nlargest(_MOST_READ, done)]


def _most_used(folder: str, cfg: str) -> _Run | None:
    """Return what the attempt used that used most; None where that isn't known, or it is of another config."""
    experiment = ExperimentDir(Path(folder))
    try:
        identity = experiment.read_identity()
        if identity is None or identity.cfg != cfg:
            return None
        history = experiment.history()
    except HeyhiError:  # its status says so
        return None
    used = [end.used for end in history.ends if end.used is not NOT_KNOWN]
    seconds = [one.seconds for one in used if one.seconds is not None]
    memory = [one.mem_gb for one in used if one.mem_gb is not None]
    shape = _shape_of(history.starts[-1].asked) if history.starts else None
    return _Run(max(seconds) / 3600, max(memory, default=0.0), shape) if seconds else None


def _shape_of(asked: Mapping[str, Any]) -> _Shape | None:
    nodes, tasks, gpus, pack = (asked.get(name, least) for name, least in _SHAPE)
    if not all(isinstance(number, int) for number in (nodes, tasks, gpus, pack)):
        return None  # it ran here, or the record is odd
    return _Shape(nodes, tasks, gpus / max(1, pack))
