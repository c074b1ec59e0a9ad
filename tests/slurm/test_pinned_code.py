"""A project with a src layout, installed as a link: its queued jobs run the code as it was at their launch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "mypkg"
version = "1"
[tool.setuptools.packages.find]
where = ["src"]
[tool.heyhi]
sweep = "conf/sweep.py"
entry = "mypkg.train:main"
"""
TRAIN = """
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from mypkg import model


def loss():
    from mypkg import model

    return model.LOSS


def main(task, cfg, log_level):
    from mypkg import _bisect

    code = "import mypkg.model; print(mypkg.model.LOSS)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        worker = pool.submit(loss).result()
    return {"loss": model.LOSS, "child": float(child.stdout), "worker": worker, "file": model.__file__}
"""
RUN = """
import heyhi
from mypkg.train import main

if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""
SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
HOLD = "launcher.slurm.extra=--hold"


@pytest.fixture
def installed(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lab whose package lies in src, has an extension that git ignores, and is installed as by `pip install -e`."""
    package = lab.root / "src/mypkg"
    package.mkdir(parents=True)
    files = {"__init__": "", "model": "LOSS = 0.5\n", "train": TRAIN}
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    (lab.root / "run.py").write_text(RUN)
    (lab.root / "pyproject.toml").write_text(PYPROJECT)
    shutil.copy(next(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob(f"_bisect{SUFFIX}")), package)
    (lab.root / ".gitignore").write_text("*.so\n*.egg-info\n/results\n/build\n/ledger.txt\n__pycache__\n")
    venv = lab.root.parent / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "base.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    code = "import sys, setuptools.build_meta as backend; backend.build_editable(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(venv)], cwd=lab.root, check=True, capture_output=True)
    zipfile.ZipFile(next(venv.glob("*.whl"))).extractall(site)
    person = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", *person, *words], cwd=lab.root, check=True)
    monkeypatch.setattr(sys, "executable", str(venv / "bin/python"))
    return lab


def edit(lab: Any) -> None:
    (lab.root / "src/mypkg/model.py").write_text("LOSS = 999.0\n")


def release(*jobs: str) -> None:
    subprocess.run(["scontrol", "release", *jobs], check=True)


def is_done(lab: Any, *xs: int) -> bool:
    """Whether they have a result, and the record that is written after it."""
    rows = lab.statuses()
    assert not any(rows[x]["status"] == "DEAD" for x in xs), rows
    return all(rows[x]["status"] == "DONE" and len(lab.attempts(x)) == 2 for x in xs)


def copy_of(lab: Any, x: int) -> str:
    (copy,) = (lab.root / "results/.heyhi/code").glob("*/tree")
    return str(copy)


def check_pinned(lab: Any, x: int) -> None:
    result = lab.result(x)
    assert {name: result[name] for name in ("loss", "child", "worker")} == dict.fromkeys(
        ("loss", "child", "worker"), 0.5
    )
    assert result["file"] == f"{copy_of(lab, x)}/src/mypkg/model.py"
    start, end = lab.attempts(x)
    assert (start["dirty"], end["outside"]) == (False, [f"src/mypkg/_bisect{SUFFIX}"])


def test_an_edit_does_not_reach_the_queued_job_of_an_installed_package(installed: Any, until: Until) -> None:
    lab = installed
    done = lab.run("x=1", HOLD)
    assert done.returncode == 0, done.stderr
    lab.run("x=2", HOLD, "--no-snapshot")
    edit(lab)
    release(lab.job(1), lab.job(2))
    until(lambda: is_done(lab, 1, 2))
    check_pinned(lab, 1)
    assert lab.result(2)["loss"] == 999.0
    said = f"1 module of the work tree, not of the copy that was pinned: src/mypkg/_bisect{SUFFIX}"
    assert said in (lab.folder(1) / "log.txt").read_text()
    assert said in lab.heyhi("status", str(lab.folder(1))).stdout
    assert said in lab.heyhi("diff", str(lab.folder(1)), str(lab.folder(2))).stdout


