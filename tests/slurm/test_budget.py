"""`--max-gpu-hours` on a real cluster: nothing starts once so many were used, and what was to start is as before."""

from __future__ import annotations

import json
import shutil
import signal
import stat
from collections.abc import Callable

import pytest

from tests.listener import listening

from .conftest import Lab

GPUS = "num_gpus: 4 mem_per_gpu: 0.1 single_task_per_node: true"


@pytest.fixture
def gpus(lab: Lab) -> Lab:
    """The lab, where each experiment has 4 GPUs for some 3 seconds: some 0.004 GPU-hours."""
    (lab.root / "conf/work.prototxt").write_text(f"work {{ launcher {{ slurm {{ {GPUS} }} }} }}\n")
    lab.env["NAP"] = "2"
    return lab


def used(lab: Lab) -> float:
    """GPU-hours that all attempts have on record."""
    total = 0.0
    for path in lab.root.glob("results/p/work/*/attempts.jsonl"):
        for line in path.read_text().splitlines():
            amount = json.loads(line).get("used", {})
            total += amount.get("gpus", 0) * amount.get("seconds", 0) / 3600
    return total


def test_nothing_starts_once_they_were_used_and_the_rest_is_not_started(gpus: Lab) -> None:
    count = 12  # of which 6 run at once: three nodes of 8 GPUs
    gpus.sweep(*({"x": x, "do": "nap"} for x in range(count)))
    done = gpus.heyhi("launch", "--foreground", "--max-gpu-hours", "0.002", "conf/sweep.py")
    assert done.returncode == 1, done.stdout + done.stderr
    rows = gpus.statuses("conf/sweep.py")
    finished = [x for x, row in rows.items() if row["status"] == "DONE"]
    held = [row for row in rows.values() if row["status"] == "NOT_STARTED"]
    # Never exceeded by more than what ran at the time.
    assert 1 <= len(finished) <= 6
    assert len(finished) + len(held) == count
    assert all("of 0.002 GPU-hours used" in row["reason"] for row in held), held
    assert sorted(gpus.ledger) == sorted(finished)
    assert f"held back: {used(gpus):.3g} of 0.002 GPU-hours used; {len(held)} are left" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not [row for row in held if (gpus.root / "results" / row["exp_id"] / "job.json").exists()]
    # The next one counts its own.
    again = gpus.heyhi("launch", "--foreground", "--max-gpu-hours", "1", "conf/sweep.py")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "by the median of" in again.stdout or f"enough for {len(held)} of {len(held)}" in again.stdout
    assert {row["status"] for row in gpus.statuses("conf/sweep.py").values()} == {"DONE"}
    assert sorted(gpus.ledger) == list(range(count))


def test_a_retry_has_its_own_and_what_has_failed_counts(gpus: Lab) -> None:
    gpus.sweep({"x": 1, "do": "fail"}, {"x": 2, "do": "fail"})
    first = gpus.heyhi("launch", "--foreground", "--jobs", "1", "--max-gpu-hours", "0.00001", "conf/sweep.py")
    assert first.returncode == 1, first.stdout
    assert gpus.ledger == [1]
    rows = gpus.statuses("conf/sweep.py")
    assert [rows[1]["status"], rows[2]["status"]] == ["DEAD", "NOT_STARTED"]
    again = gpus.heyhi("retry", "--dead", "-y", "--foreground", "--max-gpu-hours", "1", "conf/sweep.py")
    assert again.returncode == 1, again.stdout + again.stderr
    assert gpus.ledger == [1, 1]


def test_workers_start_nothing_more_either(gpus: Lab, until: Callable[[Callable[[], object]], None]) -> None:
    gpus.sweep(*({"x": x, "do": "nap"} for x in range(6)))
    launched = gpus.heyhi("launch", "--workers", "2", "--max-gpu-hours", "0.003", "conf/sweep.py")
    assert launched.returncode == 0, launched.stdout + launched.stderr
    until(lambda: len(gpus.ledger) >= 2)
    until(lambda: not gpus.run_words("squeue", "-h").stdout)
    rows = gpus.statuses("conf/sweep.py")
    done = [x for x, row in rows.items() if row["status"] == "DONE"]
    held = [row["reason"] for row in rows.values() if row["status"] == "NOT_STARTED"]
    assert sorted(gpus.ledger) == done
    assert len(done) in (2, 3, 4)
    tables = list((gpus.root / "results/reports").glob("*.csv"))
    assert [path.read_text().count("NOT_STARTED") for path in tables] == [len(held)], "the last that leaves makes it"
    assert len(held) == 6 - len(done)
    assert all("of 0.003 GPU-hours used" in reason for reason in held), held


