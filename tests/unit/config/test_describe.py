"""What `heyhi describe` says about configs, keys and tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from heyhi.config.describe import describe
from heyhi.config.schema import load_schema
from heyhi.errors import ConfigError, HeyhiError
from heyhi.project import find_project

FILES = {
    "conf/lab.proto": """
syntax = "proto2";
package lab;
import public "conf/parts.proto";
message MetaCfg {
  repeated Include includes = 1;
  oneof task {
    // Learn something.
    TrainTask train = 2;
    Check check = 3;  // Look at something.
  }
}
message Include { optional string path = 1; optional string mount = 2; }
// One learning run.
message TrainTask {
  repeated Include includes = 1;
  // How fast.
  // On two lines.
  optional double lr = 2 [default = 0.1];
  required int32 seed = 3;
  optional parts.Data data = 4;
  // What moves the weights.
  oneof optimizer {
    Sgd sgd = 5;
    Adam adam = 6;
  }
  repeated Layer layers = 7;
  map<string, Layer> heads = 8;
  map<int32, double> scale = 9;
  optional Tree tree = 10;
  optional string note = 11 [default = ""];
  optional bytes mark = 12 [default = "\\001"];
  optional Wide wide = 13;
  optional Empty empty = 14;
  message Empty {}
  map<bool, Layer.Kind> kinds = 15;
}
message Sgd { optional double momentum = 1 [default = 0.9]; }
message Adam { optional float beta = 1 [default = 0.99]; }
message Layer {
  optional int32 width = 1 [default = 8];
  // What it does.
  enum Kind {
    // Full one.
    DENSE = 0;
    CONV = 3;
  }
  optional Kind kind = 2 [default = CONV];
}
message Tree { optional Tree left = 1; optional Tree right = 2; optional int32 leaf = 3; }
message Wide {
  optional int32 a1 = 1; optional int32 a2 = 2; optional int32 a3 = 3; optional int32 a4 = 4;
  optional int32 a5 = 5; optional int32 a6 = 6; optional int32 a7 = 7;
}
message Check { optional string model = 1; optional Wide wide = 2; }
""",
    "conf/parts.proto": """
syntax = "proto3";
package parts;
// Where the examples are.
message Data {
  string folder = 1;
  optional int32 limit = 2;
  bool shuffle = 3;
  // Shards.
  repeated string shards = 4;
}
""",
    "conf/common/data/small.prototxt": 'folder: "small"\nlimit: 3\n',
    "conf/common/data/big.prototxt": 'folder: "big"\n',
    "conf/common/base.prototxt": 'lr: 0.2\nadam { beta: 0.5 }\nincludes { path: "small" mount: "data" }\n',
    "conf/lab/data/own.prototxt": 'folder: "own"\n',
    "conf/lab/train.prototxt": """\
