"""Which learning rate? Four trainings, of which the best is taken over by `seeds_02_best.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import heyhi

CFG = "conf/c04_best/tune.prototxt"


def yield_sweep() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each point as (config, overrides)."""
    for point in heyhi.grid(lr=[0.003, 0.03], batch_size=[16, 64]):
        yield CFG, point
