"""By which options what was launched last is started again."""

from __future__ import annotations

from pathlib import Path

import pytest

from heyhi.control.last_profile import ways_of
from heyhi.project import Project
from heyhi.sweep.known import LaunchRecord, write_launch


@pytest.mark.parametrize(
    ("given", "ways", "here"),
    [
        (["conf/sweep.py"], [], []),
        (["--controller", "none", "conf/sweep.py"], ["--controller", "none"], []),
        (["--workers=4", "conf/sweep.py"], ["--workers", "4"], []),
        (
            ["conf/sweep.py", "--max-gpu-hours", "2", "--controller=slurm", "--max-gpu-hours=3"],
            ["--max-gpu-hours", "3", "--controller", "slurm"],
            ["--max-gpu-hours", "3"],
        ),
    ],
)
def test_who_stays_and_what_it_may_cost_is_as_in_the_last_launch(
    tmp_path: Path, given: list[str], ways: list[str], here: list[str]
) -> None:
    project = Project(tmp_path)
    write_launch(project, LaunchRecord.now("heyhi", ["launch", *given], "sweep"))
    assert ways_of(project) == ways
    assert ways_of(project, is_here=True) == here
