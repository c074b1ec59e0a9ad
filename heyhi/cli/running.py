"""`heyhi run`: what words name, run here and now, with progress and the table at the end."""

from __future__ import annotations

import argparse

from heyhi.cli.launching import launch_selected
from heyhi.cli.profiles import check_profile, profile_for
from heyhi.cli.selection import select
from heyhi.cli.whose import may_change


def run(args: argparse.Namespace) -> int:
    """Run what is named on this terminal until all is over.

    Returns:
        exit code: 0 where all is DONE, 1 where something isn't, 130 after Ctrl-C.
    """
    from heyhi.project import find_project

    project = find_project()
    check_profile(project, args)
    may_change(project, is_dry_run=args.dry_run)
    selection = select(project, args, default=True)
    return launch_selected(args, selection, profile_for(args, selection))
