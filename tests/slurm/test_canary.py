"""--canary on a cluster: a sweep with a bug costs one job, and a canary that is well is taken over, not run twice."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from heyhi.text import TIMES

Until = Callable[[Callable[[], object]], None]

# Logs a line, and waits for the file `go`; dies where `bug` is there, and once where `late` is.
TASK = """
import os
import time
from pathlib import Path

import heyhi

ROOT = Path(os.environ["LAB"])


def main(task, cfg, log_level):
    with (ROOT / "ledger.txt").open("a") as ledger:
        ledger.write(f"{cfg.x}\\n")
    if (ROOT / "bug").exists():
        raise ValueError("boom")
    heyhi.log(loss=1.0)
    while not (ROOT / "go").exists():
        time.sleep(0.05)
        if (ROOT / f"late{cfg.x}").exists():
            (ROOT / f"late{cfg.x}").unlink()
            raise ValueError("late")
    return {"y": 10 * cfg.x}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""


def jobs_of(lab: Any) -> list[str]:
    """Return the ids of all jobs that Slurm's accounts have of a project; the last one comes to them a little late."""
    words = ["sacct", "-a", "-D", "-X", "-n", "-P", "-S", "now-1hour", "-o", "JobID,WorkDir"]
    said = subprocess.run(words, env=lab.env, capture_output=True, text=True, check=True).stdout
    return [line.partition("|")[0] for line in said.splitlines() if str(lab.root) in line]


def test_a_sweep_of_1000_with_a_bug_costs_exactly_one_job(lab: Any, until: Until) -> None:
    (lab.root / "run.py").write_text(TASK)
    (lab.root / "conf" / "sweep.py").write_text(
        'def yield_sweep():\n    for x in range(1000):\n        yield "conf/work.prototxt", {"x": x}\n'
    )
    lab.allow("bug")
    done = lab.heyhi("launch", "--canary", "conf/sweep.py")
    assert done.returncode == 0, done.stderr
    assert "canary: p/work/x=0" in done.stdout
    assert "first; 999 wait for it" in done.stdout
    until(lambda: "with exit code 1" in lab.heyhi("status").stdout)

    assert lab.ledger == [0]
    until(lambda: jobs_of(lab))
    assert len(jobs_of(lab)) == 1
    shown = lab.heyhi("status").stdout
    assert "DEAD 1  NOT_STARTED 999" in shown
    assert f"NOT_STARTED 999 {TIMES} held back: canary p/work/x=0" in shown
    assert "died: exit code 1: ValueError: boom" in shown
    assert len(shown.splitlines()) < 15


def test_a_canary_that_is_well_is_taken_over_with_its_attempts(lab: Any, until: Until) -> None:
    (lab.root / "run.py").write_text(TASK)
    (lab.root / "conf" / "work.prototxt").write_text("work { launcher { slurm { max_attempts: 2 } } }\n")
    lab.sweep({"x": 1}, {"x": 2}, {"x": 3})
    run = lab.follow("run", "--canary", "--profile", "slurm", "conf/sweep.py")
    until(lambda: sorted(lab.ledger) == [1, 2, 3])
    first = lab.job(1)
    lab.allow("late1")  # it dies after it was taken over, and is tried again as any other of the launch
    until(lambda: sorted(lab.ledger) == [1, 1, 2, 3])
    lab.allow("go")
    code, out = lab.end(run)

    assert code == 0, out
    assert "logged a line after" in out
    assert "go on without this process" not in out
    assert sorted(lab.ledger) == [1, 1, 2, 3]
    assert lab.job(1) != first
    until(lambda: len(jobs_of(lab)) == 4)


def test_a_controller_that_is_told_to_end_leaves_the_job_of_its_canary_and_ctrl_c_cancels_it(
    lab: Any, until: Until, cluster: Any
) -> None:
    (lab.root / "run.py").write_text(TASK.replace("heyhi.log(loss=1.0)", ""))
    lab.sweep({"x": 1}, {"x": 2})
    run = lab.follow("run", "--canary", "--profile", "slurm", "conf/sweep.py")
    until(lambda: lab.ledger == [1])
    run.terminate()
    code, out = lab.end(run)
    assert code == 143, out
    assert lab.statuses()[1]["status"] == "RUNNING"

    run = lab.follow("run", "--profile", "slurm", "--canary", "conf/sweep.py")
    lab.allow("go")
    code, out = lab.end(run)
    assert code == 0, out
    assert sorted(lab.ledger) == [1, 2]

    (lab.root / "go").unlink()
    lab.sweep({"x": 5}, {"x": 6})
    run = lab.follow("run", "--canary", "--profile", "slurm", "conf/sweep.py")
    until(lambda: lab.ledger == [1, 2, 5])
    run.send_signal(2)
    code, out = lab.end(run)
    assert code == 130, out
    assert "1 jobs of this run were cancelled" in out
    assert lab.statuses()[5]["status"] == "DEAD"


def test_the_others_run_the_code_of_the_canaries_and_one_that_was_cancelled_stays_so(lab: Any, until: Until) -> None:
    gate = '    while cfg.x == 1 and not (ROOT / "log1").exists():\n        time.sleep(0.05)\n'
    task = TASK.replace("    heyhi.log(loss=1.0)\n", f"{gate}    heyhi.log(loss=1.0)\n")
    task = task.replace("    heyhi.log", "    if cfg.x == 2:\n        time.sleep(600)\n    heyhi.log")
    (lab.root / "run.py").write_text(task.replace("10 * cfg.x}", '10 * cfg.x, "note": "first"}'))
    lab.sweep({"x": 1}, {"x": 2}, {"x": 3})
    run = lab.follow("run", "--canary=2", "--profile", "slurm", "conf/sweep.py")
    until(lambda: sorted(lab.ledger) == [1, 2])
    assert lab.heyhi("cancel", "-y", str(lab.folder(2).relative_to(lab.root / "results"))).returncode == 0
    (lab.root / "run.py").write_text(task.replace("10 * cfg.x}", '10 * cfg.x, "note": "second"}'))
    lab.allow("log1")
    lab.allow("go")
    code, out = lab.end(run)

    assert code == 1, out
    assert "was cancelled" in out
    assert sorted(lab.ledger) == [1, 2, 3]
    until(lambda: len(jobs_of(lab)) == 3)
    assert lab.result(3)["note"] == "first"
