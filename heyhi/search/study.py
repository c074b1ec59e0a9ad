"""A search as Optuna's study: made anew in memory of the trials, asked for the next point, and let go.

Its sampler, and nothing else of Optuna, has a say: what is stored, run and ended early is HeyHi's.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from heyhi.extras import load
from heyhi.search.trial import Trial
from heyhi.sweep.search_spec import Axis, SearchSpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial as Asked

_DIGITS = 4  # significant ones of a number: enough for any search, and a path stays readable


class Study:
    """The study of a search, for one slot's choice.

    Args:
        spec: what is searched.
        slot: that asks: what is asked for follows from the search, the trials and this number.
        trials: that there are.

    Raises:
        ExtraError: Optuna isn't installed.
    """

    def __init__(self, spec: SearchSpec, slot: int, trials: Iterable[Trial]) -> None:
        self._spec = spec
        self._ordered = {axis.key: list(axis.values) for axis in spec.axes if is_ordered(axis)}
        with quiet() as optuna:
            seed = _seed(spec, slot)
            samplers = optuna.samplers
            sampler: Any
            if spec.sampler == "random":
                sampler = samplers.RandomSampler(seed=seed)
            else:
                sampler = samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
            direction = "maximize" if spec.direction == "max" else "minimize"
            self._study = optuna.create_study(direction=direction, sampler=sampler)
            self._asked: Asked | None = None
            if spec.sampler != "random":
                self._add(optuna, trials)

    def ask(self) -> dict[str, Any]:
        """Return a point: axis -> value, of those axes that apply."""
        with quiet():
            trial = self._asked = self._study.ask()
            chosen: dict[str, Any] = {}
            for axis in self._spec.axes:
                if axis.applies(chosen):
                    chosen[axis.key] = _suggested(trial, axis)
            return chosen

    def refuse(self) -> None:
        """Take the last point back: it is another trial's. One that somebody else runs stays in the study as such."""
        if self._asked is not None:
            with quiet() as optuna:
                self._study.tell(self._asked, state=optuna.trial.TrialState.FAIL)

    def _told(self, key: str, value: Any) -> Any:
        """Return a value as the study has it: of those that have an order, its place."""
        values = self._ordered.get(key, ())
        return values.index(value) if value in values else value

    def _add(self, optuna: Any, trials: Iterable[Trial]) -> None:
        space = {axis.key: distribution_of(axis) for axis in self._spec.axes}
        frozen = given_type()
        states = optuna.trial.TrialState
        now = datetime.datetime.now()
        worst = -math.inf if self._spec.direction == "max" else math.inf
        for number, trial in enumerate(trials):
            state, value = states.RUNNING, None
            if trial.state == "dead" or (trial.state == "done" and trial.value is None):
                state = states.FAIL
            elif trial.state == "done" and trial.value is not None:
                state, value = states.COMPLETE, worst if math.isnan(trial.value) else trial.value
            elif trial.state == "pruned":
                state = states.PRUNED
            made = frozen(
                number=number,
                trial_id=number,
                state=state,
                value=value,
                params={key: self._told(key, value) for key, value in trial.chosen.items()},
                distributions={key: space[key] for key in trial.chosen if key in space},
                user_attrs={},
                system_attrs={},
                intermediate_values=_steps(trial),
                datetime_start=now,
                datetime_complete=None if state is states.RUNNING else now,
            )
            with contextlib.suppress(ValueError):  # somebody has edited which point it is
                self._study.add_trial(made)


def _steps(trial: Trial) -> dict[int, float]:
    """Return which values a trial had at which steps; one whose rungs are gone, the value that it had in the end."""
    if trial.state != "pruned":
        return {}
    return dict(trial.steps) or ({0: trial.value} if trial.value is not None else {})


def is_ordered(axis: Axis) -> bool:
    """Return whether the values of a choice are numbers that rise or fall: then near ones are learned of together."""
    if axis.kind != "choice" or len(axis.values) < 3:
        return False
    try:
        numbers = [float(value) for value in axis.values]
    except ValueError:
        return False
    steps = [b - a for a, b in itertools.pairwise(numbers)]
    return all(step > 0 for step in steps) or all(step < 0 for step in steps)


def distribution_of(axis: Axis) -> BaseDistribution:
    """Return an axis as Optuna has it: of values that have an order, their places."""
    kinds = import_optuna().distributions
    made: BaseDistribution
    if is_ordered(axis):
        made = kinds.IntDistribution(0, len(axis.values) - 1)
    elif axis.kind == "choice":
        made = kinds.CategoricalDistribution(axis.values)
    elif axis.kind == "int":
        made = kinds.IntDistribution(int(axis.low), int(axis.high), log=axis.log, step=axis.step)
    else:
        made = kinds.FloatDistribution(axis.low, axis.high, log=axis.log)
    return made


def _suggested(trial: Asked, axis: Axis) -> str | int | float:
    if is_ordered(axis):
        return axis.values[trial.suggest_int(axis.key, 0, len(axis.values) - 1)]
    if axis.kind == "choice":
        return str(trial.suggest_categorical(axis.key, axis.values))
    if axis.kind == "int":
        return trial.suggest_int(axis.key, int(axis.low), int(axis.high), log=axis.log, step=axis.step)
    return rounded(trial.suggest_float(axis.key, axis.low, axis.high, log=axis.log), axis)


def rounded(value: float, axis: Axis) -> float:
    """Round a number to four significant digits, and keep it between the bounds of its axis."""
    return min(max(float(f"{value:.{_DIGITS}g}"), axis.low), axis.high)


def _seed(spec: SearchSpec, slot: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{spec.search_id}:{slot}".encode()).digest()[:4], "big")


@contextlib.contextmanager
def quiet() -> Iterator[Any]:
    """Import Optuna, and have it say nothing meanwhile: a task that uses it, too, finds it as it was.

    Raises:
        ExtraError: it isn't installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optuna = import_optuna()
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            yield optuna
        finally:
            optuna.logging.set_verbosity(before)


def import_optuna() -> Any:
    """Import Optuna.

    Raises:
        ExtraError: it isn't installed.
    """
    return load("optuna")


def given_type() -> Any:
    """Return a type of trials that a study takes as they are."""
    frozen: Any = import_optuna().trial.FrozenTrial

    class Given(frozen):  # type: ignore[misc]
        """A trial that a study takes as it is: to copy 10,000 of them would take a second."""

        def __deepcopy__(self, memo: Mapping[int, Any]) -> Given:
            return self

    return Given
