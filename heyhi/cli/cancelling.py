"""`heyhi cancel`: ends jobs, runs and controllers of what is named."""

from __future__ import annotations

import argparse

from heyhi.cli.ask import agrees
from heyhi.cli.json_cancel import give_cancelled
from heyhi.cli.selection import project_for, select
from heyhi.cli.whose import may_change


def cancel(args: argparse.Namespace) -> int:
    """End jobs, runs and controllers of what is named."""
    from heyhi.cli.choosing import Choice
    from heyhi.control.cancel import Canceller, describe, found_in, idle_lines, plan_cancel
    from heyhi.control.survey import Survey
    from heyhi.errors import HeyhiError

    here = project_for(args)
    selection = select(here, args)
    choice = Choice(selection, args.where)
    if args.all and (selection or args.where):
        raise HeyhiError("--all goes without anything named, and without --where: which is it?")
    if not args.all and not selection and not args.where:
        raise HeyhiError(
            "cancel what? Name targets, exp ids, jobs, a sweep file, a manifest or a config, choose by --where, or say"
            " --all"
        )
    plans = []
    for project in selection.projects:
        may_change(project, is_dry_run=args.dry_run)
    if args.all:
        plans.append((here, plan_cancel(here, Survey.of_index(here).folders, everything=True)))
    parts = [] if args.all else choice.parts()
    if not args.all and not any(part.folders for part in parts) and args.where:
        print(choice.none_text)
        give_cancelled((), dry_run=args.dry_run)
        return 0
    for project in dict.fromkeys(part.project for part in parts):
        folders = list(dict.fromkeys(path for part in parts if part.project == project for path in part.folders))
        # Who chooses some of a sweep leaves the others to its controller.
        whole = [] if args.where else [group for group in selection.groups if group.is_whole]
        sweeps = [group.sweep for group in whole if group.project == project]
        plans.append((project, plan_cancel(project, folders, sweeps=sweeps)))
    if args.dry_run:
        lines = [line for one in plans for line in (*describe(*one), *idle_lines(*one))]
        print("\n".join([*lines, "dry run: nothing was cancelled"]))
        give_cancelled((found for each in plans for found in found_in(*each)), dry_run=True)
        return 0
    size = sum(one.size for _, one in plans)
    if size > (0 if args.where else 1) and not args.force:
        lines = [line for one in plans for line in describe(*one)]
        agrees(
            f"{size} job{'s' * (size > 1)} or run{'s' * (size > 1)} would be cancelled",
            f"cancel {'them' if size > 1 else 'it'}?",
            lines,
            otherwise="nothing was cancelled",
            more=", or --dry-run to see them",
        )
    failed = False
    found = []
    for project, one in plans:
        canceller = Canceller(project)
        canceller.run(one)
        print("\n".join(canceller.lines))
        failed |= canceller.failed
        found += canceller.found
    give_cancelled(found, dry_run=False, failed=failed)
    return 1 if failed else 0
