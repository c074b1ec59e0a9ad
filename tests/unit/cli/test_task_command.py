"""Launching one experiment: modes, what is asked before it is wiped, and the task file's command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import heyhi
import heyhi.run
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.errors import HeyhiError, ModeError, NeedsError, OverrideError
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.modes import MODES, action_of
from heyhi.experiment.names import Status
from heyhi.experiment.status import find_status
from heyhi.job.launch import get_exp_dir, maybe_launch

TRAIN = "conf/c02_sup_train/sl.prototxt"
EVAL = "conf/c03_eval/eval.prototxt"


class Task:
    """A task that counts how often it is run, and fails when it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []
        self.fails = False

    def __call__(self, *, task: str, cfg: Any, log_level: str) -> dict[str, Any]:
        self.calls.append((task, cfg.lr))
        Path("left_behind").touch()
        if self.fails:
            raise ValueError("a loss of nan")
        return {"lr": cfg.lr}


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.fixture(autouse=True)
def results(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repository)
    monkeypatch.setenv("HH_EXP_DIR", str(tmp_path / "results"))
    return tmp_path / "results"


def command(task: Task, *args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        parse_args_and_maybe_launch(task, args)
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize("mode", MODES)
def test_modes_do_what_their_table_says(mode: str) -> None:
    table = {
        "gentle_start": "start leave leave leave leave",
        "start_restart": "start leave leave wipe leave",
        "start_continue": "start leave leave start leave",
        "restart": "start stop stop wipe wipe",
        "dryrun": "leave leave leave leave leave",
    }
    statuses = (Status.NOT_STARTED, Status.PENDING, Status.RUNNING, Status.DEAD, Status.DONE)
    words = []
    for status in statuses:
        action = action_of(mode, status)
        words.append("stop" if action.stop else "wipe" if action.wipe else "start" if action.start else "leave")
    assert " ".join(words) == table[mode]


def test_an_unknown_mode_names_the_nearest() -> None:
    with pytest.raises(ModeError, match="did you mean 'restart'"):
        maybe_launch(lambda **_: None, cfg=TRAIN, mode="restrat")


def test_second_launch_starts_nothing(task: Task) -> None:
    first = maybe_launch(task, cfg=TRAIN, overrides=["lr=0.5"])
    second = maybe_launch(task, cfg=TRAIN, overrides=["lr=0.50"])
    assert task.calls == [("train", 0.5)]
    assert first.exp_path == second.exp_path
    assert second.is_done() and not second.is_running()
    assert second.get_status() is Status.DONE
    assert second.result() == {"lr": 0.5}


def test_a_dead_experiment_is_left_continued_or_wiped_as_the_mode_says(task: Task) -> None:
    task.fails = True
    handle = maybe_launch(task, cfg=TRAIN)
    assert handle.get_status() is Status.DEAD
    maybe_launch(task, cfg=TRAIN)
    assert len(task.calls) == 1

    (handle.exp_path / "checkpoint").touch()
    maybe_launch(task, cfg=TRAIN, mode="start_continue")
    assert (handle.exp_path / "checkpoint").exists() and len(task.calls) == 2
    task.fails = False
    maybe_launch(task, cfg=TRAIN, mode="start_restart")
    assert not (handle.exp_path / "checkpoint").exists()
    assert handle.get_status() is Status.DONE and len(task.calls) == 3
    maybe_launch(task, cfg=TRAIN, mode="start_restart")
    assert len(task.calls) == 3
    maybe_launch(task, cfg=TRAIN, mode="restart")
    assert len(task.calls) == 4


def test_a_claimed_experiment_is_left(task: Task) -> None:
    handle = maybe_launch(task, cfg=TRAIN, mode="dryrun")
    handle.exp_path.mkdir(parents=True)
    claim = Claim.acquire(handle.exp_path)
    assert isinstance(claim, Claim)
    with claim:
        assert maybe_launch(task, cfg=TRAIN, mode="start_continue").is_running()
    assert task.calls == []


def test_restart_stops_the_run_that_has_it(task: Task, results: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    code = (
        "import heyhi, sys, time\n"
        "def main(**_):\n"
        f"    open({str(fifo)!r}, 'w').close()\n"
        "    while True: time.sleep(60)\n"
        f"heyhi.maybe_launch(main, cfg={TRAIN!r})\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        fifo.read_text()  # opened for writing by the run: it has begun
        handle = maybe_launch(task, cfg=TRAIN)
        assert handle.is_running() and task.calls == []
        assert maybe_launch(task, cfg=TRAIN, mode="restart").is_done()
        assert other.wait(timeout=60) in (143, -signal.SIGTERM)
    finally:
        other.kill()
        other.wait()
    assert len(task.calls) == 1


def test_an_experiment_whose_need_is_missing_is_not_started(task: Task) -> None:
    with pytest.raises(NeedsError) as caught:
        maybe_launch(task, cfg=EVAL, overrides=["noise=0.1"])
    text = str(caught.value)
    assert "p/c02_sup_train/sl/default_" in text and "NOT_STARTED" in text
    assert "snakemake --profile profiles/local $(heyhi expand --cfg conf/c03_eval/eval.prototxt noise=0.1)" in text


def test_the_command_for_missing_needs_leads_to_the_same_folder(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(task, "--cfg", EVAL, "--adhoc", "--out", "mine/%(cfg)s", "noise=0.5") == 2
    assert "$(heyhi expand --cfg conf/c03_eval/eval.prototxt noise=0.5 --adhoc --out 'mine/%(cfg)s')" in (
        capsys.readouterr().err
    )


def main_of_a_module(task: str, cfg: object, log_level: str) -> None:
    """Do nothing."""


def test_a_slurm_launcher_without_slurm_says_so_and_leaves_nothing_claimed(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HeyhiError, match="sbatch: there is no such command here"):
        maybe_launch(main_of_a_module, cfg=TRAIN, overrides=["I.launcher=slurm"])
    assert maybe_launch(task, cfg=TRAIN, mode="dryrun", overrides=["I.launcher=slurm"]).get_status() == "NOT_STARTED"


def test_adhoc_experiments_lie_apart(task: Task) -> None:
    assert "/adhoc/2" in str(maybe_launch(task, cfg=TRAIN, adhoc=True).exp_path)
    assert "/p/" in str(maybe_launch(task, cfg=TRAIN).exp_path)


def test_a_results_root_of_its_own(task: Task, results: Path) -> None:
    assert get_exp_dir("any name") == results
    handle = maybe_launch(task, cfg=TRAIN, exp_root=results / "mine", checkpoint=None)
    assert handle.exp_path.is_relative_to(results / "mine/p")
    assert Path.cwd().name == heyhi.run.PROJECT_NAME


# --- command line


def test_the_command_runs_once_and_then_says_what_is_there(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(task, "--cfg", TRAIN, "lr=0.5") == 0
    assert "DONE" in capsys.readouterr().out
    assert command(task, "--cfg", TRAIN, "--lr=0.5") == 0
    out = capsys.readouterr().out
    assert "DONE" in out and "nothing started" in out
    assert task.calls == [("train", 0.5)]


def test_a_failing_task_exits_with_1_and_names_the_reason(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    task.fails = True
    assert command(task, "--cfg", TRAIN) == 1
    assert "DEAD" in (out := capsys.readouterr().out) and "ValueError: a loss of nan" in out
    assert command(task, "--cfg", TRAIN) == 1
    assert "--mode start_continue" in capsys.readouterr().out


def test_nothing_is_wiped_without_force_or_a_terminal(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    command(task, "--cfg", TRAIN)
    assert command(task, "--cfg", TRAIN, "--mode", "restart") == 2
    assert "--force" in capsys.readouterr().err
    assert len(task.calls) == 1
    assert command(task, "--cfg", TRAIN, "--mode", "restart", "--force") == 0
    assert len(task.calls) == 2


@pytest.mark.parametrize("mode", ["restart", "start_restart"])
def test_a_restart_says_where_the_old_files_are(
    task: Task, results: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    task.fails = True
    folder = ExperimentDir(maybe_launch(task, cfg=TRAIN).exp_path, results)
    maybe_launch(task, cfg=TRAIN, mode=mode)
    (kept,) = (results / ".heyhi" / "trash").glob(f"*/{folder.exp_id}")
    assert (kept / "left_behind").exists() and "a loss of nan" in (kept / "attempts.jsonl").read_text()
    assert f"what {folder.exp_id} held is in {kept} now" in caplog.text
    assert len(folder.history().starts) == 1


def test_what_was_done_while_the_user_was_asked_is_not_wiped(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task.fails = True
    folder = ExperimentDir(maybe_launch(task, cfg=TRAIN).exp_path)
    monkeypatch.setattr("heyhi.cli.task_command._ask_before_wiping", lambda *_, **__: folder.write_result({"lr": 1}))
    assert command(task, "--cfg", TRAIN, "--mode", "start_restart") == 2
    assert "DONE by now: nothing was wiped" in capsys.readouterr().err
    assert folder.read_result() == {"lr": 1}


def test_each_adhoc_run_is_its_own(task: Task, results: Path) -> None:
    for _ in range(2):
        assert command(task, "--cfg", TRAIN, "--adhoc") == 0
    paths = {maybe_launch(task, cfg=TRAIN, adhoc=True).exp_path for _ in range(2)}
    assert len(task.calls) == 4 and len(paths) == 2
    assert len(list(results.glob("adhoc/*/*/c02_sup_train/sl/*/result.json"))) == 4
    assert not (results / ".heyhi/adhoc").exists()  # outside of a job nobody asks for it again


def test_an_adhoc_run_of_a_job_that_is_queued_again_goes_on(
    task: Task, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    task.fails = True
    assert command(task, "--cfg", TRAIN, "--adhoc") == 1
    (folder,) = results.glob("adhoc/*/*/c02_sup_train/sl/*")
    (folder / "checkpoint").touch()
    assert command(task, "--cfg", TRAIN, "--adhoc", "--mode", "dryrun") == 0
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert command(task, "--cfg", TRAIN, "--adhoc", "--mode", "dryrun") == 0
    task.fails = False
    assert command(task, "--cfg", TRAIN, "--adhoc") == 0
    assert (folder / "checkpoint").exists() and (folder / "result.json").exists()
    # Another command, another job, and the same one once more are runs of their own.
    assert command(task, "--cfg", TRAIN, "--adhoc", "lr=0.3") == 0
    assert command(task, "--cfg", TRAIN, "--adhoc") == 0
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    assert command(task, "--cfg", TRAIN, "--adhoc") == 0
    assert len(list(results.glob("adhoc/*/*/c02_sup_train/sl/*"))) == 4
    # From Python likewise.
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    task.fails = True
    handle = maybe_launch(task, cfg=TRAIN, adhoc=True)
    task.fails = False
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert maybe_launch(task, cfg=TRAIN, adhoc=True).exp_path == handle.exp_path and handle.is_done()


def test_dryrun_starts_nothing_and_says_what_would_be(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(task, "--cfg", TRAIN, "--mode", "dryrun") == 0
    assert "gentle_start would start it" in capsys.readouterr().out
    assert command(task, "--cfg", TRAIN, "--adhoc", "--mode", "dryrun") == 0
    assert "restart would start it" in capsys.readouterr().out
    assert task.calls == []


@pytest.mark.parametrize(
    "args",
    [
        ["--cfg", TRAIN, "lrr=1"],
        ["--cfg", TRAIN, "lr"],
        ["--cfg", TRAIN, "--nope"],
        ["--cfg", "nosuch"],
        ["--cfg", TRAIN, "--mode", "nope"],
        ["--cfg", TRAIN, "--out", "../x"],
        ["--cfg", TRAIN, "--out", "%(x)s"],
        [],
    ],
)
def test_a_wrong_command_exits_with_2_and_writes_nothing(
    task: Task, results: Path, args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(task, *args) == 2
    assert capsys.readouterr().err.strip()
    assert not results.exists() and task.calls == []


def test_an_unknown_option_names_the_nearest(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(task, "--cfg", TRAIN, "--adhcc") == 2
    assert "did you mean '--adhoc'" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["--checkpoint=", "--checkpoint=/tmp/code"])
def test_the_first_heyhis_option_for_a_copy_of_the_code_is_no_override(
    task: Task, results: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(task, "--cfg", TRAIN, text) == 2
    said = capsys.readouterr().err
    assert "--no-snapshot" in said
    assert text.removeprefix("--") in said
    assert not results.exists() and task.calls == []


def test_print_shows_the_config_and_runs_nothing(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(task, "--cfg", TRAIN, "lr=0.25", "--print") == 0
    assert "lr: 0.25" in capsys.readouterr().out
    assert task.calls == []


@pytest.mark.parametrize("flag", ["--print-flat", "--print-flat-all"])
def test_what_print_flat_prints_gives_the_same_config_again(
    task: Task, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [
        "lr=0.25",
        "adam.beta1=0.5",
        "hidden_sizes=NULL",
        "I.launcher=slurm_8gpus",
        "launcher.slurm.comment= a\nb",
    ]
    assert command(task, "--cfg", TRAIN, *changes, flag) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "lr=0.25" in lines
    composed = heyhi.load_config(TRAIN, changes)
    again = heyhi.load_config(TRAIN, lines)
    assert heyhi.flatten_cfg(again) == heyhi.flatten_cfg(composed)
    if flag == "--print-flat":
        assert again == composed


def test_overrides_keep_the_order_of_the_command_line(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    command(task, "--lr=1", "--cfg", TRAIN, "lr=2", "--lr=3", "epochs=4", "--print")
    assert "lr: 3" in capsys.readouterr().out
    with pytest.raises(OverrideError):
        heyhi.load_config(TRAIN, ["adam"])


def test_help_has_examples(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(task, "--help") == 0
    assert "examples:" in (out := capsys.readouterr().out) and "%%" not in out and "%(cfg)s" in out


def test_the_real_task_file_stays_light(repository: Path) -> None:
    code = (
        "import sys, runpy; sys.argv = ['run.py', '--cfg', 'c02_sup_train/sl', '--print']\n"
        "try: runpy.run_path('run.py', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "import json; json.dump(sorted(sys.modules), sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    heavy = {"numpy", "pandas", "sklearn", "rich", "snakemake", "grpc_tools", "sqlite3", "asyncio"}
    assert not heavy & set(json.loads(done.stderr))


def test_the_example_sweep_says_what_is_wrong_by_one_message(repository: Path, results: Path) -> None:
    results.touch()
    command = [sys.executable, "-m", "conf.c02_sup_train.rs_yolo_01_example"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: {results}: the results can't be read: Not a directory\n"


def test_two_processes_launching_at_once_run_it_once(repository: Path, results: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    code = (
        "import heyhi, os\n"
        "def main(**_):\n"
        f"    with open({str(ledger)!r}, 'a') as file: file.write('ran\\n')\n"
        f"print(heyhi.maybe_launch(main, cfg={TRAIN!r}).get_status())\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    outputs = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0] * 4, outputs
    assert ledger.read_text() == "ran\n"
    assert find_status(next(results.glob("p/*/*/*"))) is Status.DONE


def test_a_dead_experiment_is_left_with_its_reason_what_to_type_and_exit_code_1(task: Task, capsys: Any) -> None:
    task.fails = True
    assert command(task, "--cfg", TRAIN) == 1
    capsys.readouterr()
    assert command(task, "--cfg", TRAIN) == 1 and len(task.calls) == 1
    out = capsys.readouterr().out
    assert "DEAD (exit code 1: ValueError: a loss of nan)\nnothing started; --mode start_continue goes on" in out
    assert "heyhi logs --error p/c02_sup_train/sl/default_" in out
    assert command(task, "--cfg", TRAIN, "--mode", "dryrun") == 0
    task.fails = False
    assert command(task, "--cfg", TRAIN, "--mode", "start_continue") == 0 and len(task.calls) == 2
