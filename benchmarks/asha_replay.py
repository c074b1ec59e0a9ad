"""Says what early stopping saves, and what it misses: `python -m benchmarks.asha_replay [--curves FILE]`.

So many configs of the example's task are trained to their end, for real, and their curves kept. Then some of them are
run over, in two hundred random orders, by eight workers that wait for nobody, each epoch taking what it took, and are
ended by the rules that `heyhi search --stop asha` goes by. It prints which share of all epochs was trained, and how
often a config of the best three was trained to its end, which then is the best that the search has found.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import json
import math
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heyhi.experiment.directions import Direction, loss_of
from heyhi.experiment.metrics import BEST
from heyhi.search.rungs import better, is_near_end, next_rung, rungs_between, verdict
from heyhi.sweep.search_spec import AshaSpec

# The epochs are those of the config. Each order is of so many configs, drawn from all that were trained: which one
# happens to be the best of some decides much.
POOL, CONFIGS, EPOCHS, WORKERS, ORDERS, TOP = 243, 81, 50, 8, 200, 3
STOP = AshaSpec()
SHARE, FOUND = 0.20, 0.95  # the bars
# Of the configs and of the orders: fixed before the first run. STOP was chosen by other ones: 7 to 10, and 5.
POOL_SEED, ORDERS_SEED = 0, 1_000
METRICS: dict[str, Direction] = {"val_accuracy": "max", "val_loss": "min"}
# What a search may be about: what a metric comes to in the end, or the best that it ever was.
_AIMS = ("val_accuracy", "val_accuracy.best", "val_loss.best", "val_loss")
_CFG = "conf/c02_sup_train/sl.prototxt"


@dataclass(frozen=True)
class Curve:
    """What the training of a config has logged, an epoch a value, and what an epoch took."""

    overrides: dict[str, Any]
    values: dict[str, list[float]]
    seconds: float


@dataclass(frozen=True)
class Replay:
    """What came of one order.

    Attributes:
        epochs: that were trained, of all.
        ended: configs that were trained to their end.
    """

    epochs: int
    ended: frozenset[int]


def points(count: int, seed: int) -> list[dict[str, Any]]:
    """Draw configs from the space, as `--sampler random` would."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        point: dict[str, Any] = {
            "optimizer": rng.choice(["sgd", "adam"]),
            "lr": float(f"{10 ** rng.uniform(-4, 0):.3e}"),
            "batch_size": rng.choice([16, 32, 64]),
            "hidden_sizes.0": rng.choice([16, 32, 64, 128]),
        }
        found.append(point)
    return found


def train(task: tuple[dict[str, Any], int]) -> Curve:
    """Train one config to its end, in a folder of its own."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    import run
    from heyhi.config.api import load_config

    point, epochs = task
    optimizer = point["optimizer"]
    words = [f"{key}={value}" for key, value in point.items() if key != "optimizer"]
    cfg = load_config(_CFG, [f"{optimizer}=SELECT", f"epochs={epochs}", *words])
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), threadpool_limits(limits=1):
        with np.errstate(all="ignore"):
            run.train(cfg.train)
        lines = [json.loads(line) for line in Path("metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "val_loss" in line]
    values = {name: [float(line[name]) for line in lines] for name in METRICS}
    return Curve(point, values, (time.process_time() - start) / epochs)


def trained(path: Path, configs: int, epochs: int, seed: int) -> list[Curve]:
    """Return the curves of a file; train them first where it isn't there."""
    if not path.exists():
        with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
            tasks = [(point, epochs) for point in points(configs, seed)]
            curves = pool.map(train, tasks, chunksize=1)
        path.write_text("".join(json.dumps(vars(curve)) + "\n" for curve in curves))
    return [Curve(**json.loads(line)) for line in path.read_text().splitlines()]


def best_so_far(values: Sequence[float], direction: Direction) -> list[float]:
    """Return by what a config is compared after each epoch."""
    found, best = [], math.nan
    for value in values:
        best = better(best, value, direction)
        found.append(value if math.isnan(value) else best)
    return found


