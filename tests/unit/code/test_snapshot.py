"""Copies of the code: what is in them, how they are named and shared, and what the worst inputs do to them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.code import git as git_module
from heyhi.code import listing as listing_module
from heyhi.code import snapshot as snapshot_module
from heyhi.code.changes import CodeChanges
from heyhi.code.snapshot import Snapshot, link_record, open_snapshot, take_snapshot
from heyhi.code.versions import list_code_now
from heyhi.code.work_tree_diff import read_diff
from heyhi.errors import ResultError, SnapshotError
from heyhi.project import Project, Settings

OLD = 1_600_000_000


def git(root: Path, *args: str) -> str:
    person = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *person, *args], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def put(path: Path, text: str = "x\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one commit."""
    folder = tmp_path / "project"
    put(folder / "run.py", "print(1)\n")
    put(folder / "lib/model.py", "SIZE = 1\n")
    put(folder / ".gitignore", "*.log\n/results\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The same without git."""
    folder = tmp_path / "plain"
    put(folder / "run.py", "print(1)\n")
    put(folder / "lib/model.py", "SIZE = 1\n")
    return folder


def settings(root: Path, **values: Any) -> Project:
    return Project(root, Settings(**values))


def names(snapshot: Snapshot) -> set[str]:
    paths = snapshot.root.rglob("*")
    return {str(p.relative_to(snapshot.root)) for p in paths if p.is_symlink() or not p.is_dir()}


def led_to(path: Path) -> str:
    return os.readlink(path)  # noqa: PTH115 (as it is written)


def record(snapshot: Snapshot) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(snapshot.record.read_text())
    return content


def copies(project: Project) -> list[str]:
    return sorted(p.name for p in (project.state_root / "code").iterdir() if p.is_dir())


# What is copied


def test_files_are_copied_as_they_are_now_with_new_ones_and_without_deleted_and_ignored_ones(
    root: Path,
) -> None:
    put(root / "lib/model.py", "SIZE = 2\n")
    put(root / "staged.py")
    git(root, "add", "staged.py")
    put(root / "fresh/new.py")
    put(root / "debug.log")
    git(root, "add", "-f", put(root / "kept.log").name)
    (root / "run.py").unlink()
    snapshot = take_snapshot(Project(root))
    assert names(snapshot) == {".gitignore", "lib/model.py", "staged.py", "fresh/new.py", "kept.log"}
    assert (snapshot.root / "lib/model.py").read_text() == "SIZE = 2\n"
    assert snapshot.root == root / "results/.heyhi/code" / snapshot.digest / "tree"


def test_an_edit_after_it_was_taken_does_not_reach_it(root: Path) -> None:
    project = Project(root)
    before = take_snapshot(project)
    put(root / "run.py", "print(2)\n")
    after = take_snapshot(project)
    assert before.digest != after.digest
    assert [(s.root / "run.py").read_text() for s in (before, after)] == ["print(1)\n", "print(2)\n"]


def test_a_project_may_be_a_subfolder_of_a_repository(root: Path) -> None:
    put(root / "lib/new.py")
    put(root / "run.py", "edited\n")
    put(root / "lib/model.py", "SIZE = 2\n")
    snapshot = take_snapshot(Project(root / "lib"))
    assert names(snapshot) == {"model.py", "new.py"}
    assert record(snapshot)["commit"] == git(root, "rev-parse", "HEAD")
    assert record(snapshot)["new_files"] == ["new.py"]
    assert "+SIZE = 2" in record(snapshot)["diff"] and "edited" not in record(snapshot)["diff"]


def test_submodules_are_copied_with_their_edits(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    put(other / "tool.py", "old\n")
    git(other, "init", "-q")
    git(other, "add", ".")
    git(other, "commit", "-qm", "tool")
    git(root, "submodule", "--quiet", "add", str(other), "deps/other")
    git(root, "submodule", "--quiet", "add", str(other), "deps/empty")
    git(root, "commit", "-qm", "submodules")
    put(root / "deps/other/tool.py", "new\n")
    put(root / "deps/other/more.py")
    git(root, "submodule", "--quiet", "deinit", "deps/empty")
    snapshot = take_snapshot(Project(root))
    assert names(snapshot) == {
        ".gitignore", ".gitmodules", "run.py", "lib/model.py", "deps/other/tool.py", "deps/other/more.py",
    }  # fmt: skip
    assert (snapshot.root / "deps/other/tool.py").read_text() == "new\n"
    assert "+new" in record(snapshot)["diff"]
    assert record(snapshot)["new_files"] == ["deps/other/more.py"]
    (root / "deps/empty").rmdir()
    (root / "deps/empty").symlink_to(tmp_path)
    snapshot = take_snapshot(Project(root))
    assert led_to(snapshot.root / "deps/empty") == str(tmp_path)


def test_a_repository_in_the_repository_is_copied_by_its_own_rules(root: Path) -> None:
    put(root / "nested/a.py")
    put(root / "nested/b.tmp")
    put(root / "nested/.gitignore", "*.tmp\n")
    git(root / "nested", "init", "-q")
    git(root / "nested", "add", ".")
    git(root / "nested", "commit", "-qm", "nested")
    put(root / "unborn/c.py")
    git(root / "unborn", "init", "-q")
    snapshot = take_snapshot(Project(root))
    assert names(snapshot) == {
        ".gitignore", "run.py", "lib/model.py", "nested/a.py", "nested/.gitignore", "unborn/c.py",
    }  # fmt: skip


def test_a_repository_in_a_project_without_one_is_copied_by_its_own_rules(plain: Path) -> None:
    put(plain / "tool/a.py")
    put(plain / "tool/b.tmp")
    put(plain / "tool/.gitignore", "*.tmp\n")
    git(plain / "tool", "init", "-q")
    assert names(take_snapshot(Project(plain))) == {"run.py", "lib/model.py", "tool/a.py", "tool/.gitignore"}


def test_a_repository_without_a_commit(plain: Path) -> None:
    git(plain, "init", "-q")
    git(plain, "add", "run.py")
    snapshot = take_snapshot(Project(plain))
    assert names(snapshot) == {"run.py", "lib/model.py"}
    assert (record(snapshot)["commit"], record(snapshot)["dirty"], record(snapshot)["diff"]) == (None, False, "")


def test_outside_git_all_but_hidden_and_made_files_are_copied(plain: Path) -> None:
    for name in (".secret", ".venv/lib/x.py", "__pycache__/run.pyc", "env/pyvenv.cfg", "env/lib/y.py", "old.pyc"):
        put(plain / name)
    put(plain / "results/p/e/log.txt")
    snapshot = take_snapshot(Project(plain))
    assert names(snapshot) == {"run.py", "lib/model.py"}
    assert (record(snapshot)["commit"], record(snapshot)["new_files"]) == (None, [])


def test_without_git_installed_it_is_as_outside_git(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    snapshot = take_snapshot(Project(root))
    assert names(snapshot) == {"run.py", "lib/model.py"}
    assert record(snapshot)["commit"] is None


def test_a_project_that_an_outer_repository_ignores_is_as_outside_git(plain: Path) -> None:
    put(plain.parent / ".gitignore", "*\n")
    git(plain.parent, "init", "-q")
    snapshot = take_snapshot(Project(plain))
    assert names(snapshot) == {"run.py", "lib/model.py"}


def test_what_programs_make_is_left_out_also_where_no_gitignore_names_it(root: Path) -> None:
    project = Project(root)
    before = take_snapshot(project)
    for name in ("lib/__pycache__/model.pyc", ".snakemake/log/1", "env/pyvenv.cfg", "env/lib/y.py"):
        put(root / name)
    assert take_snapshot(project) == before


def test_git_that_refuses_is_an_error_and_never_copies_what_is_ignored(root: Path) -> None:
    (root / ".git/index").write_bytes(b"damaged index file")
    with pytest.raises(SnapshotError, match=r"git can't say which files are code: .*index.*--no-snapshot"):
        take_snapshot(Project(root))


def test_inside_a_git_hook_the_projects_own_repository_is_asked(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    snapshot = take_snapshot(Project(root))
    assert names(snapshot) == {".gitignore", "run.py", "lib/model.py"}
    assert record(snapshot)["commit"] is not None


def test_nothing_that_a_repository_names_is_executed(root: Path, tmp_path: Path) -> None:
    program = put(tmp_path / "program", f"#!/bin/sh\ntouch {tmp_path}/executed\ncat\n")
    program.chmod(0o755)
    put(root / "nested/a.py")
    git(root / "nested", "init", "-q")
    put(root / ".gitattributes", "*.py diff=own\n")
    for folder in (root, root / "nested"):
        for key in ("core.fsmonitor", "diff.external", "diff.own.textconv", "diff.own.command", "core.pager"):
            git(folder, "config", key, str(program))
    (tmp_path / "executed").unlink(missing_ok=True)  # git config may have asked it
    put(root / "run.py", "print(2)\n")
    snapshot = take_snapshot(Project(root))
    assert "+print(2)" in record(snapshot)["diff"]
    assert not (tmp_path / "executed").exists()


FILTERED = "*.py filter=own diff=own\n*.txt filter=a=b\n"


@pytest.mark.parametrize("where", ["config", "include", "worktree", "submodule", "submodule's include"])
def test_no_filter_of_a_repository_is_run(
    root: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = put(tmp_path / "program", f"#!/bin/sh\necho $0 $* >> {tmp_path}/executed\ncat\n")
    program.chmod(0o755)
    other = tmp_path / "other"
    put(other / "tool.py", "old\n")
    git(other, "init", "-q")
    git(other, "add", ".")
    git(other, "commit", "-qm", "tool")
    git(root, "submodule", "--quiet", "add", str(other), "deps/other")
    put(root / "note.txt")
    put(root / ".gitattributes", FILTERED)
    put(root / "deps/other/.gitattributes", FILTERED)
    git(root, "add", ".")
    git(root, "commit", "-qm", "submodule")
    words = {"filter.own.clean": program, "filter.own.process": f"{program} process", "filter.a=b.clean": program}
    words |= {"filter.own.required": "true", "diff.own.textconv": program, "diff.submodule": "diff"}
    words |= {"status.submoduleSummary": "true", "core.fsmonitor": program, "submodule.deps/other.ignore": "none"}
    folder = root / "deps/other" if where.startswith("submodule") else root
    if where == "worktree":
        git(root, "config", "extensions.worktreeConfig", "true")
    for key, value in words.items():
        if where.endswith("include"):
            git(folder, "config", "-f", str(tmp_path / "included"), key, str(value))
        else:
            git(folder, "config", *(["--worktree"] if where == "worktree" else []), key, str(value))
    if where.endswith("include"):
        git(folder, "config", "include.path", str(tmp_path / "included"))
    for hooks in (root / ".git/hooks", root / ".git/modules/deps/other/hooks"):
        for name in ("post-index-change", "fsmonitor-watchman"):
            shutil.copy(program, hooks / name)
    put(root / "run.py", "print(2)\n")
    put(root / "lib/model.py", "SIZE = 1\n")
    put(root / "note.txt", "y\n")
    put(root / "deps/other/tool.py", "new\n")
    (tmp_path / "executed").unlink(missing_ok=True)  # git itself may have
    snapshot = take_snapshot(Project(root))
    content = record(snapshot)
    assert not (tmp_path / "executed").exists(), (tmp_path / "executed").read_text()
    assert "+print(2)" in content["diff"] and "+new" in content["diff"] and "SIZE" not in content["diff"]
    assert (content["dirty"], content["edited"]) == (True, True)
    list_code_now(Project(root), is_dirty=True)
    CodeChanges(Project(root)).since(content["commit"], False, "")
    assert not (tmp_path / "executed").exists(), (tmp_path / "executed").read_text()
    # The test would see it.
    monkeypatch.setattr(git_module, "_without_filters", lambda root: ())
    read_diff(Project(root), root)
    assert (tmp_path / "executed").exists()


def test_a_filter_that_a_person_has_set_up_is_run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root / ".gitattributes", "*.bin filter=large\n")
    put(tmp_path / "person", '[filter "large"]\n\tclean = tr a-z A-Z\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "person"))
    put(root / "x.bin", "weights")
    git(root, "config", "filter.other.clean", "cat")
    git(root, "add", ".")
    git(root, "commit", "-qm", "large")
    os.utime(root / "x.bin", (OLD, OLD))
    content = record(take_snapshot(Project(root)))
    assert (content["dirty"], content["diff"]) == (False, "")


@pytest.mark.parametrize("what", ["content", "commit", "new commit"])
def test_edits_in_a_submodule_are_edits(root: Path, tmp_path: Path, what: str) -> None:
    other = tmp_path / "other"
    put(other / "tool.py", "old\n")
    git(other, "init", "-q")
    git(other, "add", ".")
    git(other, "commit", "-qm", "tool")
    git(root, "submodule", "--quiet", "add", str(other), "deps/other")
    git(root, "commit", "-qm", "submodule")
    assert record(take_snapshot(Project(root)))["dirty"] is False
    put(root / "deps/other/tool.py", "new\n")
    if what != "content":
        git(root / "deps/other", "commit", "-qam", "second")
    if what == "new commit":
        git(root, "add", "deps/other")
    content = record(take_snapshot(Project(root)))
    assert (content["dirty"], content["edited"]) == (True, True)
    if what != "new commit":
        assert "+new" in content["diff"]


# What is left out, and what is linked


@pytest.mark.parametrize("in_git", [True, False])
def test_the_results_root_is_never_copied(root: Path, in_git: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / ".gitignore").unlink()
    if not in_git:
        shutil.rmtree(root / ".git")
    put(root / "results/p/old/log.txt")
    put(root / "out/results/p/e/log.txt")
    monkeypatch.setenv("HH_EXP_DIR", "out/results")
    assert names(take_snapshot(Project(root))) == {"run.py", "lib/model.py"}


@pytest.mark.parametrize("target", ["inside", "outside"])
def test_results_may_be_a_link(root: Path, tmp_path: Path, target: str) -> None:
    real = {"inside": root / "store", "outside": tmp_path / "store"}[target]
    put(real / "p/e/log.txt")
    (root / "results").symlink_to(real)
    (root / ".gitignore").unlink()
    snapshot = take_snapshot(Project(root))
    assert names(snapshot) == {"run.py", "lib/model.py"}
    assert (real / ".heyhi/code" / snapshot.digest / "tree/run.py").is_file()


def test_results_in_the_project_root_itself_are_refused(root: Path) -> None:
    with pytest.raises(SnapshotError, match=r"results root is the project root.*--no-snapshot"):
        take_snapshot(settings(root, results="."))


PATTERNS = [
    "*.ckpt", "a.ckpt", "/a.ckpt", "lib/", "/lib", "lib/*.py", "**/deep", "lib/**/c.py", "lib/**", "d?.txt",
    "d[12].txt", "d[!1].txt", r"we\*ird", "a/b", "./lib", "lib/deep/", "link", "link/", "li**", "a b", "[", "x]y",
]  # fmt: skip
PATTERN_FILES = [
    "a.ckpt", "lib/a.ckpt", "lib/a.py", "lib/deep/c.py", "lib/c.py", "other/lib/z.py", "other/deep/c.py", "d1.txt",
    "d2.txt", "d12.txt", "we*ird", "weeird", "a/b/c", "x/a/b/c", "a b", "deep", "[", "x]y", "library.py",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_snapshot_exclude_reads_as_a_gitignore_does(tmp_path: Path, pattern: str) -> None:
    root = tmp_path / "project"
    for name in PATTERN_FILES:
        put(root / name)
    (root / "link").symlink_to("lib")
    plain = names(take_snapshot(settings(root, snapshot_exclude=(pattern,))))
    git(root, "init", "-q")
    assert names(take_snapshot(settings(root, snapshot_exclude=(pattern,)))) == plain
    # Git knows neither `./`, nor a class that isn't closed as a name.
    put(root / ".git/info/exclude", {"./lib": "/lib", "[": r"\["}.get(pattern, pattern) + "\n/results\n")
    assert set(git(root, "ls-files", "-o", "--exclude-standard").splitlines()) == plain


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"snapshot_exclude": ("![z-a]",)}, r"snapshot_exclude has '!\[z-a\]'"),
        ({"snapshot_exclude": ("[z-a]",)}, r"snapshot_exclude has '\[z-a\]'"),
        ({"snapshot_link": ("/data",)}, r"snapshot_link names '/data': it must be a path inside the project"),
        ({"snapshot_link": ("a/../..",)}, r"snapshot_link names 'a/../..'"),
        ({"snapshot_link": ("",)}, r"snapshot_link names ''"),
    ],
)
def test_a_wrong_setting_is_named(plain: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(SnapshotError, match=message):
        take_snapshot(settings(plain, **values))


@pytest.mark.parametrize("in_git", [True, False])
def test_a_linked_folder_is_the_projects_own(root: Path, in_git: bool) -> None:
    if not in_git:
        shutil.rmtree(root / ".git")
    put(root / "data/big.bin", "1")
    put(root / "deep/er/one.txt", "1")
    project = settings(root, snapshot_link=("data", "./deep/er/", "deep/er/one.txt"))
    snapshot = take_snapshot(project)
    put(root / "data/big.bin", "2")
    put(root / "data/later.bin", "2")
    assert led_to(snapshot.root / "data") == str(root / "data")
    assert (snapshot.root / "data/later.bin").read_text() == "2"
    assert (snapshot.root / "deep/er").is_symlink() and not (snapshot.root / "deep").is_symlink()
    assert take_snapshot(project) == snapshot
    assert record(snapshot)["links"] == {"data": str(root / "data"), "deep/er": str(root / "deep/er")}


def test_a_linked_folder_behind_a_link_of_the_project_is_reached_through_it(root: Path, tmp_path: Path) -> None:
    put(tmp_path / "sets/one/x.txt", "1")
    (root / "data").symlink_to(tmp_path / "sets")
    snapshot = take_snapshot(settings(root, snapshot_link=("data/one",)))
    assert (snapshot.root / "data/one/x.txt").read_text() == "1"
    assert (snapshot.root / "data").is_symlink()


@pytest.mark.parametrize("in_git", [True, False])
def test_links_lead_to_the_copy_or_to_where_they_led(root: Path, tmp_path: Path, in_git: bool) -> None:
    if not in_git:
        shutil.rmtree(root / ".git")
    put(tmp_path / "outside.txt", "out")
    put(root / "ignored.log", "log")
    links = {
        "relative": ("lib/model.py", "lib/model.py"),
        "folder": ("lib", "lib"),
        "lib/up": ("../run.py", "../run.py"),
        "through": ("folder/model.py", "folder/model.py"),
        "lib/absolute": (f"{root}/run.py", "../run.py"),
        "self": (".", "."),
        "loop": ("loop", "loop"),
        "out": ("../outside.txt", f"{tmp_path}/outside.txt"),
        "lib/out": (f"{tmp_path}/outside.txt", f"{tmp_path}/outside.txt"),
        "nowhere": ("/no/such/place", "/no/such/place"),
        "back": ("results/p", f"{root}/results/p"),
    }
    if in_git:
        links["ignored"] = ("ignored.log", f"{root}/ignored.log")
    for name, (text, _) in links.items():
        (root / name).symlink_to(text)
    snapshot = take_snapshot(Project(root))
    assert {name: led_to(snapshot.root / name) for name in links} == {n: there for n, (_, there) in links.items()}
    put(root / "run.py", "print(2)\n")
    assert (snapshot.root / "lib/absolute").read_text() == "print(1)\n"
    assert (snapshot.root / "out").read_text() == "out"


def test_a_project_that_is_reached_through_a_link_knows_its_own_links(root: Path, tmp_path: Path) -> None:
    (tmp_path / "name").symlink_to(root)
    (root / "a").symlink_to(root / "run.py")
    (root / "b").symlink_to(tmp_path / "name/run.py")
    snapshot = take_snapshot(Project(tmp_path / "name"))
    assert [led_to(snapshot.root / n) for n in "ab"] == ["run.py", "run.py"]


# Worst inputs


@pytest.mark.parametrize("in_git", [True, False])
def test_any_name_is_copied(root: Path, in_git: bool, tmp_path: Path) -> None:
    if not in_git:
        shutil.rmtree(root / ".git")
    strange = [
        b"new\nline",
        b"quo'te\"s",
        "größe".encode(),
        b"\xff\xfe",
        b"-f",
        b"a\\b",
        b"*",
        b" ",
        b"HEAD",
        b"\t",
        b":x",
    ]
    for name in strange:
        Path(os.fsdecode(bytes(root) + b"/odd/" + name)).parent.mkdir(exist_ok=True)
        Path(os.fsdecode(bytes(root) + b"/odd/" + name)).write_text("x")
        Path(os.fsdecode(bytes(root) + b"/" + name)).write_text("x")
    put(root / "run.py", "print(2)\n")
    project = settings(root, snapshot_exclude=("big",))
    snapshot = take_snapshot(project)
    assert sorted(os.listdir(os.fsencode(snapshot.root / "odd"))) == sorted(strange)  # noqa: PTH208
    assert take_snapshot(project) == snapshot
    if in_git:
        new = {os.fsencode(name) for name in record(snapshot)["new_files"]}
        assert new == {*strange, *(b"odd/" + name for name in strange)}
        assert "+print(2)" in record(snapshot)["diff"]
    (tmp_path / "e").mkdir()
    link_record(snapshot, tmp_path / "e/code.json")


@pytest.mark.parametrize("in_git", [True, False])
def test_sockets_and_pipes_are_no_code(root: Path, in_git: bool) -> None:
    if not in_git:
        shutil.rmtree(root / ".git")
    (root / "lib/model.py").unlink()
    os.mkfifo(root / "lib/model.py")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root)  # a socket's path must be short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
        assert names(take_snapshot(Project(root))) - {".gitignore"} == {"run.py"}


def as_user_without_rights(code: str, *args: str) -> str:
    """Run Python as a user whom file permissions stop, as they don't stop root."""
    command = [sys.executable, "-c", code, *args]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root reads everything, and there is no setpriv to take that away")
        rights = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]
    env = {**os.environ, "PYTHONPATH": str(Path(snapshot_module.__file__).parents[1])}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    return done.stdout + done.stderr


@pytest.mark.parametrize("in_git", [True, False])
def test_what_can_not_be_read_is_left_out_and_named(root: Path, in_git: bool) -> None:
    if not in_git:
        shutil.rmtree(root / ".git")
    put(root / "private.txt").chmod(0)
    put(root / "closed/x.txt").parent.chmod(0)
    said = as_user_without_rights(
        "import sys; from pathlib import Path; from heyhi.project import Project; from heyhi.code.snapshot import *\n"
        "print(take_snapshot(Project(Path(sys.argv[1]))).root)",
        str(root),
    )
    (root / "closed").chmod(0o755)
    tree = Path(said.splitlines()[0])
    assert f"{root}/private.txt is left out: Permission denied" in said
    assert (tree / "run.py").is_file() and not (tree / "private.txt").exists() and not (tree / "closed").exists()
    assert json.loads((tree.parent / "code.json").read_text())["left_out"] == ["private.txt"]


def test_modes_are_kept_but_nobody_may_write(root: Path) -> None:
    (root / "run.py").chmod(0o755)
    (root / "lib/model.py").chmod(0o600)
    (root / "lib").chmod(0o700)
    project = Project(root)
    first = take_snapshot(project)
    assert [stat.S_IMODE((first.root / n).stat().st_mode) for n in ("run.py", "lib/model.py", "lib")] == [
        0o555, 0o400, 0o700,
    ]  # fmt: skip
    assert not first.record.stat().st_mode & 0o222
    (root / "run.py").chmod(0o644)
    assert take_snapshot(project).digest != first.digest


def test_a_tree_that_is_too_big_is_refused_with_what_is_biggest(root: Path) -> None:
    big = put(root / "data/train/images/a.bin")
    os.truncate(big, 250_000_000)
    os.truncate(put(root / "model.pt"), 30_000_000)
    with pytest.raises(SnapshotError) as caught:
        take_snapshot(Project(root))
    text = str(caught.value)
    assert "would hold 280 MB in 5 files, more than 200 MB or 20,000 files" in text
    assert "Most of it: 'data/train/images/a.bin' (250 MB), 'model.pt' (30 MB). " in text
    assert 'snapshot_exclude = ["data/train/images/a.bin"]' in text and "snapshot_link" in text
    assert "--no-snapshot" in text
    assert copies(Project(root)) == []
    take_snapshot(settings(root, snapshot_exclude=("data",)))
    take_snapshot(settings(root, snapshot_link=("data",)))


@pytest.mark.parametrize("name", ["w[1].bin", "a*?.bin", "!w", "#w", "w\\1", "w ", "data/w[1]", "wé\n"])
def test_the_pattern_that_is_suggested_for_what_is_too_big_leaves_it_out(root: Path, name: str) -> None:
    os.truncate(put(root / name), 250_000_000)
    with pytest.raises(SnapshotError) as caught:
        take_snapshot(Project(root))
    suggested = re.search(r"(snapshot_exclude = \[.*\]), link to it", str(caught.value))
    assert suggested is not None
    patterns = tuple(tomllib.loads(suggested.group(1))["snapshot_exclude"])
    assert names(take_snapshot(settings(root, snapshot_exclude=patterns))) == {".gitignore", "run.py", "lib/model.py"}


def test_a_tree_of_too_many_files_is_refused(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "MAX_FILES", 5)
    monkeypatch.setattr(listing_module, "_MOST_NAMES", 150)
    for i in range(100):
        put(plain / f"cache/{i % 3}/{i}.txt")
    message = r"hold 0.00 MB in 102 files, more than 200 MB or 5 files. Most of it: 'cache' \(0.00 MB in 100 files\)\."
    with pytest.raises(SnapshotError, match=message):
        take_snapshot(Project(plain))
    for i in range(100):
        put(plain / f"more/{i}.txt")
    for i in range(100):
        put(plain / f"{i}.txt")
    with pytest.raises(SnapshotError, match=r"would hold at least 0\.00 MB in 150 files"):
        take_snapshot(Project(plain))


def test_a_root_folder_of_too_many_files_names_some(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "MAX_FILES", 5)
    for i in range(150):
        put(plain / f"{i}.txt")
    with pytest.raises(
        SnapshotError, match=r"Most of it: 'lib/model.py' \(|Most of it: '\d+.txt' \(|Most of it: 'run.py' \("
    ):
        take_snapshot(Project(plain))


# One copy for the same code


def test_the_same_code_gives_the_same_copy_and_copies_nothing(root: Path) -> None:
    project = Project(root)
    first = take_snapshot(project)
    inode = (first.root / "run.py").stat().st_ino
    (root / "run.py").touch()
    assert take_snapshot(project) == first
    assert (first.root / "run.py").stat().st_ino == inode
    assert copies(project) == [first.digest]


@pytest.mark.parametrize("settled", [True, False])
def test_only_a_file_that_was_just_written_is_read_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, settled: bool
) -> None:
    monkeypatch.setattr(listing_module, "_RACY_NS", 0 if settled else 600 * 10**9)
    project = Project(root)
    first = take_snapshot(project)
    read: list[str] = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *args, **kw: (read.append(str(path)), real(path, *args, **kw))[1])
    assert take_snapshot(project) == first
    assert (str(root / "lib/model.py") in read) != settled
    put(root / "lib/model.py", "SIZE = 2\n")
    assert take_snapshot(project) != first


