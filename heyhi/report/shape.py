"""What is made of a table of experiments by the options of a report: which of them, means, the best, in what order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heyhi.config.fields import is_replicate as is_replicate
from heyhi.experiment.directions import Direction, Directions
from heyhi.quick_dataclass import replace
from heyhi.report.asked import Asked
from heyhi.report.cells import taken
from heyhi.report.counted import counting
from heyhi.report.frames import GroupError as GroupError
from heyhi.report.frames import best_places, check_columns, check_numbers
from heyhi.report.gathered import Gathered
from heyhi.report.shaped import Shaped, Spread
from heyhi.report.shaping import Work, metric_of
from heyhi.report.spread import DEFAULT_SPREAD

if TYPE_CHECKING:
    import pandas as pd


class Shape(Asked):
    """How a table is put together; `Asked` has its options."""

    def apply(self, gathered: Gathered) -> Shaped:
        """Put a table together.

        Raises:
            GroupError: it lacks a column, or rows would be put together that differ.
            DirectionError: nobody knows which way a metric is better.
            WhereError: a condition names no column.
        """
        self.check()
        return replace(
            Work.of(self, gathered).shaped(), asked=self.words(), total=len(gathered.table), searches=gathered.searches
        )


def best(
    table: pd.DataFrame, metric: str, per: str | Sequence[str] = (), *, direction: Direction | None = None
) -> pd.DataFrame:
    """Choose the best row of a table, or the best one for each combination of some columns.

    Args:
        table: from `heyhi.table`, also of means; of experiments those that are DONE are compared.
        metric: column to compare; rows without a number in it are left out.
        per: columns that tell the groups apart.
        direction: `min` or `max`; default: as the project has declared it (`table.attrs["minimize"]`), else as plain
            words of the metric's name say.

    Returns:
        these rows, with all their columns.

    Raises:
        GroupError: there is no such column, or it has no numbers.
        DirectionError: nobody knows which way the metric is better.
    """
    per = (per,) if isinstance(per, str) else per
    Shape(best=metric, direction=direction).check()
    check_columns(table, [metric, *per])
    declared = Directions(*(tuple(table.attrs.get(name, ())) for name in ("minimize", "maximize")))
    found = direction or declared.needed(metric_of(metric))
    values = table[metric].tolist()
    check_numbers(metric, values)
    counts = [True] * len(table) if _is_of_means(table) else counting(table)
    return taken(table, best_places(values, found, [table[name].tolist() for name in per], counts))


def pivot(
    table: pd.DataFrame,
    rows: str,
    columns: str,
    metric: str,
    *,
    mean_over: str | Sequence[str] = ("seed",),
    spread: Spread = DEFAULT_SPREAD,
) -> pd.DataFrame:
    """Put a metric into a table of two keys, as for head-to-head evaluations: means where replicates meet.

    Args:
        table: from `heyhi.table`, of experiments; those that are DONE count.
        rows: column whose values become rows.
        columns: column whose values become columns.
        metric: column that fills the cells; a cell without a number is None.
        mean_over: fields in which the experiments of a cell may differ.
        spread: what stands beside each mean, as `<column>.<spread>`; `<column>.n` says of how many it is.

    Returns:
        a row for each value of `rows`, in a column of that name, and columns `<columns>=<value>` of means.

    Raises:
        GroupError: there is no such column, or the experiments of a cell differ in something else, or are means.
    """
    check_columns(table, [rows, columns, metric])
    if _is_of_means(table):
        raise GroupError(
            "this is a table of means, whose cells have no spread: give heyhi.pivot the table of experiments, and what"
            " is averaged over as mean_over"
        )
    gathered = replace(
        Gathered.of_table(table), replicate=(mean_over,) if isinstance(mean_over, str) else tuple(mean_over)
    )
    return Shape(pivot=(rows, columns, metric), spread=spread).apply(gathered).table


def _is_of_means(table: pd.DataFrame) -> bool:
    """Return whether a table's rows are means; its attributes may be lost on its way."""
    return "spread" in table.attrs or {"n", "wanted", "missing"} <= set(table.columns)
