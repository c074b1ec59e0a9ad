"""What has to change so that a worksheet holds the tables, as one list of requests that happen all or not at all.

Making room is left to `heyhi.sheets.room`, sending the requests to `heyhi.sheets.api`.
"""

from __future__ import annotations

import datetime
import json
from itertools import pairwise
from typing import Any

from heyhi.sheets.cells import TIME_FORMAT, SheetsError, Table
from heyhi.sheets.grid import Grid, Request
from heyhi.sheets.room import Room, height_of, width_of
from heyhi.sheets.rules import rules_of, tag_of
from heyhi.sheets.wish import Wish, assign_blocks
from heyhi.sheets.worksheet import BLOCK_KEY, COLUMN_KEY, NEW_COLUMNS, NEW_ROWS, STAMP, Area, Block, Cells, Worksheet

MAX_CELLS = 10_000_000  # of a spreadsheet
MAX_COLUMNS = 18_278
_DAY_ZERO = datetime.date(1899, 12, 30)  # of a spreadsheet's clock


def plan(sheet: Worksheet, wish: Wish, cells: Cells) -> list[Request]:
    """Return the requests that make a worksheet hold the tables.

    Args:
        sheet: how it stands.
        wish: what is to stand there.
        cells: what stands in `areas_to_read`.

    Raises:
        SheetsError: the spreadsheet would get larger than Google allows.
    """
    return _Planner(sheet, wish, cells).run()


