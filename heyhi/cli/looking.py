"""The commands that only look: status, logs, report, print, describe, diff and the rest."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from heyhi.cli.json_answer import give
from heyhi.cli.options import ALL_RANKS
from heyhi.cli.whose import only_looks
from heyhi.text import data_output, shell_line, shell_word, wrapped

if TYPE_CHECKING:
    from heyhi.cli.selection import Selection
    from heyhi.code.changes import CodeChange
    from heyhi.config.schema import Schema
    from heyhi.control.attendance import Commands
    from heyhi.control.survey import Row, Survey
    from heyhi.project import Project


NOT_LOOKED = "not compared with the configs and the code of today: --drift does that"


def version_or_help(args: argparse.Namespace) -> int:
    """Print the version, or the help with exit code 2."""
    if args.version:
        from importlib.metadata import version

        print(f"heyhi {version('heyhi')}")
        return 0
    args.parser.print_help(sys.stderr)
    return 2


def status(args: argparse.Namespace) -> int:
    """Say how experiments are."""
    if args.job is not None:
        return _status_of_job(args)
    if args.sweeps:
        return _status_of_sweeps(args)
    looked = _Looked.at(args)
    if args.every is not None:
        from heyhi.control.watch import DEFAULT_SECONDS, watch
        from heyhi.errors import HeyhiError

        if args.drift or args.all:
            raise HeyhiError("--watch goes without --drift and --all")
        code = watch(looked.look, args.every or DEFAULT_SECONDS, looked.commands())
        if args.json:
            _give_status(looked.look(), args, {}, {})
        return code
    survey = looked.look()
    drift = survey.drift(looked.schema_of) if args.drift else {}  # the schema is loaded for this only
    recoded = survey.recoded() if args.drift else {}
    if args.json:
        _give_status(survey, args, drift, recoded)
    elif args.where and not survey.folders:
        print(looked.none_text())
    else:
        from heyhi.control.listing import render, terminal_width
        from heyhi.control.search_lines import search_lines

        print(render(survey, drift, everything=args.all, width=terminal_width()))
        if args.given:  # who looks at all has no single one in mind
            _print_outside(survey)
            _print_trial(survey)
        print_wrapped(search_lines(survey))
        print_recoded(recoded.values())
        print_wrapped(looked.winner_lines())
        if survey.others:
            from heyhi.control.attendance import Attendance

            print_wrapped(Attendance.of(survey).lines(looked.commands(), reasons=survey.reasons))
        if not args.drift and len(survey.others) < len(survey.folders):
            print(NOT_LOOKED)
    return 1 if survey.has_trouble else 0


def _give_status(
    survey: Survey, args: argparse.Namespace, drift: Mapping[str, list[str]], recoded: Mapping[str, CodeChange]
) -> None:
    """Answer in JSON how experiments are."""
    rows = (
        {
            **row.to_dict(),
            **how_far(row),
            **(otherwise(row, drift, recoded) if args.drift else {}),
            **survey.marks(row),
        }
        for row in survey.rows
    )
    fields = {
        "counts": {status.value: count for status, count in survey.counts.items()},
        "is_over": all(state.status.is_over for state in survey.others.values()),
        "lacks": survey.lacks,
        "silence": survey.silence,
    }
    give("status", fields, last="experiments", rows=rows)


def _print_outside(survey: Survey) -> None:
    """Say what a single experiment has loaded from elsewhere than its copy of the code."""
    from heyhi.experiment.names import Status

    if len(survey.folders) == 1 and survey.rows[0].status is not Status.UNKNOWN:
        from heyhi.code.import_path import outside_text
        from heyhi.errors import UnknownError
        from heyhi.experiment.folder import ExperimentDir
        from heyhi.experiment.records import History

        try:
            text = outside_text(History(ExperimentDir(Path(survey.rows[0].exp_path)).attempts()).outside)
        except UnknownError as error:  # of one that is DONE all the same
            print(f"problem: {error.fact}", file=sys.stderr)
            return
        if text:
            print(f"code: {text}")


def _print_trial(survey: Survey) -> None:
    """Say which trial of which search a single experiment is."""
    if len(survey.folders) == 1:
        from heyhi.control.search_lines import trial_lines

        print("".join(f"{line}\n" for line in trial_lines(survey.parts[0].project, survey.rows[0])), end="")


def how_far(row: Row) -> dict[str, object]:
    """Return, as JSON holds it, since when an experiment runs or waits, and how far it has come."""
    since, progress = None, ""
    if row.status.is_alive:
        from heyhi.control.progress import progress_of, since_when
        from heyhi.experiment.folder import ExperimentDir

        since, progress = (
            since_when(row.exp_path, row.status),
            progress_of(ExperimentDir(Path(row.exp_path)), row.status),
        )
    return {"since": since.isoformat(timespec="seconds") if since is not None else None, "progress": progress}


def otherwise(row: Row, drift: Mapping[str, Sequence[str]], recoded: Mapping[str, CodeChange]) -> dict[str, object]:
    """Return, as JSON holds it, how an experiment was made otherwise than it would be today."""
    change = recoded.get(row.exp_path)
    return {"drifted": list(drift.get(row.exp_id, [])), "other_code": change.text if change is not None else ""}


def print_recoded(changes: Iterable[CodeChange]) -> None:
    """Say in a line how many experiments were made by other code than today's, if any were."""
    found = list(changes)
    if found:
        from heyhi.sweep.provenance import code_lines

        print("\n".join(code_lines(found)), flush=True)


