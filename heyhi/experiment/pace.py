"""How far an experiment is, by the end of its metrics, and how long it will take to its end at its pace.

The pace is that of the attempt that runs, since its first line: one that went on at step 3000 has made none of these.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.metric_line import ATTEMPT, TIME, TOTAL, counter_of, counters_of, is_written_by_log
from heyhi.files import open_sized, parse_json, read_end
from heyhi.text import duration

_END = 8192  # bytes of metrics that are looked at
_MOST = 1e15  # of a counter


class Reached(NamedTuple):
    """How far an experiment is.

    Attributes:
        counter: name of what counts that.
        value: of it.
        total: at its end; None where nothing says so.
        time: when it was there, in seconds since 1970.
        made: how much of that the attempt has made since its first line; 0 where nobody knows.
        seconds: in which it has.
    """

    counter: str
    value: float
    total: float | None = None
    time: float = 0.0
    made: float = 0.0
    seconds: float = 0.0

    def seconds_left(self, now: float) -> float | None:
        """Return how long the rest takes at this pace; None where there is none yet, or no end."""
        if not self.total or self.made <= 0 or self.seconds <= 0:
            return None
        return max(0.0, (self.total - self.value) * self.seconds / self.made - max(0.0, now - self.time))

    @property
    def made_part(self) -> float:
        """Which part of all the attempt has made; 0 where that isn't known."""
        return min(1.0, max(0.0, self.made / self.total)) if self.total else 0.0

    @property
    def left_part(self) -> float:
        """Which part of all is left; 1 where that isn't known."""
        return min(1.0, max(0.0, 1 - self.value / self.total)) if self.total else 1.0

    def text(self, now: float | None) -> str:
        """Say so: `step 1200 of 5000, about 12 min left`; None for one that doesn't run."""
        said = f"{self._name} {_number(self.value)}"
        if self.total:
            said += f" of {_number(self.total)}"
        left = self.seconds_left(now) if now is not None else None
        return f"{said}, about {duration(left)} left" if left else said

    def short(self, now: float) -> str:
        """Say the same in a cell: `step 1200/5000 · 12 min left`."""
        of = f"/{_number(self.total)}" if self.total else ""
        left = self.seconds_left(now)
        return f"{self._name} {_number(self.value)}{of}{f' · {duration(left)} left' if left is not None else ''}"

    @property
    def _name(self) -> str:
        return re.split("[/.]", self.counter)[-1]


def reached_by(folder: ExperimentDir) -> Reached | None:
    """Return how far an experiment is by what it has logged; None where that says nothing, or can't be read."""
    last: dict[str, Any] | None = None
    for line in _lines(reversed(read_end(folder.metrics_path, _END).splitlines())):
        if TOTAL in line and is_written_by_log(line):  # others may say less, of the epoch only
            last = line
            break
        last = last or line
    counted = counters_of(last) if last is not None else {}
    if last is None or not counted:
        return None
    name = next(iter(counted))
    if not is_written_by_log(last):
        return Reached(name, counted[name])
    total, time = _positive(last.get(TOTAL)), _positive(last.get(TIME)) or 0.0
    # A total of epochs may stand beside more steps: it is of the first counter that isn't beyond it.
    name = next((one for one, value in counted.items() if total is None or value <= total), name)
    value = counted[name]
    first = _first_of_attempt(folder, last[ATTEMPT], name) if total and time else None
    made, began = first or (value, time)
    return Reached(name, value, total, time, value - made, time - began)


def furthest(folder: ExperimentDir) -> dict[str, float]:
    """Return how far an experiment has ever come: the largest value of each counter at the ends of its attempts.

    Returns:
        nothing where `heyhi.log` has written no counter there, or where that can't be read.
    """
    found: dict[str, float] = {}
    with contextlib.suppress(HeyhiError, OSError):
        handle, size = open_sized(folder.metrics_path)
        try:
            for end in {size, *(start.metrics_size for start in folder.history().starts)}:
                begin = max(0, min(end, size) - _END)
                text = os.pread(handle, max(0, min(end, size) - begin), begin).decode("utf-8", "replace")
                for line in filter(is_written_by_log, _lines(text.splitlines())):
                    found |= {name: max(value, found.get(name, value)) for name, value in counters_of(line).items()}
        finally:
            os.close(handle)
    return found


def _first_of_attempt(folder: ExperimentDir, attempt: object, counter: str) -> tuple[float, float] | None:
    """Return where a counter was in the first line of the attempt that runs, and when."""
    with contextlib.suppress(HeyhiError, OSError):
        starts = folder.history().starts
        if not starts or starts[-1].attempt != attempt:  # the one that runs has logged nothing yet
            return None
        handle, _ = open_sized(folder.metrics_path)
        try:
            text = os.pread(handle, _END, starts[-1].metrics_size).decode("utf-8", "replace")
        finally:
            os.close(handle)
        for line in _lines(text.splitlines()):
            value, time = counters_of(line).get(counter), _positive(line.get(TIME))
            if value is not None and line.get(ATTEMPT) == attempt and time is not None:
                return value, time
    return None


def _lines(texts: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield those lines that say how far a run is."""
    for text in texts:
        with contextlib.suppress(ValueError):  # half a line: still written, or begun before what was looked at
            line = parse_json(text)
            if isinstance(line, dict) and _is_counted(line):
                yield line


def _is_counted(line: Mapping[str, Any]) -> bool:
    counted = counter_of(line)
    return counted is not None and abs(counted[1]) < _MOST


def _positive(value: object) -> float | None:
    """Return a number that may be a time, or an end; None where it is none."""
    return value if isinstance(value, int | float) and 0 < value < _MOST else None


def _number(value: float) -> str:
    return f"{value:g}" if value % 1 else f"{value:.0f}"
