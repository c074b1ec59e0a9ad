"""How the run of a task ends: by which signals, and what goes on record about what it raised."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Literal, NoReturn, Self

from heyhi.errors import HeyhiError, LostClaimError, MetricError, Pruned, ResultError
from heyhi.experiment.names import Status
from heyhi.experiment.processes import kill_started_since, ticks
from heyhi.experiment.records import PRUNED, REQUEUE, REQUEUED
from heyhi.job.ears import Ears
from heyhi.job.insisting import Insisting
from heyhi.job.notice import WARNING, Notice, Requeued
from heyhi.job.place import misplaced
from heyhi.job.raised import said_by_argparse, text_of, traceback_of
from heyhi.job.tee import flush_all
from heyhi.job.turn import current_turn
from heyhi.job_env import REQUEUE_EXIT
from heyhi.loggers import get_logger
from heyhi.quick_dataclass import dataclass
from heyhi.text import MAX_LINE, one_line, readable, shown_streams

# SIGHUP comes when a terminal or an ssh connection is closed.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Of what main may handle itself: after SIGHUP most go on to their end.
_TAKEN_SIGNALS = (signal.SIGTERM, signal.SIGINT, WARNING)
# What a run that has lost its claim has, before it is killed: it works where another does by now.
KILL_SECONDS = 10.0
# An impatient finger, or what a controller passes on that a terminal or a service manager has told all processes: so
# soon, two mean the same as one.
TWICE_SECONDS = 2.0
_PASSED_ON = (signal.SIGINT, signal.SIGTERM)
_ENDED_EARLY = "ended early by its own main"
_LEAST_SAID = 80  # characters of what it raised, where more is to be said
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_log = get_logger(__name__)


class Terminated(SystemExit):
    """A signal asked this process to end."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, as its end record says."""

    reason: Literal["done", "failed", "terminated", "requeue", "pruned"]
    exit_code: int = 0
    exception: str = ""
    files: int = 0
    node: str = ""  # of the rank that was the cause, where that is known

    def __post_init__(self) -> None:
        # Whatever makes one: what a task or a rank has said may be of any length.
        object.__setattr__(self, "exception", one_line(self.exception))

    @property
    def is_hurried(self) -> bool:
        """Whether who has stopped it will soon kill it."""
        return self.reason in ("terminated", REQUEUE)


def ending_of(error: BaseException, signals: Signals) -> Ending:
    """Return how an attempt ended whose main has raised."""
    if isinstance(error, KeyboardInterrupt):
        signals.received = signals.received or signal.SIGINT
    if signals.lost:
        return Ending("terminated", LostClaimError.exit_code, signals.lost)
    if signals.failed:
        # Where it was put what main returned must not be lost.
        return Ending("failed", 1, one_line(str(error)) if isinstance(error, ResultError) else signals.failed)
    turn = current_turn()
    if turn is not None and turn.pruned:  # whatever came of that in main, or after it
        return Ending("pruned", 0, turn.pruned)
    if isinstance(error, Pruned):
        return Ending("pruned", 0, text_of(error) or _ENDED_EARLY)
    if isinstance(error, Requeued):
        return Ending("requeue", REQUEUE_EXIT, REQUEUED)
    # What main raises while it is being stopped (a worker that died first) is no failure of its own.
    if signals.received is not None:
        sign = signals.received
        # But where it was put what main returned must not be lost.
        more = f": {one_line(str(error))}" if isinstance(error, ResultError) else ""
        how = "killed with the process that had started it" if signals.is_orphan else f"stopped by {sign.name}"
        how = "KeyboardInterrupt" if sign is signal.SIGINT and not signals.is_interrupted else how
        how += ", which main has caught and returned nothing" if signals.is_caught else ""
        return Ending("terminated", 128 + sign, f"{how}{more}")
    if isinstance(error, HeyhiError):
        given = getattr(error, "code", 1)  # a rank's
        code = given if isinstance(given, int) else 1
        return Ending("failed", code, one_line(str(error)), node=getattr(error, "node", ""))
    if isinstance(error, SystemExit):
        code = _low_byte(error.code) if isinstance(error.code, int) else 0 if error.code is None else 1
        said = said_by_argparse(error) or f"main called sys.exit({error.code!r}) and returned nothing"
        return Ending("failed", code, said)
    # Not traceback's last line: that may be a note, or the last one of a long message.
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    text = text_of(error)
    where = misplaced(error)
    said = one_line(f"{name}: {text}" if text else name, max(_LEAST_SAID, MAX_LINE - len(where) - 3))
    return Ending("failed", 1, f"{said}{f' ({where})' if where else ''}")


