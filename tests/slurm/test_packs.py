"""Several experiments in one job on a real cluster: each has its own records, status and end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]

# `do` says what a run does; `after` is the file that it waits for first.
TASK = """
import json, os, signal, time
from pathlib import Path

import heyhi

ROOT = Path(os.environ["LAB"])
NAMES = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "SLURM_NTASKS")


def wait(name):
    while not (ROOT / name).exists():
        time.sleep(0.05)


def main(task, cfg, log_level):
    with (ROOT / "ledger.txt").open("a") as ledger:
        ledger.write(f"{cfg.x}\\n")
    if cfg.after:
        wait(cfg.after)
    if cfg.do == "fail":
        print("about to fail")
        raise ValueError("boom")
    if cfg.do.isdecimal():
        os._exit(int(cfg.do))
    if cfg.do == "train":
        done = Path("checkpoint")

        def save():
            wait("may save")
            done.write_text(str(step))

        step = int(done.read_text()) if done.exists() else 0
        heyhi.maybe_init_requeue_handler(save)
        while step < cfg.steps:
            wait(f"step{step + 1}")
            step += 1
            (ROOT / f"made{step}.{cfg.x}").touch()
    return {"y": 10 * cfg.x, "world": heyhi.get_job_env().world_size, **{n: os.environ.get(n) for n in NAMES}}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""
PACK = {"launcher.slurm.pack": 4}


@pytest.fixture
def packs(lab: Any) -> Any:
    (lab.root / "run.py").write_text(TASK)
    return lab


def status(lab: Any, x: int) -> tuple[str, str]:
    row = lab.statuses()[x]
    return row["status"], row["reason"]


def reasons(lab: Any, x: int) -> list[str]:
    """How the attempts of an x have ended."""
    if x not in lab.ledger:
        return []
    return [a["reason"] for a in lab.attempts(x) if a["event"] == "end"]


def jobs_of(lab: Any, *numbers: int) -> set[str]:
    return {lab.job(x) for x in numbers}


def start_now(job: str) -> None:
    # Not within the second in which it was ended: the node takes no credential of that one any more.
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now+2"], check=True)


def test_four_share_a_job_and_one_that_fails_leaves_the_others_running(packs: Any, until: Until) -> None:
    packs.sweep({"x": 1, "do": "fail", **PACK}, *({"x": x, "after": "go", **PACK} for x in (2, 3, 4)))
    controller = packs.start()
    until(lambda: reasons(packs, 1) == ["failed"] and sorted(packs.ledger) == [1, 2, 3, 4])
    assert len(jobs_of(packs, 1, 2, 3, 4)) == 1
    # While the others still run.
    assert status(packs, 1) == ("DEAD", "exit code 1: ValueError: boom")
    assert status(packs, 2)[0] == "RUNNING"
    packs.allow()
    code, out = packs.end(controller)
    assert code == 1
    assert "4 experiments: 1 DEAD, 3 DONE" in out
    assert "about to fail" in (packs.folder(1) / "log.txt").read_text()
    assert "ValueError: boom" in (packs.folder(1) / "launch.log").read_text()
    assert (packs.folder(2) / "launch.log").read_text() == ""
    assert sorted(packs.ledger) == [1, 2, 3, 4]


def test_an_exit_code_of_a_tasks_own_asks_for_nothing(packs: Any, until: Until) -> None:
    # 75 is what a runner ends with that wants its job queued again; a library may end a process with any.
    packs.sweep({"x": 1, "do": "75", **PACK}, {"x": 2, "do": "0", **PACK}, {"x": 3, "after": "go", **PACK})
    controller = packs.start()
    until(lambda: reasons(packs, 1) == reasons(packs, 2) == ["failed"] and 3 in packs.ledger)
    assert status(packs, 1) == ("DEAD", "exit code 75")
    assert status(packs, 2) == ("DEAD", "exit code 0, before main returned")
    assert status(packs, 3)[0] == "RUNNING"
    packs.allow()
    _, out = packs.end(controller)
    assert "3 experiments: 2 DEAD, 1 DONE" in out
    assert sorted(packs.ledger) == [1, 2, 3]


def test_gpus_and_cores_are_divided(packs: Any) -> None:
    gpus = {"launcher.slurm.num_gpus": 4, "launcher.slurm.cpus_per_gpu": 2, "launcher.slurm.pack": 2}
    packs.sweep({"x": 1, **gpus}, {"x": 2, **gpus})
    code, out = packs.snakemake()
    assert code == 0, out
    results = sorted((packs.result(x) for x in (1, 2)), key=lambda r: r["CUDA_VISIBLE_DEVICES"])
    assert [r["CUDA_VISIBLE_DEVICES"] for r in results] == ["0,1", "2,3"]
    assert {(r["OMP_NUM_THREADS"], r["MKL_NUM_THREADS"], r["SLURM_NTASKS"], r["world"]) for r in results} == {
        ("4", "4", "1", 1)
    }


