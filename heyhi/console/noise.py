"""Which of Snakemake's own messages say nothing to who runs experiments. What isn't known here is shown."""

from __future__ import annotations

import re

# How some of what Snakemake says begins. The first comes when it isn't known yet whether something will run.
EARLY = "Assuming unrestricted shared filesystem usage"
INTERRUPTED, SHUTTING_DOWN = "Terminating processes on user request", "Shutting down, this might take some time"
# Of what has no event, by its beginning.
_NOISE = (
    EARLY,
    "Building DAG of jobs",
    "Using shell: ",
    "Select jobs to execute",
    SHUTTING_DOWN,
    "Exiting because a job execution failed",
    "Complete log(s): ",
    "Elapsed time: ",
    "--keep-incomplete mode is set",
    "Cannot restore ",
    # Of the official Slurm executor, which ours is derived from.
    "SLURM run ID: ",
    "Cleaning up SLURM log files ",
)
_ALL_IS_WELL = re.compile(r"^MinJobAge \d+s \(>= \d+s\)\. 'squeue' should work reliably")
# A run of ours that has failed, or a choice: its end says more.
_FAILED = re.compile(
    r"^RuleException:\s*CalledProcessError in file .*"
    r"(?: -m heyhi\.(?:runner|winner) |/unknown/[0-9a-f]{16}\.log; exit 1' )",
    re.DOTALL,
)
_SOME_FAILED = re.compile(r"^WorkflowError:\s*At least one job did not complete successfully\.\s*$")
_RESTART = re.compile(r"^Trying to restart job (\d+)\.")
# What Snakemake adds to what an executor says of a job.
_FURTHER = re.compile(r" *For further error details see .*$", re.DOTALL)
_JOB = re.compile(r"^(?P<exp_id>\S+): (?P<job>job \d+)$")


def is_noise(text: str) -> bool:
    """Return whether a plain message of Snakemake's says nothing."""
    return text.startswith(_NOISE) or _ALL_IS_WELL.match(text) is not None


def is_told_error(text: str) -> bool:
    """Return whether an exception that Snakemake prints is told otherwise."""
    return bool(_FAILED.match(text) or _SOME_FAILED.match(text))


def restarted(text: str) -> int | None:
    """Return the id of the job that Snakemake says to try again."""
    match = _RESTART.match(text)
    return int(match[1]) if match is not None else None


def without_advice(text: str) -> str:
    """Return what an executor has said of a job, less what Snakemake adds to that."""
    return _FURTHER.sub("", text).strip()


def submitted(text: str) -> tuple[str, str] | None:
    """Return exp id and `job ID` where our executor says that it has submitted an experiment."""
    match = _JOB.match(text)
    return (match["exp_id"], match["job"]) if match is not None else None
