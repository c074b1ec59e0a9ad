"""Which learning rate fits best? Run it by `heyhi run`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import heyhi


def yield_sweep() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each point as (config, overrides)."""
    for overrides in heyhi.grid(lr=[0.01, 0.1], seed=range(2)):
        yield "conf/fit/line.prototxt", overrides


# What the table shows of an experiment is the last and best value of each metric, and what the task has returned. A
# function get_logs_data(handle) here can choose something else: `heyhi docs sweeps`.
