"""`heyhi launch --controller none`: all is submitted at once, and goes on by itself; what that can't be done for.

What needs another experiment waits for that one's job, by Slurm's own dependencies.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from heyhi.control.closing_job import submit_closing
from heyhi.control.controller import Controller, ControllerSpec, folders_of_spec, place
from heyhi.control.handed_over import read_jobs, write_jobs
from heyhi.control.job_claim import LAUNCHING, take
from heyhi.control.survey import Survey
from heyhi.errors import HeyhiError, LauncherError
from heyhi.experiment.folder import Experiment
from heyhi.experiment.given_files import why_missing
from heyhi.experiment.names import Status, is_winner, result_of
from heyhi.experiment.owner import Owner
from heyhi.experiment.status import find_state
from heyhi.experiment.unclaimed import find_owner
from heyhi.files import is_there, open_to_append, utc_now
from heyhi.job.order import Order, Receipt, order_of, root_mark
from heyhi.job.patience import Patience
from heyhi.job.submit import hand_over, prepare_job
from heyhi.project import Project
from heyhi.slurm.commands import Busy, Queue, Refused, View
from heyhi.slurm.forecast import beyond_limits
from heyhi.slurm.request import JobRequest, request_of
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import exp_id_of

_OPTION = "--controller none"
_OTHERS = "--controller slurm or local does"
_THREADS = 4
_SAY_SECONDS = 10.0  # between two lines that say how far it is
_WRITE_SECONDS = 1.0  # between two times that the jobs are written down
_LOOK_SECONDS = 30.0  # for which an answer of Slurm's is good
_DEPENDENCY = "dependency"  # in what sbatch says of one that it doesn't know any more


class Task(NamedTuple):
    """An experiment that is to be submitted.

    Attributes:
        experiment: it.
        request: what its job asks for.
        manifest: that its job reads.
        needs: exp paths of what it needs itself and isn't DONE.
    """

    experiment: Experiment
    request: JobRequest
    manifest: Manifest
    needs: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Its exp path."""
        return str(self.experiment.exp_path)


@dataclass
class Plan:
    """What is to be submitted, each after what it needs.

    Attributes:
        tasks: in order.
        jobs: exp path -> id of the job that has it already, of what these need and of the rest of the launch.
    """

    tasks: list[Task] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)


class Handed(NamedTuple):
    """What came of it.

    Attributes:
        controller: the launch, with its jobs.
        new: how many jobs were submitted.
        left: how many experiments weren't submitted, and would be by the same command.
        lines: what is to be said of them.
        warning: what is to be said though all is well.
        is_new: whether this launch has done it, and no other of its name does so now.
    """

    controller: Controller
    new: int = 0
    left: int = 0
    lines: tuple[str, ...] = ()
    warning: str = ""
    is_new: bool = True


def plan_of(
    project: Project, spec: ControllerSpec, survey: Survey, starting: Sequence[str], manifests: Iterable[Manifest]
) -> Plan:
    """Find out what is to be submitted, and in which order.

    Args:
        project: whose experiments they are.
        spec: what the launch is to do.
        survey: of them.
        starting: exp paths of those that a controller would start at once or later.
        manifests: by which they are run; with none, nothing of their configs is looked at.

    Raises:
        LauncherError: somebody would have to stay for it.
    """
    its = folders_of_spec(project, spec)
    wanted = _with_blocked(survey, starting, its)
    queue, plan = Queue(), Plan()
    for path in its:
        is_there_already = path in survey.others and survey.others[path].status.is_alive
        if path not in wanted and is_there_already and (job := _job_of(path, queue)):
            plan.jobs[path] = job
    found = _experiments(manifests, wanted)
    for path in _in_order(survey, its, wanted):
        if path not in found:
            continue
        experiment, manifest, request = found[path]
        _check(project, experiment, request)
        needs = []
        for need in survey.waits_for(path):
            if need not in wanted and is_there(result_of(need)):  # what is wanted may be made anew
                continue
            if need not in wanted and need not in plan.jobs:
                job = _check_need(project, experiment, need, survey, queue)
                plan.jobs |= {need: job} if job else {}
            needs.append(need)
        plan.tasks.append(Task(experiment, request, manifest, tuple(needs)))
    lines = beyond_limits([task.request for task in plan.tasks])
    if lines:
        raise LauncherError(
            f"{_OPTION}: {'; '.join(lines)}: somebody has to stay who submits the others as these end:"
            " --controller local does, and --controller slurm, whose own two jobs take places, too"
        )
    return plan


