"""A file for each experiment that runs, outside its folder: its task may empty that, again and again, and not this one.

Where there is none, nobody runs the experiment, so that a claim made in an empty folder is no other's that was just
removed. Only one process can make it, over a network, too. That of a run that was killed stays until the next one ends.
"""

from __future__ import annotations

import contextlib
import os

from heyhi.experiment.folder import Experiment
from heyhi.experiment.names import RUNNING_NAME, STATE_NAME
from heyhi.sha import sha256


class RunMark:
    """That an experiment runs, or is about to.

    Where it can't be made, or the experiment lies below no results root, it counts as there.

    Args:
        experiment: whose it is.
    """

    def __init__(self, experiment: Experiment) -> None:
        path, inside = str(experiment.exp_path), f"/{experiment.exp_id}"
        root = path.removesuffix(inside)
        self._folder = f"{root}/{STATE_NAME}/{RUNNING_NAME}" if root != path else ""
        self._path = f"{self._folder}/{sha256(os.fsencode(experiment.exp_id)).hexdigest()[:16]}" if root != path else ""

    def make(self) -> bool:
        """Make it, unless it is there; return whether it wasn't."""
        with contextlib.suppress(OSError):
            try:
                self._make()
            except FileNotFoundError:
                os.makedirs(self._folder, exist_ok=True)  # noqa: PTH103
                self._make()
            return True
        return False

    def remove(self) -> None:
        """Remove it: by who has the claim, before that is released."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108

    def _make(self) -> None:
        os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
