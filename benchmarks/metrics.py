"""Says what a report of one run takes whose metrics.jsonl is large: CPU time per MB, and memory.

The file is of one attempt whose lines hold the same numbers; once also of three attempts, of which each goes on from a
step that the one before has passed, with lines of training and nested ones of validation. Nothing is remembered. What
`heyhi report` takes without metrics is taken off.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.table import Row
from benchmarks.timing import Command, Cost, beyond, in_turns
from benchmarks.workspace import Effort, Workspace

CPU_PER_MB, PEAK_MB = 0.1, 300.0
_MB = 1 << 20
_LINES = 10_000  # written at once
_SWEEP = """\
def yield_sweep():
    for seed in {seeds}:
        yield "conf/c02_sup_train/sl.prototxt", {{"seed": seed}}
"""
_Line = Callable[[random.Random, int], dict[str, object]]


def measure(effort: Effort) -> Iterator[Row]:
    """Measure files of several sizes."""
    with Workspace() as work:
        _experiment(work, "none.py", "range(1)")
        folder = _experiment(work, "one.py", "range(1, 2)")
        commands = {name: _forgetful(work, f"{name}.py") for name in ("none", "one")}

        def rows(name: str, size: int) -> Iterator[Row]:
            costs = in_turns(commands, effort.rounds)
            limit = Cost(CPU_PER_MB, CPU_PER_MB)
            cost = beyond(costs["one"], costs["none"], size)
            yield Row(f"metrics: a MB of {name} / {CPU_PER_MB:g} s", cost, limit, at_most=1.0)
            peak = max(one.peak for one in costs["one"])
            peaks = Cost(peak, peak), Cost(PEAK_MB, PEAK_MB)
            yield Row(f"metrics: memory for {name} / {PEAK_MB:g} MB", *peaks, at_most=1.0, unit="MB")

        for size in (16, 64, 256) if effort.quick else (16, 64, 256, 1024):
            _write(folder, _plain, size, attempts=1)
            yield from rows(f"{size:,} MB", size)
        _write(folder, _nested, 64, attempts=3)
        yield from rows("64 MB, three attempts", 64)


def _forgetful(work: Workspace, sweep: str) -> Command:
    command = work.heyhi("report", sweep, "--to", "table.csv")
    remembered = work.results / ".heyhi/readings"
    return Command(command.args, command.cwd, command.env, lambda: shutil.rmtree(remembered, ignore_errors=True))


def _experiment(work: Workspace, name: str, seeds: str) -> Path:
    """Make the one experiment of a sweep, done and without metrics, and return its folder."""
    from heyhi.sweep.manifest import Manifest

    (work.root / name).write_text(_SWEEP.format(seeds=seeds))
    path = work.root / work.output(work.heyhi("expand", name, "--manifest")).strip()
    with Manifest.open(path) as manifest:
        (experiment,) = manifest.experiments(own=True)
    roots = {"project_root": str(work.root), "results_root": str(work.results)}
    experiment.exp_path.mkdir(parents=True)
    (experiment.exp_path / "identity.json").write_text(json.dumps({**experiment.identity.to_dict(), **roots}))
    (experiment.exp_path / "result.json").write_text("{}")
    return experiment.exp_path


def _write(folder: Path, line: _Line, size: int, attempts: int) -> None:
    """Write a file of metrics of some MB, and the starts of attempts that wrote as much each."""
    draw, step, starts = random.Random(0), 0, []
    with (folder / "metrics.jsonl").open("wb") as file:
        for attempt in range(1, attempts + 1):
            starts.append({"event": "start", "attempt": attempt, "metrics_size": file.tell()})
            while file.tell() < size * _MB * attempt / attempts:
                lines = [json.dumps(line(draw, step + place)) for place in range(_LINES)]
                file.write("".join(f"{text}\n" for text in lines).encode())
                step += _LINES
            step -= step // 10
    (folder / "attempts.jsonl").write_text("".join(f"{json.dumps(start)}\n" for start in starts))


def _plain(draw: random.Random, step: int) -> dict[str, object]:
    names = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    return {"epoch": step // 1000, "step": step, **{name: draw.random() for name in names}}


def _nested(draw: random.Random, step: int) -> dict[str, object]:
    if step % 10:
        return {"step": step, "train_loss": draw.random(), "lr": 1e-5}
    return {"step": step, "val": {"loss": draw.random(), "accuracy": draw.random()}}
