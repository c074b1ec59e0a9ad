"""How a worksheet stands before an export: which cells are ours, and where they went since they were written.

A table's place is a named range with the worksheet, which Google moves along with the cells. The columns in it that
are ours carry developer metadata, so that a column that a user put in between stays theirs. How many rows we wrote,
and how many below are blank since the table shrank, is metadata of the worksheet.
Asking Google is left to `heyhi.sheets.api`, changes to `heyhi.sheets.grid`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from heyhi.sheets.cells import SheetsError

Dimension: TypeAlias = Literal["ROWS", "COLUMNS"]  # as requests name them
STAMP = "updated"  # key of the cell that says when the last export was
# What is read of a spreadsheet: no cell is among it.
FIELDS = (
    "spreadsheetId,properties(title,timeZone),namedRanges,"
    "sheets(properties(sheetId,title,sheetType,gridProperties(rowCount,columnCount)),developerMetadata,"
    "conditionalFormats,data(startColumn,columnMetadata(developerMetadata)))"
)
BLOCK_KEY, COLUMN_KEY = "heyhi.block", "heyhi.column"  # of developer metadata
NEW_ROWS, NEW_COLUMNS = 1000, 26  # of a new worksheet, as the browser makes it
_NAME = re.compile(r"(?:^|!)heyhi_(?P<sheet>\d+)_(?P<key>(?:g[0-9a-f]{6})?(?:updated|t[0-9a-fx]+))(?:__\d+)?$")


@dataclass(frozen=True)
class Area:
    """A rectangle of cells, counted from 0, ends exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    def a1(self, title: str) -> str:
        """Return it in A1 notation, with the worksheet's title."""
        quoted = title.replace("'", "''")
        return f"'{quoted}'!{letters(self.left)}{self.top + 1}:{letters(self.right - 1)}{self.bottom}"

    def grid_range(self, sheet_id: int) -> dict[str, int]:
        """Return it as requests name it."""
        return {
            "sheetId": sheet_id,
            "startRowIndex": self.top,
            "endRowIndex": self.bottom,
            "startColumnIndex": self.left,
            "endColumnIndex": self.right,
        }


def letters(column: int) -> str:
    """Return the letters of a column, counted from 0, in A1 notation."""
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


@dataclass
class Block:
    """A place where something of ours stands; it moves while a plan is made.

    Attributes:
        key: what it is: the stamp, or a table's key after its group's.
        columns: those within it that are ours, in order.
        range_id: its named range; empty: it has none yet.
        marks: id of developer metadata -> marked column.
        written: how many rows we wrote last, None if unknown.
        spare: blank rows below it that were ours.
        state_id: developer metadata that holds the last two, None without.
        renamed: it was another table's until now.
        foreign_rows: rows within it that a user put in, and that are yet to be moved out of it.
        was_pushed: cells were put in before it, which moves neither its marks nor, for certain, its named range.
    """

    key: str
    top: int
    left: int
    bottom: int
    right: int
    columns: list[int]
    range_id: str = ""
    marks: dict[int, int] = field(default_factory=dict)
    written: int | None = None
    spare: int = 0
    state_id: int | None = None
    renamed: bool = False
    foreign_rows: list[int] = field(default_factory=list)
    was_pushed: bool = False

    @property
    def area(self) -> Area:
        """Its cells, columns of users between its own included."""
        return Area(self.top, self.left, self.bottom, self.right)

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def rows_between(self) -> int:
        """Number of rows that somebody put in between ours."""
        return 0 if self.written is None else max(self.height - self.written, 0)

    def extent(self, dimension: Dimension) -> tuple[int, int]:
        """Return its first row (column), and the end of its rows (columns)."""
        return (self.top, self.bottom) if dimension == "ROWS" else (self.left, self.right)

    def shift(self, dimension: Dimension, at: int, count: int) -> None:
        """Follow its cells where rows (columns) were put in: it moves, or gets taller (wider) where they are inside."""

        def moved(index: int) -> int:
            return index + count if index >= at else index

        if dimension == "ROWS":
            self.top, self.bottom = moved(self.top), moved(self.bottom - 1) + 1
            self.foreign_rows = [moved(row) for row in self.foreign_rows]
        else:
            self.left, self.right = moved(self.left), moved(self.right - 1) + 1
            self.columns = [moved(column) for column in self.columns]

    def meets(self, area: Area) -> bool:
        """Return whether an area has a cell of it."""
        is_beside = area.right <= self.left or area.left >= self.right
        return not (is_beside or area.bottom <= self.top or area.top >= self.bottom)


@dataclass(frozen=True)
class Worksheet:
    """A worksheet as it stands before an export.

    Attributes:
        exists: False: it is yet to be made.
        rows: of its grid.
        columns: of its grid.
        blocks: what is ours in it, by key.
        rules: its conditional formats, in Google's JSON.
        dead_ranges: our named ranges that point nowhere any more.
        strays: our developer metadata whose table is gone.
        range_names: names that are taken in the spreadsheet.
        other_cells: size of the spreadsheet's other worksheets.
    """

    sheet_id: int
    title: str
    exists: bool = True
    rows: int = NEW_ROWS
    columns: int = NEW_COLUMNS
    blocks: Mapping[str, Block] = field(default_factory=dict)
    rules: Sequence[Mapping[str, Any]] = ()
    dead_ranges: Sequence[str] = ()
    strays: Sequence[int] = ()
    range_names: frozenset[str] = frozenset()
    other_cells: int = 0