includes { path: "base" }
train {
  seed: 3
  data { shuffle: true shards: "a"
    limit: 4 }
  scale { key: 2 value: 0.5 } kinds { key: true value: CONV }
  layers { kind: DENSE } layers { }
  note: "limit: 5"
  includes { path: "base" }
}
""",
    "conf/lab/check.prototxt": "check { wide { a7: -1 } }\n",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_files: Callable[[Path, dict[str, str]], None]) -> Path:
    write_files(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def said(cfg: str | None = None, key: str | None = None) -> str:
    project = find_project()
    return describe(project, load_schema(project), cfg, key)


def row(text: str, key: str) -> str:
    """Return the line of a key, its columns set apart by one space."""
    lines = [line for line in text.splitlines() if line.split()[:1] == [key]]
    assert len(lines) == 1, text
    return " ".join(lines[0].split())


def test_without_a_config_the_tasks_are_listed(root: Path) -> None:
    text = said()

    assert "train (TrainTask)\n      Learn something." in text
    assert "check (Check)\n      Look at something." in text


def test_each_field_has_its_type_default_comment_value_and_place(root: Path) -> None:
    text = said("lab/train")

    assert text.startswith("conf/lab/train.prototxt: task train (TrainTask)\nLearn something.\nOne learning run.\n")
    assert row(text, "lr") == "lr double 0.1 0.2 conf/common/base.prototxt:1"
    assert "\n    How fast. On two lines.\n" in text
    assert row(text, "seed") == "seed int32, required 3 conf/lab/train.prototxt:3"
    assert row(text, "note") == 'note string "" limit: 5 conf/lab/train.prototxt:8'
    assert row(text, "mark") == "mark bytes \\001"
    assert row(text, "scale") == "scale map of int32 to double {2: 0.5} conf/lab/train.prototxt:6"


def test_a_place_is_that_of_the_file_that_goes_over_the_others(root: Path) -> None:
    text = said("lab/train")

    assert row(text, "data.folder") == 'data.folder string "" small conf/common/data/small.prototxt:1'
    assert row(text, "data.limit") == "data.limit int32 4 conf/lab/train.prototxt:5"
    assert row(text, "data.shuffle") == "data.shuffle bool false true conf/lab/train.prototxt:4"
    assert row(text, "adam.beta") == "adam.beta float 0.99 0.5 conf/common/base.prototxt:2"
    assert row(text, "data.shards") == "data.shards list of string [a] conf/lab/train.prototxt:4"


def test_a_oneof_names_its_members_and_the_chosen_one(root: Path) -> None:
    text = said("lab/train")

    assert row(text, "optimizer") == "optimizer one of sgd, adam adam"
    assert "What moves the weights." in text
    assert row(text, "sgd.momentum") == "sgd.momentum double 0.9"
    assert row(text, "adam") == "adam Adam set conf/common/base.prototxt:2"


def test_chunks_that_could_be_mounted_are_named(root: Path) -> None:
    assert "chunks: I.data=own, I.data=big, I.data=small\n" in said("lab/train")
    assert "chunks: I.data=big, I.data=small\n" in said("train"), "no config, no folder of its own"


def test_large_and_endless_messages_are_named_and_can_be_described_by_key(root: Path) -> None:
    text = said("lab/train")

    assert "    heyhi describe lab/train wide\n" in text
    assert "wide.a1" not in text
    assert "tree.left.left.left.left" not in text
    assert "tree.left.leaf int32" in " ".join(said("lab/train", "tree.left").split())
    assert row(said("lab/train", "wide"), "wide.a7") == "wide.a7 int32"
    assert row(said("lab/check"), "wide.a7") == "wide.a7 int32 -1 conf/lab/check.prototxt:1", "what is set is shown"
    (root / "conf/lab/check.prototxt").write_text("check { wide { } }")
    assert "wide.a7" not in said("lab/check"), "nothing in it is set"
    assert "It has no fields." not in said("lab/train", "empty")


def test_lists_and_maps_of_messages_are_described_by_an_elements_key(root: Path) -> None:
    text = said("lab/train")

    assert row(text, "layers") == "layers list of Layer [{…}, {…}] conf/lab/train.prototxt:7"
    assert "heyhi describe lab/train layers.0\n" in text
    assert "heyhi describe lab/train heads.KEY\n" in text
    assert row(said("lab/train", "layers.0"), "layers.0.kind").startswith("layers.0.kind Kind CONV DENSE")
    assert row(said("lab/train", "layers.1.width"), "layers.1.width") == "layers.1.width int32 8"
    assert row(said("lab/train", "layers.7"), "layers.7.width") == "layers.7.width int32 8"
    assert row(said("lab/train", "heads.main"), "heads.main.width") == "heads.main.width int32 8"


def test_an_enum_lists_its_values_with_their_comments(root: Path) -> None:
    assert said("lab/train", "layers.0.kind").splitlines()[2:] == ["    DENSE  Full one.", "    CONV"]


def test_a_map_of_enum_values_lists_them_too(root: Path) -> None:
    assert said("lab/train", "kinds").splitlines()[1:] == [
        "kinds  map of bool to Kind           {true: CONV}  conf/lab/train.prototxt:6",
        "    DENSE  Full one.",
        "    CONV",
    ]


def test_a_scalar_key_is_described_alone(root: Path) -> None:
    assert said("lab/train", "lr").splitlines() == [
        "key  type    default  set to",
        "lr   double  0.1      0.2     conf/common/base.prototxt:1",
        "    How fast. On two lines.",
    ]


def test_a_oneof_key_is_described_with_its_members(root: Path) -> None:
    text = said("lab/train", "optimizer")

    assert [line.split()[0] for line in text.splitlines()[1:] if "." in line.split()[0]] == [
        "sgd.momentum",
        "adam.beta",
    ]


def test_a_task_is_described_without_a_config(root: Path) -> None:
    text = said("train", "data")

    assert text.startswith("data: Data\nWhere the examples are.\n")
    assert row(text, "data.limit") == "data.limit int32"
    assert "set to" not in text


def test_a_config_goes_before_a_task_of_its_name(root: Path) -> None:
    (root / "check.prototxt").write_text("train { seed: 1 }")

    assert said("check").startswith("check.prototxt: task train")


@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_the_terminal(root: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))

    assert [line for line in said("lab/train").splitlines() if len(line) > width] == []


def test_comments_are_wrapped_where_nothing_else_fits(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "conf/lab.proto").write_text(FILES["conf/lab.proto"].replace("How fast.", "How fast. " * 5))
    monkeypatch.setenv("COLUMNS", "10")

    assert "\n    How fast. How fast. How fast. How\n    fast. How fast." in said("lab/train", "lr")


def test_wrong_names_are_refused_and_the_nearest_named(root: Path) -> None:
    with pytest.raises(HeyhiError, match="did you mean 'optimizer'"):
        said("lab/train", "optimiser")
    with pytest.raises(HeyhiError, match=r"did you mean .*'sgd\.momentum'"):
        said("lab/train", "momentum")
    with pytest.raises(ConfigError, match="did you mean 'conf/lab/train'"):
        said("conf/lab/trian")


def test_the_house_configs_are_described(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setenv("COLUMNS", "120")
    text = said("conf/c02_sup_train/sl.prototxt")

    assert row(text, "launcher") == "launcher Launcher set conf/common/launcher/local.prototxt"
    assert "I.launcher=slurm_8gpus" in text
    assert "by" not in row(text, "lr")
