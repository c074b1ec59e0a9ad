"""What is known: what was run or launched by whatever door, and nothing that was only looked at."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import heyhi
from heyhi import maybe_launch
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.experiment.claim import Claim
from heyhi.project import find_project
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.known import LaunchRecord, note_known, write_launch
from heyhi.sweep.manifest import Manifest

PROTO = """
syntax = "proto3";
message MetaCfg {
  repeated Include includes = 1;
  oneof task { Work work = 2; Check check = 3; }
}
message Include { string path = 1; string mount = 2; }
message Work { optional double lr = 1; int32 seed = 2; Launcher launcher = 3; }
message Check { string of = 1; int32 noise = 2; }
message Launcher { oneof kind { Slurm slurm = 1; } }
message Slurm { int32 hours = 1; string partition = 2; }
"""
SWEEP = "def yield_sweep():\n    for seed in range(3):\n        yield 'conf/work.prototxt', {'seed': seed}\n"
TIME = r"[0-9-]{10} [0-9:]{8}"
NOTHING = "no experiments yet"


def make_project(root: Path) -> Path:
    (root / "conf").mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/work.prototxt").write_text("work {\n  lr: 0.1\n}\n")
    (root / "conf/check.prototxt").write_text('check { of: "{{exp work.prototxt}}" }\n')
    (root / "conf/many.py").write_text(SWEEP)
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/many.py"\n')
    (root / "profiles/local").mkdir(parents=True)
    (root / "profiles/local/config.yaml").write_text("cores: 1\n")
    return root


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_project(tmp_path / "project")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a folder of stand-ins for Slurm's commands first on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for name in ("sbatch", "squeue", "sacct", "scontrol"):
        write_program(folder / name, "exit 0")
    return folder


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def done(**_: object) -> dict[str, int]:
    return {"score": 1}


def failing(**_: object) -> None:
    raise ValueError("it broke")


def run_py(*args: str, main: Any = done) -> int:
    """Be `python run.py`."""
    with pytest.raises(SystemExit) as stop:
        parse_args_and_maybe_launch(main, args)
    assert isinstance(stop.value.code, int)
    return stop.value.code


def hand_over(run: Any, *words: str) -> str:
    """Put a launch of a sweep on record, as Snakemake does when it starts one; return the manifest."""
    manifest = str(run("expand", *words, "--manifest")[1].strip())
    opened = Manifest.open(Path(manifest))
    record = LaunchRecord.now("snakemake", words, opened.label, manifest=Path(manifest).name, expand=opened.words)
    write_launch(find_project(), record)
    return manifest


def tree(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*"))


# --- run.py and maybe_launch


def test_a_loop_of_runs_is_known_like_all_others(run: Any, project: Path) -> None:
    for seed in (1, 2):
        assert run_py("--cfg", "work", f"seed={seed}") == 0
    assert run_py("--cfg", "work", "seed=3", main=failing) == 1
    maybe_launch(done, cfg="work", overrides=["seed=4"])

    code, out, _ = run("status")
    assert code == 1 and out.startswith("DEAD 1  DONE 3\n") and "ValueError: it broke" in out
    (project / "conf/work.prototxt").write_text("work {\n  lr: 0.2\n}\n")
    assert "drifted 4" in run("status", "--drift")[1]
    code, out, _ = run("retry", "--dead", "--dry-run", "--profile", "profiles/local")
    assert code == 0 and "1 would start again" in out and "seed=3" in out
    code, out, _ = run("cancel", "--all", "--dry-run")
    assert "seed=3" in out and "nothing to cancel" in out


def test_a_run_that_goes_on_is_seen_by_cancel_all(run: Any) -> None:
    folder = maybe_launch(failing, cfg="work").exp_path
    claim = Claim.acquire(folder)
    assert isinstance(claim, Claim)
    with claim:
        assert run("status")[1].startswith("RUNNING 1\n")
        assert f"pid {claim.owner.pid}" in run("cancel", "--all", "--dry-run")[1]


def test_repeated_runs_write_one_small_record_each(project: Path) -> None:
    for _ in range(3):
        for seed in (1, 2):
            run_py("--cfg", "work", f"seed={seed}")
    state = project / "results/.heyhi"
    assert len(list((state / "known").iterdir())) == 2
    assert not (state / "launches").exists() and not (state / "manifests").exists()


def test_a_run_is_known_while_it_runs(run: Any) -> None:
    seen = []

    def main(**_: object) -> None:
        seen.extend(ManifestIndex.open(find_project(project)).known())

    project = Path.cwd()
    handle = maybe_launch(main, cfg="work")
    assert seen == [str(handle.exp_path)]


def test_what_needs_a_dead_run_is_blocked_without_a_manifest(run: Any) -> None:
    dead = maybe_launch(failing, cfg="work").exp_path.relative_to(find_project().results_root)
    note_known(find_project(), {"p/later": [str(dead)]})
    assert run("status")[1].startswith("DEAD 1  BLOCKED 1\n")
    assert f"blocked by {dead}" in run("status")[1] or str(dead) in run("status")[1]


def test_an_exp_path_outside_of_the_results_is_known_too(run: Any, tmp_path: Path) -> None:
    assert run_py("--cfg", "work", "--out", str(tmp_path / "elsewhere/x"), main=failing) == 1
    assert str(tmp_path / "elsewhere/x") in run("status")[1]
    # By whatever spelling of a path in the results, it is one experiment.
    for out in ("q/x", str(find_project().results_root / "q/x")):
        run_py("--cfg", "work", "--out", out)
    assert run("status")[1].startswith("DEAD 1  DONE 1\n")


# --- looking


def test_looking_makes_nothing_known(run: Any, project: Path) -> None:
    for command in (
        ["expand"],
        ["expand", "--cfg", "work", "seed=9"],
        ["plan"],
        ["report"],
        ["status", "conf/many.py"],
        ["print", "work"],
        ["launch", "--dry-run", "--profile", "profiles/local"],
        ["retry", "--dead", "--dry-run", "--profile", "profiles/local", "conf/many.py"],
        ["cancel", "--dry-run", "conf/many.py"],
    ):
        assert run(*command)[0] == 0, command
    maybe_launch(done, cfg="work", mode="dryrun")
    assert run_py("--cfg", "work", "--print") == 0
    assert run_py("--cfg", "work", "--mode", "dryrun") == 0
    code, out, _ = run("status")
    assert code == 0 and out.startswith(NOTHING)
    assert "heyhi launch" in out and "run.py --cfg" in out
    assert json.loads(run("status", "--json")[1])["experiments"] == []
    # Nor is a report what a target is run by.
    assert "written: " in run("report", "conf/many.py")[1]
    assert len(list((project / "results/.heyhi/manifests").iterdir())) == 2
    assert not {"known", "launches"} & {p.name for p in (project / "results/.heyhi").iterdir()}


def test_what_was_only_expanded_can_be_named_all_the_same(run: Any) -> None:
    (target,) = run("expand", "--cfg", "work", "seed=9")[1].split()
    assert run("status", target)[1].startswith("NOT_STARTED 1\n")
    assert run("status")[1].startswith(NOTHING)


def test_what_was_launched_and_has_not_started_is_known(run: Any) -> None:
    hand_over(run)
    assert run("status")[1].startswith("NOT_STARTED 3\n")


# --- refused


@pytest.mark.parametrize(
    "args",
    [
        ["--cfg", "check"],  # what it needs isn't done
        ["--cfg", "work", "sed=1"],
        ["--cfg", "wrok"],
        ["--cfg", "work", "--out", "../x"],
        ["--cfg", "work", "launcher.slurm.hours=1", "launcher.slurm.partition=nope"],
    ],
)
def test_a_refused_run_leaves_no_folder_and_is_not_known(
    run: Any, project: Path, programs: Path, args: list[str]
) -> None:
    write_program(programs / "sbatch", "echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1")
    assert run_py(*args) == 2
    results = project / "results"
    assert not results.exists() or [name for name in tree(results) if not name.startswith(".heyhi")] == []
    assert run("status")[1].startswith(NOTHING)


def test_a_refused_submission_leaves_what_was_there(run: Any, project: Path, programs: Path) -> None:
    words = ("--cfg", "work", "launcher.slurm.hours=1")
    folder = maybe_launch(failing, cfg="work").exp_path  # hours only schedule: it is the same experiment
    before = tree(folder)
    write_program(programs / "sbatch", "echo 'sbatch: error: invalid account' >&2; exit 1")
    assert run_py(*words, "--mode", "start_continue") == 2
    assert {*tree(folder)} >= {*before}
    assert run("status")[1].startswith("DEAD 1\n")


def test_an_unreadable_experiment_is_refused_and_not_known(run: Any, project: Path) -> None:
    (target,) = run("expand", "--cfg", "work")[1].split()
    folder = (project / target).parent
    folder.mkdir(parents=True)
    (folder / "claim.json").mkdir()
    assert run_py("--cfg", "work") == 1
    assert tree(folder) == ["claim.json"]
    assert run("status")[1].startswith(NOTHING)


@pytest.fixture
def as_task_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the task be a function of the project, so that a job may be given it."""
    module = ModuleType("run")
    (project / "run.py").touch()
    module.__file__ = str(project / "run.py")
    module.main = done  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "run", module)


