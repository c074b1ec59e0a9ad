"""Means of replicates, and of nothing else: what may be put together, what counts, and what is said of the rest."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import heyhi
from heyhi.errors import HeyhiError
from heyhi.experiment.directions import DirectionError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import End, Start, Used
from heyhi.project import find_project
from heyhi.report.column_types import with_types
from heyhi.report.configs import Configs
from heyhi.report.frames import GroupError
from heyhi.report.gather import gather
from heyhi.report.shape import Shape
from heyhi.report.shaped import Shaped
from heyhi.report.source import Source
from heyhi.report.terminal import print_table
from heyhi.report.used_line import used_line

PROTO = """
syntax = "proto2";
message MetaCfg { oneof task { Train train = 1; Eval eval = 2; } }
message Launcher { oneof kind { Local local = 1; Slurm slurm = 2; } }
message Local { optional int32 cpus = 1 [default = 1]; }
message Slurm { optional double hours = 1 [default = 2]; optional int32 num_gpus = 2 [default = 0]; }
message Sgd { optional double momentum = 1 [default = 0.9]; }
message Adam { optional double beta = 1 [default = 0.99]; }
message Data { optional int32 seed = 1 [default = 0]; optional string name = 2 [default = "digits"]; }
message Train {
  enum Kind { SMALL = 0; LARGE = 1; }
  optional double lr = 1 [default = 0.1];
  optional int32 seed = 2 [default = 0];
  oneof optimizer { Sgd sgd = 3; Adam adam = 4; }
  optional Data data = 5;
  optional Kind kind = 6 [default = SMALL];
  optional Launcher launcher = 7;
  optional string out = 8;
  optional bool flag = 9 [default = false];
  optional float decay = 10 [default = 0.3];
  optional Train teacher = 11;
  optional string status = 12;
  optional int32 n = 13;
}
message Eval {
  optional string of = 1;
  optional double noise = 2 [default = 0];
  optional int32 seed = 3 [default = 0];
}
"""


class Lab:
    """A project in which sweeps are written, and experiments that have never run get what they would have written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "conf").mkdir(parents=True)
        (root / "pyproject.toml").write_text("[tool.heyhi]\n")
        (root / "conf/conf.proto").write_text(PROTO)
        self.config("train", "train {}")
        self.config("eval", 'eval { of: "{{exp train.prototxt}}" }')

    def config(self, name: str, text: str) -> None:
        (self.root / f"conf/{name}.prototxt").write_text(text + "\n")

    def sweep(self, name: str, *points: Mapping[str, object], cfg: str = "train") -> Path:
        """Write a sweep file."""
        path = self.root / f"conf/{name}.py"
        lines = "".join(f"    yield 'conf/{cfg}.prototxt', {dict(point)!r}\n" for point in points)
        path.write_text(f"def yield_sweep():\n{lines}")
        return path

    def run(
        self,
        *sweeps: Path,
        outcome: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda row: {},
        code: Callable[[Mapping[str, Any]], str] = lambda row: "",
    ) -> None:
        """Write what each experiment would have written; one whose outcome says `dies` is dead."""
        manifests = [Source.open(find_project(self.root), path).manifest for path in sweeps]
        experiments = {str(e.exp_path): (e, manifest) for manifest in manifests for e in manifest.experiments()}
        for row in heyhi.table(list(sweeps)).to_dict("records"):
            folder = ExperimentDir(Path(row["exp_path"]))
            if folder.path.exists():
                continue
            experiment, manifest = experiments[row["exp_path"]]
            folder.prepare(experiment, manifest.schema())
            found = dict(outcome(row))
            is_dead = found.pop("dies", False)
            folder.append_attempt(Start(1, pid=1, host="h", commit=code(row)))
            result = found.pop("result", {})
            lines = found.pop("lines", [found])
            text = "".join(f"{json.dumps(line)}\n" for line in lines)
            folder.metrics_path.write_text(text)
            folder.append_attempt(End(1, exit_code=int(is_dead), exception="boom" if is_dead else "", seconds=10.0))
            if not is_dead:
                folder.write_result(result)

    def shape(self, *sweeps: Path, **options: Any) -> Shaped:
        project = find_project(self.root)
        return Shape(**options).apply(gather([Source.open(project, path) for path in sweeps]))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.chdir(tmp_path)
    lab = Lab(tmp_path / "lab")
    monkeypatch.chdir(lab.root)
    return lab


def seeds(count: int = 2, **point: object) -> list[dict[str, object]]:
    return [{**point, "seed": seed} for seed in range(count)]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.astype(object).to_numpy().tolist()]


# --- what may be put together


