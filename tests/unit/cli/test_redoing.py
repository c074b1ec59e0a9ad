"""What is DONE and was made otherwise: every command that composes says so, and `--redo-drifted` makes it anew."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from heyhi import maybe_launch
from heyhi.cli.looking import NOT_LOOKED
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.control.controller import ControllerSpec
from heyhi.errors import ClaimError, HeyhiError, ModeError
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.project import Project
from heyhi.report.drift_lines import NO_CODE_LOOKED

PROTO = """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Fit fit = 2; Check check = 3; } }
message Include { optional string path = 1; optional string mount = 2; }
message Fit { optional int32 epochs = 1; optional double lr = 2 [default = 0.1]; optional Launcher launcher = 3; }
message Check { optional string of = 1; optional int32 noise = 2; }
message Launcher { oneof kind { Local local = 1; Slurm slurm = 2; } }
message Local { optional int32 cpus = 1; }
message Slurm { optional int32 num_gpus = 1 [default = 0]; optional double hours = 2; }
"""
SWEEP = "def yield_sweep():\n    for lr in (1, 2, 3):\n        yield 'conf/fit.prototxt', {'lr': lr}\n"
SAID = "made with another config: fit.epochs 20 → 40"
LOCAL = ("--profile", "profiles/local")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "conf").mkdir(parents=True)
    for name in ("local", "slurm"):
        (root / "Snakefile").touch()
        (root / "profiles" / name).mkdir(parents=True)
        (root / "profiles" / name / "config.yaml").write_text(f"executor: {'heyhi' if name == 'slurm' else name}\n")
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/fit.prototxt").write_text("fit { epochs: 20 }\n")
    (root / "conf/check.prototxt").write_text('check { of: "{{exp fit}}" }\n')
    (root / "conf/many.py").write_text(SWEEP)
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/many.py"\n')
    monkeypatch.chdir(root)
    return root


class Task:
    """A task that counts its runs."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def __call__(self, *, task: str, cfg: Any, log_level: str) -> dict[str, Any]:
        self.runs.append(f"{cfg.lr} {cfg.epochs}" if task == "fit" else task)
        return {"epochs": cfg.epochs if task == "fit" else 0}


@pytest.fixture
def task(project: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    module = ModuleType("task_of_the_project")
    module.__file__ = str(project / "run.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Task, "__module__", module.__name__)
    return Task()


def all_done(task: Task) -> None:
    for lr in (1, 2, 3):
        maybe_launch(task, cfg="fit", overrides=[f"lr={lr}"])


def edit(root: Path, epochs: int = 40) -> None:
    (root / "conf/fit.prototxt").write_text(f"fit {{ epochs: {epochs} }}\n")


def in_git(root: Path, *args: str) -> None:
    words = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *args]
    subprocess.run(words, cwd=root, check=True, capture_output=True)


@pytest.fixture
def commits(project: Path) -> Any:
    """Commit what is there, as other code each time."""
    (project / ".gitignore").write_text("/results/\n")
    in_git(project, "init", "-q")

    def commit(text: str) -> None:
        (project / "run.py").write_text(text)
        in_git(project, "add", "-A")
        in_git(project, "commit", "-qm", "x")

    return commit


def run_py(task: Task, *args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        parse_args_and_maybe_launch(task, args)
    assert isinstance(caught.value.code, int)
    return caught.value.code


# --- what is said -----------------------------------------------------------------------------------------------------


def test_run_py_names_the_keys_when_it_says_done(task: Task, project: Path, capsys: Any) -> None:
    assert run_py(task, "--cfg", "fit") == 0
    capsys.readouterr()
    assert run_py(task, "--cfg", "fit") == 0
    assert "made with" not in capsys.readouterr().out
    edit(project)
    assert run_py(task, "--cfg", "fit") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1] == SAID and "--redo-drifted or --mode restart runs it again" in out[2]
    assert len(out) == 3


def test_maybe_launch_warns_with_the_keys_and_of_other_code_once(
    task: Task, project: Path, commits: Any, caplog: pytest.LogCaptureFixture
) -> None:
    commits("1")
    all_done(task)
    edit(project)
    commits("2")
    with caplog.at_level(logging.WARNING):
        all_done(task)
    texts = [record.getMessage() for record in caplog.records]
    assert sum(SAID in text for text in texts) == 3
    assert sum("made by other code: commit" in text and "run.py" in text for text in texts) == 1
    assert len(task.runs) == 3


def test_what_is_needed_and_was_made_with_another_config_is_told_where_it_is_built_on(
    task: Task, project: Path, capsys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run_py(task, "--cfg", "fit")
    edit(project)
    capsys.readouterr()
    run_py(task, "--cfg", "check")
    assert f"what it needs was {SAID}" in capsys.readouterr().err
    maybe_launch(task, cfg="check")
    assert f"what it needs was {SAID}" in caplog.text


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["expand"], 2),
        (["launch", *LOCAL], 1),
        (["launch", "--dry-run", *LOCAL, "fit", "lr=1"], 1),
        (["retry", "--dead", *LOCAL, "conf/many.py"], 1),
    ],
)
def test_each_command_that_composes_says_it(
    run: Any, task: Task, project: Path, commits: Any, words: list[str], place: int
) -> None:
    commits("1")
    all_done(task)
    assert "made " not in "".join(map(str, run(*words)))
    edit(project)
    commits("2")
    found = run(*words)
    assert found[0] == 0
    count = 1 if "fit" in words else 3
    counted = f" ({count} experiments)" if count > 1 else ""
    assert f"{SAID}{counted}\n" in found[place]
    assert found[place].count("made by other code: ") == 1 and "run.py" in found[place]
    assert len(task.runs) == 3


