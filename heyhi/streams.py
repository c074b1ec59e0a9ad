"""Standard output and error, whatever they are: closed, full, read by nobody, not to be waited for.

One rule for all commands. Standard error never ends anything. Who only shows something ends where standard output
takes no more of it, which `errors.reporting_errors` turns into an exit code; who starts, changes or ends something
goes on, and its exit code says how that went. What text they take is left to `text`.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NAMES = ("stdin", "stdout", "stderr")
_HIGH = 512  # from here on a task that closes what it takes for its own finds none of ours


def make_room() -> None:
    """Have this process's table of descriptors reach as far as those that are kept; to be called before any thread.

    Later, whoever takes a high number waits until all CPUs have seen the larger table, which takes some 8 ms.
    """
    with contextlib.suppress(OSError):  # more than this process may have
        os.close(fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, _HIGH))


class LostOutput(OSError):
    """Standard output takes no more, and what it was to show is all that was asked for."""


class Descriptor(io.FileIO):
    """A standard descriptor to write to.

    Args:
        fd: 1 or 2.
        goes_on: drop what it doesn't take, instead of raising.
        instead: is given that, and returns whether it has taken it.

    Attributes:
        lost: why the first of what it didn't take was not taken.
    """

    def __init__(self, fd: int, *, goes_on: bool, instead: Callable[[ReadableBuffer], bool] | None = None) -> None:
        super().__init__(fd, "w", closefd=False)
        self.name = f"<{_NAMES[fd]}>"
        self.goes_on = goes_on
        self.lost: OSError | None = None
        self._instead = instead

    def write(self, data: ReadableBuffer, /) -> int:
        """Write some of the data, or all, and return how much."""
        try:
            while (written := super().write(data)) is None:  # it is full for now, and told not to wait
                _wait_for_room(self.fileno())
            return written
        except OSError as error:
            if self._instead is None or not self._instead(data):
                self.lost = self.lost or error
            if not self.goes_on:
                raise LostOutput(error.errno, error.strerror) from None
            return memoryview(data).nbytes


class Held:
    """A descriptor that is kept beside the standard ones, with a high number: a task may close what it takes for its.

    Args:
        fd: of a file; its number changes.
    """

    def __init__(self, fd: int) -> None:
        try:
            self.fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
        except OSError:  # more than this process may have
            self.fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        os.close(fd)
        self._file = _file_at(self.fd)

    @property
    def is_ours(self) -> bool:
        """Whether it is still the same file."""
        return _file_at(self.fd) == self._file

    def put_at(self, fd: int) -> None:
        """Make a standard descriptor this file, or none where it is gone."""
        if self.is_ours:
            os.dup2(self.fd, fd)
            return
        nothing = os.open(os.devnull, os.O_RDWR)
        if nothing != fd:
            os.dup2(nothing, fd)
            os.close(nothing)

    def close(self) -> None:
        """Close it, unless the task has done so."""
        if self.is_ours:
            os.close(self.fd)


def _file_at(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def open_standard_descriptors() -> None:
    """Open the standard descriptors that are closed, as a daemon's are: the next file would get their number."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            # Takes the lowest free one. Who writes to it is told: nothing goes there.
            os.open(os.devnull, os.O_RDONLY)
            os.set_inheritable(fd, True)


def text_stream(
    fd: int,
    like: object,
    *,
    goes_on: bool,
    instead: Callable[[ReadableBuffer], bool] | None = None,
    is_log: bool = False,
) -> TextIO:
    """Return a text stream that writes to a standard descriptor.

    Args:
        fd: 1 or 2.
        like: stream that it is to be like: encoding, what becomes of what that lacks, and when it is written out.
        goes_on: see `Descriptor`.
        instead: see `Descriptor`.
        is_log: write out each line at once: somebody may follow it, and a kill loses what waits.
    """
    is_error = fd == 2
    is_unbuffered = bool(getattr(like, "write_through", False))
    kind = _AtOnce if is_unbuffered else io.BufferedWriter
    stream = io.TextIOWrapper(
        kind(Descriptor(fd, goes_on=goes_on, instead=instead)),
        encoding=getattr(like, "encoding", None) or "utf-8",
        errors=getattr(like, "errors", None) or "backslashreplace",
        line_buffering=is_log or bool(getattr(like, "line_buffering", is_error)),
        write_through=is_unbuffered,
    )
    stream.mode = "w"  # type: ignore[misc]
    return stream


class _AtOnce(io.BufferedWriter):
    """What `python -u` asks for: nothing waits, and nothing is cut short."""

    def write(self, data: ReadableBuffer, /) -> int:
        size = super().write(data)
        self.flush()
        return size


def write_all(fd: int, data: ReadableBuffer) -> None:
    """Write all of the data to a descriptor.

    Raises:
        OSError: it doesn't take it.
    """
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            _wait_for_room(fd)


def _wait_for_room(fd: int) -> None:
    waiting = select.poll()
    waiting.register(fd, select.POLLOUT)
    waiting.poll()


def guard_streams(*, goes_on: bool = False) -> None:
    """Have standard output and error do as the rule says, in a program that is ours.

    To be called where it starts, before a stream is changed in another way. A stream that somebody has put in the place
    of Python's own, as a test does, is left alone.

    Args:
        goes_on: whether the program does something else than to show.
    """
    open_standard_descriptors()
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (as long as the program runs)
    for fd in (1, 2):
        name = _NAMES[fd]
        stream = getattr(sys, name)
        if _guarding(stream) is not None or (stream is not None and stream is not getattr(sys, f"__{name}__")):
            continue
        with contextlib.suppress(AttributeError, OSError, ValueError):
            if stream is not None and (stream.fileno() != fd or stream.closed):
                continue
            if stream is not None:
                stream.flush()
            setattr(sys, name, text_stream(fd, stream, goes_on=fd == 2))
    if goes_on:
        go_on()


@contextlib.contextmanager
def kept_descriptors() -> Iterator[Callable[[], None]]:
    """Keep standard output and error of this program; give what gets them back from who has closed or replaced them."""
    kept = {fd: Held(os.dup(fd)) for fd in (1, 2)}

    def regain() -> None:
        for fd, held in kept.items():
            if held.is_ours:
                os.dup2(held.fd, fd)
        _guard_anew()

    try:
        yield regain
    finally:
        for held in kept.values():
            held.close()


def _guard_anew() -> None:
    for fd in (1, 2):
        guarding = _guarding(getattr(sys, _NAMES[fd]))
        if guarding is None or guarding.closed:
            setattr(sys, _NAMES[fd], text_stream(fd, None, goes_on=True))


def go_on() -> None:
    """From here on, what standard output doesn't take ends nothing."""
    if (guarding := _guarding(sys.stdout)) is not None:
        guarding.goes_on = True


def lost_output() -> OSError | None:
    """Write out what waits for standard output; return why it hasn't taken all, None where it has.

    What it doesn't take is dropped then, lest the interpreter complain at its end.
    """
    guarding = _guarding(sys.stdout)
    error: OSError | None = None
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as lost:
        error = lost
    except ValueError:  # closed
        return None
    if guarding is not None:
        guarding.goes_on = True
        return guarding.lost
    if error is not None:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return error


def is_going_on() -> bool:
    """Return whether what standard output doesn't take is to end nothing."""
    guarding = _guarding(sys.stdout)
    return guarding is not None and guarding.goes_on


def _guarding(stream: object) -> Descriptor | None:
    with contextlib.suppress(AttributeError, ValueError):  # another's, or detached
        raw = stream.buffer.raw  # type: ignore[attr-defined]
        return raw if isinstance(raw, Descriptor) else None
    return None
