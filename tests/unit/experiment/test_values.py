"""What an experiment's value of a metric is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from heyhi.errors import ResultError
from heyhi.experiment.values import names_in, value_of


def experiment(folder: Path, result: dict[str, Any] | None = None, *lines: dict[str, Any]) -> Path:
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


LINES = ({"step": 1, "val": {"loss": 0.5}}, {"step": 2, "val": {"loss": 0.2}}, {"step": 3, "val": {"loss": 0.3}})


def test_a_result_goes_before_what_was_logged(tmp_path: Path) -> None:
    folder = experiment(tmp_path, {"val": {"loss": 0.25}, "flag": True, "big": 10**400}, *LINES)
    assert value_of(folder, "val.loss", "min") == 0.25
    assert value_of(folder, "val.loss.best", "min") == 0.2
    assert value_of(folder, "flag", "min") is None
    assert value_of(folder, "big", "max") == math.inf


def test_without_it_the_best_counts_that_was_logged(tmp_path: Path) -> None:
    folder = experiment(tmp_path, {"other": 1}, *LINES)
    assert value_of(folder, "val.loss", "min") == 0.2
    assert value_of(folder, "val.loss", "max") == 0.5
    assert value_of(folder, "val.los", "max") is None


def test_one_that_is_not_done_has_the_best_so_far(tmp_path: Path) -> None:
    assert value_of(experiment(tmp_path, None, *LINES), "val.loss", "min") == 0.2
    assert value_of(tmp_path / "absent", "val.loss", "min") is None


def test_a_name_with_the_signs_of_a_pattern_is_a_name(tmp_path: Path) -> None:
    folder = experiment(tmp_path, None, {"acc[0]*": 1, "acc0x": 5}, {"acc[0]*": 3, "acc0x": 7})
    assert value_of(folder, "acc[0]*", "min") == 1


def test_nan_is_a_value(tmp_path: Path) -> None:
    folder = experiment(tmp_path, {"loss": math.nan})
    assert math.isnan(value_of(folder, "loss", "min") or 0)


def test_the_names_that_there_are_can_be_told(tmp_path: Path) -> None:
    assert names_in(experiment(tmp_path, {"top": 1, "name": "x", "epoch": 3}, *LINES)) == ["top", "val.loss"]


def test_a_result_that_is_damaged_is_no_value(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"loss": ')
    with pytest.raises(ResultError):
        value_of(tmp_path, "loss", "min")
