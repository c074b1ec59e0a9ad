"""Rows and columns chosen from a table: the best ones, in what order, and a table of two keys."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from heyhi.errors import HeyhiError, suggest
from heyhi.experiment.directions import Direction, loss_of
from heyhi.report.cell_text import listed
from heyhi.report.cells import hashable, in_order, is_missing, rank, typed
from heyhi.report.counted import Counted
from heyhi.report.spread import is_finite, is_number, mean_and_spread

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.report.shaped import Spread


class GroupError(HeyhiError):
    """A table can't be put together as it was asked for: it has no such column, or rows would mix what differs."""


def best_places(
    values: Sequence[Any], direction: Direction, per: Sequence[Sequence[Any]] = (), counts: Sequence[bool] = ()
) -> list[int]:
    """Return the place of the best row, or of the best one for each combination of some columns.

    Args:
        values: that are compared; what is no number, or NaN, is nobody's best, and infinite only where nothing else is.
        direction: which way is better.
        per: columns that tell the groups apart.
        counts: for each row, whether it may be the best; default: all.
    """
    winners: dict[tuple[Hashable, ...], tuple[bool, float, int]] = {}
    for place, value in enumerate(values):
        if is_number(value) and not math.isnan(value) and (not counts or counts[place]):
            key = tuple(hashable(column[place]) for column in per)
            candidate = (not is_finite(value), loss_of(value, direction), place)
            winners[key] = min(winners.get(key, candidate), candidate)
    return [place for *_, place in winners.values()]


def equally_good(
    values: Sequence[Any], per: Sequence[Sequence[Any]], counts: Sequence[bool], winners: Sequence[int]
) -> int:
    """Return how many other rows are as good as the best one, each among those that it was compared with."""

    def of(place: int) -> tuple[Hashable, ...]:
        value = values[place]
        return (float(value) if is_number(value) else None, *(hashable(column[place]) for column in per))

    best = {of(place) for place in winners}
    return sum(of(place) in best for place in range(len(values)) if counts[place]) - len(winners)


def sorted_places(table: pd.DataFrame, keys: Sequence[str]) -> list[int]:
    """Return the places of a table's rows in order, by columns; `-name` downward.

    Numbers come before text, what is missing last.
    """
    order = list(range(len(table)))
    for key in reversed(keys):
        values = table[key.removeprefix("-")].tolist()
        present = [place for place in order if not is_missing(values[place])]
        absent = [place for place in order if is_missing(values[place])]
        present.sort(key=lambda place: rank(values[place]), reverse=key.startswith("-"))
        order = [*present, *absent]
    return order


def chosen(table: pd.DataFrame, names: Sequence[str], spread: Spread | None = None) -> pd.DataFrame:
    """Keep some columns, in the order given; with a mean come its spread, and of how many it is.

    Raises:
        GroupError: there is no such column.
    """
    check_columns(table, names)
    wanted = [*names]
    if spread is not None:
        wanted = [n for name in names for n in (name, f"{name}.{spread}", f"{name}.n") if n in table.columns]
        wanted += [name for name in ("n", "wanted") if name in table.columns]
    found = table[list(dict.fromkeys(wanted))].copy()
    found.attrs.update(table.attrs)
    return found


def check_columns(table: pd.DataFrame, names: Sequence[str], keys: Callable[[], Sequence[str]] = tuple) -> None:
    """Make sure that a table has some columns.

    Args:
        table: that has them.
        names: of the columns.
        keys: returns what else could have been meant.

    Raises:
        GroupError: it lacks one; the message names the nearest.
    """
    known = [str(column) for column in table.columns]
    for name in names:
        if name not in known:
            raise GroupError(
                f"the table has no column '{name}'{suggest(name, [*known, *keys()])}; it has: {listed(known)}"
            )


def check_numbers(name: str, values: Sequence[Any]) -> None:
    """Make sure that a column has a number, if it has anything.

    Raises:
        GroupError: it has none.
    """
    present = [value for value in values if not is_missing(value)]
    if present and not any(map(is_number, values)):
        raise GroupError(f"'{name}' has no numbers: {present[0]!r:.40}")


def pivot_table(
    sides: tuple[str, Sequence[Any]],
    heads: tuple[str, Sequence[Any]],
    values: Sequence[Any],
    counted: Counted,
    spread: Spread,
) -> tuple[pd.DataFrame, list[list[int]]]:
    """Put values into a table of two keys: means, their spreads, and of how many they are.

    Args:
        sides: name of the key whose values become rows, and its column.
        heads: likewise of the one whose values become columns.
        values: that fill the cells; a cell without a finite number has no mean.
        counted: which of the rows count.
        spread: what stands beside a mean.

    Returns:
        the table; for each of its rows the places of the rows behind it, whether they count or not.
    """
    import pandas as pd

    cells: dict[tuple[Hashable, Hashable], list[float]] = {}
    rows: dict[Hashable, list[int]] = {}
    side_values, head_values = ({hashable(value): value for value in column} for _, column in (sides, heads))
    wanted: Counter[tuple[Hashable, Hashable]] = Counter()
    for place, side in enumerate(sides[1]):
        rows.setdefault(hashable(side), []).append(place)
    every = range(len(values))
    for place in counted.wanted(every):
        wanted[hashable(sides[1][place]), hashable(heads[1][place])] += 1
    for place in counted.of(every):
        if is_finite(values[place]):
            key = (hashable(sides[1][place]), hashable(heads[1][place]))
            cells.setdefault(key, []).append(values[place])
    ordered = in_order(side_values)
    data: dict[str, list[Any]] = {sides[0]: [side_values[side] for side in ordered]}
    for head in in_order(head_values):
        name = f"{heads[0]}={'-' if is_missing(head_values[head]) else head_values[head]}"
        found = [cells.get((side, head), []) for side in ordered]
        pairs = [mean_and_spread(own, spread) for own in found]
        data[name] = [mean for mean, _ in pairs]
        data[f"{name}.{spread}"] = [error for _, error in pairs]
        data[f"{name}.n"] = [len(own) for own in found]
        there = [wanted[side, head] for side in ordered]
        if any(len(own) < count for own, count in zip(found, there, strict=True)):
            data[f"{name}.wanted"] = there
    frame = pd.DataFrame(data, dtype=object)
    frame.attrs["varying"] = [sides[0]]
    return typed(frame), [rows[side] for side in ordered]
