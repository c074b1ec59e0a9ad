"""What `heyhi cancel` does, and says, while Slurm answers some of its commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heyhi.control.cancel import Canceller, CancelPlan, NotCancelledError, plan_cancel
from heyhi.control.controller import Controller
from heyhi.experiment.claim import Claim
from heyhi.experiment.owner import SUBMISSION, JobRef
from heyhi.project import Project, Settings

SAYS = "#!/bin/sh\necho '{}: error: Socket timed out' >&2; exit 1\n"


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose Slurm is away."""
    for name in ("squeue", "scancel", "sacct"):
        (tmp_path / name).write_text(SAYS.format(name))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Project(tmp_path, Settings())


def test_a_job_that_slurm_does_not_end_is_named_with_the_next_step_and_the_command_fails(away: Project) -> None:
    path = str(away.results_root / "p/train/seed=1")
    canceller = Canceller(away)
    canceller.run(CancelPlan([path], jobs={"7": [path]}))
    assert canceller.failed
    assert canceller.lines == ["p/train/seed=1: job 7 may go on: scancel: Socket timed out; try again"]


def test_what_is_known_is_ended_and_said_though_slurm_does_not_say_what_a_controller_has_started_meanwhile(
    away: Project,
) -> None:
    folder = away.results_root / "p/train/seed=1"
    folder.mkdir(parents=True)
    claim = Claim.acquire(folder, kind=SUBMISSION, ref=JobRef("", "0a0b", "0c0d"))
    assert isinstance(claim, Claim)
    claim.hand_over("7")
    with pytest.raises(NotCancelledError, match=r"nothing was cancelled.*Socket timed out; try again once Slurm"):
        plan_cancel(away, [str(folder)])
    controller = Controller("x", away.state_root / "controllers/x", None)
    plan = CancelPlan([str(folder)], [controller], jobs={"7": [str(folder)]})
    canceller = Canceller(away)
    canceller.run(plan)
    assert canceller.failed
    assert [line for line in canceller.lines if "job 7 may go on" in line]
    assert [line for line in canceller.lines if "whether a controller has started more" in line]
