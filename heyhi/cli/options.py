"""Options that `heyhi` and a task file's command line have in common; nothing here imports more than argparse."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Literal

REDO = "--redo-drifted"
ALL_RANKS = "all"  # for --rank
OVERRIDE_HELP = "key=value, list=[a,b], message={field: value}, list+=[c], or I.mount=path for an include"


def add_redo_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the options by which DONE experiments are made anew.

    Args:
        parser: of a command that starts experiments.
        what: they are called in the help.
    """
    parser.add_argument(
        REDO, nargs="?", const="config", default="", metavar="=code|stale|continue",
        choices=("config", "code", "stale", "continue"),
        help=f"wipe {what} and run {what} again where DONE with another config than today's; =code: or by other code;"
        " =stale: or of an earlier result of a need;"
        " =continue: go on from the files instead, as --continue-drifted does (more epochs; the old result is kept)",
    )  # fmt: skip
    parser.add_argument("--force", "-y", action="store_true", help="don't ask")


def redo_in(args: argparse.Namespace) -> bool | Literal["code", "continue", "stale"]:
    """Return what is to be made anew by the options that were given."""
    given: dict[str, bool | Literal["code", "continue", "stale"]] = {
        "": False,
        "config": True,
        "code": "code",
        "continue": "continue",
        "stale": "stale",
    }
    return given[args.redo_drifted]


def continues_in(args: argparse.Namespace) -> bool:
    """Return whether what was begun with another config goes on, by the options that were given."""
    return bool(args.continue_drifted) or redo_in(args) == "continue"


def in_given_order(overrides: Sequence[str], args: Sequence[str]) -> list[str]:
    """Put overrides, of which a parser sets those with a leading `--` apart, in the order of the command line."""
    left = Counter(overrides)
    ordered = []
    for text in args:
        if left[text] > 0:
            left[text] -= 1
            ordered.append(text)
    return ordered
