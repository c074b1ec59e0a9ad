"""HeyHi's Snakemake executor: makes jobs of Slurm's of Snakemake's, and follows them until they have ended.

It adds to the official Slurm executor what experiments need, each difference with its reason in docs/slurm.md; jobs of
other rules are left to it.
"""

# No `from __future__ import annotations`: Snakemake reads the types of the settings' fields.
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import snakemake_executor_plugin_slurm as official
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from heyhi.code.snapshot import take_snapshot
from heyhi.errors import HeyhiError, UnknownError
from heyhi.experiment.claim import Claim, read_owner
from heyhi.experiment.death import LOST, Death, ask_accounts, find_death
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.names import CLAIM_NAME, RESULT_NAME, Status
from heyhi.experiment.owner import Owner
from heyhi.experiment.records import PRUNED, REQUEUE
from heyhi.files import forget, is_there
from heyhi.job.handover import Handover
from heyhi.job.left_out import LeftOut
from heyhi.job.line import Line, Short
from heyhi.job.order import Order, Receipt
from heyhi.job.submit import hand_over, prepare_job, settle
from heyhi.project import Project, find_project
from heyhi.slurm.cluster import check_clusters
from heyhi.slurm.commands import Busy, Full, NoCluster, Phase, Refused, SlurmError, View, cancel
from heyhi.slurm.request import JobRequest, request_of
from heyhi.slurm.surroundings import leave_job
from heyhi.sweep.continuing import continues_drifted
from heyhi.sweep.manifest import Manifest, check_is_of

common_settings = official.common_settings
# Results are looked for this often: a look costs some microseconds.
_LOOK_SECONDS = 1.0
_IDLE_SECONDS = 0.1  # with nothing to look for
# Slurm is asked less often: a call takes its controller as long as us.
_ASK_SECONDS, _MAX_ASK_SECONDS = 3.0, 120.0
_ASK_SHARE = 20.0  # times as long as the last call took
# While places are short the next job can't be submitted before an end is seen.
_SHORT_LOOK_SECONDS = 0.2
_SUBMITTERS = 4
_MAX_LOSSES = 5
# So long Slurm may be away before what it hasn't taken is given up.
_AWAY_SECONDS = 900.0
# A second Ctrl-C so soon means the same as the first.
_TWICE_SECONDS = 2.0


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


