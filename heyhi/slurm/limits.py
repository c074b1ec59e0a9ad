"""What a cluster grants: partitions, nodes, accounts and qos, and which of their limits a request exceeds."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from heyhi.errors import suggest
from heyhi.slurm.cost import _of
from heyhi.slurm.request import JobRequest


class Limit(NamedTuple):
    """A limit on the jobs that wait or run at once.

    Attributes:
        name: as sacctmgr writes it.
        jobs: the limit.
        whose: what it is a limit of.
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


class Partition(NamedTuple):
    """What Slurm says of a partition; max_nodes None is no limit, qos is the partition's own."""

    name: str
    is_default: bool
    max_time: str
    max_nodes: int | None
    state: str
    qos: str


class Nodes(NamedTuple):
    """Some nodes of a partition that have the same."""

    partition: str
    number: int
    cores: int
    mb: int
    gpus: int
    state: str

    def have(self, request: JobRequest) -> bool:
        """Return whether each is large enough for its part of a job."""
        cores = request.cpus // request.nodes
        return self.cores >= cores and self.mb >= request.mem_mb_per_node and self.gpus >= request.gpus_per_node


class Association(NamedTuple):
    """What accounting knows of a user in an account."""

    account: str
    default_account: str
    partition: str
    default_qos: str
    max_wall: str
    max_submit: str
    group_submit: str


class Qos(NamedTuple):
    """The limits of a quality of service."""

    name: str
    max_wall: str
    submit: dict[str, str]


_ASSOCIATION = "Cluster,Account,DefaultAccount,Partition,DefaultQOS,MaxWall,MaxSubmitJobs,GrpSubmitJobs"
_QOS_LIMITS = ("MaxSubmitJobsPU", "MaxSubmitJobsPA", "GrpSubmitJobs")
_QOS = ",".join(("Name", "MaxWall", *_QOS_LIMITS))
_NODES = "%R|%D|%c|%m|%G|%T"


def refusal_of(text: str) -> str:
    """Return why `sbatch --test-only` refuses a job, in Slurm's words, from what it printed."""
    reasons = []
    for line in text.splitlines():
        line = re.sub(r"^(sbatch: )?(error: |fatal: )?(allocation failure: )?", "", line.strip())
        if line and line not in reasons and not line.startswith("Try "):
            reasons.append(line)
    return "; ".join(reasons[:3])


def parse_partitions(text: str) -> list[Partition]:
    """Read what `scontrol show partition -o` printed."""
    found = []
    for line in text.splitlines():
        facts = dict(re.findall(r"(\w+)=(\S*)", line))
        if "PartitionName" not in facts:
            continue
        nodes, qos = facts.get("MaxNodes", ""), facts.get("QoS", "N/A")
        found.append(
            Partition(
                facts["PartitionName"],
                facts.get("Default") == "YES",
                facts.get("MaxTime", "UNLIMITED"),
                int(nodes) if nodes.isdigit() else None,
                facts.get("State", "UP"),
                "" if qos == "N/A" else qos,
            )
        )
    return found


def parse_nodes(text: str) -> list[Nodes]:
    """Read what sinfo printed (format: `_NODES`)."""
    found = []
    for line in text.splitlines():
        parts = line.strip().split("|")
        if len(parts) == 6:
            name, number, cores, mb, gres, state = parts
            gpus = sum(map(int, re.findall(r"\bgpu(?::[^:,()]+)?:(\d+)", gres)))
            found.append(Nodes(name, _int(number), _int(cores), _int(mb), gpus, state))
    return found


def _int(text: str) -> int:
    return int(re.sub(r"\D", "", text) or 0)


def parse_associations(text: str, cluster: str) -> list[Association]:
    """Read what sacctmgr printed of a user's accounts (format: `_ASSOCIATION`), those of this cluster."""
    rows = (line.split("|") for line in text.splitlines())
    return [Association(*row[1:]) for row in rows if len(row) == 8 and row[0] == cluster]


def parse_qos(text: str) -> dict[str, Qos]:
    """Read what sacctmgr printed of the qualities of service (format: `_QOS`), by name."""
    rows = (line.split("|") for line in text.splitlines())
    return {row[0]: Qos(row[0], row[1], dict(zip(_QOS_LIMITS, row[2:], strict=True))) for row in rows if len(row) == 5}