def test_nor_does_it_reach_the_ranks_of_one(installed: Any, until: Until) -> None:
    lab = installed
    done = lab.run("x=1", HOLD, "launcher.slurm.num_gpus=2")
    assert done.returncode == 0, done.stderr
    edit(lab)
    release(lab.job(1))
    until(lambda: is_done(lab, 1))
    check_pinned(lab, 1)


def test_nor_the_experiments_that_share_one(installed: Any, until: Until) -> None:
    lab = installed
    lab.sweep(*({"x": x, "launcher.slurm.pack": 2, "launcher.slurm.extra": "--hold"} for x in (1, 2)))
    process = lab.start()
    until(lambda: len(list(lab.root.glob("results/p/work/*/job.json"))) == 2)
    assert lab.job(2) == lab.job(1)
    edit(lab)
    release(lab.job(1))
    code, out = lab.end(process)
    assert code == 0, out
    check_pinned(lab, 1)
    check_pinned(lab, 2)


def test_a_relative_place_on_the_path_is_that_of_the_launch(installed: Any, until: Until) -> None:
    lab = installed
    lab.env["PYTHONPATH"] = os.pathsep.join(("src", lab.env["PYTHONPATH"]))
    for path in Path(sys.executable).parents[1].glob("lib/python*/site-packages/__editable__*"):
        path.unlink()
    done = lab.run("x=1", HOLD)
    assert done.returncode == 0, done.stderr
    edit(lab)
    release(lab.job(1))
    until(lambda: is_done(lab, 1))
    check_pinned(lab, 1)


def test_a_source_tree_without_git_is_launched_without_what_is_ignored_and_secret(installed: Any, until: Until) -> None:
    lab = installed
    shutil.rmtree(lab.root / ".git")
    (lab.root / "build").mkdir(exist_ok=True)
    (lab.root / "build/cluster.log").touch()
    os.truncate(lab.root / "build/cluster.log", 250_000_000)
    (lab.root / "src/.gitignore").write_text("/scratch\n")
    for name in ("src/scratch/x.txt", ".env", "deploy/id_rsa"):
        (lab.root / name).parent.mkdir(exist_ok=True)
        (lab.root / name).write_text("hunter2-hunter2")
    done = lab.run("x=1", HOLD)
    assert done.returncode == 0, done.stderr
    assert "left out of the copy: deploy/id_rsa (secrets" in done.stderr
    edit(lab)
    release(lab.job(1))
    until(lambda: is_done(lab, 1))
    check_pinned(lab, 1)
    names = {path.relative_to(copy_of(lab, 1)).as_posix() for path in Path(copy_of(lab, 1)).rglob("*")}
    assert "src/mypkg/model.py" in names
    assert not {name for name in names if "scratch" in name or "env" in name or "rsa" in name or "build" in name}


def test_no_secret_of_a_repository_reaches_what_is_kept_of_a_run(installed: Any, until: Until) -> None:
    lab = installed
    (lab.root / ".env").write_text("TOKEN=first\n")
    (lab.root / ".gitattributes").write_text("*.py filter=own\n")
    person = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["add", ".env", ".gitattributes"], ["commit", "-qm", "second"]):
        subprocess.run(["git", *person, *words], cwd=lab.root, check=True)
    (lab.root / ".env").write_text("TOKEN=hunter2-hunter2\n")
    with (lab.root / "src/mypkg/model.py").open("a") as model:
        model.write("# seen\n")
    ran = lab.root.parent / "ran"
    subprocess.run(["git", "config", "filter.own.clean", f"touch {ran}; cat"], cwd=lab.root, check=True)
    before = os.umask(0o027)
    try:
        done = lab.run("x=1")
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    assert "left out of the copy: .env (secrets" in done.stderr
    until(lambda: is_done(lab, 1))
    assert not ran.exists()
    kept = lab.folder(1) / "code.json"
    assert "+# seen" in kept.read_text() and kept.stat().st_mode & 0o777 == 0o440
    for path in (lab.root / "results").rglob("*"):
        assert path.is_dir() or "hunter2" not in path.read_text(errors="replace"), path
    for manifest in lab.root.glob("results/.heyhi/manifests/*.sqlite"):
        assert manifest.stat().st_mode & 0o777 == 0o440
