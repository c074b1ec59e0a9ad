"""One report: what its options ask for, and where the table that comes of it goes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from heyhi.collector import paused_collection
from heyhi.errors import HeyhiError
from heyhi.extras import check as check_extra
from heyhi.report.destination import EXTRA_OF_FORMAT, is_standard_output, suffix_of
from heyhi.report.frames import GroupError
from heyhi.report.shape import Shape

if TYPE_CHECKING:
    from heyhi.experiment.directions import Direction
    from heyhi.project import Project
    from heyhi.report.gathered import Gathered
    from heyhi.report.shaped import Shaped
    from heyhi.report.source import Source


def check(args: argparse.Namespace, project: Project) -> None:
    """Make sure that options go together, before anything is read.

    Raises:
        HeyhiError: they don't.
    """
    shape_of(args, project).check(with_needs=args.needs)
    formats = [suffix_of(path) for path in args.to]
    for extra in (*map(EXTRA_OF_FORMAT.get, formats), "sheets" if args.sheet else None):
        if extra is not None:
            check_extra(extra)
    on_output = [path for path in destinations(args) if is_standard_output(path)]
    if len(on_output) > 1:
        raise HeyhiError(f"--to {' --to '.join(map(str, on_output))}: standard output holds one table")
    if args.json and (on_output or args.watch is not None):
        what = f"--to {on_output[0]}" if on_output else "--watch"
        raise HeyhiError(f"--json goes without {what}: standard output holds one document")
    if on_output and args.watch is not None:
        raise HeyhiError(f"--to {on_output[0]}: standard output holds the table of one round: without --watch")


def destinations(args: argparse.Namespace) -> list[Path]:
    """Return where a table is to go, each place once."""
    return list({path if is_standard_output(path) else path.absolute(): path for path in args.to}.values())


def shape_of(args: argparse.Namespace, project: Project) -> Shape:
    """Return how the options of `heyhi report` want a table put together.

    Raises:
        GroupError: an option lacks what it needs.
    """
    if args.group_by is not None and not _names(args.group_by):
        raise GroupError("--group-by takes keys, such as --group-by lr; to put seeds together: --mean-over")
    best, direction = _directed(args.best)
    at_best, at_best_direction = _directed(args.at_best)
    return Shape(
        sort=tuple(args.sort),
        columns=_names(args.columns),
        mean_over=None if args.mean_over is None else _names(args.mean_over) or project.settings.replicate,
        group_by=_names(args.group_by),
        spread=args.spread,
        where=tuple(args.where),
        best=best,
        direction=direction,
        at_best=at_best,
        at_best_direction=at_best_direction,
        per=_names(args.per),
        pivot=tuple(args.pivot) if args.pivot else None,
    )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def _directed(text: str | None) -> tuple[str | None, Direction | None]:
    """Take `KEY:min` apart; a key may have colons of its own."""
    if text is None:
        return None, None
    key, colon, end = text.rpartition(":")
    return (key, cast("Direction", end)) if colon and key and end in ("min", "max") else (text, None)


def is_view(shape: Shape) -> bool:
    """Return whether a table is asked for that is not the whole of its sweep."""
    return shape != Shape(sort=shape.sort)


@dataclass(frozen=True)
class _Report:
    """A table that was made, and what it was made of.

    Attributes:
        here: the project around the working directory.
        project: the one that all of it is of; `here` where there are several.
        args: of the command.
        sources: what is reported.
        gathered: what was read.
        shape: how it was asked for.
        shaped: what is shown.
        out: where lines about it go.
        told: lines about it that were said.
        written: files that it was written to.
        links: to the spreadsheets that it was exported to.
    """

    here: Project
    project: Project
    args: argparse.Namespace
    sources: Sequence[Source]
    gathered: Gathered
    shape: Shape
    shaped: Shaped
    out: TextIO
    told: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    @property
    def is_part(self) -> bool:
        """Whether it is of experiments that were named themselves."""
        return any(source.only for source in self.sources)

    @cached_property
    def whole(self) -> Shaped:
        """The whole table of the sweep."""
        if not is_view(self.shape):
            return self.shaped
        return Shape().apply(self.gathered if self.shape.at_best is None else _gathered(self.args, self.sources))

    def say(self, line: str) -> None:
        """Print a line about it."""
        self.told.append(line)
        print(line, file=self.out, flush=True)


def plain_report(here: Project, sources: Sequence[Source]) -> None:
    """Print, write and export the table that `heyhi report` makes without any options.

    Args:
        here: the project around the working directory.
        sources: what is reported.

    Raises:
        HeyhiError: something can't be read or written; what can be written is.
    """
    nothing = dict.fromkeys(("columns", "mean_over", "group_by", "spread", "best", "per", "at_best", "pivot", "sheet"))
    lists: dict[str, list[str]] = {"sort": [], "where": [], "to": []}
    report_once(here, argparse.Namespace(**nothing, **lists, needs=False, drift=False, watch=None, json=False), sources)


@paused_collection()  # what was read of 10,000 experiments is in use until the table is made
def report_once(here: Project, args: argparse.Namespace, sources: Sequence[Source]) -> int:
    """Print a table, write its files and export it, by the settings of the project that all of it is of.

    Args:
        here: the project around the working directory, whose settings count where there are several.
        args: of the command.
        sources: what is reported.

    Returns:
        exit code: of the error that an answer in JSON has beside the table, where it can't be written; else 0.

    Raises:
        HeyhiError: something can't be read or written; what can be written is.
    """
    from heyhi.report.terminal import print_table

    own = list(dict.fromkeys(source.project for source in sources))
    project = own[0] if len(own) == 1 else here
    shape = shape_of(args, project)
    warnings = [warning for source in sources for warning in source.warnings]
    for source in sources:
        if source.manifest.contests:
            from heyhi.report.winner import changed_winners

            warnings += changed_winners(source.project, source.manifest)
    print("".join(f"warning: {warning}\n" for warning in warnings), end="", file=sys.stderr)
    gathered = _gathered(args, sources, shape)
    shape.check_fields(gathered, project.settings.replicate)
    if warning := shape.warning(gathered):
        warnings.append(warning)
        print(f"warning: {warning}", file=sys.stderr)
    # What is piped on is the table and nothing else.
    out = sys.stderr if any(map(is_standard_output, args.to)) else sys.stdout
    report = _Report(here, project, args, sources, gathered, shape, shape.apply(gathered), out)
    if not args.json:
        print_table(report.shaped, out, asked=shape.columns)
    _say_how_made(report)
    notes = [*report.shaped.notes, *report.told]
    problems = [*_write(report), *_export(report)]
    for problem in problems if args.json else problems[:-1]:
        print(f"error: {problem}", file=sys.stderr)
    if args.json:
        from heyhi.cli.json_failure import failure_of
        from heyhi.cli.json_report import give_report

        error = failure_of(problems[-1]) if problems else None
        give_report(report.shaped, notes, warnings, report.written, report.links, error)
        return problems[-1].exit_code if problems else 0
    if problems:
        raise problems[-1]
    return 0


def _gathered(args: argparse.Namespace, sources: Sequence[Source], shape: Shape | None = None) -> Gathered:
    """Read what is reported."""
    from heyhi.report.gather import gather
    from heyhi.report.terminal import show_progress

    return gather(
        sources,
        with_needs=args.needs,
        drift=args.drift,
        at_best=None if shape is None else shape.at_best,
        at_best_direction=None if shape is None else shape.at_best_direction,
        progress=show_progress,
    )


def _say_how_made(report: _Report) -> None:
    """Say what was made with another config or by other code than today's."""
    from heyhi.report.drift_lines import NO_CODE_LOOKED, drift_line, find_recoded_rows
    from heyhi.sweep.provenance import code_lines

    rows = report.shaped.whole
    if line := drift_line(rows, report.sources):
        report.say(line)
    if report.args.drift:
        if recoded := list(find_recoded_rows(rows, report.sources)):
            report.say("\n".join(code_lines(recoded)))
    elif not line and not report.args.watch and "DONE" in set(rows["status"]):
        report.say(NO_CODE_LOOKED)


