"""The types of frozen configs that `heyhi protos` writes: what mypy makes of them, and what they are in a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heyhi.config.protos import write
from heyhi.project import find_project

PROTO = """
syntax = "proto2";
package lab;
import "google/protobuf/duration.proto";
import "conf/parts/the-data.proto";
message MetaCfg { repeated Include includes = 1; oneof task { Train train = 2; Check check = 3; } }
message Include { optional string path = 1; optional string mount = 2; }
enum Colour { RED = 0; BLUE = 1; }
message Sgd { optional double momentum = 1 [default = 0.9]; }
// How "it" is \\ trained.
message Train {
  message Adam { optional double beta = 1; optional Train again = 2; }
  // Learning rate.
  optional double lr = 1 [default = 0.1];
  optional int32 seed = 2;
  optional bool fast = 3;
  optional Colour colour = 4;
  optional Colour other = 5 [default = BLUE];
  optional parts.Data data = 6;
  oneof optimizer { Sgd sgd = 7; Adam adam = 8; string named = 9; }
  repeated int32 sizes = 10;
  repeated Adam layers = 11;
  map<string, double> weights = 12;
  map<int32, Sgd> by_step = 13;
  optional bytes raw = 14;
  optional google.protobuf.Duration limit = 15;
  // Names that mean something to Python.
  optional int32 int = 16;
  optional string class = 17;
  optional string to_dict = 18;
  repeated string tuple = 19;
  optional string property = 20;
}
message Check { optional string model = 1; }
message Odd { optional int32 self = 1; optional int32 cls = 2; optional int32 __x = 3; optional Empty empty = 4; }
message Empty {}
message Mapping { repeated Train.Adam agent = 1; }
"""
DATA = """
syntax = "proto3";
package parts;
message Data { int32 count = 1; optional float part = 2; Kind kind = 3; Data inner = 4; enum Kind { A = 0; B = 1; } }
"""
RIGHT = """
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, assert_type

import heyhi
from conf import lab_cfgs, lab_pb2
from conf.parts import the_data_pb2
from google.protobuf import duration_pb2


def main(task: str, cfg: lab_cfgs.Train, log_level: str) -> dict[str, float]:
    assert_type(cfg.lr, float)
    assert_type(cfg.seed, int | None)
    assert_type(cfg.fast, bool)
    assert_type(cfg.colour, Literal["RED", "BLUE"] | None)
    assert_type(cfg.other, Literal["RED", "BLUE"])
    assert_type(cfg.data.count, int)
    assert_type(cfg.data.inner.part, float | None)
    assert_type(cfg.data.kind, Literal["A", "B"])
    assert_type(cfg.sgd, lab_cfgs.Sgd | None)
    assert_type(cfg.optimizer, lab_cfgs.Sgd | lab_cfgs.Train.Adam | str | None)
    assert_type(cfg.which_optimizer, Literal["sgd", "adam", "named"] | None)
    assert_type(cfg.sizes, tuple[int, ...])
    assert_type(cfg.layers[0].again.lr, float)
    assert_type(cfg.weights, Mapping[str, float])
    assert_type(cfg.by_step[1].momentum, float)
    assert_type(cfg.raw, bytes | None)
    assert_type(cfg.int, int | None)
    assert_type(cfg.tuple, tuple[str, ...])
    assert_type(cfg.to_editable(), lab_pb2.Train)
    assert_type(cfg.layers[0].to_editable(), lab_pb2.Train.Adam)
    assert_type(cfg.to_frozen(), lab_cfgs.Train)
    cfg.limit.seconds
    cfg.to_dict(with_all=True)["lr"]
    if cfg.sgd is not None:
        assert_type(cfg.sgd.momentum, float)
    assert_type(heyhi.conf_with_overrides(cfg, {"lr": 1}), lab_cfgs.Train)
    assert_type(heyhi.load_config("train", msg_class=lab_cfgs.MetaCfg).train, lab_cfgs.Train | None)
    heyhi.load_config("train", ["lr=1"]).train.lr
    heyhi.conf_get(cfg, "lr")
    named: dict[str, Any] = {"class": "x"}
    made = lab_cfgs.Train(
        lr=1,
        colour="BLUE",
        sizes=(n for n in [1, 2]),
        sgd=lab_pb2.Sgd(momentum=0.5),
        layers=[lab_cfgs.Train.Adam(beta=1), dict(beta=2), {"again": {"lr": 1}}, lab_pb2.Train.Adam()],
        weights={"a": 1},
        by_step={3: lab_cfgs.Sgd(), 4: {"momentum": 1}},
        data=the_data_pb2.Data(),
        limit=duration_pb2.Duration(seconds=3),
        adam=None,
        int=3,
        raw=b"",
        **named,
    )
    assert_type(made, lab_cfgs.Train)
    lab_cfgs.Train(sgd=cfg.sgd, data=heyhi.load_config("data"), **cfg.to_dict())
    lab_cfgs.Odd(self=1, cls=2, empty=lab_cfgs.Empty())
    return {"lr": cfg.lr}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""
