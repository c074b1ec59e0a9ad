"""Event files of TensorBoard, with what tensorboardX knows of them."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from heyhi.extras import load
from heyhi.trackers.points import Points, of_result
from heyhi.trackers.tracked_run import Line, RunEnd, TrackedRun

FOLDER_NAME = "tensorboard"  # in an experiment's folder
_SUMMARY = "tensorboardX.summary"
EVENT_FILES = "events.out.tfevents.*"
# By this version, readers go by steps that come again, for each tag by itself: one may count steps, and one epochs.
_VERSION = "brain.Event:1"


class EventFiles:
    """The event files of one experiment.

    Each attempt writes one of its own. TensorBoard reads them in their order; where a later one has a tag at a step
    again, it leaves out what earlier ones have from there on.

    Args:
        run: what they are of.
        folder: where they lie; default: in the experiment's.
        is_whole: all that counts will be given, not only what an attempt logs.
    """

    def __init__(self, run: TrackedRun, folder: Path | None = None, *, is_whole: bool = False) -> None:
        self._run = run
        self._points = Points.of(run, is_whole=is_whole)
        self._file = _EventFile(folder or run.exp_path / FOLDER_NAME, run.attempt, self._points.last_step)
        self._last: tuple[int, float | None] = (0, None)
        self._has_config = False

    def write(self, lines: list[Line]) -> None:
        """Write what lines have."""
        scalar = load(_SUMMARY).scalar
        for values, step, seconds, _ in self._points.of_lines(lines):
            if not self._has_config:
                self._write_config(values, step, seconds)
            self._last = step, seconds
            for tag, value in values.items():
                self._file.add(scalar(tag, value), step, seconds)
        self._file.flush()

    def close(self, end: RunEnd, result: Mapping[str, Any]) -> None:
        """Write the numbers of the result, at the last step."""
        scalar = load(_SUMMARY).scalar
        try:
            for tag, value in of_result(result).items():
                self._file.add(scalar(tag, value), *self._last)
        finally:
            self._file.close()

    def _write_config(self, metrics: Iterable[str], step: int, seconds: float | None) -> None:
        """Write the config, as text and as hyperparameters: at the first line, since these name metrics, too."""
        summaries = load(_SUMMARY)
        self._has_config = True
        run = self._run
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False, default=str)}" for key, value in run.config.items()]
        plain = {k: v if isinstance(v, bool | int | float | str) else json.dumps(v) for k, v in run.config.items()}
        for summary in (
            summaries.text("config", "\n".join(f"    {line}" for line in lines)),
            summaries.text("exp_id", f"`{run.exp_id}`"),
            *summaries.hparams(plain, dict.fromkeys(metrics, 0.0)),
        ):
            self._file.add(summary, step, seconds)


class _EventFile:
    """A file of events. tensorboardX's own writer has a thread more, which its flush doesn't wait for."""

    def __init__(self, folder: Path, attempt: int, last_step: int) -> None:
        event: Any = load("tensorboardX.proto.event_pb2").Event
        self._event = event
        folder.mkdir(parents=True, exist_ok=True)
        # With the number of the attempt: two may begin within a second.
        name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}.{attempt:06}"
        self._records = load("tensorboardX.record_writer").RecordWriter(str(folder / name))
        # A reader looks for steps that come again as long as they are below that of the last event.
        self._write(event(wall_time=time.time(), file_version=_VERSION, step=last_step))

    def add(self, summary: Any, step: int, seconds: float | None) -> None:
        self._write(self._event(wall_time=time.time() if seconds is None else seconds, step=step, summary=summary))

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())

    def flush(self) -> None:
        self._records.flush()

    def close(self) -> None:
        self._records.flush()
        self._records.close()
