"""What a launch may cost, and what the cluster would refuse of it, in lines for a person; nothing is submitted.

Slurm itself is asked whether it would take a job (`sbatch --test-only`). Only what that doesn't answer is found
otherwise: limits on the number of jobs, and jobs that Slurm takes but never starts.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from google.protobuf.message import Message

from heyhi.errors import LauncherError
from heyhi.quick_dataclass import replace
from heyhi.slurm.cluster import Cluster
from heyhi.slurm.commands import SlurmError, is_here
from heyhi.slurm.cost import cost_line, cost_of, counted, jobs_of
from heyhi.slurm.launcher import is_slurm
from heyhi.slurm.limits import Limit, hint, jobs_there, limit_line, limits_on, places_of, wait_of, would_fit
from heyhi.slurm.reach import unreachable
from heyhi.slurm.request import JobRequest, request_of

_ANSWER_SECONDS = 5.0  # a person waits
_ALL_SECONDS = 15.0
_MAX_LISTED = 10  # kinds of jobs that have a line of their own


def capacity_lines(
    tasks: Iterable[tuple[str, Message]],
    *,
    workers: int = 0,
    controller: Callable[[Collection[JobRequest]], JobRequest] | None = None,
    is_attended: bool = True,
    answer_seconds: float = _ANSWER_SECONDS,
    all_seconds: float = _ALL_SECONDS,
) -> list[str]:
    """Write what a launch may use, and what the cluster would refuse of it.

    Args:
        tasks: exp id and task message of each experiment that would start; only those with a Slurm launcher count.
        workers: how many jobs run them all; 0: each has its own.
        controller: says what a controller's job asks for, by what theirs do; None where none is a job.
        is_attended: whether somebody stays who submits later what is beyond a limit now.
        answer_seconds: how long to wait for one of Slurm's answers.
        all_seconds: how long to wait for all of them.

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
    cost = cost_of(demand)
    if workers:
        demand = Counter({request: min(workers, number) for request, number in demand.items()})
        cost = cost._replace(jobs=demand.total())
    lines.append(cost_line(cost, has_requeue=any(r.requeue and r.signal_seconds for r in demand)))
    if not is_here():
        return [*lines, f"{unreachable()}: nothing can be handed over from here"]
    cluster = Cluster(answer_seconds, all_seconds)
    try:
        lines += _refusals(cluster, demand, first)
        asked = controller(demand) if controller is not None else None
        lines += _limits(cluster, demand, asked, is_attended=is_attended)
        if cluster.lacks_accounts:
            lines.append("Slurm's accounting doesn't answer within seconds: its limits aren't known")
    except SlurmError:
        why = unreachable(seconds=0.0)
        slow = "Slurm doesn't answer within seconds: what it would refuse isn't known"
        lines.append(f"{why}: nothing can be handed over now" if why else slow)
    return lines


def beyond_limits(requests: Iterable[JobRequest]) -> list[str]:
    """Say which limits keep Slurm from taking as many jobs at once; what it doesn't say is taken for none.

    Args:
        requests: what each job asks for.
    """
    demand = Counter(requests)
    if not demand or not is_here():
        return []
    cluster = Cluster(_ANSWER_SECONDS, _ALL_SECONDS)
    lines = []
    with contextlib.suppress(SlurmError):
        new: Counter[Limit] = Counter()
        for request, number in demand.items():
            for limit in limits_on(request, cluster.partitions, cluster.accounts):
                new[limit] += number
        for limit, number in new.items():
            there = jobs_there(limit, cluster.queue)
            if number + there > limit.jobs:
                has = f", and you have {there:,}" if there else ""
                lines.append(
                    f"these are {counted(number, 'job')}, but {limit.whose} lets {limit.jobs:,} wait or run at once"
                    f" ({limit.name}{has})"
                )
    return lines


def _named(exp_id: str, number: int) -> str:
    return exp_id if number == 1 else f"{number:,} experiments, the first {exp_id}"


