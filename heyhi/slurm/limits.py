"""Which limits of a cluster a job exceeds, and how that is said; Slurm isn't asked here."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from heyhi.errors import suggest
from heyhi.slurm.cluster import Accounts, Nodes, Partition, QueuedJob, minutes_of
from heyhi.slurm.cost import counted
from heyhi.slurm.request import JobRequest


class Limit(NamedTuple):
    """A limit on the number of jobs that wait or run at once.

    Attributes:
        name: as sacctmgr writes it.
        jobs: the limit.
        whose: account, QOS or partition that has it, in words.
        account: of the jobs that count, empty for all.
        qos: likewise.
        partition: likewise.
    """

    name: str
    jobs: int
    whose: str
    account: str = ""
    qos: str = ""
    partition: str = ""


def places_of(request: JobRequest, partitions: Sequence[Partition]) -> list[Partition]:
    """Return the partitions that a job may run in."""
    wanted = request.partition or os.environ.get("SBATCH_PARTITION") or ""
    return [p for p in partitions if (p.name in wanted.split(",") if wanted else p.is_default)]


def wait_of(request: JobRequest, partitions: Sequence[Partition], accounts: Accounts) -> str:
    """Write which limit keeps Slurm from starting a job that it takes; empty where none does.

    Many clusters (EnforcePartLimits=NO, a QOS without DenyOnLimit) take what is beyond a limit.
    """
    places = places_of(request, partitions)
    reasons = []
    for place in places:
        if request.minutes > minutes_of(place.max_time):
            reasons.append(f"partition '{place.name}' lets jobs run for {place.max_time}")
        elif place.max_nodes is not None and request.nodes > place.max_nodes:
            reasons.append(f"partition '{place.name}' gives a job at most {counted(place.max_nodes, 'node')}")
        elif place.state not in ("UP", "INACTIVE"):
            reasons.append(f"partition '{place.name}' is {place.state}")
    if places and len(reasons) == len(places):
        return "; ".join(reasons)
    here, qos = accounts.of(request, places)
    for name in dict.fromkeys([qos, *(p.qos for p in places)]):
        if name in accounts.qos and request.minutes > minutes_of(accounts.qos[name].max_wall):
            return f"QOS '{name}' lets jobs run for {accounts.qos[name].max_wall}"
    for one in here:
        if request.minutes > minutes_of(one.max_wall):
            return f"account '{one.account}' lets jobs run for {one.max_wall}"
    return ""


def most_minutes(request: JobRequest, partitions: Sequence[Partition], accounts: Accounts) -> float:
    """Return the longest time limit that a job may have; endless where there is none."""
    places = places_of(request, partitions)
    here, qos = accounts.of(request, places)
    limits = [accounts.qos[name].max_wall for name in {qos, *(p.qos for p in places)} if name in accounts.qos]
    limits += [one.max_wall for one in here]
    longest = max((minutes_of(place.max_time) for place in places), default=math.inf)
    return min([longest, *map(minutes_of, limits)])


def limits_on(request: JobRequest, partitions: Sequence[Partition], accounts: Accounts) -> list[Limit]:
    """Return the limits on how many jobs that ask for the same may wait or run at once."""
    places = places_of(request, partitions)
    here, own = accounts.of(request, places)
    found = []
    for one in here:
        for name, jobs in (("MaxSubmitJobs", one.max_submit), ("GrpSubmitJobs", one.group_submit)):
            if jobs.isdigit():
                found.append(Limit(name, int(jobs), f"account '{one.account}'", account=one.account))
    # Jobs in a partition with a QOS carry their own, and count for both.
    whose = [(own, f"QOS '{own}'", own, "")]
    whose += [(p.qos, f"partition '{p.name}'", "", p.name) for p in places if p.qos and p.qos != own]
    for name, text, qos, partition in whose:
        if name in accounts.qos:
            for limit, jobs in accounts.qos[name].submit.items():
                if jobs.isdigit():
                    found.append(Limit(limit, int(jobs), text, qos=qos, partition=partition))
    return found


def jobs_there(limit: Limit, queue: Iterable[QueuedJob]) -> int:
    """Return how many jobs of the user's count for a limit.

    Args:
        limit: the limit.
        queue: the user's jobs.
    """
    return sum(
        limit.account in ("", job.account) and limit.qos in ("", job.qos) and limit.partition in ("", *job.partitions)
        for job in queue
    )


def limit_line(
    limit: Limit, new: int, queue: Iterable[QueuedJob], *, has_controller: bool = False, is_attended: bool = True
) -> str:
    """Write that a launch is more than a limit lets in at once; empty where it isn't.

    Args:
        limit: the limit.
        new: number of jobs of the launch that count for it.
        queue: the user's jobs that are there already.
        has_controller: whether a controller's job counts, too, and the one that follows it.
        is_attended: whether somebody stays who submits the others.
    """
    there = jobs_there(limit, queue)
    if new + there + 2 * has_controller <= limit.jobs:
        return ""
    if not limit.jobs:  # no job's end lets another one in
        return f"Slurm would refuse {counted(new, 'job')}: {limit.whose} lets none wait or run ({limit.name} is 0)"
    has = f", and you have {there:,}" if there else ""
    has += ", and 2 are the controller and the next one" if has_controller else ""
    return (
        f"warning: {counted(new, 'job')}, but {limit.whose} lets {limit.jobs:,} wait or run at once"
        f" ({limit.name}{has}){': the others are submitted as these end' if is_attended else ''}"
    )


def hint(request: JobRequest, reason: str, partitions: Sequence[Partition], nodes: Sequence[Nodes]) -> str:
    """Write what a refused job asks for and what the cluster has, where Slurm only says that it doesn't fit.

    Args:
        request: what the job asks for.
        reason: why Slurm refuses it.
        partitions: of the cluster.
        nodes: of the cluster.

    Returns:
        the words in parentheses, after a space; empty where there is nothing to add.
    """
    said = reason.lower()
    places = places_of(request, partitions)
    if "partition name" in said:
        names = sorted(p.name for p in partitions)
        unknown = next((name for name in request.partition.split(",") if name not in names), request.partition)
        return suggest(unknown, names) or f" (there are: {', '.join(names)})"
    if "time limit" in said:
        most = ", ".join(f"partition '{p.name}' allows {p.max_time}" for p in places)
        return f" (hours={request.hours:g}{f'; {most}' if most else ''})"
    for word, field, value in (
        ("account", "account", request.account),
        ("qos", "qos", request.qos),
        ("feature", "constraint", request.constraint),
    ):
        if word in said:
            return f" ({field} '{value}')" if value else f" (no {field} is set)"
    if "node configuration" not in said and "node count" not in said:
        return ""
    asked = f"{counted(request.nodes, 'node')} with {counted(request.gpus_per_node, 'GPU')}"
    asked += f" of kind '{request.gpu_type}'" if request.gpu_type else ""
    memory = f" and {request.mem_mb_per_node / 1024:,.4g} GB" if request.mem_mb_per_node else ""
    asked += f", {counted(request.cpus // request.nodes, 'core')}{memory} each"
    kinds: Counter[tuple[str, str]] = Counter()
    for one in nodes:
        if one.partition in {p.name for p in places}:
            kind = f" ({', '.join(sorted(one.kinds))})" if request.gpu_type and one.kinds else ""
            has = f"{counted(one.gpus, 'GPU')}{kind}, {counted(one.cores, 'core')} and {one.mb / 1024:,.4g} GB"
            kinds[one.partition, has] += one.number
    has = "; ".join(
        f"partition '{name}' has {counted(number, 'node')} with {has}" for (name, has), number in kinds.items()
    )
    return f" (asked for {asked}{f'; {has}' if has else ''})"


def would_fit(request: JobRequest, partitions: Sequence[Partition], nodes: Sequence[Nodes]) -> bool:
    """Return whether a partition has the nodes for a job, also if they are down now."""
    return any(
        sum(one.number for one in nodes if one.partition == place.name and one.have(request)) >= request.nodes
        for place in places_of(request, partitions)
        if place.max_nodes is None or request.nodes <= place.max_nodes
    )
