"""The heartbeat of a claim: its file is looked at, touched, and put back where somebody has removed it.

A run's claim has it twice: by a thread, and by a process of its own, since a thread stands still while a call of C
keeps the interpreter's lock. That process is a program of its own, and a shell that waits until it is time for a first
look: a short run is spared the start of Python. It has none of the run's files, terminals and signals, is not its
child, and ends with it. Where the claim is lost and the run doesn't end, it kills that. What else is done about a lost
claim is left to `claim`.
"""

from __future__ import annotations

import contextlib
import json
import os
import posix
import select
import signal
import stat
import sys
import threading
import time
from _signal import pthread_sigmask, valid_signals  # type: ignore[import-not-found]  # `signal` makes an enum of each
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from heyhi.errors import ClaimError
from heyhi.experiment.claim_chain import Link, read_chain, why_lost
from heyhi.experiment.names import ATTEMPTS_NAME, CLAIM_NAME
from heyhi.experiment.owner import Owner, is_running, read_parent_and_start
from heyhi.experiment.processes import BEAT_NAME, kill_started_since
from heyhi.files import read_end, write_temp
from heyhi.quick_dataclass import asdict
from heyhi.quick_tuple import NamedTuple

_LOOK_SECONDS = 1.0
_ALERT_SECONDS, _ALERT_LOOK_SECONDS = 10.0, 0.1  # after a claim was put back
# Of a pause, until the first look of what begins: a job that sleeps for a second, say, is over by then. Meanwhile it
# looks whether its run is there still, since who has started that may be waiting until nothing of it is left.
_FIRST_PAUSE, _FIRST_LOOKS = 1.5, 10
_END_SECONDS = 2.0  # that a process which is killed may take
_RECORDS_END = 1 << 16
_START_MARK = '"event": "start"'
# Not a copy of the run's process: each page of memory that either changes would be copied (a tenth of an empty run).
# It has its name before its run goes on, is no leader of its group, so that it can leave the session, and waits on a
# pipe that nobody else has. It ignores all signals but the alarm, that older shells wait by, since it doesn't keep them
# blocked while it waits. Settings of the user's shells are not read (-p).
_SHELL = "/bin/bash"
_WAIT = f"""
{{
    trap '' {{1..13}} {{15..31}} {{34..64}}
    cd /
    for fd in /proc/self/fd/*; do fd=${{fd##*/}}; ((fd < 3)) || exec {{fd}}>&-; done
    printf {BEAT_NAME.decode()} > /proc/self/comm
    echo $BASHPID; exec >&0
    for ((looks = 0; looks < {_FIRST_LOOKS}; looks++)); do
        LC_ALL=C read -t "$1" -u 2
        [[ -e /proc/$2 ]] || break
    done
    exec "${{@:3}}"
}} &
"""
# Where there is no such shell: it leaves its parent before it loads anything, since that waits for it.
_LEAVE = """
import os
if os.fork():
    os._exit(0)
os.write(1, b"%d" % os.getpid())
os.chdir("/")
"""
_PROGRAM = f"""
import os, sys
try:
    with open("/proc/self/comm", "wb", 0) as file:
        file.write({BEAT_NAME!r})
except OSError:
    pass
os.setsid()
sys.path.insert(0, sys.argv[1])
from heyhi.experiment.heartbeat import beat_for
beat_for(sys.argv[2])
"""


class Spans(NamedTuple):
    """Some seconds.

    Attributes:
        beat: between two touches.
        stale: after which a claim that nobody has touched counts for nothing.
        kill: that a run has to end when its claim is lost.
    """

    beat: float
    stale: float
    kill: float

    @property
    def look(self) -> float:
        """Between two looks at a claim that is put back."""
        return min(_LOOK_SECONDS, self.beat)


class Seen(NamedTuple):
    """What a claim was like when it was seen last.

    Attributes:
        touched: when it was.
        file: inode and size.
        home: device and inode of the folder, when the claim was made.
    """

    touched: float
    file: tuple[int, int]
    home: tuple[int, int]


