"""Whether a worker starts an experiment, and as which attempt of its launch, by what is on record of it."""

from __future__ import annotations

from collections.abc import Callable

from heyhi.experiment.death import LOST, NOT_STARTED_AGAIN, Death, death_in, ended_job
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import PRUNED, REQUEUE, History
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
    node = next((start.nodes for start in reversed(history.starts)), "")
    if job is not None and job.is_worker and death.kind == "CANCELLED":
        # Of its worker, not of the experiment; who cancels that alone puts it on record.
        return _counted(submission.attempt, request)
    if death.kind in ("CANCELLED", PRUNED):
        return 0
    is_lost = death.kind == LOST or death.exception == NOT_STARTED_AGAIN or death.is_left
    if is_lost or is_at_fault(folder, death, node) or (request.requeue and death.kind in (REQUEUE, "PREEMPTED")):
        return submission.attempt
    return _counted(submission.attempt, request)


def _counted(attempt: int, request: JobRequest) -> int:
    return attempt + 1 if attempt < request.max_attempts else 0


def _is_interrupted(history: History) -> bool:
    """Return whether Slurm has started this job again since it last had the experiment: that is no attempt."""
    end = history.last_end
    if end is not None and end.job_state:  # by itself
        return False
    start = next(reversed(history.starts), None)
    return start is None or bool(history.unstarted_job) or get_job_env().restart_count > start.restart_count
