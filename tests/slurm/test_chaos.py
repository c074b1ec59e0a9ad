"""A short chaos test: a dozen experiments, while each kind of trouble comes once. `make chaos` is the long one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MUST_COME = {"kill controller", "scancel", "kill job", "kill slurmctld", "kill slurmd", "set node down", "preempt"}


@pytest.fixture(autouse=True)
def cluster(clean_environment: None, slurm_programs: None) -> None:
    """None from here: chaos starts its own."""


@pytest.mark.slow
def test_nothing_is_lost_or_done_twice_while_all_is_killed_around_it(tmp_path: Path) -> None:
    folder = tmp_path / "chaos"
    words = ["--seed", "7", "--minutes", "8", "--experiments", "12", "--events", "9", "--longest", "16", "--gap", "2"]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("chaos.py")), *words, "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    book = json.loads((folder / "ledger.json").read_text())
    assert book["events"].keys() >= MUST_COME
    assert book["done"] == book["experiments"] == 14
    assert book["overlaps"] == 0
    assert book["dead by reason, before retry"]["CANCELLED"] >= 2


@pytest.mark.slow
def test_nothing_is_lost_or_done_twice_while_workers_are_killed(tmp_path: Path) -> None:
    folder = tmp_path / "chaos"
    words = ["--seed", "7", "--minutes", "7", "--experiments", "12", "--events", "9", "--longest", "12", "--gap", "3"]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("chaos.py")), *words, "--workers", "3", "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    book = json.loads((folder / "ledger.json").read_text())
    assert book["events"].keys() >= MUST_COME - {"kill controller"}
    assert book["done"] == book["experiments"] == 14
    assert book["overlaps"] == 0


@pytest.mark.slow
def test_nothing_is_lost_or_done_twice_while_the_controller_is_a_job_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "chaos"
    words = ["--controller", "slurm", "--seed", "4", "--minutes", "8", "--experiments", "8", "--events", "4"]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("chaos.py")), *words, "--longest", "16", "--gap", "3",
         "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    book = json.loads((folder / "ledger.json").read_text())
    assert book["events"]["kill controller"] == 1
    assert book["controllers"] > book["launches of the controller"]
    assert book["done"] == book["experiments"] == 10
    assert book["overlaps"] == 0
