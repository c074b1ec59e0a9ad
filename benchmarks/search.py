"""Says what a slot of a search takes to choose its experiment: CPU time beyond the imports, with all other trials done.

One trial in ten was ended early, and what is final was read before, by the slot that chose before this one. Optuna's
own share is measured in the same rounds: the same trials made by `create_trial`, added to a study, and one ask.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.table import Row
from benchmarks.timing import CommandFailed, Cost, median, say
from benchmarks.workspace import Effort, Workspace

MOST = {1_000: 0.15, 10_000: 1.2}
MORE_THAN_OPTUNA = 0.3
_SPACE = {
    "lr": "loguniform(1e-4,1)",
    "batch_size": "16,32,64",
    "weight_decay": "loguniform(1e-6,1e-2)",
    "hidden_sizes.0": "range(16,129)",
    "optimizer": "sgd,adam",
    "adam.beta1": "uniform(0.5,0.999)",
    "sgd.momentum": "uniform(0,0.99)",
}
_CFG = "conf/c02_sup_train/sl.prototxt"


def measure(effort: Effort) -> Iterator[Row]:
    """Measure searches of two sizes."""
    with Workspace() as work:
        for size, most in MOST.items():
            if effort.quick and size > 1_000:
                continue
            _call(work, "prepare", size)
            costs: dict[str, list[Cost]] = {"ours": [], "optuna": []}
            for number in range(effort.rounds + 1):
                for name, found in costs.items():
                    say(
                        f"  {f'round {number} of {effort.rounds}' if number else 'warming up'}: {name}, {size:,} trials"
                    )
                    cost = _call(work, name, size)
                    if number:
                        found.append(cost)
            ours, optuna = median(costs["ours"]), median(costs["optuna"])
            limit = Cost(most, most)
            yield Row(f"search: a choice at {size:,} trials / {most:g} s", ours, limit, at_most=1.0)
            share = Cost(optuna.cpu + MORE_THAN_OPTUNA, optuna.wall + MORE_THAN_OPTUNA)
            yield Row(f"search: the same / Optuna's own + {MORE_THAN_OPTUNA:g} s", ours, share, at_most=1.0)
            yield Row("search: the same / Optuna's own", ours, optuna)


def _call(work: Workspace, what: str, size: int) -> Cost:
    command = [sys.executable, "-m", "benchmarks.search", what, str(work.root), str(size)]
    folder = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=work.env)
    if done.returncode:
        raise CommandFailed(done.stderr[-2000:])
    return Cost(*json.loads(done.stdout))


class _Search:
    """A search of the example project, with all its trials but the last one."""

    def __init__(self, root: Path, size: int) -> None:
        from heyhi.config.base import Base
        from heyhi.config.compose import Composer
        from heyhi.config.scheduling import Scheduling
        from heyhi.config.schema import load_schema
        from heyhi.experiment.slots import SearchDir
        from heyhi.project import find_project
        from heyhi.sweep.search import Search
        from heyhi.sweep.space import axes_of

        self.size = size
        self.project = find_project(root)
        self.schema = load_schema(self.project)
        self.base = Base.of(Composer(self.project, self.schema), root / _CFG, {"hidden_sizes": "[32]"})
        start = self.base.compose({})
        axes = axes_of(_SPACE, self.schema, start.task_message, Scheduling(self.project.settings.identity_ignore))
        search = Search(cfg=_CFG, space=_SPACE, max="val_accuracy", trials=size + 1, seed=size)
        self.spec = search.spec(start.identity.cfg, start.identity.overrides, axes)
        self.folder = SearchDir(self.project.results_root, self.spec.search_id)

    def prepare(self) -> None:
        """Write the slots' files, and have one choice made, which keeps what it has read."""
        from heyhi.experiment.slots import Choice

        draw = random.Random(0)
        for slot in range(self.size):
            chosen = _point(draw)
            exp_id = self._exp_id(slot)
            value = -abs(chosen["lr"] - 0.1) + draw.gauss(0, 0.02)
            self.folder.slot(slot).write_choice(Choice(exp_id, chosen=chosen))
            if slot % 10 == 5:
                rung = self.folder.rungs_path / "9" / f"{slot:04d}={value:.6g}"
                rung.parent.mkdir(parents=True, exist_ok=True)
                rung.touch()
            if slot != self.size - 1:  # ended after the last choice
                self._end(slot, value)
        self.choose()
        self._end(self.size - 1, 0.5)

    def _end(self, slot: int, value: float) -> None:
        from heyhi.experiment.slots import SlotEnd

        status = "PRUNED" if slot % 10 == 5 else "DONE"
        self.folder.slot(slot).write_end(SlotEnd(self._exp_id(slot), status, value))

    def _exp_id(self, slot: int) -> str:
        return f"p/c02_sup_train/sl/batch_size=32,hidden_sizes=_32_,lr=0.1,optimizer=sgd_{slot:016x}"

    def choose(self) -> None:
        """Choose what the last slot is, as if for the first time."""
        from heyhi.search.choose import choose

        slot = self.folder.slot(self.size)
        slot.choice_path.unlink(missing_ok=True)
        choose(self.project, self.schema, self.spec, self.base, slot)

    def ask_optuna(self) -> None:
        """Do what Optuna has to do for that, and nothing else."""
        import optuna
        from optuna.trial import TrialState, create_trial

        from heyhi.search.study import distribution_of

        space = {axis.key: distribution_of(axis) for axis in self.spec.axes}
        sampler = optuna.samplers.TPESampler(seed=1, multivariate=True, group=True, constant_liar=True)
        draw = random.Random(0)
        points = [_point(draw) for _ in range(self.size)]
        for point in points:  # values that have an order are told by their places
            point["batch_size"] = ("16", "32", "64").index(point["batch_size"])
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for number, chosen in enumerate(points):
            its = {key: space[key] for key in chosen}
            value = -abs(chosen["lr"] - 0.1)
            if number % 10 == 5:
                more: dict[str, Any] = {"state": TrialState.PRUNED, "intermediate_values": {9: value}}
            else:
                more = {"value": value}
            study.add_trial(create_trial(params=chosen, distributions=its, **more))
        trial = study.ask()
        chosen = {}
        for axis in self.spec.axes:
            if axis.applies(chosen):
                chosen[axis.key] = trial._suggest(axis.key, space[axis.key])


