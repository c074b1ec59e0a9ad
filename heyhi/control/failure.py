"""`heyhi logs --error`: why experiments are dead; the last traceback first, those that have died alike together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from heyhi.control.last_traceback import last_traceback
from heyhi.control.log_files import LogPart, check_rank, has_text, numbers_of, part_of, ranks_of
from heyhi.control.shown_log import Shown
from heyhi.control.survey import Row, Survey
from heyhi.errors import ResultError, UnknownError
from heyhi.experiment.alike import kind_of
from heyhi.experiment.death import OUTSIDE
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import DONE, PRUNED, End, History
from heyhi.project import Project

_MOST_BYTES = 1 << 23  # of the end of a log, in which a traceback is looked for
_LAST_LINES = 20  # that are shown where there is none
_MOST_LINES = 2000  # of a traceback that are shown: its end
_MOST_LINE_BYTES = 2000  # of a line without a traceback
_MOST_NAMED = 8
# What the runner writes of ranks into the log, and what is on record of one that left no word.
_FIRST_RANK = re.compile(rb"^rank (\d+) was the first to end: ", re.MULTILINE)
_SAID_OF_RANK = re.compile(r"^rank (\d+)\b")


def show_errors(survey: Survey, *, rank: int | None = None, attempt: int | None = None) -> int:
    """Print why experiments have died, each reason once.

    Args:
        survey: has looked at them.
        rank: whose log; default: of the one that failed first.
        attempt: only what this one has written; default: the last one that failed.

    Returns:
        exit code: 1 where of several one can't be read, or some may be missing, else 0.

    Raises:
        HeyhiError: there is no such rank or attempt.
        ResultError: the log of the only one can't be read.
        UnknownError: its records can't be read.
    """
    roots = {path: part.project for part in survey.parts for path in part.folders}
    rows = survey.rows
    if len(rows) == 1:
        _show_one(rows[0], roots[rows[0].asked], rank, attempt)
        return 0
    alike: dict[str, list[Row]] = {}
    for row in survey.dead:
        alike.setdefault(kind_of(row.reason), []).append(row)
    if not alike:
        _tell(f"none of {len(rows)} experiments is dead")
    code = int(survey.lacks)
    for i, group in enumerate(sorted(alike.values(), key=len, reverse=True)):
        if i:
            Shown().write(b"\n")
        _tell_of(group)
        try:
            _show_one(group[0], roots[group[0].asked], rank, attempt)
        except (ResultError, UnknownError) as error:
            _tell(str(error))
            code = 1
    return code


def _tell_of(group: Sequence[Row]) -> None:
    if len(group) == 1:
        _tell(group[0].exp_id)
        return
    _tell(f"{len(group)} experiments died of this, the first one's is shown:")
    for row in group[:_MOST_NAMED]:
        _tell(f"  {row.exp_id}")
    if len(group) > _MOST_NAMED:
        _tell(f"  and {len(group) - _MOST_NAMED} more")


class _Failed(NamedTuple):
    """The attempt that is shown: its number, 0 where none is on record, and how it ended."""

    number: int
    end: End | None = None


def _show_one(row: Row, project: Project, rank: int | None, attempt: int | None) -> None:
    """Print the last traceback of an experiment, then its reason and where its log is.

    What ended it from outside comes first, since no traceback tells of that.
    """
    folder = ExperimentDir(Path(row.exp_path), project.results_root)
    history = folder.history()
    failed = _failed(row, history, attempt)
    if failed is None:
        _tell(row.text)
        return
    is_last = failed.number == next(reversed(numbers_of(history)), 0)
    reason = _reason(row, failed.end, is_last=is_last)
    found = _look(folder, history, failed, rank, _MOST_BYTES)
    if found is None:
        _tell(reason)
        _tell("it left no log")
        return
    is_first = found.traceback is None or row.reason.startswith(OUTSIDE)
    if is_first:
        _tell(reason)
    _print(found.lines, found.traceback)
    if not is_first:
        _tell(reason)
    _tell(f"log: {project.relative(found.part.path)}{found.label}")


class Found(NamedTuple):
    """What a log tells of a failure.

    Attributes:
        part: of which log.
        rank: whose that is.
        label: which one that is, in words; empty where there is but one.
        start: where the lines begin in the file.
        lines: the last ones.
        traceback: the first of those of the traceback, and the one behind its last; None where there is none.
    """

    part: LogPart
    rank: int
    label: str
    start: int
    lines: list[bytes]
    traceback: tuple[int, int] | None


def find_error(
    folder: ExperimentDir, *, rank: int | None = None, attempt: int | None = None, most: int
) -> Found | None:
    """Look for what has gone wrong in an experiment, however it is now; None where it has no log.

    Args:
        folder: of the experiment.
        rank: whose log; default: of the one that failed first.
        attempt: only what this one has written; default: the last one that failed, or else the last one.
        most: bytes of the end of its log that are looked at.

    Raises:
        HeyhiError: there is no such rank or attempt.
        ResultError: its log can't be read.
        UnknownError: its records can't be read.
    """
    history = folder.history()
    numbers = numbers_of(history)
    last = numbers[-1] if numbers else 0
    ends = {end.attempt: end for end in history.ends if end.attempt}
    failed = _Failed(attempt, ends.get(attempt)) if attempt is not None else _last_failed(history)
    return _look(folder, history, failed or _Failed(last, ends.get(last)), rank, most)


def _look(folder: ExperimentDir, history: History, failed: _Failed, rank: int | None, most: int) -> Found | None:
    part, rank, label = _log_of(folder, history, failed, rank, most)
    if part is None:
        return None
    start, data = part.end_from(most)
    lines = data.split(b"\n")
    exception = failed.end.exception if failed.end is not None else ""
    traceback = last_traceback([line.decode("utf-8", "replace") for line in lines], exception)
    return Found(part, rank, label, start, lines, traceback)


def _print(lines: Sequence[bytes], found: tuple[int, int] | None) -> None:
    shown = Shown()
    if found is not None:
        start, end = found
        lines = lines[max(start, end - _MOST_LINES) : end]
    else:
        lines = [*lines[:-1], *([lines[-1]] if lines[-1] else [])][-_LAST_LINES:]
        lines = [line if len(line) <= _MOST_LINE_BYTES else b"..." + line[-_MOST_LINE_BYTES:] for line in lines]
    shown.write(b"".join(line + b"\n" for line in lines))
    shown.end()


def _failed(row: Row, history: History, attempt: int | None) -> _Failed | None:
    """Return the attempt to show; None where none has failed."""
    numbers = numbers_of(history)
    ends = {end.attempt: end for end in history.ends if end.attempt}
    if attempt is not None:
        return _Failed(attempt, ends.get(attempt))
    if row.status.is_trouble:
        last = numbers[-1] if numbers else 0
        return _Failed(last, ends.get(last))
    return _last_failed(history)


def _last_failed(history: History) -> _Failed | None:
    ends = {end.attempt: end for end in history.ends if end.attempt}
    for number in reversed(numbers_of(history)):
        if (end := ends.get(number)) is not None and end.reason not in (DONE, PRUNED):
            return _Failed(number, end)
    return None


def _reason(row: Row, end: End | None, *, is_last: bool) -> str:
    if is_last or end is None:
        return row.text
    why = end.exception or end.reason
    return f"{row.text}; attempt {end.attempt} ended with exit code {end.exit_code}: {why}"


def _log_of(
    folder: ExperimentDir, history: History, failed: _Failed, rank: int | None, most: int
) -> tuple[LogPart | None, int, str]:
    """Return what of which log tells of a failure, whose it is, and what of it that is, in words."""
    there = ranks_of(folder)
    number = failed.number or None
    if rank is not None:
        check_rank(folder, rank)
    elif 0 in there and len(there) > 1:
        said = _FIRST_RANK.findall(part_of(folder, history, 0, number).last_bytes(most))
        named = _SAID_OF_RANK.match(failed.end.exception) if failed.end is not None else None
        # One that could leave no word is the cause, whoever was the first to say something.
        rank = int(named[1]) if named is not None else int(said[-1]) if said else 0
    rank = rank if rank in there else 0
    if rank not in there:
        path = folder.launch_log_path
        return (LogPart(path) if has_text(path) else None), 0, ""
    count = len(history.starts)
    words = [f"rank {rank}"] if len(there) > 1 else []
    words += [f"attempt {number} of {count}"] if number is not None and count > 1 else []
    return part_of(folder, history, rank, number), rank, f" ({', '.join(words)})" if words else ""


def _tell(text: str) -> None:
    print(f"-- {text}", flush=True)  # it is what was asked for, as much as the traceback