@shown_streams()
def print_error(error: BaseException, ending: Ending, *, is_rank: bool = False) -> None:
    """Print why main has ended, for the log and the terminal.

    Args:
        error: what it raised.
        ending: what that means.
        is_rank: of a rank, whose runner says in the same log that a search has ended it early.
    """
    if ending.reason == PRUNED and isinstance(error, Pruned | Terminated):
        if not is_rank:
            print(f"{Status.PRUNED.value}: {ending.exception}", file=sys.stderr)
        return
    is_its_own = isinstance(error, KeyboardInterrupt) and ending.exception == "KeyboardInterrupt"
    is_its_own |= isinstance(error, MetricError)  # says what was logged; which line of main has, the traceback
    if is_its_own or not isinstance(error, HeyhiError | SystemExit | KeyboardInterrupt):
        _print_traceback(error)
        if where := misplaced(error):
            print(f"note: {where}", file=sys.stderr)
    else:
        print(f"{'' if ending.reason == REQUEUE else 'error: '}{ending.exception}", file=sys.stderr)


def _print_traceback(error: BaseException) -> None:
    sys.stderr.write(traceback_of(error))


@shown_streams()
def leave_fork(error: BaseException | None = None) -> NoReturn:
    """End a process that main has forked and that has left main: result, records and claim are its parent's.

    Nothing of what was to come after main runs in it, nor the rest of the program that started the run.

    Args:
        error: what it raised, for the log and its exit code; None where it returned.
    """
    code = 0
    try:
        if isinstance(error, SystemExit):
            code = _exit_code(error)
        elif error is not None:
            code = 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
            _print_traceback(error)
        flush_all()
    finally:
        os._exit(code)


def _low_byte(code: int) -> int:
    """Return what the system makes of an exit code; Python itself ends with 255 where no C number has room for it."""
    return code & 0xFF if -(1 << 63) <= code < 1 << 63 else 0xFF


