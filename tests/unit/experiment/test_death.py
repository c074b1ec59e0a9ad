"""Why an experiment is dead: by its records, its job's end in Slurm's words, and what stands in the job's log."""

from __future__ import annotations

import pytest

from heyhi.experiment.death import LOST, death_of, state_in_log
from heyhi.experiment.records import REFUSED, End, History, Record, Start, Submission
from heyhi.slurm.commands import Job

START = Start(1, job_id="7", host="n1", pid=3)
FAILED = End(1, "failed", exit_code=1, exception="ValueError: boom")
STOPPED = End(1, "terminated", exit_code=143, exception="stopped by SIGTERM")
SEVEN = Submission("7")


@pytest.mark.parametrize(
    ("attempts", "job", "kind", "text"),
    [
        ([START, FAILED], None, "failed", "exit code 1: ValueError: boom"),
        ([START, FAILED], Job("7", "FAILED", exit_code=1), "failed", "exit code 1: ValueError: boom"),
        ([START, FAILED], Job("7", "OUT_OF_MEMORY", nodes="n1"), "OUT_OF_MEMORY",
         "OUT_OF_MEMORY (job 7 on n1): ValueError: boom"),
        ([START, FAILED], Job("7", "CANCELLED"), "failed", "exit code 1: ValueError: boom"),
        ([START, STOPPED], Job("7", "TIMEOUT", nodes="n1"), "TIMEOUT", "TIMEOUT (job 7 on n1)"),
        ([START, STOPPED], Job("7", "PREEMPTED", nodes="n1"), "PREEMPTED", "PREEMPTED (job 7 on n1)"),
        ([START, STOPPED], None, "terminated", "exit code 143: stopped by SIGTERM"),
        ([START], Job("7", "NODE_FAIL", nodes="n1"), "NODE_FAIL", "NODE_FAIL (job 7 on n1)"),
        ([START], Job("7", "FAILED", nodes="n1", exit_code=-11), "killed", "exit code 139 (signal 11) (job 7 on n1)"),
        ([START], Job("7", "COMPLETED", nodes="n1", exit_code=0), "killed",
         "exit code 0, without a result (job 7 on n1)"),
        ([START, End(0, "killed", exit_code=0, job_id="7", job_state="COMPLETED")], None, "killed",
         "exit code 0, without a result"),
        ([START], None, "killed", "killed (no end record; job 7 on host n1)"),
        ([], Job("7", "CANCELLED", nodes="None assigned"), "CANCELLED", "CANCELLED (job 7)"),
        ([], Job("7", "FAILED", exit_code=1), "failed",
         "job 7 ended with exit code 1 before it started the experiment"),
        ([START, FAILED, End(0, REFUSED, exception="sbatch: no")], Job("7", "TIMEOUT"), REFUSED,
         "not submitted: sbatch: no"),
        ([], None, LOST, "job 7 was never started, and Slurm knows nothing of it"),
    ],
)  # fmt: skip
def test_the_reason(attempts: list[Record], job: Job | None, kind: str, text: str) -> None:
    death = death_of(History(attempts, SEVEN), job)
    assert (death.kind, death.text) == (kind, text)


def test_the_newest_job_is_asked_about() -> None:
    newest = History([START, FAILED], Submission("8"))
    assert (newest.job_to_ask, newest.current_job) == ("8", "8")
    assert History([START, FAILED], SEVEN).job_to_ask == "7"


def test_what_is_on_record_is_not_asked_about_again() -> None:
    settled = History(
        [START, STOPPED, STOPPED._replace(exception="", job_id="7", job_state="TIMEOUT", host="n1")], SEVEN
    )
    assert settled.job_to_ask == ""
    assert death_of(settled).text == "TIMEOUT (job 7 on n1)"


def test_a_local_run_has_no_job() -> None:
    start = Start(1, host="h", pid=3)
    assert History([start, FAILED]).job_to_ask == ""
    assert death_of(History([start])).text == "killed (no end record; pid 3 on host h)"


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("slurmstepd-n1: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-24T11:41:57 DUE TO TIME LIMIT ***", "TIMEOUT"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-24T11:41:57 DUE TO PREEMPTION ***", "PREEMPTED"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-24T11:41:57 ***", "CANCELLED"),
        ("slurmstepd: error: StepId=7.batch exceeded memory limit (9 > 3), being killed", "OUT_OF_MEMORY"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-24T11:41:57 DUE TO JOB REQUEUE ***", ""),
        ("slurmstepd: error: *** JOB 77 ON n1 CANCELLED AT 2026-11-24T11:41:57 ***", ""),
        ("my own words: JOB 7 CANCELLED AT noon", ""),
    ],
)
def test_what_a_jobs_log_says(line: str, state: str) -> None:
    assert state_in_log(f"before\n{line}\nafter", "7") == state
