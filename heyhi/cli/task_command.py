"""The command line of a task file, `python run.py --cfg …`: arguments, what is printed, exit codes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heyhi.cli.task_words import Words, read_words
from heyhi.cli.whose import may_change
from heyhi.collector import Pause
from heyhi.errors import ModeError, UnknownError, reporting_errors
from heyhi.experiment.modes import ADHOC_MODE, DEFAULT_MODE, action_of
from heyhi.experiment.names import Status
from heyhi.job.importing import check_not_importing
from heyhi.job_env import get_tasks
from heyhi.project import find_project
from heyhi.streams import go_on, guard_streams
from heyhi.text import shell_word

if TYPE_CHECKING:
    import argparse

    from heyhi.job.grace import Grace
    from heyhi.job.launch import Launch, Main
    from heyhi.job.meeting import Host
    from heyhi.job_env import Tasks
    from heyhi.project import Project
    from heyhi.sweep.provenance import Provenance

    Arguments = argparse.Namespace | Words


def parse_args_and_maybe_launch(main: Main, args: Sequence[str] | None = None) -> None:
    """Be the command line of a task file: `if __name__ == "__main__": heyhi.parse_args_and_maybe_launch(main)`.

    Exits with 0 when the experiment is done, or runs or waits, 1 when it failed, is DEAD and was left so, or nobody
    knows how it is, 2 when the command was wrong.

    Args:
        main: called as `main(task=, cfg=, log_level=)` in the experiment's folder.
        args: command line; default: sys.argv's.
    """
    with Pause() as pause:
        check_not_importing("parse_args_and_maybe_launch")
        guard_streams()
        complete_if_asked()
        from heyhi.cli.mistakes import telling_habits

        words = sys.argv[1:] if args is None else args
        with reporting_errors(), telling_habits(words, options=_Options()):
            sys.exit(_run_command(read_words(words) or _parsed(args), main, pause))


def _parsed(args: Sequence[str] | None) -> argparse.Namespace:
    from heyhi.cli.task_parser import make_parser, parse_with_overrides  # an ordinary line does without argparse

    return parse_with_overrides(make_parser(), args)


class _Options:
    """The options that there are; nobody asks for them unless something is wrong."""

    def __contains__(self, option: object) -> bool:
        from heyhi.cli.task_parser import make_parser

        return option in make_parser()._option_string_actions


def complete_if_asked() -> None:
    """Answer a shell that asks for completions of a task file's words, and end the process; else do nothing."""
    if "_ARGCOMPLETE" in os.environ:
        from heyhi.cli.completion import complete
        from heyhi.cli.task_parser import Once, make_parser

        complete(make_parser(), Once)


def _run_command(args: Arguments, main: Main, pause: Pause) -> int:
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
    launch = _prepared(args, project)
    asked = mode  # what all tasks say alike: only the first one may know of the run before
    if launch.adhoc is not None and launch.adhoc.is_again and args.mode is None:
        mode = "start_continue"
    tasks = get_tasks() if mode != "dryrun" else None
    if tasks is None and (mode == "dryrun" or launch.is_for_slurm):
        return _run(args, mode, launch, main)  # nothing of the user's that could keep this process
    pause.end()
    from heyhi.job.grace import Grace

    with Grace() as grace:
        grace.exit_code = _run_with_others(args, asked, mode, launch, main, grace, tasks)
    return grace.exit_code


def _prepared(args: Arguments, project: Project) -> Launch:
    from heyhi.cli.options import redo_in
    from heyhi.job.launch import Launch  # printing a config can do without

    return Launch.prepare(
        project,
        args.cfg,
        args.overrides,
        adhoc=args.adhoc,
        pattern=args.pattern,
        snapshot=not args.no_snapshot,
        continue_drifted=args.continue_drifted,
        redo_drifted=redo_in(args),
    )


def _run_with_others(
    args: Arguments, asked: str, mode: str, launch: Launch, main: Main, grace: Grace, tasks: Tasks | None
) -> int:
    """Run what was prepared, together with the tasks that were started at once with this one, if there are any."""
    if tasks is None:
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
    args: Arguments, mode: str, launch: Launch, main: Main, grace: Grace | None = None, host: Host | None = None
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
    ready = _check_slurm if launch.is_for_slurm else None
    started = launch.start(main, action, args.log_level, host, grace, ready=ready)
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


def _check_slurm(*, asks: bool) -> None:
    """Make sure that Slurm can be reached, or that it is here at all: a loop outlives a controller's restart."""
    from heyhi.job.patience import SECONDS
    from heyhi.slurm.reach import check_reachable

    def tell(why: str) -> None:
        again = f"{why}; it is asked again for {SECONDS / 60:.3g} minutes (Ctrl-C leaves nothing behind)"
        print(again, file=sys.stderr, flush=True)

    instead = "heyhi run --profile local, with the same words, runs it here"
    check_reachable(instead, seconds=SECONDS, tell=tell, asks=asks)


def _what_next(mode: str, status: Status, launch: Launch, made: Provenance | None) -> str:
    from heyhi.cli.options import REDO

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
        from heyhi.cli.ask import agrees

        agrees(
            f"{where}: {'its result would be moved to the trash' if goes_on else 'this would wipe it'}",
            "go on from its files?" if goes_on else "wipe it and start again?",
            shown,
            otherwise=f"nothing was {'moved' if goes_on else 'wiped'}, nothing started",
        )
