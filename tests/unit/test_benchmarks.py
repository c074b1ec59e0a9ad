"""The benchmarks' own parts that don't measure: goals are judged the right way round, and what broke says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.table import Row, render
from benchmarks.timing import Command, CommandFailed, Cost, beyond, in_turns, median, run


def cost(seconds: float) -> Cost:
    return Cost(cpu=seconds, wall=2 * seconds)


def test_a_goal_is_met_up_to_its_own_value() -> None:
    assert Row("x", cost(2), cost(1), at_most=2).verdict == "met"
    assert Row("x", cost(2.1), cost(1), at_most=2).verdict == "NOT MET"
    assert Row("x", cost(2), cost(1)).verdict == ""


def test_a_goal_may_be_about_wall_time_too() -> None:
    slower = Cost(cpu=1, wall=3)
    assert Row("x", slower, cost(1), at_most=1).verdict == "met"
    assert Row("x", slower, cost(1), at_most=1, both=True).verdict == "NOT MET"
    assert Row("x", slower, cost(1), at_most=1.5, both=True).verdict == "met"


def test_wall_time_may_have_a_goal_of_its_own() -> None:
    def row(wall: float) -> Row:
        return Row("x", Cost(cpu=7, wall=wall), Cost(cpu=1, wall=1), at_most=7.5, at_most_wall=3)

    assert (row(3).verdict, row(3.1).verdict, row(3).goal) == ("met", "NOT MET", "at most 7.5 (3)")


def test_lost_is_the_time_in_which_slots_do_no_work_while_more_waits() -> None:
    from benchmarks.slurm import lost_in

    assert lost_in([(0, 1), (0, 1), (1, 2), (1, 2)], slots=2) == 0
    # Between the first start and the last: one slot waits from 1 to 1.5, the other from 1 to 2.
    assert lost_in([(0, 1), (0, 1), (1.5, 2.5), (2, 3)], slots=2) == 1.5
    assert lost_in([(0, 5), (0, 1), (3, 4)], slots=2) == 2


def test_where_the_peer_is_to_be_slower_the_ratio_is_the_other_way_round() -> None:
    assert Row("x", cost(1), cost(600), at_least=500).verdict == "met"
    assert Row("x", cost(1), cost(400), at_least=500).verdict == "NOT MET"


def test_the_table_tells_cost_ratio_and_goal() -> None:
    line = render([Row("a point", cost(30e-6), cost(3e-6), at_most=12)]).splitlines()[-1]

    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        *("a point", "30.0 µs", "3.0 µs", "10.0", "(10.0)", "at most 12", "met")
    ]


def test_memory_is_told_in_megabytes() -> None:
    line = render([Row("a page", Cost(120, 120), Cost(300, 300), at_most=1, unit="MB")]).splitlines()[-1]
    assert "120 MB |" in line and "300 MB |" in line and "0.40" in line


def test_what_an_install_adds_is_what_is_larger_than_before(tmp_path: Path) -> None:
    from benchmarks.install import Place, rows_of

    place = Place(tmp_path / "venv", ["--no-index", "pip"])  # which each has
    run(place.command())
    assert place.size == 0
    (added,) = tmp_path.glob("venv/lib/*/site-packages")
    (added / "more.py").write_text("x" * 2_000_000)
    assert place.size == 2
    names = ("heyhi", "peer", "all", "hydra")
    rows = rows_of(
        dict(zip(names, map(cost, (115, 100, 200, 1)), strict=True)), dict(zip(names, (116, 100, 9, 1), strict=True))
    )
    assert [row.verdict for row in rows] == ["met", "NOT MET", "", "", "", ""]


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:00.215", 0.215), ("02:03.5", 123.5), ("01:00:02", 3602), ("1-00:00:01", 86_401)]
)
def test_times_of_slurm_are_read(text: str, seconds: float) -> None:
    from benchmarks.slurm import seconds_of

    assert seconds_of(text) == pytest.approx(seconds)


def test_start_up_is_taken_off_round_by_round() -> None:
    assert beyond([cost(11), cost(31), cost(12)], [cost(1), cost(21), cost(1)], 10) == cost(1)
    assert median([cost(3), cost(1), cost(2)]) == cost(2)


def test_commands_take_turns_and_the_first_turn_is_not_counted(tmp_path: Path) -> None:
    order: list[str] = []
    commands = {
        name: Command((sys.executable, "-c", ""), tmp_path, os.environ, lambda name=name: order.append(name))
        for name in "ab"
    }

    costs = in_turns(commands, 2)

    assert order == list("ababab")
    assert {name: len(found) for name, found in costs.items()} == {"a": 2, "b": 2}


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    command = Command((sys.executable, "-c", "raise SystemExit('no such thing')"), tmp_path, os.environ)

    with pytest.raises(CommandFailed, match="ended with 1:\nno such thing"):
        run(command)


def test_what_is_run_over_with_early_stopping_trains_the_best_to_its_end() -> None:
    from benchmarks.asha_replay import Curve, best_of, measured, replay
    from heyhi.sweep.search_spec import AshaSpec

    def curve(final: float) -> Curve:
        values = [final * epoch / 27 for epoch in range(1, 28)]
        return Curve({}, {"val_accuracy": values, "val_loss": [1 - one for one in values]}, seconds=final)

    curves = [curve(one / 81) for one in (7 * i % 81 for i in range(81))]
    for aim in ("val_accuracy", "val_loss"):
        one = replay(curves, aim, AshaSpec(1, 3))
        (best,) = best_of(curves, aim, 1)
        assert best in one.ended and len(one.ended) < 27 and one.epochs < 81 * 27 / 2
        assert measured(curves, aim, AshaSpec(27, 3), 81, 2, 0) == (1.0, 1.0), "at their end none is ended"


def test_a_share_of_a_core_is_told_in_percent() -> None:
    line = render([Row("idle", Cost(0.0123, 0.0123), Cost(0.02, 0.02), at_most=1, unit="%")]).splitlines()[-1]
    assert "1.23 % |" in line and "2.00 % |" in line and "| met" in line
