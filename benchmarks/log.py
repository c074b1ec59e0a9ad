"""Says what a call of `heyhi.log` takes beyond writing its line: for numbers of Python, and for those of NumPy.

The peer is a bare `file.write(json.dumps(line))` with a flush, which looks at nothing and isn't brought to disk. Each
is a process that logs lines of a step and four metrics; start-up is taken off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.table import Row
from benchmarks.timing import Command, Cost, beyond, in_turns
from benchmarks.workspace import Effort, Workspace

BEYOND = 20e-6
_LINES = 50_000
_CODE = """
import json, sys
from pathlib import Path
import numpy as np
import heyhi
from heyhi.experiment.metric_log import logging_to
values = [0.1234567, 0.875, 2.302585, 0.1015625]
if sys.argv[1] == "numpy":
    values = [np.float32(values[0]), np.float64(values[1]), np.float32(values[2]), np.float64(values[3])]
count, path = int(sys.argv[2]), Path("log.jsonl")
path.unlink(missing_ok=True)
a, b, c, d = values
if sys.argv[1] == "bare":
    with path.open("a") as file:
        for step in range(count):
            line = {"step": step, "train_loss": a, "train_accuracy": b, "val": {"loss": c, "accuracy": d}}
            file.write(json.dumps(line) + "\\n")
            file.flush()
else:
    with logging_to(path, attempt=1):
        for step in range(count):
            heyhi.log({"train_loss": a, "train_accuracy": b, "val": {"loss": c, "accuracy": d}}, step=step)
"""


def measure(effort: Effort) -> Iterator[Row]:
    """Measure a call, beside what is written at least."""
    with Workspace() as work:
        (work.root / "log.py").write_text(_CODE)
        commands = {
            f"{kind} {count}": Command([sys.executable, "log.py", kind, str(count)], work.root, work.env)
            for kind in ("bare", "python", "numpy")
            for count in (0, _LINES)
        }
        costs = in_turns(commands, effort.rounds)
        each = {
            kind: beyond(costs[f"{kind} {_LINES}"], costs[f"{kind} 0"], _LINES) for kind in ("bare", "python", "numpy")
        }
        for kind, name in (("python", "Python"), ("numpy", "NumPy")):
            yield Row(f"log: a line of {name}'s numbers / bare write", each[kind], each["bare"])
            more, limit = each[kind] - each["bare"], Cost(BEYOND, BEYOND)
            yield Row(f"log: beyond the bare write, {name} / 20 µs", more, limit, at_most=1.0)