@pytest.fixture
def two(lab: Lab) -> tuple[Path, Path]:
    """Two sweeps that differ in a value that is constant in each."""
    sweeps = lab.sweep("a", *seeds(kind="SMALL", flag=True)), lab.sweep("b", *seeds(kind="LARGE", flag=True))
    lab.run(*sweeps, outcome=lambda row: {"acc": (0.5 if row["kind"] == "SMALL" else 0.9) + row["seed"] / 100})
    return sweeps


def test_what_varies_is_what_differs_among_all_sweeps(lab: Lab, two: tuple[Path, Path]) -> None:
    table = heyhi.table(list(two))
    assert table["kind"].tolist() == ["SMALL", "SMALL", "LARGE", "LARGE"]
    assert table["sweep"].tolist() == ["a", "a", "b", "b"]
    assert not {"flag", "cfg", "lr"} & set(table.columns)
    assert "kind" not in heyhi.table(two[0]) and "sweep" not in heyhi.table(two[0])


def test_a_mean_over_seeds_of_two_sweeps_mixes_nothing_else(lab: Lab, two: tuple[Path, Path]) -> None:
    rows = records(lab.shape(*two, mean_over=("seed",)).table)
    assert [(r["kind"], r["n"], r["wanted"]) for r in rows] == [("SMALL", 2, 2), ("LARGE", 2, 2)]
    assert [r["acc"] for r in rows] == pytest.approx([0.505, 0.905])
    assert [r["acc.best"] for r in rows] == pytest.approx([0.505, 0.905])


def test_an_experiment_of_two_sweeps_has_one_row_that_names_both(lab: Lab) -> None:
    one, other = lab.sweep("a", *seeds(2)), lab.sweep("b", *seeds(3))
    table = heyhi.table([one, other])
    assert table["sweep"].tolist() == ["a, b", "a, b", "b"] and table["seed"].tolist() == [0, 1, 2]


def test_what_differs_in_config_files_only_is_not_put_together(lab: Lab) -> None:
    lab.config("large", "train { kind: LARGE }")
    sweeps = lab.sweep("a", *seeds()), lab.sweep("b", *seeds(), cfg="large")
    lab.run(*sweeps, outcome=lambda row: {"acc": 1.0 if "large" in row["cfg"] else 0.0})
    assert lab.shape(*sweeps, mean_over=("seed",)).table["acc"].tolist() == [0.0, 1.0]
    with pytest.raises(GroupError, match=r"^kind varies: --group-by lr,kind or --mean-over seed,kind"):
        lab.shape(*sweeps, group_by=("lr",))
    rows = records(lab.shape(*sweeps, group_by=("kind",)).table)
    assert [(r["kind"], r["acc"]) for r in rows] == [("SMALL", 0.0), ("LARGE", 1.0)]


def test_two_files_that_compose_alike_are_replicates(lab: Lab) -> None:
    lab.config("again", "train { lr: 0.1 }")
    sweeps = lab.sweep("a", {"seed": 0}), lab.sweep("b", {"seed": 1}, cfg="again")
    lab.run(*sweeps, outcome=lambda row: {"acc": row["seed"]})
    (row,) = records(lab.shape(*sweeps, mean_over=("seed",)).table)
    assert (row["acc"], row["n"], row["wanted"]) == (0.5, 2, 2)


def test_seeds_in_config_files_are_replicates_too_and_named_by_their_exp_ids(lab: Lab) -> None:
    lab.config("other", "train { seed: 7 }")
    sweeps = lab.sweep("a", {"lr": 0.2}), lab.sweep("b", {"lr": 0.2}, cfg="other")
    lab.run(*sweeps, outcome=lambda row: {"dies": "other" in row["cfg"], "acc": 1.0})
    (row,) = records(lab.shape(*sweeps, mean_over=("seed",)).table)
    assert (row["n"], row["wanted"]) == (1, 2)
    assert row["missing"].startswith("p/other/")


@pytest.mark.parametrize(
    ("point", "same"),
    [
        ({"launcher.slurm.hours": 9}, True),
        ({"launcher.local.cpus": 3}, True),
        ({"launcher.slurm.num_gpus": 0}, True),
        ({"launcher.slurm.num_gpus": 8}, False),
        ({"lr": 0.1}, True),
        ({"lr": 0.2}, False),
        ({"data.name": "digits"}, True),
        ({"data.seed": 5}, True),
        ({"sgd": "SELECT"}, False),
        ({"teacher.lr": 0.1}, True),
        ({"teacher.sgd.momentum": 0.9}, False),
    ],
)
def test_defaults_and_what_only_schedules_part_no_replicates(lab: Lab, point: dict[str, object], same: bool) -> None:
    sweep = lab.sweep("a", {"seed": 0}, {"seed": 1, **point})
    shaped = lab.shape(sweep, mean_over=("seed",))
    assert (len(shaped.table) == 1) is same
    assert (len(set(shaped.groups)) == 1) is same


