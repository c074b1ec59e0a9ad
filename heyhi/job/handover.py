"""A job's experiments on their way to Slurm: claimed, their folders prepared, and not handed over yet.

All of this is made once, however often Slurm is asked to take the job. Until it does, the claims are this process's:
who else wants the experiments waits for it, and when it is killed they are free.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from heyhi.errors import ClaimError, HeyhiError
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.names import CODE_NAME, CONFIG_NAME, FLAT_CONFIG_NAME, IDENTITY_NAME
from heyhi.experiment.owner import Owner
from heyhi.experiment.records import REFUSED, End
from heyhi.files import is_there, utc_now
from heyhi.job.order import Order
from heyhi.quick_dataclass import dataclass, field
from heyhi.slurm.commands import Phase, View
from heyhi.slurm.request import JobRequest


@dataclass(eq=False)
class Handover:
    """What is ready to be submitted as one job.

    As a context, it drops what has not been handed over at its end.

    Attributes:
        order: what all jobs of the launch have in common.
        request: what the job asks for.
        attempt: how often the launch has tried.
        claims: the job's experiments, each with its claim; none where there is nothing left to submit.
        owned: exp path -> who has an experiment already; None where it is done.
        refused: exp path -> why an experiment is not gone on with.
        nodes: that the job is kept from, where there are others.
        folder: that the job starts in, and logs to.
        script: of the job.
        after: exp path and job id of each experiment that has to end well before it starts.
        tries: how often Slurm was asked to take it.
        may_be_there: whether Slurm may have taken it although its answer was none.
        is_unheard: whether squeue gave no answer when it was looked for there.
        is_heard_again: whether it has just given one, after it hadn't.
    """

    order: Order
    request: JobRequest
    attempt: int = 1
    claims: list[tuple[Experiment, Claim]] = field(default_factory=list)
    owned: dict[Path, Owner | None] = field(default_factory=dict)
    refused: dict[Path, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path)
    script: str = ""
    after: tuple[tuple[str, str], ...] = ()
    tries: int = 0
    may_be_there: bool = False
    is_unheard: bool = False
    is_heard_again: bool = False
    _undo: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def add(self, experiment: Experiment, claim: Claim, new: Sequence[Path]) -> None:
        """Take an experiment in.

        Args:
            experiment: it.
            claim: of it.
            new: its folder and those above it, as far as they were not there before.
        """
        self._undo.callback(_remove_empty, new)  # after the release
        self._undo.callback(claim.release)
        if new:
            self._undo.callback(_unprepare, experiment.exp_path, claim)
        self.claims.append((experiment, claim))

    def drop(self) -> None:
        """Give the claims up, and remove what was prepared in folders that were not there before."""
        self._undo.close()
        self.claims.clear()

    def settled(self) -> None:
        """Leave the claims to the job, whatever happens to this process."""
        self._undo.pop_all()

    def refuse(self, why: str) -> None:
        """Put on record that no job is taken for these experiments; their folders stay.

        Args:
            why: in sbatch's words.
        """
        self._undo.pop_all()
        for experiment, claim in self.claims:
            folder = ExperimentDir(experiment.exp_path)
            with claim, contextlib.suppress(HeyhiError):
                history = folder.history()
                # With the id of a job that left no other trace: this is newer.
                end = End(reason=REFUSED, exception=why, time=utc_now(), job_id=history.unstarted_job)
                if not history.starts:
                    end = end._replace(exception=f"{why}{self._wiped(experiment)}")
                folder.append_attempt(end)
        self.claims.clear()

    def _wiped(self, experiment: Experiment) -> str:
        """Say where the files are that were wiped to make room for a run that there isn't."""
        from heyhi.experiment.trash import last_wiped  # of no use where all goes well

        root = self.order.results_root
        place = last_wiped(experiment.exp_path, root)
        if place is None:
            return ""
        return f"; what was wiped before is in {place.relative_to(root) if place.is_relative_to(root) else place}"

    @property
    def is_outdated(self) -> bool:
        """Whether one of the claims was lost meanwhile, or a result is there: all is to be prepared anew.

        Raises:
            UnknownError: a claim file can't be read.
        """
        if not self.tries:  # it is as fresh as can be
            return False
        return any(not claim.is_held() or is_there(ExperimentDir(e.exp_path).result_path) for e, claim in self.claims)

    def find_job(self, view: View) -> str:
        """Return the id of the job that Slurm has taken although it didn't say so; empty where there is none."""
        experiment, claim = self.claims[0]
        job = claim.owner.find_job(view.queue)
        if job is None or job.phase is Phase.OVER:
            return ""
        # One of before may still be about to end.
        return "" if job.job_id in ExperimentDir(experiment.exp_path).history().job_ids else job.job_id


def absent(folder: Path) -> list[Path]:
    """Return a folder and those above it that aren't there, the innermost first."""
    return list(itertools.takewhile(lambda place: not os.path.lexists(place), (folder, *folder.parents)))


def _unprepare(folder: Path, claim: Claim) -> None:
    """Remove what a submission that came to nothing has written into a folder that it made."""
    try:
        if not claim.is_held():  # another has it by now, and needs that
            return
    except ClaimError:
        return
    for name in (CONFIG_NAME, FLAT_CONFIG_NAME, CODE_NAME, IDENTITY_NAME):
        with contextlib.suppress(OSError):
            (folder / name).unlink()


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, up to the first that somebody uses by now."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()
