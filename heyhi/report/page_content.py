"""What a page shows, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.experiment.directions import Direction, Directions
from heyhi.quick_dataclass import dataclass, field
from heyhi.report.decimation import BUCKETS
from heyhi.report.page_curves import CurveSet
from heyhi.report.searched import Searched
from heyhi.report.shaped import Spread

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.report.plain_table import PlainTable


@dataclass(frozen=True)
class Detail:
    """What the page tells about one experiment beside its row.

    Args:
        config: the composed config as text.
        flat: the same as dotted keys and scalars; what differs between experiments is found from it.
        attempts: lines of attempts.jsonl.
        log: last lines of the log.
        folder: its folder, for a link relative to the page; None for no link.
        log_path: its log, likewise.
    """

    config: str = ""
    flat: Mapping[str, object] = field(default_factory=dict)
    attempts: Sequence[Mapping[str, object]] = ()
    log: Sequence[str] = ()
    folder: Path | None = None
    log_path: Path | None = None


@dataclass(frozen=True)
class PageData:
    """What a page shows.

    In the tables, None and pandas.NA are shown as blank, and a float NaN as NaN: a column where some
    experiments lack a metric must be of dtype object (or a nullable one), else its gaps are NaN.

    Args:
        title: heading, and name of the browser's tab.
        table: the rows to show, in order. Column names are unique.
        whole: a row an experiment, with a column `exp_id`; None: that is what the table holds.
        members: for each row of the table the places of its experiments in `whole`; empty: a row is an experiment.
        counts: for each experiment whether its results count in means and for the best; empty: all do.
        groups: for each experiment a number, the same for replicates of one another; empty: none has any.
        packages: for each experiment a digest of its packages, the same where these are; empty: nobody knows.
        spread: what stands beside a mean of the table; None where its rows are no means.
        notes: lines to be said of the table.
        asked: options of the report that made the table what it is.
        total: of how many experiments those that are shown were chosen; None: of themselves.
        pivot: (rows, columns, metric) of a table of two keys: its cells are of that metric.
        metrics: columns that hold results, of either table.
        overrides: columns that hold overrides, likewise.
        direction: returns which way a metric is better, given its name without `.best`.
        curves: exp id -> its learning curves.
        details: exp id -> what else there is to tell.
        replicate: keys in which seeds of one experiment differ (`seed` means `train.seed` too).
        durations: columns that hold seconds.
        times: columns that hold seconds since 1970.
        hidden: columns that are shown on demand only.
        buckets: into how many even ones a curve was parted, of each of which its smallest and largest are drawn.
        searches: those whose trials are among the experiments.
        refresh: after how many seconds the page loads itself again; 0: nothing will change.
    """

    title: str
    table: pd.DataFrame | PlainTable
    metrics: Sequence[str] = ()
    overrides: Sequence[str] = ()
    curves: Mapping[str, Sequence[CurveSet]] = field(default_factory=dict)
    details: Mapping[str, Detail] = field(default_factory=dict)
    replicate: Sequence[str] = ()
    durations: Sequence[str] = ("seconds",)
    times: Sequence[str] = ("updated",)
    hidden: Sequence[str] = ("job_id", "code", "packages")
    whole: pd.DataFrame | PlainTable | None = None
    members: Sequence[Sequence[int]] = ()
    counts: Sequence[bool] = ()
    groups: Sequence[int] = ()
    packages: Sequence[str | None] = ()
    spread: Spread | None = None
    notes: Sequence[str] = ()
    asked: Sequence[str] = ()
    total: int | None = None
    pivot: tuple[str, str, str] | None = None
    direction: Callable[[str], Direction | None] = Directions().of
    searches: Sequence[Searched] = ()
    refresh: float = 0
    buckets: int = BUCKETS
