"""The handle: what Python code can ask about one experiment, launched or not. It changes nothing."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from heyhi.config.identity import Identity
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.metrics_file import Damage, all_blocks, counting_lines
from heyhi.experiment.names import Status
from heyhi.experiment.records import History
from heyhi.experiment.status import find_job_id, find_status
from heyhi.project import Project, find_project


class Handle:
    """One experiment, to be asked about; each answer is as of now.

    Args:
        exp_path: its folder, which need not exist; a relative one is below the working directory.
        identity: which experiment it is; default: what the folder says.
        project: where it belongs; default: the project around the folder, else around the working directory.

    Attributes:
        exp_path: its folder (absolute).
    """

    def __init__(
        self, exp_path: str | Path, *, identity: Identity | None = None, project: Project | None = None
    ) -> None:
        # Not resolved: a project reached through a link keeps the name its user gave it.
        self.exp_path = Path(os.path.abspath(exp_path))  # noqa: PTH100
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
        return kept or (project.root if project is not None else Path()) / cfg

    @property
    def overrides(self) -> list[str]:
        """Overrides as `key=value`, in canonical form and order.

        Raises:
            HeyhiError: nobody knows: it was never started.
        """
        return list(self._which().overrides)

    @property
    def folder(self) -> ExperimentDir:
        """Its folder: what lies in it, and where."""
        return ExperimentDir(self.exp_path)

    def get_status(self) -> Status:
        """Return the status; what it needs is not looked at, so that it is never BLOCKED here.

        UNKNOWN where its folder or a record of it can't be read.
        """
        return find_status(self.exp_path)

    def is_done(self) -> bool:
        """Return whether it has a result."""
        return self.get_status() is Status.DONE

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
