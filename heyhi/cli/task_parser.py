"""The parser of a task file's command line; an ordinary one is read without it, by `task_words`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from heyhi.cli.options import OVERRIDE_HELP, REDO, add_redo_arguments, in_given_order
from heyhi.config.identity import DEFAULT_PATTERN
from heyhi.errors import OverrideError, suggest
from heyhi.experiment.modes import DEFAULT_MODE, MODES
from heyhi.text import shell_line, shell_word

_EPILOG = """\
examples:
  python run.py --cfg conf/c02_sup_train/sl.prototxt                    run it, unless it ran or runs already
  python run.py --cfg conf/c02_sup_train/sl.prototxt lr=0.1 seed=3      change the config by overrides
  python run.py --cfg conf/c02_sup_train/sl.prototxt 'hidden_sizes=[64,64]' 'sgd={momentum: 0.5}'
  python run.py --cfg conf/c02_sup_train/sl.prototxt --print-flat       show the composed config, run nothing
  python run.py --cfg conf/c02_sup_train/sl.prototxt --adhoc lr=0.1     try something out, below adhoc/<date>
  python run.py --cfg conf/c02_sup_train/sl.prototxt --mode restart     wipe what is there and run it again
  python run.py --cfg conf/c02_sup_train/sl.prototxt I.launcher=slurm   submit it to Slurm, and return at once
"""


class _FirstCheckpoint(argparse.Action):
    """An option that the first HeyHi had, and that would silently be read as an override of a field of its name."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> NoReturn:
        raise OverrideError(
            "--checkpoint is no option any more: a launch on Slurm copies the code by itself, and --no-snapshot has the"
            f" job run the work tree; a field of that name is set without dashes: checkpoint={values}"
        )


def make_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """Make the parser of a task file's command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Run one experiment: a config, changed by overrides, in a folder of its own.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_config_arguments(parser, required=True)
    parser.add_argument(
        "--adhoc", action="store_true", help="put it below adhoc/<date>, each time in a folder of its own"
    )
    parser.add_argument("--mode", choices=MODES, help=f"what to do with what is there (default: {DEFAULT_MODE})")
    add_redo_arguments(parser, "it")
    parser.add_argument(
        "--continue-drifted",
        action="store_true",
        help="go on with another config than the metrics that are there were logged with; its row is marked as mixed",
    )
    show = parser.add_mutually_exclusive_group()
    show.add_argument("--print", action="store_true", help="print the composed config and stop")
    show.add_argument("--print-flat", action="store_true", help="print it as overrides that give the same config")
    show.add_argument("--print-flat-all", action="store_true", help="print it as overrides, defaults too")
    parser.add_argument(
        "--log-level", default="INFO", metavar="L", help="DEBUG, INFO, WARNING or ERROR (default: INFO)"
    )
    parser.add_argument(
        "--no-snapshot", action="store_true", help="a job runs the work tree as it is then, not a copy made now"
    )
    parser.add_argument("--checkpoint", action=_FirstCheckpoint, help=argparse.SUPPRESS)
    return parser


class Once(argparse.Action):
    """Keep the value of an option that may be given once: argparse itself would drop the first one of two."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Keep it, or end with an error."""
        before = getattr(namespace, self.dest)
        if before is not None and "_ARGCOMPLETE" not in os.environ:  # which reads the words several times
            parser.error(f"{option_string} is given twice, {before} and {values}: this runs one experiment")
        setattr(namespace, self.dest, values)


def add_config_arguments(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the arguments that name one experiment."""
    parser.add_argument(
        "-c", "--cfg", action=Once, required=required, metavar="CFG", help="config file (.prototxt may be left out)"
    )
    parser.add_argument(
        "--exp_id_pattern_override",
        "--out",
        action=Once,
        dest="pattern",
        metavar="P",
        help=f"exp id pattern, may be absolute (default: {DEFAULT_PATTERN.replace('%', '%%')})",
    )
    parser.add_argument("overrides", nargs="*", metavar="override", help=OVERRIDE_HELP)


def parse_with_overrides(parser: argparse.ArgumentParser, args: Sequence[str] | None) -> argparse.Namespace:
    """Parse arguments; what is no option of the parser and has a `=` is an override, a leading `--` or not.

    Raises:
        OverrideError: an option is unknown and no override.
    """
    # argparse would take an override behind it for its value.
    given = [f"{text}=config" if text == REDO else text for text in (sys.argv[1:] if args is None else args)]
    if not any(text in ("-h", "--help", "-c", "--cfg") or text.startswith(("--cfg=", "-c=")) for text in given):
        raise OverrideError(_which_config(given, parser))
    known, rest = parser.parse_known_intermixed_args(given)
    for text in rest:
        if "=" not in text:
            flags = [flag for action in parser._actions for flag in action.option_strings]
            raise OverrideError(
                f"unknown option '{text}'{suggest(text, flags)}: see --help; overrides are key=value, or --key=value"
            )
    known.overrides = in_given_order([*known.overrides, *rest], sys.argv[1:] if args is None else args)
    return known


def _which_config(args: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """Say that no config is named, and which word may be one; what stands behind an option is its value."""
    others = ("--config", "--config-name", "--config-file", "--conf", "-cn")
    takes_value = {flag: action.nargs != 0 for action in parser._actions for flag in action.option_strings}
    named = ""
    words: list[str] = []
    overrides: list[str] = []
    left = list(args)
    while left:
        text = left.pop(0)
        flag, has_value, value = text.partition("=")
        is_option = text.startswith("-")
        if is_option and not has_value and takes_value.get(flag, True) and left and not left[0].startswith("--"):
            value = left.pop(0)
        if flag in others:
            named = named or value
        elif flag.startswith("--") and flag not in takes_value:
            overrides += [f"{flag[2:]}={value}"] if value else []
        elif not is_option:
            (overrides if has_value else words).append(text)
    cfg = shell_word(named or next(iter(words), "CFG"))
    behind = shell_line(overrides or ["lr=0.1"])
    return f"which config? --cfg {cfg} names it; overrides stand behind it: --cfg {cfg} {behind}"
