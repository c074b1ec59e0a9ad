"""An experiment whose launch starts nothing more before its job has begun: as if it never had been submitted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir


def withdraw(folder: ExperimentDir, job_id: str) -> bool:
    """Forget the submission of a job that has started nothing; only who has the claim may call.

    Args:
        folder: of the experiment.
        job_id: of the job.

    Returns:
        whether it hasn't.

    Raises:
        HeyhiError: nobody can tell, or the note can't be removed.
    """
    if _has_started(folder, job_id):
        return False
    submission = folder.read_submission()
    if submission is not None and submission.job_id == job_id:
        folder.forget_submission()
    return True


def give_up_waiting(folders: Iterable[Path], job_id: str) -> None:
    """Note, before a job is cancelled that may wait, that it is none if it has started nothing by then.

    Whoever looks in the next moments, or after this process was killed, sees no death. The claim is the job's.

    Args:
        folders: of its experiments.
        job_id: of the job.
    """
    for path in folders:
        folder = ExperimentDir(path)
        with contextlib.suppress(HeyhiError):  # what can't be noted is as it is on record
            submission = folder.read_submission()
            if submission is not None and submission.job_id == job_id and not _has_started(folder, job_id):
                folder.write_submission(submission._replace(withdrawn=True))


def _has_started(folder: ExperimentDir, job_id: str) -> bool:
    """Return whether a job has started an experiment, by itself or as what its slot has chosen."""
    if folder.has_result() or any(start.job_id == job_id for start in folder.history().starts):
        return True
    from heyhi.experiment.slots import started_dir  # most jobs start what they were submitted for

    return started_dir(folder, job_id) is not None
