"""Owns the folder of an experiment: every path in it, what is read from and written to it, and its status.

How an experiment is composed, claimed or run is not its business.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.config.identity import Identity
from heyhi.errors import ClaimError, IdentityError, ResultError
from heyhi.experiment.claim import CLAIM_NAME, Claim, read_owner
from heyhi.experiment.death import Death, death_of, last_job, state_in_log
from heyhi.experiment.names import (
    ATTEMPTS_NAME,
    CODE_NAME,
    CONFIG_NAME,
    FLAT_CONFIG_NAME,
    IDENTITY_NAME,
    JOB_NAME,
    LAUNCH_LOG_NAME,
    LOG_NAME,
    METRICS_NAME,
    RESULT_NAME,
    ROOT_NAMES,
    STATE_NAME,
    Status,
)
from heyhi.experiment.owner import Owner
from heyhi.experiment.result import encode
from heyhi.files import read_end, replace_file, write_temp, writing
from heyhi.slurm.commands import Job, Phase, View

if TYPE_CHECKING:
    from heyhi.config.schema import Schema

# What may lie in a folder before its experiment is started: Snakemake makes a log, who comes first a claim,
# who submits a record of the code.
_EARLY = (LOG_NAME, LAUNCH_LOG_NAME, CLAIM_NAME, JOB_NAME, CODE_NAME)
_EARLY_PREFIXES = ("claim.", ".claim.", f".{IDENTITY_NAME}.", f".{JOB_NAME}.", f".{CODE_NAME}.")
_LOG_END = 20_000  # bytes of a log in which Slurm's last words are looked for
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Experiment:
    """What is to be run, as it was composed.

    Attributes:
        exp_id: path below the results root, or an absolute one.
        exp_path: folder (absolute).
        identity: what makes it this experiment.
        task: name of the chosen task.
        config: root message, serialised.
        needs: folders of the experiments that must be done before.
        resources: Snakemake's; none for a local run.
        roots: the project's and the results' folders when it was composed: paths in its config begin with them.
    """

    exp_id: str
    exp_path: Path
    identity: Identity
    task: str
    config: bytes
    needs: tuple[Path, ...] = ()
    resources: Mapping[str, int | str] = field(default_factory=dict)
    roots: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def target(self) -> Path:
        """Result file, which Snakemake is asked for."""
        return self.exp_path / RESULT_NAME


def status_of(exp_path: str, view: View | None = None) -> Status:
    """Return the status of an experiment, without the needs; for one that is done this is a single `os.stat`.

    Args:
        exp_path: its folder.
        view: what Slurm says of jobs; default: ask it, if a job has the claim.

    Raises:
        ClaimError: its claim can't be read.
    """
    if _exists(f"{exp_path}/{RESULT_NAME}"):
        return Status.DONE
    view = view or View()
    owner = read_owner(exp_path, view.queue)
    if owner is not None:
        return _status_by(owner, view)
    if not (_exists(f"{exp_path}/{ATTEMPTS_NAME}") or _exists(f"{exp_path}/{JOB_NAME}")):
        return Status.NOT_STARTED
    # It may have ended between the first look and the second.
    return Status.DONE if _exists(f"{exp_path}/{RESULT_NAME}") else Status.DEAD


def _status_by(owner: Owner, view: View) -> Status:
    """Return the status of an experiment that somebody has; where Slurm doesn't answer, the last known one."""
    job = owner.find_job(view.queue)
    if job is None or job.phase is Phase.OVER:  # or it is just ending
        return Status.RUNNING if owner.kind == "process" else Status.PENDING
    return Status.PENDING if job.phase is Phase.WAITING else Status.RUNNING


def _described(owner: Owner, view: View) -> str:
    job = owner.find_job(view.queue)
    if job is None:
        asked = f" (last known: {view.queue.error})" if owner.job_name and view.queue.error else ""
        return f"{owner.describe()}{asked}"
    if job.phase is Phase.WAITING:
        return f"job {job.job_id} waits{f': {job.why}' if job.why else ''}"
    return f"job {job.job_id} on {job.nodes}" if job.nodes else f"job {job.job_id}"


def _exists(path: str) -> bool:
    # Path.exists() takes five times as long, and there may be 10,000 of them.
    try:
        os.stat(path)  # noqa: PTH116
    except OSError:
        return False
    return True


