"""What a controller is told, and what it is called; real ones are started in tests/workflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from heyhi.control.controller import ControllerSpec, find_controllers, start
from heyhi.control.survey import Part, Survey
from heyhi.errors import HeyhiError
from heyhi.experiment.claim import Claim
from heyhi.experiment.names import Status
from heyhi.experiment.status import State
from heyhi.project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    root = tmp_path / "project"
    for name, text in (("local", "cores: 1\n"), ("slurm", "jobs: 5\nexecutor: heyhi\n"), ("mine", "executor: slurm\n")):
        folder = root / "profiles" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(text)
    monkeypatch.chdir(root)
    return Project(root)


def test_snakemake_is_given_targets_first_since_a_setting_takes_all_that_follows(project: Project) -> None:
    targets = ("a/result.json", "b/result.json")
    spec = ControllerSpec("n", "/p/slurm", targets=targets, lookup="m.sqlite", no_snapshot=True)
    assert spec.words == [
        "a/result.json", "b/result.json", "--profile", "/p/slurm", "--config", "manifest=m.sqlite",
        "--heyhi-no-snapshot",
    ]  # fmt: skip
    assert ControllerSpec("n", "/p/local").words == ["--profile", "/p/local"]


def test_retries_of_the_same_targets_have_one_name_in_any_order(project: Project) -> None:
    profile = project.root / "profiles/local"
    names = [ControllerSpec.for_targets(targets, profile).name for targets in (["a", "b"], ["b", "a"], ["a"])]
    assert names[0] == names[1] != names[2]


def test_what_the_dead_ones_block_is_found_through_others_and_nothing_else(project: Project) -> None:
    needs = {"b": ["a"], "c": ["b"], "e": ["d"], "f": ["c", "d"]}
    blocked = State(Status.BLOCKED)
    others = dict.fromkeys("ad", State(Status.DEAD)) | dict.fromkeys("bcef", blocked)
    survey = Survey([Part(project, list("abcdef"), lambda path: needs.get(path, []))], others)
    assert survey.blocked_by(["a"]) == ["b", "c", "f"]
    assert survey.blocked_by(["d"]) == ["e", "f"]


def test_a_controller_lives_as_long_as_its_claim(project: Project) -> None:
    assert find_controllers(project) == []
    folder = project.state_root / "controllers/sweep-1"
    folder.mkdir(parents=True)
    claim = Claim.acquire(folder, kind="controller")
    assert isinstance(claim, Claim)
    (found,) = find_controllers(project)
    assert (found.name, found.owner, found.log) == ("sweep-1", claim.owner, folder.with_name("sweep-1.log"))
    assert found.spec() is None  # nothing was written yet
    claim.release()
    assert find_controllers(project) == []


def test_a_controller_that_ends_before_it_begins_says_why(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ControllerSpec("sweep-1", str(project.root / "profiles/local"))
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(HeyhiError, match=r"did not start; .*sweep-1.log says:\n.*Python path configuration"):
        start(project, spec)


def test_a_controller_without_a_claim_says_why_to_who_starts_it(project: Project) -> None:
    spec = ControllerSpec("sweep-1", str(project.root / "profiles/local"))
    folder = project.state_root / "controllers/sweep-1"
    (folder / "claim.json").mkdir(parents=True)
    with pytest.raises(HeyhiError, match=f"the controller did not start: .*{folder}"):
        start(project, spec)
