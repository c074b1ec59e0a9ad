"""The only place that runs Slurm's commands, and what their answers say of jobs; it knows nothing of experiments.

Every cluster has these commands. What a cluster as a whole is, cluster.py reads through here.
"""

from __future__ import annotations

import enum
import errno
import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import ClassVar

from heyhi.errors import HeyhiError
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex
from heyhi.slurm.surroundings import environment

# How long a command may take: a busy controller answers late, a dead one lets its clients try for a minute.
_TIMEOUT_SECONDS = 90.0
_MAX_IDS = 10_000  # of one call to sacct: a command line's argument may have 128 kB
_MAX_CANCELLED = 1_000  # of one call to scancel, where each id is a word of its own
_MAX_LINES = 4  # of a command's errors that a message repeats
_OVERLOADED = (errno.EAGAIN, errno.ENOMEM, errno.ENFILE, errno.EMFILE)
MARK = "heyhi:"  # opens the comment of each of our jobs: heyhi:<results root>:<experiment>[,<experiment> …]
WORKER = "worker"  # stands there instead of experiments where a job runs one after another, whichever it gets
_ROOT = regex(rf"{MARK}([0-9a-f]+):")
_SEPARATOR = "\x1f"  # between fields: comments and paths hold anything else
_FIELDS = ("%i", "%T", "%r", "%N", "%Z", "%k")  # of squeue, as `Job` has them; the comment is the last
_OPENING = _SEPARATOR + MARK
WORK_NAME = "work.json"  # what workers have to do
OWN_FILES = (
    "identity.json",
    "targets.json",
    WORK_NAME,
)  # one of them lies in the folder of each of our jobs: its own, a pack's, or that of workers
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
# It has its nodes, and nothing of it runs there now …
_RESTING = {
    "CONFIGURING": "waits for its nodes to start",
    "STOPPED": "is stopped (SIGSTOP)",
    "SUSPENDED": "is suspended",
}
# … or any more: it is queued again then, or over.
_ENDING = {"COMPLETING": "is just ending", "STAGE_OUT": "is ending, and its files are copied out"}
_PREFIXES = regex("^(?:error: |fatal: )?(?:allocation failure: )?")


class SlurmError(HeyhiError):
    """One of Slurm's commands is missing, failed, or took too long."""


class Refused(SlurmError):
    """Slurm took no job; asking again would give the same answer."""

    error_code: ClassVar[str] = "slurm_refused"


class NoCluster(Refused):
    """Slurm took no job: this machine knows of no cluster."""


class Busy(SlurmError):
    """Slurm may take the job later: its controller doesn't answer now."""

    error_code: ClassVar[str] = "slurm_busy"


class Full(Busy):
    """Slurm may take the job later: a limit on the number of jobs is reached."""

    error_code: ClassVar[str] = "slurm_full"


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
        seconds: for which it ran, since it was queued last; None where Slurm's accounts don't say.
        started: when it was started last, in seconds since 1970; None where Slurm's accounts don't say.
    """

    job_id: str
    state: str
    why: str = ""
    nodes: str = ""
    workdir: str = ""
    comment: str = ""
    exit_code: int | None = None
    seconds: float | None = None
    started: float | None = None

    @property
    def phase(self) -> Phase:
        """Where in its life the job is; a state that isn't known counts as running."""
        if self.state in _FINAL:
            return Phase.OVER
        return Phase.WAITING if self.state in _WAITING else Phase.RUNNING

    @property
    def is_resting(self) -> bool:
        """Whether it was started, or is about to be, and nothing of it runs now; it may go on."""
        return self.state in _RESTING

    @property
    def remark(self) -> str:
        """What is to be said of it besides that it runs: `is suspended`; empty for nothing."""
        return _RESTING.get(self.state) or _ENDING.get(self.state, "")

    def may_be(self, mark: str) -> bool:
        """Return whether this may be the job of an experiment, whose mark stands in its job's comment.

        An id alone doesn't say so: a controller that was killed forgets its last jobs, and gives their ids again. Where
        the comment is none of ours, since a site writes its own or its accounts keep none, the job's folder tells.
        """
        marks = self.comment.partition(" ")[0]
        if marks.startswith(MARK):
            return mark in marks or self.is_worker
        return not self.workdir or any(os.path.lexists(f"{self.workdir}/{name}") for name in OWN_FILES)

    @property
    def is_worker(self) -> bool:
        """Whether it runs experiments one after another, each of which may end long before the job does."""
        marks = self.comment.partition(" ")[0]
        if marks.startswith(MARK):
            return marks.endswith(f":{WORKER}")
        return bool(self.workdir) and os.path.lexists(f"{self.workdir}/{WORK_NAME}")


