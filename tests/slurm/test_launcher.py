"""What Slurm understands of the words that a launcher gives: jobs are submitted on hold, and read back."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from heyhi.config.compose import Composer
from heyhi.config.schema import load_schema
from heyhi.project import Project, Settings
from heyhi.slurm.commands import environment
from heyhi.slurm.request import JobRequest, comment_text, request_of, sbatch_options

HASH, ROOT = "0123456789abcdef", "0123abcdef"


@pytest.fixture(scope="module")
def composer() -> Composer:
    """Of this tree's own configs."""
    project = Project(Path(__file__).resolve().parents[2], Settings())
    return Composer(project, load_schema(project))


def request(composer: Composer, **fields: object) -> JobRequest:
    words = [f"launcher.slurm.{name}={value}" for name, value in fields.items()]
    return request_of(composer.compose("c02_sup_train/sl", ["I.launcher=slurm", *words]).task_message)


def submit(asked: JobRequest, folder: Path, *more: str) -> str:
    """Submit a job that says where it is; return its id."""
    options = sbatch_options(
        asked,
        name="heyhi-test",
        comment=comment_text(ROOT, [HASH], asked.comment),
        output=folder / "job-%j.log",
        chdir=folder,
    )
    done = subprocess.run(
        ["sbatch", "--parsable", *more, *options],
        input="#!/bin/sh\npwd\n",
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def held(asked: JobRequest, folder: Path) -> dict[str, str]:
    """Submit a job on hold; return what Slurm says of it."""
    job = submit(asked, folder, "--hold")
    shown = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=True).stdout
    facts: dict[str, str] = {}
    for line in shown.splitlines():
        if re.match(r"\s*(Comment|WorkDir)=", line):  # these may hold spaces
            name, _, value = line.strip().partition("=")
            facts[name] = value
        else:
            facts.update(word.split("=", 1) for word in line.split() if "=" in word)
    return facts


CPU_JOB = {
    "NumNodes": "1",
    "NumTasks": "1",
    "NumCPUs": "1",
    "CPUs/Task": "1",
    "MinMemoryNode": "2G",
    "TimeLimit": "01:00:00",
}


@pytest.mark.parametrize(
    ("fields", "understood"),
    [
        pytest.param(
            {},
            {**CPU_JOB, "Partition": "main", "Account": "acc", "QOS": "normal", "Requeue": "1", "Features": "(null)"}
            | {"Comment": f"heyhi:{ROOT}:{HASH}", "JobName": "heyhi-test", "TresPerNode": None},
            id="CPU job",
        ),
        pytest.param(
            {"cpus_per_gpu": 6, "mem_per_gpu": 1.5, "hours": 0.5, "requeue": False},
            {"NumNodes": "1", "NumTasks": "1", "NumCPUs": "6", "CPUs/Task": "6", "MinMemoryNode": "1.50G"}
            | {"TimeLimit": "00:30:00", "Requeue": "0"},
            id="CPU job of several cores",
        ),
        pytest.param(
            {"num_gpus": 1, "cpus_per_gpu": 10, "mem_per_gpu": 60},
            {"NumNodes": "1", "NumTasks": "1", "NumCPUs": "10", "MinMemoryNode": "60G", "TresPerNode": "gres:gpu:1"},
            id="1 GPU",
        ),
        pytest.param(
            {"num_gpus": 8, "cpus_per_gpu": 8, "mem_per_gpu": 30},
            {"NumNodes": "1", "NumTasks": "8", "NumCPUs": "64", "CPUs/Task": "8", "NtasksPerN:B:S:C": "8:0:*:*"}
            | {"MinMemoryNode": "240G", "TresPerNode": "gres:gpu:8"},
            id="8 GPUs",
        ),
        pytest.param(
            {"num_gpus": 16, "cpus_per_gpu": 8, "mem_per_gpu": 30},
            {"NumNodes": "2", "NumTasks": "16", "NumCPUs": "128", "CPUs/Task": "8", "NtasksPerN:B:S:C": "8:0:*:*"}
            | {"MinMemoryNode": "240G", "TresPerNode": "gres:gpu:8"},
            id="16 GPUs on 2 nodes",
        ),
        pytest.param(
            {"num_gpus": 16, "cpus_per_gpu": 8, "mem_per_gpu": 30, "single_task_per_node": True},
            {"NumNodes": "2", "NumTasks": "2", "NumCPUs": "128", "CPUs/Task": "64", "NtasksPerN:B:S:C": "1:0:*:*"}
            | {"MinMemoryNode": "240G", "TresPerNode": "gres:gpu:8"},
            id="a task a node",
        ),
        pytest.param(
            {"constraint": "fake", "partition": "long", "hours": 24, "account": "other", "qos": "small"},
            {"Features": "fake", "Partition": "long", "TimeLimit": "1-00:00:00", "Account": "other", "QOS": "small"},
            id="where, and who pays",
        ),
        pytest.param(
            {"comment": "\"for  the paper, $(touch x) ; 'ä'\"", "extra": '"--nice=100 --exclude=n2"'},
            {"Comment": f"heyhi:{ROOT}:{HASH} for the paper, $(touch x) ; 'ä'", "Nice": "100", "ExcNodeList": "n2"},
            id="comment and more options",
        ),
    ],
)
def test_slurm_understands_what_a_launcher_asks_for(
    composer: Composer, tmp_path: Path, fields: dict[str, object], understood: dict[str, str | None]
) -> None:
    facts = held(request(composer, **fields), tmp_path)
    facts["NumNodes"] = facts["NumNodes"].partition("-")[0]  # "2-2" as long as it waits
    assert {name: facts.get(name) for name in understood} == understood


def test_a_job_starts_and_logs_in_a_folder_whatever_its_name(composer: Composer, tmp_path: Path) -> None:
    folder = tmp_path / "a%j 'b' %% $(touch x)"
    folder.mkdir()
    job = submit(request(composer), folder, "--wait")
    assert [path.name for path in folder.iterdir()] == [f"job-{job}.log"]
    assert (folder / f"job-{job}.log").read_text() == f"{folder}\n"


def test_another_attempt_asks_for_more_and_leaves_nodes_out(composer: Composer, tmp_path: Path) -> None:
    asked = dataclasses.replace(request(composer, hours=0.25, mem_per_gpu=2), timeout_hours_factor=2.0)
    facts = held(asked.scaled(1, 1, ("n1", "n3")), tmp_path)
    assert (facts["MinMemoryNode"], facts["TimeLimit"], facts["ExcNodeList"]) == ("3G", "00:30:00", "n[1,3]")


def test_gpus_and_memory_are_given_on_each_node(composer: Composer, tmp_path: Path) -> None:
    job = submit(request(composer, num_gpus=16, cpus_per_gpu=2, mem_per_gpu=1), tmp_path, "--wait")
    words = ["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", "--format=AllocTRES"]
    given = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip().split(",")
    assert {"cpu=32", "gres/gpu=16", "mem=16G", "node=2"} <= set(given)
