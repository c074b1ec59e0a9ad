"""`heyhi search`: a search on this terminal, by the words of a command line or those of a sweep file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from heyhi.cli.few_points import few_points_text
from heyhi.cli.launching import launch_selected
from heyhi.cli.profiles import check_profile, profile_for, profiles_of
from heyhi.cli.selection import Group, read_words, select
from heyhi.cli.whose import may_change
from heyhi.text import shell_line


def search(args: argparse.Namespace) -> int:
    """Run a search until its trials have ended."""
    from heyhi.errors import SweepError
    from heyhi.project import find_project

    project = find_project()
    check_profile(project, args)
    may_change(project, is_dry_run=args.dry_run)
    selection = select(project, args, default=True)
    for group in selection.groups:
        if group.search is None:
            raise SweepError(
                f"{' '.join(group.words)}: is no search: heyhi run or heyhi launch runs it; heyhi search takes a sweep"
                " file with SEARCH = heyhi.Search(…), or --cfg CFG with --space, --max or --min, and --trials",
                fix=shell_line(["heyhi", "run", *group.words]),
            )
    if args.profile is None:
        kinds = {kind for group in selection.groups for kind in profiles_of(group, selection)}
        if len(kinds) > 1:
            raise SweepError("some of these searches have a Slurm launcher and others have not: name them apart")
    for group in selection.groups:
        print(described(group), file=sys.stderr, flush=True)
    args.foreground = True
    return launch_selected(args, selection, profile_for(args, selection))


def described(group: Group) -> str:
    """Say in a line what is searched, by what, and by which word other commands name it."""
    search = group.search
    assert search is not None
    aim = f"{search.direction} {search.metric}"
    how = [search.sampler, *(["asha"] if search.stop is not None else [])]
    how += [f"{search.parallel} at once"] if search.parallel else []
    space = " ".join(f"{axis.key}={axis.text}" for axis in search.axes)
    base = " ".join([search.cfg, *search.overrides])
    trials = f"{search.trials} trial{'s' * (search.trials != 1)}"
    how += [text] if (text := few_points_text(search)) else []
    return f"searches/{search.search_id}: {aim} of {base} over {space}; {trials}, {', '.join(how)}"


def id_of(given: Sequence[tuple[str, str]]) -> str:
    """Return how commands name the search that words declare: `searches/ID`; empty where they declare none.

    Args:
        given: words and options in the order of the command line, each with its kind.
    """
    from heyhi.errors import HeyhiError
    from heyhi.project import find_project

    try:
        groups = read_words(find_project(), given).groups
    except HeyhiError:
        return ""
    search = groups[0].search if len(groups) == 1 else None
    return f"searches/{search.search_id}" if search is not None else ""