def test_another_member_of_a_oneof_is_named_by_the_oneof(lab: Lab) -> None:
    sweep = lab.sweep("a", *seeds(**{"sgd.momentum": 0.5}), *seeds(**{"adam.beta": 0.5}), {"sgd.momentum": 0.6})
    lab.run(sweep, outcome=lambda row: {"acc": 1.0})
    with pytest.raises(GroupError, match=r"^optimizer, sgd\.momentum vary: --group-by lr,optimizer,sgd\.momentum or"):
        lab.shape(sweep, group_by=("lr",))
    rows = records(lab.shape(sweep, group_by=("optimizer", "sgd.momentum")).table)
    assert [(r["optimizer"], r["sgd.momentum"], r["n"]) for r in rows] == [
        ("sgd", 0.5, 2),
        ("adam", None, 2),
        ("sgd", 0.6, 1),
    ]
    (row,) = records(lab.shape(sweep, mean_over=("seed", "optimizer")).table)
    assert (row["n"], row["sgd.momentum"]) == (5, "0.5, -, 0.6")


def test_evaluations_of_one_training_per_seed_fall_together(lab: Lab) -> None:
    def of(**point: object) -> str:
        return "{{exp train.prototxt " + " ".join(f"{k}={v}" for k, v in point.items()) + "}}"

    sweep = lab.sweep(
        "a", *({"of": of(lr=lr, seed=seed), "noise": 0.5} for lr in (0.2, 0.3) for seed in range(3)), cfg="eval"
    )
    scores = iter([1.0, 2.0, 3.0, 10.0, 11.0, 12.0])
    lab.run(sweep, outcome=lambda row: {"acc": next(scores)})
    table = lab.shape(sweep, mean_over=("seed",)).table
    assert table["acc"].tolist() == [2.0, 11.0] and table["n"].tolist() == [3, 3]
    with pytest.raises(
        GroupError, match=r"^train\.lr varies: --group-by noise,train\.lr or --mean-over seed,train\.lr"
    ):
        lab.shape(sweep, group_by=("noise",))
    rows = records(lab.shape(sweep, group_by=("train.lr",)).table)
    assert [(r["train.lr"], r["acc"]) for r in rows] == [(0.2, 2.0), (0.3, 11.0)]
    assert lab.shape(sweep, mean_over=("seed", "train.lr")).table["acc"].tolist() == [6.5]


def test_layers_of_needs_are_looked_at_once_each(lab: Lab) -> None:
    lab.config("layer0", "train {}")
    for layer in range(1, 21):
        needs = " ".join(f"{{{{exp layer{layer - 1}.prototxt seed={seed}}}}}" for seed in range(4))
        lab.config(f"layer{layer}", f'train {{ out: "{needs}" }}')
    sweep = lab.sweep("a", *seeds(3), cfg="layer20")
    manifest = Source.open(find_project(lab.root), sweep).manifest
    configs = Configs([(manifest, find_project(lab.root))])
    # Would each be looked at for each that needs it, there were four to the power of the layers.
    assert len(set(configs.replicate_keys(manifest.own_folders, ("seed",)))) == 1
    assert len(set(configs.replicate_keys(manifest.own_folders, ()))) == 3


def test_the_same_config_twice_counts_once_and_is_said(lab: Lab) -> None:
    sweep = lab.sweep("a", {"seed": 0}, {"seed": 0, "lr": 0.1}, {"seed": 1})
    values = iter([1.0, 100.0, 3.0])
    lab.run(sweep, outcome=lambda row: {"acc": next(values)})
    shaped = lab.shape(sweep, mean_over=("seed",))
    (row,) = records(shaped.table)
    assert (row["acc"], row["n"], row["wanted"]) == (2.0, 2, 2)
    assert any(note.startswith("the same config twice: p/train/") for note in shaped.notes)
    assert shaped.counts == [True, False, True] and shaped.members == [[0, 1, 2]]


def test_a_default_that_was_changed_between_two_manifests_parts_them(lab: Lab) -> None:
    project = find_project(lab.root)
    before = Source.open(project, lab.sweep("a", {"seed": 0})).manifest
    (lab.root / "conf/conf.proto").write_text(PROTO.replace("[default = 0.3]", "[default = 0.4]"))
    sources = [Source.of(before), Source.open(project, lab.sweep("b", {"seed": 1}))]
    assert len(Shape(mean_over=("seed",)).apply(gather(sources)).table) == 2
    with pytest.raises(GroupError, match=r"^decay varies"):
        Shape(group_by=("lr",)).apply(gather(sources))
    (lab.root / "conf/conf.proto").write_text(
        PROTO.replace("message Eval {", "message Eval { optional int32 more = 9;")
    )
    sources = [Source.of(before), Source.open(project, lab.sweep("b", {"seed": 1}))]
    assert len(Shape(mean_over=("seed",)).apply(gather(sources)).table) == 1


