"""What of a sweep is in Snakemake's graph of jobs: what is DONE is left out, unless somebody asks for it.

A job costs Snakemake a millisecond, whether it is run or not, and one that is DONE has nothing to say there. Which
experiments there are, the manifest says; what has one look DONE is not looked at again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.sweep.target import is_winner_target

if TYPE_CHECKING:
    from heyhi.sweep.manifest import Node

# Who says one of these means what is DONE, too, or sees all of it: --forcerun, --until, --rerun-incomplete …
_ASKS_FOR_ALL = (
    "allowed_rules", "batch", "force_incomplete", "forceall", "forcerun", "forcetargets", "omit_from", "target_jobs",
    "until",
)  # fmt: skip
_OUR_RULES = frozenset({"all", "experiment", "slot", "unknown", "winner", "aggregate"})


class Graph:
    """The jobs of one run of Snakemake.

    Args:
        workflow: Snakemake's object of that name.
        root: folder that targets are relative to.
        node_of: returns what is known of an experiment, by its target.
    """

    def __init__(self, workflow: Any, root: Path, node_of: Callable[[str], Node]) -> None:
        self._workflow = workflow
        self._root = f"{root}/"
        self._node_of = node_of
        self._needs_files: dict[str, bool] = {}  # by target

    @property
    def is_whole(self) -> bool:
        """Whether all is in it: this run does more than to start what is missing, or to say what that would be.

        So it is where files are shown, removed or touched (`--summary`, `--report`, `--dag`, `--delete-all-output`,
        `--touch` …), where it is said what is run (`--forcerun` …), where it isn't enough that a result is there
        (without `ignore-incomplete`), where a logger draws the graph, and in a job of another engine.
        """
        workflow = self._workflow
        if not workflow.is_main_process or workflow.executor_plugin is None or workflow.touch:
            return True
        if any(getattr(workflow.dag_settings, name, None) for name in _ASKS_FOR_ALL):
            return True
        is_drawn = getattr(getattr(workflow, "logger_manager", None), "needs_rulegraph", False)
        return bool(is_drawn) or not getattr(workflow.execution_settings, "ignore_incomplete", True)

    def parted(self, targets: Sequence[str], since: float | None = None) -> tuple[list[str], list[str]]:
        """Part what a rule waits for into what is in the graph and what is left out.

        Args:
            targets: of experiments, or of the best ones of sweeps.
            since: when the rule's own files were written: what is newer is in the graph, where Snakemake sees that.
        """
        if not targets or self.is_whole:
            return [*targets], []
        left_out = [target for target in targets if self._is_left_out(target, since)]
        if self._has_other_rules:  # whatever needs a file of these stays: it may be made anew for what is DONE, too
            left_out = [target for target in left_out if not self._is_of_files(target)]
        if not left_out:
            return [*targets], []
        known = set(left_out)
        return [target for target in targets if target not in known], left_out

    def oldest(self, files: Iterable[str]) -> float | None:
        """Return when the first of some files was written; None where none is there."""
        return min((time for file in files if (time := self._time_of(file)) is not None), default=None)

    def _is_left_out(self, target: str, since: float | None) -> bool:
        time = self._time_of(target)
        return time is not None and (since is None or time <= since)

    def _time_of(self, file: str) -> float | None:
        try:
            status = os.lstat(file if file.startswith("/") else self._root + file)
        except OSError:
            return None
        # What else there may be (a folder, a link), Snakemake looks at by its own rules.
        return status.st_mtime if stat.S_ISREG(status.st_mode) else None

    @cached_property
    def _has_other_rules(self) -> bool:
        return any(rule.name not in _OUR_RULES for rule in getattr(self._workflow, "rules", ()))

    def _is_of_files(self, target: str) -> bool:
        """Return whether an experiment needs a file, itself or by what it needs."""
        found = self._needs_files.get(target)
        if found is None:
            self._needs_files[target] = found = False  # ends a circle, which a damaged manifest could hold
            if not is_winner_target(target):
                node = self._node_of(target)
                found = bool(node.files) or any(map(self._is_of_files, node.needs))
            self._needs_files[target] = found
        return found
