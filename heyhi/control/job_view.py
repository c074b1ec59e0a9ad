"""`heyhi status --job ID`: how one job of Slurm's is, and the experiments that it runs or ran."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

from heyhi.control.find import find_job
from heyhi.control.survey import Row, Survey
from heyhi.errors import UnknownError
from heyhi.experiment.folder import ExperimentDir
from heyhi.files import is_there
from heyhi.project import Project


class JobView(NamedTuple):
    """What there is to say of a job.

    Attributes:
        head: what Slurm says of it.
        job_id: its id.
        rows: its experiments.
        logs: exp path -> log; empty where there is none yet.
    """

    head: str
    job_id: str
    rows: list[Row]
    logs: dict[str, str]

    @property
    def has_trouble(self) -> bool:
        """Whether one of its experiments is dead, or nobody knows how it is."""
        return any(row.status.is_trouble for row in self.rows)

    @property
    def lines(self) -> list[str]:
        """The same for a terminal."""
        lines = [self.head]
        for row in self.rows:
            later = f" (has job {row.job_id} by now)" if row.job_id not in ("", self.job_id) else ""
            lines += [f"{row.text}{later}", f"{'':<11} log: {self.logs[row.exp_path] or 'none yet'}"]
        return lines


def look_at_job(project: Project, job_id: str) -> JobView:
    """Find the experiments of a job of Slurm's, how they are, and their logs.

    Raises:
        HeyhiError: no experiment has it.
    """
    job, paths = find_job(project, job_id)
    head = f"job {job_id}: Slurm doesn't know it any more"
    if job is not None:
        head = f"job {job_id}: {job.state}{f' on {job.nodes}' if job.nodes else ''}{f': {job.why}' if job.why else ''}"
    logs = dict.fromkeys(paths, "")
    for path in paths:
        folder = ExperimentDir(Path(path))
        with contextlib.suppress(UnknownError):  # which its status says
            there = [str(log) for log in (folder.log_path, folder.launch_log_path) if is_there(log)]
            logs[path] = there[0] if there else ""
    return JobView(head, job_id, Survey.of_folders(project, paths).rows, logs)
