"""The owner of a claim, a process or a job of Slurm's: whether it lives, and how it is ended."""

from __future__ import annotations

import contextlib
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.errors import ClaimError
from heyhi.files import utc_now
from heyhi.quick_dataclass import dataclass
from heyhi.quick_tuple import NamedTuple
from heyhi.slurm.job_id import is_job_id

if TYPE_CHECKING:
    from heyhi.slurm.commands import Job, Queue

SUBMISSION = "submission"
BACK = "back"
_MOST_TEXT = 200  # of what a claim says: part of a file name has room for 255 bytes


@dataclass(frozen=True)
class Owner:
    """Who has a claim.

    Attributes:
        kind: `process` runs the experiment, `submission` has handed it to Slurm or is about to, `back` is a worker's
            job that has tried it, and leaves the next attempt to any worker of its launch, another kind does something
            else with its folder.
        host: where the owner runs.
        boot: the kernel's boot id there; empty where it has none.
        pids: the namespace that the pid counts in: containers may share a host's name.
        pid: of the owner.
        started: start time of that process in clock ticks since boot: a pid is used again. 0 where unknown.
        since: when it took the claim (UTC).
        nonce: name of this claim.
        job: id of the job that it belongs to; empty outside Slurm, and until Slurm has said it.
        root: mark of the results root in the job's comment; empty outside Slurm.
        mark: of the experiment, likewise.
    """

    kind: str
    host: str
    boot: str
    pids: str
    pid: int
    started: int
    since: str
    nonce: str
    job: str = ""
    root: str = ""
    mark: str = ""

    @classmethod
    def this_process(cls, kind: str, ref: JobRef | None = None) -> Owner:
        """Describe this process as the owner of a new claim."""
        host, boot, pids = this_machine()
        nonce = os.urandom(8).hex()
        return cls(kind, host, boot, pids, os.getpid(), _start_time(os.getpid()), utc_now(), nonce, *(ref or JobRef()))

    @property
    def is_sound(self) -> bool:
        """Whether it can be one: a file may say anything, and its nonce becomes the name of one, its pid is ended."""
        texts = (self.kind, self.host, self.boot, self.pids, self.since, self.nonce, self.job, self.root, self.mark)
        return (
            all(len(text) <= _MOST_TEXT and text.isprintable() for text in texts)
            and self.nonce.isascii()
            and self.nonce.isalnum()
            and 0 < self.pid < 1 << 31
            and self.started >= 0
            and (not self.job or is_job_id(self.job))
        )

    def describe(self) -> str:
        """Write it as a message does: `pid 12 on host h since 2026-11-24T10:00:00+00:00`."""
        if self.job:
            return f"job {self.job} since {self.since}"
        return f"pid {self.pid} on host {self.host} since {self.since}"

    def find_job(self, queue: Queue) -> Job | None:
        """Return the owner's job as Slurm has it; None where it has none, or doesn't answer (`queue.error`)."""
        if self.root and self.job:
            job = queue.job(self.job)
            return job if job is not None and job.may_be(self.mark) else None
        jobs = queue.jobs(self.root) if self.root else None
        if jobs is None:
            return None
        from heyhi.slurm.commands import Phase  # who has asked for jobs has it

        # A submitter that was killed before it could note the job's id.
        marked = (job for job in jobs.values() if self.mark in job.comment.partition(" ")[0])
        return max(marked, key=lambda job: (job.phase is not Phase.OVER, int(job.job_id)), default=None)

    @property
    def is_here(self) -> bool:
        """Return whether the owner runs, or ran, where this process could see it."""
        return (self.host, self.boot, self.pids) == this_machine()

    @property
    def runs(self) -> bool:
        """Whether the owner is a process of this machine that runs."""
        with contextlib.suppress(PermissionError):
            return self.is_here and self.kind != SUBMISSION and is_running(self.pid, self.started)
        return True

    def stop(self, grace_seconds: float = 30.0) -> None:
        """End the owner: ask it to, and kill it when it hasn't ended in time.

        Raises:
            ClaimError: it runs on another host, or belongs to somebody else, or is this very process.
        """
        if self.job:
            self._cancel(grace_seconds)
            return
        if not self.is_here:
            raise ClaimError(f"{self.describe()} can't be stopped from host {this_machine()[0]}: stop it there")
        if self.pid == os.getpid():
            raise ClaimError(f"{self.describe()} is this process: it can't stop itself")
        import signal  # takes 0.5 ms to load, and most owners end by themselves

        for sign, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 30.0)):
            try:
                # The start time says that the pid is still the owner's.
                if not is_running(self.pid, self.started):
                    return
                os.kill(self.pid, sign)
            except ProcessLookupError:
                return
            except PermissionError:
                raise ClaimError(f"{self.describe()} can't be stopped: it is another user's") from None
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if not is_running(self.pid, self.started):
                    return
                time.sleep(0.05)
        raise ClaimError(f"{self.describe()} doesn't end, not even when killed")

    def _cancel(self, grace_seconds: float) -> None:
        from heyhi.slurm.commands import Phase, Queue, SlurmError, cancel  # most owners are let live

        cancel([self.job])
        deadline = time.monotonic() + grace_seconds + 60.0  # Slurm's own grace (KillWait) comes in between
        while time.monotonic() < deadline:
            queue = Queue()
            job = self.find_job(queue)
            if queue.error:
                raise SlurmError(queue.error)
            if job is None or job.phase is Phase.OVER:
                return
            time.sleep(0.5)
        raise ClaimError(f"{self.describe()} was cancelled and doesn't end")


