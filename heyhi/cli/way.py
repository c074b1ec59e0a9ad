"""The way a launch is to go, by its options: found out, checked and said before anything is wiped or started."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from heyhi.cli.by_themselves import plan_all
from heyhi.cli.selection import Selection
from heyhi.cli.unattended import Unattended
from heyhi.cli.working import plan_workers
from heyhi.errors import LauncherError

if TYPE_CHECKING:
    from heyhi.control.by_themselves import Plan
    from heyhi.control.controller import ControllerSpec
    from heyhi.control.job_claim import Asked
    from heyhi.control.recording import Launching
    from heyhi.control.workers import Work
    from heyhi.project import Project
    from heyhi.slurm.request import JobRequest
    from heyhi.sweep.manifest import Manifest

_FEW = 3  # canaries that are named


class Way(NamedTuple):
    """The way of one launch.

    Attributes:
        unattended: its options.
        work: for workers; None where each experiment has a job of its own.
        plan: of what is submitted at once; None where somebody stays, or for workers.
        job: what the job asks for that is the controller; None where none is submitted.
        requests: what the jobs of its experiments ask for.
        canaries: exp paths of those that are started first; none where all are at once.
        waiting: how many wait for them.
    """

    unattended: Unattended
    work: Work | None
    plan: Plan | None
    canaries: list[str]
    waiting: int = 0
    job: Asked | None = None
    requests: Sequence[JobRequest] = ()


def way_of(
    args: argparse.Namespace,
    unattended: Unattended,
    selection: Selection,
    spec: ControllerSpec,
    launching: Launching,
    manifests: list[Manifest],
    starting: Sequence[str],
) -> Way:
    """Find out which way a launch goes, and say so.

    Args:
        args: of the command.
        unattended: its options for who stays.
        selection: what is named.
        spec: what is to be done.
        launching: has looked at the experiments.
        manifests: by which they are run.
        starting: exp paths of what is started, in order.

    Raises:
        LauncherError: it can't go that way.
    """
    work, plan, job = None, None, None
    requests: list[JobRequest] = []
    if unattended.workers:
        work = plan_workers(args, selection.project, spec, manifests, starting)
    elif unattended.controller == "none":
        plan = plan_all(args, spec, launching, starting, manifests)
    elif unattended.controller == "slurm":
        from heyhi.control.controller_job import plan_job

        requests = _requests(selection, manifests, starting)
        job = plan_job(selection.project, spec, requests)
    living = _left_alive(selection.project, spec.name) if unattended.canary and starting else []
    canaries = living or _canaries(selection, starting, unattended.canary)
    waiting = len(set(starting).difference(canaries))
    if unattended.canary:
        print(_said_of_canaries(selection, starting, canaries, unattended.canary, living=bool(living)), flush=True)
    if unattended.max_gpu_hours and starting:
        print(_said_of_budget(selection, starting, unattended.max_gpu_hours), flush=True)
    return Way(unattended, work, plan, canaries, waiting, job, requests)


def _requests(selection: Selection, manifests: list[Manifest], starting: Sequence[str]) -> list[JobRequest]:
    """Return what the jobs of experiments ask for, in order."""
    from heyhi.cli.resources import starting_of
    from heyhi.control.controller import check_requests
    from heyhi.slurm.request import request_of

    if manifests:
        return [request_of(task) for _, task in check_requests(manifests, set(starting))]
    return [request_of(one.task) for one in starting_of(selection, starting)]  # of a dry run


def _canaries(selection: Selection, starting: Sequence[str], count: int) -> list[str]:
    """Return the exp paths of those that are started first; none where all would be.

    Args:
        selection: what is named.
        starting: exp paths of what is started, in order.
        count: how many are to be first.
    """
    if not count:
        return []
    named = {path for group in selection.groups for path in group.own_folders}
    # What is only needed by these is run before them, and says little of them.
    own = [path for path in starting if path in named] or list(starting)
    return own[:count] if count < len(own) else []


def _left_alive(project: Project, name: str) -> list[str]:
    from heyhi.control.canary import left_alive  # most launches have none

    return left_alive(project, name)


def _said_of_canaries(
    selection: Selection, starting: Sequence[str], canaries: Sequence[str], asked: int, *, living: bool
) -> str:
    """Say which ones are started first."""
    from heyhi.sweep.target import exp_ids_of

    if not canaries:
        return f"--canary={asked} makes no difference: {len(starting)} to start"
    names = exp_ids_of(canaries[:_FEW], selection.project.results_root)
    more = f" and {len(canaries) - _FEW} more" if len(canaries) > _FEW else ""
    others = len(set(starting).difference(canaries))
    waits, them = "waits" if others == 1 else "wait", "it" if len(canaries) == 1 else "them"
    # Of a launch whose controller is gone; only those count that it has started.
    first = f"go{'es' * (len(canaries) == 1)} on" if living else "first"
    return f"canary: {', '.join(names)}{more} {first}; {others} {waits} for {them}"


def _said_of_budget(selection: Selection, starting: Sequence[str], most: float) -> str:
    """Say what some GPU-hours are enough for.

    Raises:
        LauncherError: nothing of what starts asks for GPUs.
    """
    from heyhi.cli.resources import starting_of
    from heyhi.control.spending import what_it_buys
    from heyhi.slurm.request import gpus_of, request_of

    task = next((one.task for one in starting_of(selection, starting) if gpus_of(one.task)), None)
    if task is None:
        raise LauncherError(
            f"--max-gpu-hours {most:g}: nothing of what would start asks for GPUs (launcher.slurm.num_gpus), so that"
            " this would bound nothing: leave it out"
        )
    new = set(starting)
    done = [path for part in selection.parts() for path in part.folders if path not in new]
    request = request_of(task)
    return what_it_buys(most, len(starting), done, request.gpus * request.minutes / 60 / request.pack)
