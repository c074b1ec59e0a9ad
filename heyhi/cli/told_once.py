"""A stream of lines, each of which is told once: for what is looked at again and again, and is wrong each time."""

from __future__ import annotations

import io
import threading
from typing import TextIO

_MOST = 1000  # lines that are remembered, after which nothing new is told


class ToldOnce(io.TextIOBase):
    """Standard error for who looks again and again.

    Args:
        stream: gets each line when it comes first.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._begun = ""
        self._told: set[str] = set()

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, text: str, /) -> int:
        """Tell the lines that are whole now, and new."""
        with self._lock:
            *lines, self._begun = f"{self._begun}{text}".split("\n")
            for line in lines:
                if line not in self._told and len(self._told) < _MOST:
                    self._told.add(line)
                    self._stream.write(f"{line}\n")
        return len(text)

    def flush(self) -> None:
        """Have what was told shown."""
        self._stream.flush()
