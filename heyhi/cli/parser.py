"""The arguments of `heyhi`, and how they are parsed; nothing here imports more than argparse."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from heyhi.cli.launching import _cancel, _expand, _launch, _plan, _retry
from heyhi.cli.looking import (
    _completion,
    _describe,
    _diff,
    _init,
    _logs,
    _print,
    _protos,
    _report,
    _sheets,
    _status,
    _version_or_help,
)

_EPILOG = """\
examples:
  heyhi expand conf/c02_sup_train/rs_yolo_01_example.py          one target a line; composes and checks all
  heyhi expand --cfg c02_sup_train/sl --sweep lr=0.1,0.01 --sweep 'seed=range(3)'
  snakemake --profile profiles/local $(heyhi expand --cfg c02_sup_train/sl lr=0.1)
  heyhi plan conf/c02_sup_train/rs_yolo_01_example.py            what a launch would do
  heyhi launch conf/c02_sup_train/rs_yolo_01_example.py          run it all, on Slurm; outlives the terminal
  heyhi status                                                   how every known experiment is
  heyhi report --sort=-val_accuracy.best                         the sweep's table, best first
  heyhi print c02_sup_train/sl lr=0.1 --flat                     a composed config, as overrides
  heyhi describe c02_sup_train/sl launcher                       fields, types, defaults, comments
"""
_SWEEP_EPILOG = """\
values of --sweep:
  lr=0.1,0.01                          a list
  seed=range(3)                        range([start,]stop[,step])
  lr=loguniform(1e-4,1e-1,n=5)         n drawn values, others with seed=…; also uniform(low,high,n=…), choice(a,b,n=…)
