"""What a run of Snakemake ends with: its table on the terminal, in files and in the sweep's spreadsheet."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.errors import HeyhiError, SweepError, reporting_errors
from heyhi.quick_dataclass import replace
from heyhi.report.drift_lines import drift_line
from heyhi.report.foreseen import check_jobs, end_lines, lacking_in_jobs, without_page
from heyhi.report.gather import gather
from heyhi.report.shape import Shape
from heyhi.report.shaped import Shaped
from heyhi.report.source import Source
from heyhi.report.terminal import print_table
from heyhi.report.titles import title_of
from heyhi.report.write import export_sheets, fixed_files, write_files
from heyhi.streams import guard_streams
from heyhi.sweep.manifest import Manifest, table_of
from heyhi.text import shown_streams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heyhi.project import Project
    from heyhi.sweep.flow import Flow


def foresee(flow: Flow) -> None:
    """Refuse to begin a run whose jobs would lack an extra of HeyHi's, and say what its end will lack.

    Raises:
        SystemExit: they would.
    """
    if not flow.is_run:
        return
    with reporting_errors():
        searches = {manifest.search is not None for _, manifest in flow.asked}
        if any(lacking_in_jobs(flow.project, is_search=one) for one in searches):
            for manifest, starting in flow.starting:
                check_jobs(flow.project, [manifest], starting, uses_slurm=flow.is_remote)
    if flow.reported and not flow.is_launched:
        for line in end_lines(flow.project, [manifest.sweep or "" for manifest in flow.reported]):
            print(line, file=sys.stderr, flush=True)


def show(flow: Flow, *, goes_on: bool = False) -> None:
    """Print the table at the end of a run of Snakemake, whether all went well or not, and send it where it goes.

    Where a sweep was asked for, it is that sweep's, and its files below fixed names are refreshed; else it is that of
    the experiments that were asked for. What can't be written is said, and changes nothing else: the run is over, and
    its exit code is its own.

    Args:
        flow: has been asked for them.
        goes_on: another run goes on with the rest, and makes the table at its end.
    """
    flow.finish()
    if goes_on:
        return
    guard_streams(goes_on=True)
    with shown_streams():
        try:
            for manifest in flow.reported:
                show_sweep(flow.project, manifest)
            if not flow.reported and flow.asked:
                _show_asked(flow)
        except HeyhiError as error:
            _say(error)


def show_sweep(project: Project, manifest: Manifest) -> None:
    """Print the table of a sweep as it is now, refresh its files below fixed names, and send it where it goes.

    Args:
        project: in whose reports these files are.
        manifest: of the sweep.

    Raises:
        HeyhiError: it can't be read.
    """
    source = Source.of(manifest)
    shaped = Shape().apply(gather([source], lazily=True))
    _print(shaped, [source])  # first: the disk may be full, which may be why something has failed
    formats, left_out = without_page(dict.fromkeys(["csv", *project.settings.reports]))
    paths = fixed_files(project, manifest.label, formats)
    written = write_files(paths, shaped, source.project, title_of([manifest]))
    _say(*written.problems)
    complete = project.root / table_of(project, manifest)
    # The other ones, by the sweep's digest, the aggregate rule's line names.
    if files := written.files or [path for path in (complete,) if os.access(path, os.F_OK)]:
        print(f"table: {', '.join(map(project.relative, files))}", flush=True)
    print("".join(f"{line}\n" for line in left_out), end="", flush=True)
    if source.sheet is not None:
        exported = export_sheets(shaped.table, [source.sheet], project, group=manifest.label)
        for link in exported.links:
            print(f"sheet: {link}", flush=True)
        _say(*exported.problems)


def _show_asked(flow: Flow) -> None:
    targets: dict[Path, list[str]] = {}
    manifests = {manifest.path: manifest for _, manifest in flow.asked}
    for target, manifest in flow.asked_in_order:
        targets.setdefault(manifest.path, []).append(target)
    sources = [replace(Source.of(manifests[path]), only=tuple(its)) for path, its in targets.items()]
    _print(Shape().apply(gather(sources, lazily=True)), sources)


def _print(shaped: Shaped, sources: Sequence[Source]) -> None:
    missed = [one.missed for one in shaped.searches if one.missed and (one.is_part or not one.waiting)]
    said = tuple(replace(one, missed="") if one.missed in missed else one for one in shaped.searches)
    print_table(replace(shaped, searches=said))
    _say(*map(SweepError, missed))  # of others, those that were not started have said it
    if line := drift_line(shaped.whole, sources):
        print(line, flush=True)


def _say(*problems: HeyhiError) -> None:
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
