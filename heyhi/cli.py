"""Owns the command line `heyhi`: arguments, what is printed, exit codes. What it does lives in the other modules."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from heyhi.launch import Orders
    from heyhi.project import Project
    from heyhi.report import Source
    from heyhi.schema import Schema
    from heyhi.survey import Survey
    from heyhi.sweep import Expansion, Point

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


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: arguments; default: sys.argv's.

    Returns:
        exit code: 0; 1 where something is not as asked (`status`: an experiment is dead); 2 for a wrong command.
    """
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:
        from heyhi.completion import complete

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
        from heyhi.run import in_given_order

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


# --- what the commands do -----------------------------------------------------------------------------------------


def _version_or_help(args: argparse.Namespace) -> int:
    if args.version:
        from importlib.metadata import version

        print(f"heyhi {version('heyhi')}")
        return 0
    args.parser.print_help(sys.stderr)
    return 2


def _expand(args: argparse.Namespace) -> int:
    from heyhi.sweep import paused_collection

    project, schema = _open()
    with paused_collection():  # a sweep's rows are all in use until the last target is printed
        _print_expansion(args, project, _expansion(project, schema, args), schema)
    return 0


def _print_expansion(args: argparse.Namespace, project: Project, expansion: Expansion, schema: Schema) -> None:
    from heyhi.manifest import target_of, write_manifest

    path = write_manifest(expansion, project, schema)
    print(f"{_size(expansion)}: {project.relative(path)}", file=sys.stderr)
    if args.manifest:
        print(project.relative(path))
    elif args.json:
        _print_json(
            {
                "target": target_of(e.exp_path, project.root),
                "exp_id": e.exp_id,
                "cfg": e.identity.cfg,
                "overrides": list(e.identity.overrides),
                "task": e.task,
                "needs": [target_of(n, project.root) for n in e.needs],
                "own": e.exp_id in own,
            }
            for own in [set(expansion.own)]
            for e in expansion.experiments
        )
    else:
        root = str(project.root)
        sys.stdout.writelines(f"{target_of(folder, root)}\n" for folder in expansion.folders)


def _plan(args: argparse.Namespace) -> int:
    project, schema = _open()
    from heyhi.run import action_of
    from heyhi.survey import Survey

    expansion = _expansion(project, schema, args)
    survey = Survey.of_expansion(project, expansion)
    drift = survey.drift(schema)
    actions = {row.exp_id: action_of(args.mode, row.status) for row in survey.rows}
    if args.json:
        _print_json(
            {**row.to_dict(), "start": actions[row.exp_id].start, "wipe": actions[row.exp_id].wipe}
            | {"drifted": drift.get(row.exp_id, [])}
            for row in survey.rows
        )
        return 0
    starts = sum(a.start for a in actions.values())
    wipes = sum(a.wipe for a in actions.values())
    print(f"{expansion.label}: {_size(expansion)}")
    print(survey.render(drift, everything=args.all))
    print(f"mode {args.mode}: {starts} would start{f', {wipes} of them from an emptied folder' if wipes else ''}")
    if starts:
        from heyhi.capacity import capacity_lines

        starting = (p for p in expansion.planned if actions[p.exp_id].start)
        jobs = capacity_lines((p.exp_id, getattr(schema.parse_root(p.config), p.task)) for p in starting)
        for line in jobs:
            print(line)
        profile = "slurm" if jobs else "local"
        print(f"launch: snakemake --profile profiles/{profile} {_snakemake_words(args, expansion)}")
    return 0


def _size(expansion: Expansion) -> str:
    own, needed = len(expansion.own), len(expansion.planned) - len(expansion.own)
    return f"{own} experiment{'s' * (own != 1)}{f' (and {needed} needed by them)' if needed else ''}"


def _snakemake_words(args: argparse.Namespace, expansion: Expansion) -> str:
    import shlex

    if expansion.sweep is not None:
        return f"--config sweep={shlex.quote(expansion.sweep)}"
    return f"$(heyhi expand {shlex.join(_config_words(args))})"


def _config_words(args: argparse.Namespace) -> list[str]:
    """Return the words by which a command line without a sweep file names its experiments."""
    words = ["--cfg", args.cfg, *args.words, *(w for axis in args.sweep for w in ("--sweep", axis))]
    words += ["--zip"] if args.zip else []
    words += ["--adhoc"] if args.adhoc else []
    return [*words, "--out", args.pattern] if args.pattern else words