several --sweep make a grid; --zip pairs their values
"""


def parse(parser: argparse.ArgumentParser, args: Sequence[str] | None) -> argparse.Namespace:
    """Parse arguments; overrides may stand anywhere after the command, with a leading `--` or not."""
    from heyhi.errors import OverrideError, suggest

    given = _joined_sorts(sys.argv[1:] if args is None else args)
    parsed, rest = parser.parse_known_args(given)
    if rest and not hasattr(parsed, "words"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    for text in rest:
        if text.startswith("-") and "=" not in text:
            flags = [flag for action in parsed.parser._actions for flag in action.option_strings]
            raise OverrideError(f"unknown option '{text}'{suggest(text, flags)}: see heyhi {parsed.command} --help")
    watched = getattr(parsed, "every", None)
    if isinstance(watched, str):  # `--watch SWEEP.py`: argparse takes the next word, whatever it is
        rest, parsed.every = [watched, *rest], 0.0
    if rest:
        from heyhi.cli.task import in_given_order

        parsed.words = in_given_order([*parsed.words, *rest], given)
    return parsed


def _joined_sorts(args: Sequence[str]) -> list[str]:
    """Write `--sort -loss` as `--sort=-loss`: argparse takes what begins with a dash for an option."""
    found: list[str] = []
    for text in args:
        if found and found[-1] == "--sort" and text.startswith("-") and not text.startswith("--"):
            found[-1] = f"--sort={text}"
        else:
            found.append(text)
    return found


def make_parser() -> argparse.ArgumentParser:
    """Make the parser; nothing that it does imports more than argparse."""
    parser = argparse.ArgumentParser(
        prog="heyhi",
        description="Compose, check, plan and follow experiments; `snakemake --profile profiles/local` runs them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    parser.set_defaults(handler=_version_or_help, command="", parser=parser)
    commands = parser.add_subparsers(metavar="COMMAND")

    def command(
        name: str, handler: Callable[[argparse.Namespace], int], text: str, epilog: str | None = None
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        made.set_defaults(handler=handler, command=name, parser=made)
        return made

    expand = command("expand", _expand, "compose and check a sweep, print a target a line", _SWEEP_EPILOG)
    _add_sweep_arguments(expand)
    show = expand.add_mutually_exclusive_group()
    show.add_argument("--manifest", action="store_true", help="print the manifest's path instead of the targets")
    show.add_argument("--json", action="store_true", help="print the experiments as JSON")

    plan = command(
        "plan",
        _plan,
        "show what a launch would do: new, done, running, dead, blocked, drifted",
        _SWEEP_EPILOG,
    )
    _add_sweep_arguments(plan)
    plan.add_argument(
        "--mode", default="start_continue", help="what to do with what is there (default: start_continue)"
    )
    plan.add_argument("--all", action="store_true", help="list every experiment")
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")

    status = command(
        "status",
        _status,
        "show how experiments are: all that were ever expanded, or those of a sweep",
        _SWEEP_EPILOG,
    )
    _add_sweep_arguments(status)
    status.add_argument("--drift", action="store_true", help="also tell which would be composed otherwise today")
    status.add_argument("--all", action="store_true", help="list every experiment")
    status.add_argument("--json", action="store_true", help="print as JSON")
    status.add_argument(
        "--watch", dest="every", nargs="?", const=0.0, type=_seconds_or_word, metavar="SECONDS",
        help="a live table, until all are done, dead or blocked",
    )  # fmt: skip
    status.add_argument("--job", metavar="ID", help="which experiments a job of Slurm's runs or ran, and how they are")

    launch = command(
        "launch", _launch, "run a sweep by a controller that goes on after log-out; on Slurm unless told otherwise",
        _SWEEP_EPILOG,
    )  # fmt: skip
    _add_sweep_arguments(launch)
    _add_launch_arguments(launch)

    logs = command("logs", _logs, "print an experiment's log")
    logs.add_argument("target", metavar="TARGET", help="target, exp path, exp id, or id of a job")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the experiment is over")
    logs.add_argument("-n", "--lines", type=_count, metavar="LINES", help="only so many of the last ones")

    cancel = command(
        "cancel", _cancel, "end jobs, local runs and controllers; nothing is wiped, a launch goes on with them"
    )
    _add_sweep_arguments(cancel)
    cancel.add_argument("--all", action="store_true", help="everything of this results root")
    cancel.add_argument("--force", "-y", action="store_true", help="don't ask before several jobs are cancelled")
    cancel.add_argument("--dry-run", action="store_true", help="only say what would be cancelled")

    retry = command("retry", _retry, "start experiments that are dead again, with the files that they left")
    _add_sweep_arguments(retry)
    retry.add_argument("--dead", action="store_true", help="those that are DEAD, and what is BLOCKED by them")
    _add_launch_arguments(retry)

    report = command(
        "report", _report, "gather sweeps into one table, and write it where people look at it", _REPORT_EPILOG
    )
    _add_sweep_arguments(report)
    report.add_argument(
        "--sort", action="append", default=[], metavar="KEY", help="sort by a column, -KEY downward; may be repeated"
    )
    report.add_argument("--columns", metavar="A,B", help="only these columns, in this order")
    report.add_argument(
        "--group-by", nargs="?", const="", metavar="FIELDS",
        help="put seeds together: mean ± standard error (default fields: [tool.heyhi] replicate)",
    )  # fmt: skip
    report.add_argument("--best", metavar="KEY", help="only the best row by this column")
    report.add_argument("--per", metavar="A,B", help="with --best: the best row for each combination of these columns")
    report.add_argument("--pivot", nargs=3, metavar=("ROWS", "COLUMNS", "KEY"), help="a table of two keys")
    report.add_argument("--needs", action="store_true", help="also the columns of what each experiment needs")
    report.add_argument("--drift", action="store_true", help="also what would be composed otherwise today")
    report.add_argument(
        "--to", action="append", default=[], type=Path, metavar="FILE",
        help="write this .csv, .xlsx, .parquet or .html instead of those of [tool.heyhi] reports; may be repeated",
    )  # fmt: skip
    report.add_argument("--sheet", nargs=2, metavar=("FILE", "TAB"), help="Google spreadsheet and worksheet")
    report.add_argument("--watch", type=_seconds, metavar="SECONDS", help="again and again, this long after another")

    sheets = command("sheets", _sheets, "log in to Google Sheets, or check that an export would work")
    sheets.add_argument("what", choices=("login", "check"), help="what to do")
    sheets.add_argument("file", nargs="?", default="", metavar="FILE", help="check: spreadsheet that is to be written")

    show_config = command("print", _print, "print a composed config")
    show_config.add_argument("cfg", metavar="CFG", help="config file (.prototxt may be left out)")
    show_config.add_argument("words", nargs="*", metavar="override", help="key=value, or I.mount=path for an include")
    flat = show_config.add_mutually_exclusive_group()
    flat.add_argument("--flat", action="store_true", help="as overrides that give the same config")
    flat.add_argument("--flat-all", action="store_true", help="as overrides, defaults too")

    describe = command("describe", _describe, "print the fields of a config's task, with types, defaults and comments")
    describe.add_argument("cfg", nargs="?", metavar="CFG", help="config file; default: list the tasks")
    describe.add_argument("key", nargs="?", metavar="KEY", help="only below this key")

    diff = command("diff", _diff, "compare two experiments: configs and results")
    diff.add_argument("a", metavar="A", help="target, exp path or exp id")
    diff.add_argument("b", metavar="B", help="another one")

    protos = command("protos", _protos, "write conf_pb2.py and type stubs, for people who want them")
    protos.add_argument("--out", type=Path, metavar="DIR", help="where to (default: the project root)")

    init = command("init", _init, "make a new project that runs at once")
    init.add_argument("folder", type=Path, metavar="DIR", help="folder to make")

    completion = command(
        "completion", _completion, 'print the shell\'s completion script: eval "$(heyhi completion bash)"'
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell")
    return parser


_REPORT_EPILOG = """\
examples:
  heyhi report                                        the sweep of [tool.heyhi]: table, CSV and page
  heyhi report SWEEP.py --sort=-val_accuracy.best     the best first
  heyhi report SWEEP.py --group-by                    seeds put together
  heyhi report SWEEP.py --best val_accuracy --per batch_size
  heyhi report SWEEP.py --pivot lr batch_size val_loss --to table.xlsx
  heyhi report --cfg c02_sup_train/sl --sweep lr=0.1,0.01 --sweep 'seed=range(3)' epochs=3
  heyhi report SWEEP.py --watch 600 --sheet "My runs" digits
