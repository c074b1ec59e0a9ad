"""How far an experiment is, and how long the rest takes: at the pace of the attempt that runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.pace import reached_by
from heyhi.experiment.records import Start

BEGAN = 1.7e9


def line(step: float, minutes: float, attempt: int = 1, total: float | None = 5000, **more: Any) -> str:
    facts = {"time": BEGAN + 60 * minutes, "attempt": attempt}
    return json.dumps({"step": step, **({"total": total} if total is not None else {}), **more, **facts}) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentDir:
    return ExperimentDir(tmp_path)


def write(folder: ExperimentDir, *attempts: Iterable[str]) -> None:
    for number, lines in enumerate(attempts, 1):
        size = folder.metrics_path.stat().st_size if folder.metrics_path.exists() else 0
        folder.append_attempt(Start(number, metrics_size=size))
        with folder.metrics_path.open("a") as file:
            file.writelines(lines)


def said(folder: ExperimentDir, minutes: float) -> str:
    reached = reached_by(folder)
    return reached.text(BEGAN + 60 * minutes) if reached is not None else ""


def test_the_rest_takes_what_the_attempt_has_taken_a_step_since_its_first_line(folder: ExperimentDir) -> None:
    write(folder, [line(200, 0), line(700, 1), line(1200, 2)])
    assert said(folder, 2) == "step 1200 of 5000, about 7 min left"
    assert said(folder, 4) == "step 1200 of 5000, about 5 min left"
    assert said(folder, 60) == "step 1200 of 5000"


def test_an_attempt_that_went_on_has_made_none_of_the_steps_before(folder: ExperimentDir) -> None:
    write(folder, [line(step, step / 1000) for step in range(100, 3001, 100)], [line(3001, 600, 2), line(3501, 601, 2)])
    reached = reached_by(folder)
    assert reached is not None
    assert said(folder, 601) == "step 3501 of 5000, about 2 min left"
    assert (reached.made, reached.seconds) == (500, 60)
    assert (reached.made_part, round(reached.left_part, 4)) == (0.1, 0.2998)


def test_an_attempt_that_has_logged_nothing_yet_has_no_pace(folder: ExperimentDir) -> None:
    write(folder, [line(100, 0), line(1000, 1)], [])
    assert said(folder, 2) == "step 1000 of 5000"
    write(folder, [line(1100, 100, 3)])
    assert said(folder, 101) == "step 1100 of 5000"


def test_a_line_of_metrics_behind_it_takes_nothing_back_of_how_far_the_run_is(folder: ExperimentDir) -> None:
    write(folder, [line(100, 0), line(600, 1), line(610, 1.5, total=None, loss=1), '{"epoch": 1, "loss": 2}\n{"st'])
    assert said(folder, 1) == "step 600 of 5000, about 8 min left"


def test_the_pace_of_a_long_file_is_found_without_reading_it(folder: ExperimentDir) -> None:
    write(folder, [line(1, 0, 1)], [line(step, step / 100, 2, loss=0.5) for step in range(1, 4001)])
    assert folder.metrics_path.stat().st_size > 300_000
    assert said(folder, 40) == "step 4000 of 5000, about 10 min left"


def test_a_total_is_of_the_first_counter_that_is_not_beyond_it(folder: ExperimentDir) -> None:
    write(folder, [line(390, 0, total=60, epoch=1), line(4290, 10, total=60, epoch=11)])
    assert said(folder, 10) == "epoch 11 of 60, about 49 min left"


def test_more_steps_than_there_were_to_be_are_said(folder: ExperimentDir) -> None:
    write(folder, [line(40, 0, total=50), line(60, 1, total=50)])
    assert said(folder, 1) == "step 60 of 50"


@pytest.mark.parametrize("total", [0, -1, None, 10**400, float("inf"), float("nan")])
def test_without_an_end_there_is_no_rest(folder: ExperimentDir, total: float | None) -> None:
    write(folder, [line(1, 0, total=total), line(2, 1, total=total)])
    assert said(folder, 1) == "step 2"


def test_what_is_written_by_hand_says_its_counter(folder: ExperimentDir) -> None:
    write(folder, ['{"epoch": 2, "total": 7.5, "time": 3}\n'])
    assert said(folder, 0) == "epoch 2"


@pytest.mark.parametrize(
    "odd", ['"time": "now"', '"total": "all"', '"total": [1]', '"time": null', '"time": NaN', f'"time": 1{"0" * 400}']
)
def test_odd_lines_say_less_and_break_nothing(folder: ExperimentDir, odd: str) -> None:
    write(folder, [line(1, 0), f'{{"step": 7, "total": 10, "time": 1, "attempt": 1, {odd}}}\n'])
    assert said(folder, 1).startswith("step 7")


def test_what_can_not_be_read_says_nothing(folder: ExperimentDir) -> None:
    assert said(folder, 0) == ""
    write(folder, [line(1, 0), line(2, 1)])
    folder.attempts_path.write_text("{")
    assert said(folder, 1).startswith("step 2 of 5000")
