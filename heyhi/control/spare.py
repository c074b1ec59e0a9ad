"""What a controller says when its log can't be written any more: a block on disk is kept for that from its begin.

It is overwritten in place, for which a full disk has room. Once the log takes text again, what was kept goes there.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

from heyhi.errors import HeyhiError
from heyhi.files import read_bounded

_NAME = "spare"  # in the folder of a controller
_BYTES = 4096
_PID = "pid "


class Unlogged(NamedTuple):
    """What a controller has said last, and its log couldn't take.

    Attributes:
        pid: of the controller.
        why: its log couldn't.
        text: what it said.
    """

    pid: int
    why: str
    text: str


def read_unlogged(folder: Path) -> Unlogged | None:
    """Read what the last controller of a folder couldn't write into its log; None where it could all.

    Args:
        folder: of the controller.
    """
    try:
        text = read_bounded(folder / _NAME, _BYTES).decode(errors="replace").strip("\n")
        first, _, rest = text.partition("\n")
        why, _, said = rest.partition("\n")
        return Unlogged(int(first.removeprefix(_PID)), why, f"{said}\n") if first.startswith(_PID) else None
    except (OSError, ValueError, HeyhiError):
        return None


class Spare:
    """The block of a controller.

    Args:
        folder: of the controller.
        log: of it.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self._log = log
        self._why = ""
        self._text = b""
        self._block = -1
        self._writing = threading.Lock()
        with contextlib.suppress(OSError):  # then there is no room for this either
            self._block = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._put(b"")

    def print_through(self) -> None:
        """Have what this process prints go through here to the log, which its standard output and error are."""
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            raw: Any = _Stream(self, descriptor)
            stream = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
            setattr(sys, name, stream)

    def write(self, descriptor: int, data: bytes) -> None:
        """Write into the log, or keep what it doesn't take.

        Args:
            descriptor: of the log.
            data: to write.
        """
        left = data
        with self._writing:
            try:
                if self._why:
                    told = f"[{self._why}; of what was said since, this is the end]\n".encode() + self._text
                    while told:
                        told = told[os.write(descriptor, told) :]
                    self._why, self._text = "", b""
                    self._put(b"")
                while left:
                    left = left[os.write(descriptor, left) :]
            except OSError as error:
                self._keep(left, error)

    def _keep(self, data: bytes, error: OSError) -> None:
        self._why = f"{error.strerror or error}: {self._log}"
        head = f"{_PID}{os.getpid()}\n{self._why}\n".encode()
        self._text = _last_lines(self._text + data, _BYTES - len(head))
        self._put(head + self._text)

    def _put(self, data: bytes) -> None:
        if self._block >= 0:
            with contextlib.suppress(OSError):
                os.pwrite(self._block, data.ljust(_BYTES, b"\n"), 0)


class _Stream(io.RawIOBase):
    """Standard output or error, whose writing never fails."""

    def __init__(self, spare: Spare, descriptor: int) -> None:
        super().__init__()
        self._spare = spare
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any, /) -> int:  # whatever has bytes
        whole = bytes(data)
        self._spare.write(self._descriptor, whole)
        return len(whole)


def _last_lines(text: bytes, most: int) -> bytes:
    """Return the end of a text, from the begin of a line where it is cut."""
    if len(text) <= most:
        return text
    end = text[-most:]
    return end.partition(b"\n")[2] or end
