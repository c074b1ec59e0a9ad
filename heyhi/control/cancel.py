"""`heyhi cancel`: ends the jobs and processes of experiments, and the controllers that would start them again.

Nothing of what they have written is removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from heyhi.control.controller import Controller, find_controllers
from heyhi.control.controller_job import end_jobs
from heyhi.control.find import experiments_of
from heyhi.control.killed_engine import left_in_queues
from heyhi.control.survey import Survey
from heyhi.control.telling import Cancelling
from heyhi.control.worker_cancel import end_run, hold_back, tried_by_workers
from heyhi.errors import ClaimError, HeyhiError, UnknownError
from heyhi.experiment.claim import read_owner
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import SEARCH_NAME, Status, is_slot
from heyhi.experiment.owner import Owner
from heyhi.experiment.project_names import is_same_project
from heyhi.experiment.slots import living_slots_of, shown_folder
from heyhi.files import is_there
from heyhi.profiles import runs_here
from heyhi.project import Project
from heyhi.slurm.commands import Phase, Queue, SlurmError, View, cancel
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import folders_of

_MAX_LISTED = 10  # experiments without anything to end
_MAY_LIVE = "its claim can't be read, so nobody knows whether it lives"
_NOT_AGAIN = "not tried again; the workers go on with others"
_STOPPERS = 8  # processes that are waited for at once
# A controller that only has jobs in Slurm's hands leaves at once; it may be handing one over just now.
_LEAVE_SECONDS = 20.0


class NotCancelledError(SlurmError):
    """Slurm doesn't say what there is to cancel."""

    exit_code: ClassVar[int] = 1


