"""Lines of metrics as trackers take them: numbers under names with slashes, at a step, at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from heyhi.experiment.counters import counters_among
from heyhi.experiment.kinds import numbers_of
from heyhi.experiment.metric_line import TIME, is_written_by_log
from heyhi.experiment.metrics_file import parsed
from heyhi.experiment.names import METRICS_NAME
from heyhi.files import open_regular
from heyhi.trackers.tracked_run import Line, TrackedRun

_BLOCK = 1 << 20
_MOST_STEP = 1 << 53  # to count so far takes longer than anybody has
RESULT = "result/"  # begins the names of numbers of the result


class Point(NamedTuple):
    """A line.

    Attributes:
        values: name -> number; what is nested has a slash, `val/accuracy`.
        step: where it belongs: the line's first counter, else how many lines without one came before.
        seconds: since 1970, when it was written; None where it doesn't say.
        counter: name of what the step counts, with slashes; empty where the line has no counter.
    """

    values: dict[str, float]
    step: int
    seconds: float | None
    counter: str = ""


class Points:
    """The lines of one experiment, one after the other.

    Args:
        uncounted: how many lines came before.
        last_step: the highest step among the last of these.

    Attributes:
        earlier: how many lines came before.
        last_step: as given.
    """

    def __init__(self, uncounted: int = 0, last_step: int = 0) -> None:
        self._uncounted = self.earlier = uncounted
        self.last_step = last_step

    @classmethod
    def of(cls, run: TrackedRun, *, is_whole: bool) -> Points:
        """Begin with those of a run.

        Args:
            run: of the experiment.
            is_whole: all that counts will be given; else what comes after earlier attempts.
        """
        if is_whole or not run.earlier_bytes:
            return cls()
        count, tail = _earlier(run.exp_path / METRICS_NAME, run.earlier_bytes)
        points = cls().of_lines(parsed(tail.partition(b"\n")[2] if len(tail) < run.earlier_bytes else tail))
        return cls(count, max((count, *(point.step for point in points))))

    def of_lines(self, lines: Iterable[Line]) -> Iterator[Point]:
        """Return what trackers take of some lines; one without a number is left out."""
        for line in lines:
            numbers = numbers_of(line)
            names = [name for name in counters_among(tuple(numbers)) if _is_step(numbers[name])]
            step = self._uncounted
            if names:
                step = int(numbers[names[0]])
            else:
                self._uncounted += 1
            found = dict(as_floats(numbers, leave_out=names[0] if names else None))
            if found:
                seconds = _seconds(line.get(TIME)) if is_written_by_log(line) else None
                yield Point(found, step, seconds, names[0].replace(".", "/") if names else "")


def as_floats(numbers: Mapping[str, Any], *, leave_out: str | None = None) -> Iterator[tuple[str, float]]:
    """Yield numbers by their names with slashes; one keeps its dots where another number has that name."""
    for name, value in numbers.items():
        try:
            number = float(value)
        except OverflowError:  # an integer beyond what a float holds
            number = math.inf if value > 0 else -math.inf
        if name != leave_out:
            slashed = name.replace(".", "/")
            yield name if slashed in numbers else slashed, number


def of_result(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a result, by names that no metric has."""
    return {f"{RESULT}{name}": value for name, value in as_floats(numbers_of(result))}


def _is_step(number: float) -> bool:
    return abs(number) < _MOST_STEP and int(number) == number


def _seconds(time: object) -> float | None:
    return float(time) if isinstance(time, int | float) and math.isfinite(time) else None


def _earlier(path: Path, size: int) -> tuple[int, bytes]:
    """Count the lines in the first bytes of a file, and return the last ones of these."""
    count, last = 0, [b"", b""]
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            while block := file.read(min(_BLOCK, max(size - file.tell(), 0))):
                count += block.count(b"\n")
                last = [last[1], block]
    except OSError:
        return 0, b""
    return count, b"".join(last)
