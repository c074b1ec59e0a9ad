"""The recipes of docs/frameworks.md as they stand there: stopped at a time limit and by hand, and gone on.

Not a file that pytest finds by itself: `make test-frameworks` runs it, in an environment with torch, lightning,
transformers and wandb.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]

DOC = Path(__file__).parents[2] / "docs" / "frameworks.md"
RECIPES = dict(re.findall(r"^```python (\w+)\.py\n(.*?)^```", DOC.read_text(), re.MULTILINE | re.DOTALL))
# While a test says so, steps take their time: each rank of each recipe asks once a step.
HEAD = """
import os as _os, time as _time
import heyhi as _heyhi
_ask = _heyhi.is_to_stop
def _slowly():
    if _os.path.exists(_os.environ["LAB"] + "/slow"):
        _time.sleep(0.3)
    return _ask()
_heyhi.is_to_stop = _slowly
"""
STEPS = 600


@pytest.fixture
def training(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project whose config has what the recipes want."""
    proto = lab.root / "conf" / "conf.proto"
    text = proto.read_text().replace(
        "optional int32 x = 1;", "optional int32 x = 1; optional double lr = 20 [default = 0.01];"
    )
    proto.write_text(text)
    (lab.root / "conf" / "train.prototxt").write_text("work { x: 1 }\n")
    launchers = lab.root / "conf" / "common" / "launcher"
    launchers.mkdir(parents=True)
    (launchers / "slurm.prototxt").write_text("slurm { mem_per_gpu: 4 signal_seconds: 20 }\n")
    lab.env |= {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    lab.env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{lab.env['PATH']}"
    return lab


def write(lab: Any, recipe: str, head: str = HEAD) -> None:
    # Not by its own name, which would hide the library.
    (lab.root / "run.py").write_text(head + RECIPES[recipe])


def folder(lab: Any) -> Path:
    (found,) = (path.parent for path in lab.root.glob("results/p/*/*/job.json"))
    return Path(found)


def steps(lab: Any) -> list[int]:
    """The steps that were logged with a loss, in order."""
    path = folder(lab) / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line["step"] for line in lines if "loss" in line]


def records(lab: Any, event: str) -> list[dict[str, Any]]:
    path = folder(lab) / "attempts.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if line["event"] == event]


def status(lab: Any) -> dict[str, Any]:
    (row,) = json.loads(lab.heyhi("status", "--json").stdout)["experiments"]
    return dict(row)


def submit(lab: Any, *words: str) -> str:
    done = lab.python("run.py", "--cfg", "conf/train.prototxt", "I.launcher=slurm", *words)
    assert done.returncode == 0, done.stderr
    return str(json.loads((folder(lab) / "job.json").read_text())["job_id"])


def goes_on_to_its_end(lab: Any, until: Until, job: str, *, most: int = 2) -> None:
    """See that a training that was stopped is queued again, and goes on with the next step."""
    until(lambda: records(lab, "end"))
    assert records(lab, "end")[0]["reason"] == "requeue", records(lab, "end")
    before = len(steps(lab))
    assert 0 < before < STEPS
    (lab.root / "slow").unlink()
    # A job that was queued again waits for a while, unless somebody says when it is to start.
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now+2"], check=False)
    until(lambda: records(lab, "end")[-1]["reason"] != "requeue" or len(records(lab, "end")) > most)
    assert records(lab, "end")[-1]["reason"] == "done", records(lab, "end")
    kinds = [one["kind"] for one in records(lab, "start")]
    assert kinds[0] == "first" and set(kinds[1:]) == {"requeue"} and len(kinds) <= most
    assert steps(lab) == list(range(1, STEPS + 1))
    assert json.loads((folder(lab) / "result.json").read_text()) == {"step": STEPS}


TWO_NODES = ("launcher.slurm.num_gpus=2", "launcher.slurm.gpus_per_node=1", f"steps={STEPS}")


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_warned_by_hand_and_goes_on(training: Any, until: Until, recipe: str) -> None:
    write(training, recipe)
    training.allow("slow")
    job = submit(training, *TWO_NODES)
    until(lambda: len(steps(training)) >= 3)
    subprocess.run(["scancel", "--batch", "--signal=USR2", job], check=True)
    goes_on_to_its_end(training, until, job)
    if recipe == "wandb":
        runs = [path.name.rpartition("-")[2] for path in (folder(training) / "wandb").glob("offline-run-*")]
        assert len(runs) == 2 and len(set(runs)) == 1


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_stopped_at_its_time_limit_and_goes_on(training: Any, until: Until, recipe: str) -> None:
    write(training, recipe)
    training.allow("slow")
    job = submit(training, *TWO_NODES, "launcher.slurm.hours=0.033")
    # On a slow machine the imports alone may take most of a job's two minutes.
    goes_on_to_its_end(training, until, job, most=5)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_cancelled_recipe_writes_its_checkpoint_and_does_not_come_back(
    training: Any, until: Until, recipe: str
) -> None:
    write(training, recipe)
    training.allow("slow")
    job = submit(training, *TWO_NODES)
    until(lambda: len(steps(training)) >= 3)
    subprocess.run(["scancel", job], check=True)
    until(lambda: status(training)["status"] == "DEAD")
    assert status(training)["reason"].startswith("CANCELLED")
    assert list(folder(training).glob("checkpoint*"))


def test_the_shown_commands_do_what_is_said(training: Any, until: Until) -> None:
    write(training, "ddp")
    commands = [
        line.partition("    #")[0]
        for block in re.findall(r"^```sh\n(.*?)^```", DOC.read_text(), re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(commands) == 5
    local, allocation, launch, warn, watch = commands
    training.env["SALLOC_MEM_PER_CPU"] = "4G"  # this cluster's default is 100 MB
    for command in (local, allocation):
        done = training.run_words("bash", "-c", command)
        assert done.returncode == 0 and "DONE" in done.stdout, done.stdout + done.stderr
    training.allow("slow")
    assert training.run_words("bash", "-c", launch).returncode == 0
    job = str(json.loads((folder(training) / "job.json").read_text())["job_id"])
    until(lambda: len(steps(training)) >= 1)
    assert training.run_words("bash", "-c", warn.replace("JOB", job)).returncode == 0
    (training.root / "slow").unlink()
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now+2"], check=False)
    done = training.run_words("bash", "-c", watch)
    assert done.returncode == 0, done.stdout
    assert (folder(training) / "result.json").exists()
