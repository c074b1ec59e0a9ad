"""An experiment whose launch has given up its job before that had started anything, and is killed at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from heyhi.experiment.death import death_in, find_death
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.records import End, Start, Submission
from heyhi.experiment.status import State, find_state
from heyhi.job.withdrawing import give_up_waiting
from heyhi.slurm.commands import Job, View


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentDir:
    """The folder of an experiment that job 12 was to run."""
    found = ExperimentDir(tmp_path / "p/work")
    found.path.mkdir(parents=True)
    found.write_submission(Submission("12"))
    return found


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> View:
    """A Slurm that has cancelled that job."""
    monkeypatch.setattr("heyhi.slurm.commands.account", lambda ids: {"12": Job("12", "CANCELLED")})
    monkeypatch.setattr("heyhi.slurm.commands._queue_lines", lambda *words: [])
    return View()


def test_it_is_as_if_it_had_not_been_submitted(folder: ExperimentDir, view: View) -> None:
    give_up_waiting([folder.path], "12")
    assert find_state(folder.path, view) == State(Status.NOT_STARTED)


def test_one_that_was_tried_before_is_as_it_was(folder: ExperimentDir) -> None:
    folder.append_attempt(Start(1, job_id="7"))
    folder.append_attempt(End(1, "failed", exit_code=1, exception="ValueError: boom", job_id="7", job_state="FAILED"))
    give_up_waiting([folder.path], "12")
    assert death_in(folder, folder.history()).text == "exit code 1: ValueError: boom"
    assert folder.history().current_job == "7"


def test_a_job_that_began_all_the_same_counts(folder: ExperimentDir, view: View) -> None:
    give_up_waiting([folder.path], "12")
    folder.append_attempt(Start(1, job_id="12"))
    assert find_death(folder, view).text == "CANCELLED (job 12)"


def test_a_later_job_is_another_one(folder: ExperimentDir) -> None:
    folder.write_submission(Submission("13"))
    give_up_waiting([folder.path], "12")
    submission = folder.read_submission()
    assert submission is not None and not submission.withdrawn
