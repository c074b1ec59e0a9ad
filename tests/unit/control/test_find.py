"""Experiments by what people call them, with a stand-in for Slurm's answers; tests/slurm has the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import heyhi.control.find
from heyhi.config.identity import Identity
from heyhi.control.find import experiments_of, find_job, find_started
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import Start, Submission
from heyhi.project import Project
from heyhi.slurm.commands import Job, SlurmError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Job]:
    """What squeue knows."""
    known: dict[str, Job] = {}
    monkeypatch.setattr(heyhi.control.find, "list_jobs", lambda ids: [j for i, j in known.items() if i in ids])
    monkeypatch.setattr(heyhi.control.find.Queue, "jobs", lambda self, root: known)
    monkeypatch.setattr(heyhi.control.find, "account", lambda ids: {})
    return known


def make(project: Project, name: str, *overrides: str) -> tuple[str, str]:
    """Make an experiment's folder; return its path and hash."""
    identity = Identity("conf/a.prototxt", overrides)
    folder = project.results_root / name
    folder.mkdir(parents=True)
    (folder / "identity.json").write_text(json.dumps(identity.to_dict()))
    return str(folder), identity.digest


@pytest.mark.parametrize("word", ["p/a", "p/a/", "results/p/a", "results/p/a/result.json", "./results/p/../p/a"])
def test_an_experiment_has_several_names(project: Project, word: str) -> None:
    path, _ = make(project, "p/a")
    assert find_started(project, word) == find_started(project, path) == path


def test_a_jobs_folder_and_comment_name_its_experiment(project: Project, jobs: dict[str, Job]) -> None:
    path, mark = make(project, "p/a", "x=1")
    jobs["12"] = Job("12", "RUNNING", workdir=path, comment=f"heyhi:0a:{mark} mine")
    assert find_job(project, "12").folders == [path]


def test_a_job_in_an_experiments_folder_that_names_another_is_none_of_its(project: Project) -> None:
    path, _ = make(project, "p/a", "x=1")
    assert experiments_of(project, Job("12", "RUNNING", workdir=path, comment="heyhi:0a:0123456789abcdef")) == []
    assert experiments_of(project, Job("12", "RUNNING", workdir=path, comment="")) == [
        path
    ]  # accounts without comments


def test_a_pack_has_the_experiments_of_its_list(project: Project, jobs: dict[str, Job]) -> None:
    (a, mark_a), (b, mark_b) = make(project, "p/a", "x=1"), make(project, "p/b", "x=2")
    pack = project.state_root / "packs/n"
    pack.mkdir(parents=True)
    (pack / "targets.json").write_text(json.dumps([f"{a}/result.json", f"{b}/result.json"]))
    jobs["12"] = Job("12", "RUNNING", workdir=str(pack), comment=f"heyhi:0a:{mark_a},{mark_b}")
    assert find_job(project, "12").folders == [a, b]


def test_a_job_that_slurm_has_forgotten_is_found_by_the_records(
    project: Project, jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    (a, _), (b, _) = make(project, "p/a", "x=1"), make(project, "p/b", "x=2")
    monkeypatch.setattr(heyhi.control.find, "_known_folders", lambda _: [a, b])
    ExperimentDir(Path(a)).append_attempt(Start(1, job_id="12"))
    ExperimentDir(Path(b)).write_submission(Submission("13"))
    assert find_job(project, "12") == (None, [a])
    assert find_job(project, "13") == (None, [b])


def test_without_slurm_a_job_is_found_all_the_same(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    path, _ = make(project, "p/a")
    monkeypatch.setattr(heyhi.control.find, "_known_folders", lambda _: [path])
    ExperimentDir(Path(path)).write_submission(Submission("13"))
    assert find_job(project, "13") == (None, [path])


def test_an_unknown_job_names_the_nearest(project: Project, jobs: dict[str, Job]) -> None:
    jobs["1234"] = Job("1234", "RUNNING", workdir=str(project.root))
    with pytest.raises(HeyhiError, match=r"no experiment has a job 1235 \(did you mean '1234'\?\)"):
        find_job(project, "1235")
    with pytest.raises(HeyhiError, match="job 1234 is none of HeyHi's"):
        find_job(project, "1234")


def test_slurms_own_trouble_is_told(project: Project, jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(ids: object) -> list[Job]:
        raise SlurmError("squeue: took longer than 90 s")

    monkeypatch.setattr(heyhi.control.find, "list_jobs", busy)
    with pytest.raises(HeyhiError, match=r"no experiment has a job 7 \(squeue: took longer"):
        find_job(project, "7")
