"""Who runs an experiment though no claim says so: a task may have removed that, which is put back a moment later."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.experiment.claim import read_owner
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.owner import Owner, is_running, machine_text, this_machine

if TYPE_CHECKING:
    from heyhi.experiment.records import History


def unclaimed_owner(history: History) -> Owner | None:
    """Return the process of the last attempt, where that has no end and runs on this machine; never this process.

    Args:
        history: of the experiment.
    """
    start, end = history.last_attempt
    if start is None or end is not None or not start.pid or not start.started or start.pid == os.getpid():
        return None
    if start.machine != machine_text():
        return None
    host, boot, pids = this_machine()
    owner = Owner("process", host, boot, pids, start.pid, start.started, start.time, "", start.job_id)
    with contextlib.suppress(PermissionError):
        return owner if is_running(owner.pid, owner.started) else None
    return owner


def find_owner(folder: Path) -> Owner | None:
    """Return the living owner of an experiment's claim, or who runs it without; None where nobody does.

    Raises:
        UnknownError: a claim file or a record can't be read.
    """
    return read_owner(folder) or unclaimed_owner(ExperimentDir(folder).history())


def owner_of_run(folder: Path, history: History) -> Owner | None:
    """Return who runs an experiment's last attempt on this machine, as its claim says it where that is there.

    Raises:
        UnknownError: a claim file can't be read.
    """
    owner = unclaimed_owner(history)
    return None if owner is None else read_owner(folder) or owner
