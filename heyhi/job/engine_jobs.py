"""What another engine of Snakemake's was given and hasn't ended: at an interrupt all of it is cancelled.

Snakemake's base of such executors leaves out the jobs that it is just asking about, and a round of questions takes as
long as the engine answers: with hundreds of jobs nearly all of the time. And a job whose submission a signal breaks off
is on nobody's list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class EngineJobs:
    """The jobs of an executor, from their submission to their end.

    Args:
        executor: Snakemake's, of another engine; it is told of all that was submitted when it is to cancel.
    """

    def __init__(self, executor: Any) -> None:
        self._submitted: dict[Any, Any] = {}  # what is known of each job's submission
        self._is_submitting = False
        self._when_submitted: Callable[[], None] | None = None
        self._run_job, self._cancel_jobs = executor.run_job, executor.cancel_jobs
        executor.run_job, executor.cancel_jobs = self._submit, self._cancel
        executor.report_job_submission = self._noting(executor.report_job_submission)
        executor.report_job_success = self._forgetting(executor.report_job_success)
        executor.report_job_error = self._forgetting(executor.report_job_error)

    def put_off(self, interrupt: Callable[[], None]) -> bool:
        """Return whether a job is just being submitted; if so, an interrupt is called as soon as it was.

        Args:
            interrupt: raises what ends Snakemake's scheduling.
        """
        if self._is_submitting:
            self._when_submitted = interrupt
        return self._is_submitting

    def _submit(self, job: Any) -> None:
        self._is_submitting = True
        try:
            self._run_job(job)
        finally:
            self._is_submitting = False
            interrupt, self._when_submitted = self._when_submitted, None
        if interrupt is not None:
            interrupt()

    def _cancel(self, asked: list[Any]) -> None:
        known = {info.job: info for info in asked}
        known |= self._submitted
        self._cancel_jobs(list(known.values()))

    def _noting(self, report: Callable[..., None]) -> Callable[..., None]:
        def note(info: Any, *args: Any, **named: Any) -> None:
            self._submitted[info.job] = info
            report(info, *args, **named)

        return note

    def _forgetting(self, report: Callable[..., None]) -> Callable[..., None]:
        def forget(info: Any, *args: Any, **named: Any) -> None:
            self._submitted.pop(info.job, None)
            report(info, *args, **named)

        return forget
