"""Claims: who may run an experiment, settled by files in its folder, on one machine or over a network.

A claim is a file that one process can create and all can read. The claim of an owner who is gone may be taken over, by
exactly one other. Statuses and results are left to other modules.

How it works. A claim's file holds a nonce, a random name that no other claim has. The first claim of a folder is
`claim.json`. To take over the claim of nonce `a`, whose owner is gone, a process creates `claim.a.json`, and leaves
`claim.json` where it is; the next one takes over by `claim.<its nonce>.json`. So the files form a chain, of which the
last one is the current claim. Each file is made by a hard link, which is atomic, fails where the name exists, also on
NFS, and never shows a half-written file; so of two processes only one gets a name. A release removes `claim.json`
first, which makes the whole chain void, then the rest. A process that has made its link reads the chain again: if a
release came in between, its own link is not the end of the chain that begins with `claim.json`, and it removes the
link and tries again.

A job of Slurm's may have a claim, too: first that of its submission, then that of the process which runs in the job.
Whether such an owner lives is for Slurm to say; without an answer it counts as alive.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from heyhi.errors import ClaimError, UnknownError
from heyhi.experiment.names import CLAIM_NAME
from heyhi.experiment.owner import SUBMISSION, JobRef, Owner, is_running, this_machine, uptime
from heyhi.files import age_of, forget, is_there_now, write_temp, writing
from heyhi.slurm.commands import Phase, Queue
from heyhi.text import shell_line

HEARTBEAT_SECONDS = 30.0
STALE_SECONDS = 180.0
_TRIES = 200
# A claim that seems gone is looked for again: over NFS a file that was just put in place may not be seen at first.
_LOOK_AGAIN_SECONDS = (0.05, 0.2)
# A claim's file that was in its folder just now and can't be opened was removed: unless it stays there.
_FIND_AGAIN_SECONDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
# By how much the times of one file system may differ without harm: its servers have clocks of their own.
_CLOCK_SECONDS = 5.0
# A clock that is off by more is taken for right: otherwise each look at an old claim would write into its folder.
_WRONG_CLOCK_SECONDS = 86_400.0


@dataclass(frozen=True)
class _Link:
    """One file of the chain; `owner` is None where it can't be read."""

    path: Path
    nonce: str
    owner: Owner | None
    touched: float