def test_a_manifest_that_is_launched_is_what_its_own_are_compared_with(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    manifest = run("expand", "--manifest")[1].strip()
    all_done(task)
    edit(project)
    assert "made with" not in run("launch", *LOCAL, manifest)[1]
    (target,) = run("expand", "fit", "lr=1")[1].split()
    assert "made with" in run("launch", *LOCAL, target)[1]
    assert started == []


def test_plan_status_and_report_keep_their_word_and_tell_of_the_code(
    run: Any, task: Task, project: Path, commits: Any
) -> None:
    commits("1")
    run("expand")
    all_done(task)
    edit(project)
    commits("2")
    for words in (["plan"], ["status", "--drift"], ["report", "--drift"]):
        out = run(*words)[1]
        assert "drifted" in out and "made with" not in out
        assert "made by other code: 3 experiments: commit" in out and "not compared" not in out
    assert "3 of the drifted are DONE and left as they are" in run("plan")[1]
    for words in (["plan", "--json"], ["status", "--drift", "--json"]):
        row, *_ = json.loads(run(*words)[1])["experiments"]
        assert row["drifted"] == ["fit.epochs: 20 -> 40"] and "run.py" in row["other_code"]


def test_status_and_report_say_that_they_did_not_look_where_something_is_done(
    run: Any, task: Task, project: Path
) -> None:
    run("expand")
    assert "not compared" not in run("status")[1] + run("report")[1]
    maybe_launch(task, cfg="fit", overrides=["lr=1"])
    assert run("status")[1].endswith(f"{NOT_LOOKED}\n") and f"\n{NO_CODE_LOOKED}\n" in run("report")[1]
    assert "not compared" not in run("status", "--json")[1] + run("plan")[1]
    assert all("not compared" not in path.read_text() for path in (project / "results/reports").glob("*.*"))


# --- redoing one ------------------------------------------------------------------------------------------------------


def test_run_py_redoes_what_was_made_with_another_config_and_nothing_else(
    task: Task, project: Path, capsys: Any
) -> None:
    run_py(task, "--cfg", "fit")
    assert run_py(task, "--cfg", "fit", "--redo-drifted", "--force") == 0
    assert "nothing started: it was made with this config" in capsys.readouterr().out
    edit(project)
    assert run_py(task, "--cfg", "fit", "--redo-drifted", "--mode", "dryrun") == 0
    assert "dry run: --redo-drifted would wipe it and run it again" in capsys.readouterr().out
    assert run_py(task, "--cfg", "fit", "--redo-drifted") == 2
    assert "this would wipe it; say --force" in capsys.readouterr().err
    assert len(task.runs) == 1
    assert run_py(task, "--redo-drifted", "--force", "--cfg", "fit") == 0
    assert task.runs == ["0.1 20", "0.1 40"]
    (folder,) = (project / "results/p/fit").iterdir()
    assert json.loads((folder / "config_flat.json").read_text())["fit.epochs"] == 40


def test_an_override_behind_the_option_is_an_override(task: Task, project: Path) -> None:
    run_py(task, "--cfg", "fit", "lr=3")
    edit(project)
    assert run_py(task, "--cfg", "fit", "--redo-drifted", "lr=3", "--force") == 0
    assert task.runs == ["3.0 20", "3.0 40"]


def test_other_code_is_redone_only_where_it_is_asked_for(task: Task, project: Path, commits: Any, capsys: Any) -> None:
    commits("1")
    run_py(task, "--cfg", "fit")
    commits("2")
    assert run_py(task, "--cfg", "fit", "--redo-drifted", "--force") == 0
    assert "--redo-drifted=code or --mode restart runs it again" in capsys.readouterr().out
    assert len(task.runs) == 1


def test_maybe_launch_redoes_it(task: Task, project: Path) -> None:
    maybe_launch(task, cfg="fit")
    maybe_launch(task, cfg="fit", redo_drifted=True)
    assert len(task.runs) == 1
    edit(project)
    handle = maybe_launch(task, cfg="fit", redo_drifted=True)
    assert handle.result() == {"epochs": 40} and len(task.runs) == 2
    with pytest.raises(ModeError, match="redo_drifted is 'cod'; expected True, False, 'code', 'continue' or 'stale'"):
        maybe_launch(task, cfg="fit", redo_drifted="cod")  # type: ignore[arg-type]


def test_a_slurm_launcher_without_slurm_wipes_nothing(
    task: Task, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = maybe_launch(task, cfg="fit")
    (project / "conf/fit.prototxt").write_text("fit { epochs: 40 launcher { slurm { hours: 1 } } }\n")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "run", task_file(project, task))
    with pytest.raises(HeyhiError, match="no sbatch"):
        maybe_launch(task, cfg="fit", redo_drifted=True)
    assert handle.result() == {"epochs": 20}


def task_file(project: Path, task: Task) -> ModuleType:
    """Return a module as which the task is the project's own, so that a job may be given it."""
    module = ModuleType("run")
    (project / "run.py").touch()
    module.__file__ = str(project / "run.py")
    module.main = task  # type: ignore[attr-defined]
    return module


def test_what_somebody_has_is_never_wiped(task: Task, project: Path) -> None:
    handle = maybe_launch(task, cfg="fit")
    edit(project)
    with Claim.acquire(handle.exp_path) as claim, pytest.raises(ClaimError):  # type: ignore[union-attr]
        maybe_launch(task, cfg="fit", redo_drifted=True)
        assert claim
    assert handle.result() == {"epochs": 20}


def test_what_was_made_anew_in_the_meantime_is_not_wiped_again(
    task: Task, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = maybe_launch(task, cfg="fit")
    edit(project)
    wipe = ExperimentDir.wipe

    def late(self: ExperimentDir, identity: Any, **more: Any) -> None:
        monkeypatch.setattr(ExperimentDir, "wipe", wipe)
        faster = os.fork()
        if faster == 0:
            try:
                maybe_launch(task, cfg="fit", redo_drifted=True)
            finally:
                os._exit(0)
        os.waitpid(faster, 0)
        wipe(self, identity, **more)

    monkeypatch.setattr(ExperimentDir, "wipe", late)
    with pytest.raises(ModeError, match="is not wiped"):
        maybe_launch(task, cfg="fit", redo_drifted=True)
    assert handle.result() == {"epochs": 40} and len(task.runs) == 1


# --- redoing many -----------------------------------------------------------------------------------------------------


def left(root: Path) -> list[int]:
    """List the epochs of the results that are there."""
    return sorted(json.loads(path.read_text())["epochs"] for path in (root / "results/p").rglob("result.json"))


def test_launch_wipes_what_has_drifted_and_starts_it_with_the_rest(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    for lr in (1, 2):
        maybe_launch(task, cfg="fit", overrides=[f"lr={lr}"])
    edit(project)
    maybe_launch(task, cfg="fit", overrides=["lr=2"], redo_drifted=True)
    code, out, _ = run("launch", "--redo-drifted", "conf/many.py", *LOCAL, "--dry-run")
    assert code == 0 and "2 would start, 1 of them DONE and wiped before, by" in out
    assert "DONE        p/fit/lr=1_" in out and "fit.epochs 20 → 40" in out
    assert (left(project), started) == ([20, 40], [])
    code, out, _ = run("launch", *LOCAL, "--redo-drifted", "--force")
    assert code == 0 and "2 to start, 1 of them DONE and wiped before, by" in out
    assert left(project) == [40] and len(started) == 1


@pytest.mark.parametrize("command", ["launch", "retry"])
def test_nothing_is_wiped_unless_somebody_agrees_or_the_controller_can_start(
    run: Any,
    task: Task,
    project: Path,
    started: list[ControllerSpec],
    command: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    all_done(task)
    edit(project)
    words = (command, "conf/many.py", "--redo-drifted")
    code, _, err = run(*words, *LOCAL)
    assert code == 2 and "3 experiments, DONE, would be wiped; say --force" in err
    assert run(*words, "--force", "--profile", "nope")[0] == 2
    assert run(*words, "--foce", *LOCAL)[0] == 2
    path = "/usr/bin" if not Path("/usr/bin/sbatch").exists() else "/nowhere"
    monkeypatch.setenv("PATH", path)
    code, _, err = run(*words, "--force", "--profile", "slurm")
    assert code == 2 and "no sbatch" in err
    assert (left(project), started) == ([20, 20, 20], [])


def test_what_a_controller_runs_already_is_not_wiped(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    all_done(task)
    edit(project)
    run("launch", *LOCAL, "--redo-drifted", "--dry-run")
    (target,) = run("expand", "fit", "lr=1")[1].split()
    run("retry", target, *LOCAL, "--redo-drifted", "--force")
    spec, *_ = started
    folder = project / "results/.heyhi/controllers" / spec.name
    folder.mkdir(parents=True)
    maybe_launch(task, cfg="fit", overrides=["lr=1"])
    edit(project, 50)
    with Claim.acquire(folder, kind="controller"):  # type: ignore[union-attr]
        code, _, err = run("retry", target, *LOCAL, "--redo-drifted", "--force")
    assert code == 2 and "nothing was wiped: this is being run already by controller" in err
    assert left(project) == [20, 20, 40]


def test_retry_redoes_alone_or_beside_the_dead(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    run("expand")
    for lr in (1, 2):
        maybe_launch(task, cfg="fit", overrides=[f"lr={lr}"])
    maybe_launch(lambda **_: 1 / 0, cfg="fit", overrides=["lr=3"])
    assert run("retry", *LOCAL, "--redo-drifted")[1] == "nothing to redo\n"
    edit(project)
    code, out, _ = run("retry", *LOCAL, "--redo-drifted", "--dry-run")
    assert code == 0 and "2 would start anew, DONE and wiped before" in out and "DEAD" not in out
    assert run("retry", "conf/many.py", *LOCAL, "--dead")[0] == 0
    assert len(started[-1].targets) == 1 and left(project) == [20, 20]
    assert run("retry", "--redo-drifted", "--dead", "--force", *LOCAL)[0] == 0
    assert len(started[-1].targets) == 3 and left(project) == []


def test_experiments_that_are_named_are_redone_with_the_config_of_today(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    """Their newest manifest has the config that they are to lose."""
    from heyhi.sweep.index import ManifestIndex
    from heyhi.sweep.manifest import Manifest

    targets = run("expand")[1].split()
    all_done(task)
    edit(project)
    assert run("retry", *targets[:2], *LOCAL, "--redo-drifted", "--force")[0] == 0
    (spec,) = started
    assert sorted(spec.targets) == sorted(targets[:2]) and spec.lookup == ""
    for target in targets:
        path = ManifestIndex.open(Project(project)).find_to_run((project / target).parent)
        assert path is not None
        manifest = Manifest.open(path)
        message: Any = manifest.schema().parse_root(manifest.experiment(target).config)
        assert message.fit.epochs == (20 if target == targets[2] else 40)


def test_what_a_living_experiment_needs_is_left(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    maybe_launch(task, cfg="fit")
    target = run("expand", "check")[1].split()[-1]
    folder = (project / target).parent
    folder.mkdir(parents=True, exist_ok=True)
    edit(project)
    with Claim.acquire(folder):  # type: ignore[union-attr]
        code, out, _ = run("retry", *LOCAL, "--redo-drifted", "--force", "check")
    assert code == 0 and "not redone: p/fit/default_" in out and "which needs it, runs or waits" in out
    assert (left(project), started) == ([20], [])


def test_what_cannot_be_composed_today_is_left(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    run("expand")
    all_done(task)
    (project / "conf/fit.prototxt").unlink()
    code, out, _ = run("retry", *LOCAL, "--redo-drifted=code", "--force")
    assert code == 0 and "can't be compared with today: " in out and "nothing to redo" in out
    assert (left(project), started) == ([20, 20, 20], [])


def test_one_that_cannot_be_wiped_stops_no_other(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    all_done(task)
    edit(project)
    (first, *_) = sorted((project / "results/p/fit").iterdir())
    with Claim.acquire(first):  # type: ignore[union-attr]
        code, _, err = run("launch", *LOCAL, "--redo-drifted", "--force")
    assert code == 1 and "is not wiped" in err
    assert left(project) == [20] and len(started) == 1


# --- what is needed, and what is composed today -----------------------------------------------------------------------


def test_a_need_that_is_redone_is_run_though_all_that_needs_it_is_done(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    maybe_launch(task, cfg="fit")
    maybe_launch(task, cfg="check", overrides=["noise=1"])
    edit(project)
    assert run("launch", *LOCAL, "--cfg", "check", "noise=1", "--redo-drifted", "--force")[0] == 0
    (spec,) = started
    assert [Path(target).parent.parent.name for target in spec.more] == ["fit"] and spec.targets == ()
    assert spec.words[:2] == ["all", *spec.more]


CHECKS = "def yield_sweep():\n    for noise in (1, 2):\n        yield 'conf/check.prototxt', {'noise': noise}\n"


@pytest.mark.parametrize(
    "words", [("conf/checks.py",), ("conf/checks.py", "conf/many.py"), ("conf/checks.py", "--cfg", "fit", "lr=1")]
)
def test_all_that_is_wiped_is_asked_for_since_the_table_of_it_may_be_there(
    run: Any, task: Task, project: Path, started: list[ControllerSpec], words: tuple[str, ...]
) -> None:
    (project / "conf/checks.py").write_text(CHECKS)
    maybe_launch(task, cfg="fit")
    for noise in (1, 2):
        maybe_launch(task, cfg="check", overrides=[f"noise={noise}"])
    edit(project)
    before = {path.relative_to(project) for path in (project / "results").rglob("result.json")}
    assert run("launch", *LOCAL, "--redo-drifted=stale", "--force", *words)[0] == 0
    (spec,) = started
    wiped = {str(path) for path in before if not (project / path).exists()}
    assert len(wiped) == 3 and wiped <= {*spec.words}


@pytest.mark.parametrize("command", ["launch", "retry"])
def test_what_could_not_start_since_nobody_knows_how_its_need_is_is_not_wiped(
    run: Any, task: Task, project: Path, started: list[ControllerSpec], command: str
) -> None:
    need = maybe_launch(task, cfg="fit")
    maybe_launch(task, cfg="check")
    (project / "conf/check.prototxt").write_text('check { of: "{{exp fit}}" noise: 7 }\n')
    folder = ExperimentDir(need.exp_path)
    folder.result_path.unlink()
    (folder.path / "attempts.jsonl").write_text("{}\n")
    out = run(command, *LOCAL, "--cfg", "check", "--redo-drifted", "--force")[1]
    assert "not redone: p/check/default_" in out and "it could not start: nobody knows how default_" in out, out
    assert results(project) == ["check"] and not any(spec.more or spec.targets for spec in started)


def test_what_is_missing_behind_tables_of_several_sweeps_is_asked_for(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    (project / "conf/one.py").write_text(SWEEP.replace("(1, 2, 3)", "(4,)"))
    words = ("launch", *LOCAL, "conf/many.py", "conf/one.py")
    assert run(*words)[0] == 0
    assert started[0].more == (), "they are made for the tables"
    maybe_launch(task, cfg="fit", overrides=["lr=2"])
    table = project / started[0].tables[0]
    table.parent.mkdir(parents=True)
    table.touch()
    assert run(*words)[0] == 0
    assert [Path(target).parent.name.split("_")[0] for target in started[1].more] == ["lr=1", "lr=3"]


def results(project: Path) -> list[str]:
    """List the configs of what is DONE."""
    return sorted(
        path.parent.parent.name for path in (project / "results").rglob("result.json") if ".heyhi" not in str(path)
    )


def test_what_is_stale_is_made_anew_where_that_is_asked_for(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    maybe_launch(task, cfg="fit")
    for noise in (1, 2):
        maybe_launch(task, cfg="check", overrides=[f"noise={noise}"])
    edit(project)
    maybe_launch(task, cfg="fit", mode="restart")
    words = ("--cfg", "check", "--sweep", "noise=1,2", "--force")
    assert "nothing to redo" in run("launch", *LOCAL, *words, "--redo-drifted")[1]
    assert "2 are stale: heyhi launch --redo-drifted=stale makes them anew" in run("plan", *words[:-1])[1]
    maybe_launch(task, cfg="check", overrides=["noise=2"], redo_drifted="stale")
    assert task.runs[-1] == "check" and len(task.runs) == 5
    maybe_launch(task, cfg="check", overrides=["noise=2"], redo_drifted="stale")
    assert len(task.runs) == 5, "it is made of what there is by now"

    code, out, _ = run("launch", *LOCAL, *words, "--redo-drifted=stale")
    assert code == 0 and "stale: made of an earlier result of p/fit/default_" in out and "(1 experiment)" in out
    assert "1 to start, 1 of them DONE and wiped before" in out
    assert results(project) == ["check", "fit"] and len(started) == 1


def test_what_is_made_of_what_is_made_anew_goes_with_it_where_that_is_asked_for(
    run: Any, task: Task, project: Path, started: list[ControllerSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    wiped: list[str] = []
    wipe = ExperimentDir.wipe

    def noted(self: ExperimentDir, *args: Any, **more: Any) -> Path | None:
        wiped.append(self.path.parent.name)
        return wipe(self, *args, **more)

    monkeypatch.setattr(ExperimentDir, "wipe", noted)
    maybe_launch(task, cfg="fit")
    maybe_launch(task, cfg="check", overrides=["noise=1"])
    edit(project)
    words = (*LOCAL, "--cfg", "check", "noise=1")
    out = run("launch", *words, "--redo-drifted", "--dry-run")[1]
    assert "left as it is: p/check/noise=1_" in out and "; --redo-drifted=stale makes such ones anew, too" in out
    out = run("launch", *words, "--redo-drifted=stale", "--dry-run")[1]
    assert "made of what is made anew: 1 experiment\n" in out and "left as it is" not in out
    assert "DONE        p/check/noise=1_" in out and "  made of p/fit/default_" in out
    assert results(project) == ["check", "fit"]
    assert run("launch", *words, "--redo-drifted=stale", "--force")[0] == 0
    assert results(project) == [] and len(started) == 1
    assert wiped == ["check", "fit"], "cut short, none is left that is made of what is gone"


def test_what_stays_stale_since_its_need_is_stale_and_not_named_is_left(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    (project / "conf/check2.prototxt").write_text('check { of: "{{exp check noise=1}}" }\n')
    maybe_launch(task, cfg="fit")
    maybe_launch(task, cfg="check", overrides=["noise=1"])
    far = maybe_launch(task, cfg="check2")
    edit(project)
    maybe_launch(task, cfg="fit", mode="restart")
    assert "stale: made of an earlier result of p/fit/default_" in run("status", far.exp_id)[1]
    out = run("retry", *LOCAL, far.exp_id, "--redo-drifted=stale", "--force")[1]
    assert (
        "not redone: p/check2/default_" in out
        and "what it needs is stale itself, made of an earlier result of p/fit/" in out
        and "nothing to redo" in out
    )
    assert results(project) == ["check", "check2", "fit"] and started == []
    assert run("retry", *LOCAL, "--redo-drifted=stale", "--force")[0] == 0
    assert results(project) == ["fit"] and len(started[0].targets) == 2


def test_a_need_that_only_done_experiments_have_is_not_promised(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    need = maybe_launch(task, cfg="fit")
    maybe_launch(task, cfg="check", overrides=["noise=1"])
    assert run("clean", need.exp_id, "--experiments", "--force")[0] == 0
    words = ("--cfg", "check", "noise=1")
    assert "0 would start; 1 not, since all that needs it is DONE" in run("plan", *words)[1]
    code, out, _ = run("launch", *LOCAL, *words)
    assert code == 0 and "nothing to start" in out and started == []
    assert "2 would start" in run("plan", "--cfg", "check", "noise=2")[1]  # who isn't done asks for it
    (project / "conf/checked.py").write_text(
        "def yield_sweep():\n    yield 'conf/check.prototxt', {'noise': 1}\n    yield 'conf/fit.prototxt', {'lr': 7}\n"
    )
    planned = run("plan", "conf/checked.py")[1]  # one starts, and a need doesn't: Snakemake does just that
    assert "1 would start; 1 not" in planned and "launch: snakemake --profile profiles/local" in planned
    assert "1 would start" in run("plan", need.exp_id, "--cfg", "check", "noise=1")[1]  # so does who names it


def composed(spec: ControllerSpec, project: Path) -> list[int]:
    """List the epochs that a controller would run its targets with."""
    from heyhi.sweep.index import ManifestIndex
    from heyhi.sweep.manifest import Manifest

    found = []
    for target in spec.targets:
        path = ManifestIndex.open(Project(project)).find_to_run((project / target).parent)
        assert path is not None
        manifest = Manifest.open(path)
        message: Any = manifest.schema().parse_root(manifest.experiment(target).config)
        found.append(message.fit.epochs)
    return found


@pytest.mark.parametrize("words", [("retry", "--dead"), ("launch", "EXP"), ("retry", "--dead", "EXP")])
def test_what_is_named_itself_or_by_nothing_goes_on_with_the_config_of_today(
    run: Any, task: Task, project: Path, started: list[ControllerSpec], words: tuple[str, ...]
) -> None:
    def fails(**_: Any) -> None:
        raise ValueError("boom")

    run("expand")
    dead = maybe_launch(fails, cfg="fit", overrides=["lr=1"])
    edit(project)
    named = [word.replace("EXP", dead.exp_id) for word in words]
    code, out, _ = run(*named, *LOCAL, "--dry-run")
    assert code == 0 and "fit.epochs: 20 -> 40" in out
    assert run("expand", "--cfg", "fit", "lr=2", "--manifest")[0] == 0  # looking has changed nothing of what runs
    assert run(*named, *LOCAL)[0] == 0
    assert composed(started[0], project) == [40]


def test_what_goes_on_is_scheduled_as_it_was_launched(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    from heyhi.sweep.index import ManifestIndex
    from heyhi.sweep.manifest import Manifest

    def fails(**_: Any) -> None:
        raise ValueError("boom")

    (project / "conf/sched.py").write_text(
        "def yield_sweep():\n    yield 'conf/fit.prototxt', {'launcher.slurm.hours': 3.5, 'lr': 1}\n"
    )
    assert run("expand", "conf/sched.py")[0] == 0
    dead = maybe_launch(fails, cfg="fit", overrides=["lr=1"])
    edit(project)
    for _ in range(2):  # what was written for the first try says it to the second
        assert run("retry", "--dead", *LOCAL)[0] == 0
        path = ManifestIndex.open(Project(project)).find_to_run(dead.exp_path)
        assert path is not None
        manifest = Manifest.open(path)
        message: Any = manifest.schema().parse_root(manifest.experiment(started[-1].targets[0]).config)
        assert (message.fit.launcher.slurm.hours, message.fit.epochs) == (3.5, 40)


def test_a_retry_leaves_what_can_not_be_composed_today_and_starts_the_others(
    run: Any, task: Task, project: Path, started: list[ControllerSpec]
) -> None:
    def fails(**_: Any) -> None:
        raise ValueError("boom")

    (project / "conf/gone.prototxt").write_text("fit { epochs: 3 }\n")
    maybe_launch(fails, cfg="gone")
    maybe_launch(fails, cfg="fit")
    (project / "conf/gone.prototxt").unlink()
    for more in (("--dry-run",), ()):
        code, out, _ = run("retry", "--dead", *LOCAL, *more)
        assert (code, "1 " in out, "can't be composed today" in out) == (int(not more), True, True)
    assert len(started) == 1 and len(started[0].targets) == 1


def test_a_report_of_what_is_named_leaves_out_what_can_not_be_composed_today(
    run: Any, task: Task, project: Path
) -> None:
    (project / "conf/gone.prototxt").write_text("fit { epochs: 3 }\n")
    gone, there = maybe_launch(task, cfg="gone"), maybe_launch(task, cfg="fit")
    (project / "conf/gone.prototxt").unlink()
    code, out, err = run("report", gone.exp_id, there.exp_id)
    assert code == 0 and "1 experiment: 1 DONE" in out
    assert "warning: left out, since it can't be composed today: " in err and "gone" in err
    code, out, err = run("report", gone.exp_id)
    assert code == 2 and "gone" in err and "Traceback" not in err
