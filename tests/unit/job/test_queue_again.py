"""What a job that is queued again asks for next, and what it sees of its memory; real jobs are in tests/slurm."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from heyhi.job.own_memory import has_run_out
from heyhi.job.queue_again import changes
from heyhi.slurm.request import plain_request

REQUEST = dataclasses.replace(
    plain_request(hours=1, mem_gb=2), oom_mem_factor=2.0, timeout_hours_factor=1.5, extra="--nice --exclude=n9"
)


@pytest.mark.parametrize(
    ("next_one", "asked", "words"),
    [
        (REQUEST, {}, []),
        (REQUEST.scaled(1, 0), {}, ["MinMemoryNode=4096"]),
        (REQUEST.scaled(2, 0), REQUEST.scaled(1, 0).asked(), ["MinMemoryNode=8192"]),
        (REQUEST.scaled(1, 0), REQUEST.scaled(1, 0).asked(), []),
        (REQUEST.scaled(0, 1, ("n1",)), {}, ["TimeLimit=90", "ExcNodeList=n1,n9"]),
        (REQUEST.scaled(0, 0, ("n1", "n2")), REQUEST.scaled(0, 0, ("n1",)).asked(), ["ExcNodeList=n1,n2,n9"]),
    ],
)
def test_only_what_is_to_be_otherwise_is_changed(next_one: Any, asked: dict[str, Any], words: list[str]) -> None:
    assert changes(REQUEST, next_one, asked) == words


def test_all_memory_of_a_node_is_not_changed() -> None:
    request = dataclasses.replace(REQUEST, mem_gb_per_node=0)
    assert changes(request, request.scaled(3, 0), {}) == []


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(("kills", "is_out"), [(0, False), (2, True)])
def test_a_kill_for_memory_is_counted_by_the_job_s_group(tmp_path: Path, kills: int, is_out: bool) -> None:
    job = "system.slice/slurmstepd.scope/job_12"
    put(tmp_path / "cgroup", f"0::/{job}/step_batch/user/task_0\n")
    put(tmp_path / job / "memory.events", f"low 0\nmax 3\noom 1\noom_kill {kills}\n")
    assert has_run_out(tmp_path / "cgroup", tmp_path) is is_out


def test_so_does_the_older_kind_of_groups(tmp_path: Path) -> None:
    put(tmp_path / "cgroup", "5:memory:/slurm/uid_0/job_12/step_batch\n1:cpuset:/slurm/uid_0/job_12\n")
    put(tmp_path / "memory/slurm/uid_0/job_12/step_batch/memory.oom_control", "under_oom 0\noom_kill 1\n")
    assert has_run_out(tmp_path / "cgroup", tmp_path)


@pytest.mark.parametrize("text", ["", "0::/user.slice\n", "0::/job_12/step_batch\n"])
def test_where_memory_is_not_confined_nothing_says_so(tmp_path: Path, text: str) -> None:
    put(tmp_path / "cgroup", text)
    assert not has_run_out(tmp_path / "cgroup", tmp_path)
    assert not has_run_out(tmp_path / "no such", tmp_path)
