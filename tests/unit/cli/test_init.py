"""What `heyhi init` writes into new folders and repositories, and that nothing that is there is touched.

tests/example runs it.
"""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import heyhi.cli.init
from heyhi.cli.init import init, project_names, sources
from heyhi.cli.made import lines_of, next_lines
from heyhi.cli.main import main
from heyhi.config.schema import load_schema
from heyhi.errors import HeyhiError, ProjectError
from heyhi.profiles import find_profile
from heyhi.project import Project, find_project

NEW = {
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
    "profiles/slurm/config.yaml",
    "pyproject.toml",
    "run.py",
}
PYPROJECT = '[project]\nname = "my-pkg"\nversion = "1"\n\n[tool.ruff]\nline-length = 99\n'


def files_in(root: Path) -> dict[str, bytes]:
    found = (p for p in root.rglob("*") if p.is_file() and ".git/" not in f"{p}")
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}


def write(root: Path, files: dict[str, str]) -> dict[str, bytes]:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    return files_in(root)


def call(capsys: Any, *words: str) -> tuple[int, str, str]:
    try:
        code = main(["init", *words])
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


# --- new ones


def test_a_new_project_takes_in_the_workflow_of_the_package_and_has_its_own_task(
    repository: Path, tmp_path: Path
) -> None:
    root = tmp_path / "a" / "b"
    made = init(root)

    assert files_in(root).keys() == NEW == set(made.files) and not made.extended
    assert (root / "conf/launcher.proto").read_bytes() == (repository / "conf/launcher.proto").read_bytes()
    for name in ("Snakefile", "profiles/local/config.yaml", "profiles/slurm/config.yaml"):
        assert len((root / name).read_text().splitlines()) <= 6


@pytest.mark.parametrize("folder", ["digits", "a b", 'so "called"', "größer"])
def test_a_new_project_is_called_as_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    init(tmp_path / folder)
    assert find_project(tmp_path / folder).name == folder
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    init(Path())
    assert find_project().name == "here"


