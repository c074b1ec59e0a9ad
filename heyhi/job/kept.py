"""What is kept of an experiment's folder while its task runs, which may empty or remove it.

What HeyHi has written there before main began is put back where it is missing; so is the log (`kept_log`). A folder
that is removed or moved as a whole takes what the task has written with it, so that such a run ends, and the reason
says why. Its claim is kept by `experiment/heartbeat`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
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
    SEARCH_NAME,
)
from heyhi.files import open_to_append, read_bounded, replace_bytes
from heyhi.job.kept_log import KeptLog
from heyhi.job.saving import why_not_held
from heyhi.loggers import get_logger

_NAMES = (IDENTITY_NAME, CONFIG_NAME, FLAT_CONFIG_NAME, JOB_NAME, CODE_NAME, ATTEMPTS_NAME, SEARCH_NAME)
_OF_SUBMISSIONS = (JOB_NAME, CODE_NAME)  # which is noted a moment after the job has begun: it may change
_OPEN_TO_OWNER = 0o700
_MOST_MORE = 1 << 20  # bytes that attempts.jsonl may have grown by
_log = get_logger(__name__)


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
        self._grown = -1  # size of the attempts where others have added to them
        self._log: KeptLog | None = None
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
        with contextlib.suppress(OSError):
            self._log = KeptLog(self._folder.log_path)
        self._claim, self._on_moved = claim, on_moved

    @contextlib.contextmanager
    def followed_log(self) -> Iterator[None]:
        """Have the log whole when the context is over, in which all is that writes it."""
        try:
            yield
        finally:
            with self._looking:
                self._follow_log()
                if self._log is not None:
                    self._log.end()
                self._log = None

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
            if self._claim is None:
                return
            if not self._is_changed():
                self._follow_log()
                return
            if why_not_held(self._claim):  # another's by now: nothing is written there
                return
            self._put_back()
            self._follow_log()
            why, on_moved = self.why_moved, self._on_moved
            if why:
                self._on_moved = None
        if why and on_moved is not None:
            _log.error("%s: this run ends", why)
            on_moved(why)

    def _is_changed(self) -> bool:
        assert self._claim is not None
        return (
            self._claim.is_moved
            or bool(self._missing())
            or self._is_closed()
            or _is_folder(self._folder.result_path)
            or (self._log is not None and self._log.is_changed)
        )

    def _follow_log(self) -> None:
        if self._log is not None:
            with contextlib.suppress(OSError):
                self._log.follow()

    def _missing(self) -> list[str]:
        """Return the names of what is not there as it was, or no more than a part of it."""
        return [name for name in self._files if not self._is_whole(name)]

    def _is_whole(self, name: str) -> bool:
        path, data = self._folder.path / name, self._files[name]
        size = _size(path)
        if name in _OF_SUBMISSIONS:
            return size >= 1
        if name != ATTEMPTS_NAME or size <= len(data):
            return size >= len(data)
        if size == self._grown:
            return True
        # Its end could not be put on record behind what the task has written there, nor that be read.
        with contextlib.suppress(OSError):
            if size > len(data) + _MOST_MORE or not read_bounded(path).startswith(data):
                return False
        self._grown = size
        return True

    def _is_closed(self) -> bool:
        try:
            mode = os.stat(self._folder.path).st_mode  # noqa: PTH116
        except OSError:
            return False
        return stat.S_ISDIR(mode) and mode & _OPEN_TO_OWNER != _OPEN_TO_OWNER

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
            put += filter(None, [self._log.put_back()] if self._log is not None else [])
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
    except OSError as error:
        return -1 if error.errno == errno.ELOOP else 1 << 62  # nobody can tell
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (never raises)