def _status(args: argparse.Namespace) -> int:
    from heyhi.project import find_project

    project = find_project()
    if args.job is not None:
        return _status_of_job(project, args)
    look = _look(project, args)
    if args.every is not None:
        from heyhi.errors import HeyhiError
        from heyhi.follow import DEFAULT_SECONDS, watch

        if args.json or args.drift or args.all:
            raise HeyhiError("--watch goes without --json, --drift and --all")
        return watch(project, look, args.every or DEFAULT_SECONDS)
    survey = look()
    drift = survey.drift(_open()[1]) if args.drift else {}  # the schema is loaded for this only
    if args.json:
        _print_json(
            {**row.to_dict(), **({"drifted": drift.get(row.exp_id, [])} if args.drift else {})} for row in survey.rows
        )
    else:
        print(survey.render(drift, everything=args.all))
    return 1 if survey.has_dead else 0


def _look(project: Project, args: argparse.Namespace) -> Callable[[], Survey]:
    """Return what looks at the experiments that the arguments name; a sweep is expanded once, now."""
    from heyhi.survey import Survey

    word = args.words[0] if args.words else ""
    if word.endswith(".sqlite"):
        from heyhi.manifest import Manifest

        manifest = Manifest.open(Path(word))
        return lambda: Survey.of_manifest(project, manifest)
    if args.words or args.cfg is not None or args.sweep:
        expansion = _expansion(*_open(), args)
        return lambda: Survey.of_expansion(project, expansion)
    return lambda: Survey.of_index(project)


def _status_of_job(project: Project, args: argparse.Namespace) -> int:
    from heyhi.errors import HeyhiError
    from heyhi.follow import look_at_job

    if args.words or args.cfg is not None or args.sweep or args.every is not None:
        raise HeyhiError("--job ID goes alone, or with --json")
    found = look_at_job(project, args.job)
    if args.json:
        _print_json({**row.to_dict(), "log": found.logs[row.exp_path]} for row in found.rows)
    else:
        print("\n".join(found.lines))
    return 1 if found.has_dead else 0


def _launch(args: argparse.Namespace) -> int:
    import shlex

    from heyhi.launch import Orders, find_profile, foresee
    from heyhi.manifest import Manifest, write_manifest
    from heyhi.run import action_of
    from heyhi.survey import Survey

    project, schema = _open()
    profile = find_profile(project, args.profile)
    if args.words and args.words[0].endswith(".sqlite"):
        manifest = Manifest.open(Path(args.words[0]))
        survey = Survey.of_manifest(project, manifest)
        words, size = [args.words[0]], f"{len(survey.folders)} experiments"
    else:
        expansion = _expansion(project, schema, args)
        survey = Survey.of_expansion(project, expansion)
        manifest = Manifest.open(write_manifest(expansion, project, schema))
        words, size = [expansion.sweep] if expansion.sweep is not None else _config_words(args), _size(expansion)
    starting = {row.exp_path for row in survey.not_done if action_of("start_continue", row.status).start}
    starts = len(starting)
    print(f"{manifest.label}: {size}: {'  '.join(f'{status.value} {n}' for status, n in survey.counts.items())}")
    if not survey.others:
        print(f"nothing to start: all are done; heyhi report {shlex.join(words)} makes their table")
        return 0
    print(f"{starts} {'would start' if args.dry_run else 'to start'} by {project.relative(profile)}")
    orders = Orders.for_sweep(project, manifest, profile, no_snapshot=args.no_snapshot)
    if orders.uses_slurm and starts:
        for line in foresee(manifest, starting):
            print(line)
    return _control(project, orders, args, shlex.join(words))


def _control(project: Project, orders: Orders, args: argparse.Namespace, words: str) -> int:
    """Start a controller, or be one, and say how to follow and to stop it."""
    from heyhi.errors import HeyhiError
    from heyhi.launch import run_here, start
    from heyhi.slurm import is_here

    if args.dry_run:
        return 0
    if orders.uses_slurm and not is_here():
        raise HeyhiError(
            f"this machine has no sbatch, which {args.profile} needs: --profile profiles/local runs them here"
        )
    if args.foreground:
        (controller, is_new), code = run_here(project, orders)
        if is_new:
            return code
    else:
        controller, is_new = start(project, orders)
    owner = controller.owner
    assert owner is not None
    print(f"{'started' if is_new else 'nothing started: this is being run already by'} controller {owner.describe()}")
    print(f"  follow:  heyhi status --watch {words}".rstrip())
    print(f"  its log: {project.relative(controller.log)}")
    left = f"; kill {owner.pid} only the controller: jobs go on" if orders.uses_slurm else ""
    print(f"  stop:    heyhi cancel {words or '--all'} (ends its runs, too{left})")
    return 0


