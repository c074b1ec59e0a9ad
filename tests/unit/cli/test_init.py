"""What `heyhi init` writes, and that nothing that is there is touched; tests/example runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import heyhi.cli.init
from heyhi.cli.init import init
from heyhi.errors import ProjectError
from heyhi.project import find_project

NAMES = {
    ".gitignore",
    "README.md",
    "Snakefile",
    "conf/common/launcher/local.prototxt",
    "conf/common/launcher/slurm.prototxt",
    "conf/conf.proto",
    "conf/launcher.proto",
    "conf/fit/line.prototxt",
    "conf/fit/sweep.py",
    "profiles/local/config.yaml",
    "pyproject.toml",
    "run.py",
    "workflows/experiment.smk",
    "workflows/own.py",
    "workflows/own.smk",
    "workflows/report.smk",
    "workflows/report/page.rst",
    "workflows/report/sweep.rst",
    "workflows/report/table.rst",
}


def files_in(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_new_project_has_the_workflow_of_this_tree_and_its_own_task(repository: Path, tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    written = init(root)

    made = files_in(root)
    assert set(made) >= NAMES
    assert sorted(p.relative_to(root).as_posix() for p in written) == sorted(made)
    for name in (
        "Snakefile",
        "conf/launcher.proto",
        *(n for n in made if n.startswith(("workflows/", "profiles/")) and "/own." not in n),
    ):
        assert made[name] == (repository / name).read_bytes(), "there is one workflow, not a copy of it"


@pytest.mark.parametrize("folder", ["digits", "a b", 'so "called"', "größer"])
def test_a_new_project_is_called_as_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    init(tmp_path / folder)
    assert find_project(tmp_path / folder).name == folder
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    init(Path())
    assert find_project().name == "here"


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
