"""How far an experiment has come, as far as the end of its metrics tells in one look."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from heyhi.experiment.folder import ExperimentDir
from heyhi.files import read_end

_END = 8192  # bytes of metrics that are looked at
# The finest first: a line that has several is of that one.
_COUNTERS = ("step", "iteration", "iter", "update", "epoch")
_BESIDE = "((global|local|total|num|n|env|environment|train|trainer|optimizer|gradient)[_ ]?)*"


def progress_of(folder: ExperimentDir) -> str:
    """Return the last counter that it logged: `step 1200`; empty where there is none, or it can't be read."""
    for line in reversed(read_end(folder.metrics_path, _END).splitlines()):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue  # half a line: still written, or begun before what was looked at
        if isinstance(found, dict) and (text := _counter_in(found)):
            return text
    return ""


def _counter_in(line: Mapping[str, Any]) -> str:
    numbers = dict(_numbers(line))
    for counter in _COUNTERS:
        for name, value in numbers.items():
            if re.fullmatch(rf"{_BESIDE}{counter}s?", name.lower()):
                return f"{name} {f'{value:g}' if value % 1 else f'{value:.0f}'}"
    return ""


def _numbers(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a line, by the last part of their names."""
    for name, value in line.items():
        if isinstance(value, dict):
            yield from _numbers(value)
        elif type(value) in (int, float) and abs(value) < 1e15:
            yield re.split(r"[/.]", name)[-1], value
