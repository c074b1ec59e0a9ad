"""How the GPUs and cores of a job are divided among its experiments, and what their records mean to it."""

from __future__ import annotations

import pytest

from heyhi.experiment.records import End, Record, Start
from heyhi.job.pack import cores_of, end_without_word, has_failed_in, member_env, split, was_pruned_in


@pytest.mark.parametrize(
    ("items", "parts", "shares"),
    [
        ([0, 1, 2, 3], 4, [[0], [1], [2], [3]]),
        ([0, 1, 2, 3], 2, [[0, 1], [2, 3]]),
        ([0, 1, 2, 3, 4], 3, [[0, 1], [2, 3], [4]]),
        ([0, 1], 5, [[0], [1], [0], [1], [0]]),
        ([], 2, [[], []]),
    ],
)
def test_items_are_divided_evenly_or_shared_round_robin(items: list[int], parts: int, shares: list[list[int]]) -> None:
    assert split(items, parts) == shares


def test_a_member_sees_its_gpus_and_is_alone_in_its_job() -> None:
    job = {"CUDA_VISIBLE_DEVICES": "4,5,6,7", "SLURM_CPUS_ON_NODE": "16", "SLURM_NTASKS": "4", "HOME": "/h"}
    second = member_env(job, 1, 2)
    assert second["CUDA_VISIBLE_DEVICES"] == "6,7"
    assert second["SLURM_NTASKS"] == "1"
    assert second["SLURM_CPUS_PER_TASK"] == second["OMP_NUM_THREADS"] == second["MKL_NUM_THREADS"] == "8"
    assert second["HOME"] == "/h"


def test_a_job_without_gpus_shows_none_and_no_member_has_less_than_a_core() -> None:
    env = member_env({"SLURM_CPUS_ON_NODE": "2", "CUDA_VISIBLE_DEVICES": ""}, 3, 4)
    assert env["CUDA_VISIBLE_DEVICES"] == ""
    assert env["OMP_NUM_THREADS"] == "1"


def test_threads_that_the_user_has_set_stay() -> None:
    env = member_env({"SLURM_CPUS_ON_NODE": "8", "OMP_NUM_THREADS": "3"}, 0, 2)
    assert env["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in env
    env = member_env({"SLURM_CPUS_ON_NODE": "8", "MKL_NUM_THREADS": "3"}, 0, 2)
    assert (env["OMP_NUM_THREADS"], env["MKL_NUM_THREADS"]) == ("4", "3")


def test_cores_are_divided_only_where_slurm_has_bound_the_job_to_its_own() -> None:
    assert cores_of({8, 9, 10, 11}, 4, 1, 2) == {10, 11}
    assert cores_of(set(range(64)), 4, 1, 2) == set()
    assert cores_of({8, 9}, 2, 1, 4) == set()


def start(attempt: int, job: str) -> Start:
    return Start(attempt, job_id=job)


def end(attempt: int, reason: str, job_id: str = "") -> End:
    return End(attempt, reason, job_id=job_id)


@pytest.mark.parametrize(
    ("attempts", "has_failed"),
    [
        ([], False),
        ([start(1, "7"), end(1, "failed")], True),
        ([start(1, "7")], False),
        ([start(1, "7"), end(1, "requeue"), start(2, "7"), end(2, "terminated")], False),
        ([start(1, "6"), end(1, "failed"), start(2, "7"), end(2, "requeue")], False),
        # Tried again by another job in the meantime.
        ([start(1, "7"), end(1, "failed"), start(2, "8"), end(2, "terminated")], True),
        ([end(0, "failed", job_id="7")], True),
    ],
)
def test_what_has_failed_in_a_job_is_known_by_its_records(attempts: list[Record], has_failed: bool) -> None:
    assert has_failed_in(attempts, "7") is has_failed


def test_what_a_search_has_ended_in_a_job_isn_t_run_again_there() -> None:
    attempts = [start(1, "6"), end(1, "failed"), start(2, "7"), end(2, "pruned")]
    assert was_pruned_in(attempts, "7") and not was_pruned_in(attempts, "6") and not has_failed_in(attempts, "7")


def test_a_runner_that_was_killed_has_its_attempt_ended() -> None:
    record = end_without_word([start(1, "6"), end(1, "failed"), start(2, "7")], "7", -9)
    assert record is not None
    assert (record.attempt, record.reason, record.exit_code) == (2, "killed", 137)
    assert record.exception == "signal 9 (SIGKILL)"


def test_a_runner_that_ended_before_it_started_the_experiment_is_on_record_too() -> None:
    record = end_without_word([start(1, "6"), end(1, "failed")], "7", 2)
    assert record is not None
    assert (record.attempt, record.reason, record.exit_code, record.job_id) == (0, "failed", 2, "7")


def test_a_task_that_has_ended_its_process_is_on_record() -> None:
    record = end_without_word([start(1, "7")], "7", 0)
    assert record is not None
    assert (record.attempt, record.reason, record.exception) == (1, "failed", "exit code 0, before main returned")
    assert end_without_word([start(1, "7")], "7", 9).exception == "exit code 9"
    assert end_without_word([start(1, "6")], "7", 0) is None, "left to another"


def test_a_runner_that_has_put_its_end_on_record_needs_no_other() -> None:
    assert end_without_word([start(1, "7"), end(1, "failed")], "7", 1) is None
