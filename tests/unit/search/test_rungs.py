"""Rungs: where trials are compared, and who goes on."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.experiment.directions import Direction, loss_of
from heyhi.search.rungs import next_rung, rungs_between, verdict
from heyhi.sweep.search_spec import AshaSpec

SPEC = AshaSpec(grace=3, factor=3)
VALUES = st.floats() | st.sampled_from([0.5, 0.5, math.nan, math.inf])


def test_rungs_are_at_grace_times_the_powers_of_factor() -> None:
    assert rungs_between(SPEC, -math.inf, 100) == [3, 9, 27, 81]
    assert [next_rung(SPEC, step) for step in (-math.inf, 2.9, 3, 26, 27)] == [3, 3, 9, 27, 81]


def test_a_step_may_jump_over_rungs_and_comes_to_each_once() -> None:
    assert rungs_between(SPEC, 2, 30) == [3, 9, 27]
    assert rungs_between(SPEC, 9, 26) == [] and rungs_between(SPEC, 9, 27) == [27]


def test_a_step_beyond_all_sense_has_few_rungs() -> None:
    assert len(rungs_between(AshaSpec(1, 2), 0, 1e300)) < 100
    assert next_rung(AshaSpec(1, 2), 1e300) == math.inf


@pytest.mark.parametrize(
    ("direction", "mine", "goes_on"), [("max", 0.9, True), ("max", 0.1, False), ("min", 0.1, True)]
)
def test_who_is_among_the_best_third_goes_on(direction: Direction, mine: float, goes_on: bool) -> None:
    found = verdict(mine, [0.5, 0.6, 0.7, 0.4, 0.3], 3, direction)
    assert found.goes_on is goes_on and (found.rivals, found.places, found.worst) == (6, 2, 4)


@pytest.mark.parametrize("others", [[], [0.9]])
def test_the_first_ones_go_on_since_they_can_t_be_compared_yet(others: list[float]) -> None:
    assert verdict(0.0, others, 3, "max").goes_on and verdict(0.0, others, 3, "max").worst == 0
    assert not verdict(0.0, [0.9, 0.8], 3, "max").goes_on


def test_what_is_no_number_is_the_worst_and_who_is_as_good_as_the_last_goes_on() -> None:
    for direction in ("min", "max"):
        assert not verdict(math.nan, [0.1, 0.2], 3, direction).goes_on
        assert verdict(0.5, [0.5, 0.5], 3, direction).goes_on
    assert verdict(-1e300, [math.nan, math.nan], 3, "max").goes_on


@given(st.lists(VALUES, min_size=1, max_size=40), st.integers(2, 5), st.sampled_from(["min", "max"]))
def test_as_many_go_on_as_there_are_places_or_more_where_some_are_equal(
    values: list[float], factor: int, direction: Direction
) -> None:
    found = [verdict(one, values[:i] + values[i + 1 :], factor, direction) for i, one in enumerate(values)]
    going, places = sum(one.goes_on for one in found), found[0].places
    assert {one.places for one in found} == {places} and going >= places
    shown = [one for one in values if one == one]
    if len(set(shown)) == len(values):
        assert going == places
    losses = [loss_of(one, direction) for one in values]
    worst = max(loss for loss, one in zip(losses, found, strict=True) if one.goes_on)
    assert [one.goes_on for one in found] == [loss <= worst for loss in losses], "the best ones do, and no others"
