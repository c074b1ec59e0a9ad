"""The record of a launch is there before the controller, and gone where none was started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heyhi.config.schema import Schema, load_schema
from heyhi.control.last_profile import last_profiles
from heyhi.control.recording import Launching
from heyhi.control.survey import Part, Survey
from heyhi.errors import HeyhiError
from heyhi.project import Project, find_project
from heyhi.sweep.expand import expand
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.known import LAUNCHES_NAME, note_known, read_launches
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.write_manifest import write_manifest

EVAL = "conf/c03_eval/eval.prototxt"


@pytest.fixture
def project(repository: Path, tmp_path: Path) -> Project:
    return find_project(repository)._replace(results_override=tmp_path / "results")


@pytest.fixture
def schema(project: Project) -> Schema:
    return load_schema(project)


@pytest.fixture
def launching(project: Project, schema: Schema) -> Launching:
    """Return a launch of a sweep, and of an experiment that needs another one beside it."""
    whole = Manifest.open(write_manifest(expand(project, schema, [(EVAL, ["noise=0.1"])]), project, schema))
    other = expand(project, schema, [(EVAL, ["noise=0.2"])])
    survey = Survey.of_parts([Part.of_expansion(project, other)])
    return Launching(project, ["heyhi", "launch", "x.py", "p/x"], [whole], other.folders, survey, "local")


def test_a_launch_is_on_record_before_anything_is_started(project: Project, launching: Launching) -> None:
    with launching.on_record() as record:
        assert record.name
        whole, single = read_launches(project)
        assert (whole.command, whole.words, whole.manifest) == (
            *("heyhi", ("launch", "x.py", "p/x"), launching.whole[0].path.name),
        )
        assert single.known and not single.manifest
        assert (whole.profile, single.profile) == ("local", "local")
        assert len(ManifestIndex.open(project).known()) == 3  # two evaluations and their training
    assert read_launches(project) == [whole, single]


def test_a_record_of_an_earlier_version_has_no_profile(project: Project, launching: Launching) -> None:
    with launching.on_record():
        path = sorted((project.state_root / LAUNCHES_NAME).iterdir())[0]
    data = json.loads(path.read_text())
    del data["profile"]
    path.write_text(json.dumps(data))
    assert [record.profile for record in read_launches(project)] == ["", "local"]
    folders = {folder for manifest in launching.whole for folder in manifest.folders} | set(launching.single)
    assert last_profiles(project, folders).items() >= dict.fromkeys(launching.single, "local").items()


def test_what_could_not_be_started_is_not_known(project: Project, launching: Launching) -> None:
    note_known(project, {"p/old": []})
    with pytest.raises(HeyhiError), launching.on_record():
        raise HeyhiError("no controller")
    assert read_launches(project) == []
    assert ManifestIndex.open(project).known() == [f"{project.results_root}/p/old"]


def test_a_launch_that_another_one_does_already_takes_back_only_its_own(project: Project, launching: Launching) -> None:
    with launching.on_record():
        pass
    known = ManifestIndex.open(project).known()
    again = Launching(project, launching.argv, launching.whole, launching.single, launching.survey, "local")
    with again.on_record() as record:
        record.take_back()
    assert len(read_launches(project)) == 2
    assert ManifestIndex.open(project).known() == known