def test_experiments_that_share_jobs_have_one_too(gpus: Lab) -> None:
    (gpus.root / "conf/work.prototxt").write_text(f"work {{ launcher {{ slurm {{ {GPUS} pack: 2 }} }} }}\n")
    gpus.sweep(*({"x": x, "do": "nap"} for x in range(4)))
    packs = gpus.heyhi("launch", "--foreground", "--jobs", "2", "--max-gpu-hours", "0.001", "conf/sweep.py")
    assert packs.returncode == 1, packs.stdout
    statuses = sorted(row["status"] for row in gpus.statuses("conf/sweep.py").values())
    assert statuses == ["DONE", "DONE", "NOT_STARTED", "NOT_STARTED"], packs.stdout


def test_on_this_machine_the_gpus_of_the_launcher_count(gpus: Lab) -> None:
    gpus.sweep(*({"x": x, "do": "nap"} for x in range(3)))
    done = gpus.heyhi("run", "--profile", "local", "--jobs", "1", "--max-gpu-hours", "0.001", "conf/sweep.py")
    assert done.returncode == 1, done.stdout
    assert gpus.ledger == [0]
    rows = gpus.statuses("conf/sweep.py")
    assert [rows[x]["status"] for x in range(3)] == ["DONE", "NOT_STARTED", "NOT_STARTED"]


def test_what_is_held_back_has_not_died_and_is_no_error(gpus: Lab) -> None:
    gpus.sweep(*({"x": x, "do": "nap"} for x in range(3)))
    words = ("--profile", "local", "--jobs", "1", "--max-gpu-hours", "0.001", "conf/sweep.py")
    with listening() as listener:
        done = gpus.heyhi("run", "--notify", listener.url, *words)
        assert done.returncode == 1, done.stdout
        assert listener.events == ["end"]
        assert listener.got[0].form["counts"] == {"DONE": 1, "NOT_STARTED": 2}
    said = done.stdout + done.stderr
    assert "ERROR" not in said
    assert said.count("GPU-hours used: nothing more is started") == 1
    assert "1 done, 2 held back in" in said


def test_the_end_says_how_much_was_used_also_where_that_was_less(gpus: Lab) -> None:
    gpus.sweep({"x": 1, "do": "nap"})
    done = gpus.heyhi("run", "--profile", "local", "--max-gpu-hours", "1", "conf/sweep.py")
    assert done.returncode == 0, done.stdout
    assert " of 1 GPU-hours used" in done.stdout


def test_a_controller_that_is_killed_as_it_cancels_what_waits_leaves_no_death(
    gpus: Lab, until: Callable[[Callable[[], object]], None]
) -> None:
    real = shutil.which("scancel")
    scancel = gpus.root / "bin/scancel"
    scancel.parent.mkdir()
    scancel.write_text(f'#!/bin/sh\n{real} "$@"\nkill -9 $PPID\n')
    scancel.chmod(scancel.stat().st_mode | stat.S_IXUSR)
    count = 9  # of which 6 run at once
    gpus.sweep(*({"x": x, "do": "nap"} for x in range(count)))
    path = gpus.env["PATH"]
    gpus.env["PATH"] = f"{scancel.parent}:{path}"
    process = gpus.follow("launch", "--foreground", "--max-gpu-hours", "0.0001", "conf/sweep.py")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    gpus.env["PATH"] = path
    until(lambda: not gpus.run_words("squeue", "-h").stdout)
    rows = gpus.statuses("conf/sweep.py")
    held = [row for row in rows.values() if row["status"] == "NOT_STARTED"]
    assert len(held) + sum(row["status"] == "DONE" for row in rows.values()) == count, rows
    assert len(held) >= 3
    assert all("of 0.0001 GPU-hours used" in row["reason"] for row in held), held
    # With the next launch these are what was never started, also for itself.
    again = gpus.heyhi("launch", "--foreground", "--max-gpu-hours", "1", "conf/sweep.py")
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"NOT_STARTED {len(held)}" in again.stdout
    assert "DEAD" not in again.stdout
    assert sorted(gpus.ledger) == list(range(count))


def test_a_job_that_starts_once_all_was_used_says_why_without_a_controller(
    gpus: Lab, until: Callable[[Callable[[], object]], None]
) -> None:
    gpus.sweep({"x": 1, "do": "nap"}, {"x": 2, "do": "nap"})
    (gpus.root / "conf/work.prototxt").write_text(
        f'work {{ launcher {{ slurm {{ {GPUS} extra: "--nodelist=n1 --exclusive" }} }} }}\n'
    )
    process = gpus.follow("launch", "--foreground", "--max-gpu-hours", "0.0001", "conf/sweep.py")
    until(lambda: len(gpus.run_words("squeue", "-h").stdout.splitlines()) == 2 and gpus.ledger)
    process.kill()
    until(lambda: not gpus.run_words("squeue", "-h").stdout)
    assert len(gpus.ledger) == 1
    rows = gpus.statuses("conf/sweep.py")
    assert sorted(row["status"] for row in rows.values()) == ["DONE", "NOT_STARTED"]
    assert [row["reason"] for row in rows.values() if "of 0.0001 GPU-hours used" in row["reason"]], rows
