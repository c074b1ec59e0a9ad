"""Seeds put together, best rows, pivot tables and sorting."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.report.shape import GroupError, best, chosen, grouped, mean_and_error, pivot, sorted_by


def table(varying: tuple[str, ...] = ("lr", "seed"), **columns: list[Any]) -> pd.DataFrame:
    frame = pd.DataFrame(columns, dtype=object)
    frame.attrs["varying"] = list(varying)
    return frame


@pytest.fixture
def runs() -> pd.DataFrame:
    return table(
        status=["DONE", "DONE", "DEAD", "DONE", "RUNNING"],
        lr=[0.1, 0.1, 0.1, 0.2, 0.2],
        seed=[0, 1, 2, 0, 1],
        acc=[0.5, 0.7, None, 0.9, 0.1],
        seconds=[1.0, 2.0, 4.0, 8.0, None],
        exp_id=list("abcde"),
    )


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_mean_and_error_are_those_of_the_textbook(values: list[float]) -> None:
    mean, error = mean_and_error(values)
    assert mean == pytest.approx(statistics.fmean(values), abs=1e-9)
    assert error == pytest.approx(statistics.stdev(values) / math.sqrt(len(values)), rel=1e-6, abs=1e-6)


def test_a_single_value_has_no_error_and_nan_stays_nan() -> None:
    assert mean_and_error([]) == (None, None)
    assert mean_and_error([3.0]) == (3.0, None)
    assert all(map(math.isnan, mean_and_error([1.0, math.nan])))  # type: ignore[arg-type]
    assert mean_and_error([1.0, math.inf])[0] == math.inf


@given(st.lists(st.floats(-1.7e308, 1.7e308), min_size=2, max_size=6))
def test_numbers_of_any_size_have_a_mean_between_them(values: list[float]) -> None:
    mean, error = mean_and_error(values)
    slack = 1e-9 * max(map(abs, values))
    assert mean is not None and min(values) - slack <= mean <= max(values) + slack
    assert error is not None and error >= 0


def test_runs_that_diverged_have_a_mean() -> None:
    assert mean_and_error([1e200, 3e200]) == pytest.approx((2e200, 1e200))
    assert mean_and_error([1.5e308, 1.5e308]) == (1.5e308, 0.0)
    assert mean_and_error([1.5e308]) == (1.5e308, None)


def test_an_integer_that_no_float_can_hold_stops_nothing() -> None:
    table = pd.DataFrame({"status": "DONE", "seed": [0, 1], "n": [10**400, 1], "loss": [1.0, 2.0]}, dtype=object)
    table.attrs["varying"] = ["seed"]
    assert grouped(table)["loss"].tolist() == [1.5]
    assert sorted_by(table, ["-n"])["seed"].tolist() == [0, 1] and sorted_by(table, ["n"])["seed"].tolist() == [1, 0]
    assert best(table, "n", smallest=False)["seed"].tolist() == [1]
    assert pivot(table, "seed", "status", "n")["status=DONE"].tolist() == [None, 1.0]


def test_an_error_commands_no_terminal_and_names_no_thousand_columns() -> None:
    table = pd.DataFrame({"\x1b[31m": [1], **{f"c{i}": [1] for i in range(1000)}})
    with pytest.raises(GroupError) as caught:
        sorted_by(table, ["nosuch"])
    assert "\x1b" not in str(caught.value) and "c20" in str(caught.value) and str(caught.value).endswith(" more")


def test_seeds_are_put_together_and_missing_ones_named(runs: pd.DataFrame) -> None:
    first, second = grouped(runs).to_dict("records")
    assert (first["lr"], first["done"], first["wanted"], first["missing"]) == (0.1, 2, 3, "seed=2")
    assert first["acc"] == pytest.approx(0.6) and first["acc.se"] == pytest.approx(0.1)
    assert first["seconds"] == 7.0
    assert "2/3 DONE" in first["status"] and "1/3 DEAD" in first["status"]
    assert (second["done"], second["wanted"], second["missing"]) == (1, 2, "seed=1")
    assert "seed" not in first and "exp_id" not in first


def test_seed_means_any_key_that_ends_in_it_and_other_fields_can_be_named() -> None:
    runs = table(
        ("data.seed", "fold"),
        **{"status": ["DONE"] * 4, "data.seed": [0, 1, 0, 1], "fold": [0, 0, 1, 1], "m": [1, 2, 3, 4]},
    )
    assert len(grouped(runs)) == 2
    assert len(grouped(runs, ("fold", "seed"))) == 1
    assert len(grouped(runs, ("nothing",))) == 4


def test_all_but_seeds_equal_is_one_group_and_no_rows_are_no_groups() -> None:
    assert len(grouped(table(("seed",), status=["DONE", "DONE"], seed=[0, 1], m=[1.0, 3.0]))) == 1
    assert len(grouped(table((), status=[], m=[]))) == 0


def test_the_best_row_by_what_is_good_for_its_name(runs: pd.DataFrame) -> None:
    assert best(runs, "acc")["exp_id"].tolist() == ["d"]
    assert best(runs, "acc", ["lr"])["exp_id"].tolist() == ["b", "d"]
    assert best(runs, "acc", smallest=True)["exp_id"].tolist() == ["e"]
    assert best(runs.rename(columns={"acc": "val_loss"}), "val_loss")["exp_id"].tolist() == ["e"]
    nothing = table((), status=["DONE"], acc=[math.nan], exp_id=["a"])
    assert len(best(nothing, "acc")) == 0


def test_a_pivot_has_a_row_and_a_column_for_each_value(runs: pd.DataFrame) -> None:
    found = pivot(runs, "lr", "seed", "acc")
    assert found.columns.tolist() == ["lr", "seed=0", "seed=1", "seed=2"]
    assert found.to_dict("records") == [
        {"lr": 0.1, "seed=0": 0.5, "seed=1": 0.7, "seed=2": None},
        {"lr": 0.2, "seed=0": 0.9, "seed=1": 0.1, "seed=2": None},
    ]
    assert pivot(runs, "lr", "status", "acc")["status=DONE"].tolist() == [pytest.approx(0.6), 0.9]


def test_sorting_puts_numbers_before_text_and_what_is_missing_last() -> None:
    mixed = table((), v=[3, None, "x", 1.5, math.nan, True], w=list("abcdef"))
    assert sorted_by(mixed, ["v"])["w"].tolist() == ["f", "d", "a", "c", "b", "e"]
    assert sorted_by(mixed, ["-v"])["w"].tolist() == ["c", "a", "d", "f", "b", "e"]


def test_sorting_by_two_columns(runs: pd.DataFrame) -> None:
    assert sorted_by(runs, ["-lr", "seed"])["exp_id"].tolist() == ["d", "e", "a", "b", "c"]


def test_columns_are_kept_in_the_order_given(runs: pd.DataFrame) -> None:
    assert chosen(runs, ["acc", "lr", "acc"]).columns.tolist() == ["acc", "lr"]


@pytest.mark.parametrize(
    "call", [lambda t: best(t, "ac"), lambda t: sorted_by(t, ["-ac"]), lambda t: chosen(t, ["ac"])]
)
def test_an_unknown_column_names_the_nearest(runs: pd.DataFrame, call: Any) -> None:
    with pytest.raises(GroupError, match="did you mean 'acc'"):
        call(runs)
