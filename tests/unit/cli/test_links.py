"""Links that lead nowhere or round in a circle, as editors leave them: no command ends on one, and none is offered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PROTO = """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 2; } }
message Include { optional string path = 1; optional string mount = 2; }
message Work { optional int32 seed = 1; optional Part part = 2; }
message Part { optional int32 x = 1; }
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf/common/part").mkdir(parents=True)
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "conf/line.prototxt").write_text("work {}\n")
    (tmp_path / "conf/common/part/big.prototxt").write_text("x: 1\n")
    (tmp_path / "conf/lines.py").write_text("def yield_sweep():\n    yield 'conf/line.prototxt', {'seed': 1}\n")
    (tmp_path / "pyproject.toml").write_text('[tool.heyhi]\nreports = ["csv"]\n')
    (tmp_path / "results/p").mkdir(parents=True)
    for link, target in (
        ("conf/.#line.prototxt", "me@host.12:3"),
        ("conf/.#lines.py", "me@host.12:3"),
        ("conf/.#conf.proto", "me@host.12:3"),
        ("conf/common/part/.#big.prototxt", "me@host.12:3"),
        ("conf/common/part/bigger.prototxt", "gone"),
        ("conf/round.prototxt", "round.prototxt"),
        ("conf/rounds.py", "rounds.py"),
        ("conf/round.proto", "round.proto"),
        ("conf/here", "."),
        ("conf/common/up", ".."),
        ("results/p/gone", "nowhere"),
        ("results/p/here", "."),
        (".#run.py", "me@host.12:3"),
    ):
        (tmp_path / link).symlink_to(target)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("expand", "conf/lines.py"),
        ("plan", "conf/lines.py"),
        ("report", "conf/lines.py"),
        ("report", "conf/lines.py", "--drift", "--needs"),
        ("report", "--cfg", "line", "I.part=big"),
        ("status",),
        ("status", "conf/lines.py", "--drift"),
        ("status", "conf/lines.py", "--watch", "0.01"),
        ("launch", "conf/lines.py", "--dry-run", "--profile", "profiles/local"),
        ("print", "line"),
        ("describe", "line"),
        ("protos", "--out", "made"),
        ("clean", "--dry-run"),
    ],
    ids=" ".join,
)
def test_no_command_ends_on_a_link(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    (root / "profiles/local").mkdir(parents=True)
    (root / "profiles/local/config.yaml").write_text("cores: 1\n")
    monkeypatch.setattr("heyhi.control.watch._IDLE_SECONDS", 0)
    code, _, err = run(*words)
    assert code == (1 if "--watch" in words else 0), err


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("plan", "conf/lines2.py"), "'conf/lines.py'"),
        (("print", "lin"), "'line'"),
        (("plan", "--cfg", "line", "I.part=bigg"), "'big'"),
        (("plan", "lin"), "'line'"),
    ],
)
def test_no_link_that_leads_nowhere_is_offered(run: Run, words: tuple[str, ...], near: str) -> None:
    code, _, err = run(*words)
    assert code == 2 and near in err
    assert "#" not in err and "round" not in err and "bigger" not in err


def test_one_that_leads_round_in_a_circle_is_refused_by_name(run: Run) -> None:
    for words in (("print", "round"), ("report", "conf/rounds.py"), ("plan", "--cfg", "line", "I=round")):
        code, _, err = run(*words)
        assert code == 2 and "can't be read: Too many levels of symbolic links" in err


def test_a_report_is_made_anew_when_a_link_leads_somewhere_again(run: Run, root: Path) -> None:
    (root / "conf/line.prototxt").rename(root / "away")
    (root / "conf/line.prototxt").symlink_to("../away")
    assert run("report", "conf/lines.py")[0] == 0
    (root / "away").rename(root / "gone")
    code, _, err = run("report", "conf/lines.py")
    assert code == 2 and "'conf/line.prototxt' doesn't exist" in err
    (root / "gone").rename(root / "away")
    assert run("report", "conf/lines.py")[0] == 0
