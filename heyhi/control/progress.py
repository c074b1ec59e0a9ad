"""How far an experiment has come, as far as the end of its metrics tells in one look."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from heyhi.experiment.counters import counters_among
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.kinds import NUMBERS, dotted_items
from heyhi.files import read_end

_END = 8192  # bytes of metrics that are looked at
_MOST = 1e15  # of a counter


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
    numbers = {name: value for name, value in dotted_items(line) if type(value) in NUMBERS and abs(value) < _MOST}
    for name in counters_among(tuple(numbers))[:1]:
        value = numbers[name]
        return f"{re.split('[/.]', name)[-1]} {f'{value:g}' if value % 1 else f'{value:.0f}'}"
    return ""
