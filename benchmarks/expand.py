"""Compares a point of `heyhi expand` with the least that any tool must do for it, for 1,000 to 100,000 points.

The peer is a bare Python loop over the same composed message: copy it, set the same two fields, serialise it
deterministically, take the SHA-256. It looks nothing up, checks nothing, names nothing and writes nothing, so it is
a floor and no rival; as a ratio it takes the machine out of the figure. Both are whole processes, less the same
process with one point; the peer always does 100,000, since 1,000 of its points are lost in the noise of starting
Python. HeyHi's starts in an empty results root, with the schema in the cache, and also writes the manifest, the index
and a target a line.

The last row compares HeyHi with itself, a point of the largest sweep with one of the smallest: linear growth is 1.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.table import Row
from benchmarks.timing import Command, beyond, in_turns
from benchmarks.workspace import Effort, Workspace

CFG = "c02_sup_train/sl"
GOAL = 12.0
PEER_SIZE = 100_000
LINEAR = 1.25  # more than noise, less than any growth by size


def measure(effort: Effort) -> Iterator[Row]:
    """Measure all sizes, in the same rounds."""
    sizes = (1_000, 10_000) if effort.quick else (1_000, 10_000, 100_000)
    with Workspace() as work:
        config = work.folder / "config.bin"
        config.write_bytes(_composed(work))
        costs = in_turns(
            {
                **{f"heyhi expand, {size:,} points": expand_command(work, size) for size in (1, *sizes)},
                "bare loop, 1 point": _loop_command(work, config, 1),
                f"bare loop, {PEER_SIZE:,} points": _loop_command(work, config, PEER_SIZE),
            },
            # The smallest sweep is little beside the start-up.
            2 * effort.rounds,
        )
    start_up, *ours, peer_start_up, peer = costs.values()
    points = [beyond(costs, start_up, size - 1) for costs, size in zip(ours, sizes, strict=True)]
    floor = beyond(peer, peer_start_up, PEER_SIZE - 1)
    for point, size in zip(points, sizes, strict=True):
        yield Row(f"expand: a point of {size:,} / bare loop", point, floor, at_most=GOAL)
    what = f"expand: a point of {sizes[-1]:,} / a point of {sizes[0]:,}"
    yield Row(what, points[-1], points[0], at_most=LINEAR)


def expand_command(work: Workspace, size: int) -> Command:
    """Expand a grid of a given size, 100 seeds wide."""
    n, seeds = (1, 1) if size == 1 else (size // 100, 100)
    sweep = ("--sweep", f"lr=uniform(0,1,n={n})", "--sweep", f"seed=range({seeds})")
    return work.heyhi("expand", "--cfg", CFG, *sweep, empty=True)


def _loop_command(work: Workspace, config: Path, size: int) -> Command:
    n, seeds = (1, 1) if size == 1 else (size // 100, 100)
    return work.command(sys.executable, __file__, config, work.root, str(n), str(seeds))


def _composed(work: Workspace) -> bytes:
    from heyhi.config.compose import Composer
    from heyhi.config.schema import load_schema
    from heyhi.project import find_project

    project = find_project(work.root)
    return Composer(project, load_schema(project)).compose(CFG).message.SerializeToString()


def _bare_loop(config: Path, root: Path, n: int, seeds: int) -> None:
    """Do what the peer does; this file is run as a script for it."""
    from heyhi.config.schema import load_schema
    from heyhi.project import find_project

    message = load_schema(find_project(root)).parse_root(config.read_bytes())
    draw, digests = random.Random(0), set()
    for _ in range(n):
        lr = draw.uniform(0, 1)
        for seed in range(seeds):
            copy = type(message)()
            copy.CopyFrom(message)
            copy.train.lr = lr  # type: ignore[attr-defined]
            copy.train.seed = seed  # type: ignore[attr-defined]
            digests.add(hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest())
    assert len(digests) == n * seeds


if __name__ == "__main__":
    _bare_loop(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