@pytest.mark.usefixtures("as_task_file")
def test_what_was_submitted_is_known(run: Any, project: Path, programs: Path) -> None:
    write_program(programs / "sbatch", f"cp {project}/results/.heyhi/known/* {programs}/../ && echo 17")
    assert run_py("--cfg", "work", "launcher.slurm.hours=1") == 0
    assert [row["job_id"] for row in json.loads(run("status", "--json")[1])["experiments"]] == ["17"]
    # Before it was handed over: whoever is killed then has told of it.
    assert len(list(programs.parent.glob("*.json"))) == 1


# --- finding


@pytest.mark.usefixtures("as_task_file")
def test_a_job_of_a_submitted_run_is_found(run: Any, programs: Path) -> None:
    write_program(programs / "sbatch", "echo 17")
    assert run_py("--cfg", "work", "launcher.slurm.hours=1") == 0
    assert "seed" in run("status", "17")[1] or "default" in run("status", "17")[1]


def test_completion_offers_what_has_not_started_yet(run: Any) -> None:
    from heyhi.cli.completion import _experiments

    run("expand", "--cfg", "work", "seed=9")
    assert _experiments("p/") == {}
    hand_over(run)
    maybe_launch(done, cfg="work", overrides=["seed=1"])
    assert list(_experiments("")) == ["p/"]
    offered = list(_experiments("p/work/"))
    assert [name.rpartition("_")[0] for name in offered] == [f"p/work/seed={seed}" for seed in range(3)]
    assert _experiments("p/work/seed=2") == {offered[2]: ""}