class Claim:
    """The right to run an experiment, until `release()` or the end of this process.

    A thread touches the file now and then, so that other hosts see a living owner.
    """

    def __init__(
        self, owner: Owner, link: Path, below: tuple[Path, ...], on_lost: Callable[[str], None] | None
    ) -> None:
        self.owner = owner
        self._link = link
        self._below = below  # the files of dead owners that this claim took over, claim.json first
        self._on_lost = on_lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heyhi-claim", daemon=True)
        self._thread.start()

    @classmethod
    def acquire(
        cls,
        folder: Path,
        *,
        kind: str = "process",
        on_lost: Callable[[str], None] | None = None,
        ref: JobRef | None = None,
        replaces: Callable[[Owner], bool] | None = None,
        queue: Queue | None = None,
    ) -> Claim | Owner:
        """Take the claim of an experiment, unless a living owner has it.

        Args:
            folder: of the experiment; it must exist.
            kind: what the claim is for, see `Owner`.
            on_lost: called once, from another thread, with the reason, when the claim turns out to be
                another's: this process was stopped for so long that it was taken for dead.
            ref: job that the claim belongs to.
            replaces: returns whether the claim of a living owner passes on to this one: a job follows its submission.
            queue: what Slurm says of jobs; default: ask it, if a job has the claim.

        Returns:
            The claim, or the living owner that has it.

        Raises:
            UnknownError: a claim file can't be read, or is damaged and not old.
            ClaimError: the file system has no hard links.
            ResultError: the folder can't be written.
        """
        follows = replaces or _never
        for attempt in range(_TRIES):
            chain = _read_chain(folder)
            last = chain[-1] if chain else None
            if last is not None and (other := _owner_in_the_way(last, follows, queue)) is not None:
                return other
            owner = Owner.this_process(kind, ref)
            link = folder / (f"claim.{last.nonce}.json" if last is not None else CLAIM_NAME)
            made = _make_link(link, owner)
            try:
                below = _confirm(folder, owner, follows, queue)
                if below is not None:
                    made = False
                    return cls(owner, link, below, on_lost)
            finally:
                # Unless another took us for dead meanwhile, and hangs on our link.
                with contextlib.suppress(UnknownError):
                    if made and not is_there_now(folder / f"claim.{owner.nonce}.json"):
                        link.unlink(missing_ok=True)
            time.sleep(min(0.001 * attempt, 0.05))  # another was faster: see who
        raise ClaimError(f"{folder / CLAIM_NAME}: can't be claimed: others keep coming first")

    def is_held(self) -> bool:
        """Return whether the claim is still ours."""
        return not self.why_lost()

    def why_lost(self) -> str:
        """Say who has the claim instead of us; empty while it is ours.

        Raises:
            UnknownError: a claim file can't be read.
        """
        return why_lost(self._link.parent, self.owner.nonce)

    def hand_over(self, job: str) -> None:
        """Leave the claim to a job, from now on for as long as Slurm has it.

        Args:
            job: its id.

        Raises:
            ResultError: the id can't be written down; the job is found by its comment then.
        """
        self._stop.set()
        owner = replace(self.owner, job=job)
        with writing(self._link):
            temp = write_temp(self._link.with_name(CLAIM_NAME), json.dumps(asdict(owner)) + "\n")
            try:
                # Unless the job has been faster, and is over.
                held = _read_link(self._link)
                if held is not None and held.nonce == owner.nonce:
                    temp.replace(self._link)
            finally:
                temp.unlink(missing_ok=True)

    def release(self) -> None:
        """Give the claim up; does nothing the second time, in a forked child, or when it was lost."""
        if self._stop.is_set() or self.owner.pid != os.getpid():
            return
        self._stop.set()
        # A touch first: who takes us for dead looks again after its own link, and then sees it.
        with contextlib.suppress(OSError, ClaimError):
            os.utime(self._link)
            if self.is_held():
                for path in (*self._below, self._link):
                    path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _beat(self) -> None:
        misses = 0
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                lost = self.why_lost()
                if not lost:
                    os.utime(self._link)
            except (OSError, ClaimError):
                continue  # the file system has a bad moment; that says nothing about the claim
            misses = misses + 1 if lost else 0
            if misses == 2:
                if self._on_lost is not None:
                    self._on_lost(lost)
                return


def _never(owner: Owner) -> bool:
    return False


def read_owner(folder: str | Path, queue: Queue | None = None, *, is_there: bool = False) -> Owner | None:
    """Return the living owner of an experiment's claim, or None.

    Args:
        folder: of the experiment.
        queue: what Slurm says of jobs; default: ask it, if a job has the claim.
        is_there: a claim's file was seen just now, whatever this machine remembers of it.

    Raises:
        UnknownError: a claim file can't be read, or is damaged and not old.
    """
    try:
        # Nearly every folder that is asked about has no claim: that costs one system call.
        os.stat(f"{folder}/{CLAIM_NAME}")  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        if not is_there:
            return None
    except OSError as error:
        raise _unreadable(Path(folder) / CLAIM_NAME, error) from None
    chain = _read_chain(Path(folder))
    return _living_owner(chain[-1], queue) if chain else None


def why_lost(folder: Path, nonce: str) -> str:
    """Say who has an experiment instead of a claim; empty while that claim is the current one.

    Args:
        folder: of the experiment.
        nonce: of the claim.

    Raises:
        UnknownError: a claim file can't be read.
    """
    for pause in (*_LOOK_AGAIN_SECONDS, None):
        chain = _read_chain(folder)
        if chain and chain[-1].nonce == nonce:
            return ""
        if pause is not None:
            time.sleep(pause)
    owner = chain[-1].owner if chain else None
    taken = f"taken over by {owner.describe() if owner is not None else 'another'}" if chain else "removed"
    return f"the claim {folder / CLAIM_NAME} was {taken}"


