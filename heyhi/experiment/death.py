"""Why an experiment has ended without a result, by the records of its attempts and by what Slurm says of its job."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from datetime import datetime

from heyhi.errors import UnknownError
from heyhi.experiment.exits import crash_of, exit_text, is_exit, seen_by_shell
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.launch_log import AGAIN, NOT_AGAIN, PYTHON, SETUP
from heyhi.experiment.names import ATTEMPTS_NAME, RESULT_NAME
from heyhi.experiment.records import PRUNED, REFUSED, REQUEUE, REQUEUED, End, History, Start
from heyhi.experiment.slots import slot_dirs_of
from heyhi.files import is_there, read_end
from heyhi.quick_tuple import NamedTuple
from heyhi.slurm.commands import Job, View
from heyhi.text import readable

_LOG_END = 20_000  # bytes of a job's log in which Slurm's last words are looked for

# What ended the job from outside: the task has not failed by itself.
OUTSIDE = ("TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL", "CANCELLED", "PREEMPTED", "DEADLINE", "REVOKED")
# Of these, what says something about the node rather than about the experiment.
NODE_STATES = ("NODE_FAIL", "BOOT_FAIL")
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
NOT_STARTED_AGAIN = "Slurm could not start it again"
# These may have made the task fail by itself: a worker is killed for its memory, a rank misses those of another node.
_CAUSES = ("OUT_OF_MEMORY", "NODE_FAIL")
# Slurm queues a job of a node that it has lost again, and gives up at once where that node, back again, doesn't start
# it. Clocks of nodes may differ by less than what passes between two starts of a job.
_AT_ONCE_SECONDS, _BETWEEN_STARTS_SECONDS = 5.0, 30.0


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

    @property
    def is_left(self) -> bool:
        """Whether a job ended well that had not ended its run: it was started twice, and the second start left."""
        return self.kind == "killed" and self.text.startswith(exit_text(0))


def find_death(folder: ExperimentDir, view: View) -> Death:
    """Say why the experiment of a folder is dead; Slurm is asked about its job where the records don't say.

    Raises:
        UnknownError: the records can't be read.
    """
    history = folder.history()
    return death_in(folder, history, ended_job(folder, history, view))


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
    job, slots = view.ended(job_id), slot_dirs_of(folder.path)
    if job is not None:
        with contextlib.suppress(UnknownError):
            # What a search has chosen runs in the job of its slot, which has the slot's mark and log.
            identities = [one.read_identity() for one in (folder, *slots)]
            marks = [identity.digest for identity in identities if identity is not None]
            if marks and not any(map(job.may_be, marks)):
                job = None
    end = history.last_end
    asked_again = end is not None and end.reason == REQUEUE
    if job is None or job.exit_code != 0 or asked_again:
        log = "".join(read_end(one.launch_log_path, _LOG_END) for one in (*slots, folder))
        if (job is None or job.exit_code != 0) and (why := kept_from_starting(log, job_id)):
            return (job or Job(job_id, "FAILED"))._replace(why=why)
        if job is not None and _is_not_started_again(history, job, log):
            # What it ran for, and its exit code, is of that start.
            return job._replace(state="NODE_FAIL", exit_code=None, seconds=None, why=NOT_STARTED_AGAIN)
        state = state_in_log(log, job_id) if job is None or job.exit_code == -9 else ""
        if state:
            # What it used is known by the accounts alone.
            return Job(job_id, state) if job is None else job._replace(state=state, exit_code=None, why="")
        if asked_again and (why := _why_not_again(log, job_id)):
            return (job or Job(job_id, "FAILED"))._replace(why=why)
    return job._replace(why="") if job is not None else None


def death_in(folder: ExperimentDir, history: History, job: Job | None = None) -> Death:
    """Say why the experiment of a folder is dead, also by what its shell and its log say, where nobody else does.

    Args:
        folder: of the experiment.
        history: what is on record of it.
        job: how its last job ended, see `ended_job`; None where nobody says.
    """
    if not history.attempts and not history.job_to_ask and not is_there(folder.path / ATTEMPTS_NAME):
        return Death("killed", "whoever had submitted it has given its job up")
    death, start = death_of(history, job), history.attempts[-1] if history.attempts else None
    if death.kind != "killed" or not isinstance(start, Start) or (job is not None and job.exit_code is not None):
        return death
    seen = (seen_by_shell(one, start) for one in (folder, *slot_dirs_of(folder.path)))
    how = next(filter(None, seen), "") or crash_of(folder, start)
    return Death("killed", f"{how} ({_where(history, history.job_to_ask)})") if how else death


def death_of(history: History, job: Job | None = None) -> Death:
    """Say why an experiment without a result is dead.

    Args:
        history: what is on record of it.
        job: how its last job ended, see `ended_job`; None where nobody says.
    """
    if job is not None and job.why.startswith((f"{SETUP}: ", f"{PYTHON}: ")):
        code = "" if job.exit_code is None else f"exit code {_code(job.exit_code)}: "
        return Death("failed", f"{code}{job.why}", job.why)
    if history.unstarted_job:
        return _never_started(history.unstarted_job, job)
    asked, end = history.job_to_ask, history.last_end
    if end is not None and end.reason == PRUNED:
        return Death(PRUNED, end.exception or "ended early")
    if end is not None and end.reason == REFUSED:
        return Death(REFUSED, f"not submitted: {end.exception or 'Slurm took no job'}")
    if job is not None and job.state in OUTSIDE and (end is None or end.reason != "failed" or job.state in _CAUSES):
        exception = end.exception if end is not None and end.reason == "failed" else ""
        if job.why == NOT_STARTED_AGAIN:
            return _outside(job.state, asked, job.nodes, exception or job.why)
        return _outside(job.state, asked, job.nodes, exception)
    if end is None:
        return _killed(history, asked, job)
    if outside_state(end):
        return _outside(end.job_state, end.job_id, end.host, end.exception)
    if end.job_went_on and end.reason in OUTSIDE:  # its run was ended so, as a job is
        return _outside(end.reason, end.job_id, end.host)
    if end.reason == "killed" and not end.exception:  # as only the job's end said
        return _killed(history, end.job_id, Job(end.job_id, end.job_state, "", end.host, exit_code=end.exit_code))
    kind = end.reason or "failed"
    return Death(kind, _ended(end, job.why if job is not None else ""), end.exception if kind == "failed" else "")


def settled(history: History, job: Job, time: str) -> End:
    """Return the record of how a job ended: why the experiment is dead is the same with it, when Slurm has forgotten.

    Args:
        history: what is on record of the experiment.
        job: how its last job ended, see `ended_job`.
        time: when that is written down.
    """
    death, own = death_of(history, job), history.last_end
    started = [start for start in history.starts if start.job_id == history.job_to_ask]
    exit_code, exception = job.exit_code, death.exception
    if own is not None and not history.unstarted_job:
        if death.kind not in OUTSIDE:
            # What it ended with itself: the job's exit code may be another one's, of several that share it.
            exit_code = own.exit_code
            exception = job.why if own.reason == REQUEUE and job.why else own.exception
        elif exit_code is None:
            exit_code = own.exit_code
    return End(
        attempt=started[-1].attempt if started else 0,
        reason=death.kind,
        exit_code=exit_code,
        exception=exception,
        time=time,
        job_id=history.job_to_ask,
        job_state=job.state,
        host=job.nodes,
    )


def outside_state(end: End) -> str:
    """Return how Slurm says that it ended a job from outside, by the record of that; empty where the task failed."""
    is_outside = end.job_state in OUTSIDE and (end.reason != "failed" or end.job_state in _CAUSES)
    return end.job_state if is_outside else ""


def state_in_log(text: str, job_id: str) -> str:
    """Return what Slurm's own lines in a job's log say of its end, in words of its states; empty where nothing.

    They are there where no accounting is kept, and tell of memory where the accounts only know a signal.

    Args:
        text: the log's last lines.
        job_id: of the job: a log may hold several, and several starts of one.
    """
    text = text.rpartition(f"job {job_id} {AGAIN}\n")[2]
    # A line of another job may hold its number, too: as a day, a second, or a node's.
    named = re.compile(rf"\b(?:job|step)(?:id)?[ =]{re.escape(job_id)}\b", re.IGNORECASE)
    mine = [line for line in text.splitlines() if line.startswith("slurmstepd") and named.search(line)]
    return next((state for line in mine for words, state in _LINES if words in line), "")


def kept_from_starting(text: str, job_id: str) -> str:
    """Return what the script of a job wrote into its log when it couldn't start the run; empty where it could.

    Args:
        text: the log's last lines.
        job_id: of the job.
    """
    text = text.rpartition(f"job {job_id} {AGAIN}\n")[2]
    match = re.search(rf"^job {re.escape(job_id)} ((?:{SETUP}|{PYTHON}): .*)$", text, re.MULTILINE)
    return readable(match[1]) if match is not None else ""


def _is_not_started_again(history: History, job: Job, log: str) -> bool:
    """Return whether Slurm gave a job up that it had queued again, before its script began.

    Args:
        history: what is on record of the experiment.
        job: as Slurm's accounts have it.
        log: the last lines of the job's log.
    """
    start = history.attempts[-1] if history.attempts else None
    if history.unstarted_job or not isinstance(start, Start) or start.job_id != job.job_id:
        return False
    if (job.state, job.exit_code) != ("FAILED", 1) or job.started is None or job.seconds is None:
        return False
    try:
        began = datetime.fromisoformat(start.time).timestamp()
    except ValueError:
        return False
    starts = sum(1 for one in history.starts if one.job_id == job.job_id and one.restart_count)
    is_another = job.started > began + _BETWEEN_STARTS_SECONDS and job.seconds <= _AT_ONCE_SECONDS
    return is_another and log.count(f"job {job.job_id} {AGAIN}\n") <= starts


def _why_not_again(text: str, job_id: str) -> str:
    """Return why a job was not queued again, by what its script wrote into its log last; empty where nothing."""
    text = text.rpartition(f"job {job_id} {AGAIN}\n")[2]
    head = f"job {job_id} {NOT_AGAIN}"
    return next((line.removeprefix(head).strip() for line in reversed(text.splitlines()) if line.startswith(head)), "")


def _ended(end: End, why: str = "") -> str:
    if end.reason == REQUEUE:
        why = why or (end.exception if end.exception != REQUEUED else "")
        return f"stopped to be queued again, and wasn't{f': {why}' if why else ''}"
    code = "?" if end.exit_code is None else end.exit_code if end.exit_code >= 0 else _code(end.exit_code)
    reason = f"exit code {code}"
    if end.exception:
        # How a process ended says more than the exit code of who waited for it.
        is_said = is_exit(end.exception) or end.exit_code is None
        return end.exception if is_said else f"{reason}: {end.exception}"
    if end.job_state and not end.attempt and end.reason == "failed":
        return _unstarted(end.job_id, end.exit_code)
    # Its result was there, and somebody took it away.
    return (
        reason
        if end.exit_code != 0
        else f"{reason}, but {RESULT_NAME} is gone: removed, or moved to the trash to go on"
    )


def _unstarted(job_id: str, exit_code: int | None) -> str:
    code = "" if exit_code is None else f" with exit code {_code(exit_code)}"
    return f"job {job_id} ended{code} before it started the experiment"


def _never_started(job_id: str, job: Job | None) -> Death:
    if job is None:
        return Death(LOST, f"job {job_id} was never started, and Slurm knows nothing of it")
    if job.state in OUTSIDE:
        return _outside(job.state, job_id, job.nodes)
    return Death("failed", _unstarted(job_id, job.exit_code))


def _killed(history: History, job_id: str, job: Job | None) -> Death:
    if job is not None and job.exit_code is not None:
        where = f" (job {job_id} on {job.nodes})" if job.nodes else ""
        return Death("killed", f"{exit_text(job.exit_code)}{where}")
    if not history.starts:  # a full disk has kept it from being written, say
        return Death("killed", f"no record of an attempt: {ATTEMPTS_NAME} is empty or cut short")
    return Death("killed", f"killed (no end record; {_where(history, job_id)})")


def _where(history: History, job_id: str) -> str:
    starts = history.starts
    pid, host = (starts[-1].pid, starts[-1].host) if starts else (None, "")
    name = f"job {job_id}" if job_id else f"pid {'?' if pid is None else pid}"
    return f"{name} on host {host or '?'}"


def _outside(state: str, job_id: str, nodes: str, exception: str = "") -> Death:
    where = f" on {nodes}" if nodes and nodes != "None assigned" else ""
    text = f"{state} (job {job_id}{where})" if job_id else state
    return Death(state, f"{text}: {exception}" if exception else text, exception)


def _code(exit_code: int) -> str:
    # As shells do: what a signal ended has 128 and its number.
    code = exit_code if exit_code >= 0 else 128 - exit_code
    return f"{code} (signal {code - 128})" if 128 < code < 193 else str(code)
