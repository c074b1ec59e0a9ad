"""What a run of Snakemake prints by HeyHi's logger: lines in a file, a bar on a terminal, else Snakemake's own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest

from .conftest import SECONDS, Tiny

TIME = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)
# What differs between two runs of one command: times, and names of files that have them.
STAMPS = re.compile(r"\[\w{3} \w{3} +\d+ [\d:]+ \d{4}\]|\d{4}-\d\d-\d\d[T ][\d:.]+|\d+:\d\d:\d\d\.\d+|Workflow ID: .*")


def told(stderr: str) -> list[str]:
    """Return the lines of a run without their times, and the counts of seconds."""
    lines = [line for line in stderr.splitlines() if TIME.match(line)]
    return [re.sub(r"\b\d+ s\b", "N s", TIME.sub("", line)) for line in lines]


def test_a_run_says_when_one_starts_and_how_it_ends_and_nothing_more(tiny: Tiny) -> None:
    tiny.make_fail(2)
    run = tiny.snakemake("--cores", "1")
    targets = tiny.heyhi("expand").split()
    exp_id = targets[1].removeprefix("results/").removesuffix("/result.json")
    head, *lines = told(run.stderr)
    assert head.startswith("run     3 experiments, on 1 core of this machine, 20")
    assert lines == [
        "start   x=1",
        "done    x=1  N s",
        "start   x=2",
        f"DEAD    x=2  exit code 1: ValueError: boom 2  log: results/{exp_id}/log.txt",
        "start   x=3",
        "done    x=3  N s",
        f"end     2 done, 1 DEAD in N s; heyhi logs --error {exp_id} shows more, and the same command goes on",
    ]
    # Beside these: Snakemake's profile, and what came of the sweep.
    assert len(run.stderr.splitlines()) == 10, run.stderr
    assert run.stdout.startswith("status") and run.returncode == 1

    (tiny.root / "fail-2").unlink()
    again = tiny.snakemake()
    head, *lines = told(again.stderr)
    assert head.startswith("run     1 experiment, on 2 cores of this machine, 2 DONE before, 20")
    assert lines[:2] == ["start   x=2", "done    x=2  N s"] and lines[2].startswith("table   results/reports/sweep/")
    assert lines[3:] == ["end     1 done in N s"] and again.returncode == 0, again.stderr


def test_what_is_blocked_is_said_once_and_verbose_says_all(tiny: Tiny) -> None:
    tiny.make_fail(9)
    run = tiny.snakemake("--config", "sweep=conf/looks.py")
    lines = told(run.stderr)
    assert "BLOCKED look:x=5, look:x=6" in lines and lines[1] == "start   work:x=9"
    assert lines[-1].startswith("end     0 done, 1 DEAD, 2 BLOCKED in N s; ")
    loud = tiny.snakemake("--config", "sweep=conf/looks.py", "--verbose").stderr
    assert told(loud) == [] and "Select jobs to execute..." in loud and "Error in rule experiment:" in loud


@pytest.mark.parametrize("args", [("--dry-run",), ("--summary",), ("--touch",)])
def test_what_runs_nothing_reads_as_snakemake_writes_it(tiny: Tiny, args: tuple[str, ...]) -> None:
    tiny.env["PYTHONHASHSEED"] = "0"  # Snakemake lists files in the order of a set
    profile = tiny.root / "profiles/local/config.yaml"
    ours = tiny.snakemake(*args)
    text = profile.read_text()
    profile.write_text(text.replace("logger:\n  - heyhi\n", ""))
    assert profile.read_text() != text
    snakemakes = tiny.snakemake(*args)
    assert STAMPS.sub("", ours.stderr) == STAMPS.sub("", snakemakes.stderr)
    assert STAMPS.sub("", ours.stdout) == STAMPS.sub("", snakemakes.stdout)
    assert ours.returncode == snakemakes.returncode


def test_an_error_of_snakemakes_own_is_seen_in_full_without_noise(tiny: Tiny) -> None:
    run = tiny.snakemake("no/such/target")
    assert run.returncode == 1 and "\nMissingRuleException:\nNo rule to produce no/such/target" in run.stderr
    assert "Building DAG" not in run.stderr


def test_ctrl_c_on_a_terminal_leaves_the_table_and_no_bar(tiny: Tiny) -> None:
    tiny.make_gate(1)
    own, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/local", "--cores", "1"]
    process = subprocess.Popen(
        command,
        cwd=tiny.root,
        env={**tiny.env, "TERM": "xterm"},
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    tiny.started.append(process)
    os.close(other)
    written = b""
    try:
        while b" 0/3: 0 done, 1 running" not in written:
            written += _read(own)
        assert tiny.wait_at_gate()[0] == 1
        os.write(own, b"\x03")
        while data := _read(own):
            written += data
    finally:
        os.close(own)
    assert process.wait(SECONDS) == 130
    lines = [re.split(r"\r\x1b\[2K", line)[-1] for line in written.decode().replace("\r\n", "\n").split("\n")]
    assert not [line for line in lines if " 0/3: " in line]
    assert any(line.startswith("3 experiments: ") for line in lines)
    assert [line for line in lines if re.search(r" end +0 done, .*not done in ", line)], lines


def _read(terminal: int) -> bytes:
    deadline = time.monotonic() + SECONDS
    assert select.select([terminal], [], [], deadline - time.monotonic())[0], "nothing more comes"
    try:
        return os.read(terminal, 65536)
    except OSError:  # nobody has the other side any more
        return b""