def _logs(args: argparse.Namespace) -> int:
    from heyhi.errors import HeyhiError
    from heyhi.experiment import ExperimentDir
    from heyhi.follow import show_log
    from heyhi.lookup import find_folders
    from heyhi.project import find_project

    project = find_project()
    folders = find_folders(project, [args.target])
    if len(folders) > 1:
        names = ", ".join(ExperimentDir(Path(path), project.results_root).exp_id for path in folders[:8])
        raise HeyhiError(f"job {args.target} has {len(folders)} experiments; which one? {names}")
    folder = ExperimentDir(Path(folders[0]), project.results_root)
    return show_log(project, folder, lines=args.lines, follow=args.follow)


def _cancel(args: argparse.Namespace) -> int:
    from heyhi.cancel import Canceller, ask, describe, idle_lines, plan_cancel
    from heyhi.errors import HeyhiError
    from heyhi.project import find_project
    from heyhi.survey import Survey

    project = find_project()
    is_named = bool(args.words) or args.cfg is not None
    if args.all and is_named:
        raise HeyhiError("--all goes without anything named: which is it?")
    if not args.all and not is_named:
        raise HeyhiError("cancel what? Name targets, exp ids, jobs, a sweep file or a manifest, or say --all")
    chosen = _choose(project, args) if is_named else _Chosen(Survey.of_index(project).folders, (), None)
    plan = plan_cancel(project, chosen.folders, sweeps=chosen.sweeps, everything=args.all)
    if args.dry_run:
        print("\n".join([*describe(project, plan), *idle_lines(project, plan), "dry run: nothing was cancelled"]))
        return 0
    ask(project, plan, force=args.force)
    canceller = Canceller(project)
    canceller.run(plan)
    print("\n".join(canceller.lines))
    return 1 if canceller.failed else 0


def _retry(args: argparse.Namespace) -> int:
    import shlex

    from heyhi.errors import HeyhiError
    from heyhi.launch import Orders, find_profile
    from heyhi.manifest import target_of
    from heyhi.project import find_project
    from heyhi.survey import Survey

    project = find_project()
    profile = find_profile(project, args.profile)
    is_named = bool(args.words) or args.cfg is not None
    chosen = _choose(project, args, write=True) if is_named else None
    survey = Survey.of_folders(project, chosen.folders) if chosen is not None else Survey.of_index(project)
    dead = survey.dead
    if not args.dead:
        raise HeyhiError(f"retry which ones? Say --dead to start those that are DEAD again ({len(dead)} of them now)")
    if not dead:
        print(f"nothing to start: none of {len(survey.folders)} experiments is DEAD")
        return 0
    # Who names experiments wants what waits for them, too, wherever it belongs; a sweep has its own.
    is_whole = chosen is None or bool(chosen.sweeps)
    blocked = (survey if is_whole else Survey.of_index(project)).blocked_by(row.exp_path for row in dead)
    print("\n".join(row.text for row in dead))
    more = f", and {len(blocked)} that they block" if blocked else ""
    print(f"{len(dead)} {'would start' if args.dry_run else 'to start'} again{more}, by {project.relative(profile)}")
    sweeps = chosen.sweeps if chosen is not None else ()
    orders = Orders.for_targets(
        [target_of(path, project.root) for path in dict.fromkeys([*(row.exp_path for row in dead), *blocked])],
        profile,
        manifest=(chosen.manifest if chosen is not None else None) or "",
        sweep=sweeps[0] if len(sweeps) == 1 else "",
        no_snapshot=args.no_snapshot,
    )
    words = _config_words(args) if args.cfg is not None else args.words if len(sweeps) == len(args.words) == 1 else []
    return _control(project, orders, args, shlex.join(words))