# --- launches


def test_the_sweeps_that_were_launched_are_listed_with_words_and_the_way_to_their_tables(
    run: Any, project: Path
) -> None:
    assert run("status", "--sweeps") == (0, "nothing was launched yet\n", "")
    first = hand_over(run)
    second = hand_over(run, "--cfg", "work", "--sweep", "lr=1,2")
    for seed in range(3):
        maybe_launch(failing if seed == 2 else done, cfg="work", overrides=[f"seed={seed}"])
    maybe_launch(done, cfg="work", overrides=["seed=8"])
    write_launch(find_project(), LaunchRecord.now("heyhi", ["launch"], "many", manifest=Path(first).name))

    code, out, err = run("status", "--sweeps")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    label = Manifest.open(Path(second)).label
    assert re.fullmatch("work-lr-1-2-[0-9a-f]{6}", label)
    assert [line.partition("  ")[2] for line in lines if line[0].isdigit()] == [
        f"{label}  2 experiments: NOT_STARTED 2",
        "many  3 experiments: DEAD 1  DONE 2",
    ]
    assert lines[1].endswith(": snakemake --cfg work --sweep lr=1,2")
    assert lines[2] == f"    table: heyhi report {second}"
    assert re.fullmatch(rf"{TIME} … {TIME} UTC, 2 times  many  3 .*", lines[3])
    assert re.match(rf"{TIME} UTC  {label}  ", lines[0]) and lines[4].endswith(": heyhi launch")
    assert lines[6:] == ["by run.py and maybe_launch: 4 experiments: DEAD 1  DONE 3"]

    rows = json.loads(run("status", "--sweeps", "--json")[1])["launches"]
    assert [(r["launches"], r["experiments"], r["statuses"].get("DONE", 0)) for r in rows] == [
        (1, 2, 0),
        (2, 3, 2),
        (0, 4, 3),
    ]
    assert [r["words"] for r in rows] == [["--cfg", "work", "--sweep", "lr=1,2"], ["conf/many.py"], []]
    # The table of then, though the sweep is another one by now.
    (project / "conf/many.py").write_text(SWEEP.replace("range(3)", "range(1)"))
    code, out, _ = run(*rows[1]["report"].split()[1:])
    assert code == 0 and "seed=2" in out and "seed=0" in out


def test_a_sweep_whose_manifest_is_gone_is_still_listed(run: Any, project: Path) -> None:
    manifest = hand_over(run)
    (project / manifest).unlink()
    code, out, _ = run("status", "--sweeps")
    assert f"its manifest {Path(manifest).name} is gone or damaged: heyhi expand conf/many.py writes it anew" in out
    assert code == 1


