"""What a search learns of experiments that are no trials of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.config.frozen import flatten
from heyhi.config.schema import message_type
from heyhi.search.others import KEPT_NAME, Fitting, Others

if TYPE_CHECKING:
    from tests.unit.conftest import Lab
    from tests.unit.search.conftest import SearchInLab

Make = Callable[..., "SearchInLab"]
SPACE = {
    "lr": "loguniform(1e-4,1)",
    "i32": "range(2,9,2)",
    "color": "RED,DEEP_BLUE",
    "flag": "true,false",
    "name": "a,'b c'",
    "optimizer": "sgd,adam",
    "adam.beta1": "uniform(0,1)",
    "sgd.momentum": "0,0.9",
    "doubles": "[1],[0.5, 2]",
    "ints.0": "1,2",
}
CONFIG = "train { i32: 2 color: RED flag: true name: 'a' doubles: 1 ints: 1 sgd { momentum: 0.9 } }"


def fitting(one: SearchInLab) -> Fitting:
    return Fitting(one.spec.axes, "train", message_type(one.lab.schema.tasks["train"]))


def others(one: SearchInLab) -> Others:
    one.folder.path.mkdir(parents=True, exist_ok=True)
    return Others(one.folder.path, one.spec, fitting(one))


@settings(max_examples=50, deadline=None)
@given(slot=st.integers(0, 10**6))
def test_a_point_is_found_again_in_the_config_that_it_makes(shared_lab: Lab, search_in: Make, slot: int) -> None:
    from heyhi.search.study import Study

    one = search_in(shared_lab, SPACE, CONFIG)
    chosen = Study(one.spec, slot, []).ask()
    flat = flatten(one.base.compose(chosen).message)
    assert fitting(one).chosen(flat) == chosen


@pytest.mark.parametrize(
    "overrides",
    [
        {"lr": 2},
        {"i32": 3},
        {"i32": 10},
        {"color": "GREEN"},
        {"name": "c"},
        {"plain": 3},
        {"doubles": "[2]"},
        {"ints": "[]"},
        {"sgd.momentum": 0.5},
        {"optimizer": "NULL"},
        {"flag": "NULL", "lr": "NULL", "name": "NULL"},
    ],
)
def test_a_config_outside_of_the_space_is_no_point_of_it(search: Make, overrides: Mapping[str, Any]) -> None:
    one = search(SPACE, CONFIG)
    assert fitting(one).chosen(flatten(one.base.compose({}).message)) is not None
    assert fitting(one).chosen(flatten(one.base.compose(overrides).message)) is None
    assert fitting(one).chosen({"strict.must": 1}) is None


def test_what_is_done_and_lies_in_the_space_is_learned(
    search: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    one = search()
    folders = []
    for number, overrides in enumerate(
        [{"lr": 0.1, "i32": 16, "optimizer": "sgd"}, {"lr": 5, "i32": 16, "optimizer": "sgd"}, {"lr": 0.2}, {"lr": 0.3}]
    ):
        folders.append(str(one.started(f"p/cfg/{number}", one.base.compose(overrides))))
        if number < 3:
            one.write_result(f"p/cfg/{number}", {"score": number})
    with caplog.at_level(logging.INFO):
        found = others(one).trials([*folders, str(tmp_path / "absent")])
    assert [(trial.slot, trial.state, trial.value) for trial in found] == [(-1, "done", 0.0)]
    assert found[0].chosen == {"lr": 0.1, "i32": "16", "optimizer": "sgd"}
    assert "learns from 1 of 5 other experiments" in caplog.text
    assert one.choose(0, folders).exp_id


def test_trials_of_its_own_are_not_learned_from_twice(search: Make) -> None:
    one = search()
    choice = one.choose(0)
    one.started(choice.exp_id, one.base.compose(choice.chosen))
    one.end(0)
    folder = str(one.experiment(choice.exp_id))
    assert others(one).trials([folder], frozenset([folder])) == []
    assert len(others(one).trials([folder, folder])) == 1


def test_an_experiment_is_read_once_until_it_has_another_result(search: Make) -> None:
    one = search()
    folder = one.started("p/cfg/0", one.base.compose({"lr": 0.1, "i32": 16, "optimizer": "sgd"}))
    one.write_result("p/cfg/0", {"score": 1})
    first = others(one).trials([str(folder)])
    (folder / "config_flat.json").rename(folder / "elsewhere")
    assert others(one).trials([str(folder)]) == first != []
    (one.folder.path / KEPT_NAME).write_text("{}")
    assert others(one).trials([str(folder)]) == []
    (folder / "elsewhere").rename(folder / "config_flat.json")
    one.write_result("p/cfg/0", {"score": 11})
    assert [trial.value for trial in others(one).trials([str(folder)])] == [11]
