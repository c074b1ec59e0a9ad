"""What a tracker is told of an experiment: its names, config, and how its run has ended."""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import History, Start

Line = Mapping[str, Any]  # of metrics.jsonl
_ID_DIGITS = 16
_HASH = re.compile(r"_?[0-9a-f]{16}")


class RunEnd(enum.Enum):
    """How a run has ended, as trackers tell it."""

    DONE = "done"
    PRUNED = "pruned"
    FAILED = "failed"
    STOPPED = "stopped"  # by a signal, from whoever
    AGAIN = "again"  # queued again, or alive: it goes on


class TrackedRun(NamedTuple):
    """An experiment, as trackers know it.

    Attributes:
        exp_id: of it.
        exp_path: its folder.
        results_root: in which that lies.
        project: whose it is, by name.
        sweep: label of the sweep that it was launched with; empty for none.
        attempt: number of the run that is going on, or of the last one.
        first_started: when it was first started. With the exp id it tells it from what was wiped.
        earlier_bytes: how much of metrics.jsonl earlier attempts have written.
        config: flattened, with keys as overrides have them.
    """

    exp_id: str
    exp_path: Path
    results_root: Path
    project: str
    sweep: str
    attempt: int
    first_started: str
    earlier_bytes: int
    config: Mapping[str, Any]

    @classmethod
    def of(cls, folder: ExperimentDir, results_root: Path, project: str, sweep: str, starts: list[Start]) -> TrackedRun:
        """Read what there is to know of an experiment that was started.

        Args:
            folder: of it.
            results_root: in which that lies.
            project: whose it is, by name.
            sweep: label.
            starts: of its attempts.
        """
        first, last = (starts[0], starts[-1]) if starts else (Start(1), Start(1))
        return cls(
            ExperimentDir(folder.path, results_root).exp_id,
            folder.path,
            results_root,
            project,
            sweep,
            last.attempt,
            first.time,
            max(last.metrics_size, 0),
            _below_task(folder.read_flat_config()),
        )

    @classmethod
    def running(cls, folder: ExperimentDir, results_root: Path, project: str, sweep: str) -> TrackedRun:
        """Read what there is to know of an experiment whose attempt has begun."""
        return cls.of(folder, results_root, project, sweep, History(folder.attempts()).starts)

    @property
    def run_id(self) -> str:
        """The same for each attempt, and another one once it was wiped and is run anew."""
        return hashlib.sha256(f"{self.exp_id}\0{self.first_started}".encode(errors="replace")).hexdigest()[:_ID_DIGITS]

    @property
    def name(self) -> str:
        """What its overrides are, without the hash; the config's name where there are none."""
        *parts, last = ["", *self.exp_id.split("/")]
        return _HASH.sub("", last) or parts[-1]

    @property
    def info(self) -> dict[str, Any]:
        """What a function of the project's own is told."""
        return {
            "exp_id": self.exp_id,
            "exp_path": str(self.exp_path),
            "config": dict(self.config),
            "project": self.project,
            "sweep": self.sweep,
            "attempt": self.attempt,
            "run_id": self.run_id,
            "name": self.name,
        }


def _below_task(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flattened config of a root message with the keys that its task has."""
    return {key.partition(".")[2] or key: value for key, value in config.items()}


class Tracker(Protocol):
    """What metrics are given to. It is used by one thread at a time."""

    def write(self, lines: list[Line]) -> None:
        """Take lines of metrics.jsonl, in their order."""

    def close(self, end: RunEnd, result: Mapping[str, Any]) -> None:
        """Say how the run has ended, with its result as far as there is one."""


Opener = Callable[[TrackedRun], Tracker]
