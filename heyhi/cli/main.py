"""The command `heyhi`, from its arguments to its exit code; its commands stand in launching.py and looking.py."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from heyhi.cli.parser import make_parser, parse


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: arguments; default: sys.argv's.

    Returns:
        exit code: 0; 1 where something is not as asked (`status`: an experiment is dead); 2 for a wrong command.
    """
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:
        from heyhi.cli.completion import complete

        complete(parser)
    from heyhi.errors import reporting_errors

    try:
        with reporting_errors():
            parsed = parse(parser, args)
            handler: Callable[[argparse.Namespace], int] = parsed.handler
            return handler(parsed)
    except SystemExit as stop:
        if stop.code == 2:
            _spoil_targets(list(sys.argv[1:] if args is None else args))
        raise


def _spoil_targets(args: Sequence[str]) -> None:
    """Print a target that nothing makes: `snakemake $(heyhi expand …)` with a typo must not run the default sweep."""
    prints_targets = args[:1] == ["expand"] and not {"--json", "--manifest"} & set(args)
    if prints_targets and not sys.stdout.isatty():
        print("heyhi-expand-failed")


if __name__ == "__main__":
    sys.exit(main())
