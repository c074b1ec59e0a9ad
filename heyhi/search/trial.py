"""One trial of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["running", "done", "pruned", "dead"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial.

    Attributes:
        slot: of the search; -1 for an experiment of another one that is learned from.
        exp_id: of its experiment.
        chosen: axis -> value, of those axes that apply.
        state: `running` until it is final for the search.
        value: of the metric, NaN where it is that; None where it has none.
        steps: rung -> value that it had there, where it was ended early.
    """

    slot: int
    exp_id: str
    chosen: Mapping[str, Any]
    state: State
    value: float | None = None
    steps: Mapping[int, float] = field(default_factory=dict)