def test_every_file_of_the_new_project_is_handed_out(repository: Path) -> None:
    there = {p for p in (repository / "heyhi/newproject").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    assert there | {repository / "conf/launcher.proto"} == {source for _, source in sources()}


def test_a_repository_that_was_just_begun_is_a_new_project(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    write(tmp_path, {".gitignore": "*.log\n"})
    made = init(tmp_path)
    assert set(made.files) == NEW - {".gitignore"} and set(made.extended) == {".gitignore"}


# --- repositories that have things already


def test_a_repository_gets_at_most_twelve_files_and_keeps_its_own(tmp_path: Path) -> None:
    before = write(
        tmp_path,
        {
            "README.md": "mine",
            "pyproject.toml": PYPROJECT,
            "setup.cfg": "[metadata]\n",
            "src/my_pkg/__init__.py": "",
            "tests/test_it.py": "",
            ".github/workflows/ci.yaml": "a: 1",
            ".gitignore": "build/\n",
        },
    )
    made = init(tmp_path)

    after = files_in(tmp_path)
    assert after.keys() - before.keys() == set(made.files) and len(made.files) + len(made.extended) == 12
    assert {n for n in before if after[n] != before[n]} == set(made.extended) == {"pyproject.toml", ".gitignore"}
    assert all(after[name].startswith(before[name]) for name in made.extended)
    project = find_project(tmp_path)
    assert (project.name, project.settings.entry, project.settings.sweep) == ("my-pkg", "run:main", "conf/fit/sweep.py")
    assert "# import my_pkg  # the code of src/my_pkg; pip install -e .\n" in (tmp_path / "run.py").read_text()
    load_schema(project)


TAKEN = {
    "run.py": "print('mine')\n",
    "Snakefile": "rule mine:\n",
    "conf.py": "mine = 1\n",
    "conf/config.yaml": "mine: 1\n",
    "profiles/me.txt": "mine\n",
    "results/mine.csv": "1\n",
}


def test_names_that_are_taken_are_left_and_the_settings_name_the_others(tmp_path: Path, capsys: Any) -> None:
    before = write(tmp_path, TAKEN)
    code, out, _ = call(capsys, str(tmp_path))

    assert code == 0
    after = files_in(tmp_path)
    assert {name: after[name] for name in before} == before
    new = {"heyhi_task.py", "heyhi.smk", "heyhi_conf/conf.proto", "heyhi_profiles/slurm/config.yaml"}
    assert new < after.keys()
    for usual, own in (("run.py", "heyhi_task.py"), ("conf", "heyhi_conf"), ("results", "heyhi_results")):
        assert f" left {usual} as it is: ours is {own}" in " ".join(out.split())
    project = find_project(tmp_path)
    assert project.settings.entry == "heyhi_task:main" and project.settings.sweep == "heyhi_conf/fit/sweep.py"
    assert project.results_root == tmp_path / "heyhi_results"
    assert find_profile(project, "local") == tmp_path / "heyhi_profiles/local"
    assert 'import "heyhi_conf/launcher.proto";' in after["heyhi_conf/conf.proto"].decode()
    assert load_schema(project)
    ignored = after[".gitignore"].decode().splitlines()
    assert "/heyhi_results/" in ignored and "/heyhi_conf/*_pb2.py*" in ignored
    assert main(["init", "--refresh", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("heyhi_conf/launcher.proto is up to date\n", "")
    code, out, err = call(capsys, str(tmp_path))
    assert (code, out) == (2, "") and "has [tool.heyhi], so this is a project already" in err
    assert files_in(tmp_path) == after


@pytest.mark.parametrize(
    ("files", "own"),
    [
        ({"run/__init__.py": ""}, {"task": "heyhi_task.py"}),
        ({"run.py": ""}, {"task": "heyhi_task.py"}),
        ({"workflow/Snakefile": ""}, {"snakefile": "heyhi.smk"}),
        ({"snakefile": ""}, {"snakefile": "heyhi.smk"}),
        ({"profiles/default/config.yaml": ""}, {}),
        ({"profiles/slurm/config.yaml": ""}, {"profiles": "heyhi_profiles"}),
        ({"profiles": ""}, {"profiles": "heyhi_profiles"}),
        ({"conf/config.yaml": "", "conf/common/a.yaml": ""}, {}),
        ({"conf/common/launcher/slurm.prototxt": ""}, {"conf": "heyhi_conf"}),
        ({"conf/fit": "a file where a folder belongs"}, {"conf": "heyhi_conf"}),
        ({"conf": ""}, {"conf": "heyhi_conf"}),
        ({"results/a": ""}, {"results": "heyhi_results"}),
        ({"results": ""}, {"results": "heyhi_results"}),
    ],
)
def test_a_name_is_taken_where_ours_would_be_in_the_way(
    tmp_path: Path, files: dict[str, str], own: dict[str, str]
) -> None:
    before = write(tmp_path, files)
    names = project_names(tmp_path)
    assert dict(zip(names._fields, names, strict=True)) == project_names(tmp_path / "new")._asdict() | own
    init(tmp_path)
    after = files_in(tmp_path)
    assert {name: after[name] for name in before} == before
    load_schema(find_project(tmp_path))


@pytest.mark.parametrize("name", ["run.py", "Snakefile", "conf", "profiles", "results"])
def test_a_link_counts_as_what_it_is_called_and_nothing_is_written_through_it(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for kind, target in (("broken", "nowhere"), ("to a folder", str(elsewhere))):
        root = tmp_path / kind
        root.mkdir()
        (root / name).symlink_to(target)
        init(root)
        assert (root / name).readlink() == Path(target) and not list(elsewhere.iterdir())


def test_what_is_in_the_way_by_both_names_is_named(tmp_path: Path) -> None:
    before = write(tmp_path, {"run.py": "", "heyhi_task.py": ""})
    with pytest.raises(ProjectError, match=r"run\.py and .*/heyhi_task\.py are there already: nothing was written"):
        init(tmp_path)
    assert files_in(tmp_path) == before


def test_a_package_that_would_hide_heyhi_is_named(tmp_path: Path) -> None:
    before = write(tmp_path, {"heyhi/__init__.py": ""})
    with pytest.raises(ProjectError, match=r"heyhi/__init__\.py would be imported in place of HeyHi"):
        init(tmp_path)
    assert files_in(tmp_path) == before


# --- what is extended


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "end"])
def test_a_pyproject_is_extended_with_its_own_line_ends_and_stays_otherwise(
    tmp_path: Path, end: str, last: str
) -> None:
    text = PYPROJECT.replace("\n", end).removesuffix(end) + (end if last else "")
    write(tmp_path, {"pyproject.toml": f"# größer{end}{text}"})
    (tmp_path / "pyproject.toml").chmod(0o640)
    before = (tmp_path / "pyproject.toml").read_bytes()
    init(tmp_path)
    after = (tmp_path / "pyproject.toml").read_bytes()
    assert (
        after.startswith(before)
        and (b"\r\n" in after) == (end == "\r\n")
        and after.count(b"\n") == after.count(end.encode())
    )
    assert tomllib.loads(after.decode())["tool"]["ruff"] == {"line-length": 99}
    assert (tmp_path / "pyproject.toml").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[tool.heyhi]\nentry = 'a:b'\n", "has [tool.heyhi], so this is a project already"),
        ("tool.heyhi.entry = 'a:b'\n", "has [tool.heyhi], so this is a project already"),
        ("[tool.heyhi\n", "is no valid TOML, so nothing was written"),
        ("a = '\x00'\n", "is no valid TOML"),
        ("\ufeff[project]\n", "begins with a byte order mark"),
        ("tool = {ruff = {}}\n", "[tool.heyhi] can't be added at its end"),
        ("tool = 3\n", "[tool.heyhi] can't be added at its end"),
        ("[[tool]]\na = 1\n", "[tool.heyhi] can't be added at its end"),
    ],
)
def test_a_pyproject_that_cannot_be_extended_is_named_and_nothing_is_written(
    tmp_path: Path, text: str, why: str
) -> None:
    before = write(tmp_path, {"pyproject.toml": text})
    with pytest.raises(ProjectError) as error:
        init(tmp_path)
    assert why in str(error.value) and "nothing was written" in str(error.value)
    assert files_in(tmp_path) == before


def test_what_is_ignored_already_is_not_written_again(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "results\n__pycache__\n.*\n*.py[cod]\n", "a.py": ""})
    made = init(tmp_path)
    assert made.extended[".gitignore"] == "/conf/*_pb2.py* /conf/*_cfgs.py* /metrics.jsonl"
    text = (tmp_path / ".gitignore").read_text()
    assert text == "results\n__pycache__\n.*\n*.py[cod]\n/conf/*_pb2.py*\n/conf/*_cfgs.py*\n/metrics.jsonl\n"


