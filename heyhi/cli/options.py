"""Options that `heyhi` and a task file's command line have in common; nothing is imported for them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import argparse

REDO = "--redo-drifted"
NOTIFY, NOBODY = "--notify", "none"
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


def add_unattended_arguments(parser: argparse.ArgumentParser, *, is_foreground: bool) -> None:
    """Add what a launch does while nobody looks; see `heyhi.cli.unattended`.

    Args:
        parser: of a command that starts experiments.
        is_foreground: whether it stays itself until all is over.
    """
    options = parser.add_argument_group("while nobody looks (heyhi docs unattended)")
    if not is_foreground:
        options.add_argument(
            "--controller", choices=("local", "slurm", "none"),
            help="who stays until all is over: a process here, a small job on the cluster, or nobody: each job then"
            " sees to its own retries (default: [tool.heyhi] controller, else local)",
        )  # fmt: skip
        options.add_argument(
            "--workers", type=_number_of("jobs"), metavar="N",
            help="have N jobs run them all, one after another each, until nothing or no time is left",
        )  # fmt: skip
    options.add_argument(
        "--canary", type=_number_of("experiments"), nargs="?", const=1, default=0, metavar="=N",
        help="start N experiments first (1), and the others when these have logged a line or are DONE",
    )  # fmt: skip
    options.add_argument(
        NOTIFY, type=_whom, action="append", default=[], metavar="WHOM",
        help="send a message on the first death and at the end: to a URL (Slack, Mattermost, Discord, ntfy),"
        " mail:ADDRESS, command:COMMAND, or whom env:NAME has; none: to nobody; may be repeated (default: [tool.heyhi]"
        " notify)",
    )  # fmt: skip
    options.add_argument(
        "--max-gpu-hours", type=_hours, metavar="N", help="start nothing more once N GPU-hours were used"
    )


def _number_of(what: str) -> Callable[[str], int]:
    def number(text: str) -> int:
        import argparse  # who calls has loaded it

        if not (text.isdecimal() and 0 < int(text) < 1e6):
            raise argparse.ArgumentTypeError(f"expected a number of {what}, such as 4, not '{text}'")
        return int(text)

    return number


def _whom(text: str) -> str:
    from heyhi.errors import NotifyError
    from heyhi.notify.whom import check

    try:
        if text != NOBODY:
            check(text)
    except NotifyError as error:
        raise NotifyError(f"{NOTIFY}: {error}") from None
    return text


def _hours(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (hours := float(text)) < 1e9:
            return hours
    import argparse  # who calls has loaded it

    raise argparse.ArgumentTypeError(f"expected a number of hours above 0, such as 200, not '{text}'")


def redo_in(args: argparse.Namespace | SimpleNamespace) -> bool | Literal["code", "continue", "stale"]:
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
