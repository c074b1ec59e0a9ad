"""`python -m heyhi.report.closing NAME`: the end of a launch that nobody stays for: its tables, and who is told of it.

Its last job calls this, or its last worker; it is done once, whoever calls.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from heyhi.control.controller import Controller, ControllerSpec
from heyhi.control.handed_over import JOBS_NAME, Living, read_jobs, write_jobs
from heyhi.control.job_claim import CLOSING
from heyhi.errors import HeyhiError, reporting_errors
from heyhi.experiment.claim import Claim
from heyhi.experiment.owner import Owner
from heyhi.files import is_there, utc_now
from heyhi.job.work_list import LEFT
from heyhi.job.worker import UNLESS_OTHERS
from heyhi.job_env import get_job_env
from heyhi.project import Project, find_project
from heyhi.report.show import show_sweep
from heyhi.streams import guard_streams
from heyhi.sweep.manifest import Manifest, project_of, table_of
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME
from heyhi.text import shown_streams, take_any_text

_TELL_SECONDS = 120.0


def close(project: Project, name: str, *, unless_others: bool = False) -> bool:
    """Make the tables of a launch all of whose jobs are over, and tell of its end; return whether it was this call's.

    Args:
        project: of the launch.
        name: of the launch.
        unless_others: leave it to other workers where there are some.

    Raises:
        HeyhiError: there is no such launch, or it can't be read.
    """
    controller = Controller(name, project.state_root / CONTROLLERS_NAME / name, None)
    spec = _spec_of(controller)
    claim = Claim.acquire(controller.folder, kind=CLOSING)
    if isinstance(claim, Owner):  # somebody launches it again, or stays for it by now
        print(f"left to {claim.describe()}")
        return False
    with claim:
        jobs, mine = read_jobs(controller.folder), get_job_env().job_id
        if not jobs.ids and is_there(controller.folder / JOBS_NAME):
            print("the end was seen to before")
            return False
        if jobs.closing and mine is not None and jobs.closing != mine:
            print(f"left to job {jobs.closing}, which waits for more")
            return False
        if unless_others and (others := _others(project, controller.folder, mine)):
            print(f"left to job {', '.join(sorted(others))}")
            return False
        for path in spec.manifests:
            _write_tables(project, project.root / path)
        _tell(project, spec)
        write_jobs(controller.folder, ())
    return True


def write_tables(project: Project, name: str) -> None:
    """Write the tables of a launch as things are.

    Raises:
        HeyhiError: there is no such launch.
    """
    spec = _spec_of(Controller(name, project.state_root / CONTROLLERS_NAME / name, None))
    for path in spec.manifests:
        _write_tables(project, project.root / path)


def _spec_of(controller: Controller) -> ControllerSpec:
    spec = controller.spec()
    if spec is None:
        raise HeyhiError(f"{controller.folder}: has no note of what was launched")
    return spec


def _others(project: Project, folder: Path, mine: str | None) -> set[str]:
    """Return the jobs of a launch that may start something yet, beside this one."""
    alive = Living(project).of(folder).jobs
    return {job for job in alive if job != mine and not (folder / f"{LEFT}{job}").exists()}


def _write_tables(project: Project, path: Path) -> None:
    """Write the tables of a sweep as the end of a controller does; what can't be written is said."""
    try:
        with Manifest.open(path) as manifest:
            show_sweep(project, manifest)
            table = project.root / table_of(project, manifest)
            if all(os.access(project.root / target, os.F_OK) for target in manifest.targets) and not is_there(table):
                _write_complete(project_of(manifest, project), manifest, table)
    except HeyhiError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)


def _write_complete(project: Project, manifest: Manifest, table: Path) -> None:
    """Write the table of a sweep all of which is done, by the sweep's digest, as the aggregate rule does."""
    from heyhi.extras import missing
    from heyhi.report.gather import gather
    from heyhi.report.shape import Shape
    from heyhi.report.source import Source
    from heyhi.report.titles import title_of
    from heyhi.report.write import write_files

    paths = [table, *([] if missing("page") else [table.with_suffix(".html")])]
    shaped = Shape().apply(gather([Source.of(manifest)]))
    for problem in write_files(paths, shaped, project, title_of([manifest])).problems:
        raise problem


def _tell(project: Project, spec: ControllerSpec) -> None:
    """Tell of the end whom the launch names."""
    if spec.notify:
        words = [sys.executable, "-P", "-m", "heyhi.control.telling", "end", spec.name]
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            subprocess.run(words, cwd=project.root, stdin=subprocess.DEVNULL, timeout=_TELL_SECONDS, check=False)


def main(args: Sequence[str] | None = None) -> int:
    """See to the end of a launch."""
    parser = argparse.ArgumentParser(
        prog="python -m heyhi.report.closing",
        description="See to the end of a launch that nobody stays for.",
        allow_abbrev=False,
    )
    parser.add_argument("name", help="of the launch")
    parser.add_argument(UNLESS_OTHERS, action="store_true", help="leave it to other workers where there are some")
    guard_streams(goes_on=True)
    take_any_text()
    parser.add_argument("--tables", action="store_true", help="write the tables alone: whoever stays for it asks")
    options = parser.parse_args(args)
    if options.tables:
        with reporting_errors(), shown_streams():
            write_tables(find_project(), options.name)
        return 0
    with reporting_errors(), shown_streams():
        print(f"{utc_now()} {get_job_env().hostname} pid {os.getpid()}: heyhi's end of {options.name}", flush=True)
        close(find_project(), options.name, unless_others=options.unless_others)
        print(f"{utc_now()} exit code 0", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
