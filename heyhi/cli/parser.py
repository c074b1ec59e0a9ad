"""The arguments of `heyhi`, and how they are parsed; nothing here imports more than argparse."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from heyhi.cli.options import (
    ALL_RANKS,
    NOTIFY,
    OVERRIDE_HELP,
    add_redo_arguments,
    add_unattended_arguments,
    in_given_order,
)
from heyhi.cli.overview import DESCRIPTION, USAGE, overview

_WORDS_EPILOG = """\
words, any number of them, in any mixture:
  conf/c02_sup_train/rs_yolo_01_example.py        a sweep file
  results/.heyhi/manifests/NAME.sqlite            a manifest, as `heyhi expand --manifest` prints it
  p/c02_sup_train/sl/lr=0.1_…                     an experiment: exp id, exp path or target
  4711                                            a job of Slurm's: its experiments
  c02_sup_train/sl lr=0.1 --sweep 'seed=range(3)' a config, bare or behind --cfg; overrides, --sweep, --zip, --adhoc
                                                  and --out belong to the config before them
values of --sweep:
  lr=0.1,0.01                          a list
  hidden_sizes=[64],[64,64]            whole lists, or messages: sgd={momentum: 0.9},{momentum: 0.5}
  seed=range(3)                        range([start,]stop[,step])
  lr=loguniform(1e-4,1e-1,n=5)         n drawn values, others with seed=…; also uniform(low,high,n=…), choice(a,b,n=…)
several --sweep make a grid; --zip lr=0.1,0.2 --zip batch_size=16,32 pairs values inside it, --zip alone all of them
"""


_ZIP = "--zip"
_SPACE = "--space"
_WORD = "--WORD"  # hidden: what a command looks at, a word each, so that argparse keeps their order among the options


def parse(parser: argparse.ArgumentParser, args: Sequence[str] | None) -> argparse.Namespace:
    """Parse arguments; words and overrides may stand anywhere after the command, overrides with a leading `--` or not.

    Raises:
        OverrideError: an option is unknown, and no override; or the command takes none.
    """
    given = list(sys.argv[1:] if args is None else args)
    _check_command(parser, given)
    chosen = _command_in(parser, given)
    if chosen is not None:
        place, command = chosen
        given = [*given[: place + 1], *_with_words_as_options(command, given[place + 1 :])]
    parsed, rest = parser.parse_known_args(given)
    parsed.argv = _for_records(sys.argv[1:] if args is None else args)
    if rest and not hasattr(parsed, "words"):
        if "parser" in parsed and "=" in rest[0] and not rest[0].startswith("-"):
            from heyhi.errors import OverrideError

            raise OverrideError(
                f"{parsed.parser.prog} takes no overrides, and '{rest[0]}' is one: `heyhi print CFG OVERRIDE …`"
                " prints what a config is with them"
            )
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    for text in rest:
        _check_option(parsed.parser, text)
    if rest:
        parsed.words = in_given_order([*parsed.words, *rest], given)
    return parsed


def _for_records(args: Sequence[str]) -> list[str]:
    """Return a command line as others may read it: whom it has told is nobody else's business."""
    if not any(word.startswith(NOTIFY) for word in args):
        return list(args)
    from heyhi.notify.whom import without_addresses

    return without_addresses(args, NOTIFY)