def test_tasks_are_not_put_together(lab: Lab) -> None:
    sweeps = lab.sweep("a", {"seed": 0}), lab.sweep("b", {"seed": 1}, cfg="eval")
    assert len(lab.shape(*sweeps, mean_over=("seed",)).table) == 2
    with pytest.raises(GroupError, match=r"^task varies"):
        lab.shape(*sweeps, group_by=("status",))
    assert lab.shape(*sweeps, group_by=("task",)).table["task"].tolist() == ["train", "eval"]


def test_an_unknown_key_to_group_by_names_the_nearest(lab: Lab) -> None:
    with pytest.raises(GroupError, match=r"did you mean 'data\.name'"):
        lab.shape(lab.sweep("a", *seeds()), group_by=("data.nam",))


# --- other code


def test_replicates_of_other_code_are_marked_and_can_be_parted(lab: Lab) -> None:
    sweep = lab.sweep("a", *seeds(4))
    lab.run(
        sweep,
        outcome=lambda row: {"loss": 0.0 if row["seed"] < 2 else 100.0},
        code=lambda row: ("a" if row["seed"] < 2 else "b") * 40,
    )
    shaped = lab.shape(sweep, mean_over=("seed",))
    (row,) = records(shaped.table)
    assert row["code"] == "2 versions" and "different code: --group-by code" in " ".join(shaped.notes)
    rows = records(lab.shape(sweep, group_by=("code",)).table)
    assert [(r["loss"], r["n"]) for r in rows] == [(0.0, 2), (100.0, 2)]
    assert rows[0]["code"] != rows[1]["code"]
    both = lab.shape(sweep, group_by=("code",), mean_over=("seed",))
    assert both.table["loss"].tolist() == [0.0, 100.0] and not both.notes


# --- what counts


@pytest.fixture
def dying(lab: Lab) -> Path:
    sweep = lab.sweep("a", *seeds(3, lr=0.2), *seeds(2, lr=0.3))
    values = {(0.2, 0): 0.9, (0.2, 1): 0.92, (0.2, 2): 0.1, (0.3, 0): 0.5, (0.3, 1): math.nan}
    lab.run(
        sweep,
        outcome=lambda row: {"acc": values[row["lr"], row["seed"]], "dies": (row["lr"], row["seed"]) == (0.2, 2)},
    )
    return sweep


def test_only_done_runs_count_in_means(lab: Lab, dying: Path) -> None:
    first, second = records(lab.shape(dying, mean_over=("seed",)).table)
    assert first["acc"] == pytest.approx(0.91) and first["acc.se"] == pytest.approx(0.01)
    assert (first["status"], first["n"], first["wanted"]) == ("1/3 DEAD, 2/3 DONE", 2, 3)
    assert first["missing"] == "seed=2"
    assert (second["acc"], second["acc.se"]) == (0.5, None)
    assert (second["n"], second["wanted"], second["acc.n"], first["acc.n"]) == (2, 2, 1, 2)
    assert second["diverged"] == "seed=1: acc" and first["diverged"] is None


def test_a_condition_on_the_status_has_others_count(lab: Lab, dying: Path) -> None:
    table = lab.shape(dying, mean_over=("seed",), where=("status~D", "lr=0.2")).table
    assert table["acc"].tolist() == [pytest.approx((0.9 + 0.92 + 0.1) / 3)] and table["n"].tolist() == [3]
    assert lab.shape(dying, mean_over=("seed",), where=("lr=0.2",)).table["n"].tolist() == [2]


def test_conditions_take_keys_of_the_config_that_have_no_column(lab: Lab, dying: Path) -> None:
    shaped = lab.shape(dying, where=("data.name=digits", "seed<1"))
    assert shaped.whole["seed"].tolist() == [0, 0] and len(shaped.members) == 2


def test_the_best_is_no_run_that_died_and_none_of_nobody_knows_what(lab: Lab) -> None:
    sweep = lab.sweep("a", *seeds(3))
    lab.run(sweep, outcome=lambda row: {"acc": row["seed"], "latency_ms": 5 - row["seed"], "dies": row["seed"] == 2})
    shaped = lab.shape(sweep, best="acc")
    assert shaped.table["seed"].tolist() == [1] and shaped.members == [[1]]
    assert shaped.notes == ["best: largest acc (assumed by its name)"]
    with pytest.raises(DirectionError, match="latency_ms"):
        lab.shape(sweep, best="latency_ms")
    declared = lab.shape(sweep, best="latency_ms", direction="min")
    assert declared.table["seed"].tolist() == [1] and declared.notes == ["best: smallest latency_ms"]


