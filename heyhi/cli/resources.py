"""Which experiments ask for Slurm and which don't, and what is said where a command would run them the other way.

The launcher of a config says what a job gets, the profile of a command where it runs.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.cli.ask import declines
from heyhi.errors import LauncherError, ModeError
from heyhi.profiles import uses_slurm
from heyhi.text import shell_line

if TYPE_CHECKING:
    from heyhi.cli.selection import Selection
    from heyhi.control.used_before import Starting
    from heyhi.slurm.request import JobRequest


def starting_of(selection: Selection, starting: Collection[str]) -> Iterator[Starting]:
    """Yield the experiments that would start, as they are composed.

    Args:
        selection: what is named.
        starting: exp paths of what of it would start.
    """
    from heyhi.control.used_before import Starting
    from heyhi.errors import ManifestError
    from heyhi.sweep.index import ManifestIndex
    from heyhi.sweep.manifest import Manifest

    left = set(starting)
    for group in selection.groups:
        if group.expansion is not None:
            for one in group.expansion.planned:
                if one.folder in left:
                    left.discard(one.folder)
                    task = getattr(selection.schema.parse_root(one.config), one.task)
                    yield Starting(group.project, one.exp_id, one.identity.cfg, task)
            continue
        manifests = [group.manifest] if group.manifest is not None else []
        if not manifests:
            index = ManifestIndex.open(group.project)
            paths = index.find_all(folder for folder in group.part.folders if folder in left)
            for path in dict.fromkeys(paths.values()):
                with contextlib.suppress(ManifestError):  # damaged: who runs what it has is told
                    manifests.append(Manifest.open(path))
        for manifest in manifests:
            for row in manifest.experiments():
                if str(row.exp_path) in left:
                    left.discard(str(row.exp_path))
                    task = getattr(manifest.schema().parse_root(row.config), row.task)
                    yield Starting(group.project, row.exp_id, row.identity.cfg, task)


def check_engine(args: argparse.Namespace, selection: Selection, starting: Collection[str], profile: Path) -> None:
    """Make sure that what is to start can, by a profile, before anything is written.

    Args:
        args: of the command.
        selection: what is named.
        starting: exp paths of what of it is to start.
        profile: Snakemake's.

    Raises:
        HeyhiError: jobs can't be handed over from here, or another engine can't run them, or what nobody asked for by
            `--profile` would run here.
    """
    from heyhi.cli.other_engine import check_other_engine
    from heyhi.slurm.reach import check_reachable

    if starting:
        check_other_engine(selection.project, starting_of(selection, starting), profile)
    if not starting or args.dry_run:
        return
    if uses_slurm(profile):
        same = "heyhi run --profile local, with the same words," if args.command == "launch" else "--profile local"
        check_reachable(f"{same} runs {'it' if len(starting) == 1 else 'them'} here")
    elif args.command == "run" and not args.is_profile_given:
        _refuse_slurm(selection, starting)


def _refuse_slurm(selection: Selection, starting: Collection[str]) -> None:
    """Refuse to run here what asks for Slurm.

    Raises:
        LauncherError: something does.
    """
    from heyhi.slurm.launcher import is_slurm

    asking = [one.exp_id for one in starting_of(selection, starting) if is_slurm(one.task)]
    if asking:
        who = asking[0] if len(starting) == 1 else f"{len(asking)} of {len(starting)} (the first {asking[0]})"
        words = shell_line(selection.words)
        raise LauncherError(
            f"{who}: the launcher is slurm: heyhi launch {words} hands over to Slurm; heyhi run --profile local with"
            " the same words runs here all the same"
        )


def agree_on_defaults(args: argparse.Namespace, selection: Selection, starting: Collection[str]) -> None:
    """Say what goes to Slurm though its launcher says nothing about it, with which resources; at a terminal, ask.

    Args:
        args: of the command.
        selection: what is named.
        starting: exp paths of what of it is to start.

    Raises:
        ModeError: nobody agreed.
    """
    from heyhi.slurm.launcher import is_local, is_slurm
    from heyhi.slurm.request import request_of

    kinds: dict[str, int] = {}
    demand: dict[JobRequest, int] = {}
    for one in starting_of(selection, starting):
        if not is_slurm(one.task):
            kind = "local" if is_local(one.task) else "none"
            kinds[kind] = kinds.get(kind, 0) + 1
            request = request_of(one.task)
            demand[request] = demand.get(request, 0) + 1
    if not kinds:
        return
    has_chunk = (selection.project.conf_root / "common/launcher/slurm.prototxt").is_file()
    print(_notice(kinds, demand, len(starting), "I.launcher=slurm sets resources" if has_chunk else ""), flush=True)
    if not (args.is_profile_given or args.dry_run or args.force) and declines("hand over to Slurm?"):
        raise ModeError("nothing was started")


def _notice(kinds: Mapping[str, int], demand: Mapping[JobRequest, int], starting: int, how: str) -> str:
    """Write the line about launchers that aren't Slurm's; it may end with how resources are set."""
    number = sum(kinds.values())
    of = f" of {number}" if number < starting else ""
    resources = described(max(demand, key=lambda request: demand[request]))
    more = f" (and {len(demand) - 1} more kind{'s' * (len(demand) > 2)})" if len(demand) > 1 else ""
    return (
        f"launcher: {' / '.join(kinds)}{of}: goes to Slurm at its defaults, {resources}{more}; heyhi run, with the same"
        f" words, runs it here{f'; {how}' if how else ''}"
    )


def described(request: JobRequest) -> str:
    """Write what a job gets in few words: `1 task, 1 CPU, 2 GB, 1 h, the default partition`."""
    cpus = request.cpus_per_task
    parts = [f"{request.tasks} task{'s' * (request.tasks != 1)}", f"{cpus} CPU{'s' * (cpus != 1)}"]
    parts += [f"{request.mem_gb_per_node:g} GB"] if request.mem_gb_per_node else []
    parts += [f"{request.hours:g} h", f"partition {request.partition}" if request.partition else "default partition"]
    return ", ".join(parts)
