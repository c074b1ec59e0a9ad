"""What an attempt uses, as its records have it: what the meter says, and what its job was given and has waited for."""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections.abc import Callable, Sequence

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import History, Start, Submission, Used
from heyhi.experiment.used import note_used, seconds_between
from heyhi.job.meter import Measured, Meter


class Using:
    """Measure an attempt from now on, until `stop`.

    Args:
        folder: of the experiment.
        elsewhere: returns what was used in processes that aren't below this one.
        is_lost: returns whether another has the experiment, whose note it is then.
        is_whole: this process is there for nothing else.
        spend: is told what an attempt has used so far, or at all.
    """

    def __init__(
        self,
        folder: ExperimentDir,
        elsewhere: Callable[[], Sequence[Measured]],
        is_lost: Callable[[], bool],
        *,
        is_whole: bool,
        spend: Callable[[int, Used], None] = lambda attempt, used: None,
    ) -> None:
        self._folder = folder
        self._elsewhere = elsewhere
        self._is_lost = is_lost
        self._spend = spend
        self._meter = Meter(is_whole=is_whole)
        self._start = Start()
        self._since = ""
        self._submission: Submission | None = None
        self._writing = threading.Lock()
        self._has_ended = False

    def begin(self, start: Start, history: History) -> None:
        """Note every minute what was used so far, for the case that this process is killed.

        Args:
            start: of the attempt.
            history: what was on record before it.
        """
        self._start = start
        if start.job_id and start.restart_count:
            # Since Slurm has it in its queue again: the end of its last attempt, as far as that is known.
            ends = [end.time for end in history.ends if end.time]
            last = history.starts[-1:]
            self._since = ends[-1] if ends and last and last[0].job_id == start.job_id else ""
        self._meter.start(self._note)

    def so_far(self) -> Used:
        """Return what was used so far."""
        reading = self._meter.read()
        with contextlib.suppress(Exception):  # notes of other processes, which may hold anything
            reading = reading.with_others(self._elsewhere())
        job = self._job()
        return Used(
            seconds=reading.seconds,
            queued=self._queued(job, reading.seconds),
            cpu_seconds=reading.cpu_seconds,
            mem_gb=reading.mem_gb,
            gpus=job.gpu_share if job is not None else None,
        )

    def at_end(self) -> Used:
        """Return what was used at all: before others see that the attempt has ended, it counts."""
        used = self.so_far()
        self._spend(self._start.attempt, used)
        return used

    def stop(self) -> None:
        """Measure no more; no note is written once this has returned."""
        self._meter.stop()
        with self._writing:
            self._has_ended = True

    def _note(self) -> None:
        used = self.so_far()
        with self._writing:
            if not self._has_ended and not self._is_lost():
                self._spend(self._start.attempt, used)
                note_used(self._folder.path, self._start, used)

    def _job(self) -> Submission | None:
        """Return the submission of this job; it is noted a moment after Slurm has the job, which may have begun."""
        if self._submission is None and self._start.job_id:
            with contextlib.suppress(HeyhiError):
                found = self._folder.read_submission()
                if found is not None and found.job_id == self._start.job_id:
                    self._submission = found
        return self._submission

    def _queued(self, job: Submission | None, seconds: float) -> float | None:
        """Return how long its job has waited before this process was started."""
        since = self._since or (job.time if job is not None and not self._start.restart_count else "")
        began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
        return seconds_between(since, began.isoformat()) if since else None
