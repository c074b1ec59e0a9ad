"""What runs a command without subprocess does so as subprocess does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from heyhi.quick_process import TookLonger, run_to_end

ENV = dict(os.environ)


def open_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_it_says_what_was_printed_and_how_the_command_ended() -> None:
    ended = run_to_end(["sh", "-c", "echo out; echo err >&2; exit 3"], ENV, 60)
    assert ended == (3, b"out\n", b"err\n")


def test_what_is_printed_may_go_to_a_file(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        ended = run_to_end(["sh", "-c", "echo out; echo err >&2"], ENV, 60, out=file.fileno())
    assert (ended, (tmp_path / "out").read_bytes()) == ((0, b"", b"err\n"), b"out\n")


def test_a_signal_is_a_negative_exit_code() -> None:
    assert run_to_end(["sh", "-c", "kill -TERM $$"], ENV, 60).exit_code == -signal.SIGTERM


def test_more_is_given_and_printed_than_a_pipe_holds() -> None:
    text = b"0123456789abcdef" * 100_000
    ended = run_to_end(["sh", "-c", "tee /dev/stderr"], ENV, 60, given=text)
    assert ended == (0, text, text)


def test_what_a_command_does_not_read_is_no_error() -> None:
    assert run_to_end(["true"], ENV, 60, given=b"x" * 1_000_000).exit_code == 0


def test_nothing_is_given_where_nothing_is_said() -> None:
    assert run_to_end(["cat"], ENV, 60) == (0, b"", b"")
    assert run_to_end(["cat"], ENV, 60, given=b"") == (0, b"", b"")


def test_it_has_the_environment_that_it_is_given() -> None:
    assert run_to_end(["env"], {"ONLY": "this"}, 60).printed == b"ONLY=this\n"


def test_a_command_that_is_not_there_is_an_error_and_leaves_nothing_open() -> None:
    before = open_descriptors()
    with pytest.raises(FileNotFoundError):
        run_to_end(["there-is-no-such-command"], ENV, 60)
    run_to_end(["true"], ENV, 60, given=b"text")
    assert open_descriptors() == before


def test_a_command_that_may_not_be_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "command").write_text("#!/bin/sh\n")
    with pytest.raises(PermissionError):
        run_to_end([str(tmp_path / "command")], ENV, 60)


@pytest.mark.parametrize("code", ["exec sleep 1000", "exec sleep 1000 > /dev/null 2>&1", "while :; do echo line; done"])
def test_one_that_takes_longer_is_killed(tmp_path: Path, code: str) -> None:
    before = open_descriptors()
    with pytest.raises(TookLonger):
        run_to_end(["sh", "-c", f"echo $$ > {tmp_path}/pid; {code}"], ENV, 0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert open_descriptors() == before


def test_who_is_interrupted_leaves_none_behind(tmp_path: Path) -> None:
    code = (
        "import os, heyhi.quick_process as it\n"
        f"words = ['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 1000']\n"
        "it.run_to_end(words, dict(os.environ), 1000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate()[1]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_it_has_a_process_group_of_its_own_and_ignores_no_more_signals_than_one_of_subprocess() -> None:
    code = "grep SigIgn /proc/$$/status; cut -d ' ' -f 1,5 /proc/$$/stat"
    ignored, ids = run_to_end(["sh", "-c", code], ENV, 60).printed.splitlines()
    pid, group = ids.split()
    assert pid == group
    by_subprocess = subprocess.run(["sh", "-c", code], capture_output=True, check=True).stdout.splitlines()[0]
    assert _signals(ignored) == _signals(by_subprocess)


def _signals(line: bytes) -> int:
    """Return a mask of signals, less the two that are the C library's own."""
    return int(line.split()[1], 16) & ~(3 << 31)


def test_a_process_without_standard_descriptors_can_run_one() -> None:
    code = (
        "import os, sys, heyhi.quick_process as it\n"
        "kept = os.dup2(1, 9)\n"
        "[os.close(fd) for fd in (0, 1, 2)]\n"
        "ended = it.run_to_end(['sh', '-c', 'cat; echo err >&2'], dict(os.environ), 60, given=b'given')\n"
        "os.write(9, repr(tuple(ended)).encode())\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"(0, b'given', b'err\\n')"


def test_several_threads_may_do_so_at_once() -> None:
    found: list[bytes] = []

    def one(number: int) -> None:
        found.append(run_to_end(["sh", "-c", f"cat; echo {number}"], ENV, 60, given=b"n").printed)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [b"n%d\n" % number for number in range(8)]
