"""Times whole processes, measured in turns so that a busy machine slows both sides alike.

CPU time counts a process and all that it waited for; wall time stands beside it, for what waits on a disk.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a process took, in seconds, and the most memory that it had, in MB, where that was measured."""

    cpu: float
    wall: float
    peak: float = 0.0

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.cpu - other.cpu, self.wall - other.wall, self.peak)

    def __truediv__(self, count: float) -> Cost:
        return Cost(self.cpu / count, self.wall / count, self.peak)


@dataclass(frozen=True)
class Command:
    """A command, where it is run, and what is done before each run without being measured."""

    args: Sequence[str | Path]
    cwd: Path
    env: Mapping[str, str]
    prepare: Callable[[], object] = lambda: None


class CommandFailed(Exception):
    """A command that was to be measured ended with another exit code than 0."""


def run(command: Command) -> Cost:
    """Run a command and return what it has cost.

    Raises:
        CommandFailed: its exit code is not 0.
    """
    command.prepare()
    with tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(
            command.args,
            cwd=command.cwd,
            env=command.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            stderr.seek(0)
            tail = stderr.read().decode(errors="replace")[-2000:]
            raise CommandFailed(f"{' '.join(map(str, command.args))}\nended with {process.returncode}:\n{tail}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def in_turns(commands: Mapping[str, Command], rounds: int) -> dict[str, list[Cost]]:
    """Run each command once without counting it, then all of them in turns: A B A B …"""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            say(f"  {f'round {number} of {rounds}' if number else 'warming up'}: {name}")
            cost = run(command)
            if number:
                costs[name].append(cost)
    return costs


def median(costs: Sequence[Cost]) -> Cost:
    """Return the median of CPU and of wall times."""
    return Cost(statistics.median(c.cpu for c in costs), statistics.median(c.wall for c in costs))


def beyond(costs: Sequence[Cost], start_up: Sequence[Cost], count: int) -> Cost:
    """Return what one of `count` things costs beyond start-up: the median over the rounds."""
    return median([(cost - start) / count for cost, start in zip(costs, start_up, strict=True)])


def say(text: str) -> None:
    """Tell how far it is, on standard error."""
    print(text, file=sys.stderr, flush=True)
