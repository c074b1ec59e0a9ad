"""A command whose output another one takes, run in a process of its own: all of what it prints is given on, or nothing.

Whatever ends that process (an exception, a signal, a lack of memory, an `os._exit` in a sweep file), this one is there
to say so. What is printed past Python, by C code or by a program that was started, is no part of the output.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

_END = b"\0"  # behind all that a command prints, where it was through
_PIPE_BYTES = 1 << 16  # that a pipe holds: a large sweep's targets are handed over in as few pieces as may be
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def can_run_apart() -> bool:
    """Return whether a command can be run in another process, and its output is no terminal's."""
    try:
        return hasattr(os, "fork") and sys.stdout is not None and not os.isatty(sys.stdout.fileno())
    except (OSError, ValueError):
        return False


def run_apart(command: Callable[[], int], *, instead: Callable[[str], None] | None = None) -> int:
    """Run a command in another process, and print what it has printed, if its exit code is 0.

    Args:
        command: returns its exit code, or raises SystemExit.
        instead: of one that says itself, on standard output, what went wrong: what it prints is given on whatever its
            exit code is, and this one called with what has ended it before it could say so.

    Returns:
        its exit code; 128 and a signal's number where it was killed.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_child(command, writing, says_all=instead is not None)
    os.close(writing)
    with _passing_signals_on(child):
        output = _read(reading, child)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(reading)
    if code == -signal.SIGINT:
        return 128 - code  # Ctrl-C twice: whoever pressed it knows
    if code < 0:
        _say(f"ended by {_signal_name(-code)}{'; was memory short?' * (code == -9)}", instead)
        return 128 - code
    is_through = output.endswith(_END) and (code == 0 or output != _END)
    if not is_through and (code == 0 or instead is not None):
        _say("something has ended this before it was through (an os._exit?)", instead)
        return code or 2
    if code == 0 or instead is not None:
        sys.stdout.buffer.write(output.removesuffix(_END))
    return code


def _say(text: str, instead: Callable[[str], None] | None) -> None:
    print(f"error: {text}", file=sys.stderr)
    if instead is not None:
        instead(text)


def _be_child(command: Callable[[], int], writing: int, *, says_all: bool) -> NoReturn:
    """Run the command with its output going into a pipe, and end this process as any other one ends."""
    before = sys.stdout
    with contextlib.suppress(OSError):
        os.dup2(2, 1)
    # Closed with the interpreter: until then what is printed at exit goes to standard error.
    pipe = open(writing, "w", _PIPE_BYTES, encoding=before.encoding, errors=before.errors, closefd=False)  # noqa: SIM115
    sys.stdout = pipe
    code: Any = None
    try:
        code = command()
    except SystemExit as stop:
        code = stop.code
        if code == 128 + signal.SIGINT:
            # A terminal gives Ctrl-C to both processes, and the other one passes it on: the second ends nothing more.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    finally:
        with contextlib.suppress(OSError, ValueError):
            pipe.flush()
        sys.stdout = sys.stderr
        if says_all:
            with contextlib.suppress(OSError):
                os.write(writing, _END)
    if code in (0, None) and not says_all:
        with contextlib.suppress(OSError):
            os.write(writing, _END)
    gc.freeze()  # all of its memory goes with it: what a large sweep has left isn't looked through for garbage
    sys.exit(code)


def _read(reading: int, child: int) -> bytes:
    """Read what a process writes until it is through, or has ended: a process that it left may keep the pipe open."""
    watch = [reading]
    ended = -1
    with contextlib.suppress(OSError, AttributeError):  # an old kernel, or none of Linux
        ended = os.pidfd_open(child)
        watch.append(ended)
    chunks: list[bytes] = []
    try:
        while not (chunks and chunks[-1].endswith(_END)):
            ready = select.select(watch, [], [])[0]
            if reading not in ready:
                break
            chunk = os.read(reading, 1 << 20)
            if not chunk:
                break
            chunks.append(chunk)
    finally:
        if ended >= 0:
            os.close(ended)
    return b"".join(chunks)


@contextlib.contextmanager
def _passing_signals_on(child: int) -> Iterator[None]:
    """Have a process get the signals that are meant for this one, which waits for it."""

    def pass_on(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    before = {number: signal.getsignal(number) for number in _PASSED_ON}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
