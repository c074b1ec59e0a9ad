"""How a run that Slurm is about to stop writes its checkpoint and goes back into the queue.

Slurm signals the job's script first, some time before the end (sbatch's --signal). The script notes the signal in a
file, and passes it on to the run once that listens; so a signal that comes while Python still starts is not lost.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from heyhi.errors import HeyhiError
from heyhi.job.turn import current_turn
from heyhi.job_env import ASKS, NOTICE_VARIABLE, READY, REQUEUE_EXIT, WARNING_NAME, is_master

WARNING = signal.Signals[WARNING_NAME]
_WAIT_SECONDS = 0.2


class Requeued(SystemExit):
    """The checkpoint is written, and the job is to be queued again."""


def ask_again() -> int:
    """Ask the process that started this one to queue the job again, and return the exit code to end with."""
    note = os.environ.get(NOTICE_VARIABLE)
    if note:
        Path(f"{note}{ASKS}").touch()
    return REQUEUE_EXIT


def clear_away() -> None:
    """Remove what this run and the job's script have told each other, at the end of a run that is done.

    Else the script does, by a process for it; who runs several of a job's experiments sees to theirs itself.
    """
    note = Path(os.environ.get(NOTICE_VARIABLE, ""))
    if not note.name.endswith(f".{os.getppid()}"):  # the script's own has its pid
        return
    with contextlib.suppress(OSError):
        for path in (f"{note}{READY}", note):
            Path(path).unlink(missing_ok=True)
        note.parent.rmdir()


class Notice:
    """The handler of the signal that comes before a job is stopped.

    Where the run has registered a callback, the first process of the job calls it and leaves main. Where it hasn't,
    the run goes on: queued again without a checkpoint, it would begin anew for ever.

    Attributes:
        came: whether the signal has come.
        is_writing: whether the callback is running.
        stops: how often this process was told to end, where main asks by itself whether it is.
        has_told: whether main knows by now that it is to end.
    """

    def __init__(self) -> None:
        self.came = False
        self.is_writing = False
        self.stops = 0
        self.has_told = False
        self._is_asked = False
        self._callback: Callable[[], object] | None = None
        self._relay: Callable[[], object] | None = None
        self._has_acted = False
        self._is_over = False

    def listen(self) -> None:
        """Handle the signal from now on, and one that came before."""
        signal.signal(WARNING, self)
        note = os.environ.get(NOTICE_VARIABLE)
        if note:
            Path(f"{note}{READY}").touch()
            if Path(note).exists():
                self.came = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note the signal, and act on it unless main has ended."""
        self.came = True
        if self._is_over:
            return
        if self._relay is not None:
            self._relay()
        else:
            self._act()

    def forward(self, relay: Callable[[], object]) -> None:
        """Pass the signal on to the processes that do the work, instead of acting on it; at once where it has come."""
        self._relay = relay
        if self.came:
            relay()

    def ignore(self) -> None:
        """Only note the signal from now on: main has ended."""
        self._is_over = True

    def register(self, callback: Callable[[], object]) -> None:
        """Set what writes a checkpoint; it is called at once where the signal has come already.

        Raises:
            Requeued: it was called.
        """
        self._callback = callback
        if self.came:
            self._act()

    def _act(self) -> None:
        if self.write_checkpoint() and is_master():
            self.has_told = True
            raise Requeued(REQUEUE_EXIT)

    def is_near(self) -> bool:
        """Return whether the end is near; from now on main is taken to ask for it, and to leave by itself."""
        self._is_asked = True
        self.has_told = self.came or self.stops > 0
        return self.has_told

    def takes(self, sign: signal.Signals) -> bool:
        """Return whether a signal that ends processes need not end main, which asks for it."""
        if sign is not signal.SIGTERM or not self._is_asked or self._callback is not None:
            return False
        self.stops += 1
        return True

    def leave(self) -> NoReturn:
        """End main in the first process of the job; in others, wait until that has ended and ends them, too."""
        if not is_master():
            before = self.stops
            while self.stops == before:
                time.sleep(_WAIT_SECONDS)
        if self.stops:  # whoever has sent it decides whether the job comes back
            raise SystemExit(128 + signal.SIGTERM)
        raise Requeued(REQUEUE_EXIT)

    def write_checkpoint(self) -> bool:
        """Call the callback, once and in the first process of the job; return whether there was one to call."""
        if self._callback is None or self._has_acted:
            return False
        self._has_acted = True
        if is_master():
            self.is_writing = True
            try:
                self._callback()
            finally:
                self.is_writing = False
        return True


def maybe_init_requeue_handler(master_callback: Callable[[], object] | None = None) -> bool:
    """Write a checkpoint, and queue the job again, before Slurm stops this run.

    Some time before its time limit (`launcher.slurm.signal_seconds`), and when it is preempted, the callback is
    called in the first process of the job, between two steps of what runs there. The run ends then, and goes on from
    its checkpoint when the job starts again: main is called anew in the same folder, and loads what it finds.
    Outside a job of HeyHi's nothing happens; but before a search ends a trial early, it is called everywhere.

    Args:
        master_callback: writes the checkpoint; what it raises makes the run fail. None: the run is queued again from
            the checkpoint that it has written last, as one that writes them at regular times.

    Returns:
        whether this run is in such a job.

    Example:
        >>> heyhi.maybe_init_requeue_handler(lambda: save(model, "checkpoint.npz"))  # doctest: +SKIP
    """
    turn = current_turn()
    if turn is not None:
        turn.checkpoint = master_callback
    notice = signal.getsignal(WARNING)
    if not isinstance(notice, Notice):
        return False
    notice.register(master_callback or _write_nothing)
    return True


def _write_nothing() -> None:
    pass


def is_to_stop() -> bool:
    """Return whether Slurm is about to stop this run: for loops that write their checkpoint between two steps.

    Asked in each step, it is true from some time before the time limit (`launcher.slurm.signal_seconds`), or once the
    job is preempted or cancelled. From the first call on none of these breaks into what runs. Each rank is told by
    itself, at slightly different times, so ranks that work together have to agree. Then all write a checkpoint, and
    call `requeue`. Outside a job of HeyHi's it is never true.

    Example:
        >>> if heyhi.is_to_stop():  # doctest: +SKIP
        ...     save(model, "checkpoint.npz")
        ...     heyhi.requeue()
    """
    notice = signal.getsignal(WARNING)
    return isinstance(notice, Notice) and notice.is_near()


def requeue() -> NoReturn:
    """End this run, which is about to be stopped, and have its job queued again, to go on from its checkpoint.

    All ranks may call it: the first one ends the run, the others wait for that. A job that was cancelled doesn't come
    back, and one that was preempted does if Slurm says so.

    Raises:
        SystemExit: this is how main is left.
        HeyhiError: this is no job of HeyHi's, so there is nothing to be queued again.
    """
    notice = signal.getsignal(WARNING)
    if not isinstance(notice, Notice):
        raise HeyhiError("heyhi.requeue: this is no job of HeyHi's; call it only where heyhi.is_to_stop() is true")
    notice.leave()
