"""The file of an experiment's metrics: a block of lines after the other, and which of them count.

It is the one way in which metrics are read. What a task wrote may be of any size, and damaged anywhere; only a block of
it is ever held.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from heyhi.errors import ResultError
from heyhi.experiment.abandoned import Logged
from heyhi.experiment.directions import Directions
from heyhi.experiment.metric_line import MOST_LINE_BYTES, TOTAL, is_progress
from heyhi.experiment.metrics import Summary
from heyhi.experiment.records import Start
from heyhi.files import NO_ORIGIN, Origin, open_found

_BLOCK_BYTES = 1 << 18
_DICTS = frozenset({dict})
_TOTAL = f'"{TOTAL}"'.encode()
_log = logging.getLogger(__name__)


def _ignore(line: int) -> None:
    pass


class Block(NamedTuple):
    """Some lines of a metrics file that one attempt wrote.

    Attributes:
        attempt: its number; 0 where no record says it.
        lines: their objects, in order.
    """

    attempt: int
    lines: list[dict[str, Any]]


class Damage:
    """The lines of a file that can't be read; to be called with the number of each.

    Attributes:
        is_cut: whether the last line has no end and can't be read: it may be that somebody is writing it.
    """

    # Of the class: there may be 10,000 of them, and few files are damaged.
    is_cut = False
    _first = 0
    _count = 0
    _last = 0

    def __call__(self, line: int) -> None:
        """Note a line."""
        self._first = self._first or line
        self._count += 1

    def copy_from(self, other: Damage) -> None:
        """Take over what another has noted."""
        self.is_cut, self._first, self._count, self._last = other.is_cut, other._first, other._count, other._last

    def note_cut(self, line: int) -> None:
        """Note the last line, which has no end."""
        self.is_cut, self._last = True, line

    def text(self, path: Path | str, *, is_over: bool = False) -> str:
        """Say what is left out; empty where nothing is.

        Args:
            path: of the file, as it is to be named.
            is_over: whether nobody writes any more, so that a half-written line is damage, too.
        """
        count = self._count + (is_over and self.is_cut)
        if not count:
            return ""
        more = "" if count == 1 else f", and {count - 1} more line{'s' if count > 2 else ''}"
        return f"{path}:{self._first or self._last}: is no JSON object{more}: left out"

    def warn(self, path: Path | str) -> None:
        """Log a warning, if there were any."""
        if text := self.text(path):
            _log.warning("%s", text)


class Place(NamedTuple):
    """From where on a reading of a file may be gone on with, once the file has grown.

    Attributes:
        offset: of the first line that wasn't read.
        number: of that line, from 1.
        read: up to which byte the file was looked at.
        skips: whether that line is longer than any line of metrics is.
    """

    offset: int = 0
    number: int = 1
    read: int = 0
    skips: bool = False


BEGIN = Place()


class Piece(NamedTuple):
    """Whole lines of a file.

    Attributes:
        offset: where they begin.
        number: of the first, from 1.
        data: their bytes.
        behind: the place behind them; None where a reading of the file once it has grown may have other pieces.
    """

    offset: int
    number: int
    data: bytes
    behind: Place | None = None


def counting_blocks(
    path: Path | str,
    starts: Sequence[Start] = (),
    *,
    damaged: Callable[[int], object] = _ignore,
    cut: Callable[[int], object] = _ignore,
) -> Iterator[Block]:
    """Read the metrics that count, a block after the other, so that a file of any size fits into memory.

    What an attempt logged doesn't count where a later one has logged it again, at a counter at or below:
    `abandoned` says how that is found out.

    Args:
        path: of the file; where there is none, there are no metrics.
        starts: of the experiment's attempts.
        damaged: called with the number of each line that can't be read, from 1.
        cut: called with that of the last one where it has no end and can't be read; it may be half-written.

    Raises:
        ResultError: it can't be read.
    """
    with Opened(path, cut) as file:
        yield from _counting(file, starts, damaged)


def all_blocks(
    path: Path | str, starts: Sequence[Start] = (), *, damaged: Callable[[int], object] = _ignore
) -> Iterator[Block]:
    """Read all metrics, those that don't count as well; as `counting_blocks`."""
    with Opened(path) as file:
        for part, lines in file.blocks(bounds_of(starts), damaged):
            yield Block(_number(starts, part), lines)


def counting_lines(
    path: Path | str, starts: Sequence[Start] = (), *, damaged: Callable[[int], object] = _ignore
) -> Iterator[dict[str, Any]]:
    """Read the metrics that count, a line after the other; as `counting_blocks`."""
    return chain.from_iterable(block.lines for block in counting_blocks(path, starts, damaged=damaged))