@dataclass
class _Task:
    """One experiment that Snakemake waits for."""

    experiment: Experiment
    request: JobRequest
    order: Order
    attempt: int = 1  # of this launch
    job_id: str = ""  # of Slurm's; empty while another process has it, or Slurm takes none
    left_out: tuple[str, ...] = ()  # nodes, when it was submitted last
    losses: int = 0  # jobs of it that Slurm has forgotten
    is_ours: bool = False
    is_unknown: bool = False  # and that was said
    is_waiting: bool = True  # to be handed over
    failed: str = ""  # why it won't be

    @property
    def folder(self) -> ExperimentDir:
        return ExperimentDir(self.experiment.exp_path)

    @property
    def is_done(self) -> bool:
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
    def tasks(self) -> list[_Task]:
        return [_task_of(info) for info in self.infos]

    @property
    def rank(self) -> float:
        """Where in line it is: as Snakemake's priority says, which is the sweep's order."""
        return -max(float(info.job.priority) for info in self.infos)

    def drop(self) -> None:
        """Give up what was prepared."""
        if self.handover is not None:
            self.handover.drop()
        self.handover = None


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
        self._view = View()
        self._ask_at = 0.0
        self._others_at = 0.0
        self._others_seconds: Any = None  # as yet
        self._pause = _ASK_SECONDS  # after the last answer
        self._failures = 0
        self._manifests: dict[Path, tuple[Manifest, Order]] = {}
        self._submitted: dict[str, list[Path]] = {}  # job id -> exp paths, of what this run has submitted itself
        self._adopted: set[str] = set()
        self._exceptions: Counter[str] = Counter()
        self._successes = 0
        self._stopped = ""
        self._leaving = ""
        self._is_leaving = False
        self._line: Line[_Pack] = Line()
        self._workers = 0  # that take from the line, or are about to
        self._counting = threading.Lock()
        self._members: Counter[str] = Counter()  # job id -> experiments that it has and that aren't over
        self._refused: dict[Path, str] = {}  # exp path -> why Slurm takes no job for it
        self._is_full_said = False
        self._has_answered = False  # Slurm, ever
        self._look_at = 0.0  # at those that only wait to be submitted
        self._catches_signals = False
        self._interrupted_at = -_TWICE_SECONDS
        self._is_cancelling = False
        self._project: Project = find_project(Path.cwd())
        self._left_out = LeftOut(self._project.settings.node_faults)
        super().__post_init__(test_mode)
        self._submitters = ThreadPoolExecutor(_SUBMITTERS, thread_name_prefix="heyhi-submit")

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
        ready = []
        for job in sorted(ours, key=lambda job: -float(job.priority)):
            self.run_job_pre(job)
            try:
                task = self._task_of(job)
            except HeyhiError as error:
                self.report_job_error(SubmittedJobInfo(job), msg=f"{error} ")
                continue
            info = SubmittedJobInfo(job, aux={"heyhi": task})
            task.failed = self._refused.get(task.experiment.exp_path, "")
            self.report_job_submission(info)
            if not task.failed:
                ready.append(info)
        self._enqueue(ready)

    def _enqueue(self, infos: Iterable[SubmittedJobInfo]) -> None:
        """Have some experiments submitted, in order, as far as Slurm takes them."""
        self._view = View()
        for members in _packed(infos):
            pack = _Pack(members)
            self._line.add(pack, pack.rank)
        self._work_on()

    def _task_of(self, job: Any) -> _Task:
        path = Path(str(job.resources["manifest"])).absolute()
        if path not in self._manifests:
            manifest = Manifest.open(path)
            check_is_of(manifest, self._project, "snakemake --profile PROFILE --config manifest=")
            self._manifests[path] = manifest, self._order(manifest)
        manifest, order = self._manifests[path]
        experiment = manifest.experiment(str(job.output[0]))
        message = order.schema.parse_root(experiment.config)
        return _Task(experiment, request_of(getattr(message, experiment.task)), order, attempt=job.attempt)

    def _order(self, manifest: Manifest) -> Order:
        snapshot = None
        if not self.workflow.executor_settings.no_snapshot and manifest.code_root == self._project.root:
            snapshot = take_snapshot(self._project)
        return Order(
            manifest=manifest.path,
            schema=manifest.schema(),
            results_root=manifest.results_root,
            state_root=self._project.state_root,
            code_root=snapshot.root if snapshot is not None else manifest.code_root,
            snapshot=snapshot,
            identity_ignore=manifest.project.settings.identity_ignore,
            continue_drifted=continues_drifted(self.workflow.config),
            node_faults=manifest.project.settings.node_faults,
        )

    def _work_on(self) -> None:
        """Have threads that submit what waits."""
        with self._counting:
            new = 0 if self._is_leaving else _SUBMITTERS - self._workers
            self._workers += new
        for _ in range(new):
            self._submitters.submit(self._work)

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
            self._has_answered = True
            is_first = self._line.refused(pack, Short.FULL, time.monotonic())
            if is_first and not self._is_full_said:
                self._is_full_said = True
                self.logger.info(f"Slurm takes no more jobs for now ({error}); the rest is submitted as jobs end.")
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
            text = _text_of(error) if isinstance(error, HeyhiError) else f"{type(error).__name__}: {error}"
            _fail(pack.tasks, f"not submitted: {text}")
        else:
            if receipt is None or not receipt.job_id:
                self._line.dropped(pack)
            else:
                self._has_answered = True
                self._line.taken(pack, time.monotonic())

    def _submit(self, pack: _Pack) -> Receipt | None:
        if self._stopped:
            pack.drop()
            _fail(pack.tasks, self._stopped)
            return None
        if pack.handover is not None and pack.handover.is_outdated:
            pack.drop()
            self._view = View()
        if pack.handover is None:
            pack.handover = self._prepare(pack)
        receipt = hand_over(pack.handover)
        for info in pack.infos:
            task = _task_of(info)
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
        if isinstance(error, NoCluster) and not self._has_answered:
            self._line.answered(pack)
            self._give_up(pack, str(error))
        elif self._line.away_seconds(now) < _AWAY_SECONDS:
            if self._line.refused(pack, Short.AWAY, now):
                minutes = round(_AWAY_SECONDS / 60)
                self.logger.warning(f"Slurm takes no jobs now, and is asked again for {minutes} minutes: {error}")
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
            self.logger.warning(f"{pack.tasks[0].experiment.exp_id}: {error}")
        pack.drop()
        for task in pack.tasks:
            self._refused[task.experiment.exp_path] = f"not submitted: {why}"
        _fail(pack.tasks, f"not submitted: {why}")

    def _take_note(self, task: _Task, receipt: Receipt) -> None:
        path = task.experiment.exp_path
        if path not in receipt.owned:
            task.job_id, task.is_ours = receipt.job_id, True
            self._submitted.setdefault(receipt.job_id, []).append(path)
            self._count_member(task.job_id, 1)
            self.logger.info(f"{task.experiment.exp_id}: job {receipt.job_id}")
            return
        owner = receipt.owned[path]
        task.job_id, task.is_ours = self._job_of(owner), False
        self._count_member(task.job_id, 1)
        if owner is not None:
            self._adopted.add(task.job_id or str(path))
            self.logger.info(f"{task.experiment.exp_id}: waiting for {owner.describe()}, which has it")

    def _count_member(self, job_id: str, change: int) -> None:
        """Note that a job has an experiment, or that it is over; a job without any leaves its place to another."""
        if not job_id:
            return
        with self._counting:
            self._members[job_id] += change
            is_over = not self._members[job_id]
        if is_over:
            self._line.ended(time.monotonic())

    def _job_of(self, owner: Owner | None) -> str:
        if owner is None:
            return ""
        job = owner.find_job(self._view.queue)
        return owner.job or (job.job_id if job is not None else "")

    # --- following

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report what has ended; yield the rest."""
        ours = [info for info in active_jobs if _task(info) is not None]
        others = [info for info in active_jobs if _task(info) is None]
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
        # Who ends the run waits for this, too.
        self.next_seconds_between_status_checks = self._look_seconds if active_jobs else _IDLE_SECONDS

    @property
    def _look_seconds(self) -> float:
        return _SHORT_LOOK_SECONDS if self._line.is_short else _LOOK_SECONDS

    def _look(self, infos: list[SubmittedJobInfo]) -> list[SubmittedJobInfo]:
        if not infos:  # perhaps nothing of ours is prepared yet
            return []
        waiting = self._without_done(self._without_failed(infos))
        self._work_on()
        if not waiting or time.monotonic() < self._ask_at:
            return waiting
        view = View()
        dead = [info for info in waiting if self._is_dead(info, view)]
        self._pace(view)
        if not dead:
            return waiting
        # A result may have come before the job was seen to be over.
        gone = set(map(id, dead))
        kept = [info for info in waiting if id(info) not in gone]
        dead = self._without_done(dead)
        ask_accounts((_task_of(info).folder for info in dead), view)
        again = [one for info in dead for one in self._bury(info, view)]
        self._enqueue(again)
        return kept + again

    def _without_failed(self, infos: Iterable[SubmittedJobInfo]) -> list[SubmittedJobInfo]:
        """Report those that won't be submitted; return the rest."""
        left = []
        for info in infos:
            task = _task_of(info)
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
            task = _task_of(info)
            if (is_for_all or not task.is_waiting) and task.is_done:
                self._successes += 1
                self._count_member(task.job_id, -1)
                self.report_job_success(info)
            else:
                waiting.append(info)
        return waiting

    def _is_dead(self, info: SubmittedJobInfo, view: View) -> bool:
        """Return whether nobody has an experiment any more; what can't be found out counts as alive."""
        task = _task_of(info)
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
            if is_queued and task.request.pack == 1:
                return False
        try:
            names = os.listdir(task.folder.path)  # noqa: PTH208 (makes NFS look again)
            if RESULT_NAME in names:  # as the next look at all will find
                forget(task.folder.result_path)
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

    def _pace(self, view: View) -> None:
        """Ask less often when an answer takes long, or doesn't come."""
        if view.queue.error:
            self._failures += 1
            if self._failures in (1, 10):
                self.logger.warning(f"Slurm doesn't answer, and is asked again: {view.queue.error}")
            wait = min(_ASK_SECONDS * 2**self._failures, _MAX_ASK_SECONDS)
        else:
            self._failures = 0
            self._has_answered = True
            # One late answer says little: it may be that Slurm's controller was started anew.
            most = min(2 * self._pause, _MAX_ASK_SECONDS)
            wait = self._pause = min(max(_ASK_SECONDS, _ASK_SHARE * view.queue.seconds), most)
        self._ask_at = time.monotonic() + wait

    def _bury(self, info: SubmittedJobInfo, view: View) -> list[SubmittedJobInfo]:
        """Report an experiment as dead, or submit it again."""
        task = _task_of(info)
        if task.experiment.exp_path in self._submitted.get(task.job_id, []):
            self._submitted[task.job_id].remove(task.experiment.exp_path)  # there is nothing to cancel any more
        self._count_member(task.job_id, -1)
        try:
            if not is_there(task.folder.path):
                self.report_job_error(info, msg=f"{task.experiment.exp_id}: its folder was removed ")
                return []
            death = find_death(task.folder, view)
            self._settle(task, view)
            fault = self._left_out.blame(task.folder, death, task.left_out)
        except HeyhiError as error:
            self.report_job_error(info, msg=f"{task.experiment.exp_id}: {_text_of(error)} ")
            return []
        if fault:
            self.logger.warning(f"{task.experiment.exp_id}: {fault}")
        if self._goes_on(task, death, is_fault=bool(fault)):
            self.logger.info(f"{task.experiment.exp_id}: {death.text}: submitted again")
            task.job_id, task.is_waiting = "", True
            return [info]
        if death.exception:
            self._count(death.exception)
        status = Status.PRUNED if death.kind == PRUNED else Status.DEAD
        self.report_job_error(info, msg=f"{task.experiment.exp_id}: {status.value}: {death.text} ")
        return []

    def _settle(self, task: _Task, view: View) -> None:
        claim = Claim.acquire(task.folder.path, kind="controller", queue=view.queue)
        if isinstance(claim, Claim):
            with claim:
                settle(task.folder, view)

    def _goes_on(self, task: _Task, death: Death, *, is_fault: bool) -> bool:
        """Return whether an experiment that ended is to be submitted again, by this same launch."""
        if not task.is_ours:
            # Who had it has gone: now it is ours to start.
            task.is_ours = True
            return is_fault or death.kind in ("killed", "terminated", LOST, REQUEUE, "PREEMPTED", "NODE_FAIL")
        if death.kind in ("CANCELLED", PRUNED) or self._stopped:
            return False
        # These are no failures of the experiment, and don't count.
        if is_fault:
            return True
        if task.request.requeue and death.kind in (REQUEUE, "PREEMPTED"):
            return True
        if death.kind == LOST and task.losses < _MAX_LOSSES:
            task.losses += 1
            return True
        if task.attempt >= task.request.max_attempts:
            return False
        task.attempt += 1
        return True

    def _count(self, exception: str) -> None:
        limit = self._project.settings.stop_after_same_error
        self._exceptions[exception] += 1
        if limit and not self._successes and self._exceptions[exception] >= limit and not self._stopped:
            self._stopped = (
                f"not submitted: {limit} experiments ended with the same error, and none is done: {exception}"
            )
            self.logger.error(f"No more is submitted. {self._stopped}")

    # --- ending

    def _catch_signals(self) -> None:
        """Leave the jobs alone when this process is ended, other than by Ctrl-C; Snakemake would cancel them.

        Not earlier than here: Snakemake sets a handler of its own once it has made this executor.
        """
        if self._catches_signals or threading.current_thread() is not threading.main_thread():
            return
        self._catches_signals = True

        def leave(number: int, frame: FrameType | None) -> None:
            self._leaving = signal.Signals(number).name
            raise SystemExit(128 + number)

        def interrupt(number: int, frame: FrameType | None) -> None:
            # An impatient one must not end the cancelling half-way: the jobs would go on, and nobody would say so.
            now = time.monotonic()
            if self._is_cancelling or now < self._interrupted_at + _TWICE_SECONDS:
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
        others = [info for info in active_jobs if _task(info) is None]
        if others and not self._leaving:
            super().cancel_jobs(others)
        self._end_submitting()
        open_jobs = [job_id for job_id, paths in self._submitted.items() if not all(map(_has_result, paths))]
        if self._leaving:
            self.logger.info(
                f"{self._leaving}: {len(open_jobs)} jobs go on without this process; the same command takes them over."
            )
            return
        if open_jobs:
            try:
                cancel(open_jobs)
            except SlurmError as error:
                self.logger.error(f"{len(open_jobs)} jobs could not be cancelled: {error}")
                return
        left = f"; {len(self._adopted)} that others have submitted go on" if self._adopted else ""
        self.logger.info(f"{len(open_jobs)} jobs of this run were cancelled{left}.")

    def shutdown(self) -> None:
        """End the threads."""
        self._end_submitting()
        super().shutdown()

    def _end_submitting(self) -> None:
        """Let what is just being submitted come to its end, and leave what only waits as if it never had."""
        self._is_leaving = True
        self._submitters.shutdown(wait=True)
        for pack in self._line.clear():
            pack.drop()


