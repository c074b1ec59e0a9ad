"""What all attempts of an experiment have used: what made something of it, and what was in vain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import PRUNED, REQUEUE, End, History, Start, Submission, Used
from heyhi.experiment.used import Sums, note_used, seconds_between, sums_of, unfinished, used_in_job
from heyhi.slurm.commands import Job, Use

HOUR = Used(seconds=3600, queued=60, cpu_seconds=1800, mem_gb=2, gpus=4)
SUBMITTED = Submission("7", time="2026-11-28T10:00:00+00:00", gpus=4)
STARTED = Start(1, time="2026-11-28T10:00:30+00:00", job_id="7", pid=12, host="n1")


@pytest.mark.parametrize("reason", ["done", REQUEUE, PRUNED])
def test_what_went_on_is_not_lost(reason: str) -> None:
    assert sums_of([End(1, reason, used=HOUR)]) == Sums(4, 0.5, None, None, 2, 60)


@pytest.mark.parametrize("reason", ["failed", "killed", "terminated", "TIMEOUT", "OUT_OF_MEMORY", ""])
def test_what_failed_or_was_killed_stands_apart(reason: str) -> None:
    assert sums_of([End(1, reason, used=HOUR)]) == Sums(None, None, 4, 0.5, 2, 60)


def test_attempts_add_up_and_the_memory_is_the_most_of_them() -> None:
    ends = [
        End(1, "OUT_OF_MEMORY", used=HOUR._replace(mem_gb=5, cpu_seconds=None)),
        End(2, REQUEUE, used=HOUR),
        End(2, "TIMEOUT"),  # the same attempt's, by Slurm
        End(3, "done", used=HOUR._replace(queued=None)),
    ]
    assert sums_of(ends) == Sums(8, 1.0, 4, None, 5, 120)


def test_nothing_known_is_nothing() -> None:
    assert sums_of([]) == sums_of([End(1, "done", seconds=3)]) == Sums()


def test_an_open_attempt_counts_by_what_it_noted() -> None:
    assert sums_of([End(1, "failed", used=HOUR)], HOUR) == Sums(4, 0.5, 4, 0.5, 2, 120)
    assert sums_of([], HOUR, is_lost=True).gpu_hours_lost == 4


def test_a_killed_attempt_is_ended_by_its_note_once(tmp_path: Path) -> None:
    history = History([STARTED])
    assert unfinished(tmp_path, history) is None
    note_used(tmp_path, STARTED, HOUR)
    end = unfinished(tmp_path, history)
    assert end is not None and (end.attempt, end.reason, end.used) == (1, "killed", HOUR)
    assert unfinished(tmp_path, History([STARTED, end])) is None
    assert unfinished(tmp_path, History([STARTED._replace(pid=13)])) is None  # an earlier one with its number


# --- by the accounts


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def use_of(job_id: str) -> Use:
        asked.append(job_id)
        return Use(90.0, 3.0)

    monkeypatch.setattr("heyhi.slurm.commands.use_of", use_of)
    return asked


def test_the_accounts_tell_of_a_job_that_was_killed(tmp_path: Path, accounts: list[str]) -> None:
    found = used_in_job(tmp_path, History([STARTED], SUBMITTED), Job("7", "TIMEOUT", seconds=100.0))
    assert found == Used(seconds=100, queued=30, cpu_seconds=90, mem_gb=3, gpus=4)


def test_what_the_attempt_noted_counts_where_the_accounts_say_less(tmp_path: Path, accounts: Any) -> None:
    note_used(tmp_path, STARTED, Used(80, 25, 95, 2.5, 4))
    job = Job("7", "TIMEOUT", seconds=100.0)
    assert used_in_job(tmp_path, History([STARTED], SUBMITTED), job) == Used(100, 25, 95, 3, 4)
    assert used_in_job(tmp_path, History([STARTED], SUBMITTED), None) == Used(80, 25, 95, 2.5, 4)


def test_of_a_job_that_several_share_no_one_has_all(tmp_path: Path, accounts: list[str]) -> None:
    job, history = Job("7", "TIMEOUT", seconds=100.0), History([STARTED], SUBMITTED._replace(pack=8))
    assert used_in_job(tmp_path, history, job) == Used(seconds=100, queued=30, gpus=0.5)
    note_used(tmp_path, STARTED, Used(80, 25, 95, 2.5, 0.5))
    assert used_in_job(tmp_path, history, job) == Used(80, 25, 95, 2.5, 0.5)
    assert accounts == []


def test_a_job_that_never_started_its_experiment_has_used_its_gpus(tmp_path: Path, accounts: list[str]) -> None:
    before = STARTED._replace(job_id="6")
    note_used(tmp_path, before, HOUR)
    found = used_in_job(tmp_path, History([before], SUBMITTED), Job("7", "NODE_FAIL", seconds=36.0))
    assert (found.seconds, found.gpu_hours, found.queued) == (36, 0.04, None)


def test_a_submission_is_noted_without_what_a_folder_lacks(tmp_path: Path) -> None:
    ExperimentDir(tmp_path).write_submission(SUBMITTED._replace(pack=4))
    assert ExperimentDir(tmp_path).read_submission() == SUBMITTED._replace(pack=4)
    assert SUBMITTED._replace(pack=4).gpu_share == 1 and SUBMITTED._replace(gpus=None).gpu_share is None


@pytest.mark.parametrize(("then", "now"), [("", "x"), ("2026-11-28", "2026-11-28T10:00:00+00:00"), ("x", "")])
def test_odd_times_are_no_time(then: str, now: str) -> None:
    assert seconds_between(then, now) is None


def test_clocks_that_differ_give_no_negative_time() -> None:
    assert seconds_between("2026-11-28T10:00:05+00:00", "2026-11-28T10:00:00+00:00") == 0