def test_the_best_among_means_is_a_mean(lab: Lab, two: tuple[Path, Path]) -> None:
    shaped = lab.shape(*two, mean_over=("seed",), best="acc", sort=("-acc",), columns=("kind", "acc"))
    assert records(shaped.table) == [
        {"kind": "LARGE", "acc": pytest.approx(0.905), "acc.se": pytest.approx(0.005), "n": 2, "wanted": 2}
    ]
    assert shaped.members == [[2, 3]]


def test_a_pivot_has_means_of_what_is_done_with_spread_and_count(lab: Lab, dying: Path) -> None:
    (row,) = records(lab.shape(dying, pivot=("kind", "lr", "acc"), spread="std").table)
    assert row == {
        "kind": "SMALL",
        "lr=0.2": pytest.approx(0.91),
        "lr=0.2.std": pytest.approx(math.sqrt(2) / 100),
        "lr=0.2.n": 2,
        "lr=0.2.wanted": 3,
        "lr=0.3": 0.5,
        "lr=0.3.std": None,
        "lr=0.3.n": 1,
        "lr=0.3.wanted": 2,
    }


def test_a_table_knows_what_was_asked_and_of_how_many_it_is(lab: Lab, two: tuple[Path, Path]) -> None:
    every = lab.shape(*two, sort=("-acc",))
    assert every.asked == () and every.total == len(every.whole)
    some = lab.shape(
        *two, where=("kind=LARGE", "acc>0"), mean_over=("seed",), best="acc", direction="min", per=("kind",)
    )
    assert some.asked == ("--where kind=LARGE", "--where acc>0", "--mean-over seed", "--best acc:min", "--per kind")
    assert some.total == every.total and len(some.whole) < every.total
    pivoted = lab.shape(*two, pivot=("kind", "lr", "acc"))
    assert pivoted.asked == ("--pivot kind lr acc",)
    assert pivoted.table.attrs["pivot"] == ("kind", "lr", "acc")


def test_a_pivot_mixes_nothing_within_a_cell(lab: Lab, two: tuple[Path, Path]) -> None:
    with pytest.raises(GroupError, match=r"^kind varies within a cell of the pivot"):
        lab.shape(*two, pivot=("lr", "flag", "acc"))
    assert len(lab.shape(*two, pivot=("kind", "lr", "acc")).table) == 2


def test_seconds_are_added_up_under_a_name_that_says_so(lab: Lab, dying: Path) -> None:
    first, _ = records(lab.shape(dying, mean_over=("seed",)).table)
    assert (first["seconds"], first["seconds.sum"]) == (10.0, 30.0)


# --- what isn't overridden


def test_a_point_that_does_not_override_a_key_shows_the_composed_value(lab: Lab) -> None:
    lab.config("other", "train { lr: 0.7 data { seed: 3 } }")
    points = [{"lr": 0.2, "kind": "LARGE", "flag": True, "data.seed": 1, "decay": 0.5, "sgd.momentum": 0.1}, {}]
    table = heyhi.table([lab.sweep("a", *points), lab.sweep("b", {}, cfg="other"), lab.sweep("c", {}, cfg="eval")])
    assert table["lr"].tolist()[:3] == [0.2, 0.1, 0.7] and math.isnan(table["lr"].tolist()[3])
    assert table["kind"].tolist() == ["LARGE", "SMALL", "SMALL", None]
    assert table["flag"].tolist() == ["true", "false", "false", None]
    assert table["data.seed"].tolist()[:3] == [1, 0, 3]
    assert table["decay"].tolist()[:3] == [0.5, 0.3, 0.3]
    assert table["sgd.momentum"].tolist()[0] == 0.1 and table["sgd.momentum"].isna().tolist()[1:] == [True] * 3


def test_a_cleared_key_shows_what_it_is_then_and_a_set_default_does_not_vary(lab: Lab) -> None:
    lab.config("high", "train { lr: 5 }")
    table = heyhi.table(lab.sweep("a", {"lr": 0.2}, {"lr": "NULL"}, cfg="high"))
    assert table["lr"].tolist() == [0.2, 0.1]
    assert "lr" not in heyhi.table(lab.sweep("b", {"lr": 0.1, "seed": 1}, {"seed": 2}))


# --- what was never there


