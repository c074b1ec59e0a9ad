"""The command `heyhi`, from its arguments to its exit code; its commands stand in launching.py and looking.py."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from heyhi.cli.parser import Given, make_parser, parse


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: arguments; default: sys.argv's.

    Returns:
        exit code: 0; 1 where something is not as asked (`status`: an experiment is dead); 2 for a wrong command.
    """
    given = list(sys.argv[1:] if args is None else args)
    is_asked_by_shell = "_ARGCOMPLETE" in os.environ
    command = next((word for word in given if not word.startswith("-")), "")
    parser = make_parser(None if is_asked_by_shell else command)
    if is_asked_by_shell:
        from heyhi.cli.completion import complete

        complete(parser, Given)
    from heyhi.errors import reporting_errors

    try:
        with reporting_errors():
            return _run(parse(parser, given))
    except SystemExit as stop:
        if stop.code == 2:
            _spoil_targets(given)
        raise


def _run(args: argparse.Namespace) -> int:
    """Run a command; the commands are imported now, which `heyhi --help` can do without."""
    if args.command in ("expand", "plan", "launch", "cancel", "retry"):
        from heyhi.cli import launching

        return {
            "expand": launching.expand,
            "plan": launching.plan,
            "launch": launching.launch,
            "cancel": launching.cancel,
            "retry": launching.retry,
        }[args.command](args)
    if args.command == "clean":
        from heyhi.cli.cleaning import clean

        return clean(args)
    if args.command == "note":
        from heyhi.cli.noting import note

        return note(args)
    from heyhi.cli import looking

    return {
        "": looking.version_or_help,
        "status": looking.status,
        "logs": looking.logs,
        "report": looking.report,
        "sheets": looking.sheets,
        "print": looking.show_config,
        "describe": looking.describe_config,
        "diff": looking.compare,
        "protos": looking.protos,
        "init": looking.init_project,
        "completion": looking.completion,
    }[args.command](args)


def _spoil_targets(args: Sequence[str]) -> None:
    """Print a target that nothing makes: `snakemake $(heyhi expand …)` with a typo must not run the default sweep."""
    prints_targets = args[:1] == ["expand"] and not {"--json", "--manifest"} & set(args)
    if prints_targets and not sys.stdout.isatty():
        print("heyhi-expand-failed")


if __name__ == "__main__":
    sys.exit(main())