def test_one_that_is_left_alone_in_its_pack_has_its_share_only(packs: Any) -> None:
    packs.sweep({"x": 1, "launcher.slurm.num_gpus": 4, "launcher.slurm.pack": 2})
    code, out = packs.snakemake()
    assert code == 0, out
    assert packs.result(1)["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_a_warned_pack_goes_on_once_all_have_written_their_checkpoints(packs: Any, cluster: Any, until: Until) -> None:
    train = {"do": "train", "steps": 2, **PACK}
    packs.sweep({"x": 1, **train}, {"x": 2, **train}, {"x": 3, "do": "fail", **PACK}, {"x": 4, **PACK})
    controller = packs.start("--keep-going")
    until(lambda: reasons(packs, 3) == ["failed"] and reasons(packs, 4) == ["done"])
    packs.allow_steps(1, 1)
    until(lambda: all((packs.root / f"made1.{x}").exists() for x in (1, 2)))
    job = packs.job(1)
    with cluster.closed():
        subprocess.run(["scancel", "--signal=USR2", "--batch", job], check=True)
        packs.allow("may save")
        until(lambda: reasons(packs, 1) == reasons(packs, 2) == ["requeue"])
        until(lambda: status(packs, 1)[0] == status(packs, 2)[0] == "PENDING")
        assert status(packs, 3)[0] == "DEAD"
    packs.allow_steps(2, 2)
    start_now(job)
    code, out = packs.end(controller)
    assert code == 1, out
    assert [packs.result(x)["y"] for x in (1, 2)] == [10, 20]
    for x in (1, 2):
        assert [a["kind"] for a in packs.attempts(x) if a["event"] == "start"] == ["first", "requeue"]
    # Neither the one that is done nor the one that has failed ran again.
    assert sorted(packs.ledger) == [1, 1, 2, 2, 3, 4]
    assert jobs_of(packs, 1, 2, 3, 4) == {job}


def test_one_without_a_checkpoint_does_not_keep_a_warned_pack(packs: Any, cluster: Any, until: Until) -> None:
    packs.allow("may save")
    packs.sweep({"x": 1, "do": "train", **PACK}, {"x": 2, "after": "go", **PACK})
    controller = packs.start()
    until(lambda: sorted(packs.ledger) == [1, 2])
    job = packs.job(1)
    packs.allow("step1")
    until(lambda: (packs.root / "made1.1").exists())
    with cluster.closed():
        subprocess.run(["scancel", "--signal=USR2", "--batch", job], check=True)
        until(lambda: (reasons(packs, 1), reasons(packs, 2)) == (["requeue"], ["terminated"]))
        until(lambda: status(packs, 2)[0] == "PENDING")
    packs.allow()
    packs.allow_steps(2, 3)
    start_now(job)
    code, out = packs.end(controller)
    assert code == 0, out


def test_a_killed_member_is_dead_at_once_and_the_others_end(packs: Any, until: Until) -> None:
    packs.sweep(*({"x": x, "after": "go", **PACK} for x in (1, 2, 3, 4)))
    controller = packs.start()
    until(lambda: sorted(packs.ledger) == [1, 2, 3, 4])
    os.kill(packs.attempts(1)[0]["pid"], signal.SIGKILL)
    until(lambda: status(packs, 1) == ("DEAD", "signal 9 (SIGKILL)"))
    assert status(packs, 2)[0] == "RUNNING"
    packs.allow()
    _, out = packs.end(controller)
    assert "4 experiments: 1 DEAD, 3 DONE" in out


def test_a_failed_member_is_tried_again_while_the_others_run(packs: Any, until: Until) -> None:
    again = {"launcher.slurm.max_attempts": 2, **PACK}
    packs.sweep({"x": 1, "do": "fail", "after": "fail", **again}, {"x": 2, "after": "go", **again})
    controller = packs.start()
    until(lambda: sorted(packs.ledger) == [1, 2])
    first = packs.job(1)
    packs.allow("fail")
    until(lambda: reasons(packs, 1) == ["failed", "failed"])
    assert packs.job(1) != first
    assert status(packs, 2)[0] == "RUNNING"
    packs.allow()
    code, out = packs.end(controller)
    assert code == 1, out
    assert sorted(packs.ledger) == [1, 1, 2]
    assert [a["kind"] for a in packs.attempts(1) if a["event"] == "start"] == ["first", "retry"]


def test_a_new_controller_adopts_a_pack_and_submits_the_rest_as_another(packs: Any, until: Until) -> None:
    packs.sweep({"x": 1, **PACK}, {"x": 2, "do": "fail", **PACK}, {"x": 3, "after": "go", **PACK})
    first = packs.start()
    until(lambda: reasons(packs, 1) == ["done"] and reasons(packs, 2) == ["failed"] and 3 in packs.ledger)
    os.killpg(first.pid, signal.SIGKILL)
    job = packs.job(3)
    packs.sweep({"x": 1, **PACK}, *({"x": x, "after": "go", **PACK} for x in (3, 4, 5)))
    second = packs.start()
    until(lambda: {4, 5} <= set(packs.ledger))
    assert packs.job(3) == job
    (other,) = jobs_of(packs, 4, 5)
    assert other != job
    packs.allow()
    code, out = packs.end(second)
    assert code == 0, out
    assert "4 experiments: 4 DONE" in out
    assert sorted(packs.ledger) == [1, 2, 3, 4, 5]


def test_nothing_outlives_a_killed_pack(packs: Any, cluster: Any, until: Until) -> None:
    packs.sweep(*({"x": x, "after": "go", **PACK} for x in (1, 2)))
    packs.start()
    until(lambda: sorted(packs.ledger) == [1, 2])
    stat = Path(f"/proc/{packs.attempts(1)[0]['pid']}/stat").read_text()
    os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
    until(lambda: not cluster.leftovers())
    until(lambda: all(status(packs, x)[0] == "DEAD" for x in (1, 2)))


def test_one_that_cannot_be_claimed_spoils_no_pack(packs: Any) -> None:
    packs.sweep({"x": 1, **PACK}, {"x": 2, **PACK})
    targets = packs.heyhi("expand").stdout.split()
    claim = packs.root / Path(targets[0]).parent / "claim.json"
    claim.parent.mkdir(parents=True)
    claim.write_text("no claim of ours")
    code, out = packs.snakemake()
    assert code == 1
    assert " UNKNOWN p/" in out and "claim.json: is damaged" in out
    assert packs.ledger == [2]
