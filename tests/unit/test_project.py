"""Where a project is, and what its pyproject.toml says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.errors import HeyhiError, ProjectError
from heyhi.project import NODE_FAULTS, SCHEDULING_KEYS, Project, Settings, find_project, name_line

PROTO = 'syntax = "proto3"; message MetaCfg { oneof task { Task run = 1; } } message Task { string name = 1; }'


def make(root: Path, settings: str = "", conf: str = "conf") -> Path:
    (root / conf).mkdir(parents=True, exist_ok=True)
    (root / conf / "conf.proto").write_text(PROTO)
    if settings:
        (root / "pyproject.toml").write_text(settings)
    return root


def test_a_project_is_found_upward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "project")
    below = root / "conf/a/b"
    below.mkdir(parents=True)
    assert find_project(below) == Project(root)
    assert find_project(root / "no/such/folder").root == root
    monkeypatch.chdir(below)
    assert find_project().root == root
    assert find_project(Path()).root == root


def test_the_nearest_project_counts(tmp_path: Path) -> None:
    make(tmp_path)
    inner = make(tmp_path / "a/inner")
    (tmp_path / "a/conf").mkdir()
    assert find_project(inner / "conf").root == inner
    assert find_project(tmp_path / "a/conf").root == tmp_path


def test_a_project_reached_through_a_link_keeps_that_name(tmp_path: Path) -> None:
    make(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert find_project(tmp_path / "link/conf").root == tmp_path / "link"


def test_the_main_scripts_project_is_found_from_elsewhere(tmp_path: Path) -> None:
    root = make(tmp_path / "project")
    (root / "main.py").write_text("from heyhi.project import find_project; print(find_project().root)")
    done = subprocess.run(
        [sys.executable, str(root / "main.py")], cwd="/", capture_output=True, text=True, check=True, env=_environment()
    )
    assert done.stdout.strip() == str(root)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def test_no_project_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=rf"^{tmp_path}: no HeyHi project here or above"):
        find_project(tmp_path)


def test_settings_are_read(tmp_path: Path) -> None:
    make(
        tmp_path,
        '[tool.heyhi]\nresults = "out"\nentry = "main:go"\nsweep = "s.py"\nconf = "configs"\n'
        'include_dirs = ["more", "/even/more"]\nidentity_ignore = ["x.*"]\n',
        conf="configs",
    )
    project = find_project(tmp_path)
    assert project.settings == Settings(
        "out", "main:go", "s.py", "configs", ("more", "/even/more"), (*SCHEDULING_KEYS, "x.*")
    )
    assert project.settings.own_identity_ignore == ("x.*",)
    assert project.conf_root == tmp_path / "configs"
    assert project.results_root == tmp_path / "out"
    assert project.reports_root == tmp_path / "out/reports"
    assert project.state_root == tmp_path / "out/.heyhi"


def test_without_settings_there_are_defaults(tmp_path: Path) -> None:
    make(tmp_path, '[project]\nversion = "1"\n')
    project = find_project(tmp_path)
    assert project.settings == Settings()
    assert project.settings.identity_ignore == SCHEDULING_KEYS
    assert project.results_root == tmp_path / "results"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[tool.heyhi]\nname = "mine"\n', "mine"),
        ('[tool.heyhi]\nname = "größer als 3"\n', "größer als 3"),
        ('[project]\nname = "packaged"\n', "packaged"),
        ('[project]\nname = "packaged"\n[tool.heyhi]\nname = "mine"\n', "mine"),
        ('[project]\nname = "packaged"\n[tool.heyhi]\nsweep = "x.py"\n', "packaged"),
        ('[project]\nname = ""\n[tool.heyhi]\nname = "mine"\n', "mine"),  # that one is the packaging's business
        ("project = 3\n", ""),
        ("[tool.heyhi]\n", ""),
        ("", ""),
    ],
)
def test_a_project_has_the_name_that_it_declares(tmp_path: Path, text: str, name: str) -> None:
    make(tmp_path, text)
    project = find_project(tmp_path)
    assert project.name == name
    roots = {"project_root": str(tmp_path), "results_root": str(tmp_path / "results")}
    assert project.roots == ({**roots, "project": name} if name else roots)


@given(st.text(max_size=20))
def test_the_line_that_names_a_project_as_its_folder_names_it(folder: str) -> None:
    (key, value), *others = tomllib.loads(name_line(Path("/projects") / folder)).items()
    assert key == "name" and not others and value.isprintable() and value.strip() == value != ""
    if folder.isalnum():
        assert value == folder


@pytest.mark.parametrize(
    ("variable", "root"),
    [
        ("/data/x", "/data/x"),
        ("out/../x", "{root}/x"),
        ("", "{root}/results"),
        ("~nobody-at-all/x", "{root}/~nobody-at-all/x"),
    ],
)
def test_the_results_root_comes_from_the_environment_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, root: str
) -> None:
    monkeypatch.setenv("HH_EXP_DIR", variable)
    assert str(Project(tmp_path).results_root) == root.replace("{root}", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("HH_EXP_DIR", "~/x")
    assert str(Project(tmp_path).results_root) == "/home/me/x"


def test_a_script_may_choose_its_own_results_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HH_EXP_DIR", "/data/x")
    assert Project(tmp_path, results_override=Path("/own")).results_root == Path("/own")


def test_paths_are_relative_inside_and_absolute_outside(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert project.relative(tmp_path / "a/b") == "a/b"
    assert project.relative(Path("/x/y")) == "/x/y"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.heyhi]\nresults = x", r"is no valid TOML: Invalid value \(at line 2, column 11\)"),
        ("[tool.heyhi]\nresult = 'x'", r"\[tool.heyhi\] has no setting 'result' \(did you mean 'results'\?\)"),
        ("[tool.heyhi]\nresults = 3", r"\[tool.heyhi\] results must be a string, not 3"),
        ("[tool.heyhi]\nsweep = ['x']", r"\[tool.heyhi\] sweep must be a string, not \['x'\]"),
        ("[tool.heyhi]\ninclude_dirs = 'x'", r"\[tool.heyhi\] include_dirs must be a list of strings, not 'x'"),
        ("[tool.heyhi]\nidentity_ignore = [1]", r"\[tool.heyhi\] identity_ignore must be a list of strings, not \[1\]"),
        ("[tool]\nheyhi = 3", r"tool.heyhi must be a table, not 3"),
        ("[tool.heyhi]\nconf = 'con'", r"has \[tool.heyhi\], but there is no .proto file in .*/con$"),
        (
            "[tool.heyhi]\nlog_to = ['wandbb']",
            r"log_to has 'wandbb' \(did you mean 'wandb'\?\); expected tensorboard, wandb, mlflow, or a function",
        ),
        ("[tool.heyhi]\nlog_to = ['m:']", r"\[tool.heyhi\] log_to has 'm:'; expected tensorboard, wandb, mlflow, or"),
        ("[tool.heyhi]\nlog_to = 'wandb'", r"\[tool.heyhi\] log_to must be a list of strings, not 'wandb'"),
        ("[tool.heyhi]\nname = 3", r"\[tool.heyhi\] name must be a string, not 3"),
        ("[tool.heyhi]\nname = ''", r"\[tool.heyhi\] name must be a name: printable text in one line, not ''"),
        ("[tool.heyhi]\nname = ' a'", r"\[tool.heyhi\] name must be a name: printable text in one line, not ' a'"),
        ('[tool.heyhi]\nname = "a\\nb"', r"\[tool.heyhi\] name must be a name: .*, not 'a\\nb'"),
        ("[tool.heyhi]\nwas = 'a'", r"\[tool.heyhi\] was must be a list of strings, not 'a'"),
        ("[tool.heyhi]\nwas = ['a', '']", r"\[tool.heyhi\] was must be a name: printable text in one line, not ''"),
        ("[project]\nname = 3", r"\[project\] name must be a name: printable text in one line, not 3"),
        ('[tool.heyhi]\nconf = "a\\u0000b"', r"\[tool.heyhi\] conf must be a string"),
        ("x = " + "[" * 5000, "is no valid TOML"),
    ],
)
def test_what_is_wrong_in_a_pyproject_is_said(tmp_path: Path, text: str, message: str) -> None:
    make(tmp_path, text)
    with pytest.raises(ProjectError, match=message) as raised:
        find_project(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}/pyproject.toml: ")


def test_a_pyproject_that_is_no_text_is_said(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "pyproject.toml").write_bytes(b"\xff")
    with pytest.raises(ProjectError, match=r"pyproject.toml: is no valid TOML: 'utf-8' codec can't decode"):
        find_project(tmp_path)


def test_other_tools_settings_are_their_own(tmp_path: Path) -> None:
    make(tmp_path, "tool = 3\n")
    assert find_project(tmp_path).root == tmp_path


@given(text=st.text())
def test_any_pyproject_is_read_or_an_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = make(tmp_path_factory.getbasetemp() / "any")
    for content in (text, f"[tool.heyhi]\n{text}"):
        (root / "pyproject.toml").write_text(content, encoding="utf-8", newline="")
        try:
            assert find_project(root).root == root
        except HeyhiError as error:
            assert str(error).startswith(str(root))


def test_a_removed_working_directory_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys.modules["__main__"], "__file__", None, raising=False)
    with pytest.raises(ProjectError, match="no working directory"):
        find_project()


def test_the_node_faults_that_the_docs_show_are_the_default(repository: Path, tmp_path: Path) -> None:
    docs = (repository / "docs" / "slurm.md").read_text()
    (shown,) = (block for block in re.findall(r"```toml\n(.*?)```", docs, re.DOTALL) if "node_faults" in block)
    assert find_project(make(tmp_path, shown)).settings.node_faults == NODE_FAULTS == Settings().node_faults
    assert find_project(make(tmp_path, "[tool.heyhi]\nnode_faults = []")).settings.node_faults == ()
