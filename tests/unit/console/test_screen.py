"""A terminal with a bar: lines come above it, whoever writes them, and nothing is left of it."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from heyhi.console.screen import Plain, is_terminal, screen_for

PROGRAM = """
import sys, threading
from heyhi.console.screen import screen_for

screen = screen_for(sys.stderr, lambda width: f"bar of {width}"[:width])
screen.write("first")
print("printed")
print("warned", file=sys.stderr)
print("half ", end="")
print("and half")
threads = [threading.Thread(target=lambda n=n: [screen.write(f"line {n} {i}") for i in range(50)]) for n in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("no end", end="")
screen.close()
screen.write("behind")
print(f"{type(sys.stdout).__name__} {type(sys.stderr).__name__}")
"""


def on_terminal(program: str, columns: int, **env: str) -> bytes:
    """Run a program on a terminal of its own, and return what it has written there."""
    own, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=other, stderr=other, env={**os.environ, "TERM": "xterm", **env}
    )
    os.close(other)
    found = b""
    while True:
        try:
            data = os.read(own, 65536)
        except OSError:  # nobody has the other side any more
            break
        if not data:
            break
        found += data
    os.close(own)
    assert process.wait() == 0, found
    return found


def shown(written: bytes) -> list[str]:
    """Return the lines that a terminal shows."""
    lines = written.decode().replace("\r\n", "\n").split("\n")
    return [re.split(r"\r\x1b\[2K", line)[-1] for line in lines]


def test_lines_of_all_come_above_the_bar_whole_and_nothing_is_left_of_it() -> None:
    lines = shown(on_terminal(PROGRAM, 40))
    assert lines[:4] == ["first", "printed", "warned", "half and half"]
    assert sorted(lines[4:204]) == sorted(f"line {n} {i}" for n in range(4) for i in range(50))
    assert lines[204:] == ["no endbehind", "TextIOWrapper TextIOWrapper", ""]


def test_the_bar_steers_a_terminal_on_which_nothing_else_printed_does() -> None:
    program = f"""
from heyhi.text import take_any_text
take_any_text()
{PROGRAM.replace('print("printed")', 'print("printed" + chr(27) + "[31m")')}
"""
    written = on_terminal(program, 40)
    lines = shown(written)
    assert b"\\r" not in written and b"\r\x1b[2K" in written
    assert lines[:4] == ["first", r"printed\x1b[31m", "warned", "half and half"]
    assert lines[204:] == ["no endbehind", "_ShownStream _ShownStream", ""]


def test_plain_lines_keep_their_colours_on_a_terminal() -> None:
    program = """
import sys
from heyhi.console.screen import screen_for
from heyhi.text import take_any_text

take_any_text()
screen_for(sys.stderr, None).write(chr(27) + "[31mred")
"""
    assert on_terminal(program, 40) == b"\x1b[31mred\r\n"


def test_the_bar_is_one_less_than_the_terminal_is_wide() -> None:
    assert b"bar of 39" in on_terminal(PROGRAM, 40)


def test_a_terminal_that_can_draw_nothing_gets_plain_lines() -> None:
    for term in ("dumb", ""):
        written = on_terminal(PROGRAM, 40, TERM=term)
        assert b"bar" not in written and b"\x1b" not in written and b"first\r\n" in written


def test_a_notebook_s_cell_gets_plain_lines() -> None:
    written = on_terminal(PROGRAM, 40, JPY_PARENT_PID="1")
    assert b"bar" not in written and b"\x1b" not in written and b"first\r\n" in written


def test_a_file_gets_plain_lines_at_once(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        screen = screen_for(stream, lambda width: "bar")
        screen.write("one")
        assert (tmp_path / "log").read_text() == "one\n"
        screen.refresh()
        screen.close()
    assert (tmp_path / "log").read_text() == "one\n"


def test_a_full_disk_and_a_closed_stream_end_nothing() -> None:
    with Path("/dev/full").open("w") as stream:
        Plain(stream).write("one")
        with pytest.raises(OSError, match="No space left"):
            stream.close()
    closed = io.StringIO()
    closed.close()
    Plain(closed).write("one")
    assert not is_terminal(closed)