"""


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(text)) < 1e7:
            return seconds
    raise argparse.ArgumentTypeError(f"expected seconds, such as 600, not {text!r}")


def _seconds_or_word(text: str) -> float | str:
    try:
        return _seconds(text)
    except argparse.ArgumentTypeError:
        with contextlib.suppress(ValueError):
            float(text)
            raise  # a number, but none that can be waited for
        return text


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, such as 20, not '{text}'")
    return int(text)


def _add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile", default="profiles/slurm", metavar="P", help="Snakemake's profile (default: profiles/slurm)"
    )
    parser.add_argument("--no-snapshot", action="store_true", help="jobs run the work tree's code, not a copy of it")
    parser.add_argument("--foreground", action="store_true", help="on this terminal, until all is over")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be started")


def _add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="SWEEP.py | MANIFEST | override",
        help="a sweep file, or (with --cfg) key=value; default: the sweep of [tool.heyhi]",
    )
    parser.add_argument("--cfg", metavar="CFG", help="config file (.prototxt may be left out)")
    parser.add_argument(
        "--sweep", action="append", default=[], metavar="KEY=VALUES", help="sweep a key; may be repeated"
    )
    parser.add_argument("--zip", action="store_true", help="pair the values of several --sweep instead of a grid")
    parser.add_argument("--adhoc", action="store_true", help="put them below adhoc/<date>")
    parser.add_argument(
        "--exp_id_pattern_override",
        "--out",
        dest="pattern",
        metavar="P",
        help="exp id pattern, may be absolute",
    )
