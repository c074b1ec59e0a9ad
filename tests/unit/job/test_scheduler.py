"""What Snakemake starts next is chosen as its greedy scheduler would, in the order of priorities, and in one pass."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from snakemake.scheduling.greedy import Scheduler as Greedy
from snakemake.scheduling.greedy import SchedulerSettings as GreedySettings

from heyhi.job.scheduler import Scheduler


@dataclass(frozen=True)
class File:
    name: str
    is_temporary: bool = False

    def is_flagged(self, flag: str) -> bool:
        return flag == "temp" and self.is_temporary


@dataclass
class Job:
    priority: int
    scheduler_resources: Mapping[str, int] = field(default_factory=lambda: {"_cores": 1})
    input: tuple[File, ...] = ()


def choose(jobs: list[Job], resources: Mapping[str, int | str], sizes: Mapping[File, int | None] | None = None) -> Any:
    scheduler = Scheduler(None, None, logging.getLogger())  # type: ignore[arg-type]
    return scheduler.select_jobs(jobs, jobs, resources, sizes or {})


def test_the_most_urgent_are_started_as_many_as_there_are_cores() -> None:
    jobs = [Job(priority) for priority in (3, 9, 1, 7)]
    assert [job.priority for job in choose(jobs, {"_cores": 2})] == [9, 7]


def test_what_does_not_fit_is_passed_over() -> None:
    jobs = [Job(3, {"_cores": 2}), Job(2, {"_cores": 1, "trials": 1}), Job(1)]
    assert [job.priority for job in choose(jobs, {"_cores": 1, "trials": 0})] == [1]
    assert choose(jobs, {"_cores": 0, "trials": 9}) == []


def test_what_needs_no_core_is_started_where_none_is_left() -> None:
    assert len(choose([Job(2), Job(1, {"_cores": 0}), Job(0)], {"_cores": 1})) == 2


def test_of_one_priority_the_largest_temporary_inputs_come_first() -> None:
    small, large, temporary = File("small"), File("large"), File("temporary", is_temporary=True)
    jobs = [Job(0, input=(file,)) for file in (small, large, temporary)] + [Job(0)]
    chosen = choose(jobs, {"_cores": 3}, {small: 1, large: 9, temporary: 5})
    assert [job.input[0] for job in chosen] == [temporary, large, small]


def test_inputs_of_experiments_are_not_looked_at() -> None:
    jobs = [Job(2, input=(File("of unknown size"),)), Job(1, input=(File("another"),))]
    assert len(choose(jobs, {"_cores": 2})) == 2


@pytest.mark.parametrize("seed", range(20))
def test_the_choice_is_that_of_snakemakes_greedy_scheduler(seed: int) -> None:
    draw = random.Random(seed)
    files = [File(str(number), draw.random() < 0.3) for number in range(8)]
    sizes: dict[Any, int | None] = {file: draw.choice([None, draw.randrange(100)]) for file in files}
    jobs = [
        Job(
            draw.randrange(5),
            {"_cores": draw.randint(1, 4), "trials": draw.randrange(2), "_job_count": 1, "gpu": draw.randrange(2)},
            tuple(draw.sample(files, draw.randrange(3))),
        )
        for _ in range(30)
    ]
    resources = {"_cores": draw.randrange(1, 12), "trials": draw.randrange(4), "_job_count": 10, "gpu": 2}
    greedy = Greedy(None, GreedySettings(), logging.getLogger())  # type: ignore[arg-type]
    theirs = greedy.select_jobs(jobs, jobs, resources, sizes)  # type: ignore[arg-type]
    ours = choose(jobs, resources, sizes)
    assert sorted(map(id, ours)) == sorted(map(id, theirs))
