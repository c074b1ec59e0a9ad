"""The command line `heyhi`, through its own parser, on a project of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi import maybe_launch, parse_args_and_maybe_launch
from heyhi.cli.looking import NOT_LOOKED
from heyhi.experiment.winners import Winner, winner_path, write_winner
from heyhi.project import find_project
from heyhi.sweep.known import LaunchRecord, write_launch

PROTO = """
syntax = "proto3";
message MetaCfg {
  repeated Include includes = 1;
  oneof task { Work work = 2; Check check = 3; }
}
message Include { string path = 1; string mount = 2; }
message Work {
  optional double lr = 1;
  int32 seed = 2;
  Launcher launcher = 3;
}
message Check { string of = 1; int32 noise = 2; }
message Launcher { oneof kind { Slurm slurm = 1; } }
message Slurm { int32 hours = 1; }
"""


@pytest.fixture(autouse=True)
def project(make_project: Callable[..., Path]) -> Path:
    return make_project(PROTO, need="work.prototxt")


def done(**_: object) -> dict[str, int]:
    return {"score": 1}


def failing(**_: object) -> None:
    raise ValueError("it broke")


def hand_over(run: Any, *words: str) -> str:
    """Put a launch of a sweep on record, as Snakemake does when it starts one; return the manifest."""
    manifest = str(run("expand", *words, "--manifest")[1].strip())
    write_launch(find_project(), LaunchRecord.now("snakemake", words, "a sweep", manifest=Path(manifest).name))
    return manifest


def test_expand_prints_a_target_a_line_and_the_rest_on_standard_error(run: Any, project: Path) -> None:
    code, out, err = run("expand", "--cfg", "work", "--sweep", "seed=range(2)", "lr=0.5")
    assert code == 0
    targets = out.splitlines()
    assert len(targets) == 2
    assert all(t.startswith("results/p/work/lr=0.5,seed=") and t.endswith("/result.json") for t in targets)
    assert "2 experiments" in err


def test_expand_takes_the_sweep_of_the_settings_or_a_file(run: Any) -> None:
    assert run("expand")[1] == run("expand", "conf/many.py")[1]


def test_what_a_sweep_file_prints_is_no_target(run: Any, project: Path) -> None:
    with (project / "conf/many.py").open("a") as file:
        file.write("        print('seed', seed)\n")
    code, out, err = run("expand")
    assert (code, len(out.splitlines())) == (0, 3)
    assert "seed" not in out.replace("seed=", "")
    assert "seed 2" in err


def test_expand_names_its_manifest_and_the_same_sweep_has_the_same(run: Any, project: Path) -> None:
    first, second = run("expand", "--manifest")[1].strip(), run("expand", "--manifest")[1].strip()
    assert first == second and (project / first).is_file()
    (project / "conf/work.prototxt").write_text("work {\n  lr: 0.2\n}\n")
    assert run("expand", "--manifest")[1].strip() != first


def test_expand_as_json(run: Any) -> None:
    rows = json.loads(run("expand", "--cfg", "check", "--json")[1])["experiments"]
    assert [row["task"] for row in rows] == ["work", "check"]
    assert rows[1]["needs"] == [rows[0]["target"]]
    assert [row["own"] for row in rows] == [False, True]


def test_a_zipped_sweep_and_a_pattern(run: Any) -> None:
    code, out, _ = run(
        "expand", "--cfg", "work", "--sweep", "lr=1,2", "--sweep", "seed=3,4", "--zip", "--out", "z/%(redefines)s"
    )
    assert code == 0
    assert out.splitlines() == ["results/z/lr=1,seed=3/result.json", "results/z/lr=2,seed=4/result.json"]


def test_options_and_overrides_may_be_mixed(run: Any) -> None:
    plain = run("expand", "--cfg", "work", "lr=0.5", "seed=1")[1]
    assert run("expand", "lr=0.5", "--cfg", "work", "--seed=1")[1] == plain
    assert run("expand", "--seed=1", "--cfg", "work", "lr=0.5")[1] == plain


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["expand", "--cfg", "work", "lrr=1"], "did you mean 'lr'"),
        (["expand", "--cfg", "wrok"], "did you mean"),
        (["expand", "nosuch.py"], "doesn't exist"),
        (["expand", "lr=1"], "--cfg"),
        (["expand", "conf/many.py", "lr=1"], "--cfg"),
        (["expand", "conf/many.py", "--sweep", "lr=1"], "--cfg"),
        (["expand", "conf/many.py", "--adhoc"], "--cfg"),
        (["expand", "--cfg", "work", "--sweeep", "lr=1"], "did you mean '--sweep'"),
        (["expand", "--cfg", "work", "--sweep", "lr"], "--sweep 'lr'"),
        (["expand", "--cfg", "work", "--out", "../x"], "results root"),
        (["expand", "--cfg", "work", "--manifest", "--json"], "not allowed with"),
        (["print", "work", "lr=x"], "conf/work.prototxt:2 sets it"),
        (["print", "nosuch"], "doesn't exist"),
        (["print", "work", "work.lr=1"], "keys start below the task: 'lr'"),
        (["status", "nosuch.sqlite"], "nosuch.sqlite"),
        (["plan", "--mode", "nope"], "unknown mode"),
        (["nope"], "nope"),
        (["completion", "tcsh"], "tcsh"),
        (["diff", "a", "b"], "a"),
        (["describe", "work", "lrr"], "lr"),
    ],
)
def test_a_wrong_command_gets_one_message_and_writes_nothing(
    run: Any, project: Path, args: list[str], expected: str
) -> None:
    code, out, err = run(*args)
    assert code == 2
    assert expected in err and "Traceback" not in err
    if "--json" in args:
        assert json.loads(out)["error"]["code"] == "usage"
        return
    assert out == ("heyhi-expand-failed\n" if args[0] == "expand" else "")
    assert not (project / "results").exists()


def test_snakemake_runs_nothing_when_the_expansion_of_its_targets_failed(project: Path) -> None:
    script = f"{sys.executable} -m heyhi.cli expand --cfg work lrr=1"
    found = subprocess.run(["bash", "-c", f"echo $({script} 2>/dev/null)"], cwd=project, capture_output=True, text=True)
    # One word that is no file and no rule: without one, snakemake would run the default sweep.
    assert found.stdout == "heyhi-expand-failed\n"


def test_outside_a_project_it_says_how_to_make_one(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "empty/x.py"), raising=False)
    code, _, err = run("expand")
    assert code == 2 and "heyhi init" in err


def test_plan_tells_new_done_dead_blocked_and_drifted(run: Any, project: Path) -> None:
    maybe_launch(done, cfg="conf/work.prototxt", overrides=["seed=1"])
    maybe_launch(failing, cfg="conf/work.prototxt", overrides=["seed=2"])
    code, out, _ = run("plan")
    assert code == 0
    assert "DEAD 1  NOT_STARTED 1  DONE 1" in out and "ValueError: it broke" in out and "2 would start" in out
    assert "--config sweep=conf/many.py" in out
    assert "1 would start" in run("plan", "--mode", "gentle_start")[1]
    assert "2 would start, 1 of them from an emptied folder" in run("plan", "--mode", "start_restart")[1]

    (project / "conf/work.prototxt").write_text("work {\n  lr: 0.3\n}\n")
    out = run("plan")[1]
    assert "drifted 2" in out and "work.lr: 0.1 -> 0.3" in out
    rows = json.loads(run("plan", "--json")[1])["experiments"]
    assert [row["status"] for row in rows] == ["NOT_STARTED", "DONE", "DEAD"]
    assert [row["action"] for row in rows] == ["start", "none", "start"]
    assert rows[1]["drifted"] == ["work.lr: 0.1 -> 0.3"]


def test_a_damaged_record_of_what_is_done_is_a_problem_beside_it(run: Any, project: Path) -> None:
    handle = maybe_launch(done, cfg="conf/work.prototxt", overrides=["seed=1"])
    (project / "conf/work.prototxt").write_text("work {\n  lr: 0.3\n}\n")
    handle.folder.attempts_path.write_text("garbage\n")
    told = f"{handle.folder.attempts_path}: is damaged: no line of it is a record"
    for words in (("plan",), ("status", "--drift"), ("status", handle.exp_id), ("report",)):
        code, out, err = run(*words)
        assert (code, "DONE" in out) == (0, True), (words, err)
        assert f"{told}\n" in out + err and "nothing is started" not in out + err, words
    other = maybe_launch(done, cfg="conf/work.prototxt", overrides=["seed=2"])
    code, out, err = run("diff", handle.exp_id, other.exp_id)
    assert (code, err) == (2, f"error: {told}\n") and "result: no difference" in out


def test_what_cannot_be_compared_has_not_drifted_and_is_counted_apart(run: Any, project: Path) -> None:
    maybe_launch(done, cfg="conf/work.prototxt", overrides=["seed=1"])
    handle = maybe_launch(done, cfg="conf/work.prototxt", overrides=["seed=2"])
    (project / "conf/work.prototxt").write_text("work {\n  lr: 0.3\n}\n")
    handle.folder.flat_config_path.unlink()
    handle.folder.flat_config_path.mkdir()
    for words in (("plan",), ("status", "--drift")):
        out = run(*words)[1]
        assert "DONE 2  drifted 1  not compared 1\n" in out and "drifted: work.lr: 0.1 -> 0.3\n" in out
        assert f"            not compared: {handle.folder.flat_config_path}: can't be read" in out
        rows = {row["exp_path"]: row for row in json.loads(run(*words, "--json")[1])["experiments"]}
        (line,) = rows[str(handle.exp_path)]["drifted"]
        assert line.startswith("can't be compared: ")
    assert "\n1 of the drifted is DONE and left as it is: heyhi launch --redo-drifted runs it again," in run("plan")[1]
    run("expand")
    out = run("report", "conf/many.py", "--drift", "--to", "t.csv")[1]
    assert "\n1 drifted: launched with" in out and "\n1 not compared with the config of today: column drifted" in out
    assert f",not compared: {handle.folder.flat_config_path}" in (project / "t.csv").read_text()


def test_a_dead_need_blocks_and_is_named(run: Any) -> None:
    maybe_launch(failing, cfg="conf/work.prototxt")
    out = run("plan", "--cfg", "check", "--sweep", "noise=1,2")[1]
    assert "DEAD 1  BLOCKED 2" in out
    assert "by p/work/default_" in out and "it broke" in out


def test_status_of_all_known_of_a_sweep_and_of_a_manifest(run: Any) -> None:
    assert "no experiments yet" in run("status")[1]
    manifest = hand_over(run)
    assert run("status")[1].startswith("NOT_STARTED 3")
    maybe_launch(done, cfg="conf/work.prototxt", overrides=["seed=1"])
    for args in ([], ["conf/many.py"], [manifest]):
        code, out, _ = run("status", *args)
        assert (code, out.splitlines()[0]) == (0, "NOT_STARTED 2  DONE 1")
    maybe_launch(failing, cfg="conf/work.prototxt", overrides=["seed=0"])
    code, out, _ = run("status")
    assert code == 1 and "DEAD 1" in out
    assert {row["status"] for row in json.loads(run("status", "--json")[1])["experiments"]} == {
        "DEAD",
        "DONE",
        "NOT_STARTED",
    }


def test_one_folder_that_cannot_be_read_hides_no_other(run: Any, project: Path) -> None:
    hand_over(run)
    targets = run("expand")[1].split()
    for target, name in zip(targets, ("claim.json", "attempts.jsonl"), strict=False):
        (project / target).parent.mkdir(parents=True)
        (project / target).with_name(name).mkdir()
    code, out, err = run("status")
    assert (code, err) == (1, "")
    assert out.startswith("UNKNOWN 2  NOT_STARTED 1\n")
    assert "claim.json: can't be read: Is a directory" in out
    assert "identity.json: is missing beside attempts.jsonl, so nobody knows" in out


def test_a_dead_need_blocks_in_the_status_of_all_known(run: Any) -> None:
    hand_over(run, "--cfg", "check")
    maybe_launch(failing, cfg="conf/work.prototxt")
    assert "BLOCKED" in run("status")[1]


def test_drift_knows_new_defaults_and_fields_and_ignores_scheduling(run: Any, project: Path) -> None:
    run("expand")
    maybe_launch(done, cfg="conf/work.prototxt", overrides=["seed=1"])
    assert "drifted" not in run("status", "--drift")[1]

    proto = project / "conf/conf.proto"
    proto.write_text(PROTO.replace("int32 seed = 2;", "int32 seed = 2; int32 added = 9; optional string note = 10;"))
    assert "drifted" not in run("status", "--drift")[1]
    (project / "conf/work.prototxt").write_text("work {\n  lr: 0.1 launcher { slurm { hours: 3 } }\n}\n")
    assert "drifted" not in run("status", "--drift")[1]
    (project / "conf/work.prototxt").write_text("work {\n  lr: 0.1 added: 1\n}\n")
    assert "work.added: absent -> 1" in run("status", "--drift")[1]
    (project / "conf/work.prototxt").unlink()
    out = run("status", "--drift")[1]
    assert "DONE 1  not compared 1\n" in out and " not compared: can't be composed today: " in out


def test_a_moved_project_and_results_root_are_no_drift(
    run: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "conf/check.prototxt").write_text('check { of: "{{exp work.prototxt}}/x {{ROOT_DIR}}/data" }\n')
    maybe_launch(done, cfg="conf/work.prototxt")
    maybe_launch(done, cfg="conf/check.prototxt")
    project.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    out = run("plan", "--cfg", "check")[1]
    assert "DONE 2" in out and "drifted" not in out


def test_print_and_flat(run: Any) -> None:
    assert run("print", "work", "lr=0.5")[1] == "work {\n  lr: 0.5\n}\n"
    assert run("print", "work", "seed=3", "--flat")[1] == "lr=0.1\nseed=3\n"
    assert "seed=0" in run("print", "work", "--flat-all")[1]


@pytest.mark.parametrize("by", ["heyhi", "run.py"])
def test_print_shows_what_would_run_with_the_best_of_a_sweep(
    run: Any, project: Path, by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown() -> tuple[str, str]:
        words = ["work", "I={{best conf/tune.py max=acc}}", "seed=3"]
        if by == "heyhi":
            code, out, err = run("print", *words, "--flat-all")
            assert code == 0
            return out, err
        with pytest.raises(SystemExit) as ended:
            parse_args_and_maybe_launch(done, args=["--cfg", *words, "--print-flat-all"])
        assert not ended.value.code
        return capsys.readouterr()

    (project / "conf/tune.py").write_text("def yield_sweep():\n    yield 'work', {'lr': 0.5}\n")
    before, said = shown()
    assert "seed=3" in before and "lr=0.1" in before
    assert "the best of conf/tune.py isn't chosen yet: what it gives isn't in this config" in said, said
    winner = Winner("conf/tune.py max=acc", "p/x", 1.0, ("p/x",), "work", ("lr=0.5",), (), (), "", "", "")
    write_winner(winner_path(find_project().results_root, winner.words), winner)
    after, said = shown()
    assert "seed=3" in after and "lr=0.5" in after and not said


def test_help_is_quick_to_read_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from heyhi.cli import main\ntry: main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "examples:" in found.stdout
    assert not {"google", "google.protobuf", "pandas", "sqlite3", "rich", "heyhi.config.compose"} & set(
        found.stderr.split()
    )


def test_a_closed_pipe_is_no_traceback(project: Path) -> None:
    script = f"{sys.executable} -m heyhi.cli expand --cfg work --sweep 'seed=range(5000)' 2>err | head -n1; cat err"
    found = subprocess.run(["bash", "-c", script], cwd=project, capture_output=True, text=True, check=True)
    assert "Traceback" not in found.stdout and "Error" not in found.stdout


def test_targets_survive_a_shell(run: Any) -> None:
    out = run("expand", "--cfg", "check", "of=$(touch x); 'a b'`y`")[1].strip()
    assert set(out) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=@+,/-")


def test_many_targets_go_by_a_manifest(run: Any, project: Path) -> None:
    hand_over(run, "--cfg", "work", "--sweep", "seed=range(300)")
    assert run("status", "--all")[1].count("\nNOT_STARTED ") == 300
    short = run("status")[1].splitlines()
    assert len(short) < 60 and "more (--all lists them)" in short[-2]


def test_a_root_config_is_extended_by_a_file_and_not_included_by_an_override(run: Any, project: Path) -> None:
    (project / "conf/both.prototxt").write_text('includes { path: "work" }\nwork { seed: 1 }\n')
    code, out, err = run("print", "both", "--flat")
    assert (code, err) == (0, "") and "seed=1" in out.split()
    code, _, err = run("print", "work", "I=both")
    assert code == 2 and "conf/both.prototxt: is a root config" in err


def test_the_status_of_what_is_done_loads_nothing_that_composes(run: Any) -> None:
    (target,) = run("expand", "--cfg", "work")[1].split()
    maybe_launch(done, cfg="conf/work.prototxt")
    assert Path(target).exists()
    code = "import sys; from heyhi.cli.main import main\nmain(['status'])\nprint(*sys.modules, file=sys.stderr)"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout == f"DONE 1\n{NOT_LOOKED}\n"
    loaded = set(told.stderr.split())
    assert "heyhi.control.survey" in loaded
    assert not {"google.protobuf", "heyhi.config.compose", "heyhi.experiment.folder", "dataclasses"} & loaded


def test_the_command_knows_no_project_but_that_around_the_working_directory(tmp_path: Path) -> None:
    for command in ([str(Path(sys.executable).parent / "heyhi")], [sys.executable, "-m", "heyhi.cli"]):
        found = subprocess.run([*command, "status"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert found.returncode == 2 and "no HeyHi project here or above" in found.stderr, command
