"""One run inside a worker's job: a runner as its child, from its claim to the record of how it ended."""

from __future__ import annotations

import contextlib
import enum
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from heyhi.experiment.claim import Claim
from heyhi.experiment.death import Death, death_of, settled
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.owner import BACK, JobRef, Owner
from heyhi.experiment.records import NOT_KNOWN, REQUEUE, End, History
from heyhi.experiment.used import unfinished
from heyhi.files import is_there_now, open_to_append, utc_now
from heyhi.job.handover import Handover
from heyhi.job.leftovers import MARK_VARIABLE, end_leftovers
from heyhi.job.notice import WARNING
from heyhi.job.requeues import written_by_task
from heyhi.job.script import runner_words
from heyhi.job_env import ASKS, NOTICE_VARIABLE, READY, REQUEUE_EXIT, job_nodes
from heyhi.quick_dataclass import replace
from heyhi.slurm.commands import Job
from heyhi.slurm.request import JobRequest

_LOOK_SECONDS = 2.0  # between two looks whether the run is to be ended
_GRACE_SECONDS = 30.0  # that a run has to end which was told to
# Of the seconds between the signal and the time limit: what hasn't ended by then is ended, so that the worker can
# still ask for its job to be queued again.
_END_AT, _KILL_AT = 0.65, 0.85


class Cut(enum.Enum):
    """Why a run was ended that would have gone on."""

    NOT = ""
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"


