"""What `heyhi run` does where it starts nothing: print the table of what is done, or wait for whoever runs it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heyhi.cli.selection import Selection


def print_tables(selection: Selection) -> None:
    """Print the table of what is named, and refresh its files, as the end of a run does.

    Args:
        selection: what is named.

    Raises:
        HeyhiError: something can't be read or written; what can be written is.
    """
    from heyhi.cli.reporting import plain_report

    plain_report(selection.project, selection.sources())


def wait_for_others(selection: Selection) -> int:
    """Show how far others are with what is named until nothing is to come any more, then its table.

    Args:
        selection: what is named.

    Returns:
        exit code: 1 where something isn't done then.
    """
    from heyhi.cli.looking import commands_for
    from heyhi.control.watch import DEFAULT_SECONDS, watch

    print("waiting for it (Ctrl-C ends only the waiting)", file=sys.stderr, flush=True)
    code = watch(selection.survey, DEFAULT_SECONDS, commands_for(selection))
    print_tables(selection)
    return code
