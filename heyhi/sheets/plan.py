"""Owns what has to change so that a worksheet holds the tables, as one list of requests that happen all or not at all.

It sends nothing and reads no clock.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from heyhi.sheets.cells import TIME_FORMAT, Cell, SheetsError, Table
from heyhi.sheets.grid import Grid, Request
from heyhi.sheets.rules import rules_of, tag_of
from heyhi.sheets.worksheet import BLOCK_KEY, COLUMN_KEY, NEW_COLUMNS, NEW_ROWS, STAMP, Area, Block, Cells, Worksheet

MAX_CELLS = 10_000_000  # of a spreadsheet
MAX_COLUMNS = 18_278
GAP = 2  # blank rows between tables
_DAY_ZERO = datetime.date(1899, 12, 30)  # of a spreadsheet's clock


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


def areas_to_read(sheet: Worksheet, wish: Wish) -> list[Area]:
    """Name the cells that a plan depends on: none while tables keep their width, and nobody put rows in between."""
    if not sheet.exists:
        return []
    areas: list[Area] = []
    if STAMP not in sheet.blocks:
        areas.append(Area(0, 0, 1, 1))
    blocks, _ = _assigned(sheet, wish)
    for key, table in wish.by_key().items():
        block = blocks.get(key)
        if block is None:
            continue
        if block.strangers:
            areas.append(Area(block.top, block.left, block.bottom, block.right))
        wider = max(table.width - len(block.columns), 0)
        if wider:
            areas.append(Area(block.top, block.right, block.bottom + block.spare, block.right + wider))
        if len(table.rows) > block.height and block.spare and not block.strangers:
            areas.append(Area(block.bottom, block.left, block.bottom + block.spare, block.right))
    new = [table for key, table in wish.by_key().items() if key not in blocks]
    if new:
        anchor = _anchor(blocks.values(), wish)
        top, left = (anchor.bottom, anchor.left) if anchor else (wish.first_row, wish.offset)
        areas.append(Area(top, left, sheet.rows, left + max(table.width for table in new)))
    # What lies beyond the grid is empty, and no range that Google would take.
    inside = [Area(a.top, a.left, min(a.bottom, sheet.rows), min(a.right, sheet.columns)) for a in areas]
    return [a for a in inside if a.top < a.bottom and a.left < a.right]


def _assigned(sheet: Worksheet, wish: Wish) -> tuple[dict[str, Block], list[Block]]:
    """Give each block the key of the table that it is to hold, and name those that are left over.

    A table whose title is a new one takes the place of one that is gone.
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


def _anchor(blocks: Iterable[Block], wish: Wish) -> Block | None:
    """Return the group's lowest table, below which further ones go."""
    ours = [block for block in blocks if wish.is_ours(block.key)]
    return max(ours, key=lambda block: block.bottom, default=None)


def plan(sheet: Worksheet, wish: Wish, cells: Cells) -> list[Request]:
    """Work out the requests that make a worksheet hold the tables.

    Args:
        sheet: how it stands.
        wish: what is to stand there.
        cells: what stands in `areas_to_read`.

    Raises:
        SheetsError: the spreadsheet would get larger than Google allows.
    """
    return _Planner(sheet, wish, cells).run()


@dataclass(frozen=True)
class _Growth:
    """What an old table needs, settled while nothing has moved yet.

    Attributes:
        strangers: rows that a user put in, counted from the table's first.
        free_columns: blank columns on its right that it takes.
        new_columns: columns that have to be put in.
        free_rows: blank rows below that were its own, and that it takes again.
        new_rows: rows that have to be put in.
    """

    strangers: list[int]
    free_columns: int
    new_columns: int
    free_rows: int
    new_rows: int


