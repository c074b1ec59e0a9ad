"""Submits experiments as jobs of Slurm's, in line, by threads of its own; the executor follows what becomes of them."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from heyhi.errors import HeyhiError, UnknownError
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.owner import Owner
from heyhi.experiment.slots import SlotDir, slot_dir, started_dir
from heyhi.job.handover import Handover
from heyhi.job.left_out import LeftOut
from heyhi.job.line import Line, Short
from heyhi.job.order import Order, Receipt
from heyhi.job.submit import hand_over, prepare_job
from heyhi.slurm.commands import Busy, Full, NoCluster, Refused, SlurmError, View
from heyhi.slurm.request import JobRequest

_THREADS = 4
# So long Slurm may be away before what it hasn't taken is given up.
_AWAY_SECONDS = 900.0


@dataclass
class Task:
    """One experiment that Snakemake waits for."""

    experiment: Experiment
    request: JobRequest
    order: Order
    attempt: int = 1  # of this launch
    job_id: str = ""  # of Slurm's; empty while another process has it, or Slurm takes none
    left_out: tuple[str, ...] = ()  # nodes, when it was submitted last
    losses: int = 0  # jobs of it that Slurm has forgotten, or didn't start again
    is_ours: bool = False
    is_of_launch: bool = False  # an earlier run of this launch may have submitted it: then its job is ours
    is_unknown: bool = False  # and that was said
    is_waiting: bool = True  # to be handed over
    failed: str = ""  # why it won't be

    @property
    def folder(self) -> ExperimentDir:
        """Where it lies."""
        return ExperimentDir(self.experiment.exp_path)

    @property
    def slot(self) -> SlotDir | None:
        """Where it lies, if it is a search's slot."""
        one = self.experiment
        return slot_dir(one.exp_path, self.order.results_root) if one.is_slot else None

    @property
    def blamed(self) -> ExperimentDir:
        """Where it is on record how its last job ended: of a slot, at the experiment that it has started.

        Raises:
            UnknownError: nobody can tell.
        """
        return started_dir(self.folder, self.folder.history().current_job) or self.folder

    @property
    def attempt_of_job(self) -> int:
        """How often the launch had tried that has submitted its last job.

        Raises:
            UnknownError: nobody can tell.
        """
        submission = self.folder.read_submission()
        return submission.attempt if submission is not None else 1

    @property
    def is_done(self) -> bool:
        """Whether its result is there."""
        return os.access(self.experiment.target, os.F_OK)


@dataclass(eq=False)
class _Pack:
    """Experiments that wait to be submitted as one job.

    Attributes:
        infos: Snakemake's jobs.
        handover: what was prepared for it, kept while Slurm takes none.
    """

    infos: list[SubmittedJobInfo]
    handover: Handover | None = None

    @property
    def tasks(self) -> list[Task]:
        return [task_of(info) for info in self.infos]

    @property
    def rank(self) -> float:
        """Where in line it is: as Snakemake's priority says, which is the sweep's order."""
        return -max(float(info.job.priority) for info in self.infos)

    def drop(self) -> None:
        """Give up what was prepared."""
        if self.handover is not None:
            self.handover.drop()
        self.handover = None


