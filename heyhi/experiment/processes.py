"""The processes of this machine: those below one of them, their end, and one by its command."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from heyhi.experiment.owner import read_parent_and_start

# Of a process that beats for a claim. Where nothing but its run can be its parent, as in a container, it is below it.
BEAT_NAME = b"heyhi-beat"


def ticks() -> int:
    """Return the time as start times of processes have it: clock ticks since boot; 0 where the system doesn't say."""
    try:
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
    except (AttributeError, OSError, ValueError):
        return 0


def started_since(since: int, root: int | None = None) -> set[int]:
    """Return the process ids of all that was started below a process since then.

    One whose parent has ended meanwhile is not found: it belongs to the system's first process by then.

    Args:
        since: clock ticks since boot.
        root: process id; default: this process.
    """
    children: dict[int, list[tuple[int, int]]] = {}
    for name in _names("/proc"):
        if name.isdigit() and (found := read_parent_and_start(int(name))) is not None:
            children.setdefault(found[0], []).append((int(name), found[1]))
    below: set[int] = set()
    todo = [root or os.getpid()]
    while todo:
        new = {pid for pid, started in children.get(todo.pop(), ()) if started >= since and not is_beat(pid)} - below
        below |= new
        todo += new
    return below


def below_this() -> set[int]:
    """Return the process ids of all below this process, in time that only their number and threads count for."""
    if not os.access(f"/proc/self/task/{os.getpid()}/children", os.F_OK):  # this kernel has no such lists
        return started_since(0)
    below: set[int] = set()
    todo = [os.getpid()]
    while todo:
        new = {pid for pid in children_of(todo.pop()) - below if not is_beat(pid)}
        below |= new
        todo += new
    return below


def children_of(pid: int) -> set[int]:
    """Return the process ids of a process's children; none where it has ended, or the kernel doesn't list them."""
    found: set[int] = set()
    for thread in _names(f"/proc/{pid}/task"):
        with (
            contextlib.suppress(OSError),  # it has ended
            open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file,  # noqa: PTH123 (each second)
        ):
            found.update(map(int, file.read().split()))
    return found


def find_by_words(words: Sequence[str], cwd: Path) -> int | None:
    """Return a process of this machine, started in a folder, that has some words of its command next to each other.

    Args:
        words: of it.
        cwd: the folder, in which it is as yet.

    Returns:
        its process id; None where there is none, or the system doesn't say.
    """
    wanted = b"".join(b"\0" + os.fsencode(word) for word in words) + b"\0"
    for name in filter(str.isdigit, _names("/proc")):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            with open(f"/proc/{name}/cmdline", "rb", buffering=0) as file:  # noqa: PTH123
                command = file.read()
            if wanted in command and os.path.samefile(f"/proc/{name}/cwd", cwd):  # noqa: PTH121
                return int(name)
    return None


def is_beat(pid: int) -> bool:
    """Return whether a process is one that beats for a claim, see `heartbeat`: it is none of the task's."""
    try:
        with open(f"/proc/{pid}/comm", "rb", buffering=0) as file:  # noqa: PTH123 (each second)
            return file.read().rstrip() == BEAT_NAME
    except OSError:
        return False


def kill_started_since(since: int, *, but: frozenset[int] = frozenset(), root: int | None = None) -> None:
    """Kill all that was started below a process since then.

    Args:
        since: clock ticks since boot.
        but: process ids of what is left alone.
        root: process id; default: this process.
    """
    stopped: set[int] = set()
    # Stopped first, so that none starts another one in the meantime.
    while new := started_since(since, root) - but - stopped:
        for pid in new:
            send(pid, signal.SIGSTOP)
        stopped |= new
    for pid in stopped:
        send(pid, signal.SIGKILL)


def send(pid: int, sign: signal.Signals) -> None:
    """Send a signal to a process, if it is there and this user's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, sign)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 (names are all that is asked)
    except OSError:  # no Linux
        return []
