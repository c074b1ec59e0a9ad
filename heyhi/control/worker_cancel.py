"""How the run of one experiment is ended that a worker has: by a note that the worker finds, since its job goes on."""

from __future__ import annotations

import time
from pathlib import Path

from heyhi.control.controller import find_controllers
from heyhi.errors import ClaimError
from heyhi.experiment.claim import read_owner
from heyhi.experiment.folder import ExperimentDir
from heyhi.files import writing
from heyhi.job.work_list import CANCEL
from heyhi.project import Project

SECONDS = 60.0  # a run has half of it to end once it is told to
_LOOK_SECONDS = 0.2


def end_run(project: Project, path: str, job_id: str, seconds: float = SECONDS) -> None:
    """Have a worker end the run of an experiment, and wait for that.

    Args:
        project: of the experiment.
        path: its exp path.
        job_id: of the worker.
        seconds: to wait.

    Raises:
        HeyhiError: it doesn't end, or nobody can tell.
    """
    folder = next((one.folder for one in find_controllers(project) if job_id in one.jobs), None)
    identity = ExperimentDir(Path(path)).read_identity()
    if folder is None or identity is None:
        raise ClaimError(f"nobody knows of which launch job {job_id} is a worker; scancel {job_id} ends all of it")
    note = folder / f"{CANCEL}{identity.digest}"
    with writing(note):
        note.touch()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not note.exists():
            return
        time.sleep(_LOOK_SECONDS)
    if (owner := read_owner(path)) is None or owner.job != job_id:  # its job was over first
        note.unlink(missing_ok=True)
        return
    raise ClaimError(f"worker job {job_id} was told to end it, and hasn't yet; scancel {job_id} ends all of that job")
