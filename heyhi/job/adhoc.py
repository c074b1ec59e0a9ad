"""The name of an ad hoc run: its own each time, but in a job of Slurm's that was queued again with the same command."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heyhi.config.identity import adhoc_name
from heyhi.errors import ResultError
from heyhi.files import parse_json, read_bounded, replace_file, writing
from heyhi.job_env import get_job_env
from heyhi.project import Project

_FOLDER = "adhoc"  # in the state root


@dataclass(frozen=True)
class AdhocRun:
    """An ad hoc run that is about to start.

    Attributes:
        name: of it, below `adhoc/`.
        is_again: its job was queued again, and goes on with it.
        note: where a job's run is written down; None outside of one.
        restart: how often the job was queued again.
    """

    name: str
    is_again: bool = False
    note: Path | None = None
    restart: int = 0

    @classmethod
    def of_command(cls, project: Project, words: Sequence[str]) -> AdhocRun:
        """Return the run that a command is to start.

        Args:
            project: whose run it is.
            words: of the command, by which a job that was queued again knows it.
        """
        env = get_job_env()
        if env.job_id is None:
            return cls(adhoc_name())
        digest = hashlib.sha256(f"{env.job_id}\n{shlex.join(words)}".encode(errors="surrogateescape")).hexdigest()[:16]
        note, restart = project.state_root / _FOLDER / f"{digest}.json", env.restart_count
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, OverflowError):
            held = parse_json(read_bounded(note))
            # Of several runs of one command in a job, the last one was running when it was queued again.
            if int(held["restart"]) < restart and isinstance(held["name"], str):
                return cls(held["name"], True, note, restart)
        return cls(adhoc_name(), False, note, restart)

    def remember(self) -> None:
        """Write it down for when its job is queued again; where that can't be, it is another run then."""
        if self.note is None:
            return
        with contextlib.suppress(ResultError), writing(self.note):
            self.note.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.note, json.dumps({"name": self.name, "restart": self.restart}))
