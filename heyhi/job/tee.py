"""Where a run's output goes: into its log, also what C libraries print, and on to the terminal where there is one.

Nothing that the task does to its streams, and nothing that happens to who reads them, ends its run.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from heyhi.files import open_to_append, writing
from heyhi.streams import Held, open_standard_descriptors, text_stream, write_all
from heyhi.text import readable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from heyhi.job.pump import Pump

# How long to wait until all that was printed is read, and then for the pumps to end: a process that the run left behind
# may keep its output open for ever.
_DRAIN_SECONDS, _END_SECONDS = 10.0, 2.0
_NAMES = {1: "stdout", 2: "stderr"}


class Tee:
    """A context in which all that this process and its children print is appended to a log.

    It works on the file descriptors, so that C libraries and subprocesses are heard too. Output goes on to where it
    went before through the `tee` program: a thread of ours could not help a library that prints while it holds the
    interpreter's lock, and what was printed last before a crash would be lost.

    Inside, `sys.stdout` and `sys.stderr` write out each line at once, so that somebody may follow the log, and raise
    nothing: what a full disk doesn't take is lost, which is said at the end, and the run goes on. At the end both are
    as they were, whatever the task has made of them.

    Args:
        log: file to append to.
        echo: also let the output through to where it went before.

    Raises:
        ResultError: the log can't be written.
    """

    def __init__(self, log: Path, *, echo: bool) -> None:
        self._log = log.absolute()
        self._echo = echo
        self._saved: dict[int, Held] = {}
        self._sinks: dict[int, Held] = {}
        self._streams: dict[int, TextIO | None] = {}
        self._ours: list[TextIO | _Both] = []
        self._pumps: list[Pump] = []
        self._lost: OSError | None = None

    def __enter__(self) -> Self:
        open_standard_descriptors()
        with writing(self._log):
            handle = open_to_append(self._log)
        flush_all()
        try:
            self._saved = {fd: Held(os.dup(fd)) for fd in _NAMES}
            # One pump where both go to the same terminal or file, so that their order is kept.
            shared = self._echo and os.path.sameopenfile(1, 2)
            out = self._sink(1, handle)
            self._sinks = {1: out, 2: out if shared else self._sink(2, handle)}
        finally:
            os.close(handle)
        self._streams = {fd: getattr(sys, name) for fd, name in _NAMES.items()}
        self.regain()
        return self

    def tell(self, text: str) -> None:
        """Print a line to where errors went before, past the log."""
        with contextlib.suppress(OSError):
            os.write(self._saved[2].fd if self._saved else 2, f"{readable(text)}\n".encode(errors="backslashreplace"))

    def regain(self) -> None:
        """Have what is printed go into the log, whatever the task has made of its streams and descriptors."""
        flush_all(*self._ours)
        for fd, name in _NAMES.items():
            if not self._sinks[fd].is_ours:
                continue  # it has closed that as well, and may have something of its own there
            os.dup2(self._sinks[fd].fd, fd)
            now = getattr(sys, name)
            if not any(now is one and _is_open(one) for one in self._ours):
                self._ours.append(self._stream_of(fd))
                setattr(sys, name, self._ours[-1])

    def _stream_of(self, fd: int) -> TextIO | _Both:
        stream = self._streams[fd]
        with contextlib.suppress(AttributeError, OSError, ValueError):
            if stream is not None and stream.fileno() == fd:
                return text_stream(fd, stream, goes_on=True, instead=partial(self._take, fd), is_log=True)
        # What a test or a notebook has put there instead is heard, too.
        return _Both(self._log, stream if self._echo else None, fd)

    def _take(self, fd: int, data: ReadableBuffer) -> bool:
        """Put into the log what a descriptor of the task's doesn't take, which it may have closed."""
        try:
            write_all(self._sinks[fd].fd, data)
        except OSError as error:
            if self._sinks[fd].is_ours:
                self._lost = self._lost or error
            return False
        return True

    def _sink(self, fd: int, log: int) -> Held:
        """Return what takes the place of a descriptor."""
        if self._echo:
            from heyhi.job.pump import Pump  # a job's run has none

            reader, writer = os.pipe()
            try:
                self._pumps.append(Pump(reader, self._saved[fd], self._log))
            except OSError:  # there is no such program
                os.close(writer)
            else:
                return Held(writer)
        return Held(os.dup(log))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        flush_all(*self._ours)
        for fd, name in _NAMES.items():
            setattr(sys, name, self._streams[fd])
        for ours in self._ours:
            if isinstance(ours, _Both):
                ours.close()
        if self._pumps:
            _wait_until_read(self._sinks.values())
        for fd, saved in self._saved.items():
            saved.put_at(fd)
        for sink in set(self._sinks.values()):
            sink.close()
        end = time.monotonic() + _END_SECONDS
        for pump in self._pumps:
            pump.end(end)
        for saved in self._saved.values():
            saved.close()
        self._saved = {}
        if self._lost is not None:
            with contextlib.suppress(Exception):  # whatever stands there
                print(f"{self._log}: some of what was printed is lost: {self._lost.strerror}", file=sys.stderr)


class _Both(io.TextIOBase):
    """A stream that writes to a log, and to another stream that has no file descriptor."""

    def __init__(self, log: Path, stream: TextIO | None, fd: int) -> None:
        self._log = os.fdopen(open_to_append(log), "a", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._stream = stream
        self._fd = fd

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):  # a full disk ends no run
            self._log.write(text)
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
                try:
                    self._stream.write(text)
                except UnicodeError:  # what can't be shown there is in the log
                    self._stream.write(text.encode("ascii", "backslashreplace").decode())
        return len(text)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        for stream in (self._log, self._stream):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # None, or closed
                stream.flush()  # type: ignore[union-attr]

    def fileno(self) -> int:
        return self._fd  # for subprocesses, which are heard below

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._log.close()
        super().close()


def _is_open(stream: TextIO | _Both) -> bool:
    with contextlib.suppress(ValueError):  # detached
        return not stream.closed
    return False


def _wait_until_read(sinks: Iterable[Held]) -> None:
    """Wait until the pipes among these are empty."""
    import fcntl
    import termios

    end = time.monotonic() + _DRAIN_SECONDS
    for sink in sinks:
        while sink.is_ours and stat.S_ISFIFO(os.fstat(sink.fd).st_mode) and time.monotonic() < end:
            if int.from_bytes(fcntl.ioctl(sink.fd, termios.FIONREAD, bytes(4)), sys.byteorder) == 0:
                break
            time.sleep(0.001)


def flush_all(*streams: object) -> None:
    """Write out all that was printed and waits in a buffer, of these streams, of Python's or of C's."""
    for stream in (*streams, sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a task may have put anything there
            stream.flush()  # type: ignore[union-attr]
    # What C libraries have printed waits in buffers of their own.
    with contextlib.suppress(ImportError, OSError, AttributeError):
        from _ctypes import call_function, dlopen, dlsym  # as in `alarm`

        call_function(dlsym(dlopen(None, 0), "fflush"), (None,))  # type: ignore[arg-type]
