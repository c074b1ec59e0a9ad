"""Which keys of a space decide how good a trial is."""

from __future__ import annotations

import math
import random
from typing import Literal

import pytest

from heyhi.search.importance import FEWEST, importances
from heyhi.search.trial import State, Trial
from heyhi.sweep.search_spec import Axis, SearchSpec

AXES = (
    Axis("lr", "float", low=1e-4, high=1, log=True),
    Axis("layers", "int", low=1, high=9),
    Axis("optimizer", "choice", ("sgd", "adam")),
    Axis("adam.beta1", "float", low=0, high=1, only_if=(("optimizer", "adam"),)),
    Axis("mode", "choice", ("same",)),
)


def spec(direction: Literal["min", "max"] = "max") -> SearchSpec:
    return SearchSpec("conf/x", (), AXES, "score", direction, 100)


def trials(count: int, sign: float = 1.0, state: State = "done") -> list[Trial]:
    drawn, found = random.Random(0), []
    for slot in range(count):
        chosen = {"lr": 10 ** drawn.uniform(-4, 0), "layers": drawn.randint(1, 9), "mode": "same"}
        chosen["optimizer"] = drawn.choice(["sgd", "adam"])
        if chosen["optimizer"] == "adam":
            chosen["adam.beta1"] = drawn.random()
        value = -abs(math.log10(chosen["lr"]) + 2) + 0.4 * (chosen["optimizer"] == "adam")
        found.append(Trial(slot, f"e{slot}", chosen, state, sign * value))
    return found


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_key_by_which_values_differ_most_comes_first(direction: Literal["min", "max"]) -> None:
    found = importances(spec(direction), trials(60, 1.0 if direction == "max" else -1.0))
    assert next(iter(found)) == "lr" and found["lr"] > 0.5
    assert sum(found.values()) == pytest.approx(1)
    assert "adam.beta1" in found  # it applies in half of the trials
    assert "mode" not in found  # it is the same in all
    assert found == importances(spec(direction), trials(60, 1.0 if direction == "max" else -1.0))


def test_of_few_trials_and_of_equal_ones_nobody_can_tell() -> None:
    assert importances(spec(), trials(FEWEST - 1)) == {}
    assert importances(spec(), trials(60, 0.0)) == {}
    assert importances(spec(), []) == {}


def test_what_was_ended_early_or_died_does_not_count() -> None:
    assert importances(spec(), [*trials(FEWEST - 1), *trials(50, state="pruned"), *trials(50, state="dead")]) == {}


def test_a_value_that_is_no_number_counts_as_the_worst() -> None:
    def diverging(value: float) -> list[Trial]:
        return [
            Trial(one.slot, one.exp_id, one.chosen, "done", value if one.chosen["lr"] > 0.1 else 0.5 + one.slot / 1000)
            for one in trials(60)
        ]

    for value in (math.nan, -math.inf):
        assert importances(spec(), diverging(value)) == importances(spec(), diverging(0.4)) != {}


def test_numbers_that_were_listed_in_order_count_like_any_other_key() -> None:
    axes = (Axis("batch_size", "choice", ("16", "32", "64")), Axis("lr", "float", low=0, high=1))
    sizes = [("16", "32", "64")[slot % 3] for slot in range(30)]
    some = [
        Trial(slot, f"e{slot}", {"batch_size": size, "lr": slot * 7 % 30 / 30}, "done", float(size) + slot / 100)
        for slot, size in enumerate(sizes)
    ]
    found = importances(SearchSpec("conf/x", (), axes, "score", "max", 30), some)
    assert next(iter(found)) == "batch_size"
