"""The traceback that tells why a task has failed, found at the end of its log; the reason itself is on record."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

# What a launcher, a logger or an exception group puts before each line stays, and is the same on all of one traceback.
_HEADER = re.compile(r"^(?P<prefix>.*?)(?:\+ Exception Group )?Traceback \(most recent call last\):\s*$")
_FATAL = re.compile(r"^(?P<prefix>.*?)Fatal Python error: ")
_CHAINED = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_REMOTE = re.compile(r'^(?:"""|\'\'\'|.*RemoteTraceback: |.*RemoteTraceback:)\s*$')
_MOST_AFTER = 40  # lines behind the one that names the exception: its message may go on, and what was said then helps
_LEAST_REASON, _MOST_REASON = 4, 80  # characters of a reason by which an exception is told from others


def last_traceback(lines: Sequence[str], reason: str = "") -> tuple[int, int] | None:
    """Find the traceback of a failure.

    Args:
        lines: the end of a log.
        reason: what was raised, as the record has it; where no traceback ends so, the last one counts.

    Returns:
        its first line, and the one behind its last; None where there is none.
    """
    headers = [i for i, line in enumerate(lines) if _header(line) is not None]
    if not headers:
        return None
    chosen = headers[-1]
    text = reason.strip()
    for wanted in (text[:_MOST_REASON], text.rpartition(" (")[0][:_MOST_REASON]):  # where it was raised may be added
        if len(wanted) >= _LEAST_REASON:
            ending_so = (i for i in reversed(headers) if wanted in lines[_exception_line(lines, i)])
            if (found := next(ending_so, None)) is not None:
                chosen = found
                break
    start = _start(lines, headers, chosen)
    end = _end(lines, chosen, next((i for i in headers if i > chosen), len(lines)))
    return start, end


def _header(line: str) -> re.Match[str] | None:
    if "Traceback (most" not in line and "Fatal Python error" not in line:
        return None
    return _HEADER.match(line) or _FATAL.match(line)


def _prefix(line: str) -> str:
    found = _header(line)
    return found["prefix"] if found is not None else ""


def _exception_line(lines: Sequence[str], header: int) -> int:
    """Return which line names the exception: the first behind the frames that isn't indented."""
    prefix = _prefix(lines[header])
    for i in range(header + 1, len(lines)):
        text = lines[i].removeprefix(prefix)
        if text.strip() and not text.startswith((" ", "\t")):
            return i
    return len(lines) - 1


def _start(lines: Sequence[str], headers: Sequence[int], header: int) -> int:
    """Return where the first traceback of a chain begins, or the group that this one is part of."""
    start = header
    while True:
        while start > 0 and _is_in_group(lines[start]) and _is_in_group(lines[start - 1]):
            start -= 1
        while start > 0 and _REMOTE.match(lines[start - 1]):
            start -= 1
        above = start - 1
        prefix = _prefix(lines[header])
        while above >= 0 and not lines[above].removeprefix(prefix).strip():
            above -= 1
        before = bisect_left(headers, above)
        if above < 0 or not before or not lines[above].strip().endswith(_CHAINED):
            return start
        start = header = headers[before - 1]


def _is_in_group(line: str) -> bool:
    return line.lstrip()[:1] in ("|", "+")


def _end(lines: Sequence[str], header: int, following: int) -> int:
    named = _exception_line(lines, header)
    end = min(following, named + 1 + _MOST_AFTER, len(lines))
    while end > named + 1 and not lines[end - 1].strip():
        end -= 1
    return max(end, named + 1)
