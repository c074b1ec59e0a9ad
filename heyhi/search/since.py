"""What has become of a trial since its search was done with it: somebody else may have brought it to its end, or its
result may be gone.

Who looks at a search, or chooses the best of it, goes by that. What the search itself learns of stays what its slots
have noted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.experiment.directions import Direction
from heyhi.experiment.names import Status, result_of
from heyhi.experiment.slots import GONE, SlotEnd, is_gone
from heyhi.search.trial import Trial
from heyhi.search.values import value_of


def end_now(results_root: Path, end: SlotEnd, metric: str, direction: Direction) -> SlotEnd:
    """Return how a slot's experiment has ended by now: DONE, with the value of that, where it is so since.

    DEAD where it was DONE, and that result is gone.

    Args:
        results_root: of the search.
        end: as the slot's file has it.
        metric: that the search is about.
        direction: which way it is better.
    """
    if end.status == Status.DONE.value and end.exp_id and is_gone(str(results_root / end.exp_id)):
        return replace(end, status=Status.DEAD.value, value=None, reason=GONE)
    if not _is_done_since(results_root, end.exp_id, is_final=end.status == Status.DONE.value):
        return end
    return replace(end, status=Status.DONE.value, value=_value(results_root / end.exp_id, metric, direction), reason="")


def trials_now(results_root: Path, trials: Iterable[Trial], metric: str, direction: Direction) -> list[Trial]:
    """Return trials as they are by now: each whose experiment is DONE is done, with the value of that, and no other.

    Args:
        results_root: of the search.
        trials: as its slots have them.
        metric: that it is about.
        direction: which way that is better.
    """
    return [
        replace(one, state="done", value=_value(results_root / one.exp_id, metric, direction), steps={})
        if _is_done_since(results_root, one.exp_id, is_final=one.state == "done")
        else replace(one, state="dead", value=None)
        if one.state == "done" and one.exp_id and is_gone(str(results_root / one.exp_id))
        else one
        for one in trials
    ]


def _is_done_since(results_root: Path, exp_id: str, *, is_final: bool) -> bool:
    return bool(exp_id) and not is_final and os.access(result_of(str(results_root / exp_id)), os.F_OK)


def _value(exp_path: Path, metric: str, direction: Direction) -> float | None:
    """Return an experiment's value of a metric; None where it has none, or it can't be read, which its row says."""
    try:
        return value_of(exp_path, metric, direction)
    except HeyhiError:
        return None
