"""Experiments of the example project as its task leaves them, made without running any: for what reads many."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Container, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from benchmarks.timing import say
from benchmarks.workspace import Workspace

LINES = 100
LONG_AGO = 1_600_000_000  # what was written just now is not remembered yet
METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
_SWEEP = """\
def yield_sweep():
    for i in range({size}):
        yield "conf/c02_sup_train/sl.prototxt", {{"lr": (i // {seeds} + 1) / 1000, "seed": i % {seeds}}}
"""
_ATTEMPT = (
    {
        "event": "start",
        "attempt": 1,
        "kind": "gentle_start",
        "host": "node",
        "pid": 7,
        "job_id": None,
        "commit": "c" * 40,
    },
    {"event": "end", "attempt": 1, "exit_code": 0, "exception": "", "seconds": 600.123},
)


class Made(NamedTuple):
    """What was made.

    Attributes:
        manifest: of the sweep.
        folders: of its experiments, in its order.
    """

    manifest: Path
    folders: list[Path]


def make_experiments(
    work: Workspace,
    name: str,
    size: int,
    *,
    seeds: int = 100,
    lines: int = LINES,
    metrics: Sequence[str] = METRICS,
    running: Container[int] = (),
) -> Made:
    """Make the experiments of a sweep.

    Args:
        work: where.
        name: of the sweep file; `one.py`, a sweep of one experiment, is made beside it.
        size: how many.
        seeds: of each learning rate.
        lines: of each metrics.jsonl.
        metrics: in each line, beside epoch and step.
        running: places of those that this process runs, as far as anybody can see; the others are done.
    """
    from heyhi.experiment.owner import Owner
    from heyhi.sweep.manifest import Manifest

    say(f"  making {size:,} experiments with {lines:,} metric lines each")
    (work.root / name).write_text(_SWEEP.format(size=size, seeds=seeds))
    (work.root / "one.py").write_text(_SWEEP.format(size=1, seeds=seeds))
    path = work.root / work.output(work.heyhi("expand", name, "--manifest")).strip()
    draw, folders = random.Random(0), []
    with Manifest.open(path) as manifest:
        roots = {"project_root": str(work.root), "results_root": str(work.results)}
        for place, experiment in enumerate(manifest.experiments(own=True)):
            folder = experiment.exp_path
            folder.mkdir(parents=True)
            folders.append(folder)
            measured = [metric_line(draw, epoch, metrics) for epoch in range(1, lines + 1)]
            best = max(line["val_accuracy"] for line in measured)
            files = {
                "identity.json": json.dumps({**experiment.identity.to_dict(), **roots}, indent=2),
                "metrics.jsonl": "\n".join(map(json.dumps, measured)),
                "attempts.jsonl": "\n".join(map(json.dumps, _ATTEMPT)),
                "result.json": json.dumps({**measured[-1], "best_val_accuracy": best}, indent=2),
            }
            if place in running:
                files["claim.json"] = json.dumps(asdict(Owner.this_process("process")))
                files["attempts.jsonl"] = json.dumps(_ATTEMPT[0])
                del files["result.json"]
            for file, text in files.items():
                (folder / file).write_text(f"{text}\n")
                os.utime(folder / file, (LONG_AGO, LONG_AGO))
    return Made(path, folders)


def metric_line(draw: random.Random, epoch: int, metrics: Sequence[str] = METRICS) -> dict[str, float]:
    """Return a line of metrics.jsonl."""
    return {"epoch": epoch, "step": 36 * epoch, **{name: draw.random() for name in metrics}}
