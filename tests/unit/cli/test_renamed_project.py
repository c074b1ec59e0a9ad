"""A project in which all was renamed after its runs were done: nothing starts, nothing has drifted, one table."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from heyhi.config.schema import load_schema
from heyhi.experiment.folder import ExperimentDir, config_digest
from heyhi.experiment.records import Start
from heyhi.project import find_project
from heyhi.sweep.expand import expand
from heyhi.sweep.file import read_sweep_file
from heyhi.sweep.write_manifest import write_manifest

Run = Callable[..., tuple[int, str, str]]
BEFORE = """\
syntax = "proto2";
package lab;
message MetaCfg { repeated Include includes = 1; oneof task { Train train = 2; } }
message Include { optional string path = 1; optional string mount = 2; }
message Sgd { optional double mom = 1 [default = 0.9]; }
message Adam { optional double beta = 1; }
message Train {
  enum Act { RELU = 0; OLD = 1; }
  optional double lr = 1 [default = 0.1];
  optional Act act = 2 [default = OLD];
  oneof opt { Sgd sgd = 10; Adam adam = 11; }
  map<string, Sgd> named = 21;
  optional int32 seed = 22;
  optional int32 size = 23;
}
"""
AFTER = """\
syntax = "proto2";
package lab;
message MetaCfg {
  repeated Include includes = 1;
  oneof task {
    // was: train
    SlTrain sl_train = 3;
  }
}
message Include { optional string path = 1; optional string mount = 2; }
// was: Sgd
message Momentum {
  // was: mom
  optional double momentum = 7 [default = 0.9];
}
message Adam { optional double beta = 1; }
// was: Train
message SlTrain {
  enum Act { RELU = 0; NEW = 5; /* of today
    was: OLD */
  }
  // was: lr
  optional double learning_rate = 31 [default = 0.1];
  // was: act
  optional Act activation = 2 [default = NEW];
  // was: opt
  oneof optimizer {
    Momentum momentum = 10;  // was: sgd
    Adam adam = 11;
  }
  // was: named
  map<string, Momentum> by_name = 21;
  optional int32 seed = 22;
  optional int32 size = 23;
}
"""
AFTER = AFTER.replace(
    "  enum Act { RELU = 0; NEW = 5; /* of today\n    was: OLD */\n  }\n",
    "  enum Act {\n    RELU = 0;\n    NEW = 5;  // was: OLD\n  }\n",
)
SWEEP_BEFORE = """\
def yield_sweep():
    for lr in (0.1, 0.2):
        for act in ("RELU", "OLD"):
            for seed in range(COUNT):
                yield "conf/old", {"I.sgd": "small", "lr": lr, "act": act, "seed": seed, "named.a.mom": 0.5}
    yield "conf/old", {"lr": 0.3}
