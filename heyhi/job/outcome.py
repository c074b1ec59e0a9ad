"""What a run is claimed by where a job of Slurm's runs it, and what came of it; `runner` is what runs."""

from __future__ import annotations

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.owner import JobRef, Owner
from heyhi.experiment.records import History
from heyhi.job_env import get_job_env
from heyhi.quick_dataclass import dataclass
from heyhi.quick_tuple import NamedTuple


@dataclass(frozen=True)
class Outcome:
    """How `execute` ended.

    Attributes:
        status: of the experiment now: DONE, DEAD, PRUNED, or RUNNING or PENDING where another has it.
        reason: why it is dead or pruned, or who has it.
        exit_code: 0 when it is done.
        ran: this call has run it.
        attempt: number of the attempt, 0 where it was not run.
        stopped: it didn't end by itself.
        lost: another has the experiment by now, in whose folder nothing is written any more.
        refused: this call would have gone on with another config, and has left it as it was.
    """

    status: Status
    reason: str = ""
    exit_code: int = 0
    ran: bool = False
    attempt: int = 0
    stopped: bool = False
    lost: bool = False
    refused: bool = False

    @property
    def done(self) -> bool:
        """Whether there is a result."""
        return self.status is Status.DONE


class JobClaim(NamedTuple):
    """What a job's process claims its experiment by.

    Attributes:
        ref: the job, as its claim names it.
        nonces: of the claims that its submission took.
        is_again: the job was queued again since it last started the experiment, so nothing of that start is left.
        is_kept: the claim outlives a run that failed: the job itself decides then whether it is queued again.
    """

    ref: JobRef
    nonces: tuple[str, ...]
    is_again: bool = False
    is_kept: bool = False

    @classmethod
    def of(cls, ref: JobRef, nonces: tuple[str, ...], folder: ExperimentDir) -> JobClaim:
        """Return what this job's process claims an experiment by.

        Args:
            ref: the job.
            nonces: of the claims that its submission took.
            folder: of the experiment.

        Raises:
            UnknownError: its records can't be read.
        """
        before = [start for start in History(folder.attempts()).starts if start.job_id == ref.job]
        return cls(ref, nonces, not before or get_job_env().restart_count > before[-1].restart_count)

    def follows(self, owner: Owner) -> bool:
        """Return whether a claim passes on to this process: its submission's, or that of the same job's last start.

        Not by the job's id alone: a Slurm controller that was killed may start a job twice at once. What ran on this
        machine is seen to have ended.
        """
        is_known = self.is_again or owner.is_here
        return owner.nonce in self.nonces or (is_known and owner.job == self.ref.job and not owner.runs)

    def runs_already(self, owner: Owner) -> bool:
        """Return whether a claim is of another start of the same job, which runs beside this one on this machine.

        To leave it would end the job, and with it the one that runs.
        """
        return owner.job == self.ref.job and owner.is_here and owner.runs
