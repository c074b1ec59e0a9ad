"""What a run has left is ended by its mark, and nothing else is; a real cluster's is in tests/slurm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from heyhi.job import leftovers
from heyhi.job.leftovers import MARK_VARIABLE, SHELL, end_leftovers

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); input()"
MEEK = "print('ready', flush=True); input()"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that some run of a job might have left."""
    started: list[subprocess.Popen[str]] = []

    def begin(mark: str, job: str, code: str = MEEK, **more: Any) -> subprocess.Popen[str]:
        env = {**os.environ, MARK_VARIABLE: mark, "SLURM_JOB_ID": job}
        words = [sys.executable, "-c", code]
        process = subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def by_bash(mark: str, job: str) -> None:
    words = ["bash", "-c", f'{SHELL}\nend_left "$@"', "bash", mark, f"SLURM_JOB_ID={job}"]
    subprocess.run(words, check=True, timeout=60)


@pytest.mark.parametrize("end", [end_leftovers, by_bash])
def test_what_has_the_mark_and_the_job_is_ended(start: Start, end: Callable[[str, str], None]) -> None:
    mark = f"7.{os.getpid()}.1"
    mine = [start(mark, "7", start_new_session=True), start(mark, "7")]
    others = [start(mark, "8"), start(f"{mark}2", "7"), start(f"2{mark}", "7")]
    end(mark, "7")
    assert [process.wait() for process in mine] == [-signal.SIGTERM] * 2
    assert [process.poll() for process in others] == [None] * 3


def test_what_ignores_the_request_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_TRIES", 1)
    process = start("7.1.2", "7", STUBBORN)
    end_leftovers("7.1.2", "7")
    assert process.wait() == -signal.SIGKILL


def test_a_jobs_script_ends_what_its_packs_members_have_left_too(start: Start) -> None:
    mark = f"7.{os.getpid()}.3"
    process = start(f"{mark}.2", "7")
    by_bash(mark, "7")
    assert process.wait() == -signal.SIGTERM


def test_where_nothing_is_left_it_takes_no_time() -> None:
    began = time.monotonic()
    end_leftovers("7.1.4", "7")
    assert time.monotonic() - began < leftovers._TRIES * leftovers._PAUSE_SECONDS
