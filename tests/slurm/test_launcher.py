"""What Slurm understands of the words that a launcher gives: jobs are submitted on hold, and read back."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.config.compose import Composer
from heyhi.config.schema import load_schema
from heyhi.project import Project, Settings
from heyhi.slurm.commands import environment
from heyhi.slurm.request import JobRequest, comment_text, request_of, sbatch_options

Until = Callable[[Callable[[], object]], None]
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
        pytest.param(
            {"num_gpus": 2, "gpu_type": "v100"},
            {"NumTasks": "2", "TresPerNode": "gres:gpu:v100:2"},
            id="kind of GPU",
        ),
        pytest.param({"mem_per_gpu": 0}, {"MinMemoryNode": "0"}, id="all memory of the node"),
        pytest.param(
            {"no_mem": True},
            {"MinMemoryNode": None, "MinMemoryCPU": "100M"},  # the cluster's default
            id="no memory is asked for",
        ),
        pytest.param({"hours": "0:30:00"}, {"TimeLimit": "00:30:00"}, id="hours as a time"),
        pytest.param({"time": "20m"}, {"TimeLimit": "00:20:00"}, id="a time in minutes"),
        pytest.param({"time": "1d", "partition": "long"}, {"TimeLimit": "1-00:00:00"}, id="a day"),
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


def test_a_job_with_a_kind_of_gpu_runs_where_that_is(composer: Composer, tmp_path: Path) -> None:
    job = submit(request(composer, num_gpus=1, gpu_type="v100"), tmp_path, "--wait")
    words = ["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", "--format=NodeList,State"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "n3|COMPLETED\n"


def shown(job: str, field: str) -> str:
    """Return what scontrol says of a job."""
    text = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=True).stdout
    match = re.search(rf"\b{field}=(.*)$", text, re.MULTILINE)
    assert match is not None, text
    return match[1]


def test_a_job_is_called_by_what_it_runs_and_found_whatever_it_is_called(lab: Any, until: Until) -> None:
    lab.run("x=1", "do=wait")
    lab.run("x=2", "do=wait", "launcher.slurm.job_name=mine %(cfg)s")
    jobs = {x: lab.job(x) for x in (1, 2)}
    assert [shown(jobs[x], "JobName") for x in (1, 2)] == ["work do=wait,x=1", "mine work"]
    words = ["name=other", "comment=a site writes its own"]
    subprocess.run(["scontrol", "update", f"jobid={jobs[2]}", *words], check=True)
    for x in (1, 2):
        assert f"x={x}" in lab.heyhi("status", "--job", jobs[x]).stdout
    until(lambda: sorted(lab.ledger) == [1, 2])
    assert {row["status"] for row in lab.statuses().values()} == {"RUNNING"}
    assert lab.run("x=2", "do=wait").returncode == 0
    assert lab.job(2) == jobs[2], "it has it still"
    lab.allow()
    until(lambda: {row["status"] for row in lab.statuses().values()} == {"DONE"})
    assert sorted(lab.ledger) == [1, 2]


def test_setup_runs_first_and_a_line_of_it_that_fails_is_the_reason(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1}, {"x": 2})
    config = 'work { launcher { slurm { setup: "export LAB_SAID=hello\\ncd /" setup: "%s" } } }\n'
    task = (lab.root / "run.py").read_text().replace('"note": NOTE', '"note": os.environ["LAB_SAID"]')
    (lab.root / "run.py").write_text(task)
    (lab.root / "conf/work.prototxt").write_text(config % "module load cuda")
    code, said = lab.snakemake()
    assert code == 1
    why = "exit code 127: setup: line 3: module: command not found"
    assert f"  {why}  log: results/" in said
    assert {(row["status"], row["reason"]) for row in lab.statuses().values()} == {("DEAD", why)}
    assert lab.ledger == []
    (lab.root / "conf/work.prototxt").write_text(config % "module() { true; }; module load cuda")
    assert lab.snakemake()[0] == 0
    assert lab.result(1)["note"] == "hello"


def test_a_pack_whose_setup_fails_says_so_of_each_of_its_members(lab: Any) -> None:
    fields = {"launcher.slurm.pack": 2, "launcher.slurm.setup.-1": "false"}
    lab.sweep(*({"x": x, **fields} for x in (1, 2)))
    assert lab.snakemake()[0] == 1
    reasons = {(row["status"], row["reason"]) for row in lab.statuses().values()}
    assert reasons == {("DEAD", "exit code 1: setup: line 1: exit code 1")}


def test_the_interpreter_and_the_words_before_it_are_the_launchers(lab: Any, until: Until, tmp_path: Path) -> None:
    wrapper = tmp_path / "in container"
    wrapper.write_text('#!/bin/sh\necho "$1 $SLURM_PROCID" >> "$0.calls"\nshift\nexec "$@"\n')
    wrapper.chmod(0o755)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    prefix = f"launcher.slurm.prefix='{wrapper}' --nv"
    lab.run("x=1", prefix, f"launcher.slurm.python={python}")
    until(lambda: lab.statuses()[1]["status"] in ("DONE", "DEAD"))
    assert lab.statuses()[1]["status"] == "DONE"
    # Each rank begins with these words, too, and srun gets its own.
    lab.run("x=2", prefix, "launcher.slurm.num_gpus=2", "launcher.slurm.srun_extra=--label --mpi=none")
    until(lambda: lab.statuses()[2]["status"] in ("DONE", "DEAD"))
    assert lab.statuses()[2]["status"] == "DONE", lab.statuses()[2]
    assert (tmp_path / "in container.calls").read_text().split("\n")[2:4] in (
        ["--nv 0", "--nv 1"],
        ["--nv 1", "--nv 0"],
    )
    (start, _) = lab.attempts(1)
    assert start["asked"]["python"] == str(python) and start["asked"]["prefix"] == [str(wrapper), "--nv"]


def test_an_interpreter_without_heyhi_is_the_reason(lab: Any, until: Until, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    lab.run("x=1", f"launcher.slurm.python={bare}")
    until(lambda: lab.statuses()[1]["status"] == "DEAD")
    assert lab.statuses()[1]["reason"] == "exit code 1: python: ModuleNotFoundError: No module named 'heyhi'"


def test_a_job_that_never_gets_on_is_dead_and_status_counts(lab: Any, until: Until) -> None:
    lab.run("x=1", "do=train", "launcher.slurm.max_requeues=2")
    job = lab.job(1)
    for attempt in (1, 2, 3):
        until(lambda attempt=attempt: len(lab.ledger) == attempt)
        (lab.root / "warned").unlink(missing_ok=True)
        row = lab.statuses()[1]
        counted = {1: "", 2: ", requeued once", 3: ", requeued 2 times"}[attempt]
        assert row["reason"].endswith(f"on {row['reason'].split()[3].rstrip(',')}{counted}"), row["reason"]
        # As Slurm does before a time limit, once: a signal is kept until the run listens.
        subprocess.run(["scancel", "--batch", "--signal=USR2", job], check=True)
        until(lambda: (lab.root / "warned").exists())
    until(lambda: lab.statuses()[1]["status"] == "DEAD")
    assert lab.statuses()[1]["reason"] == "exit code 1: requeued 2 times without progress"
    assert lab.job(1) == job and len(lab.ledger) == 3