def sum_up(
    path: Path | str,
    starts: Sequence[Start],
    directions: Directions,
    *,
    damaged: Callable[[int], object],
    cut: Callable[[int], object] = _ignore,
) -> Summary:
    """Sum up the metrics that count.

    Args:
        path: of the file; where there is none, there are no metrics.
        starts: of the experiment's attempts.
        directions: of the project.
        damaged: called with the number of each line that can't be read, from 1.
        cut: as in `counting_blocks`.

    Raises:
        ResultError: it can't be read.
    """
    with Opened(path, cut) as file:
        return sum_up_opened(file, starts, directions, damaged=damaged, cut=cut)


def sum_up_opened(
    file: Opened,
    starts: Sequence[Start],
    directions: Directions,
    *,
    damaged: Callable[[int], object],
    cut: Callable[[int], object] = _ignore,
) -> Summary:
    """Sum up the metrics of a file that is open, as `sum_up` does."""
    summary = Summary(directions)
    if file.may_be_struck(starts):
        for block in _counting(file, starts, damaged):
            summary.add(block.lines)
    elif file.is_small:  # as most are
        if file.size:
            add_piece(summary, Piece(0, 1, file.read_at(0)), damaged, cut)
    else:
        for piece in file.pieces(damaged):
            add_piece(summary, piece, damaged, cut)
    return summary


def add_piece(
    summary: Summary, piece: Piece, damaged: Callable[[int], object], cut: Callable[[int], object] = _ignore
) -> None:
    """Take whole lines of a file into a summary; the last may have no end.

    Args:
        summary: of the file.
        piece: the lines.
        damaged: as in `counting_blocks`.
        cut: likewise.
    """
    if piece.data and not summary.add_unparsed(piece.data):
        summary.add(parsed(piece.data, _from(piece.number, damaged), _from(piece.number, cut)))


def _counting(file: Opened, starts: Sequence[Start], damaged: Callable[[int], object]) -> Iterator[Block]:
    bounds = bounds_of(starts)
    if not file.may_be_struck(starts):
        for part, lines in file.blocks(bounds, damaged):
            yield Block(_number(starts, part), lines)
        return
    logged, parts = Logged(), list[int]()
    for part, lines in file.blocks(bounds, _ignore):
        if part not in parts[-1:]:
            parts.append(part)
            logged.begin_attempt()
        logged.add(lines)
    limits = dict(zip(parts, logged.limits(), strict=True))
    for part, lines in file.blocks(bounds, damaged):
        kept = logged.kept(lines, limits.get(part, {}))
        if kept:
            yield Block(_number(starts, part), kept)


def _number(starts: Sequence[Start], part: int) -> int:
    return starts[part - 1].attempt if part else 0


def bounds_of(starts: Sequence[Start]) -> list[int]:
    """Return from which byte on the lines are of each attempt, or of a later one.

    An attempt whose file was cut back below its beginning by a later one, or that logged nothing, has no lines.
    """
    bounds: list[int] = []
    for start in reversed(starts):
        bounds.append(min([max(start.metrics_size, 0), *bounds[-1:]]))
    return bounds[::-1]


