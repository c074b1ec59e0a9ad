"""What HeyHi does inside a job, and with what a user has set for Slurm's commands, on a real cluster."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]

# What a job of ours sees of another one: its variables, but for those that each job has of its own.
TASK = """
import os

import heyhi

FOREIGN = ("CUDA_VISIBLE_DEVICES", "SLURM_CPU_BIND", "SLURM_MEM_PER_NODE", "SLURM_NTASKS", "SLURM_JOB_ID", "RANK",
           "WORLD_SIZE", "MASTER_ADDR", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_EXPORT_ENV", "SRUN_CPUS_PER_TASK")


def main(task, cfg, log_level):
    env = heyhi.get_job_env()
    seen = {name: os.environ[name] for name in FOREIGN if name in os.environ}
    partition = os.environ["SLURM_JOB_PARTITION"]
    return {"x": cfg.x, "seen": seen, "rank": env.rank, "world": env.world_size, "partition": partition}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""


def inside(lab: Any, until: Until, *commands: list[str], task: bool = False) -> str:
    """Run commands one after the other in a job, or in a task of its step; return what they print."""
    lines = [f"{shlex.join(command)} || echo FAILED" for command in commands]
    script = lab.root / "inside.sh"
    script.write_text("\n".join(["export RANK=1 WORLD_SIZE=2 MASTER_ADDR=n7 OMPI_COMM_WORLD_RANK=1", *lines]) + "\n")
    run = f"bash {shlex.quote(str(script))}"
    outer = "#!/bin/bash\n" + (f"srun --mpi=none {run}" if task else run) + f"\ntouch {lab.root}/ended\n"
    subprocess.run(
        ["sbatch", "--gpus-per-node=2", "--mem=700", f"--output={lab.root}/inside.txt", "--time=30"],
        input=outer, text=True, check=True, cwd=lab.root, env=lab.env, capture_output=True,
    )  # fmt: skip
    until(lambda: (lab.root / "ended").exists())
    return str((lab.root / "inside.txt").read_text())


def check_is_clean(result: dict[str, Any]) -> None:
    own = {"SLURM_NTASKS": "1", "SLURM_MEM_PER_NODE": "512"}
    seen = {name: value for name, value in result["seen"].items() if name != "SLURM_JOB_ID"}
    assert {name: own.get(name) for name in seen} == seen
    assert (result["rank"], result["world"]) == (0, 1)


@pytest.mark.parametrize("task", [False, True])
def test_snakemake_and_run_py_work_inside_a_job_and_their_jobs_see_nothing_of_it(
    lab: Any, until: Until, task: bool
) -> None:
    (lab.root / "run.py").write_text(TASK)
    snakemake = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm"]
    run = [sys.executable, "run.py", "--cfg", "conf/work.prototxt", "x=2"]
    said = inside(lab, until, snakemake, run, task=task)
    assert "FAILED" not in said
    assert "This Snakemake runs in a job" in said
    check_is_clean(lab.result(1))
    until(lambda: list(lab.root.glob("results/p/work/*x=2*/result.json")))
    check_is_clean(lab.result(2))
    # Each in a job of its own.
    jobs = {lab.result(x)["seen"]["SLURM_JOB_ID"] for x in (1, 2)}
    assert jobs == {lab.job(1), lab.job(2)}
    assert len(jobs) == 2


def test_a_launch_inside_a_job_starts_a_controller_whose_jobs_see_nothing_of_it(lab: Any, until: Until) -> None:
    (lab.root / "run.py").write_text(TASK)
    launch = [sys.executable, "-m", "heyhi.cli", "launch"]
    # The controller ends with the job, so that this waits for its run.
    wait = ["timeout", "200", "bash", "-c", "until compgen -G 'results/p/work/*x=1*/result.json'; do sleep 0.2; done"]
    said = inside(lab, until, launch, wait)
    assert "FAILED" not in said
    assert "started controller" in said
    check_is_clean(lab.result(1))


@pytest.mark.parametrize(
    "more",
    [{"SQUEUE_PARTITION": "high"}, {"SQUEUE_STATES": "COMPLETED", "SQUEUE_NAMES": "other"},
     {"SQUEUE_FORMAT": "%i", "SQUEUE_SORT": "i", "SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0"}],
)  # fmt: skip
def test_what_a_user_has_set_for_squeue_makes_no_waiting_job_dead(lab: Any, more: dict[str, str]) -> None:
    lab.env |= more
    done = lab.run("x=1", "launcher.slurm.extra=--hold")
    assert done.returncode == 0, done.stderr
    job = lab.job(1)
    row = lab.statuses()[1]
    assert (row["status"], row["reason"]) == ("PENDING", f"job {job} waits: JobHeldUser")
    again = lab.run("x=1", "launcher.slurm.extra=--hold")
    assert "nothing started" in again.stdout
    assert lab.job(1) == job


def test_what_a_user_has_set_for_other_commands_changes_nothing(lab: Any, until: Until) -> None:
    lab.env |= {"SCANCEL_STATE": "COMPLETING", "SCANCEL_PARTITION": "high", "SACCT_FORMAT": "JobID",
                "SCANCEL_NAME": "other", "SINFO_PARTITION": "high", "SCONTROL_ALL": "1"}  # fmt: skip
    assert lab.run("x=1", "do=wait").returncode == 0
    until(lambda: lab.ledger == [1])
    job = lab.job(1)
    done = lab.heyhi("cancel", "--force", job)
    assert done.returncode == 0, done.stderr
    until(lambda: lab.statuses()[1]["status"] == "DEAD")
    assert lab.statuses()[1]["reason"].startswith(f"CANCELLED (job {job}")


def test_where_a_user_wants_jobs_to_go_they_go(lab: Any, until: Until) -> None:
    (lab.root / "run.py").write_text(TASK)
    lab.env |= {"SBATCH_PARTITION": "high", "SLURM_CLUSTERS": "heyhi"}
    assert lab.run("x=1").returncode == 0
    until(lambda: lab.statuses()[1]["status"] == "DONE")
    assert lab.result(1)["partition"] == "high"


def test_another_cluster_is_refused_in_one_sentence_and_nothing_is_started(lab: Any) -> None:
    lab.env["SLURM_CLUSTERS"] = "elsewhere"
    sentence = "SLURM_CLUSTERS=elsewhere: jobs are submitted to, and looked for on, the cluster"
    for done in (lab.run("x=1"), lab.heyhi("launch")):
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {sentence}"), done.stderr
        assert len(done.stderr.splitlines()) == 1
    code, out = lab.snakemake()
    assert code == 1
    assert sentence in out
    assert "Traceback" not in out
    assert not list(lab.root.glob("results/p/work/*/job.json"))
    # What was started before is asked for where it is.
    del lab.env["SLURM_CLUSTERS"]
    assert lab.run("x=1", "launcher.slurm.extra=--hold").returncode == 0
    lab.env["SLURM_CLUSTERS"] = "elsewhere"
    assert json.loads(lab.heyhi("status", "--json").stdout)["experiments"][0]["status"] == "PENDING"
