"""Owns reports: a sweep's table, put together as asked and sent where people look at it."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.collect import collect, load_collector, project_of
from heyhi.errors import HeyhiError, ManifestError, reporting_errors, suggest
from heyhi.experiment import ExperimentDir
from heyhi.export import suffix_of
from heyhi.groups import SE, best, chosen, grouped, is_replicate, pivot, sorted_by
from heyhi.manifest import SUFFIX, Manifest, write_manifest
from heyhi.project import Project, find_project
from heyhi.reading import Collector, has_best, metrics_of
from heyhi.recall import Recall
from heyhi.results import replace_file, writing
from heyhi.schema import load_schema
from heyhi.sweep import load_sweep_module, read_sweep_file
from heyhi.tabular import number_text, print_table, to_csv

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.page import Detail
    from heyhi.schema import Schema
    from heyhi.sweep import Expansion
    from heyhi.workflow import Flow

_LOG_LINES = 40  # of each experiment, on the page
_LOG_BYTES = 20_000
_SLACK_SECONDS = 2.0  # between the clocks of a file system and of who measured an attempt
_WITH_PAGE = 5_000  # experiments that a page can hold and a browser can still open


@dataclass(frozen=True)
class Shape:
    """Hold how a table is put together.

    Attributes:
        sort: columns to sort by, `-name` downward.
        columns: columns to keep; empty: all.
        group_by: replicate fields to put together; None: no grouping.
        best: column of which the best rows are kept.
        per: columns for each combination of which the best row is kept.
        pivot: (rows, columns, metric).
    """

    sort: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    group_by: tuple[str, ...] | None = None
    best: str | None = None
    per: tuple[str, ...] = ()
    pivot: tuple[str, str, str] | None = None

    def apply(self, table: pd.DataFrame) -> pd.DataFrame:
        """Put a table together.

        Raises:
            GroupError: it lacks a column.
        """
        if self.group_by is not None:
            table = grouped(table, self.group_by)
        if self.best is not None:
            table = best(table, self.best, self.per)
        if self.pivot is not None:
            table = pivot(table, *self.pivot)
        if self.sort:
            table = sorted_by(table, self.sort)
        # A mean is chosen with its error.
        wanted = [n for name in self.columns for n in (name, f"{name}{SE}") if n == name or n in table.columns]
        return chosen(table, wanted) if wanted else table


@dataclass(frozen=True)
class Source:
    """Hold a sweep that is reported: its manifest, and what its sweep file says about the report."""

    manifest: Manifest
    project: Project
    sheet: tuple[str, str] | None = None
    warnings: list[str] = field(default_factory=list)
    passing: object = None  # a folder of the manifest that goes with this, where the results can't be written

    @classmethod
    def open(cls, project: Project, sweep: Path) -> Source:
        """Open a sweep file (expanded as it is now) or a manifest.

        Raises:
            HeyhiError: it is wrong, or isn't there.
        """
        if sweep.suffix == SUFFIX:
            return cls.of(Manifest.open(sweep))
        schema = load_schema(project)
        file = read_sweep_file(project, sweep)
        points = list(file.points)
        recall = Recall(project, schema, file, points)
        found = recall.find()
        if found is not None:
            with contextlib.suppress(ManifestError):  # damaged: it is written anew
                source = cls.of(Manifest.open(found.manifest))
                return replace(source, warnings=[*found.warnings, *source.warnings])
        expansion = file.expand(project, schema, points)
        source = cls.of_expansion(project, schema, expansion)
        recall.keep(expansion, source.manifest.path)
        return source

    @classmethod
    def of_expansion(cls, project: Project, schema: Schema, expansion: Expansion) -> Source:
        """Report a sweep that was expanded just now."""
        passing = None
        try:
            path = write_manifest(expansion, project, schema)
        except ManifestError:  # somebody else's results, or a full disk: both can be looked at
            passing = tempfile.TemporaryDirectory(prefix="heyhi-")
            path = write_manifest(expansion, project, schema, folder=Path(passing.name))
        manifest = Manifest.open(path)
        sheet, warnings = _sheet_of(project, manifest)
        return cls(manifest, project, sheet, [*expansion.warnings, *warnings], passing)

    @classmethod
    def of(cls, manifest: Manifest) -> Source:
        """Report what an open manifest holds."""
        project = project_of(manifest)
        return cls(manifest, project, *_sheet_of(project, manifest))

    def collector(self) -> tuple[Collector | None, bytes]:
        """Return the sweep file's `get_logs_data` and its text; neither where it has none or can't be read any more."""
        if self.manifest.sweep is None:
            return None, b""
        try:
            found = load_collector(self.project, self.manifest)
            return found, (self.project.root / self.manifest.sweep).read_bytes() if found is not None else b""
        except (HeyhiError, OSError) as error:
            print(f"warning: {error}; the table has the default columns", file=sys.stderr)
            return None, b""

    def table(
        self,
        *,
        with_needs: bool = False,
        drift: bool = False,
        progress: Callable[[int], Callable[[], None]] = lambda total: lambda: None,
    ) -> pd.DataFrame:
        """Gather its experiments."""
        collector, source = self.collector()
        found = self._drift() if drift else None
        return collect(
            self.manifest,
            collector,
            project=self.project,
            collector_source=source,
            with_needs=with_needs,
            drift=found,
            progress=progress,
        )

    def _drift(self) -> dict[str, list[str]]:
        from heyhi.survey import Survey

        return Survey.of_manifest(self.project, self.manifest).drift(load_schema(self.project))


def _sheet_of(project: Project, manifest: Manifest) -> tuple[tuple[str, str] | None, list[str]]:
    """Return the spreadsheet and worksheet that a sweep file names."""
    if manifest.sweep is None:
        return None, []
    try:
        sheet = getattr(load_sweep_module(project, project.root / manifest.sweep), "SHEET", None)
    except HeyhiError:
        return None, []  # said where its get_logs_data is asked for
    if sheet is None:
        return None, []
    if isinstance(sheet, (tuple, list)) and len(sheet) == 2 and all(isinstance(s, str) and s for s in sheet):
        return (sheet[0], sheet[1]), []
    return None, [f"{manifest.sweep}: SHEET is {sheet!r}; expected (spreadsheet, worksheet)"]


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
        a row an experiment, running, dead, blocked and absent ones too; see `heyhi.collect.collect` for the columns.

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


def sweeps_of(project: Project, sweep: str | Path | Sequence[str | Path] | None) -> list[Path]:
    """Name the sweeps that are meant.

    Raises:
        HeyhiError: none is, and the settings name none.
    """
    if sweep is None or (not isinstance(sweep, (str, Path)) and not sweep):
        if project.settings.sweep is None:
            raise HeyhiError("which sweep? Name a sweep file, or set [tool.heyhi] sweep in pyproject.toml")
        return [project.root / project.settings.sweep]
    return [Path(s) for s in ([sweep] if isinstance(sweep, (str, Path)) else sweep)]


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
    files = list(to) or [project.reports_root / f"{label}.{suffix}" for suffix in project.settings.reports]
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


# --- what the workflow calls ----------------------------------------------------------------------------------------


def show(flow: Flow) -> None:
    """Print the table at the end of a run of Snakemake, whether all went well or not, and send it where it goes.

    Where a sweep was asked for, it is that sweep's, and its files below fixed names are refreshed; else it is that of
    the experiments that were asked for. What can't be written is said, and changes nothing else.
    """
    with _said():
        if flow.reported is not None:
            _show_sweep(flow, flow.reported)
        elif flow.asked:
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
    complete = flow.project.root / flow.report_path(manifest)
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
    from heyhi.drift import count_drifted  # brings what composes, which a table of a manifest doesn't need

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


# --- where it goes ------------------------------------------------------------------------------------------------


def write_table(path: Path, whole: pd.DataFrame, shaped: pd.DataFrame, project: Project, title: str) -> None:
    """Write a table to a file, in the format that its name asks for; a page shows the whole table.

    Raises:
        HeyhiError: the name asks for no known format, or the file can't be written.
    """
    from heyhi.export import write_parquet, write_xlsx

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


def write_html(path: Path, table: pd.DataFrame, project: Project, title: str) -> None:
    """Write a table with its curves, configs, attempts and logs as a page.

    Raises:
        HeyhiError: it can't be written.
    """
    from heyhi.page import PageData, write_page

    if len(table) > _WITH_PAGE:  # no failure: the aggregate rule must have its file
        print(f"warning: {path}: shows the first {_WITH_PAGE} of {len(table)} experiments", file=sys.stderr)
        attrs, table = table.attrs, table.head(_WITH_PAGE)
        table.attrs.update(attrs)
    varying = [str(v) for v in table.attrs.get("varying", ())]
    about = {"status", "reason", "problem", "needs", "drifted", "attempts", "seconds", "updated", "job_id", "code"}
    metrics = [str(c) for c in table.columns if c not in {*about, *varying, "exp_id", "exp_path"}]
    metrics.sort(key=lambda name: not has_best(name))  # what only counts is the last that anybody looks for
    curves, details = {}, {}
    for exp_id, folder in zip(table["exp_id"], table["exp_path"], strict=True):
        curves[exp_id] = metrics_of(folder)
        details[exp_id] = _detail(ExperimentDir(Path(folder), project.results_root))
    page = PageData(
        title=title,
        table=table.drop(columns=["exp_path"]),
        metrics=metrics,
        overrides=varying,
        curves=curves,
        details=details,
        replicate=project.settings.replicate,
    )
    write_page(path, page)


def _detail(folder: ExperimentDir) -> Detail:
    from heyhi.page import Detail

    if not folder.path.is_dir():
        return Detail()
    try:
        attempts = folder.attempts()
    except HeyhiError:
        attempts = []
    flat = _or_empty(folder.flat_config_path)
    try:
        found = json.loads(flat) if flat else {}
    except ValueError:
        found = {}
    log = folder.log_path
    return Detail(
        config=_or_empty(folder.config_path),
        flat=found if isinstance(found, dict) else {},
        attempts=_joined(attempts),
        log=_tail(log),
        folder=folder.path,
        log_path=log if log.is_file() else None,
    )


def _joined(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Put start and end of each attempt into one row."""
    rows: dict[Any, dict[str, Any]] = {}
    for record in records:
        row = rows.setdefault(record.get("attempt"), {"attempt": record.get("attempt")})
        if record.get("event") == "start":
            row |= {name: record.get(name) for name in ("kind", "host", "job_id")}
            row["started"], row["code"] = record.get("time"), str(record.get("commit") or "")[:8]
        else:
            row["seconds"] = record.get("seconds")
            row["reason"] = record.get("exception") or record.get("reason")
    return list(rows.values())


