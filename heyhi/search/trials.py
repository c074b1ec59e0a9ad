"""The trials of a search, as their slots' files tell them; what is asked for next follows from them alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from heyhi.errors import UnknownError
from heyhi.experiment.names import Status
from heyhi.experiment.since import end_now
from heyhi.experiment.slots import Choice, SearchDir, SlotDir, SlotEnd
from heyhi.files import is_there_now
from heyhi.search.kept_trials import Kept, KeptTrials
from heyhi.search.rung_files import RungFiles
from heyhi.search.trial import State, Trial
from heyhi.sweep.search_spec import SearchSpec

SKIPPED = "SKIPPED"  # in a slot's file: there was nothing left to choose
_STATES: dict[str, State] = {Status.DONE: "done", Status.PRUNED: "pruned", Status.DEAD: "dead"}
_STATUSES = {state: status for status, state in _STATES.items()}


def read_trials(search: SearchDir, spec: SearchSpec, *, keeps: bool = False) -> list[Trial]:
    """Read the trials that were chosen so far, in the order of their slots.

    A slot of which nobody can tell which experiment it is has no trial: its own status says so.

    Args:
        search: the folder of the search.
        spec: what is searched.
        keeps: write down what is final, so that it is read once: for who chooses.

    Raises:
        UnknownError: the slots can't be listed.
    """
    finals, others = _listed(search)
    kept = KeptTrials(search.path, [axis.key for axis in spec.axes])
    remembered = kept.read() if finals else {}
    known = {slot: one for slot, one in remembered.items() if finals.get(slot) == one.inode}
    fresh: dict[int, Kept] = {}
    for slot in finals.keys() - known.keys():
        try:
            fresh[slot] = Kept(finals[slot], _final(search.slot(slot)))
        except UnknownError:
            continue
    found = {slot: one.trial for slot, one in (*known.items(), *fresh.items()) if one.trial is not None}
    found |= {trial.slot: trial for trial in map(_running, map(search.slot, others)) if trial is not None}
    if keeps:
        kept.keep(known, fresh)
    _add_steps(search, found)
    return [found[slot] for slot in sorted(found)]


def trials_now(results_root: Path, spec: SearchSpec, trials: Iterable[Trial]) -> list[Trial]:
    """Return trials as they are by now: done, with its value, each whose experiment is DONE; dead whose result is gone.

    Args:
        results_root: of the search.
        spec: what is searched.
        trials: as its slots have them.
    """
    return [_now(results_root, spec, one) for one in trials]


def _now(results_root: Path, spec: SearchSpec, trial: Trial) -> Trial:
    end = SlotEnd(trial.exp_id, _STATUSES.get(trial.state, ""), trial.value)
    now = end_now(results_root, end, spec.metric, spec.direction)
    return trial if now is end else replace(trial, state=_STATES[now.status], value=now.value, steps={})


def _listed(search: SearchDir) -> tuple[dict[int, int], list[int]]:
    """Return the slots that are final, each with the number of its file, and the others that have a folder."""
    finals: dict[int, int] = {}
    folders: list[int] = []
    try:
        with os.scandir(search.slots_path) as entries:
            for entry in entries:
                name = entry.name
                if name.isdecimal():
                    folders.append(int(name))
                elif name.endswith(".json") and name[:-5].isdecimal():
                    finals[int(name[:-5])] = entry.inode()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UnknownError(f"{search.slots_path}: can't be read: {error.strerror or error}") from None
    return finals, [slot for slot in folders if slot not in finals]


def _final(slot: SlotDir) -> Trial | None:
    end = slot.read_end()
    if end is None or end.status not in _STATES:
        return None
    choice = _choice_now(slot)
    if choice is None:
        raise UnknownError(f"{slot.choice_path}: isn't there, though the slot has ended")
    return Trial(slot.number, end.exp_id, choice.chosen, _STATES[end.status], end.value)


def _choice_now(slot: SlotDir) -> Choice | None:
    """Read a choice that another machine may have written a moment ago."""
    return slot.read_choice() if is_there_now(slot.choice_path) else None


def _running(slot: SlotDir) -> Trial | None:
    try:
        choice = _choice_now(slot)
    except UnknownError:
        return None
    return Trial(slot.number, choice.exp_id, choice.chosen, "running") if choice is not None and choice.exp_id else None


def _add_steps(search: SearchDir, found: dict[int, Trial]) -> None:
    """Add the values at rungs to the trials that were ended early."""
    pruned = {slot: dict[int, float]() for slot, trial in found.items() if trial.state == "pruned"}
    if not pruned:
        return
    with contextlib.suppress(OSError):  # then their last values are all that is known
        for step, there in RungFiles(search).read().items():
            for slot in there.keys() & pruned.keys():
                pruned[slot][step] = there[slot]
    for slot, steps in pruned.items():
        found[slot] = replace(found[slot], steps=steps)
