"""How what `launch` or `retry` has chosen is started: checked, wiped where it is made anew, given to a controller."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from heyhi.cli.by_themselves import hand_over
from heyhi.cli.foreground import wait_for_others
from heyhi.cli.json_launch import LaunchAnswer
from heyhi.cli.looking import print_wrapped
from heyhi.cli.selection import Selection
from heyhi.cli.unattended import Unattended
from heyhi.cli.way import Way, way_of
from heyhi.cli.working import submit_workers
from heyhi.notify.whom import Whom, shown_all
from heyhi.text import shell_line

if TYPE_CHECKING:
    from heyhi.cli.redoing import Redoing
    from heyhi.control.controller import Controller, ControllerSpec
    from heyhi.control.recording import Launching
    from heyhi.control.survey import Survey
    from heyhi.project import Project
    from heyhi.sweep.manifest import Manifest

_FEW = 3  # experiments that commands name by their exp ids


def check_files(selection: Selection, starting: Container[str]) -> None:
    """Refuse what Snakemake would refuse as soon as it runs: to start what needs a file that nobody makes.

    Raises:
        NeedsError: so it is.
    """
    from heyhi.control.needed_files import check_made
    from heyhi.sweep.target import target_of

    for project, needed in needed_files(selection):
        first: dict[str, str] = {}
        for folder, files in needed:
            if files and folder in starting:
                first |= {name: target_of(folder, project.root) for name in files if name not in first}
        if first and project.root == selection.project.root:  # another one's rules are its own business
            check_made(project.root, first)


def needed_files(selection: Selection) -> Iterator[tuple[Project, Iterable[tuple[str, tuple[str, ...]]]]]:
    """Yield for each project, and each of its experiments, which files it needs."""
    from heyhi.sweep.target import folders_of

    for group in selection.groups:
        needed: Iterable[tuple[str, tuple[str, ...]]] = ()
        if group.expansion is not None:
            needed = ((one.folder, one.files) for one in group.expansion.planned)
        elif group.manifest is not None:
            nodes = group.manifest.nodes()
            folders = folders_of([node.target for node in nodes], group.manifest.project_root)
            needed = zip(folders, (node.files for node in nodes), strict=True)
        yield group.project, needed


def redo_and_control(
    selection: Selection,
    redoing: Redoing,
    spec: ControllerSpec,
    args: argparse.Namespace,
    unattended: Unattended,
    launching: Launching,
    manifests: list[Manifest],
    starting: list[str],
    told: LaunchAnswer,
    others: int = 1,
) -> int:
    """Wipe what is made anew, and start a controller; all that may be wrong is found out before something is wiped.

    Args:
        selection: what is named.
        redoing: what of it is made anew.
        spec: what the controller is to do.
        args: of the command.
        unattended: its options for who stays.
        launching: puts it on record.
        manifests: by which it all is run.
        starting: exp paths of what it starts, in order.
        told: is told which controller runs it.
        others: how many it starts beside these.
    """
    from heyhi.control.controller import check_requests

    way = way_of(args, unattended, selection, spec, launching, manifests, starting)
    if args.dry_run:
        print("\n".join(redoing.listed), end="\n" * bool(redoing.folders))
        if way.job is not None:
            from heyhi.control.controller_job import said_of_job

            print(f"the controller would be {said_of_job(way.job)}")
        if way.unattended.notify:
            print(f"would tell {shown_all(way.unattended.notify)} of the first death and of the end")
        return 0
    if redoing.folders:
        redoing.check(spec)
        if spec.uses_slurm:
            check_requests(manifests, set(redoing.folders))
        if not redoing.wipe(force=args.force) and not others:
            return 1
    code = _control(selection, spec, args, launching, manifests, starting, told, way)
    return code or int(redoing.failed)


def _control(
    selection: Selection,
    spec: ControllerSpec,
    args: argparse.Namespace,
    launching: Launching,
    manifests: list[Manifest],
    starting: list[str],
    told: LaunchAnswer,
    way: Way,
) -> int:
    """Start a controller, or be one; say how to follow and to stop it, and what came of its first moments."""
    from heyhi.code.snapshot import code_for_jobs
    from heyhi.control.controller import run_here, start
    from heyhi.control.first_start import FirstStart
    from heyhi.control.telling import left_whom, put_down, take_back
    from heyhi.sweep.target import target_of

    project, words = selection.project, shell_line(selection.words or _few(selection.project, starting))
    unattended, canaries = way.unattended, way.canaries
    # What goes on with a launch that was cut off tells those whom that was to tell.
    whom = unattended.notify or (() if args.notify else left_whom(project, spec.name))
    with launching.on_record() as record:
        spec = replace(
            spec,
            launch=record.name,
            jobs=args.jobs or 0,
            kind=unattended.controller,
            workers=unattended.workers,
            canary=len(canaries),
            canaries=tuple(target_of(path, project.root) for path in canaries),
            waiting=way.waiting,
            notify=tuple(one.shown for one in whom),
            max_gpu_hours=unattended.max_gpu_hours,
        )
        if canaries and spec.uses_slurm and not spec.no_snapshot:
            spec = replace(spec, code=code_for_jobs(project).digest)  # the others are to run what the canaries ran
        with put_down(project, spec, whom):
            if way.work is not None or way.plan is not None:
                if way.work is not None:
                    code = submit_workers(project, spec, way.work, words, record, told)
                else:
                    assert way.plan is not None
                    code = hand_over(spec, launching, way.plan, words, told)
                if not record.name:  # nothing is new
                    take_back(project, spec)
                say_told(whom, is_new=bool(record.name))
                return code
            first = FirstStart(project, list(dict.fromkeys([*canaries, *starting])), words)
            if unattended.controller == "slurm":
                from heyhi.control.controller_job import start_job

                controller, is_new = start_job(project, spec, way.requests, way.job)
            elif args.foreground:
                (controller, is_new), code = run_here(project, spec)
                if is_new:
                    return code
            else:
                controller, is_new = start(project, spec)
        if not is_new:  # what is being run already is on record
            record.take_back()
            take_back(project, spec)
    try:
        say_controller(project, controller, args, words, told, uses_slurm=spec.uses_slurm, is_new=is_new)
        say_told(whom, is_new=is_new)
        if not is_new:
            return wait_for_others(selection) if args.command == "run" else 0
        lines, failed = first.wait(controller)
    except KeyboardInterrupt:
        goes_on = f"Ctrl-C ends only this waiting; the controller goes on, and heyhi cancel {words or '--all'} stops it"
        print(goes_on, file=sys.stderr, flush=True)
        raise
    print_wrapped(lines)
    told.problem = "\n".join(lines) if failed else ""
    return int(failed)


def say_told(whom: Sequence[Whom], *, is_new: bool = True) -> None:
    """Say who is told of a launch."""
    if whom:
        told = f"{shown_all(whom)} of the first death and of the end"
        print(f"  tells:   {told if is_new else 'nobody: that one tells whom it was told to'}", flush=True)


def _few(project: Project, folders: Sequence[str]) -> list[str]:
    """Name experiments by their exp ids, where they are few; none where all that are known are as well named."""
    from heyhi.experiment.names import is_slot
    from heyhi.sweep.target import exp_ids_of

    return exp_ids_of(folders, project.results_root) if len(folders) <= _FEW and not any(map(is_slot, folders)) else []


def say_controller(
    project: Project,
    controller: Controller,
    args: argparse.Namespace,
    words: str,
    told: LaunchAnswer,
    *,
    uses_slurm: bool,
    is_new: bool = False,
) -> None:
    """Say which controller runs what was asked for, and how to follow and to stop it."""
    from heyhi.control.job_claim import DOING

    owner = controller.owner
    assert owner is not None
    told.run_by(project, controller, is_new=is_new)
    spec = None if is_new or not args.jobs else controller.spec()
    if not is_new and args.jobs and (spec is None or spec.jobs != args.jobs):
        print(f"--jobs {args.jobs} was left out: that one runs as many at once as it was told to")
    if not is_new and (asked := getattr(args, "max_gpu_hours", None)):
        print(f"--max-gpu-hours {asked:g} was left out: {_budget_of(controller)}")
    who = controller.describe() if owner.root or owner.kind in DOING else f"controller {owner.describe()}"
    print(f"{'started' if is_new else 'nothing started: this is being run already by'} {who}")
    print(f"  follow:  heyhi status --watch {words}".rstrip())
    if is_new or controller.log.exists():  # one on a terminal writes none
        print(f"  its log: {project.relative(controller.log)}")
    kill = f"scancel {owner.job}" if owner.job else f"kill {owner.pid}"
    left = f"; {kill} only the controller: jobs go on" if uses_slurm else ""
    whose = "its runs" if words else "all that runs here, whoever started it"
    print(f"  stop:    heyhi cancel {words or '--all'} (ends {whose}, too{left})", flush=True)


def _budget_of(controller: Controller) -> str:
    """Say which budget a controller has that runs already."""
    spec = controller.spec()
    if spec is None:
        return "nobody knows what that one was told"
    return f"that one has {spec.max_gpu_hours:g}, which counts" if spec.max_gpu_hours else "that one has no budget"


def print_unknown(survey: Survey, among: Container[str]) -> None:
    """Say which of some experiments nobody knows about: whether one of them is DEAD can't be told."""
    from heyhi.control.listing import rows_lines, terminal_width
    from heyhi.experiment.names import Status

    rows = [row for row in survey.not_done if row.status is Status.UNKNOWN and row.asked in among]
    print("".join(f"{line}\n" for line in rows_lines(rows, terminal_width(), "left as it is: ")), end="")
