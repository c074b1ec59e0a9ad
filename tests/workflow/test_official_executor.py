"""What the official Slurm executor does otherwise than ours, seen in a run of it on stand-ins for Slurm's commands.

Where it has learnt what ours was made for, ours can go.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import stat
import subprocess
import sys
from typing import Any

import pytest
import snakemake_executor_plugin_slurm_jobstep as jobstep

# One worker of `pytest -n` runs all: they look at the same run.
pytestmark = pytest.mark.xdist_group("official executor")

# Stand-ins for Slurm's commands. sbatch notes how it was called and makes the output; sacct tells another story each
# time it is asked about all jobs.
SBATCH = """
import json, os, re, sys
calls = os.environ["FAKES"] + "/sbatch.jsonl"
with open(calls, "a+") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
    file.seek(0)
    print(len(file.readlines()))
wildcard = re.search("wildcards_([0-9])", " ".join(sys.argv))[1]  # in the comment
os.makedirs("out", exist_ok=True)
open("out/" + wildcard, "w").close()
"""
SACCT = """
import os, sys
if any(word.startswith("--name") for word in sys.argv):
    asked = os.environ["FAKES"] + "/asked"
    with open(asked, "a") as file:
        file.write(".")
    turn = min(os.path.getsize(asked), 3) - 1
    for number, states in enumerate((STORIES), 1):
        print(f"{number}|{states.split()[turn]}")
"""
OTHER = "print('MaxArraySize = 1001\\\\nMinJobAge = 300 sec')"
STORIES = ["UNKNOWN UNKNOWN UNKNOWN", "PREEMPTED PREEMPTED COMPLETED", "RUNNING COMPLETED COMPLETED"]
SNAKEFILE = """
rule all:
    input:
        ["out/1", "out/2", "out/3"],

rule one:
    output:
        "out/{i}",
    resources:
        slurm_partition="main", runtime=1, mem_mb=100,
    shell:
        "true"
"""
PREEMPTED_WARNING = "A Job preemption  occured"


@pytest.fixture(scope="module")
def official_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """One run of Snakemake with the official executor over three jobs; and how it called sbatch."""
    root = tmp_path_factory.mktemp("official")
    fakes = root / "bin"
    fakes.mkdir()
    texts = {"sbatch": SBATCH, "sacct": SACCT.replace("STORIES", repr(STORIES))}
    for name in ("sbatch", "sacct", "squeue", "scontrol", "sinfo", "sacctmgr", "scancel"):
        (fakes / name).write_text(f"#!{sys.executable}\n{texts.get(name, OTHER)}")
        (fakes / name).chmod(0o755 | stat.S_IXUSR)
    (root / "Snakefile").write_text(SNAKEFILE)
    env = {**os.environ, "PATH": f"{fakes}{os.pathsep}{os.environ['PATH']}", "FAKES": str(fakes)}
    options = ["--executor", "slurm", "--jobs", "3", "--slurm-no-account", "--slurm-status-command", "sacct"]
    command = [sys.executable, "-m", "snakemake", *options, "--slurm-init-seconds-before-status-checks", "1"]
    process = subprocess.Popen(command, cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        out, _ = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:  # it waits for a job that is over
        process.kill()
        out = f"{process.communicate()[0]}\n(it did not end by itself)"
    done = subprocess.CompletedProcess(command, process.returncode, out)
    calls = fakes / "sbatch.jsonl"
    return done, [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []


def options_of(call: list[str], name: str) -> list[str]:
    """Return the values of an option, written with = or as the next word."""
    after = [call[i + 1] for i, word in enumerate(call[:-1]) if word == name]
    return after + [word.partition("=")[2] for word in call if word.startswith(f"{name}=")]


@pytest.mark.slow
def test_the_official_executor_starts_a_snakemake_in_each_job_which_starts_another(official_run: Any) -> None:
    done, calls = official_run

    assert len(calls) == 3, done.stdout
    for call in calls:
        (command,) = options_of(call, "--wrap")  # the script that ours gives to sbatch by standard input
        assert "-m snakemake" in command, "heyhi/job/executor.py starts the runner instead: is that still needed?"
        assert "--executor slurm-jobstep" in command
    assert "format_job_exec" in inspect.getsource(jobstep.Executor.run_job), "it ran the same Snakemake once more"


@pytest.mark.slow
def test_the_official_executor_gives_its_jobs_a_name_that_no_other_run_knows(official_run: Any) -> None:
    done, calls = official_run

    names = {name for call in calls for name in options_of(call, "--job-name")}
    assert len(names) == 1, done.stdout
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f-]{21}", names.pop()), (
        "a random name is why ours finds and adopts its jobs by their comments; see slurm.commands.Queue"
    )


@pytest.mark.slow
def test_the_official_executor_takes_unknown_for_success_and_waits_on_preempted(official_run: Any) -> None:
    done, _ = official_run

    # Job 1 was never anything but UNKNOWN; job 2 is PREEMPTED at two polls, the second one without a word.
    assert done.returncode == 0, f"one of {STORIES} ends otherwise now; see Executor._is_dead and _bury\n{done.stdout}"
    assert done.stdout.count(PREEMPTED_WARNING) == 1, done.stdout


def test_the_jobs_of_the_official_executor_lose_where_slurm_is_configured() -> None:
    text = inspect.getsource(jobstep.Executor.run_job)

    assert 'startswith("SLURM_")' in text
    assert "SLURM_CONF" not in text, "docs and tests say that it needs the configuration at Slurm's default place"
