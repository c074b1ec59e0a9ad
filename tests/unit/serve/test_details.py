"""One experiment as a live page asks for it: bounded, whatever lies in its folder; and commands that can be typed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pytest

import heyhi
from heyhi import maybe_launch
from heyhi.control.typed_commands import word_for
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.owner import Owner
from heyhi.project import Project, find_project
from heyhi.serve.board import Known
from heyhi.serve.details import MOST_ATTEMPTS, MOST_NEEDS, experiment
from heyhi.serve.wire import key_of
from heyhi.sweep.known import LaunchRecord, write_launch
from heyhi.sweep.manifest import Manifest
from tests.unit.cli.works import PROTO

Run = Callable[..., tuple[int, str, str]]
SWEEP = """
def yield_sweep():
    for seed in range(1, 7):
        yield "conf/work.prototxt", {"seed": seed}
    for name in ("good", "bad"):
        yield f"conf/{name}.prototxt", {}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Iterator[Project]:
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(heyhi.__file__).parents[1]))
    root = tmp_path / "project"
    (root / "conf").mkdir(parents=True)
    files = {
        "conf/conf.proto": PROTO,
        "conf/work.prototxt": "work {\n  lr: 0.1\n}\n",
        "conf/good.prototxt": 'check { of: "{{exp work.prototxt seed=1}}" }\n',
        "conf/bad.prototxt": 'check { of: "{{exp work.prototxt seed=2}}" }\n',
        "conf/many.py": SWEEP,
        "pyproject.toml": '[tool.heyhi]\nsweep = "conf/many.py"\n',
        "profiles/mine/config.yaml": "cores: 1\n",
        "profiles/theirs/config.yaml": "executor: slurm\n",
        "run.py": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.chdir(root)
    for seed, fails in ((1, ""), (2, "boom"), (3, "boom"), (4, "boom")):
        task(seed, fails)
    here = find_project(root)
    append(folder(here, 4), {"event": "end", "attempt": 1, "reason": "pruned", "exception": "ended at step 3"})
    (folder(here, 3).path / "claim.json").write_text(json.dumps(asdict(Owner.this_process("process"))))
    launch(here, run, "local")
    yield here


def task(seed: int, fails: str = "") -> None:
    def main(**_: object) -> dict[str, int]:
        heyhi.log(step=1, loss=2.0)
        print("said")
        if fails:
            raise ValueError(fails)
        return {"score": 1}

    maybe_launch(main, cfg="work", overrides=[f"seed={seed}"], mode="start_continue")


def launch(of: Project, run: Run, profile: str) -> None:
    """Put a launch of all on record."""
    with Manifest.open(of.root / run("expand", "--manifest")[1].strip()) as opened:
        name, label = opened.path.name, opened.label
    write_launch(of, LaunchRecord.now("heyhi launch", [], label, manifest=name, profile=profile))


def append(of: ExperimentDir, *records: dict[str, Any]) -> None:
    with of.attempts_path.open("a") as file:
        file.write("".join(json.dumps(one) + "\n" for one in records))


def folder(of: Project, what: object) -> ExperimentDir:
    """Return the experiment of a seed, or of a name of a check."""
    from heyhi.sweep.index import ManifestIndex

    started = [path for path in of.results_root.glob("p/*/*") if f"seed={what}_" in path.name]
    known = [Path(path) for path in ManifestIndex.open(of).known() if f"seed={what}_" in path or f"/{what}" in path]
    return ExperimentDir((started or known)[0], of.results_root)


def details(of: Project, one: ExperimentDir) -> dict[str, Any]:
    found = experiment(Known(of, one))
    assert len(orjson.dumps(found)) < 4 << 20
    return found


def typed(of: Project, what: object) -> dict[str, str]:
    return {line.split()[1]: line for _, line in details(of, folder(of, what))["commands"]}


STATUSES = {1: "DONE", 2: "DEAD", 3: "RUNNING", 4: "PRUNED", 5: "NOT_STARTED", "good": "NOT_STARTED", "bad": "BLOCKED"}
SHOWN = {
    1: {"logs", "status", "report", "print", "run"},
    2: {"retry", "logs", "status", "report", "print", "run"},
    3: {"logs", "cancel", "status", "report", "print"},
    4: {"run", "logs", "status", "report", "print"},
    5: {"run", "status", "print"},
    "bad": {"retry", "status", "print"},
}


@pytest.mark.parametrize("what", SHOWN)
def test_each_command_that_is_shown_can_be_typed(project: Project, run: Run, what: object) -> None:
    found = details(project, folder(project, what))
    assert found["status"] == STATUSES[what]
    assert {line.split()[1] for _, line in found["commands"]} == SHOWN[what]
    for _, line in found["commands"]:
        words = shlex.split(line)
        if words[1:3] == ["logs", "--follow"]:
            follow(words)
            continue
        changes = words[1] in ("run", "launch", "retry", "cancel")
        code, out, err = run(*words[1:], *["--dry-run"] * changes)
        assert code == (1 if words[1] == "status" and what == 2 else 0), (line, out, err)
        asked = "seed=2" if what == "bad" and words[1] == "retry" else found["id"].rpartition("/")[2].partition("_")[0]
        if words[1] != "logs":
            assert asked.partition("=")[2] in out, (line, out)


def follow(words: list[str]) -> None:
    with subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.terminate()


def test_what_was_run_by_slurm_is_launched_again_and_what_has_a_profile_of_its_own_by_that(
    project: Project, run: Run
) -> None:
    name = word_for(folder(project, 5))
    assert typed(project, 5)["run"] == f"heyhi run {name}"
    for profile, line in (
        ("slurm", f"heyhi launch {name}"),
        ("mine", f"heyhi run --profile mine {name}"),
        ("profiles/theirs", f"heyhi launch --profile profiles/theirs {name}"),
        ("gone", f"heyhi launch {name}"),
    ):
        launch(project, run, profile)
        assert line in typed(project, 5).values()


def test_one_that_was_done_is_gone_on_with_as_that_needs(project: Project) -> None:
    done = folder(project, 1)
    done.result_path.unlink()
    assert typed(project, 1)["retry"] == f"heyhi retry --dead --continue-drifted {word_for(done)}"


def test_hostile_names_stay_one_word_for_a_shell(tmp_path: Path) -> None:
    from heyhi.control.typed_commands import commands_for_one
    from heyhi.experiment.names import Status
    from heyhi.project import Settings

    for name in ("p/a b; touch x", "p/$(touch x)", "-x/`id`", "p/\n\x1b[2J'\"", "4711", "seed=1", "p/ä\u202e"):
        one = ExperimentDir(tmp_path / name, tmp_path)
        for status in Status:
            for _, line in commands_for_one(Project(tmp_path, Settings(), tmp_path), one, status, has_log=True):
                assert line.isprintable()
                said = subprocess.run(
                    ["bash", "-c", f"heyhi() {{ printf '%s\\0' \"$@\"; }}; {line}"], capture_output=True, check=True
                ).stdout
                words = os.fsdecode(said).split("\0")
                assert words[-2] in (name, str(one.path))
                assert not words[-2].startswith("-")


def test_an_experiment_says_how_it_is_and_what_it_has_to_do_with_others(project: Project) -> None:
    found = details(project, folder(project, 2))
    assert "boom" in found["reason"]
    assert found["cfg"] == "conf/work.prototxt"
    assert found["overrides"] == ["seed=2"]
    assert found["flat"]["work.seed"] == "2"
    assert "seed: 2" in found["config"]
    assert [one["reason"] for one in found["attempts"]] == [found["attempts"][0]["reason"]]
    assert found["logs"]["ranks"] == [0]
    assert found["logs"]["size"] > 0
    (user,) = found["needed_by"]
    assert (user["status"], user["key"]) == ("BLOCKED", key_of(str(folder(project, "bad").path)))
    (need,) = details(project, folder(project, "bad"))["needs"]
    assert (need["status"], need["id"]) == ("DEAD", found["id"])
    assert found["folder"] == str(folder(project, 2).path)
    assert found["project"] == str(project.root)


def test_one_that_never_began_says_what_it_is_planned_to_be(project: Project) -> None:
    found = details(project, folder(project, 5))
    assert (found["cfg"], found["overrides"]) == ("conf/work.prototxt", ["seed=5"])
    assert "seed: 5" in found["config"]
    assert found["flat"]["work.seed"] == "5"
    assert found["attempts"] == []


def test_a_note_is_told(project: Project, run: Run) -> None:
    assert run("note", str(folder(project, 1).path), "of no use", "--exclude")[0] == 0
    found = details(project, folder(project, 1))
    assert (found["note"], found["excluded"]) == ("of no use", True)


def test_what_a_running_one_has_used_so_far_is_told(project: Project) -> None:
    from heyhi.experiment.records import Used
    from heyhi.experiment.used import note_used

    one = folder(project, 3)
    (start,) = one.history().starts
    one.attempts_path.write_text("".join(one.attempts_path.read_text().splitlines(keepends=True)[:1]))
    note_used(one.path, start, Used(seconds=3600.0, gpus=2, cpu_seconds=1800.0))
    used = details(project, one)["used"]
    assert used["gpu_hours"] == 2.0
    assert used["cpu_hours"] == 0.5
    assert used["seconds_so_far"] == 3600.0


def test_what_is_sent_is_bounded(project: Project, run: Run) -> None:
    one = folder(project, 2)
    append(one, *({"event": "start", "attempt": n, "host": "x" * 10_000} for n in range(2, 1000)))
    one.config_path.write_text("# long\n" * (1 << 20))
    one.flat_config_path.write_text(json.dumps({f"key{n}": "x" * 100 for n in range(50_000)}))
    found = details(project, one)
    assert len(found["attempts"]) == MOST_ATTEMPTS
    assert found["attempts_in_all"] == 999
    assert len(found["config"]) <= 1_000_000
    assert found["flat_in_all"] == 50_000
    assert len(found["needed_by"]) <= MOST_NEEDS


ODD: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "loop": lambda path: path.symlink_to(path.name),
    "folder": Path.mkdir,
    "10 GB": lambda path: (path.touch(), os.truncate(path, 10 << 30)),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\0" * 1000),
    "deep JSON": lambda path: path.write_text("[" * 100_000),
    "surrogates": lambda path: path.write_text('{"event": "start", "a\\ud800": "\\ud800", "host": "\\udfff"}\n'),
    "a huge number": lambda path: path.write_text('{"attempt": 1' + "0" * 5000 + ', "event": "end", "a": 1e999}\n'),
}


@pytest.mark.parametrize("odd", ODD)
def test_whatever_lies_in_its_folder_is_answered(project: Project, odd: str) -> None:
    one = folder(project, 2)
    for path in sorted(one.path.iterdir()):
        aside = path.rename(path.with_name("aside"))
        ODD[odd](path)
        found = details(project, one)
        assert found["id"], path
        path.rmdir() if path.is_dir() else path.unlink()
        aside.rename(path)
    assert details(project, one)["status"] == "DEAD"
