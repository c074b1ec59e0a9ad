"""Tasks that srun or torchrun has started, each by the same `python run.py …`: one experiment, of which they are ranks.

Here as processes with the environment of such tasks; real ones are in tests/slurm.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.job_env import get_tasks
from heyhi.sweep.expand import expand

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Job { optional double lr = 1 [default = 0.5]; optional string do = 2; optional Launcher launcher = 3; }
message Launcher { oneof kind { Local local = 1; } }
message Local { optional int32 cpus = 1 [default = 1]; optional int32 tasks = 2 [default = 1]; }
message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; } }
"""
MAIN = """
def main(task, cfg, log_level):
    env = heyhi.get_job_env()
    print("said by rank", env.rank, flush=True)
    if env.rank == 1 and cfg.do == "fail":
        raise ValueError("boom")
    if cfg.do == "nested":
        # A program that a rank starts is no task that has to meet others.
        inner = [sys.executable, os.environ["PROGRAM"], "--cfg", "conf/job.prototxt", f"lr={env.rank + 2}"]
        subprocess.run(inner, cwd=os.environ["PROJECT"], check=True)
    if cfg.do in ("fail", "wait"):
        pathlib.Path(f"pid{env.rank}").write_text(f"{os.getpid()} {os.getppid()}")
        if env.rank == 0:
            meet("ready")
        time.sleep(300)
    if cfg.do == "wait1":
        pathlib.Path(f"pid{env.rank}").write_text(f"{os.getpid()} {os.getppid()}")
        if env.rank == 1:
            meet("ready")
        time.sleep(300)
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    pathlib.Path(f"seen{env.rank}").write_text(json.dumps([os.environ[name] for name in names]))
    return {"rank": env.rank, "world": env.world_size}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""


def by_srun(rank: int) -> dict[str, str]:
    return {
        "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "3", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_NODEID": "0",
        "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NODELIST": "localhost",
    }  # fmt: skip


def by_torchrun(rank: int) -> dict[str, str]:
    return {
        "TORCHELASTIC_RUN_ID": "none", "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "localhost", "MASTER_PORT": "29501",
    }  # fmt: skip


Env = Callable[[int], dict[str, str]]


@pytest.fixture
def lab(task_lab: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    (task_lab.root / "conf" / "conf.proto").write_text(PROTO)
    task_lab.write("import json\n" + MAIN)
    monkeypatch.setenv("PROGRAM", str(task_lab.root / "run.py"))
    monkeypatch.setenv("PROJECT", str(task_lab.root))
    return task_lab


def start(lab: Any, monkeypatch: pytest.MonkeyPatch, env: Env, *words: str) -> list[subprocess.Popen[str]]:
    """Start two tasks, the second one first."""
    tasks = []
    for rank in (1, 0):
        with monkeypatch.context() as context:
            for name, value in env(rank).items():
                context.setenv(name, value)
            command = [sys.executable, "run.py", "--cfg", "conf/job.prototxt", *words]
            tasks.append(lab.open(command, stdin=subprocess.DEVNULL, start_new_session=True))
    return tasks[::-1]


def run(lab: Any, monkeypatch: pytest.MonkeyPatch, env: Env, *words: str) -> list[tuple[int, str, str]]:
    return [lab.end(task) for task in start(lab, monkeypatch, env, *words)]


def folder_of(lab: Any, *words: str) -> Path:
    path: Path = expand(lab.project, lab.schema, [("conf/job.prototxt", words)]).experiments[-1].exp_path
    return path


def attempts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "attempts.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("env", [by_srun, by_torchrun])
def test_two_tasks_are_the_ranks_of_one_run(lab: Any, monkeypatch: pytest.MonkeyPatch, env: Env) -> None:
    (code, out, err), (other, silent, also) = run(lab, monkeypatch, env)
    folder = folder_of(lab)
    assert (code, other) == (0, 0), err + also
    assert "DONE" in out and (silent, also) == ("", "")
    assert json.loads((folder / "result.json").read_text()) == {"rank": 0, "world": 2}
    assert [one["event"] for one in attempts(folder)] == ["start", "end"]
    assert (folder / "log.txt").read_text().count("said by rank 0\n") == 1
    assert (folder / "log.1.txt").read_text() == "said by rank 1\n"
    first, second = (json.loads((folder / f"seen{rank}").read_text()) for rank in range(2))
    assert (first[:3], second[:3]) == (["0", "2", "0"], ["1", "2", "1"]) and first[3:] == second[3:]
    # Nothing stays where they have met, and in the same step they may meet again.
    assert not (lab.project.state_root / "ranks").exists()
    again = run(lab, monkeypatch, env)
    assert [one[0] for one in again] == [0, 0] and "nothing started" in again[0][1] and again[1][1] == ""


@pytest.mark.parametrize("restart", ["0", "1"])
def test_tasks_of_one_adhoc_run_agree_on_its_name_and_a_requeue_keeps_it(
    lab: Any, monkeypatch: pytest.MonkeyPatch, restart: str
) -> None:
    if restart == "1":
        assert [one[0] for one in run(lab, monkeypatch, by_srun, "--adhoc", "do=fail")] == [1, 1]
        lab.write(
            "import json\n" + MAIN.replace('cfg.do == "fail"', "False").replace('cfg.do in ("fail", "wait")', "False")
        )
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    (code, out, err), (other, _, also) = run(
        lab, monkeypatch, by_srun, "--adhoc", "do=fail" if restart == "1" else "do=x"
    )
    assert (code, other) == (0, 0), out + err + also
    (folder,) = lab.project.results_root.glob("adhoc/*/*/job/*")
    assert json.loads((folder / "result.json").read_text()) == {"rank": 0, "world": 2}
    assert (folder / "seen1").exists() and len(attempts(folder)) == 2 + 2 * int(restart)


def test_a_failing_task_ends_all_and_all_end_with_the_run_s_exit_code(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code, out, _), (other, _, _) = run(lab, monkeypatch, by_srun, "do=fail")
    assert (code, other) == (1, 1) and "DEAD (exit code 1: ValueError: boom)" in out
    assert "raise ValueError" in (folder_of(lab, "do=fail") / "log.1.txt").read_text()


def test_a_wrong_command_ends_all_with_its_exit_code(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["do=fail", "rl=1"], ["launcher.local.tasks=2"]):
        ended = run(lab, monkeypatch, by_srun, *words)
        assert [one[0] for one in ended] == [2, 2] and not (lab.root / "results" / "p").exists()
    assert "srun or torchrun" in ended[0][2]


def test_a_task_that_is_killed_ends_all(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = start(lab, monkeypatch, by_srun, "do=wait1")
    lab.meet("ready")
    second.kill()
    code, out, _ = lab.end(first)
    lab.end(second)
    assert code == 1 and "DEAD" in out
    ends_of_ranks(folder_of(lab, "do=wait1"))


def test_where_the_first_task_is_killed_the_others_end(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = start(lab, monkeypatch, by_srun, "do=wait1")
    lab.meet("ready")
    first.kill()
    code, _, err = lab.end(second)
    assert code == 2 and "rank 0 has ended without a word" in err
    ends_of_ranks(folder_of(lab, "do=wait1"))


def test_ctrl_c_ends_all_tasks(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = start(lab, monkeypatch, by_srun, "do=wait1")
    lab.meet("ready")
    for task in tasks:  # as srun passes it on
        os.killpg(task.pid, signal.SIGINT)
    codes = [lab.end(task)[0] for task in tasks]
    assert codes[0] == 130 and codes[1] != 0
    folder = folder_of(lab, "do=wait1")
    assert attempts(folder)[-1]["exception"] == "stopped by SIGINT"
    ends_of_ranks(folder)


def ends_of_ranks(folder: Path) -> None:
    """See that no rank is left."""
    for path in folder.glob("pid?"):
        pid = int(path.read_text().split()[0])
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([handle], [], [], 60)[0]
        finally:
            os.close(handle)


def test_what_a_rank_starts_meets_nobody(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(lab, monkeypatch, by_srun, "do=nested")
    assert [one[0] for one in ended] == [0, 0], ended
    assert all((folder_of(lab, f"lr={lr}") / "result.json").exists() for lr in (2, 3))


def test_a_batch_script_of_several_tasks_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*by_srun(0), *by_torchrun(0)):
        monkeypatch.delenv(name, raising=False)
    for name in ("SLURM_JOB_ID", "SLURM_PROCID"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert get_tasks() is None
    monkeypatch.setenv("SLURM_STEP_ID", "4294967290")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert get_tasks() is None
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    tasks = get_tasks()
    assert tasks is not None and (tasks.rank, tasks.count) == (0, 4)
