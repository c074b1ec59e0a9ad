"""`--max-gpu-hours`: what the attempts of a launch have used of GPUs, and whether more of it may be started.

Each attempt has a file in the launch's folder whose name says how much it used: a sum is one look at the folder,
nothing is locked, and an attempt that is noted twice counts once. One that runs is noted every minute, so that one that
is killed counts until its last sign of life.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from heyhi.experiment.records import Used
from heyhi.files import parse_json, read_bounded, writing
from heyhi.quick_tuple import NamedTuple
from heyhi.sweep.held_note import HELD_BACK
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME, NOTE_NAME

BUDGET_SETTING = "budget"  # of Snakemake's --config: name of the controller whose launch has one
_PREFIX = "gpu-hours-"
_MS_PER_HOUR = 3_600_000


class Budget(NamedTuple):
    """The GPU-hours of one launch.

    Attributes:
        folder: of what was used.
        most: once so many GPU-hours were used nothing more is started.
    """

    folder: Path
    most: float

    @classmethod
    def of(cls, state_root: Path, name: str) -> Budget | None:
        """Return that of a launch; None where it has none.

        Args:
            state_root: of the project.
            name: of the launch, as its controller's.
        """
        folder = state_root / CONTROLLERS_NAME / name
        try:
            note = parse_json(read_bounded(folder / NOTE_NAME))
            most, launch = float(note["max_gpu_hours"]), str(note["launch"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        # Another launch by the same name counts anew.
        return cls(folder / f"{_PREFIX}{os.path.basename(launch)}", most) if most > 0 else None  # noqa: PTH119

    @classmethod
    def of_run(cls, state_root: Path, config: Mapping[str, object]) -> Budget | None:
        """Return that of a run of Snakemake.

        Args:
            state_root: of the project.
            config: Snakemake's.
        """
        name = config.get(BUDGET_SETTING)
        return cls.of(state_root, str(name)) if name else None

    def note(self, digest: str, attempt: int, used: Used, gpus: int = 0) -> None:
        """Note what an attempt has used so far, or at all; what can't be written isn't worth its end.

        Args:
            digest: of the experiment's identity.
            attempt: its number.
            used: what it was.
            gpus: that it has where its records don't say: only Slurm's submissions do.
        """
        count = used.gpus if used.gpus is not None else gpus
        if not count or used.seconds is None:
            return
        key = f"{digest}.{attempt}."
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            new = f"{key}{round(1000 * used.seconds * count)}"
            (self.folder / new).touch()
            for name in os.listdir(self.folder):  # noqa: PTH208 (names are all that is asked)
                if name.startswith(key) and name != new:
                    os.unlink(self.folder / name)  # noqa: PTH108

    def used(self) -> float:
        """Return the GPU-hours that were used, as far as they are noted."""
        most: dict[str, int] = {}
        with contextlib.suppress(OSError):
            for name in os.listdir(self.folder):  # noqa: PTH208
                key, _, amount = name.rpartition(".")
                if amount.isdecimal():
                    most[key] = max(most.get(key, 0), int(amount))
        return sum(most.values()) / _MS_PER_HOUR

    def why_none(self) -> str:
        """Say why nothing more is started; empty where it may be."""
        used = self.used()
        return f"{HELD_BACK}{self._said(used)}" if used >= self.most else ""

    def said(self) -> str:
        """Say how much of it was used."""
        return self._said(self.used())

    def _said(self, used: float) -> str:
        return f"{used:.3g} of {self.most:g} GPU-hours used"

    def begin(self) -> None:
        """Forget what earlier launches of this name have used.

        Raises:
            ResultError: the folder can't be made.
        """
        import shutil  # a run only looks, and this loads what compresses

        for path in self.folder.parent.glob(f"{_PREFIX}*"):
            if path != self.folder:
                shutil.rmtree(path, ignore_errors=True)
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
