"""Runs whose output is closed, full or read by nobody, and commands that show something where it is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.works import PROTO
from tests.unit.redirections import UNREAD, redirected

RUN = """
import sys
import heyhi

def main(task, cfg, log_level):
    print("said", flush=True)
    print("told", file=sys.stderr)
    return {"done": True}

if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""
RUN_PY = ["run.py", "--cfg", "work", "seed=1"]


@pytest.fixture(autouse=True)
def project(make_project: Callable[..., Path]) -> Path:
    root = make_project(PROTO)
    (root / "run.py").write_text(RUN)
    return root


def check(project: Path, found: subprocess.CompletedProcess[str]) -> None:
    (folder,) = (project / "results/p/work").glob("seed=1_*")
    assert (found.returncode, (folder / "result.json").exists()) == (0, True), found.stderr
    assert "Traceback" not in found.stderr and "Exception ignored" not in found.stderr
    assert {"said", "told"} <= set((folder / "log.txt").read_text().splitlines())


@pytest.mark.parametrize("redirection", ["> /dev/full 2>&1", "<&- >&- 2>&-", UNREAD])
def test_a_run_that_is_done_exits_with_0_whatever_becomes_of_its_output(project: Path, redirection: str) -> None:
    check(project, redirected([sys.executable, *RUN_PY], redirection))


@pytest.mark.parametrize("redirection", ["> /dev/full 2>&1", "<&- >&- 2>&-"])
def test_so_does_the_run_of_a_manifest(project: Path, redirection: str) -> None:
    words = [sys.executable, "-m", "heyhi.cli", "expand", "--cfg", "work", "seed=1"]
    target, manifest = (
        subprocess.run([*words, *more], capture_output=True, text=True, check=True).stdout.strip()
        for more in ((), ("--manifest",))
    )
    runner = [sys.executable, "-m", "heyhi.runner", target, "--manifest", manifest]
    check(project, redirected(runner, redirection))


@pytest.mark.parametrize("words", ["status", "logs results/p/work/seed=1_*", "expand", "plan --json", "note"])
def test_a_command_whose_output_is_lost_says_so_in_one_line(project: Path, words: str) -> None:
    assert subprocess.run([sys.executable, *RUN_PY], capture_output=True).returncode == 0
    command = ["bash", "-c", f"exec {sys.executable} -m heyhi.cli {words}"]
    for redirection in (">&-", "> /dev/full"):
        found = redirected(command, redirection)
        assert found.returncode == 2 and found.stderr.count("standard output can't be written") == 1, found.stderr
        assert "Traceback" not in found.stderr


def test_a_command_that_changes_something_does_so_where_its_output_is_lost(project: Path) -> None:
    assert subprocess.run([sys.executable, *RUN_PY], capture_output=True).returncode == 0
    (folder,) = (project / "results/p/work").glob("seed=1_*")
    found = redirected([sys.executable, "-m", "heyhi.cli", "note", str(folder), "a word"], "> /dev/full")
    assert found.returncode == 0 and "warning: standard output can't be written: No space" in found.stderr
    listed = subprocess.run([sys.executable, "-m", "heyhi.cli", "note"], capture_output=True, text=True, check=True)
    assert "a word" in listed.stdout
