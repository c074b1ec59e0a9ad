"""The log of a run, which its task may remove, move, or put something else in the place of.

Who writes it has it open: this process, the programs that main has started, the one that lets output through to a
terminal. What they go on writing into a file that has its name no more is copied into the log that has it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from heyhi.files import open_regular
from heyhi.streams import Held

_COPY_BYTES = 1 << 20
_MOST_FILES = 8  # that had the name; a task may remove it again and again


class _File:
    """A file that is the log, or was.

    Args:
        fd: of it, to read.
        copied: bytes of it that are in the log that came after it.
    """

    def __init__(self, fd: int) -> None:
        self.held = Held(fd)
        self.copied = 0

    def has_name(self, path: Path) -> bool:
        with contextlib.suppress(OSError):
            there, mine = os.stat(path), os.fstat(self.held.fd)  # noqa: PTH116 (each second)
            if os.path.samestat(there, mine):
                return True
            # File systems are about that number their inodes anew as they like.
            return stat.S_ISREG(there.st_mode) and mine.st_nlink > 0 and not path.is_symlink()
        return False

    def copy_to(self, log: int) -> None:
        while data := os.pread(self.held.fd, _COPY_BYTES, self.copied):
            self.copied += os.write(log, data)


class KeptLog:
    """A log that is there by now, looked after until `end`.

    Args:
        path: of it.

    Raises:
        OSError: there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = [_File(open_regular(path))]  # the last one is the log

    @property
    def is_changed(self) -> bool:
        """Whether it isn't there any more as it was."""
        last = self._files[-1]
        return last.held.is_ours and not last.has_name(self._path)

    def put_back(self) -> str:
        """Have it there again, with what it held; what lies in its place gets another name.

        Returns:
            what was done, in words; empty where nothing was to be.

        Raises:
            OSError: it can't be.
        """
        if not self.is_changed:
            return ""
        last, said = self._files[-1], self._path.name
        if os.path.lexists(self._path):
            aside = self._path.with_name(f"{self._path.name}.{os.urandom(4).hex()}")
            self._path.rename(aside)
            said = f"{said} (what was in its place is {aside.name} now)"
        self._make_anew(last)
        return said

    def follow(self) -> None:
        """Copy what was written since into files that had its name before.

        Raises:
            OSError: it can't be.
        """
        if len(self._files) == 1 or not self._files[-1].has_name(self._path):
            return
        before = [file for file in self._files[:-1] if file.held.is_ours]
        if all(os.fstat(file.held.fd).st_size <= file.copied for file in before):
            return
        log = self._open(0)
        try:
            for file in before:
                file.copy_to(log)
        finally:
            os.close(log)

    def end(self) -> None:
        """Look after it no more."""
        for file in self._files:
            file.held.close()

    def _make_anew(self, last: _File) -> None:
        log = self._open(os.O_CREAT | os.O_EXCL)
        try:
            self._files.append(_File(open_regular(self._path)))
            last.copied = 0
            last.copy_to(log)
            gone = os.fstat(last.held.fd)
            for fd in (1, 2):
                with contextlib.suppress(OSError):
                    if os.path.samestat(os.fstat(fd), gone):
                        os.dup2(log, fd)
            last.copy_to(log)  # what was printed meanwhile
        finally:
            os.close(log)
        if len(self._files) > _MOST_FILES:  # that of the start stays: most who write have that open
            self._files.pop(1).held.close()

    def _open(self, flags: int) -> int:
        return os.open(
            self._path,
            os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | flags,
            0o666,
        )
