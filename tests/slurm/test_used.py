"""What attempts on a real cluster used: by our own records, beside what Slurm's accounts say."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]

# Each run holds some MB and is busy for some steps: seconds of CPU time. `do` says what it does then; one that fails
# has been busy in a process below it.
TASK = """
import os, subprocess, sys, time
from pathlib import Path

import heyhi

ROOT = Path(os.environ["LAB"])
BUSY = "import sys, time\\nwhile time.process_time() < float(sys.argv[1]): pass"


def main(task, cfg, log_level):
    with (ROOT / "ledger.txt").open("a") as ledger:
        ledger.write(f"{cfg.x}\\n")
    hold = bytearray(cfg.mb << 20)
    hold[::4096] = b"1" * len(hold[::4096])
    if cfg.do == "fail":
        subprocess.run([sys.executable, "-c", BUSY, str(cfg.steps)], check=True)
    end = time.process_time() + cfg.steps
    while time.process_time() < end and cfg.do != "fail":
        pass
    if cfg.do == "train":
        step = Path("checkpoint")
        heyhi.maybe_init_requeue_handler(lambda: step.touch())
        (ROOT / "trains").touch()
        while not step.exists():
            time.sleep(0.05)
    while cfg.do == "wait" and not (ROOT / "go").exists():
        (ROOT / "waits").touch()
        time.sleep(0.05)
    if cfg.do == "fail":
        raise ValueError("boom")
    return {"y": 1}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""


@pytest.fixture
def busy(lab: Any) -> Any:
    (lab.root / "run.py").write_text(TASK)
    proto = lab.root / "conf" / "conf.proto"
    text = proto.read_text()
    mb = "optional string after = 5;"
    assert mb in text
    proto.write_text(text.replace(mb, f"{mb}\n  optional int32 mb = 6 [default = 1];"))
    return lab


def launch(lab: Any, x: int, *overrides: str) -> str:
    done = lab.run(f"x={x}", *overrides)
    assert done.returncode == 0, done.stderr
    return str(lab.job(x))


def used(lab: Any, x: int) -> list[tuple[str, dict[str, float]]]:
    """Reason and what was used of each end of an x; of two ends of an attempt, only one says it."""
    path = lab.folder(x) / "attempts.jsonl"
    return [(a["reason"], a["used"]) for a in lab.attempts(x) if "used" in a] if path.exists() else []


def accounts(cluster: Any, job: str) -> dict[str, float]:
    """Seconds, seconds of CPU time and the largest task's GB of a job, as sacct has them."""
    text = cluster.run("sacct", "-n", "-P", "--noconvert", "-j", job, "-o", "ElapsedRaw,TotalCPU,MaxRSS,State")
    rows = [line.split("|") for line in text.splitlines()]
    clock = [float(part) for part in reversed(re.split("[:-]", rows[0][1]))]
    memory = [float(row[2].rstrip("K")) * (1024 if row[2].endswith("K") else 1) for row in rows if row[2]]
    cpu = sum(part * scale for part, scale in zip(clock, (1, 60, 3600, 86400), strict=False))
    return {"seconds": float(rows[0][0]), "cpu_seconds": cpu, "mem_gb": max(memory, default=0) / 2**30}


def is_over(cluster: Any, job: str) -> bool:
    state = cluster.accounting(job).get("State", "")
    return bool(state) and state.split()[0] not in ("PENDING", "RUNNING", "REQUEUED")


def test_an_attempt_s_own_figures_are_those_of_the_accounts(busy: Any, cluster: Any, until: Until) -> None:
    job = launch(busy, 1, "steps=12", "mb=500", "launcher.slurm.num_gpus=1", "launcher.slurm.mem_per_gpu=1")
    until(lambda: is_over(cluster, job))
    ((reason, own),) = used(busy, 1)
    theirs = accounts(cluster, job)
    assert reason == "done" and own["gpus"] == 1
    assert own["cpu_seconds"] == pytest.approx(theirs["cpu_seconds"], rel=0.01)
    assert own["mem_gb"] == pytest.approx(theirs["mem_gb"], rel=0.01)
    # The accounts have whole seconds, of two moments.
    assert own["seconds"] == pytest.approx(theirs["seconds"], rel=0.01, abs=1.0)
    assert 0 <= own["queued"] < 60
    out = busy.heyhi("report", os.path.relpath(busy.folder(1), busy.root), "--to", "-.json")
    (row,) = json.loads(out.stdout)
    assert row["gpu_hours"] == pytest.approx(own["seconds"] / 3600) and "gpu_hours_lost" not in row
    assert row["cpu_hours"] == pytest.approx(own["cpu_seconds"] / 3600) and row["mem_used"] == own["mem_gb"]
    assert re.search(r"^used 0\.0\d+ GPU-hours", out.stderr, re.MULTILINE)
    # What is asked for the next one stands beside that.
    plan = busy.heyhi(
        "plan", "--cfg", "conf/work.prototxt", "x=2", "launcher.slurm.hours=3", "launcher.slurm.num_gpus=1"
    )
    assert re.search(r"^1 earlier run of conf/work: at most 0\.0\d+ h and 0\.\d+ GB; asked 3 h and ", plan.stdout, re.M)