def test_a_metric_that_nobody_has_yet_can_be_sorted_by_and_shown(lab: Lab) -> None:
    sweep = lab.sweep("a", *seeds())
    shaped = lab.shape(sweep, sort=("-val_accuracy.best",), columns=("seed", "val_accuracy"))
    assert shaped.table.columns.tolist() == ["seed", "val_accuracy"]
    assert shaped.notes[0] == "no experiment has a metric yet, nor val_accuracy.best"
    lab.run(sweep, outcome=lambda row: {"val_accuracy": 0.5})
    assert lab.shape(sweep, sort=("-val_accuracy.best",)).table["val_accuracy.best"].tolist() == [0.5, 0.5]
    with pytest.raises(GroupError, match="did you mean 'val_accuracy'"):
        lab.shape(sweep, sort=("val_acuracy",))


def test_best_values_of_a_metric_without_a_direction_say_how_to_declare_one(lab: Lab) -> None:
    sweep = lab.sweep("a", *seeds())
    lab.run(sweep, outcome=lambda row: {"foo": 1.0})
    with pytest.raises(DirectionError, match="minimize"):
        lab.shape(sweep, sort=("foo.best",))


@pytest.mark.parametrize(
    "options",
    [
        {"pivot": ("a", "b", "c"), "best": "x"},
        {"pivot": ("a", "b", "c"), "group_by": ("x",)},
        {"spread": "std"},
        {"per": ("x",)},
        {"mean_over": ()},
        {"mean_over": ("seed",), "group_by": ("seed",)},
        {"where": ("nonsense",)},
        {"mean_over": ("seed",), "spread": "sd"},
        {"best": "x", "direction": "up"},
        {"at_best": "x", "at_best_direction": "up"},
    ],
)
def test_contradictions_are_said_before_anything_is_read(options: dict[str, Any]) -> None:
    with pytest.raises(HeyhiError):
        Shape(**options).check()


def test_what_is_needed_and_values_at_the_best_of_a_metric_do_not_go_together() -> None:
    with pytest.raises(GroupError, match="--at-best goes without --needs"):
        Shape(at_best="loss").check(with_needs=True)


# --- what is needed


def test_means_of_evaluations_show_what_varies_in_the_trainings_and_no_mean_of_it(lab: Lab) -> None:
    points = [{"of": f"{{{{exp train.prototxt lr={lr} seed={seed}}}}}"} for lr in (0.2, 0.3) for seed in range(2)]
    sweep = lab.sweep("a", *points, cfg="eval")
    lab.run(sweep, outcome=lambda row: {"acc": 1.0})
    project = find_project(lab.root)
    gathered = gather([Source.open(project, sweep)], with_needs=True)
    assert gathered.table["train.seed"].tolist() == [0, 1, 0, 1]
    rows = records(Shape(mean_over=("seed",)).apply(gathered).table)
    assert [(r["train.lr"], r["n"]) for r in rows] == [(0.2, 2), (0.3, 2)]
    assert not {"train.lr.se", "train.seed", "train.seed.se"} & set(rows[0])


def test_what_varies_in_what_is_needed_is_what_differs_among_all_sweeps(lab: Lab) -> None:
    one, other = (
        lab.sweep(name, {"of": f"{{{{exp train.prototxt lr={lr}}}}}"}, cfg="eval")
        for name, lr in (("a", 0.2), ("b", 0.3))
    )
    assert heyhi.table([one, other], with_needs=True)["train.lr"].tolist() == [0.2, 0.3]
    assert "train.lr" not in heyhi.table(one, with_needs=True)


# --- in a notebook


def test_a_table_of_means_in_a_notebook_has_numbers_as_numbers(lab: Lab, dying: Path) -> None:
    table = heyhi.table(dying, mean_over="seed", spread="ci95", where="lr=0.2")
    assert table["acc.ci95"].tolist() == [pytest.approx(12.706204736 * 0.01)]
    assert table["n"].dtype == "Int64" and table["acc"].dtype == "float64"


def test_a_row_without_metrics_takes_no_column_out_of_a_users_mean(lab: Lab) -> None:
    sweep = lab.sweep("a", *seeds(3, lr=0.2))
    lab.run(lab.sweep("b", *seeds(2, lr=0.2)), outcome=lambda row: {"acc": row["seed"] + 0.5, "epoch": 5})
    table = heyhi.table(sweep)
    assert table["acc"].dtype == "float64" and table["epoch"].dtype == "Int64"
    assert table.groupby("status").mean(numeric_only=True).loc["DONE", "acc"] == 1.0


def test_what_was_logged_as_nan_is_told_from_what_is_missing(lab: Lab) -> None:
    sweep = lab.sweep("a", *seeds(3))
    lab.run(lab.sweep("b", *seeds(2)), outcome=lambda row: {"loss": [0.5, math.nan][row["seed"]]})
    table = heyhi.table(sweep)
    assert table["loss"].isna().tolist() == [False, True, True]
    assert table.attrs["logged_nan"]["loss"] == [1]


_CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=3),
)
_COLUMNS = st.one_of(
    *(
        st.lists(st.one_of(st.none(), one), min_size=4, max_size=4)
        for one in (st.floats(), st.integers(), st.booleans())
    ),
    st.lists(_CELLS, min_size=4, max_size=4),
)


@given(_COLUMNS)
def test_columns_with_types_hold_what_they_were_made_of(values: list[Any]) -> None:
    frame = pd.DataFrame({"m": pd.Series(values, dtype=object), "i": range(4)})
    frame.attrs["metrics"] = ["m"]
    found = with_types(frame)
    kind = str(found["m"].dtype)
    nan = set(found.attrs["logged_nan"].get("m", ()))
    for row, (value, cell) in enumerate(zip(values, found["m"].tolist(), strict=True)):
        if value is None:
            assert cell is None or pd.isna(cell)
            assert row not in nan
        elif value != value:
            assert cell != cell and (kind == "object" or row in nan)
        else:
            assert cell == value and not pd.isna(cell)
    types = {type(value) for value in values if value is not None}
    if types <= {float}:
        assert kind == "float64"
    if types == {bool}:
        assert kind == "boolean"
    if str in types:
        assert kind == "object"


def test_packages_are_others_only_where_a_version_differs_that_both_have_loaded(lab: Lab) -> None:
    sweep = lab.sweep("a", *seeds(3))
    lab.run(sweep, outcome=lambda row: {"loss": row["seed"]}, code=lambda row: "a" * 40)
    project = find_project(lab.root)
    gathered = gather([Source.open(project, sweep)])
    gathered.table["packages"] = ["p", "q", "r"]
    for same, marks in (("pqr", None), ("pq", "2 versions"), ("", "3 versions")):
        asked = dataclasses.replace(gathered, same_packages=lambda digests, same=same: set(digests) <= set(same))
        table = Shape(mean_over=("seed",)).apply(asked).table
        assert (table["code"].tolist() if "code" in table else [None]) == [marks]


def test_metrics_at_the_best_of_one_are_averaged_as_they_were_there(lab: Lab) -> None:
    sweep = lab.sweep("a", *seeds(2))
    lab.run(
        sweep,
        outcome=lambda row: {
            "lines": [
                {"epoch": 1, "val_acc": 0.9, "test_acc": 0.5 + row["seed"] / 10},
                {"epoch": 2, "val_acc": 0.8, "test_acc": 0.99},
            ]
        },
    )
    table = heyhi.table(sweep, mean_over="seed", at_best="val_acc")
    assert table["test_acc"].tolist() == [pytest.approx(0.55)] and table["epoch"].tolist() == [1.0]
    with pytest.raises(DirectionError, match="foo"):
        heyhi.table(sweep, at_best="foo")
    with pytest.raises(GroupError, match=r"no experiment has logged it \(did you mean 'val_acc'\?\)"):
        heyhi.table(sweep, at_best=("val_accc", "max"))
    assert heyhi.table(sweep, at_best=("epoch", "max"))["test_acc"].tolist() == [0.99, 0.99]


def test_at_best_takes_what_was_logged_and_nothing_else(lab: Lab) -> None:
    sweep = lab.sweep("a", *seeds(4))
    lines = [{"epoch": 1, "val_acc": 0.9, "loss": 1}, {"epoch": 2, "val_acc": 0.8, "loss": 2}]
    lab.run(
        sweep,
        outcome=lambda row: {"lines": lines if row["seed"] else [{"epoch": 1, "loss": 3}]},
    )
    for path in heyhi.table(sweep)["exp_path"]:
        ExperimentDir(Path(path)).write_result({"final": 7})
    for name, why in (
        ("nosuch", "no experiment has logged it"),
        ("final", "it is in results only"),
        ("seed", "no experiment has logged it"),  # an override
        ("status", "no experiment has logged it"),
        ("val_acc.best", r"no experiment has logged it \(did you mean 'val_acc'\?\)"),
    ):
        with pytest.raises(GroupError, match=why):
            heyhi.table(sweep, at_best=(name, "max"))
    gathered = gather([Source.open(find_project(lab.root), sweep)], at_best="val_acc")
    shaped = Shape(at_best="val_acc", columns=("seed", "loss")).apply(gathered)
    assert shaped.table["loss"].tolist()[1:] == [1, 1, 1]
    assert "1 experiment has not logged val_acc" in shaped.notes
    gathered = gather([Source.open(find_project(lab.root), sweep)], at_best="loss")
    assert not [note for note in Shape(at_best="loss").apply(gathered).notes if "not logged" in note]


