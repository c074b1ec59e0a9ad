"""The commands that only look: status, logs, report, print, describe, diff and the rest."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.cli.selection import _check_words, _look, _open, _sources

if TYPE_CHECKING:
    from heyhi.project import Project
    from heyhi.report.shape import Shape
    from heyhi.report.source import Source


def _version_or_help(args: argparse.Namespace) -> int:
    if args.version:
        from importlib.metadata import version

        print(f"heyhi {version('heyhi')}")
        return 0
    args.parser.print_help(sys.stderr)
    return 2


def _status(args: argparse.Namespace) -> int:
    from heyhi.project import find_project

    project = find_project()
    if args.job is not None:
        return _status_of_job(project, args)
    look = _look(project, args)
    if args.every is not None:
        from heyhi.control.watch import DEFAULT_SECONDS, watch
        from heyhi.errors import HeyhiError

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


def _status_of_job(project: Project, args: argparse.Namespace) -> int:
    from heyhi.control.job_view import look_at_job
    from heyhi.errors import HeyhiError

    if args.words or args.cfg is not None or args.sweep or args.every is not None:
        raise HeyhiError("--job ID goes alone, or with --json")
    found = look_at_job(project, args.job)
    if args.json:
        _print_json({**row.to_dict(), "log": found.logs[row.exp_path]} for row in found.rows)
    else:
        print("\n".join(found.lines))
    return 1 if found.has_dead else 0


def _logs(args: argparse.Namespace) -> int:
    from heyhi.control.find import find_folders
    from heyhi.control.log import show_log
    from heyhi.errors import HeyhiError
    from heyhi.experiment.folder import ExperimentDir
    from heyhi.project import find_project

    project = find_project()
    folders = find_folders(project, [args.target])
    if len(folders) > 1:
        names = ", ".join(ExperimentDir(Path(path), project.results_root).exp_id for path in folders[:8])
        raise HeyhiError(f"job {args.target} has {len(folders)} experiments; which one? {names}")
    folder = ExperimentDir(Path(folders[0]), project.results_root)
    return show_log(project, folder, lines=args.lines, follow=args.follow)


def _report(args: argparse.Namespace) -> int:
    import signal
    import time

    from heyhi.errors import HeyhiError
    from heyhi.project import find_project
    from heyhi.report.shape import Shape

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
            _report_once(project, args, sources, shape)
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


def _sheets(args: argparse.Namespace) -> int:
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


def _print(args: argparse.Namespace) -> int:
    project, schema = _open()
    from heyhi.config.compose import Composer
    from heyhi.config.describe import render

    composed = Composer(project, schema).compose(args.cfg, args.words)
    sys.stdout.write(render(composed, flat="all" if args.flat_all else "set" if args.flat else None))
    return 0


def _describe(args: argparse.Namespace) -> int:
    project, schema = _open()
    from heyhi.config.describe import describe

    print(describe(project, schema, args.cfg, args.key))
    return 0


def _diff(args: argparse.Namespace) -> int:
    project, schema = _open()
    from heyhi.control.diff import diff

    print(diff(project, schema, args.a, args.b))
    return 0


def _protos(args: argparse.Namespace) -> int:
    from heyhi.config.protos import write
    from heyhi.project import find_project

    project = find_project()
    for path in write(project, args.out or project.root):
        print(path)
    return 0


def _init(args: argparse.Namespace) -> int:
    from heyhi.cli.init import init

    for path in init(args.folder):
        print(path)
    print(f"next: cd {args.folder} && snakemake --profile profiles/local", file=sys.stderr)
    return 0


def _completion(args: argparse.Namespace) -> int:
    from heyhi.cli.completion import script

    print(script(args.shell))
    return 0


def _print_json(rows: Iterable[object]) -> None:
    """Print a JSON list, an element a line, as the elements come."""
    import json

    first = True
    for row in rows:
        sys.stdout.write(f"{'[' if first else ','}\n  {json.dumps(row)}")
        first = False
    sys.stdout.write("[]\n" if first else "\n]\n")


def _report_once(project: Project, args: argparse.Namespace, sources: Sequence[Source], shape: Shape) -> None:
    """Print a table, write its files and export it.

    Raises:
        HeyhiError: something can't be read or written; what can be written is.
    """
    from heyhi.report.drift import drift_line
    from heyhi.report.export import suffix_of
    from heyhi.report.gather import gather, title_of
    from heyhi.report.terminal import print_table, rendered, show_progress
    from heyhi.report.write import export_sheets, fixed_files, write_files

    for path in args.to:
        suffix_of(path)  # a name that asks for no format is said before anything is read
    for warning in (w for s in sources for w in s.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    whole = gather(sources, with_needs=args.needs, drift=args.drift, progress=show_progress)
    if warning := shape.warning(whole):
        print(f"warning: {warning}", file=sys.stderr)
    shaped = shape.apply(whole)
    print_table(rendered(shaped), about=whole)
    if line := drift_line(whole, sources):
        print(line, flush=True)
    title = title_of(sources)
    paths = args.to or fixed_files(project, title, project.settings.reports)
    written = write_files(paths, whole, shaped, project, title)
    if written.files:
        print(f"written: {', '.join(project.relative(path.absolute()) for path in written.files)}", flush=True)
    sheets = [args.sheet] if args.sheet else dict.fromkeys(s.sheet for s in sources if s.sheet is not None)
    problems = [*written.problems, *export_sheets(shaped, sheets, project, group=title, known=list(whole.columns))]
    for problem in problems[:-1]:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise problems[-1]
