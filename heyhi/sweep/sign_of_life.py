"""By what others see that a Snakemake which somebody has started by hand runs some experiments.

`heyhi launch` makes its controllers' own (`heyhi.control.controller`), in the same folder and of the same form.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.experiment.claim import Claim, read_owner
from heyhi.files import parse_json, read_bounded, replace_file, writing
from heyhi.project import Project

CONTROLLERS_NAME = "controllers"  # folder in the state root
NOTE_NAME = "controller.json"
GIVEN_UP_NAME = "given_up.jsonl"  # in the folder of a controller: `heyhi.job.given_up`
_PREFIX = "snakemake-"
_OLD_SECONDS = 3600.0  # of a folder whose process was killed before it could remove it


def launch_in(folder: Path) -> str:
    """Return the record of the launch that a controller's note is of; empty where nobody knows.

    Args:
        folder: of the controller.
    """
    with contextlib.suppress(OSError, ValueError):
        note = parse_json(read_bounded(folder / NOTE_NAME))
        return str(note.get("launch", "")) if isinstance(note, dict) else ""
    return ""


def give_sign_of_life(project: Project, manifests: Sequence[str], targets: Sequence[str]) -> None:
    """Have it seen, until this process ends, that it runs some experiments.

    Args:
        project: whose they are.
        manifests: of the sweeps that are run whole, relative to the project root.
        targets: of the experiments that are run beside them.

    Raises:
        HeyhiError: it can't be written.
    """
    root = project.state_root / CONTROLLERS_NAME
    folder = root / f"{_PREFIX}{os.urandom(4).hex()}"
    with writing(folder):
        folder.mkdir(parents=True)
    note = {"name": folder.name, "profile": "", "manifests": list(manifests), "targets": list(targets)}
    # The note first: a controller without one may run whatever it is.
    replace_file(folder / NOTE_NAME, json.dumps(note, indent=1) + "\n")
    claim = Claim.acquire(folder, kind="controller")
    assert isinstance(claim, Claim)  # nobody else knows the name
    atexit.register(_end, folder, claim, os.getpid())
    _remove_old(root)


def _end(folder: Path, claim: Claim, pid: int) -> None:
    if os.getpid() == pid:
        import shutil  # who only asks for names here can do without

        claim.release()
        shutil.rmtree(folder, ignore_errors=True)


def _remove_old(root: Path) -> None:
    """Remove what killed ones have left."""
    import shutil

    for folder in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(HeyhiError, OSError):
            if time.time() - folder.stat().st_mtime > _OLD_SECONDS and read_owner(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
