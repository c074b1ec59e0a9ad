"""Which columns of a table a terminal has room for, and the line that names the others.

What varies comes first, then what came out; what is the same in all rows gives way. Heads are folded where that makes
room, and an exp id is cut at its begin, since seeds stand at its end.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from heyhi.experiment.directions import assumed
from heyhi.experiment.metrics import BEST
from heyhi.quick_dataclass import replace
from heyhi.report.shown_table import ShownColumn
from heyhi.text import width_of

GAP = 3  # between two columns
MAX_CELL = 40
_LEAST_ID = 24  # characters of an exp id that are worth their room
_MAX_NAMED = 10  # columns that a line names
_MAX_NAME = 60
_MAX_LINES = 3  # of a head
_ID = "exp_id"
_PIECE = re.compile(r"± \S+|[^_./\s-]*[_./\s-]+|[^_./\s-]+")
_MARKS = ("missing", "diverged", "excluded", "code", "stale", "mixed", "problem")  # of a row of means
_LAST = ("n", "wanted", "needs", "attempts", "seconds", "job_id", "code")
_RESULT, _MARK, _LATE, _SAME = 2, 3, 5, 6


def fitting(
    columns: Sequence[ShownColumn], room: int, *, varying: Collection[str], asked: Sequence[str] = (), is_mean: bool
) -> list[ShownColumn]:
    """Choose the columns that there is room for.

    Args:
        columns: all of them; the first one is shown in any case, and what is the same in all rows where all fit.
        room: characters of a line.
        varying: names of those that tell rows apart.
        asked: names of those that were asked for, which then come first.
        is_mean: whether the rows are means.
    """
    if sum(_width(column) + GAP for column in columns) - GAP <= room:
        ordered, widths = list(columns), {id(column): _width(column) for column in columns}
    else:
        ordered = _in_order(columns, varying, asked, is_mean)
        widths = {id(column): _least_width(column) for column in ordered}
    shown: dict[int, int] = {}
    used = -GAP
    for column in ordered:
        if not shown or used + GAP + widths[id(column)] <= room:
            shown[id(column)] = widths[id(column)]
            used += GAP + widths[id(column)]
    for column in ordered:  # what is left is for heads in one line, and for more of an exp id
        if id(column) in shown:
            most = max(map(len, column.cells), default=0) if column.name == _ID else _width(column)
            more = min(max(room - used, 0), max(most - shown[id(column)], 0))
            if column.name == _ID or shown[id(column)] + more == most:
                shown[id(column)] += more
                used += more
    return [_in_width(column, shown[id(column)]) for column in columns if id(column) in shown]


def left_out(columns: Sequence[ShownColumn], shown: Collection[str], rows: int) -> str:
    """Name the columns that a terminal has no room for: `epochs (all 3), val_loss.best`; empty where it has.

    Args:
        columns: all of them.
        shown: names of those that are shown.
        rows: of the table.
    """
    hidden = [column for column in columns if column.name not in shown]
    named = []
    for column in hidden[:_MAX_NAMED]:
        same = column.cells[0] if column.is_same and rows > 1 and column.cells else ""
        name = column.name if len(column.name) <= _MAX_NAME else f"{column.name[: _MAX_NAME - 1]}…"
        named.append(f"{name} (all {same})" if same and len(same) <= MAX_CELL else name)
    more = f" and {len(hidden) - _MAX_NAMED} more" if len(hidden) > _MAX_NAMED else ""
    return f"{', '.join(named)}{more}"


def _in_order(
    columns: Sequence[ShownColumn], varying: Collection[str], asked: Sequence[str], is_mean: bool
) -> list[ShownColumn]:
    """Return columns, what has to be seen first; without those that say nothing of a row, unless asked for."""
    if asked:
        places = {name: place for place, name in reversed(list(enumerate(asked)))}
        return sorted(columns, key=lambda column: places.get(column.name, len(places)))
    head, columns = columns[:1], columns[1:]
    ranks = {id(column): _rank(column, varying, is_mean) for column in columns}

    def of(rank: int) -> list[ShownColumn]:
        return [column for column in columns if ranks[id(column)] == rank]

    # What tells most rows apart comes first: a learning rate before a size of which there are two.
    first = sorted(of(1), key=lambda column: -len(set(column.cells)))
    # What is a loss or an accuracy by its name, then numbers; a training logs what it is after last.
    results = of(_RESULT)
    results.reverse()
    results.sort(key=_interest)
    ids = [column for column in columns if column.name == _ID]
    return [*head, *first[:1], *results[:1], *first[1:], *of(_MARK), *results[1:], *ids, *of(_LATE)]


def _interest(column: ShownColumn) -> tuple[bool, bool, bool]:
    plain = column.name.removesuffix(BEST)
    return assumed(plain) is None, column.is_text, plain != column.name


def _rank(column: ShownColumn, varying: Collection[str], is_mean: bool) -> int:
    if column.name == _ID:
        return 0
    if column.name in varying:
        return 1
    if is_mean and column.name in _MARKS:
        return _MARK
    if column.is_same or column.is_echo:
        return _SAME
    return _LATE if column.name in _LAST else _RESULT


def _width(column: ShownColumn) -> int:
    widest = max(map(width_of, [column.head, *column.cells]))
    return min(widest, _LEAST_ID if column.name == _ID else MAX_CELL)


def _least_width(column: ShownColumn) -> int:
    """Return how wide a column has to be where its head may take a few lines."""
    cells = min(max(map(width_of, column.cells), default=0), _LEAST_ID if column.name == _ID else MAX_CELL)
    width = max([cells, *(width_of(piece.rstrip()) for piece in _PIECE.findall(column.head))])
    while len(_folded(column.head, width)) > _MAX_LINES:
        width += 1
    return min(width, MAX_CELL)


def _folded(head: str, width: int) -> list[str]:
    """Write a head in lines of some characters, each of which ends with a word of it."""
    lines = [""]
    for piece in _PIECE.findall(head):
        if lines[-1] and width_of(lines[-1]) + width_of(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _in_width(column: ShownColumn, width: int) -> ShownColumn:
    """Return a column whose head is in lines no wider than some characters; of an exp id the end is kept."""
    head = "\n".join(_folded(column.head, width)) if width_of(column.head) > width else column.head
    if column.name != _ID:
        return replace(column, head=head)
    cells = [cell if len(cell) <= width else f"…{cell[len(cell) - width + 1 :]}" for cell in column.cells]
    return replace(column, head=head, cells=cells)
