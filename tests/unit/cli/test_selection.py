"""What words on a command line name: the same for every command, and nothing is dropped."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi import maybe_launch
from heyhi.cli.looking import NOT_LOOKED
from heyhi.cli.parser import make_parser, parse
from heyhi.cli.selection import ConfigWord, ExperimentWord, Selection, SweepWord, select
from heyhi.errors import HeyhiError
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import Submission
from heyhi.project import find_project

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 2; } }
message Work { optional double lr = 1; int32 seed = 2; map<string, int32> counts = 3; repeated int32 sizes = 4; }
"""
SWEEP = "def yield_sweep():\n    for seed in range({}):\n        yield 'conf/fit/work.prototxt', {{'seed': seed}}\n"


def make_project(root: Path) -> Path:
    (root / "conf/fit").mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/fit/work.prototxt").write_text("work { lr: 0.1 }\n")
    (root / "conf/two.py").write_text(SWEEP.format(2))
    (root / "conf/three.py").write_text(SWEEP.format(3).replace("{'seed'", "{'lr': 0.5, 'seed'"))
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/two.py"\n')
    for name, text in (("local", "cores: all\n"), ("slurm", "executor: heyhi\n")):
        (root / "profiles" / name).mkdir(parents=True)
        (root / "profiles" / name / "config.yaml").write_text(text)
    return root


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_project(tmp_path / "project")
    monkeypatch.chdir(root)
    return root


def done(**_: object) -> dict[str, int]:
    return {"score": 1}


def failing(**_: object) -> None:
    raise ValueError("it broke")


def chosen(*words: str, command: str = "status") -> Selection:
    return select(find_project(), parse(make_parser(), [command, *words]))


@pytest.fixture
def words(run: Any, project: Path) -> dict[str, str]:
    """One word of each kind, all of which name an experiment that is DONE."""
    handle = maybe_launch(done, cfg="conf/fit/work.prototxt", overrides=["seed=1"])
    (project / "conf/one.py").write_text("def yield_sweep():\n    yield 'conf/fit/work.prototxt', {'seed': 1}\n")
    manifest = run("expand", "--manifest", "conf/one.py")[1].strip()
    ExperimentDir(handle.exp_path).write_submission(Submission("4711"))
    return {
        "sweep": "conf/one.py",
        "manifest": manifest,
        "target": f"results/{handle.exp_id}/result.json",
        "exp path": str(handle.exp_path),
        "exp id": handle.exp_id,
        "job": "4711",
        "config": "fit/work seed=1",
        "--cfg": "--cfg fit/work --seed=1",
    }


KINDS = ["sweep", "manifest", "target", "exp path", "exp id", "job", "config", "--cfg"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["status", "plan", "report", "expand", "launch", "retry", "cancel", "logs"])
def test_every_command_takes_every_kind_of_word(run: Any, words: dict[str, str], command: str, kind: str) -> None:
    exp_id = words["exp id"]
    more = {
        "status": ["--all"],
        "plan": ["--all"],
        "launch": ["--dry-run", "--profile", "profiles/local"],
        "retry": ["--dead", "--dry-run", "--profile", "profiles/local"],
        "cancel": ["--dry-run"],
    }
    shown = {
        "status": f"DONE        {exp_id}",
        "plan": f"DONE        {exp_id}",
        "report": "1 experiment: 1 DONE",
        "expand": words["target"],
        "launch": "nothing to start: all are done",
        "retry": "nothing to start: none of 1 experiments is DEAD",
        "cancel": f"{exp_id}: nothing to cancel: DONE",
        "logs": "",
    }
    code, out, err = run(command, *words[kind].split(), *more.get(command, []))
    assert (code, shown[command] in out) == (0, True), (out, err)


@pytest.mark.parametrize("a", KINDS)
def test_diff_takes_every_kind_of_word(run: Any, words: dict[str, str], a: str) -> None:
    other = maybe_launch(done, cfg="conf/fit/work.prototxt", overrides=["seed=2"])
    code, out, _ = run("diff", *words[a].split(), other.exp_id)
    assert code == 0 and re.search(r"seed +1 +2 +\+1", out)


