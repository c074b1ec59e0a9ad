"""The files of a sweep's table are there, and fresh, while real Snakemake still runs the sweep."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heyhi.report.freshness import IN_BACKGROUND

from .conftest import SECONDS, SWEEP, until
from .test_run_here import start

# What `heyhi report` shows of a run is asked for in the background, too, and there it waits.
HOLDING = f"""
import os, subprocess, sys

def get_logs_data(handle):
    if "{IN_BACKGROUND}" in sys.argv:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "{IN_BACKGROUND}"])
        open("held", "w").close()
        os.read(os.open("hold", os.O_RDWR), 1)
    return {{"y": handle.result()["y"]}}
"""
MEANWHILE = """
def get_logs_data(handle):
    open("results/reports/sweep.csv", "w").write("newer")
    return {}
"""
HEYHI, SNAKEMAKE = ("run",), ("--config", "sweep=conf/sweep.py")


def rows(tiny: Any) -> dict[str, dict[str, str]]:
    """The rows of the table's file, by their x; none where there is no file."""
    path = tiny.root / "results/reports/sweep.csv"
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {row["x"]: row for row in csv.DictReader(file)}


def makers(tiny: Any) -> list[int]:
    """Processes that make a table of this project in the background, and what these have started."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "cwd").readlink() == tiny.root:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                found += [int(folder.name)] if IN_BACKGROUND.encode() in words else []
        except OSError:  # it has ended
            continue
    return found


@pytest.mark.parametrize("command", [HEYHI, SNAKEMAKE], ids=["heyhi run", "snakemake"])
def test_the_table_has_a_metric_while_another_experiment_still_runs(tiny: Any, command: tuple[str, ...]) -> None:
    tiny.make_gate(3)
    run = start(tiny, *command) if command is HEYHI else tiny.start(*command)
    assert tiny.wait_at_gate()[0] == 3
    until(lambda: rows(tiny))
    found = rows(tiny)
    assert run.poll() is None
    assert found["3"]["status"] in ("RUNNING", "NOT_STARTED") and found["3"]["loss"] == ""
    assert {("DONE", "1"), ("DONE", "2")} & {(row["status"], row["loss"]) for row in found.values()}
    until((tiny.root / "results/reports/sweep.html").exists)
    tiny.open_gate(3)
    out, err = run.communicate(timeout=SECONDS)
    assert run.returncode == 0, err
    assert "results/reports/sweep.csv" in out
    assert [(row["status"], row["loss"]) for row in rows(tiny).values()] == [("DONE", x) for x in "123"]
    assert "isn't fresh" not in err and makers(tiny) == []


@pytest.fixture
def held(tiny: Any) -> Any:
    """A project whose table waits at a gate while it is made in the background."""
    (tiny.root / "conf/sweep.py").write_text(SWEEP + HOLDING)
    os.mkfifo(tiny.root / "hold")
    return tiny


def test_a_controller_that_is_killed_leaves_none_behind(held: Any) -> None:
    held.make_gate(3)
    run = held.start(*SNAKEMAKE)
    held.wait_at_gate()
    until(lambda: (held.root / "held").exists())
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in makers(held)] == [19, 19]
    run.kill()
    until(lambda: not makers(held))
    assert not list((held.root / "results/reports").glob("sweep.*"))


def test_the_end_waits_for_none_and_its_table_is_the_last(held: Any) -> None:
    held.make_gate(3)
    run = held.start(*SNAKEMAKE)
    held.wait_at_gate()
    until(lambda: (held.root / "held").exists())
    held.open_gate(3)
    _, err = run.communicate(timeout=SECONDS)
    assert run.returncode == 0, err
    assert makers(held) == [] and "isn't fresh" not in err
    assert [row["status"] for row in rows(held).values()] == ["DONE"] * 3
    assert not list((held.root / "results/reports").glob(".*"))


def test_ctrl_c_counts_it_as_no_run_and_leaves_none(held: Any) -> None:
    held.make_gate(3)
    run = held.start(*SNAKEMAKE)
    held.wait_at_gate()
    until(lambda: (held.root / "held").exists())
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=SECONDS)
    assert run.returncode == 130 and "Traceback" not in err
    assert re.findall("waiting for .* to end", err) == ["waiting for 1 run to end"]
    assert makers(held) == []


def test_what_cannot_be_written_is_said_once_and_the_run_goes_on(tiny: Any) -> None:
    tiny.make_gate(3)
    (tiny.root / "results/reports/sweep.html").mkdir(parents=True)
    run = tiny.start(*SNAKEMAKE)
    tiny.wait_at_gate()
    until(lambda: rows(tiny))
    told = ""
    while "isn't fresh" not in told:
        told += run.stderr.readline()
    assert "the table isn't fresh while this goes on: " in told and "sweep.html" in told
    tiny.open_gate(3)
    _, err = run.communicate(timeout=SECONDS)
    assert run.returncode == 0 and "isn't fresh" not in err, err
    assert [row["status"] for row in rows(tiny).values()] == ["DONE"] * 3


@pytest.mark.parametrize("is_background", [True, False], ids=["in the background", "for a rule"])
def test_a_table_that_somebody_else_has_written_meanwhile_is_left_in_the_background(
    tiny: Any, is_background: bool
) -> None:
    (tiny.root / "conf/sweep.py").write_text(SWEEP)
    assert tiny.snakemake(*SNAKEMAKE).returncode == 0
    (tiny.root / "conf/sweep.py").write_text(SWEEP + MEANWHILE)  # what was read before isn't what this one reads
    manifest = tiny.heyhi("expand", "--manifest", "conf/sweep.py").strip()
    files = [tiny.root / "results/reports" / name for name in ("sweep.csv", "sweep.md")]
    words = [manifest, *(f"--to={file}" for file in files), *([IN_BACKGROUND] if is_background else [])]
    with subprocess.Popen(
        [sys.executable, "-m", "heyhi.report", *words], cwd=tiny.root, env=tiny.env, stdin=subprocess.PIPE
    ) as process:  # it ends with whoever has the other end of this pipe
        assert process.wait(SECONDS) == 0
    assert [file.read_text() == "newer" for file in files] == [is_background, False]
