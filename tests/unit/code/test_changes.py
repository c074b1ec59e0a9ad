"""Which code a run was made by, and how it differs from other code: in git, beside it, and without any."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heyhi.code import listing
from heyhi.code.changes import EDITED, GONE, NEW, CodeChanges
from heyhi.code.git import CodeVersion
from heyhi.code.snapshot import take_snapshot
from heyhi.code.version import code_version, version_of_run
from heyhi.code.versions import read_list
from heyhi.project import Project, Settings


@pytest.fixture(autouse=True)
def results_where_the_project_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HH_EXP_DIR", raising=False)


def git(root: Path, *args: str) -> str:
    person = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", *person, *args], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path) -> str:
    git(root, "add", ".")
    git(root, "commit", "-qm", "more")
    return git(root, "rev-parse", "HEAD")


def put(path: Path, text: str = "x\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in ("run.py", "lib/model.py", "conf/lab.proto", "conf/a.prototxt"):
        put(folder / name)
    put(folder / ".gitignore", "*.log\n/results\n")
    git(folder, "init", "-q")
    commit(folder)
    return folder


@pytest.fixture
def plain(root: Path) -> Path:
    shutil.rmtree(root / ".git")
    return root


def run(project: Project, code_root: Path | None = None) -> CodeVersion:
    """Return the version of a run that is a process of its own."""
    version_of_run.cache_clear()
    code_version.cache_clear()
    return version_of_run(code_root or project.root, project)


def since(project: Project, then: CodeVersion) -> str | None:
    change = CodeChanges(project).since(then.commit or "", then.dirty, then.digest)
    return None if change is None else change.text


def forget(project: Project, *versions: CodeVersion) -> None:
    for version in versions:
        (project.state_root / "versions" / f"{version.digest}.json").unlink()


# Which code it was


@pytest.mark.parametrize("in_git", [True, False])
def test_a_run_of_a_copy_and_of_the_same_work_tree_have_the_same_code(root: Path, in_git: bool) -> None:
    if not in_git:
        shutil.rmtree(root / ".git")
    project = Project(root, Settings(snapshot_exclude=("/lib",), snapshot_link=("data",)))
    put(root / "new.py").chmod(0o755)
    (root / "link.py").symlink_to("run.py")
    put(root / "data/big.bin")
    put(root / "lib/model.py", "not copied\n")
    of_tree = run(project)
    snapshot = take_snapshot(project)
    assert of_tree == run(project, snapshot.root)
    assert of_tree.digest and of_tree.dirty is in_git
    files = read_list(project, of_tree.digest)
    assert files is not None and {"run.py", "new.py", "link.py"} <= set(files)
    assert not {"lib/model.py", "data/big.bin"} & set(files)


def test_a_copy_that_is_gone_has_left_its_list(root: Path) -> None:
    project = Project(root)
    snapshot = take_snapshot(project)
    version = run(project, snapshot.root)
    shutil.rmtree(snapshot.root.parent)
    put(root / "run.py", "edited\n")
    assert since(project, CodeVersion(None, False, version.digest)) is not None
    files = read_list(project, version.digest)
    assert files is not None and "run.py" in files


@pytest.mark.parametrize("path", ["conf/lab.proto", "conf/a.prototxt", "conf/sweep.py"])
def test_an_edited_config_is_no_other_version_of_the_code(root: Path, path: str) -> None:
    put(root / "conf/sweep.py")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "a sweep")
    project = Project(root)
    before = run(project)
    put(root / path, "// edited\n")
    assert run(project) == before and not before.dirty
    assert run(project, take_snapshot(project).root) == before


@pytest.mark.parametrize("in_git", [True, False])
def test_outputs_and_notes_in_the_project_are_no_other_version_of_the_code(root: Path, in_git: bool) -> None:
    if not in_git:
        shutil.rmtree(root / ".git")
    project = Project(root)
    before = run(project)
    for name in (*OUTPUTS, *NO_CODE, ".#run.py"):
        put(root / name, "1\n")
    assert run(project) == before
    put(root / "nohup.out", "1\n2\n")
    assert run(project) == before == run(project, take_snapshot(project).root)
    assert since(project, before) is None


OUTPUTS = ("nohup.out", "notes.txt", "out/result.json", "out/hparams.yaml", "core", "fig.png", "run.py~", ".run.py.swp")
NO_CODE = (
    *("README2.md", "docs/a.rst", "LICENSE", "LICENCE-mit.txt", "README", "pyproject.toml", "lib/pyproject.toml"),
    *("uv.lock", "requirements.txt", "requirements-dev.txt", ".gitattributes", "lib/.gitignore", ".github/ci.py"),
)


@pytest.mark.parametrize("path", NO_CODE)
def test_an_edited_document_or_list_of_packages_is_no_other_version_of_the_code(root: Path, path: str) -> None:
    put(root / path)
    commit(root)
    project = Project(root)
    before = run(project)
    put(root / path, "edited\n")
    assert run(project) == before and not before.dirty
    assert run(project, take_snapshot(project).root) == before
    commit(root)
    assert since(project, before) is None
    forget(project, before)
    assert since(project, before) is None  # by git


@pytest.mark.parametrize("path", ["a.py", "lib/op.cu", "x.R", "go.sh", "Makefile", "readme.py", "license/check.py"])
def test_a_source_file_counts_the_same_before_and_after_it_is_committed(root: Path, path: str) -> None:
    project = Project(root)
    without = run(project)
    put(root / path)
    new = run(project)
    assert new.dirty and new.digest != without.digest
    assert run(project, take_snapshot(project).root) == new
    commit(root)
    committed = run(project)
    assert committed.digest == new.digest and not committed.dirty


@pytest.mark.parametrize(
    "path", ["vocab.txt", "model.yaml", "sizes.json", "table.csv", "train", "changes.csv", "license-plates.csv"]
)
def test_any_other_file_that_git_tracks_counts(root: Path, path: str) -> None:
    project = Project(root)
    put(root / path)
    commit(root)
    before = run(project)
    put(root / path, "edited\n")
    after = run(project)
    assert after.dirty and after.digest != before.digest
    assert (since(project, before) or "").endswith(f": {path}")


def test_a_copy_that_is_used_again_has_the_version_that_its_work_tree_has(root: Path) -> None:
    project = Project(root)
    put(root / "run.py", "edited\n")
    put(root / "vocab.txt")
    first = take_snapshot(project)
    git(root, "add", "vocab.txt")
    assert take_snapshot(project) == first
    assert run(project, first.root) == run(project)


def test_a_log_is_not_read_for_each_run_nor_forgotten_by_the_next_copy(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(root)
    put(root / "nohup.out")
    project.state_root.mkdir(parents=True)
    monkeypatch.setattr(listing, "_RACY_NS", -(10**12))  # as if all had been written long ago
    read: list[str] = []
    read_file = listing.read_file

    def noted(path: Path, copy: Path | None, *, warn: bool = True) -> str | None:
        read.append(path.name)
        return read_file(path, copy, warn=warn)

    monkeypatch.setattr(listing, "read_file", noted)
    run(project)
    assert "run.py" in read and "nohup.out" not in read
    take_snapshot(project)
    run(project)
    take_snapshot(project)
    assert read.count("nohup.out") == 1 and read.count("run.py") == 1
    put(root / "nohup.out", "grown\n")
    run(project)
    assert read.count("nohup.out") == 1


def test_a_setting_of_links_is_no_code(root: Path) -> None:
    assert run(Project(root, Settings(snapshot_link=("data",)))) == run(Project(root))


def test_what_is_new_and_edited_tells_versions_of_one_commit_apart(root: Path) -> None:
    project = Project(root)
    names = [run(project).name]
    put(root / "conf/b.prototxt")  # configs and sweep files are compared by what they say
    put(root / "conf/sweep.py")
    names.append(run(project).name)
    for text in ("one\n", "two\n"):
        put(root / "new.py", text)
        names.append(run(project).name)
    head = git(root, "rev-parse", "HEAD")[:8]
    assert names[:2] == [head, head]
    assert [name[:9] for name in names[2:]] == [f"{head}+"] * 2 and len(set(names[2:])) == 2


def test_without_git_a_version_is_named_by_its_content(plain: Path) -> None:
    version = run(Project(plain))
    assert version.name == f"code {version.digest[:8]}" and not version.dirty
    assert CodeVersion().name == ""
    assert CodeVersion("1a2b3c4d5e", True).name == "1a2b3c4d+"


def test_code_that_lies_elsewhere_is_not_the_projects(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert run(Project(root), tmp_path / "elsewhere") == CodeVersion()
    assert run(Project(root), root / "lib") == run(Project(root))


def test_no_run_fails_where_its_code_can_not_be_listed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git(root, "rev-parse", "HEAD")
    for name in ("MAX_FILES", "MAX_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(listing, name, 2)
            project = Project(root, results_override=tmp_path / name)
            assert run(project) == CodeVersion(head)
        assert run(project) == CodeVersion(head)  # and is not tried again at once
        (note,) = (project.state_root / "versions").iterdir()
        os.utime(note, (1e9, 1e9))
        assert run(project).digest
    assert run(Project(root, Settings(results="."))) == CodeVersion(head)
    put(root / "results")  # a file where the results root should be
    assert run(Project(root)) == CodeVersion(head)


def test_a_list_is_written_once_for_a_content(root: Path) -> None:
    project = Project(root)
    version = run(project)
    (path,) = (project.state_root / "versions").iterdir()
    before = path.stat()
    assert run(project) == version and path.stat().st_ino == before.st_ino
    assert set(json.loads(path.read_text())) == {"digest", "files"}


# What has changed since


def test_nothing_has_changed_since_a_run_of_the_same_code(root: Path) -> None:
    project = Project(root)
    then = run(project)
    assert since(project, then) is None
    put(root / "debug.log")
    put(root / "conf/new.prototxt")
    put(root / "conf/a.prototxt", "other\n")
    assert since(project, then) is None


def test_what_was_edited_since_is_named_with_both_versions(root: Path) -> None:
    project = Project(root)
    first = run(project)
    put(root / "tool.sh")
    put(root / "run.py", "edited\n")
    (root / "lib/model.py").unlink()
    second = run(project)
    change = CodeChanges(project).since(first.commit or "", first.dirty, first.digest)
    assert change is not None and (change.then, change.now) == (first.name, second.name)
    assert change.files == ("lib/model.py", "run.py", "tool.sh")
    assert change.edits == {"lib/model.py": GONE, "run.py": EDITED, "tool.sh": NEW}
    assert change.text == f"commit {first.name} → {second.name}: lib/model.py, run.py, tool.sh"


def test_many_files_are_counted(plain: Path) -> None:
    project = Project(plain)
    then = run(project)
    for i in range(5):
        put(plain / f"f{i}.py")
    now = run(project)
    assert since(project, then) == f"{then.name} → {now.digest[:8]}: f0.py, f1.py, f2.py and 2 more"


def test_a_commit_of_what_had_run_is_no_other_code(root: Path) -> None:
    project = Project(root)
    put(root / "run.py", "edited\n")
    then = run(project)
    assert then.dirty
    commit(root)
    assert since(project, then) is None


def test_another_clone_with_other_permissions_and_data_has_the_same_code(root: Path, tmp_path: Path) -> None:
    linked = Settings(snapshot_link=("data",))
    put(root / "data/big.bin")
    then = run(Project(root, linked, tmp_path / "out"))
    shutil.copytree(root, tmp_path / "clone")
    (tmp_path / "clone/run.py").chmod(0o600)
    put(tmp_path / "clone/data/other.bin")
    clone = Project(tmp_path / "clone", linked, tmp_path / "out")
    assert run(clone) == then
    assert since(clone, then) is None


@pytest.mark.parametrize("edit", ["committed", "uncommitted"])
def test_commits_tell_where_there_are_no_lists(root: Path, edit: str) -> None:
    project = Project(root)
    then = run(project)
    forget(project, then)
    put(root / "run.py", "edited\n")
    if edit == "committed":
        put(root / "conf/a.prototxt", "other\n")
        commit(root)
    for digest in (then.digest, ""):
        text = since(project, CodeVersion(then.commit, then.dirty, digest))
        assert text is not None and text.endswith(": run.py") and text.startswith(f"commit {then.name} → ")


def test_a_commit_of_configs_alone_is_no_other_code(root: Path) -> None:
    project = Project(root)
    head = git(root, "rev-parse", "HEAD")
    put(root / "conf/a.prototxt", "other\n")
    commit(root)
    assert since(project, CodeVersion(head)) is None


@pytest.mark.parametrize(
    "then",
    [
        CodeVersion(),
        CodeVersion("0" * 40),
        CodeVersion("--output=x"),
        CodeVersion("main"),
        CodeVersion(digest="../../x"),
    ],
)
def test_what_nobody_can_tell_is_not_said(root: Path, then: CodeVersion) -> None:
    assert CodeChanges(Project(root)).between(then, CodeVersion("1" * 40)) is None
    if not then.digest:
        assert since(Project(root), then) is None
    assert not (root / "x").exists()


def test_edits_that_are_on_no_record_are_said_where_the_digests_differ(root: Path) -> None:
    project = Project(root)
    put(root / "run.py", "one\n")
    then = run(project)
    put(root / "run.py", "two\n")
    now = run(project)
    forget(project, then)
    assert since(project, then) == f"commit {then.name} → {now.name}: files that are not on record"


def test_a_damaged_list_is_no_trouble(root: Path) -> None:
    project = Project(root)
    then = run(project)
    put(project.state_root / "versions" / f"{then.digest}.json", '{"files": ')
    put(root / "run.py", "edited\n")
    text = since(project, then)
    assert text is not None and text.endswith(": run.py")


def test_two_recorded_versions_are_compared_with_one_another(root: Path) -> None:
    project = Project(root)
    one = run(project)
    put(root / "run.py", "edited\n")
    two = run(project)
    put(root / "later.py")
    change = CodeChanges(project).between(one, two)
    assert change is not None and change.edits == {"run.py": EDITED}


def test_who_only_looks_makes_no_folder(root: Path) -> None:
    assert since(Project(root), CodeVersion(None, False, "0123")) is not None
    assert not (root / "results").exists()


def test_the_project_is_listed_once_and_each_version_compared_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(root)
    then = run(project)
    put(root / "run.py", "edited\n")
    changes = CodeChanges(project)
    first = changes.since(then.commit or "", then.dirty, then.digest)
    monkeypatch.setenv("PATH", "")
    assert first is not None
    assert changes.since(then.commit or "", then.dirty, then.digest) is first


def test_a_name_that_is_no_text_can_be_printed(plain: Path) -> None:
    project = Project(plain)
    then = run(project)
    Path(os.fsdecode(os.fsencode(plain) + b"/\xff.py")).touch()
    text = since(project, then)
    assert text is not None and text.encode().endswith(rb": \udcff.py")


TREES = st.dictionaries(st.sampled_from(["a.py", "b.py", "lib/c.py", "d.sh"]), st.sampled_from(["1", "2", "3"]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=TREES, two=TREES)
def test_what_differs_is_what_differs(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, str], two: dict[str, str]
) -> None:
    root = tmp_path_factory.mktemp("any")
    project = Project(root / "code", results_override=root / "out")
    versions = []
    for tree in (one, two):
        shutil.rmtree(root / "code", ignore_errors=True)
        (root / "code").mkdir()
        for name, text in tree.items():
            put(root / "code" / name, text)
        versions.append(run(project))
    change = CodeChanges(project).between(*versions)
    differ: Callable[[str], bool] = lambda name: one.get(name) != two.get(name)  # noqa: E731
    assert set(change.files if change is not None else ()) == set(filter(differ, {**one, **two}))
    assert (versions[0].digest == versions[1].digest) is (one == two)
