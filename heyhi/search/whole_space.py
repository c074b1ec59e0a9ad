"""The points of a space that has but so many of them: how many, and each of them in turn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from heyhi.sweep.search_spec import Axis, SearchSpec


def most_points(axes: Sequence[Axis]) -> float:
    """Return how many points there are at most: where axes apply in some only, there are fewer. Infinity if unknown."""
    return math.prod(map(_size, axes))


def all_points(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """Yield each point of a space of which `most_points` is a number, in order."""
    yield from _points(axes, {})


def few_points(spec: SearchSpec) -> int | None:
    """Return how many points a search has where these are fewer than its trials; None where there are enough."""
    found = list(islice(all_points(spec.axes), spec.trials)) if most_points(spec.axes) < math.inf else None
    return len(found) if found is not None and len(found) < spec.trials else None


def _points(axes: Sequence[Axis], chosen: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if not axes:
        yield dict(chosen)
        return
    axis, *rest = axes
    if not axis.applies(chosen):
        yield from _points(rest, chosen)
        return
    for value in _values(axis):
        yield from _points(rest, {**chosen, axis.key: value})


def _size(axis: Axis) -> float:
    if axis.kind == "choice":
        return len(axis.values)
    if axis.kind == "int":
        return len(_whole(axis))
    return 1 if axis.low == axis.high else math.inf


def _values(axis: Axis) -> Sequence[Any]:
    if axis.kind == "choice":
        return axis.values
    return _whole(axis) if axis.kind == "int" else [axis.low]


def _whole(axis: Axis) -> range:
    return range(int(axis.low), int(axis.high) + 1, axis.step)
