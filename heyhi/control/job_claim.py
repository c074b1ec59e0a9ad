"""Which job a controller is, or will be: the claim of one that runs, and that of the next one, which waits for its end.

Both lie in the controller's folder, so that one of a name lives at a time: on a machine, or as a job.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from heyhi.errors import HeyhiError
from heyhi.experiment.claim import Claim, read_owner
from heyhi.experiment.owner import SUBMISSION, Owner
from heyhi.files import parse_json, read_bounded, replace_file, utc_now
from heyhi.slurm.commands import MARK, Phase, Queue
from heyhi.text import duration

NEXT_NAME = "next"  # folder in a controller's: its claim is that of the job that waits for this one's end
# Kinds of claims on a controller's folder by who isn't one: it submits what sees to itself, or makes the tables of it.
LAUNCHING, CLOSING = "launching", "closing"
DOING = {LAUNCHING: "has", CLOSING: "is at work on"}
_ASKED_NAME = "job.json"
_CANCELLED_NAME = "cancelled"
_WORD = "controller"  # in the comment of such a job, behind its mark


@dataclass(frozen=True)
class Asked:
    """What the jobs of a controller ask for, each like the one before.

    Attributes:
        options: words for sbatch, less those that differ from one to the next.
        first: words for sbatch by which the first of its experiments asks: whether nodes may submit is tried by it.
        minutes: time limit.
        notice: seconds before it when the job gets a signal, and hands over.
    """

    options: Sequence[str]
    first: Sequence[str]
    minutes: int
    notice: int

    def write(self, folder: Path) -> None:
        """Write it into the folder of a controller."""
        replace_file(folder / _ASKED_NAME, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Asked | None:
        """Read it; None where it isn't there, or is damaged."""
        with contextlib.suppress(OSError, ValueError, TypeError, HeyhiError):
            return cls(**parse_json(read_bounded(folder / _ASKED_NAME)))
        return None


class Place(NamedTuple):
    """Who is a controller, and who comes next, each None for nobody.

    Attributes:
        now: has the claim.
        coming: the job that waits for the end of that one.
    """

    now: Owner | None
    coming: Owner | None


def place_of(folder: Path, queue: Queue | None = None) -> Place:
    """Return who is a controller, and who comes next.

    Args:
        folder: of the controller.
        queue: what Slurm says of jobs; default: ask it, if a job has a claim.

    Raises:
        UnknownError: nobody can tell.
    """
    return Place(read_owner(folder, queue), read_owner(folder / NEXT_NAME, queue))


def living_owner(folder: Path, queue: Queue | None = None) -> Owner | None:
    """Return who is a controller, or will be as soon as Slurm lets it; arguments and errors are those of `place_of`."""
    now, coming = place_of(folder, queue)
    return now or coming


def take(folder: Path, kind: str = "controller") -> Claim | Owner:
    """Take the claim of a controller for this process, unless one lives, or a job waits to be it.

    Args:
        folder: of the controller.
        kind: what for.

    Raises:
        HeyhiError: as `Claim.acquire` does.
    """
    claim = Claim.acquire(folder, kind=kind)
    if isinstance(claim, Owner):
        return claim
    try:
        coming = read_owner(folder / NEXT_NAME)
    except HeyhiError:
        claim.release()
        raise
    if coming is None:
        forget_cancel(folder)
        return claim
    claim.release()
    return coming


def forget_asked(folder: Path) -> None:
    """Remove what the jobs of a controller were to ask for."""
    with contextlib.suppress(OSError):
        (folder / _ASKED_NAME).unlink()


def note_cancel(folder: Path) -> None:
    """Note that what a controller runs is cancelled: one that begins just now, or later, is none then.

    Args:
        folder: of the controller.
    """
    with contextlib.suppress(HeyhiError):
        replace_file(folder / _CANCELLED_NAME, f"{utc_now()}\n")


def forget_cancel(folder: Path) -> None:
    """Forget that a controller was cancelled: somebody has launched the same again."""
    with contextlib.suppress(OSError):
        (folder / _CANCELLED_NAME).unlink()


def cancelled_at(folder: Path) -> str:
    """Return when a controller was cancelled that is a job; empty where it wasn't."""
    with contextlib.suppress(OSError, HeyhiError):
        return read_bounded(folder / _CANCELLED_NAME).decode(errors="replace").strip()
    return ""


def is_controllers(comment: str) -> bool:
    """Return whether a job's comment is that of a controller, which has no experiments."""
    return comment.startswith(MARK) and comment.split(" ")[1:2] == [_WORD]


def comment_of(root: str, mark: str, name: str) -> str:
    """Write the comment of a controller's job.

    Args:
        root: mark of the results root.
        mark: of the job, another one for each.
        name: of the controller.
    """
    return f"{MARK}{root}:{mark} {_WORD} {name}"


def describe_job(folder: Path, owner: Owner, queue: Queue | None = None) -> str:
    """Say which job is a controller: `job 88 (on n1, hands over in 3 h)`, `job 88 (waits in the queue: Priority)`.

    Args:
        folder: of the controller.
        owner: a job.
        queue: what Slurm says of jobs; default: ask it where the job waits.
    """
    if not owner.job:
        return f"(pid {owner.pid} on {owner.host} is just submitting its job)"
    if owner.kind != SUBMISSION:
        asked = Asked.read(folder)
        left = _until(owner, asked) if asked is not None else None
        return f"job {owner.job} (on {owner.host}{f', hands over in {duration(left)}' if left is not None else ''})"
    job = (Queue() if queue is None else queue).job(owner.job)
    if job is None or job.phase is not Phase.WAITING:
        return f"job {owner.job} (it begins)"
    return f"job {owner.job} (waits in the queue{f': {job.why}' if job.why else ''})"


def _until(owner: Owner, asked: Asked) -> float | None:
    """Return in how many seconds a job hands over."""
    with contextlib.suppress(ValueError):
        since = datetime.fromisoformat(owner.since).timestamp()
        return max(0.0, since + 60 * asked.minutes - asked.notice - time.time())
    return None
