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
from benchmarks.timing import Command, Cost, in_turns, median, run, say
from benchmarks.workspace import Effort, Workspace

CPU_PER_MB, PEAK_MB = 0.1, 300.0
_MB = 1 << 20
_LINES = 10_000  # written at once
_SWEEP = """\
def yield_sweep():
    for seed in range({runs}):
        yield "conf/c02_sup_train/sl.prototxt", {{"seed": seed}}
"""
_Line = Callable[[random.Random, int], dict[str, object]]


def measure(effort: Effort) -> Iterator[Row]:
    """Measure files of several sizes."""
    with Workspace() as work:
        (folder,) = _experiments(work, "one.py", 1)
        table = _forgetful(work, "one.py", "table.csv")
        start = median(in_turns({"heyhi report without metrics": table}, effort.rounds)["heyhi report without metrics"])
        for size in (16, 64, 256) if effort.quick else (16, 64, 256, 1024):
            _write(folder, _plain, size, attempts=1)
            yield from _rows(f"{size} MB", size, start, run(table))
        _write(folder, _nested, 64, attempts=3)
        yield from _rows("64 MB, three attempts", 64, start, run(table))


def _rows(name: str, size: int, start: Cost, cost: Cost) -> Iterator[Row]:
    say(f"  measured: {name}")
    limit = Cost(CPU_PER_MB, CPU_PER_MB)
    yield Row(f"metrics: a MB of {name} / {CPU_PER_MB:g} s", (cost - start) / size, limit, at_most=1.0)
    peaks = Cost(cost.peak, cost.peak), Cost(PEAK_MB, PEAK_MB)
    yield Row(f"metrics: memory for {name} / {PEAK_MB:g} MB", *peaks, at_most=1.0, unit="MB")


def _forgetful(work: Workspace, sweep: str, to: str) -> Command:
    command = work.heyhi("report", sweep, "--to", to)
    remembered = work.results / ".heyhi/readings"
    return Command(command.args, command.cwd, command.env, lambda: shutil.rmtree(remembered, ignore_errors=True))


def _experiments(work: Workspace, name: str, runs: int) -> list[Path]:
    from heyhi.sweep.manifest import Manifest

    (work.root / name).write_text(_SWEEP.format(runs=runs))
    path = work.root / work.output(work.heyhi("expand", name, "--manifest")).strip()
    folders = []
    with Manifest.open(path) as manifest:
        roots = {"project_root": str(work.root), "results_root": str(work.results)}
        for experiment in manifest.experiments(own=True):
            experiment.exp_path.mkdir(parents=True)
            folders.append(experiment.exp_path)
            identity = {**experiment.identity.to_dict(), **roots}
            (experiment.exp_path / "identity.json").write_text(json.dumps(identity))
            (experiment.exp_path / "result.json").write_text("{}")
    return folders


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
