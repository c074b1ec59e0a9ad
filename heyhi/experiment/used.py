"""What an experiment has used: the note that its running attempt leaves of it, and the sums over all attempts.

What an attempt used is in the record of its end. One that is killed writes none; then the note tells of it, up to when
it was written last.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.experiment.names import USED_NAME
from heyhi.experiment.records import NOT_KNOWN, PRUNED, REQUEUE, End, History, Start, Used
from heyhi.files import parse_json, read_bounded, replace_file, utc_now
from heyhi.quick_tuple import NamedTuple
from heyhi.text import readable

if TYPE_CHECKING:
    from heyhi.slurm.commands import Job

_MOST_BYTES = 10_000  # of a note, which has some 200
_WENT_ON = ("done", REQUEUE, PRUNED)  # reasons of the attempts that were not in vain


class UsedSoFar(NamedTuple):
    """What an attempt has used so far.

    Attributes:
        attempt: its number.
        time: when that was noted (UTC).
        used: what it was.
        pid: of its process.
        host: where that runs.
    """

    attempt: int = 0
    time: str = ""
    used: Used = NOT_KNOWN
    pid: int = 0
    host: str = ""

    def is_of(self, start: Start | None) -> bool:
        """Return whether it tells of an attempt: another one may have had the number, in a folder that was emptied."""
        return start is not None and (self.attempt, self.pid, self.host) == (start.attempt, start.pid, start.host)


def note_used(folder: Path, start: Start, used: Used) -> None:
    """Note what an attempt has used so far.

    Raises:
        ResultError: it can't be written.
    """
    note = UsedSoFar(start.attempt, utc_now(), used, start.pid or 0, start.host)
    replace_file(folder / USED_NAME, json.dumps({**note._asdict(), "used": used.to_dict()}) + "\n")


def used_so_far(folder: Path | str) -> UsedSoFar:
    """Return what an attempt has noted last; nothing where none is there or it can't be read."""
    try:
        found = parse_json(read_bounded(f"{folder}/{USED_NAME}", _MOST_BYTES))
        return UsedSoFar(
            int(found["attempt"]),
            readable(str(found["time"])),
            Used.from_dict(found["used"]),
            int(found["pid"]),
            str(found["host"]),
        )
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return UsedSoFar()


def forget_used(folder: Path) -> None:
    """Remove the note: an end record says it now."""
    with contextlib.suppress(OSError):
        os.unlink(folder / USED_NAME)  # noqa: PTH108 (as it is read)


def unfinished(folder: Path, history: History) -> End | None:
    """Return an end record for the last attempt where it has none, by what it noted; None where that isn't so.

    Only who has the claim may ask: then nobody runs it any more.
    """
    start, end = history.last_attempt
    if start is None or end is not None:
        return None
    note = used_so_far(folder)
    if not note.is_of(start):
        return None
    return End(start.attempt, "killed", exception="killed (no end record)", time=note.time, used=note.used)


def used_in_job(folder: Path, history: History, job: Job | None) -> Used:
    """Return what the attempt in an experiment's last job used, that wrote no end: by its accounts and by its note.

    Only who has the claim may ask.

    Args:
        folder: of the experiment.
        history: what is on record of it.
        job: as Slurm's accounts have it; None where they don't.
    """
    submission, job_id = history.submission, history.job_to_ask
    start, note = next(reversed(history.starts), None), used_so_far(folder)
    is_mine = start is not None and start.job_id == job_id
    noted = note.used if is_mine and note.is_of(start) else NOT_KNOWN
    given = Used()
    if submission is not None and submission.job_id == job_id:
        given = given._replace(gpus=submission.gpu_share)
        if is_mine and start is not None and not start.restart_count:
            given = given._replace(queued=seconds_between(submission.time, start.time))
    if job is None:
        return noted.or_else(given)
    is_shared = submission is not None and submission.job_id == job_id and submission.pack > 1
    if is_shared or job.is_worker:
        alone = Used(seconds=None if job.is_worker else job.seconds)
        return noted.or_else(alone).or_else(given)  # what several have used together is nobody's
    from heyhi.slurm.commands import use_of  # a run only notes what it uses itself

    use = use_of(job_id)
    return Used(
        seconds=job.seconds if job.seconds is not None else noted.seconds,
        cpu_seconds=_most(use.cpu_seconds, noted.cpu_seconds),
        mem_gb=_most(use.mem_gb, noted.mem_gb),
    ).or_else(given._replace(queued=noted.queued) if noted.queued is not None else given)


def _most(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def seconds_between(then: str, now: str) -> float | None:
    """Return the seconds between two times of records; None where one is none."""
    try:
        return max(0.0, (datetime.fromisoformat(now) - datetime.fromisoformat(then)).total_seconds())
    except (ValueError, TypeError):
        return None


class Sums(NamedTuple):
    """What all attempts of an experiment have used; None where nothing is known.

    Attributes:
        gpu_hours: of those that made what came out of it, and of one that runs.
        cpu_hours: likewise.
        gpu_hours_lost: of those that failed, were killed, or were stopped without having asked to go on.
        cpu_hours_lost: likewise.
        mem_used: memory at its peak, in GB, of all attempts.
        queued: seconds in the queue, before all attempts.
    """

    gpu_hours: float | None = None
    cpu_hours: float | None = None
    gpu_hours_lost: float | None = None
    cpu_hours_lost: float | None = None
    mem_used: float | None = None
    queued: float | None = None


NOTHING = Sums()


def sums_of(ends: Sequence[End], open_one: Used = NOT_KNOWN, *, is_lost: bool = False) -> Sums:
    """Add up what attempts have used.

    Args:
        ends: of the attempts.
        open_one: what one has used so far that has no end on record.
        is_lost: whether that is dead.
    """
    known = [(end.used, end.reason in _WENT_ON) for end in ends if end.used is not NOT_KNOWN]
    if open_one is not NOT_KNOWN:
        known.append((open_one, not is_lost))
    if not known:
        return NOTHING
    if len(known) == 1:  # mostly, and there may be 10,000
        ((used, is_good),) = known
        hours, nothing = (used.gpu_hours, used.cpu_hours), (None, None)
        return Sums(*(hours if is_good else nothing), *(nothing if is_good else hours), used.mem_gb, used.queued)
    made = [used for used, is_good in known if is_good]
    lost = [used for used, is_good in known if not is_good]
    return Sums(
        _sum([used.gpu_hours for used in made]),
        _sum([used.cpu_hours for used in made]),
        _sum([used.gpu_hours for used in lost]),
        _sum([used.cpu_hours for used in lost]),
        _most(*(used.mem_gb for used, _ in known)),
        _sum([used.queued for used, _ in known]),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
