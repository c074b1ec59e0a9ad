"""The project that wrong commands are given to: configs, sweeps, and experiments that are done, dead or never ran."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from types import ModuleType

import pytest

import heyhi
from heyhi.cli.main import main as heyhi_main

PROTO = """\
syntax = "proto2";
message MetaCfg {
  repeated Include includes = 1;
  oneof task {
    Train train = 2;
    Check check = 3;
  }
}
message Include {
  optional string path = 1;
  optional string mount = 2;
}
message Sgd { optional double momentum = 1 [default = 0.9]; }
message Adam { optional double beta1 = 1; }
message Layer { optional int32 width = 1; }
message Train {
  repeated Include includes = 1;
  enum Activation { RELU = 0; TANH = 1; }
  optional double lr = 2 [default = 0.1];
  optional int32 epochs = 3 [default = 1];
  optional uint32 seed = 4;
  optional bool augment = 5;
  optional string name = 6;
  optional bytes key = 7;
  optional float dropout = 8;
  optional Activation activation = 9;
  repeated int32 hidden_sizes = 10;
  repeated Layer layers = 11;
  map<string, double> weights = 12;
  optional Launcher launcher = 13;
  oneof optimizer { Sgd sgd = 14; Adam adam = 15; }
}
message Check {
  optional string checkpoint = 1;
  optional double noise = 2;
}
message Launcher { oneof kind { Local local = 1; Slurm slurm = 2; } }
message Local { optional int32 cpus = 1; }
message Slurm {
  optional int32 num_gpus = 1;
  optional int32 gpus_per_node = 2 [default = 8];
  optional double hours = 3 [default = 1];
  optional int32 signal_seconds = 4 [default = 90];
  optional int32 pack = 5 [default = 1];
  optional double mem_per_gpu = 6 [default = 2];
  optional string partition = 7;
  optional string extra = 8;
}
"""
FILES = {
    "conf/conf.proto": PROTO,
    "conf/train.prototxt": "train {\n  lr: 0.1\n}\n",
    "conf/check.prototxt": 'check { checkpoint: "{{exp train seed=1}}" }\n',
    "conf/common/launcher/slurm.prototxt": "slurm {}\n",
    "conf/common/optimizer/heavy.prototxt": "momentum: 0.99\n",
    "conf/seeds.py": 'def yield_sweep():\n    for x in (1, 2):\n        yield "conf/train.prototxt", {"seed": x}\n',
    "pyproject.toml": '[tool.heyhi]\nsweep = "conf/seeds.py"\n',
    "Snakefile": "",
    "profiles/local/config.yaml": "cores: 1\n",
    "profiles/slurm/config.yaml": "executor: heyhi\n",
    "run.py": "def main(task, cfg, log_level):\n    return {}\n",
}


def task(**call: object) -> dict[str, int]:
    """Be the task: the experiment of seed 2 fails, and so does one that launches another in its process."""
    cfg = call["cfg"]
    if getattr(cfg, "seed", 0) == 2:
        raise ValueError("the loss is not a number")
    if getattr(cfg, "name", "") == "launches another":
        heyhi.maybe_launch(task, cfg="train", overrides=["seed=4"])
    return {"accuracy": 1}


def as_task_file(root: Path) -> ModuleType:
    """Return a module as which the task is a project's own, so that a job may be given it."""
    module = ModuleType("run")
    module.__file__ = str(root / "run.py")
    module.main = task  # type: ignore[attr-defined]
    return module


def make(root: Path) -> dict[str, str]:
    """Write the project into a folder, which is the working directory, and start three of its experiments.

    Returns:
        word of the table -> what it stands for on a command line.
    """
    write(root, FILES)
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(io.StringIO()):
        assert heyhi_main(["expand", "conf/seeds.py"]) == 0
        assert heyhi_main(["expand", "--manifest"]) == 0
        for seed in (1, 2):
            _run("train", f"seed={seed}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "run", as_task_file(root))
            _run("train", "seed=3", "I.launcher=slurm", "--no-snapshot")
    done, dead, manifest = told.getvalue().split()[:3]
    (waiting,) = (path.parent for path in root.glob("results/p/train/*/job.json"))
    folder = Path(done).parent
    words = {"DONE_ID": str(folder.relative_to("results")), "DONE": str(folder), "DEAD": str(Path(dead).parent)}
    return {**words, "WAITING": str(waiting.relative_to(root)), "MANIFEST": manifest}


def _run(*words: str) -> None:
    with contextlib.suppress(SystemExit):
        heyhi.parse_args_and_maybe_launch(task, ["--cfg", *words])


def write(root: Path, files: dict[str, str | bytes | None]) -> None:
    """Write files; None removes one."""
    for name, content in files.items():
        path = root / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
