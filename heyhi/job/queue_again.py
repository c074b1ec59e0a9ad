"""`python -m heyhi.job.queue_again TARGET …`: what a job that nobody waits for does once its run has come to nothing.

It puts on record how that ended, and has the job queued again where its experiment is to be tried once more: with more
memory or hours, on another node. The job keeps its id, so what depends on it goes on waiting.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.experiment.claim import Claim
from heyhi.experiment.death import Death, death_in, settled
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.launch_log import NOT_AGAIN
from heyhi.experiment.owner import JobRef, Owner, read_job
from heyhi.experiment.records import NOT_KNOWN, History
from heyhi.experiment.used import unfinished
from heyhi.files import parse_json, read_bounded, utc_now
from heyhi.job.left_out import fault_in, fault_of
from heyhi.job.outcome import JobClaim
from heyhi.job.own_memory import has_run_out
from heyhi.job.own_retry import ends_in, is_tried_again
from heyhi.job.pack import end_without_word
from heyhi.job.past import past_of
from heyhi.job_env import REQUEUE_EXIT, get_job_env
from heyhi.project import Project
from heyhi.slurm.commands import Job, SlurmError, answer_of, list_jobs
from heyhi.slurm.more_options import extra_words, without_exclude
from heyhi.slurm.nodes import has_others
from heyhi.slurm.request import JobRequest, request_of
from heyhi.streams import guard_streams
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME, NOTE_NAME
from heyhi.text import take_any_text

_TELL_SECONDS = 60.0
_TIME_LIMIT = "TimeLimit"  # what squeue says of a job that it is ending for that


@dataclass(frozen=True)
class _Ended:
    """A job whose run has ended without a result.

    Attributes:
        experiment: that it ran.
        request: what its config asks for.
        project: as far as a job needs it.
        job_id: its id.
        code: exit code of the run, as a shell has it.
        is_timeout: whether Slurm ends the job since its time is up.
    """

    experiment: Experiment
    request: JobRequest
    project: Project
    job_id: str
    code: int
    is_timeout: bool = False

    @property
    def folder(self) -> ExperimentDir:
        return ExperimentDir(self.experiment.exp_path)

    @property
    def faults(self) -> Sequence[str]:
        return self.project.settings.node_faults

    def settle(self) -> tuple[Death, History]:
        """Put on record how the run ended, where that isn't yet; return why it is dead, and all that is on record."""
        history = self.folder.history()
        word = end_without_word(history.attempts, self.job_id, 128 - self.code if self.code > 128 else self.code)
        if self.is_timeout or has_run_out():
            state = "TIMEOUT" if self.is_timeout else "OUT_OF_MEMORY"
            noted = unfinished(self.folder.path, history)
            end = settled(history, Job(self.job_id, state, nodes=get_job_env().nodelist), utc_now())
            self.folder.append_attempt(end._replace(used=noted.used) if noted is not None else end)
        elif word is not None:
            noted = unfinished(self.folder.path, history)
            self.folder.append_attempt(word._replace(used=noted.used) if noted is not None else word)
        history = self.folder.history()
        death = death_in(self.folder, history)
        fault, last = fault_in(self.folder, death, self.faults), history.last_end
        if fault and last is not None and not fault_of(last, self.faults):  # its log has said so
            self.folder.append_attempt(last._replace(exception=f"node fault: {fault}", used=NOT_KNOWN))
            history = self.folder.history()
        return death, history

    def queue_again(self, history: History) -> str:
        """Have the job queued again, and ask for what its next attempt needs; return why Slurm doesn't, if it doesn't.

        Slurm ends this process soon after the first of both.
        """
        past = past_of(history, len(ends_in(history, self.job_id)), self.faults)
        nodes = past.bad_nodes if past.bad_nodes and has_others(self.request, past.bad_nodes) else ()
        next_one = self.request.scaled(past.ooms, past.timeouts, nodes)
        submission = history.submission
        with contextlib.suppress(HeyhiError):  # without the note it only isn't known what was asked for
            if submission is not None and submission.job_id == self.job_id:
                self.folder.write_submission(
                    submission._replace(
                        hours=next_one.hours, mem_gb_per_node=next_one.mem_gb_per_node, asked=next_one.asked()
                    )
                )
        # Incomplete: one that was cancelled just now would come back. One whose time is up is on its way out.
        words = ["scontrol", "requeue", *([] if self.is_timeout else ["Incomplete"]), self.job_id]
        try:
            answer = answer_of(words)
        except SlurmError as error:
            return str(error)
        if answer.exit_code:
            return answer.reason or f"scontrol: exit code {answer.exit_code}"
        for change in changes(self.request, next_one, submission.asked if submission is not None else {}):
            with contextlib.suppress(SlurmError):
                done = answer_of(["scontrol", "update", f"JobId={self.job_id}", change])
                if done.exit_code:
                    _say(f"job {self.job_id} is queued again without {change}: {done.reason}")
        return ""


