"""Why an experiment is dead: by its records, its job's end in Slurm's words, and what stands in the job's log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.identity import Identity
from heyhi.experiment.death import LOST, OUTSIDE, death_of, ended_job, find_death, settled, state_in_log
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import REFUSED, REQUEUE, REQUEUED, End, History, Record, Start, Submission
from heyhi.experiment.slots import SearchDir, note_slot
from heyhi.job.left_out import nodes_to_avoid
from heyhi.slurm.commands import Job, Ledger, View
from heyhi.slurm.request import comment_text

START = Start(1, job_id="7", host="n1", pid=3)
FAILED = End(1, "failed", exit_code=1, exception="ValueError: boom")
STOPPED = End(1, "terminated", exit_code=143, exception="stopped by SIGTERM")
KILLED = End(1, "killed", exit_code=137, exception="signal 9 (SIGKILL)", job_id="7")
ASKED = End(1, REQUEUE, exit_code=75, exception=REQUEUED)
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
        ([START], Job("7", "FAILED", nodes="n1", exit_code=-11), "killed", "signal 11 (SIGSEGV) (job 7 on n1)"),
        ([START], Job("7", "COMPLETED", nodes="n1", exit_code=0), "killed",
         "exit code 0, before main returned (job 7 on n1)"),
        ([START, End(0, "killed", exit_code=0, job_id="7", job_state="COMPLETED")], None, "killed",
         "exit code 0, before main returned"),
        ([START], None, "killed", "killed (no end record; job 7 on host n1)"),
        ([], Job("7", "CANCELLED", nodes="None assigned"), "CANCELLED", "CANCELLED (job 7)"),
        ([], Job("7", "FAILED", exit_code=1), "failed",
         "job 7 ended with exit code 1 before it started the experiment"),
        ([START, FAILED, End(0, REFUSED, exception="sbatch: no")], Job("7", "TIMEOUT"), REFUSED,
         "not submitted: sbatch: no"),
        ([START, FAILED], Job("7", "NODE_FAIL", nodes="n1"), "NODE_FAIL", "NODE_FAIL (job 7 on n1): ValueError: boom"),
        # The job's exit code is that of all who share it.
        ([START, KILLED], Job("7", "FAILED", nodes="n1", exit_code=1), "killed", "signal 9 (SIGKILL)"),
        ([START, ASKED], None, REQUEUE, "stopped to be queued again, and wasn't"),
        ([START, ASKED], Job("7", "FAILED", why="scontrol: command not found", exit_code=75), REQUEUE,
         "stopped to be queued again, and wasn't: scontrol: command not found"),
        ([START, ASKED], Job("7", "CANCELLED", nodes="n1"), "CANCELLED", "CANCELLED (job 7 on n1)"),
        ([START, FAILED._replace(exception="rank 2 on n2: exit code 9")], None, "failed", "rank 2 on n2: exit code 9"),
        ([START, FAILED._replace(exception="rank 2: signal 9 (SIGKILL)")], None, "failed",
         "rank 2: signal 9 (SIGKILL)"),
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
        ("slurmstepd-gpu-7: error: *** JOB 5 ON gpu-7 CANCELLED AT 2026-11-24T11:41:57 DUE TO NODE FAILURE ***", ""),
        ("slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-11-24T11:41:57 DUE TO TIME LIMIT ***", "TIMEOUT"),
        (
            "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch. Some tasks have been killed.",
            "OUT_OF_MEMORY",
        ),
        ("my own words: JOB 7 CANCELLED AT noon", ""),
    ],
)
def test_what_a_jobs_log_says(line: str, state: str) -> None:
    assert state_in_log(f"before\n{line}\nafter", "7") == state


def test_a_jobs_number_is_no_date() -> None:
    line = "slurmstepd-n2: error: *** JOB 4 ON n2 CANCELLED AT 2026-11-30T04:39:21 DUE TO NODE FAILURE ***\n"
    assert [state_in_log(line, job_id) for job_id in ("11", "30", "21", "2026", "4")] == ["", "", "", "", "NODE_FAIL"]


ENDS = st.builds(
    End,
    st.just(1),
    st.sampled_from(["failed", "terminated", "killed", REQUEUE]),
    exit_code=st.sampled_from([None, 0, 1, 75, 137, 143]),
    exception=st.sampled_from(["", "ValueError: boom", "stopped by SIGTERM", REQUEUED, "rank 1 on n2: exit code 9"]),
    job_id=st.sampled_from(["", "7"]),
    job_state=st.just(""),
    job_went_on=st.just(False),  # of which its job's end says nothing
)
# Who was killed left no word, unless a pack has written one for it.
ENDS = ENDS.map(
    lambda end: end._replace(exception=end.exception or "signal 9 (SIGKILL)") if end.reason == "killed" else end
)
JOBS = st.builds(
    Job,
    st.just("7"),
    st.sampled_from([*OUTSIDE, "FAILED", "COMPLETED"]),
    why=st.sampled_from(["", "scontrol: Invalid user id"]),
    nodes=st.sampled_from(["", "n1", "n[1-2]"]),
    exit_code=st.sampled_from([None, 0, 1, 137, -9, -11]),
)


@given(st.one_of(st.just([]), st.just([START]), ENDS.map(lambda end: [START, end])), JOBS)
def test_to_put_an_end_on_record_changes_no_reason(attempts: list[Record], job: Job) -> None:
    before = death_of(History(attempts, SEVEN), job)
    end = settled(History(attempts, SEVEN), job, "now")
    after = History([*attempts, End.from_dict(end.to_dict())], SEVEN)
    assert after.job_to_ask == "", "nobody has to be asked any more"
    assert death_of(after) == before


@pytest.mark.parametrize("is_known", [True, False])
def test_why_a_job_was_not_queued_again_stands_in_its_log(tmp_path: Path, is_known: bool) -> None:
    folder = ExperimentDir(tmp_path)
    folder.append_attempt(START)
    folder.append_attempt(ASKED)
    said = ["job 7 could not be queued again: old", "job 7 starts again", "job 77 could not be queued again: no"]
    folder.launch_log_path.write_text("\n".join([*said, "job 7 could not be queued again: Invalid user id", "x", ""]))
    view = View()
    view.ledger = Ledger()
    view.ledger._known = {"7": Job("7", "FAILED", "NonZeroExitCode", "n1", exit_code=75) if is_known else None}
    text = "stopped to be queued again, and wasn't"
    assert find_death(folder, view).text == f"{text}: Invalid user id"
    folder.launch_log_path.write_text("\n".join([*said, ""]))
    assert find_death(folder, view).text == text


BEGAN = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("job", "log", "is_not_started"),
    [
        ({}, "", True),
        ({"started": BEGAN.timestamp() - 1, "seconds": 0.0}, "", False),  # it failed where it was started first
        ({"seconds": 40.0}, "", False),
        ({}, "job 7 starts again\n", False),
        ({"exit_code": -9}, "", False),
        ({"started": None, "seconds": None}, "", False),
    ],
)
def test_a_job_that_a_node_which_was_lost_does_not_start_again_is_the_node_s_fault(
    tmp_path: Path, job: dict[str, Any], log: str, is_not_started: bool
) -> None:
    folder = ExperimentDir(tmp_path)
    folder.append_attempt(START._replace(time=BEGAN.isoformat()))
    folder.launch_log_path.write_text(log)
    view = View()
    view.ledger = Ledger()
    told = Job("7", "FAILED", "", "n2", exit_code=1, seconds=0.0, started=BEGAN.timestamp() + 200)._replace(**job)
    view.ledger._known = {"7": told}
    before = find_death(folder, view)
    assert (before.kind == "NODE_FAIL") is is_not_started
    if is_not_started:
        assert before.text == "NODE_FAIL (job 7 on n2): Slurm could not start it again"
        ended = ended_job(folder, folder.history(), view)
        assert ended is not None and ended.seconds is None, "the attempt ran for longer than that start"
        folder.append_attempt(settled(folder.history(), ended, "now"))
        assert find_death(folder, View()) == before, "and so it stays"
        assert nodes_to_avoid(folder.history(), 0, ()) == ("n2",)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_trial_of_a_search_is_dead_as_the_job_of_its_slot_has_ended(tmp_path: Path, is_known: bool) -> None:
    slot, folder = SearchDir(tmp_path, "0123456789abcdef").slot(7), ExperimentDir(tmp_path / "p/work/x=1")
    own, its = Identity("searches/0123456789abcdef", ("slot=7",)), Identity("conf/work.prototxt", ("x=1",))
    for place, identity in ((slot, own), (folder, its)):
        place.path.mkdir(parents=True)
        place.identity_path.write_text(json.dumps(identity.to_dict()))
    note_slot(folder.path, slot.exp_id)
    folder.append_attempt(START)
    view = View()
    view.ledger = Ledger()
    comment = comment_text("0123456789", [own.digest], "")
    view.ledger._known = {"7": Job("7", "TIMEOUT", "", "n1", comment=comment) if is_known else None}
    if not is_known:
        slot.launch_log_path.write_text("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT now DUE TO TIME LIMIT ***\n")

    assert find_death(folder, view).kind == "TIMEOUT"

    other = comment_text("0123456789", ["f" * 16], "")
    view.ledger._known = {"7": Job("7", "CANCELLED", "", "n1", comment=other)}
    assert find_death(folder, view).kind != "CANCELLED", "a job of that id, but another one's"


def test_what_a_worker_has_put_on_record_stays_whatever_becomes_of_its_job() -> None:
    job = Job("7", "TIMEOUT", nodes="n1")
    failed = End(1, "failed", 1, "ValueError: boom", job_id="7", host="n1", job_went_on=True)
    assert History([START, failed], SEVEN).job_to_ask == ""
    assert death_of(History([START, failed], SEVEN)).text == "exit code 1: ValueError: boom"
    cancelled = End(1, "CANCELLED", 143, "stopped by SIGTERM", job_id="7", host="n1", job_went_on=True)
    assert death_of(History([START, cancelled], SEVEN)).text == "CANCELLED (job 7 on n1)"
    killed = settled(History([START], SEVEN), job._replace(state="FAILED", exit_code=-9), "now")
    assert death_of(History([START, killed._replace(job_state="", job_went_on=True)], SEVEN)).kind == "killed"