class Heartbeat:
    """What is looked at, touched and put back.

    Args:
        owner: of the claim.
        link: its file.
        below: those of dead owners that it has taken over from, the first claim first.
        spans: how often.
        seen: what it was like before; default: what it is like now.
    """

    def __init__(
        self, owner: Owner, link: Path, below: tuple[Path, ...], spans: Spans, seen: Seen | None = None
    ) -> None:
        self.owner = owner
        self.link = link
        self.below = below
        self.spans = spans
        self.is_moved = False  # its folder is another one by now
        self._folder = link.parent
        self._dead = frozenset(one.name for one in (*below, link))
        self._touched, self._file, self._home = seen if seen is not None else _see(link)
        # A file that was put back is known by its size: its inode may be that of the one that was removed.
        self._text = json.dumps({**asdict(owner), "put_back": True}) + "\n"
        self._next = time.monotonic() + spans.beat
        self._misses = 0
        self._alert_until = 0.0

    @property
    def seen(self) -> Seen:
        """What it was like when it was seen last, for another process to go on with."""
        return Seen(self._touched, self._file, self._home)

    @property
    def pause(self) -> float:
        """Seconds until the next look: less where it was removed just now, since a task may do so again and again."""
        is_alert = time.monotonic() < self._alert_until
        return min(_ALERT_LOOK_SECONDS, self.spans.look) if is_alert else self.spans.look

    def step(self) -> str:
        """Do what is to be done by now.

        Returns:
            who has the claim instead; empty while it is ours, as far as that can be told.
        """
        is_due = time.monotonic() >= self._next
        if not is_due and not self._misses and self._is_in_place():
            return ""
        try:
            lost = self.look()
            if not lost and is_due:
                os.utime(self.link)
                self._touched = max(self._touched, os.stat(self.link).st_mtime)  # noqa: PTH116
        except (OSError, ClaimError):
            return ""  # the file system has a bad moment; that says nothing about the claim
        if is_due:
            self._next = time.monotonic() + self.spans.beat
        self._misses = self._misses + 1 if lost else 0
        return lost if self._misses >= 2 else ""

    def look(self) -> str:
        """Put the claim back where it was removed; say who has it instead.

        Raises:
            UnknownError: a claim file can't be read.
            OSError: it can't be put back.
        """
        chain = self._chain()
        if not self._is_ours(chain) and self._is_cut_short(chain):
            self._write_anew()
            chain = self._chain()
        if not self._is_ours(chain) and self._is_free(chain):
            if self._put_back(chain):
                chain = self._chain()
            elif not chain:
                return f"the claim {self._folder / CLAIM_NAME} was removed"
        if not self._is_ours(chain):
            return why_lost(self._folder, self.owner.nonce)
        self.link, self.below = chain[-1].path, tuple(one.path for one in chain[:-1])
        self._touched = max(self._touched, chain[-1].touched)
        found = os.stat(self.link)  # noqa: PTH116
        if self._file != (found.st_ino, found.st_size):
            self._alert_until = time.monotonic() + _ALERT_SECONDS
        self._file = found.st_ino, found.st_size
        is_put_back = found.st_size == len(self._text)
        self.is_moved = self.is_moved or (is_put_back and _inode_of(self._folder) != self._home)
        return ""

    def _chain(self) -> list[Link]:
        try:
            return read_chain(self._folder)
        except ClaimError:
            # A task may have closed its own folder, even to itself, or have a folder of its own in the claim's place.
            if not (_open_again(self._folder) or _make_way(self.link)):
                raise
            return read_chain(self._folder)

    def _is_ours(self, chain: list[Link]) -> bool:
        return bool(chain) and chain[-1].nonce == self.owner.nonce

    def _is_free(self, chain: list[Link]) -> bool:
        """Return whether the chain ends where it did before this claim was made."""
        return not chain or f"claim.{chain[-1].nonce}.json" in self._dead

    def _is_cut_short(self, chain: list[Link]) -> bool:
        """Return whether the chain ends in our own file, and somebody has written into that."""
        if not chain or chain[-1].owner is not None or chain[-1].path != self.link:
            return False
        return os.stat(self.link).st_ino == self._file[0]  # noqa: PTH116

    def _write_anew(self) -> None:
        temp = write_temp(self._folder / CLAIM_NAME, self._text)
        try:
            temp.replace(self.link)
        finally:
            temp.unlink(missing_ok=True)

    def _is_in_place(self) -> bool:
        """Look in a way that costs next to nothing, on a network file system, too."""
        try:
            found = os.stat(self.link)  # noqa: PTH116
            if (found.st_ino, found.st_size) != self._file:
                return False
            return all(os.path.lexists(path) for path in self.below) and not os.path.lexists(
                self._folder / f"claim.{self.owner.nonce}.json"
            )
        except OSError:
            return False

    def _put_back(self, chain: list[Link]) -> bool:
        """Make the claim's file anew, unless another may have had the experiment meanwhile; return whether it is there.

        By a hard link, as a claim is made: of two only one gets it.
        """
        link = self._folder / (f"claim.{chain[-1].nonce}.json" if chain else CLAIM_NAME)
        try:
            self._folder.mkdir(parents=True)
        except FileExistsError:
            if not os.path.isdir(self._folder):  # noqa: PTH112 (the task has something else in its place)
                _set_aside(self._folder)
                self._folder.mkdir()
        temp = write_temp(self._folder / CLAIM_NAME, self._text)
        try:
            # By the clock of the file system: this machine may have stood still, and its own clock with it.
            if os.stat(temp).st_mtime - self._touched > self.spans.stale or self._was_another_started():  # noqa: PTH116
                return False
            with contextlib.suppress(FileExistsError):
                link.hardlink_to(temp)
        finally:
            with contextlib.suppress(OSError):
                temp.unlink()
        return True

    def _was_another_started(self) -> bool:
        """Return whether the last attempt on record is younger than the claim, and another's."""
        for line in reversed(read_end(self._folder / ATTEMPTS_NAME, _RECORDS_END).splitlines()):
            if _START_MARK in line:
                with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError):
                    record = json.loads(line)
                    mine = (record.get("host"), record.get("pid")) == (self.owner.host, self.owner.pid)
                    return not mine and str(record.get("time")) > self.owner.since
                return False
        return False


