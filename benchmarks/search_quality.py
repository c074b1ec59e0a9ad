"""`python -m benchmarks.search_quality`: TPE against random search on real trainings of the example task.

Both search the same space with 60 trials, one after the other, once for each of 20 seeds; the aim is the validation
loss after five epochs. Space, seeds, epochs and samplers were fixed before the first run, and each pair is printed,
whoever is better. It takes four minutes of CPU: 2,400 trainings.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import tempfile
from pathlib import Path

from heyhi.config.base import Base
from heyhi.config.compose import Composer
from heyhi.config.frozen import freeze
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import load_schema
from heyhi.experiment.slots import SearchDir, SlotEnd
from heyhi.project import find_project
from heyhi.search.choose import choose
from heyhi.sweep.search import Search
from heyhi.sweep.search_spec import Sampler
from heyhi.sweep.space import axes_of

SEEDS = range(20)
TRIALS = 60
EPOCHS = 5
CFG = "conf/c02_sup_train/sl.prototxt"
SPACE = {
    "lr": "loguniform(1e-4,1)",
    "batch_size": "16,32,64,128",
    "weight_decay": "loguniform(1e-6,1e-1)",
    "hidden_sizes.0": "range(8,129)",
    "activation": "RELU,TANH",
    "optimizer": "sgd,adam",
    "sgd.momentum": "uniform(0,0.99)",
    "adam.beta1": "uniform(0.5,0.99)",
}


def best_of(sampler: Sampler, seed: int, trials: int, epochs: int, folder: Path) -> float:
    """Search once, and return the least loss that was found.

    Args:
        sampler: of the search.
        seed: of the search; the trainings' own is 0.
        trials: of the search.
        epochs: of each training.
        folder: for its results.
    """
    import run

    root = Path(__file__).parents[1]
    project = find_project(root)._replace(results_override=folder)
    schema = load_schema(project)
    fixed = {"epochs": epochs, "hidden_sizes": "[32]"}
    base = Base.of(Composer(project, schema), root / CFG, fixed)
    start = base.compose({})
    axes = axes_of(SPACE, schema, start.task_message, Scheduling(project.settings.identity_ignore))
    search = Search(cfg=CFG, space=SPACE, min="val_loss", trials=trials, sampler=sampler, seed=seed)
    spec = search.spec(start.identity.cfg, start.identity.overrides, axes)
    losses = []
    for number in range(trials):
        slot = SearchDir(folder, spec.search_id).slot(number)
        choice = choose(project, schema, spec, base, slot)
        place = folder / f"{sampler}-{seed}-{number}"
        place.mkdir()
        os.chdir(place)
        result = run.train(freeze(base.compose(choice.chosen).task_message))
        losses.append(float(result["val_loss"]))
        slot.write_end(SlotEnd(choice.exp_id, "DONE", losses[-1]))
    return min(losses)


def main() -> int:
    """Run all pairs and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search_quality", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="other ones: to try things out")
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    args = parser.parse_args()
    import numpy  # noqa: F401  (threadpool_limits reaches only what is loaded)
    from threadpoolctl import threadpool_limits

    logging.disable(logging.WARNING)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    pairs = []
    with threadpool_limits(limits=1):
        print("| seed | TPE | random | better |\n|-----:|----:|-------:|--------|", flush=True)
        for seed in args.seeds:
            with tempfile.TemporaryDirectory(prefix="heyhi-quality-") as folder:
                both = [best_of(sampler, seed, args.trials, args.epochs, Path(folder)) for sampler in ("tpe", "random")]
                os.chdir("/")
            pairs.append(both)
            better = "TPE" if both[0] < both[1] else "random" if both[1] < both[0] else "neither"
            print(f"| {seed} | {both[0]:.4f} | {both[1]:.4f} | {better} |", flush=True)
    tpe, chance = (statistics.median(pair[place] for pair in pairs) for place in (0, 1))
    wins = sum(pair[0] < pair[1] for pair in pairs)
    print(f"\nmedian of the best: TPE {tpe:.4f}, random {chance:.4f}; TPE is better in {wins} of {len(pairs)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
