"""A report reads the manifest of the last one as long as the sweep would be expanded alike, and no longer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import heyhi.sweep.expand
from heyhi.project import find_project
from heyhi.report.source import Source

PROTO = """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 2; } }
message Include { optional string path = 1; optional string mount = 2; }
message Work { optional double lr = 1; optional int32 seed = 2; optional string of = 3; }
"""
SWEEP = """
def yield_sweep():
    for seed in range(3):
        yield "conf/work.prototxt", {"seed": seed}
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "conf" / "common").mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/work.prototxt").write_text('includes { path: "some/base" }\nwork {}\n')
    (root / "conf/common/some").mkdir()
    (root / "conf/common/some/base.prototxt").write_text("lr: 0.1\n")
    (root / "conf/many.py").write_text(SWEEP)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Make a report, and tell whether points were composed for it."""
    calls: list[object] = []
    expand = heyhi.sweep.expand.expand

    def counted(*args: object, **more: object) -> object:
        calls.append(args)
        return expand(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("heyhi.sweep.file.expand", counted)

    def report() -> bool:
        before = len(calls)
        report.lr = {  # type: ignore[attr-defined]
            str(e.exp_id): source.manifest.schema().parse_root(e.config).work.lr  # type: ignore[attr-defined]
            for source in [Source.open(find_project(), Path("conf/many.py"))]
            for e in source.manifest.experiments()
        }
        return len(calls) > before

    return report


def edit(path: Path, text: str) -> None:
    """Write a file so that its times show it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (1, path.stat().st_ino))


def test_nothing_is_composed_again_while_nothing_has_changed(composed: Callable[[], bool]) -> None:
    assert [composed(), composed(), composed()] == [True, False, False]
    assert len(composed.lr) == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("conf/work.prototxt", "work { lr: 0.5 }\n"),
        ("conf/common/some/base.prototxt", "lr: 0.5\n"),
        ("conf/some/base.prototxt", "lr: 0.5\n"),  # found before the one in conf/common
        ("some/base.prototxt", "lr: 0.5\n"),  # and this one before both
    ],
)
def test_an_edit_is_seen(composed: Callable[[], bool], root: Path, name: str, text: str) -> None:
    composed()
    edit(root / name, text)
    assert composed()
    assert set(composed.lr.values()) == {0.5}  # type: ignore[attr-defined]


def test_other_points_another_schema_or_results_root_are_seen(
    composed: Callable[[], bool], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed()
    edit(root / "conf/many.py", SWEEP.replace("range(3)", "range(4)"))
    assert composed()
    edit(root / "conf/conf.proto", PROTO.replace("lr = 1", "lr = 1 [default = 7]"))
    assert composed()
    monkeypatch.setenv("HH_EXP_DIR", str(root / "elsewhere"))
    assert composed()


def test_what_is_remembered_may_be_damaged_or_gone(composed: Callable[[], bool], root: Path) -> None:
    composed()
    (file,) = (root / "results/.heyhi/expansions").iterdir()
    file.write_text('{"manifest": "../../conf/conf.proto", "warnings": 3}')
    assert composed()
    (file,) = (root / "results/.heyhi/expansions").iterdir()  # it was written anew
    file.unlink()
    assert [composed(), composed()] == [True, False]
    (manifest,) = (root / "results/.heyhi/looked-at").iterdir()
    manifest.unlink()
    assert composed()
    manifest.chmod(0o644)
    manifest.write_text("no manifest")
    assert composed()
    assert len(composed.lr) == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["EXP_ID_PATTERN = '%(cfg)s/%(redefines)s'\n", "# elsewhere\n"])
def test_what_could_change_unseen_is_composed_each_time(
    composed: Callable[[], bool], root: Path, tmp_path: Path, text: str
) -> None:
    if "elsewhere" in text:
        edit(tmp_path / "outside.prototxt", "lr: 0.3\n")
        edit(
            root / "conf/work.prototxt",
            f'includes {{ path: "{tmp_path}/outside.prototxt" }}\nwork {{}}\n',
        )
    edit(root / "conf/many.py", text + SWEEP)
    assert [composed(), composed()] == [True, True]
