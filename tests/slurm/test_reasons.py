"""The true reason why an experiment is dead, or isn't running, on a real cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]
PACK = {"launcher.slurm.pack": 2}


def status(lab: Any, x: int) -> tuple[str, str]:
    row = lab.statuses()[x]
    return row["status"], row["reason"]


def warn(job: str) -> None:
    subprocess.run(["scancel", "--signal=USR2", "--batch", job], check=True)


def wrap_scontrol(lab: Any, script: str) -> None:
    """Have the jobs of a lab meet a scontrol of our own first, which knows the true one."""
    wrap(lab, "scontrol", script)


def wrap(lab: Any, name: str, script: str) -> None:
    """Have the jobs of a lab meet a program of our own first, which knows the true one."""
    folder = lab.root / "bin"
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/bash\ntrue_one={shutil.which(name)}\n{script}\n")
    (folder / name).chmod(0o755)
    lab.env["PATH"] = f"{folder}:{lab.env['PATH']}"


def train(lab: Any, until: Until, *overrides: str) -> str:
    """Start a training that has made a step, and return its job."""
    done = lab.run("x=1", "do=train", *overrides)
    assert done.returncode == 0, done.stderr
    lab.allow("step1")
    until(lambda: (lab.folder(1) / "checkpoint").exists())
    return str(lab.job(1))


# --- queued again -------------------------------------------------------------------------------------------------


def test_a_job_that_is_cancelled_as_it_asks_to_be_queued_again_stays_cancelled(
    lab: Any, cluster: Any, until: Until
) -> None:
    # It is ended with the job, and must not be: so it asks when the job has been cancelled for certain.
    asking = """
        trap "" TERM
        scancel "$SLURM_JOB_ID"
        while "$true_one" show job "$SLURM_JOB_ID" | grep -q JobState=RUNNING; do :; done
        "$true_one" "$@"
        touch "$LAB/asked"
    """
    wrap_scontrol(lab, asking)
    job = train(lab, until)
    warn(job)
    until(lambda: (lab.root / "asked").exists())
    until(lambda: not cluster.run("squeue", "-h", "-j", job, "-t", "all", "-o", "%T").startswith(("RUN", "COMPL")))
    assert cluster.run("squeue", "-h", "-j", job, "-t", "all", "-o", "%T") == "CANCELLED"
    assert status(lab, 1)[0] == "DEAD"
    assert status(lab, 1)[1].startswith(f"CANCELLED (job {job}")
    assert lab.ledger == [1]


def test_a_job_that_may_not_be_queued_again_says_so(lab: Any, cluster: Any, until: Until) -> None:
    job = train(lab, until)
    cluster.run("scontrol", "update", f"JobId={job}", "Requeue=0")
    warn(job)
    why = f"stopped to be queued again, and wasn't: Requested operation is presently disabled for job {job}"
    until(lambda: status(lab, 1) == ("DEAD", why))
    # It stays when a controller has put it on record.
    lab.allow_steps(2, 3)
    lab.sweep({"x": 1, "do": "train"})
    code, out = lab.snakemake()
    assert code == 0, out
    assert why.rpartition(": ")[2] in [a.get("exception") for a in lab.attempts(1)]


def test_without_scontrol_on_a_node_each_of_a_pack_says_so(lab: Any, until: Until) -> None:
    wrap_scontrol(lab, 'echo "slurm_script: line 3: scontrol: command not found" >&2; exit 127')
    lab.sweep(*({"x": x, "do": "train", **PACK} for x in (1, 2)))
    controller = lab.start("--keep-going")
    lab.allow("step1")
    until(lambda: sorted(lab.ledger) == [1, 2] and all((lab.folder(x) / "checkpoint").exists() for x in (1, 2)))
    warn(lab.job(1))
    until(lambda: len(lab.ledger) == 4)  # submitted again by the controller
    for x in (1, 2):
        (end,) = (a for a in lab.attempts(x) if a["event"] == "end" and a.get("job_state"))
        assert end["exception"] == "scontrol: command not found"
    lab.allow_steps(2, 3)
    code, out = lab.end(controller)
    assert code == 0, out
    assert "stopped to be queued again, and wasn't: scontrol: command not found" in out


# --- killed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_slow", [False, True])
def test_the_last_of_a_pack_that_is_killed_says_so_for_good(lab: Any, until: Until, is_slow: bool) -> None:
    if is_slow:  # the job ends later than all that ran in it: its script looks for what they have left
        wrap(lab, "grep", 'sleep 8; "$true_one" "$@"')
    lab.sweep({"x": 1, "do": "wait", **PACK}, {"x": 2, **PACK})
    controller = lab.start()
    until(lambda: sorted(lab.ledger) == [1, 2] and status(lab, 2)[0] == "DONE")
    os.kill(lab.attempts(1)[0]["pid"], signal.SIGKILL)
    code, out = lab.end(controller)
    assert code == 1
    assert "signal 9 (SIGKILL)" in out
    assert [a.get("job_state", "") for a in lab.attempts(1)] == ["", "", "FAILED"], "it is on record how the job ended"
    assert status(lab, 1) == ("DEAD", "signal 9 (SIGKILL)")


# --- neither running nor dead -------------------------------------------------------------------------------------


def test_a_suspended_job_does_not_run_and_goes_on(lab: Any, cluster: Any, until: Until) -> None:
    assert lab.run("x=1", "do=wait").returncode == 0
    until(lambda: lab.ledger == [1])
    job = lab.job(1)
    cluster.run("scontrol", "suspend", job)
    assert status(lab, 1) == ("PENDING", f"job {job} is suspended on n1")
    again = lab.run("x=1", "do=wait")
    assert "nothing started" in again.stdout
    cluster.run("scontrol", "resume", job)
    assert status(lab, 1) == ("RUNNING", f"job {job} on n1")
    lab.allow()
    until(lambda: status(lab, 1)[0] == "DONE")
    assert lab.ledger == [1]
