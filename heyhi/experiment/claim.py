"""Claims: who may run an experiment, settled by files in its folder, on one machine or over a network.

A claim is a file that one process can create and all can read. The claim of an owner who is gone may be taken over, by
exactly one other. Statuses and results are left to other modules.

A job of Slurm's may have a claim, too: first that of its submission, then that of the process which runs in the job.
Whether such an owner lives is for Slurm to say; without an answer it counts as alive.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from heyhi.errors import ClaimError, HeyhiError, UnknownError
from heyhi.experiment.claim_chain import Link, make_link, mend, read_chain, read_link, unreadable, why_lost
from heyhi.experiment.names import CLAIM_NAME, JOB_NAME
from heyhi.experiment.owner import SUBMISSION, JobRef, Owner, is_running, this_machine, uptime
from heyhi.files import age_of, is_there, is_there_now, write_temp, writing
from heyhi.quick_dataclass import asdict, replace
from heyhi.quick_tuple import NamedTuple

if TYPE_CHECKING:
    from heyhi.experiment.heartbeat import BeatProcess, Heartbeat
    from heyhi.slurm.commands import Queue

HEARTBEAT_SECONDS = 30.0
STALE_SECONDS = 180.0
_TRIES, _DOUBTFUL_TRIES = 200, 20
# By how much the times of one file system may differ without harm: its servers have clocks of their own.
_CLOCK_SECONDS = 5.0
# A clock that is off by more is taken for right: otherwise each look at an old claim would write into its folder.
_WRONG_CLOCK_SECONDS = 86_400.0


class Claim:
    """The right to run an experiment, until `release()` or the end of this process.

    A thread touches the file now and then, so that other hosts see a living owner; for a run, a process does so, too.
    """

    def __init__(
        self,
        owner: Owner,
        link: Path,
        below: tuple[Path, ...],
        on_lost: Callable[[str], None] | None,
        run: RunClaim | None,
        *,
        beats: bool = True,
    ) -> None:
        self.owner = owner
        self._link = link
        self._below = below  # the files of dead owners that this claim took over, claim.json first
        self._on_lost = on_lost
        self._stop = threading.Event()
        self._changing = threading.Lock()  # of the claim's files, by this process
        self._run = run
        self._heartbeat: Heartbeat | None = None
        self._process: BeatProcess | None = None
        if run is not None:
            from heyhi.experiment.heartbeat import BeatProcess, Heartbeat, Spans  # a submission has none
            from heyhi.experiment.processes import ticks

            folder = link.parent.absolute()
            spans = Spans(HEARTBEAT_SECONDS, STALE_SECONDS, run.kill_seconds)
            with writing(link):
                self._heartbeat = Heartbeat(
                    owner, folder / link.name, tuple(folder / path.name for path in below), spans
                )
            self._process = BeatProcess(self._heartbeat, ticks())
            self._process.start()
        if beats:
            threading.Thread(target=self._beat, name="heyhi-claim", daemon=True).start()

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
        run: RunClaim | None = None,
        look_again: float = 0.0,
        beats: bool = True,
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
            run: what a claim that a task runs by has beside; others are short, or no foreign code runs meanwhile.
            look_again: seconds after which it must be there still, where it may be that a task keeps removing it.
            beats: whether it is touched now and then, so that other hosts see that its owner lives.

        Returns:
            The claim, or the living owner that has it.

        Raises:
            UnknownError: a claim file can't be read, or is damaged and not old.
            ClaimError: the file system has no hard links.
            ResultError: the folder can't be written.
        """
        follows = replaces or _never
        for attempt in range(_TRIES if not look_again else _DOUBTFUL_TRIES):
            chain = read_chain(folder)
            last = chain[-1] if chain else None
            if last is not None and (other := _owner_in_the_way(last, follows, queue)) is not None:
                return other
            owner = Owner.this_process(kind, ref)
            link = folder / (f"claim.{last.nonce}.json" if last is not None else CLAIM_NAME)
            made = make_link(link, owner)
            try:
                if look_again:
                    time.sleep(look_again)
                below = _confirm(folder, owner, follows, queue)
                if below is not None:
                    made = False
                    return cls(owner, link, below, on_lost, run, beats=beats)
            finally:
                # Unless it was removed, and another's was put in its place, or another took us for dead meanwhile, and
                # hangs on our link.
                with contextlib.suppress(UnknownError):
                    if made and _is_of(link, owner) and not is_there_now(folder / f"claim.{owner.nonce}.json"):
                        link.unlink(missing_ok=True)
            time.sleep(min(0.001 * attempt, 0.05))  # another was faster: see who
        raise ClaimError(f"{folder / CLAIM_NAME}: can't be claimed: others keep coming first, or remove it")

    def is_held(self) -> bool:
        """Return whether the claim is still ours."""
        return not why_lost(self._link.parent, self.owner.nonce)

    def settle(self) -> None:
        """Wait until what beats for a run has been started: a task that waits for its children then finds none."""
        if self._process is not None:
            self._process.settle()

    @property
    def is_moved(self) -> bool:
        """Whether the folder of a run was removed or moved, and the claim had to be put back into a new one."""
        return self._heartbeat is not None and self._heartbeat.is_moved

    def why_lost(self) -> str:
        """Say who has the claim instead of us; empty while it is ours. That of a run is put back where it was removed.

        Raises:
            UnknownError: a claim file can't be read.
            OSError: it can't be put back.
        """
        with self._changing:
            return self._look()

    def _look(self) -> str:
        if self._heartbeat is None or self._stop.is_set():
            return why_lost(self._link.parent, self.owner.nonce)
        return self._heartbeat.look()

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
                held = read_link(self._link)
                if held is not None and held.nonce == owner.nonce:
                    temp.replace(self._link)
            finally:
                temp.unlink(missing_ok=True)

    def release(self) -> None:
        """Give the claim up; does nothing the second time, in a forked child, or when it was lost."""
        if self._stop.is_set() or self.owner.pid != os.getpid():
            return
        self._stop.set()
        if self._process is not None:
            self._process.end()  # it would put back what is removed
        with self._changing, contextlib.suppress(OSError, ClaimError):
            if self._heartbeat is not None:
                self._link, self._below = self._heartbeat.link, (*self._heartbeat.below, *self._below)
            # A touch first: who takes us for dead looks again after its own link, and then sees it.
            os.utime(self._link)
            if self.is_held():
                if self._run is not None:
                    self._run.on_release()
                for path in (*self._below, self._link):
                    path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _beat(self) -> None:
        lost = self._keep() if self._heartbeat is not None else self._touch()
        if lost and self._on_lost is not None:
            self._on_lost(lost)

    def _touch(self) -> str:
        """Touch the claim until it is released, or lost."""
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
                return lost
        return ""

    def _keep(self) -> str:
        """Keep the claim of a run until it is released, or lost; that another process does the same is seen to."""
        assert self._heartbeat is not None and self._process is not None and self._run is not None
        spans = self._heartbeat.spans
        see_to = time.monotonic() + spans.beat
        while not self._stop.wait(self._heartbeat.pause):
            with self._changing:
                if self._stop.is_set():
                    break
                if lost := self._heartbeat.step():
                    return lost
                if time.monotonic() >= see_to:
                    see_to = time.monotonic() + spans.beat
                    if not self._process.runs:
                        self._process.start()
            with contextlib.suppress(OSError, HeyhiError):  # a bad moment of the file system
                self._run.on_look()
        return ""


