"""The command line of a task file, `python run.py --cfg …`: arguments, what is printed, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from heyhi.cli.ask import agrees
from heyhi.cli.options import OVERRIDE_HELP, REDO, add_redo_arguments, in_given_order, redo_in
from heyhi.cli.whose import may_change
from heyhi.config.identity import DEFAULT_PATTERN
from heyhi.errors import ModeError, OverrideError, UnknownError, reporting_errors, suggest
from heyhi.experiment.modes import ADHOC_MODE, DEFAULT_MODE, MODES, action_of
from heyhi.experiment.names import Status
from heyhi.job.importing import check_not_importing
from heyhi.job_env import get_tasks
from heyhi.project import find_project
from heyhi.streams import go_on, guard_streams
from heyhi.text import shell_line, shell_word

if TYPE_CHECKING:
    from heyhi.job.grace import Grace
    from heyhi.job.launch import Launch, Main
    from heyhi.job.meeting import Host
    from heyhi.sweep.provenance import Provenance

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


class _Once(argparse.Action):
    """Keep the value of an option that may be given once: argparse itself would drop the first one of two."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest)
        if before is not None and "_ARGCOMPLETE" not in os.environ:  # which reads the words several times
            parser.error(f"{option_string} is given twice, {before} and {values}: this runs one experiment")
        setattr(namespace, self.dest, values)


