"""`heyhi search`: a search on this terminal, by the words of a command line or those of a sweep file."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from heyhi.cli.launching import launch_selected
from heyhi.cli.selection import Group, select
from heyhi.cli.whose import may_change

if TYPE_CHECKING:
    from heyhi.config.schema import Schema


def search(args: argparse.Namespace) -> int:
    """Run a search until its trials have ended."""
    from heyhi.control.controller import find_profile
    from heyhi.errors import SweepError
    from heyhi.project import find_project

    project = find_project()
    if args.profile is not None:
        find_profile(project, args.profile)  # a wrong one is said before anything is composed
    may_change(project, is_dry_run=args.dry_run)
    selection = select(project, args, default=True)
    for group in selection.groups:
        if group.search is None:
            raise SweepError(
                f"{' '.join(group.words)}: is no search: heyhi launch runs it; heyhi search takes a sweep file with"
                " SEARCH = heyhi.Search(…), or --cfg CFG with --space, --max or --min, and --trials"
            )
    if args.profile is None:
        kinds = {_profile_of(group, selection.schema) for group in selection.groups}
        if len(kinds) > 1:
            raise SweepError("some of these searches have a Slurm launcher and others have not: name them apart")
        args.profile = kinds.pop()
    for group in selection.groups:
        print(described(group), file=sys.stderr, flush=True)
    args.foreground = True
    return launch_selected(args, selection, find_profile(project, args.profile))


def described(group: Group) -> str:
    """Say in a line what is searched, by what, and by which word other commands name it."""
    search = group.search
    assert search is not None
    aim = f"{search.direction} {search.metric}"
    how = [search.sampler, *(["asha"] if search.stop is not None else [])]
    how += [f"{search.parallel} at once"] if search.parallel else []
    space = " ".join(f"{axis.key}={axis.text}" for axis in search.axes)
    base = " ".join([search.cfg, *search.overrides])
    return f"searches/{search.search_id}: {aim} of {base} over {space}; {search.trials} trials, {', '.join(how)}"


def _profile_of(group: Group, schema: Schema) -> str:
    """Return the profile that goes with the launcher of a search's base config."""
    from heyhi.slurm.request import is_slurm

    if group.expansion is not None:
        one = next(p for p in group.expansion.planned if p.exp_id == group.expansion.own[0])
        task = getattr(schema.parse_root(one.config), one.task)
    else:
        assert group.manifest is not None
        row = group.manifest.experiment(group.manifest.targets[0])
        task = group.manifest.task_message(row.task, row.config)
    return "profiles/slurm" if is_slurm(task) else "profiles/local"