def _with_blocked(survey: Survey, starting: Sequence[str], its: Iterable[str]) -> set[str]:
    """Return what is started, with what is BLOCKED by it alone: a controller would start that later."""
    wanted = set(starting)
    blocked = [path for path in its if path in survey.others and survey.others[path].status is Status.BLOCKED]
    while True:
        more = [
            path
            for path in blocked
            if path not in wanted and all(need in wanted or _is_coming(survey, need) for need in survey.waits_for(path))
        ]
        if not more:
            return wanted
        wanted.update(more)


def _is_coming(survey: Survey, need: str) -> bool:
    return not survey.is_missing(need) or (need in survey.others and survey.others[need].status.is_alive)


def _in_order(survey: Survey, its: Iterable[str], wanted: set[str]) -> list[str]:
    """Return what is wanted in the order of the launch, each after what it needs."""
    found: dict[str, None] = {}
    for first in dict.fromkeys([*its, *sorted(wanted)]):
        stack = [(first, False)]
        while stack:
            path, is_after = stack.pop()
            if path not in wanted or path in found:
                continue
            if is_after:
                found[path] = None
                continue
            stack += [(path, True), *((need, False) for need in reversed(list(survey.waits_for(path))))]
    return list(found)


def _experiments(manifests: Iterable[Manifest], wanted: set[str]) -> dict[str, tuple[Experiment, Manifest, JobRequest]]:
    found: dict[str, tuple[Experiment, Manifest, JobRequest]] = {}
    for manifest in manifests:
        schema = manifest.schema()
        for one in manifest.experiments():
            if (path := str(one.exp_path)) in wanted and path not in found:
                found[path] = one, manifest, request_of(getattr(schema.parse_root(one.config), one.task))
    return found


def _check(project: Project, experiment: Experiment, request: JobRequest) -> None:
    """Refuse what somebody would have to stay for."""
    name = experiment.exp_id
    if experiment.is_slot:
        raise LauncherError(
            f"{name}: is a trial of a search: somebody has to stay who starts the next ones, and with {_OPTION} nobody"
            f" does: {_OTHERS}"
        )
    if request.pack > 1:
        raise LauncherError(
            f"{name}: launcher.slurm.pack={request.pack}: of a job that several share, somebody has to see to what has"
            f" failed, and with {_OPTION} nobody does: {_OTHERS}, or pack=1"
        )
    if request.max_attempts > 1 and not request.requeue:
        raise LauncherError(
            f"{name}: launcher.slurm.max_attempts={request.max_attempts} with requeue=false: with {_OPTION} a job tries"
            f" again by being queued again; set requeue=true or max_attempts=1, or have somebody stay: {_OTHERS}"
        )
    for file in experiment.files:
        if why := why_missing(file, project.root):
            raise LauncherError(
                f"{name}: needs the file {file}, which {why}: with {_OPTION} no rule makes it; make it first"
                f" (snakemake {file}), or have somebody stay: {_OTHERS}"
            )


def _check_need(project: Project, experiment: Experiment, need: str, survey: Survey, queue: Queue) -> str:
    """Return the job that has what an experiment needs and this launch doesn't start; refuse what has none."""
    name = experiment.exp_id
    if is_winner(need):
        best = survey.best_of(need)
        what = best.text if best is not None else exp_id_of(need, project.results_root)
        raise LauncherError(
            f"{name}: needs {what}, which isn't chosen yet: somebody has to stay who chooses it, and with {_OPTION}"
            f" nobody does: {_OTHERS}; or launch this once it can be"
        )
    what = exp_id_of(need, project.results_root)
    state = survey.others[need] if need in survey.others else find_state(need)
    if not state.status.is_alive:
        raise LauncherError(f"{name}: needs {what}, which is {state.line}, and isn't started by this: launch it, too")
    job = _job_of(need, queue)
    if not job:
        raise LauncherError(
            f"{name}: needs {what}, which runs outside Slurm ({state.reason}): no job can wait for that; launch this"
            f" once it is DONE, or have somebody stay: {_OTHERS}"
        )
    return job


