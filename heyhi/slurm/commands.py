"""The only place that runs Slurm's commands, and what their answers say of jobs; it knows nothing of experiments.

Every cluster has these commands. What a cluster as a whole is, cluster.py reads through here.
"""

from __future__ import annotations

import enum
import errno
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from heyhi.errors import HeyhiError
from heyhi.slurm.refusals import Meaning, is_configured, meaning_of

# How long a command may take: a busy controller answers late, a dead one lets its clients try for a minute.
_TIMEOUT_SECONDS = 90.0
_MAX_IDS = 10_000  # of one call to sacct: a command line's argument may have 128 kB
_MAX_CANCELLED = 1_000  # of one call to scancel, where each id is a word of its own
_MAX_LINES = 4  # of a command's errors that a message repeats
_OVERLOADED = (errno.EAGAIN, errno.ENOMEM, errno.ENFILE, errno.EMFILE)
MARK = "heyhi:"  # opens the comment of each of our jobs
_SEPARATOR = "\x1f"  # between fields: comments and paths hold anything else
# https://slurm.schedmd.com/job_state_codes.html: these have ended for good, all others may still run or run again.
_FINAL = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "LAUNCH_FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "RECONFIG_FAIL",
    "REVOKED",
    "TIMEOUT",
}
_WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
_PREFIXES = re.compile("^(?:error: |fatal: )?(?:allocation failure: )?")


class SlurmError(HeyhiError):
    """One of Slurm's commands is missing, failed, or took too long."""


class Refused(SlurmError):
    """Slurm took no job; asking again would give the same answer."""


class NoCluster(Refused):
    """Slurm took no job: this machine knows of no cluster."""


class Busy(SlurmError):
    """Slurm may take the job later: its controller doesn't answer now."""


class Full(Busy):
    """Slurm may take the job later: a limit on the number of jobs is reached."""


class Phase(enum.Enum):
    """Where in its life a job is; Slurm's many states come down to these."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"


class Job(NamedTuple):
    """What Slurm says of a job.

    Attributes:
        job_id: as `squeue` prints it.
        state: in Slurm's words: PENDING, RUNNING, TIMEOUT …
        why: what a waiting job waits for.
        nodes: where it runs or ran, as Slurm lists nodes.
        workdir: its working directory.
        comment: its comment.
        exit_code: of the batch script; negative: the signal that ended it; None where Slurm doesn't say.
    """

    job_id: str
    state: str
    why: str = ""
    nodes: str = ""
    workdir: str = ""
    comment: str = ""
    exit_code: int | None = None

    @property
    def phase(self) -> Phase:
        """Where in its life the job is; a state that isn't known counts as running."""
        if self.state in _FINAL:
            return Phase.OVER
        return Phase.WAITING if self.state in _WAITING else Phase.RUNNING

    def may_be(self, mark: str) -> bool:
        """Return whether this may be the job of an experiment, whose mark stands in its job's comment.

        An id alone doesn't say so: a controller that was killed forgets its last jobs, and gives their ids again.
        """
        marks = self.comment.partition(" ")[0]
        return not marks.startswith(MARK) or mark in marks


def is_here() -> bool:
    """Return whether this machine has Slurm's commands."""
    return shutil.which("sbatch") is not None


def list_jobs(*, name: str = "", ids: Sequence[str] = ()) -> list[Job]:
    """Return the jobs that wait, run or have ended in the last minutes, by one call to squeue.

    Args:
        name: of the jobs; or several, separated by commas.
        ids: of the jobs; those that Slurm has forgotten are left out.

    Raises:
        SlurmError: there is no answer.
    """
    words = ["squeue", "--noheader", "--array", "--states=all"]
    words += [f"--name={name}"] if name else []
    words += [f"--jobs={','.join(ids)}"] if ids else []
    fields = ("%i", "%T", "%r", "%N", "%Z", "%k")
    try:
        answer = output_of([*words, "--format", _SEPARATOR.join(fields)])
    except SlurmError as error:
        if ids and "Invalid job id" in str(error):
            return []
        raise
    found = []
    for line in answer.split("\n"):
        parts = line.split(_SEPARATOR)
        if len(parts) == len(fields):
            job_id, state, why, nodes, workdir, comment = parts
            # squeue writes (null) for what isn't set.
            found.append(Job(job_id, state, "" if why == "None" else why, nodes, workdir, comment))
    if answer.strip() and not found:
        # If this were taken for a list without our jobs, all of them would count as dead.
        raise SlurmError(f"squeue: printed no list of jobs but {answer.strip()[:80]!r}")
    return found


