"""Pieces of an experiment's logs, as the page asks for them: whole lines, as text that can be shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.control.failure import find_error
from heyhi.control.log_files import LogPart, check_rank, has_text, launch_log_of, part_of, ranks_of
from heyhi.control.shown_log import plain
from heyhi.errors import HeyhiError, ResultError, UnknownError
from heyhi.experiment.folder import ExperimentDir
from heyhi.files import is_there
from heyhi.serve.inside import leads_out
from heyhi.text import one_line, readable

if TYPE_CHECKING:
    from heyhi.serve.board import Known

PIECE_BYTES = 1 << 16
AT_ERROR = "error"
_ERROR_BYTES = 1 << 20  # of the end of a log, in which a traceback is looked for
_LAST_LINES = 20  # that are shown where there is none


def piece(
    known: Known,
    *,
    begin: int | None = None,
    before: int | None = None,
    rank: int | None = None,
    attempt: int | None = None,
    at: str = "",
    file: str = "",
) -> dict[str, Any]:
    """Return a piece of a log, see `wire`.

    Args:
        known: whose log it is.
        begin: from which byte on.
        before: or up to which; by default, up to its end.
        rank: whose log it is; default: the first one's, or of the one that failed first where its error is asked for.
        attempt: only what this one has written.
        at: `error` for a piece from the last error on.
        file: which file earlier pieces were of; where it is another one by now, or was cut, the piece is its begin.

    Raises:
        HeyhiError: there is no such rank or attempt.
    """
    if at not in ("", AT_ERROR):
        raise HeyhiError(f"at={at}: expected {AT_ERROR}")
    folder = known.folder
    try:
        if at == AT_ERROR:
            return _at_error(known, rank, attempt)
        part = _part_of(folder, rank, attempt)
        if part is None:
            return _NOTHING | {"anew": bool(file)}
        outside = leads_out(part.path, known.folder.path, known.project)
        return _NOTHING | {"unreadable": outside} if outside else _piece(part, begin, before, file)
    except (ResultError, UnknownError) as error:  # so it is: something else lies in its place
        nothing = _NOTHING | {"anew": bool(file), "unreadable": one_line(readable(str(error)))}
        return nothing | ({"error": None} if at else {})


_NOTHING = {
    "size": 0,
    "from": 0,
    "to": 0,
    "text": "",
    "rest": "",
    "rest_to": 0,
    "file": "",
    "name": "",
    "start": 0,
    "anew": False,
}


def _part_of(folder: ExperimentDir, rank: int | None, attempt: int | None) -> LogPart | None:
    if not rank and attempt is None and 0 not in ranks_of(folder):
        path = launch_log_of(folder)
        return LogPart(path) if has_text(path) else None
    if rank:
        check_rank(folder, rank)
    part = part_of(folder, folder.history(), rank or 0, attempt) if attempt is not None else None
    if part is not None and not is_there(part.path):
        return None
    return part or LogPart(folder.log_path_of(rank or 0))


def _piece(part: LogPart, begin: int | None, before: int | None, file: str) -> dict[str, Any]:
    handle, start, end = part.open()
    size = end
    try:
        found = os.fstat(handle)
        own = f"{found.st_dev:x}-{found.st_ino:x}"
        place = before if begin is None else begin
        is_anew = place is not None and (file not in ("", own) or place > found.st_size)
        if is_anew:
            lines = _from(handle, start, end)
        elif begin is not None:
            lines = _from(handle, min(max(begin, start), end), end)
        else:
            end = end if before is None else max(start, min(end, before))
            lines = _before(handle, start, end, is_end=before is None)
    finally:
        os.close(handle)
    return {
        "size": size,
        "from": lines.begin,
        "to": lines.end,
        "text": plain(lines.data.decode("utf-8", "backslashreplace")),
        "rest_to": lines.end + len(lines.rest),
        "rest": plain(lines.rest.decode("utf-8", "backslashreplace")),
        "file": own,
        "name": part.path.name,
        "start": start,
        "anew": is_anew,
    }


class _Lines(NamedTuple):
    """Lines of a log.

    Attributes:
        begin: the first byte.
        end: the one behind the last.
        data: what they are.
        rest: what there is of a line behind them that has no end yet.
    """

    begin: int
    end: int
    data: bytes
    rest: bytes = b""


def _from(handle: int, begin: int, end: int) -> _Lines:
    data = os.pread(handle, min(PIECE_BYTES, end - begin), begin)
    cut = data.rfind(b"\n") + 1
    if not cut and len(data) == PIECE_BYTES:  # there is no longer line in a piece: what is longer are several
        cut = _end_of_part(data)
        return _Lines(begin, begin + cut, data[:cut] + b"\n")
    rest = data[cut:] if begin + len(data) == end else b""
    return _Lines(begin, begin + cut, data[:cut], rest)


def _before(handle: int, start: int, end: int, *, is_end: bool) -> _Lines:
    begin = max(end - PIECE_BYTES, start)
    data = os.pread(handle, end - begin, begin)
    if begin > start:
        cut = data.find(b"\n") + 1
        if not cut or cut == len(data):
            cut = 0  # one line
        data, begin = data[cut:], begin + cut
    cut = data.rfind(b"\n") + 1
    if is_end:
        return _Lines(begin, begin + cut, data[:cut], data[cut:])
    return _Lines(begin, begin + len(data), data if cut == len(data) else data + b"\n")


def _end_of_part(data: bytes) -> int:
    """Return where a long line is cut: where a progress bar went back, else between characters."""
    back = data.rfind(b"\r") + 1
    if back:
        return back
    for behind in range(1, 4):
        byte = data[-behind]
        if byte >= 0xC0:  # the first byte of a character, which says how many it has
            return len(data) - behind if behind < 2 + (byte >= 0xE0) + (byte >= 0xF0) else len(data)
        if byte < 0x80:
            break
    return len(data)


def _at_error(known: Known, rank: int | None, attempt: int | None) -> dict[str, Any]:
    found = find_error(known.folder, rank=rank, attempt=attempt, most=_ERROR_BYTES)
    if found is None:
        return _NOTHING | {"error": None}
    if outside := leads_out(found.part.path, known.folder.path, known.project):
        return _NOTHING | {"error": None, "unreadable": outside}
    lines = found.lines if found.lines[-1] else found.lines[:-1]
    first, last = found.traceback or (max(len(lines) - _LAST_LINES, 0), len(lines))
    begin = found.start + sum(map(len, lines[:first])) + first
    data = b"\n".join(lines[first:last])[-PIECE_BYTES:]
    error = {
        "is_traceback": found.traceback is not None,
        "at": begin,
        "to": begin + sum(map(len, lines[first:last])) + last - first,
        "text": plain(data.decode("utf-8", "backslashreplace")),
        "rank": found.rank,
    }
    return _piece(found.part, begin, None, "") | {"error": error}