def _report(args: argparse.Namespace) -> int:
    import signal
    import time

    from heyhi.errors import HeyhiError
    from heyhi.project import find_project
    from heyhi.report import Shape, write_reports

    project = find_project()
    if args.group_by and os.path.isfile(args.group_by):  # noqa: PTH113 (never raises)
        args.words, args.group_by = [args.group_by, *args.words], ""  # `--group-by SWEEP.py`
    if args.per and args.best is None:
        raise HeyhiError("--per goes with --best KEY: the best row for each combination of these columns")
    _check_words(project, args)

    def names(text: str | None) -> tuple[str, ...]:
        return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()

    shape = Shape(
        sort=tuple(args.sort),
        columns=names(args.columns),
        group_by=None if args.group_by is None else names(args.group_by) or project.settings.replicate,
        best=args.best,
        per=names(args.per),
        pivot=tuple(args.pivot) if args.pivot else None,
    )
    sheet = tuple(args.sheet) if args.sheet else None
    stopped: list[bool] = []

    def stop(*_: object) -> None:
        # The first only ends after the round: an exception would be dropped where it arrives inside a finaliser.
        if stopped:
            raise KeyboardInterrupt
        stopped.append(True)

    if args.watch is not None:
        signal.signal(signal.SIGINT, stop)
    while not stopped:
        try:
            sources = _sources(project, args)  # each time: configs and sweep files may have changed
            write_reports(project, sources, shape, to=args.to, sheet=sheet, with_needs=args.needs, drift=args.drift)
        except HeyhiError as error:
            if args.watch is None:
                raise
            print(f"error: {error}", file=sys.stderr, flush=True)  # the next round may find it mended
        if args.watch is None:
            return 0
        until = time.monotonic() + args.watch
        while not stopped and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
    raise KeyboardInterrupt


def _sources(project: Project, args: argparse.Namespace) -> list[Source]:
    """Expand what the arguments of a report name: a config and its overrides, or sweep files and manifests."""
    from heyhi.report import Source
    from heyhi.schema import load_schema

    if args.cfg is None:
        return [Source.open(project, path) for path in _check_words(project, args)]
    schema = load_schema(project)
    return [Source.of_expansion(project, schema, _expansion(project, schema, args))]


def _sheets(args: argparse.Namespace) -> int:
    from heyhi.errors import NoProjectError
    from heyhi.project import find_project
    from heyhi.sheets import check, login

    credentials = None
    with contextlib.suppress(NoProjectError):  # a person logs in once, wherever they are
        credentials = find_project().sheets_credentials
    if args.what == "login":
        print(f"logged in; the token is in {login(credentials)}")
        return 0
    findings = check(args.file, credentials=credentials)
    for finding in findings:
        print(f"{'ok ' if finding.is_good else 'bad'} {finding.text}")
    return 0 if all(finding.is_good for finding in findings) else 1


def _print(args: argparse.Namespace) -> int:
    project, schema = _open()
    from heyhi.compose import Composer
    from heyhi.run import render

    composed = Composer(project, schema).compose(args.cfg, args.words)
    sys.stdout.write(render(composed, flat="all" if args.flat_all else "set" if args.flat else None))
    return 0


def _describe(args: argparse.Namespace) -> int:
    project, schema = _open()
    from heyhi.describe import describe

    print(describe(project, schema, args.cfg, args.key))
    return 0


def _diff(args: argparse.Namespace) -> int:
    project, schema = _open()
    from heyhi.diff import diff

    print(diff(project, schema, args.a, args.b))
    return 0


def _protos(args: argparse.Namespace) -> int:
    from heyhi.project import find_project
    from heyhi.protos import write

    project = find_project()
    for path in write(project, args.out or project.root):
        print(path)
    return 0


def _init(args: argparse.Namespace) -> int:
    from heyhi.scaffold import init

    for path in init(args.folder):
        print(path)
    print(f"next: cd {args.folder} && snakemake --profile profiles/local", file=sys.stderr)
    return 0


def _completion(args: argparse.Namespace) -> int:
    from heyhi.completion import script

    print(script(args.shell))
    return 0


# --- shared -------------------------------------------------------------------------------------------------------


def _open() -> tuple[Project, Schema]:
    from heyhi.project import find_project
    from heyhi.schema import load_schema

    project = find_project()
    return project, load_schema(project)


def _expansion(project: Project, schema: Schema, args: argparse.Namespace) -> Expansion:
    """Expand what the arguments of a sweep command name."""
    from heyhi.errors import SweepError
    from heyhi.overrides import split_override
    from heyhi.sweep import expand, expand_sweep_file, label_of, sweep_points

    files = _check_words(project, args)
    if args.cfg is None:
        if len(files) > 1:
            raise SweepError(f"one sweep file at a time, not also '{files[1]}'")
        # What it prints must not be taken for targets.
        with contextlib.redirect_stdout(sys.stderr):
            return _warned(expand_sweep_file(project, schema, files[0], progress=_counted))
    points: list[Point] = [(args.cfg, args.words)]
    if args.sweep:
        axes = sweep_points(args.sweep, pair=args.zip)
        base = dict(map(split_override, args.words))
        if len(base) == len(args.words) and not base.keys() & axes[0].keys():
            points = [(args.cfg, {**base, **point}) for point in axes]
        else:  # a key that is written twice is written in this order
            points = [(args.cfg, [*args.words, *(f"{k}={v}" for k, v in point.items())]) for point in axes]
    label = label_of(project, args.cfg)
    found = expand(project, schema, _counted(points), label=label, pattern=args.pattern, adhoc=args.adhoc)
    return _warned(found)


