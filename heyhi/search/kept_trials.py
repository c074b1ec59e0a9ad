"""What was read of a search's final trials, in one file, so that asking reads what is new and not 10,000 files.

A trial in it holds as long as its slot's file
is the one that was read, which a listing of the folder tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from heyhi.search.kept import read_kept, write_kept
from heyhi.search.trial import State, Trial

KEPT_NAME = ".kept_trials.json"
_FORMAT = 1
_NONE = "skipped"  # state of a slot without a trial, for which there was nothing left to choose
_SHARE = 50  # it is written anew where one in so many is new: each time would take longer than reading these few


class Kept(NamedTuple):
    """A slot's trial, None where it has none, and the number of the file that says so."""

    inode: int
    trial: Trial | None


class KeptTrials:
    """The file of a search.

    Args:
        folder: of the search.
        axes: keys of its space.
    """

    def __init__(self, folder: Path, axes: Sequence[str]) -> None:
        self._path = folder / KEPT_NAME
        self._axes = list(axes)

    def read(self) -> dict[int, Kept]:
        """Return what is kept by slot; nothing where there is none, or it can't be read."""
        found = read_kept(self._path)
        try:
            if found is None or found["format"] != _FORMAT or found["axes"] != self._axes:
                return {}
            return _from_columns(found)
        except (ValueError, TypeError, KeyError):
            return {}

    def keep(self, known: Mapping[int, Kept], fresh: Mapping[int, Kept]) -> None:
        """Keep what was read, if that is worth it; that it can't be written is no matter.

        Args:
            known: what is kept and still holds.
            fresh: what was read beside that.
        """
        if len(fresh) > len(known) // _SHARE:
            columns = _columns({**known, **fresh}, self._axes)
            write_kept(self._path, {"format": _FORMAT, "axes": self._axes, **columns})


def _columns(kept: Mapping[int, Kept], axes: Sequence[str]) -> dict[str, Any]:
    trials = [one.trial for one in kept.values()]
    return {
        "slots": list(kept),
        "inodes": [one.inode for one in kept.values()],
        "states": [trial.state if trial is not None else _NONE for trial in trials],
        "exp_ids": [trial.exp_id if trial is not None else "" for trial in trials],
        "values": [written_value(trial.value) if trial is not None else None for trial in trials],
        "chosen": [[trial.chosen.get(axis) if trial is not None else None for trial in trials] for axis in axes],
    }


def written_value(value: float | None) -> float | str | None:
    """Return a value as JSON holds it, which has no NaN."""
    return value if value is None or math.isfinite(value) else repr(value)


def _from_columns(found: Mapping[str, Any]) -> dict[int, Kept]:
    axes: list[str] = found["axes"]
    chosen = list(zip(*found["chosen"], strict=True)) if axes else [()] * len(found["slots"])
    names = ("slots", "inodes", "states", "exp_ids", "values")
    kept = {}
    for slot, inode, state, exp_id, value, values in zip(*(found[name] for name in names), chosen, strict=True):
        trial = None
        if state != _NONE:
            own = {axis: one for axis, one in zip(axes, values, strict=True) if one is not None}
            trial = Trial(slot, exp_id, own, _state(state), None if value is None else float(value))
        kept[slot] = Kept(inode, trial)
    return kept


def _state(text: str) -> State:
    found: dict[str, State] = {"done": "done", "pruned": "pruned", "dead": "dead"}
    return found[text]
