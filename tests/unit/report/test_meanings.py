"""What a name means in a table, wherever one is given, also where a result, a column and a key are called alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi.control.survey import Part
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.notes import write_note
from heyhi.project import find_project
from heyhi.report.chosen import narrowed
from heyhi.report.frames import GroupError
from heyhi.report.source import Source
from tests.unit.report.test_means import Lab, lab, records, seeds  # noqa: F401 (a fixture)


@pytest.fixture
def shadowed(lab: Lab) -> Path:  # noqa: F811
    """A sweep over files that set lr and n; each run that is done says its lr once more; one seed of each is dead."""
    lab.config("low", "train { lr: 0.2 n: 7 }")
    lab.config("high", "train { lr: 0.3 n: 7 }")
    path = lab.root / "conf/a.py"
    path.write_text(
        "def yield_sweep():\n    for cfg in ('low', 'high'):\n        for seed in range(3):\n"
        "            yield f'conf/{cfg}.prototxt', {'seed': seed}\n"
    )

    def outcome(row: Mapping[str, Any]) -> dict[str, Any]:
        lr = 0.2 if "low" in row["cfg"] else 0.3
        if row["seed"] == 2:
            return {"dies": True, "score": 100.0}
        return {"lr": lr, "n": 7, "score": lr * 10 + row["seed"]}

    lab.run(path, outcome=outcome)
    return path


def test_a_result_shadows_no_key_of_the_config_to_group_by(lab: Lab, shadowed: Path) -> None:  # noqa: F811
    rows = records(lab.shape(shadowed, group_by=("lr",)).table)
    assert [(r["lr"], r["n"], r["wanted"], r["score"]) for r in rows] == [(0.2, 2, 3, 2.5), (0.3, 2, 3, 3.5)]
    assert [r["lr (result)"] for r in rows] == [0.2, 0.3]
    assert [r["missing"] for r in rows] == ["seed=2", "seed=2"]
    rows = records(lab.shape(shadowed, group_by=("n", "lr")).table)
    assert [(r["n (override)"], r["lr"], r["n"]) for r in rows] == [(7, 0.2, 2), (7, 0.3, 2)]


def test_dead_seeds_stay_in_their_cell_of_a_pivot(lab: Lab, shadowed: Path) -> None:  # noqa: F811
    rows = records(lab.shape(shadowed, pivot=("lr", "n", "score")).table)
    assert [(r["lr"], r["n=7"], r["n=7.n"], r["n=7.wanted"]) for r in rows] == [(0.2, 2.5, 2, 3), (0.3, 3.5, 2, 3)]


def test_a_condition_on_a_key_finds_dead_runs_in_reports_as_elsewhere(lab: Lab, shadowed: Path) -> None:  # noqa: F811
    (row,) = records(lab.shape(shadowed, where=("lr=0.2",), mean_over=("seed",)).table)
    assert (row["n"], row["wanted"], row["missing"]) == (2, 3, "seed=2")
    project = find_project(lab.root)
    folders = Source.open(project, shadowed).manifest.own_folders
    for condition in ("lr=0.2", "lr (result)=0.2", "n=7", "score>99", "status=DEAD", "seed=2", "cfg~low"):
        (part,) = narrowed([Part.of_folders(project, folders)], [condition])
        shown = lab.shape(shadowed, where=(condition,)).whole["exp_path"].tolist()
        assert part.folders == shown, condition
    assert len(lab.shape(shadowed, where=("lr (result)=0.2",)).whole) == 2


def test_the_best_for_each_value_of_a_key_of_the_config(lab: Lab, shadowed: Path) -> None:  # noqa: F811
    found = lab.shape(shadowed, best="score", per=("lr",), columns=("lr", "seed", "score")).table
    assert records(found) == [{"lr": 0.2, "seed": 1, "score": 3.0}, {"lr": 0.3, "seed": 1, "score": 4.0}]


def test_columns_take_keys_of_the_config_in_tables_of_experiments_and_of_means(
    lab: Lab,  # noqa: F811
    shadowed: Path,
) -> None:
    found = lab.shape(shadowed, columns=("lr", "data.name", "lr (result)"))
    # What the whole table shows under a name is shown under it here, too.
    assert found.table["lr"].tolist() == lab.shape(shadowed).table["lr"].tolist() == [0.2, 0.2, None, 0.3, 0.3, None]
    assert found.table["lr (result)"].tolist() == found.table["lr"].tolist()
    rows = records(lab.shape(shadowed, mean_over=("seed",), columns=("lr", "decay", "score")).table)
    assert [(r["lr"], r["decay"], r["score"]) for r in rows] == [(0.2, 0.3, 2.5), (0.3, 0.3, 3.5)]
    rows = records(lab.shape(shadowed, group_by=("cfg",), columns=("cfg", "lr", "score"), sort=("-lr",)).table)
    assert [r["lr"] for r in rows] == [0.3, 0.2]
    assert lab.shape(shadowed, sort=("-lr", "seed")).table["lr"].tolist() == [0.3, 0.3, 0.2, 0.2, None, None]
    with pytest.raises(GroupError, match="did you mean 'decay'"):
        lab.shape(shadowed, columns=("decai",))


def test_what_all_override_alike_and_the_one_config_file_can_be_named_too(lab: Lab) -> None:  # noqa: F811
    one, other = lab.sweep("a", *seeds(2, lr=0.2)), lab.sweep("b", *seeds(3, lr=0.2))
    lab.run(one, other, outcome=lambda row: {"lr": 9, "score": row["seed"]})
    for sweeps in ((one,), (one, other)):
        shaped = lab.shape(*sweeps, where=("cfg~train", "lr=0.2"), columns=("cfg", "lr", "lr (result)", "seed"))
        assert shaped.table["lr"].tolist() == [9] * len(shaped.whole)
        assert shaped.table["lr (result)"].tolist() == [9] * len(shaped.whole)
        assert set(shaped.table["cfg"]) == {"conf/train.prototxt"} and "cfg" not in lab.shape(*sweeps).table
    (row,) = records(lab.shape(one, group_by=("cfg", "lr")).table)
    assert (row["lr"], row["lr (result)"], row["n"]) == (0.2, 9, 2)


def test_the_best_by_a_metric_is_the_same_whatever_is_shown_or_told_apart_by(lab: Lab) -> None:  # noqa: F811
    sweep = lab.sweep("a", *seeds(3))
    lab.run(sweep, outcome=lambda row: {"lr": 9 - row["seed"]})
    for options in ({}, {"columns": ("lr", "seed")}, {"per": ("lr",)}, {"sort": ("lr",)}):
        found = lab.shape(sweep, best="lr", direction="max", **options)
        assert found.table["seed"].tolist() == [0], options
        assert found.notes[0].startswith("best: largest lr")


@pytest.fixture
def statuses(lab: Lab) -> Path:  # noqa: F811
    """A sweep over a key of the config that is called as a column of the table."""
    path = lab.sweep("a", *seeds(3, status="x"), *seeds(3, status="y"))
    lab.run(
        path,
        outcome=lambda row: {
            "score": row["seed"] + (0.0 if row["status (override)"] == "x" else 10.0),
            "dies": row["seed"] == 2,
        },
    )
    return path


def test_a_key_that_is_called_as_a_column_is_refused_or_parted_and_never_merged(
    lab: Lab,  # noqa: F811
    statuses: Path,
) -> None:
    with pytest.raises(GroupError, match=r"^status \(override\) varies within a cell"):
        lab.shape(statuses, pivot=("lr", "status", "score"))
    names = re.escape("--group-by 'lr,status,status (override)' or --mean-over 'seed,status (override)'")
    with pytest.raises(GroupError, match=names):
        lab.shape(statuses, group_by=("lr", "status"))
    rows = records(lab.shape(statuses, group_by=("lr", "status (override)")).table)
    assert [(r["status (override)"], r["score"], r["n"]) for r in rows] == [("x", 0.5, 2), ("y", 10.5, 2)]
    (row,) = records(lab.shape(statuses, pivot=("lr", "status (override)", "score")).table)
    assert (row["status (override)=x"], row["status (override)=y"]) == (0.5, 10.5)
    for fields in (("seed", "status"), ("seed", "status (override)")):
        (row,) = records(lab.shape(statuses, mean_over=fields).table)
        assert (row["score"], row["n"], row["wanted"]) == (5.5, 4, 6)
    assert len(lab.shape(statuses, where=("status (override)=x",)).whole) == 3
    assert len(lab.shape(statuses, where=("status=DONE",)).whole) == 4


def test_columns_that_only_some_tables_have_are_empty_in_the_others(lab: Lab, shadowed: Path) -> None:  # noqa: F811
    names = ("problem", "note", "excluded", "diverged", "missing", "stale", "mixed", "drifted", "sweep", "needs")
    for options in ({}, {"mean_over": ("seed",)}):
        shaped = lab.shape(shadowed, columns=("status", *names), where=("seed<2",), **options)
        assert set(names) <= set(shaped.table.columns) and not shaped.table["problem"].any() and not shaped.notes


def test_conditions_that_nothing_meets_ask_for_no_columns(lab: Lab, shadowed: Path) -> None:  # noqa: F811
    for options in ({"columns": ("loss", "nosuch")}, {"sort": ("nosuch",)}, {"best": "loss"}, {"group_by": ("lrr",)}):
        shaped = lab.shape(shadowed, where=("seed=77",), **options)
        assert not len(shaped.table)
        assert shaped.notes == ["none of 6 experiments meets --where seed=77"]


def test_the_best_in_a_notebook_goes_by_what_the_project_declares(lab: Lab) -> None:  # noqa: F811
    (lab.root / "pyproject.toml").write_text('[tool.heyhi]\nmaximize = ["loss", "top1"]\nminimize = ["latency"]\n')
    sweep = lab.sweep("a", *seeds(3))
    lab.run(sweep, outcome=lambda row: {"loss": row["seed"], "top1": row["seed"], "latency": 9 - row["seed"]})
    table = heyhi.table(sweep)
    assert (table.attrs["minimize"], table.attrs["maximize"]) == (["latency"], ["loss", "top1"])
    for name in ("loss", "top1", "latency", "top1.best"):
        assert heyhi.best(table, name)["seed"].tolist() == [2]
        assert lab.shape(sweep, best=name).table["seed"].tolist() == [2]
    with pytest.raises(GroupError, match="'status' has no numbers: 'DONE'"):
        heyhi.best(table, "status", direction="max")


def test_a_pivot_of_means_is_refused_and_the_best_of_them_is_found(lab: Lab, shadowed: Path) -> None:  # noqa: F811
    table = heyhi.table(shadowed, mean_over="seed")
    with pytest.raises(GroupError, match="table of means"):
        heyhi.pivot(table, "cfg", "status", "score")
    assert heyhi.best(table, "score")["score"].tolist() == [3.5]
    assert heyhi.best(table[["cfg", "score", "n", "wanted", "missing"]].copy(), "score")["score"].tolist() == [3.5]


# --- what a pivot says, as means do


def test_a_pivot_says_what_means_say(lab: Lab) -> None:  # noqa: F811
    sweep = lab.sweep("a", *seeds(3, lr=0.2), {"seed": 0, "lr": 0.2, "decay": 0.3}, *seeds(2, lr=0.3))
    scores = iter([1.0, 3.0, float("nan"), 50.0, 5.0, 7.0])
    lab.run(
        sweep,
        outcome=lambda row: {"score": next(scores), "result": {"ok": True}},
        code=lambda row: ("a" if row["seed"] == 0 else "b") * 40,
    )
    shaped = lab.shape(sweep, pivot=("kind", "lr", "score"))
    (row,) = records(shaped.table)
    assert (row["lr=0.2"], row["lr=0.2.n"], row["lr=0.2.wanted"]) == (2.0, 2, 3)
    assert (row["lr=0.3"], row["lr=0.3.n"]) == (6.0, 2)
    ids = lab.shape(sweep).table["exp_id"].tolist()
    assert shaped.notes == [
        f"the same config twice: {ids[0]}, {ids[3]}: only {ids[0]} counts, and their results differ"
        " (score: 1.0 and 50.0)",
        "cells: score, by kind and lr",
        "2 cells are of results of different code: --where code=VERSION chooses one",
        f"values that are NaN or infinite are in no mean: score of {ids[2]}",
    ]
    with pytest.raises(GroupError, match="'ok' has no numbers: True"):
        lab.shape(sweep, pivot=("kind", "lr", "ok"))


# --- what is in a mean


def test_a_column_is_of_numbers_by_what_counts_and_says_what_it_leaves_out(lab: Lab) -> None:  # noqa: F811
    sweep = lab.sweep("a", *seeds(5))
    values: list[object] = [1.0, "n/a", True, 3.0, "dead"]
    lab.run(
        sweep, outcome=lambda row: {"result": {"x": values[row["seed"]], "text": "t"}, "y": 1, "dies": row["seed"] == 4}
    )
    shaped = lab.shape(sweep, mean_over=("seed",))
    (row,) = records(shaped.table)
    assert (row["x"], row["x.n"], row["x.se"], row["n"]) == (2.0, 2, 1.0, 4) and "text" not in row
    assert shaped.notes == [
        "x is text in 1 experiment that counts: left out of its mean",
        "x is true or false in 1 experiment that counts: left out of its mean",
    ]
    assert not lab.shape(sweep, mean_over=("seed",), where=("seed!=1", "seed!=2")).notes


def test_what_has_no_result_yet_counts_nowhere(lab: Lab) -> None:  # noqa: F811
    sweep = lab.sweep("a", *seeds(2))
    lab.run(sweep, outcome=lambda row: {"acc": 1.0}, code=lambda row: "a" * 40)
    more = lab.sweep("b", *seeds(4))
    shaped = lab.shape(more, mean_over=("seed",), where=("status!=DEAD",))
    (row,) = records(shaped.table)
    assert (row["n"], row["wanted"], row["acc"]) == (2, 4, 1.0) and "code" not in row and "acc.n" not in row
    assert not shaped.notes


def test_the_best_says_which_better_one_is_excluded(lab: Lab) -> None:  # noqa: F811
    sweep = lab.sweep("a", *seeds(3))
    lab.run(sweep, outcome=lambda row: {"acc": row["seed"]})
    table = heyhi.table(sweep)
    folder = ExperimentDir(Path(table["exp_path"][2]), find_project(lab.root).results_root)
    write_note(folder, "bad data", excluded=True)
    shaped = lab.shape(sweep, best="acc")
    assert shaped.table["seed"].tolist() == [1]
    assert shaped.notes[-1] == f"best leaves out excluded: {table['exp_id'][2]} (bad data)"
    assert len(lab.shape(sweep, best="acc", direction="min").notes) == 1
    (row,) = records(lab.shape(sweep, mean_over=("seed",), where=("excluded=true",)).table)
    assert (row["n"], row["acc"]) == (1, 2.0)


def test_metrics_that_are_called_as_columns_of_means_get_a_name_of_their_own(lab: Lab) -> None:  # noqa: F811
    sweep = lab.sweep("a", *seeds(2))
    names = ("seconds.sum", "n", "loss", "loss.se", "loss.n", "wanted", "diverged", "seconds.n", "m", "m.sd")
    lab.run(sweep, outcome=lambda row: dict.fromkeys(names, 3 + row["seed"]))
    (row,) = records(lab.shape(sweep, mean_over=("seed",)).table)
    assert (row["seconds.sum"], row["seconds"], row["n"], row["wanted"], row["loss.se"]) == (20.0, 10.0, 2, 2, 0.5)
    for name in ("seconds.sum", "n", "loss.se", "loss.n", "wanted", "diverged", "seconds.n"):
        assert (row[f"{name} (result)"], row[f"{name} (result).se"]) == (3.5, 0.5)
    assert not {"seconds.sum.se", "n.se", "wanted.se", "m (result)", "m.sd (result)"} & set(row)
