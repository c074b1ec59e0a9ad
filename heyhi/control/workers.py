"""`heyhi launch --workers N`: jobs that run all of it, one experiment after another each; nobody else stays for it.

What a worker does is `heyhi.job.worker`'s; here its work is written down, and its jobs are submitted.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

from heyhi.code.snapshot import Snapshot, code_for_jobs
from heyhi.control.controller import Controller, ControllerSpec, check_requests
from heyhi.control.handed_over import JOBS_NAME, Living, add_worker, read_jobs, worker_comment, write_jobs
from heyhi.control.job_claim import LAUNCHING
from heyhi.errors import LauncherError, UnknownError
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.given_files import why_missing
from heyhi.experiment.names import is_slot, is_winner
from heyhi.experiment.owner import Owner
from heyhi.files import utc_now, writing
from heyhi.job.left_out import submit_elsewhere
from heyhi.job.order import root_mark
from heyhi.job.patience import Patience
from heyhi.job.script import batch_script
from heyhi.job.work_list import CANCEL, FAULT, LEFT, STOP_NAME, Item, Source, WorkList
from heyhi.project import Project
from heyhi.slurm.cluster import check_clusters
from heyhi.slurm.commands import WORK_NAME, Busy, SlurmError, submit
from heyhi.slurm.request import JobRequest, request_of, sbatch_options
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME
from heyhi.sweep.target import exp_id_of, folders_of

_LOG_NAME = "worker-%j.log"
_OPTION = "--workers"
_FAULT_SECONDS = 86_400.0  # so long workers are kept from a node that was at fault
# What of a request isn't a key of its launcher's -> the key that it follows from.
_KEYS = {
    "nodes": "num_gpus",
    "tasks": "num_gpus",
    "gpus_per_node": "num_gpus",
    "cpus_per_task": "cpus_per_gpu",
    "mem_gb_per_node": "mem_per_gpu",
}


@dataclass(frozen=True)
class Work:
    """What workers are submitted for, found to be what they can do.

    Attributes:
        manifests: by which the experiments are run.
        items: the experiments, in order, each with the number of its manifest.
        request: what each worker asks for; None where there is nothing to run.
    """

    manifests: tuple[Manifest, ...]
    items: tuple[Item, ...]
    request: JobRequest | None

    @classmethod
    def of(cls, project: Project, spec: ControllerSpec, manifests: Sequence[Manifest], starting: Sequence[str]) -> Work:
        """Look whether workers can run some experiments.

        Args:
            project: whose they are.
            spec: what is launched.
            manifests: by which they are run.
            starting: their exp paths, in order.

        Raises:
            LauncherError: they can't; it says why, and what can.
        """
        if any(map(is_slot, starting)):
            raise LauncherError(
                f"{_OPTION}: trials of a search choose what they try when they start, which a controller sees to:"
                " leave it out, and set parallel of the search"
            )
        held = tuple(manifests)
        if spec.lookup and all(spec.lookup != project.relative(one.path.absolute()) for one in held):
            held = (*held, Manifest.open(project.root / spec.lookup))
        wanted, found = set(starting), dict[str, Item]()
        for number, manifest in enumerate(held):
            nodes = manifest.nodes()
            folders = folders_of([node.target for node in nodes], manifest.project_root)
            for folder, node in zip(folders, nodes, strict=True):
                if folder in wanted and folder not in found:
                    needs = tuple(folders_of(node.needs, manifest.project_root))
                    _check_needs(project, exp_id_of(folder, project.results_root), needs, node.files)
                    found[folder] = Item(folder, number, needs)
        requests = tasks_by_request(check_requests(held, wanted))
        request = _common(requests) if requests else None
        return cls(held, tuple(found[folder] for folder in starting if folder in found), request)


def tasks_by_request(tasks: Iterable[tuple[str, object]]) -> dict[JobRequest, str]:
    """Return what experiments ask for, each with the exp id of the first that does."""
    found: dict[JobRequest, str] = {}
    for exp_id, task in tasks:
        found.setdefault(request_of(task), exp_id)  # type: ignore[arg-type]
    return found


def _common(requests: dict[JobRequest, str]) -> JobRequest:
    """Return what all ask for.

    Raises:
        LauncherError: they don't ask for the same, or for what no worker gives.
    """
    first, *others = requests
    if others:
        other = others[0]
        differing = [
            f"launcher.slurm.{_KEYS.get(one.name, one.name)}: {getattr(first, one.name)} and {getattr(other, one.name)}"
            for one in fields(JobRequest)
            if getattr(first, one.name) != getattr(other, one.name)
        ]
        raise LauncherError(
            f"{_OPTION}: the jobs of workers are all alike, and {requests[first]} and {requests[other]} ask for"
            f" different ones ({', '.join(differing)}): launch those together"
            f" that ask for the same, or leave out {_OPTION}"
        )
    if first.pack > 1:
        raise LauncherError(
            f"{_OPTION}: a worker runs one experiment at a time, and launcher.slurm.pack={first.pack}:"
            f" set pack=1, or leave out {_OPTION}"
        )
    return first


def _check_needs(project: Project, exp_id: str, needs: Iterable[str], files: Iterable[str]) -> None:
    if any(map(is_winner, needs)):
        raise LauncherError(
            f"{_OPTION}: {exp_id} needs the best of a sweep, which a controller chooses once that is done:"
            f" leave out {_OPTION}, or launch it when that is done"
        )
    for name in files:
        if why := why_missing(name, project.root):
            raise LauncherError(
                f"{_OPTION}: {exp_id} needs the file {name}, which {why}, and which only a controller has made:"
                f" make it first, or leave out {_OPTION}"
            )


class Submitted(NamedTuple):
    """What came of the submission of workers.

    Attributes:
        controller: the workers that live.
        new: ids of the jobs that were submitted just now.
        problem: why not all could be submitted; empty where they were.
        left: exp paths of those that are DEAD, and that the workers which live have tried as often as they do.
    """

    controller: Controller
    new: tuple[str, ...] = ()
    problem: str = ""
    left: tuple[str, ...] = ()


def start_workers(
    project: Project, spec: ControllerSpec, work: Work, said: Callable[[str], None] = lambda line: None
) -> Submitted:
    """Submit workers, as many as there are to be less those that live; or none where a controller runs it all.

    Args:
        project: whose experiments they run.
        spec: what is launched.
        work: for them.
        said: is told of each job.

    Raises:
        HeyhiError: none can be submitted; nothing is left of it.
    """
    check_clusters()
    folder = project.state_root / CONTROLLERS_NAME / spec.name
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    claim = Claim.acquire(folder, kind=LAUNCHING)
    if isinstance(claim, Owner):
        return Submitted(Controller(spec.name, folder, claim))
    with claim:
        living = Living(project).of(folder).jobs
        left = _left_by(folder, work.items) if living else ()
        count = min(spec.workers, len(living) + len(work.items) - len(left))  # the living have theirs
        if len(living) >= count or work.request is None:
            return Submitted(Controller(spec.name, folder, None, living, workers=living), left=left)
        if not living:
            _begin(project, folder, spec, work)
        return _submit_all(project, folder, spec, work.request, living, count, said)._replace(left=left)


def _left_by(folder: Path, items: Iterable[Item]) -> tuple[str, ...]:
    """Return the exp paths of those that have died for good in a launch whose workers live."""
    found = []
    since = WorkList.read(folder / WORK_NAME).since
    for item in items:
        with contextlib.suppress(UnknownError):  # which its status says
            history = ExperimentDir(Path(item.folder)).history()
            tried = history.submission is not None and history.submission.time >= since
            if tried and history.attempts and not history.job_to_ask:
                found.append(item.folder)
    return tuple(found)


def _begin(project: Project, folder: Path, spec: ControllerSpec, work: Work) -> None:
    """Write down what there is to do; what earlier workers have left there goes."""
    for name in (f"{CANCEL}*", "has-*", f"{LEFT}*", STOP_NAME, JOBS_NAME):
        for path in folder.glob(name):
            path.unlink(missing_ok=True)
    for path in folder.glob(f"{FAULT}*"):
        if time.time() - path.stat().st_mtime > _FAULT_SECONDS:
            path.unlink(missing_ok=True)
    snapshot: Snapshot | None = None
    sources = []
    for manifest in work.manifests:
        is_ours = manifest.code_root == project.root
        if is_ours and not spec.no_snapshot:
            snapshot = snapshot or code_for_jobs(project)
        code = snapshot if is_ours and not spec.no_snapshot else None
        code_root = code.root if code is not None else manifest.code_root
        sources.append(Source(str(manifest.path.absolute()), str(code_root), code.digest if code is not None else ""))
    WorkList(
        launch=spec.name,
        since=utc_now(),
        project_root=str(project.root),
        results_root=str(project.results_root),
        sources=tuple(sources),
        items=work.items,
        continue_drifted=spec.continue_drifted,
        stop_after=project.settings.stop_after_same_error,
        notify=bool(spec.notify),
    ).write(folder)
    spec.note(folder)


def _submit_all(
    project: Project,
    folder: Path,
    spec: ControllerSpec,
    request: JobRequest,
    living: tuple[str, ...],
    count: int,
    said: Callable[[str], None],
) -> Submitted:
    """Submit what is missing; each is on record before the next one is asked for."""
    listed = WorkList.read(folder / WORK_NAME)
    source = listed.sources[0]
    snapshot = None
    if source.snapshot:
        code = Path(source.code_root)
        snapshot = Snapshot(source.snapshot, code, code.parent, project.root)
    bad = tuple(path.name.removeprefix(FAULT) for path in sorted(folder.glob(f"{FAULT}*")))
    known, new, problem = (*read_jobs(folder).jobs, *living), list[str](), ""
    for place in range(len(living), count):
        script = batch_script(_words(request, folder, place, count), project.results_root, request, (), snapshot)
        patience = Patience(spec.name)
        try:
            job_id = _submit_one(project, folder, spec, request, bad, script, patience)
        except SlurmError as error:
            if not (living or new):
                raise
            problem = str(error)
            break
        new.append(job_id)
        add_worker(folder, job_id)
        # A Slurm controller that was killed gives the ids of its last jobs again.
        write_jobs(folder, dict.fromkeys([*known, *new]))
        said(f"worker {place + 1} of {count}: job {job_id}")
    alive = (*living, *new)
    return Submitted(Controller(spec.name, folder, None, alive, workers=alive), tuple(new), problem)


def _words(request: JobRequest, folder: Path, place: int, count: int) -> list[str]:
    python = [*request.prefix, request.python or sys.executable, "-P", "-m"]
    return [*python, "heyhi.job.worker", str(folder / WORK_NAME), "--place", str(place), "--count", str(count)]


def _submit_one(
    project: Project,
    folder: Path,
    spec: ControllerSpec,
    request: JobRequest,
    bad: tuple[str, ...],
    script: str,
    patience: Patience,
) -> str:
    def ask(elsewhere: JobRequest) -> str:
        user = " ".join(request.comment.split())
        options = sbatch_options(
            elsewhere,
            name=f"{spec.name} worker",
            comment=worker_comment(root_mark(project.results_root), spec.name, user),
            output=folder / _LOG_NAME,
            chdir=folder,
        )
        return submit(options, script)

    while True:
        try:
            return submit_elsewhere(request, bad, ask)
        except Busy as error:
            patience.wait(error)
