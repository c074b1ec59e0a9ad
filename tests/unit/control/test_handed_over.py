"""What stays of a launch that nobody stays for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heyhi.control.controller import find_controllers
from heyhi.control.handed_over import Jobs, read_jobs, write_jobs
from heyhi.job.order import root_mark
from heyhi.project import Project, find_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "conf.proto").touch()
    (tmp_path / "pyproject.toml").write_text("[tool.heyhi]\n")
    return find_project(tmp_path)


@pytest.fixture
def folder(project: Project) -> Path:
    path = project.state_root / "controllers" / "mine-01234567"
    path.mkdir(parents=True)
    return path


def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str] | None) -> Path:
    """Put a squeue first in the path that prints some lines, each `id state comment`, or fails; return its calls."""
    calls, here = tmp_path / "calls", tmp_path / "bin"
    here.mkdir(exist_ok=True)
    text = "".join(
        "\x1f".join([job, state, "", "", "/", comment]) + "\n" for job, state, comment in map(str.split, lines or [])
    )
    (tmp_path / "answer").write_text(text)
    end = f"cat {tmp_path / 'answer'}" if lines is not None else "exit 1"
    (here / "squeue").write_text(f"#!/bin/sh\necho call >> {calls}\n{end}\n")
    (here / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")
    return calls


def test_what_is_written_down_is_read_again(folder: Path) -> None:
    write_jobs(folder, ["12", "13"], "14")
    assert read_jobs(folder) == Jobs(("12", "13"), "14")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"jobs": 3}', '{"jobs": ["x", 4, "-1"], "closing": "rm"}'])
def test_a_damaged_list_has_no_jobs(folder: Path, text: str) -> None:
    (folder / "jobs.json").write_text(text)
    assert read_jobs(folder) == Jobs()


def test_it_lives_as_long_as_slurm_has_a_job_of_it(
    project: Project, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"heyhi:{root_mark(project.results_root)}:abc"
    write_jobs(folder, ["12", "13", "15"], "14")
    squeue(tmp_path, monkeypatch, [f"12 COMPLETED {mark}", f"13 RUNNING {mark}", "15 RUNNING heyhi:0123456789:abc"])
    (found,) = find_controllers(project)
    assert (found.owner, found.jobs, found.closing) == (None, ("13",), "")
    assert found.describe() == "1 job by itself, without a controller"
    squeue(tmp_path, monkeypatch, [f"12 COMPLETED {mark}"])
    assert find_controllers(project) == []


def test_without_an_answer_it_lives_and_all_are_asked_about_at_once(
    project: Project, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = folder.with_name("other-01234567")
    other.mkdir()
    for path in (folder, other):
        write_jobs(path, ["12", "13"])
    calls = squeue(tmp_path, monkeypatch, None)
    assert [one.describe() for one in find_controllers(project)] == 2 * ["2 jobs by themselves, without a controller"]
    assert calls.read_text() == "call\n"