class RunClaim(NamedTuple):
    """What the claim of a run has beside: a process that beats where this one can't, and puts its file back.

    Attributes:
        kill_seconds: that the run has to end when the claim is lost; the process kills it later.
        on_look: called each second, from another thread.
        on_release: called right before it is given up, while it is still this one's.
    """

    kill_seconds: float
    on_look: Callable[[], None] = lambda: None
    on_release: Callable[[], None] = lambda: None


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
        raise unreadable(Path(folder) / CLAIM_NAME, error) from None
    chain = read_chain(Path(folder))
    return _living_owner(chain[-1], queue) if chain else None


def read_last_owner(folder: str | Path) -> Owner | None:
    """Return the owner that an experiment's claim names, whether it lives or not; None where there is no claim.

    Raises:
        UnknownError: a claim file can't be read.
    """
    chain = read_chain(Path(folder))
    return chain[-1].owner if chain else None


def file_of(owner: Owner, folder: Path) -> Path | None:
    """Return the file by which an owner has an experiment, and which it touches; None where it has none any more.

    Raises:
        UnknownError: a claim file can't be read.
    """
    chain = read_chain(folder) if owner.nonce else []
    return chain[-1].path if chain and chain[-1].nonce == owner.nonce else None


def _living_owner(link: Link, queue: Queue | None = None) -> Owner | None:
    """Return the owner of a claim if it lives."""
    owner = link.owner
    if owner is None:
        # The claim of a job that waits has no heartbeat: its age says nothing.
        if _age(link) > STALE_SECONDS and not is_there(link.path.with_name(JOB_NAME)):
            return None
        raise UnknownError(f"{link.path}: is damaged, so nobody knows who has the experiment; {mend(link.path)}")
    if owner.root:
        return owner if _lives_in_slurm(link, owner, queue if queue is not None else _new_queue()) else None
    return _living_process(link, owner)


