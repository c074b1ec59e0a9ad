"""Runs of Weights & Biases."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.errors import TrackerError
from heyhi.trackers.points import Points, of_result
from heyhi.trackers.tracked_run import Line, RunEnd, TrackedRun

if TYPE_CHECKING:
    from wandb import Run

FOLDER_NAME = "wandb"  # wandb's own name for it, in the folder that it is given
_MOST_CHARS = 128  # of a name or group
_PROJECT_VARIABLE, _MODE_VARIABLE = "WANDB_PROJECT", "WANDB_MODE"


class WandbRun:
    """The run of one experiment: all its attempts are one run.

    wandb's own step is the number of the line in metrics.jsonl, since it may never fall: lines of several counters, or
    of none, would be put at each other's steps, or be left out. Each metric is drawn over its counter, which is logged
    with it.

    Whether it is online is for the user to say (WANDB_MODE).

    Args:
        run: what it is of.
        folder: where wandb's files lie, in a folder `wandb` there; default: the experiment's.
        is_whole: all that counts will be given, not only what an attempt logs.
    """

    def __init__(self, run: TrackedRun, folder: Path | None = None, *, is_whole: bool = False) -> None:
        import wandb

        _check_login()
        if is_whole and folder is not None:
            for old in (folder / FOLDER_NAME).glob(f"offline-run-*-{run.run_id}"):  # of the export before
                shutil.rmtree(old, ignore_errors=True)
        self._points = Points.of(run, is_whole=is_whole)
        self._number = self._points.earlier
        self._has_counter = set[str]()
        self._run: Run = wandb.init(
            project=None if os.environ.get(_PROJECT_VARIABLE) else run.project or None,
            id=run.run_id,
            resume="allow",
            name=run.name[:_MOST_CHARS],
            group=run.sweep[:_MOST_CHARS] or None,
            notes=run.exp_id,
            config=dict(run.config),
            dir=str(folder or run.exp_path),
            # As the variable is now: wandb itself reads it once in a process.
            mode=os.environ.get(_MODE_VARIABLE) or None,  # type: ignore[arg-type]
            # A task may have a run of its own; and what it prints is in its log.
            reinit="create_new",
            settings=wandb.Settings(console="off"),
        )

    def write(self, lines: list[Line]) -> None:
        """Log what lines have."""
        for line in lines:
            for values, step, _, counter in self._points.of_lines([line]):
                if counter:
                    self._draw_over(counter, values)
                    values[counter] = step
                self._run.log(values, step=self._number)
            self._number += 1

    def _draw_over(self, counter: str, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._has_counter:
                self._has_counter.add(name)
                if "*" not in name:  # which would be a pattern
                    self._run.define_metric(name, step_metric=counter)

    def close(self, end: RunEnd, result: Mapping[str, Any]) -> None:
        """Put the numbers of the result into the run's summary, and end it."""
        try:
            self._run.summary.update(of_result(result))
            if end is RunEnd.AGAIN:
                self._run.mark_preempting()
        finally:
            self._run.finish(exit_code=0 if end in (RunEnd.DONE, RunEnd.PRUNED) else 1)


def _check_login() -> None:
    """Refuse to begin where wandb would ask on the terminal for a key.

    Raises:
        TrackerError: so it is.
    """
    import wandb

    if (os.environ.get(_MODE_VARIABLE) or wandb.setup().settings.mode) != "online":
        return
    with contextlib.suppress(TypeError):  # an older one knows no prompt=
        if wandb.login(prompt=False, verify=False):
            return
        raise TrackerError("wandb has no API key: `wandb login`, or WANDB_MODE=offline")
