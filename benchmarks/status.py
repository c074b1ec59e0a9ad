"""Compares `heyhi status` over experiments that are all done with a bare look at their result files.

The peer is one Python process without any package, which reads the result files' absolute paths from a text file
and calls `os.stat` on each: no experiment can be known to be done for less. HeyHi also finds out by its index which
experiments there are, and counts them. The experiments are done ones as far as `status` can see: their result.json
is there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.expand import expand_command
from benchmarks.table import Row
from benchmarks.timing import in_turns, median, say
from benchmarks.workspace import Effort, Workspace

GOAL = 2.0
_PEER = "import os, sys\nfor path in open(sys.argv[1]).read().split():\n    os.stat(path)"


def measure(effort: Effort) -> Iterator[Row]:
    """Measure one size."""
    size = 10_000  # also when it has to be quick: the goal is about as many
    with Workspace() as work:
        say(f"  making {size:,} experiments that are done")
        results = [work.root / target for target in work.output(expand_command(work, size)).split()]
        (manifest,) = (work.root / "results/.heyhi/manifests").iterdir()
        work.launch(manifest.name, "status")
        for result in results:
            result.parent.mkdir(parents=True)
            result.write_text('{"val_accuracy": 0.98}\n')
        paths = work.folder / "results.txt"
        paths.write_text("".join(f"{result}\n" for result in results))
        costs = in_turns(
            {
                f"heyhi status, {size:,} experiments": work.heyhi("status"),
                f"bare os.stat, {size:,} result files": work.command(sys.executable, "-c", _PEER, paths),
            },
            effort.short_rounds,
        )
    ours, peer = map(median, costs.values())
    yield Row(f"status: {size:,} done experiments / bare os.stat", ours, peer, at_most=GOAL)