def _exit_code(error: SystemExit) -> int:
    """Return the exit code of a process that raises this, and print what Python would."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return _low_byte(error.code)
    print(error.code, file=sys.stderr)
    return 1


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
        received: the first one that came, unless main has seen to it itself.
        lost: who has the claim instead of this run; empty while it is its own.
        failed: why main can't go on, where it was told so.
        tell: prints a line past the log, for who has started the run.
    """

    def __init__(self, notice: Notice | None = None, *, stays: bool = False) -> None:
        self._notice = notice
        self._stays = stays
        self.received: signal.Signals | None = None
        self._caught: signal.Signals | None = None  # by main
        self.lost = ""
        self.failed = ""
        self.tell: Callable[[str], None] = _print_line
        self._raising = False
        self._pid = os.getpid()
        self._parent = os.getppid()
        self._ears = Ears()
        self._insisting = Insisting(self._send_again)
        self._is_sent_again = False  # what main was told, and what was lost on the way
        self._heard: set[int] = set()
        self._handled: set[int] = set()
        self._before: dict[signal.Signals, Any] = {}
        self._thread: int | None = None  # that main runs in
        self._since = 0
        self._counted_at: dict[signal.Signals, float] = {}  # by the last one that counted
        self._is_told = False  # that the claim is lost, or that it can't go on
        self._is_over = threading.Event()
        self._changing = threading.Lock()  # so that who is told of the loss is still there to be told

    @property
    def kill_seconds(self) -> float:
        """What main has to end when the claim is lost, before it is killed."""
        return KILL_SECONDS

    @property
    def is_orphan(self) -> bool:
        """Whether this is a job's process, and who started it was killed: the signal came for that."""
        return self._notice is not None and os.getppid() != self._parent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._restore()

    @property
    def is_stopping(self) -> bool:
        """Whether this run is to end as soon as it can."""
        return bool(self.lost or self.failed) or self.received is not None

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
            self._ears.open()
            self._insisting.open()
        self._thread, self._since = threading.get_ident(), ticks()
        self._raising = True
        try:
            if self.lost:
                raise LostClaimError(self.lost)
            # One that came when main could not be left yet.
            if self.failed:
                raise self._exception(signal.SIGTERM)
            if not self._stays:
                self.raise_if_stopped()
            yield
            self.received = self.received or self._taken_by_main()
            self._caught, self.received = self.received, None  # main has handled it itself
        finally:
            self._heard |= self._ears.close()
            with self._changing:
                self._raising = False
            self._insisting.close()
            if self._notice is not None:
                self._notice.ignore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        sign = signal.Signals(number)
        self._handled.add(number)
        if os.getpid() != self._pid:
            # A forked child (a data loader's worker) is to end as it would without us.
            if sign is signal.SIGINT:
                raise KeyboardInterrupt
            signal.signal(sign, signal.SIG_DFL)
            os.kill(os.getpid(), sign)
            return
        if self._is_sent_again:
            self._is_sent_again = False
            if self._raising:
                self._insisting.throw(self._exception(sign), sign, frame)
            return
        # Our own, see lose() and fail(): without a checkpoint, which would be another's, or nowhere.
        if (self.lost or self.failed) and not self._is_told:
            self._is_told = True
            if self._raising:
                self._insisting.throw(self._exception(sign), sign, frame)
            return
        if sign in _PASSED_ON:
            now = time.monotonic()
            if now < self._counted_at.get(sign, -TWICE_SECONDS) + TWICE_SECONDS:
                return
            self._counted_at[sign] = now
        again = self.received is not None
        self.received = self.received or sign
        if self._notice is not None and self._raising and not self.lost and self._notice.takes(sign):
            return
        if self._notice is not None and self._raising and not self.lost:
            # Slurm tells every process, and a shell may pass it on too; and who writes a checkpoint leaves main then.
            if again or self._notice.is_writing:
                return
            self._notice.write_checkpoint()
        if self._raising and not self._stays:
            self._insisting.throw(self._exception(sign), sign, frame)

    def _send_again(self, sign: signal.Signals) -> None:
        """Tell main again what was lost on its way there."""
        with self._changing:
            if self._raising:
                self._is_sent_again = True
                os.kill(self._pid, sign)

    def _taken_by_main(self) -> signal.Signals | None:
        """Return a signal that asks for the end and that a handler of main's own has taken."""
        self._heard |= self._ears.close()
        taken = self._heard - self._handled
        if self._notice is None or self._notice.came:
            taken.discard(WARNING)
        return next((sign for sign in _TAKEN_SIGNALS if sign in taken), None)

    def lose(self, why: str) -> None:
        """End main from another thread, since the claim is another's; kill what has not ended in time.

        Args:
            why: who has it.
        """
        _log.error("%s: this run ends, and writes nothing more", why)
        self.lost = why
        self._interrupt()
        if not self._is_over.wait(KILL_SECONDS):
            self.tell(f"{why}; this run has not ended {KILL_SECONDS:g} s after it was told to, and is killed")
            self.kill()

    def kill(self) -> None:
        """Kill this process, and what main has started in it."""
        kill_started_since(self._since)
        os.kill(self._pid, signal.SIGKILL)

    def fail(self, why: str) -> None:
        """End main from another thread, since it can't go on; it isn't killed where it does, for it harms nobody.

        Args:
            why: it can't.
        """
        self.failed = why
        self._interrupt()

    def _interrupt(self) -> None:
        with self._changing:
            self._is_told = False
            if self._before:
                os.kill(self._pid, signal.SIGTERM)
            elif self._raising and self._thread is not None:
                _raise_in(self._thread)

    def end_the_lost(self) -> None:
        """Kill what main has left running, now that it has lost its claim and has ended."""
        self._is_over.set()
        kill_started_since(self._since)

    def raise_if_stopped(self) -> None:
        """Raise what a signal that has come stands for."""
        if self.received is not None:
            raise self._exception(self.received)

    def raise_if_caught(self) -> None:
        """Raise what a signal stood for that main has caught, now that it has returned nothing, and saved nothing.

        It has not done its work, then, but has left it: who has a result after a signal returns it.

        Raises:
            KeyboardInterrupt: it has caught that.
            Terminated: likewise.
            Requeued: main was told that its job is about to be stopped.
        """
        notice = self._notice
        if notice is not None and notice.stops and not notice.has_told:
            return  # it ended without having asked again
        if self._raising:
            self._caught = self.received or self._taken_by_main()
        if self._caught is not None:
            self.received = self._caught
            raise self._exception(self._caught)
        if notice is not None and notice.has_told:
            raise Requeued(REQUEUE_EXIT)

    @property
    def is_interrupted(self) -> bool:
        """Whether there was a Ctrl-C while main ran, whoever has handled it."""
        return signal.SIGINT in self._heard | self._handled

    @property
    def is_caught(self) -> bool:
        """Whether main has caught what this run was stopped by."""
        return self._caught is not None and self._caught is self.received

    @staticmethod
    def _exception(sign: signal.Signals) -> BaseException:
        return KeyboardInterrupt() if sign is signal.SIGINT else Terminated(128 + sign)

    def _restore(self) -> None:
        with self._changing:
            for sign, handler in self._before.items():
                signal.signal(sign, handler)
            self._before = {}


def _raise_in(thread: int) -> None:
    """Raise `Terminated` in another thread, which no signal reaches, when it next runs Python."""
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Terminated))


def _print_line(text: str) -> None:
    print(readable(text), file=sys.stderr, flush=True)  # main runs, and has the streams as they are
