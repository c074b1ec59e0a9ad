"""What is said below a table of how its experiments were put together: what is left out, what doesn't fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heyhi.quick_dataclass import dataclass
from heyhi.report.cells import is_missing
from heyhi.report.counted import Counted
from heyhi.report.means import count_versions, left_out_notes
from heyhi.report.spread import is_finite, is_number

if TYPE_CHECKING:
    import pandas as pd

_MAX_SAID = 5  # of one kind


@dataclass(frozen=True)
class Remarks:
    """What there is to say of some experiments.

    Attributes:
        table: a row an experiment.
        counts: whether each counts in means.
    """

    table: pd.DataFrame
    counts: Sequence[bool]

    def exp_id(self, place: int) -> str:
        """Name an experiment."""
        table = self.table
        return str(table["exp_id"].iloc[place]) if "exp_id" in table else f"row {place + 1}"

    def noted(self, place: int) -> str:
        """Name an experiment with what was noted of it."""
        note = self.table["note"].iloc[place] if "note" in self.table else None
        return self.exp_id(place) + ("" if is_missing(note) or not note else f" ({note})")

    def twins(self, places: Sequence[int]) -> str:
        """Say of experiments with one config which of them counts, and whether their results differ."""
        first, *others = places
        metrics = [n for n in self.table.attrs.get("metrics", ()) if n in self.table]
        values = {name: self.table[name].tolist() for name in metrics}
        text = f"the same config twice: {', '.join(map(self.exp_id, places))}: "
        text += f"only {self.exp_id(first)} counts" if self.counts[first] else "none counts yet"
        for name, column in values.items():
            for other in others:
                pair = column[first], column[other]
                if not any(map(is_missing, pair)) and pair[0] != pair[1]:
                    return f"{text}, and their results differ ({name}: {pair[0]} and {pair[1]})"
        return text

    def excluded(self) -> list[str]:
        """Name those that somebody has taken out of means."""
        flags = self.table["excluded"].tolist() if "excluded" in self.table else []
        found = [self.noted(place) for place, flag in enumerate(flags) if flag is True and not self.counts[place]]
        return [f"excluded from means: {listed_first(found)}"] if found else []

    def cells(
        self,
        metric: tuple[str, Sequence[Any]],
        versions: pd.DataFrame,
        cells: Sequence[Sequence[int]],
        counted: Counted,
    ) -> list[str]:
        """Say of a pivot what rows of means have columns for.

        Args:
            metric: name and column of what fills the cells.
            versions: the table with one name for each version of the code and the packages.
            cells: places of the experiments of each.
            counted: which of them count.
        """
        name, values = metric
        columns = {column: versions[column].tolist() for column in ("code", "packages") if column in versions}
        places = counted.of(range(len(values)))
        mixed = sum(count_versions(columns, counted.of(of)) > 1 for of in cells)
        diverged = [self.exp_id(place) for place in places if is_number(values[place]) and not is_finite(values[place])]
        found = []
        if mixed:
            what = "cells are" if mixed > 1 else "cell is"
            found.append(f"{mixed} {what} of results of different code: --where code=VERSION chooses one")
        if diverged:
            found.append(f"values that are NaN or infinite are in no mean: {name} of {listed_first(diverged)}")
        return found + left_out_notes({name: values}, places)


def first(texts: Sequence[str]) -> list[str]:
    """Return the first of some texts, and how many more there are."""
    more = len(texts) - _MAX_SAID
    return [*texts[:_MAX_SAID], f"and {more} more"] if more > 1 else list(texts)


def listed_first(texts: Sequence[str]) -> str:
    """Write the first of some texts, and how many more there are."""
    return ", ".join(first(texts))
