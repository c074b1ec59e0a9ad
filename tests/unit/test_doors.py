"""Scripts written for the first HeyHi: run unchanged, as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FILES = {
    "conf/conf.proto": """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Train train = 2; } }
message Include { optional string path = 1; optional string mount = 2; }
message Launcher { oneof launcher { Local local = 1; } }
message Local { optional bool use_local = 1; }
message Train {
  optional double lr = 1 [default = 0.1];
  optional int32 steps = 2 [default = 2];
  optional Launcher launcher = 3;
  optional string note = 4;
}
""",
    "conf/common/launcher/local.prototxt": "local { use_local: true }",
    "conf/c02_sup_train/sl.prototxt": 'includes { path: "launcher/local" mount: "launcher" }\ntrain { lr: 0.2 }',
    "run.py": """
import json
import logging
import pathlib

import heyhi


@heyhi.save_result_in_cwd
def main(task, cfg, log_level):
    if not hasattr(main, "prints"):
        heyhi.setup_logging(console_level=log_level)
    heyhi.log_git_status()
    logging.info("Cwd: %s", pathlib.Path.cwd())
    logging.info("Task: %s, cfg:\\n%s", task, cfg)
    return TASKS[task](cfg.to_frozen())


def train(cfg):
    if cfg.note == "break":
        raise ValueError("broken on purpose")
    with open("metrics.jsonl", "a") as stream:
        for step in range(cfg.steps):
            print(json.dumps({"step": step, "loss": cfg.lr / (step + 1)}), file=stream)
    return {"final": cfg.lr / cfg.steps, "is_adhoc": heyhi.is_adhoc(), "is_master": heyhi.is_master()}


TASKS = {"train": train}

if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
""",
    "conf/c02_sup_train/rs_yolo_01_old.py": '''
"""Run as a module from the project root: python -m conf.c02_sup_train.rs_yolo_01_old"""
import argparse
import json
import pathlib

import pandas as pd

import heyhi.gsheets
import heyhi.run
import run

THIS_FILE = pathlib.Path(__file__).resolve()
THIS_DIR = THIS_FILE.parent


def redefines_from_dict(redefines):
    return [f"{k}={v}" for k, v in redefines.items()]


def yield_sweep():
    cfg = THIS_DIR / "sl.prototxt"
    for lr in (0.5, 0.25):
        yield cfg, {"I.launcher": "local", "lr": lr}


def get_logs_data(handle):
    metrics = {"step": None, "loss": None}
    path = handle.exp_path / "metrics.jsonl"
    if path.exists():
        records = [json.loads(line) for line in path.open()]
        metrics["step"], metrics["loss"] = records[-1]["step"], records[-1]["loss"]
    return metrics


def main(mode, use_gsheet):
    sheet_file = "proj/%s" % THIS_DIR.name
    sheet_name = THIS_FILE.name.split(".")[0]
    exp_id = "%s_%s/sweep" % (THIS_DIR.name, sheet_name)
    handles = []
    for cfg, override_dict in yield_sweep():
        h = heyhi.run.maybe_launch(
            run.main,
            exp_root=heyhi.run.get_exp_dir("proj"),
            overrides=redefines_from_dict(override_dict),
            cfg=cfg,
            mode=mode,
            exp_id_pattern_override=f"%(prefix)s/{exp_id}_%(redefines)s_%(redefines_hash)s",
        )
        handles.append((h, override_dict))
    df = []
    for h, od in handles:
        datum = {"status": str(h.get_status())}
        datum.update(get_logs_data(h))
        datum.update(od)
        datum["exp_id"] = h.exp_id.split("/")[-1].replace("sweep@launcher@slurm@", "")
        datum["job_id"] = h.maybe_get_job_id()
        datum["folder"] = h.exp_path
        df.append(datum)
    df = pd.DataFrame(df)
    if use_gsheet:
        heyhi.gsheets.save_pandas_table(df, sheet_file, sheet_name, offset=1)
    del df["folder"]
    print(df.head(50).to_string(index=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=heyhi.MODES, default="gentle_start")
    parser.add_argument("--use_gsheet", type=int, default=1)
    main(**vars(parser.parse_args()))
''',
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "proj"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.lstrip())
    return root


def python(root: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        [sys.executable, *args], cwd=root, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run


def answers(root: Path, code: str) -> Any:
    """Run a script that prints JSON as its last line, and return that."""
    return json.loads(python(root, "-c", code).stdout.splitlines()[-1])


def results_in(root: Path) -> list[Path]:
    return sorted(root.rglob("result.json"))


SWEEP = ("-m", "conf.c02_sup_train.rs_yolo_01_old")


def test_a_sweep_script_starts_what_is_missing_and_prints_its_table_again_and_again(root: Path) -> None:
    first = python(root, *SWEEP)
    lines = first.stdout.strip().splitlines()[-3:]
    assert lines[0].split()[:4] == ["status", "step", "loss", "I.launcher"]
    assert [line.split()[:5] for line in lines[1:]] == [
        ["DONE", "1", "0.250", "local", "0.50"],
        ["DONE", "1", "0.125", "local", "0.25"],
    ]
    before = {path: path.stat().st_mtime_ns for path in results_in(root)}
    assert len(before) == 2
    assert all("/p/c02_sup_train_rs_yolo_01_old/sweep_" in str(path) for path in before)

    second = python(root, *SWEEP)
    assert second.stdout.strip().splitlines()[-3:] == lines
    assert {path: path.stat().st_mtime_ns for path in results_in(root)} == before


def test_a_table_that_no_sheet_takes_is_told_in_one_line(root: Path) -> None:
    run = python(root, *SWEEP, "--mode", "dryrun")

    told = [line for line in (run.stdout + run.stderr).splitlines() if "sheet" in line.lower()]
    assert len(told) == 1
    assert "proj/c02_sup_train" in told[0]
    assert "rs_yolo_01_old" in told[0]
    assert "NOT_STARTED" in run.stdout
    assert results_in(root) == []


def test_a_sweep_script_goes_to_the_results_root_of_the_environment(root: Path, tmp_path: Path) -> None:
    python(root, *SWEEP, HH_EXP_DIR=str(tmp_path / "elsewhere"))

    assert len(results_in(tmp_path / "elsewhere")) == 2
    assert results_in(root) == []


LAUNCH = """
import json, pathlib
import heyhi.run
import run

