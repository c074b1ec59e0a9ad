"""What main has started ends with it on a real cluster that has no cgroups; Slurm itself would leave it running."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]

# Each run starts three processes: a child, one in a session of its own, and a daemon, whose parent has ended. `do` says
# how it ends then; `after` is the file that it waits for first.
TASK = """
import os, signal, subprocess, threading, time
from pathlib import Path

import heyhi

ROOT = Path(os.environ["LAB"])


def daemon():
    parent = os.getpid()
    first = os.fork()
    if first == 0:
        os.setsid()
        second = os.fork()
        if second == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(1)
        (ROOT / f"daemon{parent}").write_text(str(second))
        os._exit(0)
    os.waitpid(first, 0)
    return int((ROOT / f"daemon{parent}").read_text())


def main(task, cfg, log_level):
    rank = heyhi.get_job_env().rank
    if rank == 0 and cfg.steps != 1:
        return {"rank": 0}
    pids = [
        daemon(),
        subprocess.Popen(["sleep", "1000000"]).pid,
        subprocess.Popen(["sleep", "1000000"], start_new_session=True).pid,
    ]
    if cfg.do == "submit":
        theirs = ROOT / "theirs"
        subprocess.run(["sbatch", "-o", "/dev/null", "--wrap", f"touch {theirs}; sleep 1000000"], check=True)
        while not theirs.exists():
            time.sleep(0.05)
    made = ROOT / f"made{cfg.x}.new"
    made.write_text(" ".join(map(str, [os.getpid(), *pids])))
    made.rename(ROOT / f"made{cfg.x}")
    while cfg.after and not (ROOT / cfg.after).exists():
        time.sleep(0.05)
    if cfg.do == "thread":
        threading.Thread(target=signal.sigwait, args=([signal.SIGUSR1],), name="waits").start()
    if cfg.do == "caught":
        try:
            (ROOT / "caught").touch()
            signal.pause()
        except BaseException:
            return
    if cfg.do == "fail":
        raise ValueError("boom")
    if cfg.do == "leave":
        os._exit(0)
    if cfg.do == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"y": cfg.x}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def made(lab: Any, x: int) -> list[int]:
    """What a run of an x has noted: its own process, and those that it has started."""
    path = lab.root / f"made{x}"
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def queued() -> list[str]:
    """The jobs that Slurm has still, each with its state and name."""
    return subprocess.run(
        ["squeue", "-h", "-o", "%T %j"], capture_output=True, text=True, check=True
    ).stdout.splitlines()


@pytest.fixture
def left(lab: Any) -> Iterator[Any]:
    (lab.root / "run.py").write_text(TASK)
    yield lab
    for x in range(1, 9):
        for pid in made(lab, x):
            if lives(pid):
                os.kill(pid, signal.SIGKILL)


def test_nothing_that_main_has_started_outlives_its_job(left: Any, until: Until) -> None:
    ends = ("end", "fail", "leave", "killed")
    left.sweep(*({"x": x, "do": do, "steps": 1} for x, do in enumerate(ends, 1)))
    code, out = left.snakemake()
    assert code == 1
    assert [left.statuses()[x]["status"] for x in (1, 2, 3, 4)] == ["DONE", "DEAD", "DEAD", "DEAD"], out
    until(lambda: not queued())
    for x, do in enumerate(ends, 1):
        assert len(made(left, x)) == 4
        assert not [pid for pid in made(left, x) if lives(pid)], do


def test_a_member_of_a_pack_ends_what_it_has_started_and_nothing_of_others(left: Any, until: Until) -> None:
    pack = {"launcher.slurm.pack": 3, "steps": 1}
    ended, going = (1, 2), 3
    left.sweep({"x": 1, "do": "fail", **pack}, {"x": 2, "do": "killed", **pack}, {"x": 3, "after": "go", **pack})
    controller = left.start()
    until(lambda: made(left, going) and all(made(left, x) for x in ended))
    until(lambda: not [pid for x in ended for pid in made(left, x) if lives(pid)])
    until(lambda: left.statuses()[1]["status"] == left.statuses()[2]["status"] == "DEAD")
    assert all(map(lives, made(left, going)))
    left.allow()
    left.end(controller)
    assert left.statuses()[going]["status"] == "DONE"
    until(lambda: not queued())
    assert not [pid for pid in made(left, going) if lives(pid)]


@pytest.mark.parametrize("do", ["end", "leave"])
def test_a_rank_on_another_node_ends_what_it_has_started(left: Any, until: Until, do: str) -> None:
    two = ("launcher.slurm.num_gpus=2", "launcher.slurm.gpus_per_node=1")
    assert left.run("x=1", f"do={do}", "steps=2", *two).returncode == 0
    until(lambda: made(left, 1))
    until(lambda: left.statuses()[1]["status"] == ("DONE" if do == "end" else "DEAD"))
    until(lambda: not queued())
    assert not [pid for pid in made(left, 1) if lives(pid)]


def test_a_job_that_main_has_submitted_outlives_it(left: Any, until: Until) -> None:
    assert left.run("x=1", "do=submit", "steps=1").returncode == 0
    until(lambda: left.statuses()[1]["status"] == "DONE")
    until(lambda: len(queued()) == 1)
    assert not [pid for pid in made(left, 1) if lives(pid)]
    assert queued() == ["RUNNING wrap"]


@pytest.mark.parametrize("more", [{}, {"launcher.slurm.num_gpus": 2}, {"launcher.slurm.pack": 2}])
def test_a_job_whose_thread_does_not_end_is_ended_and_done(left: Any, until: Until, more: dict[str, int]) -> None:
    (left.root / "pyproject.toml").write_text((left.root / "pyproject.toml").read_text() + "end_grace = 1\n")
    left.sweep({"x": 1, "do": "thread", "steps": 1, **more}, {"x": 2, "steps": 1, **more})
    code, out = left.snakemake()
    assert code == 0, out
    until(lambda: not queued())
    (log,) = left.root.glob("results/p/work/*x=1*/log.txt")
    assert log.read_text().count("the thread 'waits', at ") == 1
    assert left.attempts(1)[-1]["exit_code"] == 0


def test_a_main_that_catches_a_pre_emption_and_returns_nothing_is_not_done(left: Any, until: Until) -> None:
    assert left.run("x=1", "do=caught", "steps=1", "launcher.slurm.partition=scavenge").returncode == 0
    until((left.root / "caught").exists)
    hog = ["sbatch", "-o", "/dev/null", "-p", "main", "-N3", "--exclusive", "--wrap", "sleep 1000000"]
    subprocess.run(hog, check=True)
    until(lambda: left.statuses()[1]["status"] == "DEAD")
    until(lambda: left.statuses()[1]["reason"].startswith("PREEMPTED"))
