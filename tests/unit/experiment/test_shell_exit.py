"""What only the shell of a run has seen of its end."""

from __future__ import annotations

from pathlib import Path

from heyhi.experiment.death import death_in
from heyhi.experiment.exits import ENDED
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import History, Start

START = Start(1, "first", "2026-11-28T12:00:00+00:00", "here", 77)
KILLED = "/usr/bin/bash: line 1:    77 Killed                  /p/python -P -m heyhi.runner x\n"


def reason(folder: Path, log: str, start: Start = START) -> str:
    """Return why an experiment without an end is dead, by its launch.log."""
    (folder / "launch.log").write_text(log)
    return death_in(ExperimentDir(folder), History([start])).text


def test_by_which_signal_a_run_was_killed_is_known_from_its_shell(tmp_path: Path) -> None:
    ended = f"{ENDED}137, 2026-11-28T12:00:09Z\n"
    assert reason(tmp_path, KILLED + ended) == "signal 9 (SIGKILL) (pid 77 on host here)"
    assert reason(tmp_path, ended) == "signal 9 (SIGKILL) (pid 77 on host here)"


def test_what_was_seen_of_another_run_is_not_its_end(tmp_path: Path) -> None:
    nobody = "killed (no end record; pid 77 on host here)"
    assert reason(tmp_path, "") == nobody
    # Another process of the shell's: one that waited for this run.
    assert reason(tmp_path, KILLED.replace("77", "78") + f"{ENDED}137, 2026-11-28T12:00:09Z\n") == nobody
    # Before this one was started, by run.py or by a shell.
    assert reason(tmp_path, f"{ENDED}137, 2026-11-28T11:59:09Z\n") == nobody
    assert reason(tmp_path, f"{ENDED}137, 2026-11-28T12:00:09Z\n--- started again now, pid 77\n") == nobody
