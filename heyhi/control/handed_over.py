"""What stays of a launch that nobody stays for: its jobs, by a list of their ids in its folder.

The launch counts as alive as long as Slurm has one of them. Who submits them, and what they do, is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TypeGuard

from heyhi.files import parse_json, read_bounded, replace_file
from heyhi.project import Project
from heyhi.slurm.commands import MARK, WORK_NAME, WORKER, Job, Phase, Queue, root_in
from heyhi.slurm.job_id import is_job_id

JOBS_NAME = "jobs.json"
_MOST_COMMENT = 1000  # characters
_WORKERS_NAME = "workers.json"  # ids of those that run one experiment after another, a list


class Jobs(NamedTuple):
    """The jobs of a launch.

    Attributes:
        jobs: ids of those that run its experiments.
        closing: id of the one that makes its tables, once all others have ended; empty for none.
        workers: ids of those among `jobs` that run one experiment after another.
    """

    jobs: tuple[str, ...] = ()
    closing: str = ""
    workers: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all of them."""
        return (*self.jobs, *([self.closing] if self.closing else []))

    def alive(self, queue: Queue, root: str) -> Jobs:
        """Return those that Slurm still has; all where it doesn't answer.

        Args:
            queue: what squeue says.
            root: mark of the results root, which is in their comments: a controller that was killed gives the ids of
                its last jobs again.
        """
        if not self.ids or not queue.has_answer:
            return self

        def lives(job_id: str) -> bool:
            job = queue.known(job_id)
            return job is not None and job.phase is not Phase.OVER and root_in(job.comment) in ("", root)

        closing = self.closing if self.closing and lives(self.closing) else ""
        return Jobs(tuple(filter(lives, self.jobs)), closing, tuple(filter(lives, self.workers)))


def write_jobs(folder: Path, jobs: Iterable[str], closing: str = "") -> None:
    """Write down which jobs a launch has.

    Args:
        folder: of the launch, among those of controllers.
        jobs: ids of those that run its experiments.
        closing: id of the one that makes its tables.

    Raises:
        ResultError: it can't be written.
    """
    replace_file(folder / JOBS_NAME, json.dumps({"jobs": list(jobs), "closing": closing}) + "\n")


def read_jobs(folder: Path) -> Jobs:
    """Return which jobs a launch has; none where nothing is written down, or what is there is damaged."""
    with contextlib.suppress(OSError, ValueError):
        note = parse_json(read_bounded(folder / JOBS_NAME))
        if isinstance(note, dict):
            jobs = note.get("jobs")
            found = tuple(filter(_is_id, jobs)) if isinstance(jobs, list) else ()
            closing, workers = note.get("closing"), read_workers(folder)
            return Jobs(found, closing if _is_id(closing) else "", tuple(one for one in found if one in workers))
    return Jobs()


def add_worker(folder: Path, job_id: str) -> None:
    """Write down that a job is a worker, which has no experiment of its own.

    Args:
        folder: of its launch.
        job_id: of the job.

    Raises:
        ResultError: it can't be written.
    """
    replace_file(folder / _WORKERS_NAME, json.dumps([*read_workers(folder), job_id]) + "\n")


def read_workers(folder: Path) -> set[str]:
    """Return ids of jobs of a launch that are workers, or were; none where that isn't written down, or is damaged."""
    with contextlib.suppress(OSError, ValueError):
        found = parse_json(read_bounded(folder / _WORKERS_NAME))
        return set(filter(_is_id, found)) if isinstance(found, list) else set()
    return set()


def worker_comment(root: str, launch: str, user: str) -> str:
    """Write the comment of a worker's job.

    Args:
        root: mark of the results root.
        launch: name of its launch.
        user: what its launcher has as a comment.
    """
    return f"{MARK}{root}:{WORKER} {launch} {user}".rstrip()[:_MOST_COMMENT]


def worker_of(job: Job) -> str:
    """Return the name of the launch that a job is a worker of; empty where it is none, or its comment is another's."""
    mark, _, rest = job.comment.partition(" ")
    return rest.partition(" ")[0] if mark.startswith(MARK) and job.is_worker else ""


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and is_job_id(value)


class Living:
    """Which launches that nobody stays for have jobs; squeue is asked once for all, and only where there may be some.

    Args:
        project: whose they are.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self.queue = Queue()
        self._root = ""

    def of(self, folder: Path) -> Jobs:
        """Return the jobs that a launch still has.

        Args:
            folder: of the launch.
        """
        jobs = read_jobs(folder)
        # The list is gone from the start of a launch to its first worker, and empty once all is over.
        may_have_workers = os.path.lexists(folder / WORK_NAME) and (
            bool(jobs.jobs) or not os.path.lexists(folder / JOBS_NAME)
        )
        if not (jobs.ids or may_have_workers):
            return jobs
        if not self._root:
            from heyhi.job.order import root_mark

            self._root = root_mark(self._project.results_root)
        alive = jobs.alive(self.queue, self._root)
        return self._with_unnoted(alive, folder.name) if may_have_workers else alive

    def _with_unnoted(self, jobs: Jobs, launch: str) -> Jobs:
        """Add the workers that who has submitted them had no time to write down: Slurm has the launch's name."""
        queued = self.queue.jobs(self._root) or {}
        its = [one.job_id for one in queued.values() if one.phase is not Phase.OVER and worker_of(one) == launch]
        more = tuple(one for one in its if one not in jobs.ids)
        return jobs._replace(jobs=(*jobs.jobs, *more), workers=(*jobs.workers, *more)) if more else jobs
