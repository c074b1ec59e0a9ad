"""What a killed controller has left in the queue of another engine: HeyHi sees no job there, and can't end one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

from heyhi.control.controller import Controller, folders_of_controller
from heyhi.control.job_claim import living_owner
from heyhi.errors import HeyhiError
from heyhi.experiment.names import CLAIM_NAME
from heyhi.profiles import runs_here, uses_slurm
from heyhi.project import Project
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME


def left_in_queues(project: Project, exp_paths: Collection[str]) -> list[str]:
    """Say of which experiments jobs may wait in an engine that nobody follows any more: a line for each controller.

    Args:
        project: whose experiments they are.
        exp_paths: those that aren't DONE, and that nobody has.
    """
    wanted, lines = set(exp_paths), []
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(project.state_root / CONTROLLERS_NAME)) if wanted else ():  # noqa: PTH208
            controller = Controller(name, project.state_root / CONTROLLERS_NAME / name, None)
            with contextlib.suppress(HeyhiError):
                if (controller.folder / CLAIM_NAME).exists() and _is_killed(project, controller, wanted):
                    lines.append(
                        f"controller {name} was killed, which had submitted to another engine: its"
                        " jobs may wait there, and run: look at its queue, and end them there"
                    )
    return lines


def _is_killed(project: Project, controller: Controller, wanted: set[str]) -> bool:
    """Return whether a controller of another engine has left its claim, and was to run some of what is wanted."""
    spec = controller.spec()
    if spec is None or not spec.profile or spec.kind != "local":
        return False
    profile = Path(spec.profile)
    if uses_slurm(profile) or runs_here(profile) or living_owner(controller.folder) is not None:
        return False
    return not wanted.isdisjoint(folders_of_controller(project, controller) or ())
