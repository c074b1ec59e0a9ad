"""When the next job is tried, while Slurm takes jobs and while it doesn't, on a clock of the test's."""

from __future__ import annotations

import heapq
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.job.line import Line, Short


def line_of(count: int) -> Line[str]:
    line: Line[str] = Line()
    for number in range(count):
        line.add(f"{number}", number)
    return line


def times(line: Line[str], seconds: float, why: Short, step: float = 0.1) -> list[float]:
    """Look again and again, where Slurm takes none; return when it was asked."""
    asked = []
    for tick in range(round(seconds / step)):
        if (item := line.take(tick * step)) is not None:
            asked.append(tick * step)
            line.refused(item, why, tick * step)
    return asked


def test_those_of_a_lower_rank_come_first_then_those_that_came_before() -> None:
    line: Line[str] = Line()
    for item, rank in (("c", 2), ("a", 1), ("b", 1), ("d", 3)):
        line.add(item, rank)
    assert [line.take(0) for _ in range(5)] == ["a", "b", "c", "d", None]


def test_several_are_tried_at_once_as_long_as_all_are_taken() -> None:
    line = line_of(3)
    assert [line.take(0), line.take(0)] == ["0", "1"]
    line.taken("0", 0)
    assert line.take(0) == "2"
    assert not line.is_short


def test_while_slurm_takes_none_it_is_asked_for_one_at_a_time_ever_less_often() -> None:
    line = line_of(9)
    first, second = line.take(0), line.take(0)
    assert first and second
    assert line.refused(first, Short.FULL, 0), "it took some before"
    assert not line.refused(second, Short.FULL, 0)
    assert line.is_short
    assert line.take(1.0) == "0", "those that were tried keep their places"
    assert line.take(100.0) is None, "one at a time"
    line.refused("0", Short.FULL, 1.0)
    asked = times(line, 300, Short.FULL)
    gaps = [round(b - a) for a, b in itertools.pairwise(asked)]
    assert gaps == [4, 8, 16, 32, 60, 60, 60]


def test_a_job_of_ours_that_ends_lets_the_next_be_tried_at_once_and_no_more() -> None:
    line = line_of(9)
    assert line.take(0) == "0"
    line.refused("0", Short.FULL, 0)
    times(line, 100, Short.FULL)
    line.ended(101)
    assert line.take(101) is None, "its place isn't free yet"
    assert line.take(101.5) == "0"
    line.taken("0", 101.5)
    assert line.take(102) is None


def test_a_place_that_comes_later_than_was_thought_is_asked_for_again_soon_and_that_is_learned() -> None:
    line = line_of(9)
    assert line.take(0) == "0"
    line.refused("0", Short.FULL, 0)
    times(line, 100, Short.FULL)
    waits = []
    for start in (101.0, 111.0):
        line.ended(start)
        now = start
        while True:
            now += 0.05
            if (item := line.take(now)) is None:
                continue
            if now - start > 0.45:
                line.taken(item, now)
                break
            waits.append(start)
            line.refused(item, Short.FULL, now)
    assert waits == [101.0]


def test_room_that_others_have_made_is_filled_at_once() -> None:
    line = line_of(9)
    assert line.take(0) == "0"
    line.refused("0", Short.FULL, 0)
    for number in range(8):
        assert line.take(1.0) == f"{number}"
        line.taken(f"{number}", 1.0)
    assert line.take(1.0) == "8"


def test_once_slurm_answers_again_several_are_tried_at_once_again() -> None:
    line = line_of(9)
    assert line.take(0) == "0"
    line.refused("0", Short.AWAY, 0)
    assert line.away_seconds(30) == 30
    line.ended(1)
    assert line.take(0.5) is None, "an ended job says nothing there"
    assert line.take(1) == "0"
    line.taken("0", 1)
    assert line.away_seconds(40) == 0
    assert [line.take(1), line.take(1)] == ["1", "2"]


def test_an_answer_of_a_slurm_that_was_away_lets_the_next_be_tried_soon() -> None:
    line = line_of(9)
    assert line.take(0) == "0"
    line.refused("0", Short.AWAY, 0)
    last = times(line, 200, Short.AWAY)[-1]
    line.heard(last)
    assert line.take(last + 0.5) is None
    assert line.take(last + 1) == "0"
    assert line.refused("0", Short.AWAY, last + 1) is False, "it still takes none"
    assert line.take(last + 3) == "0", "and it is asked ever less often from there"


def test_an_answer_says_nothing_of_a_limit_on_jobs() -> None:
    line = line_of(9)
    assert line.take(0) == "0"
    line.refused("0", Short.FULL, 0)
    last = times(line, 200, Short.FULL)[-1]
    line.heard(last)
    assert line.take(last + 30) is None


def test_what_waits_is_given_back_in_order() -> None:
    line = line_of(12)
    assert line.take(0) == "0"
    line.refused("0", Short.AWAY, 0)
    assert line.clear() == [f"{number}" for number in range(12)]
    assert line.take(100) is None
    assert not line.is_short


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60),
    limit=st.integers(1, 5),
    seconds=st.lists(st.floats(0.5, 20), min_size=1, max_size=5),
    lag=st.floats(0, 2),
)
def test_at_any_limit_all_get_through_once_in_order_and_the_tries_are_few(
    count: int, limit: int, seconds: list[float], lag: float
) -> None:
    line = line_of(count)
    now, calls, taken = 0.0, 0, []
    running: list[float] = []  # when each ends
    counting: list[float] = []  # until when Slurm counts it
    while len(taken) < count:
        while running and running[0] <= now:
            heapq.heappop(running)
            line.ended(now)
        counting = [end for end in counting if end > now]
        if (item := line.take(now)) is not None:
            calls += 1
            if len(counting) < limit:
                end = now + seconds[len(taken) % len(seconds)]
                heapq.heappush(running, end)
                counting.append(end + lag)
                taken.append(item)
                line.taken(item, now)
            else:
                line.refused(item, Short.FULL, now)
        now += 0.1
        assert now < 2000, "one waits for ever"
    assert taken == [f"{number}" for number in range(count)]
    assert calls <= 2.5 * count + 12 + now / 60
    # No place is left empty for long.
    longest = sum(seconds[number % len(seconds)] + lag for number in range(count)) / limit
    assert now <= longest + max(seconds) + count * 1.6 / limit + 5


@pytest.mark.parametrize("why", list(Short))
def test_a_line_that_is_empty_tries_nothing(why: Short) -> None:
    line = line_of(1)
    assert line.take(0) == "0"
    line.refused("0", why, 0)
    assert line.take(1) == "0"
    line.dropped("0")
    assert line.take(2) is None
    assert not line.is_short
