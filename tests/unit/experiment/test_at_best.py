"""The other metrics where one was best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment import metrics_file
from heyhi.experiment.at_best import values_at_best
from heyhi.experiment.directions import Direction
from heyhi.experiment.records import Start

Lines = list[dict[str, Any]]


def at_best(
    tmp_path: Path, lines: Lines, metric: str = "val", direction: Direction = "max", starts: list[Start] | None = None
) -> dict[str, Any]:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return values_at_best(path, starts or [], metric, direction)


def epoch(number: int, val: float, test: float) -> Lines:
    """Validation and test of an epoch, logged in lines of their own, the test later."""
    return [{"epoch": number, "val": val}, {"epoch": number, "test": {"acc": test}, "note": "x"}]


@pytest.fixture(params=[1, 64, 1 << 18])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_file, "_BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("block")
def test_the_test_accuracy_at_the_best_validation_epoch(tmp_path: Path) -> None:
    lines = [*epoch(1, 0.5, 0.1), *epoch(2, 0.9, 0.2), *epoch(3, 0.7, 0.8)]
    assert at_best(tmp_path, lines) == {"epoch": 2, "val": 0.9, "test.acc": 0.2}
    assert at_best(tmp_path, lines, direction="min") == {"epoch": 1, "val": 0.5, "test.acc": 0.1}
    assert at_best(tmp_path, lines, "test.acc") == {"epoch": 3, "val": 0.7, "test.acc": 0.8}


@pytest.mark.usefixtures("block")
def test_of_equally_good_places_the_first_counts_and_of_values_there_the_last(tmp_path: Path) -> None:
    lines = [*epoch(1, 0.9, 0.1), {"epoch": 1, "test": {"acc": 0.3}}, *epoch(2, 0.9, 0.2), {"epoch": 3, "late": 1}]
    assert at_best(tmp_path, lines) == {"epoch": 1, "val": 0.9, "test.acc": 0.3}


def test_what_was_never_logged_has_no_place(tmp_path: Path) -> None:
    assert at_best(tmp_path, epoch(1, 0.9, 0.1), "other") == {}
    assert values_at_best(tmp_path / "none.jsonl", [], "val", "max") == {}


def test_nan_and_infinity_are_not_the_best_where_something_else_is(tmp_path: Path) -> None:
    odd = [*epoch(1, float("nan"), 0.1), *epoch(2, float("inf"), 0.2), *epoch(3, 0.7, 0.3), *epoch(4, 0.6, 0.4)]
    assert at_best(tmp_path, odd)["test.acc"] == 0.3
    assert at_best(tmp_path, odd[:4])["test.acc"] == 0.2


@pytest.mark.usefixtures("block")
def test_a_step_that_restarts_in_each_epoch_is_no_place(tmp_path: Path) -> None:
    lines: Lines = []
    for number, val in enumerate((0.5, 0.9, 0.7), 1):
        lines += [{"epoch": number, "step": step, "loss": number + step / 10} for step in range(3)]
        lines += [{"epoch": number, "step": 2, "val": val}]
    assert at_best(tmp_path, lines) == {"epoch": 2, "step": 2, "val": 0.9, "loss": 2.2}


def test_without_a_counter_it_is_the_line_itself(tmp_path: Path) -> None:
    lines = [{"val": 1, "loss": 5}, {"val": 3, "loss": 6}, {"loss": 7}, {"val": 2, "loss": 8}]
    assert at_best(tmp_path, lines) == {"val": 3, "loss": 6}


def test_what_was_abandoned_is_not_the_best(tmp_path: Path) -> None:
    first, second = [*epoch(1, 0.5, 0.1), *epoch(2, 0.9, 0.2)], [*epoch(2, 0.6, 0.3), *epoch(3, 0.4, 0.4)]
    size = sum(len(json.dumps(line)) + 1 for line in first)
    starts = [Start(1), Start(2, metrics_size=size)]
    assert at_best(tmp_path, [*first, *second], starts=starts) == {"epoch": 2, "val": 0.6, "test.acc": 0.3}
