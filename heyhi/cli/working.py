"""What `heyhi launch --workers N` says: which jobs were submitted, how to follow and to end them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heyhi.errors import LauncherError

if TYPE_CHECKING:
    from heyhi.cli.json_launch import LaunchAnswer
    from heyhi.control.controller import ControllerSpec
    from heyhi.control.recording import Launching
    from heyhi.control.workers import Submitted, Work
    from heyhi.project import Project
    from heyhi.sweep.manifest import Manifest


def plan_workers(
    args: argparse.Namespace,
    project: Project,
    spec: ControllerSpec,
    manifests: Sequence[Manifest],
    starting: Sequence[str],
) -> Work | None:
    """Find out what workers would run, and refuse what they can't; None where nothing says what that is.

    Args:
        args: of the command.
        project: whose experiments they are.
        spec: what is launched.
        manifests: by which they are run; a dry run may have none.
        starting: their exp paths, in order.

    Raises:
        LauncherError: they can't.
    """
    from heyhi.control.workers import Work

    if args.jobs:
        raise LauncherError(f"--jobs {args.jobs}: --workers says how many run at once: leave out one of both")
    if not (manifests or spec.lookup):
        return None
    work = Work.of(project, spec, manifests, starting)
    if args.dry_run and work.items:
        count = min(args.workers, len(work.items))
        print(f"{count} worker{'s' if count > 1 else ''} would run them, one after another{' each' * (count > 1)}")
    return work


def submit_workers(
    project: Project, spec: ControllerSpec, work: Work, words: str, record: Launching, told: LaunchAnswer
) -> int:
    """Submit workers, say what came of it, and return the exit code: 0 where as many live as were asked for.

    Args:
        project: whose experiments they run.
        spec: what is launched.
        work: for them.
        words: by which it is named.
        record: of the launch; it is taken back where nothing is new.
        told: is told who runs it.
    """
    from heyhi.control.workers import start_workers

    try:
        got = start_workers(project, spec, work, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print(
            f"workers that were submitted go on; the same command submits the rest, and heyhi cancel {words or '--all'}"
            " ends what is there",
            file=sys.stderr,
            flush=True,
        )
        raise
    if not got.new:
        record.take_back()
    print(_head(got))
    if got.left:
        print(_left_line(project, got, words))
    if not got.controller.jobs and got.controller.owner is None:
        return 0
    told.run_by(project, got.controller, is_new=bool(got.new))
    print(f"  follow:  heyhi status --watch {words}".rstrip())
    if got.controller.owner is None:
        print(f"  logs:    {project.relative(got.controller.folder)}/worker-*.log")
    print(f"  stop:    heyhi cancel {words or '--all'} (ends its runs, too)", flush=True)
    if got.problem:
        told.problem = f"{len(got.controller.jobs)} of {spec.workers} workers were submitted: {got.problem}"
        print(f"error: {told.problem}; the same command submits the rest", file=sys.stderr)
    return int(bool(got.problem))


def _left_line(project: Project, got: Submitted, words: str) -> str:
    """Say what isn't started, since workers that live are through with it."""
    from heyhi.sweep.target import exp_ids_of

    count = len(got.left)
    which = exp_ids_of(got.left, project.results_root)[0] if count == 1 else f"{count} of these"
    are, them = ("is", "it") if count == 1 else ("are", "them")
    return (
        f"{which} {are} DEAD, and these workers don't try {them} again: heyhi retry --dead {words} --workers"
        f" {min(count, len(got.controller.jobs))} starts {them} again"
    )


def _head(got: Submitted) -> str:
    from heyhi.control.job_claim import DOING

    who = got.controller.describe()
    if not (got.new or got.controller.jobs or got.controller.owner):
        return "nothing to start: what isn't DONE waits or runs already"
    if not got.new:
        owner = got.controller.owner
        if owner is not None and owner.kind in DOING:
            return f"nothing started: {who} {DOING[owner.kind]} these; try again once it has ended"
        return f"nothing started: this is being run already by {who}"
    before = len(got.controller.jobs) - len(got.new)
    more = f", beside {before} that {'live' if before > 1 else 'lives'}" if before else ""
    count = len(got.new)
    return f"started {count} worker{'s' if count > 1 else ''}{more}; nothing of it stays on this machine"
