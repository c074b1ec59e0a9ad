"""Which learning rate fits best? Run it by `heyhi run`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import heyhi


def yield_sweep() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each point as (config, overrides)."""
    for overrides in heyhi.grid(lr=[0.01, 0.1], seed=range(2)):
        yield "conf/fit/line.prototxt", overrides


def get_logs_data(handle: heyhi.Handle) -> dict[str, Any]:
    """Return the table's columns for one experiment; empty until it is done."""
    return handle.result() if handle.is_done() else {}