def _packed(infos: Iterable[SubmittedJobInfo]) -> list[list[SubmittedJobInfo]]:
    """Put those together that may share a job, as many as their launcher says."""
    alike: dict[tuple[JobRequest, Path, int], list[SubmittedJobInfo]] = {}
    for info in infos:
        task = _task_of(info)
        alike.setdefault((task.request, task.order.manifest, task.attempt), []).append(info)
    return [
        group[first : first + request.pack]
        for (request, _, _), group in alike.items()
        for first in range(0, len(group), request.pack)
    ]


def _fail(tasks: Iterable[_Task], why: str) -> None:
    """Have it reported that some experiments won't be submitted."""
    for task in tasks:
        task.failed = why


def _is_experiment(job: Any) -> bool:
    return not job.is_group() and job.resources.get("manifest") is not None


def _task(info: SubmittedJobInfo) -> _Task | None:
    task = (info.aux or {}).get("heyhi")
    return task if isinstance(task, _Task) else None


def _task_of(info: SubmittedJobInfo) -> _Task:
    task = _task(info)
    assert task is not None
    return task


def _text_of(error: HeyhiError) -> str:
    return f"{Status.UNKNOWN.value}: {error}" if isinstance(error, UnknownError) else str(error)


def _has_result(path: Path) -> bool:
    return os.access(ExperimentDir(path).result_path, os.F_OK)
