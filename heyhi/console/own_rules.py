"""What became of the jobs of a project's own rules: which experiments wait in vain for files that they were to make."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from heyhi.experiment.given_files import NOT_THERE, why_missing
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import folder_of


class _Job(NamedTuple):
    rule: str
    outputs: frozenset[str]
    logs: str = ""  # that say something of how it failed

    @property
    def text(self) -> str:
        return f"rule {self.rule} has failed{f', log: {self.logs}' if self.logs else ''}"


class OwnRules:
    """The jobs of one run that are of none of HeyHi's rules.

    Args:
        root: of the project.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._jobs: dict[int, _Job] = {}
        self._failed: dict[int, _Job] = {}

    def start(self, record: Any) -> None:
        """Note a job by what Snakemake says of it."""
        outputs = frozenset(os.path.normpath(str(name)) for name in getattr(record, "output", None) or ())
        self._jobs[int(record.jobid)] = _Job(str(record.rule_name), outputs)

    def finish(self, number: int) -> None:
        """Note that one has ended well, perhaps after it had failed."""
        self._failed.pop(number, None)

    def fail(self, record: Any) -> None:
        """Note that one has failed, by what Snakemake says of that."""
        job = self._jobs.get(int(record.jobid))
        if job is not None:
            logs = [self._root / str(name) for name in getattr(record, "log", None) or ()]
            said = [os.path.relpath(log, self._root) for log in logs if _has_content(log)]
            self._failed[int(record.jobid)] = job._replace(logs=", ".join(said))

    @property
    def has_failed(self) -> bool:
        """Whether one has failed for good."""
        return bool(self._failed)

    def blocked(self, files: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
        """Say which experiments wait for what wasn't made.

        Args:
            files: by exp path, what each needs.

        Returns:
            why -> their exp paths.
        """
        found: dict[str, list[str]] = {}
        for folder, names in files.items() if self._failed else ():
            missing = [name for name in names if why_missing(name, self._root) == NOT_THERE]
            if missing:
                found.setdefault(self._why(missing[0]), []).append(folder)
        return found

    def _why(self, name: str) -> str:
        # A rule that was to make what another one reads keeps that from running, too.
        its = [job for job in self._failed.values() if name in job.outputs] or [*self._failed.values()]
        more = f", and {len(its) - 1} more" if len(its) > 1 else ""
        return f"{name} was not made: {its[0].text}{more}"


def _has_content(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.stat().st_size > 0
    return False


def read_files(asked: Iterable[tuple[str, Manifest]]) -> dict[str, tuple[str, ...]]:
    """Read which files experiments need, by their exp paths.

    Args:
        asked: targets, each with its manifest.
    """
    targets: dict[int, tuple[Manifest, set[str]]] = {}
    for target, manifest in asked:
        targets.setdefault(id(manifest), (manifest, set()))[1].add(target)
    return {
        folder_of(node.target, manifest.project_root): node.files
        for manifest, its in targets.values()
        for node in manifest.nodes()
        if node.files and node.target in its
    }