def _owner_in_the_way(link: Link, follows: Callable[[Owner], bool], queue: Queue | None) -> Owner | None:
    """Return the owner of a claim if it lives, and doesn't pass it on to who asks."""
    if link.owner is not None and follows(link.owner):
        return None
    return _living_owner(link, queue)


def _lives_in_slurm(link: Link, owner: Owner, queue: Queue) -> bool:
    """Return whether a job has its claim still, or will have: it is Slurm that says so, not the submitting process."""
    is_submitting = owner.kind == SUBMISSION and not owner.job
    if (is_submitting or (owner.kind != SUBMISSION and owner.is_here)) and _living_process(link, owner):
        return True
    lives = _is_queued(owner, queue)
    if not lives and queue.asked is not None and _is_younger(link, time.monotonic() - queue.asked):
        queue.forget()
        lives = _is_queued(owner, queue)
    return lives


def _new_queue() -> Queue:
    from heyhi.slurm.commands import Queue  # most claims are of processes

    return Queue()


def _is_queued(owner: Owner, queue: Queue) -> bool:
    from heyhi.slurm.commands import Phase  # likewise

    job = owner.find_job(queue)
    if job is None:
        return not queue.has_answer  # then it counts as alive
    return job.phase is not Phase.OVER


def _living_process(link: Link, owner: Owner) -> Owner | None:
    if owner.is_here:
        with contextlib.suppress(PermissionError):
            return owner if is_running(owner.pid, owner.started) else None
    age = _age(link)
    if owner.host == this_machine()[0] and owner.boot != this_machine()[1]:
        # This machine was started anew since, or another has its name: then the claim is younger than that.
        return owner if age <= max(uptime(), 2 * HEARTBEAT_SECONDS) and age <= STALE_SECONDS else None
    return owner if age <= STALE_SECONDS else None


def _age(link: Link) -> float:
    """Return the seconds since a claim was touched."""
    # Young by our own clock is young enough: if ours is behind, a dead owner is only found out later.
    age = time.time() - link.touched
    if 0 <= age < STALE_SECONDS / 2:
        return age
    return _age_there(link)


def _age_there(link: Link) -> float:
    """Return the same by the clock of the file system, which dated the touch."""
    with contextlib.suppress(OSError):
        return age_of(link.path, link.touched)
    return time.time() - link.touched  # read-only for us: our own clock must do


def _is_younger(link: Link, seconds: float) -> bool:
    """Return whether a claim may have been made since an answer of Slurm's, which is some seconds old."""
    age = time.time() - link.touched
    # Our own clock may be off, but not by hours.
    if abs(age) > seconds + _WRONG_CLOCK_SECONDS:
        return False
    return _age_there(link) < seconds + _CLOCK_SECONDS


def _is_of(link: Path, owner: Owner) -> bool:
    found = read_link(link)
    return found is not None and found.nonce == owner.nonce


def _confirm(
    folder: Path, owner: Owner, follows: Callable[[Owner], bool], queue: Queue | None
) -> tuple[Path, ...] | None:
    """Read whether the claim that this process tried to make is the current one.

    What the file system said when we made it isn't asked: over NFS an answer gets lost and the call repeated.

    Returns:
        The files of the chain before it, or None when it is not ours.
    """
    chain = read_chain(folder)
    if not chain or chain[-1].nonce != owner.nonce:
        return None
    before = chain[:-1]
    # The one that we took for dead may have touched its claim since, see release().
    if before and _owner_in_the_way(before[-1], follows, queue) is not None:
        return None
    return tuple(one.path for one in before)
