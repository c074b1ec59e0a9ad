"""How good is the best of them really? Five seeds of whatever `tune_01_lr.py` finds to be the best.

    snakemake --profile profiles/local --config sweep=conf/c04_best/seeds_02_best.py

tunes first, unless that is done already.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import heyhi

CFG = "conf/c04_best/tune.prototxt"
BEST = "{{best conf/c04_best/tune_01_lr.py max=val_accuracy}}"


def yield_sweep() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each point as (config, overrides)."""
    for point in heyhi.grid(seed=range(1, 6)):
        yield CFG, {"I": BEST, **point}
