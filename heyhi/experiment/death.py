"""Why an experiment has ended without a result, by the records of its attempts and by what Slurm says of its job."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from heyhi.errors import UnknownError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import RESULT_NAME
from heyhi.experiment.records import PRUNED, REFUSED, REQUEUE, End, History
from heyhi.files import read_end
from heyhi.slurm.commands import Job, View

_LOG_END = 20_000  # bytes of a job's log in which Slurm's last words are looked for

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


class Death(NamedTuple):
    """Why an experiment is dead, or pruned.

    Attributes:
        kind: reason of its last attempt's end, `lost`, or Slurm's state where that ended the job: TIMEOUT …
        text: for people.
        exception: last line of what the task raised; empty where it didn't.
    """

    kind: str
    text: str
    exception: str = ""


def find_death(folder: ExperimentDir, view: View) -> Death:
    """Say why the experiment of a folder is dead; Slurm is asked about its job where the records don't say.

    Raises:
        UnknownError: the records can't be read.
    """
    history = folder.history()
    return death_of(history, ended_job(folder, history, view))


def ask_accounts(folders: Iterable[ExperimentDir], view: View) -> None:
    """Ask Slurm's accounts once how the jobs of dead experiments have ended, instead of once for each."""
    ids = []
    for folder in folders:
        with contextlib.suppress(UnknownError):  # which its own status says
            ids.append(folder.history().job_to_ask)
    view.ledger.load(ids)


def ended_job(folder: ExperimentDir, history: History, view: View) -> Job | None:
    """Return how an experiment's last job ended, by Slurm's accounts and by its words in the job's log.

    Args:
        folder: of the experiment.
        history: what is on record of it.
        view: what Slurm says of jobs.

    Returns:
        The job; None where the records say all, or Slurm says nothing.
    """
    job_id = history.job_to_ask
    if not job_id:
        return None
    job = view.ended(job_id)
    if job is not None:
        with contextlib.suppress(UnknownError):
            identity = folder.read_identity()
            if identity is not None and not job.may_be(identity.digest):
                job = None
    if job is None or job.exit_code == -9:
        state = state_in_log(read_end(folder.launch_log_path, _LOG_END), job_id)
        if state:
            # What it used is known by the accounts alone.
            job = Job(job_id, state) if job is None else job._replace(state=state, exit_code=None)
    return job


def death_of(history: History, job: Job | None = None) -> Death:
    """Say why an experiment without a result is dead.

    Args:
        history: what is on record of it.
        job: how its last job ended, see `ended_job`; None where nobody says.
    """
    if history.unstarted_job:
        return _never_started(history.unstarted_job, job)
    asked, end = history.job_to_ask, history.last_end
    if end is not None and end.reason == PRUNED:
        return Death(PRUNED, end.exception or "ended early")
    if end is not None and end.reason == REFUSED:
        return Death(REFUSED, f"not submitted: {end.exception or 'Slurm took no job'}")
    if job is not None and job.state in OUTSIDE and (end is None or end.reason != "failed" or _is_memory(job)):
        exception = end.exception if end is not None and end.reason == "failed" else ""
        return _outside(job.state, asked, job.nodes, exception)
    if end is None:
        return _killed(history, asked, job)
    if end.job_state in OUTSIDE:
        return _outside(end.job_state, end.job_id, end.host, end.exception)
    kind = end.reason or "failed"
    return Death(kind, _ended(end), end.exception if kind == "failed" else "")


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


def _ended(end: End) -> str:
    if end.reason == REQUEUE:
        return "stopped to be queued again, and wasn't"
    code = "?" if end.exit_code is None else end.exit_code if end.exit_code >= 0 else _code(end.exit_code)
    reason = f"exit code {code}"
    if end.exception:
        return f"{reason}: {end.exception}"
    if end.exit_code != 0:
        return reason
    # Where it wasn't killed, its result was there, and somebody took it away.
    return _NO_RESULT if end.reason == "killed" else f"{reason}, but {RESULT_NAME} is gone"


def _never_started(job_id: str, job: Job | None) -> Death:
    if job is None:
        return Death(LOST, f"job {job_id} was never started, and Slurm knows nothing of it")
    if job.state in OUTSIDE:
        return _outside(job.state, job_id, job.nodes)
    code = "" if job.exit_code is None else f" with exit code {_code(job.exit_code)}"
    return Death("failed", f"job {job_id} ended{code} before it started the experiment")


def _killed(history: History, job_id: str, job: Job | None) -> Death:
    if job is not None and job.exit_code:
        return Death("killed", f"exit code {_code(job.exit_code)} (job {job_id} on {job.nodes})")
    if job is not None and job.exit_code == 0:
        # os._exit(0), or a library's own.
        return Death("killed", f"{_NO_RESULT} (job {job_id} on {job.nodes})")
    starts = history.starts
    pid, host = (starts[-1].pid, starts[-1].host) if starts else (None, "")
    where = f"job {job_id}" if job_id else f"pid {'?' if pid is None else pid}"
    return Death("killed", f"killed (no end record; {where} on host {host or '?'})")


def _outside(state: str, job_id: str, nodes: str, exception: str = "") -> Death:
    where = f" on {nodes}" if nodes and nodes != "None assigned" else ""
    text = f"{state} (job {job_id}{where})" if job_id else state
    return Death(state, f"{text}: {exception}" if exception else text, exception)


def _is_memory(job: Job) -> bool:
    # A worker that is killed for its memory makes the task fail by itself.
    return job.state == "OUT_OF_MEMORY"


def _code(exit_code: int) -> str:
    # As shells do: what a signal ended has 128 and its number.
    code = exit_code if exit_code >= 0 else 128 - exit_code
    return f"{code} (signal {code - 128})" if 128 < code < 193 else str(code)
