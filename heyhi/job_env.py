"""The facts of the job that this process is part of, read from the environment here only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from heyhi.quick_dataclass import dataclass
from heyhi.regex import regex

PREFIX_VARIABLE = "HEYHI_PREFIX"  # words that each task of a job begins with
SRUN_VARIABLE = "HEYHI_SRUN"  # more options for srun
# What the script of a job and the run in it tell each other, as heyhi.job.notice has it. The signal isn't USR1, which
# NCCL and some schedulers' own wrappers use.
WARNING_NAME = "SIGUSR2"
# EX_TEMPFAIL of sysexits.h: asks the job's script to have the job queued again, together with ASKS.
REQUEUE_EXIT = 75
# Environment variable with the path of the file in which the job's script notes the signal. With READY at its end it
# is the path of the run's answer, with ASKS that of its wish to be queued again: an exit code alone may be the task's.
NOTICE_VARIABLE = "HEYHI_NOTICE"
READY = ".ready"
ASKS = ".requeue"
_FIRST_OF_BRACKET = regex(r"\[([^\],-]+)[^\]]*\]")
# In the environment of the ranks that HeyHi has started, and of what they start: they are no tasks that have to meet.
RANKS_VARIABLE = "HEYHI_RANKS"
_COUNT = regex(r"(\d+)(?:\(x(\d+)\))?")
_HOSTS = regex(r"(?:\[[^\]]*\]|[^,\[])+")
_FIRST_HOST = regex(r"(?:\[[^\]]*\]|[^,\[])*")


@dataclass(frozen=True)
class JobEnv:
    """The facts of a job.

    Attributes:
        hostname: of this machine.
        job_id: Slurm's, `<array>_<task>` in an array; None outside Slurm.
        rank: of this process among all of the job, from torchrun or Slurm; 0 where there is one.
        world_size: number of processes of the job.
        local_rank: of this process among those on this machine.
        restart_count: how often Slurm has requeued the job.
        job_name: that Slurm lists the job by; empty outside Slurm.
        is_slurm: this process was started by Slurm (a shell inside an allocation was not).
        num_nodes: number of machines that the job runs on.
        node: this one's number among them.
        nodelist: Slurm's list of them; empty outside Slurm.
    """

    hostname: str
    job_id: str | None
    rank: int
    world_size: int
    local_rank: int
    restart_count: int
    job_name: str
    is_slurm: bool
    num_nodes: int = 1
    node: int = 0
    nodelist: str = ""

    # The first HeyHi's names for the same.
    @property
    def global_rank(self) -> int:
        """The rank."""
        return self.rank

    @property
    def num_tasks(self) -> int:
        """The world size."""
        return self.world_size

    @property
    def hostnames(self) -> list[str]:
        """Names of the machines that the job runs on, this one's where Slurm lists none."""
        return hosts_of(self.nodelist) or [self.hostname]


@dataclass(frozen=True)
class Tasks:
    """Tasks that somebody else has started at once, each with the same command: by srun or torchrun.

    Attributes:
        name: that no other tasks have at this time.
        rank: of this one.
        count: of all.
        by_torchrun: which has set its variables.
    """

    name: str
    rank: int
    count: int
    by_torchrun: bool


def get_tasks() -> Tasks | None:
    """Return the tasks of which this process is one; None where it is one alone, or a rank that HeyHi has started."""
    if os.environ.get(RANKS_VARIABLE):
        return None
    env = os.environ.get
    if env("TORCHELASTIC_RUN_ID") is not None and (count := _number("WORLD_SIZE", 1)) > 1:
        name = f"torchrun {env('TORCHELASTIC_RUN_ID')} {env('MASTER_ADDR')} {env('MASTER_PORT')}"
        return Tasks(f"{name} {env('TORCHELASTIC_RESTART_COUNT', '0')}", _number("RANK", 0), count, by_torchrun=True)
    # A batch script has the number of the job's tasks, too, and is one process.
    if env("SLURM_STEP_ID") is not None and (count := _number("SLURM_STEP_NUM_TASKS", 1)) > 1:
        name = f"srun {get_slurm_job_id()} {env('SLURM_STEP_ID')} {env('SLURM_RESTART_COUNT', '0')}"
        return Tasks(name, _number("SLURM_PROCID", 0), count, by_torchrun=False)
    return None


def get_job_env() -> JobEnv:
    """Read the facts of the current job; they are those of a single process where nothing says otherwise."""
    torchrun = _is_below_torchrun()
    return JobEnv(
        hostname=os.uname().nodename,
        job_id=get_slurm_job_id(),
        rank=own_rank(),
        world_size=_number("WORLD_SIZE" if torchrun else "SLURM_NTASKS", 1),
        local_rank=_number("LOCAL_RANK" if torchrun else "SLURM_LOCALID", 0),
        restart_count=_number("SLURM_RESTART_COUNT", 0),
        job_name=os.environ.get("SLURM_JOB_NAME", ""),
        is_slurm=is_on_slurm(),
        num_nodes=_number("SLURM_JOB_NUM_NODES", _torchrun_nodes() if torchrun else 1),
        node=_number("SLURM_NODEID", _number("GROUP_RANK", 0)),
        nodelist=job_nodes(),
    )