@pytest.mark.parametrize(
    "words", ["status", "retry --dead --profile profiles/local", "logs --error", "status --json", "status --watch 1"]
)
def test_what_a_manifest_that_is_gone_had_is_missed_by_name(
    run: Any, project: Path, caplog: pytest.LogCaptureFixture, words: str
) -> None:
    manifest = hand_over(run)
    (project / manifest).unlink()
    for _ in range(2):  # the index was told before, too
        caplog.clear()
        code, out, _ = run(*words.split())
        assert code == 1 and "nothing was run" not in out
        assert f"{Path(manifest).name}: is gone" in caplog.text and "\n  heyhi expand conf/many.py\n" in caplog.text
    assert run("expand", "conf/many.py", "--manifest")[1].strip() == manifest
    caplog.clear()
    assert run("status")[:2] == (0, "NOT_STARTED 3\n" + run("status")[1].partition("\n")[2]) and not caplog.text


def test_a_launch_whose_manifest_is_gone_can_be_forgotten(run: Any, project: Path) -> None:
    manifest = hand_over(run)
    (project / manifest).unlink()
    assert run("status")[0] == 1
    (record,) = project.glob("results/.heyhi/launches/*")
    record.unlink()
    code, out, _ = run("status")
    assert code == 0 and NOTHING in out


def test_launching_again_what_is_done_puts_it_on_record_again(run: Any, project: Path) -> None:
    for seed in range(3):
        maybe_launch(done, cfg="work", overrides=[f"seed={seed}"])
    shutil.rmtree(project / "results/.heyhi")
    assert NOTHING in run("status")[1]
    launch = ("launch", "conf/many.py", "--profile", "profiles/local")
    assert "nothing to start" in run(*launch, "--dry-run")[1] and NOTHING in run("status")[1]
    for _ in range(2):
        assert "nothing to start" in run(*launch)[1] and run("status")[1].startswith("DONE 3")
        assert len(list(project.glob("results/.heyhi/launches/*"))) == 1


@pytest.mark.parametrize("is_indexed", [True, False])
def test_a_launch_whose_record_is_damaged_is_missed(
    run: Any, project: Path, caplog: pytest.LogCaptureFixture, is_indexed: bool
) -> None:
    hand_over(run)
    run("status")
    (record,) = project.glob("results/.heyhi/launches/*")
    record.write_text("x\n")
    if not is_indexed:
        (project / "results/.heyhi/index.sqlite").unlink()
    caplog.clear()
    code, out, _ = run("status", "--sweeps")
    assert code == 1 and "nothing was launched" not in out
    assert [message.count(record.name) for message in caplog.messages] == [1], "once"
    assert "remove it, and run or launch that again" in caplog.text
    code, out, _ = run("status")
    assert out.startswith("NOT_STARTED 3") if is_indexed else NOTHING not in out
    assert code == int(not is_indexed)


@pytest.mark.parametrize("more", ["conf/many.py", "--drift", "--all", "--watch"])
def test_the_list_of_sweeps_goes_alone(run: Any, more: str) -> None:
    code, _, err = run("status", "--sweeps", more)
    assert code == 2 and "--sweeps goes alone" in err


# --- results that were moved, and roots of two names