def account(ids: Iterable[str]) -> dict[str, Job]:
    """Return how jobs have ended, by sacct; jobs that it doesn't know are left out.

    Raises:
        SlurmError: there is no answer, or this cluster keeps no accounts.
    """
    found = {}
    wanted = sorted(set(ids))
    fields = "JobID,State,ExitCode,NodeList,WorkDir,Comment"
    for start in range(0, len(wanted), _MAX_IDS):
        chosen = ",".join(wanted[start : start + _MAX_IDS])
        words = ["sacct", "--noheader", "--parsable2", "--allocations", f"--delimiter={_SEPARATOR}"]
        for line in output_of([*words, f"--jobs={chosen}", f"--format={fields}"]).split("\n"):
            parts = line.split(_SEPARATOR)
            if len(parts) == 6:
                job_id, state, exit_code, nodes, workdir, comment = parts
                # "CANCELLED by 1000"
                state = state.partition(" ")[0].rstrip("+")
                found[job_id] = Job(job_id, state, "", nodes, workdir, comment, _exit_code(exit_code))
    return found


def _exit_code(text: str) -> int | None:
    code, _, sign = text.partition(":")
    if not (code.isdigit() and sign.isdigit()):
        return None
    return -int(sign) if int(sign) else int(code)


class Queue:
    """What squeue says: asked once for each name of jobs, when it is first needed.

    Attributes:
        error: why there was no answer; empty as long as there was one.
        seconds: how long the last call took.
        asked: when the oldest of its answers was asked for, in seconds since 1970.
    """

    def __init__(self) -> None:
        self.error = ""
        self.seconds = 0.0
        self.asked: float | None = None
        self._jobs: dict[str, dict[str, Job] | None] = {}

    def jobs(self, name: str) -> dict[str, Job] | None:
        """Return the jobs of a name by their id; None without an answer."""
        if name not in self._jobs:
            start = time.monotonic()
            self.asked = min(self.asked or time.time(), time.time())
            try:
                self._jobs[name] = {job.job_id: job for job in list_jobs(name=name)}
            except SlurmError as error:
                self.error = str(error)
                self._jobs[name] = None
            self.seconds = time.monotonic() - start
        return self._jobs[name]

    def known(self, job_id: str) -> Job | None:
        """Return the job of an id among those that squeue was asked for; None where it isn't there."""
        return next((jobs[job_id] for jobs in self._jobs.values() if jobs and job_id in jobs), None)

    def forget(self) -> None:
        """Drop all answers, so that squeue is asked again when one is needed."""
        self._jobs.clear()
        self.asked = None
        self.error = ""


class Ledger:
    """What sacct says: asked once for all jobs that are loaded together.

    Attributes:
        error: why there was no answer; empty as long as there was one.
    """

    def __init__(self) -> None:
        self.error = ""
        self._known: dict[str, Job | None] = {}

    def load(self, ids: Iterable[str]) -> None:
        """Ask for those jobs that haven't been asked for yet."""
        wanted = [one for one in ids if one and one not in self._known]
        if not wanted:
            return
        try:
            answer = account(wanted)
        except SlurmError as error:
            self.error = str(error)
            answer = {}
        self._known.update({one: answer.get(one) for one in wanted})

    def job(self, job_id: str) -> Job | None:
        """Return how a job has ended; None where accounting doesn't say."""
        self.load([job_id])
        return self._known.get(job_id)


class View:
    """What Slurm says of many jobs: those in its queue, and how others have ended.

    Attributes:
        queue: what squeue says.
        ledger: what sacct says.
    """

    def __init__(self) -> None:
        self.queue = Queue()
        self.ledger = Ledger()

    def ended(self, job_id: str) -> Job | None:
        """Return how a job has ended; None where Slurm doesn't say."""
        job = self.ledger.job(job_id)
        if job is None:
            # Without accounts, squeue still knows the last minutes' jobs.
            job = self.queue.known(job_id)
        return job if job is not None and job.phase is Phase.OVER else None


def submit(options: Sequence[str], script: str) -> str:
    """Submit a job, and return its id.

    Args:
        options: words for sbatch.
        script: of the batch process; sbatch reads it from standard input.

    Raises:
        Full: Slurm takes it when another job has ended.
        Busy: Slurm may take it later.
        NoCluster: this machine knows of no cluster.
        Refused: Slurm doesn't take it, or there is no sbatch here.
    """
    for is_last in (False, False, True):
        try:
            return _submit(options, script)
        except Full as error:
            # A limit that lets none in, though none is there, lets none in later: of 0 jobs, or on something else.
            # One may just have ended: so asked again, before that is said.
            if meaning_of(str(error)) is Meaning.FULL or _has_jobs():
                raise
            if is_last:
                raise Refused(str(error)) from None
    raise AssertionError


