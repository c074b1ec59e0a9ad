"""Text from anywhere: what a task raised, a path in an odd encoding, our own signs. Made such that it can be shown.

Where a program of ours starts, its standard output and error are made such that nothing printed there can steer the
terminal; the few who mean to (colours, a cursor that moves) and what programs are to read say so. What becomes of
values in a table's files is left to `heyhi.report.readings`.
"""

from __future__ import annotations

import codecs
import contextlib
import math
import re
import sys
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any, TextIO

from heyhi.regex import regex

TIMES = "\u00d7"  # 30 times something
# Our own signs, as an output that has only ASCII can show them.
_PLAIN = {"±": "+-", "→": "->", "…": "...", TIMES: "x"}
_HASH = r"_[0-9a-f]{16}$"  # of an exp id
_ERRORS = "heyhi.shown"
_STREAMS = ("stdout", "stderr")
MAX_LINE = 500  # characters of a line that somebody else has made
_MAX_WORD, _MAX_MESSAGE = 200, 50_000  # characters of a word that is too long for a path, and of a message
_LONG_WORD = regex(r"\S{4097,}")
_TEXT = regex(r"\S")
# Control characters, halves of surrogates, what breaks lines, and what turns the direction of all text behind it.
_UNSHOWN = regex("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN_IN_SHELLS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%_-+=:,./")


def shorten(text: str, limit: int = 80) -> str:
    """Cut a text that is quoted in an error."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def readable(text: str) -> str:
    """Return text with what no file or terminal can show as its escape.

    These are control characters, halves of surrogates, what breaks lines, and what turns the direction of all text
    behind it. Line ends and tabs stay.
    """
    # Of most texts the quick look says all: it takes a tenth of the time.
    return text if text.replace("\n", "").isprintable() else _UNSHOWN.sub(_escaped, text)


def in_line(text: str) -> str:
    """Return the whole of a text such that it stays on its line, as that of a cell has to: line ends are escapes."""
    if text.isprintable():
        return text
    return readable(text).replace("\n", "\\n").replace("\t", "\\t")


def one_line(text: str, limit: int = MAX_LINE) -> str:
    """Return the first line with text of a text that somebody else has made, readable and of a length to be shown.

    Args:
        text: of any length.
        limit: most characters; what is longer ends in `…`.
    """
    begin = _TEXT.search(text) if text else None
    if begin is None:
        return ""
    # No more than may be shown is looked at: a text can be of a gigabyte.
    line = text[begin.start() : begin.start() + limit + 1].partition("\n")[0]
    return shorten(readable(line.rstrip()).replace("\t", " "), limit)


def message(text: str) -> str:
    """Return what a message quotes of others in a sane length, and readable: a word may be a megabyte."""
    text = _LONG_WORD.sub(lambda word: shorten(word[0], _MAX_WORD), text[: 100 * _MAX_MESSAGE])
    return shorten(readable(text), _MAX_MESSAGE)


def shell_word(word: str) -> str:
    """Quote a word for a command that people copy: what can't be shown is `$'…'`, as bash, zsh and ksh read it back."""
    if word.isprintable():
        return quoted(word)
    shown = (_in_octal(char) if not char.isprintable() or char in "'\\" else char for char in word)
    return f"$'{''.join(shown)}'"


def quoted(word: str) -> str:
    """Quote a word for a shell, as `shlex.quote` does, which compiles a pattern, and would be loaded by each run."""
    return word if word and _PLAIN_IN_SHELLS.issuperset(word) else single_quoted(word)


def quoted_words(words: Iterable[str]) -> str:
    """Write a command for a shell, as `shlex.join` does."""
    return " ".join(map(quoted, words))


def single_quoted(text: str) -> str:
    """Quote a text for a shell, also where it needs no quotes."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def shell_line(words: Iterable[str]) -> str:
    """Write a command that people copy."""
    return " ".join(map(shell_word, words))


def _in_octal(char: str) -> str:
    of_a_name = "\udc80" <= char <= "\udcff"
    return "".join(f"\\{byte:03o}" for byte in char.encode(errors="surrogateescape" if of_a_name else "surrogatepass"))


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: East Asian characters two, those that combine none."""
    if text.isascii():
        return len(text)
    import unicodedata

    columns = 0
    for char in text:
        if unicodedata.category(char) not in ("Mn", "Me", "Cf"):
            columns += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return columns


def padded(text: str, width: int, *, is_right: bool = False) -> str:
    """Fill a text up with spaces to a number of columns of a terminal; it stands on the left unless told otherwise."""
    space = " " * (width - width_of(text))
    return f"{space}{text}" if is_right else f"{text}{space}"


