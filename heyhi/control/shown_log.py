"""What a log holds, given on: as it is where a program reads it, made harmless where a terminal shows it."""

from __future__ import annotations

import codecs
import re
import sys

from heyhi.text import readable

# What a terminal may get: colours, and what progress bars go back by.
_ALLOWED = re.compile(r"(\x1b\[[0-9;:]{0,60}m|[\r\b])")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:]{0,60})?\Z")
# What is sent to terminals beside text; of that, what erases the rest of a line.
_CODES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])")
_ERASING = ("\x1b[K", "\x1b[0K")
_ERASES = "\x1b[K"
_GOES_BACK = re.compile(r"(\r|\x08|\x1b\[K)")
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


def plain(text: str) -> str:
    """Return lines of a log as a terminal would show them at the end: less colours, with what was written over gone."""
    if text.replace("\n", "").isprintable():
        return text
    return "\n".join(map(_plain_line, text.split("\n")))


def _plain_line(line: str) -> str:
    line = _CODES.sub(lambda code: _ERASES if code[0] in _ERASING else "", line.rstrip("\r"))
    if "\r" in line or "\b" in line:
        cells: list[str] = []
        at = 0
        for part in _GOES_BACK.split(line):
            if part == "\r":
                at = 0
            elif part == "\b":
                at = max(at - 1, 0)
            elif part == _ERASES:
                del cells[at:]
            else:
                cells[at : at + len(part)] = part
                at += len(part)
        line = "".join(cells)
    return readable(line.replace(_ERASES, ""))


def _encoding() -> tuple[str, str]:
    return sys.stdout.encoding or "utf-8", "backslashreplace"


def _write(data: bytes) -> None:
    # As bytes: a piece may end inside a character, and colours are meant.
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
