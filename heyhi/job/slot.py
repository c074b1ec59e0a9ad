"""A slot's job: which experiment the slot is, is decided when it starts; then it is the ordinary runner of that one.

    claim of the slot ─ its choice, for ever ─ claim of the experiment ─ its run ─ the slot's file, when that is final

What chooses is left to `heyhi.search`; how an experiment is run, to `runner`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from heyhi.errors import HeyhiError, LostClaimError, ResultError
from heyhi.experiment.claim import Claim
from heyhi.experiment.death import death_of
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.metric_log import Listener
from heyhi.experiment.names import RESULT_NAME, Status
from heyhi.experiment.owner import Owner, machine_text
from heyhi.experiment.records import REQUEUE, End, History, Start
from heyhi.experiment.slots import Choice, SlotDir, note_slot
from heyhi.files import is_there, read_bounded, replace_bytes, replace_file, utc_now, writing
from heyhi.job.choosing import do_apart
from heyhi.job.chosen import composed, slot_dir_of
from heyhi.job.ending import Terminated
from heyhi.job.left_out import fault_in
from heyhi.job.outcome import JobClaim, Outcome
from heyhi.job.pruning import rungs_of
from heyhi.job.slot_end import bury, finish
from heyhi.job_env import REQUEUE_EXIT, get_job_env, job_nodes
from heyhi.sweep.known import note_known
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.search_spec import SearchSpec
from heyhi.sweep.target import exp_ids_of

# As who waits for an experiment looks again.
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 10.0
_log = logging.getLogger(__name__)


class Runs(Protocol):
    """Runs an experiment, as `runner.execute` does."""

    def __call__(
        self,
        experiment: Experiment,
        job: JobClaim | None,
        *,
        on_start: Callable[[], None],
        on_over: Callable[[Outcome], int],
        on_exit: Callable[[], object],
        listeners: Sequence[Listener],
    ) -> Outcome:
        """Run one.

        Args:
            experiment: to be run.
            job: that it is claimed by.
            on_start: called right before main.
            on_over: called when all is on record; returns what to exit with.
            on_exit: called instead where main has ended this process, with a result.
            listeners: are called with what main logs in this process.
        """


@dataclass
class SlotRun:
    """The run of one slot.

    Attributes:
        manifest: that it is of.
        named: the slot, as the manifest has it.
        spec: of its search.
        job: by which it is claimed, in a job of Slurm's.
        attempt: how often the launcher has tried.
        attempts: how often it does.
        runs: runs its experiment.
    """

    manifest: Manifest
    named: Experiment
    spec: SearchSpec
    job: JobClaim | None
    attempt: int
    attempts: Callable[[Experiment], int]
    runs: Runs
    _number: int = 0  # of the slot's own attempt
    _is_over: bool = field(default=False, init=False)

    @property
    def slot(self) -> SlotDir:
        """Its folder."""
        return slot_dir_of(self.manifest, self.named)

    def run(self) -> int:
        """Run it, and return the exit code: 0 where the slot has ended, or another has it."""
        claim = self._claim()
        if isinstance(claim, int):
            return claim
        keeps = False
        try:
            self._begin(claim)
            code = self._run()
            keeps = self.job is not None and code == REQUEUE_EXIT
            return code
        except (KeyboardInterrupt, Terminated):
            keeps = self.job is not None
            raise
        except HeyhiError as error:
            reason = "terminated" if isinstance(error, LostClaimError) else "failed"
            self._note_end(End(reason=reason, exit_code=error.exit_code, exception=str(error)))
            raise
        finally:
            # Slurm decides whether a job goes on that was stopped: until it is over, the claim is its.
            if not keeps:
                claim.release()

    def _claim(self) -> Claim | int:
        """Take the slot's claim, waiting for who has it; return what to exit with where that isn't needed any more."""
        slot, wait, ended = self.slot, _FIRST_WAIT, -1
        waited_for = ""
        while True:
            found = slot.look_anew()
            slot.check(self.named)
            if RESULT_NAME in found:
                return 0
            ends = History(slot.attempts()).ends
            ended = len(ends) if ended < 0 else ended
            with writing(slot.path):
                slot.path.mkdir(parents=True, exist_ok=True)
            got: Claim | Owner
            # Without a heartbeat: whoever takes it over waits for the experiment, whose own claim has one.
            if self.job is not None:
                got = Claim.acquire(slot.path, ref=self.job.ref, replaces=self.job.follows, beats=False)
            else:
                got = Claim.acquire(slot.path, beats=False)
            if isinstance(got, Claim):
                if is_there(slot.result_path):
                    got.release()
                    return 0
                if waited_for and ends[ended:] and ends[-1].reason == "failed":
                    got.release()
                    self._say(f"{Status.DEAD.value}: {ends[-1].exception}")
                    return 1
                return got
            if self.job is not None and not self.job.runs_already(got):
                self._say(f"left to {got.describe()}")
                return 0
            if waited_for != got.describe():
                waited_for = got.describe()
                _log.info("waiting for %s, which has %s", waited_for, self.named.exp_id)
            time.sleep(wait)
            wait = min(1.5 * wait, _LONGEST_WAIT)

    def _begin(self, claim: Claim) -> None:
        """Fill the folder, and put the start on record."""
        slot = self.slot
        slot.prepare(self.named, self.manifest.schema())
        search = slot.search
        if not is_there(search.spec_path):
            replace_file(search.spec_path, self.spec.to_json() + "\n")
        starts, env = History(slot.attempts()).starts, get_job_env()
        self._number = len(starts) + 1
        start = Start(
            attempt=self._number,
            kind="retry" if self.attempt > 1 else "relaunch" if starts else "first",
            time=utc_now(),
            host=env.hostname,
            pid=os.getpid(),
            job_id=env.job_id or "",
            restart_count=env.restart_count,
            nodes=job_nodes(),
            machine=machine_text(),
            started=claim.owner.started,
        )
        slot.append_attempt(start)

    def _run(self) -> int:
        choice = self.slot.read_choice()
        if choice is None:
            choice = self._chosen()
        if (end := finish(self.slot, self.spec)) is not None:  # there was nothing left, or it is DONE elsewhere
            self._note_end(End(reason=end.status.lower(), exit_code=0, exception=end.reason))
            self._say(f"{choice.exp_id or 'no experiment'}: {end.status}{f': {end.reason}' * bool(end.reason)}")
            return 0
        experiment = composed(self.manifest, self.named, choice)
        self._say(f"trial {self.slot.number} is {choice.exp_id}")
        folder = ExperimentDir(experiment.exp_path, self.manifest.results_root)
        codes: list[int] = []

        def on_over(outcome: Outcome) -> int:
            codes[:] = [self._end(experiment, folder, outcome)]
            return codes[0]

        try:
            outcome = self.runs(
                experiment,
                self._job_of(folder),
                on_start=lambda: self._note_start(experiment, folder),
                on_over=on_over,
                on_exit=lambda: self._settle(folder),
                listeners=rungs_of(self.slot, self.spec),
            )
        finally:
            self._note_job(folder)
        return codes[0] if codes else on_over(outcome)

    def _chosen(self) -> Choice:
        from heyhi.config.base import Base

        manifest, slot = self.manifest, self.slot

        def choose_one() -> None:
            from heyhi.search.choose import choose
            from heyhi.sweep.learned import learned_folders

            base = Base.from_bytes(manifest.base(), manifest.schema(), manifest.project)
            others = learned_folders(manifest.results_root, self.spec.learn_from)
            choose(manifest.project, manifest.schema(), self.spec, base, slot, others)

        do_apart(choose_one, "no experiment was chosen")
        choice = slot.read_choice()
        if choice is None:
            raise HeyhiError("no experiment was chosen")
        return choice

    def _job_of(self, folder: ExperimentDir) -> JobClaim | None:
        """Return what the experiment is claimed by: its job's comment has the slot's mark."""
        return JobClaim.of(self.job.ref, (), folder) if self.job is not None else None

    # --- what lies in the folders of both

    def _note_start(self, experiment: Experiment, folder: ExperimentDir) -> None:
        """Have it lead to its slot, and be known as what was run; who calls has the experiment's claim."""
        note_slot(folder.path, self.named.exp_id)
        self._note_job(folder)
        root = self.manifest.results_root
        note_known(self.manifest.project, {experiment.exp_id: exp_ids_of(experiment.needs, root)})

    def _note_job(self, folder: ExperimentDir) -> None:
        """Note in the experiment's folder which job it has, and with what code, as its submission noted at the slot."""
        job, slot = self.job, self.slot
        if job is None or not folder.identity_path.exists():
            return
        with contextlib.suppress(HeyhiError, OSError):  # noted there a moment after the job has begun, if at all
            submission, known = slot.read_submission(), folder.read_submission()
            if submission is None or submission.job_id != job.ref.job or submission == known:
                return
            if is_there(slot.code_path):
                replace_bytes(folder.code_path, read_bounded(slot.code_path))
            folder.write_submission(submission)

    def _end(self, experiment: Experiment, folder: ExperimentDir, outcome: Outcome) -> int:
        """Write how the slot has ended, if it has, and return what to exit with."""
        if outcome.lost:
            return outcome.exit_code
        if outcome.refused:
            self._note_end(End(reason="failed", exit_code=outcome.exit_code, exception=outcome.reason))
            self._say(outcome.reason)
            return outcome.exit_code
        if outcome.stopped:
            reason = REQUEUE if outcome.exit_code == REQUEUE_EXIT else "terminated"
            self._note_end(End(reason=reason, exit_code=outcome.exit_code, exception=outcome.reason))
            return outcome.exit_code
        if self._settle(folder):
            return 0
        # By what the experiment's own records say: the slot's then say the same.
        last = folder.history().ends[-1:]
        own = last[0] if last else End(reason="failed", exit_code=1, exception=outcome.reason)
        if self._is_last(experiment, folder):
            bury(self.slot, self.spec, outcome.reason)
        self._note_end(End(reason=own.reason, exit_code=own.exit_code, exception=own.exception, host=own.host))
        self._say(f"{Status.DEAD.value}: {outcome.reason} (log: {folder.log_path})")
        return 0 if self.slot.has_result() else 1

    def _settle(self, folder: ExperimentDir) -> bool:
        """Write how the slot has ended where its experiment is DONE or PRUNED; return whether it is."""
        end = finish(self.slot, self.spec)
        if end is None:
            return False
        self._note_end(End(reason=end.status.lower(), exit_code=0, exception=end.reason))
        return True

    def _is_last(self, experiment: Experiment, folder: ExperimentDir) -> bool:
        """Return whether it isn't tried again: whoever has launched it may do so after the fault of a node."""
        if self.attempt < self.attempts(experiment):
            return False
        death = death_of(History(folder.attempts()))
        faults = self.manifest.project.settings.node_faults if self.job is not None else ()
        return not fault_in(folder, death, faults)

    def _note_end(self, end: End) -> None:
        """Put the slot's end on record, once: its file says already how it ended, where it has."""
        if self._is_over or not self._number:
            return
        self._is_over = True
        try:
            self.slot.append_attempt(end._replace(attempt=self._number, time=utc_now()))
        except ResultError as error:
            _log.error("%s", error)

    def _say(self, what: str) -> None:
        print(f"{self.named.exp_id}: {what}", file=sys.stderr)