def test_a_gitignore_that_has_all_of_it_stays(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "/results\n.snakemake\n*_pb2.py*\n*_cfgs.py*\n*.jsonl\n__pycache__", "a.py": ""})
    before = (tmp_path / ".gitignore").read_bytes()
    assert ".gitignore" not in init(tmp_path).extended
    assert (tmp_path / ".gitignore").read_bytes() == before


def test_what_leads_out_of_the_folder_is_not_extended(tmp_path: Path) -> None:
    write(tmp_path, {"shared.toml": PYPROJECT, "repo/a.py": ""})
    (tmp_path / "repo/pyproject.toml").symlink_to("../shared.toml")
    with pytest.raises(ProjectError, match=r"pyproject\.toml leads to .*/shared\.toml, out of this folder"):
        init(tmp_path / "repo")
    assert files_in(tmp_path).keys() == {"shared.toml", "repo/a.py", "repo/pyproject.toml"}


def test_a_link_inside_of_the_folder_stays_one(tmp_path: Path) -> None:
    write(tmp_path, {"etc/pyproject.toml": PYPROJECT})
    (tmp_path / "pyproject.toml").symlink_to("etc/pyproject.toml")
    init(tmp_path)
    assert (tmp_path / "pyproject.toml").is_symlink()
    assert "[tool.heyhi]" in (tmp_path / "etc/pyproject.toml").read_text()


