"""`heyhi clean`: what of a results root nobody needs any more.

A plan says what is to go, and what stays and why: what is reached through a symbolic link, or is another user's, stays,
and so do the records of an experiment, unless the whole of it goes to the trash. What counts as needed is left to
`needed`, and removing what is planned to `removal`.
"""

from __future__ import annotations

import contextlib
import enum
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from heyhi.config.identity import TRASH_BESIDE
from heyhi.control.controller import find_controllers
from heyhi.control.needed import Needed, find_needed, needed_experiments
from heyhi.control.old_notes import find_old_notes
from heyhi.control.survey import Survey
from heyhi.control.telling import abandoned
from heyhi.errors import HeyhiError, UnknownError
from heyhi.experiment.checkpoints import Keep, Pattern, find_checkpoints
from heyhi.experiment.claim import read_owner
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import NOTES_NAME, STATE_NAME, Status
from heyhi.experiment.trash import TRASH_NAME, entries
from heyhi.files import Tree, measure
from heyhi.project import Project
from heyhi.sweep.manifest import SUFFIX

_YOUNG_SECONDS = 86_400.0  # a copy or manifest that was asked for this recently may be about to be used
_ABANDONED_SECONDS = 86_400.0  # whoever fills a trash, or makes a copy, for longer was killed


class Kind(enum.StrEnum):
    """What may be removed."""

    TRASH = "trash"
    CODE = "code"
    MANIFEST = "manifest"
    CHECKPOINT = "checkpoint"
    EXPERIMENT = "experiment"  # moved to the trash
    NOTE = "note"


class Item(NamedTuple):
    """Something that is to go.

    Attributes:
        kind: what it is.
        path: where it lies.
        root: folder above it from which on no link is followed.
        name: for people.
        tree: how much it is.
        made: when it came to be there, in seconds since 1970.
        exp_path: of the experiment that it belongs to; empty where it belongs to none.
    """

    kind: Kind
    path: Path
    root: Path
    name: str
    tree: Tree
    made: float
    exp_path: str = ""


class Left(NamedTuple):
    """Something that stays, and why."""

    kind: Kind
    name: str
    why: str


@dataclass
class CleanPlan:
    """What is to go, and what stays.

    Attributes:
        items: what goes.
        left: what stays.
    """

    items: list[Item] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def add(self, other: CleanPlan) -> None:
        """Take up another plan."""
        self.items += other.items
        self.left += other.left


def plan_rubbish(project: Project, *, older_than: float = 0.0) -> CleanPlan:
    """Find the trash, copies of code and manifests that nothing needs, and notes on what is gone.

    Args:
        project: whose results root is looked at.
        older_than: seconds for which something must have been in the trash.
    """
    survey = Survey.of_index(project)
    plan = CleanPlan()
    for trash, root in _trashes(project, survey):
        plan.add(_plan_trash(trash, root, older_than))
    needed = find_needed(project, survey)
    plan.add(_plan_kept(project, Kind.CODE, needed))
    plan.add(_plan_kept(project, Kind.MANIFEST, needed))
    plan.add(_plan_notes(project, survey))
    plan.add(_plan_told(project))
    return plan


def _trashes(project: Project, survey: Survey) -> list[tuple[Path, Path]]:
    """Return the trash of the results root, and those beside experiments, each with the folder that it is below."""
    root = project.results_root
    found = [(root / STATE_NAME / TRASH_NAME, root)]
    for parent in dict.fromkeys(map(os.path.dirname, survey.folders)):
        trash = Path(parent) / TRASH_BESIDE
        if os.path.lexists(trash):
            found.append((trash, root if trash.is_relative_to(root) else trash.parent))
    return found


def _plan_trash(trash: Path, root: Path, older_than: float) -> CleanPlan:
    plan = CleanPlan()
    now = time.time()
    if why := _out_of_reach(root, trash):
        plan.left.append(Left(Kind.TRASH, str(trash), why))
        return plan
    try:
        found = list(entries(trash))
    except OSError as error:
        plan.left.append(Left(Kind.TRASH, str(trash), f"can't be read: {error.strerror}"))
        return plan
    for entry in found:
        why = "wiped too recently" if entry.wiped > now - older_than else ""
        if entry.is_unfinished and entry.wiped > now - _ABANDONED_SECONDS:
            why = "being wiped just now"
        _add(plan, Kind.TRASH, entry.path, root, str(entry.path), entry.wiped, why)
    return plan


def _plan_kept(project: Project, kind: Kind, needed: Needed) -> CleanPlan:
    """Plan for the copies of code, or for the manifests."""
    plan = CleanPlan()
    folder = project.state_root / ("code" if kind is Kind.CODE else "manifests")
    why_each = needed.code if kind is Kind.CODE else needed.manifests
    if why := _out_of_reach(project.results_root, folder):
        plan.left.append(Left(kind, str(folder), why))
        return plan
    now = time.time()
    young = min(now, needed.since or now) - _YOUNG_SECONDS
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 (names are all that is asked)
    except FileNotFoundError:
        return plan
    except OSError as error:
        plan.left.append(Left(kind, str(folder), f"can't be read: {error.strerror}"))
        return plan
    for name in names:
        path = folder / name
        is_temp = name.startswith(".") and name.endswith(".tmp")
        if not (is_temp or (path.is_dir() if kind is Kind.CODE else name.endswith(SUFFIX))):
            continue
        with contextlib.suppress(FileNotFoundError):
            made = path.lstat().st_mtime
            why = needed.everything or ("" if is_temp else why_each.get(name, ""))
            # What is to be removed for good has a hidden name for a moment.
            why = why or ("made or asked for in the last day" if made > young else "")
            _add(plan, kind, path, project.results_root, name, made, why)
    return plan


