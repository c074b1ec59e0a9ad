"""HeyHi's scheduler plugin for Snakemake: of what can start, the most urgent first, each that fits.

That is the choice of Snakemake's greedy scheduler, in one pass: greedy itself goes through all that can start for each
that it starts, and ilp, Snakemake's default, has a solver choose, a process that takes as long as a short job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from snakemake_interface_scheduler_plugins.base import SchedulerBase

_CORES = "_cores"


class Scheduler(SchedulerBase):  # type: ignore[misc]
    """Snakemake's way to choose what it starts."""

    def select_jobs(
        self,
        selectable_jobs: Iterable[Any],
        remaining_jobs: Iterable[Any],
        available_resources: Mapping[str, int | str],
        input_sizes: Mapping[Any, int | None],
    ) -> Sequence[Any]:
        """Choose jobs whose resources are there for all of them together.

        Args:
            selectable_jobs: those that can start.
            remaining_jobs: all that have yet to be run.
            available_resources: how much is left of each resource.
            input_sizes: of the first ones' inputs, in bytes.
        """
        left = {name: int(amount) for name, amount in available_resources.items()}
        cores = left.pop(_CORES, 0)
        chosen = []
        for job in _by_urgency(selectable_jobs, input_sizes):
            asked = job.scheduler_resources
            needed = asked.get(_CORES, 0)
            if needed > cores or any(asked.get(name, 0) > amount for name, amount in left.items()):
                continue
            chosen.append(job)
            cores -= needed
            left = {name: amount - asked.get(name, 0) for name, amount in left.items()}
        return chosen


def _by_urgency(jobs: Iterable[Any], sizes: Mapping[Any, int | None]) -> Iterable[Any]:
    """Yield jobs by priority; of one priority first those with the largest temporary inputs, then the largest inputs.

    Experiments have a priority each, their place in the sweep, so that their inputs aren't looked at.
    """
    for _, group in groupby(sorted(jobs, key=attrgetter("priority"), reverse=True), attrgetter("priority")):
        alike = list(group)
        if len(alike) > 1:
            alike.sort(key=lambda job: _input_bytes(job, sizes), reverse=True)
        yield from alike


def _input_bytes(job: Any, sizes: Mapping[Any, int | None]) -> tuple[int, int]:
    found = [(sizes[file] or 0, file.is_flagged("temp")) for file in job.input]
    return sum(size for size, is_temporary in found if is_temporary), sum(size for size, _ in found)