def read_worksheet(spreadsheet: Mapping[str, Any], title: str, new_id: int) -> Worksheet:
    """Read how a worksheet stands from what Google returns of its spreadsheet.

    Args:
        spreadsheet: Google's JSON, with `FIELDS`.
        title: of the worksheet; Google takes no two that differ in case only.
        new_id: an id for it if it has to be made; one that is taken is changed.

    Raises:
        SheetsError: what has that title has no cells.
    """
    sheets = list(spreadsheet.get("sheets", []))
    found = next((s for s in sheets if s["properties"]["title"].casefold() == title.casefold()), None)
    ranges = list(spreadsheet.get("namedRanges", []))
    names = frozenset(str(r["name"]).rsplit("!", 1)[-1] for r in ranges)
    others = sum(_cells_of(sheet) for sheet in sheets if sheet is not found)
    if found is None:
        ids = {sheet["properties"].get("sheetId", 0) for sheet in sheets}
        while new_id in ids:
            new_id += 1
        return Worksheet(new_id, title, exists=False, range_names=names, other_cells=others)
    properties = found["properties"]
    if properties.get("sheetType", "GRID") != "GRID":
        raise SheetsError(f"'{properties['title']}' is a chart or a data source, no worksheet with cells")
    sheet_id = properties.get("sheetId", 0)
    grid = properties["gridProperties"]
    blocks, dead = _blocks(sheet_id, ranges)
    strays = _read_state(blocks, found.get("developerMetadata", []))
    strays += _read_marks(blocks, found.get("data", []))
    return Worksheet(
        sheet_id=sheet_id,
        title=properties["title"],
        rows=grid.get("rowCount", 0),
        columns=grid.get("columnCount", 0),
        blocks=blocks,
        rules=found.get("conditionalFormats", []),
        dead_ranges=dead,
        strays=strays,
        range_names=names,
        other_cells=others,
    )


def _cells_of(sheet: Mapping[str, Any]) -> int:
    grid = sheet["properties"].get("gridProperties", {})
    return int(grid.get("rowCount", 0)) * int(grid.get("columnCount", 0))


def _blocks(sheet_id: int, ranges: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Block], list[str]]:
    """Find our named ranges in a worksheet, and those of it that point nowhere any more."""
    blocks: dict[str, Block] = {}
    dead: list[str] = []
    for entry in ranges:
        name = _NAME.search(entry["name"])
        if name is None:
            continue
        key, range_id, place = name["key"], entry["namedRangeId"], entry.get("range", {})
        # Google leaves out what is 0.
        top, left = place.get("startRowIndex", 0), place.get("startColumnIndex", 0)
        bottom, right = place.get("endRowIndex", 0), place.get("endColumnIndex", 0)
        if bottom <= top or right <= left:  # its cells were deleted
            dead += [range_id] if int(name["sheet"]) == sheet_id else []
        elif place.get("sheetId", 0) == sheet_id and key not in blocks:
            blocks[key] = Block(key, top, left, bottom, right, list(range(left, right)), range_id)
    return blocks, dead


def _read_state(blocks: Mapping[str, Block], entries: Iterable[Mapping[str, Any]]) -> list[int]:
    """Set what the metadata of blocks says; return the ids of metadata that is of none."""
    strays = []
    for entry in entries:
        if entry.get("metadataKey") != BLOCK_KEY:
            continue
        try:
            state = json.loads(entry.get("metadataValue", ""))
            key, written, spare = state["block"], int(state["rows"]), int(state["spare"])
        except (ValueError, TypeError, KeyError):
            key, written, spare = "", 0, 0  # not as we write it
        block = blocks.get(key)
        if block is None or block.state_id is not None:
            strays.append(entry["metadataId"])
        else:
            block.written, block.spare, block.state_id = written, spare, entry["metadataId"]
    return strays


def _read_marks(blocks: Mapping[str, Block], data: Iterable[Mapping[str, Any]]) -> list[int]:
    """Set which columns are a block's own; return the ids of marks that are of none."""
    strays = []
    for part in data:
        for index, column in enumerate(part.get("columnMetadata", []), part.get("startColumn", 0)):
            for entry in column.get("developerMetadata", []):
                if entry.get("metadataKey") != COLUMN_KEY:
                    continue
                block = blocks.get(entry.get("metadataValue", ""))
                if block is None:
                    strays.append(entry["metadataId"])
                else:
                    block.marks[entry["metadataId"]] = index
    for block in blocks.values():
        # Where the table was cut and pasted elsewhere, marks stayed with their columns and say nothing; where a
        # column was moved out of the range, which got narrower by it, they say where it is.
        marked = sorted(set(block.marks.values()))
        is_inside = all(block.left <= column < block.right for column in marked)
        if marked and (is_inside or block.right - block.left < len(marked)):
            block.columns = marked
            block.left, block.right = min(block.left, marked[0]), max(block.right, marked[-1] + 1)
    return strays


class Cells:
    """The cells that were read, and what they hold.

    Args:
        areas: what was read.
        values: what Google returned for each of them.
    """

    def __init__(self, areas: Sequence[Area] = (), values: Sequence[Mapping[str, Any]] = ()) -> None:
        self._values: dict[tuple[int, int], Any] = {}
        for area, part in zip(areas, values, strict=True):
            for row, line in enumerate(part.get("values", []), area.top):
                for column, value in enumerate(line, area.left):
                    if value not in ("", None):
                        self._values[row, column] = value
        self._rows: dict[int, list[int]] = {}
        for row, column in self._values:
            self._rows.setdefault(row, []).append(column)

    def get(self, row: int, column: int) -> Any:
        """Return what a cell holds, None for nothing."""
        return self._values.get((row, column))

    def is_empty(self, area: Area) -> bool:
        """Return whether nothing stands in an area."""
        return not any(
            area.left <= column < area.right
            for row, columns in self._rows.items()
            if area.top <= row < area.bottom
            for column in columns
        )