def read_last_owner(folder: str | Path) -> Owner | None:
    """Return the owner that an experiment's claim names, whether it lives or not; None where there is no claim.

    Raises:
        UnknownError: a claim file can't be read.
    """
    chain = _read_chain(Path(folder))
    return chain[-1].owner if chain else None


def _read_chain(folder: Path) -> list[_Link]:
    """Read the files of the chain, `claim.json` first."""
    for pause in (*_FIND_AGAIN_SECONDS, None):
        # What this machine remembers of a folder in NFS may be a minute old: opening the folder makes it ask. Other
        # file systems may give the names as they are now, and remember all the same that there was no such file.
        try:
            names = set(os.listdir(folder))  # noqa: PTH208 (names only)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError:  # a folder may be closed to who may open what is in it
            names = set()
        except OSError as error:
            raise _unreadable(folder, error) from None
        chain, missing = _walk(folder, names)
        if missing is None:
            return chain
        if pause is None:
            raise UnknownError(f"{missing}: is there, and can't be found; {_mend(missing)}")
        time.sleep(pause)
    raise AssertionError("the last look returns or raises")


def _walk(folder: Path, names: set[str]) -> tuple[list[_Link], Path | None]:
    """Return the chain, and the file of it that should be there and isn't: it was removed, or is remembered not to be.

    Args:
        folder: of the experiment.
        names: of what is in it, as of just now.
    """
    chain: list[_Link] = []
    path = folder / CLAIM_NAME
    while True:
        link = _read_link(path)
        if link is None and path.name in names:
            forget(path)
            link = _read_link(path)
        if link is None:
            return chain, path if path.name in names else None
        if any(one.nonce == link.nonce for one in chain):
            raise UnknownError(f"{link.path}: the claims of this folder go round in a circle; {_mend(chain[0].path)}")
        chain.append(link)
        path = folder / f"claim.{link.nonce}.json"


def _read_link(path: Path) -> _Link | None:
    try:
        # Opened rather than only looked at: this makes NFS ask its server.
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            data = file.read(10_000)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ESTALE:  # NFS: removed by another host between opening and reading
            return None
        raise _unreadable(path, error) from None
    try:
        values = json.loads(data)
        # Those with a default are younger than some claims.
        owner = Owner(**{f.name: values[f.name] for f in fields(Owner) if f.name in values or f.default is MISSING})
        # The types of the fields are their names here. The nonce becomes part of a file name.
        if any(type(getattr(owner, f.name)).__name__ != f.type for f in fields(Owner)) or not owner.nonce.isalnum():
            raise ValueError
    except (ValueError, KeyError, TypeError):
        # Its nonce must be one that no other file ever has.
        return _Link(path, f"bad{stat.st_ino:x}x{stat.st_mtime_ns:x}", None, stat.st_mtime)
    return _Link(path, owner.nonce, owner, stat.st_mtime)


def _unreadable(path: Path, error: OSError) -> UnknownError:
    return UnknownError(f"{path}: can't be read: {error.strerror or error}; {_mend(path)}")


def _mend(path: Path) -> str:
    return f"if nobody runs this experiment, remove it: {shell_line(['rm', '-r', str(path)])}"


def _living_owner(link: _Link, queue: Queue | None = None) -> Owner | None:
    """Return the owner of a claim if it lives."""
    owner = link.owner
    if owner is None:
        if _age(link) > STALE_SECONDS:
            return None
        raise UnknownError(f"{link.path}: is damaged, so nobody knows who has the experiment; {_mend(link.path)}")
    if owner.root:
        return owner if _lives_in_slurm(link, owner, queue if queue is not None else Queue()) else None
    return _living_process(link, owner)


