"""The keys of a config as a program gets them, and that what it says of them is what overrides take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str, str]]
PROTO = """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Train train = 2; } }
message Include { optional string path = 1; optional string mount = 2; }
// One learning run.
message Train {
  repeated Include includes = 1;
  // How fast.
  optional double lr = 2 [default = 0.1];
  required int32 seed = 3;
  optional uint64 big = 4 [default = 18446744073709551615];
  optional float rate = 5 [default = 0.3];
  optional bool flag = 6;
  optional string name = 7 [default = ""];
  optional bytes mark = 8 [default = "\\001"];
  optional Kind kind = 9 [default = DENSE];
  enum Kind {
    // Full one.
    DENSE = 0;
    SPARSE = -7;
  }
  repeated Layer layers = 10;
  map<string, Layer> heads = 11;
  map<int32, double> scale = 12;
  optional Tree tree = 13;
  oneof optimizer { Sgd sgd = 14; double plain = 15; }
  optional Launcher launcher = 16;
  repeated double sizes = 17;
}
message Sgd { optional double momentum = 1 [default = 0.9]; }
message Layer { optional int32 width = 1 [default = 8]; }
message Tree { optional int32 depth = 1; optional Tree left = 2; }
message Launcher { optional Slurm slurm = 1; }
message Slurm { optional double hours = 1; optional int32 num_gpus = 2; }
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    files = {
        "conf/conf.proto": PROTO,
        "conf/base.prototxt": (
            "train {\n  seed: 3\n  lr: inf\n  layers { width: 2 }\n  scale { key: 1 value: nan }\n  kind: SPARSE\n"
            "  sgd { }\n  rate: 0.2\n  sizes: [1, 2]\n}\n"
        ),
        "conf/common/optimizer/slow.prototxt": "momentum: 0.1\n",
        "conf/common/launcher/far.prototxt": "slurm { hours: 2 }\n",
        "pyproject.toml": "[tool.heyhi]\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(run: Run, *words: str) -> dict[str, dict[str, Any]]:
    code, out, err = run("describe", *words, "--json")
    assert code == 0, err
    return {one["key"]: one for one in json.loads(out)["keys"]}


def test_each_key_has_type_range_default_and_value(run: Run) -> None:
    found = keys(run, "base")
    lr, seed, big = found["lr"], found["seed"], found["big"]
    assert (lr["kind"], lr["default"], lr["value"], lr["comment"]) == ("number", 0.1, "Infinity", "How fast.")
    assert lr["source"] == "conf/base.prototxt:3" and lr["minimum"] is None
    assert (seed["required"], seed["minimum"], seed["maximum"]) == (True, -(2**31), 2**31 - 1)
    assert (big["default"], big["is_set"], big["minimum"], big["maximum"]) == (2**64 - 1, False, 0, 2**64 - 1)
    assert (found["rate"]["default"], found["rate"]["value"]) == (0.3, 0.2)
    assert (found["flag"]["kind"], found["flag"]["default"]) == ("boolean", False)
    assert (found["name"]["default"], found["mark"]["default"]) == ("", "\\001")
    assert (found["kind"]["default"], found["kind"]["value"], found["kind"]["element"]) == ("DENSE", "SPARSE", "Kind")
    assert found["kind"]["values"] == [
        {"name": "DENSE", "number": 0, "comment": "Full one."},
        {"name": "SPARSE", "number": -7, "comment": ""},
    ]


def test_lists_maps_messages_and_oneofs_are_told_apart(run: Run) -> None:
    found = keys(run, "base")
    assert "includes" not in found
    assert (found["layers"]["kind"], found["layers"]["repeated"]) == ("message", True)
    assert found["layers"]["value"] == [{"width": 2}] and found["layers.INDEX.width"]["default"] == 8
    assert (found["heads"]["map_key"], found["heads.KEY.width"]["kind"]) == ("string", "integer")
    assert (found["scale"]["map_key"], found["scale"]["value"]) == ("integer", {"1": "NaN"})
    assert found["sizes"]["value"] == [1.0, 2.0]
    assert (found["optimizer"]["members"], found["optimizer"]["value"]) == (["sgd", "plain"], "sgd")
    assert found["optimizer"]["chunks"] == ["slow"] and found["sgd"]["oneof"] == "optimizer"
    assert found["launcher"]["chunks"] == ["far"]
    assert found["launcher.slurm.hours"]["schedules_only"] and not found["launcher.slurm.num_gpus"]["schedules_only"]


def test_a_message_in_itself_ends(run: Run) -> None:
    found = keys(run, "base")
    assert found["tree"]["unfolded"] and not found["tree.left"]["unfolded"] and "tree.left.depth" not in found
    assert list(keys(run, "base", "tree.left")) == ["tree.left", "tree.left.depth", "tree.left.left"]


def test_a_part_of_them_is_asked_for_by_a_key_or_a_task(run: Run) -> None:
    assert list(keys(run, "base", "launcher.slurm")) == [
        "launcher.slurm", "launcher.slurm.hours", "launcher.slurm.num_gpus"
    ]  # fmt: skip
    assert list(keys(run, "base", "optimizer")) == ["optimizer", "sgd", "sgd.momentum", "plain"]
    assert keys(run, "base", "layers.0.width")["layers.0.width"]["value"] == 2
    bare = keys(run, "train")
    assert bare.keys() == keys(run, "base").keys() and not any(one["is_set"] for one in bare.values())


def test_what_is_said_of_a_key_an_override_takes(run: Run) -> None:
    samples = {"integer": "1", "number": "0.5", "boolean": "true", "string": "x", "bytes": "x"}
    for key, one in keys(run, "base").items():
        values = [value["name"] for value in one["values"]] or one["chunks"][:1]
        values = values or ([samples[one["kind"]]] if one["kind"] in samples else [])
        where = key.replace("INDEX", "0").replace("KEY", "1")
        place = "1" if one["map_key"] else "0"
        where = f"{where}.{place}" if one["repeated"] else where
        name = f"I.{key}" if one["chunks"] else where
        for value in values:
            code, _, err = run("print", "base", f"{name}={value}")
            assert code == 0, (key, value, err)
