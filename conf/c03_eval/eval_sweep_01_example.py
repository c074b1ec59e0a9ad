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


def get_logs_data(handle: heyhi.Handle) -> dict[str, Any]:
    """Return the table's columns for one evaluation; empty until it is done."""
    return {"test_accuracy": handle.result()["test_accuracy"]} if handle.is_done() else {}