@dataclass
class CancelPlan:
    """What is to be ended.

    Attributes:
        folders: exp paths of all experiments that it is about.
        controllers: to be ended first.
        jobs: job id -> exp paths that it has and that were named.
        also: job id -> other experiments of the same job.
        runs: exp path -> process outside Slurm that runs it.
        in_workers: exp path -> id of the job that runs it, and others after it.
        tried: exp path -> folder of the launch whose workers may try it again.
        idle: exp path -> why there is nothing to end.
        unseen: what may wait in an engine's queue, where nobody here can end it.
    """

    folders: list[str]
    controllers: list[Controller] = field(default_factory=list)
    jobs: dict[str, list[str]] = field(default_factory=dict)
    also: dict[str, list[str]] = field(default_factory=dict)
    runs: dict[str, Owner] = field(default_factory=dict)
    in_workers: dict[str, str] = field(default_factory=dict)
    tried: dict[str, Path] = field(default_factory=dict)
    idle: dict[str, str] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many jobs and processes would be ended, less the controllers, and how many not tried again."""
        return len(self.jobs) + len(self.runs) + len(self.in_workers) + len(self.tried)


class Found(NamedTuple):
    """One thing that is to be ended, or was, or of which there is nothing to end.

    Attributes:
        what: `controller`, `job`, `process`, or `nothing`.
        name: exp id, or the controller's name.
        job_id: of a job.
        owner: of a process.
        is_ended: whether it was ended.
        why: it wasn't.
    """

    what: str
    name: str
    job_id: str = ""
    owner: Owner | None = None
    is_ended: bool = False
    why: str = ""


def plan_cancel(
    project: Project, folders: Sequence[str], *, sweeps: Iterable[str] = (), everything: bool = False
) -> CancelPlan:
    """Find what runs or waits of some experiments, and what controls it.

    Args:
        project: whose experiments they are.
        folders: exp paths.
        sweeps: names of the sweeps that were asked for: their controllers are ended, too, with all that these run,
            which may be from before the sweep was edited.
        everything: end all controllers.

    Raises:
        NotCancelledError: Slurm doesn't say which jobs there are.
    """
    controllers = _controllers(project, set(folders), set(sweeps), everything=everything)
    plan = CancelPlan([*folders], controllers)
    if sweeps:
        plan.folders = list(dict.fromkeys([*folders, *(path for c in controllers for path in _folders(project, c))]))
    view = View()
    quiet = []
    for path in plan.folders:
        try:
            owner = _owner_of(path, view.queue)
        except ClaimError:
            owner = None  # its status says why
        if owner is None:
            quiet.append(path)
        elif other := _other_project(project, path):
            plan.idle[path] = f"it is of the project '{other}', which alone may end it"
        elif owner.root:
            _add_job(plan, path, owner, view)
        else:
            plan.runs[path] = owner
    if view.queue.error:
        go_on = ", and what controls it goes on" if plan.controllers else ""
        raise NotCancelledError(f"nothing was cancelled{go_on}: {view.queue.error}; try again once Slurm answers")
    rows = Survey.of_folders(project, quiet).rows
    if dead := [row.asked for row in rows if row.status is Status.DEAD]:
        plan.tried = tried_by_workers(project, dead, controllers)
        rows = [row for row in rows if row.asked not in plan.tried]
    plan.idle.update({row.asked: row.state.line if row.status.is_trouble else row.status.value for row in rows})
    plan.unseen = left_in_queues(project, [row.asked for row in rows if row.status is not Status.DONE])
    for job_id, named in plan.jobs.items():
        job = view.queue.known(job_id)
        known = {*named, *map(shown_folder, named)}
        others = [path for path in experiments_of(project, job) if shown_folder(path) not in known] if job else []
        if others:
            plan.also[job_id] = others
    return plan


def _owner_of(path: str, queue: Queue) -> Owner | None:
    """Return who has an experiment; of a search's, also the slot that is about to start it.

    Raises:
        ClaimError: nobody can tell.
    """
    owner = read_owner(path, queue)
    if owner is None and not is_slot(path) and is_there(Path(path) / SEARCH_NAME):
        owner = next(filter(None, (read_owner(slot, queue) for slot in living_slots_of(path))), None)
    return owner


def _other_project(project: Project, path: str) -> str:
    """Return the name of the project that runs an experiment; empty where it is this one, or nobody knows."""
    with contextlib.suppress(UnknownError):
        name = ExperimentDir(Path(path)).read_project_name()
        is_ours = name in project.settings.was or is_same_project(name, project.name, project.results_root)
        return "" if is_ours else name
    return ""


def _add_job(plan: CancelPlan, path: str, owner: Owner, view: View) -> None:
    job = owner.find_job(view.queue)
    job_id = job.job_id if job is not None else owner.job
    if not job_id:
        plan.idle[path] = f"{owner.describe()} is just handing it over: try again"
    elif job is not None and job.phase is Phase.OVER:
        plan.idle[path] = f"job {job_id} has just ended"
    elif job is not None and job.is_worker and all(job_id not in one.jobs for one in plan.controllers):
        plan.in_workers[path] = job_id
    else:
        plan.jobs.setdefault(job_id, []).append(path)


def _controllers(project: Project, folders: set[str], sweeps: set[str], *, everything: bool) -> list[Controller]:
    found = []
    for controller in find_controllers(project):
        spec = controller.spec()
        if everything or (spec is not None and spec.sweeps and sweeps.issuperset(spec.sweeps)):
            found.append(controller)
            continue
        its = _folders(project, controller)
        if its and folders.issuperset(its):
            found.append(controller)
    return found


def _folders(project: Project, controller: Controller) -> list[str]:
    """Return the exp paths of the experiments that a controller was told to run."""
    spec = controller.spec()
    if spec is None:
        return []
    folders = folders_of(spec.targets, project.root)
    for path in spec.manifests:
        with contextlib.suppress(HeyhiError), Manifest.open(project.root / path) as manifest:
            folders += manifest.own_folders
    return folders


class Canceller:
    """End what some experiments have, and say what happened to each.

    Args:
        project: whose experiments they are.

    Attributes:
        lines: what happened.
        found: to what.
        failed: whether something could not be ended.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self.lines: list[str] = []
        self.found: list[Found] = []
        self.failed = False

    def run(self, plan: CancelPlan) -> None:
        """End it all; what Slurm doesn't take is said, and `failed`."""
        telling = Cancelling(self._project, [controller.spec() for controller in plan.controllers])
        waiting = self._end_controllers(plan.controllers)
        if plan.controllers:  # one may have started something meanwhile
            plan = self._again(plan)
        self._end(plan)
        for thread in waiting:
            thread.join()
        if plan.controllers:
            late = self._again(plan)
            late.jobs = {job: paths for job, paths in late.jobs.items() if job not in plan.jobs}
            late.runs = {path: owner for path, owner in late.runs.items() if owner != plan.runs.get(path)}
            late.tried = {path: one for path, one in late.tried.items() if path not in plan.tried}
            late.in_workers = {path: job for path, job in late.in_workers.items() if path not in plan.in_workers}
            self._end(late)
            plan.idle = {path: text for path, text in plan.idle.items() if path not in late.runs}
        self.lines += [*idle_lines(self._project, plan), *plan.unseen]
        self.failed |= bool(plan.unseen)
        self.found += [Found("nothing", self._name(path), why=why) for path, why in plan.idle.items()]
        telling.tell()

    def _again(self, plan: CancelPlan) -> CancelPlan:
        try:
            new = plan_cancel(self._project, plan.folders)
        except SlurmError:  # what is known is ended all the same
            self.failed = True
            self.lines.append("Slurm doesn't say whether a controller has started more meanwhile: look at heyhi status")
            return dataclasses.replace(plan)
        new.controllers = plan.controllers
        ended = {job for controller in plan.controllers for job in controller.jobs}
        new.in_workers = {path: job for path, job in new.in_workers.items() if job not in ended}
        return new

    def _end_controllers(self, controllers: Sequence[Controller]) -> list[threading.Thread]:
        """Ask controllers to end; one of local runs ends when these have ended, so it isn't waited for here.

        One of another engine cancels its jobs in that engine's way first.
        """
        threads = []
        for controller in controllers:
            thread = threading.Thread(target=self._end_controller, args=(controller,))
            thread.start()
            threads.append(thread)
        deadline = time.monotonic() + _LEAVE_SECONDS
        for controller, thread in zip(controllers, threads, strict=True):
            spec = controller.spec()
            if spec is None or spec.uses_slurm or not runs_here(Path(spec.profile)):
                thread.join(max(0.0, deadline - time.monotonic()))
        return threads

    def _end_controller(self, controller: Controller) -> None:
        if controller.has_workers:
            self._end_workers(controller)
        elif controller.is_unattended:
            self._end_closing(controller)
        elif controller.owner is not None and controller.owner.root:
            self._end_job(controller)
        elif controller.owner is not None:
            self._stop(f"controller {controller.name}", controller.owner, controller.name)
        else:
            self.failed = True
            self.found.append(Found("controller", controller.name, why=_MAY_LIVE))
            self.lines.append(f"controller {controller.name}: {_MAY_LIVE}")

    def _end_workers(self, controller: Controller) -> None:
        """End jobs some of which may have no experiment now."""
        found = Found("controller", controller.name)
        ids = [*controller.jobs, *filter(None, [controller.closing])]
        try:
            cancel(ids)
            self.lines.append(f"{controller.describe()}: cancelled")
            self.found.append(found._replace(is_ended=True))
        except SlurmError as error:
            self.failed = True
            self.lines.append(f"{controller.describe()}: may go on: {error}; try again")
            self.found.append(found._replace(why=str(error)))

    def _end_closing(self, controller: Controller) -> None:
        """End what only waits for the end of a launch that nobody stays for; its other jobs have experiments."""
        found, name = Found("controller", controller.name), f"launch {controller.name}"
        try:
            cancel([controller.closing] if controller.closing else [])
            if controller.closing:
                self.lines.append(f"{name}: job {controller.closing}, which waits for its end, cancelled")
            self.found.append(found._replace(job_id=controller.closing, is_ended=True))
        except SlurmError as error:
            self.failed = True
            self.lines.append(f"{name}: job {controller.closing} may go on: {error}; try again")
            self.found.append(found._replace(job_id=controller.closing, why=str(error)))

    def _end_job(self, controller: Controller) -> None:
        """End a controller that is a job, and the job that waits to follow it."""
        found = Found("controller", controller.name, owner=controller.owner)
        try:
            jobs = end_jobs(controller)
            ids = f"job{'s' * (len(jobs) > 1)} {' and '.join(jobs)}"
            self.lines.append(f"controller {controller.name}: {ids} cancelled")
            self.found.append(found._replace(job_id=jobs[0] if jobs else "", is_ended=True))
        except HeyhiError as error:
            self.failed = True
            self.lines.append(f"controller {controller.name}: {error}")
            self.found.append(found._replace(why=str(error)))

    def _end(self, plan: CancelPlan) -> None:
        jobs = plan.jobs
        try:
            cancel(jobs)
        except SlurmError as error:
            self.failed = True
            for job_id, paths in jobs.items():
                self.lines += [f"{self._name(path)}: job {job_id} may go on: {error}; try again" for path in paths]
                self.found += [Found("job", self._name(path), job_id, why=str(error)) for path in paths]
            jobs = {}
        for job_id, paths in jobs.items():
            self.lines += [f"{self._name(path)}: job {job_id} cancelled" for path in paths]
            its = [*paths, *plan.also.get(job_id, [])]
            self.found += [Found("job", self._name(path), job_id, is_ended=True) for path in its]
            self.lines += [
                f"{self._name(path)}: cancelled, too: it is in the same job {job_id}"
                for path in plan.also.get(job_id, [])
            ]
        with ThreadPoolExecutor(_STOPPERS) as pool:
            list(pool.map(lambda item: self._stop(self._name(item[0]), item[1]), plan.runs.items()))
            list(pool.map(lambda item: self._end_in_worker(*item), plan.in_workers.items()))
        for path, folder in plan.tried.items():
            self._hold_back(path, folder)

    def _hold_back(self, path: str, folder: Path) -> None:
        found = Found("process", self._name(path))
        try:
            hold_back(folder, path)
            self.lines.append(f"{found.name}: {_NOT_AGAIN}")
            self.found.append(found._replace(is_ended=True))
        except HeyhiError as error:
            self.failed = True
            self.lines.append(f"{found.name}: {error}")
            self.found.append(found._replace(why=str(error)))

    def _end_in_worker(self, path: str, job_id: str) -> None:
        found = Found("process", self._name(path), job_id)
        try:
            ran = end_run(self._project, path, job_id)
            ended = f"its run in job {job_id} ended; that worker goes on with others"
            self.lines.append(f"{found.name}: {ended if ran else _NOT_AGAIN}")
            self.found.append(found._replace(is_ended=True))
        except HeyhiError as error:
            self.failed = True
            self.lines.append(f"{found.name}: {error}")
            self.found.append(found._replace(why=str(error)))

    def _stop(self, name: str, owner: Owner, controller: str = "") -> None:
        found = Found("controller" if controller else "process", controller or name, owner=owner)
        try:
            owner.stop()
            self.lines.append(f"{name}: {owner.describe()} stopped")
            self.found.append(found._replace(is_ended=True))
        except HeyhiError as error:
            self.failed = True
            self.lines.append(f"{name}: {error}")
            self.found.append(found._replace(why=str(error)))

    def _name(self, path: str) -> str:
        return _name_of(self._project.results_root, path)