""".replace("COUNT", os.environ.get("HEYHI_TEST_SEEDS", "2"))
SWEEP_AFTER = (
    SWEEP_BEFORE.replace('"conf/old"', '"conf/new/base"')
    .replace('"I.sgd": "small", "lr"', '"I.momentum": "tiny", "learning_rate"')
    .replace('"RELU", "OLD"', '"RELU", "NEW"')
    .replace('"act": act', '"activation": act')
    .replace("named.a.mom", "by_name.a.momentum")
    .replace('"lr": 0.3', '"learning_rate": 0.3')
)


def finish_all(root: Path) -> int:
    """Leave what runs of the sweep would."""
    project = find_project(root)
    schema = load_schema(project)
    expansion = expand(
        project, schema, read_sweep_file(project, root / "sweep.py").points, label="sweep", sweep="sweep.py"
    )
    write_manifest(expansion, project, schema)
    for one in expansion.experiments:
        folder = ExperimentDir(one.exp_path, project.results_root)
        folder.prepare(one, schema)
        folder.append_attempt(Start(1, "first", config=config_digest(one.config, schema)))
        folder.write_result({"loss": 0.5})
    return len(expansion.own)


def write_before(root: Path) -> None:
    files = {
        "pyproject.toml": '[tool.heyhi]\nname = "lab"\n',
        "conf/schema.proto": BEFORE,
        "conf/old.prototxt": "train { size: 3 act: RELU }",
        "conf/common/sgd/small.prototxt": "mom: 0.4",
        "sweep.py": SWEEP_BEFORE,
        "profiles/slurm/config.yaml": "executor: slurm\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def rename_all(root: Path) -> None:
    (root / "conf/schema.proto").write_text(AFTER)
    (root / "conf/old.prototxt").unlink()
    (root / "conf/common/sgd/small.prototxt").unlink()
    (root / "conf/new").mkdir()
    (root / "conf/new/base.prototxt").write_text("sl_train { size: 3 activation: RELU }")
    (root / "conf/common/momentum").mkdir()
    (root / "conf/common/momentum/tiny.prototxt").write_text("momentum: 0.4")
    (root / "sweep.py").write_text(SWEEP_AFTER)
    (root / "pyproject.toml").write_text(
        '[tool.heyhi]\nname = "lab"\nrenamed = {"conf/old.prototxt" = "conf/new/base.prototxt",'
        ' "conf/common/sgd/small.prototxt" = "conf/common/momentum/tiny.prototxt"}\n'
    )


@pytest.fixture
def renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with runs that are done, renamed since."""
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    root = tmp_path / "project"
    write_before(root)
    monkeypatch.chdir(root)
    assert finish_all(root) == 9
    rename_all(root)
    return root


def lines_with(text: str, *words: str) -> list[str]:
    return [line for line in text.split("\n") if all(word in line for word in words)]


def test_nothing_starts_and_nothing_has_drifted(renamed: Path, run: Run) -> None:
    code, out, err = run("plan", "sweep.py")
    assert code == 0 and "DONE 9" in out, out + err
    assert "drift" not in out + err and "NOT_STARTED" not in out
    code, out, err = run("launch", "sweep.py", "--dry-run")
    assert code == 0 and "nothing to start" in out + err, out + err
    code, out, err = run("status", "sweep.py", "--drift")
    assert code == 0 and "drifted" not in out + err, out + err
    assert not lines_with(out, " -> ")


def test_what_really_changed_has_drifted_by_its_name_of_today(renamed: Path, run: Run) -> None:
    (renamed / "conf/common/momentum/tiny.prototxt").write_text("momentum: 0.6")
    _, out, err = run("status", "sweep.py", "--drift")
    assert "momentum.momentum: 0.4 -> 0.6" in out + err


