"""Lines of metrics as trackers take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heyhi.trackers.points import Points, of_result

if TYPE_CHECKING:
    from .conftest import MakeRun


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"loss": 0.5, "val": {"accuracy": 1}}, ({"loss": 0.5, "val/accuracy": 1.0}, 0, None)),
        ({"step": 7, "epoch": 2, "loss": 0.5}, ({"epoch": 2.0, "loss": 0.5}, 7, None)),
        ({"epoch": 2.0, "loss": 0.5, "time": 12.5, "attempt": 3, "total": 9}, ({"loss": 0.5}, 2, 12.5)),
        ({"epoch": 0.5, "loss": 1}, ({"epoch": 0.5, "loss": 1.0}, 0, None)),
        ({"loss": 1, "time": 3}, ({"loss": 1.0, "time": 3.0}, 0, None)),  # a task's own line
        ({"loss": 1, "time": "soon", "attempt": 1}, ({"loss": 1.0}, 0, None)),
        ({"a/b": 1, "a": {"b": 2}}, ({"a/b": 1.0, "a.b": 2.0}, 0, None)),  # two columns of a table, too
        ({"step": 1 << 70, "loss": 10**400}, ({"step": float(1 << 70), "loss": float("inf")}, 0, None)),
    ],
)
def test_a_line_is_numbers_at_its_first_counter(line: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert [tuple(point[:3]) for point in Points().of_lines([line])] == [expected]


def test_a_line_without_numbers_is_left_out() -> None:
    assert not [*Points().of_lines([{"note": "hi"}, {"step": 3, "total": 5, "time": 1.0, "attempt": 1}])]


def test_lines_without_a_counter_are_counted_over_all_attempts(make_run: MakeRun) -> None:
    lines = [{"loss": 1}, {"loss": 2}]
    assert [point.step for point in Points.of(make_run(), is_whole=False).of_lines(lines)] == [0, 1]
    again = make_run(attempt=2, earlier=5)
    assert [point.step for point in Points.of(again, is_whole=False).of_lines(lines)] == [5, 6]
    assert [point.step for point in Points.of(again, is_whole=True).of_lines(lines)] == [0, 1]


def test_numbers_of_a_result_have_names_of_their_own() -> None:
    assert of_result({"a": {"b": 1}, "c": "text", "d": True}) == {"result/a/b": 1.0}


def test_a_run_is_another_one_after_a_wipe(make_run: MakeRun) -> None:
    run = make_run()
    assert run.run_id == make_run(attempt=2).run_id != run._replace(first_started="later").run_id
    assert (run.name, run._replace(exp_id="p/fit/0123456789abcdef").name) == ("lr=0.0", "fit")