def found_in(project: Project, plan: CancelPlan) -> list[Found]:
    """Return what would be ended, and of what there is nothing to end."""
    root = project.results_root
    found = [
        Found("controller", c.name, c.closing, c.owner, why="" if c.owner or c.is_unattended else _MAY_LIVE)
        for c in plan.controllers
    ]
    for jobs in (plan.jobs, plan.also):
        found += [Found("job", _name_of(root, path), job_id) for job_id, paths in jobs.items() for path in paths]
    found += [Found("process", _name_of(root, path), owner=owner) for path, owner in plan.runs.items()]
    found += [Found("process", _name_of(root, path), job_id) for path, job_id in plan.in_workers.items()]
    found += [Found("process", _name_of(root, path)) for path in plan.tried]
    return [*found, *(Found("nothing", _name_of(root, path), why=why) for path, why in plan.idle.items())]


def describe(project: Project, plan: CancelPlan) -> list[str]:
    """Write what would be ended, a line each."""
    root = project.results_root
    lines = [
        f"launch {c.name}: {c.describe()}"
        if c.is_unattended
        else f"controller {c.name}: {c.owner.describe() if c.owner else _MAY_LIVE}"
        for c in plan.controllers
    ]
    lines += _lines(root, plan.jobs, "job {}")
    lines += _lines(root, plan.also, "job {}, which has others, too")
    lines += [f"{_name_of(root, path)}: {owner.describe()}" for path, owner in plan.runs.items()]
    text = "its run in job {}, a worker, which goes on with others"
    lines += [f"{_name_of(root, path)}: {text.format(job_id)}" for path, job_id in plan.in_workers.items()]
    lines += [f"{_name_of(root, path)}: {_NOT_AGAIN}" for path in plan.tried]
    return [*lines, *plan.unseen]


def _name_of(root: Path, path: str) -> str:
    """Return the exp id that people are shown: of a search's slot, that of its experiment."""
    return ExperimentDir(Path(shown_folder(path)), root).exp_id


def idle_lines(project: Project, plan: CancelPlan) -> list[str]:
    """Write of which experiments there is nothing to end, and why: a line each, or one for many."""
    listed, lines = plan.idle, []
    if len(listed) > _MAX_LISTED:
        counts = Counter(text.partition(":")[0] for text in listed.values()).most_common()
        lines = [f"{len(listed)} experiments: nothing to cancel: {', '.join(f'{text} {n}' for text, n in counts)}"]
        # What nobody knows may run.
        listed = {path: text for path, text in listed.items() if text.startswith(Status.UNKNOWN.value)}
    names = {path: _name_of(project.results_root, path) for path in listed}
    return [*lines, *(f"{names[path]}: nothing to cancel: {text}" for path, text in listed.items())]


def _lines(root: Path, jobs: Mapping[str, Sequence[str]], text: str) -> list[str]:
    return [f"{_name_of(root, path)}: {text.format(job_id)}" for job_id, paths in jobs.items() for path in paths]