def _see(link: Path) -> Seen:
    found = os.stat(link)  # noqa: PTH116
    return Seen(found.st_mtime, (found.st_ino, found.st_size), _inode_of(link.parent))


def _inode_of(folder: Path) -> tuple[int, int]:
    found = os.stat(folder)  # noqa: PTH116
    return found.st_dev, found.st_ino


def _open_again(folder: Path) -> bool:
    try:
        mode = os.stat(folder).st_mode  # noqa: PTH116
        if mode & 0o700 == 0o700:
            return False
        os.chmod(folder, mode & 0o7777 | 0o700)  # noqa: PTH101
    except OSError:
        return False
    return True


def _make_way(link: Path) -> bool:
    """Give a folder that has the name of a claim another one, or remove what else is no file; return whether it was."""
    try:
        kind = os.lstat(link).st_mode
        if stat.S_ISREG(kind):
            return False
        if stat.S_ISDIR(kind):
            _set_aside(link)
        else:  # a link, a FIFO: nothing is in it
            link.unlink()
    except OSError:
        return False
    return True


def _set_aside(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.{os.urandom(4).hex()}"))


# --- the process


class _Starting(NamedTuple):
    """A child of this process that starts the one that beats, and ends then; that one's pid is read from a pipe."""

    child: int
    reader: int


def _environment() -> Mapping[Any, Any]:
    """Return what `os.environ` holds: asked for all of that, it decodes each text, which is encoded again then."""
    held: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
    return held


class BeatProcess:
    """A process that beats for a claim of this one.

    Args:
        heartbeat: what it does.
        since: clock ticks since boot: what was started below this process since then is killed with it.
    """

    def __init__(self, heartbeat: Heartbeat, since: int) -> None:
        self._heartbeat = heartbeat
        self._since = since
        self._errors = _file_of("/proc/self/fd/2")
        self._pid = self._started = 0
        self._starting: _Starting | None = None
        self._settling = threading.Lock()

    @property
    def runs(self) -> bool:
        """Whether it was started, and hasn't ended."""
        self.settle()
        with contextlib.suppress(PermissionError):
            return bool(self._pid) and is_running(self._pid, self._started)
        return True

    def start(self) -> None:
        """Begin to start it, which `settle` waits for; where that can't be, the thread has to do."""
        self._pid = 0
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            self._starting = self._start()

    def settle(self) -> None:
        """Wait until it has been started: then nothing of that is a child of this process any more."""
        with self._settling:
            starting, self._starting = self._starting, None
            if starting is None:
                return
            with contextlib.suppress(OSError, ValueError):
                try:
                    pid = int(os.read(starting.reader, 32) or b"0")
                finally:
                    os.close(starting.reader)
                    with contextlib.suppress(ChildProcessError):  # who handles SIGCHLD was faster
                        os.waitpid(starting.child, 0)
                found = read_parent_and_start(pid) if pid else None
                if found is not None:
                    self._pid, self._started = pid, found[1]

    def end(self) -> None:
        """End it, and wait until it has."""
        self.settle()
        if not self._pid:
            return
        deadline = time.monotonic() + _END_SECONDS
        with contextlib.suppress(OSError):
            while self.runs and time.monotonic() < deadline:
                os.kill(self._pid, signal.SIGKILL)
                time.sleep(0.0005)
        with contextlib.suppress(OSError):  # below this process in a container: see BEAT_NAME
            os.waitpid(self._pid, os.WNOHANG)
        self._pid = 0

    def _start(self) -> _Starting:
        reader, writer = os.pipe()
        try:
            # None of the run's handlers is for it, and none of the signals that end the run.
            before = pthread_sigmask(signal.SIG_BLOCK, valid_signals() - {signal.SIGALRM})
            try:
                child = self._spawn(writer)
            finally:
                pthread_sigmask(signal.SIG_SETMASK, before)
                os.close(writer)
        except BaseException:
            os.close(reader)
            raise
        return _Starting(child, reader)

    def _spawn(self, writer: int) -> int:
        with contextlib.ExitStack() as stack:
            ends = os.pipe()
            for fd in ends:
                stack.callback(os.close, fd)

            def opened(path: str) -> int:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                stack.callback(os.close, fd)
                return fd

            # Open for both, a pipe has its reader wait, and takes whatever is printed there.
            null, pipe = opened(os.devnull), opened(f"/proc/self/fd/{ends[0]}")
            words = self._words()
            # Not os.posix_spawn: debuggers replace it, what is started waits for them, and this process with it.
            return posix.posix_spawn(
                words[0],
                words,
                _environment(),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, null, 0),
                    (os.POSIX_SPAWN_DUP2, writer, 1),
                    (os.POSIX_SPAWN_DUP2, pipe, 2),
                ],
                setpgroup=0,
            )

    def _words(self) -> list[str]:
        heartbeat = self._heartbeat
        told = json.dumps(
            {
                "owner": asdict(heartbeat.owner),
                "link": str(heartbeat.link),
                "below": [str(path) for path in heartbeat.below],
                "spans": heartbeat.spans,
                "seen": heartbeat.seen,
                "parent": (heartbeat.owner.pid, heartbeat.owner.started),
                "since": self._since,
                "errors": self._errors,
            }
        )
        has_shell = os.access(_SHELL, os.X_OK)
        program = _PROGRAM if has_shell else _LEAVE + _PROGRAM
        python = [sys.executable, "-I", "-S", "-B", "-c", program, str(Path(__file__).parents[2]), told]
        pause = f"{_FIRST_PAUSE * heartbeat.pause / _FIRST_LOOKS:g}"
        shell = [_SHELL, "-p", "-c", _WAIT, BEAT_NAME.decode(), pause, str(heartbeat.owner.pid)]
        return [*shell, *python] if has_shell else python


