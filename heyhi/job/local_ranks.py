"""An experiment of this process whose main runs in several, as its ranks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from heyhi.experiment.folder import ExperimentDir
from heyhi.job.ranks import run_ranks
from heyhi.job.step import Start


@dataclass
class Ranks:
    """What `execute` calls instead of main: it starts the ranks, and returns what the first one has.

    Attributes:
        target: of the experiment, as the manifest names it.
        manifest: what they read it from.
        entry: `module:function` of main.
        code_root: folder that they import it from.
        folder: of the experiment.
        log_level: for main.
        tasks: how many.
        start: starts them.
    """

    target: str
    manifest: Path
    entry: str
    code_root: Path
    folder: ExperimentDir
    log_level: str
    tasks: int
    start: Start
    _told: list[str] = field(default_factory=list)

    def __call__(self, **_: object) -> object:
        """Run main in the ranks."""
        return run_ranks(
            self.target,
            self.tasks,
            self.manifest,
            self.code_root,
            self.folder,
            self.log_level,
            self._told.append,
            entry=self.entry,
            start=self.start,
        )

    def environment(self) -> str:
        """Return the digest of what the first one had loaded."""
        return "".join(self._told[-1:])
