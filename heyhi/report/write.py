"""Owns reports: a sweep's table, put together as asked and sent where people look at it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.errors import HeyhiError, reporting_errors, suggest
from heyhi.files import replace_file, writing
from heyhi.project import Project, find_project
from heyhi.report.export import suffix_of, to_csv
from heyhi.report.page_data import write_html
from heyhi.report.shape import SE, Shape, grouped, is_replicate
from heyhi.report.sheet import export_sheet
from heyhi.report.source import Source, sweeps_of
from heyhi.report.table import collect
from heyhi.report.terminal import number_text, print_table
from heyhi.sweep.manifest import Manifest, table_of

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.sweep.flow import Flow

_SLACK_SECONDS = 2.0  # between the clocks of a file system and of who measured an attempt


def table(
    sweep: str | Path | Sequence[str | Path] | None = None,
    *,
    group_by: Sequence[str] | None = None,
    with_needs: bool = False,
    drift: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Gather a sweep into a table: `heyhi.table("conf/c02_sup_train/rs_yolo_01_example.py")` in a notebook.

    Args:
        sweep: sweep file or manifest, or several; default: the sweep of `[tool.heyhi]`.
        group_by: fields such as `seed` of which the experiments are put together: mean and standard error.
        with_needs: also what came out of what each experiment needs.
        drift: also what would be composed otherwise today.
        progress: show progress on standard error when there are many.

    Returns:
        a row an experiment, running, dead, blocked and absent ones too; see `heyhi.report.table.collect` for the
        columns.

    Raises:
        HeyhiError: the sweep is wrong.
    """
    project = find_project()
    found = gather(
        [Source.open(project, path) for path in sweeps_of(project, sweep)],
        with_needs=with_needs,
        drift=drift,
        progress=show_progress if progress else lambda total: lambda: None,
    )
    return found if group_by is None else grouped(found, group_by)


def gather(
    sources: Sequence[Source],
    *,
    with_needs: bool = False,
    drift: bool = False,
    progress: Callable[[int], Callable[[], None]] = lambda total: lambda: None,
) -> pd.DataFrame:
    """Gather several sweeps into one table; an experiment of two of them has one row."""
    import pandas as pd

    tables = [s.table(with_needs=with_needs, drift=drift, progress=progress) for s in sources]
    if len(tables) == 1:
        return tables[0]
    columns = list(dict.fromkeys(name for t in tables for name in t.columns))
    rows = {row["exp_path"]: row for t in tables for row in t.to_dict("records")}
    merged = pd.DataFrame({c: [r.get(c) for r in rows.values()] for c in columns}, dtype=object)
    merged.attrs["varying"] = list(dict.fromkeys(name for t in tables for name in t.attrs.get("varying", ())))
    return merged


def show_progress(total: int) -> Callable[[], None]:
    """Count on standard error what is read, where it takes long and somebody looks: on a terminal, in a notebook."""
    import time

    if not sys.stderr.isatty() and not type(sys.stderr).__module__.startswith("ipykernel."):
        return lambda: None
    begun = last = time.monotonic()
    count, shown = 0, False

    def tick() -> None:
        nonlocal count, last, shown
        count += 1
        if count == total and shown:
            print(f"\r{'':60}\r", end="", file=sys.stderr, flush=True)  # no command that a notebook would show
        elif count % 100 == 0 and (now := time.monotonic()) - begun > 1 and now - last > 0.2:
            print(f"\r{count} of {total} experiments read", end="", file=sys.stderr, flush=True)
            last, shown = now, True

    return tick


