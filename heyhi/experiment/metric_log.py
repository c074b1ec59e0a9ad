"""`heyhi.log`, the one way to write metrics: a line in metrics.jsonl, whole or not at all, by rank 0 only.

What stands there is never rewritten: what of it counts, who reads it decides (`abandoned`). A training never ends since
a line can't be written: it is kept, and written with the next one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import threading
import time
from _weakrefset import WeakSet  # as `threading` does: `weakref` has more, which takes a job 0.5 % of its time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, SupportsFloat

from heyhi.errors import MetricError, Pruned
from heyhi.experiment.metric_line import ATTEMPT, MOST_LINE_BYTES, STEP, TIME, TOTAL, counted, line_of
from heyhi.experiment.names import METRICS_NAME
from heyhi.files import open_to_append
from heyhi.job_env import own_rank
from heyhi.loggers import get_logger

Listener = Callable[[Mapping[str, Any]], None]

# `<attempt> <path>` of the metrics of this run, for the processes that it starts.
METRICS_VARIABLE = "HEYHI_METRICS"
_MOST_KEPT_BYTES = 1 << 20  # of lines that can't be written
# How often what was written is brought safely to disk: a machine may crash. It takes some ms, or on a network much
# longer, so never more than a hundredth of the time.
_SYNC_SECONDS, _SYNC_SHARE = 1.0, 100
# How often a line says how far a run is, and nothing else: each second, and in long runs each hundredth of their time.
_PROGRESS_SECONDS, _PROGRESS_SHARE = 1.0, 100
_log = get_logger(__name__)


def log(
    metrics: Mapping[str, Any] | None = None,
    /,
    *,
    step: SupportsFloat | None = None,
    total: SupportsFloat | None = None,
    **more: Any,
) -> None:
    """Write metrics: a line in the experiment's metrics.jsonl, with the time and the number of the attempt.

    In an experiment of several ranks, the first one writes, and the others do nothing. Outside of experiments the file
    is that of the working directory.

    Args:
        metrics: names -> numbers, also in dicts in one another, of Python, NumPy, torch or JAX. None and texts are
            written, too, and are in no table.
        step: how far the run is.
        total: how far it is to go, by the line's step: `heyhi status` says when that will be.
        more: metrics, too.

    Raises:
        MetricError: a value is no metric, or a name is given twice; nothing is written.

    Example:
        >>> heyhi.log({"loss": 0.1, "val": {"accuracy": 0.9}}, step=7, total=50)  # doctest: +SKIP
    """
    if _giving.is_ignored():
        return
    found = _current()
    if found is not None:
        found.put(line_of(metrics, more, step, total))


def progress(step: SupportsFloat, of: SupportsFloat) -> None:
    """Say how far a run is, and no more: for `heyhi status`, which tells when it will have come to its end.

    It may be called at each step: one call a second is written, or in a long run one in each hundredth of its time, and
    each that is at the end.

    Args:
        step: how far it is.
        of: how far it is to go.

    Raises:
        MetricError: one is no number.
    """
    if _giving.is_ignored():
        return
    found = _current()
    if found is not None:
        found.put_progress({STEP: counted(step, "step"), TOTAL: counted(of, "of")})


class MetricLog:
    """The metrics that a process writes.

    Args:
        path: of the file; it is made with the first line.
        attempt: number of the attempt; 0 outside of experiments.
        listeners: are called with each line that was written. One that raises an Exception isn't called again; what is
            no Exception reaches who logs. Once one has raised Pruned, nothing more is written.
        is_lost: returns whether another has the experiment by now, in whose folder nothing is written any more.
    """

    def __init__(
        self,
        path: Path | str,
        attempt: int = 0,
        listeners: Iterable[Listener] = (),
        is_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = str(path)
        self.attempt = attempt
        self._listeners = list(listeners)
        self._is_lost = is_lost
        # Again by the same thread: a signal's handler may log, which breaks into a line that is being written.
        self._lock = threading.RLock()
        self._file = _File(self.path)
        self._time = 0.0
        self._is_telling = False
        self._ended: Pruned | None = None
        self._progress_began = self._progress_at = 0.0

    def put(self, line: dict[str, Any]) -> None:
        """Write a line, and tell the listeners.

        Args:
            line: as `line_of` has made it; it gets time and attempt.

        Raises:
            MetricError: it is too long.
            Pruned: a listener has raised it before; nothing is written.
        """
        with self._lock:
            if self._is_lost():
                return
            if self._ended is not None:  # what main logs that has caught it is none of its trial's
                raise Pruned(*self._ended.args)
            self._time = max(self._time, round(time.time(), 3))  # a clock may be set back
            line[TIME] = self._time
            if self.attempt:
                line[ATTEMPT] = self.attempt
            data = json.dumps(line).encode() + b"\n"
            if len(data) > MOST_LINE_BYTES:
                raise MetricError(
                    f"heyhi.log: a line of metrics has at most {MOST_LINE_BYTES >> 20} MB, and this one would have"
                    f" {len(data) / (1 << 20):.1f} MB: nothing of it is written"
                )
            self._file.append(data)
            if self._listeners and not self._is_telling:
                self._tell(line)

    def put_progress(self, line: dict[str, Any]) -> None:
        """Write how far a run is, unless that was done just now."""
        with self._lock:
            now = time.monotonic()
            self._progress_began = self._progress_began or now
            if now >= self._progress_at or line[STEP] >= line[TOTAL]:
                self._progress_at = now + max(_PROGRESS_SECONDS, (now - self._progress_began) / _PROGRESS_SHARE)
                self.put(line)

    def _tell(self, line: Mapping[str, Any]) -> None:
        self._is_telling = True  # one that logs itself would be told of that for ever
        try:
            for listener in list(self._listeners):
                try:
                    listener(line)
                except Pruned as error:
                    self._ended = error
                    raise
                except Exception as error:
                    self._listeners.remove(listener)
                    _log.warning("%s gets no more metrics: %s: %s", _name(listener), type(error).__name__, error)
        finally:
            self._is_telling = False

    def close(self) -> None:
        """Bring all that was written safely to disk."""
        with self._lock:
            self._file.close()


class _File:
    """A file that whole lines are added to."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle = -1
        self._identity: tuple[int, int] | None = None
        self._size = -1  # with the last line that was written here, which has an end
        self._waiting: list[bytes] = []
        self._lost = 0
        self._sync_at = 0.0
        self._is_synced = True
        self._is_failing = self._is_unsafe = False

    def append(self, line: bytes) -> None:
        """Add a line, after those that couldn't be written before; where it can't be either, say so once."""
        if not self._waiting:
            data = line
        elif sum(map(len, self._waiting)) + len(line) <= _MOST_KEPT_BYTES:
            data = b"".join([*self._waiting, line])
        else:
            self._lost, line, data = self._lost + 1, b"", b"".join(self._waiting)
        try:
            self._write(data)
        except OSError as error:
            if line:
                self._waiting.append(line)
            if not self._is_failing:
                self._is_failing = True
                self._say(
                    f"can't be written: {error.strerror or error}; metrics are kept, and written when they can be"
                )
        else:
            self._waiting.clear()
            self._is_failing = False
            self._sync()

    def _write(self, data: bytes) -> None:
        """Write lines at once, on a line of their own."""
        size = self._open()
        if size not in (0, self._size) and os.pread(self._handle, 1, size - 1) != b"\n":
            data = b"\n" + data  # closes off what a killed attempt has left half-written
        self._size = -1
        written = os.write(self._handle, data)
        if written < len(data):
            self._take_back(written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size = size + written
        self._is_synced = False

    def _open(self) -> int:
        """Have the file open that is there now, which may be another one than before; return its size."""
        try:
            found = os.stat(self.path)  # noqa: PTH116
            if (found.st_dev, found.st_ino) == self._identity:
                return found.st_size
        except FileNotFoundError:
            pass
        self._release()
        self._handle = open_to_append(self.path)
        found = os.fstat(self._handle)
        self._identity = found.st_dev, found.st_ino
        return found.st_size

    def _take_back(self, written: int) -> None:
        """Remove the half of a line that a disk still had room for, unless another has written behind it."""
        with contextlib.suppress(OSError):
            end = os.lseek(self._handle, 0, os.SEEK_CUR)
            if os.fstat(self._handle).st_size == end:
                os.ftruncate(self._handle, end - written)

    def _sync(self) -> None:
        begin = time.monotonic()
        if begin >= self._sync_at:
            self._bring_to_disk()
            now = time.monotonic()
            self._sync_at = now + max(_SYNC_SECONDS, _SYNC_SHARE * (now - begin))

    def _bring_to_disk(self) -> None:
        try:
            os.fsync(self._handle)
            self._is_synced = True
        except OSError as error:
            if not self._is_unsafe:
                self._is_unsafe = True
                self._say(f"can't be brought to disk: {error.strerror or error}")

    def _say(self, what: str) -> None:
        _log.warning("%s: %s", self.path, what)

    def close(self) -> None:
        """Write what is left, bring it to disk, and say what is lost."""
        if self._waiting:
            with contextlib.suppress(OSError):
                self._write(b"".join(self._waiting))
                self._waiting.clear()
        if lost := self._lost + len(self._waiting):
            self._say(f"{lost} line{'s' * (lost != 1)} could not be written, and {'are' if lost != 1 else 'is'} lost")
            self._lost = 0
            self._waiting.clear()
        if self._handle >= 0 and not self._is_synced:
            self._bring_to_disk()
        self._release()

    def _release(self) -> None:
        handle, self._handle, self._identity, self._size = self._handle, -1, None, -1
        if handle >= 0:
            with contextlib.suppress(OSError):
                os.close(handle)


# Of runs, and of processes without one, which may be other ranks; by the process, since a child inherits the entry of
# its parent.
_runs: dict[int, MetricLog] = {}
_others: dict[int, MetricLog] = {}
# Those that a main has left running: what they log still is of no other place than its experiment, which is over.
_left_threads = WeakSet[threading.Thread]()


@contextlib.contextmanager
def logging_to(
    path: Path,
    *,
    attempt: int,
    listeners: Iterable[Listener] = (),
    is_lost: Callable[[], bool] = lambda: False,
) -> Iterator[MetricLog]:
    """Have what this process logs inside the context be written there, and that of the processes that it starts.

    Args:
        path: of an experiment's metrics.
        attempt: number of the attempt that runs.
        listeners: as in `MetricLog`; what is logged in other processes doesn't reach them.
        is_lost: as in `MetricLog`.
    """
    process = os.getpid()
    own = MetricLog(path, attempt, listeners, is_lost)
    before, said = _runs.get(process), os.environ.get(METRICS_VARIABLE)
    threads = set(threading.enumerate())
    _runs[process] = own
    os.environ[METRICS_VARIABLE] = f"{attempt} {path}"
    try:
        yield own
    finally:
        if os.getpid() == process:  # not in a child that main has forked and that has come here
            own.close()
            _put_back(process, before, said)
            _left_threads.update(set(threading.enumerate()) - threads)


class _Giving(threading.local):
    """To what this thread gives lines on."""

    name = ""
    _is_said = False

    def is_ignored(self) -> bool:
        """Return whether what is logged here would come back to what logs it; say so once."""
        if not self.name:
            return False
        if not self._is_said:
            self._is_said = True
            _log.warning("%s calls heyhi.log itself: that is ignored, or it would be told of it for ever", self.name)
        return True


_giving = _Giving()


@contextlib.contextmanager
def giving_lines_to(name: str) -> Iterator[None]:
    """Ignore what this thread logs inside the context: it gives lines that were logged to something.

    Args:
        name: of that.
    """
    _giving.name = name
    try:
        yield
    finally:
        _giving.name = ""


def _put_back(process: int, before: MetricLog | None, said: str | None) -> None:
    if before is None:
        _runs.pop(process, None)
    else:
        _runs[process] = before
    if said is None:
        os.environ.pop(METRICS_VARIABLE, None)
    else:
        os.environ[METRICS_VARIABLE] = said


def _current() -> MetricLog | None:
    """Return what this process logs to; None where another rank does, or its run is over."""
    process = os.getpid()
    if (run := _runs.get(process)) is not None:
        return run
    if threading.current_thread() in _left_threads or not _is_first():
        return None
    attempt, _, path = os.environ.get(METRICS_VARIABLE, "").partition(" ")
    path = path or _in_working_directory()
    found = _others.get(process)
    if found is None or found.path != path:
        if found is not None:
            found.close()
        found = _others[process] = MetricLog(path, int(attempt) if attempt.isdecimal() else 0)
    return found


def _in_working_directory() -> str:
    try:
        return os.path.abspath(METRICS_NAME)  # noqa: PTH100 (each call pays for it)
    except OSError:  # it was removed: writing there fails, and that is said
        return METRICS_NAME


def _is_first() -> bool:
    """Return whether this process, which no run of HeyHi's has told what it is, is the first of its job."""
    library = sys.modules.get("torch.distributed")
    try:
        if library is not None and library.is_available() and library.is_initialized():
            return bool(library.get_rank() == 0)
    except Exception:  # whatever its version
        pass
    return own_rank() == 0


def _name(listener: Listener) -> str:
    return str(getattr(listener, "__qualname__", None) or type(listener).__qualname__)
