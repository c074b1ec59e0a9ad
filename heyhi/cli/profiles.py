"""Snakemake's profile for what is named: the one that was given; of searches, by default, as their launcher says."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.cli.selection import Group, Selection
from heyhi.experiment.names import is_slot
from heyhi.profiles import LOCAL, SLURM, find_profile

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.config.schema import Schema
    from heyhi.project import Project
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
        starting: folders of what of it starts, those of slots where these are started; for who chooses among
            experiments, or among all that are known.

    Raises:
        HeyhiError: there is no such profile.
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
    if starting and not (selection and selection.is_whole):
        kinds = set(_of_folders(starting, selection))
    else:
        kinds = {kind for group in selection.groups for kind in profiles_of(group, selection)}
    return LOCAL if kinds == {LOCAL} else SLURM


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
    one = next(p for p in group.expansion.planned if p.exp_id == group.expansion.own[0])
    return _by_launcher(getattr(schema.parse_root(one.config), one.task))


def _of_manifest(manifest: Manifest) -> str:
    row = manifest.experiment(manifest.targets[0])
    return _by_launcher(manifest.task_message(row.task, row.config))


def _by_launcher(task: Message) -> str:
    from heyhi.slurm.request import is_slurm

    return SLURM if is_slurm(task) else LOCAL
