"""How room is made for tables: what stands in their way is moved aside, never written over.

Three steps, so that what is decided about one table holds whatever another one moves: rows of users leave the tables,
each table claims blank cells while all stands as it was read, and only then is what is still missing put in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heyhi.sheets.cells import Cell, Table
from heyhi.sheets.grid import Grid
from heyhi.sheets.wish import Wish, lowest_table
from heyhi.sheets.worksheet import Area, Block, Cells

GAP = 2  # blank rows between tables


@dataclass(frozen=True)
class _Before:
    """What a table was before this export.

    Attributes:
        columns: number of its columns.
        is_head_only: it had no data.
    """

    columns: int
    is_head_only: bool


class Room:
    """Make room in a worksheet.

    Args:
        grid: the worksheet, with its blocks.
        wish: what is to stand there.
        cells: what stands in `areas_to_read`.
    """

    def __init__(self, grid: Grid, wish: Wish, cells: Cells) -> None:
        self.grid, self.wish, self.cells = grid, wish, cells
        wanted = wish.by_key()
        self.old = {key: table for key, table in wanted.items() if key in grid.blocks}
        self.new = {key: table for key, table in wanted.items() if key not in grid.blocks}
        # Settled now, as `areas_to_read` did: what tables claim may make another one the lowest.
        self._lowest = lowest_table(grid.blocks.values(), wish)
        self._before: dict[str, _Before] = {}
        self._sent_below: dict[str, int] = {}  # how many rows of users went below a table

    def is_free(self, area: Area, block: Block | None = None) -> bool:
        """Return whether nothing stands in an area, in as far as it was read, other than a block that may."""
        return self.cells.is_empty(area) and not self.grid.is_crossed(area, block)

    def claim(self) -> None:
        """Send rows of users out of the tables, and let each table take the blank cells that it needs.

        It is called while nothing has moved yet.
        """
        for key, table in self.old.items():
            self._expel_rows(self.grid.blocks[key], table)
        for key, table in self.old.items():
            block = self.grid.blocks[key]
            self._before[key] = _Before(len(block.columns), block.height <= table.heads)
            self._claim(block, table)
        if self.new:
            self._claim_place()

    def open(self, shift: int) -> None:
        """Put in the rows and columns that are still missing.

        Args:
            shift: how many rows were put in at the top since `claim`.
        """
        for key in self.old:
            self._move_rows_out(self.grid.blocks[key])
        for key, table in self.old.items():
            self._open(self.grid.blocks[key], table)
        if any(key not in self.grid.blocks for key in self.new):
            self._open_place(shift)

    def new_columns(self, key: str) -> list[int]:
        """Return the columns that a table got; those of a new table are all new."""
        had = self._before[key].columns if key in self._before else 0
        return self.grid.blocks[key].columns[had:]

    # Rows of users inside of a table.

    def rows_put_in(self, block: Block, table: Table | None = None) -> list[int]:
        """Return which rows of a block a user put in: those that have least in common with what is written.

        Args:
            block: where the table stands.
            table: what is written, None for nothing.
        """
        if not block.rows_between:
            return []
        rows = [] if table is None else table.rows
        known = [{_entered(row[j]) for row in rows} - {None} for j in range(table.width if table else 0)]

        def likeness(row: int) -> tuple[int, int, int]:
            values = [self.cells.get(row, column) for column in block.columns]
            shared = sum(value in names for value, names in zip(values, known, strict=False))
            return shared, sum(value is not None for value in values), -row

        return sorted(sorted(range(block.top, block.bottom), key=likeness)[: block.rows_between])

    def _expel_rows(self, block: Block, table: Table) -> None:
        """Move rows of users below a table; where a whole row would tear another table, mark them for later."""
        rows = self.rows_put_in(block, table)
        if not rows:
            return
        if self.grid.has_neighbour(block):
            filled = [row for row in rows if not self.cells.is_empty(Area(row, block.left, row + 1, block.right))]
            block.foreign_rows = filled
            return
        for moved, row in enumerate(rows):
            # Those that went before are gone from above it.
            self.grid.move_row(row - moved, block.bottom)
        self._sent_below[block.key] = len(rows)
        block.bottom -= len(rows)
        block.spare = 0  # it would be where they are now

    def _move_rows_out(self, block: Block) -> None:
        """Move the cells of marked rows below a table, and leave what stands beside it."""
        rows = len(block.foreign_rows)
        if not rows:
            return
        at = block.bottom
        self.grid.open_rows(at, rows, block.left, block.right, like_above=False)
        for place, row in enumerate(block.foreign_rows, at):
            self.grid.move_cells(Area(row, block.left, row + 1, block.right), place)
        block.foreign_rows = []
        block.spare = 0

    # Tables that are there.

    def _claim(self, block: Block, table: Table) -> None:
        """Let a table take blank columns on its right, and the blank rows below that were its own."""
        columns = max(table.width - len(block.columns), 0)
        # As it was read: rows that went below took along what stands beside them.
        bottom = block.bottom + self._sent_below.get(block.key, block.spare)
        while columns and not self.is_free(Area(block.top, block.right, bottom, block.right + columns), block):
            columns -= 1
        rows = min(max(len(table.rows) - block.height, 0), block.spare)
        while rows and not self.is_free(
            Area(block.bottom, block.left, block.bottom + rows, block.right + columns), block
        ):
            rows -= 1
        block.columns += range(block.right, block.right + columns)
        block.right += columns
        block.bottom += rows
        block.spare -= rows
        self.grid.ensure(block.bottom, block.right)

    def _open(self, block: Block, table: Table) -> None:
        """Make a block as wide and as tall as its table at least."""
        columns = table.width - len(block.columns)
        if columns > 0:
            at = block.right
            self.grid.open_columns(at, columns, block.top, block.bottom)
            block.columns += range(at, at + columns)
            block.right = at + columns
        rows = len(table.rows) - block.height
        if rows > 0:
            # New rows look as the one above them; but data is not to look as a header does.
            at, like_above = block.bottom, not self._before[block.key].is_head_only
            self.grid.open_rows(at, rows, block.left, block.right, like_above=like_above)
            block.bottom = at + rows
            block.spare = 0

    # Tables that are new.

    def _claim_place(self) -> None:
        """Let new tables take the place below the group's lowest one, or the first place, where it is blank."""
        lowest, first_row = self._lowest, self.wish.first_row
        if lowest is None:
            top, left, first = first_row, self.wish.offset, first_row
        elif lowest.key in self._sent_below:
            return
        else:
            top, left, first = lowest.bottom, lowest.left, lowest.bottom + GAP
        # Blank rows after the last one as well: what follows is to stand apart.
        place = Area(top, left, first + height_of(self.new), left + width_of(self.new))
        if self.is_free(place):
            self.grid.ensure(place.bottom - GAP, place.right)
            self._settle(first, left)

    def _open_place(self, shift: int) -> None:
        """Put in rows for new tables where they belong, or below what would be cut in two there."""
        lowest = self._lowest
        if lowest is None:
            at, left = self.wish.first_row + shift, self.wish.offset
        else:
            at, left = lowest.bottom, lowest.left
        right = left + width_of(self.new)
        below = self.grid.below_tables(at, left, right)
        has_gap = lowest is not None or below != at
        self.grid.ensure(below, right)
        self.grid.open_rows(below, height_of(self.new), left, right, like_above=True)
        self._settle(below + GAP if has_gap else below, left)

    def _settle(self, top: int, left: int) -> None:
        """Give new tables their places, under one another."""
        if self._lowest is not None:
            self._lowest.spare = 0
        for key, table in self.new.items():
            bottom, right = top + len(table.rows), left + table.width
            self.grid.blocks[key] = Block(key, top, left, bottom, right, list(range(left, right)))
            top = bottom + GAP


def height_of(tables: Mapping[str, Table]) -> int:
    """Return how many rows tables take under one another, with a gap to what comes next."""
    return sum(len(table.rows) + GAP for table in tables.values())


def width_of(tables: Mapping[str, Table]) -> int:
    """Return how many columns tables take under one another."""
    return max((table.width for table in tables.values()), default=0)


def _entered(cell: Cell) -> Any:
    return next(iter(cell.get("userEnteredValue", {}).values()), None)
