"""The best trial of a search so far, and the line that says so wherever people look."""

from __future__ import annotations

import math

import pytest

from heyhi.search.best import best_among, best_line
from heyhi.sweep.search_spec import Axis, SearchSpec

LEAST = SearchSpec("c", (), (Axis("lr", "float", low=0.1, high=1),), "loss", "min", trials=9)
MOST = SearchSpec("c", (), (Axis("lr", "float", low=0.1, high=1),), "acc", "max", trials=9)


def test_the_best_is_the_first_of_those_that_are_equally_good() -> None:
    values = [("a", 0.5), ("b", 0.25), ("c", None), ("d", math.nan), ("e", 0.25), ("f", 0.5)]
    assert best_among(LEAST, values) == ("b", 0.25)
    assert best_among(MOST, values) == ("a", 0.5)


@pytest.mark.parametrize("values", [[], [("a", None)], [("a", math.nan), ("b", None)]])
def test_where_none_has_a_number_none_is_the_best(values: list[tuple[str, float | None]]) -> None:
    assert best_among(LEAST, values) is None


def test_the_line_names_the_trial_its_value_and_what_was_chosen() -> None:
    text = best_line(LEAST, 7, 0.123456789, {"lr": 0.01, "optimizer": "adam"})
    assert text == "best so far: loss=0.123457 by trial 7 (lr=0.01 optimizer=adam)"
    assert best_line(MOST, 0, math.inf, {}) == "best so far: acc=Infinity by trial 0"
