"""What tests of commands share: a small project, and controllers that are asked for and not started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from heyhi.control.controller import Controller, ControllerSpec, Started
from heyhi.control.first_start import Outcome
from heyhi.experiment.owner import Owner
from heyhi.project import Project

MakeProject = Callable[..., Path]


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProject:
    """Return what makes a project with two tasks and a sweep over seeds, and goes there."""

    def make(proto: str, *, need: str = "conf/work.prototxt seed=1", seeds: int = 3, settings: str = "") -> Path:
        monkeypatch.delenv("HH_EXP_DIR", raising=False)
        root = tmp_path / "project"
        (root / "conf").mkdir(parents=True)
        (root / "conf/conf.proto").write_text(proto)
        (root / "conf/work.prototxt").write_text("work {\n  lr: 0.1\n}\n")
        (root / "conf/check.prototxt").write_text(f'check {{ of: "{{{{exp {need}}}}}" }}\n')
        (root / "conf/many.py").write_text(
            f"def yield_sweep():\n    for seed in range({seeds}):\n"
            "        yield 'conf/work.prototxt', {'seed': seed}\n"
        )
        (root / "pyproject.toml").write_text(f'[tool.heyhi]\nsweep = "conf/many.py"\n{settings}')
        monkeypatch.chdir(root)
        return root

    return make


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[ControllerSpec]:
    """What controllers were told to do; none is started."""
    specs: list[ControllerSpec] = []

    def start(of: Project, spec: ControllerSpec) -> Started:
        specs.append(spec)
        owner = Owner.this_process("controller")
        return Started(Controller(spec.name, of.state_root / "controllers" / spec.name, owner), True)

    monkeypatch.setattr("heyhi.control.first_start.FirstStart.wait", lambda *_: Outcome([]))
    monkeypatch.setattr("heyhi.control.controller.start", start)
    return specs
