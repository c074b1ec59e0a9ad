"""Which keys of a search's space decide how good a trial is: PED-ANOVA (Watanabe et al., 2023), as Optuna has it.

It compares where the best trials lie with where all of them do, and needs no library beside Optuna.
"""

from __future__ import annotations

import contextlib
import datetime
import math
from collections.abc import Sequence
from typing import Any

from heyhi.experiment.directions import loss_of
from heyhi.search.study import distribution_of, given_type, is_ordered, quiet
from heyhi.search.trial import Trial
from heyhi.sweep.search_spec import Axis, SearchSpec

FEWEST = 10  # done trials; of fewer, chance decides what seems to be important
_BEST = 0.1  # share of the trials that are taken for the best ones
_FEWEST_BEST = 5  # of these; fewer tell nothing


def importances(spec: SearchSpec, trials: Sequence[Trial]) -> dict[str, float]:
    """Return how important keys are, as shares of 1, the most important one first.

    Trials that are done count: what one that was ended early had is no value of a full run. One whose value is NaN or
    infinite counts as the worst. A key that applies in some trials only is weighed by how many of the best have it; one
    that had the same value in all trials has no say.

    Args:
        spec: what is searched.
        trials: its trials.

    Returns:
        key of an axis -> its share; nothing where there are too few trials, or all are equally good.

    Raises:
        ExtraError: Optuna isn't installed.
    """
    done = [trial for trial in trials if trial.state == "done" and trial.value is not None]
    losses = _losses(spec, done)
    if len(done) < FEWEST or len(set(losses)) < 2:
        return {}
    varied = [axis for axis in spec.axes if len({str(trial.chosen.get(axis.key)) for trial in done}) > 1]
    if not varied:
        return {}
    with quiet() as optuna:
        found: dict[str, float] = _evaluated(optuna, spec, done, losses)
    shares = {axis.key: found[axis.key] for axis in varied if found.get(axis.key, 0) > 0}
    total = math.fsum(shares.values())
    return {key: value / total for key, value in sorted(shares.items(), key=lambda one: -one[1])}


def _losses(spec: SearchSpec, done: Sequence[Trial]) -> list[float]:
    """Return a value for each trial such that less is better, all of them finite."""
    values = [loss_of(trial.value, spec.direction) if trial.value is not None else math.inf for trial in done]
    finite = [value for value in values if math.isfinite(value)]
    worst = max(finite, default=0.0)
    return [value if math.isfinite(value) else worst for value in values]


def _evaluated(optuna: Any, spec: SearchSpec, done: Sequence[Trial], losses: Sequence[float]) -> dict[str, float]:
    axes = {axis.key: axis for axis in spec.axes}
    space = {key: distribution_of(axis) for key, axis in axes.items()}
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.RandomSampler(seed=0))
    frozen, now = given_type(), datetime.datetime.now()
    for number, (trial, loss) in enumerate(zip(done, losses, strict=True)):
        chosen = {key: _told(axes[key], value) for key, value in trial.chosen.items() if key in axes}
        made = frozen(
            number=number,
            trial_id=number,
            state=optuna.trial.TrialState.COMPLETE,
            value=loss,
            params=chosen,
            distributions={key: space[key] for key in chosen},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            datetime_start=now,
            datetime_complete=now,
        )
        with contextlib.suppress(ValueError):  # somebody has edited which point it is
            study.add_trial(made)
    best = min(0.5, max(_BEST, _FEWEST_BEST / len(done)))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best)
    try:
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False))
    except (ValueError, RuntimeError):  # it has no say of such trials
        return {}


def _told(axis: Axis, value: Any) -> Any:
    """Return a value as Optuna has it: of those that have an order, its place."""
    return axis.values.index(value) if is_ordered(axis) and value in axis.values else value
