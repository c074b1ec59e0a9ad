"""A new project: it runs at once, and nothing that is there is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import heyhi.cli.init
from heyhi.cli.init import init
from heyhi.errors import ProjectError

NAMES = {
    ".gitignore",
    "README.md",
    "Snakefile",
    "conf/common/launcher/local.prototxt",
    "conf/common/launcher/slurm.prototxt",
    "conf/conf.proto",
    "conf/fit/line.prototxt",
    "conf/fit/sweep.py",
    "profiles/local/config.yaml",
    "pyproject.toml",
    "run.py",
    "workflows/experiment.smk",
    "workflows/report.smk",
}


def files_in(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def call(folder: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        [sys.executable, *command], cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in run.stdout + run.stderr
    return run


def test_a_new_project_has_the_workflow_of_this_tree_and_its_own_task(repository: Path, tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    written = init(root)

    made = files_in(root)
    assert set(made) >= NAMES
    assert sorted(p.relative_to(root).as_posix() for p in written) == sorted(made)
    for name in ("Snakefile", *(n for n in made if n.startswith(("workflows/", "profiles/")))):
        assert made[name] == (repository / name).read_bytes(), "there is one workflow, not a copy of it"


def test_every_file_of_the_new_project_is_handed_out(repository: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "heyhi/newproject"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout.split()

    assert {Path(name).relative_to("heyhi/newproject").as_posix() for name in listed} == set(
        heyhi.cli.init._OWN.values()
    )


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/notes.txt").write_text("mine")
    init(tmp_path)

    assert (tmp_path / "conf/notes.txt").read_text() == "mine"
    assert (tmp_path / "conf/conf.proto").exists()


@pytest.mark.parametrize("name", ["run.py", "workflows/report.smk", ".gitignore"])
@pytest.mark.parametrize("kind", ["file", "folder", "broken link"])
def test_nothing_is_written_where_a_file_is_in_the_way(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(ProjectError, match=f"/{name} exists: nothing was written"):
        init(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert kind != "file" or path.read_text() == "mine"


def test_a_file_where_a_folder_should_be_is_named_and_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "workflows").write_text("mine")

    with pytest.raises(ProjectError, match="/workflows"):
        init(tmp_path)
    assert files_in(tmp_path) == {"workflows": b"mine"}
    assert [p.name for p in tmp_path.iterdir()] == ["workflows"]


def test_a_folder_that_is_a_project_already_is_refused(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/agents.proto").write_text("")

    with pytest.raises(ProjectError, match=r"conf/agents\.proto exists, so this is a project already"):
        init(tmp_path)
    assert list(files_in(tmp_path)) == ["conf/agents.proto"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(self: Path, *args: object, **more: object) -> object:
        if self.name == "report.smk" and args == ("xb",):
            raise OSError(28, "No space left on device", str(self))
        return opened(self, *args, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(ProjectError, match=r"report\.smk can't be written: No space left on device: nothing was"):
        init(tmp_path / "new" / "project")
    assert list(tmp_path.iterdir()) == []


def check_that_it_runs(root: Path, **env: str) -> None:
    """Run the new project's sweep, then one experiment twice."""
    swept = call(root, "-m", "snakemake", "--profile", "profiles/local", **env)
    assert swept.returncode == 0, swept.stderr
    assert "4 experiments: 4 DONE" in swept.stdout + swept.stderr
    results = sorted((root / "results/p/fit/line").glob("*/result.json"))
    assert len(results) == 4
    assert all(abs(json.loads(path.read_text())["slope"] - 2) < 0.2 for path in results)
    assert len((results[0].parent / "metrics.jsonl").read_text().splitlines()) == 20

    again = call(root, "-m", "snakemake", "--profile", "profiles/local", **env)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr

    one = ("run.py", "--cfg", "conf/fit/line.prototxt", "lr=0.3")
    first, second = (call(root, *one, **env) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr
    assert "running" in first.stderr
    assert "nothing started" in second.stdout


@pytest.mark.slow
def test_a_new_project_runs_at_once(tmp_path: Path) -> None:
    init(tmp_path / "new")

    check_that_it_runs(tmp_path / "new")


@pytest.mark.slow
def test_a_project_made_by_the_installed_wheel_runs_at_once(repository: Path, tmp_path: Path) -> None:
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=repository, capture_output=True, text=True, check=True
    )
    installed = tmp_path / "installed"
    with zipfile.ZipFile(tmp_path / made.stdout.split()[-1]) as wheel:
        wheel.extractall(installed)
    env = {"PYTHONPATH": str(installed)}
    where = call(tmp_path, "-c", "import heyhi; print(heyhi.__file__)", **env).stdout.strip()
    assert where == str(installed / "heyhi/__init__.py"), "the wheel is what runs, not this tree"

    asked = call(tmp_path, "-m", "heyhi.cli", "init", "new", **env)
    assert asked.returncode == 0, asked.stderr
    assert set(files_in(tmp_path / "new")) >= NAMES
    check_that_it_runs(tmp_path / "new", **env)


def test_an_interrupted_run_of_the_new_task_ends_with_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    code = """
import os, sys
from pathlib import Path
import heyhi, run
whole, resumed = Path("whole"), Path("resumed")
cfg = heyhi.load_config("fit/line", ["epochs=5"]).fit
def train(folder, cfg):
    here = os.getcwd()
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    try:
        return run.fit(cfg)
    finally:
        os.chdir(here)
expected = train(whole, cfg)
train(resumed, heyhi.conf_set(cfg, "epochs", 3))
with (resumed / "metrics.jsonl").open("a") as file:
    file.write("half")  # killed before the checkpoint of the fourth epoch
assert train(resumed, cfg) == expected
assert (resumed / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