def _point(draw: random.Random) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "lr": float(f"{10 ** draw.uniform(-4, 0):.4g}"),
        "batch_size": draw.choice(("16", "32", "64")),
        "weight_decay": float(f"{10 ** draw.uniform(-6, -2):.4g}"),
        "hidden_sizes.0": draw.randint(16, 128),
        "optimizer": draw.choice(("sgd", "adam")),
    }
    if chosen["optimizer"] == "adam":
        return {**chosen, "adam.beta1": float(f"{draw.uniform(0.5, 0.999):.4g}")}
    return {**chosen, "sgd.momentum": float(f"{draw.uniform(0, 0.99):.4g}")}


def _timed(act: Callable[[], object]) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    act()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def _main(what: str, root: str, size: str) -> None:
    """Do one part in a process of its own, and print what that took beyond the imports."""
    search = _Search(Path(root), int(size))
    if what == "prepare":
        search.prepare()
        cost = Cost(0, 0)
    else:
        import optuna

        import heyhi.search.choose

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # Parts of these are only imported when something is asked.
        small = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=1, multivariate=True))
        for _ in range(3):
            trial = small.ask()
            trial.suggest_float("x", 0, 1)
            small.tell(trial, 1.0)
        assert heyhi.search.choose
        cost = _timed(search.choose if what == "ours" else search.ask_optuna)
    print(json.dumps([cost.cpu, cost.wall]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
