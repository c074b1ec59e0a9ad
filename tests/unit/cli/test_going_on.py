"""Commands that would go on with an experiment whose config was edited: which they leave, what they say, exit codes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.cli import starting
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.experiment.mixed import mixed_text
from heyhi.experiment.names import Status
from heyhi.experiment.status import find_state
from heyhi.job.launch import maybe_launch

PROTO = """
syntax = "proto2";
message MetaCfg { oneof task { Work work = 10; } }
message Work { optional int32 x = 1; optional int32 size = 2 [default = 1]; }
"""
Run = Callable[..., tuple[int, str, str]]
REFUSED = "attempt 1 has logged metrics with another config: work.size: 5 -> 7"


class Task:
    """A task that logs a metric and fails, until it is told otherwise."""

    def __init__(self) -> None:
        self.fails, self.logs = True, True
        self.ran: list[tuple[int, int]] = []

    def __call__(self, *, task: str, cfg: Any, log_level: str) -> dict[str, int]:
        self.ran.append((cfg.x, cfg.size))
        if self.logs:
            with Path("metrics.jsonl").open("a") as file:
                file.write('{"loss": 1}\n')
        if self.fails:
            raise ValueError("boom")
        return {"y": 1}


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "profiles/local").mkdir(parents=True)
    (tmp_path / "profiles/local/config.yaml").write_text("cores: 1\n")
    write(tmp_path, 5)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project: Path, size: int) -> None:
    (project / "conf/work.prototxt").write_text(f"work {{ size: {size} }}\n")


def command(task: Task, *args: str) -> int:
    with pytest.raises(SystemExit) as stop:
        parse_args_and_maybe_launch(task, ["--cfg", "work", *args])
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_a_task_file_leaves_it_with_exit_code_1_and_goes_on_by_consent(
    task: Task, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(task, "x=1") == 1
    write(project, 7)
    capsys.readouterr()
    assert command(task, "x=1", "--mode", "start_continue") == 1
    out, err = capsys.readouterr()
    assert REFUSED in out and "DEAD (exit code 1: ValueError: boom)" in out and "running" not in err
    assert task.ran == [(1, 5)]
    task.fails = False
    assert command(task, "x=1", "--mode", "start_continue", "--continue-drifted") == 0
    assert "mixed: it goes on with another config than attempt 1: work.size: 5 -> 7" in capsys.readouterr().err
    assert task.ran == [(1, 5), (1, 7)]


def test_a_restart_asks_nothing_of_the_kind(task: Task, project: Path) -> None:
    command(task, "x=1")
    write(project, 7)
    task.fails = False
    assert command(task, "x=1", "--mode", "start_restart", "--force") == 0
    assert task.ran == [(1, 5), (1, 7)]


def test_without_progress_a_task_file_goes_on_and_says_which_keys_changed(
    task: Task, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task.logs = False
    command(task, "x=1")
    write(project, 7)
    task.fails = False
    assert command(task, "x=1", "--mode", "start_continue") == 0
    assert "it goes on with another config than attempt 1: work.size: 5 -> 7" in capsys.readouterr().err


def test_maybe_launch_leaves_it_with_a_warning_and_the_caller_goes_on(
    task: Task, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    handle = maybe_launch(task, cfg="work", overrides=["x=1"])
    write(project, 7)
    with caplog.at_level(logging.WARNING):
        handle = maybe_launch(task, cfg="work", overrides=["x=1"], mode="start_continue")
    assert REFUSED in caplog.text and handle.get_status() is Status.DEAD and len(task.ran) == 1
    task.fails = False
    handle = maybe_launch(task, cfg="work", overrides=["x=1"], mode="start_continue", continue_drifted=True)
    assert handle.is_done() and mixed_text(handle.exp_path) == "work.size 5 → 7 at attempt 2"


@pytest.fixture
def edited(task: Task, project: Path) -> Path:
    """Make x=1 dead with progress, x=2 dead without, x=3 not started, and edit their config; return the first one's
    folder."""
    folder = maybe_launch(task, cfg="work", overrides=["x=1"]).exp_path
    task.logs = False
    maybe_launch(task, cfg="work", overrides=["x=2"])
    write(project, 7)
    return folder


SWEEP = ("--cfg", "work", "--sweep", "x=1,2,3")


def test_a_plan_says_which_would_be_left(run: Run, edited: Path) -> None:
    code, out, _ = run("plan", *SWEEP)
    assert code == 0 and "mode start_continue: 2 would start; 1 would be left\n" in out
    assert f"left: not gone on with: {REFUSED}. " in out and f"begins anew\n  p/work/{edited.name}\n" in out
    assert "it goes on with another config than attempt 1: work.size: 5 -> 7\n  p/work/x=2_" in out
    rows = json.loads(run("plan", *SWEEP, "--json")[1])["experiments"]
    assert [(row["action"], row["left"]) for row in rows] == [
        ("leave", ["work.size: 5 -> 7"]),
        ("start", []),
        ("start", []),
    ]
    assert "would be left" not in run("plan", *SWEEP, "--mode", "start_restart")[1]


def test_what_is_the_same_of_many_is_said_once(run: Run, task: Task, project: Path) -> None:
    for x in range(23):
        maybe_launch(task, cfg="work", overrides=[f"x={x}"])
    write(project, 7)
    out = run("plan", "--cfg", "work", "--sweep", "x=range(23)")[1]
    assert out.count("left: ") == out.count("goes on all the same") == 1 and "23 would be left" in out
    listed = out.partition("begins anew\n")[2].splitlines()
    assert all(line.startswith("  p/work/x=") for line in listed[:20]) and listed[20] == "  … and 3 more"


@pytest.mark.parametrize("args", [[], ["--mode", "gentle_start"], ["--mode", "gentle_start", "--continue-drifted"]])
def test_a_task_file_that_leaves_it_names_what_goes_on_all_the_same(
    task: Task, project: Path, capsys: pytest.CaptureFixture[str], args: list[str]
) -> None:
    command(task, "x=1")
    command(task, "x=1", *args)
    assert "nothing started; --mode start_continue goes on from its files" in capsys.readouterr().out
    write(project, 7)
    assert command(task, "x=1", *args) == 1
    out = capsys.readouterr().out
    assert f"nothing started; {REFUSED}.\n--mode start_continue --continue-drifted goes on from its files" in out
    task.logs = task.fails = False
    assert command(task, "x=1", "--mode", "start_continue", "--continue-drifted") == 0


def test_a_plan_names_snakemake_only_where_that_does_the_same(run: Run, task: Task, project: Path) -> None:
    new = ("--cfg", "work", "--sweep", "x=1,2")
    for mode in ("start_continue", "gentle_start", "start_restart", "restart"):
        assert "launch: snakemake " in run("plan", *new, "--mode", mode)[1]
    maybe_launch(task, cfg="work", overrides=["x=1"])
    assert "launch: snakemake " in run("plan", *new)[1]
    for mode in ("gentle_start", "start_restart", "restart"):
        out = run("plan", *new, "--mode", mode)[1]
        assert out.endswith(f"launch: one at a time: python run.py --cfg … --mode {mode}\n") and "snakemake" not in out
    out = run("plan", "--cfg", "work", "x=1", "--mode", "restart")[1]
    assert out.endswith("launch: python run.py --cfg work x=1 --mode restart\n")


def test_a_launch_says_which_are_left_starts_the_others_and_has_exit_code_1(
    run: Run, edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def control(project: object, spec: Any, *_: object) -> int:
        started.append(spec)
        return 0

    monkeypatch.setattr(starting, "_control", control)
    before = find_state(edited)
    code, out, _ = run("launch", *SWEEP, "--profile", "profiles/local")
    assert code == 1 and len(started) == 1 and "continue_drifted" not in " ".join(started[0].words)
    assert (
        "2 to start by profiles/local" in out
        and f"\n  p/work/{edited.name}\n" in out
        and f"left: not gone on with: {REFUSED}" in out
    )
    assert find_state(edited) == before

    code, out, _ = run("launch", *SWEEP, "--profile", "profiles/local", "--continue-drifted")
    assert code == 0 and started[1].words[-1] == "continue_drifted=1" and "3 to start" in out
    assert "mixed: it goes on with another config than attempt 1: work.size: 5 -> 7" in out

    code, out, _ = run("launch", "--cfg", "work", "x=1", "--profile", "profiles/local")
    assert code == 1 and len(started) == 2 and "0 to start" in out


def test_a_retry_leaves_them_too(run: Run, edited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def control(project: object, spec: Any, *_: object) -> int:
        started.append(spec)
        return 0

    monkeypatch.setattr(starting, "_control", control)
    code, out, _ = run("retry", "--dead", *SWEEP, "--profile", "profiles/local")
    assert code == 1 and f"\n  p/work/{edited.name}\n" in out and "1 to start again" in out
    assert [target for target in started[0].targets if edited.name in target] == []
    code, _, _ = run("retry", "--dead", "--profile", "profiles/local", "--continue-drifted")  # all that are known
    assert code == 0 and len(started[1].targets) == 2 and started[1].continue_drifted
    code, out, _ = run("retry", "--dead", "--cfg", "work", "x=1", "--profile", "profiles/local")
    assert code == 1 and len(started) == 2
