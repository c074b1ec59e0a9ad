"""How far an experiment has come, by the end of its metrics, and for how long it runs or waits, by its claim."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heyhi.control.survey import Row
from heyhi.errors import HeyhiError
from heyhi.experiment.claim import read_last_owner
from heyhi.experiment.counters import counters_among
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.kinds import NUMBERS, dotted_items
from heyhi.experiment.names import Status
from heyhi.experiment.owner import SUBMISSION
from heyhi.files import parse_json, read_end
from heyhi.text import duration

_END = 8192  # bytes of metrics that are looked at
_MOST = 1e15  # of a counter


def progress_of(folder: ExperimentDir) -> str:
    """Return the last counter that it logged: `step 1200`; empty where there is none, or it can't be read."""
    for line in reversed(read_end(folder.metrics_path, _END).splitlines()):
        try:
            found = parse_json(line)
        except ValueError:
            continue  # half a line: still written, or begun before what was looked at
        if isinstance(found, dict) and (text := _counter_in(found)):
            return text
    return ""


def since_when(exp_path: str, status: Status) -> datetime.datetime | None:
    """Return since when an experiment runs, or waits; None where it does neither, or nobody can tell.

    Args:
        exp_path: of the experiment.
        status: of it.
    """
    if not status.is_alive:
        return None
    times = []
    with contextlib.suppress(HeyhiError, ValueError):  # its status says what can't be read
        owner = read_last_owner(exp_path)
        if owner is not None and (status is Status.PENDING or owner.kind != SUBMISSION):  # else it is just starting
            times.append(_time(owner.since))
        if status is Status.PENDING:  # its job may have been queued again
            times += [_time(end.time) for end in ExperimentDir(Path(exp_path)).history().ends[-1:] if end.time]
    return max(times, default=None)


def seconds_of(exp_path: str, status: Status) -> float | None:
    """Return for how long an experiment runs, or waits; None where it does neither, or nobody can tell."""
    since = since_when(exp_path, status)
    return (datetime.datetime.now(datetime.UTC) - since).total_seconds() if since is not None else None


def said_of(row: Row) -> str:
    """Say for how long an experiment runs or waits, and how far it has come: `for 5 min, step 1200`."""
    if not row.status.is_alive:
        return ""
    seconds = seconds_of(row.exp_path, row.status)
    step = progress_of(ExperimentDir(Path(row.exp_path)))
    return ", ".join(text for text in (f"for {duration(seconds)}" if seconds is not None else "", step) if text)


def _time(text: str) -> datetime.datetime:
    time = datetime.datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=datetime.UTC)


def _counter_in(line: Mapping[str, Any]) -> str:
    numbers = {name: value for name, value in dotted_items(line) if type(value) in NUMBERS and abs(value) < _MOST}
    for name in counters_among(tuple(numbers))[:1]:
        value = numbers[name]
        return f"{re.split('[/.]', name)[-1]} {f'{value:g}' if value % 1 else f'{value:.0f}'}"
    return ""
