"""What an export wants in a worksheet, which of the blocks there each table takes, and which cells have to be read.

How room is made for the tables is left to `heyhi.sheets.room`, how they are written to `heyhi.sheets.plan`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from heyhi.sheets.cells import Table
from heyhi.sheets.worksheet import STAMP, Area, Block, Worksheet


@dataclass(frozen=True)
class Wish:
    """What is to stand in the worksheet.

    Attributes:
        tables: under one another.
        now: time of the export, in the spreadsheet's time zone, or in UTC where that is unknown.
        knows_zone: the spreadsheet's time zone is known, so that its clock and our times can be compared.
        group: whose they are; tables of other groups in the worksheet stay.
        start: row of the first table where the worksheet has none yet, counted from 1.
        offset: columns that stay free on its left.
    """

    tables: Sequence[Table]
    now: datetime.datetime
    knows_zone: bool = True
    group: str = ""
    start: int = 10
    offset: int = 1

    @property
    def prefix(self) -> str:
        """What the keys of the group's tables begin with."""
        return f"g{sha256(self.group.encode('utf-8', 'replace')).hexdigest()[:6]}" if self.group else ""

    @property
    def first_row(self) -> int:
        """Row of the first table, counted from 0; the first one of all is the stamp's."""
        return max(self.start - 1, 1)

    def by_key(self) -> dict[str, Table]:
        """Return the tables by the keys of their blocks."""
        return {self.prefix + table.key: table for table in self.tables}

    def is_ours(self, key: str) -> bool:
        """Return whether a block is a table of this group."""
        return key != STAMP and key.startswith(f"{self.prefix}t")


def assign_blocks(sheet: Worksheet, wish: Wish) -> tuple[dict[str, Block], list[Block]]:
    """Return copies of all blocks by the keys of the tables that they are to hold, and those that are left over.

    A table whose title is a new one takes the block of a table that is gone.
    """
    blocks = {
        key: replace(block, columns=[*block.columns], marks={**block.marks}) for key, block in sheet.blocks.items()
    }
    wanted = wish.by_key()
    left_over = [key for key in blocks if wish.is_ours(key) and key not in wanted]
    left_over.sort(key=lambda key: blocks[key].top)
    for key in [key for key in wanted if key not in blocks][: len(left_over)]:
        blocks[key] = replace(blocks.pop(left_over.pop(0)), key=key, renamed=True)
    return blocks, [blocks.pop(key) for key in left_over]


def lowest_table(blocks: Iterable[Block], wish: Wish) -> Block | None:
    """Return the group's lowest table, below which further ones go, None where it has none yet."""
    ours = [block for block in blocks if wish.is_ours(block.key)]
    return max(ours, key=lambda block: block.bottom, default=None)


def areas_to_read(sheet: Worksheet, wish: Wish) -> list[Area]:
    """Return the cells that a plan depends on: none while tables keep their size, and nobody put rows in between."""
    if not sheet.exists:
        return []
    areas: list[Area] = []
    if STAMP not in sheet.blocks:
        areas.append(Area(0, 0, 1, 1))
    blocks, left_over = assign_blocks(sheet, wish)
    wanted = wish.by_key()
    areas += [block.area for block in left_over if block.rows_between]
    for key, table in wanted.items():
        block = blocks.get(key)
        if block is None:
            continue
        if block.rows_between:
            areas.append(block.area)
        wider = max(table.width - len(block.columns), 0)
        if wider:
            areas.append(Area(block.top, block.right, block.bottom + block.spare, block.right + wider))
        if len(table.rows) > block.height - block.rows_between and block.spare:
            areas.append(Area(block.bottom, block.left, block.bottom + block.spare, block.right))
    new = [table for key, table in wanted.items() if key not in blocks]
    if new:
        lowest = lowest_table(blocks.values(), wish)
        top, left = (lowest.bottom, lowest.left) if lowest else (wish.first_row, wish.offset)
        areas.append(Area(top, left, sheet.rows, left + max(table.width for table in new)))
    # What lies beyond the grid is empty, and no range that Google would take.
    inside = [Area(a.top, a.left, min(a.bottom, sheet.rows), min(a.right, sheet.columns)) for a in areas]
    return [a for a in inside if a.top < a.bottom and a.left < a.right]
