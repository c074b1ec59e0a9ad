"""What `heyhi diff` says about two experiments."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.code.version import code_version, version_of_run
from heyhi.config.schema import load_schema
from heyhi.control.diff import diff
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import End, Start
from heyhi.project import find_project
from heyhi.sweep.expand import expand

PROTO = """
syntax = "proto2";
message MetaCfg { oneof task { Train train = 1; Check check = 2; } }
message Train {
  optional double lr = 1 [default = 0.1];
  optional int32 seed = 2;
  repeated int32 sizes = 3;
  oneof optimizer { Sgd sgd = 4; Adam adam = 5; }
}
message Check { optional string model = 1; }
message Sgd { optional double momentum = 1 [default = 0.9]; }
message Adam { optional double beta = 1 [default = 0.99]; }
"""

Make = Callable[..., ExperimentDir]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "proj"
    (root / "conf").mkdir(parents=True)
    (root / "conf/lab.proto").write_text(PROTO)
    (root / "conf/train.prototxt").write_text("train { lr: 0.2 sgd { } }")
    (root / "conf/check.prototxt").write_text('check { model: "m" }')
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def make(root: Path) -> Make:
    def make(*overrides: str, cfg: str = "train", result: object = None, metrics: str = "") -> ExperimentDir:
        project = find_project()
        schema = load_schema(project)
        experiment = expand(project, schema, [(f"conf/{cfg}.prototxt", overrides)]).experiments[0]
        folder = ExperimentDir(experiment.exp_path, project.results_root)
        folder.prepare(experiment, schema)
        if metrics:
            folder.metrics_path.write_text(metrics)
        if result is not None:
            folder.write_result(result)
        return folder

    return make


def said(a: Path, b: Path) -> str:
    project = find_project()
    comparison = diff(load_schema(project), project, *(ExperimentDir(path, project.results_root) for path in (a, b)))
    assert not comparison.unread
    return comparison.text


def table(text: str, title: str) -> list[list[str]]:
    """Return the words of a section's lines, without its heading."""
    section = next(part for part in text.split("\n\n") if part.startswith(title))
    return [line.split() for line in section.splitlines()[1:]]


def test_experiments_are_named_with_what_they_are_and_how(make: Make) -> None:
    a, b = make("lr=0.3", result={"acc": 1}), make("seed=2")
    b.append_attempt(Start(1))
    b.append_attempt(End(1, exit_code=1, exception="ValueError: no"))

    assert said(a.path, b.path).split("\n\n")[0].splitlines() == [
        f"A  {a.exp_id}",
        "   conf/train.prototxt lr=0.3",
        "   DONE",
        f"B  {b.exp_id}",
        "   conf/train.prototxt seed=2",
        "   DEAD (exit code 1: ValueError: no)",
    ]


def test_only_keys_that_differ_are_told(make: Make) -> None:
    a = make("lr=0.3", "sizes.0=4")
    b = make("seed=2", "adam=SELECT")

    assert sorted(table(said(a.path, b.path), "config")) == [
        ["adam.beta", "-", "0.99"],
        ["lr", "0.3", "0.2", "-0.1"],
        ["seed", "unset", "2"],
        ["sgd.momentum", "0.9", "-"],
        ["sizes", "[4]", "-"],
    ]


def test_results_and_last_metrics_are_compared_number_by_number(make: Make) -> None:
    a = make(
        "seed=1",
        result={"acc": 0.5, "same": [1], "whole": 3, "test": {"loss": float("nan"), "n": 3}, "ok": True},
        metrics='{"epoch": 1, "loss": 9}\n{"epoch": 2, "loss": 0.5}\n{"epo',
    )
    b = make(
        "seed=2",
        result={"acc": 0.75, "same": [1], "whole": 3.0, "test": {"loss": float("nan"), "n": 5.0}, "ok": 1, "note": "x"},
        metrics='{"epoch": 2, "loss": 0.25}\n',
    )
    text = said(a.path, b.path)

    assert table(text, "result") == [
        ["acc", "0.5", "0.75", "+0.25"],
        ["test.n", "3", "5.0", "+2"],
        ["ok", "true", "1"],
        ["note", "-", "x"],
    ]
    assert table(text, "last metrics") == [["loss", "0.5", "0.25", "-0.25"]]


