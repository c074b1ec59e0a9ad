"""What a run finds around it: the project from wherever it and its children work, links, and a word on a lost file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.errors import ProjectError
from heyhi.project import find_project

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Job { optional int32 x = 1; optional string do = 2; optional Launcher launcher = 3; }
message Launcher { oneof kind { Local local = 1; } }
message Local { optional int32 tasks = 1; }
message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; } }
"""
RUN = """
import multiprocessing, os, pathlib, subprocess, sys
import heyhi

AT_IMPORT = str(heyhi.PROJ_ROOT) if os.environ.get("HH_EXP_PATH") else ""
CODE = "import heyhi; print(heyhi.PROJ_ROOT)"


def said(_):
    os.chdir("/")
    return str(heyhi.PROJ_ROOT)


def child(*words, cwd):
    return subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()


def main(task, cfg, log_level):
    if cfg.do == "roots":
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            spawned = pool.apply(said, (0,))
        return {
            "main": str(heyhi.PROJ_ROOT), "spawned": spawned, "at import": AT_IMPORT,
            "-c": child("-c", CODE, cwd="/"), "script": child(os.environ["TOOL"], cwd="/"),
            "other": child("-c", CODE, cwd=os.environ["OTHER"]), "conf": str(heyhi.CONF_ROOT),
            "x": heyhi.load_config("conf/job.prototxt").x,
        }
    if cfg.do == "links":
        return {name: os.readlink(name) if os.path.islink(name) else os.path.exists(name)
                for name in ("models", "data", "data/images", "none", "result.json")}
    if cfg.do == "chdir":
        os.chdir("/tmp")
    open(cfg.do, "w" if cfg.do.startswith("out") else "r")


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root, other = tmp_path / "project", tmp_path / "other"
    for folder in (root / "conf", root / "tools", root / "models", root / "data/images", root / "out", other / "conf"):
        folder.mkdir(parents=True)
    for place in (root, other):
        (place / "conf/conf.proto").write_text(PROTO)
        (place / "conf/job.prototxt").write_text("job { x: 1 }\n")
    (root / "run.py").write_text(RUN)
    (root / "data/x").touch()
    (root / "tools/tool.py").write_text("import heyhi; print(heyhi.PROJ_ROOT)\n")
    monkeypatch.setenv("TOOL", str(tmp_path / "tool.py"))
    monkeypatch.setenv("OTHER", str(other))
    (tmp_path / "tool.py").write_text("import heyhi; print(heyhi.PROJ_ROOT)\n")
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    return root


def python(project: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=project, env={**os.environ, **env}, capture_output=True, text=True, timeout=120
    )


def result(results: Path) -> dict[str, object]:
    (path,) = results.glob("p/job/*/result.json")
    found: dict[str, object] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize("place", ["", "away", "other/results"])
def test_a_run_and_its_children_know_their_project_from_anywhere(project: Path, tmp_path: Path, place: str) -> None:
    results = tmp_path / place if place else project / "results"
    env = {"HH_EXP_DIR": str(results)} if place else {}
    done = python(project, "run.py", "--cfg", "job", "do=roots", **env)
    assert done.returncode == 0, done.stdout + done.stderr
    found, root, other = result(results), str(project), str(tmp_path / "other")
    assert found == {
        "main": root, "spawned": root, "at import": "", "-c": root, "script": root, "other": other,
        "conf": f"{root}/conf", "x": 1,
    }  # fmt: skip
    # A job imports the task file in the experiment's folder, and may run a copy of the code.
    (path,) = results.glob("p/job/*/result.json")
    path.unlink()
    target = python(project, "-m", "heyhi.cli", "expand", "--cfg", "job", "do=roots", **env).stdout.strip()
    (manifest,) = (results / ".heyhi/manifests").glob("*.sqlite")
    copy = results / ".heyhi/code/0123456789abcdef/tree"
    (copy / "conf").mkdir(parents=True)
    (copy / "conf/conf.proto").write_text(PROTO)
    for name in ("run.py", "tools/tool.py"):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text((project / name).read_text())
    env["TOOL"] = str(copy / "tools/tool.py")
    words = [target, "--manifest", str(manifest), "--code-root", str(copy)]
    done = python(project, "-m", "heyhi.runner", *words, **env)
    assert done.returncode == 0, done.stderr + next(results.glob("p/job/*/log.txt")).read_text()
    assert result(results) == {**found, "at import": root}


def test_outside_of_a_run_nothing_is_told(project: Path) -> None:
    code = "import run, heyhi, os; heyhi.maybe_launch(run.main, cfg='job', overrides=['do=links']); print(os.environ)"
    done = python(project, "-c", code)
    assert done.returncode == 0, done.stderr
    assert "HH_PROJ_ROOT" not in done.stdout and "HH_EXP_PATH" not in done.stdout


@pytest.mark.parametrize("tasks", [1, 2])
@pytest.mark.parametrize(
    ("name", "what"),
    [("data/x", "it"), ("./data/x", "it"), ("out/new.txt", "the folder 'out'"), ("data/none", "the folder 'data'")],
)
def test_a_file_that_lies_below_the_project_root_is_named_with_what_to_write(
    project: Path, name: str, what: str, tasks: int
) -> None:
    done = python(project, "run.py", "--cfg", "job", f"do={name}", f"launcher.local.tasks={tasks}")
    clean = name.removeprefix("./")
    hint = (
        f"the working directory is the experiment's folder, and {what} is in the project's: write"
        f" heyhi.PROJ_ROOT / '{clean}', or {{{{ROOT_DIR}}}}/{clean} in the config"
    )
    assert done.returncode == 1 and hint in done.stdout
    logs = [path.read_text() for path in project.glob("results/p/job/*/log*.txt")]
    assert any(f"note: {hint}" in log for log in logs)


@pytest.mark.parametrize("name", ["none.txt", "none/new.txt", "/data/x", "chdir"])
def test_nothing_is_said_of_a_file_that_is_nowhere(project: Path, name: str) -> None:
    done = python(project, "run.py", "--cfg", "job", f"do={name}")
    assert done.returncode == 1 and "FileNotFoundError" in done.stdout and "PROJ_ROOT" not in done.stdout


def test_what_the_settings_name_is_linked_into_each_folder(project: Path) -> None:
    links = '["models", "data/images/", "none", "result.json"]'
    (project / "pyproject.toml").write_text(f"[tool.heyhi]\nlink = {links}\n")
    (project / "result.json").touch()
    for words in (["do=links"], ["do=links", "x=2"]):
        done = python(project, "run.py", "--cfg", "job", *words)
        assert done.returncode == 0, done.stderr
    (path,) = project.glob("results/p/job/*x=2*/result.json")
    assert json.loads(path.read_text()) == {
        "models": str(project / "models"), "data": True, "data/images": str(project / "data/images"),
        "none": False, "result.json": False,
    }  # fmt: skip
    log = (path.parent / "log.txt").read_text()
    assert f"no link to none (not in {project}), result.json (the name of a record of HeyHi's)" in log
    # What is there stays, and what a link leads to, when the folder is wiped.
    (project / "models/kept").touch()
    (path.parent / "models").unlink()
    (path.parent / "models").mkdir()
    (path.parent / "data/images").unlink()
    (path.parent / "data").rmdir()
    (path.parent / "data").symlink_to(project / "data")
    path.unlink()
    done = python(project, "run.py", "--cfg", "job", "do=links", "x=2", "--mode", "start_continue")
    assert json.loads(path.read_text())["models"] is True
    done = python(project, "run.py", "--cfg", "job", "do=links", "x=2", "--mode", "restart", "--force")
    assert done.returncode == 0 and (project / "models/kept").exists() and (project / "data/images").is_dir()
    assert json.loads(path.read_text())["models"] == str(project / "models")


def test_a_folder_that_is_a_link_gets_no_links_in_it(project: Path, tmp_path: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.heyhi]\nlink = ["data/images"]\n')
    handle = python(project, "run.py", "--cfg", "job", "do=data/none")
    assert handle.returncode == 1
    (folder,) = project.glob("results/p/job/*")
    (folder / "data/images").unlink()
    (folder / "data").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / "data").symlink_to(tmp_path / "elsewhere")
    python(project, "run.py", "--cfg", "job", "do=data/none", "--mode", "start_continue")
    assert not any((tmp_path / "elsewhere").iterdir())
    assert "no link to data/images (a file or a link is in the way)" in (folder / "log.txt").read_text()


@pytest.mark.parametrize("path", ["/data", "../data", "data/../..", "", ".", "a//b", "/"])
def test_a_link_stays_inside_the_project(project: Path, path: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.heyhi]\nlink = [{path!r}]\n")
    with pytest.raises(ProjectError, match=r"link has .* expected a path inside the project root"):
        find_project(project)