WRONG = {
    "cfg.sgd.momentum": 'Item "None" of "Sgd | None" has no attribute "momentum"',
    "cfg.learning_rate": '"Train" has no attribute "learning_rate"',
    "cfg.data.cuont": '"Data" has no attribute "cuont"; maybe "count"?',
    "cfg.lr = 2": 'Property "lr" defined in "Train" is read-only',
    "cfg.sizes.append(1)": '"tuple[int, ...]" has no attribute "append"',
    'cfg.weights["a"] = 1': "Unsupported target for indexed assignment",
    "lab_cfgs.Sgd(momm=3)": 'Unexpected keyword argument "momm" for "Sgd"',
    'lab_cfgs.Sgd(momentum="x")': 'Argument "momentum" to "Sgd" has incompatible type "str"',
    "lab_cfgs.Sgd(0.5)": 'Too many positional arguments for "Sgd"',
    'lab_cfgs.Train(other="GREEN")': 'Argument "other" to "Train" has incompatible type',
    "lab_cfgs.Train(sgd=lab_cfgs.Check())": 'Argument "sgd" to "Train" has incompatible type "Check"',
    "lab_cfgs.Train(sizes=1)": 'Argument "sizes" to "Train" has incompatible type "int"',
    "lab_cfgs.Empty(x=1)": 'Unexpected keyword argument "x" for "Empty"',
    'assert cfg.which_optimizer == "smd"': "Non-overlapping equality check",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("proj")
    (root / "conf/parts").mkdir(parents=True)
    (root / "conf/lab.proto").write_text(PROTO)
    (root / "conf/parts/the-data.proto").write_text(DATA)
    (root / "conf/train.prototxt").write_text(
        "train { sgd {} data { count: 3 } colour: RED sizes: 1 layers {} by_step { key: 1 value {} } }"
    )
    (root / "conf/mapping.prototxt").write_text("agent { beta: 1 } agent { }")
    write(find_project(root), root)
    return root


def test_mypy_checks_what_a_task_does_with_its_config(root: Path) -> None:
    (root / "run.py").write_text(RIGHT)
    lines = [
        "from conf import lab_cfgs",
        "",
        "def wrong(cfg: lab_cfgs.Train) -> None:",
        *(f"    {text}" for text in WRONG),
    ]
    (root / "wrong.py").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "run.py", "wrong.py", "--cache-dir", str(root / ".cache")],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    found = [line.partition(": error: ") for line in done.stdout.splitlines() if ": error: " in line]
    assert [place for place, _, _ in found] == [f"wrong.py:{line}" for line in range(4, 4 + len(WRONG))], done.stdout
    for (_, _, text), expected in zip(found, WRONG.values(), strict=True):
        assert text.startswith(expected)


