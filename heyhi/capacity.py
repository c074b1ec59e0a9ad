"""Owns what a launch may cost, and what the cluster would refuse of it; it submits nothing.

Slurm itself is asked whether it would take a job (`sbatch --test-only`). Only what it doesn't tell there is found
otherwise: limits on the number of jobs, and jobs that it takes, to let them wait for ever.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from google.protobuf.message import Message

from heyhi.errors import LauncherError, suggest
from heyhi.launcher import JobRequest, is_slurm, request_of, sbatch_options
from heyhi.slurm import environment, is_here

_SECONDS = 5.0  # for one answer, since a person waits
_ALL_SECONDS = 15.0  # for all of them
_MAX_LISTED = 10  # kinds of jobs that are told of
_SCRIPT = "#!/bin/sh\n"
# What Slurm says of the moment, not of the job.
_FULL = re.compile(r"MaxSubmit|GrpSubmit|MaxJobCount")
_AWAY = re.compile(
    r"contact slurm controller|timed out|zero bytes|connection|standby|configuration (source|file)|fetch config",
    re.IGNORECASE,
)


class Cost(NamedTuple):
    """Hold what jobs may use.

    Attributes:
        experiments: number of them.
        jobs: number of them; a pack is one.
        gpu_hours: if each job is started once and uses its whole time.
        cpu_hours: likewise.
        most_gpu_hours: if each needs all its attempts.
        most_cpu_hours: likewise.
    """

    experiments: int
    jobs: int
    gpu_hours: float
    cpu_hours: float
    most_gpu_hours: float
    most_cpu_hours: float


class Limit(NamedTuple):
    """Hold a limit on the jobs that wait or run at once.

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


# --- what it costs ------------------------------------------------------------------------------------------------


def jobs_of(request: JobRequest, experiments: int) -> int:
    """Return how many jobs it takes to run experiments that ask for the same."""
    return math.ceil(experiments / request.pack)


def cost_of(demand: Mapping[JobRequest, int]) -> Cost:
    """Add up what jobs may use.

    Args:
        demand: what is asked for -> number of experiments that ask for it.
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
    """Write what jobs may use.

    Args:
        cost: of all of them.
        has_requeue: some are queued again at their time limit, which nothing bounds.
    """
    line = f"Slurm: {_of(cost.experiments, 'experiment')} in {_of(cost.jobs, 'job')}, at most "
    line += _hours(cost.gpu_hours, cost.cpu_hours)
    if (cost.most_gpu_hours, cost.most_cpu_hours) != (cost.gpu_hours, cost.cpu_hours):
        line += f"; {_hours(cost.most_gpu_hours, cost.most_cpu_hours)} if each needs all its attempts"
    if has_requeue:
        line += " (more where a job is queued again at its time limit)"
    return line


def _hours(gpu: float, cpu: float) -> str:
    gpu_text, cpu_text = (f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}" for hours in (gpu, cpu))
    return f"{gpu_text} GPU-hours and {cpu_text} CPU-hours"


def _of(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


# --- what Slurm says ----------------------------------------------------------------------------------------------


class Partition(NamedTuple):
    """Hold what Slurm says of a partition; max_nodes None is no limit, qos is the partition's own."""

    name: str
    is_default: bool
    max_time: str
    max_nodes: int | None
    state: str
    qos: str


class Nodes(NamedTuple):
    """Hold some nodes of a partition that have the same."""

    partition: str
    number: int
    cores: int
    mb: int
    gpus: int
    state: str

    def have(self, request: JobRequest) -> bool:
        """Tell whether each is large enough for its part of a job."""
        cores = request.cpus // request.nodes
        return self.cores >= cores and self.mb >= request.mem_mb_per_node and self.gpus >= request.gpus_per_node


class Association(NamedTuple):
    """Hold what accounting knows of a user in an account."""

    account: str
    default_account: str
    partition: str
    default_qos: str
    max_wall: str
    max_submit: str
    group_submit: str