def _refusals(cluster: Cluster, demand: Mapping[JobRequest, int], first: Mapping[JobRequest, str]) -> list[str]:
    """Write which jobs Slurm would refuse, or take and never start; those of most experiments come first."""
    numbers: Counter[JobRequest] = Counter()
    names: dict[JobRequest, str] = {}
    for request, experiments in demand.items():
        # Slurm's answer doesn't depend on these.
        kind = replace(
            request,
            comment="",
            max_attempts=1,
            oom_mem_factor=1.0,
            timeout_hours_factor=1.0,
            pack=1,
            signal_seconds=0,
            max_requeues=0,
            job_name="",
            setup=(),
            python="",
            prefix=(),
            srun_extra=(),
        )
        numbers[kind] += experiments
        names.setdefault(kind, first[request])
    lines: list[str] = []
    for checked, (kind, experiments) in enumerate(numbers.most_common()):
        try:
            line = _verdict(cluster, kind, _named(names[kind], experiments))
        except SlurmError:
            if not checked:
                raise
            lines.append(f"Slurm answers slowly: only {checked} of {len(numbers)} kinds of jobs were checked")
            break
        if line:
            lines.append(line)
    if len(lines) > _MAX_LISTED:
        left = len(lines) - _MAX_LISTED
        lines[_MAX_LISTED:] = [f"… and {left} more kind{'s' * (left > 1)} of jobs like these"]
    return lines


def _verdict(cluster: Cluster, kind: JobRequest, who: str) -> str:
    """Write whether Slurm would refuse jobs of a kind, or never start them; empty where it would do neither.

    Args:
        cluster: is asked.
        kind: what the jobs ask for.
        who: experiments that ask for it, in words.

    Raises:
        SlurmError: there is no answer.
    """
    reason = cluster.refusal(kind)
    if not reason:
        limit = wait_of(kind, cluster.partitions, cluster.accounts)
        return f"Slurm would take {who}, and not start it: {limit}" if limit else ""
    try:
        if "policy" in reason:  # Slurm doesn't say which one
            limit = wait_of(kind, cluster.partitions, cluster.accounts)
            about = f" ({limit})" if limit else ""
        else:
            about = hint(kind, reason, cluster.partitions, cluster.nodes)
        # sbatch --test-only says so too where nodes are only down or drained; a job would wait for them.
        is_down = "node configuration" in reason and would_fit(kind, cluster.partitions, cluster.nodes)
    except SlurmError:
        about, is_down = "", False
    if is_down:
        return f"warning: Slurm can't start {who} as the nodes are now ({_node_states(cluster, kind)}): it would wait"
    return f"Slurm would refuse {who}: {reason}{about}"


def _node_states(cluster: Cluster, kind: JobRequest) -> str:
    """Write the states of the nodes that a job may run on: `2 idle, 1 drained`."""
    names = {place.name for place in places_of(kind, cluster.partitions)}
    states = Counter[str]()
    for nodes in cluster.nodes:
        if nodes.partition in names:
            states[nodes.state] += nodes.number
    return ", ".join(f"{number} {state}" for state, number in states.items())


def _limits(
    cluster: Cluster, demand: Mapping[JobRequest, int], controller: JobRequest | None, *, is_attended: bool
) -> list[str]:
    """Write warnings of limits on the number of jobs; what is beyond them is submitted as other jobs end, if at all.

    Args:
        cluster: is asked.
        demand: what jobs of experiments ask for, and how many experiments do.
        controller: what the controller's job asks for, and the one that follows it; None where none is a job.
        is_attended: whether somebody stays who submits later what is beyond a limit now.
    """
    its = limits_on(controller, cluster.partitions, cluster.accounts) if controller is not None else []
    new: Counter[Limit] = Counter()
    for request, experiments in demand.items():
        for limit in limits_on(request, cluster.partitions, cluster.accounts):
            new[limit] += jobs_of(request, experiments)
    lines = (
        limit_line(limit, jobs, cluster.queue, has_controller=limit in its, is_attended=is_attended)
        for limit, jobs in new.items()
    )
    return [line for line in lines if line]