@pytest.mark.parametrize("words", ["sweep", "older manifest", "both", "experiments"])
def test_a_table_has_one_column_by_the_name_of_today(renamed: Path, run: Run, words: str) -> None:
    older = str(next((renamed / "results/.heyhi/manifests").glob("*.sqlite")))
    folders = sorted(str(path.parent) for path in (renamed / "results").rglob("identity.json"))
    given = {"sweep": ["sweep.py"], "older manifest": [older], "both": ["sweep.py", older], "experiments": folders}
    code, out, err = run("report", *given[words], "--to", "t.csv")
    assert code == 0, out + err
    with (renamed / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert {"learning_rate", "activation", "seed", "I.momentum", "by_name.a.momentum"} <= rows[0].keys()
    assert not {"lr", "act", "I.sgd", "named.a.mom"} & rows[0].keys()
    assert {row["activation"] for row in rows} == {"RELU", "NEW"}
    assert {row["learning_rate"] for row in rows} == {"0.1", "0.2", "0.3"}
    assert {row["I.momentum"] for row in rows} == {"conf/common/momentum/tiny.prototxt", ""}
    code, out, err = run("report", *given[words], "--mean-over", "seed", "--where", "momentum.momentum=0.4")
    assert code == 0, out + err
    assert len(lines_with(out, "NEW")) == 2 and "act " not in out, out


@pytest.mark.parametrize("condition", ["learning_rate=0.2", "lr=0.2"])
def test_conditions_choose_by_either_name(renamed: Path, run: Run, condition: str) -> None:
    folders = sorted(str(path.parent) for path in (renamed / "results").rglob("identity.json"))
    for words in (("status", "sweep.py"), ("status", *folders), ("report", "sweep.py"), ("report", *folders)):
        code, out, err = run(*words, "--where", condition)
        assert code == 0, (words, out + err)
        assert ("lr was renamed: learning_rate" in err) == condition.startswith("lr"), (words, err)
        assert "lr=0.1" not in out, words
    code, out, err = run("status", *folders, "--where", "act=OLD", "--json")
    assert (code, out.count("exp_id")) == (0, 4) and "OLD was renamed: NEW" in err, out + err


@pytest.mark.parametrize("command", ["status", "report"])
def test_of_a_condition_on_what_nobody_has_only_the_error_is_told(renamed: Path, run: Run, command: str) -> None:
    other = "message Other {\n  optional int32 speed = 1;  // was: pace\n}\n"
    text = AFTER.replace("  oneof task {\n", "  oneof task {\n    Other other = 4;\n", 1) + other
    (renamed / "conf/schema.proto").write_text(text)
    code, _, err = run(command, "sweep.py", "--where", "pace=1")
    assert code == 2 and "there is no column 'speed' (pace was renamed: speed)" in err and "warning" not in err, err
    code, _, err = run(command, "sweep.py", "--where", "mom=0.4")
    assert code == 2 and re.search(r"no column 'mom' \(did you mean .*'momentum\.momentum'", err), err


def test_diff_tells_both_by_the_names_of_today(renamed: Path, run: Run) -> None:
    found = sorted(str(path.parent) for path in (renamed / "results").rglob("identity.json"))
    one, other = next(p for p in found if "lr=0.1" in p), next(p for p in found if "lr=0.3" in p)
    code, out, err = run("diff", one, other)
    assert code == 0, err
    assert lines_with(out, "learning_rate", "0.1", "0.3"), out
    assert "conf/new/base.prototxt" in out and "lr " not in re.sub(r"\S*results\S*|p/\S*", "", out), out
    assert lines_with(out, "by_name.a.momentum")


def test_old_overrides_on_the_command_line_name_the_same_runs(renamed: Path, run: Run) -> None:
    words = ("--cfg", "conf/old", "I.sgd=small", "act=OLD", "named.a.mom=0.5", "seed=0", "--sweep", "lr=0.1,0.2")
    code, out, err = run("plan", *words)
    assert code == 0 and "DONE 2" in out, out + err
    for name in ("lr was renamed: learning_rate", "OLD was renamed: NEW"):
        assert len(lines_with(err, name)) == 1, err
    assert "conf/old.prototxt was renamed: conf/new/base.prototxt" in err


@pytest.mark.parametrize("again", ["never", "since"])
@pytest.mark.parametrize("words", ["sweep", "older manifest"])
def test_what_died_goes_on_with_the_same_config(renamed: Path, run: Run, words: str, again: str) -> None:
    older = str(next((renamed / "results/.heyhi/manifests").glob("*.sqlite")))
    path = next(p.parent for p in (renamed / "results").rglob("result.json") if "lr=0.3" in str(p))
    (path / "result.json").unlink()
    (path / "metrics.jsonl").write_text('{"loss": 1}\n')
    if again == "since":  # it was tried again since all has its new name
        project = find_project(renamed)
        expansion = expand(project, load_schema(project), [("conf/new/base", ["learning_rate=0.3"])])
        (one,) = expansion.experiments
        folder = ExperimentDir(path, project.results_root)
        folder.prepare(one, load_schema(project))
        folder.append_attempt(Start(2, "again", config=config_digest(one.config, load_schema(project))))
    given = {"sweep": "sweep.py", "older manifest": older}[words]
    for command in (("plan", given), ("launch", given, "--dry-run"), ("report", given)):
        code, out, err = run(*command)
        assert code == 0, (command, out + err)
        assert "another config" not in out + err and "drifted" not in out + err, (command, out + err)
        assert "1 would start" in out or command[0] != "plan", out