class Opened:
    """A metrics file that is open; what is added to it from then on is left out.

    Args:
        path: of the file.
        cut: as in `counting_blocks`.
        origin: a folder that it is in, where that is open.

    Attributes:
        found: what the system said of it then; None where there is none.

    Raises:
        ResultError: it can't be opened.
    """

    def __init__(self, path: Path | str, cut: Callable[[int], object] = _ignore, origin: Origin = NO_ORIGIN) -> None:
        self.path = path
        self._cut = cut
        self._handle = -1
        self.size = 0
        self.found: os.stat_result | None = None
        try:
            self._handle, found = open_found(path, origin)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._unreadable(error) from None
        else:
            self.found, self.size = found, found.st_size

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _unreadable(self, error: OSError) -> ResultError:
        return ResultError(f"{self.path}: can't be read: {error.strerror or error}")

    @property
    def identity(self) -> bytes:
        """Which file it is: another one may come to have its name."""
        found = os.fstat(self._handle)
        return f"{found.st_dev}:{found.st_ino}:".encode()

    @property
    def is_small(self) -> bool:
        """Whether it is read at once."""
        return self.size <= _BLOCK_BYTES

    def may_be_struck(self, starts: Sequence[Start]) -> bool:
        """Return whether several attempts have written to it; mostly one has, and all of it counts."""
        if not starts or (len(starts) == 1 and not starts[0].metrics_size):  # mostly
            return False
        if not any(start.metrics_size for start in starts):
            return False
        return len({bound for bound in [0, *bounds_of(starts)] if bound < self.size}) > 1

    def blocks(
        self, bounds: Sequence[int], damaged: Callable[[int], object]
    ) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Yield the lines from the first on, and of which part they are: how many bounds are at or below them."""
        for piece in self.pieces(damaged):
            yield from self.parts_of(piece, bounds, damaged)

    def parts_of(
        self, piece: Piece, bounds: Sequence[int], damaged: Callable[[int], object] = _ignore
    ) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Yield the lines of a piece, and of which part they are."""
        offset, number, data, _ = piece
        part = begin = 0
        while begin < len(data):
            # A line belongs to where it begins.
            while part < len(bounds) and bounds[part] <= offset + begin:
                part += 1
            end, whole, cut = len(data), 0, self._cut
            if part < len(bounds) and bounds[part] < offset + end:
                end = data.find(b"\n", bounds[part] - offset - 1) + 1 or end
                if offset + end - 1 in bounds:  # what a killed attempt left half-written was closed off
                    whole, cut = 1, _ignore
            first = number + data.count(b"\n", 0, begin)
            lines = parsed(data[begin : end - whole], _from(first, damaged), _from(first, cut))
            if lines:
                yield part, lines
            begin = end

    def pieces(self, damaged: Callable[[int], object] = _ignore, begin: Place = BEGIN) -> Iterator[Piece]:
        """Yield whole lines, some at a time, from a place on."""
        offset, number, read, skips = begin
        if not read and self.size <= _BLOCK_BYTES:  # as most are
            if self.size:
                yield Piece(0, 1, self.read_at(0))
            return
        rest = b"".join(self.read_at(at, read) for at in range(offset, read, _BLOCK_BYTES))
        is_full = True  # so far all reads found as much as they could, and would find the same once the file has grown
        while read < self.size and (data := self.read_at(read)):
            is_full = is_full and len(data) == _BLOCK_BYTES
            read += len(data)
            if skips:
                end = data.find(b"\n") + 1
                offset += end or len(data)
                if not end:
                    after = self._next_data(read)
                    is_full = is_full and after < self.size
                    offset, read = offset + after - read, after
                    if is_full:
                        yield Piece(offset, number, b"", Place(offset, number, read, skips=True))
                    continue
                data, skips, number = data[end:], False, number + 1
            end = data.rfind(b"\n") + 1
            if end:
                whole = rest + data[:end] if rest or end < len(data) else data
                rest = data[end:]
                behind = Place(offset + len(whole), number + whole.count(b"\n"), read)
                yield Piece(offset, number, whole, behind if is_full else None)
                offset, number = behind.offset, behind.number
                continue
            rest += data
            if len(rest) > MOST_LINE_BYTES:
                damaged(number)
                offset, rest, skips = offset + len(rest), b"", True
        if rest:
            yield Piece(offset, number, rest)

    def _next_data(self, offset: int) -> int:
        """Return where the next bytes are that were written: a file may have holes that are larger than a disk."""
        try:
            return min(max(offset, os.lseek(self._handle, offset, os.SEEK_DATA)), self.size)
        except OSError as error:
            return self.size if error.errno == errno.ENXIO else offset  # a file system that can't say is read through

    def read_at(self, offset: int, end: int | None = None) -> bytes:
        """Read a block from a byte on, or up to another one."""
        try:
            return os.pread(self._handle, min(_BLOCK_BYTES, (self.size if end is None else end) - offset), offset)
        except OSError as error:
            raise self._unreadable(error) from None


def _from(first: int, damaged: Callable[[int], object]) -> Callable[[int], object]:
    """Return what is called with the numbers of lines that begin at a line, counted from 0."""
    return lambda line: damaged(first + line)


def parsed(
    data: bytes, damaged: Callable[[int], object] = _ignore, cut: Callable[[int], object] = _ignore
) -> list[dict[str, Any]]:
    """Return the JSON objects of some lines; what is none is left out, and what only says how far the run is.

    Args:
        data: the lines; the last may have no end: then it may be half-written, which is no damage.
        damaged: called with the number of each damaged line, from 0.
        cut: called with that of the last one where it has no end and is none.
    """
    import orjson  # of no use to a run

    if data.endswith(b"\n"):
        joined = b"[%b]" % data[:-1].replace(b"\n", b",")
        for load in (orjson.loads, _load):
            try:
                found: list[Any] = load(joined)
            except (ValueError, RecursionError):
                continue
            if _DICTS.issuperset(map(type, found)) and len(found) == data.count(b"\n"):
                return _less_progress(found, data)
    return _less_progress(_one_by_one(data, damaged, cut), data)


def _less_progress(lines: list[dict[str, Any]], data: bytes) -> list[dict[str, Any]]:
    return [line for line in lines if not is_progress(line)] if _TOTAL in data else lines


def _load(data: bytes) -> Any:
    """Read JSON with NaN, infinities and integers of any size."""
    return json.loads(data.decode())


def _one_by_one(data: bytes, damaged: Callable[[int], object], cut: Callable[[int], object]) -> list[dict[str, Any]]:
    import orjson

    lines = data.split(b"\n")
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines):
        try:
            record = orjson.loads(line)
        except ValueError:
            try:
                record = json.loads(line.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                record = None
        if isinstance(record, dict):
            found.append(record)
        elif line.strip():
            (damaged if number < len(lines) - 1 else cut)(number)
    return found
