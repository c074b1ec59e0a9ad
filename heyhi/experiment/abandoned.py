"""What of an experiment's metrics a later attempt has logged again: it is of weights that no longer exist.

A run that died in epoch 10 and goes on from epoch 5 writes 6 to 10 again. So a value of a metric that an attempt logged
at a counter is struck where a later attempt logged that metric at that counter, or below. Inside one attempt nothing is
struck. What can be compared is told by the first counter of the line that never goes down inside an attempt, for that
metric, and that later attempts have logged with it: a step that restarts in each epoch tells no order, and neither does
one that is NaN or a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from heyhi.experiment.kinds import NUMBERS, Kind, kinds_of

# metric and all counters of its lines -> the counter that tells their order, and from which value on they are struck
Limits = dict[tuple[str, tuple[str, ...]], tuple[str, float]]


class _Range(NamedTuple):
    least: float
    most: float

    def around(self, other: _Range) -> _Range:
        return _Range(min(self.least, other.least), max(self.most, other.most))


class Logged:
    """At which counters the metrics of one experiment were logged, an attempt after the other.

    Attributes:
        down: metric and counter of what went down inside an attempt, and so tells no order.
    """

    def __init__(self) -> None:
        self.down: set[tuple[str, str]] = set()
        # Of each attempt: metric and all counters of its lines -> the values of each counter.
        self._ranges: list[dict[tuple[str, tuple[str, ...]], list[_Range]]] = []
        self._last: dict[tuple[str, str], float] = {}

    def begin_attempt(self) -> None:
        """Note that the lines to come are of another attempt."""
        self._ranges.append({})
        self._last = {}

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Note lines of the attempt, in their order."""
        kinds = [kind for kind in kinds_of(lines) if kind.counters and kind.metrics]
        for kind in kinds:
            own = [_Range(min(kind.columns[key]), max(kind.columns[key])) for key in kind.counters]
            ranges = self._ranges[-1]
            for metric in kind.metrics:
                known = ranges.get((metric, kind.counters))
                ranges[metric, kind.counters] = (
                    own if known is None else [one.around(other) for one, other in zip(known, own, strict=True)]
                )
        for key in dict.fromkeys(key for kind in kinds for key in kind.counters):
            self._note_order(key, [kind for kind in kinds if key in kind.counters])

    def _note_order(self, key: str, kinds: Sequence[Kind]) -> None:
        """Note for which metrics a counter goes down."""
        by_metric: dict[str, tuple[int, ...]] = {}
        for place, kind in enumerate(kinds):
            for metric in kind.metrics:
                by_metric[metric] = (*by_metric.get(metric, ()), place)
        known: dict[tuple[int, ...], tuple[float, float, bool]] = {}
        for metric, places in by_metric.items():
            if places not in known:
                known[places] = _order([kinds[place] for place in places], key)
            first, last, goes_down = known[places]
            if goes_down or first < self._last.get((metric, key), first):
                self.down.add((metric, key))
            self._last[metric, key] = last

    def order(self, metric: str, counters: Sequence[str]) -> str | None:
        """Return the first counter that tells the order of a metric, of those that a line has."""
        return next((key for key in counters if (metric, key) not in self.down), None)

    def limits(self) -> list[Limits]:
        """Return for each attempt what of it is struck; nothing for most."""
        ahead: dict[tuple[str, str], float] = {}
        found: list[Limits] = []
        for ranges in reversed(self._ranges):
            limits: Limits = {}
            own: dict[tuple[str, str], float] = {}
            for (metric, counters), values in ranges.items():
                known = [(k, v) for k, v in zip(counters, values, strict=True) if (metric, k) not in self.down]
                key, value = next(((k, v) for k, v in known if (metric, k) in ahead), ("", None))
                if value is not None and value.most >= ahead[metric, key]:
                    limits[metric, counters] = key, ahead[metric, key]
                for place, its in (((metric, k), v) for k, v in known):
                    own[place] = min(own.get(place, its.least), its.least)
            found.append(limits)
            for place, least in own.items():
                ahead[place] = min(ahead.get(place, least), least)
        return found[::-1]

    def kept(self, lines: list[dict[str, Any]], limits: Limits) -> list[dict[str, Any]]:
        """Return what counts of some lines of an attempt; a line of which no metric is left is gone."""
        if not limits:
            return lines
        changed = dict[int, dict[str, Any] | None]()
        for kind in kinds_of(lines):
            for at, struck in self._struck(kind, limits):
                place = kind.places[at]
                changed[place] = _without(lines[place], struck) if len(struck) < len(kind.metrics) else None
        if not changed:
            return lines
        left = (changed.get(place, line) for place, line in enumerate(lines))
        return [line for line in left if line is not None]

    def _struck(self, kind: Kind, limits: Limits) -> Iterator[tuple[int, set[str]]]:
        """Yield which metrics are struck in which of the lines of a kind."""
        groups: dict[tuple[str, float], set[str]] = {}
        for metric in kind.metrics:
            if (metric, kind.counters) in limits:
                groups.setdefault(limits[metric, kind.counters], set()).add(metric)
        struck: dict[int, set[str]] = {}
        for (key, limit), metrics in groups.items():
            for at, value in enumerate(kind.columns[key]):
                if value >= limit:
                    struck[at] = struck[at] | metrics if at in struck else metrics
        yield from struck.items()


def _order(kinds: Sequence[Kind], key: str) -> tuple[float, float, bool]:
    """Return the first and the last value of a counter in lines of some kinds, and whether it goes down there."""
    values: Sequence[float] = kinds[0].columns[key]
    if len(kinds) > 1:
        values = [v for _, v in sorted((at, v) for k in kinds for at, v in zip(k.places, k.columns[key], strict=True))]
    return values[0], values[-1], any(one > other for one, other in pairwise(values))


def _without(line: Mapping[str, Any], struck: set[str]) -> dict[str, Any]:
    """Return a line without some of its metrics."""
    found: dict[str, Any] = {}
    waiting = [("", line, found)]
    inner: list[tuple[dict[str, Any], str]] = []
    for prefix, items, into in waiting:  # which grows: there may be a thousand dicts in one another
        for key, value in items.items():
            if isinstance(value, dict) and value:
                into[key] = {}
                inner.append((into, key))
                waiting.append((f"{prefix}{key}.", value, into[key]))
            elif f"{prefix}{key}" not in struck or type(value) not in NUMBERS:
                into[key] = value
    for outer, key in reversed(inner):
        if not outer[key]:
            del outer[key]
    return found
