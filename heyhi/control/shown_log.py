"""What a log holds, given on: as it is where a program reads it, made harmless where a terminal shows it."""

from __future__ import annotations

import codecs
import re
import sys

from heyhi.text import readable

# What a terminal may get: colours, and what progress bars go back by.
_ALLOWED = re.compile(r"(\x1b\[[0-9;:]{0,60}m|[\r\b])")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:]{0,60})?\Z")
_RESET = "\x1b[0m"
_MOST_HELD = 1 << 16  # bytes of a line that has no end yet, where lines of several logs are told apart


class Shown:
    """Gives on the bytes of a log, in pieces that may end anywhere.

    Args:
        label: what stands before each line; with one, only whole lines are given on.
    """

    def __init__(self, label: str = "") -> None:
        self._label = label.encode()
        self._held = b""
        self._is_terminal = sys.stdout.isatty()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._text = ""  # of an escape that isn't whole yet
        self._is_coloured = False

    def write(self, data: bytes) -> None:
        """Give on a piece."""
        if not self._label:
            return self._put(data)
        lines = (self._held + data).split(b"\n")
        self._held = lines.pop()
        self._put(b"".join(self._label + line + b"\n" for line in lines))
        if len(self._held) > _MOST_HELD:
            self.end()
        return None

    def end(self) -> None:
        """Give on what waits for more to come."""
        if self._held:
            self._put(self._label + self._held + b"\n")
            self._held = b""
        if self._is_terminal:
            text = self._text + self._decoder.decode(b"", final=True)
            self._text = ""
            _write((harmless(text) + (_RESET if self._is_coloured else "")).encode(*_encoding()))
            self._is_coloured = False

    def _put(self, data: bytes) -> None:
        if not self._is_terminal:
            return _write(data)
        text = self._text + self._decoder.decode(data)
        cut = _UNFINISHED.search(text)
        self._text = text[cut.start() :] if cut is not None else ""
        text = text[: len(text) - len(self._text)]
        self._is_coloured = self._is_coloured or "\x1b[" in text
        return _write(harmless(text).encode(*_encoding()))


def harmless(text: str) -> str:
    """Return text with all but colours, carriage returns and backspaces made readable that would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(part if i % 2 else readable(part) for i, part in enumerate(_ALLOWED.split(text)))


def _encoding() -> tuple[str, str]:
    return sys.stdout.encoding or "utf-8", "backslashreplace"


def _write(data: bytes) -> None:
    # As bytes: a piece may end inside a character, and colours are meant.
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
