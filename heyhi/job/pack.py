"""A job that runs several experiments side by side: a runner for each, with its share of the GPUs and cores.

What an experiment's own records say is its runner's business; only the end of one that left no record is written here.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TypeVar

from heyhi.errors import HeyhiError
from heyhi.experiment.claim import Claim
from heyhi.experiment.exits import exit_text
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.owner import JobRef, Owner, read_job
from heyhi.experiment.records import PRUNED, End, History, Record, Start
from heyhi.experiment.slots import started_dir
from heyhi.experiment.used import unfinished
from heyhi.files import is_there_now, open_to_append, parse_json, read_bounded, utc_now
from heyhi.job.ending import STOP_SIGNALS
from heyhi.job.leftovers import MARK_VARIABLE, end_leftovers
from heyhi.job.notice import WARNING, Notice, ask_again
from heyhi.job_env import ASKS, NOTICE_VARIABLE, READY, REQUEUE_EXIT, cpus_on_node, get_job_env
from heyhi.streams import guard_streams
from heyhi.sweep.target import folder_of
from heyhi.text import take_any_text

_T = TypeVar("_T")
# Once one has written its checkpoint and asks for the job to be queued again, the others have this long to begin
# with theirs; those that have none would never end by themselves.
_GRACE_SECONDS = 10.0
_GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
# The first one is what the others go by where they aren't set.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Each experiment is one process; the job's own numbers are for all of them.
_ALONE = {"SLURM_NTASKS": "1", "SLURM_NPROCS": "1", "SLURM_TASKS_PER_NODE": "1", "SLURM_NTASKS_PER_NODE": "1"}


@dataclass
class _Member:
    """One experiment of the job, and its runner."""

    target: str
    slot: int
    note: Path  # by which its runner is told of the signal
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> ExperimentDir:
        return ExperimentDir(Path(folder_of(self.target, Path.cwd())))

    @property
    def mark(self) -> str:
        """What all that its run starts has in its environment, and nothing of the other members'."""
        return f"{os.environ.get(MARK_VARIABLE) or os.getpid()}.{self.slot}"

    def send(self, sign: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(sign)

    def forget(self) -> None:
        """Remove what it was told, and has said."""
        for path in (self.note, Path(f"{self.note}{READY}"), Path(f"{self.note}{ASKS}")):
            path.unlink(missing_ok=True)


@dataclass
class _Pack:
    """Run the members of a job and wait for all of them."""

    members: list[_Member]
    slots: int
    words: list[str]  # for each runner, after its target
    job: str
    stopped: signal.Signals | None = None
    codes: dict[str, int] = field(default_factory=dict)
    _ended: queue.SimpleQueue[_Member] = field(default_factory=queue.SimpleQueue)

    def run(self) -> None:
        """Start each member that has still to run; return when all have ended."""
        notice = Notice()
        for member in self.members:
            member.forget()
        for sign in STOP_SIGNALS:
            signal.signal(sign, self._stop)
        notice.listen()
        notice.forward(self._warn)
        for member in self.members:
            if self.stopped is None and not self._is_over(member):
                try:
                    self._start(member)
                except OSError as error:  # somebody has removed its folder, or there are no more processes
                    _say(member, f"can't be started: {error}")
                    self.codes[member.target] = 1
        self._wait()

    def _is_over(self, member: _Member) -> bool:
        if _is_done(member.folder):
            _say(member, "is done already")
            self.codes[member.target] = 0
        elif has_failed_in(_attempts(member.folder), self.job):
            _say(member, "has failed in this job, and isn't run again")
            self.codes[member.target] = 1
        elif was_pruned_in(_attempts(member.folder), self.job):
            _say(member, "was pruned in this job, and isn't run again")
            self.codes[member.target] = 1
        return member.target in self.codes

    def _start(self, member: _Member) -> None:
        command = [sys.executable, "-P", "-m", "heyhi.runner", member.target, *self.words]
        # Slurm may not find them any more when this process, of which they are children, has been killed.
        command += ["--parent", str(os.getpid())]
        env = {**member_env(os.environ, member.slot, self.slots), NOTICE_VARIABLE: str(member.note)}
        env[MARK_VARIABLE] = member.mark
        with os.fdopen(open_to_append(member.folder.launch_log_path), "ab") as log:
            member.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        cores = cores_of(os.sched_getaffinity(0), cpus_on_node(), member.slot, self.slots)
        if cores:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(member.process.pid, cores)
        if self.stopped is not None:  # it came just now
            member.send(signal.SIGTERM)
        threading.Thread(target=self._follow, args=(member, member.process), daemon=True).start()

    def _follow(self, member: _Member, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        end_leftovers(member.mark, self.job)
        self._ended.put(member)

    def _wait(self) -> None:
        running = [member for member in self.members if member.process is not None]
        deadline: float | None = None
        while running:
            try:
                member = self._ended.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                # One that is just writing its checkpoint finishes that.
                for other in running:
                    other.send(signal.SIGTERM)
                deadline = None
                continue
            running.remove(member)
            assert member.process is not None
            is_first = REQUEUE_EXIT not in self.codes.values()
            code = member.process.returncode
            asks = code == REQUEUE_EXIT and Path(f"{member.note}{ASKS}").exists()
            self.codes[member.target] = 1 if code == REQUEUE_EXIT and not asks else code
            _say(member, f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}")
            if not asks and self.stopped is None:
                self._bury(member, code)
            if asks and is_first:
                deadline = time.monotonic() + _GRACE_SECONDS

    def _bury(self, member: _Member, code: int) -> None:
        """Put on record how a runner ended that had no time to, and give its claim up: the job goes on without it."""
        root, nonces = read_job(self.words[self.words.index("--job") + 1])
        pid = member.process.pid if member.process is not None else 0

        def is_its(owner: Owner) -> bool:
            return owner.nonce in nonces or (owner.pid == pid and owner.is_here and not owner.runs)

        try:
            ref = JobRef(self.job, root, _mark(member.folder))
            for folder in filter(None, (started_dir(member.folder, self.job), member.folder)):
                if end_without_word(_attempts(folder), self.job, code) is not None:
                    self._bury_in(folder, code, Claim.acquire(folder.path, ref=ref, replaces=is_its))
        except HeyhiError as error:
            _say(member, str(error))

    def _bury_in(self, folder: ExperimentDir, code: int, claim: Claim | Owner) -> None:
        if not isinstance(claim, Claim):
            return
        with claim:
            attempts = folder.attempts()
            record = end_without_word(attempts, self.job, code)
            if record is not None and not is_there_now(folder.result_path):
                noted = unfinished(folder.path, History(attempts))
                folder.append_attempt(record._replace(used=noted.used) if noted is not None else record)

    def _warn(self) -> None:
        for member in self.members:
            member.note.touch()
            if Path(f"{member.note}{READY}").exists():
                member.send(WARNING)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopped is None:
            self.stopped = signal.Signals(number)
            for member in self.members:
                member.send(signal.SIGTERM)

    @property
    def exit_code(self) -> int:
        """What the job's script is told."""
        codes = [self.codes.get(member.target) for member in self.members]
        if REQUEUE_EXIT in codes:
            return REQUEUE_EXIT
        if self.stopped is not None:
            return 128 + self.stopped
        return 0 if all(code == 0 for code in codes) else 1


def split(items: Sequence[_T], parts: int) -> list[list[_T]]:
    """Divide items among parts, as evenly as can be; where there are fewer items than parts, parts share them."""
    if len(items) < parts:
        return [[items[part % len(items)]] if items else [] for part in range(parts)]
    share, more = divmod(len(items), parts)
    starts = [part * share + min(part, more) for part in range(parts + 1)]
    return [list(items[first:last]) for first, last in itertools.pairwise(starts)]


def member_env(env: Mapping[str, str], slot: int, slots: int) -> dict[str, str]:
    """Return the environment of one of the experiments that share a job.

    Args:
        env: of the job.
        slot: number of the experiment's share.
        slots: number of shares.
    """
    own = {**env, **_ALONE}
    for name in _GPU_VARIABLES:
        if env.get(name):
            own[name] = ",".join(split(env[name].split(","), slots)[slot])
    cores = max(1, cpus_on_node(env) // slots)
    own["SLURM_CPUS_PER_TASK"] = own["SLURM_CPUS_ON_NODE"] = str(cores)
    if not env.get(_THREAD_VARIABLES[0]):  # what the user has set, goes for libraries that look at no other
        own.update({name: str(cores) for name in _THREAD_VARIABLES if not env.get(name)})
    return own


def cores_of(bound: set[int], allocated: int, slot: int, slots: int) -> set[int]:
    """Return the cores of one share; none where it isn't to be bound.

    A job that Slurm hasn't bound to its cores may run on those of other jobs, too, and can't tell which are its own.
    """
    if len(bound) != allocated or allocated < slots:
        return set()
    return set(split(sorted(bound), slots)[slot])


def has_failed_in(attempts: Sequence[Record], job: str) -> bool:
    """Return whether an experiment has failed by itself in a job, which is then queued again for others' sake."""
    return _has_ended_in(attempts, job, "failed")


def was_pruned_in(attempts: Sequence[Record], job: str) -> bool:
    """Return whether a search has ended an experiment early in such a job."""
    return _has_ended_in(attempts, job, PRUNED)


def _has_ended_in(attempts: Sequence[Record], job: str, reason: str) -> bool:
    history = History(attempts)
    jobs = {start.attempt: start.job_id for start in history.starts}
    ended = (end for end in history.ends if end.reason == reason)
    return any((end.job_id or jobs.get(end.attempt)) == job for end in ended)


def end_without_word(attempts: Sequence[Record], job: str, code: int) -> End | None:
    """Return the end record of a runner that has written none; None where it has."""
    last = attempts[-1] if attempts else None
    open_one = last if isinstance(last, Start) and last.job_id == job else None
    if open_one is None and (code == 0 or any(record.job_id == job for record in attempts)):
        return None
    is_word = open_one is not None or code < 0
    how = exit_text(code) if is_word else "the runner ended before it started the experiment"
    return End(
        attempt=open_one.attempt if open_one else 0,
        reason="killed" if code < 0 else "failed",
        exit_code=128 - code if code < 0 else code,
        exception=how,
        time=utc_now(),
        job_id=job,
    )


def _attempts(folder: ExperimentDir) -> list[Record]:
    try:
        return folder.attempts()
    except HeyhiError:
        return []  # its own runner finds that out, too, and says so


def _is_done(folder: ExperimentDir) -> bool:
    try:
        return is_there_now(folder.result_path)
    except HeyhiError:
        return False  # its own runner finds that out, too, and says so


def _mark(folder: ExperimentDir) -> str:
    identity = folder.read_identity()
    return identity.digest if identity is not None else ""


def _say(member: _Member, what: str) -> None:
    print(f"{member.folder.path}: {what}", flush=True)


def main(args: Sequence[str] | None = None) -> int:
    """Run the experiments of a list side by side, and return the exit code: 0 when all have a result."""
    parser = argparse.ArgumentParser(
        prog="python -m heyhi.job.pack",
        description="Run several experiments of a manifest side by side, as one job.",
        allow_abbrev=False,
    )
    parser.add_argument("list", type=Path, help="their result files, a JSON list")
    parser.add_argument("--job", required=True, metavar="JOB", help="be the job whose submission has these claims")
    parser.add_argument("--slots", type=int, metavar="N", help="shares of the job; default: as many as experiments")
    # The rest is for the runners.
    guard_streams(goes_on=True)
    take_any_text()
    options, words = parser.parse_known_args(args)
    targets = parse_json(read_bounded(options.list))
    env = get_job_env()
    if env.job_id is None:
        print("a pack is for jobs of Slurm's: there is no SLURM_JOB_ID here", file=sys.stderr)
        return HeyhiError.exit_code
    base = os.environ.get(NOTICE_VARIABLE) or str(options.list.with_name("notice"))
    members = [_Member(target, slot, Path(f"{base}.{slot}")) for slot, target in enumerate(targets)]
    slots = max(options.slots or 1, len(members))
    pack = _Pack(members, slots, ["--job", options.job, *words], env.job_id)
    try:
        pack.run()
    finally:
        for member in members:
            member.forget()
    return ask_again() if pack.exit_code == REQUEUE_EXIT else pack.exit_code


if __name__ == "__main__":
    sys.exit(main())