class Qos(NamedTuple):
    """Hold the limits of a quality of service."""

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
    """Hold what accounting limits: nothing, where it enforces no limits."""

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
    """Tell whether a partition has the nodes for a job, also if they are down now."""
    return any(
        sum(one.number for one in nodes if one.partition == place.name and one.have(request)) >= request.nodes
        for place in places_of(request, partitions)
        if place.max_nodes is None or request.nodes <= place.max_nodes
    )


# --- asking -------------------------------------------------------------------------------------------------------


class _NoAnswer(Exception):
    """Slurm gave none in time."""


class _Slurm:
    """Ask Slurm, each thing once, and not longer than a person waits."""

    def __init__(self) -> None:
        self._until = time.monotonic() + _ALL_SECONDS
        self.lacks_accounts = False  # accounting didn't answer, though Slurm did

    def run(self, *words: str, text: str = "") -> tuple[int, str, str]:
        """Run a command; return its exit code, its output and its errors."""
        seconds = min(_SECONDS, self._until - time.monotonic())
        if seconds <= 0:
            raise _NoAnswer
        try:
            done = subprocess.run(
                words,
                input=text,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=seconds,
                env=environment(),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            raise _NoAnswer from None
        return done.returncode, done.stdout, done.stderr

    def output(self, *words: str) -> str:
        """Return what a command printed."""
        code, out, _ = self.run(*words)
        if code:
            raise _NoAnswer
        return out

    def refusal(self, request: JobRequest) -> str:
        """Return why Slurm would refuse a job; empty where it wouldn't."""
        options = sbatch_options(request, name="heyhi-plan", comment="", output=Path(os.devnull), chdir=Path("/"))
        code, _, errors = self.run("sbatch", "--test-only", *options, text=_SCRIPT)
        if not code or _FULL.search(errors):
            return ""
        if _AWAY.search(errors):
            raise _NoAnswer
        return refusal_of(errors) or f"sbatch failed with exit code {code}"

    @cached_property
    def partitions(self) -> list[Partition]:
        return parse_partitions(self.output("scontrol", "show", "partition", "-o"))

    @cached_property
    def nodes(self) -> list[Nodes]:
        return parse_nodes(self.output("sinfo", "--noheader", "--exact", f"--format={_NODES}"))

    @cached_property
    def user(self) -> str:
        import pwd

        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())

    @cached_property
    def accounts(self) -> Accounts:
        config = dict(re.findall(r"^(\w+) *= (.*)$", self.output("scontrol", "show", "config"), re.MULTILINE))
        # Where limits aren't enforced, or nobody keeps accounts, there are none.
        if not {"limits", "safe", "all"} & set(config.get("AccountingStorageEnforce", "").lower().split(",")):
            return Accounts()
        show = ("sacctmgr", "--noheader", "--parsable2", "show")
        try:
            user = self.output(*show, "user", self.user, "withassoc", f"format={_ASSOCIATION}")
            qos = self.output(*show, "qos", f"format={_QOS}")
        except _NoAnswer:
            self.lacks_accounts = True
            return Accounts()
        return Accounts(parse_associations(user, config.get("ClusterName", "")), parse_qos(qos))

    @cached_property
    def queue(self) -> str:
        return self.output("squeue", "--noheader", "--array", f"--user={self.user}", "--format=%a|%q|%P")


