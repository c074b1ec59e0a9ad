"""When a slot of a search is over: its experiment is DONE or PRUNED, or dead for good; then its file is written.

Who calls has the slot's claim: its own job, or a controller where nothing of that is left to write it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.slots import SlotDir, SlotEnd, chosen_dir
from heyhi.experiment.unclaimed import find_owner
from heyhi.files import utc_now

if TYPE_CHECKING:
    from heyhi.experiment.death import Death
    from heyhi.sweep.search_spec import SearchSpec

SKIPPED = "SKIPPED"  # status of a slot where there was nothing left to choose
# Deaths by which a point is at fault. After any other (its job was cancelled, preempted or lost, its node has failed)
# it may do well: whoever runs the search again goes on with it.
_OWN_DEATHS = ("failed", "killed", "OUT_OF_MEMORY", "TIMEOUT", "DEADLINE")


def is_for_good(death: Death) -> bool:
    """Return whether an experiment that has died so, in its last attempt, is dead for its search."""
    return death.kind in _OWN_DEATHS and not death.is_left


def why_dead(slot: SlotDir) -> str:
    """Return why a slot's experiment is dead for its search; empty where the slot ended otherwise, or has no end."""
    try:
        end = slot.read_end()
    except HeyhiError:
        return ""
    return end.reason if end is not None and end.status == Status.DEAD.value else ""


def finish(slot: SlotDir, spec: SearchSpec) -> SlotEnd | None:
    """Write how a slot has ended, where its experiment says so itself; return that, None where it doesn't.

    Args:
        slot: which has no end yet.
        spec: of its search.

    Raises:
        UnknownError: nobody can tell.
        ResultError: it can't be written.
    """
    choice = slot.read_choice()
    if choice is None:
        return None
    if not choice.exp_id:
        return _written(slot, SlotEnd("", SKIPPED, reason=choice.reason, time=utc_now()))
    folder = chosen_dir(slot)
    assert folder is not None
    if folder.has_result():
        return _ended(slot, folder, spec, Status.DONE)
    pruned = folder.history().pruned
    return _ended(slot, folder, spec, Status.PRUNED, pruned.exception) if pruned is not None else None


def bury(slot: SlotDir, spec: SearchSpec, reason: str) -> SlotEnd | None:
    """Write that a slot's experiment is dead, and won't be tried again; None where nothing is chosen, or it lives.

    Args:
        slot: which has no end yet.
        spec: of its search.
        reason: why it is dead.

    Raises:
        UnknownError: nobody can tell which it is.
        ResultError: it can't be written.
    """
    folder = chosen_dir(slot)
    if folder is None or find_owner(folder.path) is not None:  # somebody else may have taken it over
        return None
    return _ended(slot, folder, spec, Status.DEAD, reason)


def _ended(slot: SlotDir, folder: ExperimentDir, spec: SearchSpec, status: Status, reason: str = "") -> SlotEnd:
    from heyhi.experiment.values import value_of  # most ends are seen by who needs none of a search

    value = value_of(folder.path, spec.metric, spec.direction) if status is not Status.DEAD else None
    return _written(slot, SlotEnd(folder.exp_id, status.value, value, reason, utc_now()))


def _written(slot: SlotDir, end: SlotEnd) -> SlotEnd:
    slot.write_end(end)
    return end