def test_a_damaged_config_in_a_manifest_is_an_error_that_names_it(lab: Lab) -> None:
    manifest = Source.open(find_project(lab.root), lab.sweep("a", {"lr": 0.2}, {})).manifest
    copy = lab.root / "copy.sqlite"
    copy.write_bytes(manifest.path.read_bytes())
    connection = sqlite3.connect(copy)
    connection.execute("UPDATE experiment SET config = x'ffffff'")
    connection.commit()
    connection.close()
    with pytest.raises(HeyhiError, match="damaged"):
        heyhi.table(copy)


def test_sources_of_one_label_have_no_column_that_tells_nothing(lab: Lab) -> None:
    project = find_project(lab.root)
    sweep = lab.sweep("a", *seeds(2))
    sources = [Source.open(project, sweep), Source.open(project, sweep)]
    assert "sweep" not in gather(sources).table


def test_conditions_that_choose_nothing_leave_an_empty_table_and_no_wrong_message(lab: Lab) -> None:
    sweep = lab.sweep("a", *seeds())
    assert len(lab.shape(sweep, where=("seed=7",), group_by=("data.name",)).table) == 0
    assert len(lab.shape(sweep, where=("seed=7",), mean_over=("seed",), best="acc").table) == 0
    assert len(lab.shape(sweep, where=("seed=7",), pivot=("lr", "seed", "acc")).table) == 0
    assert len(heyhi.table(sweep, where="seed=7", mean_over="seed,fold")) == 0


# --- what was used


def use(lab: Lab, sweep: Path) -> None:
    """Have each experiment have used as many hours of 4 GPUs as its seed says; one has failed before."""
    for row in heyhi.table(sweep).to_dict("records"):
        folder = ExperimentDir(Path(row["exp_path"]))
        start, end = folder.history().last_attempt
        assert start is not None and end is not None
        used = Used(3600.0 * row["seed"], 60.0, 360.0, float(row["seed"]), 4)
        lost = [start, end._replace(reason="failed", used=used)] if row["seed"] == 2 else []
        folder.attempts_path.unlink()
        for record in [*lost, start._replace(attempt=2), end._replace(attempt=2, reason="done", used=used)]:
            folder.append_attempt(record)


def test_there_are_means_of_what_was_used_and_sums_of_it(lab: Lab) -> None:
    sweep = lab.sweep("s", *({"seed": seed} for seed in (1, 2, 3)))
    lab.run(sweep, outcome=lambda row: {"loss": 1.0})
    use(lab, sweep)
    (row,) = records(lab.shape(sweep, mean_over=("seed",)).table)
    assert (row["gpu_hours"], row["gpu_hours.sum"], row["gpu_hours_lost.sum"]) == (8, 24, 8)
    assert (row["mem_used"], row["queued.sum"]) == (2, 240)
    assert not {"gpu_hours_lost", "mem_used.sum"} & row.keys()
    rows = lab.shape(sweep, where=("gpu_hours>=8",), sort=("-mem_used",)).table
    assert rows["seed"].tolist() == [3, 2] and rows["gpu_hours"].tolist() == [12, 8]


def test_what_was_used_is_shown_where_it_is_asked_for_and_summed_up_below_a_table(lab: Lab) -> None:
    sweep = lab.sweep("s", *({"seed": seed} for seed in (1, 2, 3)))
    lab.run(sweep)
    print_table(lab.shape(sweep), out := io.StringIO())
    assert "used" not in out.getvalue()
    use(lab, sweep)
    for options in ({}, {"mean_over": ("seed",)}):
        print_table(lab.shape(sweep, **options), out := io.StringIO())
        assert "gpu_hours" not in out.getvalue() and "mem_used" not in out.getvalue()
        assert out.getvalue().endswith(
            "used 32 GPU-hours and 0.4 CPU-hours, 8 and 0.1 of them by attempts that failed\n"
        )
    print_table(lab.shape(sweep), out := io.StringIO(), asked=("seed", "gpu_hours_lost", "mem_used"))
    assert re.search(r"gpu_hours_lost +mem_used", out.getvalue())


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"cpu_hours": [0.04, 0.05]}, ""),
        ({"cpu_hours": [0.04, 0.06], "cpu_hours_lost": [None, None]}, "used 0.1 CPU-hours"),
        ({"gpu_hours": [None, 0.001234]}, "used 0.00123 GPU-hours"),
        ({"gpu_hours": [1234.5, math.nan], "gpu_hours_lost": [None, 12.34]},
         "used 1,247 GPU-hours, 12.3 of them by attempts that failed"),
        ({}, ""),
    ],
)  # fmt: skip
def test_the_line_of_what_was_used(columns: dict[str, list[float]], line: str) -> None:
    assert used_line(pd.DataFrame({"status": ["DONE", "DONE"], **columns})) == line