class _Planner:
    """The making of one plan."""

    def __init__(self, sheet: Worksheet, wish: Wish, cells: Cells) -> None:
        self.sheet, self.wish = sheet, wish
        self.wanted = wish.by_key()
        self.blocks, self.left_over = assign_blocks(sheet, wish)
        self.grid = Grid(sheet.sheet_id, sheet.rows, sheet.columns, self.blocks)
        self.room = Room(self.grid, wish, cells)

    def run(self) -> list[Request]:
        if not self.sheet.exists:
            self._add_sheet()
        for block in self.left_over:
            self._remove(block)
        self.room.claim()
        self.room.open(self._stamp())
        for key, table in self.wanted.items():
            self._embolden(self.blocks[key], table)
            self._write(self.blocks[key], table)
        for block in self.blocks.values():
            if block.key in self.wanted or block.was_pushed or not block.range_id:
                self._record(block)
        for range_id in self.sheet.dead_ranges:
            self.grid.ask("deleteNamedRange", namedRangeId=range_id)
        self.grid.unmark(self.sheet.strays)
        self._colour()
        self._check_size()
        return self.grid.requests

    def _add_sheet(self) -> None:
        height = self.wish.start + height_of(self.wanted)
        width = self.wish.offset + width_of(self.wanted)
        self.grid.rows, self.grid.columns = max(height, NEW_ROWS), max(width, NEW_COLUMNS)
        size = {"rowCount": self.grid.rows, "columnCount": self.grid.columns}
        properties = {"sheetId": self.sheet.sheet_id, "title": self.sheet.title, "gridProperties": size}
        self.grid.ask("addSheet", properties=properties)

    def _stamp(self) -> int:
        """Write when this was; return how many rows were put in at the top for it."""
        block = self.blocks.get(STAMP)
        inserted = 0
        if block is None:
            if not self.room.is_free(Area(0, 0, 1, 1)):
                self.grid.open_rows(0, 1, 0, 1, like_above=False)
                inserted = 1
            block = self.blocks[STAMP] = Block(STAMP, 0, 0, 1, 1, [0])
        now = self.wish.now
        text = f"Last update: {now.strftime(TIME_FORMAT)}"
        # Whole numbers and no list of arguments: so it is read alike in every locale of a spreadsheet.
        days, seconds = (now.date() - _DAY_ZERO).days, now.hour * 3600 + now.minute * 60 + now.second
        formula = f'="{text} ("&ROUND((NOW()-{days}-{seconds}/86400)*1440)&" minutes ago)"'
        value = {"formulaValue": formula} if self.wish.knows_zone else {"stringValue": f"{text} UTC"}
        self.grid.write(block.top, block.top + 1, [block.left], [[{"userEnteredValue": value}]])
        return inserted

    def _embolden(self, block: Block, table: Table) -> None:
        """Make heads bold where they are new."""
        heads = block.top + table.heads
        if block.renamed:  # it may have a title now, or have it no more
            self.grid.embolden(block.top, heads, block.columns, bold=True)
            self.grid.embolden(heads, block.bottom, block.columns, bold=False)
        else:
            self.grid.embolden(block.top, heads, self.room.new_columns(block.key), bold=True)

    def _write(self, block: Block, table: Table) -> None:
        """Write a table into its block, blank what is left of an older one, and fit the block to it.

        Rows of a table that got shorter are blanked, not removed: a user may have something beside them.
        """
        bottom = block.top + len(table.rows)
        ours, surplus = block.columns[: table.width], block.columns[table.width :]
        self.grid.write(block.top, block.bottom, ours, table.rows)
        self.grid.write(block.top, block.bottom, surplus, [])
        block.spare += block.bottom - bottom
        block.bottom, block.columns = bottom, ours
        block.left, block.right = ours[0], ours[-1] + 1

    def _remove(self, block: Block) -> None:
        """Blank a table that is no more, but for rows that a user put in between."""
        kept = self.room.rows_put_in(block)
        for top, bottom in pairwise([block.top - 1, *kept, block.bottom]):
            if top + 1 < bottom:
                self.grid.write(top + 1, bottom, block.columns, [])
        self.grid.ask("deleteNamedRange", namedRangeId=block.range_id)
        self.grid.unmark(block.marks)
        if block.state_id is not None:
            self.grid.unmark([block.state_id])

    # What tells where things of ours are.

    def _record(self, block: Block) -> None:
        area = Area(block.top, block.left, block.bottom, block.right)
        named: dict[str, Any] = {"range": area.grid_range(self.sheet.sheet_id)}
        if not block.range_id:
            self.grid.ask("addNamedRange", namedRange=named | {"name": self._range_name(block)})
        elif block.renamed:
            named |= {"namedRangeId": block.range_id, "name": self._range_name(block)}
            self.grid.ask("updateNamedRange", namedRange=named, fields="name,range")
        else:
            named |= {"namedRangeId": block.range_id}
            self.grid.ask("updateNamedRange", namedRange=named, fields="range")
        if block.key != STAMP:
            self._mark_columns(block)
        if block.key in self.wanted:
            self._keep_state(block)

    def _range_name(self, block: Block) -> str:
        name = base = f"heyhi_{self.sheet.sheet_id}_{block.key}"
        number = 1
        while name in self.sheet.range_names:
            number += 1
            name = f"{base}__{number}"
        return name

    def _mark_columns(self, block: Block) -> None:
        kept: dict[int, int] = {}
        for mark, column in block.marks.items():
            if column in block.columns and not block.renamed:
                kept.setdefault(column, mark)
        self.grid.unmark(mark for mark in block.marks if mark not in kept.values())
        for column in block.columns:
            if column not in kept:
                self.grid.mark(COLUMN_KEY, block.key, column)

    def _keep_state(self, block: Block) -> None:
        state = {"block": block.key, "rows": block.height, "spare": block.spare}
        value = json.dumps(state, separators=(",", ":"))
        if block.state_id is None:
            self.grid.mark(BLOCK_KEY, value)
        else:
            self.grid.change_mark(block.state_id, value)

    def _colour(self) -> None:
        """Bring our conditional formats up to date; those of users, and colours that they gave ours, stay."""
        wanted: dict[tuple[str, str], Request] = {}
        for key, table in self.wanted.items():
            rules = rules_of(self.sheet.sheet_id, self.blocks[key], table, knows_zone=self.wish.knows_zone)
            wanted |= {(key, name): rule for name, rule in rules.items()}
        surplus: list[int] = []
        for index, rule in enumerate(self.sheet.rules):
            tag = tag_of(rule)
            if tag is None or not self.wish.is_ours(tag[0]):
                continue
            fresh = wanted.pop(tag, None)
            if fresh is None:
                surplus.append(index)
                continue
            fresh["booleanRule"]["format"] = rule["booleanRule"].get("format", fresh["booleanRule"]["format"])
            self.grid.ask("updateConditionalFormatRule", index=index, rule=fresh)
        for index in reversed(surplus):
            self.grid.ask("deleteConditionalFormatRule", sheetId=self.sheet.sheet_id, index=index)
        # At the end: a user's own rules go first.
        for index, fresh in enumerate(wanted.values(), len(self.sheet.rules) - len(surplus)):
            self.grid.ask("addConditionalFormatRule", index=index, rule=fresh)

    def _check_size(self) -> None:
        cells = self.sheet.other_cells + self.grid.rows * self.grid.columns
        if cells > MAX_CELLS:
            raise SheetsError(
                f"the spreadsheet would have {cells:,} cells, of which Google allows {MAX_CELLS:,}: "
                "export fewer rows or columns, or into another spreadsheet"
            )
        if self.grid.columns > MAX_COLUMNS:
            raise SheetsError(
                f"the worksheet would have {self.grid.columns:,} columns, of which Google allows {MAX_COLUMNS:,}"
            )
