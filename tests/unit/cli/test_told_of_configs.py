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


def test_lists_and_what_counts_for_nothing_are_told_at_the_command_lines(
    root: Path, run: Callable[..., tuple[int, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "conf/sizes.prototxt").write_text("sizes: [1, 2]\n")
    (root / "conf/b.prototxt").write_text("includes { path: 'sizes' }\ntrain {\n  sizes: 3\n}\n")
    (root / "conf/common/optimizer/fast.prototxt").write_text("momentum: 1\n")
    (root / "conf/common/optimizer/slow.prototxt").write_text("beta: 1\n")
    joined = "sizes is [1, 2, 3]: conf/b.prototxt:3 appends to what conf/sizes.prototxt:1 gives"
    replaced = "override 'I.optimizer=fast' counts for nothing: I.adam=conf/common/optimizer/slow comes in its place"
    both = ("I.optimizer=fast", "I.adam=conf/common/optimizer/slow")
    for words in (["print", "b", *both], ["expand", "--cfg", "b", *both]):
        code, out, err = run(*words)
        assert code == 0
        assert err.count(f"warning: {joined}\n") == err.count(f"warning: {replaced}\n") == 1
        assert "sizes is" not in out
    assert "adam {" in run("print", "b", *both)[1]
    assert joined in " ".join(run("describe", "b")[1].split())
    assert joined in " ".join(run("describe", "b", "sizes")[1].split())
    assert joined not in " ".join(run("describe", "b", "lr")[1].split())
    for more in (["--print"], []):
        task_file("--cfg", "b", *both, *more)
        assert capsys.readouterr().err.count(f"warning: {joined}\n") == 1
    code, out, err = run("expand", "--cfg", "b", "Ioptimizer=fast", "--sweep", "I.optimizer=fast,slow")
    assert code == 0
    assert [("sgd" in name, "adam" in name) for name in out.split()] == [(True, False), (False, True)]
    swept = "override 'Ioptimizer=fast' counts for nothing: I.optimizer=fast, I.optimizer=slow come in its place"
    assert err.count(f"warning: {swept}\n") == 1
    (root / "conf/c.prototxt").write_text("includes { path: 'sizes' }\nincludes { clear: 'sizes' }\ntrain { sizes: 3 }")
    code, out, err = run("print", "c")
    assert (code, err) == (0, "") and out == "train {\n  sizes: 3\n}\n"


def test_a_kept_expansion_tells_it_again(root: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    (root / "conf/sweep.py").write_text("def yield_sweep():\n    yield 'conf/a.prototxt', {}\n")
    for _ in range(2):
        assert f"warning: {TWICE}\n" in run("report", "conf/sweep.py")[2]
