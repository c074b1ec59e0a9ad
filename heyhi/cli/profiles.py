"""Snakemake's profile for what is named: the one that was given; of searches, by default, as their launcher says."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.cli.selection import Group, Selection
from heyhi.experiment.names import is_slot

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.config.schema import Schema
    from heyhi.project import Project
    from heyhi.sweep.manifest import Manifest

LOCAL, SLURM = "profiles/local", "profiles/slurm"


def check_profile(project: Project, args: argparse.Namespace) -> None:
    """Refuse a profile that there isn't, before anything is composed.

    Raises:
        HeyhiError: there is none of that name.
    """
    from heyhi.control.controller import find_profile

    if args.profile is not None:
        find_profile(project, args.profile)


def profile_for(args: argparse.Namespace, selection: Selection) -> Path:
    """Return the profile by which what is named runs, and note it in the arguments.

    Args:
        args: of the command; its profile is None where none was given.
        selection: what is named.

    Raises:
        HeyhiError: there is no such profile.
    """
    from heyhi.control.controller import find_profile

    if args.profile is None:
        kinds = {kind for group in selection.groups for kind in profiles_of(group, selection)}
        args.profile = LOCAL if kinds == {LOCAL} else SLURM
    return find_profile(selection.project, args.profile)


def profiles_of(group: Group, selection: Selection) -> list[str]:
    """Return the profiles that go with a group: of a search or its slots, by the base's launcher; else Slurm's."""
    if group.search is not None and group.expansion is not None:
        return [_of_expansion(group, selection.schema)]
    if group.search is not None and group.manifest is not None:
        return [_of_manifest(group.manifest)]
    slots = [path for path in group.part.folders if is_slot(path)] if not group.is_whole else []
    if slots and len(slots) == len(group.part.folders):
        return [_of_manifest(manifest) for manifest in selection.manifests_to_run(slots)]
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
