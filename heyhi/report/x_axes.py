"""Over what learning curves may be drawn: numbers that never decrease, those first that are called as counters are."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from heyhi.experiment.counters import counter_rank
from heyhi.experiment.directions import assumed, words

if TYPE_CHECKING:
    from heyhi.report.decimation import Floats

LINE = "line"  # the number of a line, where there is nothing else
# What tells when a line was written, if it never decreases; else it may be how long something took.
_CLOCKS = ("seconds", "second", "time", "elapsed", "timestamp", "walltime", "runtime", "minutes", "hours")
_AFTER_COUNTERS = 100
_NEARLY_ALL = 0.9
_ENOUGH = 10  # values of another name's number that never decrease are no accident


class HasAxes(Protocol):
    """Metrics with what they can be drawn over: a value for each name."""

    @property
    def x(self) -> Mapping[str, object]: ...  # noqa: D102
    @property
    def y(self) -> Mapping[str, object]: ...  # noqa: D102


class Trend:
    """Whether a number that is logged again and again ever decreases.

    Attributes:
        seen: how often it was finite.
        grows: whether it has ever increased.
        falls: whether it has ever decreased.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.grows = self.falls = False
        self._last = 0.0

    def copy(self) -> Trend:
        """Return another one that has seen the same."""
        return copy.copy(self)

    def add(self, values: Floats) -> None:
        """Look at the next values."""
        import numpy as np

        finite = np.isfinite(values)
        if not finite.all():
            values = values[finite]
        if not len(values):
            return
        first, last = float(values[0]), float(values[-1])
        if not self.falls:
            self.falls = (self.seen > 0 and first < self._last) or bool((values[1:] < values[:-1]).any())
            self.grows = self.grows or last > first or (self.seen > 0 and first > self._last)
        self._last = last
        self.seen += len(values)

    def counts(self, name: str) -> bool:
        """Return whether it is a counter: it never decreases, and is called so or has a meaning that isn't known."""
        if self.falls or not self.seen:
            return False
        return is_axis_name(name) or (self.grows and self.seen >= _ENOUGH and assumed(name) is None)


@lru_cache(maxsize=4096)
def rank(name: str) -> tuple[int, int, str] | None:
    """Return by what it is sorted over what to draw, the usual first; None for what isn't called as a counter is."""
    counter = counter_rank(name)
    if counter is not None:
        return counter
    found = words(name)
    if not found or found[-1] not in _CLOCKS or "per" in found:
        return None
    return _AFTER_COUNTERS + _CLOCKS.index(found[-1]), len(found), name


def is_axis_name(name: str) -> bool:
    """Return whether what is called so counts or times: `step`, `trainer/global_step`, `wall_time`."""
    return rank(name) is not None


def names_of_axes(runs: Iterable[Sequence[HasAxes]]) -> list[str]:
    """Choose what the curves of some experiments are offered over.

    Args:
        runs: the sets of metrics of each.

    Returns:
        names, first those that most metrics can be drawn over, counters before times; of others than counters those
        that decrease in no experiment, then `LINE`.
    """
    metrics: Counter[str] = Counter()
    have: Counter[str] = Counter()  # experiments
    offered: Counter[str] = Counter()  # metrics of these that can be drawn over something
    no_axis: set[str] = set()
    for sets in runs:
        own: Counter[str] = Counter()
        for one in sets:
            for name in one.x:
                own[name] += len(one.y)
        metrics.update(own)
        have.update(own.keys())
        offered.update(dict.fromkeys(own, max(own.values(), default=0)))
        no_axis.update(name for one in sets for name in one.y if name not in own)
    found = [name for name in metrics if is_axis_name(name) or (name not in no_axis and name != LINE)]
    most = max((have[name] for name in found), default=0)

    def place(name: str) -> tuple[object, ...]:
        # A few odd experiments turn no axis for all: what nearly all have counts as what all have, and what tells a
        # time comes after a counter that most have, since it may mean another thing in each.
        own = rank(name) or ()
        if not own or 2 * have[name] < most or metrics[name] < _NEARLY_ALL * offered[name]:
            return not own, True, -metrics[name], own
        return False, False, own[0] >= _AFTER_COUNTERS, -most if have[name] >= _NEARLY_ALL * most else -have[name], own

    found.sort(key=place)
    return [*found, LINE] if LINE in metrics else found