# --- nothing but all of it


def test_a_second_time_it_is_a_project_already(tmp_path: Path, capsys: Any) -> None:
    write(tmp_path, {"pyproject.toml": PYPROJECT})
    assert call(capsys, str(tmp_path))[0] == 0
    before = files_in(tmp_path)
    code, out, err = call(capsys, str(tmp_path))
    assert (code, out) == (2, "") and "so this is a project already: nothing was written" in err
    assert "heyhi init --refresh" in err and files_in(tmp_path) == before


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(tmp_path: Path, capsys: Any) -> None:
    before = write(tmp_path, TAKEN)
    code, out, err = call(capsys, "--dry-run", str(tmp_path))
    assert (code, err) == (0, "dry run: nothing was written\n") and files_in(tmp_path) == before
    assert "would make  heyhi_task.py " in out
    made = init(tmp_path)
    assert [line.split()[-1] for line in lines_of(made)] == [line.split()[-1] for line in out.splitlines()]
    assert not list((tmp_path / "new").parent.glob("new")) and call(capsys, "--dry-run", str(tmp_path / "new"))[0] == 0
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_a_project_already_is_refused(tmp_path: Path) -> None:
    before = write(tmp_path, {"conf/agents.proto": 'syntax = "proto2";\nmessage MetaCfg { }\n'})
    with pytest.raises(ProjectError, match=r"conf/agents\.proto exists, so this is a project already"):
        init(tmp_path)
    assert files_in(tmp_path) == before


def test_protos_of_another_kind_in_conf_stay_and_ours_have_a_folder_of_their_own(tmp_path: Path) -> None:
    before = write(tmp_path, {"conf/conf.proto": 'syntax = "proto3";\nmessage Server { }\n'})
    made = init(tmp_path)
    assert made.names.conf == "heyhi_conf" and files_in(tmp_path)["conf/conf.proto"] == before["conf/conf.proto"]
    assert load_schema(find_project(tmp_path)).tasks


def test_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xef\xbb\xbf" + PYPROJECT.encode())
    before = files_in(tmp_path)
    with pytest.raises(ProjectError, match=r"pyproject\.toml: begins with a byte order mark, which TOML doesn't allow"):
        init(tmp_path)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    ("ignored", "said"),
    [
        (
            "conf/\nrun.py\n",
            "git ignores run.py, conf/conf.proto, conf/launcher.proto and 4 more (.gitignore:2, .gitignore:1)",
        ),
        ("run.py\n!run.py\n", ""),
        ("*.log\n", ""),
    ],
)
def test_what_git_would_ignore_of_the_new_files_is_said(tmp_path: Path, ignored: str, said: str) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    write(tmp_path, {".gitignore": ignored})
    told = "\n".join(next_lines(init(tmp_path)))
    assert said in told and ("git ignores" in told) == bool(said)


@pytest.mark.parametrize("last", ["sweep.py", "launcher.proto", "pyproject.toml", ".gitignore"])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_full_disk_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, is_new: bool
) -> None:
    root = tmp_path / "new" / "project"
    before = {} if is_new else write(root, {"pyproject.toml": PYPROJECT, ".gitignore": "a\n", "conf/a.yaml": ""})
    opened, replaced = Path.open, Path.replace

    def full(self: Path, *args: object, **more: object) -> object:
        if self.name == last and args == ("xb",):
            raise OSError(28, "No space left on device", str(self))
        return opened(self, *args, **more)  # type: ignore[call-overload]

    def full_behind(self: Path, target: Path) -> Path:
        if target.name == last and not (isinstance(target, Path) and self.read_bytes() in before.values()):
            raise OSError(28, "No space left on device", str(target))
        return replaced(self, target)

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr(Path, "replace", full_behind)
    with pytest.raises(HeyhiError, match=rf"{last} can't be written: No space left on device: nothing was"):
        init(root)
    assert files_in(tmp_path / "new") == {f"project/{name}": content for name, content in before.items()}
    assert is_new or [path.name for path in (root / "conf").iterdir()] == ["a.yaml"]
    assert not is_new or list(tmp_path.iterdir()) == []