def capacity_lines(tasks: Iterable[tuple[str, Message]]) -> list[str]:
    """Say what a launch may use, and what the cluster would refuse of it.

    Args:
        tasks: exp id and task message of each experiment that would start; only those with a Slurm launcher count.

    Returns:
        lines for a person; none where no experiment has a Slurm launcher. Where Slurm doesn't answer, one says so.
    """
    demand: Counter[JobRequest] = Counter()
    first: dict[JobRequest, str] = {}
    wrong: dict[str, list[str]] = {}
    for exp_id, task in tasks:
        if not is_slurm(task):
            continue
        try:
            request = request_of(task)
        except LauncherError as error:
            wrong.setdefault(str(error), []).append(exp_id)
            continue
        demand[request] += 1
        first.setdefault(request, exp_id)
    lines = [f"{_named(ids[0], len(ids))}: {text}" for text, ids in wrong.items()]
    if not demand:
        return lines
    lines.append(cost_line(cost_of(demand), has_requeue=any(r.requeue and r.signal_seconds for r in demand)))
    if not is_here():
        return lines
    slurm = _Slurm()
    try:
        lines += _refusals(slurm, demand, first)
        lines += _limits(slurm, demand)
        if slurm.lacks_accounts:
            lines.append("Slurm's accounting doesn't answer within seconds: its limits aren't known")
    except _NoAnswer:
        lines.append("Slurm doesn't answer within seconds: what it would refuse isn't known")
    return lines


def _named(exp_id: str, number: int) -> str:
    return exp_id if number == 1 else f"{number:,} experiments, the first {exp_id}"


def _refusals(slurm: _Slurm, demand: Mapping[JobRequest, int], first: Mapping[JobRequest, str]) -> list[str]:
    """Say which jobs Slurm would refuse, or take and never start; those of most experiments first."""
    numbers: Counter[JobRequest] = Counter()
    names: dict[JobRequest, str] = {}
    for request, experiments in demand.items():
        # What Slurm's answer doesn't depend on.
        kind = dataclasses.replace(
            request, comment="", max_attempts=1, oom_mem_factor=1.0, timeout_hours_factor=1.0, pack=1, signal_seconds=0
        )
        numbers[kind] += experiments
        names.setdefault(kind, first[request])
    lines: list[str] = []
    for checked, (kind, experiments) in enumerate(numbers.most_common()):
        try:
            line = _verdict(slurm, kind)
        except _NoAnswer:
            if not checked:
                raise
            lines.append(f"Slurm answers slowly: only {checked} of {len(numbers)} kinds of jobs were checked")
            break
        if line:
            lines.append(line.replace("{}", _named(names[kind], experiments), 1))
    if len(lines) > _MAX_LISTED:
        lines[_MAX_LISTED:] = [f"… and {len(lines) - _MAX_LISTED} more kinds of jobs like these"]
    return lines


def _verdict(slurm: _Slurm, kind: JobRequest) -> str:
    reason = slurm.refusal(kind)
    if not reason:
        waits_for = wait_of(kind, slurm.partitions, slurm.accounts)
        return f"Slurm would take {{}}, and not start it: {waits_for}" if waits_for else ""
    try:
        if "policy" in reason:  # which one, Slurm doesn't say
            beyond = wait_of(kind, slurm.partitions, slurm.accounts)
            about = f" ({beyond})" if beyond else ""
        else:
            about = hint(kind, reason, slurm.partitions, slurm.nodes)
        # sbatch --test-only says so too where nodes are only down or drained; a job would wait for them.
        is_down = "node configuration" in reason and would_fit(kind, slurm.partitions, slurm.nodes)
    except _NoAnswer:
        about, is_down = "", False
    if is_down:
        states = Counter[str]()
        for one in slurm.nodes:
            if one.partition in {p.name for p in places_of(kind, slurm.partitions)}:
                states[one.state] += one.number
        how = ", ".join(f"{number} {state}" for state, number in states.items())
        return f"warning: Slurm can't start {{}} as the nodes are now ({how}): it would wait"
    return f"Slurm would refuse {{}}: {reason}{about}"


def _limits(slurm: _Slurm, demand: Mapping[JobRequest, int]) -> list[str]:
    """Warn of limits on the number of jobs; a launch goes on, as room is made."""
    new: Counter[Limit] = Counter()
    for request, experiments in demand.items():
        for limit in limits_on(request, slurm.partitions, slurm.accounts):
            new[limit] += jobs_of(request, experiments)
    return [line for limit, jobs in new.items() if (line := limit_line(limit, jobs, slurm.queue))]
