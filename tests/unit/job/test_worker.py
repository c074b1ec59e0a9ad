"""In which order workers take experiments, whether one is started again, and what their list is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from heyhi.errors import ResultError
from heyhi.experiment.folder import ExperimentDir
from heyhi.job.work_list import Item, Source, WorkList, in_turn
from heyhi.job.worker_retry import next_attempt
from heyhi.slurm.commands import Job, View
from heyhi.slurm.request import JobRequest

BEFORE, LAUNCHED, SUBMITTED = (f"2026-11-29T{hour}:00:00+00:00" for hour in ("09", "10", "11"))
MARK = "heyhi:ab:worker"


def work(**more: Any) -> WorkList:
    items = (Item("/r/a", 0), Item("/r/b", 0, ("/r/a",)))
    return WorkList("sweep-1", LAUNCHED, "/p", "/r", (Source("/m.sqlite", "/c", "12ab"),), items, **more)


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    listed = work(stop_after=3, notify=True)
    listed.write(tmp_path)
    assert WorkList.read(tmp_path / "work.json") == listed


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sources": [], "items": [["/r/a", 0]]}'])
def test_a_damaged_list_is_said_to_be(tmp_path: Path, text: str) -> None:
    path = tmp_path / "work.json"
    path.write_text(text)
    with pytest.raises(ResultError, match="is damaged"):
        WorkList.read(path)


def test_each_worker_begins_with_a_share_in_order_and_has_all_others_after_it() -> None:
    items = [Item(str(n), 0) for n in range(7)]
    orders = [[int(item.folder) for item in in_turn(items, place, 3)] for place in range(3)]
    assert orders == [[0, 3, 6, 1, 2, 4, 5], [1, 4, 0, 2, 3, 5, 6], [2, 5, 0, 1, 3, 4, 6]]


class Slurm(View):
    """One that knows how one job has ended."""

    def __init__(self, job: Job | None = None) -> None:
        super().__init__()
        self._job = job

    def ended(self, job_id: str) -> Job | None:
        return self._job


def start(attempt: int, job: str = "7") -> dict[str, Any]:
    return {"event": "start", "attempt": attempt, "job_id": job, "time": SUBMITTED, "nodes": "n1"}


def end(attempt: int, reason: str = "failed", **more: Any) -> dict[str, Any]:
    return {"event": "end", "attempt": attempt, "reason": reason, "exit_code": 1, "job_went_on": True, **more}


@pytest.mark.parametrize(
    ("records", "submission", "own_job", "ended", "attempt"),
    [
        ([], None, "7", None, 1),
        ([start(1), end(1)], {"time": BEFORE, "attempt": 2}, "8", None, 1),
        ([start(1), end(1)], {"attempt": 1}, "7", None, 2),
        ([start(1), end(1), start(2), end(2)], {"attempt": 2}, "8", None, 0),
        ([start(1), end(1, "CANCELLED")], {"attempt": 1}, "8", None, 0),
        ([start(1), end(1, "pruned")], {"attempt": 1}, "8", None, 0),
        # Its own job was started again while it had it, or before that.
        ([start(1)], {"attempt": 1}, "7", None, 1),
        ([start(1), end(1, "requeue", job_went_on=False)], {"attempt": 1}, "7", None, 1),
        ([], {"attempt": 1}, "7", None, 1),
        # Another worker's job has ended with it.
        ([start(1)], {"attempt": 1}, "8", Job("7", "FAILED", comment=MARK, exit_code=-9), 2),
        ([start(1)], {"attempt": 1}, "8", Job("7", "CANCELLED", comment=MARK, exit_code=0), 2),
        ([start(1)], {"attempt": 2}, "8", Job("7", "NODE_FAIL", comment=MARK), 0),
        ([start(1)], {"attempt": 2}, "8", Job("7", "PREEMPTED", comment=MARK), 2),
        ([start(1)], {"attempt": 1}, "8", Job("7", "CANCELLED", comment="heyhi:ab:12cd"), 0),
    ],
)
def test_whether_one_is_started_again_follows_from_its_records(
    tmp_path: Path, records: list[dict[str, Any]], submission: dict[str, Any] | None, own_job: str, ended: Job | None,
    attempt: int,
) -> None:  # fmt: skip
    (tmp_path / "attempts.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    if submission is not None:
        (tmp_path / "job.json").write_text(json.dumps({"job_id": "7", "time": SUBMITTED, **submission}))
    got = next_attempt(
        ExperimentDir(tmp_path), request(max_attempts=2), LAUNCHED, own_job, Slurm(ended), lambda *_: False
    )
    assert got == attempt


def test_a_failure_by_the_fault_of_a_node_is_no_attempt(tmp_path: Path) -> None:
    records = [start(1), end(1, exception="RuntimeError: CUDA error")]
    (tmp_path / "attempts.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "job.json").write_text(json.dumps({"job_id": "7", "time": SUBMITTED, "attempt": 1}))
    asked = (ExperimentDir(tmp_path), request(max_attempts=1), LAUNCHED, "8", Slurm())
    assert next_attempt(*asked, lambda *_: False) == 0
    assert next_attempt(*asked, lambda folder, death, node: node == "n1") == 1


def request(**more: Any) -> JobRequest:
    values: dict[str, Any] = dict.fromkeys(("nodes", "tasks", "cpus_per_task", "pack"), 1)
    values |= dict.fromkeys(("partition", "account", "qos", "constraint", "comment", "extra"), "")
    values |= {"hours": 1.0, "gpus_per_node": 0, "mem_gb_per_node": None, "signal_seconds": 90, "requeue": True}
    values |= {"max_attempts": 1, "oom_mem_factor": 1.0, "timeout_hours_factor": 1.0}
    return JobRequest(**values | more)
