"""Whether an experiment that has ended in a job is run by that job once more."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from heyhi.experiment.death import Death, death_of
from heyhi.experiment.records import End, History, Start
from heyhi.job.own_retry import is_tried_again, tries_in
from heyhi.slurm.request import JobRequest

FAULTS = ("CUDA-capable device",)
REQUEST = JobRequest(
    hours=1, nodes=1, tasks=1, gpus_per_node=0, cpus_per_task=1, mem_gb_per_node=1, partition="", account="", qos="",
    constraint="", comment="", extra="", signal_seconds=0, requeue=True, max_attempts=3, oom_mem_factor=2,
    timeout_hours_factor=1, pack=1,
)  # fmt: skip


def ended(*ends: Any, job: str = "7") -> History:
    """Return the records of attempts in a job, each on a node of its own and with such an end."""
    records = []
    for number, (reason, more) in enumerate(ends, 1):
        records.append(Start(number, job_id=job, nodes=more.pop("node", f"n{number}")))
        if reason:
            records.append(End(number, reason, **more))
    return History(records)


FAILED = ("failed", {"exit_code": 1, "exception": "ValueError: boom"})
OOM = ("OUT_OF_MEMORY", {"job_state": "OUT_OF_MEMORY", "job_id": "7"})
TIMEOUT = ("TIMEOUT", {"job_state": "TIMEOUT", "job_id": "7"})
PREEMPTED = ("PREEMPTED", {"job_state": "PREEMPTED", "job_id": "7"})
REQUEUE = ("requeue", {"exit_code": 75})
PRUNED = ("pruned", {})
CANCELLED = ("CANCELLED", {"job_state": "CANCELLED", "job_id": "7"})
LOST = ("", {})  # its node went down


def fault(node: str = "") -> Any:
    return ("failed", {"exception": f"RuntimeError: no {FAULTS[0]}"} | ({"node": node} if node else {}))


@pytest.mark.parametrize(
    ("ends", "tries"),
    [
        ([FAILED], 1),
        ([FAILED, OOM, TIMEOUT], 3),
        ([REQUEUE, REQUEUE, PREEMPTED, FAILED], 1),
        ([LOST, LOST, FAILED], 1),
        ([fault(), FAILED], 1),
        ([fault("n1"), fault("n1")], 1),
        ([fault(f"n{n}") for n in range(7)], 2),
    ],
)
def test_only_what_is_its_own_failure_counts_as_an_attempt(ends: Any, tries: int) -> None:
    history = ended(*((reason, dict(more)) for reason, more in ends))
    assert tries_in(history, "7", FAULTS) == tries
    assert tries_in(history, "8", FAULTS) == 0


@pytest.mark.parametrize(
    ("ends", "is_again"),
    [
        ([FAILED], True),
        ([FAILED, FAILED], True),
        ([FAILED, FAILED, FAILED], False),
        ([FAILED, OOM, TIMEOUT], False),
        ([FAILED, FAILED, fault()], True),
        ([FAILED, FAILED, PREEMPTED], True),
        ([CANCELLED], False),
        ([PRUNED], False),
    ],
)
def test_it_is_tried_as_often_as_its_launcher_says(ends: Any, is_again: bool) -> None:
    history = ended(*((reason, dict(more)) for reason, more in ends))
    assert is_tried_again(death_of(history), REQUEST, history, "7", FAULTS) is is_again


def test_who_may_not_be_queued_again_is_not_after_a_preemption() -> None:
    request = dataclasses.replace(REQUEST, requeue=False, max_attempts=1)
    history = ended(PREEMPTED)
    assert not is_tried_again(Death("PREEMPTED", ""), request, history, "7")


def test_what_never_started_counts_too() -> None:
    history = History([End(0, "failed", exit_code=2, job_id="7"), End(0, "failed", exit_code=2, job_id="7")])
    assert tries_in(history, "7") == 2