def root_in(comment: str) -> str:
    """Return the mark of the results root in a job's comment; empty where the job isn't ours."""
    match = _ROOT.match(comment)
    return match.group(1) if match else ""


def is_here() -> bool:
    """Return whether this machine has Slurm's commands."""
    # As `shutil.which`, which takes longer to load than the answer takes.
    places = (f"{folder}/sbatch" for folder in os.get_exec_path())
    return any(os.access(place, os.X_OK) and os.path.isfile(place) for place in places)  # noqa: PTH113


def list_jobs(ids: Sequence[str]) -> list[Job]:
    """Return some of the jobs that wait, run or have ended in the last minutes, by one call to squeue.

    Args:
        ids: of the jobs; those that Slurm has forgotten are left out.

    Raises:
        SlurmError: there is no answer.
    """
    try:
        lines = _queue_lines("--array", f"--jobs={','.join(ids)}")
    except SlurmError as error:
        if "Invalid job id" in str(error):
            return []
        raise
    return [_job_of(line) for line in lines]


def _queue_lines(*words: str) -> list[str]:
    """Return what squeue prints of jobs, a line each."""
    command = ["squeue", "--noheader", "--states=all", *words, "--format", _SEPARATOR.join(_FIELDS)]
    answer = output_of(command)
    lines = [line for line in answer.split("\n") if line.count(_SEPARATOR) == len(_FIELDS) - 1]
    if answer.strip() and not lines:
        # If this were taken for a list without our jobs, all of them would count as dead.
        raise SlurmError(f"squeue: printed no list of jobs but {answer.strip()[:80]!r}")
    return lines


def _job_of(line: str) -> Job:
    job_id, state, why, nodes, workdir, comment = line.split(_SEPARATOR)
    # squeue writes (null) for what isn't set.
    return Job(job_id, state, "" if why == "None" else why, nodes, workdir, comment)


def account(ids: Iterable[str]) -> dict[str, Job]:
    """Return how jobs have ended, by sacct; jobs that it doesn't know are left out.

    Raises:
        SlurmError: there is no answer, or this cluster keeps no accounts.
    """
    found = {}
    wanted = sorted(set(ids))
    fields = "JobID,State,ExitCode,NodeList,WorkDir,Comment,ElapsedRaw,Start"
    for start in range(0, len(wanted), _MAX_IDS):
        chosen = ",".join(wanted[start : start + _MAX_IDS])
        words = ["sacct", "--noheader", "--parsable2", "--allocations", f"--delimiter={_SEPARATOR}"]
        for line in output_of([*words, f"--jobs={chosen}", f"--format={fields}"]).split("\n"):
            parts = line.split(_SEPARATOR)
            if len(parts) >= 6:
                job_id, state, exit_code, nodes, workdir, comment = parts[:6]
                # "CANCELLED by 1000"
                state = state.partition(" ")[0].rstrip("+")
                seconds = float(parts[6]) if parts[6:] and parts[6].isdigit() else None
                started = _moment(parts[7]) if parts[7:] else None
                code = _exit_code(exit_code)
                found[job_id] = Job(job_id, state, "", nodes, workdir, comment, code, seconds, started)
    return found


class Use(NamedTuple):
    """What the processes of a job have used; None where Slurm's accounts don't say.

    Attributes:
        cpu_seconds: of all of them.
        mem_gb: memory of the task with most, at its peak, in GB of 1,024 MB.
    """

    cpu_seconds: float | None = None
    mem_gb: float | None = None


def use_of(job_id: str) -> Use:
    """Return what the processes of a job have used, by sacct; it knows that some time after the job has ended."""
    words = ["sacct", "--noheader", "--parsable2", "--noconvert", f"--jobs={job_id}", "--format=TotalCPU,MaxRSS"]
    try:
        rows = [line.split("|") for line in output_of(words).splitlines()]
    except SlurmError:
        return Use()
    # The job comes first, with the sum of its steps, then these.
    memory = [gb for row in rows if len(row) == 2 and (gb := _gigabytes(row[1])) is not None]
    return Use((_seconds(rows[0][0]) or None) if rows else None, max(memory, default=None))


def _gigabytes(text: str) -> float | None:
    unit = max(0, " KMGT".find(text[-1:]))
    try:
        return float(text.rstrip("KMGT")) * 1024.0 ** (unit - 3)
    except ValueError:
        return None


