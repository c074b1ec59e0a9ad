"""Whether an experiment that has ended is tried again by who has run it: a controller, its own job, or a worker.

How that is done, each of them knows.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from heyhi.experiment.death import LOST, NOT_STARTED_AGAIN, Death, outside_state
from heyhi.experiment.records import PRUNED, REFUSED, REQUEUE, End, History
from heyhi.job.left_out import MAX_FAULTS, fault_of, nodes_of
from heyhi.slurm.request import JobRequest

# Jobs of an experiment that Slurm has forgotten, or didn't start again.
MAX_LOSSES = 5
# Of these, none is a failure of the experiment.
_NO_FAILURES = (REQUEUE, REFUSED, PRUNED, LOST, "CANCELLED", "PREEMPTED")


class Again(enum.Enum):
    """Whether an experiment is tried again."""

    NEVER = "never"
    FREE = "free"  # what ended it was no failure of its own
    LOST = "lost"  # likewise, and only some times
    COUNTED = "counted"  # as one more attempt


def again_after(death: Death, request: JobRequest, attempt: int, *, is_fault: bool = False, losses: int = 0) -> Again:
    """Return whether an experiment is tried again by the launch that has tried it.

    Args:
        death: how it has ended.
        request: what its job had asked for.
        attempt: how often the launch has tried.
        is_fault: whether the node was at fault.
        losses: jobs of it that were lost.
    """
    if death.kind in ("CANCELLED", PRUNED):
        return Again.NEVER
    if is_fault or (request.requeue and death.kind in (REQUEUE, "PREEMPTED")):
        return Again.FREE
    is_lost = death.kind == LOST or death.exception == NOT_STARTED_AGAIN or death.is_left
    if is_lost and losses < MAX_LOSSES:
        return Again.LOST
    return Again.COUNTED if attempt < request.max_attempts else Again.NEVER


def is_tried_again(
    death: Death, request: JobRequest, history: History, job_id: str, faults: Sequence[str] = ()
) -> bool:
    """Return whether an experiment that a job has run, and that nobody else sees to, is run by it once more.

    Args:
        death: how it has ended.
        request: what the job had asked for.
        history: what is on record of the experiment, that end too.
        job_id: of the job, in which all attempts of this launch were made.
        faults: texts by which a node's fault is known.
    """
    ends = ends_in(history, job_id)
    is_fault = _is_fault(ends, len(ends) - 1, history, faults)
    attempt = tries_in(history, job_id, faults)
    return again_after(death, request, max(1, attempt), is_fault=is_fault) is not Again.NEVER


def tries_in(history: History, job_id: str, faults: Sequence[str] = ()) -> int:
    """Return how many attempts that ended in a job count: an experiment is given only so many.

    Args:
        history: what is on record of the experiment.
        job_id: of the job.
        faults: texts by which a node's fault is known.
    """
    ends = ends_in(history, job_id)
    return sum(
        end.reason not in _NO_FAILURES
        and outside_state(end) not in _NO_FAILURES
        and not _is_fault(ends, number, history, faults)
        for number, end in enumerate(ends)
    )


def ends_in(history: History, job_id: str) -> list[End]:
    """Return the ends of what a job has run, the last one of each attempt; of one that was never started, too."""
    numbers = {start.attempt for start in history.starts if start.job_id == job_id}
    unstarted = [end for end in history.ends if not end.attempt and end.job_id == job_id]
    return [*unstarted, *{end.attempt: end for end in history.ends if end.attempt in numbers}.values()]


def _is_fault(ends: Sequence[End], number: int, history: History, faults: Sequence[str]) -> bool:
    """Return whether an attempt failed by its node's fault, and ran where none had failed so before.

    On more nodes than some it is no fault of theirs.
    """
    nodes = [nodes_of(history, end.attempt) if fault_of(end, faults) else "" for end in ends[: number + 1]]
    before = list(filter(None, nodes[:-1]))
    return bool(nodes and nodes[-1]) and nodes[-1] not in before and len(before) < MAX_FAULTS
