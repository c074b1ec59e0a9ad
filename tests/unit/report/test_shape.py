"""Best rows, pivot tables, means and sorting, of a table by its columns alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from heyhi.experiment.directions import DirectionError
from heyhi.report.frames import GroupError, chosen
from heyhi.report.gathered import Gathered
from heyhi.report.shape import Shape, best, pivot
from heyhi.report.shaped import Shaped


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


def shaped(frame: pd.DataFrame, **options: Any) -> Shaped:
    return Shape(**options).apply(Gathered.of_table(frame))


def means(frame: pd.DataFrame, *fields: str) -> pd.DataFrame:
    return shaped(frame, mean_over=fields or ("seed",)).table


def ordered(frame: pd.DataFrame, *keys: str) -> pd.DataFrame:
    return shaped(frame, sort=keys).table


def test_an_integer_that_no_float_can_hold_stops_nothing() -> None:
    runs = table(("seed",), status=["DONE"] * 2, seed=[0, 1], large=[10**400, 1], loss=[1.0, 2.0])
    assert means(runs)["loss"].tolist() == [1.5]
    assert ordered(runs, "-large")["seed"].tolist() == [0, 1] and ordered(runs, "large")["seed"].tolist() == [1, 0]
    assert best(runs, "large", direction="max")["seed"].tolist() == [1]
    assert pivot(runs, "seed", "status", "large")["status=DONE"].tolist() == [None, 1.0]


def test_an_error_commands_no_terminal_and_names_no_thousand_columns() -> None:
    frame = table((), **{"status": ["DONE"], "\x1b[31m": [1], **{f"c{i}": [1] for i in range(1000)}})
    with pytest.raises(GroupError) as caught:
        ordered(frame, "nosuch")
    assert "\x1b" not in str(caught.value) and "c20" in str(caught.value) and str(caught.value).endswith(" more")
    assert r", \x1b[31m, c0" in str(caught.value)
    with pytest.raises(GroupError) as caught:
        ordered(frame, r"\x1b[31m")
    assert r"did you mean $'\033[31m'?" in str(caught.value), "as a shell reads it back"


def test_seeds_are_put_together_and_missing_ones_named(runs: pd.DataFrame) -> None:
    first, second = means(runs).to_dict("records")
    assert (first["lr"], first["n"], first["wanted"], first["missing"]) == (0.1, 2, 3, "seed=2")
    assert first["acc"] == pytest.approx(0.6) and first["acc.se"] == pytest.approx(0.1)
    assert (first["seconds"], first["seconds.sum"]) == (1.5, 7.0)
    assert first["status"] == "1/3 DEAD, 2/3 DONE"
    assert (second["acc"], second["n"], second["wanted"], second["missing"]) == (0.9, 1, 2, "seed=1")
    assert "seed" not in first and "exp_id" not in first


def test_seed_means_any_key_that_ends_in_it_and_other_fields_can_be_named() -> None:
    runs = table(
        ("data.seed", "fold"),
        **{"status": ["DONE"] * 4, "data.seed": [0, 1, 0, 1], "fold": [0, 0, 1, 1], "m": [1, 2, 3, 4]},
    )
    assert len(means(runs)) == 2
    assert len(means(runs, "fold", "seed")) == 1
    assert len(means(runs, "nothing")) == 4
    assert len(means(runs, "data", "fold")) == 1


def test_all_but_seeds_equal_is_one_group_and_no_rows_are_no_groups() -> None:
    assert len(means(table(("seed",), status=["DONE", "DONE"], seed=[0, 1], m=[1.0, 3.0]))) == 1
    nothing = means(table((), status=[], m=[]))
    assert len(nothing) == 0 and {"status", "n", "wanted", "missing"} <= set(nothing.columns)


def test_excluded_runs_are_out_of_means_and_of_the_best_and_named() -> None:
    runs = table(
        ("seed",),
        status=["DONE"] * 3,
        seed=[0, 1, 2],
        acc=[0.5, 0.7, 99.0],
        note=[None, None, "bad data"],
        excluded=[None, None, True],
        exp_id=list("abc"),
    )
    found = shaped(runs, mean_over=("seed",))
    (row,) = found.table.to_dict("records")
    assert (row["acc"], row["n"], row["wanted"], row["excluded"]) == (pytest.approx(0.6), 2, 3, "seed=2: bad data")
    assert row["note"] == "seed=2: bad data" and found.notes == ["excluded from means: c (bad data)"]
    assert found.counts == [True, True, False]
    assert shaped(runs, best="acc").table["seed"].tolist() == [1]
    assert means(runs, "seed").attrs["varying"] == []
    assert shaped(runs, mean_over=("seed",), where=("excluded=true",)).table["acc"].tolist() == [99.0]


def test_what_is_wrong_with_a_replicate_is_not_lost_in_a_mean() -> None:
    runs = table(
        ("seed",),
        status=["DONE"] * 2,
        seed=[0, 1],
        m=[1, 2],
        stale=[None, "of a"],
        mixed=["b", None],
        problem=[None, "c"],
    )
    (row,) = means(runs).to_dict("records")
    assert (row["stale"], row["mixed"], row["problem"]) == ("seed=1: of a", "seed=0: b", "seed=1: c")


def test_columns_of_means_hide_no_metric_that_is_called_alike() -> None:
    runs = table(("seed",), **{"status": ["DONE"] * 2, "seed": [0, 1], "m": [1, 3], "m.se": [5, 5], "n": [7, 9]})
    (row,) = means(runs).to_dict("records")
    assert (row["m"], row["m.se"], row["m.se (result)"], row["n (result)"], row["n"]) == (2, 1, 5, 8, 2)


def test_other_packages_are_other_versions_where_they_are_known() -> None:
    runs = table(("seed",), status=["DONE"] * 3, seed=[0, 1, 2], m=[1, 2, 3], code=["a"] * 3, packages=["p", "q", None])
    assert means(runs.head(2).assign(packages=["p", None])).columns.tolist().count("code") == 0
    assert means(runs)["code"].tolist() == ["2 versions"]
    parted = shaped(runs, group_by=("code",)).table
    assert parted["code"].tolist() == ["a (packages p)", "a (packages q)", "a (packages unknown)"]


def test_the_best_row_by_what_is_good_for_its_name(runs: pd.DataFrame) -> None:
    assert best(runs, "acc")["exp_id"].tolist() == ["d"]
    assert best(runs, "acc", ["lr"])["exp_id"].tolist() == ["b", "d"]
    assert best(runs, "acc", direction="min")["exp_id"].tolist() == ["a"]
    assert best(runs.rename(columns={"acc": "val_loss"}), "val_loss")["exp_id"].tolist() == ["a"]
    with pytest.raises(DirectionError, match="ece"):
        best(runs.rename(columns={"acc": "ece"}), "ece")
    nothing = table((), status=["DONE"], acc=[float("nan")], exp_id=["a"])
    assert len(best(nothing, "acc")) == 0


def test_an_infinite_value_is_the_best_only_where_nothing_else_is() -> None:
    runs = table((), status=["DONE"] * 3, loss=[float("-inf"), 2.0, 1.0], exp_id=list("abc"))
    assert best(runs, "loss")["exp_id"].tolist() == ["c"]
    assert best(runs.head(1), "loss")["exp_id"].tolist() == ["a"]


def test_a_pivot_has_a_row_and_columns_for_each_value(runs: pd.DataFrame) -> None:
    found = pivot(runs, "lr", "seed", "acc")
    names = [f"seed={i}{end}" for i in range(3) for end in ("", ".se", ".n", ".wanted")]
    names.remove("seed=0.wanted")  # of its cells, all count
    assert found.columns.tolist() == ["lr", *names]
    assert found[["lr", "seed=0", "seed=1", "seed=2"]].to_dict("records") == [
        {"lr": 0.1, "seed=0": 0.5, "seed=1": 0.7, "seed=2": None},
        {"lr": 0.2, "seed=0": 0.9, "seed=1": None, "seed=2": None},
    ]
    done = pivot(runs, "lr", "status", "acc")
    assert done["status=DONE"].tolist() == [pytest.approx(0.6), 0.9] and done["status=DONE.n"].tolist() == [2, 1]


def test_a_pivot_that_would_mix_what_varies_is_refused(runs: pd.DataFrame) -> None:
    with pytest.raises(GroupError, match="lr varies within a cell"):
        pivot(runs, "status", "seed", "acc")


def test_sorting_puts_numbers_before_text_and_what_is_missing_last() -> None:
    mixed = table((), status=["DONE"] * 6, v=[3, None, "x", 1.5, float("nan"), True], w=list("abcdef"))
    assert ordered(mixed, "v")["w"].tolist() == ["f", "d", "a", "c", "b", "e"]
    assert ordered(mixed, "-v")["w"].tolist() == ["c", "a", "d", "f", "b", "e"]


def test_sorting_by_two_columns(runs: pd.DataFrame) -> None:
    found = shaped(runs, sort=("-lr", "seed"))
    assert found.table["exp_id"].tolist() == ["d", "e", "a", "b", "c"]
    assert found.members == [[3], [4], [0], [1], [2]]


def test_columns_are_kept_in_the_order_given(runs: pd.DataFrame) -> None:
    assert chosen(runs, ["acc", "lr", "acc"]).columns.tolist() == ["acc", "lr"]


@pytest.mark.parametrize("call", [lambda t: best(t, "ac"), lambda t: ordered(t, "-ac"), lambda t: chosen(t, ["ac"])])
def test_an_unknown_column_names_the_nearest(runs: pd.DataFrame, call: Callable[[pd.DataFrame], object]) -> None:
    with pytest.raises(GroupError, match="did you mean 'acc'"):
        call(runs)
