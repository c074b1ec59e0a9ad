"""At which steps the trials of a search are compared, and which of them are ended there.

That is asynchronous successive halving (Li et al., 2020), as it stops trials rather than promotes them: who comes to a
rung is compared with those that have been there, and never waits. Nothing here touches a disk.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from heyhi.experiment.directions import Direction, is_better, loss_of
from heyhi.sweep.search_spec import AshaSpec

_MOST_RUNGS = 64  # by then a step has 20 digits: it counts something else


@dataclass(frozen=True)
class Verdict:
    """What becomes of a trial at a rung.

    Attributes:
        goes_on: it isn't among the worst.
        rivals: how many have come there, itself included.
        places: how many of these go on.
    """

    goes_on: bool
    rivals: int
    places: int

    @property
    def worst(self) -> int:
        """How many of them don't go on."""
        return self.rivals - self.places


def rung_steps(spec: AshaSpec) -> Iterator[int]:
    """Yield the steps of the rungs, in order."""
    step, factor = max(1, spec.grace), max(2, spec.factor)
    for _ in range(_MOST_RUNGS):
        yield step
        step *= factor


def rungs_between(spec: AshaSpec, after: float, step: float) -> list[int]:
    """Return the rungs that a trial has come to, which may jump over some.

    Args:
        spec: of the rungs.
        after: step up to which it had come before.
        step: that it is at now.
    """
    return [rung for rung in rung_steps(spec) if after < rung <= step]


def next_rung(spec: AshaSpec, step: float) -> float:
    """Return the step of the first rung after one; infinity where there is none."""
    return next((float(rung) for rung in rung_steps(spec) if rung > step), math.inf)


def verdict(value: float, others: Iterable[float], factor: int, direction: Direction) -> Verdict:
    """Return whether a trial goes on: it is among the best of those at its rung, or too few have come there yet.

    Args:
        value: that it has there; what is no number is the worst.
        others: those of its rivals there.
        factor: one in so many goes on.
        direction: which way a value is better.
    """
    mine, theirs = loss_of(value, direction), [loss_of(one, direction) for one in others]
    rivals = len(theirs) + 1
    if rivals < factor:
        return Verdict(True, rivals, rivals)
    places = rivals // factor
    # Who is as good as the last of them goes on, too: nobody could say why one and not the other.
    return Verdict(sum(1 for one in theirs if one < mine) < places, rivals, places)


def is_near_end(step: float, total: float, factor: int) -> bool:
    """Return whether so little is left of a trial that ending it saves less than its result is worth.

    Args:
        step: that it is at.
        total: at which it ends.
        factor: one in so many goes on; so much of the whole is little.
    """
    return (total - step) * factor < total


def better(best: float, value: float, direction: Direction) -> float:
    """Return the better one of two values, of which one may be no number.

    A trial is compared by the best that it had so far, as tables have it: by its last value, luck would decide.
    """
    return value if math.isnan(best) or is_better(value, best, direction) else best
