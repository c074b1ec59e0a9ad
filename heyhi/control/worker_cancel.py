"""How an experiment of workers is ended: by a note that they find, since the worker's job goes on with others."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from heyhi.control.controller import Controller, find_controllers, folders_of_controller
from heyhi.errors import ClaimError
from heyhi.experiment.claim import Claim, read_owner
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.owner import BACK
from heyhi.files import writing
from heyhi.job.work_list import cancel_note
from heyhi.project import Project

SECONDS = 60.0  # a run has half of it to end once it is told to
_LOOK_SECONDS = 0.2


def end_run(project: Project, path: str, job_id: str, seconds: float = SECONDS) -> bool:
    """Have workers end the run of an experiment, and wait for that; or not try it again.

    Args:
        project: of the experiment.
        path: its exp path.
        job_id: of the worker that has it.
        seconds: to wait.

    Returns:
        whether it ran.

    Raises:
        HeyhiError: it doesn't end, or nobody can tell.
    """
    folder = next((one.folder for one in find_controllers(project) if job_id in one.jobs), None)
    note = _write(folder, path) if folder is not None else None
    if note is None:
        raise ClaimError(f"nobody knows of which launch job {job_id} is a worker; scancel {job_id} ends all of it")
    claim = Claim.acquire(Path(path), kind="controller", replaces=lambda owner: owner.kind == BACK)
    if isinstance(claim, Claim):  # it doesn't run
        claim.release()
        return False
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not note.exists():
            return True
        time.sleep(_LOOK_SECONDS)
    # Where its job was over first, other workers find the note before they try it again.
    if (owner := read_owner(path)) is None or owner.job != job_id:
        return True
    raise ClaimError(f"worker job {job_id} was told to end it, and hasn't yet; scancel {job_id} ends all of that job")


def tried_by_workers(project: Project, paths: Iterable[str], ended: Iterable[Controller]) -> dict[str, Path]:
    """Return which of some experiments that have been tried workers may try again, each with their launch's folder.

    Args:
        project: of the experiments.
        paths: exp paths of those that don't run now.
        ended: controllers that are to be ended anyhow.
    """
    left, over = set(paths), {one.name for one in ended}
    found: dict[str, Path] = {}
    for controller in find_controllers(project):
        if controller.has_workers and controller.name not in over:
            its = left.intersection(folders_of_controller(project, controller) or ())
            found |= dict.fromkeys(its, controller.folder)
    return found


def hold_back(folder: Path, path: str) -> None:
    """Have the workers of a launch not try an experiment again.

    Args:
        folder: of the launch.
        path: exp path.

    Raises:
        HeyhiError: it can't be written.
    """
    _write(folder, path)


def _write(folder: Path, path: str) -> Path | None:
    """Write the note; None where nobody knows which experiment it is."""
    identity = ExperimentDir(Path(path)).read_identity()
    if identity is None:
        return None
    note = cancel_note(folder, identity.digest)
    with writing(note):
        note.touch()
    return note