def launch(*overrides, mode="gentle_start", adhoc=False, force=False):
    return heyhi.run.maybe_launch(
        run.main,
        exp_root=heyhi.run.get_exp_dir("proj"),
        overrides=list(overrides),
        cfg=pathlib.Path("conf/c02_sup_train/sl.prototxt"),
        mode=mode,
        checkpoint="",
        adhoc=adhoc,
        exp_id_pattern_override=None,
        force=force,
        log_level="INFO",
    )
"""


def test_a_handle_answers_what_it_did(root: Path) -> None:
    told = answers(
        root,
        LAUNCH
        + """
h = launch("lr=0.5")
print(json.dumps({
    "status": str(h.get_status()), "done": h.is_done(), "running": h.is_running(), "result": h.result(),
    "cfg": str(h.cfg_path), "overrides": list(h.overrides), "job": h.maybe_get_job_id(),
    "path": str(h.exp_path), "id": h.exp_id, "cwd": str(pathlib.Path.cwd()),
    "below": h.exp_path.is_relative_to(heyhi.run.get_exp_dir("proj")),
    "default": heyhi.get_default_exp_dir() == heyhi.run.get_default_exp_dir(),
}))
""",
    )

    assert told["status"] == "DONE"
    assert (told["done"], told["running"], told["job"]) == (True, False, None)
    assert told["result"] == {"final": 0.25, "is_adhoc": False, "is_master": True}
    assert told["cfg"] == str(root / "conf/c02_sup_train/sl.prototxt")
    assert told["overrides"] == ["lr=0.5"]
    assert str(told["path"]).endswith(f"/{told['id']}")
    assert str(told["id"]).startswith("p/c02_sup_train/sl/lr=0.5_")
    assert (told["below"], told["default"], told["cwd"]) == (True, True, str(root))


def test_a_handle_answers_before_anything_was_started(root: Path) -> None:
    told = answers(
        root,
        LAUNCH
        + """
