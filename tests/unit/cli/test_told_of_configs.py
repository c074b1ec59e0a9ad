"""What is odd about configs reaches who uses them, by whatever door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import heyhi
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.config import api
from heyhi.job import launch

PROTO = """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Train train = 2; } }
message Include { optional string path = 1; optional string mount = 2; repeated string clear = 3; }
message Sgd { optional double momentum = 1; }
message Adam { optional double beta = 1; }
message Train {
  optional double lr = 1;
  repeated int32 sizes = 2;
  oneof optimizer { Sgd sgd = 3; Adam adam = 4; }
}
"""
TWICE = "conf/a.prototxt:3: 'train.lr' is set again; conf/a.prototxt:2 sets it, too: the last one counts"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf/common/optimizer").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "told"\n')
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "conf/a.prototxt").write_text("train {\n  lr: 1\n  lr: 2\n}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HH_EXP_DIR", str(tmp_path / "results"))
    api._warn_once.cache_clear()
    launch._warn_once.cache_clear()
    return tmp_path


def main(**_: object) -> None:
    """Do nothing."""


def task_file(*args: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_args_and_maybe_launch(main, args)
    assert ended.value.code == 0


def test_a_field_that_stands_twice_is_told_at_each_command_line_once(
    root: Path, run: Callable[..., tuple[int, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["print", "a"], ["expand", "--cfg", "a", "--sweep", "lr=3,4"]):
        code, out, err = run(*words)
        assert code == 0
        assert err.count(f"warning: {TWICE}\n") == 1
        assert "again" not in out
    code, out, _ = run("describe", "a")
    assert TWICE in " ".join(out.split())
    for more in (["--print"], ["--print-flat"], []):
        task_file("--cfg", "a", *more)
        out, err = capsys.readouterr()
        assert err.count(f"warning: {TWICE}\n") == 1
        assert "again" not in out


def test_a_field_that_stands_twice_is_logged_once_in_python(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert heyhi.load_config("a").lr == 2
        api.load_root_config("a")
        api.load_root_proto_message("a")
        heyhi.load_config("a", msg_class="MetaCfg")
    assert caplog.messages == [TWICE]
    caplog.clear()
    for lr in (1, 2):
        heyhi.maybe_launch(main, cfg="a", overrides=[f"lr={lr}"], mode="dryrun")
    assert caplog.messages == [TWICE]
