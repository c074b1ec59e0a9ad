"""What a cluster is: its partitions, nodes, accounts and qualities of service, as Slurm's commands print them.

What of them a job exceeds, limits.py says.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from heyhi.errors import LauncherError
from heyhi.quick_tuple import NamedTuple
from heyhi.slurm.commands import Busy, SlurmError, output_of, refusal
from heyhi.slurm.request import JobRequest, sbatch_options
from heyhi.slurm.surroundings import clusters_wished_for

_SCRIPT = "#!/bin/sh\n"
_ASSOCIATION_FIELDS = "Cluster,Account,DefaultAccount,Partition,DefaultQOS,MaxWall,MaxSubmitJobs,GrpSubmitJobs"
_QOS_LIMITS = ("MaxSubmitJobsPU", "MaxSubmitJobsPA", "GrpSubmitJobs")
_QOS_FIELDS = ",".join(("Name", "MaxWall", *_QOS_LIMITS))
_NODES_FORMAT = "%R|%D|%c|%m|%G|%T"
_QUEUE_FORMAT = "%a|%q|%P"


class Partition(NamedTuple):
    """What Slurm says of a partition.

    Attributes:
        name: of the partition.
        is_default: whether jobs that name no partition go there.
        max_time: of a job, as Slurm writes it.
        max_nodes: of a job; None is no limit.
        state: UP, DOWN, DRAIN or INACTIVE.
        qos: the partition's own; empty for none.
        submit_hosts: hosts from which it takes jobs, as Slurm lists them; empty: from all.
    """

    name: str
    is_default: bool
    max_time: str
    max_nodes: int | None
    state: str
    qos: str
    submit_hosts: str = ""


class Nodes(NamedTuple):
    """Nodes of a partition that are alike.

    Attributes:
        partition: its name.
        number: how many nodes these are.
        cores: of each.
        mb: memory of each.
        gpus: of each.
        state: of each, as sinfo prints it.
        kinds: kind of GPU -> how many of them each has; those without a kind are left out.
    """

    partition: str
    number: int
    cores: int
    mb: int
    gpus: int
    state: str
    kinds: Mapping[str, int] = MappingProxyType({})

    def have(self, request: JobRequest) -> bool:
        """Return whether each is large enough for its part of a job."""
        cores = request.cpus // request.nodes
        # Slurm takes kinds in whatever case.
        kind = request.gpu_type.lower()
        gpus = self.kinds.get(kind, 0) if kind else self.gpus
        return self.cores >= cores and self.mb >= (request.mem_mb_per_node or 0) and gpus >= request.gpus_per_node


class Association(NamedTuple):
    """What accounting knows of a user in an account; each limit is empty where there is none.

    Attributes:
        account: its name.
        default_account: of the user.
        partition: that this holds for; empty for all.
        default_qos: of jobs in this account.
        max_wall: longest time of a job, as Slurm writes it.
        max_submit: most jobs of the user that wait or run at once.
        group_submit: most jobs of all users of the account.
    """

    account: str
    default_account: str
    partition: str
    default_qos: str
    max_wall: str
    max_submit: str
    group_submit: str


class Qos(NamedTuple):
    """The limits of a quality of service.

    Attributes:
        name: of the quality of service.
        max_wall: longest time of a job, as Slurm writes it; empty for no limit.
        submit: name of a limit on the number of jobs -> the limit, empty where there is none.
    """

    name: str
    max_wall: str
    submit: dict[str, str]


class Accounts(NamedTuple):
    """What accounting limits: nothing, where it enforces no limits.

    Attributes:
        associations: of the user.
        qos: all qualities of service, by name.
    """

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


class QueuedJob(NamedTuple):
    """A job that waits or runs, with what limits on the number of jobs go by.

    Attributes:
        account: of the job.
        qos: of the job.
        partitions: that it may run in.
    """

    account: str
    qos: str
    partitions: tuple[str, ...]


def parse_partitions(text: str) -> list[Partition]:
    """Read what `scontrol show partition -o` printed."""
    found = []
    for line in text.splitlines():
        facts = dict(re.findall(r"(\w+)=(\S*)", line))
        if "PartitionName" not in facts:
            continue
        nodes, qos = facts.get("MaxNodes", ""), facts.get("QoS", "N/A")
        hosts = facts.get("AllocNodes", "ALL")
        found.append(
            Partition(
                facts["PartitionName"],
                facts.get("Default") == "YES",
                facts.get("MaxTime", "UNLIMITED"),
                int(nodes) if nodes.isdigit() else None,
                facts.get("State", "UP"),
                "" if qos == "N/A" else qos,
                "" if hosts in ("ALL", "(null)") else hosts,
            )
        )
    return found


def parse_nodes(text: str) -> list[Nodes]:
    """Read what sinfo printed (format: partition, number, cores, memory, generic resources, state)."""
    found = []
    for line in text.splitlines():
        parts = line.strip().split("|")
        if len(parts) == 6:
            name, number, cores, mb, gres, state = parts
            kinds = Counter[str]()
            for kind, count in re.findall(r"\bgpu(?::([^:,()]+))?:(\d+)", gres):
                kinds[kind.lower()] += int(count)
            total = kinds.total()
            del kinds[""]
            found.append(Nodes(name, _int(number), _int(cores), _int(mb), total, state, dict(kinds)))
    return found


def _int(text: str) -> int:
    return int(re.sub(r"\D", "", text) or 0)


def parse_associations(text: str, cluster: str) -> list[Association]:
    """Read what sacctmgr printed of a user's accounts, those of one cluster (format: cluster, then our attributes)."""
    rows = (line.split("|") for line in text.splitlines())
    return [Association(*row[1:]) for row in rows if len(row) == 8 and row[0] == cluster]


