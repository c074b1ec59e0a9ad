"""Layers of needs, each of which all of the layer above need: more ways lead through them than anybody could walk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from heyhi.config.compose import Composer
from heyhi.control.survey import Part, Survey
from heyhi.experiment.folder import ExperimentDir, config_digest
from heyhi.experiment.given import given_to
from heyhi.experiment.names import Status
from heyhi.experiment.records import End, Start
from heyhi.experiment.status import State, Statuses
from heyhi.project import Project
from heyhi.sweep.manifest import Manifest

LAYERS, WIDTH = 12, 10
LOCAL = ("--profile", "profiles/local")
PROTO = """
syntax = "proto2";
message MetaCfg { oneof task { Work work = 10; } }
message Work { optional int32 x = 1; repeated string of = 2; }
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PATH", "/nowhere")
    conf = tmp_path / "conf"
    conf.mkdir()
    (tmp_path / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/top.py"\nreports = ["csv"]\n')
    (conf / "conf.proto").write_text(PROTO)
    for layer in range(LAYERS):
        needs = (f' of: "{{{{exp conf/l{layer - 1}.prototxt x={x}}}}}"' for x in range(WIDTH) if layer)
        (conf / f"l{layer}.prototxt").write_text(f"work {{{''.join(needs)} }}\n")
    (conf / "top.py").write_text(
        f"def yield_sweep():\n    for x in range({WIDTH}):\n        yield 'conf/l{LAYERS - 1}.prototxt', {{'x': x}}\n"
    )
    (tmp_path / "profiles/local").mkdir(parents=True)
    (tmp_path / "profiles/local/config.yaml").write_text("cores: 1\n")
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_every_command_walks_through_layers_of_needs_once(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed: Counter[str] = Counter()
    compose = Composer._compose

    def counted(self: Composer, config: Any, overrides: Any, chain: tuple[str, ...], **more: Any) -> Any:
        composed[config.root.name] += 1
        return compose(self, config, overrides, chain, **more)

    monkeypatch.setattr(Composer, "_compose", counted)
    code, out, _ = run("expand", "conf/top.py", "--manifest")
    assert code == 0 and sum(composed.values()) == LAYERS * WIDTH
    manifest = Manifest.open(Path(out.strip()))
    assert run("report", "--needs")[1].count("NOT_STARTED") >= WIDTH
    assert f"NOT_STARTED {LAYERS * WIDTH}" in run("plan")[1]

    schema = manifest.schema()
    bottom = []
    for one in manifest.experiments():
        folder = ExperimentDir(one.exp_path, project.results_root)
        folder.prepare(one, schema)
        folder.write_result({"y": 1})
        folder.append_attempt(Start(1, config=config_digest(one.config, schema), needs=given_to(one)))
        bottom += [folder] if not one.needs else []
    assert f"{WIDTH} DONE" in run("report", "--needs", "--drift")[1]
    for folder in bottom:
        folder.write_result({"y": 2})
    assert f"{WIDTH} stale" in run("report")[1]
    assert f"stale {(LAYERS - 1) * WIDTH}" in run("status", "conf/top.py")[1]
    for folder in bottom:
        folder.result_path.unlink()
        folder.append_attempt(End(1, "failed", 1, "ValueError: boom"))
    for folder in (ExperimentDir(one.exp_path) for one in manifest.experiments() if one.needs):
        folder.result_path.unlink()
        folder.attempts_path.unlink()
    assert f"{WIDTH} BLOCKED" in run("report")[1]
    assert f"DEAD {WIDTH}  BLOCKED {(LAYERS - 1) * WIDTH}" in run("status", "conf/top.py", "--drift")[1]
    assert f"{(LAYERS - 1) * WIDTH} that they block" in run("retry", "--dead", "--dry-run", "conf/top.py", *LOCAL)[1]


def test_what_the_dead_ones_block_is_found_with_one_look_at_each(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    def needs_of(path: str) -> Sequence[str]:
        asked[path] += 1
        layer = int(path.partition(".")[0])
        return [f"{layer - 1}.{x}" for x in range(WIDTH)] if layer else ()

    folders = [f"{layer}.{x}" for layer in range(LAYERS) for x in range(WIDTH)]
    others = {path: State(Status.BLOCKED if path[:2] != "0." else Status.DEAD) for path in folders}
    survey = Survey([Part(Project(tmp_path), folders, needs_of)], others)
    assert survey.blocked_by(["0.3"]) == folders[WIDTH:]
    assert max(asked.values()) == 1
    asked.clear()
    statuses = Statuses(folders, needs_of=needs_of)
    assert {statuses.of(path).status for path in folders} == {Status.NOT_STARTED}
    assert max(asked.values()) == 1
