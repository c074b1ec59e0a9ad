"""What is kept of an experiment's folder while its task runs, which may empty or remove it.

What HeyHi has written there before main began is put back where it is missing; so is the log, as far as this process
writes it itself. A folder that is removed or moved as a whole takes what the task has written with it, so that such a
run ends, and the reason says why. Its claim is kept by `experiment/heartbeat`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from heyhi.errors import ResultError
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import (
    ATTEMPTS_NAME,
    CODE_NAME,
    CONFIG_NAME,
    FLAT_CONFIG_NAME,
    IDENTITY_NAME,
    JOB_NAME,
)
from heyhi.files import open_to_append, read_bounded, replace_bytes
from heyhi.job.saving import why_not_held

_NAMES = (IDENTITY_NAME, CONFIG_NAME, FLAT_CONFIG_NAME, JOB_NAME, CODE_NAME, ATTEMPTS_NAME)
_OF_SUBMISSIONS = (JOB_NAME, CODE_NAME)  # which is noted a moment after the job has begun: it may change
_OPEN_TO_OWNER = 0o700
_COPY_BYTES = 1 << 20
_log = logging.getLogger(__name__)


class KeptFolder:
    """The folder of a run: looked after from `begin` until `end`.

    Args:
        folder: of the experiment.
    """

    def __init__(self, folder: ExperimentDir) -> None:
        self._folder = folder
        self._files: dict[str, bytes] = {}
        self._claim: Claim | None = None
        self._on_moved: Callable[[str], None] | None = None
        self._looking = threading.Lock()

    @property
    def why_moved(self) -> str:
        """Why the run has to end, since its folder is another one by now; empty where it isn't."""
        if self._claim is None or not self._claim.is_moved:
            return ""
        return f"{self._folder.path} was removed or moved while the run was in it"

    def why_not_removed(self, exception: str) -> str:
        """Say that main could not remove its folder, since what the run needs was put back; empty where that isn't so.

        Args:
            exception: what it raised.
        """
        if os.strerror(errno.ENOTEMPTY) in exception and str(self._folder.path) in exception:
            return f"{self._folder.path} can't be removed while the run is in it"
        return ""

    def begin(self, claim: Claim, on_moved: Callable[[str], None]) -> None:
        """Keep what the folder holds now.

        Args:
            claim: by which the run has it.
            on_moved: called once, from another thread, with the reason, when the folder is another one.
        """
        for name in _NAMES:
            with contextlib.suppress(OSError):
                self._files[name] = read_bounded(self._folder.path / name)
        self._claim, self._on_moved = claim, on_moved

    def settle(self) -> None:
        """Look once more, now that main has ended; this process is in the folder that is there then."""
        self._on_moved = None
        self.look()
        if self.why_moved:
            with contextlib.suppress(OSError):  # programs that are started need a working directory
                os.chdir(self._folder.path)

    def note_in_log(self, line: str) -> None:
        """Write a line into the log of the folder that is there now, where what is printed may not get."""
        with (
            contextlib.suppress(OSError),
            os.fdopen(open_to_append(self._folder.log_path), "a", encoding="utf-8") as log,
        ):
            log.write(f"{line}\n")

    def end(self) -> None:
        """Look after it no more."""
        with self._looking:
            self._claim = None

    def look(self) -> None:
        """Put back what is missing, and tell of a folder that is another one; from whatever thread."""
        with self._looking:
            if self._claim is None or not self._is_changed():
                return
            if why_not_held(self._claim):  # another's by now: nothing is written there
                return
            self._put_back()
            why, on_moved = self.why_moved, self._on_moved
            if why:
                self._on_moved = None
        if why and on_moved is not None:
            _log.error("%s: this run ends", why)
            on_moved(why)

    def _is_changed(self) -> bool:
        assert self._claim is not None
        return (
            self._claim.is_moved or bool(self._missing()) or self._is_closed() or _is_folder(self._folder.result_path)
        )

    def _missing(self) -> list[str]:
        """Return the names of what is not there as it was, or no more than a part of it."""
        least = {name: 1 if name in _OF_SUBMISSIONS else len(data) for name, data in self._files.items()}
        return [name for name, size in least.items() if _size(self._folder.path / name) < size]

    def _is_closed(self) -> bool:
        try:
            return os.stat(self._folder.path).st_mode & _OPEN_TO_OWNER != _OPEN_TO_OWNER  # noqa: PTH116
        except OSError:
            return False

    def _put_back(self) -> None:
        put = []
        if self._is_closed():
            with contextlib.suppress(OSError):
                self._folder.path.chmod(stat.S_IMODE(self._folder.path.stat().st_mode) | _OPEN_TO_OWNER)
                put.append("the right to use it")
        aside: dict[str, str] = {}
        for path in (self._folder.result_path, *(self._folder.path / name for name in self._missing())):
            if _is_folder(path):
                with contextlib.suppress(OSError):  # what is in it is the task's
                    kept = path.rename(path.with_name(f"{path.name}.{os.urandom(4).hex()}"))
                    aside[path.name] = kept.name
        for name in self._missing():
            with contextlib.suppress(ResultError):
                replace_bytes(self._folder.path / name, self._files[name])
                put.append(name)
        with contextlib.suppress(OSError):
            if _put_log_back(self._folder.log_path):
                put.append(self._folder.log_path.name)
        if put:
            _log.warning("%s: what was removed is put back: %s", self._folder.path, ", ".join(put))
        for name, kept_as in aside.items():
            _log.warning("%s: %s was a folder, which is %s now", self._folder.path, name, kept_as)


def _size(path: Path) -> int:
    """Return the bytes of a file; -1 where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return -1
    except OSError:
        return 1 << 62  # nobody can tell
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (never raises)


def _put_log_back(log: Path) -> bool:
    """Have output go to a log of that name again which has none any more, with what it held; return whether it does.

    What was let through to a terminal, too, is written by another program, and stays lost.
    """
    held = [fd for fd in (1, 2) if stat.S_ISREG(os.fstat(fd).st_mode) and os.fstat(fd).st_nlink == 0]
    if not held or os.path.lexists(log):
        return False
    old = os.open(f"/proc/self/fd/{held[0]}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        new = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            for is_written in (False, True):  # what was printed before the switch, and during it
                while data := os.read(old, _COPY_BYTES):
                    os.write(new, data)
                if not is_written:
                    for fd in held:
                        os.dup2(new, fd)
        finally:
            os.close(new)
    finally:
        os.close(old)
    return True