class _Looked(NamedTuple):
    """What `status` looks at.

    Attributes:
        look: looks at it now.
        schema_of: loads the schema of a project.
        commands: returns what starts those that nobody runs.
        none_text: returns what is said where --where chose none.
        winner_lines: returns what is said of the best ones of sweeps that experiments are made of.
    """

    look: Callable[[], Survey]
    schema_of: Callable[[Project], Schema]
    commands: Callable[[], Commands]
    none_text: Callable[[], str] = str
    winner_lines: Callable[[], list[str]] = list

    @classmethod
    def at(cls, args: argparse.Namespace) -> _Looked:
        """Read what is named; conditions choose anew at each look."""
        if args.given or args.where:
            from heyhi.cli.choosing import Choice
            from heyhi.cli.selection import project_for, select
            from heyhi.cli.winners import winner_lines

            project = project_for(args)
            only_looks(project)
            selection = select(project, args)
            choice = Choice(selection, args.where)
            return cls(
                choice.survey,
                selection.schema_of,
                lambda: commands_for(selection, args.where),
                lambda: choice.none_text,
                lambda: winner_lines(selection),
            )
        # All that are known, which is asked most: without what reads words.
        from heyhi.control.survey import Survey
        from heyhi.project import find_project

        project = find_project()
        only_looks(project)

        def schema_of(of: Project) -> Schema:
            from heyhi.config.schema import load_schema

            return load_schema(of)

        def commands() -> Commands:
            from heyhi.control.attendance import Commands
            from heyhi.control.last_profile import launched_by, start_words, ways_of

            ways = ways_of(project)
            starts = shell_line([*start_words(project, launched_by(project)), *ways])
            again = shell_line(["heyhi", "retry", "--dead", *ways])
            return Commands(f"{starts}, with the words that heyhi status --sweeps lists,", again)

        return cls(lambda: Survey.of_index(project), schema_of, commands)


def commands_for(selection: Selection, conditions: Sequence[str] = ()) -> Commands:
    """Return what starts experiments that words name and conditions choose."""
    from heyhi.cli.profiles import start_command
    from heyhi.control.attendance import Commands
    from heyhi.control.last_profile import ways_of

    if any(project.root != selection.project.root for project in selection.projects):
        return Commands()  # by commands in the other project
    words = "".join(f" {shell_word(word)}" for word in selection.words)
    chosen = "".join(f" --where {shell_word(one)}" for one in conditions)
    # Who launches can't choose by conditions.
    ways = ways_of(selection.project, [path for part in selection.parts() for path in part.folders])
    how = "".join(f" {shell_word(word)}" for word in ways)
    start = "" if chosen or not words else f"{start_command(selection)}{words}{how}"
    return Commands(start, f"heyhi retry --dead{words}{chosen}{how}")


