"""A random search for a good digits classifier: eight trainings, half of them with SGD, half with Adam.

Starts what is missing and shows what is there, so run it again and again:

    watch -n 60 'python -m conf.c02_sup_train.rs_yolo_01_example | tail -n3'

or let Snakemake run it, several at once (it is the sweep that Snakemake takes by default):

    snakemake --profile profiles/local
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import heyhi
import run
from heyhi.errors import reporting_errors

CFG = "conf/c02_sup_train/sl.prototxt"
BEST = "best_val_accuracy"


def yield_sweep() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each point as (config, overrides)."""
    shared = {"batch_size": [16, 32, 64], "hidden_sizes.0": [32, 64, 128]}
    for overrides in (
        *heyhi.sample(4, {**shared, "sgd.momentum": [0.5, 0.9]}, seed=1, lr="loguniform(1e-2, 3e-1)"),
        *heyhi.sample(4, {**shared, "adam.beta1": [0.9, 0.95]}, seed=2, lr="loguniform(3e-4, 3e-2)"),
    ):
        yield CFG, overrides


def get_logs_data(handle: heyhi.Handle) -> dict[str, Any]:
    """Return the table's columns for one training, as far as it is."""
    lines = handle.metrics()
    if not lines:
        return {}
    best = max(line["val_accuracy"] for line in lines)
    return {key: lines[-1][key] for key in ("epoch", "train_loss", "val_loss")} | {BEST: best}


def main() -> None:
    """Start what is missing, then print and save a table; the last three lines sum up."""
    import pandas as pd

    rows = []
    for cfg, overrides in yield_sweep():
        handle = heyhi.maybe_launch(
            run.main,
            cfg=cfg,
            overrides=[f"{key}={value}" for key, value in overrides.items()],
            mode="gentle_start",
            log_level="WARNING",
        )
        status = handle.get_status().value
        rows.append({"status": status, **overrides, **get_logs_data(handle), "exp_id": handle.exp_id})

    table = pd.DataFrame(rows)
    if BEST in table:
        table = table.sort_values(BEST, ascending=False)
    path = heyhi.get_default_exp_dir() / "rs_yolo_01_example.csv"
    table.to_csv(path, index=False)
    print(table.drop(columns="exp_id").to_string(index=False, na_rep="-", float_format="{:.4g}".format))
    print(", ".join(f"{count} {status}" for status, count in Counter(table["status"]).most_common()))
    best = table.iloc[0]
    print(f"best so far: {best[BEST]:.4f} by {best['exp_id']}" if BEST in table else "none is done yet")
    print(f"table: {path}")


if __name__ == "__main__":
    with reporting_errors():
        main()