h = launch("--lr=0.50", mode="dryrun")
print(json.dumps([str(h.get_status()), h.is_done(), h.maybe_get_job_id(), h.exp_id, list(h.overrides), h.cfg_path.name,
                  h.exp_path.exists()]))
""",
    )

    assert [*told[:3], *told[4:]] == ["NOT_STARTED", False, None, ["lr=0.5"], "sl.prototxt", False]
    assert told[3].startswith("p/c02_sup_train/sl/lr=0.5_")


def test_a_run_that_raises_is_dead_and_the_script_goes_on(root: Path) -> None:
    told = answers(
        root,
        LAUNCH
        + """
h = launch("note=break")
again = launch("note=break")
attempts = len((h.exp_path / "attempts.jsonl").read_text().splitlines())
print(json.dumps({"status": [str(x.get_status()) for x in (h, again)], "attempts": attempts}))
""",
    )

    assert told == {"status": ["DEAD", "DEAD"], "attempts": 2}, "gentle_start leaves what is dead"


def test_a_restart_wipes_without_asking(root: Path) -> None:
    told = answers(
        root,
        LAUNCH
        + """
h = launch()
(h.exp_path / "mine.txt").write_text("x")
launch(mode="start_restart")
kept = (h.exp_path / "mine.txt").exists()
launch(mode="restart", force=True)
adhoc = launch(adhoc=True)
left = (h.exp_path / "mine.txt").exists()
print(json.dumps({"kept": kept, "left": left, "adhoc": [adhoc.exp_id, adhoc.result()["is_adhoc"]]}))
""",
    )

    assert (told["kept"], told["left"]) == (True, False)
    exp_id, is_adhoc = told["adhoc"]
    assert exp_id.startswith("adhoc/")
    assert is_adhoc is True


def test_configs_are_loaded_by_the_old_import_path(root: Path) -> None:
    told = answers(
        root,
        """
import json
import heyhi, heyhi.conf
from heyhi import conf
cfg_path = heyhi.CONF_ROOT / "c02_sup_train" / "sl.prototxt"
task, meta_cfg = conf.load_root_proto_message(cfg_path, ["lr=0.75"])
cfg = getattr(meta_cfg, task)
cfg.steps = 7
frozen = heyhi.load_config(cfg_path, ["steps=3", "Ilauncher=local"])
root_cfg = conf.load_root_config(cfg_path)
launcher = heyhi.load_config(heyhi.CONF_ROOT / "common/launcher/local.prototxt")
flat = conf.flatten_cfg(frozen.train, with_all=False)
print(json.dumps({
    "task": [task, cfg.lr, cfg.steps], "frozen": [frozen.train.steps, frozen.is_frozen()],
    "root": [root_cfg.which_task, root_cfg.task.lr, root_cfg.task.note], "launcher": launcher.which_launcher,
    "flat": flat, "all": sorted(conf.flatten_cfg(frozen.train)),
    "get": conf.conf_get(cfg, "lr"), "set": [conf.conf_is_set(cfg, k) for k in ("lr", "note")],
    "copy": conf.conf_with_overrides(frozen.train, ["note=x"]).note,
    "roots": [str(heyhi.PROJ_ROOT), conf.load_proto_message(cfg_path).train.lr],
}))
""",
    )

    assert told == {
        "task": ["train", 0.75, 7],
        "frozen": [3, True],
        "root": ["train", 0.2, None],
        "launcher": "local",
        "flat": {"lr": 0.2, "steps": 3, "launcher.local.use_local": True},
        "all": ["launcher.local.use_local", "lr", "note", "steps"],
        "get": 0.75,
        "set": [True, False],
        "copy": "x",
        "roots": [str(root), 0.2],
    }


def test_old_scripts_may_ask_for_what_is_needed_no_more(root: Path) -> None:
    told = answers(
        root,
        """
