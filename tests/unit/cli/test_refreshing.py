"""`heyhi init --refresh`: what changes, what stays, and that nothing of a project's own is lost."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heyhi.cli.init import init
from heyhi.cli.main import main
from heyhi.config.schema import load_schema
from heyhi.project import find_project

OWN = """\
  /* Mine,
     not yours. */
  // Really.
  optional string mine = 1001 [default = "x"];  // so it is
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    init(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def refresh(capsys: Any, *words: str) -> tuple[int, str, str]:
    try:
        code = main(["init", "--refresh", *words])
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def launcher(root: Path) -> Path:
    return root / "conf/launcher.proto"


def older(root: Path) -> str:
    """Make the copy an older one, without the newest fields; return the new one."""
    new = launcher(root).read_text()
    old = re.sub(r"  // How often in a row the job may.*(?=\n}\n)", "", new, flags=re.DOTALL).replace(
        "early", "too early"
    )
    old = re.sub(r"  oneof limit \{.*?\n  \}\n", "  optional double hours = 4 [default = 1];\n", old, flags=re.DOTALL)
    assert "srun_extra" not in old and "time" not in re.findall(r"string (\w+)", old)
    launcher(root).write_text(old)
    load_schema(find_project())
    return new


def test_a_new_copy_is_up_to_date(root: Path, capsys: Any) -> None:
    assert refresh(capsys) == (0, "conf/launcher.proto is up to date\n", "")


def test_an_older_copy_becomes_the_new_one_and_what_changes_is_shown(root: Path, capsys: Any) -> None:
    new = older(root)
    code, out, err = refresh(capsys, "--dry-run")
    assert (code, err) == (0, "dry run: conf/launcher.proto stays as it is\n")
    assert "+  optional string srun_extra = 27;\n" in out and launcher(root).read_text() != new
    (root / "elsewhere").mkdir()
    assert refresh(capsys, str(root / "elsewhere"))[0] == 0, "the project around a folder"
    assert launcher(root).read_text() == new
    assert refresh(capsys)[1] == "conf/launcher.proto is up to date\n"


def test_what_the_project_has_added_stays(root: Path, capsys: Any) -> None:
    older(root)
    text = launcher(root).read_text().replace("[default = 1.5]", "[default = 3]")
    text = text.replace("  // Seconds before", f"{OWN}  repeated Port ports = 1002;\n  // Seconds before")
    text = text.replace("    SlurmLauncher slurm = 2;\n", "    SlurmLauncher slurm = 2;\n    Cloud cloud = 3;\n")
    text = text.replace(
        "message LocalLauncher {\n", "message LocalLauncher {\n  oneof more { int32 a = 7; bool b = 8; }\n"
    )
    text += "\n// Elsewhere.\nmessage Cloud {\n  optional string zone = 1;\n}\n\nenum Port { LOW = 0; }\n"
    launcher(root).write_text(text)
    code, _, err = refresh(capsys)
    assert code == 0, err
    assert "SlurmLauncher.oom_mem_factor: default 3 (HeyHi's: 1.5)" in err and "kept: SlurmLauncher.mine\n" in err
    merged = launcher(root).read_text()
    assert OWN in merged and "// Elsewhere.\nmessage Cloud {" in merged and "srun_extra = 27" in merged
    schema = load_schema(find_project())
    slurm = schema.pool.FindMessageTypeByName("SlurmLauncher").fields_by_name
    assert (slurm["mine"].default_value, slurm["oom_mem_factor"].default_value) == ("x", 3)
    assert slurm["time"].containing_oneof.name == slurm["hours"].containing_oneof.name == "limit"
    kinds = schema.pool.FindMessageTypeByName("Launcher").oneofs_by_name["kind"].fields
    assert [field.name for field in kinds] == ["local", "slurm", "cloud"]
    assert refresh(capsys)[1] == "conf/launcher.proto is up to date\n"
    assert merged == launcher(root).read_text()


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (
            "oom_mem_factor = 15",
            "oom_mem_factor = 99",
            "SlurmLauncher.oom_mem_factor: is 'optional double oom_mem_factor",
        ),
        (
            "optional int32 pack",
            "optional int64 pack",
            "SlurmLauncher.pack: is 'optional int64 pack = 17 [default = 1];'",
        ),
        (
            "  // Seconds before",
            "  optional string mine = 27;\n  // Seconds",
            "SlurmLauncher.mine: has the number 27, which",
        ),
        ("message Launcher", "package x;\nmessage Launcher", "it has a package or a syntax of its own"),
        ("message Launcher", "service S {}\nmessage Launcher", "what it has beside messages and enums: would be lost"),
        ("message Launcher", "mesage Launcher", "launcher.proto:"),
    ],
)
def test_what_cannot_be_put_together_is_named_and_nothing_is_written(
    root: Path, capsys: Any, before: str, after: str, why: str
) -> None:
    older(root)
    text = launcher(root).read_text().replace(before, after, 1)
    launcher(root).write_text(text)
    code, out, err = refresh(capsys)
    assert (code, out) == (2, "")
    assert "conf/launcher.proto can't be brought up to date: nothing was written\n" in err and why in err
    assert launcher(root).read_text() == text


