"""How the ranks of a step ended, by what srun prints of it; what the ranks say themselves, ranks.py knows."""

from __future__ import annotations

import re
import signal
from typing import NamedTuple

from heyhi.experiment.exits import signal_text

# srun: error: n1: tasks 0-1,4: Exited with exit code 1
_ENDED = re.compile(
    r"^(?:srun|heyhi): error: (?P<host>[^:\s]+): tasks? (?P<ranks>\d[\d,-]*): (?P<how>.+)$", re.MULTILINE
)
_EXITED = re.compile(r"Exited with exit code (\d+)")
_LOST_NODE = re.compile(r"^srun: error: Node failure on (\S+)", re.MULTILINE)
_MAX_RANKS = 100_000  # of a range: what is printed may be anything
# srun calls signals as the C library does.
_SIGNALS = {signal.strsignal(sign): sign for sign in signal.valid_signals()}


class RankEnd(NamedTuple):
    """How some ranks ended.

    Attributes:
        ranks: which.
        host: node that they ran on; several as Slurm lists nodes.
        how: in srun's words.
    """

    ranks: tuple[int, ...]
    host: str
    how: str

    @property
    def node(self) -> str:
        """The node, where it is one."""
        return "" if {",", "["} & set(self.host) else self.host

    def text(self, rank: int) -> str:
        """Say how one of them ended: `rank 2 on n2: exit code 9`."""
        name = self.how.removesuffix(" (core dumped)")
        exited, sign = _EXITED.match(self.how), _SIGNALS.get(name)
        how = f"exit code {exited[1]}" if exited else self.how
        if sign is not None:
            how = signal_text(int(sign))
        return f"rank {rank}{f' on {self.node}' if self.node else ''}: {how}"


def first_end(said: str) -> RankEnd | None:
    """Return how the ranks ended that srun names first, before it ends the others; None where it names none.

    Args:
        said: what it printed.
    """
    found = _ENDED.search(said)
    if found is None:
        return None
    ranks: list[int] = []
    for part in found["ranks"].split(","):
        first, _, last = part.partition("-")
        if first:
            ranks += range(int(first), min(int(last or first), int(first) + _MAX_RANKS) + 1)
    return RankEnd(tuple(ranks), found["host"], found["how"].strip())


def lost_node(said: str) -> str:
    """Return the node that the step has lost, with its ranks; empty where none was."""
    found = _LOST_NODE.search(said)
    return found[1] if found else ""
