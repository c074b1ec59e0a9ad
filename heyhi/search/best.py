"""The best trial of a search so far: which one it is, and the line that says so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from heyhi.experiment.directions import loss_of
from heyhi.sweep.search_spec import SearchSpec

_Key = TypeVar("_Key")


def best_among(spec: SearchSpec, values: Iterable[tuple[_Key, float | None]]) -> tuple[_Key, float] | None:
    """Return the best of some trials that are done, the first one of several.

    Args:
        spec: of the search.
        values: what tells each trial from the others, and its value; one that has none, or NaN, is nobody's best.

    Returns:
        which it is, and its value; None where none has a value.
    """
    numbers = [(key, value) for key, value in values if value is not None and not math.isnan(value)]
    return min(numbers, key=lambda one: loss_of(one[1], spec.direction), default=None)


def best_line(spec: SearchSpec, number: int, value: float, chosen: Mapping[str, Any]) -> str:
    """Say which trial is the best so far: `best so far: loss=0.25 by trial 7 (lr=0.01 optimizer=adam)`.

    Args:
        spec: of the search.
        number: of the trial.
        value: that it has.
        chosen: for it; nothing where nobody can tell.
    """
    by = " ".join(f"{key}={one}" for key, one in chosen.items())
    return f"best so far: {spec.valued(value)} by trial {number}{f' ({by})' if by else ''}"
