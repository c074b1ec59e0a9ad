"""Tells what a job costs beside its task: an experiment whose task does nothing, run as Snakemake runs it.

The peer is Python importing protobuf's text format, the least that a job with a protobuf config starts with. The
runner's time holds reading its row of the manifest, identity, config, claim, log, attempts, and the result. There is
no goal: beside a training it is nothing.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.expand import CFG
from benchmarks.table import Row
from benchmarks.timing import Command, in_turns, median
from benchmarks.workspace import BARE_PYTHON, Effort, Workspace

_TASK = "def main(task, cfg, log_level):\n    return {}\n"


def measure(effort: Effort) -> Iterator[Row]:
    """Measure one job."""
    with Workspace() as work:
        (work.root / "run.py").write_text(_TASK)
        manifest = work.output(work.heyhi("expand", "--cfg", CFG, "--manifest")).strip()
        target = work.output(work.heyhi("expand", "--cfg", CFG)).strip()
        folder = (work.root / target).parent
        args: tuple[str | Path, ...] = (sys.executable, "-m", "heyhi.runner", target, "--manifest", manifest)
        costs = in_turns(
            {
                "an empty experiment": Command(
                    args, work.root, work.env, lambda: shutil.rmtree(folder, ignore_errors=True)
                ),
                "import google.protobuf.text_format": work.command(*BARE_PYTHON),
            },
            effort.short_rounds,
        )
    ours, peer = map(median, costs.values())
    yield Row("runner: an empty experiment / import of protobuf", ours, peer)