class _Planner:
    """Decides what goes where: what users have in a worksheet is moved aside at most, never written over."""

    def __init__(self, sheet: Worksheet, wish: Wish, cells: Cells) -> None:
        self.sheet, self.wish, self.cells = sheet, wish, cells
        self.wanted = wish.by_key()
        self.blocks, self.left_over = _assigned(sheet, wish)
        self.grid = Grid(sheet.sheet_id, sheet.rows, sheet.columns, self.blocks)

    def run(self) -> list[Request]:
        if not self.sheet.exists:
            self._add_sheet()
        old = {key: table for key, table in self.wanted.items() if key in self.blocks}
        new = {key: table for key, table in self.wanted.items() if key not in self.blocks}
        # All that depends on what was read is settled before anything moves.
        growths = {key: self._growth(self.blocks[key], table) for key, table in old.items()}
        is_free = self._is_place_free(new, growths)
        shift = self._stamp()
        for block in self.left_over:
            self._remove(block)
        for key, table in old.items():
            self._make_room(self.blocks[key], table, growths[key])
            self._write(self.blocks[key], table)
        if new:
            self._add(new, shift, is_free)
        for block in self.blocks.values():
            if block.key in self.wanted or not block.range_id:
                self._record(block)
        for range_id in self.sheet.dead_ranges:
            self.grid.ask("deleteNamedRange", namedRangeId=range_id)
        self.grid.unmark(self.sheet.strays)
        self._colour()
        self._check_size()
        return self.grid.requests

    def _add_sheet(self) -> None:
        height = self.wish.start + sum(len(table.rows) + GAP for table in self.wanted.values())
        width = self.wish.offset + max((table.width for table in self.wanted.values()), default=0)
        self.grid.rows, self.grid.columns = max(height, NEW_ROWS), max(width, NEW_COLUMNS)
        size = {"rowCount": self.grid.rows, "columnCount": self.grid.columns}
        properties = {"sheetId": self.sheet.sheet_id, "title": self.sheet.title, "gridProperties": size}
        self.grid.ask("addSheet", properties=properties)

    def _stamp(self) -> int:
        """Write when this was; return how many rows were put in at the top for it."""
        block = self.blocks.get(STAMP)
        inserted = 0
        if block is None:
            if not self._is_free(Area(0, 0, 1, 1)):
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

    def _is_free(self, area: Area, block: Block | None = None) -> bool:
        return self.cells.is_empty(area) and not self.grid.is_crossed(area, block)

    # Tables that are there.

    def _growth(self, block: Block, table: Table) -> _Growth:
        strangers = self._strangers(block, table)
        # Where there are some, they go below the table, where the spare rows were.
        spare = 0 if strangers else block.spare
        wider = max(table.width - len(block.columns), 0)
        free_columns = wider
        while free_columns and not self._is_free(
            Area(block.top, block.right, block.bottom + spare, block.right + free_columns), block
        ):
            free_columns -= 1
        taller = max(len(table.rows) - (block.height - len(strangers)), 0)
        free_rows = min(taller, spare)
        while free_rows and not self._is_free(
            Area(block.bottom, block.left, block.bottom + free_rows, block.right + free_columns), block
        ):
            free_rows -= 1
        return _Growth(strangers, free_columns, wider - free_columns, free_rows, taller - free_rows)

    def _strangers(self, block: Block, table: Table) -> list[int]:
        """Tell which rows a user put in: those that have least in common with what we write."""
        wide = Area(block.top, 0, block.bottom, max(self.sheet.columns, block.right))
        if not block.strangers or self.grid.is_crossed(wide, block):
            return []
        known = [{_entered(row[j]) for row in table.rows} - {None} for j in range(table.width)]

        def likeness(row: int) -> tuple[int, int, int]:
            values = [self.cells.get(row, column) for column in block.columns]
            shared = sum(value in names for value, names in zip(values, known, strict=False))
            return shared, sum(value is not None for value in values), -row

        rows = sorted(range(block.top, block.bottom), key=likeness)
        return sorted(row - block.top for row in rows[: block.strangers])

    def _make_room(self, block: Block, table: Table, growth: _Growth) -> None:
        """Make a block as wide and as tall as the table at least."""
        for moved, stranger in enumerate(growth.strangers):
            # Those that went before are gone from above it.
            self.grid.move_row(block.top + stranger - moved, block.bottom)
        block.bottom -= len(growth.strangers)
        first = block.right
        block.right += growth.free_columns
        self.grid.ensure(block.bottom, block.right)
        if growth.new_columns:
            # Beside the rows that it takes again as well: what stands there has to go, too.
            self.grid.open_columns(block.right, growth.new_columns, block.top, block.bottom + growth.free_rows)
            block.right += growth.new_columns
        block.columns += range(first, block.right)
        is_head_only = block.height <= table.heads
        block.bottom += growth.free_rows
        is_cut_off = growth.strangers or growth.new_rows
        block.spare = 0 if is_cut_off else block.spare - growth.free_rows
        self.grid.ensure(block.bottom, block.right)
        if growth.new_rows:
            # New rows look as the one above them; but data is not to look as a header does.
            at, like_above = block.bottom, not is_head_only
            self.grid.open_rows(at, growth.new_rows, block.left, block.right, like_above=like_above)
            block.bottom += growth.new_rows
        heads = block.top + table.heads
        if block.renamed:  # it may have a title now, or have it no more
            self.grid.embolden(block.top, heads, block.columns, bold=True)
            self.grid.embolden(heads, block.bottom, block.columns, bold=False)
        else:
            new = [column for column in block.columns if column >= first]
            self.grid.embolden(block.top, heads, new, bold=True)

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
        """Blank a table that is no more."""
        self.grid.write(block.top, block.bottom, block.columns, [])
        self.grid.ask("deleteNamedRange", namedRangeId=block.range_id)
        self.grid.unmark(block.marks)
        if block.state_id is not None:
            self.grid.unmark([block.state_id])

    # Tables that are new.

    def _is_place_free(self, new: Mapping[str, Table], growths: Mapping[str, _Growth]) -> bool:
        """Return whether nothing stands where new tables would go."""
        if not new:
            return True
        width = max(table.width for table in new.values())
        height = sum(len(table.rows) + GAP for table in new.values()) + GAP
        anchor = _anchor(self.blocks.values(), self.wish)
        if anchor is None:
            top, left = self.wish.first_row, self.wish.offset
        elif growths[anchor.key].strangers:
            return False  # they are about to go there
        else:
            top, left = anchor.bottom + growths[anchor.key].free_rows, anchor.left
        return self._is_free(Area(top, left, top + height, left + width))

    def _add(self, new: Mapping[str, Table], shift: int, is_free: bool) -> None:
        width = max(table.width for table in new.values())
        height = sum(len(table.rows) + GAP for table in new.values())
        anchor = _anchor(self.blocks.values(), self.wish)
        if anchor is None:
            at, left = self.wish.first_row + shift, self.wish.offset
            top = at
        else:
            at, left = anchor.bottom, anchor.left
            top = at + GAP
            anchor.spare = 0
        self.grid.ensure(top + height if is_free else at, left + width)
        if not is_free:
            self.grid.open_rows(at, height, left, left + width, like_above=True)
        for key, table in new.items():
            columns = list(range(left, left + table.width))
            block = Block(key, top, left, top + len(table.rows), left + table.width, columns)
            self.blocks[key] = block
            self._write(block, table)
            self.grid.embolden(top, top + table.heads, columns, bold=True)
            top = block.bottom + GAP

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


def _entered(cell: Cell) -> Any:
    return next(iter(cell.get("userEnteredValue", {}).values()), None)
