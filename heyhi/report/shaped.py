"""What became of a table by the options of a report: the one thing that every output shows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, overload

from heyhi.quick_dataclass import dataclass, field

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.report.searched import Searched

Spread = Literal["se", "std", "ci95"]


class Lazily(Sequence[int]):
    """Numbers that are computed when one is first asked for.

    Args:
        count: how many there are.
        compute: returns them.
    """

    def __init__(self, count: int, compute: Callable[[], list[int]]) -> None:
        self._count = count
        self._compute = compute

    @cached_property
    def _numbers(self) -> list[int]:
        return self._compute()

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> list[int]: ...
    def __getitem__(self, place: int | slice) -> int | list[int]:
        return self._numbers[place]


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
        asked: the options that made it more or less than all experiments, in words.
        total: of how many experiments those of `whole` were chosen; None: of themselves.
        searches: those of which there are trials among them, whole whatever was chosen.
    """

    table: pd.DataFrame
    whole: pd.DataFrame
    members: list[list[int]]
    counts: list[bool]
    groups: Sequence[int]
    spread: Spread | None = None
    notes: list[str] = field(default_factory=list)
    hidden: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    total: int | None = None
    searches: tuple[Searched, ...] = ()


def numbered(keys: Sequence[Hashable]) -> list[int]:
    """Return a number for each key, the same for the same."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return [numbers[key] for key in keys]