def test_ctrl_c_in_the_middle_leaves_all_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write(tmp_path, {"pyproject.toml": PYPROJECT, ".gitignore": "a\n"})
    replaced = heyhi.cli.init._replace

    def stopped(path: Path, content: bytes) -> None:
        if path.name == ".gitignore" and content not in before.values():
            raise KeyboardInterrupt
        replaced(path, content)

    monkeypatch.setattr(heyhi.cli.init, "_replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        init(tmp_path)
    assert files_in(tmp_path) == before


def test_what_somebody_else_has_changed_meanwhile_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(tmp_path, {"pyproject.toml": PYPROJECT})
    extended = heyhi.cli.init.with_settings

    def slowly(path: Path, *words: Any) -> bytes:
        content = extended(path, *words)
        path.write_bytes(b"# theirs\n" + before["pyproject.toml"])
        return content

    monkeypatch.setattr(heyhi.cli.init, "with_settings", slowly)
    with pytest.raises(ProjectError, match=r"pyproject\.toml: was changed by somebody else in the meantime"):
        init(tmp_path)
    assert files_in(tmp_path) == {"pyproject.toml": b"# theirs\n" + before["pyproject.toml"]}


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"conf": "", "repo": ""})
    for place in ("repo", "repo/below"):
        why = "exists, and is no folder" if place == "repo" else "can't be looked into: Not a directory"
        with pytest.raises(ProjectError, match=f"/{place} {why}: nothing was written"):
            init(tmp_path / place)
    assert files_in(tmp_path).keys() == {"conf", "repo"}


# --- what it says


def test_it_says_what_to_type_next_and_that_works_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = init(tmp_path / "a b")
    assert next_lines(made) == [
        "next:",
        "  cd 'a b'",
        "  heyhi describe conf/fit/line.prototxt",
        "  python run.py --cfg conf/fit/line.prototxt lr=0.3",
        "  heyhi run",
    ]


def test_a_package_beside_the_task_file_is_imported_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, {"bakery/__init__.py": "", "tests/__init__.py": "", "not-one/__init__.py": ""})
    made = init(tmp_path)
    assert "# import bakery  # the code of bakery; it lies beside this file\n" in (tmp_path / "run.py").read_text()
    assert "note" not in "".join(next_lines(made))


def test_a_package_below_src_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"src/unheard_of/__init__.py": "", "tests/__init__.py": ""})
    made = init(tmp_path)
    assert "note: src/unheard_of isn't installed for " in next_lines(made)[-1]
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    assert "note" not in next_lines(made)[-1]
    write(tmp_path, {"other/unheard_of/__init__.py": ""})
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    assert f"note: unheard_of is imported from {tmp_path}/other/unheard_of, not from here" in next_lines(made)[-1]


# --- drafts


def test_drafts_go_before_what_a_new_project_has(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": "mine"})
    names = project_names(tmp_path)
    proto = (heyhi.cli.init._TEMPLATES / "conf/conf.proto").read_bytes()
    drafts = {names.task: b"# drafted\n", "conf/conf.proto": proto, "conf/train/base.prototxt": b"fit {}\n"}
    made = init(tmp_path, drafts=drafts, config="conf/train/base.prototxt", override="epochs=2")
    assert (tmp_path / "heyhi_task.py").read_bytes() == b"# drafted\n"
    assert not (tmp_path / "conf/fit").exists() and (tmp_path / "conf/train/base.prototxt").exists()
    assert "  python heyhi_task.py --cfg conf/train/base.prototxt epochs=2" in next_lines(made)
    settings = tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]["heyhi"]
    assert settings == {"name": tmp_path.name, "entry": "heyhi_task:main"}
    assert made.project == Project(tmp_path, made.project.settings)


def test_a_draft_that_is_in_the_way_of_a_file_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    before = write(tmp_path, {"train.py": "mine"})
    with pytest.raises(ProjectError, match=r"/train\.py exists: nothing was written"):
        init(tmp_path, drafts={"train.py": b"ours"})
    assert files_in(tmp_path) == before