def _submit(options: Sequence[str], script: str) -> str:
    try:
        answer = output_of(["sbatch", "--parsable", *options], script)
    except Busy:
        raise
    except SlurmError as error:
        raise _refusal_of(str(error)) from None
    # "123", or "123;cluster"; a site's own wrapper may print more before it.
    job_id = answer.strip().rpartition("\n")[2].partition(";")[0].strip()
    if not job_id.isdigit():
        raise Refused(f"sbatch: printed no job id but {answer.strip()[:200]!r}")
    return job_id


def _refusal_of(text: str) -> SlurmError:
    meaning = meaning_of(text.removeprefix("sbatch: "))
    if meaning is Meaning.NO_CLUSTER:
        return Busy(text) if is_configured() else NoCluster(text)
    if meaning is Meaning.AWAY:
        return Busy(text)
    return Refused(text) if meaning is Meaning.NEVER else Full(text)


def _has_jobs() -> bool:
    """Return whether this user has jobs that wait, run or end; true without an answer."""
    try:
        return bool(output_of(["squeue", "--noheader", f"--user={os.getuid()}", "--format=%i"]).strip())
    except SlurmError:
        return True


def refusal(options: Sequence[str], script: str, *, seconds: float = _TIMEOUT_SECONDS) -> str:
    """Return why Slurm would refuse a job, in its own words; empty where it would take it, now or later.

    Nothing is submitted (`sbatch --test-only`).

    Args:
        options: words for sbatch.
        script: of the batch process.
        seconds: how long the answer may take.

    Raises:
        SlurmError: there is no answer.
    """
    done = _run(["sbatch", "--test-only", *options], script, seconds)
    if not done.returncode:
        return ""
    reason = _reason("sbatch", done.stderr)
    meaning = meaning_of(reason)
    if meaning in (Meaning.FULL, Meaning.FULL_OF_OWN):
        return ""
    reason = reason or f"sbatch failed with exit code {done.returncode}"
    if meaning in (Meaning.AWAY, Meaning.NO_CLUSTER):
        raise SlurmError(f"sbatch: {reason}")
    return reason


def cancel(ids: Iterable[str]) -> None:
    """End jobs, also those that only wait; one that has ended already is no error.

    Raises:
        SlurmError: there is no answer.
    """
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _MAX_CANCELLED):
        output_of(["scancel", "--quiet", *wanted[start : start + _MAX_CANCELLED]])


def environment() -> Mapping[str, str]:
    """Return the environment for Slurm's commands, and for the jobs that they start.

    What a job around this process has set there (its id, its rank, its limits) must not reach another job, nor
    what would make sbatch do something else than to submit one: wait for it, or make an array of it.
    """
    kept = ("SLURM_CONF", "SBATCH_ACCOUNT", "SBATCH_CONSTRAINT", "SBATCH_PARTITION", "SBATCH_QOS", "SBATCH_RESERVATION")
    return {k: v for k, v in os.environ.items() if k in kept or not k.startswith(("SLURM_", "SBATCH_"))}


def output_of(words: Sequence[str], text: str | None = None, *, seconds: float = _TIMEOUT_SECONDS) -> str:
    """Run one of Slurm's commands, and return what it prints.

    Args:
        words: the command.
        text: its standard input.
        seconds: how long it may take.

    Raises:
        Busy: it took longer, or this machine has no room for it now.
        SlurmError: it isn't here, or failed.
    """
    done = _run(words, text, seconds)
    if done.returncode != 0:
        raise SlurmError(f"{words[0]}: {_reason(words[0], done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


def _run(words: Sequence[str], text: str | None, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit code."""
    try:
        return subprocess.run(
            words,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            env=environment(),
            check=False,
            process_group=0,  # Ctrl-C on the terminal is for us: it must end neither sbatch half-way nor scancel
        )
    except FileNotFoundError:
        raise SlurmError(f"{words[0]}: there is no such command here: this machine knows no Slurm") from None
    except subprocess.TimeoutExpired:
        raise Busy(f"{words[0]}: took longer than {seconds:.2g} s: Slurm's controller is busy or away") from None
    except OSError as error:
        # A login node that has too much to do has no place for one more process, for a moment.
        kind = Busy if error.errno in _OVERLOADED else SlurmError
        raise kind(f"{words[0]}: can't be run: {error.strerror}") from None


def _reason(command: str, errors: str) -> str:
    """Return in one line what a command says of its failure, without repetitions."""
    reasons: list[str] = []
    for line in errors.splitlines():
        reason = _PREFIXES.sub("", line.strip().removeprefix(f"{command}: "), count=1)
        if reason and reason not in reasons and not reason.startswith("Try "):
            reasons.append(reason)
    return "; ".join(reasons[:_MAX_LINES])
