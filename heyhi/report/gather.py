"""The table of one or several sweeps, as `heyhi report` and a notebook ask for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.experiment.project_names import foreign_names
from heyhi.project import find_project
from heyhi.report.gathered import Gathered
from heyhi.report.shape import grouped
from heyhi.report.source import Source, sweeps_of
from heyhi.report.terminal import show_progress

if TYPE_CHECKING:
    import pandas as pd


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
    if warning := foreign_names(project):
        logging.warning("%s", warning)
    found = gather_table(
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
) -> Gathered:
    """Gather several sweeps into one table; an experiment of two of them has one row."""
    table = gather_table(sources, with_needs=with_needs, drift=drift, progress=progress)
    return Gathered(table, lambda: [{} for _ in range(len(table))], lambda fields: list(table["exp_path"]))


def gather_table(
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