def parse_qos(text: str) -> dict[str, Qos]:
    """Read what sacctmgr printed of the qualities of service, by name (format: name, longest time, limits on jobs)."""
    rows = (line.split("|") for line in text.splitlines())
    return {row[0]: Qos(row[0], row[1], dict(zip(_QOS_LIMITS, row[2:], strict=True))) for row in rows if len(row) == 5}


def parse_queue(text: str) -> list[QueuedJob]:
    """Read what squeue printed (format: account, QOS, partitions)."""
    rows = (line.split("|") for line in text.split())
    return [QueuedJob(row[0], row[1], tuple(row[2].split(","))) for row in rows if len(row) == 3]


def minutes_of(limit: str) -> float:
    """Read a time limit as Slurm writes it: `1-00:00:00`, `01:00:00`; infinite where there is none."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", limit)
    if match is None:
        return math.inf
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return days * 1440 + hours * 60 + minutes + seconds / 60


class Cluster:
    """What Slurm says of its cluster; each thing is asked for when it is first needed, and no answer is a SlurmError.

    Args:
        answer_seconds: how long one answer may take.
        all_seconds: how long all of them may take together, from now on.

    Attributes:
        lacks_accounts: accounting didn't answer, though Slurm did.
    """

    def __init__(self, answer_seconds: float, all_seconds: float) -> None:
        self._answer_seconds = answer_seconds
        self._until = time.monotonic() + all_seconds
        self.lacks_accounts = False

    def refusal(self, request: JobRequest) -> str:
        """Return why Slurm would refuse a job; empty where it wouldn't."""
        options = sbatch_options(request, name="heyhi-plan", comment="", output=Path(os.devnull), chdir=Path("/"))
        return refusal(options, _SCRIPT, seconds=self._seconds())

    @cached_property
    def partitions(self) -> list[Partition]:
        """All partitions."""
        return parse_partitions(self._ask("scontrol", "show", "partition", "-o"))

    @cached_property
    def nodes(self) -> list[Nodes]:
        """All nodes, grouped by partition and equipment."""
        return parse_nodes(self._ask("sinfo", "--noheader", "--exact", f"--format={_NODES_FORMAT}"))

    @cached_property
    def accounts(self) -> Accounts:
        """What accounting limits; nothing where it doesn't answer, or where limits aren't enforced."""
        config = dict(re.findall(r"^(\w+) *= (.*)$", self._ask("scontrol", "show", "config"), re.MULTILINE))
        if not {"limits", "safe", "all"} & set(config.get("AccountingStorageEnforce", "").lower().split(",")):
            return Accounts()
        show = ("sacctmgr", "--noheader", "--parsable2", "show")
        try:
            user = self._ask(*show, "user", self._user, "withassoc", f"format={_ASSOCIATION_FIELDS}")
            qos = self._ask(*show, "qos", f"format={_QOS_FIELDS}")
        except SlurmError:
            self.lacks_accounts = True
            return Accounts()
        return Accounts(parse_associations(user, config.get("ClusterName", "")), parse_qos(qos))

    @cached_property
    def queue(self) -> list[QueuedJob]:
        """This user's jobs that wait or run."""
        words = ("squeue", "--noheader", "--array", f"--user={self._user}", f"--format={_QUEUE_FORMAT}")
        return parse_queue(self._ask(*words))

    @cached_property
    def _user(self) -> str:
        import pwd

        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())

    def _ask(self, *words: str) -> str:
        return output_of(words, seconds=self._seconds())

    def _seconds(self) -> float:
        """Return how long the next answer may take."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise Busy("Slurm's answers take too long")
        return min(self._answer_seconds, left)


def check_clusters() -> None:
    """Make sure that the environment wishes for no other cluster than the one that this machine belongs to.

    Jobs are looked for there alone: one on another cluster would count as dead, and be started a second time.

    Raises:
        LauncherError: it does.
        SlurmError: Slurm doesn't say what this one is called.
    """
    wishes = clusters_wished_for()
    if not wishes:
        return
    found = re.search(r"^ClusterName\s*=\s*(\S+)", output_of(["scontrol", "show", "config"]), re.MULTILINE)
    own = found[1] if found else ""
    for name, wish in wishes.items():
        if wish != own:
            raise LauncherError(
                f"{name}={wish}: jobs are submitted to, and looked for on, the cluster that this machine belongs to"
                f"{f' ({own})' if own else ''}; unset {name}, and let SLURM_CONF name another cluster's slurm.conf"
            )
