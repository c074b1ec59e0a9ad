"""What our executor makes of the slots of a search whose jobs have ended: it writes what they had no time to write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import End, Start
from heyhi.experiment.slots import Choice, SlotDir, SlotEnd
from heyhi.sweep.target import folders_of

from . import test_executor_polls as polls

SEARCH = """
import heyhi

SEARCH = heyhi.Search(cfg="conf/work.prototxt", space={{"x": list(range(9))}}, max="y", trials={count})
"""
Make = Callable[[int], polls.Bench]
bench = polls.bench


@pytest.fixture
def searching(bench: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int], polls.Bench]:
    """Make an executor with so many slots in the queue."""

    def make(count: int) -> polls.Bench:
        monkeypatch.setattr(polls, "SWEEP", SEARCH)
        return bench(count)

    return make


class Trial:
    """A slot whose job has chosen an x, and how that went."""

    def __init__(self, made: polls.Bench, root: Path, number: int = 0) -> None:
        targets = made._manifest.targets
        self.slot = SlotDir(Path(folders_of(targets, root)[number]), root / "results")
        self.job = json.loads((self.slot.path / "job.json").read_text())["job_id"]
        self.folder = ExperimentDir(root / f"results/p/work/x={number}", root / "results")

    def choose(self) -> Trial:
        self.slot.write_choice(Choice(self.folder.exp_id, "conf/work.prototxt", ("x=0",), {"x": 0}))
        return self

    def starts(self) -> Trial:
        self.choose()
        self.folder.path.mkdir(parents=True)
        for folder in (self.slot, self.folder):
            folder.append_attempt(Start(1, job_id=self.job))
        return self

    def ends(self, reason: str, exception: str = "", state: str = "") -> Trial:
        self.folder.append_attempt(End(1, reason, 1, exception, job_id=self.job if state else "", job_state=state))
        return self

    @property
    def end(self) -> SlotEnd | None:
        return self.slot.read_end()


def test_a_trial_that_was_killed_behind_its_result_is_done(searching: Make, tmp_path: Path) -> None:
    made = searching(2)
    trial = Trial(made, tmp_path).starts()
    trial.folder.write_result({"y": 3})
    made.end_job(trial.job)

    assert made.look() == 1
    assert trial.end is not None
    assert (trial.end.exp_id, trial.end.status, trial.end.value) == ("p/work/x=0", "DONE", 3.0)


def test_a_trial_whose_attempts_are_used_up_is_dead_and_no_failure_of_the_launch(
    searching: Make, tmp_path: Path
) -> None:
    made = searching(2)
    trial = Trial(made, tmp_path).starts().ends("OUT_OF_MEMORY", state="OUT_OF_MEMORY")
    made.end_job(trial.job)

    assert made.look() == 1
    assert trial.end is not None
    assert (trial.end.status, trial.end.value) == ("DEAD", None)
    assert trial.end.reason.startswith("OUT_OF_MEMORY")


def test_a_trial_with_attempts_left_is_submitted_again_as_the_same_slot(searching: Make, tmp_path: Path) -> None:
    made = searching(1)
    made.allow_attempts(2)
    trial = Trial(made, tmp_path).starts().ends("failed", "ValueError: boom")
    made.end_job(trial.job)
    made.look_until(lambda: made.asked_sbatch == 2)

    assert trial.end is None
    assert trial.slot.read_choice() is not None


@pytest.mark.parametrize("state", ["CANCELLED", "NODE_FAIL"])
def test_what_was_ended_from_outside_fails_its_launch_and_is_not_over(
    searching: Make, tmp_path: Path, state: str
) -> None:
    made = searching(1)
    failed: list[str] = []
    made.fail_with(failed.append)
    trial = Trial(made, tmp_path).starts().ends(state, state=state)
    made.end_job(trial.job)
    made.look_until(lambda: failed or made.asked_sbatch > 1)

    assert trial.end is None
    assert failed and f"DEAD: {state}" in failed[0]


def test_a_trial_whose_job_slurm_has_started_twice_is_submitted_again(searching: Make, tmp_path: Path) -> None:
    made = searching(1)
    trial = Trial(made, tmp_path).starts()
    # The second start left the trial to the first one, and with it ended the job.
    trial.folder.append_attempt(End(1, "killed", 0, job_id=trial.job, job_state="COMPLETED"))
    made.end_job(trial.job)
    made.look_until(lambda: made.asked_sbatch == 2)

    assert trial.end is None


def test_a_trial_that_another_has_by_now_is_not_dead(searching: Make, tmp_path: Path) -> None:
    made = searching(1)
    failed: list[str] = []
    made.fail_with(failed.append)
    trial = Trial(made, tmp_path).starts().ends("failed", "ValueError: boom")
    with Claim.acquire(trial.folder.path):  # type: ignore[union-attr]
        made.end_job(trial.job)
        made.look_until(lambda: failed)

    assert trial.end is None


def test_a_slot_whose_job_has_chosen_nothing_is_not_over(searching: Make, tmp_path: Path) -> None:
    made = searching(1)
    failed: list[str] = []
    made.fail_with(failed.append)
    trial = Trial(made, tmp_path)
    trial.slot.append_attempt(Start(1, job_id=trial.job))
    trial.slot.append_attempt(End(1, "failed", 2, "trial 0 of the search is done and has no 'y'"))
    made.end_job(trial.job)

    assert made.look() == 0
    assert trial.end is None
    assert "has no 'y'" in failed[0]


def test_the_same_error_of_trials_that_are_dead_stops_a_launch(searching: Make, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.heyhi]\nstop_after_same_error = 2\n")
    made = searching(3)
    made.executor._project = made.executor._project._replace(
        settings=made.executor._project.settings._replace(stop_after_same_error=2)
    )
    for number in (0, 1):
        trial = Trial(made, tmp_path, number)
        trial.slot.write_end(SlotEnd("p/work/x=0", "DEAD", reason="exit code 1: ValueError: boom"))
    made.look_until(lambda: made.executor._submitter.stopped)

    assert "2 experiments ended with the same error" in made.executor._submitter.stopped


def test_nothing_is_submitted_for_a_slot_whose_trial_is_done_already(searching: Make, tmp_path: Path) -> None:
    made = searching(1)
    made.allow_attempts(2)
    trial = Trial(made, tmp_path).starts().ends("failed", "ValueError: boom")
    # By hand, after its job has ended and before it is submitted again.
    made.executor._submitter.work_on = lambda: None
    made.end_job(trial.job)
    made.look()
    trial.folder.write_result({"y": 1})
    del made.executor._submitter.work_on
    made.look_until(lambda: trial.end)

    assert trial.end is not None and trial.end.status == "DONE"
    assert made.asked_sbatch == 1