@pytest.mark.parametrize("name", ["a\x1b[31mc.py", "a\nc.py", "a\udcffc.py"])
def test_a_file_whose_name_cannot_be_shown_is_told_so_with_a_name_that_can(
    run: Any, project: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "conf" / name).write_text((project / "conf/two.py").read_text())
    monkeypatch.chdir(project / "conf")
    for word in (f"conf/{name}", name, str(project / "conf" / name)):
        code, _, err = run("plan", word)
        assert code == 2 and "can't be used by this name" in err and "no sweep file" not in err and "\x1b" not in err
    code, _, _ = run("plan", "gone\x1b.py")
    assert code == 2


NONSENSE = {
    "nonsense": "'nonsense' is no sweep file, manifest, experiment, job or config",
    "fit/wrok": "(did you mean 'fit/work'?)",
    "conf/tow.py": "(did you mean 'conf/two.py' or 'conf/three.py'?)",
    "gone.sqlite": "gone.sqlite: there is no such manifest",
    "lr=0.3": "'lr=0.3': overrides go with --cfg",
    "--lr=0.3": "'--lr=0.3': overrides go with --cfg",
    "--sweep lr=1,2": "--sweep goes with --cfg",
    "--zip": "--zip goes with --cfg",
    "--adhoc": "--adhoc and --out go with --cfg",
    "--out x": "--adhoc and --out go with --cfg",
    "99999": "no experiment has a job 99999",
    "conf": "conf is a folder, but no experiment",
    "pyproject.toml": "'pyproject.toml' names no experiments: expected a sweep (.py)",
    "results/p/fit/work/seed=9_0123": "is no sweep file, manifest, experiment, job or config",
    "--wathc": "unknown option '--wathc'",
    "--cfg fit/work lrr=1": "did you mean 'lr'",
    "--cfg fit/work lr": "'lr': an override is one word, key=value: lr=…",
    "--cfg=": "which config?",
    "": "'' is an empty word",
    "a\0b": "is no sweep file",
    "\udcff": "is no sweep file",
    "x" * 300: "is no sweep file",
    "fit/" + "x" * 300: "is no sweep file",
    "conf/fit/work.prototx": "(did you mean 'conf/fit/work.prototxt'",
    "--cfg conf/two.py": "--cfg conf/two.py: is a sweep file, which is named without --cfg",
    "--cfg fit/work --sweep seed=range(0)": "the sweep has no experiments: --sweep seed=range(0) has no values",
}


@pytest.mark.parametrize("wrong", NONSENSE)
@pytest.mark.parametrize("before", ["", "conf/two.py", "MANIFEST"])
@pytest.mark.parametrize("command", ["status", "plan", "report", "launch", "cancel", "retry", "expand", "logs", "diff"])
def test_what_names_nothing_is_refused_by_name_and_nothing_is_written(
    run: Any, project: Path, command: str, before: str, wrong: str
) -> None:
    first = [run("expand", "--manifest")[1].strip()] if before == "MANIFEST" else before.split()
    files = sorted(project.rglob("*"))
    code, out, err = run(command, *first, *(wrong.split(" ") if wrong else [""]))
    told = err.replace("\n  ", " ")
    assert code == 2 and NONSENSE[wrong] in told and "Traceback" not in err, err
    assert out in ("", "heyhi-expand-failed\n")
    assert [path for path in sorted(project.rglob("*")) if path not in files and "__pycache__" not in str(path)] == []


def test_several_of_all_kinds_are_one_launch(run: Any, words: dict[str, str]) -> None:
    manifest = run("expand", "--manifest", "conf/two.py")[1].strip()  # seeds 0 and 1, of which 1 is done
    code, out, _ = run(
        "launch", "--dry-run", "--profile", "profiles/local", manifest, "conf/three.py", "fit/work", "seed=7"
    )
    assert code == 0
    assert "two: 2 experiments\nthree: 3 experiments\n" in out
    assert "NOT_STARTED 5  DONE 1" in out and "5 would start" in out

    code, out, _ = run("plan", manifest, "conf/three.py", "--cfg", "fit/work", "--sweep", "seed=7,8")
    assert code == 0 and "6 would start" in out
    other, line = out.splitlines()[-2:]
    assert other == "heyhi launch takes profiles/slurm unless it has --profile profiles/local"
    assert line == (
        f"launch: snakemake --profile profiles/local"
        f" $(heyhi expand {manifest} conf/three.py --cfg fit/work --sweep seed=7,8)"
    )
    targets = run("expand", manifest, "conf/three.py", "--cfg", "fit/work", "--sweep", "seed=7,8")[1].splitlines()
    assert len(targets) == len(set(targets)) == 7


