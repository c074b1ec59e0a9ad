"""Experiments under an executor that is none of ours: the real cluster-generic, with the cluster's own sbatch."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Lab

Until = Callable[[Callable[[], object]], None]

ENGINE = ("--profile", "profiles/generic")
# A Snakemake runs beside each experiment, which takes some 200 MB.
RESOURCES = "num_gpus: 1 mem_per_gpu: 0.4 cpus_per_gpu: 2 hours: 0.2"


@pytest.fixture
def engine(lab: Lab, repository: Path) -> Lab:
    """The lab with the profile that the docs show; jobs are asked about more often, as these take seconds."""
    profile = lab.root / "profiles/generic"
    shutil.copytree(repository / "docs/engines", profile)
    config = (profile / "config.yaml").read_text().replace("latency-wait: 60", "latency-wait: 5")
    (profile / "config.yaml").write_text(f"{config}\nseconds-between-status-checks: 1\n")
    (lab.root / "conf/work.prototxt").write_text(f"work {{ launcher {{ slurm {{ {RESOURCES} }} }} }}\n")
    return lab


def jobs_of(lab: Lab) -> list[str]:
    """Ids of the jobs that wait or run."""
    return lab.run_words("squeue", "-h", "-o", "%i").stdout.split()


def test_a_sweep_runs_with_what_its_launcher_asks_for_and_what_is_done_is_left(engine: Lab) -> None:
    engine.sweep({"x": 1, "after": "it's $HOME, 100%"}, {"x": 2, "do": "fail"})
    code, out = engine.end(engine.start(*ENGINE))
    assert code == 1, out
    rows = engine.statuses("conf/sweep.py")
    assert {x: row["status"] for x, row in rows.items()} == {1: "DONE", 2: "DEAD"}
    assert "boom" in rows[2]["reason"]
    assert "DEAD    x=2" in out.replace("do=fail,", "")
    job = next(a["job_id"] for a in attempts(engine, 1))
    asked = engine.run_words("sacct", "-X", "-n", "-P", "-o", "ReqTRES,TimelimitRaw", "-j", str(job)).stdout
    assert re.search(r"cpu=2,gres/gpu=1,mem=410M,.*\|12$", asked.strip()), asked
    code, out = engine.end(engine.start(*ENGINE))
    assert engine.ledger.count(1) == 1
    assert engine.ledger.count(2) == 2


def attempts(lab: Lab, x: int) -> list[dict[str, str]]:
    """Records of the attempts of an x, which no submission of ours is on record of."""
    (path,) = lab.root.glob(f"results/p/work/*x={x}[,_]*/attempts.jsonl")
    assert not (path.parent / "job.json").exists()
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_has_failed_is_tried_again_as_often_as_the_profile_says(engine: Lab) -> None:
    engine.sweep({"x": 1, "do": "fail"})
    code, out = engine.end(engine.start(*ENGINE, "--retries", "1"))
    assert code == 1, out
    assert engine.ledger == [1, 1]
    assert [one["kind"] for one in attempts(engine, 1) if one["event"] == "start"] == ["first", "retry"]


def test_a_snakemake_that_takes_over_from_a_killed_one_runs_nothing_twice(engine: Lab, until: Until) -> None:
    engine.sweep({"x": 1, "do": "wait"}, {"x": 2, "do": "wait"})
    first = engine.start(*ENGINE)
    until(lambda: sorted(engine.ledger) == [1, 2])
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert {row["status"] for row in engine.statuses("conf/sweep.py").values()} == {"RUNNING"}
    second = engine.start(*ENGINE)
    until(lambda: len(jobs_of(engine)) == 4)
    engine.allow()
    code, out = engine.end(second)
    assert code == 0, out
    assert sorted(engine.ledger) == [1, 2]
    assert {row["status"] for row in engine.statuses("conf/sweep.py").values()} == {"DONE"}


def submit_held(lab: Lab) -> None:
    """Have jobs wait for as long as they are there."""
    config = lab.root / "profiles/generic/config.yaml"
    config.write_text(config.read_text().replace("sbatch --parsable", "sbatch --parsable --hold"))


def test_a_launch_says_who_runs_what_waits_and_cancel_ends_its_jobs(engine: Lab, until: Until) -> None:
    submit_held(engine)
    engine.sweep({"x": 1, "do": "wait"})
    launch = engine.follow("launch", *ENGINE, "conf/sweep.py")
    until(lambda: jobs_of(engine))
    said = engine.heyhi("status", "conf/sweep.py").stdout
    assert "NOT_STARTED 1" in said
    assert re.search(r"controller pid \d+ on \S+ runs it", said), said
    cancelled = engine.heyhi("cancel", "-y", "conf/sweep.py")
    assert cancelled.returncode == 0, cancelled.stdout + cancelled.stderr
    launch.communicate()
    until(lambda: not jobs_of(engine))
    said = engine.heyhi("status", "conf/sweep.py").stdout
    assert "heyhi launch --profile profiles/generic conf/sweep.py starts it" in said
    assert engine.ledger == []


def test_a_cancel_ends_the_jobs_that_the_engine_is_just_asked_about(engine: Lab, until: Until, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    slow = engine.root / "profiles/generic/status.sh"
    slow.write_text(  # no answer while the job is there: for a minute at most
        f"#!/bin/sh\ntouch {asked}\n"
        'for n in $(seq 300); do [ -n "$(squeue -h -j "$1")" ] || { echo failed; exit; }; sleep 0.2; done\n'
        "echo running\n"
    )
    submit_held(engine)
    engine.sweep({"x": 1, "do": "wait"})
    launch = engine.follow("launch", *ENGINE, "conf/sweep.py")
    until(asked.exists)
    assert engine.heyhi("cancel", "-y", "conf/sweep.py").returncode == 0
    launch.communicate()
    until(lambda: not jobs_of(engine))
    assert engine.ledger == []


def test_a_cancel_while_a_job_is_submitted_ends_that_job(engine: Lab, until: Until, tmp_path: Path) -> None:
    submitted, told = tmp_path / "submitted", tmp_path / "told"
    os.mkfifo(told)
    slow = engine.root / "profiles/generic/submit.sh"
    slow.write_text(f'#!/bin/sh\nid=$(sbatch --hold "$@") || exit\ntouch {submitted}\nread word <{told}\necho "$id"\n')
    slow.chmod(0o755)
    config = engine.root / "profiles/generic/config.yaml"
    config.write_text(config.read_text().replace("sbatch --parsable", f"{slow} --parsable"))
    engine.sweep({"x": 1, "do": "wait"})
    run = engine.start(*ENGINE)
    until(lambda: submitted.exists() and jobs_of(engine))
    os.kill(run.pid, signal.SIGTERM)
    told.write_text("go on\n")
    code, out = engine.end(run)
    assert code == 128 + signal.SIGTERM, out
    until(lambda: not jobs_of(engine))
    assert engine.ledger == []


def test_what_asks_for_several_nodes_is_refused_before_a_job_is_submitted(engine: Lab) -> None:
    engine.sweep({"x": 1, "launcher.slurm.num_gpus": 16})
    code, out = engine.end(engine.start(*ENGINE))
    assert code == 2, out
    assert "its launcher asks for 2 nodes, and only profiles/slurm starts ranks on several" in out
    assert "Traceback" not in out
    assert subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout == ""


def test_a_kind_of_gpu_reaches_the_engine(engine: Lab) -> None:
    engine.sweep({"x": 1, "launcher.slurm.gpu_type": "v100"}, {"x": 2})
    code, out = engine.end(engine.start(*ENGINE))
    assert code == 0, out
    job = next(a["job_id"] for a in attempts(engine, 1))
    where = engine.run_words("sacct", "-X", "-n", "-P", "-o", "NodeList,ReqTRES", "-j", str(job)).stdout
    assert re.match(r"n3\|.*gres/gpu=1", where), where


def test_what_the_engine_cannot_run_or_is_not_told_is_said_before_anything_starts(engine: Lab) -> None:
    words = ("launch", *ENGINE, "conf/sweep.py")
    engine.sweep({"x": 1, "launcher.slurm.num_gpus": 2})
    refused = engine.heyhi(*words)
    assert refused.returncode == 2
    assert "asks for 2 tasks, and only profiles/slurm starts more than one of a job" in refused.stderr
    assert "launcher.slurm.single_task_per_node=true" in refused.stderr
    assert engine.heyhi(*words, "--dry-run").returncode == 2
    engine.sweep({"x": 1, "launcher.slurm.partition": "long", "launcher.slurm.max_attempts": 3})
    dry = engine.heyhi(*words, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "not for this profile, and left out: partition, max_attempts" in dry.stdout
    assert not list((engine.root / "results").glob("p/*"))


def test_cancel_says_that_jobs_of_a_killed_controller_may_wait_in_the_engine(engine: Lab, until: Until) -> None:
    submit_held(engine)
    engine.sweep({"x": 1, "do": "wait"})
    launch = engine.follow("launch", *ENGINE, "conf/sweep.py")
    until(lambda: jobs_of(engine))
    (claim,) = engine.root.glob("results/.heyhi/controllers/*/claim.json")
    os.kill(json.loads(claim.read_text())["pid"], signal.SIGKILL)
    launch.communicate()
    cancelled = engine.heyhi("cancel", "-y", "conf/sweep.py")
    assert cancelled.returncode == 1, cancelled.stdout
    assert "jobs may wait there, and run: look at its queue" in cancelled.stdout
    engine.run_words("scancel", *jobs_of(engine))