def test_what_is_the_same_or_missing_is_said_in_a_word(make: Make) -> None:
    a = make("seed=1", result={"acc": 1})
    text = said(a.path, a.path)
    sections = ["config: no difference", "code: neither has one", "packages: not on record", "result: no difference"]
    assert "\n\n".join([*sections, "last metrics: neither has one"]) in text

    b = make("seed=2", metrics="{}\n")
    text = said(a.path, b.path)
    assert table(text, "result (B has none)") == [["acc", "1", "-"]]
    assert "last metrics (A has none): empty" in text


def attempted(folder: ExperimentDir, number: int = 1, *, end: bool = True, **facts: Any) -> None:
    """Put an attempt on record, with the code as it is now and the packages that are given."""
    project = find_project()
    version_of_run.cache_clear()
    code_version.cache_clear()
    version = version_of_run(project.root, project)
    folder.append_attempt(Start(number, commit=version.commit or "", dirty=version.dirty, code=version.digest))
    if facts:
        path = project.state_root / "environments" / f"e{abs(hash(str(facts)))}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"python": "3.11.7", **facts}))
        folder.append_attempt(End(number, "done", environment=path.stem))
    elif end:
        folder.append_attempt(End(number, "done"))


def test_the_code_of_the_last_attempts_is_compared_file_by_file(make: Make, root: Path) -> None:
    a, b = make("seed=1"), make("seed=2")
    (root / "run.py").write_text("one\n")
    (root / "gone.py").touch()
    attempted(a)
    attempted(b)
    assert "\ncode: no difference\n" in said(a.path, b.path)

    (root / "run.py").write_text("two\n")
    (root / "gone.py").unlink()
    (root / "new.py").touch()
    (root / "conf/other.prototxt").touch()
    attempted(b, 2)
    (version, *files) = table(said(a.path, b.path), "code")
    assert version[:2] == ["version", "code"] and version[2] != version[4]
    assert sorted(files) == [["gone.py", "there", "-"], ["new.py", "-", "there"], ["run.py", "there", "edited"]]


def test_configs_are_no_code(make: Make, root: Path) -> None:
    a, b = make("seed=1"), make("seed=2")
    attempted(a)
    (root / "conf/other.prototxt").touch()
    attempted(b)
    assert "\ncode: no difference\n" in said(a.path, b.path)


def test_commits_are_named_and_many_files_counted(make: Make, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        person = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *person, *words], check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.delenv("GIT_DIR", raising=False)
    heads = []
    a, b = make("seed=1"), make("seed=2")
    git("init", "-q")
    for folder, count in ((a, 0), (b, 25)):
        for i in range(count):
            (root / f"f{i:02}.py").touch()
        git("add", "conf", *(f"f{i:02}.py" for i in range(count)))
        git("commit", "-qm", "x", "--allow-empty")
        heads.append(git("rev-parse", "HEAD")[:8])
        attempted(folder)
    text = said(a.path, b.path)
    rows = table(text, "code")
    assert rows[0] == ["version", *heads] and rows[1] == ["f00.py", "-", "there"]
    assert len(rows) == 22 and "\nand 5 more files\n" in text
    git("commit", "-qm", "nothing", "--allow-empty")
    attempted(a, 2)
    assert table(said(a.path, b.path), "code") == [["version", git("rev-parse", "HEAD")[:8], heads[1]]]


def test_packages_of_the_last_attempts_are_compared(make: Make) -> None:
    a, b = make("seed=1"), make("seed=2")
    attempted(a, packages={"numpy": "1.26", "torch": "2.4"}, cuda="12.1")
    attempted(b, packages={"numpy": "1.26", "torch": "2.4"}, cuda="12.1")
    assert "\npackages: no difference\n" in said(a.path, b.path)

    attempted(b, 2, packages={"numpy": "2.0", "torch": "2.4", "six": "1"}, cuda="12.4")
    assert sorted(table(said(a.path, b.path), "packages")) == [
        ["cuda", "12.1", "12.4"],
        ["numpy", "1.26", "2.0"],
        ["six", "-", "1"],
    ]
    attempted(b, 3, end=False)
    assert "\npackages: of B not on record\n" in said(a.path, b.path)