def _owner_in_the_way(link: _Link, follows: Callable[[Owner], bool], queue: Queue | None) -> Owner | None:
    """Return the owner of a claim if it lives, and doesn't pass it on to who asks."""
    if link.owner is not None and follows(link.owner):
        return None
    return _living_owner(link, queue)


def _lives_in_slurm(link: _Link, owner: Owner, queue: Queue) -> bool:
    """Return whether a job has its claim still, or will have: it is Slurm that says so, not the submitting process."""
    is_submitting = owner.kind == SUBMISSION and not owner.job
    if (is_submitting or (owner.kind != SUBMISSION and owner.is_here)) and _living_process(link, owner):
        return True
    lives = _is_queued(owner, queue)
    if not lives and queue.asked is not None and _is_younger(link, time.monotonic() - queue.asked):
        queue.forget()
        lives = _is_queued(owner, queue)
    return lives


def _is_queued(owner: Owner, queue: Queue) -> bool:
    job = owner.find_job(queue)
    if job is None:
        return not queue.has_answer  # then it counts as alive
    return job.phase is not Phase.OVER


def _living_process(link: _Link, owner: Owner) -> Owner | None:
    if owner.is_here:
        with contextlib.suppress(PermissionError):
            return owner if is_running(owner.pid, owner.started) else None
    age = _age(link)
    if owner.host == this_machine()[0] and owner.boot != this_machine()[1]:
        # This machine was started anew since, or another has its name: then the claim is younger than that.
        return owner if age <= max(uptime(), 2 * HEARTBEAT_SECONDS) and age <= STALE_SECONDS else None
    return owner if age <= STALE_SECONDS else None


def _age(link: _Link) -> float:
    """Return the seconds since a claim was touched."""
    # Young by our own clock is young enough: if ours is behind, a dead owner is only found out later.
    age = time.time() - link.touched
    if 0 <= age < STALE_SECONDS / 2:
        return age
    return _age_there(link)


def _age_there(link: _Link) -> float:
    """Return the same by the clock of the file system, which dated the touch."""
    with contextlib.suppress(OSError):
        return age_of(link.path, link.touched)
    return time.time() - link.touched  # read-only for us: our own clock must do


def _is_younger(link: _Link, seconds: float) -> bool:
    """Return whether a claim may have been made since an answer of Slurm's, which is some seconds old."""
    age = time.time() - link.touched
    # Our own clock may be off, but not by hours.
    if abs(age) > seconds + _WRONG_CLOCK_SECONDS:
        return False
    return _age_there(link) < seconds + _CLOCK_SECONDS


def _make_link(path: Path, owner: Owner) -> bool:
    """Create a claim file if there is none of this name, and return whether this call did."""
    with writing(path):
        temp = write_temp(path.with_name(CLAIM_NAME), json.dumps(asdict(owner)) + "\n")
        try:
            path.hardlink_to(temp)
        except FileExistsError:
            # Over NFS the answer may have got lost, and the call been repeated: then it is ours that is there.
            there = _read_link(path)
            return there is not None and there.nonce == owner.nonce
        except OSError as error:
            if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                raise ClaimError(
                    f"{path}: this file system makes no hard links, without which no claim is exclusive"
                    f" ({error.strerror})"
                ) from None
            raise
        finally:
            with contextlib.suppress(OSError):
                temp.unlink()
    return True


def _confirm(
    folder: Path, owner: Owner, follows: Callable[[Owner], bool], queue: Queue | None
) -> tuple[Path, ...] | None:
    """Read whether the claim that this process tried to make is the current one.

    What the file system said when we made it isn't asked: over NFS an answer gets lost and the call repeated.

    Returns:
        The files of the chain before it, or None when it is not ours.
    """
    chain = _read_chain(folder)
    if not chain or chain[-1].nonce != owner.nonce:
        return None
    before = chain[:-1]
    # The one that we took for dead may have touched its claim since, see release().
    if before and _owner_in_the_way(before[-1], follows, queue) is not None:
        return None
    return tuple(one.path for one in before)