def _check_command(parser: argparse.ArgumentParser, args: list[str]) -> None:
    """Refuse a command that there isn't, and say which one may have been meant; `print --cfg CFG` is `print CFG`.

    Raises:
        HeyhiError: so it is.
    """
    choices = next(a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    place = next((at for at, text in enumerate(args) if not text.startswith("-")), len(args))
    if place < len(args) and args[place] in choices:
        if args[place] in ("print", "describe"):
            behind = (text.removeprefix("--cfg=") for text in args[place + 1 :] if text != "--cfg")
            args[place + 1 :] = behind
        return
    if place < len(args) and not {"-h", "--help", "--version"} & set(args[:place]):
        from heyhi.cli.habits import missing_command
        from heyhi.cli.json_failure import UsageError
        from heyhi.errors import nearest

        near = nearest(args[place], choices)
        text = missing_command(args, args[place], list(choices))
        raise UsageError(text, key=args[place], nearest=near, fix=near[0] if near else "")


def _command_in(parser: argparse.ArgumentParser, args: Sequence[str]) -> tuple[int, argparse.ArgumentParser] | None:
    """Return where the command stands and its parser, if it is one that takes words."""
    for place, text in enumerate(args):
        if not text.startswith("-"):
            choices = next(a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
            command = choices.get(text)
            takes_words = command is not None and _WORD in command._option_string_actions
            return (place, command) if command is not None and takes_words else None
    return None


def _with_words_as_options(command: argparse.ArgumentParser, args: Sequence[str]) -> list[str]:
    """Write each word as the value of a hidden option, and each value of an option as a part of it.

    argparse forgets where a word stood among the options, takes the next word for the value of an option that may have
    one (`--watch SWEEP.py`), and a value that begins with a dash (`--sort -loss`) for an option.
    """
    options = command._option_string_actions
    if not any(text == _SPACE or text.startswith(f"{_SPACE}=") for text in args):
        # Of a config that isn't searched, `--seed=1` is an override.
        args = [f"{_WORD}={text}" if "=" in text and text.partition("=")[0] in _SEARCHING else text for text in args]
    found: list[str] = []
    of_search = ""  # the first option of a search that the command hasn't
    left = list(args)
    while left:
        text = left.pop(0)
        name, equals, value = text.partition("=")
        action = options.get(name)
        if text == "--":
            found += [f"{_WORD}={word}" for word in left]
            break
        if action is None and name in _SEARCHING:
            of_search = of_search or name
            found.append(f"{name}={value if equals or not left else left.pop(0)}")
            continue
        if action is None and text.startswith("-") and text != "-" and text[:2] not in options:
            _check_option(command, text)
        if action is None and (not text.startswith("-") or (text[:2] not in options and "=" in text)):
            found.append(f"{_WORD}={text}")
        elif action is None or equals or action.nargs == 0 or not left:
            found.append(text)
        elif "--canary" in action.option_strings and left[0].isdecimal():
            from heyhi.errors import OverrideError

            number = left[0]
            raise OverrideError(f"{text} {number}: a number stands behind =: {text}={number}", key=number)
        elif action.nargs == "?":
            found.append(f"{text}={left.pop(0)}" if _is_value(action, left[0]) else text)
        elif isinstance(action.nargs, int):
            found += [text, *left[: action.nargs]]
            del left[: action.nargs]
        else:
            found.append(text if left[0] in options else f"{text}={left.pop(0)}")
    if of_search:
        _refuse_search(command, of_search, found)
    return found


def _refuse_search(command: argparse.ArgumentParser, option: str, found: Sequence[str]) -> NoReturn:
    """Refuse words that declare a search, and say by which ones the command takes it, if that can be said."""
    from heyhi.cli.searching import id_of
    from heyhi.errors import OverrideError
    from heyhi.text import shell_line

    given: list[tuple[str, str]] = []
    others: list[str] = []
    for text in found:
        name, _, value = text.partition("=")
        if name in (_WORD, "--cfg") or name in _SEARCHING:
            given.append((name[2:].lower().replace("-", "_"), value))
        else:
            others.append(text)
    name, known = command.prog.rpartition(" ")[2], id_of(given)
    typed = shell_line(["heyhi", name, known, *others]) if known else ""
    how = f": {typed}" if known else ", which heyhi plan with these words names"
    raise OverrideError(f"'{option}': heyhi {name} takes a search as searches/ID{how}", key=option, fix=typed)


def _is_value(action: argparse.Action, text: str) -> bool:
    """Return whether the word behind an option that may have a value is its value."""
    if action.choices is not None or str(action.metavar).startswith("="):
        return False  # it is written with a `=`
    if _ZIP in action.option_strings:
        key, equals, _ = text.partition("=")
        return bool(equals) and "/" not in key and not text.startswith("-")
    if action.type is _seconds:
        with contextlib.suppress(ValueError):
            float(text)
            return True
        return False
    is_word = "/" in text or "=" in text or text.isdecimal() or text.endswith((".py", ".sqlite", ".prototxt"))
    return not text.startswith("-") and not is_word


def _check_option(command: argparse.ArgumentParser, text: str) -> None:
    from heyhi.errors import OverrideError, suggest

    if text.startswith("-") and "=" not in text:
        flags = [flag for action in command._actions for flag in action.option_strings if flag != _WORD]
        name = command.prog.rpartition(" ")[2]
        raise OverrideError(f"unknown option '{text}'{suggest(text, flags)}: see heyhi {name} --help", key=text)


class Parser(argparse.ArgumentParser):
    """A parser that says in JSON, too, what it can't read."""

    def error(self, message: str) -> NoReturn:
        """Say what can't be read, with exit code 2.

        Raises:
            UsageError: the command is to answer in JSON.
        """
        from heyhi.cli.json_answer import owes_json

        if not owes_json():
            super().error(message)
        from heyhi.cli.json_failure import UsageError

        caught = sys.exc_info()[1]  # argparse gives its error as text only
        option = caught.argument_name if isinstance(caught, argparse.ArgumentError) else None
        raise UsageError(f"{self.prog}: {message}", key=(option or "").rpartition("/")[2]) from None

    def _check_value(self, action: argparse.Action, value: object) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            from heyhi.cli.json_answer import owes_json

            if not owes_json():
                raise
            from heyhi.cli.json_failure import UsageError
            from heyhi.errors import nearest

            known = map(str, action.choices or ())
            raise UsageError(f"{self.prog}: {error}", key=str(value), nearest=nearest(str(value), known)) from None


class Given(argparse.Action):
    """Keep a word, or an option of a config, in the order of the command line (`given`), and under its own name."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Keep one of them."""
        text = values if isinstance(values, str) else ""
        namespace.given = [*namespace.given, (self.dest, text)]
        if self.dest == "sweep":
            namespace.sweep = [*namespace.sweep, text]
        else:
            setattr(namespace, self.dest, text if self.nargs is None else True)


class _Overview(Parser):
    """The parser of `heyhi`, whose help has the commands by what one does with them."""

    def format_help(self) -> str:
        """Write it."""
        (commands,) = (action for action in self._actions if isinstance(action, argparse._SubParsersAction))
        helps = {one.dest: one.help or "" for one in commands._choices_actions}
        return f"usage: {USAGE}\n\n{self.description}\n\n{overview(helps)}"


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Make the parser; nothing that it does imports more than argparse.

    Args:
        only: command whose arguments are asked for; others' are left out, which takes a tenth of `heyhi status`.
    """
    parser = _Overview(prog="heyhi", description=DESCRIPTION)
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    parser.set_defaults(command="", parser=parser)
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)

    def command(name: str, text: str, epilog: str | None = None) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        made.set_defaults(command=name, parser=made)
        return made

    expand = command("expand", "compose and check a sweep, print a target a line", _WORDS_EPILOG)
    if only in (None, "expand"):
        _add_words(expand, default="the sweep of [tool.heyhi]")
        _add_search_arguments(expand)
        show = expand.add_mutually_exclusive_group()
        show.add_argument("--manifest", action="store_true", help="print the manifest's path instead of the targets")
        _add_json(show, "the experiments")

    plan = command(
        "plan",
        "show what a launch would do: new, done, running, dead, blocked, drifted",
        _WORDS_EPILOG,
    )
    if only in (None, "plan"):
        _add_words(plan, default="the sweep of [tool.heyhi]")
        _add_search_arguments(plan)
        plan.add_argument(
            "--mode", default="start_continue", help="what to do with what is there (default: start_continue)"
        )
        plan.add_argument("--all", action="store_true", help="list every experiment")
        _add_json(plan)

    status = command(
        "status",
        "show how experiments are: all that were run or launched, or those of a sweep",
        _WORDS_EPILOG,
    )
    if only in (None, "status"):
        _add_words(status, default="all that are known")
        _add_where(status)
        status.add_argument(
            "--sweeps", action="store_true", help="list what was launched, when and by which words, and how it is"
        )
        status.add_argument("--drift", action="store_true", help="also what was made with another config or code")
        status.add_argument("--all", action="store_true", help="list every experiment")
        _add_json(status)
        status.add_argument(
            "--watch", dest="every", nargs="?", const=0.0, type=_seconds, metavar="SECONDS",
            help="a live list, until nothing changes by itself any more; exit code 1 where something isn't done then",
        )  # fmt: skip
        status.add_argument(
            "--job", metavar="ID", help="which experiments a job of Slurm's runs or ran, and how they are"
        )

    launch = command(
        "launch",
        "run a sweep by a controller that goes on after log-out; on Slurm unless told otherwise",
        _WORDS_EPILOG,
    )  # fmt: skip
    if only in (None, "launch"):
        _add_words(launch, default="the sweep of [tool.heyhi]")
        _add_search_arguments(launch)
        _add_launch_arguments(launch)
        _add_json(launch, "what was started")

    run = command("run", "run a sweep, a config or some experiments here, and print their table", _RUN_EPILOG)
    if only in (None, "run"):
        _add_words(run, default="the sweep of [tool.heyhi]")
        _add_search_arguments(run)
        _add_launch_arguments(run, profile="local", foreground=False)
        _add_json(run, "what was run, and how it ended")
        run.set_defaults(foreground=True)

    search = command(
        "search",
        "search a space for the best point, each trial an experiment; on this terminal, until all have ended",
        _SEARCH_EPILOG,
    )
    if only in (None, "search"):
        _add_words(search, default="the sweep of [tool.heyhi]")
        _add_search_arguments(search)
        search.add_argument(
            "--profile", metavar="P",
            help="Snakemake's profile: local or slurm (default: as the launcher of the config says)",
        )  # fmt: skip
        search.add_argument(
            "--no-snapshot", action="store_true", help="jobs run the work tree's code, not a copy of it"
        )
        search.add_argument("--dry-run", action="store_true", help="only say what would be started")
        _add_json(search, "how it has ended")
        add_unattended_arguments(search, is_foreground=True)
        search.set_defaults(jobs=None, continue_drifted=False, redo_drifted="", force=False, foreground=True)

    logs = command("logs", "print an experiment's log", _WORDS_EPILOG)
    if only in (None, "logs"):
        _add_words(logs, default="none")
        logs.add_argument("-f", "--follow", action="store_true", help="go on until the experiment is over")
        logs.add_argument("-n", "--lines", type=_count, metavar="LINES", help="only so many of the last ones")
        logs.add_argument("--rank", type=_rank, metavar="N", help="that of a rank; all: of each, with its number")
        logs.add_argument("--attempt", type=_count, metavar="N", help="only what this attempt has written")
        logs.add_argument(
            "--error", action="store_true",
            help="why it is dead: its last traceback, of the rank that failed first; of several experiments each reason"
            " once (default: all that are known)",
        )  # fmt: skip

    serve = command("serve", "a page of experiments in a browser, live", _SERVE_EPILOG + _WORDS_EPILOG)
    if only in (None, "serve"):
        _add_words(serve, default="all that are known")
        serve.add_argument(
            "--port", type=_port, metavar="N",
            help="listen at this port, 0 for any (default: from 20000 to 29999, the same for the same words)",
        )  # fmt: skip
        serve.add_argument(
            "--host", default="127.0.0.1", metavar="ADDRESS",
            help="listen at this address of this machine; 0.0.0.0: at all, for whoever reaches it and has the token"
            " (default: 127.0.0.1, which no other machine reaches)",
        )  # fmt: skip
        serve.add_argument("--open", action="store_true", help="open it in a browser of this machine")
        serve.add_argument("--child", action="store_true", help=argparse.SUPPRESS)  # of a notebook: heyhi.show

    cancel = command(
        "cancel",
        "end jobs, local runs and controllers; nothing is wiped, a launch goes on with them",
        _WORDS_EPILOG,
    )
    if only in (None, "cancel"):
        _add_words(cancel, default="none, see --all; with --where all that are known")
        _add_where(cancel)
        cancel.add_argument("--all", action="store_true", help="everything of this results root")
        cancel.add_argument(
            "--force", "-y", action="store_true",
            help="don't ask before several jobs are cancelled, or what --where chose",
        )  # fmt: skip
        cancel.add_argument("--dry-run", action="store_true", help="only say what would be cancelled")
        _add_json(cancel, "what was ended")

    retry = command(
        "retry",
        "start experiments that are dead again, with the files that they left; or what has drifted anew",
        _WORDS_EPILOG,
    )
    if only in (None, "retry"):
        _add_words(retry, default="all that are known")
        _add_where(retry)
        _add_json(retry, "what was started")
        retry.add_argument(
            "--dead", action="store_true",
            help="those that are DEAD, and what is BLOCKED by them; so does --where where nothing else is asked for",
        )  # fmt: skip
        _add_launch_arguments(retry)

    clean = command(
        "clean",
        "remove the trash, what nothing needs any more, and chosen checkpoints",
        _CLEAN_EPILOG + _WORDS_EPILOG,
    )
    if only in (None, "clean"):
        _add_words(clean, default="none: trash, copies, manifests and notes")
        _add_where(clean)
        clean.add_argument(
            "--keep", choices=("last", "best", "none"),
            help="which of the checkpoints stay that a pattern of [tool.heyhi] checkpoints matches (default: last)",
        )  # fmt: skip
        clean.add_argument(
            "--experiments", action="store_true", help="move the chosen experiments to the trash, with their records"
        )
        clean.add_argument(
            "--older-than", type=_age, metavar="AGE", help="of the trash, only what was wiped before: 7d, 12h, 30m, 2w"
        )
        clean.add_argument("--force", "-y", action="store_true", help="don't ask")
        clean.add_argument("--dry-run", action="store_true", help="only say what would be removed")
        _add_json(clean, "what goes and what stays, and why")

    note = command(
        "note",
        "make a note on experiments, take them out of means, or list the notes there are",
        _NOTE_EPILOG + _WORDS_EPILOG,
    )
    if only in (None, "note"):
        _add_words(note, default="none; all notes are listed")
        _add_where(note)
        note.add_argument(
            "--text", metavar="TEXT", help="the note, where it could be taken for a word; an empty one is refused"
        )
        change = note.add_mutually_exclusive_group()
        change.add_argument(
            "--exclude", action="store_true",
            help="the results don't count in means; tables count and name such experiments",
        )  # fmt: skip
        change.add_argument("--include", action="store_true", help="results count again; the note stays")
        change.add_argument("--remove", action="store_true", help="remove the notes, and with them that they exclude")
        note.add_argument("--dry-run", action="store_true", help="only say what would be noted")
        _add_json(note, "the notes that there are")

    report = command("report", "gather sweeps into one table, and write it where people look at it", _REPORT_EPILOG)
    if only in (None, "report"):
        _add_words(report, default="the sweep of [tool.heyhi]")
        report.add_argument(
            "--sort",
            action="append",
            default=[],
            metavar="KEY",
            help="sort by a column, -KEY downward; may be repeated",
        )
        report.add_argument("--columns", metavar="A,B", help="only these columns, in this order")
        _add_where(report)
        report.add_argument(
            "--mean-over", nargs="?", const="", metavar="FIELDS",
            help="put seeds together: means of the runs whose configs differ in nothing but these fields, such as"
            " seed,data.seed (default: [tool.heyhi] replicate)",
        )  # fmt: skip
        report.add_argument(
            "--group-by", nargs="?", const="", metavar="KEYS",
            help="a row of means for each combination of these keys, such as lr,optimizer (or code)",
        )  # fmt: skip
        report.add_argument(
            "--spread", choices=("se", "std", "ci95"),
            help="what stands beside a mean: its standard error (default), the deviation of the runs, or half of the"
            " 95 %% confidence interval by Student's t",
        )  # fmt: skip
        report.add_argument(
            "--best", metavar="KEY[:min|max]",
            help="only the best row by this column; which way is better: as said here, as [tool.heyhi] minimize and"
            " maximize say, or by a plain word of its name",
        )  # fmt: skip
        report.add_argument(
            "--per", metavar="A,B", help="with --best: the best row for each combination of these columns"
        )
        report.add_argument(
            "--at-best", metavar="KEY[:min|max]",
            help="the other metrics at the step where this one was best, such as the test accuracy at the best"
            " validation epoch",
        )  # fmt: skip
        report.add_argument("--pivot", nargs=3, metavar=("ROWS", "COLUMNS", "KEY"), help="a table of two keys: means")
        report.add_argument("--needs", action="store_true", help="also the columns of what each experiment needs")
        report.add_argument("--drift", action="store_true", help="also what was made with another config or code")
        report.add_argument(
            "--to", action="append", default=[], type=Path, metavar="FILE",
            help="write what is shown to this .csv, .tsv, .md, .tex, .json, .xlsx, .parquet or .html, instead of the"
            " whole table to those of [tool.heyhi] reports; - is standard output as CSV, -.md as Markdown …; may be"
            " repeated",
        )  # fmt: skip
        _add_json(report, "what is shown")
        report.add_argument("--sheet", nargs=2, metavar=("FILE", "TAB"), help="Google spreadsheet and worksheet")
        report.add_argument(
            "--watch", type=_seconds, metavar="SECONDS", help="again and again, this long after another"
        )

    export = command(
        "export", "give metrics that there are to TensorBoard, wandb or MLflow", _EXPORT_EPILOG + _WORDS_EPILOG
    )
    if only in (None, "export"):
        _add_words(export, default="the sweep of [tool.heyhi]")
        _add_where(export)
        export.add_argument(
            "--to", type=_folder, metavar="DIR",
            help="put the tracker's files there (default: results/exports; for MLflow the store that it is told by"
            " MLFLOW_TRACKING_URI, else results/mlruns)",
        )  # fmt: skip

    sheets = command("sheets", "log in to Google Sheets, or check that an export would work")
    if only in (None, "sheets"):
        sheets.add_argument("what", choices=("login", "check"), help="what to do")
        sheets.add_argument(
            "file", nargs="?", default="", metavar="FILE", help="check: spreadsheet that is to be written"
        )

    show_config = command("print", "print a composed config")
    if only in (None, "print"):
        show_config.add_argument("cfg", metavar="CFG", help="config file (.prototxt may be left out)")
        show_config.add_argument("words", nargs="*", metavar="override", help=OVERRIDE_HELP)
        flat = show_config.add_mutually_exclusive_group()
        flat.add_argument("--flat", action="store_true", help="as overrides that give the same config")
        flat.add_argument("--flat-all", action="store_true", help="as overrides, defaults too")

    describe = command("describe", "print the fields of a config's task, with types, defaults and comments")
    if only in (None, "describe"):
        describe.add_argument("cfg", nargs="?", metavar="CFG", help="config file; default: list the tasks")
        describe.add_argument("key", nargs="?", metavar="KEY", help="only below this key")
        _add_json(describe, "the keys, which is the space to search")
        describe.add_argument(
            "--settings",
            action="store_true",
            help="instead: the settings of [tool.heyhi], where each is from, and which keys are in no identity",
        )

    diff = command("diff", "compare two experiments: configs, code, packages and results", _WORDS_EPILOG)
    if only in (None, "diff"):
        _add_words(diff, default="none")
        _add_json(diff, "what differs")

    protos = command(
        "protos", "write conf_pb2.py, and conf_cfgs.py with the types of configs, for editors and type checkers"
    )
    if only in (None, "protos"):
        protos.add_argument("--out", type=Path, metavar="DIR", help="where to (default: the project root)")

    init = command(
        "init", "make a folder a project that runs at once: a new one, or a repository that has things already"
    )
    if only in (None, "init"):
        init.add_argument("folder", type=_folder, metavar="DIR", nargs="?", help="the folder; what is in it stays")
        init.add_argument(
            "--from", dest="script", type=Path, metavar="SCRIPT",
            help="settings are what this script reads by argparse; it isn't run (`heyhi docs from-argparse`)",
        )  # fmt: skip
        init.add_argument(
            "--refresh",
            action="store_true",
            help="bring conf/launcher.proto of the project in DIR (default: here) up to date, with what it has added",
        )
        init.add_argument("--dry-run", action="store_true", help="only say what would be done")

    notify = command("notify", "try who is told of launches: send a message", _NOTIFY_EPILOG)
    if only in (None, "notify"):
        notify.add_argument(
            "whom",
            nargs="*",
            metavar="WHOM",
            help="as --notify of heyhi launch names them; default: [tool.heyhi] notify",
        )

    docs = command("docs", "list the pages of the docs, or show one of them", _DOCS_EPILOG)
    if only in (None, "docs"):
        docs.add_argument("page", nargs="?", metavar="PAGE", help="name of a page; default: list them")
        docs.add_argument("--path", action="store_true", help="only say where its file lies, or the folder of all")

    completion = command("completion", 'print the shell\'s completion script: eval "$(heyhi completion bash)"')
    if only in (None, "completion"):
        completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell")
    return parser


_NOTIFY_EPILOG = """\
examples:
  heyhi notify https://hooks.slack.com/services/…     a webhook of Slack's, Mattermost's or Discord's
  heyhi notify https://ntfy.sh/my-topic               a phone, by ntfy
  heyhi notify mail:me@example.org
  heyhi notify env:LAB_HOOK                           whom that variable of the environment has
heyhi docs unattended: when a launch tells somebody, and what
"""
_SERVE_EPILOG = """\
examples:
  heyhi serve                                         all that is known
  heyhi serve conf/c02_sup_train/rs_yolo_01_example.py
  heyhi serve --cfg c02_sup_train/sl --sweep lr=0.1,0.01 --port 6007
  heyhi serve --open                                  in a browser of this machine

It prints the address, which has a token: nobody else gets in. On a login node, the line below it brings the page to the
machine that one sits at: ssh -L. Nothing is started, ended or changed from the page. Ctrl-C ends it. In a notebook,
heyhi.show("WORDS") does the same in a cell. heyhi docs serve says what can be done on the page.

"""
_REPORT_EPILOG = """\
examples:
  heyhi report                                        the sweep of [tool.heyhi]: table, CSV and page
  heyhi report SWEEP.py --sort=-val_accuracy.best     the best first
  heyhi report SWEEP.py --mean-over                   seeds put together: mean ± standard error
  heyhi report SWEEP.py --mean-over seed,fold --spread ci95 --to table.tex
  heyhi report A.py B.py --group-by lr,optimizer      a row for each combination of keys
  heyhi report SWEEP.py --where 'lr<=0.1' --where status=DONE
  heyhi report SWEEP.py --best val_accuracy --per batch_size
  heyhi report SWEEP.py --best latency_ms:min --columns lr,latency_ms,exp_id
  heyhi report SWEEP.py --at-best val_accuracy        test accuracy at the best validation epoch
  heyhi report SWEEP.py --pivot lr batch_size val_loss --to table.xlsx
  heyhi report SWEEP.py --columns lr,val_loss --to - | column -ts,
  heyhi report --cfg c02_sup_train/sl --sweep lr=0.1,0.01 --sweep 'seed=range(3)' epochs=3
  heyhi report SWEEP.py --watch 600 --sheet "My runs" digits
"""


_RUN_EPILOG = (
    """\
examples:
  heyhi run                                           the sweep of [tool.heyhi]
  heyhi run --cfg c02_sup_train/sl lr=0.1             one experiment
  heyhi run --cfg c02_sup_train/sl --sweep lr=0.1,0.01 --sweep 'seed=range(3)'
  heyhi run SWEEP.py --jobs 2                         two at once; default: as many as fit on this machine
  heyhi run SWEEP.py --dry-run                        only say what would be started

The same command again goes on: what is DONE stays, what is DEAD starts again with its files. Ctrl-C ends what runs.
Exit code: 0 where all is DONE, 1 where something isn't, 2 for a wrong command, 130 after Ctrl-C. `heyhi launch`, with
the same words, hands over to Slurm, by a controller that outlives the terminal. heyhi docs workflow says more.

"""
    + _WORDS_EPILOG
)


_EXPORT_EPILOG = """\
examples:
  heyhi export tensorboard                            the sweep of [tool.heyhi]: event files
  heyhi export tensorboard SWEEP.py --to runs         elsewhere: tensorboard --logdir runs
  heyhi export wandb SWEEP.py --where status=DONE     a run each; WANDB_MODE=offline keeps them here
  heyhi export mlflow p/c02_sup_train/sl/lr=0.1_…     a run each, in an experiment named like the sweep

The first word says for what. What counts is exported: what a later attempt logged again replaces what earlier ones had.
To export again doubles nothing. `[tool.heyhi] log_to` does it while experiments run.

"""


_DOCS_EPILOG = """\
examples:
  heyhi docs                      what pages there are
  heyhi docs slurm                one of them; on a terminal by the pager that PAGER names
  heyhi docs configs | grep was:  its text, as Markdown
"""


_NOTE_EPILOG = """\
examples:
  heyhi note p/c02_sup_train/sl/lr=0.1_… "bad data"             the last word is the text
  heyhi note SWEEP.py --where 'loss>10' "diverged" --exclude    out of means; a launch leaves it DONE
  heyhi note                                                    lists all notes; with words, those of them
  heyhi note SWEEP.py --include                                 takes exclusions back; --remove the notes, too

The last word is the text where it has a blank in it, or names no experiment. A note is of the run that is there now: of
an experiment that is wiped and run anew it is shown as an earlier run's, and excludes nothing.

"""


_CLEAN_EPILOG = """\
examples:
  heyhi clean                                         trash, copies of code, manifests, notes; shows, then asks
  heyhi clean --dry-run                               only shows them
  heyhi clean --older-than 7d --force                 of the trash, what is older than a week; doesn't ask
  heyhi clean SWEEP.py                                old checkpoints of a sweep's experiments, all but the last
  heyhi clean --where status=DONE --keep best         of all that are done, all but the best
  heyhi clean SWEEP.py --where 'val_loss>1' --keep none
  heyhi clean --where lr=10 --experiments             whole experiments, to the trash; the next clean empties it

With words or --where, nothing else is removed. What is running, claimed, needed by an experiment that isn't done,
unknown, or another user's stays in any case, and nothing behind a symbolic link is touched.

"""


_SEARCH_EPILOG = """\
examples:
  heyhi search --cfg c02_sup_train/sl epochs=30 --space 'lr=loguniform(1e-4,1)' --space batch_size=16,32,64 \\
    --max val_accuracy --trials 60
  heyhi search --cfg c02_sup_train/sl --space 'lr=loguniform(1e-4,1)' --min val_loss --trials 20 --parallel 4 \\
    --stop 'asha(grace=3,factor=3)' --profile slurm
  heyhi search conf/c02_sup_train/tune.py             SEARCH = heyhi.Search(…) in a sweep file
  heyhi status searches/ID                            how its trials are, also while it goes on; so does heyhi report

Killed and run again, it goes on; with a higher --trials it has so many trials more. Ended, it starts nothing. Exit code
1 where a trial is DEAD. `heyhi launch`, with the same words, has a controller do it that outlives the terminal.

"""
_SEARCH_HELP = (
    ("--space", "KEY=VALUES", "what a key may be: 16,32,64, range(1,9), uniform(0,1), loguniform(1e-4,1); repeated"),
    ("--max", "METRIC", "what is to be large; a key of result.json or of the metrics"),
    ("--min", "METRIC", "what is to be small"),
    ("--trials", "N", "how many experiments are chosen"),
    ("--parallel", "N", "have at most N of them submitted or run at once (default: the profile's)"),
    ("--sampler", "NAME", "what chooses: tpe (default) or random"),
    ("--stop", "RULE", "end trials early that are among the worst: asha, or asha(grace=2,factor=3)"),
    ("--seed", "N", "of the choices (default: 0)"),
    ("--learn-from", "WORD", "a sweep, a search or an experiment to learn from, too; may be repeated"),
)


_SEARCHING = frozenset(option for option, *_ in _SEARCH_HELP)


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) < 65_536:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, such as 6007, not {text!r}")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(text)) < 1e7:
            return seconds
    raise argparse.ArgumentTypeError(f"expected seconds, such as 600, not {text!r}")


def _age(text: str) -> float:
    seconds = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
    if text[-1:] in seconds:
        with contextlib.suppress(ValueError):
            if 0 <= (number := float(text[:-1])) < 1e5:
                return number * seconds[text[-1]]
    raise argparse.ArgumentTypeError(f"expected an age, such as 7d, 12h, 30m or 2w, not {text!r}")


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("expected a folder, such as my_project")
    return Path(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, such as 20, not '{text}'")
    return int(text)


def _rank(text: str) -> int | str:
    if text != ALL_RANKS and not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"expected the number of a rank, such as 3, or {ALL_RANKS}, not '{text}'")
    return text if text == ALL_RANKS else int(text)


def _jobs(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 1e9):
        raise argparse.ArgumentTypeError(f"expected how many at once, such as 20, not '{text}'")
    return int(text)


def _add_launch_arguments(
    parser: argparse.ArgumentParser,
    *,
    profile: str = "slurm; of a search, as its launcher says",
    foreground: bool = True,
) -> None:
    parser.add_argument(
        "--profile", metavar="P", help=f"Snakemake's profile: local, slurm, or a folder (default: {profile})"
    )
    parser.add_argument(
        "--jobs", type=_jobs, metavar="N",
        help="have at most N experiments submitted or run at once, in the sweep's order (default: the profile's)",
    )  # fmt: skip
    parser.add_argument("--no-snapshot", action="store_true", help="jobs run the work tree's code, not a copy of it")
    parser.add_argument(
        "--continue-drifted",
        action="store_true",
        help="go on with another config than metrics that are there were logged with; such rows are marked as mixed",
    )
    parser.add_argument(
        "--foreground",
        action="store_true",
        help="on this terminal, until all is over" if foreground else argparse.SUPPRESS,  # as it is in any case
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be started")
    add_redo_arguments(parser, "them")
    add_unattended_arguments(parser, is_foreground=not foreground)


def _add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what makes a config a search."""
    options = parser.add_argument_group("search (heyhi docs search)")
    for option, value, text in _SEARCH_HELP:
        options.add_argument(option, action=Given, metavar=value, help=text)


def _add_json(parser: argparse._ActionsContainer, what: str = "it") -> None:
    """Add what has a command answer programs: see `heyhi docs scripting`."""
    parser.add_argument(
        "--json", action="store_true", help=f"print {what} as JSON, and nothing else (heyhi docs scripting)"
    )


def _add_where(parser: argparse.ArgumentParser) -> None:
    """Add what chooses among them, for every command alike: see `heyhi.cli.choosing`."""
    parser.add_argument(
        "--where", action="append", default=[], metavar="CONDITION",
        help="choose experiments by a column of the report or a key of their configs: KEY=VALUE, with one of"
        " = != > < >= <= ~ (contains); may be repeated: all must hold",
    )  # fmt: skip


def _add_words(parser: argparse.ArgumentParser, *, default: str) -> None:
    """Add what names experiments, for every command alike: see `heyhi.cli.selection`."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="sweep file, manifest, target, exp path, exp id, job, or config with overrides behind it (key=value);"
        f" default: {default}",
    )
    parser.add_argument(_WORD, action=Given, dest="word", help=argparse.SUPPRESS)
    parser.add_argument("--cfg", action=Given, metavar="CFG", help="config file (.prototxt may be left out)")
    parser.add_argument(
        "--sweep", action=Given, default=[], metavar="KEY=VALUES", help="sweep a key of the config; may be repeated"
    )
    parser.add_argument(
        _ZIP, action=Given, nargs="?", const="", default=False, metavar="KEY=VALUES",
        help="sweep a key beside the others of --zip: first values together, then the second ones …; alone: pair the"
        " values of all --sweep",
    )  # fmt: skip
    parser.add_argument(
        "--adhoc",
        action=Given,
        nargs=0,
        default=False,
        help="put the config's experiments below adhoc/<date>, each time anew",
    )
    parser.add_argument(
        "--exp_id_pattern_override",
        "--out",
        action=Given,
        dest="pattern",
        metavar="P",
        help="exp id pattern of the config's experiments, may be absolute",
    )
    parser.set_defaults(given=[])
