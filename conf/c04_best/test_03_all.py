"""The whole way by one command: tune, five seeds of the best, and each of them measured on the test images.

snakemake --profile profiles/local --config sweep=conf/c04_best/test_03_all.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import heyhi

TUNE = "conf/c04_best/tune.prototxt"
TEST = "conf/c04_best/test.prototxt"
BEST = "{{best conf/c04_best/tune_01_lr.py max=val_accuracy}}"


def yield_sweep() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each point as (config, overrides)."""
    yield TEST, {}
    for point in heyhi.grid(seed=range(1, 6)):
        yield TEST, {"checkpoint": f"{{{{exp {TUNE} I={BEST} seed={point['seed']}}}}}"}