@pytest.mark.parametrize(
    "content", ["", "[]", '{"version": 1}', '{"version": 1, "files": {"run.py": 3}}', '{"version": 1, "files": []}']
)
def test_the_memory_of_hashes_may_be_damaged_or_gone(root: Path, content: str) -> None:
    project = Project(root)
    first = take_snapshot(project)
    for path in (project.state_root / "code").glob("hashes-*"):
        path.unlink()
    assert take_snapshot(project) == first
    for path in (project.state_root / "code").glob("hashes-*"):
        path.write_text(content)
    assert take_snapshot(project) == first


def test_unchanged_files_are_not_read_again(root: Path) -> None:
    for i in range(200):
        put(root / f"d{i % 5}/f{i}.py", f"print({i})\n")
        os.utime(root / f"d{i % 5}/f{i}.py", (OLD, OLD))
    code = (
        "import sys; from pathlib import Path; from heyhi.project import Project\n"
        "from heyhi.code import listing, snapshot\n"
        "listing._RACY_NS = 0  # these files are young, and nobody writes them again\n"
        "root = Path(sys.argv[1]); opened = []\n"
        "sys.addaudithook(lambda event, args: event == 'open' and opened.append(str(args[0])))\n"
        "snapshot.take_snapshot(Project(root))\n"
        "print(sum(name.startswith(f'{root}/d') for name in opened))"
    )
    counts = [
        int(subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=True).stdout)
        for _ in range(2)
    ]
    assert counts[0] >= 200
    assert counts[1] == 0


