"""The meter of a process: CPU time and peak memory of it and of all below it, sampled by a thread of its own.

Memory is counted once where processes share it (PSS), as a limit on a job's memory does it: eight workers that were
forked from a process of 20 GB use 20 GB as long as they only read. The kernel takes long to find that out, so it is
asked only where there may be a new peak.
"""

from __future__ import annotations

import contextlib
import os
import resource  # not late: a task may have a module of that name
import threading
import time
from collections.abc import Callable, Iterable

from heyhi.experiment.owner import read_parent_and_start
from heyhi.experiment.processes import below_this, ticks
from heyhi.job_env import get_job_env
from heyhi.quick_tuple import NamedTuple

_SECONDS = 1.0  # between two samples
_SHARE = 1 / 4000  # of a core, that samples may take, and what is asked about shared memory: the next one waits for it
# Until it becomes another program, a new process has all memory of the one that starts it, and seems to have it again;
# what stays a copy of it, as workers do, counts after these.
_YOUNG_SECONDS = 5.0
_IS_COPY = 0x40  # PF_FORKNOEXEC of linux/sched.h
_FIRST_NOTE, _NOTE_SECONDS = 10.0, 60.0
_GB = 1 << 30


class Measured(NamedTuple):
    """What some processes have used.

    Attributes:
        seconds: since the first of them was started.
        cpu_seconds: of all.
        mem_gb: at its peak.
        host: where they run.
    """

    seconds: float
    cpu_seconds: float
    mem_gb: float
    host: str

    def with_others(self, others: Iterable[Measured]) -> Measured:
        """Return what these use together with processes elsewhere, memory on the node with most."""
        memory = {self.host: self.mem_gb}
        cpu = self.cpu_seconds
        for other in others:
            memory[other.host] = memory.get(other.host, 0.0) + other.mem_gb
            cpu += other.cpu_seconds
        return self._replace(cpu_seconds=cpu, mem_gb=max(memory.values()))


class Meter:
    """Measure what this process uses from now on, with all that it starts; `stop` ends that.

    Args:
        is_whole: all of this process counts, from its start: it is there for nothing else.
    """

    def __init__(self, *, is_whole: bool = False) -> None:
        self._pid = os.getpid()
        self._began = time.monotonic() - (_age() if is_whole else 0.0)
        self._before = _Own(0.0, 0, 0) if is_whole else _own_use(below_this())
        self._peak = 0
        self._next_shared = 0.0
        self._seen: dict[int, float] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._host = get_job_env().hostname

    def start(self, note: Callable[[], None]) -> None:
        """Sample from now on.

        Args:
            note: called after ten seconds, then every minute, in the sampling thread.
        """
        threading.Thread(target=self._sample, args=(note,), name="heyhi-meter", daemon=True).start()

    def read(self) -> Measured:
        """Return what was used so far."""
        below = below_this()
        self._measure(below)
        own, before, peak = _own_use(below), self._before, self._peak
        # A peak between two samples.
        peak = max(peak, own.peak if own.peak > before.peak else 0)
        peak = max(peak, own.child_peak if own.child_peak > before.child_peak else 0)
        cpu = max(0.0, own.cpu_seconds - before.cpu_seconds)
        return Measured(time.monotonic() - self._began, cpu, peak / _GB, self._host)

    def stop(self) -> None:
        """Take no more samples."""
        self._stop.set()

    def _sample(self, note: Callable[[], None]) -> None:
        next_note = time.monotonic() + _FIRST_NOTE
        pause = _SECONDS
        while not self._stop.wait(pause):
            before = time.thread_time()  # of this thread alone: what it waits for takes no CPU
            shared = self._measure(below_this())
            pause = max(_SECONDS, (time.thread_time() - before - shared) / _SHARE)
            if time.monotonic() >= next_note:
                with contextlib.suppress(Exception):  # it is tried again; a run isn't disturbed by it
                    note()
                next_note = time.monotonic() + _NOTE_SECONDS

    def _measure(self, below: Iterable[int]) -> float:
        """Take a sample; return the CPU time that it took to find out what is shared."""
        now, spent = time.monotonic(), 0.0
        with self._lock:
            self._seen = {pid: self._seen.get(pid, now) for pid in below}
            old = [pid for pid, since in self._seen.items() if now - since >= _YOUNG_SECONDS or not _is_copy(pid)]
            pids = [self._pid, *old]
            memory = sum(map(_resident, pids))
            if memory > self._peak and len(pids) > 1:
                if now < self._next_shared:
                    return 0.0
                begin = time.thread_time()
                memory = sum(map(_proportional, pids))
                spent = time.thread_time() - begin
                self._next_shared = now + spent / _SHARE
            self._peak = max(self._peak, memory)
        return spent


def _age() -> float:
    """Return the seconds since this process was started; 0 where the system doesn't say."""
    found = read_parent_and_start(os.getpid())
    now = ticks()
    return max(0.0, (now - found[1]) / os.sysconf("SC_CLK_TCK")) if found is not None and now else 0.0


class _Own(NamedTuple):
    """CPU time of all processes; the most bytes that this one and the largest that it has waited for had in memory."""

    cpu_seconds: float
    peak: int
    child_peak: int


def _own_use(below: Iterable[int]) -> _Own:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime + sum(map(_cpu_of, below))
    return _Own(cpu, _high_water() or own.ru_maxrss << 10, children.ru_maxrss << 10)


def _high_water() -> int:
    """Return the most bytes that this program had in memory; 0 where the system doesn't say.

    `ru_maxrss` begins with what the program had that has started this one, such as a large controller's.
    """
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/self/status", "rb") as file:  # noqa: PTH123
        return int(file.read().partition(b"\nVmHWM:")[2].split(None, 1)[0]) << 10
    return 0


def _cpu_of(pid: int) -> float:
    """Return the CPU time of a process and of what it has waited for; 0 where it has ended."""
    return sum(map(int, _stat(pid)[11:15])) / os.sysconf("SC_CLK_TCK")


def _is_copy(pid: int) -> bool:
    """Return whether a process is a copy of the one that has started it, and no other program yet."""
    fields = _stat(pid)
    return len(fields) < 7 or bool(int(fields[6]) & _IS_COPY)


def _stat(pid: int) -> list[bytes]:
    """Return what the system says of a process, from its state on; nothing where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 (each second)
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def _resident(pid: int) -> int:
    """Return the bytes that a process has in memory, those included that others have, too."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):  # it has ended, or this is no Linux
        return 0


def _proportional(pid: int) -> int:
    """Return the bytes that a process has in memory, of those that several have its share."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as file:  # noqa: PTH123
            return int(file.read().partition(b"\nPss:")[2].split(None, 1)[0]) << 10
    except PermissionError:  # another user's
        return _resident(pid)
    except (OSError, ValueError, IndexError):  # it has ended
        return 0