def changes(request: JobRequest, next_one: JobRequest, asked: object) -> list[str]:
    """Return what of a job that waits has to be changed for its next attempt, as scontrol takes it.

    Args:
        request: what the config asks for.
        next_one: what the attempt needs.
        asked: what was asked for until now, as `JobRequest.asked` has it.
    """
    before = asked if isinstance(asked, dict) else {}
    found = []
    if next_one.mem_mb_per_node and before.get("mem_gb_per_node", request.mem_gb_per_node) != next_one.mem_gb_per_node:
        found.append(f"MinMemoryNode={next_one.mem_mb_per_node}")
    if before.get("hours", request.hours) != next_one.hours:
        found.append(f"TimeLimit={next_one.minutes}")
    if tuple(before.get("exclude", request.exclude)) != next_one.exclude:
        _, more = without_exclude(extra_words(next_one.extra))
        found.append(f"ExcNodeList={','.join((*next_one.exclude, *more))}")
    return found


def main(args: Sequence[str] | None = None) -> int:
    """See what a run came to; return 0 where it has a result, 75 where the job is queued again, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m heyhi.job.queue_again",
        description="Have a job queued again whose run has ended without a result, where it is to be tried once more.",
        allow_abbrev=False,
    )
    parser.add_argument("target", help="result file of its experiment, as the manifest names it")
    parser.add_argument("--manifest", type=Path, required=True, help="what `heyhi expand` wrote")
    parser.add_argument("--job", required=True, metavar="ROOT:NONCE", help="be the job whose submission has this claim")
    parser.add_argument("--launch", default="", metavar="NAME", help="launch that it is of")
    parser.add_argument("--code", type=int, required=True, metavar="N", help="exit code of the run")
    # Slurm ends what runs in a job that it has queued again; what is left to be done takes a moment. scontrol, too.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    guard_streams(goes_on=True)
    take_any_text()
    options = parser.parse_args(args)
    try:
        return _see_to(options)
    except HeyhiError as error:
        _say(f"{options.target}: {error}")
        return 1


def _see_to(options: argparse.Namespace) -> int:
    job_id = get_job_env().job_id
    if job_id is None:
        raise HeyhiError("--job is for jobs of Slurm's: there is no SLURM_JOB_ID here")
    with Manifest.open(options.manifest) as manifest:
        experiment = manifest.experiment(options.target)
        task = getattr(manifest.schema().parse_root(experiment.config), experiment.task)
        ended = _Ended(experiment, request_of(task), manifest.project, job_id, options.code)
        root = manifest.project_root
    folder = ended.folder
    if folder.has_result():
        return 0
    by, is_leaving = _ends_by(ended)
    if is_leaving:  # Slurm decides whether it comes back, and its accounts know why it has ended
        return 1
    mark, nonces = read_job(options.job)
    claim = JobClaim.of(JobRef(job_id, mark, experiment.identity.digest), nonces, folder)
    got = Claim.acquire(folder.path, kind="controller", ref=claim.ref, replaces=claim.follows)
    if isinstance(got, Owner):
        _say(f"{experiment.exp_id}: left to {got.describe()}")
        return 1
    death, history = by.settle()
    if by.request.requeue and is_tried_again(death, by.request, history, job_id, by.faults):
        _say(f"{experiment.exp_id}: {death.text}: queued again")
        # The claim stays: until the job is over, it is its.
        why = by.queue_again(history)
        if not why:
            return REQUEUE_EXIT
        _say(f"job {job_id} {NOT_AGAIN}{why}")
    got.release()
    if folder.has_result():
        return 0
    _tell(root, manifest.project, options.launch, experiment.exp_id)
    return 1


def _ends_by(ended: _Ended) -> tuple[_Ended, bool]:
    """Return it with whether its time is up, and whether Slurm ends the job for another reason."""
    end = ended.folder.history().last_end
    if ended.code <= 128 and (end is None or end.reason != "terminated"):
        return ended, False
    try:
        job = next(iter(list_jobs([ended.job_id])), None)
    except SlurmError:
        return ended, True
    if job is None or job.state == "RUNNING":
        return ended, False
    is_timeout = job.why == _TIME_LIMIT or job.state == "TIMEOUT"
    return _Ended(ended.experiment, ended.request, ended.project, ended.job_id, ended.code, is_timeout), not is_timeout


def _tell(root: Path, project: Project, launch: str, exp_id: str) -> None:
    """Have those told whom the launch names that an experiment is dead for good."""
    if not launch or "/" in launch:
        return
    with contextlib.suppress(OSError, ValueError):
        note = parse_json(read_bounded(project.state_root / CONTROLLERS_NAME / launch / NOTE_NAME))
        if isinstance(note, dict) and note.get("notify"):
            words = [sys.executable, "-P", "-m", "heyhi.control.telling", "death", launch, exp_id]
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(words, cwd=root, stdin=subprocess.DEVNULL, timeout=_TELL_SECONDS, check=False)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
