"""Experiments of different names whose configs say the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi.config.schema import Schema, load_schema
from heyhi.errors import UnknownError
from heyhi.project import Project, find_project
from heyhi.sweep.expand import Expansion, expand
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.twins import Twins

PROTO = """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 2; Other other = 3; } }
message Include { optional string path = 1; optional string mount = 2; }
message Work {
  optional double lr = 1 [default = 0.1];
  optional int32 seed = 2;
  optional Launcher launcher = 3;
  oneof optimizer { Sgd sgd = 4; Adam adam = 5; }
}
message Sgd { optional double momentum = 1 [default = 0.9]; }
message Adam { optional double beta = 1 [default = 0.9]; }
message Other { optional double lr = 1; }
message Launcher { optional Local local = 1; }
message Local { optional int32 cpus = 1; }
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "conf/work.prototxt").write_text("work {}\n")
    (tmp_path / "conf/same.prototxt").write_text("work { lr: 0.1 }\n")
    (tmp_path / "pyproject.toml").write_text("[tool.heyhi]\n")
    monkeypatch.chdir(tmp_path)
    return find_project()


def expanded(lab: Project, *points: tuple[str, dict[str, Any]]) -> Expansion:
    return expand(lab, load_schema(lab), points)


def test_points_that_compose_alike_are_all_named(lab: Project) -> None:
    found = expanded(
        lab,
        ("work", {}),
        ("work", {"lr": 0.1}),
        ("same", {}),
        ("work", {"lr": 0.2}),
        ("work", {"launcher.local.cpus": 2, "lr": "NULL"}),
        ("work", {"sgd": "SELECT", "seed": 1}),
        ("work", {"sgd.momentum": 0.9, "seed": 1}),
        ("work", {"adam.beta": 0.9, "seed": 1}),
    )
    own = found.own
    assert found.warnings == [
        f"these 4 experiments have the same config: {own[0]}, {own[1]}, {own[2]}, {own[4]}",
        f"these 2 experiments have the same config: {own[5]}, {own[6]}",
    ]


def test_which_of_those_of_one_sweep_are_done_is_said(lab: Project) -> None:
    points: list[tuple[str, dict[str, Any]]] = [("work", {}), ("work", {"lr": 0.1})]
    found = expanded(lab, *points)
    first, second = found.own
    for lr, said in (([], f" (of these DONE: {first})"), (["lr=0.1"], " (both are DONE)")):
        heyhi.maybe_launch(done, cfg="work", overrides=lr)
        assert expanded(lab, *points).warnings == [f"these 2 experiments have the same config: {first}, {second}{said}"]


def test_a_value_that_another_member_takes_away_is_no_difference(lab: Project) -> None:
    points = [("work", [f"adam.beta={beta}", "sgd.momentum=0.5"]) for beta in (0.1, 0.2)]
    names = ["p/work/before", "p/work/after"]  # on record: asked for today, they are refused
    found = expand(lab, load_schema(lab), points, exp_ids=names)
    assert ["these 2 experiments" in text for text in found.warnings] == [True]


def test_many_groups_are_cut(lab: Project) -> None:
    points = [("work", {"seed": seed, **more}) for seed in range(12) for more in ({}, {"lr": 0.1})]
    warnings = expanded(lab, *points).warnings
    assert len(warnings) == 6 and warnings[-1] == "… and 7 more groups of experiments have the same config"


def done(**_: object) -> int:
    return 1


def lines_of(lab: Project, *points: tuple[str, dict[str, Any]]) -> list[str]:
    found = expanded(lab, *points)
    return Twins(lab, load_schema(lab)).lines({p.folder: p.config for p in found.planned})


def test_what_is_done_under_another_name_is_named_until_it_is_gone(lab: Project) -> None:
    assert lines_of(lab, ("work", {})) == []
    handle = heyhi.maybe_launch(done, cfg="same", overrides=["launcher.local.cpus=1"])
    heyhi.maybe_launch(done, cfg="work", overrides=["lr=0.2"])
    wanted = f"{expanded(lab, ('work', {})).own[0]}: the same config is DONE as {handle.exp_id}"
    for _ in range(2):  # the second time by what is kept
        assert lines_of(lab, ("work", {}), ("work", {"seed": 3})) == [wanted]
    assert ManifestIndex.open(lab).digests("another rule") == {}
    heyhi.maybe_launch(done, cfg="work")
    assert lines_of(lab, ("work", {})) == []  # it is DONE itself
    assert len(lines_of(lab, ("work", {"lr": 0.1}))) == 1
    shutil.rmtree(lab.results_root / "p")
    assert lines_of(lab, ("work", {"lr": 0.1})) == []


def test_an_edited_default_is_another_config(lab: Project) -> None:
    handle = heyhi.maybe_launch(done, cfg="work", overrides=["lr=0.1"])
    assert len(lines_of(lab, ("same", {}))) == 1
    (lab.conf_root / "conf.proto").write_text(PROTO.replace("[default = 0.1]", "[default = 0.5]"))
    assert len(lines_of(lab, ("same", {}))) == 1
    assert lines_of(lab, ("work", {})) == []
    (handle.exp_path / "config.prototxt").write_text("work { gone: 1 }")
    (lab.conf_root / "conf.proto").write_text(PROTO)
    assert lines_of(lab, ("same", {})) == []


def test_what_is_done_by_the_names_of_another_day_is_named(lab: Project) -> None:
    handle = heyhi.maybe_launch(done, cfg="work", overrides=["seed=7", "sgd.momentum=0.5"])
    wrong_order = PROTO.replace("int32 seed = 2;", "int32 start = 2;  // was: number, seed")
    wrong_order = wrong_order.replace("Sgd sgd = 4;", "Sgd momentum = 4;  // was: sgd\n ")
    (lab.conf_root / "conf.proto").write_text(wrong_order)
    point = ("work", {"start": 7, "momentum.momentum": 0.5})
    (exp_id,) = expanded(lab, point).own
    assert exp_id != handle.exp_id
    for _ in range(2):
        assert lines_of(lab, point) == [f"{exp_id}: the same config is DONE as {handle.exp_id}"]


def test_no_twins_are_told_where_the_records_cannot_be_read(lab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(project: Project) -> ManifestIndex:
        raise UnknownError("closed")

    monkeypatch.setattr(ManifestIndex, "open", closed)
    assert lines_of(lab, ("same", {})) == []


def test_a_grid_of_one_shape_is_not_compared_value_by_value(
    lab: Project, monkeypatch: pytest.MonkeyPatch, schema: Schema
) -> None:
    monkeypatch.setattr(Twins, "_digest", lambda *_: pytest.fail("each config was looked at"))
    assert expanded(lab, *[("work", {"lr": lr, "seed": 1}) for lr in (0.1, 0.2, 0.3)]).warnings == []
