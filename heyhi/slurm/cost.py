"""What experiments together ask of a cluster: jobs, hours of GPUs and of cores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from heyhi.slurm.request import JobRequest


class Cost(NamedTuple):
    """What jobs may use.

    Attributes:
        experiments: number of experiments.
        jobs: number of jobs; a pack is one.
        gpu_hours: if each job is started once and uses its whole time.
        cpu_hours: likewise.
        most_gpu_hours: if each job needs all its attempts.
        most_cpu_hours: likewise.
    """

    experiments: int
    jobs: int
    gpu_hours: float
    cpu_hours: float
    most_gpu_hours: float
    most_cpu_hours: float


def jobs_of(request: JobRequest, experiments: int) -> int:
    """Return how many jobs it takes to run experiments that ask for the same."""
    return math.ceil(experiments / request.pack)


def cost_of(demand: Mapping[JobRequest, int]) -> Cost:
    """Add up what jobs may use.

    Args:
        demand: what a job asks for -> number of experiments with such a job.
    """
    jobs = gpus = cpus = most_gpus = most_cpus = 0.0
    for request, experiments in demand.items():
        number = jobs_of(request, experiments)
        once = request.minutes / 60
        # At worst, each attempt uses its whole time, and then the next one asks for more.
        most = math.fsum(request.scaled(0, n).minutes / 60 for n in range(request.max_attempts))
        jobs += number
        gpus += number * request.gpus * once
        cpus += number * request.cpus * once
        most_gpus += number * request.gpus * most
        most_cpus += number * request.cpus * most
    return Cost(sum(demand.values()), int(jobs), gpus, cpus, most_gpus, most_cpus)


def cost_line(cost: Cost, *, has_requeue: bool) -> str:
    """Write in one line what jobs may use.

    Args:
        cost: of all jobs.
        has_requeue: some jobs are queued again at their time limit, any number of times.
    """
    line = f"Slurm: {counted(cost.experiments, 'experiment')} in {counted(cost.jobs, 'job')}, at most "
    line += _hours(cost.gpu_hours, cost.cpu_hours)
    if (cost.most_gpu_hours, cost.most_cpu_hours) != (cost.gpu_hours, cost.cpu_hours):
        line += f"; {_hours(cost.most_gpu_hours, cost.most_cpu_hours)} if each needs all its attempts"
    if has_requeue:
        line += " (more where a job is queued again at its time limit)"
    return line


def _hours(gpu: float, cpu: float) -> str:
    gpu_text, cpu_text = (f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}" for hours in (gpu, cpu))
    return f"{gpu_text} GPU-hours and {cpu_text} CPU-hours"


def counted(number: int, noun: str) -> str:
    """Write a number of things: `1 node`, `2,000 nodes`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