def test_a_project_with_the_launcher_in_its_own_proto_works_and_is_told_how_to_move_it(root: Path, capsys: Any) -> None:
    own = root / "conf/conf.proto"
    messages = launcher(root).read_text().partition('syntax = "proto2";\n')[2]
    own.write_text(own.read_text().replace('import "conf/launcher.proto";\n', "") + messages)
    launcher(root).unlink()
    load_schema(find_project())
    before = own.read_text()
    code, _, err = refresh(capsys)
    assert code == 2 and "conf/conf.proto has Launcher, LocalLauncher, SlurmLauncher itself" in err
    assert 'write `import "conf/launcher.proto";`' in err
    assert own.read_text() == before and not launcher(root).exists()


def test_one_that_is_missing_is_made(root: Path, capsys: Any) -> None:
    new = launcher(root).read_text()
    launcher(root).unlink()
    assert refresh(capsys)[0] == 0
    assert launcher(root).read_text() == new


def test_copies_of_what_the_package_has_stay_and_are_named(root: Path, repository: Path, capsys: Any) -> None:
    """As projects have them that were made when all of it was copied."""
    profile = "cores: 3\nlogger: [heyhi]\n"
    (root / "profiles/local/config.yaml").write_text(profile)
    shutil.copy(repository / "Snakefile", root)
    shutil.copytree(repository / "workflows", root / "workflows")
    (root / "run.py").write_text("mine")
    older(root)
    said = refresh(capsys)[2]
    assert "profiles/local/config.yaml differs from HeyHi's, and stays" in said
    assert "\nSnakefile, workflows/experiment.smk, " in said and ": copies of HeyHi's, which no upgrade reaches" in said
    assert (root / "profiles/local/config.yaml").read_text() == profile and (root / "run.py").read_text() == "mine"


def test_what_takes_the_packages_files_in_is_the_users_to_change(root: Path, capsys: Any) -> None:
    with (root / "profiles/slurm/config.yaml").open("a") as file:
        file.write("jobs: 7\n")
    with (root / "Snakefile").open("a") as file:
        file.write("# mine\n")
    assert refresh(capsys) == (0, "conf/launcher.proto is up to date\n", "")


def test_protoc_goes_on_working_in_a_new_project(root: Path) -> None:
    protoc = f'protoc() {{ {sys.executable} -P -m grpc_tools.protoc -I. "$@"; }}'
    command = f"{protoc}; protoc conf/*.proto --python_out ./"
    subprocess.run(["bash", "-c", command], cwd=root, check=True, capture_output=True)
    code = "from conf import conf_pb2; print(conf_pb2.FitTask().launcher.slurm.max_requeues)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True)
    assert done.stdout == "3\n"


def test_generated_modules_are_of_both_protos(root: Path, capsys: Any) -> None:
    assert main(["protos"]) == 0
    made = {Path(line).name for line in capsys.readouterr().out.split()}
    assert made == {
        f"{p}_{kind}.{end}" for p in ("conf", "launcher") for kind in ("pb2", "cfgs") for end in ("py", "pyi")
    }


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_folder_that_is_not_there_is_refused_rather_than_the_project_above_it_taken(
    root: Path, capsys: Any, dry: tuple[str, ...]
) -> None:
    new = older(root)
    old = launcher(root).read_text()
    for name, why in (("nope", "no such folder"), ("run.py", "is no folder")):
        code, out, err = refresh(capsys, *dry, name)
        assert (code, out) == (2, "") and f"{name}: {why}" in err
    assert launcher(root).read_text() == old
    assert refresh(capsys, "conf")[0] == 0 and launcher(root).read_text() == new


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("message SlurmLauncher {\n", "message SlurmLauncher {\n  reserved 90 to 95;\n", "reserved 90 to 95"),
        ("message SlurmLauncher {\n", 'message SlurmLauncher {\n  reserved "old", "older";\n', 'reserved "old"'),
        (
            "message SlurmLauncher {\n",
            "message SlurmLauncher {\n  extensions 2000 to 2010;\n",
            "extensions 2000 to 2010",
        ),
        ("message SlurmLauncher {\n", "message SlurmLauncher {\n  option deprecated = true;\n", "option"),
        ("message SlurmLauncher {\n", 'option java_package = "a.b";\nmessage SlurmLauncher {\n', "option"),
    ],
)
def test_what_is_no_field_is_kept_or_named_and_refused(
    root: Path, capsys: Any, before: str, after: str, kept: str
) -> None:
    older(root)
    text = launcher(root).read_text().replace(before, after, 1)
    launcher(root).write_text(text)
    code, _, err = refresh(capsys)
    assert kept in err
    if code:
        assert code == 2 and "would be lost" in err and launcher(root).read_text() == text
    else:
        assert kept in launcher(root).read_text()
    assert refresh(capsys)[0] == code