def _status_of_job(args: argparse.Namespace) -> int:
    from heyhi.control.job_view import look_at_job
    from heyhi.errors import HeyhiError
    from heyhi.project import find_project

    if args.given or args.where or args.every is not None:
        raise HeyhiError("--job ID goes alone, or with --json")
    project = find_project()
    only_looks(project)
    found = look_at_job(project, args.job)
    if args.json:
        rows = ({**row.to_dict(), "log": found.logs[row.exp_path]} for row in found.rows)
        give("status", {}, last="experiments", rows=rows)
    else:
        print("\n".join(found.lines))
    return 1 if found.has_trouble else 0


def _status_of_sweeps(args: argparse.Namespace) -> int:
    from heyhi.control.launches import launches_of
    from heyhi.errors import HeyhiError
    from heyhi.project import find_project

    if args.given or args.where or args.every is not None or args.drift or args.all:
        raise HeyhiError("--sweeps goes alone, or with --json: it lists what was launched")
    launches = launches_of(find_project())
    if args.json:
        rows = (launched.to_dict() for launched in launches.found)
        give("status", {"lacks": launches.lacks}, last="launches", rows=rows)
    else:
        nothing = "nothing that can be read is on record" if launches.lacks else "nothing was launched yet"
        print("\n".join(line for launched in launches.found for line in launched.lines) or nothing)
    return 1 if launches.lacks else 0


def logs(args: argparse.Namespace) -> int:
    """Print an experiment's log."""
    from heyhi.cli.selection import project_for, select
    from heyhi.control.log import show_log
    from heyhi.errors import HeyhiError
    from heyhi.experiment.folder import ExperimentDir

    here = project_for(args)
    only_looks(here)
    if args.follow and (args.attempt is not None or args.error):
        raise HeyhiError(f"--follow goes without {'--error' if args.error else '--attempt'}: it shows what comes")
    if args.error:
        return _errors(here, args)
    selection = select(here, args)
    project, path = selection.one_experiment("the log", "; --error shows why those of them are dead that are")
    print_note(project, path)
    folder = ExperimentDir(Path(path), project.results_root)
    return show_log(
        project,
        folder,
        lines=args.lines,
        follow=args.follow,
        rank=args.rank if args.rank != ALL_RANKS else None,
        all_ranks=args.rank == ALL_RANKS,
        attempt=args.attempt,
        commands=commands_for(selection),
    )


def _errors(here: Project, args: argparse.Namespace) -> int:
    """Say why experiments are dead."""
    from heyhi.cli.selection import select
    from heyhi.control.failure import show_errors
    from heyhi.control.survey import Survey
    from heyhi.errors import HeyhiError

    if args.lines is not None or args.rank == ALL_RANKS:
        raise HeyhiError(f"--error goes without {'--lines' if args.lines is not None else '--rank all'}")
    if args.given:
        selection = select(here, args)
        survey = Survey.of_parts(selection.parts(own=True))
    else:
        survey = Survey.of_index(here)
    if len(survey.rows) != 1 and (args.rank is not None or args.attempt is not None):
        raise HeyhiError(f"--rank and --attempt are of one experiment, and these are {len(survey.rows)}")
    return show_errors(survey, rank=args.rank, attempt=args.attempt)


def print_note(project: Project, exp_path: str) -> None:
    """Say what somebody noted of an experiment, if anything."""
    from heyhi.experiment.notes import Notes

    shown = Notes.read(project.results_root).shown(exp_path)
    if shown is not None:
        print(f"note: {shown.line}", file=sys.stderr, flush=True)


def report(args: argparse.Namespace) -> int:
    """Gather experiments into one table, and write it where people look at it."""
    import signal
    import time

    from heyhi.cli.reporting import check, report_once
    from heyhi.cli.selection import project_for, select
    from heyhi.errors import error_text
    from heyhi.streams import LostOutput

    project = project_for(args)
    check(args, project)
    only_looks(project)
    select(project, args, default=True)  # a wrong word is said before a watch begins

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
            # Each time: configs and sweep files may have changed.
            code = report_once(project, args, select(project, args, default=True).sources())
        except (BrokenPipeError, LostOutput):
            raise  # nobody looks any more
        except Exception as error:  # whatever it is: the next round may find it mended
            if args.watch is None:
                raise
            print(f"error: {error_text(error)}", file=sys.stderr, flush=True)
        if args.watch is None:
            return code
        until = time.monotonic() + args.watch
        while not stopped and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
    raise KeyboardInterrupt