class _Chosen(NamedTuple):
    """Hold what a command names: exp paths, the sweeps that they are of, and the manifest if one was named alone."""

    folders: list[str]
    sweeps: tuple[str, ...]
    manifest: str | None


def _choose(project: Project, args: argparse.Namespace, *, write: bool = False) -> _Chosen:
    """Find what words name: sweep files, manifests, targets, exp paths, exp ids, jobs; or, with --cfg, overrides.

    Args:
        project: whose experiments they are.
        args: of the command.
        write: write down what a sweep is today, for a launch.
    """
    from heyhi.lookup import find_folders
    from heyhi.manifest import Manifest, write_manifest

    folders: dict[str, None] = {}
    sweeps: list[str] = []
    words = [] if args.cfg is not None else args.words
    manifests = [word for word in words if word.endswith(".sqlite")]
    plain = [word for word in words if not word.endswith((".sqlite", ".py"))]
    one_sweep = [[word] for word in words if word.endswith(".py")]
    for some in [args.words] if args.cfg is not None else one_sweep:
        schema = _open()[1]
        expansion = _expansion(project, schema, argparse.Namespace(**{**vars(args), "words": some}))
        if write:
            write_manifest(expansion, project, schema)
        folders.update(dict.fromkeys(p.folder for p in expansion.planned))
        sweeps.append(expansion.sweep or "")
    for word in manifests:
        manifest = Manifest.open(Path(word))
        folders.update((os.path.dirname(project.root / target), None) for target in manifest.all_targets)  # noqa: PTH120
        sweeps.append(manifest.sweep or "")
    folders.update(dict.fromkeys(find_folders(project, plain)))
    alone = project.relative(Path(os.path.abspath(manifests[0]))) if len(words) == len(manifests) == 1 else None  # noqa: PTH100
    return _Chosen(list(folders), tuple(sweeps), alone)


def _check_words(project: Project, args: argparse.Namespace) -> list[Path]:
    """Return the files that the arguments of a sweep command name; with --cfg there are none.

    Raises:
        HeyhiError: there are none without --cfg either, or something is given that goes with it.
    """
    from heyhi.errors import OverrideError, SweepError

    if args.cfg == "":
        raise SweepError("--cfg CFG: which config?")
    if args.cfg is not None:
        return []
    if args.sweep or args.zip:
        raise SweepError("--sweep goes with --cfg CFG; a sweep file says itself what it sweeps")
    if args.adhoc or args.pattern:
        raise SweepError("--adhoc and --out go with --cfg CFG; a sweep file sets EXP_ID_PATTERN")
    if not args.words:
        if project.settings.sweep is None:
            raise SweepError(
                "which sweep? Give a sweep file, or --cfg CFG, or set [tool.heyhi] sweep in pyproject.toml"
            )
        return [project.root / project.settings.sweep]
    for word in args.words:
        if "=" in word and not os.path.exists(word):  # noqa: PTH110 (never raises)
            raise OverrideError(f"'{word}': overrides go with --cfg CFG, not with a sweep file")
    return [Path(word) for word in args.words]


def _warned(expansion: Expansion) -> Expansion:
    for warning in expansion.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return expansion


def _counted(points: Iterable[Point]) -> Iterator[Point]:
    """Count points on a terminal's standard error while a long expansion lasts."""
    if not sys.stderr.isatty():
        yield from points
        return
    import time

    next_time, shown = time.monotonic() + 1, False
    for index, point in enumerate(points):
        if index % 1000 == 0 and time.monotonic() > next_time:
            print(f"\r{index} experiments composed", end="", file=sys.stderr, flush=True)
            next_time, shown = time.monotonic() + 0.5, True
        yield point
    if shown:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _print_json(rows: Iterable[object]) -> None:
    """Print a JSON list, an element a line, as the elements come."""
    import json

    first = True
    for row in rows:
        sys.stdout.write(f"{'[' if first else ','}\n  {json.dumps(row)}")
        first = False
    sys.stdout.write("[]\n" if first else "\n]\n")


if __name__ == "__main__":
    sys.exit(main())