def replay(curves: Sequence[Curve], aim: str, spec: AshaSpec) -> Replay:
    """Run configs in their order, by workers that take the next one when theirs has ended."""
    metric = aim.removesuffix(BEST)
    direction = METRICS[metric]
    compared = [best_so_far(curve.values[metric], direction) for curve in curves]
    rungs: dict[int, list[float]] = {}
    waiting = list(reversed(range(len(curves))))
    # When its worker comes to it, config, epochs that it has trained.
    events = [(0.0, waiting.pop(), 0) for _ in range(min(WORKERS, len(waiting)))]
    epochs, ended = 0, set()
    while events:
        now, config, done = heapq.heappop(events)
        values, goes_on = compared[config], True
        if done > 0:
            for rung in rungs_between(spec, done - 1, done):
                there = rungs.setdefault(rung, [])
                goes_on = verdict(values[done - 1], there, spec.factor, direction).goes_on
                there.append(values[done - 1])
            goes_on = goes_on or is_near_end(done, len(values), spec.factor)
        if done == len(values):
            ended.add(config)
        if goes_on and done < len(values):
            until = int(min(next_rung(spec, done), len(values)))
            epochs += until - done
            heapq.heappush(events, (now + (until - done) * curves[config].seconds, config, until))
        elif waiting:
            heapq.heappush(events, (now, waiting.pop(), 0))
    return Replay(epochs, frozenset(ended))


def best_of(curves: Sequence[Curve], aim: str, top: int) -> set[int]:
    """Return the best configs by what they come to; those that are as good as the last of them, too."""
    metric = aim.removesuffix(BEST)
    direction, all_values = METRICS[metric], [curve.values[metric] for curve in curves]
    ends = [(best_so_far(values, direction) if aim.endswith(BEST) else values)[-1] for values in all_values]
    losses = [loss_of(end, direction) for end in ends]
    worst = sorted(losses)[top - 1]
    return {config for config, loss in enumerate(losses) if loss <= worst}


def measured(
    curves: Sequence[Curve], aim: str, spec: AshaSpec, configs: int, orders: int, seed: int
) -> tuple[float, float]:
    """Return the share of epochs that is trained, and of orders in which one of the best is trained to its end."""
    rng = random.Random(seed)
    found, used, whole = 0, 0, 0
    for _ in range(orders):
        chosen = rng.sample(list(curves), configs)
        one = replay(chosen, aim, spec)
        found += bool(one.ended & best_of(chosen, aim, TOP))
        used += one.epochs
        whole += sum(len(curve.values[aim.removesuffix(BEST)]) for curve in chosen)
    return used / whole, found / orders


def main() -> int:
    """Train, run over, and print the table; the exit code is 1 where a bar isn't reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.asha_replay", description=__doc__, allow_abbrev=False)
    parser.add_argument("--curves", type=Path, help="keep the curves there, and take them from there the next time")
    for name, default in (("pool", POOL), ("configs", CONFIGS), ("epochs", EPOCHS), ("orders", ORDERS)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--pool-seed", type=int, default=POOL_SEED)
    parser.add_argument("--orders-seed", type=int, default=ORDERS_SEED)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = args.curves or Path(folder) / "curves.jsonl"
        curves = trained(path.absolute(), args.pool, args.epochs, args.pool_seed)
    print(f"{args.orders} orders of {args.configs} of {len(curves)} configs, {args.epochs} epochs, {WORKERS} workers")
    print(f"| aim | stop | epochs (at most {SHARE:.0%}) | one of the best {TOP} (at least {FOUND:.0%}) |")
    print("|---|---|---|---|")
    reached = True
    for aim in _AIMS:
        for spec in (STOP, AshaSpec(1, 2), AshaSpec(1, 3), AshaSpec(3, 3), AshaSpec(3, 4)):
            share, found = measured(curves, aim, spec, args.configs, args.orders, args.orders_seed)
            is_bar = (aim, spec) == ("val_accuracy", STOP)
            reached &= not is_bar or (share <= SHARE and found >= FOUND)
            words = (aim, f"grace={spec.grace} factor={spec.factor}", f"{share:.1%}", f"{found:.1%}")
            print("|", " | ".join(f"**{word}**" if is_bar else word for word in words), "|")
    return int(not reached)


if __name__ == "__main__":
    sys.exit(main())