class Submitter:
    """Submit experiments, as many at once as Slurm takes; what came of it is in their tasks.

    Args:
        logger: says what is submitted, and why not.
        left_out: nodes that the launch keeps its jobs from.

    Attributes:
        submitted: job id -> exp paths, of what this launch has submitted itself.
        adopted: jobs, or exp paths, of what others have.
        refused: exp path -> why Slurm takes no job for it.
        stopped: why no more is submitted; empty as long as it is.
        has_answered: whether Slurm has, ever.
    """

    def __init__(self, logger: logging.Logger, left_out: LeftOut) -> None:
        self._logger = logger
        self._left_out = left_out
        self.submitted: dict[str, list[Path]] = {}
        self.adopted: set[str] = set()
        self.refused: dict[Path, str] = {}
        self.stopped = ""
        self.has_answered = False
        self._view = View()
        self._line: Line[_Pack] = Line()
        self._is_leaving = False
        self._is_full_said = False
        self._workers = 0  # that take from the line, or are about to
        self._counting = threading.Lock()
        self._members: Counter[str] = Counter()  # job id -> experiments that it has and that aren't over
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="heyhi-submit")

    @property
    def is_short(self) -> bool:
        """Whether something waits since Slurm takes no more for now."""
        return self._line.is_short

    @property
    def starves(self) -> bool:
        """Whether a limit on jobs keeps all of it back, and none of its own is there."""
        with self._counting:
            has_jobs = any(self._members.values())
        return not has_jobs and self._line.is_full

    def hear(self, *, is_again: bool) -> None:
        """Note that Slurm has answered; again, where it didn't before: what waits for it is tried soon then."""
        self.has_answered = True
        if is_again:
            self._line.heard(time.monotonic())

    def look_anew(self) -> None:
        """Have Slurm asked anew, once, for what is enqueued from here on, where that has to be known."""
        self._view = View()

    def enqueue(self, infos: Iterable[SubmittedJobInfo]) -> None:
        """Have some experiments submitted, in order, as far as Slurm takes them."""
        for members in _packed(infos):
            pack = _Pack(members)
            self._line.add(pack, pack.rank)
        self.work_on()

    def work_on(self) -> None:
        """Have threads that submit what waits."""
        with self._counting:
            new = 0 if self._is_leaving else _THREADS - self._workers
            self._workers += new
        for _ in range(new):
            self._pool.submit(self._work)

    def _work(self) -> None:
        try:
            while not self._is_leaving and (pack := self._line.take(time.monotonic())) is not None:
                self._try(pack)
        finally:
            with self._counting:
                self._workers -= 1

    def _try(self, pack: _Pack) -> None:
        """Submit one job, or find who has its experiments; never raises: it runs in a thread."""
        try:
            receipt = self._submit(pack)
        except Full as error:
            self.has_answered = True
            is_first = self._line.refused(pack, Short.FULL, time.monotonic())
            if is_first and not self._is_full_said:
                self._is_full_said = True
                self._logger.info(f"Slurm takes no more jobs for now ({error}); the rest is submitted as jobs end.")
        except (Busy, NoCluster) as error:
            self._put_off(pack, error)
        except Refused as error:
            self._line.answered(pack)
            self._give_up(pack, str(error))
        except Exception as error:
            self._line.dropped(pack)
            pack.drop()
            if len(pack.infos) > 1 and isinstance(error, HeyhiError):
                # One of them can't be claimed or written: that is no matter of the others'.
                for info in pack.infos:
                    self._line.add(_Pack([info]), pack.rank)
                return
            text = text_of(error) if isinstance(error, HeyhiError) else f"{type(error).__name__}: {error}"
            _fail(pack.tasks, f"not submitted: {text}")
        else:
            if receipt is None or not receipt.job_id:
                self._line.dropped(pack)
            else:
                self.has_answered = True
                self._line.taken(pack, time.monotonic())

    def _submit(self, pack: _Pack) -> Receipt | None:
        if self.stopped:
            pack.drop()
            _fail(pack.tasks, self.stopped)
            return None
        if pack.handover is not None and pack.handover.is_outdated:
            pack.drop()
            self._view = View()
        if pack.handover is None:
            pack.handover = self._prepare(pack)
        receipt = hand_over(pack.handover)
        for info in pack.infos:
            task = task_of(info)
            if (why := receipt.refused.get(task.experiment.exp_path)) is not None:
                task.failed = why
            else:
                self._take_note(task, receipt)
                info.external_jobid = task.job_id or None
                task.is_waiting = False
        pack.drop()  # what it has kept of those that nobody handed over
        return receipt

    def _prepare(self, pack: _Pack) -> Handover:
        tasks, left_out = pack.tasks, self._left_out.nodes
        for task in tasks:
            task.left_out = left_out
        return prepare_job(
            [task.experiment for task in tasks],
            tasks[0].request,
            tasks[0].order,
            self._view,
            attempt=tasks[0].attempt,
            left_out=left_out,
        )

    def _put_off(self, pack: _Pack, error: SlurmError) -> None:
        """Let a job wait until Slurm answers again; but not for ever, and not where there never was any."""
        now = time.monotonic()
        is_heard = pack.handover is not None and pack.handover.is_heard_again  # ours no more once it waits again
        if isinstance(error, NoCluster) and not self.has_answered:
            self._line.answered(pack)
            self._give_up(pack, str(error))
        elif self._line.away_seconds(now) < _AWAY_SECONDS:
            is_first = self._line.refused(pack, Short.AWAY, now)
            if is_first:
                minutes = round(_AWAY_SECONDS / 60)
                self._logger.warning(f"Slurm takes no jobs now, and is asked again for {minutes} minutes: {error}")
            if is_heard:
                self.hear(is_again=True)
        else:
            self._line.answered(pack)
            for one in [pack, *self._line.clear()]:
                self._give_up(one, f"{error}, for {round(_AWAY_SECONDS / 60)} minutes")

    def _give_up(self, pack: _Pack, why: str) -> None:
        """Put on record that Slurm takes no job for some experiments."""
        try:
            if pack.handover is None:
                pack.handover = self._prepare(pack)
            pack.handover.refuse(why)
        except HeyhiError as error:
            self._logger.warning(f"{pack.tasks[0].experiment.exp_id}: {error}")
        pack.drop()
        for task in pack.tasks:
            self.refused[task.experiment.exp_path] = f"not submitted: {why}"
        _fail(pack.tasks, f"not submitted: {why}")

    def _take_note(self, task: Task, receipt: Receipt) -> None:
        path = task.experiment.exp_path
        if path not in receipt.owned:
            task.job_id, task.is_ours = receipt.job_id, True
            self.submitted.setdefault(receipt.job_id, []).append(path)
            self.count_member(task.job_id, 1)
            self._logger.info(f"{task.experiment.exp_id}: job {receipt.job_id}")
            return
        owner = receipt.owned[path]
        task.job_id, task.is_ours = self._job_of(owner), False
        self.count_member(task.job_id, 1)
        if task.is_of_launch and task.job_id:
            task.is_ours, task.is_of_launch = True, False
            self.submitted.setdefault(task.job_id, []).append(path)
            with contextlib.suppress(HeyhiError):  # which its status says
                task.attempt = max(task.attempt, task.attempt_of_job)
        if owner is not None and not task.is_ours:
            self.adopted.add(task.job_id or str(path))
            self._logger.info(f"{task.experiment.exp_id}: waiting for {owner.describe()}, which has it")

    def count_member(self, job_id: str, change: int) -> None:
        """Note that a job has an experiment, or that it is over; a job without any leaves its place to another."""
        if not job_id:
            return
        with self._counting:
            self._members[job_id] += change
            is_over = not self._members[job_id]
        if is_over:
            self._line.ended(time.monotonic())

    def members(self, job_id: str) -> int:
        """Return how many experiments a job has that aren't over, as far as this launch has seen."""
        with self._counting:
            return self._members[job_id]

    def _job_of(self, owner: Owner | None) -> str:
        if owner is None:
            return ""
        job = owner.find_job(self._view.queue)
        return owner.job or (job.job_id if job is not None else "")

    def end(self) -> None:
        """Let what is just being submitted come to its end, and leave what only waits as if it never had."""
        self._is_leaving = True
        self._pool.shutdown(wait=True)
        for pack in self._line.clear():
            pack.drop()


