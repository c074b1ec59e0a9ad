"""HeyHi's Snakemake executor: makes jobs of Slurm's of Snakemake's, and follows them until they have ended.

It adds to the official Slurm executor what experiments need, each difference with its reason in `heyhi docs slurm`;
jobs of other rules are left to it.
"""

# No `from __future__ import annotations`: Snakemake reads the types of the settings' fields.
import asyncio
import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from heyhi.errors import HeyhiError
from heyhi.experiment.claim import Claim, read_owner
from heyhi.experiment.death import LOST, Death, ask_accounts, find_death
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import CLAIM_NAME, RESULT_NAME, Status
from heyhi.experiment.records import PRUNED, REQUEUE
from heyhi.files import forget, is_there
from heyhi.job.ending import TWICE_SECONDS
from heyhi.job.given_up import GivenUp
from heyhi.job.interrupt import drop_what_is_said
from heyhi.job.left_out import LeftOut
from heyhi.job.official import official
from heyhi.job.order import Order, order_of
from heyhi.job.own_retry import Again, again_after
from heyhi.job.slot_end import bury, finish, is_for_good, why_dead
from heyhi.job.starving import note_starving
from heyhi.job.submit import settle
from heyhi.job.submitter import Submitter, Task, find_task, task_of, text_of
from heyhi.job.withdrawing import give_up_waiting, withdraw
from heyhi.project import Project, find_project
from heyhi.slurm.cluster import check_clusters
from heyhi.slurm.commands import Phase, Queue, SlurmError, View, cancel, cancel_waiting
from heyhi.slurm.request import request_of
from heyhi.slurm.surroundings import leave_job
from heyhi.sweep.budget import BUDGET_SETTING, Budget
from heyhi.sweep.canaries import canaries_in
from heyhi.sweep.continuing import continues_drifted
from heyhi.sweep.held_note import hold
from heyhi.sweep.manifest import Manifest, check_is_of

common_settings = official.common_settings
# Results are looked for this often, soon after something has happened most often: a look costs some microseconds an
# experiment, and takes no more than its share of the time.
_LEAST_LOOK_SECONDS, _LOOK_SECONDS = 0.1, 1.0
_LOOK_SHARE, _QUIET_SHARE = 100.0, 20.0  # times as long as a look took; of the time for which nothing has happened
_IDLE_SECONDS = 0.1  # with nothing to look for
# Slurm is asked less often: a call takes its controller as long as us.
_ASK_SECONDS, _MAX_ASK_SECONDS = 3.0, 120.0
_ASK_SHARE = 20.0  # times as long as the last call took
# While places are short the next job can't be submitted before an end is seen.
_SHORT_LOOK_SECONDS = 0.2
# For a job to end when all have ended that ran in it: what they have left is ended first, and nodes may be slow.
_END_SECONDS = 120.0
# So long jobs that were cancelled may take to end before the run's table is made.
_CANCEL_SECONDS, _CANCEL_LOOK_SECONDS = 5.0, 0.3


@dataclass
class ExecutorSettings(official.ExecutorSettings):  # type: ignore[misc]
    """The official executor's settings, and ours."""

    no_snapshot: bool = field(
        default=False,
        metadata={
            "help": "Run the code of the work tree as it is when a job starts, instead of a copy that is made now.",
            "env_var": False,
            "required": False,
        },
    )
    given_up: str = field(
        default="",
        metadata={
            "help": "File of what earlier runs of the same launch have given up, and this one doesn't start.",
            "env_var": False,
            "required": False,
        },
    )


