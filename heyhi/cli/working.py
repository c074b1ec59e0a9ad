"""What `heyhi launch --workers N` says: which jobs were submitted, how to follow and to end them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from heyhi.control.workers import Submitted, Work, start_workers

if TYPE_CHECKING:
    from heyhi.cli.json_launch import LaunchAnswer
    from heyhi.control.controller import ControllerSpec
    from heyhi.control.recording import Launching
    from heyhi.project import Project


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
    got = start_workers(project, spec, work, lambda line: print(line, flush=True))
    told.run_by(project, got.controller, is_new=bool(got.new))
    if not got.new:
        record.take_back()
    print(_head(got))
    print(f"  follow:  heyhi status --watch {words}".rstrip())
    if got.controller.owner is None:
        print(f"  logs:    {project.relative(got.controller.folder)}/worker-*.log")
    print(f"  stop:    heyhi cancel {words or '--all'} (ends its runs, too)", flush=True)
    if got.problem:
        told.problem = f"{len(got.controller.jobs)} of {spec.workers} workers were submitted: {got.problem}"
        print(f"error: {told.problem}; the same command submits the rest", file=sys.stderr)
    return int(bool(got.problem))


def _head(got: Submitted) -> str:
    who = got.controller.describe()
    if not got.new:
        return f"nothing started: this is being run already by {who}"
    before = len(got.controller.jobs) - len(got.new)
    more = f", beside {before} that {'live' if before > 1 else 'lives'}" if before else ""
    count = len(got.new)
    return f"started {count} worker{'s' if count > 1 else ''}{more}; nothing of it stays on this machine"
