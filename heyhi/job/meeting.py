"""Where tasks meet that somebody else has started at once, each by the same `python run.py …` (srun, torchrun).

They are the ranks of one run: the first one, the host, decides, claims, records, and ends with the run's exit code. The
others, guests, start their rank when the host has started its own, and end when it ends, with the same code. Any two of
them may be on different nodes, so they meet in a folder of the results root. Host and guests have a claim there, each
in a folder of its own, by which the others see that it lives; names of files end in the host's nonce, so that what
others have left there means nothing. A guest runs no command that it has read there: it is told the names of manifest
and notes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

from heyhi.errors import HeyhiError, LauncherError
from heyhi.experiment.claim import Claim, read_owner
from heyhi.experiment.names import CLAIM_NAME
from heyhi.experiment.owner import Owner
from heyhi.files import parse_json, read_bounded, replace_file, writing
from heyhi.job.ending import Terminated
from heyhi.job.step import Members, Process, ranks_environment
from heyhi.job_env import Tasks, rank_variables
from heyhi.project import Project
from heyhi.slurm.addresses import address_of

_FOLDER = "ranks"
_LOOK_SECONDS = 0.1
_LIVES_SECONDS = 2.0  # how often it is looked whether another still lives
_COME_SECONDS = 600.0  # for a task of the same step to come
_LEAVE_SECONDS = 60.0  # for guests to take notice of the end
_KILL_SECONDS = 15.0  # for a guest to say how its rank has ended, once it was told to kill it
_MAX_SAID = 100_000  # bytes of what a rank prints outside of its log
_KILL = "KILL"  # what a guest does itself; all else it passes on


def meeting_folder(project: Project, tasks: Tasks, words: Sequence[str]) -> Path:
    """Return the folder in which the tasks meet that run the same words."""
    digest = hashlib.sha256(f"{tasks.name}\n{shlex.join(words)}".encode(errors="surrogateescape")).hexdigest()[:16]
    return project.state_root / _FOLDER / digest


def _environment(tasks: Tasks) -> dict[str, str]:
    """Return the environment of this task's rank."""
    env = ranks_environment()
    if not tasks.by_torchrun:
        env |= rank_variables()
        env["MASTER_ADDR"] = address_of(env["MASTER_ADDR"])
    return env


class Host:
    """The first task of several.

    Args:
        folder: to meet in.
        tasks: of which this process is the first.

    Raises:
        LauncherError: another process is the first of them, too.
    """

    def __init__(self, folder: Path, tasks: Tasks) -> None:
        self.folder = folder
        self.tasks = tasks
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        got = Claim.acquire(folder)
        if isinstance(got, Owner):
            raise LauncherError(f"{got.describe()} is rank 0 of the same tasks: only one can be")
        self._claim = got
        self.nonce = got.owner.nonce

    def path(self, name: str, rank: int | None = None) -> Path:
        """Return the path of a file of this meeting."""
        return self.folder / (f"{name}.{self.nonce}" if rank is None else f"{name}.{self.nonce}.{rank}")

    def start(self, command: list[str], said: IO[bytes]) -> Members:
        """Start this task's rank, and have the guests start theirs."""
        manifest, notes = Path(command[command.index("--manifest") + 1]), Path(command[command.index("--notes") + 1])
        first = Process(command, _environment(self.tasks), None)
        try:
            replace_file(self.path("start"), json.dumps({"manifest": manifest.name, "notes": notes.name}))
        except BaseException:
            first.kill()
            raise
        return Members([first, *(_Guest(self, rank) for rank in range(1, self.tasks.count))], said)

    def end(self, code: int) -> None:
        """Tell the guests by which exit code to end, and leave when they have left."""
        try:
            replace_file(self.path("over"), json.dumps({"code": code}))
            deadline, guests = time.monotonic() + _LEAVE_SECONDS, range(1, self.tasks.count)
            while time.monotonic() < deadline and not all(map(self._has_left, guests)):
                time.sleep(_LOOK_SECONDS)
            # Not before: a guest takes a meeting without a host for one that has ended badly.
            self._claim.release()
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # others meet there
                self.folder.parent.rmdir()
        finally:
            self._claim.release()

    def _has_left(self, rank: int) -> bool:
        """Return whether a guest has taken notice of the end, or was killed."""
        return self.path("left", rank).exists() or (self.has_come(rank) and not self.is_here(rank))

    def has_come(self, rank: int) -> bool:
        """Return whether a guest is here, or was killed here."""
        return (self.folder / str(rank) / CLAIM_NAME).exists()

    def is_here(self, rank: int) -> bool:
        """Return whether a guest is here and lives."""
        return _owner(self.folder / str(rank)) is not None