def _packed(infos: Iterable[SubmittedJobInfo]) -> list[list[SubmittedJobInfo]]:
    """Put those together that may share a job, as many as their launcher says."""
    alike: dict[tuple[JobRequest, Path, int], list[SubmittedJobInfo]] = {}
    for info in infos:
        task = task_of(info)
        alike.setdefault((task.request, task.order.manifest, task.attempt), []).append(info)
    return [
        group[first : first + request.pack]
        for (request, _, _), group in alike.items()
        for first in range(0, len(group), request.pack)
    ]


def _fail(tasks: Iterable[Task], why: str) -> None:
    """Have it reported that some experiments won't be submitted."""
    for task in tasks:
        task.failed = why


def find_task(info: SubmittedJobInfo) -> Task | None:
    """Return the experiment of a job of Snakemake's; None where it is none of ours."""
    task = (info.aux or {}).get("heyhi")
    return task if isinstance(task, Task) else None


def task_of(info: SubmittedJobInfo) -> Task:
    """Return the experiment of a job of Snakemake's that is one of ours."""
    task = find_task(info)
    assert task is not None
    return task


def text_of(error: HeyhiError) -> str:
    """Write an error as the end of a message."""
    return f"{Status.UNKNOWN.value}: {error}" if isinstance(error, UnknownError) else str(error)
