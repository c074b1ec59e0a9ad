"""What a page shows beside its table: curves, and the config, attempts and log of each experiment."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time as now
from typing import TYPE_CHECKING, Any

from heyhi.code.environment import same_packages
from heyhi.config.shown_list import shown_cell
from heyhi.config.translation import Translation
from heyhi.errors import HeyhiError, UnknownError
from heyhi.experiment.directions import Directions
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.records import Record, Start, Used
from heyhi.files import is_there, open_regular, read_end
from heyhi.project import Project
from heyhi.quick_dataclass import replace
from heyhi.report.cells import taken
from heyhi.report.counted import counted_by
from heyhi.report.kept_curves import KeptCurves, buckets_of
from heyhi.report.lazy_frame import as_plain
from heyhi.report.package_kinds import kinds_of
from heyhi.report.readings import OWN_NAMES, USED
from heyhi.report.shaped import Shaped

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.report.page import Detail, PageData
    from heyhi.report.plain_table import PlainTable
    from heyhi.report.searched import Searched


_LOG_LINES = 40  # of each experiment, on the page
_LOG_BYTES = 20_000
MOST_CONFIG_BYTES = 1_000_000
_MOST_EXPERIMENTS = 5_000  # of a page that a browser can still open
_REFRESH = 20  # seconds after which a page loads itself again while something runs
_DURATIONS = ("seconds", "seconds.sum", "queued", "queued.sum")
_HIDDEN = frozenset({*USED, *(f"{name}.sum" for name in USED), "job_id", "packages"})
_PAUSE = 600  # seconds between two experiments of a sweep that goes on


def write_html(path: Path, shaped: Shaped, project: Project, title: str) -> None:
    """Write a table with its curves, configs, attempts and logs as a page.

    Raises:
        HeyhiError: it can't be written.
    """
    from heyhi.report.page import write_page

    rows, places = _rows_with_experiments(shaped.members)
    if rows < len(shaped.members):  # no failure: the aggregate rule must have its file
        print(
            f"warning: {path}: shows the first {rows} of {len(shaped.members)} rows ({_MOST_EXPERIMENTS} experiments)",
            file=sys.stderr,
        )
    page = page_of(shaped, project, title, rows, places)
    paths, exp_ids = shaped.whole["exp_path"].tolist(), shaped.whole["exp_id"].tolist()
    folders, ids = [paths[place] for place in places], [exp_ids[place] for place in places]
    curves = KeptCurves(project, page.buckets).read(folders)
    today = Translation.of(project)
    details = [detail_of(ExperimentDir(Path(folder), project.results_root), today) for folder in folders]
    write_page(
        path,
        replace(
            page,
            curves=dict(zip(ids, curves, strict=True)),
            details=dict(zip(ids, details, strict=True)),
            refresh=_REFRESH if _is_going_on(shaped.whole) else 0,
        ),
    )


def page_of(
    shaped: Shaped, project: Project, title: str, rows: int | None = None, places: Sequence[int] | None = None
) -> PageData:
    """Return what a page shows of a table, less the curves and the details of its experiments.

    Args:
        shaped: the table.
        project: where the experiments are.
        title: of the page.
        rows: how many of its rows are shown; default: all.
        places: of the experiments that these have, in order; default: all.
    """
    from heyhi.report.page import PageData

    rows = len(shaped.members) if rows is None else rows
    places = range(len(shaped.whole)) if places is None else places
    place_of = {place: new for new, place in enumerate(places)}
    whole = _part(shaped.whole, places)
    table = whole if shaped.table is shaped.whole else _part(shaped.table, range(rows))
    varying = list(dict.fromkeys(str(name) for frame in (table, whole) for name in frame.attrs.get("varying", ())))
    shown = whole.drop(columns=["exp_path"])
    is_mean = shaped.spread is not None
    hidden = {*shaped.hidden, *_HIDDEN, *(() if is_mean else ("code",))}
    return PageData(
        title=title,
        table=as_plain(shown if table is whole else table.drop(columns=["exp_path"], errors="ignore")),
        whole=as_plain(shown),
        members=[[place_of[place] for place in row] for row in shaped.members[:rows]],
        counts=[shaped.counts[place] for place in places],
        groups=[shaped.groups[place] for place in places],
        packages=_packages(whole["packages"].tolist() if "packages" in whole else [None] * len(whole), project),
        spread=shaped.spread,
        notes=shaped.notes,
        asked=shaped.asked,
        total=shaped.total,
        pivot=shaped.table.attrs.get("pivot"),
        metrics=_metrics(whole, table),
        overrides=varying,
        direction=Directions(project.settings.minimize, project.settings.maximize).of,
        replicate=project.settings.replicate,
        durations=_DURATIONS,
        hidden=sorted(hidden),
        searches=[one for one in shaped.searches if not one.is_part],
        buckets=buckets_of(len(whole)),
    )


def plain_page_of(
    table: PlainTable,
    project: Project,
    title: str,
    *,
    groups: Sequence[int] = (),
    searches: Sequence[Searched] = (),
    notes: Sequence[str] = (),
) -> PageData:
    """Return what a page shows of all experiments as they are: what `page_of` returns where no options were given.

    Args:
        table: a row an experiment.
        project: around the working directory.
        title: of the page.
        groups: a number for each experiment, the same for replicates of one another.
        searches: those of which there are trials among the experiments.
        notes: lines to be said of the table.
    """
    from heyhi.report.page import PageData

    shown = table.without("exp_path")
    return PageData(
        title=title,
        table=shown,
        counts=counted_by(table.column("status"), table.columns.get("excluded")),
        groups=groups,
        packages=_packages(table.column("packages"), project),
        notes=notes,
        total=len(table),
        metrics=table.metrics,
        overrides=table.varying,
        direction=Directions(project.settings.minimize, project.settings.maximize).of,
        replicate=project.settings.replicate,
        durations=_DURATIONS,
        hidden=sorted({*_HIDDEN, "code"}),
        searches=[one for one in searches if not one.is_part],
        buckets=buckets_of(len(table)),
    )


def _rows_with_experiments(members: Sequence[Sequence[int]]) -> tuple[int, list[int]]:
    """Return how many rows a page shows, and the places of the experiments that these have, in order."""
    found: dict[int, None] = {}
    for row, its in enumerate(members):
        new = [place for place in its if place not in found]
        if len(found) + len(new) > _MOST_EXPERIMENTS:
            return row, sorted(found)
        found.update(dict.fromkeys(new))
    return len(members), sorted(found)


def _part(table: pd.DataFrame, places: Sequence[int]) -> pd.DataFrame:
    """Return some rows of a table."""
    if len(places) == len(table):
        return table
    return taken(table, places)


def _metrics(*tables: pd.DataFrame) -> list[str]:
    """Return the columns of results: those that a table calls so, else those that are no column of something else."""
    found: dict[str, None] = {}
    for table in tables:
        others = {*OWN_NAMES, *table.attrs.get("varying", ())}
        names = [str(name) for name in table.columns if name not in others]
        found |= dict.fromkeys(table.attrs.get("metrics", names))
    return list(found)


def _packages(digests: Sequence[Any], project: Project) -> list[str | None]:
    """Return for each experiment the digest of its packages, the same where these are the same."""
    kinds = kinds_of(digests, lambda some: same_packages(project, some))
    return [kinds.get(digest) for digest in digests]


def _is_going_on(whole: pd.DataFrame) -> bool:
    """Return whether other results will be there soon: something runs, or the next one is about to."""
    statuses = {Status(status) for status in whole["status"]}
    if any(status.is_alive for status in statuses):
        return True
    # Between the end of one and the start of the next nothing runs.
    times = [time for time in whole.get("updated", ()) if isinstance(time, float | int)]
    return Status.NOT_STARTED in statuses and any(time > now() - _PAUSE for time in times)


def detail_of(folder: ExperimentDir, today: Translation | None) -> Detail:
    """Read what a page shows of an experiment beside its row and its curves; what can't be read is left out."""
    from heyhi.report.page import Detail

    # Where one can't be looked at, its row says why.
    try:
        if not is_there(folder.path):
            return Detail()
        has_log = is_there(folder.log_path)
    except UnknownError:
        return Detail()
    flat: Mapping[str, Any] = folder.read_flat_config()
    attempts: list[Record] = []
    with contextlib.suppress(HeyhiError):
        attempts = folder.attempts()
    log = folder.log_path
    return Detail(
        config=end_of_file(folder.config_path, MOST_CONFIG_BYTES),
        flat={key: shown_cell(value) for key, value in (flat if today is None else today.flat(flat)).items()},
        attempts=attempt_rows(attempts),
        log=end_of_file(log, _LOG_BYTES).splitlines()[-_LOG_LINES:],
        folder=folder.path,
        log_path=log if has_log else None,
    )


def _used(used: Used) -> dict[str, float]:
    """Return what an attempt used, under the names of the table's columns."""
    found = {"gpu_hours": used.gpu_hours, "cpu_hours": used.cpu_hours, "mem_used": used.mem_gb, "queued": used.queued}
    return {name: round(value, 4) for name, value in found.items() if value is not None}


def end_of_file(path: Path, most: int) -> str:
    """Read the end of a text file; nothing where there is none, and why where it can't be read."""
    try:
        os.close(open_regular(path))
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"({path.name} can't be read: {error.strerror or error})"
    return read_end(path, most)


def attempt_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Put start and end of each attempt into one row."""
    rows: dict[int, dict[str, Any]] = {}
    for record in records:
        row = rows.setdefault(record.attempt, {"attempt": record.attempt})
        if isinstance(record, Start):
            row |= {"kind": record.kind, "host": record.host, "job_id": record.job_id or None}
            row |= {"started": record.time, "code": record.version.name}
            row |= {"changed": "; ".join(record.changed)} if record.changed else {}
        else:
            row |= {"reason": record.exception or record.reason}
            row |= {"seconds": record.seconds} if record.seconds is not None or "seconds" not in row else {}
            row |= _used(record.used)
    return list(rows.values())
