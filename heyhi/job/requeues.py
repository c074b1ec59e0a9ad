"""Whether a job that was queued again gets on: a run whose files stay as they are would be queued again for ever."""

from __future__ import annotations

import contextlib
import os
from binascii import crc32  # zlib's: protobuf has loaded this one
from collections.abc import Iterator
from typing import Any

from heyhi.config.schema import Schema
from heyhi.errors import LauncherError, UnknownError
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.names import is_record
from heyhi.experiment.records import REQUEUE, History, Start
from heyhi.files import read_bounded
from heyhi.job.ending import Ending
from heyhi.quick_dataclass import replace

# The run's time is short then. What is larger, or beyond, goes by its time: a new one counts as progress.
_MAX_FILES, _MAX_FILE_BYTES, _MAX_BYTES = 10_000, 1 << 24, 1 << 26


def weigh(ending: Ending, folder: ExperimentDir, experiment: Experiment, schema: Schema) -> Ending:
    """Return the ending of a run that asks to be queued again: as it is, or a failure where it never gets on.

    Args:
        ending: of the run.
        folder: of its experiment.
        experiment: the same, with its config, which says how often it may.
        schema: of the config.
    """
    files = written_by_task(folder)
    count = fruitless(folder.history(), files)
    from heyhi.slurm.request import request_of  # most runs never ask

    with contextlib.suppress(LauncherError):  # it was submitted with another config
        most = request_of(getattr(schema.parse_root(experiment.config), experiment.task)).max_requeues
        if most and count >= most:
            times = f"{count} times " if count > 1 else ""
            return Ending("failed", 1, f"requeued {times}without progress")
    return replace(ending, files=files)


def fruitless(history: History, files: int) -> int:
    """Return how often in a row the job of the last attempt was queued again for a run that then got no further.

    Args:
        history: what is on record; the last attempt is still without end.
        files: checksum of what the task has written by now.
    """
    *before, last = history.starts or [Start()]
    ends = {end.attempt: end for end in history.ends}
    count = 0
    for start in reversed(before):
        end = ends.get(start.attempt)
        if start.job_id != last.job_id or end is None or end.reason != REQUEUE or end.files != files:
            break
        count += 1
    return count


def written_by_task(folder: ExperimentDir) -> int:
    """Return a checksum of the metrics and of the task's own files in an experiment's folder; never 0."""
    from heyhi.experiment.pace import furthest  # most runs never ask

    # Each line of `heyhi.log` is another one, also where it says again what an earlier attempt has said.
    total = crc32(repr(sorted(furthest(folder).items()) or folder.metrics_now()).encode())
    left = _MAX_BYTES
    for number, (name, path, stat) in enumerate(_files(str(folder.path))):
        if number == _MAX_FILES:
            break
        text = f"{name}\0{stat.st_size}\0".encode(errors="surrogateescape")
        if stat.st_size <= min(_MAX_FILE_BYTES, left):
            left -= stat.st_size
            with contextlib.suppress(OSError):
                text += read_bounded(path, _MAX_FILE_BYTES)
        else:
            text += str(stat.st_mtime_ns).encode()
        total ^= crc32(text)  # in whatever order a file system lists them
    return total or 1


def _files(path: str, below: str = "") -> Iterator[tuple[str, str, os.stat_result]]:
    """Yield name, path and facts of the task's own files; what can't be looked at counts as absent."""
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in entries:
            if not below and is_record(entry.name):  # metrics go by their end
                continue
            name = f"{below}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, name)
            elif entry.is_file():
                with contextlib.suppress(OSError):
                    yield name, entry.path, entry.stat()


def asked_by(folder: ExperimentDir, job_id: str | None) -> dict[str, Any]:
    """Return what a job had asked for, by the note of its submission; nothing where there is none yet."""
    with contextlib.suppress(UnknownError):
        submission = folder.read_submission() if job_id else None
        if submission is not None and submission.job_id == job_id:
            return dict(submission.asked)
    return {}
