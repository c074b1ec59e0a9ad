"""Means, and what stands beside them."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.report.spread import mean_and_spread, student_t


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_mean_and_spread_are_those_of_the_textbook(values: list[float]) -> None:
    deviation = statistics.stdev(values)
    for spread, expected in (
        ("se", deviation / math.sqrt(len(values))),
        ("std", deviation),
        ("ci95", student_t(0.95, len(values) - 1) * deviation / math.sqrt(len(values))),
    ):
        mean, found = mean_and_spread(values, spread)  # type: ignore[arg-type]
        assert mean == pytest.approx(statistics.fmean(values), abs=1e-9)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_single_value_has_no_spread_and_none_no_mean() -> None:
    assert mean_and_spread([]) == (None, None)
    assert mean_and_spread([3.0]) == (3.0, None)
    assert mean_and_spread([3], "ci95") == (3.0, None)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(2, 9))
def test_equal_values_have_themselves_as_their_mean_and_no_spread(value: float, count: int) -> None:
    assert mean_and_spread([value] * count, "ci95") == (value, 0.0)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    # From the table in any textbook.
    [
        (1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (6, 2.447), (7, 2.365), (9, 2.262),
        (10, 2.228), (19, 2.093), (29, 2.045), (60, 2.000), (100, 1.984), (120, 1.980), (1000, 1.962),
    ],
)  # fmt: skip
def test_students_t_is_that_of_the_tables(degrees: int, expected: float) -> None:
    assert student_t(0.95, degrees) == pytest.approx(expected, abs=5e-4)


def test_students_t_of_other_confidences() -> None:
    assert student_t(0.99, 4) == pytest.approx(4.604, abs=5e-4)
    assert student_t(0.9, 30) == pytest.approx(1.697, abs=5e-4)


@given(st.lists(st.floats(-1.7e308, 1.7e308), min_size=2, max_size=6))
def test_numbers_of_any_size_have_a_mean_between_them(values: list[float]) -> None:
    mean, error = mean_and_spread(values)
    slack = 1e-9 * max(map(abs, values))
    assert mean is not None and min(values) - slack <= mean <= max(values) + slack
    assert error is not None and error >= 0


def test_runs_that_diverged_have_a_mean() -> None:
    assert mean_and_spread([1e200, 3e200]) == pytest.approx((2e200, 1e200))
    assert mean_and_spread([1.5e308, 1.5e308]) == (1.5e308, 0.0)
    assert mean_and_spread([1.5e308]) == (1.5e308, None)


def test_tiny_numbers_have_a_spread() -> None:
    tiny = [1e-301, 7e-301, 6e-301]
    assert mean_and_spread(tiny, "std") == pytest.approx((14e-301 / 3, statistics.stdev([1, 7, 6]) * 1e-301), abs=0)
    assert mean_and_spread([0.0, 4e-320], "se") == pytest.approx((2e-320, 2e-320), abs=1e-323)


def test_integers_that_no_float_holds_have_the_spread_of_their_differences() -> None:
    mean, error = mean_and_spread([2**60, 2**60 + 1, 2**60 + 2])
    assert mean == 2**60 and error == pytest.approx(1 / math.sqrt(3))
    assert mean_and_spread([10**300, 3 * 10**300]) == pytest.approx((2e300, 1e300))
    assert mean_and_spread([0, 0, 3], "std") == pytest.approx((1, math.sqrt(3)))


@given(st.lists(st.integers(-(2**70), 2**70), min_size=2, max_size=9), st.integers(-(2**70), 2**70))
def test_the_spread_of_integers_is_the_same_wherever_they_lie(values: list[int], shift: int) -> None:
    assert mean_and_spread(values)[1] == mean_and_spread([value + shift for value in values])[1]