def beat_for(told: str) -> NoReturn:
    """Beat for another process, as `BeatProcess` has told it."""
    try:
        pthread_sigmask(signal.SIG_BLOCK, valid_signals())
        values = json.loads(told)
        below = tuple(map(Path, values["below"]))
        touched, file, home = values["seen"]
        seen = Seen(touched, tuple(file), tuple(home))
        heartbeat = Heartbeat(Owner(**values["owner"]), Path(values["link"]), below, Spans(*values["spans"]), seen)
        pid, started = values["parent"]
        _beat(heartbeat, (pid, started), values["since"], tuple(values["errors"]))
    finally:
        os._exit(0)


def _beat(heartbeat: Heartbeat, parent: tuple[int, int], since: int, errors: tuple[int, ...]) -> None:
    """Beat until the parent has ended; kill it where it has lost its claim and hasn't ended in time."""
    _let_go()
    has_ended = _watch(*parent)
    lost, pause = "", 0.0  # the first one is over
    while not lost:
        if has_ended(pause):
            return
        lost, pause = heartbeat.step(), heartbeat.pause
    # It has a thread that does the same, and says more: unless that can't.
    if has_ended(1.5 * heartbeat.spans.kill + 2.0):
        return
    pid = parent[0]
    _tell(pid, errors, f"{lost}; this run has not ended in time, and is killed")
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGSTOP)
        kill_started_since(since, root=pid)
        os.kill(pid, signal.SIGKILL)


def _let_go() -> None:
    """Have nothing of the parent's: no file, pipe, terminal or name."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.close(int(name))
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb", buffering=0) as file:  # noqa: PTH123
        file.write(BEAT_NAME)


def _watch(pid: int, started: int) -> Callable[[float], bool]:
    """Return a function that waits some seconds, and returns whether the process has ended, as soon as it has."""
    handle = -1
    with contextlib.suppress(AttributeError, OSError):
        handle = os.pidfd_open(pid)
    poll = select.poll()
    if handle >= 0:
        poll.register(handle, select.POLLIN)

    def has_ended(seconds: float) -> bool:
        if handle >= 0 and poll.poll(1000 * seconds):
            return True
        if handle < 0:
            time.sleep(min(seconds, _LOOK_SECONDS))
        with contextlib.suppress(PermissionError):
            return not is_running(pid, started)
        return False

    return has_ended


def _file_of(path: str) -> tuple[int, ...]:
    """Return which file lies at a path, by what tells it from all others; empty where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return ()
    return found.st_dev, found.st_ino


def _tell(pid: int, errors: tuple[int, ...], text: str) -> None:
    """Print a line to where a process has printed its errors before it had a log; nowhere where that can't be."""
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208
            if errors and _file_of(f"{folder}/{name}") == errors:
                handle = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
                os.write(handle, f"{text}\n".encode(errors="backslashreplace"))
                os.close(handle)
                return
