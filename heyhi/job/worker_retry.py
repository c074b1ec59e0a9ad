"""Whether a worker starts an experiment, and as which attempt of its launch, by what is on record of it."""

from __future__ import annotations

from collections.abc import Callable

from heyhi.experiment.death import LOST, Death, death_in, ended_job
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import History
from heyhi.job.own_retry import Again, again_after
from heyhi.job_env import get_job_env
from heyhi.slurm.commands import View
from heyhi.slurm.request import JobRequest


def next_attempt(
    folder: ExperimentDir,
    request: JobRequest,
    since: str,
    own_job: str,
    view: View,
    is_at_fault: Callable[[ExperimentDir, Death, str], bool],
) -> int:
    """Return as which attempt of its launch an experiment is started now that nobody has it; 0: it is not.

    Args:
        folder: of the experiment.
        request: what its launcher asks for.
        since: when it was launched; what was submitted before counts as no attempt.
        own_job: id of the worker's job.
        view: what Slurm says of jobs.
        is_at_fault: returns whether it died by the fault of a node, so that this counts as no attempt.

    Raises:
        UnknownError: its records can't be read.
    """
    history = folder.history()
    submission = history.submission
    if submission is None or submission.time < since:
        return 1
    if submission.job_id == own_job and _is_interrupted(history):
        return submission.attempt
    job = ended_job(folder, history, view)
    death = death_in(folder, history, job)
    if job is not None and job.is_worker and death.kind == "CANCELLED":
        # Of its worker, not of the experiment; who cancels that alone puts it on record.
        death = death._replace(kind="killed")
    is_fault = is_at_fault(folder, death, next((start.nodes for start in reversed(history.starts)), ""))
    losses = sum(end.reason == LOST for end in history.ends)
    again = again_after(death, request, submission.attempt, is_fault=is_fault, losses=losses)
    return 0 if again is Again.NEVER else submission.attempt + (again is Again.COUNTED)


def _is_interrupted(history: History) -> bool:
    """Return whether Slurm has started this job again since it last had the experiment: that is no attempt."""
    end = history.last_end
    if end is not None and end.job_state:  # by itself
        return False
    start = next(reversed(history.starts), None)
    return start is None or bool(history.unstarted_job) or get_job_env().restart_count > start.restart_count
