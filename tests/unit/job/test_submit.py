"""The script of a job, run by a real shell: what it passes on, has queued again, and says of the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.job.order import root_mark
from heyhi.job.script import batch_script

# Says that it listens as a run does, then waits for the signal.
LISTENS = """
import os, signal, sys, time
from pathlib import Path
from heyhi.job.notice import Notice
seen = []
class Mine(Notice):
    def __call__(self, *_):
        seen.append("warned")
    def listen(self):
        super().listen()
        if self.came:
            seen.append("warned before")
Path("begun").touch()
while not Path("listen").exists():
    time.sleep(0.01)
notice = Mine()
notice.listen()
Path("listens").touch()
while not seen and not Path("go").exists():
    time.sleep(0.01)
Path("seen").write_text(" ".join(seen))
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.Popen[str]]:
    """Start a job's script in a folder, as Slurm does; `scontrol` only notes what it is told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "scontrol").write_text(
        # Its parent is the shell that reads what it prints; the script is that one's.
        f'#!/bin/sh\necho "$*" > {tmp_path}/told\nscript=$(cut -d" " -f4 /proc/$PPID/stat)\n'
        "kill -TERM $script\nsleep 0.2\nkill -KILL $script\n"
    )
    (folder / "scontrol").chmod(0o755)
    (tmp_path / "tmp").mkdir()
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "TMPDIR": str(tmp_path / "tmp")}

    def start(*words: str) -> subprocess.Popen[str]:
        script = batch_script(words, tmp_path / "results root")
        process = subprocess.Popen(
            ["bash", "-s"], cwd=tmp_path, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        # As Slurm does, all of it at once: bash must not read the run's input.
        process.stdin.write(script)
        process.stdin.close()
        process.stdin = None
        return process

    return start


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


def end(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=60)
    return process.returncode


def test_a_warning_reaches_a_run_that_listens(job: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    process = job(sys.executable, "-c", LISTENS, "0")
    (tmp_path / "listen").touch()
    wait_for(tmp_path / "listens")
    process.send_signal(signal.SIGUSR2)
    assert end(process) == 0
    assert (tmp_path / "seen").read_text() == "warned"
    assert not list((tmp_path / "tmp").iterdir())


def test_a_warning_before_that_is_kept(job: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    process = job(sys.executable, "-c", LISTENS, "0")
    wait_for(tmp_path / "begun")
    process.send_signal(signal.SIGUSR2)
    noted = tmp_path / "tmp"
    deadline = time.monotonic() + 60
    while not list(noted.glob("*/.notice*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (tmp_path / "listen").touch()
    assert end(process) == 0
    assert (tmp_path / "seen").read_text() == "warned before"


def test_a_warning_is_heard_with_the_continue_signal_that_slurm_sends_before_it(
    job: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = job(sys.executable, "-c", LISTENS, "0")
    (tmp_path / "listen").touch()
    wait_for(tmp_path / "listens")
    process.send_signal(signal.SIGSTOP)  # both are there when it looks
    process.send_signal(signal.SIGUSR2)
    process.send_signal(signal.SIGCONT)
    assert end(process) == 0
    assert (tmp_path / "seen").read_text() == "warned"


def test_a_run_that_asks_for_it_is_queued_again(job: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    end(job(sys.executable, "-c", "from heyhi.job.notice import ask_again; raise SystemExit(ask_again())"))
    assert (tmp_path / "told").read_text() == "requeue Incomplete 7\n"
    assert not list((tmp_path / "tmp").iterdir())


# 75 alone may be the task's own: nobody asked for another start then, and the next one would end alike.
@pytest.mark.parametrize("code", [0, 1, 2, 75, 99])
def test_an_exit_code_is_the_jobs(job: Callable[..., subprocess.Popen[str]], tmp_path: Path, code: int) -> None:
    assert end(job(sys.executable, "-c", f"raise SystemExit({code})")) == code
    assert not (tmp_path / "told").exists()


def test_a_signal_that_ends_a_run_ends_the_script(job: Callable[..., subprocess.Popen[str]]) -> None:
    assert end(job(sys.executable, "-c", "import os; os.kill(os.getpid(), 11)")) == -11


def test_the_script_outlives_a_sigterm_until_its_run_has_ended(
    job: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = job(sys.executable, "-c", LISTENS, "3")
    (tmp_path / "listen").touch()
    wait_for(tmp_path / "listens")
    process.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    assert end(process) == 3


@settings(max_examples=25)
@given(st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), max_size=4))
def test_no_word_means_anything_to_the_shell(words: list[str]) -> None:
    script = batch_script(["printf", r"%s\0", *words], Path("/r"))
    env = {**os.environ, "SLURM_JOB_ID": "7"}
    done = subprocess.run(["bash", "-s"], input=script.encode(), capture_output=True, check=True, env=env)
    assert done.stdout == "".join(f"{word}\0" for word in words or [""]).encode()


def test_jobs_of_one_results_root_have_one_mark_by_whatever_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert root_mark(tmp_path / "real") == root_mark(tmp_path / "link") != root_mark(tmp_path)
