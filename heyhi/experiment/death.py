"""Owns why an experiment has ended without a result: by the records of its attempts, and by what Slurm says of its job.

Reading the records, and asking Slurm, is not its business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from heyhi.experiment.names import RESULT_NAME
from heyhi.slurm.commands import Job

Record = Mapping[str, Any]
# What ended the job from outside: the task has not failed by itself.
OUTSIDE = ("TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL", "CANCELLED", "PREEMPTED", "DEADLINE", "REVOKED")
# What slurmstepd writes into a job's log. The first that fits counts.
_LINES = (
    ("exceeded memory limit", "OUT_OF_MEMORY"),
    ("oom-kill", "OUT_OF_MEMORY"),
    ("oom_kill", "OUT_OF_MEMORY"),
    ("DUE TO TIME LIMIT", "TIMEOUT"),
    ("DUE TO PREEMPTION", "PREEMPTED"),
    ("DUE TO NODE FAILURE", "NODE_FAIL"),
    ("DUE TO JOB REQUEUE", ""),
    (" CANCELLED AT ", "CANCELLED"),
)
LOST = "lost"  # Slurm has forgotten the job: its controller was killed before it had written it down
AGAIN = "starts again"  # what its script writes into the log of a job that was queued again, with the job's id
_NO_RESULT = "exit code 0, without a result"
REQUEUE = "requeue"  # reason of an attempt that asked for its job to be queued again


class Death(NamedTuple):
    """Hold why an experiment is dead.

    Attributes:
        kind: `failed`, `terminated`, `requeue`, `killed`, `lost`, or Slurm's state where it ended the job: TIMEOUT …
        text: for people.
        exception: last line of what the task raised; empty where it didn't.
    """

    kind: str
    text: str
    exception: str = ""


def last_job(attempts: Sequence[Record], submitted: Record | None) -> str:
    """Return the id of the job that has to be asked about; empty where the records say all.

    Args:
        attempts: records of the attempts, in order.
        submitted: what is noted of the last submission, if there was one.
    """
    job = _unstarted_job(attempts, submitted)
    if job:
        return job
    last = attempts[-1] if attempts else {}
    return "" if last.get("job_state") else _text(last.get("job_id")) or _job_of_attempt(attempts, last)


def current_job(attempts: Sequence[Record], submitted: Record | None) -> str:
    """Return the id of the job that has an experiment, or had it last; empty where its last attempt was in none.

    Args:
        attempts: records of its attempts, in order.
        submitted: what is noted of its last submission, if there was one.
    """
    job = _unstarted_job(attempts, submitted)
    if job:
        return job
    return next((_text(a.get("job_id")) for a in reversed(attempts) if a.get("event") == "start"), "")


def death_of(attempts: Sequence[Record], submitted: Record | None = None, job: Job | None = None) -> Death:
    """Say why an experiment without a result is dead.

    Args:
        attempts: records of its attempts, in order.
        submitted: what is noted of its last submission, if there was one.
        job: how Slurm says that the job of `last_job` ended; None where it doesn't say.
    """
    last = attempts[-1] if attempts else {}
    unstarted = _unstarted_job(attempts, submitted)
    if unstarted:
        return _never_started(unstarted, job)
    asked = last_job(attempts, submitted)
    end = last if last.get("event") == "end" else None
    if job is not None and job.state in OUTSIDE and (end is None or end.get("reason") != "failed" or _is_memory(job)):
        exception = _text(end.get("exception")) if end is not None and end.get("reason") == "failed" else ""
        return _outside(job.state, asked, job.nodes, exception)
    if end is None:
        return _killed(attempts, asked, job)
    state = _text(end.get("job_state"))
    if state in OUTSIDE:
        return _outside(state, _text(end.get("job_id")), _text(end.get("host")), _text(end.get("exception")))
    kind, exception = _text(end.get("reason")) or "failed", _text(end.get("exception"))
    return Death(kind, _ended(end), exception if kind == "failed" else "")


def state_in_log(text: str, job_id: str) -> str:
    """Return what Slurm's own lines in a job's log say of its end, in words of its states; empty where nothing.

    They are there where no accounting is kept, and tell of memory where the accounts only know a signal.

    Args:
        text: the log's last lines.
        job_id: of the job: a log may hold several, and several starts of one.
    """
    text = text.rpartition(f"job {job_id} {AGAIN}\n")[2]
    mine = [line for line in text.splitlines() if line.startswith("slurmstepd") and re.search(rf"\b{job_id}\b", line)]
    return next((state for line in mine for words, state in _LINES if words in line), "")


def _ended(end: Record) -> str:
    if end.get("reason") == REQUEUE:
        return "stopped to be queued again, and wasn't"
    code = end.get("exit_code", "?")
    reason = f"exit code {_code(code) if isinstance(code, int) and code < 0 else code}"
    if end.get("exception"):
        return f"{reason}: {end['exception']}"
    if end.get("exit_code") != 0:
        return reason
    # Where it wasn't killed, its result was there, and somebody took it away.
    return _NO_RESULT if end.get("reason") == "killed" else f"{reason}, but {RESULT_NAME} is gone"


def _never_started(job_id: str, job: Job | None) -> Death:
    if job is None:
        return Death(LOST, f"job {job_id} was never started, and Slurm knows nothing of it")
    if job.state in OUTSIDE:
        return _outside(job.state, job_id, job.nodes)
    code = "" if job.exit_code is None else f" with exit code {_code(job.exit_code)}"
    return Death("failed", f"job {job_id} ended{code} before it started the experiment")


def _killed(attempts: Sequence[Record], job_id: str, job: Job | None) -> Death:
    start = next((a for a in reversed(attempts) if a.get("event") == "start"), {})
    if job is not None and job.exit_code:
        return Death("killed", f"exit code {_code(job.exit_code)} (job {job_id} on {job.nodes})")
    if job is not None and job.exit_code == 0:
        # os._exit(0), or a library's own.
        return Death("killed", f"{_NO_RESULT} (job {job_id} on {job.nodes})")
    where = f"job {job_id}" if job_id else f"pid {start.get('pid', '?')}"
    return Death("killed", f"killed (no end record; {where} on host {start.get('host', '?')})")


def _outside(state: str, job_id: str, nodes: str, exception: str = "") -> Death:
    where = f" on {nodes}" if nodes and nodes != "None assigned" else ""
    text = f"{state} (job {job_id}{where})" if job_id else state
    return Death(state, f"{text}: {exception}" if exception else text, exception)


def _is_memory(job: Job) -> bool:
    # A worker that is killed for its memory makes the task fail by itself.
    return job.state == "OUT_OF_MEMORY"


def _unstarted_job(attempts: Sequence[Record], submitted: Record | None) -> str:
    """Return the id of the last submission's job where no record is from it; empty otherwise."""
    job = _text((submitted or {}).get("job_id"))
    return "" if any(_text(record.get("job_id")) == job for record in attempts) else job


def _job_of_attempt(attempts: Sequence[Record], last: Record) -> str:
    number = last.get("attempt")
    starts = (a for a in reversed(attempts) if a.get("event") == "start" and a.get("attempt") == number)
    return _text(next(starts, {}).get("job_id"))


def _code(exit_code: int) -> str:
    # As shells do: what a signal ended has 128 and its number.
    code = exit_code if exit_code >= 0 else 128 - exit_code
    return f"{code} (signal {code - 128})" if 128 < code < 193 else str(code)


def _text(value: object) -> str:
    return "" if value is None else str(value)
