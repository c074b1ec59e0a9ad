"""Owns what a launch may cost, and what the cluster would refuse of it; it submits nothing.

Slurm itself is asked whether it would take a job (`sbatch --test-only`). Only what it doesn't tell there is found
otherwise: limits on the number of jobs, and jobs that it takes, to let them wait for ever.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from google.protobuf.message import Message

from heyhi.errors import LauncherError
from heyhi.slurm.commands import environment, is_here
from heyhi.slurm.cost import cost_line, cost_of, jobs_of
from heyhi.slurm.limits import (
    _ASSOCIATION,
    _NODES,
    _QOS,
    Accounts,
    Limit,
    Nodes,
    Partition,
    hint,
    limit_line,
    limits_on,
    parse_associations,
    parse_nodes,
    parse_partitions,
    parse_qos,
    places_of,
    refusal_of,
    wait_of,
    would_fit,
)
from heyhi.slurm.request import JobRequest, is_slurm, request_of, sbatch_options

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