class JobRef(NamedTuple):
    """By what a claim's job is found again, see `Owner`."""

    job: str = ""
    root: str = ""
    mark: str = ""


def read_job(word: str) -> tuple[str, tuple[str, ...]]:
    """Read the word by which a job's process is told whose it is: `<results root>:<nonce>[,<nonce> …]`.

    Returns:
        The mark of the results root, and the nonces of the claims that the job's submission took.
    """
    root, _, nonces = word.partition(":")
    return root, tuple(nonces.split(","))


@lru_cache(maxsize=1)
def this_machine() -> tuple[str, str, str]:
    """Return host name, boot id and pid namespace of this process."""
    boot = pids = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        pids = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    return os.uname().nodename, boot, pids


def machine_text() -> str:
    """Return in what the pids of this process count, as a record has it; empty where the system doesn't say."""
    _, boot, pids = this_machine()
    return f"{boot} {pids}" if boot else ""


def uptime() -> float:
    """Return the seconds since this machine was started; endless where the system doesn't say."""
    try:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return float("inf")


def _start_time(pid: int) -> int:
    """Return the start time of a process of this machine in ticks, 0 where the system doesn't say."""
    stat = _read_stat(pid)
    return int(stat[19]) if stat else 0


def read_parent_and_start(pid: int) -> tuple[int, int] | None:
    """Return a process's parent and its start time in clock ticks since boot; None where the system doesn't say."""
    stat = _read_stat(pid)
    return (int(stat[1]), int(stat[19])) if stat else None


def is_running(pid: int, started: int) -> bool:
    """Return whether a process of this machine that started then still runs.

    Raises:
        PermissionError: there is such a process, and nothing can be said about it.
    """
    stat = _read_stat(pid)
    if stat:
        # A zombie has ended; only its parent has not taken notice.
        return started in (0, int(stat[19])) and stat[0] not in ("Z", "X")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    raise PermissionError(f"/proc/{pid}/stat can't be read")


def _read_stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the third on (the second, a name, may hold anything)."""
    # Not psutil's: to import it takes 21 ms, which every job and every status would pay.
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b")")[2].decode().split()
    except (OSError, UnicodeDecodeError):
        return []