def test_packages_that_only_heyhi_loaded_in_one_run_are_left_out(make: Make) -> None:
    a, b = make("seed=1"), make("seed=2")
    attempted(a, packages={"six": "1", "pandas": "2.2", "numpy": "2.0"})
    attempted(b, packages={"six": "1", "pandas": "2.3", "orjson": "3.10", "Snakemake_Executor.plugin-slurm": "2.8"})
    assert table(said(a.path, b.path), "packages") == [["pandas", "2.2", "2.3"], ["numpy", "2.0", "-"]]


@pytest.mark.parametrize("damage", ["{", "[]", '{"packages": 1}'])
def test_damaged_or_missing_packages_stop_nothing_else(make: Make, root: Path, damage: str) -> None:
    a, b = make("seed=1", result={"acc": 1}), make("seed=2", result={"acc": 2})
    attempted(a, packages={"six": "1"})
    attempted(b, packages={"six": "2"})
    path = root / "results/.heyhi/environments" / f"{b.attempts()[-1].environment}.json"
    path.write_text(damage)
    text = said(a.path, b.path)
    assert f"\npackages: can't be read: {path}: " in text
    assert table(text, "result") == [["acc", "1", "2", "+1"]]
    path.unlink()
    assert "\npackages: of B not on record\n" in said(a.path, b.path)


def test_tasks_that_differ_keep_their_names(make: Make) -> None:
    rows = table(said(make().path, make(cfg="check").path), "config")

    assert ["train.lr", "0.2", "-"] in rows
    assert ["check.model", "-", "m"] in rows


def test_a_config_that_was_kept_as_text_only_is_read(make: Make) -> None:
    a, b = make("seed=1"), make("seed=2")
    a.flat_config_path.unlink()
    assert table(said(a.path, b.path), "config") == [["seed", "1", "2", "+1"]]

    a.config_path.unlink()
    assert "config (A has none)" in said(a.path, b.path)


@pytest.mark.parametrize(
    "name", ["identity.json", "config_flat.json", "attempts.jsonl", "result.json", "metrics.jsonl"]
)
def test_a_damaged_file_is_named_and_all_else_is_compared(make: Make, name: str) -> None:
    a, b = make("seed=1", result={"n": 1}, metrics='{"y": 1}\n'), make("seed=2", result={"n": 2}, metrics='{"y": 3}\n')
    attempted(a)
    attempted(b)
    if name == "metrics.jsonl":
        (a.path / name).unlink()
        os.mkfifo(a.path / name)
    else:
        (a.path / name).write_text('{"a":\n')
    project = find_project()
    found = diff(load_schema(project), project, *(ExperimentDir(f.path, project.results_root) for f in (a, b)))
    text, (why,) = found.text, found.unread
    assert why.startswith(f"{a.path / name}: ") and "nothing is started" not in why and "move the folder" not in why
    left_out = {
        "identity.json": [],
        "config_flat.json": ["config"],
        "attempts.jsonl": ["code", "packages"],
        "result.json": ["result"],
        "metrics.jsonl": ["last metrics"],
    }[name]
    assert re.findall(r"^(.*): not compared: that of A can't be read$", text, re.MULTILINE) == left_out
    rows = {"config": ["seed", "1", "2", "+1"], "result": ["n", "1", "2", "+1"], "last metrics": ["y", "1", "3", "+2"]}
    for title, row in rows.items():
        assert title in left_out or table(text, title) == [row]
    assert "code: no difference" in text or "code" in left_out
    assert ("nobody knows of which config" in text) == (name == "identity.json")


def test_names_and_values_that_cannot_be_shown_keep_their_rows_and_columns(make: Make) -> None:
    names = {"a\nb": 1, "\x1b[31mred": "x\ty"}
    a, b = make("seed=1", result=names), make("seed=2", result={"a\nb": 2, "\x1b[31mred": "x\nz"})
    text = said(a.path, b.path)
    assert table(text, "result") == [[r"a\nb", "1", "2", "+1"], [r"\x1b[31mred", r"x\ty", r"x\nz"]]
    _, one, two = next(part for part in text.split("\n\n") if part.startswith("result")).splitlines()
    assert one.index(" 1 ") == two.index(r" x\t") and one.index(" 2 ") == two.index(r" x\nz")


def test_a_large_number_is_no_trouble(make: Make) -> None:
    a, b = make("seed=1", result={"n": 10**400}), make("seed=2", result={"n": 1.5})

    rows = table(said(a.path, b.path), "result")
    assert rows[0][0] == "n"
    assert json.loads(a.result_path.read_text())["n"] == 10**400
