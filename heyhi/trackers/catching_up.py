"""A tracker that first gets what earlier attempts have logged, where none of them came to give it anything.

A library takes seconds to open: an attempt that is killed before has its lines in metrics.jsonl alone, and so has one
that ran before its tracker was named in `log_to`. A note in the experiment's folder says to which tracker something was
given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.metrics_file import counting_blocks
from heyhi.files import read_bounded, replace_file
from heyhi.trackers.opening import open_tracker
from heyhi.trackers.tracked_run import Line, RunEnd, TrackedRun


class CatchingUp:
    """The tracker of an experiment that runs.

    Args:
        name: tensorboard, wandb or mlflow.
        run: of the experiment.

    Raises:
        TrackerError: its library is missing.
        Exception: whatever the library raises.
    """

    def __init__(self, name: str, run: TrackedRun) -> None:
        self._run = run
        self._note = run.exp_path / f".heyhi.{name}.given"
        self._is_noted = _content(self._note) == run.run_id
        self._lacks = bool(run.earlier_bytes) and not self._is_noted
        self._tracker = open_tracker(name, run._replace(earlier_bytes=0) if self._lacks else run)

    def write(self, lines: list[Line]) -> None:
        """Give lines, after what it lacks."""
        if self._lacks:
            self._lacks = False
            folder = ExperimentDir(self._run.exp_path)
            # What this attempt has logged again by now doesn't count: it comes in its turn.
            for block in counting_blocks(folder.metrics_path, folder.history().starts):
                if block.attempt < self._run.attempt:
                    self._tracker.write([*block.lines])
        self._tracker.write(lines)
        if not self._is_noted:
            self._is_noted = True
            with contextlib.suppress(Exception):  # without it, the next attempt gives all again
                replace_file(self._note, self._run.run_id)

    def close(self, end: RunEnd, result: Mapping[str, Any]) -> None:
        """Say how the run has ended."""
        self._tracker.close(end, result)


def _content(note: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return read_bounded(note).decode()
    return ""
