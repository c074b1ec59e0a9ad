"""The GPU-hours of a launch: what its attempts note, one by one and at once, and when nothing more is started."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from heyhi.experiment.records import Used
from heyhi.sweep.budget import Budget


@pytest.fixture
def budget(tmp_path: Path) -> Budget:
    return launch(tmp_path, "first", 2.0)


def launch(state_root: Path, record: str, most: float) -> Budget:
    """Be a launch of the name `sweep`: its controller has written its note."""
    folder = state_root / "controllers/sweep"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "controller.json").write_text(json.dumps({"launch": record, "max_gpu_hours": most}))
    found = Budget.of(state_root, "sweep")
    assert found is not None
    found.begin()
    return found


def test_the_sum_is_that_of_all_attempts_and_an_attempt_counts_as_it_was_noted_last(budget: Budget) -> None:
    budget.note("aa", 1, Used(seconds=600, gpus=2))
    budget.note("aa", 1, Used(seconds=1800, gpus=2))
    budget.note("aa", 2, Used(seconds=900, gpus=1))
    budget.note("bb", 1, Used(seconds=900, gpus=0.5))
    budget.note("bb", 11, Used(seconds=450, gpus=0.5))
    assert budget.used() == pytest.approx(1 + 0.25 + 0.125 + 0.0625)


def test_where_records_know_no_gpus_those_of_the_launcher_count(budget: Budget) -> None:
    budget.note("aa", 1, Used(seconds=3600), gpus=1)
    budget.note("bb", 1, Used(seconds=3600))
    budget.note("cc", 1, Used(seconds=3600, gpus=0), gpus=4)
    budget.note("dd", 1, Used(gpus=4))
    assert budget.used() == 1


def test_nothing_more_is_started_once_all_was_used(budget: Budget) -> None:
    budget.note("aa", 1, Used(seconds=7199, gpus=1))
    assert budget.why_none() == ""
    budget.note("aa", 1, Used(seconds=7200, gpus=1))
    assert budget.why_none() == "held back: 2 of 2 GPU-hours used"


def note_one(case: tuple[Path, int]) -> None:
    folder, number = case
    Budget(folder, 2.0).note(f"{number:02x}", 1, Used(seconds=3600, gpus=1))


def test_runs_that_end_at_once_all_count(budget: Budget) -> None:
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(note_one, [(budget.folder, number) for number in range(40)]))
    assert budget.used() == 40


def test_a_controller_that_goes_on_has_the_sum_and_another_launch_of_the_name_counts_anew(
    budget: Budget, tmp_path: Path
) -> None:
    budget.note("aa", 1, Used(seconds=3600, gpus=1))
    assert launch(tmp_path, "first", 2.0).used() == 1
    assert launch(tmp_path, "second", 3.0).used() == 0
    budget.note("aa", 1, Used(seconds=7200, gpus=1))  # one that goes on of the first
    assert launch(tmp_path, "second", 3.0).used() == 0


@pytest.mark.parametrize("note", ["{}", "[]", "{", '{"launch": "a", "max_gpu_hours": 0}', '{"max_gpu_hours": 3}'])
def test_a_launch_without_one_has_none(tmp_path: Path, note: str) -> None:
    (tmp_path / "controllers/sweep").mkdir(parents=True)
    (tmp_path / "controllers/sweep/controller.json").write_text(note)
    assert Budget.of(tmp_path, "sweep") is None
    assert Budget.of(tmp_path, "other") is None


def test_what_somebody_has_put_beside_the_notes_counts_for_nothing(budget: Budget) -> None:
    (budget.folder / ".DS_Store").touch()
    (budget.folder / "aa.1.x").touch()
    assert budget.used() == 0