def _seconds(text: str) -> float | None:
    """Read a time as sacct writes it: `17`, `01:02.500`, `1-02:03:04`; None where it is none."""
    days, _, clock = text.rpartition("-")
    try:
        total = 86_400.0 * int(days or 0)
        for place, part in enumerate(reversed(clock.split(":"))):
            total += float(part) * 60**place
        return total
    except ValueError:
        return None


def _moment(text: str) -> float | None:
    """Read a time of day as sacct writes it, on this machine's clock; None where it is none: `Unknown`."""
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _exit_code(text: str) -> int | None:
    code, _, sign = text.partition(":")
    if not (code.isdigit() and sign.isdigit()):
        return None
    return -int(sign) if int(sign) else int(code)


class Queue:
    """What squeue says of all jobs: asked once, when it is first needed.

    It is asked for everybody's: whoever shares a results root may have submitted one of its jobs, under whatever name,
    and squeue itself always gets all of them from Slurm's controller. Most are none of ours, and stay lines of text.

    Attributes:
        error: why there was no answer; empty as long as there was one.
        seconds: how long the last call took.
        asked: when the oldest of its answers was asked for, by `time.monotonic()`: clocks of day may be off, or set.
    """

    def __init__(self) -> None:
        self.error = ""
        self.seconds = 0.0
        self.asked: float | None = None
        self._is_asked = False  # and has answered, or not: another thread may be asking now
        self._lines: dict[str, str] | None = None  # job id -> its line
        self._marked: dict[str, dict[str, Job]] = {}  # mark of a results root -> its jobs by id

    @property
    def has_answer(self) -> bool:
        """Whether squeue says anything; it is asked now, unless it was."""
        if not self._is_asked:
            self._ask()
        return self._lines is not None

    def jobs(self, root: str) -> dict[str, Job] | None:
        """Return the jobs of a results root by their id; None without an answer.

        Args:
            root: its mark, which opens the jobs' comments.
        """
        return self._marked.get(root, {}) if self.has_answer else None

    def job(self, job_id: str) -> Job | None:
        """Return the job of an id, whoever's it is; None where it isn't there, or without an answer."""
        return self.known(job_id) if self.has_answer else None

    def known(self, job_id: str) -> Job | None:
        """Return the job of an id if squeue was asked already; None where it isn't there."""
        line = self._lines.get(job_id) if self._lines is not None else None
        return _job_of(line) if line is not None else None

    def forget(self) -> None:
        """Drop the answer, so that squeue is asked again when one is needed."""
        self._is_asked = False
        self._lines = None
        self._marked = {}
        self.asked = None
        self.error = ""

    def _ask(self) -> None:
        start = self.asked = time.monotonic()
        try:
            lines = _queue_lines()
        except SlurmError as error:
            self.error = str(error)
        else:
            marked: dict[str, dict[str, Job]] = {}
            for line in lines:
                if _OPENING in line and (root := root_in(line.rpartition(_SEPARATOR)[2])):
                    job = _job_of(line)
                    marked.setdefault(root, {})[job.job_id] = job
            self._marked, self._lines = marked, {line.partition(_SEPARATOR)[0]: line for line in lines}
        self.seconds = time.monotonic() - start
        self._is_asked = True


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
        if job is None or job.phase is not Phase.OVER:
            # Accounts come late, or there are none: squeue knows the last minutes' jobs.
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
            from heyhi.slurm.refusals import Meaning, meaning_of  # most are taken

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
    from heyhi.slurm.refusals import Meaning, is_configured, meaning_of

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
    from heyhi.slurm.refusals import Meaning, meaning_of

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


def cancel_waiting(ids: Iterable[str]) -> None:
    """End jobs that have not begun; where Slurm doesn't answer, they stay."""
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _MAX_CANCELLED):
        # Its exit code is 1 where one has begun.
        answer_of(["scancel", "--quiet", "--state=PENDING", *wanted[start : start + _MAX_CANCELLED]])


class Answer(NamedTuple):
    """How one of Slurm's commands has ended, whatever that is.

    Attributes:
        exit_code: of it.
        printed: on standard output.
        reason: what it says of a failure, in one line.
    """

    exit_code: int
    printed: str
    reason: str


def answer_of(words: Sequence[str], *, seconds: float = _TIMEOUT_SECONDS) -> Answer:
    """Run one of Slurm's commands that may fail, and return what it says.

    Args:
        words: the command.
        seconds: how long it may take.

    Raises:
        Busy: it took longer, or this machine has no room for it now.
        SlurmError: it isn't here.
    """
    done = _run(words, None, seconds)
    return Answer(done.returncode, done.stdout, _reason(words[0], done.stderr))


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