def _plan_notes(project: Project, survey: Survey) -> CleanPlan:
    plan = CleanPlan()
    root = project.results_root
    found = find_old_notes(root, survey.folders)
    if found and (why := _out_of_reach(root, project.state_root / NOTES_NAME)):
        plan.left.append(Left(Kind.NOTE, str(project.state_root / NOTES_NAME), why))
        return plan
    for exp_id, path in found.items():
        with contextlib.suppress(FileNotFoundError):  # removed just now
            _add(plan, Kind.NOTE, path, root, f"note on {exp_id}", path.lstat().st_mtime, "")
    return plan


def _plan_told(project: Project) -> CleanPlan:
    """Plan for the addresses of those whom launches were to tell that nobody runs any more."""
    plan = CleanPlan()
    try:
        living = {one.name for one in find_controllers(project)}
    except UnknownError:
        return plan
    for path in abandoned(project, living):
        with contextlib.suppress(FileNotFoundError):
            name = f"addresses of {path.parts[-3]}, which nobody runs"
            _add(plan, Kind.NOTE, path, project.results_root, name, path.lstat().st_mtime, "")
    return plan


def plan_experiments(
    project: Project, folders: Sequence[str], survey: Survey, *, keep: Keep, whole: bool = False
) -> CleanPlan:
    """Find the checkpoints of some experiments that may go, or the experiments that may.

    Args:
        project: whose they are.
        folders: their exp paths.
        survey: of them and of all that are known, one of which may need one of them.
        keep: which checkpoints stay.
        whole: the experiments themselves.

    Raises:
        ProjectError: a pattern of the settings is none.
    """
    patterns = [Pattern(text) for text in project.settings.checkpoints]
    needed = needed_experiments(survey)
    root = project.results_root
    plan = CleanPlan()
    for path in folders:
        state = survey.others.get(path)
        status = Status.DONE if state is None else state.status
        folder = ExperimentDir(Path(path), root)
        if not os.path.lexists(path):
            continue
        kind = Kind.EXPERIMENT if whole else Kind.CHECKPOINT
        why = "" if not status.is_alive else status.value
        if status is Status.UNKNOWN:
            why = f"{status.value}: {state.reason if state is not None else ''}"
        why = why or needed.get(path, "") or _untouchable(folder)
        if why:
            plan.left.append(Left(kind, folder.exp_id, why))
        elif whole:
            _add_experiment(plan, folder)
        else:
            _add_checkpoints(plan, folder, patterns, keep, is_done=status is Status.DONE)
    return plan


def _untouchable(folder: ExperimentDir) -> str:
    """Return why nothing of an experiment may be removed, whatever its status."""
    root = _root_of(folder)
    try:
        if why := _out_of_reach(root, folder.path):
            return why
        if folder.path.stat().st_uid != os.getuid():
            return "another user's"
        owner = read_owner(folder.path)
        if owner is not None:
            return f"{owner.describe()} has it"
        return "" if folder.read_identity() is not None else "its folder says of no experiment"
    except OSError as error:
        return f"can't be read: {error.strerror}"
    except HeyhiError as error:
        return str(error)


def _root_of(folder: ExperimentDir) -> Path:
    """Return the folder from which on no link is followed: the results root, else what the experiment lies in."""
    root = folder.results_root
    return root if root is not None and folder.path.is_relative_to(root) else folder.path.parent


def _out_of_reach(root: Path, path: Path) -> str:
    """Return whether a folder is reached through a symbolic link; nothing where it isn't there."""
    place = str(root)
    for part in path.relative_to(root).parts:
        place = f"{place}/{part}"
        if os.path.islink(place):  # noqa: PTH114 (10,000 experiments: no Path for each step)
            return f"reached through the symbolic link {place}"
    return ""


def _add(plan: CleanPlan, kind: Kind, path: Path, root: Path, name: str, made: float, why: str) -> None:
    """Add a file or folder to what goes, or to what stays."""
    try:
        tree = measure(path)
    except OSError as error:
        plan.left.append(Left(kind, name, why or f"can't be read: {error.strerror}"))
        return
    why = why or ("" if tree.is_ours else "another user's")
    if why:
        plan.left.append(Left(kind, name, why))
    else:
        plan.items.append(Item(kind, path, root, name, tree, made))


def _add_experiment(plan: CleanPlan, folder: ExperimentDir) -> None:
    try:
        identity = folder.read_identity()
        assert identity is not None
        folder.check_wipe(identity)
        tree = measure(folder.path)
    except (HeyhiError, OSError) as error:
        plan.left.append(Left(Kind.EXPERIMENT, folder.exp_id, str(error)))
        return
    if not tree.is_ours:
        plan.left.append(Left(Kind.EXPERIMENT, folder.exp_id, "another user's"))
        return
    made = tree.changed / 1e9
    plan.items.append(Item(Kind.EXPERIMENT, folder.path, _root_of(folder), folder.exp_id, tree, made, str(folder.path)))


def _add_checkpoints(
    plan: CleanPlan, folder: ExperimentDir, patterns: Sequence[Pattern], keep: Keep, *, is_done: bool
) -> None:
    try:
        found, why = find_checkpoints(folder.path, patterns).removable(keep, is_done=is_done)
    except OSError as error:
        found, why = [], f"can't be read: {error.strerror}"
    if why:
        plan.left.append(Left(Kind.CHECKPOINT, folder.exp_id, why))
    for one in found:
        name = f"{folder.exp_id}/{one.path}"
        if not one.tree.is_ours:
            plan.left.append(Left(Kind.CHECKPOINT, name, "another user's"))
            continue
        path = folder.path / one.path
        plan.items.append(
            Item(Kind.CHECKPOINT, path, _root_of(folder), name, one.tree, one.tree.changed / 1e9, str(folder.path))
        )
