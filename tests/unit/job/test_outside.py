"""Runs of a config outside of the project, which a script writes anew for each call: they go on, and need no file."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from heyhi import maybe_launch
from heyhi.cli.main import main
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.errors import SweepError

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Job { optional double x = 1; optional string at = 2; repeated Include includes = 3; }
message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; Of of = 3; } }
message Of { optional string need = 1; }
"""


class Task:
    def __init__(self) -> None:
        self.fails = False
        self.calls: list[object] = []

    def __call__(self, *, task: str, cfg: object, log_level: str) -> dict[str, int]:
        self.calls.append(getattr(cfg, "x", None))
        if self.fails:
            raise ValueError("boom")
        return {"y": 1}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "conf").mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/job.prototxt").write_text("job { x: 1 }\n")
    monkeypatch.chdir(root)
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    return root


def written(tmp_path: Path, number: int, text: str = 'job { x: 0.1 at: "{{ROOT_DIR}}/é" }') -> Path:
    """Write a config as a script does, each time another file."""
    path = tmp_path / f"tmp{number}" / f"eval_cfg.{number}.prototxt"
    path.parent.mkdir()
    path.write_text(text)
    return path


def run(task: Task, *words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        parse_args_and_maybe_launch(task, ["--cfg", *map(str, words)])
    return int(stop.value.code or 0)


def test_a_command_that_writes_its_own_config_goes_on_and_is_done(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, out = Task(), tmp_path / "games/game_1"
    words = ("--out", out, "--mode", "start_continue")
    task.fails = True
    assert run(task, written(tmp_path, 1), *words) == 1
    task.fails = False
    (out / "checkpoint").touch()
    assert run(task, written(tmp_path, 2), *words) == 0 and (out / "checkpoint").exists()
    assert run(task, written(tmp_path, 3), *words) == 0 and task.calls == [0.1, 0.1]
    # Another content is another experiment, and doesn't get that folder.
    capsys.readouterr()
    assert run(task, written(tmp_path, 4, "job { x: 0.2 }"), *words) == 2
    assert "holds another experiment: outside/" in capsys.readouterr().err


def test_it_can_be_started_again_when_its_file_is_gone(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, path = Task(), written(tmp_path, 1)
    task.fails = True
    handle = maybe_launch(task, cfg=path, overrides=["x=3"])
    path.unlink()
    assert handle.cfg_path.is_file()
    cfg = json.loads((handle.exp_path / "identity.json").read_text())["cfg"]
    capsys.readouterr()
    assert main(["expand", handle.exp_id]) == 0
    assert capsys.readouterr().out.strip() == f"results/{handle.exp_id}/result.json"
    assert main(["status", handle.exp_id, "--drift"]) == 1
    assert "drifted" not in capsys.readouterr().out.replace("drifted 0", "")
    task.fails = False
    again = maybe_launch(task, cfg=cfg, overrides=["x=3"], mode="start_continue")
    assert again.exp_path == handle.exp_path and again.is_done() and task.calls == [3.0, 3.0]
    # A config that needs it says so by that name, and gets the same experiment.
    (project / "conf/of.prototxt").write_text(f'of {{ need: "{{{{exp {cfg} x=3}}}}" }}\n')
    assert maybe_launch(task, cfg="of").is_done()


def test_what_was_only_looked_at_is_not_kept(project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, 1)
    assert main(["status", "--cfg", str(path)]) == 0
    maybe_launch(Task(), cfg=path, mode="dryrun")
    assert not (project / "results/.heyhi/outside").exists()
    assert main(["expand", "--cfg", str(path)]) == 0
    (kept,) = (project / "results/.heyhi/outside").iterdir()
    with caplog.at_level(logging.WARNING):
        assert maybe_launch(Task(), cfg=kept).exp_id == maybe_launch(Task(), cfg=path, mode="dryrun").exp_id
    assert caplog.text == ""
    with pytest.raises(SweepError, match=r"config 'outside/0123456789abcdef\.prototxt' doesn't exist"):
        maybe_launch(Task(), cfg="outside/0123456789abcdef.prototxt")