def _job_of(path: str, queue: Queue) -> str:
    """Return the id of the job that has an experiment; empty where a process outside Slurm has it, or nobody."""
    with contextlib.suppress(HeyhiError):
        owner = find_owner(Path(path))
        if owner is not None and owner.root:
            job = owner.find_job(queue)
            return owner.job or (job.job_id if job is not None else "")
    return ""


def hand_all_over(project: Project, spec: ControllerSpec, plan: Plan, say: Callable[[str], None]) -> Handed:
    """Submit it all, then the job that makes the tables; nothing of this process is needed any more then.

    Where it is ended half-way, what was submitted goes on, and the same launch submits the rest.

    Args:
        project: whose experiments they are.
        spec: what the launch is to do.
        plan: of it.
        say: says how far it is.

    Raises:
        HeyhiError: something can't be written; what was submitted goes on.
    """
    controller = place(project, spec)
    claim = take(controller.folder, LAUNCHING)
    if isinstance(claim, Owner):
        return Handed(controller._replace(owner=claim), is_new=False)
    with claim:
        return _Handing(project, spec, plan, say, controller).run()


def _batches(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Yield what is submitted at once, in order: of these, none needs another; the first ones go one by one."""
    batch: list[Task] = []
    for number, task in enumerate(tasks):
        most = 1 if number <= _THREADS else _THREADS
        if len(batch) == most or {one.path for one in batch}.intersection(task.needs):
            yield batch
            batch = []
        batch.append(task)
    if batch:
        yield batch


class _Handing:
    """The submission of a launch."""

    def __init__(
        self, project: Project, spec: ControllerSpec, plan: Plan, say: Callable[[str], None], controller: Controller
    ) -> None:
        self._project = project
        self._spec = spec
        self._plan = plan
        self._say = say
        self._controller = controller
        self._orders: dict[Path, Order] = {}
        self._view, self._looked_at = View(), time.monotonic()
        # Also those of a launch of this name that was ended half-way.
        old = read_jobs(controller.folder).alive(Queue(), root_mark(project.results_root))
        self._old_closing = old.closing
        self._jobs = dict(plan.jobs)  # by exp path
        self._ids = dict.fromkeys([*old.jobs, *plan.jobs.values()])
        self._written_at = self._said_at = time.monotonic()
        self._new = 0
        self._lines: dict[str, list[str]] = {}  # what is to be said -> exp ids
        self._noting = threading.Lock()

    def run(self) -> Handed:
        tasks = self._plan.tasks
        self._spec.note(self._controller.folder)
        self._log(f"{utc_now()} {os.uname().nodename} pid {os.getpid()}: heyhi launch {_OPTION}, {len(tasks)} jobs")
        self._orders = {path: self._order(one) for path, one in {t.manifest.path: t.manifest for t in tasks}.items()}
        left, why, is_whole = 0, "", False
        try:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="heyhi-submit") as pool:
                done = 0
                for batch in _batches(tasks):
                    busy = list(filter(None, pool.map(self._try, batch)))
                    done += len(batch)
                    if busy:
                        left, why = len(tasks) - done + len(busy), f"Slurm takes no more jobs now ({busy[0]})"
                        break
                    self._say_how_far(done)
            is_whole = True
        finally:
            if not is_whole:  # Ctrl-C, or a full disk: the same launch goes on with them
                self._write(self._old_closing)
        closing, problem = self._close(left)
        lines = [
            f"{texts[0]}{f' and {len(texts) - 1} more' if len(texts) > 1 else ''}: {what}"
            for what, texts in self._lines.items()
        ]
        lines += [why] if why else []
        for line in [*lines, *([problem] if problem else [])]:
            self._log(line)
        self._log(f"{utc_now()} exit code {int(bool(left or self._lines))}")
        jobs = tuple(self._ids)
        return Handed(self._controller._replace(jobs=jobs, closing=closing), self._new, left, tuple(lines), problem)

    def _try(self, task: Task) -> Busy | None:
        """Submit one; return why Slurm takes none now."""
        try:
            self._submit(task)
        except Busy as error:
            return error
        return None

    def _submit(self, task: Task) -> None:
        if is_there(result_of(task.path)):
            return
        while True:
            needs = [need for need in task.needs if not is_there(result_of(need))]
            if any(need not in self._jobs for need in needs):
                self._hold(task, "waits for what isn't submitted")
                return
            after = tuple((need, self._jobs[need]) for need in needs)
            try:
                receipt = self._hand_over(task, after)
            except Refused as error:
                if _DEPENDENCY not in str(error).lower() or not after:
                    self._hold(task, f"not submitted: {error}")
                    return
                # One of these jobs has just ended, and Slurm has forgotten it.
                if [need for need in task.needs if not is_there(result_of(need))] == needs:
                    self._hold(task, f"waits for what has ended without a result ({error})")
                    return
                continue
            except HeyhiError as error:
                if isinstance(error, Busy):
                    raise
                self._hold(task, f"not submitted: {error}")
                return
            self._note(task, receipt)
            return

    def _hand_over(self, task: Task, after: tuple[tuple[str, str], ...]) -> Receipt:
        order, patience = self._orders[task.manifest.path], Patience(task.experiment.exp_id)
        while True:
            if time.monotonic() > self._looked_at + _LOOK_SECONDS:
                self._view, self._looked_at = View(), time.monotonic()
            with prepare_job([task.experiment], task.request, order, self._view, after=after) as handover:
                while not handover.is_outdated:
                    try:
                        return hand_over(handover)
                    except Busy as error:
                        patience.wait(error)
                    except Refused as error:
                        if _DEPENDENCY not in str(error).lower():
                            handover.refuse(str(error))
                        raise
            self._looked_at = 0.0

    def _note(self, task: Task, receipt: Receipt) -> None:
        path = task.experiment.exp_path
        job_id = receipt.job_id
        if path in receipt.refused:
            self._hold(task, receipt.refused[path])
            return
        if path in receipt.owned:
            owner = receipt.owned[path]
            if owner is None:  # it is done
                return
            job_id = _job_of(task.path, self._view.queue)
        with self._noting:
            if path not in receipt.owned:
                self._new += 1
                self._log(f"{task.experiment.exp_id}: job {job_id}")
            if job_id:
                self._jobs[task.path] = job_id
                self._ids[job_id] = None
                if time.monotonic() > self._written_at + _WRITE_SECONDS:
                    self._write(self._old_closing)

    def _hold(self, task: Task, why: str) -> None:
        """Leave one out: nothing of it is submitted by the same launch again unless that changes."""
        with self._noting:
            self._lines.setdefault(why, []).append(task.experiment.exp_id)
            self._log(f"{task.experiment.exp_id}: {why}")

    def _order(self, manifest: Manifest) -> Order:
        order = order_of(
            manifest, self._project, no_snapshot=self._spec.no_snapshot, continue_drifted=self._spec.continue_drifted
        )
        return order._replace(launch=self._spec.name, is_alone=True)

    def _close(self, left: int) -> tuple[str, str]:
        """Submit the job that makes the tables once all others have ended; return its id, and what is to be said."""
        if not self._ids:
            self._write("")
            return "", ""
        if not self._new and self._old_closing:
            self._write(self._old_closing)
            return self._old_closing, ""
        self._write(self._old_closing)
        request = self._plan.tasks[0].request if self._plan.tasks else None
        try:
            closing = submit_closing(self._project, self._spec.name, list(self._ids), request, self._old_closing)
        except HeyhiError as error:
            return "", f"no job makes the table at the end ({error}): heyhi report does"
        self._write(closing)
        return closing, ""

    def _write(self, closing: str) -> None:
        write_jobs(self._controller.folder, self._ids, closing)
        self._written_at = time.monotonic()

    def _say_how_far(self, done: int) -> None:
        if time.monotonic() > self._said_at + _SAY_SECONDS:
            self._said_at = time.monotonic()
            self._say(f"submitted: {done:,} of {len(self._plan.tasks):,}")

    def _log(self, line: str) -> None:
        with contextlib.suppress(OSError), os.fdopen(open_to_append(self._controller.log), "a") as log:
            print(line, file=log)


def say_to_stderr(line: str) -> None:
    """Say how far it is."""
    print(line, file=sys.stderr, flush=True)