@dataclass
class Run:
    """A run of one experiment.

    Args:
        experiment: what runs.
        handover: what was prepared for it.
        request: what the worker's job has asked for.
        job: id of that.
        number: of this run in it.
        note: path by which the runner is told of the signal that comes before the end.
        cancel: path that is there once the run is to be ended.
    """

    experiment: Experiment
    handover: Handover
    request: JobRequest
    job: str
    number: int
    note: Path
    cancel: Path
    cut: Cut = Cut.NOT
    is_stopped: bool = False
    asks: bool = False  # to be gone on with when its job has been queued again
    _process: subprocess.Popen[bytes] | None = None
    _warned_at: float | None = None
    _ended: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)

    @property
    def folder(self) -> ExperimentDir:
        """Where it lies."""
        return ExperimentDir(self.experiment.exp_path)

    def wait(self) -> int:
        """Start the runner, wait for its end, and return its exit code; negative: the signal that ended it.

        Raises:
            OSError: it can't be started.
        """
        self._forget()
        mark = f"{os.environ.get(MARK_VARIABLE) or os.getpid()}.{self.number}"
        bare = replace(self.request, prefix=(), python="")  # this process is inside of these
        words = runner_words(self.handover.claims, bare, self.handover.order, self.folder.path, self.handover.attempt)
        # Slurm may not find it any more when this process, of which it is a child, has been killed.
        words += ["--parent", str(os.getpid())]
        env = {**os.environ, NOTICE_VARIABLE: str(self.note), MARK_VARIABLE: mark}
        with os.fdopen(open_to_append(self.folder.launch_log_path), "ab") as log:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        threading.Thread(target=self._follow, args=(self._process,), daemon=True).start()
        if self.is_stopped:  # it came just now
            self._send(signal.SIGTERM)
        self._watch()
        end_leftovers(mark, self.job)
        code = self._process.returncode
        self.asks = code == REQUEUE_EXIT and Path(f"{self.note}{ASKS}").exists()
        self._forget()
        return 1 if code == REQUEUE_EXIT and not self.asks else code

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._ended.put(None)

    def _watch(self) -> None:
        """Wait for its end; end it where somebody wants that, or where the worker's time is up."""
        pause = min(_LOOK_SECONDS, max(0.1, self.request.signal_seconds / 20 or _LOOK_SECONDS))
        told_at = kill_at = 0.0
        while True:
            with contextlib.suppress(queue.Empty):
                self._ended.get(timeout=pause)
                return
            now = time.monotonic()
            if not told_at and self.cut is Cut.NOT:
                self.cut, kill_at = self._why_cut(now)
                if self.cut is not Cut.NOT:
                    self._send(signal.SIGTERM)
                    told_at = now
            elif told_at and now >= kill_at:
                self._send(signal.SIGKILL)

    def _why_cut(self, now: float) -> tuple[Cut, float]:
        """Return why it is to be ended, and when it is killed."""
        if os.path.lexists(self.cancel):
            return Cut.CANCELLED, now + _GRACE_SECONDS
        seconds = self.request.signal_seconds
        if seconds and self._warned_at is not None and now >= self._warned_at + _END_AT * seconds:
            return Cut.TIMEOUT, self._warned_at + _KILL_AT * seconds
        return Cut.NOT, 0.0

    def warn(self) -> None:
        """Tell it that the end is near."""
        if self._warned_at is None:
            self._warned_at = time.monotonic()
        self.note.touch()
        if Path(f"{self.note}{READY}").exists():
            self._send(WARNING)

    def stop(self) -> None:
        """Tell it to end, since the whole job does."""
        self.is_stopped = True
        self._send(signal.SIGTERM)

    def _send(self, sign: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(sign)

    def _forget(self) -> None:
        for path in (self.note, Path(f"{self.note}{READY}"), Path(f"{self.note}{ASKS}")):
            path.unlink(missing_ok=True)

    # --- records

    def settle(self, code: int, follows: Callable[[Owner], bool], goes_back: Callable[[Death], bool]) -> Death | None:
        """Put on record how it ended, as Slurm would say of a job of its own, and give its claim up.

        What goes back stays claimed by this job, until it is over, or a worker tries again: nobody takes it for dead.

        Nobody else can say so later: its job goes on with others, and ends otherwise.

        Args:
            code: exit code of the runner.
            follows: returns whether a claim is this job's.
            goes_back: returns whether workers of this launch try it again.

        Returns:
            why it is dead; None where it has a result, or another has it by now.

        Raises:
            HeyhiError: its records can't be read or written.
        """
        ref = JobRef(self.job, self.handover.order.root_mark, self.experiment.identity.digest)
        claim = Claim.acquire(self.folder.path, kind=BACK, ref=ref, replaces=follows)
        if not isinstance(claim, Claim):
            return None
        with claim:
            if is_there_now(self.folder.result_path):
                return None
            history = self.folder.history()
            if history.job_to_ask == self.job:
                state = self.cut.value or "FAILED"
                job = Job(self.job, state, "", job_nodes(), exit_code=None if self.cut.value else code)
                end = settled(history, job, utc_now())._replace(job_state="", job_went_on=True)
                self.folder.append_attempt(self._with_use(end, history))
            self.cancel.unlink(missing_ok=True)
            death = death_of(self.folder.history())
            if goes_back(death):
                claim.hand_over(self.job)
            return death

    def _with_use(self, end: End, history: History) -> End:
        if any(one.attempt == end.attempt and one.used is not NOT_KNOWN for one in history.ends):
            return end
        noted = unfinished(self.folder.path, history)
        return end._replace(used=noted.used) if noted is not None else end

    def put_off(self, follows: Callable[[Owner], bool]) -> None:
        """Put on record that it is to go on when its job is started again; the claim stays the job's.

        Raises:
            HeyhiError: its records can't be read or written.
        """
        ref = JobRef(self.job, self.handover.order.root_mark, self.experiment.identity.digest)
        claim = Claim.acquire(self.folder.path, ref=ref, replaces=follows)
        if not isinstance(claim, Claim):
            return
        start, end = self.folder.history().last_attempt
        if start is not None and not is_there_now(self.folder.result_path):
            again = End(
                start.attempt, REQUEUE, REQUEUE_EXIT, "the time of its worker was up", time=utc_now(),
                files=written_by_task(self.folder),
            )  # fmt: skip
            if end is None:
                again = self._with_use(again, self.folder.history())
            self.folder.append_attempt(again)
        claim.hand_over(self.job)


def python_words(module: str, *words: str) -> list[str]:
    """Return the words that run a module of ours as a process of its own."""
    return [sys.executable, "-P", "-m", module, *words]


def plain_env(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what only the run of a job is told."""
    return {name: value for name, value in env.items() if name not in (NOTICE_VARIABLE, MARK_VARIABLE)}
