"""How far a run is, when it will have ended, and the bar of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.console.bar import bar_line
from heyhi.console.paces import Paces
from heyhi.console.progress import Part, Progress
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.metric_log import MetricLog
from heyhi.experiment.records import Start


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


def test_what_runs_tells_how_long_the_rest_takes_before_any_is_done() -> None:
    progress = Progress(total=4, began=0.0)
    progress.start("a", 0.0)
    progress.start("b", 0.0)
    progress.note("a", Part(0.25, 0.75, ends=80.0))
    assert progress.seconds_left(20.0) == pytest.approx((60 + 60 + 2 * 80) / 2)
    progress.note("b", Part(0.1, 0.9, ends=400.0))
    assert progress.seconds_left(20.0) == pytest.approx((60 + 380 + 2 * 240) / 2)
    progress.finish("a", 80.0)
    assert progress.seconds_left(80.0) == pytest.approx(max((320 + 2 * 80) / 2, 320))


def test_elsewhere_parts_of_experiments_count_as_what_was_made_and_as_what_is_left() -> None:
    progress = Progress(total=10, began=0.0, is_remote=True)
    for name in "abcdefghij":
        progress.start(name, 0.0)
    progress.note("a", Part(0.05, 0.95))
    assert progress.seconds_left(10.0) is None  # too little to go by
    progress.note("a", Part(0.25, 0.5))  # it has gone on from elsewhere
    progress.note("b", Part(0.25, 0.75))
    assert progress.seconds_left(60.0) == pytest.approx((8 + 1.25) * 60 / 0.5)
    progress.finish("a", 60.0)
    assert progress.seconds_left(60.0) == pytest.approx((8 + 0.75) * 60 / 1.25)


def test_a_bar_is_told_by_the_metrics_of_what_runs_how_far_that_is(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path)
    folder.append_attempt(Start(1))
    folder.metrics_path.write_text(
        '{"step": 10, "total": 50, "time": 1700000000, "attempt": 1}\n'
        '{"step": 30, "total": 50, "time": 1700000020, "attempt": 1}\n'
    )
    progress, paces = Progress(total=3, began=0.0), Paces()
    progress.start(str(tmp_path), 0.0)
    paces.look(progress, 25.0, 1700000025.0)
    assert progress.seconds_left(25.0) == pytest.approx(15 + 2 * 40)
    assert ", 1 running (step 30 of 50), 25 s, some 1 min left" in bar_line(progress, 25.0, 100)

    MetricLog(folder.metrics_path, 1).put({"step": 40, "total": 50})
    paces.look(progress, 26.0, 1700000026.0)
    assert "step 30 of 50" in bar_line(progress, 26.0, 100), "it was looked at just now"
    paces.look(progress, 31.0, 1700000031.0)
    assert "step 40 of 50" in bar_line(progress, 31.0, 100)


def test_of_many_that_run_a_few_are_looked_at_at_once_and_each_in_its_turn(tmp_path: Path) -> None:
    progress, paces = Progress(total=10, began=0.0, is_remote=True), Paces()
    for number in range(10):
        folder = ExperimentDir(tmp_path / str(number))
        folder.path.mkdir()
        folder.append_attempt(Start(1))
        MetricLog(folder.metrics_path, 1).put({"step": 1, "total": 4})
        progress.start(str(folder.path), 0.0)
    left = []
    for second in range(3):
        paces.look(progress, float(second), 0.0)
        left.append(sum(progress._parts[name].left for name in progress._parts))
    assert left == [4 * 0.75, 8 * 0.75, 10 * 0.75]


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