import json
import heyhi
heyhi.reset_slurm_cache()
env = heyhi.get_job_env()
told = {"slurm": heyhi.is_on_slurm(), "master": heyhi.get_slurm_master(), "modes": list(heyhi.MODES)}
print(json.dumps({**told, "host": bool(env.hostname)}))
""",
    )

    modes = ["gentle_start", "start_restart", "start_continue", "restart", "dryrun"]
    assert told == {"slurm": False, "master": "localhost", "modes": modes, "host": True}


def test_an_old_task_file_takes_the_old_command_line(root: Path) -> None:
    cfg = ("run.py", "--cfg", "conf/c02_sup_train/sl.prototxt")
    assert "final" not in python(root, *cfg, "--lr=0.5", "steps=4", "--print").stdout
    flat = python(root, *cfg, "--lr=0.5", "steps=4", "--print-flat").stdout.splitlines()
    assert {"lr=0.5", "steps=4", "launcher.local.use_local=true"} <= set(flat)

    python(root, *cfg, "--lr=0.5", "steps=4", "--out", str(root / "mine"))
    assert json.loads((root / "mine/result.json").read_text())["final"] == 0.125


def test_a_main_that_asks_whether_its_config_is_patched_runs(root: Path) -> None:
    old = FILES["run.py"].replace(
        "    if not hasattr(main,",
        '    if not hasattr(cfg, "heyhi_patched"):\n        raise SystemExit("bare")\n    if not hasattr(main,',
    )
    old = old.replace(
        "    heyhi.log_git_status()", "    heyhi.maybe_init_requeue_handler()\n    heyhi.log_git_status()"
    )
    (root / "run.py").write_text(old + '    logging.debug("%s", heyhi.get_job_env().num_nodes)\n')

    python(root, "run.py", "--cfg", "conf/c02_sup_train/sl.prototxt", "--out", str(root / "mine"))
    assert json.loads((root / "mine/result.json").read_text())["final"] == 0.1


def test_dicts_have_what_is_set_unless_more_is_asked_for(root: Path) -> None:
    told = answers(
        root,
        """
import json
import heyhi
cfg = heyhi.load_config(heyhi.CONF_ROOT / "c02_sup_train/sl.prototxt", overrides=["launcher=NULL"]).train
message = cfg.to_editable()
print(json.dumps({
    "dicts": [heyhi.conf_to_dict(cfg), heyhi.conf_to_dict(message), cfg.to_dict(), message.to_dict()],
    "defaults": [cfg.to_dict(with_defaults=True), message.to_dict(with_defaults=True)],
    "all": [heyhi.conf_to_dict(cfg, include_defaults=True), message.to_dict(with_all=True)],
    "frozen": [message.to_frozen() == cfg, message.to_frozen().is_frozen(), message.is_frozen()],
    "same": [message.to_editable() is message, hasattr(message, "heyhi_patched")],
    "text": message.to_str_with_defaults() == cfg.to_str_with_defaults(),
}))
""",
    )

    whole = {"lr": 0.2, "steps": 2, "launcher": {}, "note": None}
    assert told == {
        "dicts": [{"lr": 0.2}] * 4,
        "defaults": [{"lr": 0.2, "steps": 2}] * 2,
        "all": [whole] * 2,
        "frozen": [True, True, False],
        "same": [True, True],
        "text": True,
    }


def test_wrong_values_and_names_raise_what_they_did(root: Path) -> None:
    told = answers(
        root,
        LAUNCH
        + """
import heyhi.conf
cfg_path = heyhi.conf.CONF_ROOT / "c02_sup_train/sl.prototxt"
task, message = heyhi.conf.load_root_proto_message(cfg_path, [])
cfg = message.train.to_frozen()

def raised(call):
    try:
        call()
    except Exception as error:
        return [kind.__name__ for kind in (ValueError, AttributeError, RuntimeError) if isinstance(error, kind)]