class Executor(official.Executor):  # type: ignore[misc]
    """Run experiments as jobs of Slurm's: without a Snakemake on the node, adopted by whoever comes next."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        # Before the official one's own, which inside a job drops all that begins with SLURM_: SLURM_CONF as well.
        if leave_job():
            logger.info("This Snakemake runs in a job, and ends with it; the jobs that it submits go on.")
        try:
            check_clusters()
        except HeyhiError as error:
            raise WorkflowError(str(error)) from None
        super().__init__(workflow, logger)

    def __post_init__(self, test_mode: bool = False) -> None:
        """Prepare for jobs."""
        # Before anything of ours is asked for: the thread that looks for ended jobs runs already.
        self._ask_at = 0.0
        self._others_at = 0.0
        self._others_seconds: Any = None  # as yet
        self._pause = _ASK_SECONDS  # after the last answer
        self._failures = 0
        self._manifests: dict[Path, tuple[Manifest, Order]] = {}
        self._exceptions: Counter[str] = Counter()
        self._successes = 0
        self.left_by: signal.Signals | None = None  # what has ended this process, where its jobs go on
        self._look_at = 0.0  # at those that only wait to be submitted
        self._changed_at = 0.0  # when something was submitted or has ended, last
        self._look_took = 0.0
        self._catches_signals = False
        self._interrupted_at = -TWICE_SECONDS
        self._is_cancelling = False
        self._ending: dict[str, float] = {}  # job id -> until when its end is waited for
        self._project: Project = find_project(Path.cwd())
        self._canaries = canaries_in(self._project, self.workflow.config)
        self._left_out = LeftOut(self._project.settings.node_faults)
        self._submitter = Submitter(self.logger, self._left_out)
        told = self.workflow.executor_settings.given_up
        self._given_up = GivenUp(Path(told) if told else None)
        self._budget = Budget.of_run(self._project.state_root, self.workflow.config)
        self._held = ""  # why nothing more is started of a launch that has one
        super().__post_init__(test_mode)

    # --- submitting

    def run_jobs(self, jobs: list[Any]) -> None:
        """Submit jobs; those of experiments are ours, the others the official executor's."""
        ours = [job for job in jobs if _is_experiment(job)]
        others = [job for job in jobs if not _is_experiment(job)]
        if others:
            super().run_jobs(others)
        if not ours:
            return
        self._catch_signals()
        self._look_at_budget()
        self._changed_at = time.monotonic()
        ready = []
        for job in sorted(ours, key=lambda job: -float(job.priority)):
            self.run_job_pre(job)
            try:
                task = self._task_of(job)
            except HeyhiError as error:
                self.report_job_error(SubmittedJobInfo(job), msg=f"{error} ")
                continue
            info = SubmittedJobInfo(job, aux={"heyhi": task})
            path = task.experiment.exp_path
            task.failed = self._submitter.refused.get(path, "") or self._given_up.why(path)
            self.report_job_submission(info)
            if not (task.failed or self._is_followed(task)):
                ready.append(info)
        self._submitter.enqueue(ready)

    def _is_followed(self, task: Task) -> bool:
        """Return whether an experiment has a job of this launch already, by an earlier controller: it is ours then."""
        if not self._given_up.is_handed_on or task.is_done:
            return False
        try:
            last = task.folder.read_submission()
        except HeyhiError:
            return False
        if last is None or not self._given_up.has_submitted(task.experiment.exp_path, last):
            return False
        task.job_id, task.is_ours, task.is_waiting = last.job_id, True, False
        task.attempt = last.attempt
        self._submitter.submitted.setdefault(last.job_id, []).append(task.experiment.exp_path)
        self._submitter.count_member(last.job_id, 1)
        self.logger.info(f"{task.experiment.exp_id}: waiting for job {last.job_id}, which has it")
        return True

    def _task_of(self, job: Any) -> Task:
        path = Path(str(job.resources["manifest"])).absolute()
        if path not in self._manifests:
            manifest = Manifest.open(path)
            check_is_of(manifest, self._project, "snakemake --profile PROFILE --config manifest=")
            self._manifests[path] = manifest, self._order(manifest)
        manifest, order = self._manifests[path]
        experiment = manifest.experiment(str(job.output[0]))
        message = order.schema.parse_root(experiment.config)
        path = experiment.exp_path
        attempt = max(job.attempt, self._given_up.attempt(path))
        request = request_of(getattr(message, experiment.task))
        is_of_launch = self._given_up.is_handed_on or str(path) in self._canaries
        return Task(experiment, request, order, attempt=attempt, is_of_launch=is_of_launch)

    def _order(self, manifest: Manifest) -> Order:
        return order_of(
            manifest,
            self._project,
            no_snapshot=self.workflow.executor_settings.no_snapshot,
            continue_drifted=continues_drifted(self.workflow.config),
            config=self.workflow.config,
        )._replace(launch=str(self.workflow.config.get(BUDGET_SETTING) or ""))

    # --- following

    # Ends the wait for the next look. The thread that waits runs before anything else of ours is there.
    _wake: Callable[[], object] | None = None

    async def sleep(self) -> None:
        """Wait until the next look, or until the run ends, which waits for this."""
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(over.set)
        if self.wait:  # asked after `_wake` is there: who ends the run takes them the other way round
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self.next_seconds_between_status_checks)

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report what has ended; yield the rest."""
        ours = [info for info in active_jobs if find_task(info) is not None]
        others = [info for info in active_jobs if find_task(info) is None]
        if others and time.monotonic() < self._others_at:
            for info in others:
                yield info
        elif others:
            # How long until the next time is the official executor's to say, and follows from what it said last.
            self.next_seconds_between_status_checks = self._others_seconds
            async for info in super().check_active_jobs(others):
                yield info
            seconds = float(self.next_seconds_between_status_checks)
            self._others_seconds, self._others_at = seconds, time.monotonic() + seconds
        for info in self._look(ours):
            yield info
        self.next_seconds_between_status_checks = self._look_seconds if active_jobs else _IDLE_SECONDS

    @property
    def _look_seconds(self) -> float:
        if self._submitter.is_short:
            return _SHORT_LOOK_SECONDS
        quiet = time.monotonic() - self._changed_at
        wait = max(_LEAST_LOOK_SECONDS, quiet / _QUIET_SHARE, _LOOK_SHARE * self._look_took)
        return min(wait, _LOOK_SECONDS)

    def _look(self, infos: list[SubmittedJobInfo]) -> list[SubmittedJobInfo]:
        if not infos:  # perhaps nothing of ours is prepared yet
            return []
        self._look_at_budget()
        began = time.monotonic()
        waiting = self._without_done(self._without_failed(infos))
        self._look_took = time.monotonic() - began
        if len(waiting) < len(infos):
            self._changed_at = began
        self._submitter.work_on()
        note_starving(starves=self._submitter.starves)
        if not waiting or time.monotonic() < self._ask_at:
            return waiting
        view = View()
        dead = self._without_ending([info for info in waiting if self._is_dead(info, view)], view)
        self._pace(view)
        if not dead:
            return waiting
        # A result may have come before the job was seen to be over.
        gone = set(map(id, dead))
        kept = [info for info in waiting if id(info) not in gone]
        dead = self._without_done(dead)
        ask_accounts((task_of(info).folder for info in dead), view)
        again = [one for info in dead for one in self._bury(info, view)]
        self._submitter.enqueue(again)
        return kept + again

    def _look_at_budget(self) -> None:
        """Submit nothing more once the launch's GPU-hours were used, and cancel what only waits for nodes."""
        if self._budget is None or self._held or not (why := self._budget.why_none()):
            return
        self._held = self._submitter.stopped = why
        self.logger.error(f"No more is submitted. {why}")
        try:
            # All of it before anything is cancelled: this process may be killed at any moment.
            hold(self._budget.folder.parent, why)
            for job_id, paths in list(self._submitter.submitted.items()):
                give_up_waiting(paths, job_id)
            cancel_waiting(self._submitter.submitted)  # one that begins just now finds out by itself
        except HeyhiError as error:
            self.logger.warning(f"What waits in Slurm's queue was not cancelled, and starts nothing: {error}")

    def _is_held(self, task: Task, view: View) -> bool:
        """Return whether an experiment was held back before its job began; then it is as if it had had none."""
        if not self._held or not task.job_id:
            return False
        claim = Claim.acquire(task.folder.path, kind="controller", queue=view.queue)
        if not isinstance(claim, Claim):
            return False
        with claim:
            return withdraw(task.folder, task.job_id)

    def _without_failed(self, infos: Iterable[SubmittedJobInfo]) -> list[SubmittedJobInfo]:
        """Report those that won't be submitted; return the rest."""
        left = []
        for info in infos:
            task = task_of(info)
            if task.failed:
                self.report_job_error(info, msg=f"{task.experiment.exp_id}: {task.failed} ")
            else:
                left.append(info)
        return left

    def _without_done(self, infos: Iterable[SubmittedJobInfo]) -> list[SubmittedJobInfo]:
        now = time.monotonic()
        is_for_all = now >= self._look_at
        if is_for_all:
            self._look_at = now + _LOOK_SECONDS
        waiting = []
        for info in infos:
            task = task_of(info)
            if (is_for_all or not task.is_waiting) and task.is_done:
                self._submitter.count_member(task.job_id, -1)
                self._report_done(info)
            else:
                waiting.append(info)
        return waiting

    def _report_done(self, info: SubmittedJobInfo) -> None:
        """Report one whose result is there; of a slot, that its experiment is final for the search, so also dead."""
        slot = task_of(info).slot
        why = why_dead(slot) if slot is not None else ""
        if why:
            self._count(why)
        else:
            self._successes += 1
        self.report_job_success(info)

    def _is_dead(self, info: SubmittedJobInfo, view: View) -> bool:
        """Return whether nobody has an experiment any more; what can't be found out counts as alive."""
        task = task_of(info)
        if task.is_waiting:
            return False
        is_queued = False
        if task.job_id:
            if not view.queue.has_answer:
                return False
            job = view.queue.job(task.job_id)
            if job is not None and not job.may_be(task.experiment.identity.digest):
                job = None
            # One of several in a job may have ended before the others.
            is_queued = job is not None and job.phase is not Phase.OVER
            if is_queued and task.request.pack == 1 and not (job is not None and job.is_worker):
                return False
        try:
            names = os.listdir(task.folder.path)  # noqa: PTH208 (makes NFS look again)
            if RESULT_NAME in names or (task.experiment.is_slot and RESULT_NAME in task.folder.look_anew()):
                forget(task.folder.result_path)  # as the next look at all will find
                return False
            return read_owner(task.folder.path, view.queue, is_there=CLAIM_NAME in names) is None
        except FileNotFoundError:
            # Somebody has removed the folder, and the claim in it.
            return not is_queued
        except (HeyhiError, OSError) as error:
            if not task.is_unknown and not is_queued:
                task.is_unknown = True
                self.logger.warning(f"{task.experiment.exp_id}: {Status.UNKNOWN.value}, and waited for: {error}")
            return False

    def _without_ending(self, infos: list[SubmittedJobInfo], view: View) -> list[SubmittedJobInfo]:
        """Leave out the last of jobs that are about to end: only then Slurm says how, of what has run out of memory."""
        counts = Counter(task_of(info).job_id for info in infos)

        def is_ending(task: Task) -> bool:
            job = view.queue.known(task.job_id) if task.job_id else None
            if job is None or job.phase is not Phase.RUNNING or not job.may_be(task.experiment.identity.digest):
                return False
            if job.is_worker or counts[task.job_id] < self._submitter.members(task.job_id):
                return False
            # Others may have the rest of the job: then it goes on.
            return time.monotonic() < self._ending.setdefault(task.job_id, time.monotonic() + _END_SECONDS)

        return [info for info in infos if not is_ending(task_of(info))]

    def _pace(self, view: View) -> None:
        """Ask less often when an answer takes long, or doesn't come."""
        if view.queue.asked is None:  # there was nothing to ask about: that says nothing of Slurm
            self._ask_at = time.monotonic() + self._pause
            return
        if view.queue.error:
            self._failures += 1
            if self._failures in (1, 10):
                self.logger.warning(f"Slurm doesn't answer, and is asked again: {view.queue.error}")
            wait = min(_ASK_SECONDS * 2**self._failures, _MAX_ASK_SECONDS)
        else:
            if self._failures:
                self.logger.info("Slurm answers again.")
            self._submitter.hear(is_again=self._failures > 0)
            self._failures = 0
            # One late answer says little: it may be that Slurm's controller was started anew.
            most = min(2 * self._pause, _MAX_ASK_SECONDS)
            wait = self._pause = min(max(_ASK_SECONDS, _ASK_SHARE * view.queue.seconds), most)
        self._ask_at = time.monotonic() + wait

    def _bury(self, info: SubmittedJobInfo, view: View) -> list[SubmittedJobInfo]:
        """Report an experiment as dead, or submit it again."""
        task = task_of(info)
        paths = self._submitter.submitted.get(task.job_id, [])
        if task.experiment.exp_path in paths:
            paths.remove(task.experiment.exp_path)  # there is nothing to cancel any more
        self._submitter.count_member(task.job_id, -1)
        try:
            if not is_there(task.folder.path):
                self.report_job_error(info, msg=f"{task.experiment.exp_id}: its folder was removed ")
                return []
            self._look_at_budget()
            if self._is_held(task, view):
                self.report_job_error(info, msg=f"{task.experiment.exp_id}: {self._held} ")
                return []
            folder = task.blamed
            death = find_death(folder, view)
            if self._settle(task, view):
                self._report_done(info)
                return []
            fault = self._left_out.blame(folder, death, task.left_out)
        except HeyhiError as error:
            self.report_job_error(info, msg=f"{task.experiment.exp_id}: {text_of(error)} ")
            return []
        if fault:
            self.logger.warning(f"{task.experiment.exp_id}: {fault}")
        if self._goes_on(task, death, is_fault=bool(fault)):
            self.logger.info(f"{task.experiment.exp_id}: {death.text}: submitted again")
            task.job_id, task.is_waiting = "", True
            return [info]
        if not self._submitter.stopped and self._is_buried(task, death, view):
            self.logger.warning(f"{task.experiment.exp_id}: {Status.DEAD.value}: {death.text}")
            self._report_done(info)
            return []
        if death.exception:
            self._count(death.exception)
        status = Status.PRUNED if death.kind == PRUNED else Status.DEAD
        self._given_up.note(task.experiment.exp_path, task.attempt, f"{status.value}: {death.text}")
        self.report_job_error(info, msg=f"{task.experiment.exp_id}: {status.value}: {death.text} ")
        return []

    def _settle(self, task: Task, view: View) -> bool:
        """Put on record how its job ended; return whether it is a slot that has ended, which is written then."""
        claim = Claim.acquire(task.folder.path, kind="controller", queue=view.queue)
        if not isinstance(claim, Claim):
            return False
        with claim:
            settle(task.folder, view)
            self._note_used(task)
            slot, spec = task.slot, task.order.search
            return slot is not None and spec is not None and finish(slot, spec) is not None

    def _note_used(self, task: Task) -> None:
        """Have counted what an attempt used that was killed before it could say so."""
        if self._budget is not None and task.blamed.history().ends:
            end = task.blamed.history().ends[-1]
            self._budget.note(task.experiment.identity.digest, end.attempt, end.used)

    def _is_buried(self, task: Task, death: Death, view: View) -> bool:
        """Write that a slot's experiment is dead for the search, where that is its own fault; return whether it is."""
        slot, spec = task.slot, task.order.search
        if slot is None or spec is None or not is_for_good(death):
            return False
        try:
            claim = Claim.acquire(task.folder.path, kind="controller", queue=view.queue)
            if not isinstance(claim, Claim):
                return False
            with claim:
                return bury(slot, spec, death.text) is not None
        except HeyhiError as error:
            self.logger.warning(f"{task.experiment.exp_id}: {text_of(error)}")
            return False

    def _goes_on(self, task: Task, death: Death, *, is_fault: bool) -> bool:
        """Return whether an experiment that ended is to be submitted again, by this same launch."""
        if not task.is_ours:
            # Who had it has gone: now it is ours to start.
            task.is_ours = True
            if task.experiment.is_slot and is_for_good(death):
                task.attempt = max(task.attempt, task.attempt_of_job)
                return self._goes_on(task, death, is_fault=is_fault)
            return is_fault or death.kind in ("killed", "terminated", LOST, REQUEUE, "PREEMPTED", "NODE_FAIL")
        if self._submitter.stopped:
            return False
        again = again_after(death, task.request, task.attempt, is_fault=is_fault, losses=task.losses)
        task.losses += again is Again.LOST
        if again is Again.COUNTED:
            task.attempt += 1
            self._given_up.note(task.experiment.exp_path, task.attempt)
        return again is not Again.NEVER

    def _count(self, exception: str) -> None:
        limit = self._project.settings.stop_after_same_error
        self._exceptions[exception] += 1
        if limit and not self._successes and self._exceptions[exception] >= limit and not self._submitter.stopped:
            self._submitter.stopped = (
                f"not submitted: {limit} experiments ended with the same error, and none is done: {exception}"
            )
            self.logger.error(f"No more is submitted. {self._submitter.stopped}")

    # --- ending

    @property
    def hands_over(self) -> bool:
        """Whether this process was ended, and another one of the same launch is to go on."""
        return self.left_by is not None and bool(self.workflow.executor_settings.given_up)

    def _catch_signals(self) -> None:
        """Leave the jobs alone when this process is ended, other than by Ctrl-C; Snakemake would cancel them.

        Not earlier than here: Snakemake sets a handler of its own once it has made this executor.
        """
        if self._catches_signals or threading.current_thread() is not threading.main_thread():
            return
        self._catches_signals = True

        def leave(number: int, frame: FrameType | None) -> None:
            self.left_by = signal.Signals(number)
            drop_what_is_said()
            raise SystemExit(128 + number)

        def interrupt(number: int, frame: FrameType | None) -> None:
            # An impatient one must not end the cancelling half-way: the jobs would go on, and nobody would say so.
            now = time.monotonic()
            if self._is_cancelling or now < self._interrupted_at + TWICE_SECONDS:
                return
            self._interrupted_at = now
            raise KeyboardInterrupt

        for sign in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(sign) is not signal.SIG_IGN:
                signal.signal(sign, leave)
        # Python's own handler is one that an event loop of Snakemake's puts aside, and Ctrl-C would be lost in it.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, interrupt)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel what this run has submitted itself, unless only this process was told to end."""
        self._is_cancelling = True
        try:
            self._cancel(active_jobs)
        finally:
            self._is_cancelling = False

    def _cancel(self, active_jobs: list[SubmittedJobInfo]) -> None:
        others = [info for info in active_jobs if find_task(info) is None]
        if others and self.left_by is None:
            super().cancel_jobs(others)
        self._submitter.end()
        open_jobs = [job_id for job_id, paths in self._submitter.submitted.items() if not all(map(_has_result, paths))]
        if self.left_by is not None:
            self.logger.info(
                f"{self.left_by.name}: {len(open_jobs)} jobs go on without this process; the same command takes them"
                " over."
            )
            return
        if open_jobs:
            try:
                cancel(open_jobs)
            except SlurmError as error:
                self.logger.error(f"{len(open_jobs)} jobs could not be cancelled: {error}")
                return
        ending = _wait_for_ends(open_jobs)
        still = f", {ending} of them still ending" if ending else ""
        left = f"; {len(self._submitter.adopted)} that others have submitted go on" if self._submitter.adopted else ""
        self.logger.info(f"{len(open_jobs)} jobs of this run were cancelled{still}{left}.")

    def shutdown(self) -> None:
        """End the threads."""
        self._submitter.end()
        with self.lock:
            self.wait = False
        if self._wake is not None:
            with contextlib.suppress(RuntimeError):  # that thread has ended
                self._wake()
        super().shutdown()


def _wait_for_ends(job_ids: list[str]) -> int:
    """Wait a moment for jobs that were cancelled, so that the table that follows shows them as ended.

    Returns:
        how many haven't ended by then, as far as Slurm says: a task may be writing its checkpoint.
    """
    deadline = time.monotonic() + _CANCEL_SECONDS
    while job_ids:
        queue = Queue()
        jobs = [job for job_id in job_ids if (job := queue.job(job_id)) is not None]
        left = sum(job.phase is not Phase.OVER for job in jobs)
        if queue.error or not left or time.monotonic() >= deadline:
            return left
        time.sleep(max(_CANCEL_LOOK_SECONDS, queue.seconds))
    return 0


def _is_experiment(job: Any) -> bool:
    return not job.is_group() and job.resources.get("manifest") is not None


def _has_result(path: Path) -> bool:
    return os.access(ExperimentDir(path).result_path, os.F_OK)