def test_several_processes_at_once_end_with_one(root: Path) -> None:
    for i in range(200):
        put(root / f"d{i % 5}/f{i}.py", f"print({i})\n")
    code = (
        "import sys; from pathlib import Path; from heyhi.project import Project; from heyhi.code.snapshot import *\n"
        "sys.stdin.read(); print(take_snapshot(Project(Path(sys.argv[1]))).digest)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(snapshot_module.__file__).parents[1])}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    digests = {process.communicate(timeout=60)[0].strip() for process in started}
    assert [process.returncode for process in started] == [0] * 4
    assert copies(Project(root)) == sorted(digests) and len(digests) == 1
    open_snapshot(Project(root), digests.pop())


def remove_file(snapshot: Snapshot) -> None:
    (snapshot.root / "lib/model.py").unlink()


def cut_file(snapshot: Snapshot) -> None:
    (snapshot.root / "run.py").chmod(0o644)
    os.truncate(snapshot.root / "run.py", 0)


def edit_file(snapshot: Snapshot) -> None:
    (snapshot.root / "run.py").chmod(0o644)
    (snapshot.root / "run.py").write_text("print(7)\n")
    os.utime(snapshot.root / "run.py", (OLD, OLD))


def turn_link(snapshot: Snapshot) -> None:
    (snapshot.root / "link").unlink()
    (snapshot.root / "link").symlink_to("run.py")


def remove_list(snapshot: Snapshot) -> None:
    (snapshot.root.parent / "files.json").unlink()


def empty_list(snapshot: Snapshot) -> None:
    (snapshot.root.parent / "files.json").write_text("{}")


def half_remove(snapshot: Snapshot) -> None:
    shutil.rmtree(snapshot.root)


def replace_by_file(snapshot: Snapshot) -> None:
    shutil.rmtree(snapshot.root.parent)
    snapshot.root.parent.write_text("")


DAMAGES = [remove_file, cut_file, edit_file, turn_link, remove_list, empty_list, half_remove, replace_by_file]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_copy_is_noticed_and_made_anew(root: Path, damage: Callable[[Snapshot], None]) -> None:
    (root / "link").symlink_to("lib/model.py")
    project = Project(root)
    first = take_snapshot(project)
    open_snapshot(project, first.digest)
    damage(first)
    with pytest.raises(SnapshotError, match="removed or changed; launch again"):
        open_snapshot(project, first.digest)
    assert take_snapshot(project) == first
    open_snapshot(project, first.digest)
    assert (first.root / "run.py").read_text() == "print(1)\n"
    assert (first.root / "link").read_text() == (first.root / "lib/model.py").read_text() == "SIZE = 1\n"
    assert copies(project) == [first.digest]
    assert not list((project.state_root / "code").glob(".*"))


def test_what_jobs_add_is_no_damage(root: Path) -> None:
    project = Project(root)
    first = take_snapshot(project)
    put(first.root / "lib/__pycache__/model.pyc")
    assert take_snapshot(project) == open_snapshot(project, first.digest) == first


def test_what_a_killed_process_left_is_removed_later(root: Path) -> None:
    project = Project(root)
    code = project.state_root / "code"
    put(code / ".0123.tmp/tree/run.py")
    os.utime(code / ".0123.tmp", (OLD, OLD))
    put(code / ".4567.tmp/tree/run.py")
    first = take_snapshot(project)
    assert copies(project) == [".4567.tmp", first.digest]


def test_a_link_that_leads_elsewhere_is_other_code(root: Path) -> None:
    (root / "link").symlink_to("run.py")
    first = take_snapshot(Project(root))
    (root / "link").unlink()
    (root / "link").symlink_to("lib/model.py")
    second = take_snapshot(Project(root))
    assert second.digest != first.digest and led_to(second.root / "link") == "lib/model.py"


# Code that changes meanwhile


def while_copying(monkeypatch: pytest.MonkeyPatch, change: Callable[[int], None]) -> None:
    """Call `change` each time after run.py, the last file, was read to be copied."""
    real, calls = snapshot_module.read_file, [0]

    def read(path: Path, copy: Path | None) -> str | None:
        content = real(path, copy)
        if copy is not None and path.name == "run.py":
            calls[0] += 1
            change(calls[0])
        return content

    monkeypatch.setattr(snapshot_module, "read_file", read)


def holds_what_it_is_named_after(project: Project, snapshot: Snapshot) -> bool:
    """Return whether a project that holds just this copy's files gives a copy of the same name."""
    again = project.root.parent / "again"
    shutil.copytree(snapshot.root, again, symlinks=True)
    for path in again.rglob("*.py"):
        path.chmod((project.root / path.relative_to(again)).stat().st_mode)
    git(again, "init", "-q")
    return take_snapshot(Project(again)).digest == snapshot.digest


def test_an_edit_while_it_is_copied_is_in_as_a_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(call: int) -> None:
        if call == 1:
            put(root / "run.py", "from lib.model import WIDTH\n")
            put(root / "lib/model.py", "WIDTH = 2\n")

    while_copying(monkeypatch, change)
    project = Project(root)
    snapshot = take_snapshot(project)
    assert (snapshot.root / "run.py").read_text() == "from lib.model import WIDTH\n"
    assert (snapshot.root / "lib/model.py").read_text() == "WIDTH = 2\n"
    assert "+WIDTH = 2" in record(snapshot)["diff"]
    assert copies(project) == [snapshot.digest]
    assert holds_what_it_is_named_after(project, snapshot)


def test_a_file_that_vanishes_or_comes_while_it_is_copied(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(call: int) -> None:
        if call == 1:
            (root / "lib/model.py").unlink()
            put(root / "new.py")

    while_copying(monkeypatch, change)
    project = Project(root)
    snapshot = take_snapshot(project)
    assert names(snapshot) == {".gitignore", "run.py", "new.py"}
    assert holds_what_it_is_named_after(project, snapshot)


def test_a_file_that_becomes_a_pipe_holds_nothing_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def open_late(path: str | Path, flags: int, *args: Any, **kw: Any) -> int:
        if path == root / "run.py" and path.is_file():
            path.unlink()
            os.mkfifo(path)
            assert flags & os.O_NONBLOCK
        return real(path, flags, *args, **kw)

    monkeypatch.setattr(os, "open", open_late)
    assert names(take_snapshot(Project(root))) == {".gitignore", "lib/model.py"}


def test_a_file_that_grows_as_fast_as_it_is_read_has_an_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root / "grows.txt", "line\n")
    real, updates = hashlib.sha256, [0]

    class Growing:
        def __init__(self, data: bytes = b"") -> None:
            self._hash = real(data)
            self.hexdigest = self._hash.hexdigest

        def update(self, data: bytes) -> None:
            self._hash.update(data)
            if data.endswith(b"line\n"):
                updates[0] += 1
                assert updates[0] < 100
                with (root / "grows.txt").open("a") as file:
                    file.write("line\n")

    monkeypatch.setattr(hashlib, "sha256", Growing)
    snapshot = take_snapshot(Project(root))
    assert set((snapshot.root / "grows.txt").read_text().split()) == {"line"}


def test_code_that_never_stays_still_is_copied_with_a_warning(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    while_copying(monkeypatch, lambda call: put(root / "run.py", f"print({call * 10})\n") and None)
    project = Project(root)
    snapshot = take_snapshot(project)
    assert "it changes while it is copied (run.py)" in caplog.text
    assert copies(project) == [snapshot.digest]
    monkeypatch.undo()
    assert holds_what_it_is_named_after(project, snapshot)


def test_a_file_that_is_always_written_to_gives_a_copy_named_by_its_content(root: Path) -> None:
    stop = threading.Event()

    def grow() -> None:
        with (root / "grows.txt").open("a") as file:
            while not stop.wait(0.0005):
                file.write("line\n" * 100)
                file.flush()

    put(root / "grows.txt")
    thread = threading.Thread(target=grow)
    thread.start()
    try:
        project = Project(root)
        snapshot = take_snapshot(project)
    finally:
        stop.set()
        thread.join()
    open_snapshot(project, snapshot.digest)
    assert holds_what_it_is_named_after(project, snapshot)


# The record


def test_the_record_says_commit_difference_and_new_files(root: Path) -> None:
    put(root / "run.py", "print(2)\n")
    put(root / "new.py", "12345\n")
    content = record(take_snapshot(Project(root)))
    assert content["commit"] == git(root, "rev-parse", "HEAD")
    assert (content["dirty"], content["new_files"], content["new_file_count"]) == (True, ["new.py"], 1)
    assert content["diff"].startswith("diff --git") and "+print(2)" in content["diff"]
    assert (content["files"], content["bytes"]) == (
        4,
        sum(map(len, ("print(2)\n", "12345\n", "SIZE = 1\n", "*.log\n/results\n"))),
    )
    assert abs(content["time"] - time.time()) < 60


def test_a_long_difference_is_cut_and_says_so(root: Path) -> None:
    put(root / "run.py", "ü = 1\n" * 300_000)
    diff = record(take_snapshot(Project(root)))["diff"]
    assert diff.endswith("\n[cut: longer than 1000000 bytes]\n") and len(diff.encode()) < 1_000_100


def test_the_same_code_after_a_commit_is_recorded_as_that_commit(root: Path, tmp_path: Path) -> None:
    project = Project(root)
    put(root / "run.py", "print(2)\n")
    first = take_snapshot(project)
    (tmp_path / "e").mkdir()
    link_record(first, tmp_path / "e/code.json")
    git(root, "commit", "-qam", "second")
    assert take_snapshot(project) == first
    assert record(first)["commit"] == git(root, "rev-parse", "HEAD")
    assert (record(first)["dirty"], record(first)["diff"], record(first)["files"]) == (False, "", 3)
    assert json.loads((tmp_path / "e/code.json").read_text())["commit"] == git(root, "rev-parse", "HEAD^")
    first.record.unlink()
    take_snapshot(project)
    assert record(first)["files"] == 3


def test_an_experiment_gets_the_record_as_a_hard_link(root: Path, tmp_path: Path) -> None:
    snapshot = take_snapshot(Project(root))
    folder = tmp_path / "e"
    folder.mkdir()
    put(folder / "code.json", "of an earlier launch")
    for _ in range(2):
        link_record(snapshot, folder / "code.json")
        assert (folder / "code.json").samefile(snapshot.record)
        assert [path.name for path in folder.iterdir()] == ["code.json"]


def test_where_links_fail_the_record_is_copied(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    snapshot = take_snapshot(Project(root))
    link_record(snapshot, tmp_path / "code.json")
    assert (tmp_path / "code.json").read_text() == snapshot.record.read_text()
    assert not (tmp_path / "code.json").samefile(snapshot.record)
    assert not list(tmp_path.glob(".code.json.*"))
    with pytest.raises(ResultError, match="can't be written"):
        link_record(snapshot, tmp_path / "no such folder/code.json")
    snapshot.record.unlink()
    with pytest.raises(SnapshotError, match="launch again"):
        link_record(snapshot, tmp_path / "code.json")


def test_results_that_can_not_be_written_are_named(root: Path) -> None:
    put(root / "results", "a file")
    with pytest.raises(ResultError, match=r"results/.heyhi/code: can't be written"):
        take_snapshot(Project(root))


def test_nothing_is_said_where_nothing_is_wrong(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    take_snapshot(Project(root))
    assert caplog.text == ""
