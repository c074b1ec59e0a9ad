"""Slurm's own commands where no controller answers them: said at once, before anything is written."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CONF = """
ClusterName=dead
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=9
AuthType=auth/none
NodeName=n1 CPUs=1
PartitionName=main Nodes=ALL Default=YES
"""
WORDS = ("--cfg", "c02_sup_train/sl", "I.launcher=slurm")


@pytest.mark.parametrize("command", ["heyhi launch", "heyhi search"])
def test_a_controller_that_is_away_is_said_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, slurm_programs: Any
) -> None:
    (tmp_path / "slurm.conf").write_text(CONF)
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    results = tmp_path / "results"
    monkeypatch.setenv("HH_EXP_DIR", str(results))
    program = ["-m", "heyhi.cli", command.split()[1]]
    more = ("--space", "lr=1,2", "--max", "val_accuracy", "--trials", "2") if command == "heyhi search" else ()
    done = subprocess.run(
        [sys.executable, *program, *WORDS, *more], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: sbatch is here, but Slurm's controller (")
    assert ") doesn't answer: " in done.stderr and "Traceback" not in done.stderr
    assert not results.exists()


def test_a_loop_over_a_task_file_outlives_a_restart_and_is_told_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slurm_programs: Any
) -> None:
    (tmp_path / "slurm.conf").write_text(CONF)
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    results = tmp_path / "results"
    monkeypatch.setenv("HH_EXP_DIR", str(results))
    with subprocess.Popen(
        [sys.executable, "run.py", *WORDS], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stderr is not None
        told = next(line for line in waiting.stderr if "asked again" in line)
        assert told.startswith("sbatch is here, but Slurm's controller (") and "Ctrl-C leaves nothing behind" in told
        assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(60) == 130
    assert not results.exists()
