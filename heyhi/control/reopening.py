"""Trials of a search that are dead, to be started again: their slots are opened anew, and what said so is in the trash.

So are those that were DONE, and whose results are gone.

A slot stays the experiment that it is: only what its search had noted of the end goes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from heyhi.control.survey import Row
from heyhi.errors import HeyhiError
from heyhi.experiment.claim import Claim
from heyhi.experiment.names import Status, has_ended, result_of
from heyhi.experiment.slots import SlotDir, SlotEnd, folder_chosen, is_gone, slot_dir, slot_dirs_of
from heyhi.experiment.trash import move_to_trash
from heyhi.files import writing
from heyhi.project import Project
from heyhi.sweep.index import ManifestIndex


def reopen(project: Project, slots: Iterable[str]) -> list[str]:
    """Open slots anew that have ended with a DEAD experiment, or one whose result is gone; return those that were.

    Args:
        project: whose they are.
        slots: their folders; of what isn't DEAD, or somebody has by now, nothing is touched.

    Raises:
        HeyhiError: what is there can't be read, or moved.
    """
    return [slot for slot in slots if has_ended(slot) and _reopen(project, slot)]


def as_trials(project: Project, rows: Sequence[Row]) -> list[Row]:
    """Have experiments that are trials of a search be started by their slots, so that it learns what comes of them.

    Args:
        project: whose they are.
        rows: of experiments that are DEAD; one whose search can't be run here any more stays as it is.
    """
    return [row._replace(slot=_slot_of(project, row)) for row in rows]


def _slot_of(project: Project, row: Row) -> str:
    if row.slot:
        return row.slot
    for slot in slot_dirs_of(Path(row.exp_path)):
        with contextlib.suppress(HeyhiError):  # it is started all the same
            end = slot.read_end()
            is_open = end is None or _may_open(slot, end)
            if is_open and ManifestIndex.open(project).find_to_run(str(slot.path)) is not None:
                return str(slot.path)
    return ""


def _may_open(slot: SlotDir, end: SlotEnd) -> bool:
    if end.status == Status.DONE.value and end.exp_id:
        return is_gone(folder_chosen(str(slot.path), end.exp_id))
    return end.status == Status.DEAD.value


def _reopen(project: Project, slot: str) -> bool:
    path = Path(slot)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    claim = Claim.acquire(path)
    if not isinstance(claim, Claim):
        return False
    with claim:
        end = slot_dir(slot).read_end()
        if end is None or not _may_open(slot_dir(slot), end):
            return False
        target = Path(result_of(slot))
        with writing(target):
            handle = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                move_to_trash(target.parent, handle, [target.name], project.results_root)
            finally:
                with contextlib.suppress(OSError):
                    os.close(handle)
    return True
