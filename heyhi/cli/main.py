"""The command `heyhi`, from its arguments to its exit code; its commands stand in modules of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from heyhi.errors import NO_TARGET

if TYPE_CHECKING:
    import argparse


# What starts, ends or changes something: it goes on where nothing of what it says can be written.
OPTION = "--json"
_DOING = ("run", "launch", "search", "cancel", "retry", "clean", "init", "protos")


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: arguments; default: sys.argv's.

    Returns:
        exit code: 0; 1 where something is not as asked (`status`: an experiment is dead); 2 for a wrong command.
    """
    given = _with_json_behind(list(sys.argv[1:] if args is None else args))
    if "_ARGCOMPLETE" in os.environ or not _prints_targets(given):
        return _run_words(given)
    from heyhi.streams import guard_streams

    guard_streams()
    process = os.getpid()
    code: object = 1
    try:
        # Little is imported before: whatever fails, this process is there to say it.
        from heyhi.cli.apart import can_run_apart, run_apart
        from heyhi.errors import reporting_errors

        if args is not None or not can_run_apart():
            code = exit_code = _run_words(given)
        else:
            with reporting_errors():
                code = exit_code = run_apart(lambda: _run_words(given), instead=_instead(given))
        return exit_code
    except SystemExit as stop:
        code = stop.code
        raise
    finally:
        if code not in (0, None) and os.getpid() == process:
            _print_no_target(given)


def _run_words(given: list[str]) -> int:
    from heyhi.cli.parser import Given, make_parser, parse
    from heyhi.streams import guard_streams
    from heyhi.text import take_any_text

    guard_streams()
    take_any_text()
    is_asked_by_shell = "_ARGCOMPLETE" in os.environ
    parser = make_parser(None if is_asked_by_shell else _command_in(given))
    if is_asked_by_shell:
        from heyhi.cli.completion import complete, is_for_task_file

        if is_for_task_file():
            from heyhi.cli.task_command import complete_if_asked

            complete_if_asked()
        complete(parser, Given)
    from heyhi.cli.mistakes import telling_habits
    from heyhi.errors import reporting_errors

    command = _command_in(given)

    def run() -> int:
        with telling_habits(given, command, sweeps=command not in ("print", "describe")):
            return _run(parse(parser, given))

    with reporting_errors():
        if _names_json(given):
            from heyhi.cli.json_answer import answered, is_asked

            if is_asked(given):
                if command in _DOING and "--dry-run" not in given:
                    _go_on()  # here: meanwhile, standard output is another stream
                return answered(given, run)
        return run()


def _instead(given: Sequence[str]) -> Callable[[str], None] | None:
    """Return what says in JSON what has ended a command from outside, where JSON was asked for."""
    if not _names_json(given):
        return None
    from heyhi.cli.json_answer import print_failure
    from heyhi.cli.json_failure import ENDED

    return lambda text: print_failure(ENDED, text)


def _go_on() -> None:
    from heyhi.streams import go_on

    go_on()


def _run(args: argparse.Namespace) -> int:
    """Run a command; the commands are imported now, which `heyhi --help` can do without."""
    if args.command in _DOING and not getattr(args, "dry_run", False):
        _go_on()
    if args.command in ("expand", "plan", "launch"):
        from heyhi.cli import launching

        return {"expand": launching.expand, "plan": launching.plan, "launch": launching.launch}[args.command](args)
    if args.command == "retry":
        from heyhi.cli.retrying import retry

        return retry(args)
    if args.command == "cancel":
        from heyhi.cli.cancelling import cancel

        return cancel(args)
    if args.command == "run":
        from heyhi.cli.running import run

        return run(args)
    if args.command == "search":
        from heyhi.cli.searching import search

        return search(args)
    if args.command == "clean":
        from heyhi.cli.cleaning import clean

        return clean(args)
    if args.command == "note":
        from heyhi.cli.noting import note

        return note(args)
    if args.command == "export":
        from heyhi.cli.exporting import export

        return export(args)
    if args.command == "serve":
        from heyhi.cli.serving import serve

        return serve(args)
    if args.command == "notify":
        from heyhi.cli.notifying import notify

        return notify(args)
    if args.command == "docs":
        from heyhi.cli.docs import docs

        return docs(args)
    from heyhi.cli import looking

    return {
        "": looking.version_or_help,
        "status": looking.status,
        "logs": looking.logs,
        "report": looking.report,
        "sheets": looking.sheets,
        "print": looking.show_config,
        "describe": looking.describe_config,
        "diff": looking.compare,
        "protos": looking.protos,
        "init": looking.init_project,
        "completion": looking.completion,
    }[args.command](args)


def _names_json(given: Sequence[str]) -> bool:
    """Return whether a command is asked for JSON; with a value behind it, too, which is refused, in JSON."""
    return any(word == OPTION or word.startswith(f"{OPTION}=") for word in given)


def _with_json_behind(given: list[str]) -> list[str]:
    """Put `--json` that stands before the command, as other programs have it, behind it."""
    place = next((at for at, word in enumerate(given) if word != OPTION), len(given))
    command = given[place : place + 1]
    return [*command, OPTION, *given[place + 1 :]] if place and command and not command[0].startswith("-") else given


def _command_in(given: Sequence[str]) -> str:
    return next((word for word in given if not word.startswith("-")), "")


def _prints_targets(given: Sequence[str]) -> bool:
    """Return whether a command line was to print targets; who mistyped the command meant it, too."""
    command = _command_in(given)
    if command in ("expand", "export") or not command.startswith("ex"):
        return command == "expand"
    from heyhi.errors import suggest

    return bool(suggest(command, ["expand"]))


def _print_no_target(given: Sequence[str]) -> None:
    """Print a target that nothing makes, in place of those that were asked for."""
    if _names_json(given) or "--manifest" in given or sys.stdout is None:
        return
    try:
        if not sys.stdout.isatty():
            print(NO_TARGET, flush=True)
    except (OSError, ValueError):  # nobody reads it
        pass


if __name__ == "__main__":
    sys.exit(main())