def minutes_of(limit: str) -> float:
    """Read a time limit as Slurm writes it: `1-00:00:00`, `01:00:00`; infinite where there is none."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", limit)
    if match is None:
        return math.inf
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return days * 1440 + hours * 60 + minutes + seconds / 60


class Accounts(NamedTuple):
    """What accounting limits: nothing, where it enforces no limits."""

    associations: Sequence[Association] = ()
    qos: Mapping[str, Qos] = MappingProxyType({})

    def of(self, request: JobRequest, places: Sequence[Partition]) -> tuple[list[Association], str]:
        """Return the associations, and the QOS's name, that a job has which may run in some partitions."""
        default = next((a.default_account for a in self.associations), "")
        account = request.account or os.environ.get("SBATCH_ACCOUNT") or default
        mine = [a for a in self.associations if a.account == account]
        here = [a for a in mine if a.partition and a.partition in {p.name for p in places}]
        here = here or [a for a in mine if not a.partition]
        qos = request.qos or os.environ.get("SBATCH_QOS") or next((a.default_qos for a in here), "")
        return here, qos or "normal"


def places_of(request: JobRequest, partitions: Sequence[Partition]) -> list[Partition]:
    """Return the partitions that a job may run in."""
    wanted = request.partition or os.environ.get("SBATCH_PARTITION") or ""
    return [p for p in partitions if (p.name in wanted.split(",") if wanted else p.is_default)]


def wait_of(request: JobRequest, partitions: Sequence[Partition], accounts: Accounts) -> str:
    """Say what a job would wait for that Slurm takes and doesn't start; empty where it would start.

    Many clusters (EnforcePartLimits=NO, a QOS without DenyOnLimit) take what is beyond a limit.
    """
    places = places_of(request, partitions)
    reasons = []
    for place in places:
        if request.minutes > minutes_of(place.max_time):
            reasons.append(f"partition '{place.name}' lets jobs run for {place.max_time}")
        elif place.max_nodes is not None and request.nodes > place.max_nodes:
            reasons.append(f"partition '{place.name}' gives a job at most {_of(place.max_nodes, 'node')}")
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


def limits_on(request: JobRequest, partitions: Sequence[Partition], accounts: Accounts) -> list[Limit]:
    """List the limits on the number of jobs of a kind."""
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


def limit_line(limit: Limit, new: int, queue: str) -> str:
    """Write that a launch is more than a limit lets in at once; empty where it isn't.

    Args:
        limit: the limit.
        new: jobs that it would hold for.
        queue: the user's jobs that squeue printed: account|QOS|partition.
    """
    rows = [row.split("|") for row in queue.split() if row.count("|") == 2]
    there = sum(
        limit.account in ("", account) and limit.qos in ("", qos) and limit.partition in ("", *partition.split(","))
        for account, qos, partition in rows
    )
    if new + there <= limit.jobs:
        return ""
    has = f", and you have {there:,}" if there else ""
    return (
        f"warning: {_of(new, 'job')}, but {limit.whose} lets {limit.jobs:,} wait or run at once"
        f" ({limit.name}{has}): the others are submitted as these end"
    )


def hint(request: JobRequest, reason: str, partitions: Sequence[Partition], nodes: Sequence[Nodes]) -> str:
    """Say what was asked for and what there is, where Slurm only says that it doesn't fit."""
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
    asked = f"{_of(request.nodes, 'node')} with {_of(request.gpus_per_node, 'GPU')}"
    asked += f", {_of(request.cpus // request.nodes, 'core')} and {request.mem_mb_per_node / 1024:,.4g} GB each"
    kinds: Counter[tuple[str, str]] = Counter()
    for one in nodes:
        if one.partition in {p.name for p in places}:
            has = f"{_of(one.gpus, 'GPU')}, {_of(one.cores, 'core')} and {one.mb / 1024:,.4g} GB"
            kinds[one.partition, has] += one.number
    has = "; ".join(f"partition '{name}' has {_of(number, 'node')} with {has}" for (name, has), number in kinds.items())
    return f" (asked for {asked}{f'; {has}' if has else ''})"


def would_fit(request: JobRequest, partitions: Sequence[Partition], nodes: Sequence[Nodes]) -> bool:
    """Return whether a partition has the nodes for a job, also if they are down now."""
    return any(
        sum(one.number for one in nodes if one.partition == place.name and one.have(request)) >= request.nodes
        for place in places_of(request, partitions)
        if place.max_nodes is None or request.nodes <= place.max_nodes
    )
