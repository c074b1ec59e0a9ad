"""Where a run's output goes: into its log, also what C libraries print, and on to the terminal where there is one."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from heyhi.files import open_to_append, writing

# How long to wait until all that was printed is read, and then for the pumps to end: a process that the run left behind
# may keep its output open for ever.
_DRAIN_SECONDS, _END_SECONDS = 10.0, 2.0


class Tee:
    """A context in which all that this process and its children print is appended to a log.

    It works on the file descriptors, so that C libraries and subprocesses are heard too. Output goes on to where it
    went before through the `tee` program: a thread of ours could not help a library that prints while it holds the
    interpreter's lock, and what was printed last before a crash would be lost.

    Args:
        log: file to append to.
        echo: also let the output through to where it went before.

    Raises:
        ResultError: the log can't be written.
    """

    def __init__(self, log: Path, *, echo: bool) -> None:
        self._log = log
        self._echo = echo
        self._saved: dict[int, int] = {}
        self._streams: dict[str, TextIO] = {}
        self._pumps: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        _open_standard_descriptors()
        with writing(self._log):
            handle = open_to_append(self._log)
        flush_all()
        try:
            self._saved = {fd: os.dup(fd) for fd in (1, 2)}
            # One pump where both go to the same terminal or file, so that their order is kept.
            shared = self._echo and os.path.sameopenfile(1, 2)
            out = self._sink(1, handle)
            err = out if shared else self._sink(2, handle)
            os.dup2(out, 1)
            os.dup2(err, 2)
            for one in {out, err} - {handle}:
                os.close(one)
        finally:
            os.close(handle)
        self._replace_streams()
        return self

    def tell(self, text: str) -> None:
        """Print a line to where errors went before, past the log."""
        with contextlib.suppress(OSError):
            os.write(self._saved.get(2, 2), f"{text}\n".encode(errors="backslashreplace"))

    def _sink(self, fd: int, log: int) -> int:
        """Return the descriptor that takes the place of another one."""
        if not self._echo:
            return log
        reader, writer = os.pipe()
        try:
            pump = subprocess.Popen(
                ["tee", "-a", str(self._log)],
                stdin=reader,
                stdout=self._saved[fd],
                stderr=subprocess.DEVNULL,
                # Ctrl-C in the terminal must not end it before all is written.
                start_new_session=True,
                # Python ignores SIGPIPE, and so will it: `| head` must not end the log, nor the run.
                restore_signals=False,
            )
        except FileNotFoundError:
            os.close(writer)
            return log
        finally:
            os.close(reader)
        self._pumps.append(pump)
        return writer

    def _replace_streams(self) -> None:
        """Log what `print` writes, too, where a test or a notebook has replaced `sys.stdout` by another object."""
        for name, fd in (("stdout", 1), ("stderr", 2)):
            stream = getattr(sys, name)
            with contextlib.suppress(AttributeError, OSError, ValueError):
                if stream.fileno() == fd:
                    continue
            self._streams[name] = stream
            setattr(sys, name, _Both(self._log, stream if self._echo else None, fd))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        flush_all()
        for name, stream in self._streams.items():
            ours = getattr(sys, name)
            setattr(sys, name, stream)
            if isinstance(ours, _Both):
                ours.close()
        if self._pumps:
            _wait_until_read((1, 2))
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
            os.close(saved)
        self._saved = {}
        end = time.monotonic() + _END_SECONDS
        for pump in self._pumps:
            with contextlib.suppress(subprocess.TimeoutExpired):
                pump.wait(max(0.0, end - time.monotonic()))


class _Both(io.TextIOBase):
    """A stream that writes to a log, and to another stream that has no file descriptor."""

    def __init__(self, log: Path, stream: TextIO | None, fd: int) -> None:
        self._log = log.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._stream = stream
        self._fd = fd

    def write(self, text: str) -> int:
        self._log.write(text)
        if self._stream is not None:
            try:
                self._stream.write(text)
            except UnicodeError:  # what can't be shown there is in the log, and must not end the run
                self._stream.write(text.encode("ascii", "backslashreplace").decode())
        return len(text)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        if not self._log.closed:
            self._log.flush()
        if self._stream is not None:
            self._stream.flush()

    def fileno(self) -> int:
        return self._fd  # for subprocesses, which are heard below

    def close(self) -> None:
        self._log.close()


def _wait_until_read(descriptors: Iterable[int]) -> None:
    """Wait until the pipes among these descriptors are empty."""
    import fcntl
    import termios

    end = time.monotonic() + _DRAIN_SECONDS
    for fd in descriptors:
        while stat.S_ISFIFO(os.fstat(fd).st_mode) and time.monotonic() < end:
            if int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder) == 0:
                break
            time.sleep(0.001)


def _open_standard_descriptors() -> None:
    """Open the standard descriptors that are closed, as a daemon's are: the next file would get their number."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free one


def flush_all() -> None:
    """Write out all that was printed and waits in a buffer, of Python's or of C's."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    # What C libraries have printed waits in buffers of their own.
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).fflush(None)
