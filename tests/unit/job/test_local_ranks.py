"""Ranks as processes of this machine: `launcher.local.tasks`, by run.py and by a runner."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heyhi.config.schema import load_schema
from heyhi.experiment.folder import ExperimentDir
from heyhi.project import find_project
from heyhi.sweep.expand import expand
from heyhi.sweep.target import target_of
from heyhi.sweep.write_manifest import write_manifest
from tests.processes import is_gone

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
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
    env = heyhi.get_job_env()
    print("said by rank", env.rank, flush=True)
    if env.rank == 1 and cfg.do == "fail":
        raise ValueError("boom")
    if env.rank == 1 and cfg.do == "empty":
        subprocess.run("find . -mindepth 1 -delete", shell=True)
        raise ValueError("emptied")
    if env.rank == 1 and cfg.do == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if env.rank == 0 and cfg.do == "debug":
        secret = 41
        breakpoint()
    if env.rank == 1 and cfg.do == "read":
        assert sys.stdin.read() == ""
    if cfg.do == "deaf":  # as one that waits for another rank in C code
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.modules["__main__"]._GRACE_SECONDS = 0.5
    if cfg.do in ("fail", "empty", "crash", "wait", "deaf"):
        pathlib.Path(f"pid{env.rank}").write_text(str(os.getpid()))
        if env.rank == 0:
            meet("ready")
        time.sleep(300)
    import socket
    pathlib.Path(f"seen{env.rank}").write_text(repr([os.environ[name] for name in names]))
    if env.rank == 0:
        with socket.socket() as meeting:
            meeting.bind((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])))
    return {"rank": env.rank, "world": env.world_size, "path": os.getcwd()}
"""
DOOR = """
if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""


@pytest.fixture
def lab(task_lab: Any) -> Any:
    (task_lab.root / "conf" / "conf.proto").write_text(PROTO)
    task_lab.write(MAIN + DOOR)
    return task_lab


def start(lab: Any, *words: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "run.py", "--cfg", "conf/job.prototxt", "launcher.local.tasks=2", *words]
    process: subprocess.Popen[str] = lab.open(command, **options)
    return process


def folder_of(lab: Any, *words: str) -> Path:
    words = ("launcher.local.tasks=2", *words)
    path: Path = expand(lab.project, lab.schema, [("conf/job.prototxt", words)]).experiments[-1].exp_path
    return path


def test_main_runs_in_two_processes_and_the_first_one_s_result_counts(lab: Any) -> None:
    code, out, err = lab.end(start(lab, "do=read"))
    folder = folder_of(lab, "do=read")
    assert code == 0, err
    assert json.loads((folder / "result.json").read_text()) == {"rank": 0, "world": 2, "path": str(folder)}
    first, second = (eval((folder / f"seen{rank}").read_text()) for rank in range(2))  # noqa: S307
    assert first[:6] == ["0", "2", "0", "2", "0", "127.0.0.1"]
    assert second[:6] == ["1", "2", "1", "2", "0", "127.0.0.1"]
    assert first[6] == second[6]
    assert "said by rank 0" in out and "said by rank 1" not in out
    assert (folder / "log.txt").read_text().count("said by rank 0\n") == 1
    assert (folder / "log.1.txt").read_text() == "said by rank 1\n"
    assert [one["event"] for one in attempts(folder)] == ["start", "end"] and attempts(folder)[1]["environment"]
    assert not list(folder.glob(".ranks*"))


def attempts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "attempts.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("do", "reason"), [("fail", "ValueError: boom"), ("empty", "ValueError: emptied"), ("crash", "rank 1 on ")]
)
def test_a_rank_that_fails_ends_all_and_gives_the_reason(lab: Any, do: str, reason: str) -> None:
    code, out, _ = lab.end(start(lab, f"do={do}"))
    assert code == 1 and "DEAD" in out and reason in out
    assert reason in attempts(folder_of(lab, f"do={do}"))[-1]["exception"]


def test_ctrl_c_ends_all_ranks(lab: Any) -> None:
    # As in a terminal, which sends it to all processes of the foreground.
    process = start(lab, "do=wait", start_new_session=True)
    lab.meet("ready")
    folder = folder_of(lab, "do=wait")
    os.killpg(process.pid, signal.SIGINT)
    code, _, _ = lab.end(process)
    assert code == 130 and attempts(folder)[-1]["exception"] == "stopped by SIGINT"
    for rank in range(2):
        pid = folder / f"pid{rank}"
        assert not pid.exists() or is_gone(int(pid.read_text()))


@pytest.mark.parametrize("do", ["wait", "deaf"])
def test_no_rank_outlives_a_run_that_was_killed(lab: Any, do: str) -> None:
    process = start(lab, f"do={do}")
    lab.meet("ready")
    pid = int((folder_of(lab, f"do={do}") / "pid0").read_text())
    watched = os.pidfd_open(pid)
    process.kill()
    assert select.select([watched], [], [], 60)[0]
    os.close(watched)


def test_a_debugger_of_the_first_rank_reads_from_the_terminal(lab: Any) -> None:
    ours, theirs = pty.openpty()
    process = start(lab, "do=debug", stdin=theirs)
    os.close(theirs)
    os.write(ours, b"p secret + 1\ncontinue\n")
    code, out, err = lab.end(process)
    os.close(ours)
    assert code == 0, err
    assert "42" in out.splitlines() or "(Pdb) 42" in out


def test_a_runner_starts_them_too(lab: Any) -> None:
    project = find_project(lab.root)
    expansion = expand(project, load_schema(project), [("conf/job.prototxt", ["launcher.local.tasks=2"])])
    manifest = write_manifest(expansion, project, load_schema(project))
    experiment = expansion.experiments[-1]
    target = target_of(experiment.exp_path, project.root)
    code, out, err = lab.end(lab.open([sys.executable, "-m", "heyhi.runner", target, "--manifest", str(manifest)]))
    assert (code, out) == (0, ""), err
    folder = ExperimentDir(experiment.exp_path)
    assert json.loads(folder.result_path.read_text())["world"] == 2
    assert "said by rank 0" in folder.log_path.read_text()


def test_how_many_ranks_there_are_counts_in_the_identity_as_gpus_do(lab: Any) -> None:
    one, two, more = (
        expand(lab.project, lab.schema, [("conf/job.prototxt", words)]).experiments[-1].exp_path
        for words in ([], ["launcher.local.tasks=2"], ["launcher.local.tasks=2", "launcher.local.cpus=3"])
    )
    assert one != two == more


@pytest.mark.parametrize(("tasks", "said"), [("0", "must be at least 1"), ("5000", "at most 1000")])
def test_a_number_of_ranks_that_cannot_be_is_refused(lab: Any, tasks: str, said: str) -> None:
    command = [sys.executable, "run.py", "--cfg", "conf/job.prototxt", f"launcher.local.tasks={tasks}"]
    code, _, err = lab.end(lab.open(command))
    assert code == 2 and f"launcher.local.tasks={tasks}" in err and said in err and "Traceback" not in err
    assert not (lab.root / "results").exists()


def test_a_main_that_no_other_process_can_import_is_refused(lab: Any) -> None:
    process = lab.program(
        """
        def make():
            def main(task, cfg, log_level):
                return {}
            return main
        try:
            heyhi.maybe_launch(make(), cfg="conf/job.prototxt", overrides=["launcher.local.tasks=2"])
        except heyhi.HeyhiError as error:
            print(error)
        """
    )
    code, out, err = lab.end(process)
    assert code == 0 and "must be a function of a module" in out, err
    assert not list((lab.root / "results").glob("p/**/attempts.jsonl"))


AS_IT_STARTS = """
import argparse, os, signal

def parse_args(*_):
    open(os.environ["FIFOS"] + "/ready", "w").write("x")
    signal.pause()

argparse.ArgumentParser.parse_args = parse_args
import runpy
runpy.run_module("heyhi.job.ranks", run_name="__main__")
"""


def test_ctrl_c_as_a_rank_starts_leaves_no_traceback(task_lab: Any) -> None:
    process = task_lab.open([sys.executable, "-c", AS_IT_STARTS])
    task_lab.meet("ready")
    process.send_signal(signal.SIGINT)
    assert task_lab.end(process) == (-signal.SIGINT, "", "")
