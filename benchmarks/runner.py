"""Tells what a job costs beside its task: an experiment whose task does nothing, run as Snakemake runs it.

The peer is Python importing protobuf's text format, the least that a job with a protobuf config starts with. The
runner's time holds reading its row of the manifest, identity, config, claim, log, attempts, and the result.

For what that is beside a task, the repository's own example is run as `make run` does, beside the same bare import, and
beside a script that calls its main by hand.

The last row compares HeyHi with itself: the time until main is called in a sweep of 10,000 and in one of 10.
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

AT_MOST = 2.0
SAME = 1.1  # what of the time is noise
# The second task ends the process where main is called, by becoming a program that does nothing.
_TASK = "def main(task, cfg, log_level):\n    return {}\n"
_STOPPING_TASK = "import os\n\n\ndef main(task, cfg, log_level):\n    os.execvp('true', ['true'])\n"
_BY_HAND = """\
import json, os
from types import SimpleNamespace

import run

os.makedirs("by_hand", exist_ok=True)
os.chdir("by_hand")
cfg = SimpleNamespace(epochs=50, batch_size=32, lr=0.03, weight_decay=0.0, sgd=SimpleNamespace(momentum=0.9), adam=None)
vars(cfg).update(hidden_sizes=[64], activation="RELU", val_fraction=0.2, seed=0)
with open("result.json", "w") as file:
    json.dump(run.main("train", cfg, "INFO"), file)
"""
_SWEEP = """\
def yield_sweep():
    for seed in range({size}):
        yield "conf/{cfg}.prototxt", {{"seed": seed}}
"""


def measure(effort: Effort) -> Iterator[Row]:
    """Measure one job of each."""
    with Workspace() as work:
        (work.root / "run.py").write_text(_TASK)
        costs = in_turns(
            {
                "an empty experiment": _job(work, 1),
                "import google.protobuf.text_format": work.command(*BARE_PYTHON),
            },
            effort.short_rounds,
        )
    ours, peer = map(median, costs.values())
    yield Row("runner: an empty experiment / import of protobuf", ours, peer, at_most=AT_MOST)
    yield from _example(effort)
    sizes = (10_000, 10)
    with Workspace() as work:
        (work.root / "run.py").write_text(_STOPPING_TASK)
        jobs = {f"start in a sweep of {size:,}": _job(work, size) for size in sizes}
        large, small = map(median, in_turns(jobs, 2 * effort.short_rounds).values())
    yield Row("runner: start in a sweep of 10,000 / in one of 10", large, small, at_most=SAME, both=True)


def _example(effort: Effort) -> Iterator[Row]:
    """Measure a training of the repository's example, which is its task as it stands."""
    with Workspace() as work:
        script = work.root / "by_hand.py"
        script.write_text(_BY_HAND)
        folder = work.root / "by_hand"
        by_hand = Command(
            (sys.executable, script), work.root, work.env, lambda: shutil.rmtree(folder, ignore_errors=True)
        )
        costs = in_turns(
            {
                "the example": _job(work, 1),
                "the same main by hand": by_hand,
                "import google.protobuf.text_format": work.command(*BARE_PYTHON),
            },
            effort.rounds,
        )
    ours, peer, least = map(median, costs.values())
    yield Row("runner: the example's training / its main by hand", ours, peer)
    yield Row("runner: the example's training / import of protobuf", ours, least)


def _job(work: Workspace, size: int) -> Command:
    """Expand a sweep, and make the command that runs its last experiment."""
    sweep = work.root / f"sweep{size}.py"
    sweep.write_text(_SWEEP.format(size=size, cfg=CFG))
    manifest = work.output(work.heyhi("expand", sweep.name, "--manifest")).strip()
    target = work.output(work.heyhi("expand", sweep.name)).splitlines()[-1]
    folder = (work.root / target).parent
    args: tuple[str | Path, ...] = (sys.executable, "-m", "heyhi.runner", target, "--manifest", manifest)
    return Command(args, work.root, work.env, lambda: shutil.rmtree(folder, ignore_errors=True))