class ExperimentDir:
    """Read and write the folder of an experiment.

    Args:
        exp_path: the folder, which need not exist.
        results_root: the folder below which it has its exp id.
    """

    __slots__ = ("path", "results_root")

    def __init__(self, exp_path: Path, results_root: Path | None = None) -> None:
        self.path = exp_path
        self.results_root = results_root

    def __repr__(self) -> str:
        return f"ExperimentDir({str(self.path)!r})"

    @property
    def exp_id(self) -> str:
        """Exp id; the whole path where the results root isn't known, or is elsewhere."""
        root = self.results_root
        if root is not None and self.path.is_relative_to(root):
            return self.path.relative_to(root).as_posix()
        return self.path.as_posix()

    @property
    def result_path(self) -> Path:
        """What the task returned; its existence is DONE."""
        return self.path / RESULT_NAME

    @property
    def metrics_path(self) -> Path:
        """Metrics that the task wrote on its way, a JSON object a line."""
        return self.path / METRICS_NAME

    @property
    def attempts_path(self) -> Path:
        """Start and end of each attempt, a JSON object a line."""
        return self.path / ATTEMPTS_NAME

    @property
    def identity_path(self) -> Path:
        """Which experiment this is."""
        return self.path / IDENTITY_NAME

    @property
    def config_path(self) -> Path:
        """The composed config as text."""
        return self.path / CONFIG_NAME

    @property
    def flat_config_path(self) -> Path:
        """The composed config as dotted keys with all defaults, by which drift is seen."""
        return self.path / FLAT_CONFIG_NAME

    @property
    def log_path(self) -> Path:
        """What all attempts printed and logged."""
        return self.path / LOG_NAME

    def log_path_of(self, rank: int) -> Path:
        """What one of several ranks printed and logged: the first one's is the log, others have their own."""
        return self.log_path if rank == 0 else self.log_path.with_suffix(f".{rank}{self.log_path.suffix}")

    @property
    def launch_log_path(self) -> Path:
        """What the launcher and the runner said themselves, of the last attempt."""
        return self.path / LAUNCH_LOG_NAME

    @property
    def job_path(self) -> Path:
        """The last job that it was submitted as."""
        return self.path / JOB_NAME

    @property
    def code_path(self) -> Path:
        """Commit and changes of the code that its last job was given."""
        return self.path / CODE_NAME

    @property
    def claim_path(self) -> Path:
        """The first file of the claims."""
        return self.path / CLAIM_NAME

    # --- status

    def status(self, view: View | None = None) -> Status:
        """Return the status, without the needs.

        Raises:
            ClaimError: the claim can't be read.
        """
        return status_of(str(self.path), view)

    def death(self, view: View | None = None) -> Death:
        """Say why it is dead, if it is; a job of Slurm's is asked about where the records don't say.

        Raises:
            ResultError: the records can't be read.
        """
        attempts, submitted = self.attempts(), self.read_job()
        asked = last_job(attempts, submitted)
        return death_of(attempts, submitted, self.ended_job(asked, view or View()) if asked else None)

    def ended_job(self, job_id: str, view: View) -> Job | None:
        """Return how a job of this experiment ended: by Slurm's accounts, and by what it left in the job's log."""
        job = view.ended(job_id)
        with contextlib.suppress(IdentityError):
            identity = self.read_identity()
            if job is not None and identity is not None and not job.may_be(identity.digest):
                job = None
        if job is None or job.exit_code == -9:
            state = state_in_log(read_end(self.launch_log_path, _LOG_END), job_id)
            if state:
                return Job(job_id, state, nodes=job.nodes if job is not None else "")
        return job

    def job_to_ask(self) -> str:
        """Return the id of the job that Slurm must be asked about to know why it is dead; empty if none.

        Raises:
            ResultError: the records can't be read.
        """
        return last_job(self.attempts(), self.read_job())

    def status_and_reason(
        self,
        needs: Iterable[Path] = (),
        needs_of: Callable[[Path], Iterable[Path]] | None = None,
        view: View | None = None,
    ) -> tuple[Status, str]:
        """Return the status and, where it is DEAD, BLOCKED, RUNNING or PENDING, why or by whom.

        Args:
            needs: folders of what it needs.
            needs_of: the same for a folder of a need, so that what blocks from further up is found too.
            view: what Slurm says of jobs; default: ask it, if need be.

        Raises:
            ClaimError: a claim can't be read.
        """
        view = view or View()
        status = self.status(view)
        if status is Status.DEAD:
            return status, self.death(view).text
        if status in (Status.RUNNING, Status.PENDING):
            owner = read_owner(self.path, view.queue)
            return status, _described(owner, view) if owner is not None else ""
        if status is Status.NOT_STARTED:
            for need in needs:
                folder = ExperimentDir(need, self.results_root)
                its_status, reason = folder.status_and_reason(needs_of(need) if needs_of else (), needs_of, view)
                if its_status in (Status.DEAD, Status.BLOCKED):
                    return Status.BLOCKED, f"by {folder.exp_id}, {its_status.value}: {reason}"
        return status, ""

    # --- identity

    def read_identity(self) -> Identity | None:
        """Return which experiment the folder holds, or None where it holds none.

        Raises:
            IdentityError: identity.json can't be read.
        """
        try:
            text = self.identity_path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise IdentityError(f"{self.identity_path}: can't be read: {error}") from None
        try:
            data = json.loads(text)
            return Identity.from_dict(data if isinstance(data, dict) else {})
        except (ValueError, IdentityError):
            raise IdentityError(
                f"{self.identity_path}: is damaged, so nobody knows which experiment this is;"
                " move the folder away to run it anew"
            ) from None

    def read_roots(self) -> dict[str, str]:
        """Return where the project and its results were when the experiment was first started."""
        try:
            data = json.loads(self.identity_path.read_text(encoding="utf-8"))
            return {name: str(data[name]) for name in ROOT_NAMES if name in data}
        except (OSError, ValueError, TypeError):
            return {}

    def check_identity(self, identity: Identity) -> None:
        """Make sure that the folder holds this experiment, or none yet.

        Raises:
            IdentityError: it holds another one, or files that are no experiment's.
        """
        held, other = self.read_identity(), []
        if held is None:
            other = self._foreign_names()
            # A process that was faster may just have started it.
            held = self.read_identity() if other else identity
        if held == identity:
            return
        if held is not None:
            raise IdentityError(
                f"{self.path} holds another experiment: {_named(held)}; this one is {_named(identity)}."
                " Choose another exp id pattern, or move that folder away"
            )
        raise IdentityError(
            f"{self.path} holds files of no experiment ({', '.join(other[:3])}{', …' * (len(other) > 3)}):"
            " choose another exp id pattern, or move them away"
        )

    def _foreign_names(self) -> list[str]:
        try:
            names = os.listdir(self.path)  # noqa: PTH208 (names are all that is asked)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise IdentityError(f"{self.path}: can't be read: {error.strerror}") from None
        return sorted(n for n in names if n not in _EARLY and not n.startswith(_EARLY_PREFIXES))

    def prepare(self, experiment: Experiment, schema: Schema) -> None:
        """Make the folder, and write which experiment it holds and its config.

        The config is that of the first attempt: what a later one is composed to otherwise shows as drift.

        Raises:
            IdentityError: the folder holds another experiment, or files that are no experiment's.
            ResultError: it can't be written.
        """
        self.check_identity(experiment.identity)
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self._write_identity(experiment.identity, experiment.roots)
        if self.attempts_path.exists() and self.config_path.exists() and self.flat_config_path.exists():
            return
        from heyhi.config.frozen import flatten, to_text

        message = schema.parse_root(experiment.config)
        flat = json.dumps(flatten(message), indent=2, default=repr)  # repr: of bytes
        replace_file(self.flat_config_path, f"{flat}\n")
        replace_file(self.config_path, to_text(message))

    def _write_identity(self, identity: Identity, roots: Mapping[str, str]) -> None:
        """Write identity.json if there is none: of two experiments with one path, only one gets it."""
        if self.identity_path.exists():
            return
        with writing(self.identity_path):
            temp = write_temp(self.identity_path, json.dumps({**identity.to_dict(), **roots}, indent=2) + "\n")
            try:
                self.identity_path.hardlink_to(temp)
            except FileExistsError:
                self.check_identity(identity)
            finally:
                temp.unlink(missing_ok=True)

    def wipe(self, identity: Identity) -> None:
        """Remove everything in the folder; what symbolic links in it lead to stays.

        Raises:
            IdentityError: the folder doesn't hold this experiment, or holds others too.
            ClaimError: somebody runs it.
            ResultError: it can't be written.
        """
        if not os.path.lexists(self.path):
            return
        if self.path.is_symlink():
            raise IdentityError(f"{self.path}: is not wiped: it is a symbolic link")
        if self.read_identity() is None:
            raise IdentityError(f"{self.path}: is not wiped: it has no {IDENTITY_NAME}")
        self.check_identity(identity)
        for folder, below, names in os.walk(self.path):
            if folder != str(self.path) and IDENTITY_NAME in names:
                raise IdentityError(f"{self.path}: is not wiped: it holds another experiment, {folder}")
            if STATE_NAME in below:
                raise IdentityError(f"{self.path}: is not wiped: it holds a results root, {folder}")
        claim = Claim.acquire(self.path, kind="controller")
        if not isinstance(claim, Claim):
            raise ClaimError(f"{self.path}: is not wiped: {claim.describe()} has it")
        with claim, writing(self.path):
            self._remove_all()

    def _remove_all(self) -> None:
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            with os.scandir(handle) as entries:
                found = [(e.name, e.is_dir(follow_symlinks=False)) for e in entries]
            # If this is cut short, what is left must be no result, and still be known for what it is.
            for name, is_folder in sorted(found, key=lambda e: (e[0] == IDENTITY_NAME, e[0] != RESULT_NAME)):
                if name.startswith(("claim.", ".claim.")):
                    continue  # ours, or of one that just looks whether it is free
                if is_folder:
                    shutil.rmtree(name, dir_fd=handle)
                else:
                    os.unlink(name, dir_fd=handle)
        finally:
            os.close(handle)

    # --- results, metrics, attempts

    def read_result(self) -> dict[str, Any]:
        """Return the result.

        Raises:
            ResultError: there is none, or it was cut short or is no JSON object.
        """
        try:
            result = json.loads(self.result_path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ResultError(f"{self.result_path}: can't be read: {error.strerror}") from None
        except ValueError as error:
            raise ResultError(
                f"{self.result_path}: is no JSON, it was cut short or edited ({error});"
                " remove it to have the experiment run again"
            ) from None
        if not isinstance(result, dict):
            raise ResultError(f"{self.result_path}: is no JSON object but {type(result).__name__}")
        return result

    def write_result(self, result: object) -> None:
        """Write the result as a whole; from then on the experiment is DONE.

        Raises:
            ResultError: it can't be written; there is no half-written one then.
        """
        replace_file(self.result_path, encode(result))

    def read_metrics(self, *, warn: bool = True) -> list[dict[str, Any]]:
        """Return the metrics; a half-written last line is left out, and so are damaged ones, with one warning.

        Raises:
            ResultError: the file can't be read.
        """
        return _read_lines(self.metrics_path, warn=warn)

    def attempts(self) -> list[dict[str, Any]]:
        """Return the records of all attempts: for each a start, and an end unless it was killed.

        Raises:
            ResultError: the file can't be read.
        """
        return _read_lines(self.attempts_path, warn=False)

    def read_job(self) -> dict[str, Any] | None:
        """Return what is noted of the last submission, None where there was none or the note is damaged."""
        try:
            job = json.loads(self.job_path.read_bytes())
        except (OSError, ValueError):
            return None
        return job if isinstance(job, dict) else None

    def write_job(self, job: Mapping[str, Any]) -> None:
        """Note which job it was submitted as.

        Raises:
            ResultError: it can't be written.
        """
        replace_file(self.job_path, json.dumps(job, indent=2) + "\n")

    def append_attempt(self, record: Mapping[str, Any]) -> None:
        """Add a record of an attempt; only who has the claim may.

        Raises:
            ResultError: it can't be written.
        """
        with writing(self.attempts_path), self.attempts_path.open("ab+") as file:
            cut_short = False
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                cut_short = file.read(1) != b"\n"
            file.write(b"\n" * cut_short + json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def ask_accounts(folders: Iterable[str], view: View) -> None:
    """Have Slurm asked once how all the jobs have ended that have to be asked about, instead of one after the other.

    Args:
        folders: exp paths of experiments that were submitted and aren't done.
        view: what remembers the answer.
    """
    ids = []
    for path in folders:
        folder = ExperimentDir(Path(path))
        with contextlib.suppress(ClaimError, ResultError):  # which is said where its status is
            if folder.status(view) is Status.DEAD:
                ids.append(folder.job_to_ask())
    view.ledger.load(ids)


def _read_lines(path: Path, *, warn: bool) -> list[dict[str, Any]]:
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ResultError(f"{path}: can't be read: {error.strerror}") from None
    lines = text.split("\n")
    found, damaged = [], []
    for number, line in enumerate(lines, 1):
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(line)
            if isinstance(record, dict):
                found.append(record)
                continue
        # The last one, without a line end, is being written, or its writer was killed.
        if line.strip() and number < len(lines):
            damaged.append(number)
    if warn and damaged:
        others = len(damaged) - 1
        more = "" if not others else "; so is another line" if others == 1 else f"; so are {others} other lines"
        _log.warning("%s:%d: is no JSON object; it is left out%s", path, damaged[0], more)
    return found


def _named(identity: Identity) -> str:
    return " ".join([identity.cfg, *identity.overrides])
