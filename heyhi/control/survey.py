"""How many experiments are, as people and JSON are told: counts, a line for each, and which have drifted.

The rule for a status is `status`'s.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.experiment.names import CLAIM_NAME, JOB_NAME, Status
from heyhi.experiment.status import State, Statuses
from heyhi.project import Project
from heyhi.sweep.target import _folders, _target

if TYPE_CHECKING:
    from heyhi.config.schema import Schema
    from heyhi.sweep.expand import Expansion
    from heyhi.sweep.index import ManifestIndex
    from heyhi.sweep.manifest import Manifest

_MAX_LISTED = 40  # rows of a list that isn't asked for in full
_MAX_KEYS = 6  # drifted keys that a line names


class Row(NamedTuple):
    """How one experiment is, and where."""

    exp_id: str
    exp_path: str
    status: Status
    reason: str = ""

    @property
    def state(self) -> State:
        """How it is."""
        return State(self.status, self.reason)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "exp_id": self.exp_id,
            "exp_path": self.exp_path,
            "status": self.status.value,
            "reason": self.reason,
            "job_id": self.job_id,
        }

    @property
    def text(self) -> str:
        """The row as a line: status, exp id, reason, and the job where there was one."""
        job = self.job_id
        told = f"  (job {job})" if job and f"job {job}" not in self.reason else ""
        return f"{self.status.value:<11} {self.exp_id}{f'  {self.reason}' if self.reason else ''}{told}"

    @property
    def job_id(self) -> str:
        """Id of the last job that had it; empty where there was none, or it was run without one since."""
        if not any(os.access(f"{self.exp_path}/{name}", os.F_OK) for name in (JOB_NAME, CLAIM_NAME)):
            return ""
        from heyhi.errors import UnknownError
        from heyhi.experiment.status import find_job_id

        with contextlib.suppress(UnknownError):  # which its status says
            return find_job_id(self.exp_path)
        return ""


class Survey:
    """How many experiments are, each after what it needs where they come from a sweep.

    Args:
        project: where they are.
        folders: exp path of each.
        others: exp path -> status and reason, of those that are not DONE. Most are, and cost nothing more than a look.
        configs: exp path -> serialised root message as it is composed today, where the caller has it.
        needs_of: returns the exp paths that an experiment needs itself, by its own.
    """

    def __init__(
        self,
        project: Project,
        folders: list[str],
        others: Mapping[str, tuple[Status, str]],
        configs: Mapping[str, bytes] | None = None,
        needs_of: Callable[[str], Sequence[str]] = lambda _: (),
    ) -> None:
        self.project = project
        self.folders = folders
        self.others = others
        self.configs = configs or {}
        self.needs_of = needs_of

    @classmethod
    def of_expansion(cls, project: Project, expansion: Expansion) -> Survey:
        """Look at a sweep's experiments and what they need."""
        planned = {p.folder: p for p in expansion.planned}

        def needs(path: str) -> Sequence[str]:
            return planned[path].needs if path in planned else ()

        configs = {folder: p.config for folder, p in planned.items()}
        return cls(project, list(planned), _not_done(project, list(planned), needs), configs, needs)

    @classmethod
    def of_manifest(cls, project: Project, manifest: Manifest) -> Survey:
        """Look at the experiments of a manifest."""
        root = str(project.root)

        def needs(path: str) -> list[str]:
            return _folders(root, manifest.needs(_target(root, path)))

        folders = _folders(root, manifest.all_targets)
        return cls(project, folders, _not_done(project, folders, needs), needs_of=needs)

    @classmethod
    def of_index(cls, project: Project) -> Survey:
        """Look at every experiment that was ever expanded into this results root."""
        from heyhi.sweep.index import ManifestIndex

        index = ManifestIndex.open(project)
        return cls._of_known(project, index, _folders(str(project.root), index.targets()))

    @classmethod
    def of_folders(cls, project: Project, folders: Sequence[str]) -> Survey:
        """Look at some experiments; what they need is looked up in the manifests that they were expanded into."""
        from heyhi.sweep.index import ManifestIndex

        return cls._of_known(project, ManifestIndex.open(project), list(folders))

    @classmethod
    def _of_known(cls, project: Project, index: ManifestIndex, folders: list[str]) -> Survey:
        from heyhi.sweep.manifest import Manifest

        root = str(project.root)
        opened: dict[Path, Manifest] = {}

        def needs(path: str) -> list[str]:
            target = _target(root, path)
            manifest = index.find(target)
            if manifest is None:
                return []
            if manifest not in opened:
                opened[manifest] = Manifest.open(manifest)
            return _folders(root, opened[manifest].needs(target))

        return cls(project, folders, _not_done(project, folders, needs), needs_of=needs)

    @cached_property
    def rows(self) -> list[Row]:
        """One an experiment."""
        return self._rows_of(self.folders)

    @property
    def not_done(self) -> list[Row]:
        """Those that aren't done, what needs attention first."""
        return sorted(self._rows_of(self.others), key=lambda row: row.status.urgency)

    def _rows_of(self, folders: Iterable[str]) -> list[Row]:
        results = f"{self.project.results_root}/"
        done = (Status.DONE, "")
        return [Row(path.removeprefix(results), path, *self.others.get(path, done)) for path in folders]

    @property
    def counts(self) -> dict[Status, int]:
        """How many experiments have each status."""
        found = Counter(status for status, _ in self.others.values())
        found[Status.DONE] = len(self.folders) - len(self.others)
        return {status: found[status] for status in sorted(found, key=lambda s: s.urgency) if found[status]}

    def blocked_by(self, folders: Iterable[str]) -> list[str]:
        """Return the exp paths of those that are BLOCKED by some, directly or by others between."""
        blocking = set(folders)
        found = []
        for path in self.folders:
            if self.others.get(path, (Status.DONE, ""))[0] is Status.BLOCKED and self._needs_one(path, blocking):
                found.append(path)
        return found

    def _needs_one(self, path: str, wanted: set[str]) -> bool:
        seen, left = set[str](), [path]
        while left:
            for need in self.needs_of(left.pop()):
                if need in wanted:
                    return True
                if need not in seen:
                    seen.add(need)
                    left.append(need)
        return False

    @property
    def dead(self) -> list[Row]:
        """Those that are DEAD."""
        return self._rows_of(path for path, (status, _) in self.others.items() if status is Status.DEAD)

    @property
    def has_trouble(self) -> bool:
        """Whether some experiment is dead, or nobody knows how it is."""
        return any(status.is_trouble for status, _ in self.others.values())

    def drift(self, schema: Schema) -> dict[str, list[str]]:
        """Compare what each started experiment was composed to with what it would be today.

        Returns:
            exp id -> lines `key: then -> now`, for those that differ.
        """
        from heyhi.sweep.drift import DriftCheck

        check = DriftCheck(self.project, schema)
        started = (row for row in self.rows if row.status.is_started)
        found = {row.exp_id: check.drift(Path(row.exp_path), self.configs.get(row.exp_path)) for row in started}
        return {exp_id: lines for exp_id, lines in found.items() if lines}

    def render(self, drift: Mapping[str, list[str]], *, everything: bool = False) -> str:
        """Write counts, then a line for each experiment that isn't done (or all of them)."""
        if not self.folders:
            return "no experiments yet: `heyhi expand` makes some known"
        lines = ["  ".join(f"{status.value} {n}" for status, n in self.counts.items())]
        if drift:
            lines[0] += f"  drifted {len(drift)}"
        some = self.rows if everything or drift else self._rows_of(self.others)
        wanted = [r for r in some if everything or r.status is not Status.DONE or r.exp_id in drift]
        wanted.sort(key=lambda row: row.status.urgency)
        shown = wanted if everything else wanted[:_MAX_LISTED]
        for row in shown:
            lines.append(row.text)
            keys = drift.get(row.exp_id, [])
            more = f" (and {len(keys) - _MAX_KEYS} more)" if len(keys) > _MAX_KEYS else ""
            if keys:
                lines.append(f"{'':<11} drifted: {'; '.join(keys[:_MAX_KEYS])}{more}")
        if len(shown) < len(wanted):
            lines.append(f"… and {len(wanted) - len(shown)} more (--all lists them)")
        return "\n".join(lines)


def _not_done(project: Project, folders: Sequence[str], needs_of: Callable[[str], Sequence[str]]) -> dict[str, State]:
    return Statuses(folders, needs_of=needs_of, results_root=project.results_root).not_done()
