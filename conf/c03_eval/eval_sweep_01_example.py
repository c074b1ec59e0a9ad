"""How much noise does a trained classifier bear? Three evaluations that share one training.

    snakemake --profile profiles/local --config sweep=conf/c03_eval/eval_sweep_01_example.py

trains first, unless that training is done already.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import heyhi

CFG = "conf/c03_eval/eval.prototxt"


def yield_sweep() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each point as (config, overrides)."""
    for point in heyhi.grid(noise=[0.0, 0.2, 0.4]):
        yield CFG, point
