"""Which experiments conditions choose: of what ran, of what waits, and of what was only expanded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heyhi import maybe_launch
from heyhi.config.schema import load_schema
from heyhi.control.survey import Part, Survey
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import IDENTITY_NAME, Status
from heyhi.experiment.notes import write_note
from heyhi.project import Project
from heyhi.report.chosen import narrowed
from heyhi.report.where import WhereError
from heyhi.sweep.expand import Expansion, expand
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.write_manifest import write_manifest

CFG = "conf/c02_sup_train/sl.prototxt"
PROTO = """
syntax = "proto2";
message MetaCfg { oneof task { Work work = 10; Look look = 11; } }
message Work { optional int32 x = 1; optional int32 size = 2 [default = 7]; }
message Look { optional string at = 1; optional int32 x = 2; }
"""


def test_experiments_are_chosen_by_what_they_are_and_what_came_out(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setenv("HH_EXP_DIR", str(tmp_path / "results"))

    def task(*, cfg: Any, **_: object) -> dict[str, float]:
        Path("metrics.jsonl").write_text(f'{{"val_loss": {cfg.lr}}}\n')
        if cfg.seed == 2:
            raise ValueError("a loss of nan")
        return {"accuracy": 1 - cfg.lr}

    for lr, seed in ((0.1, 1), (0.2, 1), (0.2, 2)):
        maybe_launch(task, cfg=CFG, overrides=[f"lr={lr}", f"seed={seed}", "epochs=3"])
    project = Project(repository, results_override=tmp_path / "results")
    folders = sorted(str(path.parent) for path in (tmp_path / "results").rglob("identity.json"))

    def chosen(*conditions: str) -> list[int]:
        (part,) = narrowed([Part.of_folders(project, folders)], conditions)
        return [folders.index(folder) for folder in part.folders]

    assert len(folders) == 3
    assert chosen("status=DONE") == [0, 1] and chosen("status!=DONE") == [2]
    assert chosen("lr>0.1") == [1, 2] and chosen("lr>0.1", "seed=1") == [1]
    assert chosen("epochs=3") == [0, 1, 2]  # all have it
    assert chosen("batch_size>0") == [0, 1, 2] and chosen("batch_size<0") == []  # of the config alone
    assert chosen("val_loss<=0.1") == [0] and chosen("accuracy>=0.9") == [0]
    assert chosen("reason~LOSS OF") == [2] and chosen("cfg~sl") == [0, 1, 2]
    assert chosen("excluded=true") == [] and chosen("note=") == [0, 1, 2]
    write_note(ExperimentDir(Path(folders[1]), tmp_path / "results"), "bad data", excluded=True)
    assert chosen("excluded=true") == chosen("note~BAD") == [1] and chosen("excluded!=true") == [0, 2]
    with pytest.raises(WhereError, match=r"no column 'batch_sizes' \(did you mean 'batch_size'"):
        chosen("batch_sizes=1")


class Lab:
    """A project of its own."""

    def __init__(self, root: Path, proto: str = PROTO) -> None:
        (root / "conf").mkdir(parents=True)
        (root / "conf/conf.proto").write_text(proto)
        (root / "conf/work.prototxt").write_text("work { x: 1 }\n")
        (root / "conf/look.prototxt").write_text('look { at: "{{exp conf/work.prototxt x=9}}" }\n')
        (root / "conf/far.prototxt").write_text('look { at: "{{exp conf/look.prototxt x=5}}" }\n')
        self.project = Project(root)
        self.schema = load_schema(self.project)

    def expand(self, *points: tuple[str, dict[str, Any]]) -> Expansion:
        found = [(str(self.project.root / cfg), overrides) for cfg, overrides in points]
        return expand(self.project, self.schema, found, label="x")

    def part(self, kind: str, expansion: Expansion) -> Part:
        if kind == "expansion":
            return Part.of_expansion(self.project, expansion)
        manifest = Manifest.open(write_manifest(expansion, self.project, self.schema))
        if kind == "manifest":
            return Part.of_manifest(self.project, manifest)
        return Part.of_folders(self.project, [planned.folder for planned in expansion.planned])


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    lab = Lab(tmp_path / "lab")
    monkeypatch.chdir(lab.project.root)
    return lab


def ids(parts: list[Part]) -> list[str]:
    return [folder.rpartition("/p/")[2].partition("_")[0] for part in parts for folder in part.folders]


@pytest.mark.parametrize("kind", ["expansion", "manifest", "index"])
def test_what_has_not_started_has_the_overrides_and_the_config_that_it_was_expanded_to(lab: Lab, kind: str) -> None:
    part = lab.part(kind, lab.expand(*(("conf/work.prototxt", {"x": x}) for x in (2, 3, 4))))
    assert ids(narrowed([part], ["x>2"])) == ["work/x=3", "work/x=4"]
    assert ids(narrowed([part], ["status=NOT_STARTED", "size=7", "x<3"])) == ["work/x=2"]
    assert ids(narrowed([part], ["cfg~work.prototxt"])) == ids([part])
    # One that ran among them.
    maybe_launch(lambda **_: {"y": 1}, cfg="conf/work.prototxt", overrides=["x=3"])
    assert ids(narrowed([part], ["y=1"])) == ["work/x=3"] and ids(narrowed([part], ["size=7", "y="])) == [
        "work/x=2",
        "work/x=4",
    ]


@pytest.mark.parametrize("kind", ["expansion", "manifest", "index"])
def test_what_is_blocked_from_afar_is_blocked_as_in_the_status(lab: Lab, kind: str) -> None:
    def fails(**_: object) -> None:
        raise ValueError("boom")

    expansion = lab.expand(("conf/far.prototxt", {"x": 7}))
    part = lab.part(kind, expansion)
    maybe_launch(fails, cfg="conf/work.prototxt", overrides=["x=9"])
    states = Survey.of_parts([part]).counts
    assert states == {Status.DEAD: 1, Status.BLOCKED: 2}
    far = part._replace(folders=[part.folders[-1]])  # asked for alone
    assert ids(narrowed([far], ["status=BLOCKED"])) == ["far/x=7"]
    assert ids(narrowed([part], ["status=BLOCKED"])) == ["look/x=5", "far/x=7"]
    assert ids(narrowed([part], ["needs~p/look"])) == ["far/x=7"]


def test_experiments_of_several_projects_are_chosen_by_columns_that_one_of_them_has(tmp_path: Path, lab: Lab) -> None:
    other = Lab(tmp_path / "other", PROTO.replace("int32 size = 2", "int32 width = 2"))
    parts = [
        one.part("expansion", one.expand(("conf/work.prototxt", {"x": 2}), ("conf/work.prototxt", {key: 3})))
        for one, key in ((lab, "size"), (other, "width"))
    ]
    assert ids(narrowed(parts, ["x=2"])) == ["work/x=2", "work/x=2"]
    assert ids(narrowed(parts, ["size=3"])) == ["work/size=3"]
    assert ids(narrowed(parts, ["width=7"])) == ["work/x=2"]
    with pytest.raises(WhereError, match="did you mean 'size'"):
        narrowed(parts, ["sizes=3"])


def test_a_key_that_some_override_has_its_composed_value_for_the_others(lab: Lab) -> None:
    points = [("conf/work.prototxt", overrides) for overrides in ({}, {"x": 1}, {"x": 2}, {"size": 7}, {"size": 1})]
    part = lab.part("index", lab.expand(*points))
    assert len(narrowed([part], ["x=1"])[0].folders) == 4 and len(narrowed([part], ["size=7"])[0].folders) == 4
    assert ids(narrowed([part], ["x!=1"])) == ["work/x=2"] and ids(narrowed([part], ["size<7"])) == ["work/size=1"]


def test_one_that_is_in_two_parts_is_chosen_in_both(lab: Lab) -> None:
    one, two = (
        lab.part("expansion", lab.expand(*(("conf/work.prototxt", {"x": x}) for x in xs))) for xs in ((2, 3), (3, 4))
    )
    assert ids(narrowed([one, two], ["x=3"])) == ["work/x=3", "work/x=3"]


def test_what_cannot_be_read_is_chosen_by_its_status_and_stops_no_other(lab: Lab) -> None:
    handle = maybe_launch(lambda **_: {}, cfg="conf/work.prototxt", overrides=["x=2"])
    maybe_launch(lambda **_: {}, cfg="conf/work.prototxt", overrides=["x=3"])
    for name in (IDENTITY_NAME, "result.json"):
        (handle.exp_path / name).unlink()
    (handle.exp_path / IDENTITY_NAME).write_text("{")
    part = Part.of_index(lab.project)
    assert ids(narrowed([part], ["status=UNKNOWN"])) == ["work/x=2"]
    assert ids(narrowed([part], ["x=3"])) == ["work/x=3"]


def test_a_condition_that_cannot_be_read_is_refused_also_where_there_is_nothing(lab: Lab) -> None:
    part = Part.of_index(lab.project)
    assert narrowed([part], ["x=3"])[0].folders == []
    with pytest.raises(WhereError, match="expected KEY=VALUE"):
        narrowed([part], ["x"])
