"""Which claims pass on to a job's process: not by the job's id alone, since a job may be started twice at once."""

from __future__ import annotations

import dataclasses
import subprocess

import pytest

from heyhi.experiment.owner import JobRef, Owner
from heyhi.job.outcome import JobClaim

REF = JobRef("7", "jobs", "0" * 16)


def claimed(job: str = "7", *, host: str = "", runs: bool = False) -> Owner:
    owner = Owner.this_process("process", REF._replace(job=job))
    if not runs:
        child = subprocess.Popen(["true"])
        child.wait()
        owner = dataclasses.replace(owner, pid=child.pid)
    return dataclasses.replace(owner, host=host) if host else owner


@pytest.mark.parametrize(
    ("owner", "is_again", "follows"),
    [
        (claimed(), False, True),  # this machine has seen that process end
        (claimed(), True, True),
        (claimed(runs=True), False, False),
        (claimed(runs=True), True, False),
        (claimed(host="elsewhere"), False, False),  # it may run there beside this one
        (claimed(host="elsewhere"), True, True),  # Slurm has ended it before it queued the job again
        (claimed("8"), True, False),
    ],
)
def test_what_an_earlier_start_of_the_same_job_had_is_this_one_s_once_that_is_over(
    owner: Owner, is_again: bool, follows: bool
) -> None:
    assert JobClaim(REF, ("another",), is_again).follows(owner) is follows
    assert JobClaim(REF, (owner.nonce,)).follows(owner), "the claim of its own submission"
