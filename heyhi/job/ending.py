"""How the run of a task ends: by which signals, and what goes on record about what it raised."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Self

from heyhi.errors import HeyhiError
from heyhi.experiment.records import REQUEUE
from heyhi.job.notice import REQUEUE_EXIT, Notice, Requeued

# SIGHUP comes when a terminal or an ssh connection is closed.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_MAX_REASON = 500
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_HERE = Path(__file__).parent.parent
_log = logging.getLogger(__name__)


class Terminated(SystemExit):
    """A signal asked this process to end."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, as its end record says."""

    reason: Literal["done", "failed", "terminated", "requeue"]
    exit_code: int = 0
    exception: str = ""

    @property
    def is_hurried(self) -> bool:
        """Whether who has stopped it will soon kill it."""
        return self.reason in ("terminated", REQUEUE)


def ending_of(error: BaseException, signals: Signals) -> Ending:
    """Return how an attempt ended whose main has raised."""
    if isinstance(error, KeyboardInterrupt):
        signals.received = signals.received or signal.SIGINT
    if isinstance(error, Requeued):
        return Ending("requeue", REQUEUE_EXIT, "stopped to be queued again")
    # What main raises while it is being stopped (a worker that died first) is no failure of its own.
    if signals.received is not None:
        sign = signals.received
        return Ending("terminated", 128 + sign, signals.why or f"stopped by {sign.name}")
    if isinstance(error, HeyhiError):
        return Ending("failed", 1, _one_line(str(error)))
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        return Ending("failed", code, f"main called sys.exit({error.code!r}) and returned nothing")
    # Not traceback's last line: that may be a note, or the last one of a long message.
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        text = str(error)
    except Exception:  # a user's __str__ may raise anything
        text = ""
    return Ending("failed", 1, _one_line(f"{name}: {text}" if text else name))


def _one_line(text: str) -> str:
    return next((line for line in text.strip().splitlines() if line.strip()), "")[:_MAX_REASON]


def print_error(error: BaseException, ending: Ending) -> None:
    """Print why main has ended, for the log and the terminal."""
    if isinstance(error, Exception) and not isinstance(error, HeyhiError):
        # Without our own frames, which say nothing.
        below = error.__traceback__
        while below is not None and _HERE in Path(below.tb_frame.f_code.co_filename).parents:
            below = below.tb_next
        traceback.print_exception(type(error), error, below or error.__traceback__)
    else:
        print(f"{'' if ending.reason == REQUEUE else 'error: '}{ending.exception}", file=sys.stderr)


def end_with(parent: int) -> None:
    """Make the system end this process when its parent ends, in whatever way.

    Args:
        parent: process id of who started this one.

    Raises:
        Terminated: the parent has ended already.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # Linux alone can
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call
        raise Terminated(128 + signal.SIGTERM)


class Signals:
    """The signals that ask this process to end: exceptions while main runs, only noted at other times.

    Python sets signal handlers in the main thread only; in another thread nothing is changed.

    Args:
        notice: handler of the signal that comes before the end.
        stays: whether they are only noted while main runs, too, since another process ends this one.

    Attributes:
        received: the first one that came.
        why: what has stopped main from another thread; empty where nothing has.
    """

    def __init__(self, notice: Notice | None = None, *, stays: bool = False) -> None:
        self._notice = notice
        self._stays = stays
        self.received: signal.Signals | None = None
        self.why = ""
        self._raising = False
        self._pid = os.getpid()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Raise signals as exceptions inside the context; after it, a signal waits until all is on record."""
        if threading.current_thread() is threading.main_thread():
            for sign in STOP_SIGNALS:
                # None: set by a C library. Ignored: by nohup, or by a shell for what runs in the background.
                if signal.getsignal(sign) not in (None, signal.SIG_IGN):
                    self._before[sign] = signal.signal(sign, self._handle)
            if self._notice is not None:
                self._notice.listen()
        self._raising = True
        try:
            yield
            self.received = None  # main has handled it itself
        finally:
            self._raising = False
            if self._notice is not None:
                self._notice.ignore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        sign = signal.Signals(number)
        if os.getpid() != self._pid:
            # A forked child (a data loader's worker) is to end as it would without us.
            if sign is signal.SIGINT:
                raise KeyboardInterrupt
            signal.signal(sign, signal.SIG_DFL)
            os.kill(os.getpid(), sign)
            return
        again = self.received is not None
        self.received = self.received or sign
        if self._notice is not None:
            # Slurm tells every process, and a shell may pass it on too; and who writes a checkpoint leaves main then.
            if again or self._notice.is_writing:
                return
            self._notice.write_checkpoint()
        if self._raising and not self._stays:
            raise self._exception(sign)

    def stop_because(self, why: str) -> None:
        """End main from another thread.

        Args:
            why: what goes on record as the reason.
        """
        _log.error("%s: this run stops", why)
        self.why = why
        if self._before:
            os.kill(self._pid, signal.SIGTERM)

    def raise_if_stopped(self) -> None:
        """Raise what a signal that has come stands for."""
        if self.received is not None:
            raise self._exception(self.received)

    @staticmethod
    def _exception(sign: signal.Signals) -> BaseException:
        return KeyboardInterrupt() if sign is signal.SIGINT else Terminated(128 + sign)

    def _restore(self) -> None:
        for sign, handler in self._before.items():
            signal.signal(sign, handler)
        self._before = {}