def _write(report: _Report) -> list[HeyhiError]:
    """Write what is shown where it was asked for, else the whole table where people find it; return what can't be."""
    from heyhi.report.foreseen import without_page
    from heyhi.report.titles import title_of
    from heyhi.report.write import write_files

    title = title_of([source.manifest for source in report.sources])
    left_out: list[str] = []
    if report.args.to:
        written = write_files(
            destinations(report.args), report.shaped, report.project, title, asked=report.shape.columns
        )
    elif paths := _fixed_files(report):
        written = write_files(paths, report.whole, report.project, title)
        left_out = without_page(report.project.settings.reports)[1]
    else:
        return []
    if files := [path for path in written.files if not is_standard_output(path)]:
        name = report.project.relative if report.project.root == report.here.root else str
        report.written.extend(name(path.absolute()) for path in files)
        is_other = not report.args.to and is_view(report.shape)
        what = " (the whole table; --to FILE writes what is shown)" if is_other else ""
        report.say(f"written: {', '.join(name(path.absolute()) for path in files)}{what}")
    for line in left_out:
        report.say(line)
    return written.problems


def _fixed_files(report: _Report) -> list[Path]:
    """Return the files below the sweep's own name: there lies only its whole table, and none of another project."""
    from heyhi.experiment.project_names import is_anothers
    from heyhi.report.foreseen import without_page
    from heyhi.report.titles import label_of
    from heyhi.report.write import fixed_files

    if report.is_part or is_anothers(report.project):
        why = "this is no whole sweep" if report.is_part else "the results are another project's"
        report.say(f"no file was written, since {why}: --to FILE writes one")
        return []
    formats, _ = without_page(report.project.settings.reports)
    return fixed_files(report.project, label_of(report.sources), formats)


def _export(report: _Report) -> list[HeyhiError]:
    """Export what is shown to the worksheet that was asked for, else the whole table to those that sweep files name."""
    from heyhi.report.titles import label_of
    from heyhi.report.write import export_sheets

    asked = report.args.sheet
    sheets = [tuple(asked)] if asked else list(dict.fromkeys(s.sheet for s in report.sources if s.sheet is not None))
    if not sheets:
        return []
    table = (report.shaped if asked else report.whole).table
    known = list(map(str, report.gathered.table.columns))
    exported = export_sheets(table, sheets, report.project, group=label_of(report.sources), known=known)
    for link in exported.links:
        report.links.append(link)
        report.say(f"sheet: {link}")
    return exported.problems