def test_ranks_on_other_nodes_tell_what_they_use(busy: Any, cluster: Any, until: Until) -> None:
    # Each has 300 MB on a node of its own, or the first has its runner beside it.
    job = launch(busy, 1, "steps=5", "mb=300", "launcher.slurm.num_gpus=2", "launcher.slurm.gpus_per_node=1",
                 "launcher.slurm.mem_per_gpu=1")  # fmt: skip
    until(lambda: is_over(cluster, job))
    ((reason, own),) = used(busy, 1)
    theirs = accounts(cluster, job)
    assert reason == "done" and own["gpus"] == 2
    assert own["cpu_seconds"] > 10 and own["cpu_seconds"] == pytest.approx(theirs["cpu_seconds"], rel=0.02)
    # All nodes of the test's cluster have one name.
    assert 0.6 < own["mem_gb"] < 1.0


def test_members_of_a_pack_have_their_own_and_their_share_of_the_gpus(busy: Any, cluster: Any, until: Until) -> None:
    pack = {"launcher.slurm.pack": 2, "launcher.slurm.num_gpus": 1, "launcher.slurm.mem_per_gpu": 2}
    busy.sweep({"x": 1, "steps": 2, **pack}, {"x": 2, "steps": 4, "do": "fail", **pack})
    code, out = busy.snakemake()
    assert code == 1, out
    ((_, first),), ((reason, second),) = used(busy, 1), used(busy, 2)
    assert reason == "failed" and first["gpus"] == second["gpus"] == 0.5
    assert 2 < first["cpu_seconds"] < 4 < second["cpu_seconds"] < 8
    assert re.search(
        r"used [\d.]+ GPU-hours and [\d.]+ CPU-hours, [\d.]+ and [\d.]+ of them by attempts that failed", out
    )


def test_what_was_killed_has_the_accounts_figures_when_it_is_tried_again(busy: Any, cluster: Any, until: Until) -> None:
    asked = ("do=wait", "steps=4", "mb=300", "launcher.slurm.mem_per_gpu=1", "launcher.slurm.num_gpus=1")
    job = launch(busy, 1, *asked)
    until((busy.root / "waits").exists)
    os.kill(busy.attempts(1)[-1]["pid"], signal.SIGKILL)
    until(lambda: is_over(cluster, job) and accounts(cluster, job)["mem_gb"])
    until(lambda: busy.statuses()[1]["status"] == "DEAD")
    busy.allow()
    again = launch(busy, 1, *asked, "--mode", "start_continue")
    until(lambda: is_over(cluster, again))
    theirs = accounts(cluster, job)
    (killed, lost), (done, own) = used(busy, 1)
    assert (killed, done) == ("killed", "done") and own["gpus"] == lost["gpus"] == 1
    assert lost["seconds"] == theirs["seconds"] and lost["cpu_seconds"] == pytest.approx(theirs["cpu_seconds"])
    assert (
        lost["mem_gb"] == pytest.approx(theirs["mem_gb"], rel=0.01) and theirs["mem_gb"] > 0.3 and lost["queued"] >= 0
    )


def test_a_job_that_is_queued_again_has_waited_since_then(busy: Any, cluster: Any, until: Until) -> None:
    job = launch(busy, 1, "do=train", "steps=1", "launcher.slurm.num_gpus=1")
    until(lambda: (busy.root / "trains").exists())
    subprocess.run(["scancel", f"--signal={signal.SIGUSR2.name}", "--batch", job], check=True)
    until(lambda: [reason for reason, _ in used(busy, 1)] == ["requeue", "done"])
    (_, first), (_, second) = used(busy, 1)
    # cred_expire: so long it waits at least before it starts again.
    assert second["queued"] >= 5 and first["gpus"] == second["gpus"] == 1
    out = busy.heyhi("report", os.path.relpath(busy.folder(1), busy.root), "--to", "-.json")
    (row,) = json.loads(out.stdout)
    assert row["gpu_hours"] == pytest.approx((first["seconds"] + second["seconds"]) / 3600)
    assert row["queued"] == pytest.approx(first["queued"] + second["queued"]) and "gpu_hours_lost" not in row
