"""What becomes of experiments that a real Slurm takes later, or never; each call of sbatch is counted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]
# Notes each call, and how it ended; then does as Slurm's own, or as the test says.
SBATCH = """#!/bin/sh
while [ -e {folder}/broken ] && ! mv {folder}/broken {folder}/breaking 2> /dev/null; do sleep 0.01; done
if [ -e {folder}/breaking ]; then
  cat > /dev/null; cat {folder}/breaking >&2; echo broken >> {folder}/calls; mv {folder}/breaking {folder}/broken; exit 1
fi
{sbatch} "$@"
code=$?
echo $code $(date +%s.%N) >> {folder}/calls
exit $code
"""
LIMIT = {"launcher.slurm.qos": "small"}  # two jobs of a user's at once


class Calls:
    """How often sbatch was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def lines(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def say(self, words: str) -> None:
        """Have sbatch do nothing but fail with these words."""
        (self.folder / "new").write_text(words + "\n")
        (self.folder / "new").rename(self.folder / "broken")

    def mend(self) -> None:
        """Have it do as Slurm's own again."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                (self.folder / "broken").unlink()
                return
            except FileNotFoundError:
                time.sleep(0.01)


@pytest.fixture
def calls(lab: Any, tmp_path: Path) -> Calls:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text(SBATCH.format(folder=folder, sbatch=shutil.which("sbatch")))
    (folder / "sbatch").chmod(0o755)
    lab.env["PATH"] = f"{folder}{os.pathsep}{lab.env['PATH']}"
    return Calls(folder)


def files(lab: Any) -> dict[str, int]:
    """All files of the experiments, each with when it was written."""
    return {str(path): path.stat().st_mtime_ns for path in lab.root.glob("results/p/**/*") if path.is_file()}


def test_at_a_submit_limit_sbatch_is_asked_seldom_and_all_that_is_let_in_gets_in(
    lab: Any, calls: Calls, until: Until
) -> None:
    lab.sweep(*({"x": x, "do": "nap", **LIMIT} for x in range(200)))
    assert lab.heyhi("launch").returncode == 0
    until(lambda: len(lab.ledger) >= 1)
    start, before, first = time.monotonic(), len(lab.ledger), len(calls.lines)
    until(lambda: time.monotonic() > start + 60)
    seconds, started = time.monotonic() - start, len(lab.ledger) - before
    count = len(calls.lines) - first
    lab.heyhi("cancel", "--all", "-y")
    print(f"{started} jobs of 4 s in {seconds:.0f} s, {count} calls of sbatch")
    assert count < seconds
    assert started >= 0.5 * 2 * seconds / 4