def write_reports(
    project: Project,
    sources: Sequence[Source],
    shape: Shape,
    *,
    to: Sequence[Path] = (),
    sheet: tuple[str, str] | None = None,
    with_needs: bool = False,
    drift: bool = False,
) -> None:
    """Print a table, write its files, and export it, as `heyhi report` does.

    Args:
        project: where the sweeps are.
        sources: the sweeps.
        shape: how the table is put together.
        to: files to write; none: those of `[tool.heyhi] reports`, named after the sweep.
        sheet: spreadsheet and worksheet; default: what the sweep file names.
        with_needs: also the columns of what each experiment needs.
        drift: also what would be composed otherwise today.

    Raises:
        HeyhiError: a sweep is wrong, or something can't be written; what can be, is.
    """
    for path in to:
        suffix_of(path)  # a name that asks for no format is said before anything is read
    for warning in (w for s in sources for w in s.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    whole = gather(sources, with_needs=with_needs, drift=drift, progress=show_progress)
    if shape.group_by and not any(is_replicate(name, shape.group_by) for name in whole.attrs.get("varying", ())):
        guess = suggest(shape.group_by[0], whole.attrs.get("varying", ()))
        print(f"warning: no experiments differ in {' or '.join(map(repr, shape.group_by))}{guess}", file=sys.stderr)
    shaped = shape.apply(whole)
    print_table(rendered(shaped), about=whole)
    _print_drift(whole, sources)
    label = "+".join(dict.fromkeys(s.manifest.label for s in sources))[-120:]
    # Below its own name lies only the whole of a sweep.
    formats = () if any(source.only for source in sources) else project.settings.reports
    files = list(to) or [project.reports_root / f"{label}.{suffix}" for suffix in formats]
    written, problems = [], []
    for path in files:
        try:
            write_table(path, whole, shaped, project, label)
            written.append(project.relative(path.absolute()))
        except HeyhiError as error:  # the other ones may be written still
            problems.append(error)
    if written:
        print(f"written: {', '.join(written)}", flush=True)
    for goal in [sheet] if sheet else dict.fromkeys(s.sheet for s in sources if s.sheet is not None):
        try:
            export_sheet(shaped, goal, project, group=label, known=whole.columns)
        except HeyhiError as error:
            problems.append(error)
    for problem in problems[:-1]:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise problems[-1]


def show(flow: Flow) -> None:
    """Print the table at the end of a run of Snakemake, whether all went well or not, and send it where it goes.

    Where a sweep was asked for, it is that sweep's, and its files below fixed names are refreshed; else it is that of
    the experiments that were asked for. What can't be written is said, and changes nothing else.
    """
    with _said():
        for manifest in flow.reported:
            _show_sweep(flow, manifest)
        if not flow.reported and flow.asked:
            manifests = {manifest.path: manifest for _, manifest in flow.asked}
            experiments = [manifest.experiment(target) for target, manifest in flow.asked]
            source = Source.of(next(iter(manifests.values()))) if len(manifests) == 1 else None
            collector = source.collector() if source is not None else (None, b"")
            found = collect(experiments, collector[0], project=flow.project, collector_source=collector[1])
            print_table(found)
            _print_drift(found, [Source(manifest, flow.project) for manifest in manifests.values()])


def _show_sweep(flow: Flow, manifest: Manifest) -> None:
    source = Source.of(manifest)
    found = source.table()
    print_table(found)  # first: the disk may be full, which may be why something has failed
    _print_drift(found, [source])
    files = []
    for suffix in dict.fromkeys(["csv", *flow.project.settings.reports]):
        path = flow.project.reports_root / f"{manifest.label}.{suffix}"
        with _said():
            write_table(path, found, found, flow.project, manifest.label)
            files.append(path)
    complete = flow.project.root / table_of(flow.project, manifest)
    files += [complete] if complete.is_file() else []
    print(f"table: {', '.join(flow.project.relative(f) for f in files)}", flush=True)
    if source.sheet is not None:
        with _said():
            export_sheet(found, source.sheet, flow.project, group=manifest.label)


def _print_drift(table: pd.DataFrame, sources: Sequence[Source]) -> None:
    """Say in a line that some rows come from another config than the others, where that is known cheaply."""
    if "drifted" in table:
        count, more = int(table["drifted"].notna().sum()), False
        than = "would be composed today (column drifted)"
    else:
        counts = [_drifted(table, s) for s in sources]
        count, more = sum(n for n, _ in counts), any(more for _, more in counts)
        than = "the sweep has now (--drift names the keys)"
    if count:
        print(f"{'at least ' if more else ''}{count} drifted: launched with another config than {than}", flush=True)


def _drifted(table: pd.DataFrame, source: Source) -> tuple[int, bool]:
    """Compare what may have started before the sweep was asked for as it is now: most started after that."""
    moment = source.manifest.path.stat().st_mtime + _SLACK_SECONDS
    columns = (table[name].tolist() for name in ("exp_path", "attempts", "seconds", "updated"))
    folders = [
        folder
        for folder, attempts, seconds, updated in zip(*columns, strict=True)
        # A config is that of the first attempt; how long ago that was is known where there was no other one.
        if updated is not None and (attempts > 1 or seconds is None or updated - seconds < moment)
    ]
    if not folders:
        return 0, False
    from heyhi.sweep.drift import count_drifted

    return count_drifted(source.project, source.manifest, folders)


@contextlib.contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except HeyhiError as error:  # the run itself is over, and its exit code is its own
        print(f"error: {error}", file=sys.stderr)


def main(args: Sequence[str] | None = None) -> int:
    """Write the reports of a manifest's sweep, as the aggregate rule does."""
    parser = argparse.ArgumentParser(
        prog="python -m heyhi.report", description="Write the table of a sweep.", allow_abbrev=False
    )
    parser.add_argument("manifest", type=Path, help="what `heyhi expand` wrote")
    parser.add_argument("--to", type=Path, action="append", required=True, metavar="FILE", help="may be repeated")
    options = parser.parse_args(args)
    with reporting_errors(), Manifest.open(options.manifest) as manifest:
        source = Source.of(manifest)
        found = source.table()
        for path in options.to:
            write_table(path, found, found, source.project, manifest.label)
    return 0


def write_table(path: Path, whole: pd.DataFrame, shaped: pd.DataFrame, project: Project, title: str) -> None:
    """Write a table to a file, in the format that its name asks for; a page shows the whole table.

    Raises:
        HeyhiError: the name asks for no known format, or the file can't be written.
    """
    from heyhi.report.export import write_parquet, write_xlsx

    suffix = suffix_of(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == "csv":
        replace_file(path, to_csv(shaped))
    elif suffix == "xlsx":
        write_xlsx(shaped, path)
    elif suffix == "parquet":
        write_parquet(shaped, path)
    else:
        write_html(path, whole, project, title)


def rendered(table: pd.DataFrame) -> pd.DataFrame:
    """Write means with their errors as one cell, as a terminal shows them: `0.91 ± 0.02`."""
    errors = [str(c) for c in table.columns if str(c).endswith(SE)]
    if not errors:
        return table
    found = table.copy()
    found.attrs.update(table.attrs)
    for name in errors:
        plain = name.removesuffix(SE)
        pairs = zip(table[plain], table[name], strict=True)
        found[plain] = [
            m if m is None or e is None else f"{number_text(m, '.5g')} ± {number_text(e, '.2g')}" for m, e in pairs
        ]
    return found.drop(columns=errors)


if __name__ == "__main__":
    sys.exit(main())
