"""Runs a command to its end as `subprocess.run` does, without loading subprocess: that takes 3 ms with what it loads.

A submission by `run.py` starts one command, or two in a git repository, and takes 80 ms in all.
"""

from __future__ import annotations

import fcntl
import os
import select
import time
from collections.abc import Mapping, Sequence

from heyhi.quick_tuple import NamedTuple

# Python ignores SIGPIPE and SIGXFSZ, and no command is to inherit that. By number: `signal` takes 0.5 ms to load.
_IGNORED = (13, 25)
_KILL = 9
_LEAST_FD = 3  # below are those that the command has as its own
_AT_ONCE = 1 << 15  # bytes


class TookLonger(Exception):
    """The command had not ended in time, and was killed."""


class Ended(NamedTuple):
    """How a command has ended.

    Attributes:
        exit_code: of it; negative: the signal that ended it.
        printed: on standard output.
        errors: on standard error.
    """

    exit_code: int
    printed: bytes
    errors: bytes


def run_to_end(
    words: Sequence[str],
    env: Mapping[str, str],
    seconds: float,
    *,
    given: bytes | None = None,
    out: int | None = None,
) -> Ended:
    """Run a command in a process group of its own, whatever its exit code: Ctrl-C on the terminal isn't for it.

    Args:
        words: the command, which is looked for in PATH.
        env: its environment.
        seconds: how long it may take.
        given: its standard input; default: none.
        out: descriptor of what its standard output goes to; default: it is returned.

    Raises:
        OSError: it can't be started.
        TookLonger: it took longer.
    """
    deadline = time.monotonic() + seconds
    with _Pipes() as pipes:
        sources = [pipes.to_read(2)]
        if out is None:
            sources.insert(0, pipes.to_read(1))
        else:
            pipes.actions.append((os.POSIX_SPAWN_DUP2, out, 1))
        into = pipes.to_write(0) if given is not None else None
        if into is None:
            pipes.actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
        pid = os.posix_spawnp(words[0], [*words], env, file_actions=pipes.actions, setpgroup=0, setsigdef=_IGNORED)
        try:
            pipes.close_theirs()
            *printed, errors = _exchange(pipes, into, given or b"", sources, deadline)
            code = _exit_code(pid, deadline)
        except BaseException:
            _kill(pid)
            raise
    return Ended(code, b"".join(printed), errors)


class _Pipes:
    """The pipes between a command and us.

    Attributes:
        actions: what a new process does to have its ends of them in place.
    """

    def __init__(self) -> None:
        self.actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = []
        self._ours: set[int] = set()
        self._theirs: set[int] = set()

    def __enter__(self) -> _Pipes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_theirs()
        for fd in [*self._ours]:
            self.close(fd)

    def to_read(self, place: int) -> int:
        """Return our end of a pipe that the command writes to."""
        reader, writer = self._pipe()
        return self._shared(reader, writer, place)

    def to_write(self, place: int) -> int:
        """Return our end of a pipe that the command reads."""
        reader, writer = self._pipe()
        os.set_blocking(writer, False)
        return self._shared(writer, reader, place)

    def close(self, fd: int) -> None:
        """Close one of our ends."""
        self._ours.remove(fd)
        os.close(fd)

    def close_theirs(self) -> None:
        """Close the command's ends: it has them."""
        while self._theirs:
            os.close(self._theirs.pop())

    def _shared(self, ours: int, theirs: int, place: int) -> int:
        self._ours.add(ours)
        self._theirs.add(theirs)
        self.actions.append((os.POSIX_SPAWN_DUP2, theirs, place))
        return ours

    def _pipe(self) -> tuple[int, int]:
        reader, writer = os.pipe()
        return _out_of_the_way(reader), _out_of_the_way(writer)


def _out_of_the_way(fd: int) -> int:
    """Return a descriptor that is none of the first three, which a process may have been started without."""
    if fd >= _LEAST_FD:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LEAST_FD)
    finally:
        os.close(fd)


def _exchange(pipes: _Pipes, into: int | None, given: bytes, sources: Sequence[int], deadline: float) -> list[bytes]:
    """Write what is given, and read until nobody can print any more."""
    waiting = select.poll()
    read: dict[int, list[bytes]] = {fd: [] for fd in sources}
    going = set(sources)
    for fd in sources:
        waiting.register(fd, select.POLLIN)
    if into is not None:
        waiting.register(into, select.POLLOUT)
    left = memoryview(given)
    while going or into is not None:
        for fd, _ in waiting.poll(_left_until(deadline) * 1_000):
            if fd == into:
                left = _written(fd, left)
                if not left:
                    waiting.unregister(fd)
                    pipes.close(fd)
                    into = None
            elif data := os.read(fd, _AT_ONCE):
                read[fd].append(data)
            else:
                waiting.unregister(fd)
                going.remove(fd)
    return [b"".join(read[fd]) for fd in sources]


def _written(fd: int, left: memoryview) -> memoryview:
    """Write what there is room for, and return the rest; none where nobody reads it."""
    try:
        return left[os.write(fd, left) :]
    except BlockingIOError:
        return left
    except BrokenPipeError:
        return left[:0]


def _exit_code(pid: int, deadline: float) -> int:
    """Wait until a process has ended, which is at once for one that has closed what it prints to."""
    pause = 0.0005
    while True:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # somebody ignores SIGCHLD; as subprocess has it
            return 0
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(min(pause, _left_until(deadline)))
        pause = min(2 * pause, 0.05)


def _left_until(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TookLonger
    return left


def _kill(pid: int) -> None:
    try:
        os.kill(pid, _KILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # it has just ended, and who it was isn't asked any more