def test_diff_compares_in_the_order_of_the_words(run: Any, words: dict[str, str]) -> None:
    maybe_launch(done, cfg="conf/fit/work.prototxt", overrides=["seed=2"])
    assert re.search(r"seed +1 +2 +\+1", run("diff", words["exp id"], "fit/work", "seed=2")[1])
    assert re.search(r"seed +2 +1 +-1", run("diff", "fit/work", "seed=2", words["exp id"])[1])


def test_a_manifest_can_be_looked_at_from_outside_of_any_project(
    run: Any, words: dict[str, str], project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside").mkdir()
    monkeypatch.chdir(tmp_path / "outside")
    manifest = str(project / words["manifest"])
    assert run("status", manifest)[:2] == (0, f"DONE 1\n{NOT_LOOKED}\n")
    assert "1 experiment: 1 DONE" in run("report", manifest)[1]
    code, _, err = run("launch", manifest)
    assert code == 2 and "no HeyHi project here or above" in err


def test_a_plan_says_what_a_restart_would_refuse(run: Any, words: dict[str, str], project: Path) -> None:
    (project / words["target"]).unlink()
    (project / words["target"]).with_name("claim.json").mkdir()
    told = run("plan", "--mode", "restart", "fit/work", "--sweep", "seed=1,2")[1]
    assert "UNKNOWN 1  NOT_STARTED 1" in told
    assert "mode restart: 1 would start; 1 would be refused: nobody knows how they are" in told


def test_a_retry_that_is_refused_writes_nothing(run: Any, project: Path) -> None:
    code, _, err = run("retry", "fit/work", "seed=8")
    assert code == 2 and "--dead starts those of them that are DEAD (0 now)" in err
    assert not (project / "results").exists()


def test_a_sweep_that_is_named_twice_has_drifted_once(run: Any, project: Path) -> None:
    for seed in range(2):
        maybe_launch(done, cfg="conf/fit/work.prototxt", overrides=[f"seed={seed}"])
    (project / "conf/fit/work.prototxt").write_text("work { lr: 0.2 }\n")
    assert "\n2 drifted" in run("report", "conf/two.py", "fit/work", "seed=1", "conf/two.py")[1]


def test_what_two_words_name_counts_once(run: Any, words: dict[str, str]) -> None:
    many = [words["exp id"], words["target"], "conf/one.py", words["manifest"], "4711", "fit/work", "seed=1"]
    assert run("status", *many)[1] == f"DONE 1\n{NOT_LOOKED}\n"
    assert run("expand", *many)[1] == f"{words['target']}\n"
    assert [row["exp_id"] for row in json.loads(run("expand", "--json", *many)[1])] == [words["exp id"]]


def test_overrides_and_axes_belong_to_the_config_before_them() -> None:
    words = "fit/work lr=1 --sweep seed=1,2 --cfg fit/work lr=2 --sweep seed=3,4 --zip --sweep lr=5,6 --out x/%(cfg)s"
    assert chosen(*words.split()).named == (
        ConfigWord("fit/work", ("lr=1",), ("seed=1,2",)),
        ConfigWord("fit/work", ("lr=2",), ("seed=3,4", "lr=5,6"), pair=True, pattern="x/%(cfg)s"),
    )
    assert chosen("conf/two.py", "fit/work", "lr=1").named == (
        SweepWord(Path("conf/two.py")),
        ConfigWord("fit/work", ("lr=1",)),
    )


def test_what_stands_before_the_only_config_is_its_own() -> None:
    one = ConfigWord("fit/work", ("lr=1", "--seed=2"), ("lr=1,2",), adhoc=True)
    words = ("--adhoc", "lr=1", "--sweep", "lr=1,2", "--seed=2", "--cfg", "fit/work")
    assert chosen(*words, command="plan").named == (one,)
    with pytest.raises(HeyhiError, match="'lr=1': overrides go with --cfg"):
        chosen("lr=1", "--cfg", "fit/work", "--cfg", "fit/work")


def test_a_config_wins_over_a_folder_that_only_contains_experiments(project: Path) -> None:
    maybe_launch(done, cfg="conf/fit/work.prototxt", exp_id_pattern_override="fit/work/a")
    assert chosen("fit/work").named == (ConfigWord("fit/work"),)
    assert chosen("fit/work/a").named == (ExperimentWord("fit/work/a", (str(project / "results/fit/work/a"),)),)


def test_an_experiment_wins_over_a_config_and_an_existing_file_over_all(project: Path) -> None:
    maybe_launch(done, cfg="conf/fit/work.prototxt", exp_id_pattern_override="fit/work")
    assert isinstance(chosen("fit/work").named[0], ExperimentWord)
    assert chosen("--cfg", "fit/work").named == (ConfigWord("fit/work"),)
    assert chosen("conf/two.py").named == (SweepWord(Path("conf/two.py")),)


def test_an_experiment_wins_over_a_job_of_its_name(project: Path, run: Any) -> None:
    maybe_launch(done, cfg="conf/fit/work.prototxt", exp_id_pattern_override="12")
    other = maybe_launch(done, cfg="conf/fit/work.prototxt", overrides=["seed=5"])
    run("expand", "--cfg", "fit/work", "seed=5")
    ExperimentDir(other.exp_path).write_submission(Submission("12"))
    assert chosen("12").named == (ExperimentWord("12", (str(project / "results/12"),)),)


def test_a_config_may_have_a_number_for_a_name(project: Path) -> None:
    (project / "conf/12.prototxt").write_text("work { }\n")
    assert chosen("12").named == (ConfigWord("12"),)


def test_what_was_only_expanded_is_named_too(run: Any, project: Path) -> None:
    (target,) = run("expand", "--cfg", "fit/work", "seed=3")[1].split()
    exp_id = target.removeprefix("results/").removesuffix("/result.json")
    for word in (target, exp_id, str(project / target)):
        assert run("status", word)[1].splitlines()[:2] == ["NOT_STARTED 1", f"NOT_STARTED {exp_id}"]


def test_a_maps_key_may_have_a_slash(run: Any) -> None:
    code, out, _ = run("expand", "--cfg", "fit/work", "counts.a/b=3", "--json")
    assert code == 0 and json.loads(out)[0]["overrides"] == ['counts."a/b"=3']


def test_an_experiment_that_no_manifest_has_is_expanded_at_its_own_path(run: Any, project: Path) -> None:
    handle = maybe_launch(failing, cfg="conf/fit/work.prototxt", exp_id_pattern_override="mine/%(redefines)s")
    assert not (project / "results/.heyhi/manifests").exists()
    assert run("plan", handle.exp_id)[1].splitlines()[0] == f"{handle.exp_id}: 1 experiment"
    assert run("expand", handle.exp_id)[1] == f"results/{handle.exp_id}/result.json\n"
    code, out, _ = run("retry", "--dead", "--dry-run", "--profile", "profiles/local", handle.exp_id)
    assert code == 0 and "1 would start again" in out


def test_a_report_of_some_experiments_leaves_the_sweeps_own_files_alone(run: Any, project: Path) -> None:
    for seed in range(2):
        maybe_launch(done, cfg="conf/fit/work.prototxt", overrides=[f"seed={seed}"])
    run("report")
    table = project / "results/reports/two.csv"
    before = table.read_bytes()
    targets = run("expand")[1].split()
    code, out, _ = run("report", targets[0])
    assert code == 0 and "1 experiment: 1 DONE" in out and "written: " not in out
    assert table.read_bytes() == before
    assert run("report", targets[0], "--to", "one.csv")[0] == 0
    assert len((project / "one.csv").read_text().splitlines()) == 2


def test_an_option_takes_no_word_for_its_value() -> None:
    parsed = parse(make_parser(), ["status", "--watch", "conf/two.py"])
    assert parsed.every == 0.0 and parsed.given == [("word", "conf/two.py")]
    parsed = parse(make_parser(), ["status", "--watch", "3", "conf/two.py"])
    assert parsed.every == 3.0
    parsed = parse(make_parser(), ["report", "--mean-over", "conf/two.py", "--sort", "-loss", "--to", "x.csv"])
    assert (parsed.mean_over, parsed.sort, parsed.given) == ("", ["-loss"], [("word", "conf/two.py")])
    parsed = parse(make_parser(), ["report", "--pivot", "a", "b", "c", "--sheet", "f", "t", "--", "--odd.py"])
    assert (parsed.pivot, parsed.sheet, parsed.given) == (["a", "b", "c"], ["f", "t"], [("word", "--odd.py")])
    parsed = parse(make_parser(), ["logs", "-n", "5", "-f", "x"])
    assert (parsed.lines, parsed.follow, parsed.given) == (5, True, [("word", "x")])


# --- manifests of other projects


@pytest.fixture
def elsewhere(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Make a manifest in another project of what runs, waits and is done there, and return its path."""
    root = make_project(tmp_path / "other")

    def make() -> str:
        here = Path.cwd()
        monkeypatch.chdir(root)
        manifest = run("expand", "--manifest", "conf/two.py")[1].strip()
        maybe_launch(done, cfg="conf/fit/work.prototxt", overrides=["seed=1"])
        running = find_project().root / run("expand")[1].split()[0]
        running.parent.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(here)
        return str(root / manifest)

    return make


def test_a_manifest_of_another_project_is_read_by_its_own_settings(
    run: Any, elsewhere: Callable[[], str], tmp_path: Path, project: Path
) -> None:
    manifest = elsewhere()
    running = next((tmp_path / "other/results/p/fit/work").glob("seed=0*"))
    claim = Claim.acquire(running)
    assert isinstance(claim, Claim)
    with claim:
        code, out, _ = run("status", "--all", manifest)
        assert (
            code == 0
            and "RUNNING 1  DONE 1" in out
            and f"RUNNING     p/fit/work/{running.name}  pid {os.getpid()}" in out
        )
        code, out, _ = run("report", manifest)
        assert code == 0 and "2 experiments: 1 DONE, 1 RUNNING" in out
        assert (tmp_path / "other/results/reports/two.csv").exists() and not (project / "results").exists()
        code, out, _ = run("cancel", "--dry-run", manifest)
        assert code == 0 and f"p/fit/work/{running.name}: pid {os.getpid()}" in out
    (running / "log.txt").write_text("it ran\n")
    assert run("status", manifest)[0] == 0


@pytest.mark.parametrize("command", ["launch", "expand", "retry"])
def test_a_manifest_of_another_project_is_started_there_only(
    run: Any, elsewhere: Callable[[], str], tmp_path: Path, command: str
) -> None:
    manifest = elsewhere()
    more = {"launch": ["--profile", "profiles/local"], "retry": ["--dead", "--profile", "profiles/local"]}
    code, _, err = run(command, *more.get(command, []), manifest)
    assert code == 2
    assert f"is of the project {tmp_path}/other, and is started there" in err
    assert f"cd {tmp_path}/other && heyhi {command}" in err


def test_a_manifest_that_moved_with_its_project_is_its_own(
    run: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = run("expand", "--manifest")[1].strip()
    maybe_launch(done, cfg="conf/fit/work.prototxt", overrides=["seed=1"])
    project.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert "NOT_STARTED 1  DONE 1" in run("status", manifest)[1]


def test_a_manifest_whose_project_is_gone_says_so(
    run: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = run("expand", "--manifest")[1].strip()
    (project / manifest).rename(tmp_path / "kept.sqlite")
    project.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    code, _, err = run("status", str(tmp_path / "kept.sqlite"))
    assert code == 2 and f"was written in {project}, where there is no project any more" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("lr=0.3 --sweep lr=0.1,0.2", "lr=0.3 is left out: 'lr' is swept"),
        ("seed=1 lr=0.3 lr=0.4 --zip lr=0.1,0.2 --zip seed=1,2", "lr=0.4 is left out: 'lr' is swept"),
    ],
)
def test_of_an_override_and_a_swept_key_the_sweep_counts_and_says_so(run: Any, words: str, said: str) -> None:
    code, out, err = run("expand", "--cfg", "fit/work", *words.split())
    assert (code, len(out.splitlines())) == (0, 2)
    assert said in err
    swept = [word for word in words.split() if not word.startswith(("lr=0.3", "lr=0.4"))]
    assert run("expand", "--cfg", "fit/work", *[w for w in swept if w != "seed=1"])[1] == out


RENAMED = PROTO.replace("double lr = 1;", "double rate = 1;  // was: lr\n ").replace(
    "Work work = 2;", "Other other = 3; Work work = 2;"
)


@pytest.mark.parametrize(
    ("words", "first", "second"),
    [
        ("--sweep lr=1,2 --sweep rate=3", "lr", "rate"),
        ("--sweep rate=1,2 --sweep lr=3", "rate", "lr"),
        ("--zip lr=1,2 --zip rate=3,4", "lr", "rate"),
    ],
)
def test_a_key_is_not_swept_twice_by_two_of_its_names(
    run: Any, project: Path, words: str, first: str, second: str
) -> None:
    (project / "conf/conf.proto").write_text(f"{RENAMED}message Other {{ double lr = 1; double rate = 2; }}")
    code, _, err = run("expand", "--cfg", "fit/work", *words.split())
    assert code == 2 and f"the key is swept twice: '{first}' and '{second}' are one and the same" in err
    (project / "conf/fit/other.prototxt").write_text("other {}")
    assert run("expand", "--cfg", "fit/other", *words.split())[0] == 0  # where these are two fields


@pytest.mark.parametrize(("override", "swept"), [("lr=0.3", "rate"), ("rate=0.3", "lr")])
def test_an_override_by_another_name_of_a_swept_key_is_left_out(
    run: Any, project: Path, override: str, swept: str
) -> None:
    (project / "conf/conf.proto").write_text(f"{RENAMED}message Other {{ double lr = 1; }}")
    code, out, err = run("expand", "--cfg", "fit/work", override, "--sweep", f"{swept}=0.1,0.2")
    assert code == 0 and f"{override} is left out: '{swept}' is swept" in err
    assert run("expand", "--cfg", "fit/work", "--sweep", "rate=0.1,0.2")[1] == out


def test_what_is_added_to_a_swept_list_is_left_out_and_said(run: Any) -> None:
    swept = ["--sweep", "sizes=[1],[2]"]
    code, out, err = run("expand", "--cfg", "fit/work", "sizes+=[3]", *swept)
    assert code == 0 and "sizes+=[3] is left out: 'sizes' is swept" in err
    assert run("expand", "--cfg", "fit/work", *swept)[1] == out
    code, _, err = run("expand", "--cfg", "fit/work", "sizes=[3]", "--sweep", "sizes+=[1],[2]")
    assert code == 0 and "is left out" not in err


def test_of_two_overrides_for_one_key_the_last_counts_by_whatever_name(run: Any, project: Path) -> None:
    (project / "conf/conf.proto").write_text(f"{RENAMED}message Other {{ double lr = 1; }}")
    code, out, _ = run("expand", "--cfg", "fit/work", "lr=0.3", "rate=0.4", "--sweep", "seed=1,2")
    assert code == 0 and out.count("lr=0.4") == 2


def test_a_zip_with_keys_stands_inside_a_grid(run: Any) -> None:
    words = ["--cfg", "fit/work", "--zip", "lr=1,2", "--zip", "seed=3,4", "--adhoc"]
    code, out, _ = run("expand", *words)
    assert code == 0 and [line.split("/")[-2].split("_")[0] for line in out.splitlines()] == [
        "lr=1,seed=3",
        "lr=2,seed=4",
    ]
    code, out, _ = run("expand", *words, "--sweep", "lr=1")
    assert code == 2


@pytest.mark.parametrize("command", ["status", "report", "cancel", "retry", "logs"])
def test_who_looks_for_adhoc_experiments_is_told_how_they_are_called(run: Any, command: str) -> None:
    code, _, err = run(command, "--cfg", "fit/work", "--adhoc")
    assert code == 2 and "--adhoc makes new experiments each time: those that there are go by their exp ids" in err
    # With a name of their own they are the same each time.
    assert run(command, "--cfg", "fit/work", "--adhoc", "--out", "mine")[2].count("--adhoc makes") == 0


def test_adhoc_experiments_are_launched_once_for_each_command_and_found_by_their_ids(run: Any, project: Path) -> None:
    targets = [run("expand", "--cfg", "fit/work", "--adhoc", "--sweep", "seed=1,2")[1].split() for _ in range(2)]
    assert len({path for made in targets for path in made}) == 4
    assert len({Path(path).parts[3] for path in targets[0]}) == 1  # the experiments of one command lie together
    handle = maybe_launch(done, cfg="fit/work", adhoc=True)
    assert handle.exp_id in run("status")[1] or handle.exp_id in run("status", "--json")[1]
    assert "DONE 1" in run("status", handle.exp_id)[1]
    group = chosen("--cfg", "fit/work", "--adhoc", command="launch").groups[0]
    assert group.words == [str(Path(path).relative_to(project / "results")) for path in group.own_folders]
