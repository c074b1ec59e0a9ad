"""The handle: what Python code can ask about one experiment, launched or not."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from heyhi.config.identity import Identity
from heyhi.config.moved import MovedConfigs
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.metrics_file import Damage, all_blocks, counting_lines
from heyhi.experiment.names import Status
from heyhi.experiment.records import History
from heyhi.experiment.status import find_job_id, find_status, is_done
from heyhi.experiment.unclaimed import find_owner
from heyhi.project import RESULTS_VARIABLE, Project, find_project


class Handle:
    """One experiment, to be asked about; each answer is as of now.

    Args:
        exp_path: its folder, which need not exist. A relative one is below the working directory where it is there,
            else below the results root: an exp id.
        identity: which experiment it is; default: what the folder says.
        project: where it belongs; default: the project around the folder, else around the working directory.

    Attributes:
        exp_path: its folder (absolute).
    """

    def __init__(
        self, exp_path: str | Path, *, identity: Identity | None = None, project: Project | None = None
    ) -> None:
        self.exp_path = _absolute(exp_path, project)
        self._identity = identity
        self._project = project

    def __repr__(self) -> str:
        return f"<Handle {self.exp_id}: {self.get_status().value}>"

    @property
    def exp_id(self) -> str:
        """The path below the results root."""
        project = self._find_project()
        return ExperimentDir(self.exp_path, project.results_root if project is not None else None).exp_id

    @property
    def cfg_path(self) -> Path:
        """Config file (absolute).

        Raises:
            HeyhiError: nobody knows: it was never started.
        """
        from heyhi.config.outside import find_kept  # most handles aren't asked

        project, cfg = self._find_project(), self._which().cfg
        kept = find_kept(project, cfg) if project is not None else None
        if project is None or kept is not None:
            return kept or Path(cfg)
        return project.root / MovedConfigs(project).today(cfg)

    @property
    def overrides(self) -> list[str]:
        """Overrides as `key=value`, in canonical form and order; what was renamed has its name of today.

        Raises:
            HeyhiError: nobody knows: it was never started.
        """
        from heyhi.config.translation import translation_now

        overrides, project = self._which().overrides, self._find_project()
        today = translation_now(project) if overrides and project is not None else None
        return list(overrides if today is None else today.overrides(overrides))

    @property
    def folder(self) -> ExperimentDir:
        """Its folder: what lies in it, and where."""
        return ExperimentDir(self.exp_path)

    @property
    def result_path(self) -> Path:
        """The file that makes it DONE: JSON, in which is what the task returned (`result()` reads it)."""
        return self.folder.result_path

    @property
    def slurm_path(self) -> Path:
        """Folder of what its job has printed, which is its own: launch.log, and log.txt of the task."""
        return self.exp_path

    def get_status(self) -> Status:
        """Return the status; what it needs is not looked at, so that it is never BLOCKED here.

        UNKNOWN where its folder or a record of it can't be read.
        """
        return find_status(self.exp_path)

    def is_started(self) -> bool:
        """Return whether it was started or submitted, however it went."""
        return self.get_status() is not Status.NOT_STARTED

    def is_done(self) -> bool:
        """Return whether it has a result."""
        return is_done(self.exp_path)

    def is_running(self) -> bool:
        """Return whether some process runs it."""
        return self.get_status() is Status.RUNNING

    def result(self) -> dict[str, Any]:
        """Return what the task returned.

        Raises:
            ResultError: it is not done, or its result can't be read.
        """
        return self.folder.read_result()

    def metrics(self, *, all: bool = False) -> list[dict[str, Any]]:  # noqa: A002 (as it reads best)
        """Return the metrics that it wrote on its way, also while it runs.

        What an attempt logged and a later one has logged again, at the same step or an earlier one, is left out.

        Args:
            all: return that as well, and in each line, as `attempt`, which attempt wrote it (0 where no record says
                it); a line that has such a key keeps its own.

        Raises:
            HeyhiError: they, or the records of its attempts, can't be read.
        """
        path, damage = self.folder.metrics_path, Damage()
        starts = History(self.folder.attempts()).starts
        if all:
            blocks = all_blocks(path, starts, damaged=damage)
            found = [{"attempt": block.attempt, **line} for block in blocks for line in block.lines]
        else:
            found = list(counting_lines(path, starts, damaged=damage))
        damage.warn(path)
        return found

    def maybe_get_job_id(self) -> str | None:
        """Return the id of the job that has it or had it last, also of one that waits; None where there was none.

        Raises:
            UnknownError: its claim or a record of it can't be read.
        """
        return find_job_id(self.exp_path) or None

    def kill_and_prune(self, silent: bool = True) -> None:
        """Stop what runs it, and move its files to the trash of the results root; calling it is consent.

        Nothing happens where there is nothing. `heyhi clean` empties the trash.

        Args:
            silent: taken and not used: the first HeyHi counted down three seconds.

        Raises:
            HeyhiError: the folder holds no experiment, more than this one, or another project's, it can't be read, or
                who has it can't be stopped from here.
        """
        if not os.path.lexists(self.exp_path) or self._is_empty():
            return
        project = self._find_project()
        folder = ExperimentDir(self.exp_path, project.results_root if project is not None else None)
        if project is not None:
            folder.check_project(project.roots, project.settings.was)
        folder.check_wipe(self._which())
        owner = find_owner(self.exp_path)
        if owner is not None:
            owner.stop()
        folder.wipe(self._which())

    def _is_empty(self) -> bool:
        try:
            return not os.listdir(self.exp_path)  # noqa: PTH208 (names are all that is asked)
        except OSError:  # who wipes says what is wrong
            return False

    def _which(self) -> Identity:
        if self._identity is None:
            self._identity = self.folder.read_identity()
        if self._identity is None:
            raise HeyhiError(f"{self.exp_path}: holds no experiment yet, so its config isn't known")
        return self._identity

    def _find_project(self) -> Project | None:
        if self._project is None:
            for start in (self.exp_path, None):
                with contextlib.suppress(HeyhiError):
                    self._project = find_project(start)
                    break
        return self._project


def _absolute(exp_path: str | Path, project: Project | None) -> Path:
    """Return a folder's absolute path; not resolved: a project reached through a link keeps its user's name for it."""
    here = Path(os.path.abspath(exp_path))  # noqa: PTH100
    if Path(exp_path).is_absolute() or os.path.lexists(here):
        return here
    named = os.environ.get(RESULTS_VARIABLE)
    with contextlib.suppress(HeyhiError):
        root = (project or find_project()).results_root
        # One that was typed from the working directory on, and isn't there yet.
        return here if here.is_relative_to(root) else Path(os.path.abspath(root / exp_path))  # noqa: PTH100
    # In no project, an absolute results root that the environment names is one all the same.
    return Path(os.path.abspath(Path(named, exp_path))) if named and os.path.isabs(named) else here  # noqa: PTH100, PTH117