def test_the_types_say_what_the_protos_comments_say(root: Path) -> None:
    stub = (root / "conf/lab_cfgs.pyi").read_text()

    assert '"""Learning rate."""' in stub
    scope: dict[str, Any] = {}
    (doc,) = (line.strip() for line in stub.splitlines() if "trained" in line)
    exec(f"text = {doc}", scope)  # noqa: S102 (a literal)
    assert scope["text"] == 'How "it" is \\ trained.'


def answers(root: Path, code: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_a_config_is_an_instance_of_its_type_and_of_no_other(root: Path) -> None:
    code = """
import heyhi
from conf import lab_cfgs
from conf.parts import the_data_cfgs
cfg = heyhi.load_config("train", msg_class=lab_cfgs.MetaCfg)
print(isinstance(cfg, lab_cfgs.MetaCfg), isinstance(cfg.train, lab_cfgs.Train), isinstance(cfg, lab_cfgs.Train))
print(isinstance(cfg.sgd, lab_cfgs.Sgd), isinstance(cfg.layers[0], lab_cfgs.Train.Adam), isinstance(None, lab_cfgs.Sgd))
print(isinstance(cfg.data, the_data_cfgs.Data), isinstance(cfg.to_editable(), lab_cfgs.MetaCfg))
"""
    assert answers(root, code) == ["True True False", "True True False", "True False"]


def test_a_type_makes_configs_of_fields_messages_and_dicts(root: Path) -> None:
    code = """
import heyhi
from conf import lab_cfgs, lab_pb2
cfg = lab_cfgs.Train(
    lr=2, colour="BLUE", sizes=[1, 2], sgd=lab_pb2.Sgd(momentum=0.5),
    layers=[lab_cfgs.Train.Adam(beta=1), dict(beta=2)],
    weights={"a": 1}, by_step={3: lab_cfgs.Sgd()}, seed=None,
)
print(cfg.to_dict())
print(isinstance(cfg, lab_cfgs.Train), cfg.is_frozen(), cfg == lab_cfgs.Train(**heyhi.conf_to_dict(cfg)))
for call in (lambda: lab_cfgs.Train(sgd_=1), lambda: lab_cfgs.Train(lr="x"), lambda: lab_cfgs.Train(sgd=1)):
    try:
        call()
    except heyhi.HeyhiError as error:
        print(error)
"""
    assert answers(root, code) == [
        "{'lr': 2.0, 'colour': 'BLUE', 'sgd': {'momentum': 0.5}, 'sizes': [1, 2],"
        " 'layers': [{'beta': 1.0}, {'beta': 2.0}], 'weights': {'a': 1.0}, 'by_step': {3: {}}}",
        "True True True",
        "Train has no field 'sgd_' (did you mean 'sgd'?)",
        "Train.lr can't be 'x': must be real number, not str",
        "Sgd can't be made of 1: expected a config, a message or a dict",
    ]


def test_fields_may_have_any_name(root: Path) -> None:
    code = """
from conf import lab_cfgs
print(lab_cfgs.Odd(self=1, cls=2, __x=3, empty={}).to_dict(), lab_cfgs.Train(**{"class": "x"}).to_dict())
"""
    assert answers(root, code) == ["{'self': 1, 'cls': 2, '__x': 3} {'class': 'x'}"]


def test_a_chunk_is_loaded_by_a_type_or_found_to_be_a_message_that_no_task_holds(root: Path) -> None:
    code = """
import heyhi
from conf import lab_cfgs
cfg = heyhi.load_config("mapping", msg_class=lab_cfgs.Mapping)
print(cfg.to_dict(), heyhi.load_config("mapping") == cfg)
print(heyhi.load_proto_message("mapping", msg_class=lab_cfgs.Mapping).to_dict() == cfg.to_dict())
"""
    assert answers(root, code) == ["{'agent': [{'beta': 1.0}, {}]} True", "True"]
