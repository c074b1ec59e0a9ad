"""The removal of what a plan of `clean` has.

What goes is looked at again right before: only what is in a second plan just as it was in the first is removed. Files
of an experiment go while its claim is held, so that nobody starts it meanwhile. Nothing is reached through a symbolic
link.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from heyhi.control.clean import CleanPlan, Item, Kind
from heyhi.errors import HeyhiError
from heyhi.experiment.checkpoints import Checkpoint, Keep, Pattern, find_checkpoints
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.files import is_there, open_below, remove_below
from heyhi.project import Project
from heyhi.sweep.known import find_single


class Outcome(NamedTuple):
    """What came of a plan: what has gone, and what has not, and why."""

    gone: list[Item]
    problems: list[str]


def remove(project: Project, planned: CleanPlan, plan_again: Callable[[], CleanPlan], keep: Keep) -> Outcome:
    """Remove what a plan has, as far as another one, made now, has it just so.

    Args:
        project: whose results root it is.
        planned: what somebody agreed to.
        plan_again: makes such a plan anew.
        keep: which checkpoints stay.
    """
    gone: list[Item] = []
    problems: list[str] = []
    now = set(plan_again().items)
    left = [item for item in planned.items if item not in now]
    problems += [f"{item.name}: is left: it has changed since" for item in left]
    items = [item for item in planned.items if item in now]
    remover = _Remover(project, keep, gone, problems)
    for item in items:
        if item.kind in (Kind.TRASH, Kind.CODE, Kind.MANIFEST, Kind.NOTE):
            remover.remove(item)
    by_experiment: dict[str, list[Item]] = {}
    for item in items:
        if item.exp_path:
            by_experiment.setdefault(item.exp_path, []).append(item)
    for path, its in by_experiment.items():
        remover.remove_of(ExperimentDir(Path(path), project.results_root), its)
    return Outcome(gone, problems)


class _Remover:
    """Remove items, one by one, and note what came of each."""

    def __init__(self, project: Project, keep: Keep, gone: list[Item], problems: list[str]) -> None:
        self._project = project
        self._patterns = [Pattern(text) for text in project.settings.checkpoints]
        self._keep = keep
        self._gone = gone
        self._problems = problems

    def remove(self, item: Item) -> None:
        """Remove what belongs to no experiment."""
        try:
            if item.kind in (Kind.TRASH, Kind.NOTE):
                remove_below(item.root, item.path)
            elif not _removed_unless_used(item):
                self._problems.append(f"{item.name}: is left: somebody has just asked for it")
                return
            self._gone.append(item)
        except OSError as error:
            self._fail(item, error)

    def remove_of(self, folder: ExperimentDir, items: Iterable[Item]) -> None:
        """Remove what belongs to an experiment."""
        whole = [item for item in items if item.kind is Kind.EXPERIMENT]
        try:
            if whole:
                self._move(folder, whole[0])
            else:
                self._remove_checkpoints(folder, [*items])
        except HeyhiError as error:
            self._problems.append(str(error))
        except OSError as error:
            self._problems.append(f"{folder.exp_id}: can't be cleaned: {error.strerror or error}")

    def _move(self, folder: ExperimentDir, item: Item) -> None:
        identity = folder.read_identity()
        if identity is None or folder.wipe(identity) is None:
            self._problems.append(f"{item.name}: is gone by now")
            return
        self._gone.append(item)
        with contextlib.suppress(OSError):  # somebody is about to start it
            folder.path.rmdir()
            # What was launched with others is one of them still, and can be started again as such.
            if (record := self._singles.get(folder.exp_id)) is not None:
                record.unlink(missing_ok=True)

    @cached_property
    def _singles(self) -> dict[str, Path]:
        return find_single(self._project)

    def _remove_checkpoints(self, folder: ExperimentDir, items: Sequence[Item]) -> None:
        claim = Claim.acquire(folder.path, kind="controller")
        if not isinstance(claim, Claim):
            self._problems.append(f"{folder.exp_id}: is left: {claim.describe()} has it")
            return
        with claim:
            found = find_checkpoints(folder.path, self._patterns)
            free, _ = found.removable(self._keep, is_done=is_there(folder.result_path))
            allowed = {Checkpoint(one.path, one.tree) for one in free}
            for item in items:
                if not claim.is_held():
                    self._problems.append(f"{folder.exp_id}: is left: its claim was taken over")
                    return
                if Checkpoint(item.path.relative_to(folder.path).as_posix(), item.tree) not in allowed:
                    self._problems.append(f"{item.name}: is left: it has changed since")
                    continue
                try:
                    remove_below(item.root, item.path)
                    self._gone.append(item)
                except OSError as error:
                    self._fail(item, error)

    def _fail(self, item: Item, error: OSError) -> None:
        self._problems.append(f"{item.name}: can't be removed: {error.strerror or error}")


def _removed_unless_used(item: Item) -> bool:
    """Remove a copy of code or a manifest, unless it was asked for since it was planned to.

    Who asks for one touches it. It loses its name first: who asks before that has touched it, which is seen now, and
    it gets its name back; who asks later finds none, and makes it anew.
    """
    handle = open_below(item.root, item.path.parent)
    try:
        aside = f".{os.urandom(8).hex()}.tmp"
        os.rename(item.path.name, aside, src_dir_fd=handle, dst_dir_fd=handle)
        if os.lstat(aside, dir_fd=handle).st_mtime != item.made:
            with contextlib.suppress(OSError):  # there is a new one already
                os.rename(aside, item.path.name, src_dir_fd=handle, dst_dir_fd=handle)
                return False
    finally:
        os.close(handle)
    with contextlib.suppress(FileNotFoundError):  # who makes a copy removes such left-overs, too
        remove_below(item.root, item.path.with_name(aside))
    return True
