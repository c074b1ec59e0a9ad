"""What an experiment's value of a metric is, for a search: its result's where that has it, else the best it logged."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

from heyhi.experiment.counters import is_counter
from heyhi.experiment.directions import Direction, Directions
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.kinds import dotted_items
from heyhi.experiment.metrics import BEST
from heyhi.experiment.metrics_file import sum_up


def value_of(exp_path: Path | str, metric: str, direction: Direction) -> float | None:
    """Return an experiment's value of a metric; NaN is one.

    Args:
        exp_path: its folder; it need not be done.
        metric: with dots where it lies in others. One that ends in `.best` is the best that was logged, whatever the
            result says.
        direction: which way it is better.

    Returns:
        the number in its result; else the best one that it logged; None where it has neither.

    Raises:
        ResultError: its files can't be read.
    """
    folder = ExperimentDir(Path(exp_path))
    if folder.has_result():
        found = _numbers(folder.read_result()).get(metric)
        if found is not None:
            return found
    return best_logged(folder, metric, direction)


def best_logged(folder: ExperimentDir, metric: str, direction: Direction) -> float | None:
    """Return the best value of a metric that an experiment has logged, of the lines that count; None where it has none.

    Args:
        folder: of the experiment.
        metric: as for `value_of`.
        direction: which way it is better.

    Raises:
        ResultError: its files can't be read.
    """
    name = metric.removesuffix(BEST)
    found = _logged(folder, name, direction).get(name + BEST)
    return float(found) if found is not None else None


def names_in(exp_path: Path | str) -> list[str]:
    """Return the names of the metrics that an experiment has in its result, and of those that it logged, no counters.

    Raises:
        ResultError: its files can't be read.
    """
    folder = ExperimentDir(Path(exp_path))
    names = dict.fromkeys(_numbers(folder.read_result()) if folder.has_result() else ())
    names |= dict.fromkeys(name for name in _logged(folder, "", "max") if not name.endswith(BEST))
    return sorted(name for name in names if not is_counter(name))


def _numbers(record: dict[str, Any]) -> dict[str, float]:
    found = {}
    for name, value in dotted_items(record):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                found[name] = float(value)
            except OverflowError:
                found[name] = float("inf") if value > 0 else float("-inf")
    return found


def _logged(folder: ExperimentDir, name: str, direction: Direction) -> dict[str, Any]:
    pattern = (glob.escape(name),) if name else ()
    directions = Directions(maximize=pattern) if direction == "max" else Directions(minimize=pattern)
    return sum_up(folder.metrics_path, folder.history().starts, directions, damaged=lambda line: None).result()
