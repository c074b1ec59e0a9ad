"""More of what is DONE: `--redo-drifted=continue` goes on from its files with today's config, and keeps the result."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from heyhi import maybe_launch
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.control.controller import ControllerSpec
from heyhi.errors import ClaimError, ModeError
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.mixed import mixed_text
from heyhi.experiment.names import Status
from heyhi.experiment.status import find_state
from heyhi.sweep.manifest import Manifest

PROTO = """
syntax = "proto2";
message MetaCfg { oneof task { Fit fit = 2; Check check = 3; } }
message Fit { optional int32 epochs = 1; optional double lr = 2 [default = 0.1]; optional int32 workers = 3; }
message Check { optional string of = 1; }
"""
SWEEP = "def yield_sweep():\n    for lr in (1, 2):\n        yield 'conf/fit.prototxt', {'lr': lr}\n"
LOCAL = ("--profile", "profiles/local")
GO_ON = "--redo-drifted=continue"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "conf").mkdir(parents=True)
    (root / "profiles/local").mkdir(parents=True)
    (root / "profiles/local/config.yaml").write_text("executor: local\n")
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/check.prototxt").write_text('check { of: "{{exp fit}}" }\n')
    (root / "conf/many.py").write_text(SWEEP)
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/many.py"\n')
    edit(root, 20)
    monkeypatch.chdir(root)
    return root


def edit(root: Path, epochs: int) -> None:
    (root / "conf/fit.prototxt").write_text(f"fit {{ epochs: {epochs} }}\n")


def train(*, task: str, cfg: Any, log_level: str) -> dict[str, Any]:
    """Train from where the checkpoint in the folder is."""
    if task == "check":
        return {}
    checkpoint = Path("checkpoint.json")
    begun = json.loads(checkpoint.read_text()) if checkpoint.exists() else 0
    with Path("metrics.jsonl").open("a") as file:
        for epoch in range(begun, cfg.epochs):
            file.write(json.dumps({"epoch": epoch, "loss": 1 / (epoch + 1)}) + "\n")
    checkpoint.write_text(str(cfg.epochs))
    return {"begun": begun, "epochs": cfg.epochs}


@pytest.fixture(autouse=True)
def task_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("task_of_the_project")
    module.__file__ = str(project / "run.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(train, "__module__", module.__name__)


def run_py(*args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        parse_args_and_maybe_launch(train, args)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def kept_results(root: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((root / "results/.heyhi/trash").rglob("result.json"))]


def test_a_done_run_goes_on_with_more_epochs_and_its_result_is_kept(project: Path, capsys: Any) -> None:
    handle = maybe_launch(train, cfg="fit")
    edit(project, 30)
    assert run_py("--cfg", "fit", GO_ON, "--force") == 0
    assert handle.result() == {"begun": 20, "epochs": 30}
    assert kept_results(project) == [{"begun": 0, "epochs": 20}]
    assert "epochs 20 → 30 at attempt 2" in mixed_text(handle.exp_path)
    assert "with another config than attempt 1: fit.epochs: 20 -> 30" in capsys.readouterr().err
    capsys.readouterr()
    assert run_py("--cfg", "fit", GO_ON, "--force") == 0
    assert "nothing started: it was made with this config" in capsys.readouterr().out
    assert handle.result() == {"begun": 20, "epochs": 30}


def test_epochs_that_are_in_no_identity_go_on_in_the_same_folder(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.heyhi]\nidentity_ignore = ["epochs"]\n')
    handle = maybe_launch(train, cfg="fit", overrides=["lr=2"])
    assert run_py("--cfg", "fit", "lr=2", "epochs=30") == 0
    assert handle.result() == {"begun": 0, "epochs": 20}, "nothing is redone unasked"
    assert run_py("--cfg", "fit", "lr=2", "epochs=30", GO_ON, "--force") == 0
    assert handle.result() == {"begun": 20, "epochs": 30}
    assert mixed_text(handle.exp_path) == "", "by the project's own words, they are one experiment"


@pytest.mark.parametrize(
    "words",
    [["fit", "--sweep", "epochs=30,40"], ["fit", "epochs=30", "fit", "epochs=40"], ["fit", "epochs=30", "many.py"]],
)
def test_of_two_values_that_are_in_no_identity_the_first_counts_and_it_is_said(
    project: Path, run: Any, started: list[ControllerSpec], words: list[str]
) -> None:
    (project / "pyproject.toml").write_text('[tool.heyhi]\nidentity_ignore = ["epochs"]\n')
    (project / "many.py").write_text("def yield_sweep():\n    yield 'fit', {'epochs': 40}\n")
    code, out, err = run("expand", *words)
    assert code == 0 and len(out.split()) == 1
    said = "is asked for twice, with epochs 30 / 40, in no identity: it runs once, with epochs 30"
    assert " ".join(err.split()).count(said) == 1
    assert run("launch", *words, *LOCAL)[0] == 0 and len(started) == 1
    for path in (project / "results/.heyhi/manifests").glob("*.sqlite"):
        with Manifest.open(path) as manifest:
            (row,) = manifest.experiments()
            assert manifest.task_message(row.task, row.config).epochs == 30  # type: ignore[attr-defined]


def test_what_is_done_with_another_value_that_is_in_no_identity_says_so(
    project: Path, run: Any, started: list[ControllerSpec], capsys: Any
) -> None:
    (project / "pyproject.toml").write_text('[tool.heyhi]\nidentity_ignore = ["epochs"]\n')
    maybe_launch(train, cfg="fit", overrides=["lr=2"])
    said = "DONE with another value of what is in no identity: fit.epochs 20 → 30; --redo-drifted=continue goes on\n"
    capsys.readouterr()
    assert run_py("--cfg", "fit", "lr=2", "epochs=30") == 0
    assert said in capsys.readouterr().out
    for command in (["plan"], ["launch", *LOCAL], ["expand"]):
        code, out, err = run(*command, "fit", "lr=2", "epochs=30")
        assert code == 0 and (out + err).count(said) == 1
        code, out, err = run(*command, "fit", "lr=2")
        assert code == 0 and "in no identity" not in out + err
    assert started == []


def test_maybe_launch_goes_on(project: Path) -> None:
    handle = maybe_launch(train, cfg="fit")
    edit(project, 30)
    maybe_launch(train, cfg="fit", redo_drifted="continue")
    assert handle.result() == {"begun": 20, "epochs": 30}


def test_it_asks_before_and_a_dry_run_moves_nothing(project: Path, capsys: Any) -> None:
    handle = maybe_launch(train, cfg="fit")
    maybe_launch(train, cfg="check")
    edit(project, 30)
    capsys.readouterr()
    assert run_py("--cfg", "fit", GO_ON) == 2
    assert "its result would be moved to the trash" in (said := capsys.readouterr()).err
    assert "made of what would be made anew, and left as it is: p/check/" in said.err
    assert run_py("--cfg", "fit", GO_ON, "--mode", "dryrun") == 0
    assert "would go on from its files, its result moved to the trash" in capsys.readouterr().out
    assert handle.result() == {"begun": 0, "epochs": 20} and kept_results(project) == []


def test_what_somebody_has_keeps_its_result(project: Path) -> None:
    handle = maybe_launch(train, cfg="fit")
    edit(project, 30)
    with Claim.acquire(handle.exp_path) as claim, pytest.raises(ClaimError):  # type: ignore[union-attr]
        maybe_launch(train, cfg="fit", redo_drifted="continue")
        assert claim
    assert handle.result() == {"begun": 0, "epochs": 20}


def test_when_it_is_killed_before_it_starts_nothing_is_lost_and_the_same_command_goes_on(project: Path) -> None:
    handle = maybe_launch(train, cfg="fit")
    edit(project, 30)
    identity = ExperimentDir(handle.exp_path).read_identity()
    assert identity is not None
    ExperimentDir(handle.exp_path, project / "results").wipe(identity, only_result=True)
    state = find_state(handle.exp_path)
    assert state.status is Status.DEAD and "result" in state.text
    assert run_py("--cfg", "fit", "--mode", "start_continue") == 1, "with another config only by consent"
    assert run_py("--cfg", "fit", "--mode", "start_continue", GO_ON) == 0
    assert handle.result() == {"begun": 20, "epochs": 30}


def test_launch_goes_on_with_what_has_drifted(project: Path, run: Any, started: list[ControllerSpec]) -> None:
    handles = [maybe_launch(train, cfg="fit", overrides=[f"lr={lr}"]) for lr in (1, 2)]
    edit(project, 30)
    maybe_launch(train, cfg="fit", overrides=["lr=2"], redo_drifted="continue")
    code, out, _ = run("launch", GO_ON, *LOCAL, "--dry-run")
    assert code == 0 and "1 would start, 1 of them DONE and their results moved away before, by" in out
    assert "DONE        p/fit/lr=1_" in out and "fit.epochs 20 → 30" in out
    code, _, err = run("launch", GO_ON, *LOCAL)
    assert code == 2 and "1 experiment, DONE, would go on, their results moved to the trash; say --force" in err
    assert handles[0].result() == {"begun": 0, "epochs": 20}
    code, _, _ = run("launch", GO_ON, *LOCAL, "--force")
    assert code == 0 and started[0].continue_drifted
    assert not os.path.exists(handles[0].exp_path / "result.json")  # noqa: PTH110
    assert (handles[0].exp_path / "checkpoint.json").read_text() == "20"
    assert handles[1].result() == {"begun": 20, "epochs": 30}


def test_retry_goes_on_with_what_has_drifted(project: Path, run: Any, started: list[ControllerSpec]) -> None:
    handle = maybe_launch(train, cfg="fit", overrides=["lr=1"])
    edit(project, 30)
    code, out, _ = run("retry", GO_ON, *LOCAL, "--force")
    assert code == 0 and "1 to start with their files, DONE and their results moved away before, by" in out
    assert started[0].continue_drifted and (handle.exp_path / "checkpoint.json").exists()
    assert kept_results(project) == [{"begun": 0, "epochs": 20}]


def test_what_was_killed_as_it_went_on_goes_on_by_the_same_command_and_by_the_hint_of_status(
    project: Path, run: Any, started: list[ControllerSpec]
) -> None:
    handles = [maybe_launch(train, cfg="fit", overrides=[f"lr={lr}"]) for lr in (1, 2)]
    edit(project, 30)
    assert run("retry", GO_ON, *LOCAL, "--force")[0] == 0  # and its controller is killed before it starts one
    assert [handle.get_status() for handle in handles] == [Status.DEAD] * 2
    code, out, _ = run("status", "conf/many.py")
    assert code == 1 and "is gone: removed, or moved to the trash to go on" in out
    hint = "heyhi retry --dead conf/many.py --continue-drifted"
    assert f"no controller runs these: {hint} starts them again" in " ".join(out.split())
    for words in (["retry", GO_ON, "--force"], ["retry", GO_ON, "--force", "conf/many.py"], hint.split()[1:]):
        code, out, _ = run(*words, *LOCAL)
        assert code == 0 and "2 to start again, by profiles/local" in out and "nothing to redo" not in out
        assert len(started[-1].words) and started[-1].continue_drifted
    assert kept_results(project) == [{"begun": 0, "epochs": 20}] * 2


def test_what_failed_and_was_never_done_is_not_begun_by_going_on(
    project: Path, run: Any, started: list[ControllerSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(project, 0)
    monkeypatch.setattr(Path, "write_text", lambda *_: 1 / 0)
    maybe_launch(train, cfg="fit", overrides=["lr=1"])
    monkeypatch.undo()
    code, out, _ = run("retry", GO_ON, *LOCAL, "--force")
    assert (code, out, started) == (0, "nothing to redo\n", [])


def test_plan_offers_to_go_on_with_what_has_drifted(project: Path, run: Any) -> None:
    maybe_launch(train, cfg="fit", overrides=["lr=1"])
    edit(project, 30)
    out = run("plan")[1]
    assert "heyhi launch --redo-drifted runs it again, --redo-drifted=continue goes on from its files" in out


def test_another_word_is_refused() -> None:
    with pytest.raises(ModeError, match="expected True, False, 'code', 'continue' or 'stale'"):
        maybe_launch(train, cfg="fit", redo_drifted="go")  # type: ignore[arg-type]
