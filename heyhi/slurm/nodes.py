"""Whether there are other nodes for a job than some, as sinfo says now."""

from __future__ import annotations

import os
from collections.abc import Sequence

from heyhi.slurm.commands import SlurmError, output_of
from heyhi.slurm.request import JobRequest

# A node in one of these starts no job, for as long as somebody doesn't change that. `*`: it doesn't answer.
_AWAY = ("down", "drain", "fail", "error", "unknown", "maint", "future", "inval", "blocked")


def has_others(request: JobRequest, nodes: Sequence[str]) -> bool:
    """Return whether a job's partition has enough nodes that are up besides some; what isn't known counts as yes.

    What else the job asks for, sbatch knows: it refuses one for which no node is left.

    Args:
        request: what the job asks for.
        nodes: as Slurm lists nodes.
    """
    try:
        return len(_up(request, ()) - _up(request, nodes)) >= request.nodes
    except SlurmError:
        return True


def _up(request: JobRequest, nodes: Sequence[str]) -> set[str]:
    """Return the nodes of a job's partition that are up, of some or of all."""
    wanted = request.partition or os.environ.get("SBATCH_PARTITION", "")
    words = ["sinfo", "--noheader", "--Node", "--format=%P|%N|%T", *([f"--nodes={','.join(nodes)}"] if nodes else [])]
    found = set()
    for line in output_of(words).splitlines():
        partition, _, rest = line.strip().partition("|")
        name, _, state = rest.partition("|")
        is_its = partition.rstrip("*") in wanted.split(",") if wanted else partition.endswith("*")
        if is_its and not state.endswith("*") and not state.lower().startswith(_AWAY):
            found.add(name)
    return found
