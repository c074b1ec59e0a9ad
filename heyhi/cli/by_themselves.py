"""`--controller none`: what a launch says that submits everything and leaves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from heyhi.cli.json_launch import LaunchAnswer
from heyhi.cli.looking import print_wrapped
from heyhi.errors import LauncherError

if TYPE_CHECKING:
    from heyhi.control.by_themselves import Plan
    from heyhi.control.controller import ControllerSpec
    from heyhi.control.recording import Launching
    from heyhi.sweep.manifest import Manifest


def plan_all(
    args: argparse.Namespace,
    spec: ControllerSpec,
    launching: Launching,
    starting: Sequence[str],
    manifests: Iterable[Manifest],
) -> Plan:
    """Find out what would be submitted, and refuse what somebody would have to stay for.

    Args:
        args: of the command.
        spec: what the launch is to do.
        launching: has looked at the experiments.
        starting: exp paths of what it starts.
        manifests: by which they are run.

    Raises:
        LauncherError: so it is.
    """
    from heyhi.control.by_themselves import plan_of

    if args.jobs:
        raise LauncherError(
            f"--jobs {args.jobs}: somebody has to count, and with --controller none nobody does: leave out one of both"
        )
    plan = plan_of(launching.project, spec, launching.survey, starting, manifests)
    if args.dry_run and plan.tasks:
        print(f"{_counted(len(plan.tasks))} would be submitted at once, and see to the rest by themselves")
    return plan


def hand_over(spec: ControllerSpec, launching: Launching, plan: Plan, words: str, told: LaunchAnswer) -> int:
    """Submit it all, and say so; return the exit code: 1 where something wasn't submitted.

    Args:
        spec: what the launch is to do.
        launching: puts it on record.
        plan: of it.
        words: by which it is named in commands.
        told: is told which jobs run it.
    """
    from heyhi.control.by_themselves import hand_all_over, say_to_stderr
    from heyhi.control.controller import find_controllers
    from heyhi.control.job_claim import DOING

    project = launching.project
    try:
        handed = hand_all_over(project, spec, plan, say_to_stderr)
    except KeyboardInterrupt:
        print(
            f"what was submitted goes on; the same command submits the rest, and heyhi cancel {words or '--all'} ends"
            " what is there",
            file=sys.stderr,
            flush=True,
        )
        raise
    controller = handed.controller
    if not handed.is_new:
        assert controller.owner is not None
        launching.take_back()
        print(f"nothing submitted: {controller.describe()} {DOING.get(controller.owner.kind, 'runs')} these")
        return 0
    told.run_by(project, controller, is_new=bool(handed.new))
    if handed.new:
        print(f"submitted: {_counted(handed.new)}; nothing of this launch stays here")
    else:
        launching.take_back()
        alive = next((one for one in find_controllers(project) if one.name == controller.name), None)
        runs = "run" if alive is not None and len(alive.jobs) > 1 else "runs"
        print(f"nothing submitted{f': {alive.describe()}, {runs} these already' if alive and not handed.left else ''}")
    print_wrapped(handed.lines)
    if handed.warning:
        print(f"warning: {handed.warning}", file=sys.stderr, flush=True)
    if handed.left:
        print(f"{handed.left:,} {'are' if handed.left > 1 else 'is'} left: the same command submits them")
    if controller.jobs:
        print(f"  follow:  heyhi status --watch {words}".rstrip())
        if controller.closing:
            print(f"  its end: job {controller.closing} makes the table ({project.relative(controller.log)})")
        print(f"  stop:    heyhi cancel {words or '--all'}", flush=True)
    told.problem = "\n".join(handed.lines) if handed.lines and not handed.new else ""
    return int(bool(handed.left or handed.lines))


def _counted(number: int) -> str:
    return f"{number:,} job{'s' * (number != 1)}"
