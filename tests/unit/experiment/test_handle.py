"""The handle: which folder it names, and what it ends and puts into the trash."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import heyhi
import heyhi.config.translation
from heyhi.errors import HeyhiError, IdentityError
from heyhi.experiment.folder import ExperimentDir

PROTO = """
syntax = "proto2";
message MetaCfg { oneof task { Fit fit = 1; } }
message Fit { optional double lr = 1; optional string wait = 2; }
"""
RUN = """
import pathlib, time
import heyhi

def main(task, cfg, log_level):
    while cfg.wait:
        pathlib.Path("runs").touch()
        time.sleep(0.05)
    return {"lr": cfg.lr}

def launch(*overrides, **more):
    return heyhi.maybe_launch(main, cfg="fit", overrides=overrides, **more)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "proj"
    (root / "conf").mkdir(parents=True)
    (root / "conf/lab.proto").write_text(PROTO)
    (root / "conf/fit.prototxt").write_text("fit { lr: 1 }")
    (root / "run.py").write_text(RUN)
    monkeypatch.chdir(root)
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    return root


def launched(*overrides: str) -> heyhi.Handle:
    code = f"import run; print(run.launch(*{overrides!r}).exp_path)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return heyhi.Handle(done.stdout.splitlines()[-1])


def test_a_relative_path_is_below_the_working_directory_or_the_results_root(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = launched()
    exp_id = done.exp_id
    for path in (exp_id, Path(exp_id), f"results/{exp_id}", str(done.exp_path)):
        assert heyhi.Handle(path).exp_path == done.exp_path
    monkeypatch.chdir(root / "conf")
    assert heyhi.Handle(exp_id).is_done()
    monkeypatch.chdir(done.exp_path.parent)
    assert heyhi.Handle(done.exp_path.name).is_done()


def test_what_is_not_there_yet_is_an_exp_id_unless_its_path_leads_into_the_results(root: Path) -> None:
    wanted = root / "results/p/fit/lr_2"
    assert heyhi.Handle("p/fit/lr_2").exp_path == heyhi.Handle("results/p/fit/lr_2").exp_path == wanted
    assert heyhi.Handle("p/fit/lr_2").exp_id == "p/fit/lr_2"
    assert not heyhi.Handle("p/fit/lr_2").is_started()


def test_outside_a_project_a_relative_path_is_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert heyhi.Handle("p/x").exp_path == tmp_path / "p/x"


def test_overrides_have_the_names_of_today(root: Path) -> None:
    done = launched("lr=2", "wait=NULL")
    assert done.overrides == ["lr=2", "wait=NULL"]
    for now in ("rate", "step_size"):  # also while a program runs
        (root / "conf/lab.proto").write_text(PROTO.replace("double lr = 1;", f"double {now} = 1;  // was: lr\n "))
        assert done.overrides == heyhi.Handle(done.exp_path).overrides == [f"{now}=2", "wait=NULL"]
    later = launched("step_size=3")
    assert later.exp_id.startswith("p/fit/lr=3_") and later.overrides == ["step_size=3"]
    (root / "conf/lab.proto").write_text("nonsense")
    assert later.overrides == ["lr=3"]  # who only looks isn't stopped


def test_overrides_of_many_read_the_protos_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "conf/lab.proto").write_text(PROTO.replace("double lr = 1;", "double rate = 1;  // was: lr\n "))
    done, loads = launched("rate=2"), []
    load = heyhi.config.translation.load_schema
    monkeypatch.setattr(heyhi.config.translation, "load_schema", lambda project: loads.append(1) or load(project))
    assert {tuple(heyhi.Handle(done.exp_path).overrides) for _ in range(5)} == {("rate=2",)}
    assert len(loads) == 1


def test_what_is_pruned_goes_to_the_trash_and_only_once(root: Path) -> None:
    done = launched()
    (done.exp_path / "mine").touch()
    assert done.result_path.is_file() and done.slurm_path == done.exp_path
    for _ in range(2):
        done.kill_and_prune(silent=False)
        assert not done.is_started() and list(done.exp_path.iterdir()) == []
    assert len(list(root.rglob("mine"))) == 1


def test_what_runs_is_stopped_first(root: Path) -> None:
    code = "import run; run.launch('wait=yes')"
    run = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    try:
        while run.poll() is None and not (found := list(root.rglob("runs"))):
            time.sleep(0.02)
        handle = heyhi.Handle(found[0].parent)
        assert handle.is_running() and handle.is_started()
        handle.kill_and_prune()
        assert run.wait(60) != 0
        assert not handle.is_started()
    finally:
        run.kill()
        run.communicate()


def test_what_is_no_experiment_or_another_projects_is_left(root: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/precious").touch()
    with pytest.raises(HeyhiError, match="holds no experiment yet"):
        heyhi.Handle(tmp_path / "plain").kill_and_prune()
    assert (tmp_path / "plain/precious").exists()

    (root / "pyproject.toml").write_text('[tool.heyhi]\nname = "one"\n')
    done = launched()
    (root / "pyproject.toml").write_text('[tool.heyhi]\nname = "two"\n')
    with pytest.raises(IdentityError, match="is of the project 'one'"):
        heyhi.Handle(done.exp_path).kill_and_prune()
    assert done.is_done()
    assert ExperimentDir(done.exp_path).result_path.exists()