def test_nothing_is_lost_and_nothing_doubled_where_the_results_are_moved(
    run: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = hand_over(run)
    for seed in (1, 7):
        maybe_launch(done, cfg="work", overrides=[f"seed={seed}"])
    counts = "NOT_STARTED 2  DONE 2\n"
    assert run("status")[1].startswith(counts)
    before = run("report", manifest)[1]

    (project / "results").rename(tmp_path / "elsewhere")
    assert run("status")[1].startswith(NOTHING)
    moved = str(tmp_path / "elsewhere/.heyhi/manifests" / Path(manifest).name)
    for env in (False, True):
        if env:
            monkeypatch.setenv("HH_EXP_DIR", str(tmp_path / "elsewhere"))
            assert run("status")[1].startswith(counts)
        assert run("status", moved)[1].startswith("NOT_STARTED 2  DONE 1\n")
        table = heyhi.table(moved)
        assert sorted(table["status"]) == ["DONE", "NOT_STARTED", "NOT_STARTED"]
        assert set(table["exp_path"]) == set(Manifest.open(Path(moved)).folders)
        assert {row["exp_path"] for row in json.loads(run("status", "--json", moved)[1])["experiments"]} == set(
            map(str, Manifest.open(Path(moved)).folders)
        )
    code, _, err = run("launch", "--dry-run", "--profile", "profiles/local", moved)
    assert code == 2 and "expand it anew:\n  heyhi expand conf/many.py" in err
    assert run("report", "conf/many.py")[0] == 0
    maybe_launch(done, cfg="work", overrides=["seed=2"])
    assert run("status")[1].startswith("NOT_STARTED 1  DONE 3\n")

    monkeypatch.delenv("HH_EXP_DIR")
    (tmp_path / "elsewhere").rename(project / "results")
    assert run("status")[1].startswith("NOT_STARTED 1  DONE 3\n")
    after = run("report", "conf/many.py")[1]
    assert "elsewhere" not in after and after.count("DONE") == before.count("DONE") + 1


def test_a_root_of_two_names_has_nothing_twice(run: Any, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "link").symlink_to("results")
    manifest = hand_over(run)
    exp_path = maybe_launch(done, cfg="work", overrides=["seed=1"]).exp_path
    monkeypatch.setenv("HH_EXP_DIR", "link")
    maybe_launch(done, cfg="work", overrides=["seed=2"])
    linked = hand_over(run)
    assert len(json.loads(run("status", "--json")[1])["experiments"]) == 3
    assert run("status")[1].startswith("NOT_STARTED 1  DONE 2\n")
    # Whatever it is called, it is one, and what either name was expanded for may be launched by the other.
    same = str(exp_path.relative_to(project / "results"))
    for words in ([same, str(exp_path), str(project / "link" / same)], [manifest, linked]):
        assert len(json.loads(run("status", "--json", *words)[1])["experiments"]) in (1, 3)
    for one in (manifest, linked):
        assert run("launch", "--dry-run", "--profile", "profiles/local", one)[0] == 0
    monkeypatch.delenv("HH_EXP_DIR")
    assert run("status")[1].startswith("NOT_STARTED 1  DONE 2\n")


def test_a_project_that_was_moved_or_copied_reads_its_own_results(
    run: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = hand_over(run)
    maybe_launch(done, cfg="work", overrides=["seed=1"])
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    monkeypatch.chdir(copy)
    maybe_launch(done, cfg="work", overrides=["seed=2"])
    assert run("status", manifest)[1].startswith("NOT_STARTED 1  DONE 2\n")
    assert str(copy) in run("status", "--json", manifest)[1] and str(project) + "/" not in run("status", "--json")[1]
    code, _, err = run("launch", "--dry-run", "--profile", "profiles/local", manifest)
    assert code == 2 and "expand it anew" in err


# --- clones


def test_a_clone_never_runs_what_only_another_one_has_expanded(
    run: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HH_EXP_DIR", str(tmp_path / "shared"))
    theirs = make_project(tmp_path / "theirs")
    monkeypatch.chdir(theirs)
    manifest = hand_over(run, "--cfg", "work", "seed=5")
    (target,) = run("expand", "--cfg", "work", "seed=5")[1].split()
    monkeypatch.chdir(project)
    # Looking may read any, and runs nothing of theirs either.
    assert run("status")[1].startswith("NOT_STARTED 1\n")
    assert run("report", target)[0] == 0
    monkeypatch.chdir(theirs)
    hand_over(run)
    (other, *_) = run("expand")[1].split()
    (theirs / "conf/many.py").write_text(f"{SWEEP}\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(project)
    assert run("report", other)[0] == 0
    assert not (tmp_path / "ran").exists()
    launch = ("launch", "--dry-run", "--profile", "profiles/local")
    code, _, err = run(*launch, target)
    assert code == 2 and f"was only expanded by the project {theirs}" in err
    assert "heyhi expand --cfg conf/work.prototxt seed=5" in err
    code, _, err = run(*launch, manifest)
    assert code == 2 and f"cd {theirs}" in err
    assert run("expand", "--cfg", "conf/work.prototxt", "seed=5")[0] == 0
    assert run(*launch, target)[0] == 0


def test_an_experiment_that_a_clone_has_started_is_expanded_here_by_its_own_words(
    run: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HH_EXP_DIR", str(tmp_path / "shared"))
    monkeypatch.chdir(make_project(tmp_path / "theirs"))
    hand_over(run, "--cfg", "work", "seed=5")
    dead = maybe_launch(failing, cfg="work", overrides=["seed=5"]).exp_path
    monkeypatch.chdir(project)
    assert run("launch", "--dry-run", "--profile", "profiles/local", str(dead))[0] == 0
    assert ManifestIndex.open(find_project()).find_to_run(dead) is None  # it was a look
    assert run("expand", str(dead))[0] == 0
    path = ManifestIndex.open(find_project()).find_to_run(dead)
    assert path is not None and Manifest.open(path).written_for.project_root == str(project)