class _Guest:
    """A rank that another task looks after, as the host sees it."""

    def __init__(self, host: Host, rank: int) -> None:
        self.host = f"rank {rank}"
        self._meeting = host
        self._rank = rank
        self._words = ""
        self._is_killed = threading.Event()
        self._writing = threading.Lock()

    def tell(self, word: str) -> None:
        """Send it a word."""
        with self._writing, contextlib.suppress(HeyhiError):
            self._words += f"{word}\n"
            replace_file(self._meeting.path("words", self._rank), self._words)

    def terminate(self) -> None:
        """Ask it to end."""
        self.tell(signal.SIGTERM.name)

    def kill(self) -> None:
        """End it."""
        self.tell(_KILL)
        self._is_killed.set()

    def close(self) -> None:
        """Forget it."""

    def wait(self) -> int:
        """Wait until it says how it has ended, or is gone."""
        ended = self._meeting.path("ended", self._rank)
        begin = looked = time.monotonic()
        has_come = False
        killed: float | None = None
        while True:
            if (note := _read(ended)) is not None:
                self.host = str(note.get("host", self.host))
                return int(note.get("code", 1))
            now = time.monotonic()
            if now - looked > _LIVES_SECONDS:
                looked = now
                has_come = has_come or self._meeting.has_come(self._rank)
                if has_come and not self._meeting.is_here(self._rank) and not ended.exists():
                    return -signal.SIGKILL
                if not has_come and now - begin > _COME_SECONDS:
                    return 1
            if self._is_killed.is_set():
                killed = killed or now
                if now - killed > _KILL_SECONDS:
                    return -signal.SIGKILL
            time.sleep(_LOOK_SECONDS)


@dataclass
class Guest:
    """One of the tasks but the first.

    Attributes:
        folder: to meet in.
        tasks: of which this process is one.
        command: returns the words of its rank's command, by the names of manifest and notes.
    """

    folder: Path
    tasks: Tasks
    command: Callable[[str, str], list[str]]

    def follow(self) -> int:
        """Do what the host does, and return the exit code to end with.

        Raises:
            LauncherError: the host doesn't come, or has ended without a word.
        """
        own = self.folder / str(self.tasks.rank)
        with writing(own):
            own.mkdir(parents=True, exist_ok=True)
        claim = Claim.acquire(own)
        if isinstance(claim, Owner):
            raise LauncherError(f"{claim.describe()} is rank {self.tasks.rank} of the same tasks: only one can be")
        with claim:
            nonce = self._host()
            try:
                return self._follow(nonce)
            finally:
                with contextlib.suppress(OSError):
                    self._mine("left", nonce).touch()

    def _follow(self, nonce: str) -> int:
        ran = False
        while (over := _read(self._path("over", nonce))) is None:
            if not ran and (start := _read(self._path("start", nonce))) is not None:
                self._run(nonce, str(start.get("manifest")), str(start.get("notes")))
                ran = True
            self._check_host(nonce)
            time.sleep(_LOOK_SECONDS)
        return int(over.get("code", 1))

    def _check_host(self, nonce: str) -> None:
        """Make sure that the host lives, or has said how it has ended."""
        owner = _owner(self.folder)
        if (owner is None or owner.nonce != nonce) and not self._path("over", nonce).exists():
            raise LauncherError("rank 0 has ended without a word")

    def _path(self, name: str, nonce: str) -> Path:
        return self.folder / f"{name}.{nonce}"

    def _mine(self, name: str, nonce: str) -> Path:
        return self.folder / f"{name}.{nonce}.{self.tasks.rank}"

    def _host(self) -> str:
        """Wait for the host of a meeting that this task hasn't left, and return its nonce."""
        deadline = time.monotonic() + _COME_SECONDS
        while time.monotonic() < deadline:
            owner = _owner(self.folder)
            if owner is not None and not self._mine("left", owner.nonce).exists():
                return owner.nonce
            time.sleep(_LOOK_SECONDS)
        raise LauncherError(
            f"rank 0 of these {self.tasks.count} tasks has not come for {_COME_SECONDS:g} s:"
            " all of them must run the same command"
        )

    def _run(self, nonce: str, manifest: str, notes: str) -> None:
        """Start this task's rank, and look after it until it has ended."""
        log = self._mine("said", nonce)
        with writing(log), log.open("w+b") as said, _stopping():
            process = Process(self.command(Path(manifest).name, Path(notes).name), _environment(self.tasks), said)
            code: int | None = None
            try:
                code = self._look_after(process, nonce)
            finally:
                if code is None:  # a signal to this task alone; or the host is gone
                    process.terminate()
                    code = _end(process)
                process.close()
                with contextlib.suppress(HeyhiError):
                    note = {"code": code, "host": process.host}
                    replace_file(self._mine("ended", nonce), json.dumps(note))
                said.seek(0)
                if more := said.read(_MAX_SAID).decode("utf-8", "replace").strip():
                    print(more, file=sys.stderr, flush=True)

    def _look_after(self, process: Process, nonce: str) -> int:
        told, looked = 0, time.monotonic()
        words = self._mine("words", nonce)
        while (code := process.process.poll()) is None:
            for word in _lines(words)[told:]:
                told += 1
                if word == _KILL:
                    process.kill()
                else:
                    process.tell(word)
            if time.monotonic() - looked > _LIVES_SECONDS:
                looked = time.monotonic()
                self._check_host(nonce)
            time.sleep(_LOOK_SECONDS)
        return code


def _end(process: Process) -> int:
    try:
        return process.process.wait(_KILL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.process.wait()


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """Raise SIGTERM as an exception inside the context; SIGINT is one anyway."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _owner(folder: Path) -> Owner | None:
    try:
        return read_owner(folder)
    except HeyhiError:
        return None


def _lines(path: Path) -> list[str]:
    try:
        return read_bounded(path).decode().splitlines()
    except (OSError, ValueError):
        return []


def _read(path: Path) -> dict[str, Any] | None:
    try:
        note = parse_json(read_bounded(path))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of a host that ends by an error."""
    if isinstance(error, HeyhiError):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else os.EX_SOFTWARE