def sheets(args: argparse.Namespace) -> int:
    """Log in to Google Sheets, or check that an export would work."""
    from heyhi.errors import NoProjectError
    from heyhi.project import find_project
    from heyhi.sheets.export import check, login

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


def show_config(args: argparse.Namespace) -> int:
    """Print a composed config."""
    from heyhi.cli.shown_config import print_config
    from heyhi.project import find_project

    project = find_project()
    only_looks(project)
    print_config(project, args.cfg, args.words, "all" if args.flat_all else "set" if args.flat else None)
    return 0


def describe_config(args: argparse.Namespace) -> int:
    """Print the fields of a config's task."""
    from heyhi.cli.json_describe import give_settings, give_space
    from heyhi.config.describe import describe
    from heyhi.config.schema import load_schema
    from heyhi.project import find_project

    project = find_project()
    if args.settings:
        from heyhi.config.settings_shown import settings_lines
        from heyhi.errors import HeyhiError

        if args.cfg is not None:
            raise HeyhiError(f"--settings are the project's: it goes without '{args.cfg}'")
        if args.json:
            give_settings(project)
            return 0
        print("\n".join(settings_lines(project, load_schema(project))))
        return 0
    if args.json:
        give_space(project, load_schema(project), args.cfg, args.key)
        return 0
    print(describe(project, load_schema(project), args.cfg, args.key))
    return 0


def compare(args: argparse.Namespace) -> int:
    """Say how two experiments differ."""
    from heyhi.cli.json_diff import give_comparison
    from heyhi.cli.selection import project_for, select
    from heyhi.control.diff import diff
    from heyhi.errors import HeyhiError
    from heyhi.experiment.folder import ExperimentDir

    here = project_for(args)
    only_looks(here)
    selection = select(here, args)
    found = selection.own_experiments()
    if len(found) != 2:
        raise HeyhiError(f"diff compares two experiments, and these words name {len(found)}{selection.listed(found)}")
    folders = [ExperimentDir(Path(path), project.results_root) for project, path in found]
    comparison = diff(selection.schema, found[0][0], *folders)
    print(comparison.text)
    give_comparison(comparison)
    for why in comparison.unread:
        print(f"error: {why}", file=sys.stderr)
    return HeyhiError.exit_code if comparison.unread else 0


def protos(args: argparse.Namespace) -> int:
    """Write generated modules and their stubs."""
    from heyhi.config.protos import write
    from heyhi.project import find_project

    project = find_project()
    for path in write(project, args.out or project.root):
        print(path)
    return 0


def init_project(args: argparse.Namespace) -> int:
    """Make a folder a project, or bring what is ours in one up to date."""
    from heyhi.cli.init import init
    from heyhi.cli.made import say
    from heyhi.errors import ProjectError

    if args.script is not None:
        from heyhi.cli.from_argparse import init_from

        if args.refresh:
            raise ProjectError("--from makes a project, and --refresh brings one up to date: give one of them")
        init_from(args.script, args.folder or Path(), is_dry_run=args.dry_run)
        return 0
    if args.refresh:
        from heyhi.cli.refreshing import refresh
        from heyhi.project import find_project

        if args.folder is not None and not args.folder.is_dir():  # else the project above it would be meant
            there = args.folder.exists()
            raise ProjectError(f"{args.folder}: {'is no folder' if there else 'no such folder'}: nothing was written")
        refresh(find_project(args.folder), is_dry_run=args.dry_run)
        return 0
    if args.folder is None:
        raise ProjectError(
            "which folder is to be a project? `heyhi init .` makes it this one, and leaves what is in it as it is;"
            " `heyhi init DIR` makes a new one"
        )
    say(init(args.folder, is_dry_run=args.dry_run))
    return 0


def completion(args: argparse.Namespace) -> int:
    """Print a shell's completion script."""
    from heyhi.cli.completion import script

    print(script(args.shell), file=data_output())
    return 0


def print_wrapped(lines: Iterable[str]) -> None:
    """Print lines, broken between words where a terminal is too narrow for one."""
    from heyhi.control.listing import terminal_width

    print("".join(f"{line}\n" for line in wrapped(lines, terminal_width())), end="", flush=True)