def _is_below_torchrun() -> bool:
    # It goes first: below it, one Slurm task starts several processes.
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def own_rank() -> int:
    """Return the rank of this process, and read no other facts of its job."""
    return _number("RANK" if _is_below_torchrun() else "SLURM_PROCID", 0)


def _torchrun_nodes() -> int:
    count = _number("WORLD_SIZE", 1)
    return max(1, count // max(1, _number("LOCAL_WORLD_SIZE", count)))


def get_slurm_job_id() -> str | None:
    """Return the id of the current Slurm job as `squeue` prints it, or None."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"{array}_{task}"
    return os.environ.get("SLURM_JOB_ID") or None


def node_name() -> str:
    """Return what Slurm calls this node, which may be another name than the machine's; empty outside Slurm."""
    return os.environ.get("SLURMD_NODENAME", "")


def job_nodes() -> str:
    """Return the nodes of the current Slurm job, as Slurm lists nodes; empty outside Slurm."""
    return os.environ.get("SLURM_JOB_NODELIST", "")


def get_slurm_master() -> str:
    """Return the host of the job's first process, `localhost` outside Slurm."""
    nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_JOB_NODELIST")
    return first_host(nodes) if nodes else "localhost"


def rank_variables() -> dict[str, str]:
    """Return torchrun's variables for this task of a Slurm step, by which libraries find the other ranks."""
    job, step, node = (_number(name, 0) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_NODEID"))
    numbers = {
        "RANK": _number("SLURM_PROCID", 0),
        "WORLD_SIZE": _number("SLURM_NTASKS", 1),
        "LOCAL_RANK": _number("SLURM_LOCALID", 0),
        "LOCAL_WORLD_SIZE": tasks_on_node(os.environ.get("SLURM_STEP_TASKS_PER_NODE", ""), node),
        "NODE_RANK": node,
        # Below the ports that systems hand out, and another one for each of the jobs that a node may run at once, and
        # for each of the steps that somebody starts in one.
        "MASTER_PORT": 10_000 + (job + 101 * step) % 20_000,
    }
    return {"MASTER_ADDR": get_slurm_master(), **{name: str(number) for name, number in numbers.items()}}


def tasks_on_node(counts: str, node: int) -> int:
    """Return how many tasks a node has, by Slurm's list of counts: `2(x3),1` are 2 on each of three nodes, then 1."""
    for count, times in _COUNT.findall(counts):
        node -= int(times or 1)
        if node < 0:
            return int(count)
    return 1


def cpus_per_task() -> int:
    """Return how many cores each task of the job has."""
    return max(1, _number("SLURM_CPUS_PER_TASK", 1))


def cpus_on_node(env: Mapping[str, str] | None = None) -> int:
    """Return how many cores the job has on this machine; without a job, those that this process may use.

    Args:
        env: environment of the job; default: this process's.
    """
    text = (os.environ if env is None else env).get("SLURM_CPUS_ON_NODE", "")
    return max(1, int(text)) if text.isdigit() else len(os.sched_getaffinity(0))


def first_host(nodelist: str) -> str:
    """Return the first host of a Slurm node list: `gpu[07-09,12],cpu1` starts with `gpu07`."""
    match = _FIRST_HOST.match(nodelist)
    return _FIRST_OF_BRACKET.sub(r"\1", match.group() if match else nodelist)


def hosts_of(nodelist: str) -> list[str]:
    """List the hosts of a Slurm node list: `gpu[07-09,12],cpu1` are gpu07, gpu08, gpu09, gpu12 and cpu1."""
    return [host for part in _HOSTS.findall(nodelist) for host in _expanded(part)]


def _expanded(part: str) -> list[str]:
    before, bracket, rest = part.partition("[")
    if not bracket:
        return [part]
    inside, _, after = rest.partition("]")
    found = []
    for numbers in inside.split(","):
        first, _, last = numbers.partition("-")
        if last.isdecimal() and first.isdecimal():
            names = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        else:
            names = [numbers]
        found += [f"{before}{name}{end}" for name in names for end in _expanded(after)]
    return found


def is_master() -> bool:
    """Return whether this process is the first of its job (the only one counts as the first)."""
    return get_job_env().rank == 0


def is_on_slurm() -> bool:
    """Return whether Slurm started this process."""
    return "SLURM_JOB_ID" in os.environ and "SLURM_PROCID" in os.environ


def is_aws() -> bool:
    """Return whether this is the first HeyHi's cluster in AWS, by the variable that is set there."""
    return "S3_SHARED" in os.environ


def is_devfair() -> bool:
    """Return whether this is one of the machines that the first HeyHi knew by that name."""
    return os.uname().nodename.startswith("devfair")


def is_adhoc() -> bool:
    """Return whether the working directory is that of an ad hoc experiment."""
    return "adhoc" in Path.cwd().parts


def user_name() -> str:
    """Return the name of the user that this process runs as; the number where there is no name, as in a container."""
    import getpass  # of no use to a run

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def reset_slurm_cache() -> None:
    """Do nothing: kept for scripts of the first HeyHi, which had a cache of Slurm's answers."""


def _number(name: str, default: int) -> int:
    try:
        return int(os.environ.get(name, ""))
    except ValueError:
        return default
