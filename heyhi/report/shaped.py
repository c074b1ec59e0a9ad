"""What became of a table by the options of a report: the one thing that every output shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Spread = Literal["se", "std", "ci95"]


@dataclass(frozen=True)
class Shaped:
    """A table as it was asked for.

    Where experiments are put together, a metric `loss` has its mean as `loss`, its spread as `loss.se` (`.std`,
    `.ci95`), and `loss.n` where fewer values than `n` count in one of the rows; `n` says how many experiments count,
    `wanted` how many there are.

    Attributes:
        table: what every output shows, in order; `table.attrs["varying"]` names the columns that vary.
        whole: a row an experiment, of all that were chosen (`--where`).
        members: for each row of the table the places of its experiments in `whole`.
        counts: for each row of `whole`, whether its results count in means and for the best.
        groups: a number for each row of `whole`, the same for replicates of one another.
        spread: what stands beside a mean; None where the rows are experiments.
        notes: lines to be said of it: what is left out, what was assumed.
        hidden: columns of the table that are there for files and not for eyes.
    """

    table: pd.DataFrame
    whole: pd.DataFrame
    members: list[list[int]]
    counts: list[bool]
    groups: list[int]
    spread: Spread | None = None
    notes: list[str] = field(default_factory=list)
    hidden: tuple[str, ...] = ()
