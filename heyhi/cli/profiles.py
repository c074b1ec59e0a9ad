"""Snakemake's profile for what is named: the one that was given; of searches, by default, as their launcher says."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.cli.selection import Group, Selection
from heyhi.errors import HeyhiError
from heyhi.experiment.names import is_slot
from heyhi.profiles import LOCAL, SLURM, find_profile, uses_slurm
from heyhi.text import shell_line

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.config.schema import Schema
    from heyhi.project import Project
    from heyhi.sweep.expand import Expansion
    from heyhi.sweep.manifest import Manifest


def check_profile(project: Project, args: argparse.Namespace) -> None:
    """Refuse a profile that there isn't, before anything is composed.

    Raises:
        HeyhiError: there is none of that name.
    """
    if args.profile is not None:
        find_profile(project, args.profile)


def profile_for(args: argparse.Namespace, selection: Selection, starting: Sequence[str] = ()) -> Path:
    """Return the profile by which what is named runs, and note it in the arguments, with whether it was given.

    Args:
        args: of the command; its profile is None where none was given.
        selection: what is named.
        starting: folders of what of it starts again, those of slots where these are started.

    Raises:
        HeyhiError: there is no such profile, or some of what starts again ran here and others by Slurm.
    """
    args.is_profile_given = args.profile is not None
    if args.profile is None:
        args.profile = LOCAL if args.command == "run" else default_profile(selection, starting)
    return find_profile(selection.project, args.profile)


def default_profile(selection: Selection, starting: Sequence[str] = ()) -> str:
    """Return the name of the profile by which what is named runs where none is given.

    Args:
        selection: what is named.
        starting: as `profile_for` has it.
    """
    if starting:
        return _of_last_time(starting, selection)
    kinds = {kind for group in selection.groups for kind in profiles_of(group, selection)}
    return LOCAL if kinds == {LOCAL} else SLURM


def start_command(selection: Selection) -> str:
    """Return the command that starts what is named as it was run last; what wasn't run yet, its launcher tells."""
    from heyhi.control.last_profile import launched_by, start_words
    from heyhi.slurm.launcher import is_local

    project = selection.project
    found = launched_by(project, [path for part in selection.parts() for path in part.folders])
    if found is not None:
        return shell_line(start_words(project, found))
    expansions = [group.expansion for group in selection.groups if group.expansion is not None]
    is_here = bool(expansions) and all(is_local(_first_task(one, selection.schema)) for one in expansions)
    return f"heyhi {'run' if is_here else 'launch'}"


def _of_last_time(folders: Sequence[str], selection: Selection) -> str:
    """Name the profile by which experiments were run last; of what no launch is on record, that of its launcher.

    Raises:
        HeyhiError: some ran here and others by Slurm.
    """
    from heyhi.control.last_profile import last_profiles

    project = selection.project
    by_profile: dict[str, list[str]] = {}
    known = last_profiles(project, folders)
    for folder in folders:
        by_profile.setdefault(_of_today(known.get(folder, ""), project), []).append(folder)
    for kind, its in _by_launchers(by_profile.pop("", []), selection).items():
        by_profile.setdefault(kind, []).extend(its)
    kinds: dict[str, list[str]] = {}
    for profile, its in by_profile.items():
        kinds.setdefault(SLURM if uses_slurm(find_profile(project, profile)) else LOCAL, []).extend(its)
    if len(kinds) > 1:
        here, there = len(kinds[LOCAL]), len(kinds[SLURM])
        raise HeyhiError(
            f"by which profile? {here} of these ran here, and {there} by Slurm: --profile local or --profile slurm"
            " starts them all by one, and words or --where choose some of them",
            key="--profile",
            fix="--profile local",
        )
    return next(iter(by_profile)) if len(by_profile) == 1 else next(iter(kinds))


def _of_today(profile: str, project: Project) -> str:
    """Return the name of a profile on record, by which it is found today; empty where there is none any more."""
    if not profile:
        return ""
    try:
        place = find_profile(project, profile)
    except HeyhiError:
        return ""
    names = (LOCAL, SLURM)
    return next((name for name in names if find_profile(project, name).resolve() == place.resolve()), profile)


def _by_launchers(folders: Sequence[str], selection: Selection) -> dict[str, list[str]]:
    """Part experiments by the profiles of their launchers; one that has none goes where its last attempt ran."""
    from heyhi.experiment.folder import ExperimentDir
    from heyhi.slurm.launcher import is_local, is_slurm

    found: dict[str, list[str]] = {}
    for folder in filter(is_slot, folders):
        (kind,) = _of_folders([folder], selection)
        found.setdefault(kind, []).append(folder)
    others = [folder for folder in folders if not is_slot(folder)]
    tasks = {}
    if others:
        for one in selection.composed_again(others, is_look=True).planned:
            tasks[one.folder] = getattr(selection.schema.parse_root(one.config), one.task)
    for folder in others:
        task = tasks.get(folder)
        if task is not None and (is_local(task) or is_slurm(task)):
            kind = _by_launcher(task)
        else:
            kind = SLURM if ExperimentDir(Path(folder)).history().submission is not None else LOCAL
        found.setdefault(kind, []).append(folder)
    return found


def profiles_of(group: Group, selection: Selection) -> list[str]:
    """Name the profiles that go with a group: of a search or its slots, by the base's launcher; else Slurm's."""
    if group.search is not None and group.expansion is not None:
        return [_of_expansion(group, selection.schema)]
    if group.search is not None and group.manifest is not None:
        return [_of_manifest(group.manifest)]
    return [SLURM] if group.is_whole else _of_folders(group.part.folders, selection)


def _of_folders(folders: Sequence[str], selection: Selection) -> list[str]:
    if folders and all(map(is_slot, folders)):
        return [_of_manifest(manifest) for manifest in selection.manifests_to_run(folders)]
    return [SLURM]


def _of_expansion(group: Group, schema: Schema) -> str:
    assert group.expansion is not None
    return _by_launcher(_first_task(group.expansion, schema))


def _first_task(expansion: Expansion, schema: Schema) -> Message:
    one = next(p for p in expansion.planned if p.exp_id == expansion.own[0])
    task: Message = getattr(schema.parse_root(one.config), one.task)
    return task


def _of_manifest(manifest: Manifest) -> str:
    row = manifest.experiment(manifest.targets[0])
    return _by_launcher(manifest.task_message(row.task, row.config))


def _by_launcher(task: Message) -> str:
    from heyhi.slurm.launcher import is_slurm

    return SLURM if is_slurm(task) else LOCAL
