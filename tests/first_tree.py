"""A small project as people wrote them for the first HeyHi: protos, configs, a task file and a sweep script."""

from __future__ import annotations

from pathlib import Path

FILES = {
    # The first lines that one adds.
    "pyproject.toml": """\
[tool.heyhi]
name = "bakery"
entry = "run:main"
sweep = "conf/c02_bake/rs_heat_01.py"
link = ["models"]
""",
    ".gitignore": "conf/*_pb2.py\n",
    "conf/common.proto": """\
syntax = "proto2";
package bakery;

message Include { optional string path = 1; optional string mount = 2; }
""",
    "conf/conf.proto": """\
syntax = "proto2";
package bakery;

import public "conf/common.proto";

// Root of all configs.
message MetaCfg {
  repeated Include includes = 1;
  oneof task {
    BakeTask bake = 101;
    TasteTask taste = 102;
  }
}

// Where to run.
message Launcher {
  message Local { optional bool use_local = 1; }
  message Slurm {
    optional int32 num_gpus = 1 [default = 0];
    optional bool single_task_per_node = 2 [default = false];
    optional string partition = 3 [default = "ovens"];
    optional int32 hours = 4;
    optional int32 mem_per_gpu = 5 [default = 8];
    optional bool volta32 = 8;
  }
  oneof launcher {
    Local local = 1;
    Slurm slurm = 2;
  }
}

message Flour { optional string kind = 1 [default = "rye"]; optional double grams = 2 [default = 500]; }

message BakeTask {
  optional double heat = 1;
  optional int32 minutes = 2 [default = 40];
  optional Flour flour = 3;
  // The oven's steps, one after the other.
  repeated int32 steps = 4;
  oneof leaven {
    double yeast = 5;
    Flour starter = 6;
  }
  optional string model_path = 7;
  optional Launcher launcher = 100;
}

message TasteTask {
  optional string loaf = 1;
  optional Launcher launcher = 100;
}
""",
    "conf/common/launcher/local.prototxt": "local { use_local: true }\n",
    "conf/common/launcher/slurm_8gpus.prototxt": "slurm { num_gpus: 8 hours: 72 volta32: true }\n",
    "conf/common/dark.prototxt": 'kind: "dark"\n',
    "conf/common/flour/spelt.prototxt": 'kind: "spelt"\n',
    "conf/c02_bake/loaf.prototxt": """\
includes { path: "spelt"; mount: "flour" }
bake {
  heat: 230.5;
  yeast: 7.5;
  model_path: "models/dark_from.txt";
}
""",
    "conf/c02_bake/rs_heat_01.py": '''\
"""Which heat is best? Run as `python -m conf.c02_bake.rs_heat_01`, the project's root in PYTHONPATH."""
import argparse
import pathlib

import heyhi.run
import run

THIS_FILE = pathlib.Path(__file__).resolve()


def yield_sweep():
    for heat in (210.5, 230.5, 250.5):
        yield THIS_FILE.parent / "loaf.prototxt", {"I.launcher": "local", "heat": heat}


def get_logs_data(handle):
    return {"crust": (handle.exp_path / "crust.txt").read_text() if handle.is_done() else None}


def main(mode):
    for cfg, redefines in yield_sweep():
        handle = heyhi.run.maybe_launch(
            run.main,
            exp_root=heyhi.run.get_exp_dir(heyhi.run.PROJECT_NAME),
            overrides=[f"{key}={value}" for key, value in redefines.items()],
            cfg=cfg,
            mode=mode,
        )
        print(handle.get_status(), *redefines.values(), *get_logs_data(handle).values())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=heyhi.MODES, default="gentle_start")
    main(**vars(parser.parse_args()))
''',
    "models/dark_from.txt": "240\n",
    "run.py": """\
import logging

import conf.conf_pb2
import heyhi

TASKS = {}


def _register(task):
    TASKS[task.__name__] = task
    return task


@_register
def bake(cfg):
    logging.info("%s g of %s", cfg.flour.grams, cfg.flour.kind)
    with open("crust.txt", "w") as stream:
        stream.write("dark" if cfg.heat > float(open(cfg.model_path).read()) else "golden")
    return {"loaf": cfg.flour.kind, "browned": cfg.heat * cfg.minutes}


@heyhi.save_result_in_cwd
def main(task, cfg, log_level):
    if not hasattr(cfg, "heyhi_patched"):
        raise RuntimeError("Run `make protos`")
    cfg = cfg.to_frozen()
    heyhi.setup_logging(console_level=log_level)
    heyhi.log_git_status()
    if heyhi.is_master() and getattr(cfg, "use_default_requeue", False):
        heyhi.maybe_init_requeue_handler()
    return TASKS[task](cfg)


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
""",
}


def write_first_tree(root: Path) -> Path:
    """Write the project into a folder, and return that."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
