"""What has become of a trial since its search was done with it: somebody else may have brought it to its end, or its
result may be gone.

Who looks at a search, or chooses the best of it, goes by that. What the search itself learns of stays what its slots
have noted.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.experiment.directions import Direction
from heyhi.experiment.names import Status, result_of
from heyhi.experiment.slots import GONE, SlotEnd, is_gone
from heyhi.experiment.values import value_of


def end_now(results_root: Path, end: SlotEnd, metric: str, direction: Direction) -> SlotEnd:
    """Return how a slot's experiment has ended by now: DONE, with the value of that, where it is so since.

    DEAD where it was DONE, and that result is gone.

    Args:
        results_root: of the search.
        end: as the slot's file has it.
        metric: that the search is about.
        direction: which way it is better.

    Returns:
        the same one, where nothing has become of it since.
    """
    if not end.exp_id:
        return end
    exp_path = results_root / end.exp_id
    if end.status == Status.DONE.value:
        is_lost = is_gone(str(exp_path))
        return replace(end, status=Status.DEAD.value, value=None, reason=GONE) if is_lost else end
    if not os.access(result_of(str(exp_path)), os.F_OK):
        return end
    return replace(end, status=Status.DONE.value, value=_value(exp_path, metric, direction), reason="")


def _value(exp_path: Path, metric: str, direction: Direction) -> float | None:
    """Return an experiment's value of a metric; None where it has none, or it can't be read, which its row says."""
    try:
        return value_of(exp_path, metric, direction)
    except HeyhiError:
        return None