print(json.dumps([
    raised(lambda: heyhi.load_config(cfg_path, ["lr"])),
    raised(lambda: heyhi.load_config(cfg_path, ["lr=x"])),
    raised(lambda: heyhi.load_config(cfg_path, ["Ilauncher=none"])),
    raised(lambda: heyhi.load_config(cfg_path, ["learning_rate=1"])),
    raised(lambda: heyhi.load_config(heyhi.PROJ_ROOT / "run.py")),
    raised(lambda: heyhi.conf_get(message.train, "learning_rate")),
    raised(lambda: cfg.learning_rate),
    raised(lambda: setattr(cfg, "lr", 1)),
    raised(lambda: launch(mode="start")),
]))
""",
    )

    value = ["ValueError"]
    assert told == [value] * 5 + [["ValueError", "AttributeError"], ["AttributeError"], ["RuntimeError"], value]


def test_a_handle_has_the_first_ones_names(root: Path) -> None:
    told = answers(
        root,
        LAUNCH
        + """
h = launch(mode="dryrun")
before = h.is_started()
h.kill_and_prune(silent=True)
launch()
by_id = heyhi.Handle(h.exp_id)
(h.exp_path / "mine.txt").write_text("x")
facts = [before, h.is_started(), by_id.is_done(), by_id.exp_path == h.exp_path, h.result_path.name, str(h.slurm_path)]
h.kill_and_prune(silent=True)
print(json.dumps([*facts, h.is_started(), h.exp_path.exists() and sorted(p.name for p in h.exp_path.iterdir())]))
""",
    )

    assert told[:5] == [False, True, True, True, "result.json"]
    assert "/p/c02_sup_train/sl/" in told[5]
    assert told[6] is False
    assert "mine.txt" not in (told[7] or [])
    assert len(list(root.rglob("mine.txt"))) == 1, "it is in the trash"


def test_old_modules_can_be_had_and_say_what_is_gone(root: Path) -> None:
    told = answers(
        root,
        """
import json
import heyhi
from heyhi import checkpoint_repo

def text_of(call):
    try:
        call()
    except AttributeError as error:
        return str(error)

cfg = heyhi.conf.load_config(heyhi.conf.CONF_ROOT / "c02_sup_train/sl.prototxt")
print(json.dumps({
    "doors": [cfg.lr, list(heyhi.util.MODES) == list(heyhi.MODES), heyhi.run.PROJECT_NAME, heyhi.is_aws()],
    "root": str(heyhi.conf.PROJ_ROOT), "no": hasattr(heyhi.conf, "nothing"),
    "gone": [text_of(lambda: heyhi.util.RESULTFILE_NAME), text_of(lambda: heyhi.util.run_with_config)],
    "unknown": text_of(lambda: heyhi.util.nothing), "code": text_of(lambda: checkpoint_repo.handle_parser_arg),
    "devfair": heyhi.is_devfair(),
}))
""",
    )

    assert told["doors"] == [0.2, True, "proj", False]
    assert (told["root"], told["no"]) == (str(root), False)
    assert "no pickles: heyhi.Handle(path).result()" in told["gone"][0]
    assert "heyhi.maybe_launch runs an experiment" in told["gone"][1]
    assert told["unknown"] == "module 'heyhi.util' has no attribute 'nothing'"
    assert "a Slurm launch copies the code by itself" in told["code"]


@pytest.mark.parametrize("tasks", [1, 2])
def test_main_can_include_what_lies_beside_its_config(root: Path, tasks: int) -> None:
    (root / "conf/conf.proto").write_text(FILES["conf/conf.proto"].replace("bool use_local = 1;", "int32 tasks = 2;"))
    (root / "conf/common/launcher/local.prototxt").write_text(f"local {{ tasks: {tasks} }}")
    (root / "conf/c02_sup_train/slow.prototxt").write_text("steps: 4")
    near = '    cfg = heyhi.conf_with_overrides(cfg, ["I=slow", "note={{ROOT_DIR}}"])\n'
    (root / "run.py").write_text(FILES["run.py"].replace("def train(cfg):\n", f"def train(cfg):\n{near}"))

    python(root, "run.py", "--cfg", "conf/c02_sup_train/sl.prototxt", "--out", str(root / "mine"))
    assert json.loads((root / "mine/result.json").read_text())["final"] == 0.05
