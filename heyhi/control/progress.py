"""How far an experiment has come, by the end of its metrics, and for how long it runs or waits, by its claim."""

from __future__ import annotations

import contextlib
import datetime
import time
from pathlib import Path

from heyhi.control.survey import Row
from heyhi.errors import HeyhiError
from heyhi.experiment.claim import read_last_owner
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.owner import SUBMISSION
from heyhi.experiment.pace import reached_by
from heyhi.text import duration


def progress_of(folder: ExperimentDir, status: Status = Status.RUNNING) -> str:
    """Return how far it is: `step 1200 of 5000, about 12 min left`; empty where nothing says so.

    Args:
        folder: of the experiment.
        status: of it: who waits gets no further.
    """
    reached = reached_by(folder)
    return reached.text(time.time() if status is Status.RUNNING else None) if reached is not None else ""


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
    """Say for how long an experiment runs or waits, and how far it is: `for 5 min, step 1200 of 5000`."""
    if not row.status.is_alive:
        return ""
    seconds = seconds_of(row.exp_path, row.status)
    step = progress_of(ExperimentDir(Path(row.exp_path)), row.status)
    return ", ".join(text for text in (f"for {duration(seconds)}" if seconds is not None else "", step) if text)


def _time(text: str) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)
