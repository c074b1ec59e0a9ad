"""Trials of a search that are dead, to be started again: their slots are opened anew, and what said so is in the trash.

A slot stays the experiment that it is: only what its search had noted of the end goes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from heyhi.experiment.claim import Claim
from heyhi.experiment.names import has_ended, result_of
from heyhi.experiment.slots import slot_dir
from heyhi.experiment.trash import move_to_trash
from heyhi.files import writing
from heyhi.project import Project


def reopen(project: Project, slots: Iterable[str]) -> list[str]:
    """Open slots anew that have ended with a DEAD experiment; return those that were.

    Args:
        project: whose they are.
        slots: their folders; of what isn't DEAD, or somebody has by now, nothing is touched.

    Raises:
        HeyhiError: what is there can't be read, or moved.
    """
    return [slot for slot in slots if has_ended(slot) and _reopen(project, slot)]


def _reopen(project: Project, slot: str) -> bool:
    path = Path(slot)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    claim = Claim.acquire(path)
    if not isinstance(claim, Claim):
        return False
    with claim:
        end = slot_dir(slot).read_end()
        if end is None or end.status != "DEAD":
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
