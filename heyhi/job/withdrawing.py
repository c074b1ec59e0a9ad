"""An experiment whose launch starts nothing more before its job has begun: as if it never had been submitted."""

from __future__ import annotations

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
    history = folder.history()
    if any(start.job_id == job_id for start in history.starts) or folder.has_result():
        return False
    if history.submission is not None and history.submission.job_id == job_id:
        folder.forget_submission()
    return True