def add_config_arguments(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the arguments that name one experiment."""
    parser.add_argument(
        "-c", "--cfg", action=_Once, required=required, metavar="CFG", help="config file (.prototxt may be left out)"
    )
    parser.add_argument(
        "--exp_id_pattern_override",
        "--out",
        action=_Once,
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


def parse_args_and_maybe_launch(main: Main, args: Sequence[str] | None = None) -> None:
    """Be the command line of a task file: `if __name__ == "__main__": heyhi.parse_args_and_maybe_launch(main)`.

    Exits with 0 when the experiment is done, or runs or waits, 1 when it failed, is DEAD and was left so, or nobody
    knows how it is, 2 when the command was wrong.

    Args:
        main: called as `main(task=, cfg=, log_level=)` in the experiment's folder.
        args: command line; default: sys.argv's.
    """
    check_not_importing("parse_args_and_maybe_launch")
    guard_streams()
    complete_if_asked()
    from heyhi.cli.advice import telling_habits

    parser = make_parser()
    words = sys.argv[1:] if args is None else args
    with reporting_errors(), telling_habits(words, options=parser._option_string_actions):
        sys.exit(_run_command(parse_with_overrides(parser, args), main))


def complete_if_asked() -> None:
    """Answer a shell that asks for completions of a task file's words, and end the process; else do nothing."""
    if "_ARGCOMPLETE" in os.environ:
        from heyhi.cli.completion import complete

        complete(make_parser(), _Once)


def _run_command(args: argparse.Namespace, main: Main) -> int:
    project = find_project()
    mode = args.mode or (ADHOC_MODE if args.adhoc else DEFAULT_MODE)
    is_only_shown = args.print or args.print_flat or args.print_flat_all
    may_change(project, is_dry_run=is_only_shown or mode == "dryrun")
    if is_only_shown:
        from heyhi.cli.shown_config import print_config

        flat = "all" if args.print_flat_all else "set" if args.print_flat else None
        print_config(project, args.cfg, args.overrides, flat)
        return 0
    if mode != "dryrun":
        go_on()
    from heyhi.job.launch import Launch  # printing a config can do without

    launch = Launch.prepare(
        project,
        args.cfg,
        args.overrides,
        adhoc=args.adhoc,
        pattern=args.pattern,
        snapshot=not args.no_snapshot,
        continue_drifted=args.continue_drifted,
        redo_drifted=redo_in(args),
    )
    asked = mode  # what all tasks say alike: only the first one may know of the run before
    if launch.adhoc is not None and launch.adhoc.is_again and args.mode is None:
        mode = "start_continue"
    from heyhi.job.grace import Grace

    with Grace() as grace:
        grace.exit_code = _run_with_others(args, asked, mode, launch, main, grace)
    return grace.exit_code


def _run_with_others(args: argparse.Namespace, asked: str, mode: str, launch: Launch, main: Main, grace: Grace) -> int:
    """Run what was prepared, together with the tasks that were started at once with this one, if there are any."""
    tasks = get_tasks()
    if tasks is None or mode == "dryrun":
        return _run(args, mode, launch, main, grace)
    from heyhi.job.meeting import Host, exit_code_of, meeting_folder

    launch.check_no_tasks()
    folder = meeting_folder(launch.project, tasks, [*launch.words, asked])
    if tasks.rank > 0:
        return launch.guest(main, args.log_level, folder, tasks).follow()
    host = Host(folder, tasks)
    try:
        code = _run(args, mode, launch, main, grace, host)
    except BaseException as error:
        grace.pause()  # guests may need longer to leave
        host.end(exit_code_of(error))
        raise
    grace.pause()
    host.end(code)
    return code


def _run(
    args: argparse.Namespace, mode: str, launch: Launch, main: Main, grace: Grace, host: Host | None = None
) -> int:
    """Run or submit what was prepared, or say why not; the host is the first of several tasks that do so together."""
    for warning in (*launch.expansion.warnings, *launch.needs_lines):
        print(f"warning: {warning}", file=sys.stderr)
    if mode != "dryrun":
        launch.check_project()
    state = launch.state
    action = launch.action(mode, state)
    where = f"{launch.experiment.exp_path}: {state.text}"
    for line in launch.twins if state.status is not Status.DONE else ():
        print(line, file=sys.stderr)
    if not action.start:
        print(where)
        made = launch.provenance if state.status is Status.DONE else None
        if made is not None and mode != "dryrun":
            launch.note()
        other = launch.made_by_other(main) if made is not None else ""
        for line in (*(made.lines if made is not None else ()), *([other] if other else [])):
            print(line)
        print(_what_next(mode, state.status, launch, made))
        is_left_dead = state.status is Status.DEAD and mode != "dryrun"
        return 1 if is_left_dead or state.status is Status.UNKNOWN else 0
    if not action.wipe and (refusal := launch.refusal):
        print(f"{where}\n{refusal}")
        return 1
    launch.check()
    if action.wipe:
        if dependents := launch.dependents:
            print(f"{launch.experiment.exp_path}: {dependents}", file=sys.stderr)
        shown = launch.provenance.lines if action.is_redo else ()
        _ask_before_wiping(where, shown, force=args.force, goes_on=action.keeps_files)
        state = launch.state
        if not launch.action(mode, state).wipe:  # while we asked
            raise ModeError(f"{launch.experiment.exp_path}: {state.status.value} by now: nothing was wiped")
    print(f"{'submitting' if launch.is_for_slurm else 'running'} {launch.experiment.exp_path}", file=sys.stderr)
    started = launch.start(
        main, action, args.log_level, host, grace, ready=_check_slurm if launch.is_for_slurm else None
    )
    if started.refused:  # it has logged something only now
        print(f"{launch.experiment.exp_path}: {launch.state.text}\n{started.refused}")
        return 1
    if started.job_id:
        print(f"{launch.experiment.exp_path}: {Status.PENDING.value} (job {started.job_id})")
        return 0
    if started.done:
        print(f"{launch.experiment.exp_path}: {Status.DONE.value}")
        return 0
    state = launch.state
    print(f"{launch.experiment.exp_path}: {state.text}")
    return 1 if state.status.is_trouble else 0


def _check_slurm() -> None:
    """Make sure that Slurm can be reached, before anything is written: a loop outlives a controller's restart."""
    from heyhi.job.patience import SECONDS
    from heyhi.slurm.reach import check_reachable

    def tell(why: str) -> None:
        again = f"{why}; it is asked again for {SECONDS / 60:.3g} minutes (Ctrl-C leaves nothing behind)"
        print(again, file=sys.stderr, flush=True)

    check_reachable("heyhi run --profile local, with the same words, runs it here", seconds=SECONDS, tell=tell)


def _what_next(mode: str, status: Status, launch: Launch, made: Provenance | None) -> str:
    if mode == "dryrun":
        if made is not None and made.to_redo(launch.redo_drifted):
            if launch.redo_drifted == "continue":
                return f"dry run: {REDO}=continue would go on from its files, its result moved to the trash"
            return f"dry run: {REDO} would wipe it and run it again"
        default = ADHOC_MODE if launch.adhoc is not None else DEFAULT_MODE
        would = action_of(default, status)
        return f"dry run: {default} would {'start it' if would.start else 'leave it as it is'}"
    if made is not None:
        what, again = "nothing started", "--mode restart runs it again"
        if launch.redo_drifted:
            code = ", and by no other code that is known of" if launch.redo_drifted == "code" else ""
            results = ", and of the results that its needs have" if launch.redo_drifted == "stale" else ""
            what += f": it was made with this config{code}{results}"
        if (made.drifted or made.recoded) and not made.to_redo(launch.redo_drifted):
            again = f"{REDO}{'' if made.drifted else '=code'} or {again}"
        return f"{what}; the result is in {launch.folder.result_path.name}; {again}"
    if status is Status.UNKNOWN:
        return "nothing started: nobody knows how it is; no mode starts it until that is mended"
    if status in (Status.DEAD, Status.PRUNED):
        from heyhi.sweep.continuing import CONTINUE_OPTION, Going

        going = Going()
        with contextlib.suppress(UnknownError):  # who starts it is told
            going = launch.going
        first, option = "nothing started; ", ""
        if going.is_mixed:
            first = f"nothing started; attempt {going.attempt} has logged metrics with another config: {going.keys}.\n"
            option = f" {CONTINUE_OPTION}"
        why = f"; heyhi logs --error {shell_word(launch.experiment.exp_id)} says why" if status is Status.DEAD else ""
        return f"{first}--mode start_continue{option} goes on from its files, --mode restart begins anew{why}"
    return "nothing started; --mode restart would stop it and begin anew"


def _ask_before_wiping(where: str, shown: Sequence[str] = (), *, force: bool, goes_on: bool = False) -> None:
    if not force:
        agrees(
            f"{where}: {'its result would be moved to the trash' if goes_on else 'this would wipe it'}",
            "go on from its files?" if goes_on else "wipe it and start again?",
            shown,
            otherwise=f"nothing was {'moved' if goes_on else 'wiped'}, nothing started",
        )