def cut_alike(names: Sequence[str], width: int, most: int = 0) -> list[str]:
    """Cut names that are too long for a column where they are alike, and not where they differ.

    Args:
        names: such as exp ids, which are made of parts that end in `/` or `,`.
        width: most characters that one may have.
        most: that one may have where more than what is alike would have to go; less than `width` is the same as it.

    Returns:
        the names as they are where all fit; else with `…` for what all of them have, and then for the hash at their end
        where they differ without it. What is then longer than `most` keeps its end, by which experiments differ most;
        where different names would look alike, they are longer than that.
    """
    if max(map(len, names), default=0) <= width:
        return list(names)
    parts = [_parts(name) for name in names]
    shared = set[str]().union(*parts[:1]).intersection(*parts) if len(set(names)) > 1 else frozenset[str]()
    found = list(names)
    least = max(width, most)
    for room, shorten in ((width, partial(_without, shared)), (width, _without_hash), (least, partial(_end_of, least))):
        shorter = [shorten(text) if len(text) > room else text for text in found]
        count = Counter(dict(zip(names, shorter, strict=True)).values())
        found = [new if count[new] == 1 else old for old, new in zip(found, shorter, strict=True)]
    return found


def _parts(name: str) -> list[str]:
    return re.findall(r"[^/,]*[/,]|[^/,]+", name)


def _without(shared: Container[str], name: str) -> str:
    runs = groupby(_parts(name), shared.__contains__)
    return "".join("…" if is_shared else "".join(run) for is_shared, run in runs)


def _end_of(width: int, name: str) -> str:
    return f"…{name[len(name) - width + 1 :]}" if width > 1 else "…"[:width]


def without_hash(exp_id: str) -> str:
    """Return an exp id less the hash at its end."""
    return re.sub(_HASH, "", exp_id)


def _without_hash(name: str) -> str:
    return re.sub(_HASH, "_…", name)


def wrapped(lines: Iterable[str], width: int | None) -> list[str]:
    """Break lines that are longer than a terminal is wide, between words; what goes on is indented.

    Args:
        lines: to be shown; the indent of each stays.
        width: characters of one; None: nothing is broken.
    """
    if width is None:
        return list(lines)
    import textwrap

    found = []
    for line in lines:
        indent = line[: len(line) - len(line.lstrip(" "))]
        words = textwrap.wrap(
            line, width, subsequent_indent=f"{indent}  ", break_on_hyphens=False, break_long_words=False
        )
        found += words or [""]
    return found


def number_text(value: float, form: str) -> str:
    """Write a number in a format; NaN and infinities as they are called everywhere."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return format(value, form)


def duration(seconds: float) -> str:
    """Write how long something takes, in its two greatest units: `42 s`, `5 min`, `1 h 05 min`, `3 d 04 h`."""
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{max(0, int(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60:02} min" if hours < 24 else f"{hours // 24} d {hours % 24:02} h"


def take_any_text() -> None:
    """Let standard output and error take whatever text, which then steers no terminal.

    What a terminal would obey is printed as its escape, and what their encoding lacks is replaced, and raises nothing.
    To be called where a program starts; inside of another one, `shown_streams` does it for a while.
    """
    codecs.register_error(_ERRORS, _encoded)
    for name in _STREAMS:
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, _ShownStream):
            continue
        with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or replaced by something else
            stream.reconfigure(errors=_ERRORS)
        setattr(sys, name, _ShownStream(stream))


@contextlib.contextmanager
def shown_streams() -> Iterator[None]:
    """Take any text, as `take_any_text` does, inside a program that isn't ours."""
    before = {name: getattr(sys, name) for name in _STREAMS}
    take_any_text()
    ours = {name: getattr(sys, name) for name in _STREAMS}
    try:
        yield
    finally:
        for name, stream in before.items():
            if getattr(sys, name) is ours[name]:
                setattr(sys, name, stream)


@contextlib.contextmanager
def streams_as_they_are() -> Iterator[None]:
    """Leave standard output and error to code that isn't ours: what it prints is its own, colours and all."""
    are_ours = {name: isinstance(getattr(sys, name), _ShownStream) for name in _STREAMS}
    before = {name: getattr(sys, name) for name in _STREAMS}
    for name in _STREAMS:
        setattr(sys, name, steering(getattr(sys, name)))
    try:
        yield
    finally:
        for name, is_ours in are_ours.items():
            now = getattr(sys, name)
            if is_ours and now is not None and not isinstance(now, _ShownStream):
                setattr(sys, name, before[name] if now is steering(before[name]) else _ShownStream(now))


def steering(stream: TextIO) -> TextIO:
    """Return a standard stream for what is to steer the terminal: colours, a line that is written over."""
    return stream.stream if isinstance(stream, _ShownStream) else stream


def data_output() -> TextIO:
    """Return standard output for what a program reads: as it is, but on a terminal, where nobody but people do."""
    return sys.stdout if sys.stdout is None or sys.stdout.isatty() else steering(sys.stdout)


class _ShownStream:
    """A text stream on which nothing steers the terminal; for all else it is the one that it stands for."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.stream)

    def write(self, text: str) -> int:
        self.stream.write(readable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _encoded(error: UnicodeError) -> tuple[bytes, int]:
    """Encode what an encoding doesn't have; of a file's name the bytes that it has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return b"".join(map(_bytes_of, error.object[error.start : error.end])), error.end


def _bytes_of(char: str) -> bytes:
    if "\udc80" <= char <= "\udcff":
        return char.encode("ascii", "surrogateescape")
    return _PLAIN.get(char, char).encode("ascii", "backslashreplace")