def _or_empty(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LOG_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-_LOG_LINES:]
    except OSError:
        return []


def export_sheet(
    table: pd.DataFrame,
    sheet: tuple[str, str],
    project: Project,
    *,
    group: str = "",
    known: Iterable[str] | None = None,
) -> None:
    """Export a table to a Google spreadsheet; without credentials one line says so.

    Args:
        table: as it is to stand there.
        sheet: spreadsheet and worksheet.
        project: whose settings say where cells lead to.
        group: whose tables these are, where several sweeps share a worksheet.
        known: columns that the settings may name, where some of them were left out of the table.

    Raises:
        HeyhiError: it couldn't be written; what stood there still does.
    """
    from heyhi.sheets import save_pandas_table

    save_pandas_table(
        table,
        sheet[0],
        sheet[1],
        links=sheet_links(project, table.columns if known is None else known),
        updated_column="updated" if "updated" in table else None,
        group=group,
        credentials=project.sheets_credentials,
    )


def sheet_links(project: Project, known: Iterable[str]) -> Mapping[str, str]:
    """Return the addresses that a sheet's cells lead to, by the patterns of the settings.

    Raises:
        SheetsError: a pattern is no address of the web, or names a column that no table has.
    """
    from heyhi.sheet_cells import SheetsError, fields_of

    names = list(map(str, known))
    links = {}
    for setting, column in (("folder_link", "exp_id"), ("log_link", "log")):
        pattern: str = getattr(project.settings, setting)
        if not pattern:
            continue
        for name in fields_of(f"[tool.heyhi] {setting}", pattern):
            if name not in names:
                raise SheetsError(f"[tool.heyhi] {setting}: there is no column {{{name}}}{suggest(name, names)}")
        links[column] = pattern
    return links


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
