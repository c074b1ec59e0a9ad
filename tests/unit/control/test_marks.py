"""What `status` and `plan` say of experiments beside how they are: made of an earlier result, or of two configs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.cli.looking import NOT_LOOKED
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.handle import Handle
from heyhi.experiment.names import ATTEMPTS_NAME
from heyhi.job.launch import maybe_launch
from heyhi.project import find_project
from heyhi.sweep.dependents import dependents_of, dependents_text

PROTO = """
syntax = "proto2";
message MetaCfg { oneof task { Work work = 10; Look look = 11; } }
message Work { optional int32 x = 1; }
message Look { optional int32 x = 1; optional string at = 2; }
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "conf/work.prototxt").write_text("work { x: 1 }\n")
    (tmp_path / "conf/look.prototxt").write_text('look { at: "{{exp conf/work.prototxt x=9}}" }\n')
    (tmp_path / "conf/far.prototxt").write_text('look { at: "{{exp conf/look.prototxt x=5}}" }\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Task:
    """A task of which each run has another result."""

    runs = 0

    def __call__(self, *, task: str, cfg: Any, log_level: str) -> dict[str, int]:
        self.runs += 1
        return {"y": self.runs}


@pytest.fixture
def task() -> Task:
    return Task()


def launch(task: Task, cfg: str, x: int, **options: Any) -> Handle:
    return maybe_launch(task, cfg=cfg, overrides=[f"x={x}"], **options)


@pytest.fixture
def made(run: Run, task: Task) -> Handle:
    """Make what x=9 is, what two look at it, and what one looks at one of these; return the first."""
    run("expand", "--cfg", "look", "--sweep", "x=5,6")
    run("expand", "--cfg", "far", "x=7")
    need = launch(task, "work", 9)
    for x in (5, 6):
        assert launch(task, "look", x).is_done()
    assert launch(task, "far", 7).is_done()
    return need


def test_what_was_made_of_an_earlier_result_is_stale_in_status_and_plan(run: Run, task: Task, made: Handle) -> None:
    assert run("status")[1] == f"DONE 4\n{NOT_LOOKED}\n"
    launch(task, "work", 9, mode="restart")
    for words, count in ((("status",), 3), (("plan", "--cfg", "look", "--sweep", "x=5,6"), 2)):
        code, out, _ = run(*words)
        assert code == 0 and f"  stale {count}\n" in out and "DONE        p/look/x=5_" in out
        assert out.count(f"stale: made of an earlier result of {made.exp_id}\n") == count
        advice = "2 are stale: heyhi launch --redo-drifted=stale makes them anew\n"
        assert (advice in out) == (words[0] == "plan")
        stale = {row["exp_id"][:10]: row["stale"] for row in json.loads(run(*words, "--json")[1])["experiments"]}
        assert stale["p/look/x=5"] == stale["p/look/x=6"] == [made.exp_id] and stale["p/work/x=9"] == []
    launch(task, "look", 5, mode="restart")
    out = run("status")[1]
    assert "stale 2" in out and "stale: made of an earlier result of p/look/x=5_" in out  # the far one now
    assert "stale 1" in run("status", "--cfg", "look", "x=6")[1]
    assert "\n1 is stale: heyhi launch --redo-drifted=stale makes it anew\n" in run("plan", "--cfg", "look", "x=6")[1]
    assert "is stale" not in run("plan", "--cfg", "look", "x=6", "--mode", "restart")[1]  # which does so


def test_nothing_is_read_of_those_that_need_nothing(run: Run, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    run("expand", "--cfg", "work", "--sweep", "x=1,2")
    for x in (1, 2):
        launch(task, "work", x)

    def attempts(self: ExperimentDir) -> None:
        raise AssertionError(self.path)

    monkeypatch.setattr(ExperimentDir, "attempts", attempts)
    assert run("status")[1] == f"DONE 2\n{NOT_LOOKED}\n"


def test_a_restart_names_what_depends_on_it(
    run: Run, task: Task, made: Handle, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    project = find_project()
    found = dependents_of(project, [str(made.exp_path)])
    assert [name[:10] for name in found] == ["p/far/x=7_", "p/look/x=5", "p/look/x=6"]
    with caplog.at_level(logging.WARNING):
        launch(task, "work", 9, mode="restart")
    assert f"made of what would be made anew, and left as it is: {', '.join(found)}" in caplog.text

    assert f"left as it is: {', '.join(found)}\n" in run("plan", "--mode", "restart", "--cfg", "work", "x=9")[1]
    out = run("plan", "--mode", "restart", "--cfg", "look", "--sweep", "x=5,6")[1]
    assert f"left as it is: {found[0]}\n" in out  # what needs them is started, too
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        parse_args_and_maybe_launch(task, ["--cfg", "work", "x=9", "--mode", "restart"])
    assert stop.value.code == 2 and "p/look/x=5_" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        parse_args_and_maybe_launch(task, ["--cfg", "look", "x=6", "--mode", "restart", "--force"])
    assert stop.value.code == 0 and "made of what" not in capsys.readouterr().err


def test_many_dependents_are_not_all_named() -> None:
    assert dependents_text([]) == ""
    assert dependents_text([str(i) for i in range(10)]).endswith("is: 0, 1, 2, 3, 4, 5, 6, 7 and 2 more")


def test_one_of_two_configs_is_marked_in_status_and_plan_also_when_it_is_done(
    run: Run, task: Task, project: Path
) -> None:
    def fails(**_: object) -> None:
        Path("metrics.jsonl").write_text('{"loss": 1}\n')
        raise ValueError("boom")

    (project / "conf/work.prototxt").write_text("work {}\n")
    run("expand", "--cfg", "work", "--out", "p/one")
    handle = maybe_launch(fails, cfg="work", exp_id_pattern_override="p/one")
    (project / "conf/work.prototxt").write_text("work { x: 2 }\n")
    launch_again: dict[str, Any] = {"cfg": "work", "exp_id_pattern_override": "p/one", "mode": "start_continue"}
    maybe_launch(task, **launch_again, continue_drifted=True)
    assert handle.is_done()
    text = "mixed: work.x None → 2 at attempt 2"
    assert run("status")[1].splitlines() == [
        "DONE 1  mixed 1",
        "DONE        p/one",
        f"{'':<11} {text}",
        NOT_LOOKED,
    ]
    assert text in run("plan", "--cfg", "work", "--out", "p/one")[1]
    assert [row["mixed"] for row in json.loads(run("status", "--json")[1])["experiments"]] == [
        "work.x None → 2 at attempt 2"
    ]
    maybe_launch(task, cfg="work", exp_id_pattern_override="p/one", mode="restart")
    assert run("status")[1] == f"DONE 1\n{NOT_LOOKED}\n"  # begun anew


def test_records_that_cannot_be_read_make_nothing_stale(run: Run, task: Task, made: Handle) -> None:
    launch(task, "work", 9, mode="restart")
    folder = next(Path("results/p/look").glob("x=5_*"))
    (folder / ATTEMPTS_NAME).rename(folder / "away")
    (folder / ATTEMPTS_NAME).mkdir()
    code, out, _ = run("status")
    assert code == 0 and "stale 1" in out
