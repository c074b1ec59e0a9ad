"""What earlier runs of a config have used, beside what is asked for the next ones: a line for a person."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from heyhi.errors import HeyhiError, LauncherError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import RESULT_NAME
from heyhi.experiment.records import NOT_KNOWN
from heyhi.slurm.cost import counted
from heyhi.slurm.request import is_slurm, request_of
from heyhi.sweep.index import ManifestIndex

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.project import Project

_MOST_READ = 200  # of a config, the newest; their records are read
_MOST_LOOKED_AT = 2_000
_MOST_LINES = 10


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
        self._asked: dict[tuple[Project, str, str], _Asked] = {}
        self._known: dict[bytes, tuple[float, float] | None] = {}

    def passed(self, starting: Iterable[Starting]) -> Iterator[tuple[str, Message]]:
        """Take note of what is asked for, and yield exp id and task of each experiment."""
        for one in starting:
            asked = self._of(one.task)
            if asked is not None:
                # Runs of one config lie side by side.
                key = (one.project, one.cfg, one.exp_id.rpartition("/")[0])
                self._asked[key] = self._asked.get(key, _Asked()).or_more(*asked)
            yield one.exp_id, one.task

    def _of(self, task: Message) -> tuple[float, float] | None:
        if not is_slurm(task):
            return None
        launcher = task.launcher.SerializeToString(deterministic=True)  # type: ignore[attr-defined]
        if launcher not in self._known:  # mostly all ask for the same
            try:
                request = request_of(task)
                self._known[launcher] = (request.hours, (request.mem_gb_per_node or 0.0) / request.pack)
            except LauncherError:
                self._known[launcher] = None
        return self._known[launcher]

    def lines(self) -> list[str]:
        """Say for each config what its runs have used at most, if any is DONE."""
        found = []
        indices = {project: ManifestIndex.open(project) for project, _, _ in self._asked}
        for (project, cfg, place), asked in list(self._asked.items())[:_MOST_LINES]:
            if line := _line(cfg, indices[project].known_in(place), asked):
                found.append(line)
        return found


def _line(cfg: str, folders: list[str], asked: _Asked) -> str:
    used = [found for folder in _newest(folders) if (found := _most_used(folder, cfg)) is not None]
    if not used:
        return ""
    most = _texts(max(hours for hours, _ in used), max(memory for _, memory in used))
    runs = counted(len(used), "earlier run")
    return f"{runs} of {cfg.removesuffix('.prototxt')}: at most {most}; asked {_texts(*asked)}"


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


def _most_used(folder: str, cfg: str) -> tuple[float, float] | None:
    """Return hours and GB of the attempt that used most; None where that isn't known, or it is of another config."""
    experiment = ExperimentDir(Path(folder))
    try:
        identity = experiment.read_identity()
        ends = experiment.history().ends if identity is not None and identity.cfg == cfg else []
    except HeyhiError:  # its status says so
        return None
    used = [end.used for end in ends if end.used is not NOT_KNOWN]
    seconds = [one.seconds for one in used if one.seconds is not None]
    memory = [one.mem_gb for one in used if one.mem_gb is not None]
    return (max(seconds) / 3600, max(memory, default=0.0)) if seconds else None
