"""How far a run is, when it will have ended, and the bar of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.console.bar import bar_line
from heyhi.console.progress import Progress


def test_the_rest_takes_as_long_as_those_that_are_done_by_so_many_at_once() -> None:
    progress = Progress(total=6, began=0.0)
    progress.start("a", 0.0)
    progress.start("b", 0.0)
    assert progress.seconds_left(5.0) is None  # nobody knows yet
    assert progress.finish("a", 10.0) == 10.0
    progress.start("c", 10.0)
    assert progress.seconds_left(10.0) == pytest.approx((0 + 10 + 3 * 10) / 2)
    progress.fail("b", "DEAD")  # of what has failed the time says little
    progress.finish("c", 20.0)
    assert progress.seconds_left(20.0) == pytest.approx(3 * 10 / 2)
    assert (progress.ended, progress.left, progress.counts()) == (3, 3, "2 done, 1 DEAD")


def test_the_last_one_takes_as_long_as_it_takes_and_none_takes_less_than_nothing() -> None:
    progress = Progress(total=2, began=0.0)
    progress.start("a", 0.0)
    progress.start("b", 0.0)
    progress.finish("a", 10.0)
    assert progress.seconds_left(10.0) == 0.0 and progress.seconds_left(99.0) == 0.0
    progress.finish("b", 100.0)
    assert progress.seconds_left(100.0) is None


def test_elsewhere_it_goes_on_as_it_went() -> None:
    progress = Progress(total=10, began=100.0, is_remote=True)
    for name in "abcdefghij":
        progress.start(name, 100.0)
    progress.finish("a", 160.0)
    progress.finish("b", 160.0)
    assert progress.seconds_left(160.0) == pytest.approx(8 * 60 / 2)


def test_what_is_tried_again_has_not_ended() -> None:
    progress = Progress(total=1, began=0.0)
    progress.start("a", 0.0)
    progress.fail("a", "DEAD")
    progress.again("DEAD")
    assert (progress.ended, progress.counts()) == (0, "0 done")


@given(st.integers(0, 200), st.sampled_from(["utf-8", "ascii", "none", None]), st.integers(0, 9), st.booleans())
def test_a_bar_is_never_wider_than_the_terminal(width: int, encoding: str, done: int, is_remote: bool) -> None:
    progress = Progress(total=10, began=0.0, is_remote=is_remote, done=done, failed={"DEAD": 1})
    assert len(bar_line(progress, 61.0, width, encoding)) <= width


def test_a_bar_says_what_counts() -> None:
    progress = Progress(total=4, began=0.0)
    for name in "abc":
        progress.start(name, 0.0)
    progress.finish("a", 60.0)
    progress.fail("b", "DEAD")
    text = " 2/4: 1 done, 1 DEAD, 1 running, 1 min, some 20 s left"
    assert bar_line(progress, 60.0, 100, "ascii") == f"{'#' * 15}{'-' * 15}{text}"
    assert bar_line(progress, 60.0, 100, "utf-8") == f"{'━' * 15}{'─' * 15}{text}"
