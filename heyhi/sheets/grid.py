"""The requests that change a worksheet, and where each of them leaves what is ours; it decides nothing.

Requests of one list see what those before them did, so rows and columns are counted as they will be by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from heyhi.sheets.cells import Cell
from heyhi.sheets.worksheet import Area, Block, Dimension

Request: TypeAlias = dict[str, Any]
_WRITTEN = "userEnteredValue,textFormatRuns"
_BOLD = "userEnteredFormat.textFormat.bold"


class Grid:
    """A worksheet as it will be after the requests that were collected for it: its size, and where its blocks are.

    Args:
        sheet_id: of the worksheet.
        rows: number of rows it has.
        columns: number of columns it has.
        blocks: all of ours that stand in it, by key.
    """

    def __init__(self, sheet_id: int, rows: int, columns: int, blocks: dict[str, Block]) -> None:
        self.sheet_id = sheet_id
        self.rows, self.columns = rows, columns
        self.blocks = blocks
        self.requests: list[Request] = []

    def ask(self, kind: str, **body: Any) -> None:
        """Add a request."""
        self.requests.append({kind: body})

    def is_crossed(self, area: Area, but: Block | None = None) -> bool:
        """Return whether an area has a cell of any block but the one named."""
        return any(block is not but and block.meets(area) for block in self.blocks.values())

    def ensure(self, rows: int, columns: int) -> None:
        """Make the worksheet as large as this at least."""
        for dimension, missing in (("ROWS", rows - self.rows), ("COLUMNS", columns - self.columns)):
            if missing > 0:
                self.ask("appendDimension", sheetId=self.sheet_id, dimension=dimension, length=missing)
        self.rows, self.columns = max(rows, self.rows), max(columns, self.columns)

    def has_neighbour(self, block: Block) -> bool:
        """Return whether another block, or blank rows that are still its own, shares a row with a block."""
        return any(
            other is not block and other.top < block.bottom and block.top < other.bottom + other.spare
            for other in self.blocks.values()
        )

    def below_tables(self, row: int, left: int, right: int) -> int:
        """Return the first row, from one on, above which cells can be put in without cutting a block in these columns.

        Args:
            row: where to begin.
            left: first column.
            right: end of the columns.
        """
        while True:
            cut = [
                block.bottom
                for block in self.blocks.values()
                if block.top < row < block.bottom and block.left < right and left < block.right
            ]
            if not cut:
                return row
            row = max(cut)

    def open_rows(self, at: int, count: int, left: int, right: int, *, like_above: bool) -> None:
        """Put in rows.

        Where whole ones would cut a block in two, only cells are put in, in the columns that are named and those of
        the blocks below, which move down as a whole. Where that would cut one as well, the rows are whole after all:
        blank rows in a table are moved out by its next export, while a torn table is lost.
        """
        self._open("ROWS", at, count, (left, right), like_before=like_above)

    def open_columns(self, at: int, count: int, top: int, bottom: int) -> None:
        """Put in columns.

        Where whole ones would cut a block in two, only cells are put in, in the rows that are named and those of the
        blocks on the right, which move as a whole. Where that would cut one as well, the columns are whole after all:
        a table knows its own columns.
        """
        self._open("COLUMNS", at, count, (top, bottom), like_before=True)

    def _open(self, dimension: Dimension, at: int, count: int, across: tuple[int, int], *, like_before: bool) -> None:
        is_cutting = any(start < at < end for start, end in (block.extent(dimension) for block in self.blocks.values()))
        band = self._band(dimension, at, across) if is_cutting else None
        if band is None:
            self._insert(dimension, at, count, like_before=like_before)
        else:
            self._push(dimension, at, count, band)

    def _band(self, dimension: Dimension, at: int, across: tuple[int, int]) -> tuple[int, int] | None:
        """Return the columns (rows) in which cells can be put in without cutting a block, None if there are none.

        Args:
            dimension: what is put in.
            at: where.
            across: columns (rows) that have to be among them.
        """
        crossed = _crossed(dimension)
        while True:
            start, end = across
            for block in self.blocks.values():
                first, last = block.extent(crossed)
                begin, stop = block.extent(dimension)
                if stop > at and first < end and start < last:
                    if begin < at:
                        return None
                    start, end = min(start, first), max(end, last)
            if (start, end) == across:
                return across
            across = start, end

    def _insert(self, dimension: Dimension, at: int, count: int, *, like_before: bool) -> None:
        """Put in whole rows (columns)."""
        size = at if like_before else at + 1
        is_rows = dimension == "ROWS"
        self.ensure(size if is_rows else 1, 1 if is_rows else size)
        self.ask("insertDimension", range=self._span(dimension, at, at + count), inheritFromBefore=like_before)
        for block in self.blocks.values():
            block.shift(dimension, at, count)
        if is_rows:
            self.rows += count
            return
        self.columns += count
        for block in self.blocks.values():
            block.marks = {mark: c + count if c >= at else c for mark, c in block.marks.items()}

    def _push(self, dimension: Dimension, at: int, count: int, band: tuple[int, int]) -> None:
        """Put in cells in a band of columns (rows): all that stands behind them there moves on, marks do not."""
        start, end = band
        last = at
        for block in self.blocks.values():
            first, stop = block.extent(_crossed(dimension))
            if block.extent(dimension)[0] >= at and first < end and start < stop:
                block.shift(dimension, at, count)
                block.was_pushed = True
                last = max(last, block.extent(dimension)[1])
        if dimension == "ROWS":
            area = Area(at, start, at + count, end)
            self.ensure(max(area.bottom, last), end)
        else:
            area = Area(start, at, end, at + count)
            self.ensure(end, max(area.right, last))
        self.ask("insertRange", range=area.grid_range(self.sheet_id), shiftDimension=dimension)

    def move_row(self, at: int, before: int) -> None:
        """Move a whole row to before another one."""
        if at + 1 < before:
            self.ask("moveDimension", source=self._span("ROWS", at, at + 1), destinationIndex=before)

    def move_cells(self, area: Area, row: int) -> None:
        """Move cells to other rows of their columns."""
        place = {"sheetId": self.sheet_id, "rowIndex": row, "columnIndex": area.left}
        self.ask("cutPaste", source=area.grid_range(self.sheet_id), destination=place, pasteType="PASTE_NORMAL")

    def _span(self, dimension: Dimension, start: int, end: int) -> dict[str, Any]:
        return {"sheetId": self.sheet_id, "dimension": dimension, "startIndex": start, "endIndex": end}

    def write(self, top: int, bottom: int, columns: Sequence[int], rows: Sequence[Sequence[Cell]]) -> None:
        """Write rows into columns; what is left down to the bottom is blanked, other columns stay as they are."""
        for place, run in _runs(columns):
            area = Area(top, run[0], bottom, run[-1] + 1)
            update: Request = {"range": area.grid_range(self.sheet_id), "fields": _WRITTEN}
            if rows:  # Google blanks what the range has beyond them
                update["rows"] = [{"values": row[place : place + len(run)]} for row in rows]
            self.ask("updateCells", **update)

    def embolden(self, top: int, bottom: int, columns: Sequence[int], *, bold: bool) -> None:
        """Make text bold, or plain again."""
        cell = {"userEnteredFormat": {"textFormat": {"bold": bold}}}
        for _, run in _runs(columns):
            area = Area(top, run[0], bottom, run[-1] + 1)
            if area.bottom > area.top:
                self.ask("repeatCell", range=area.grid_range(self.sheet_id), cell=cell, fields=_BOLD)

    def mark(self, key: str, value: str, column: int | None = None) -> None:
        """Put developer metadata on a column, or on the worksheet."""
        location: Mapping[str, Any] = {"sheetId": self.sheet_id}
        if column is not None:
            location = {"dimensionRange": self._span("COLUMNS", column, column + 1)}
        mark = {"metadataKey": key, "metadataValue": value, "location": location, "visibility": "DOCUMENT"}
        self.ask("createDeveloperMetadata", developerMetadata=mark)

    def change_mark(self, mark: int, value: str) -> None:
        """Change the value of developer metadata."""
        data = {"metadataValue": value}
        self.ask(
            "updateDeveloperMetadata",
            dataFilters=[_by_id(mark)],
            developerMetadata=data,
            fields="metadataValue",
        )

    def unmark(self, marks: Iterable[int]) -> None:
        """Remove developer metadata."""
        for mark in marks:
            self.ask("deleteDeveloperMetadata", dataFilter=_by_id(mark))


def _crossed(dimension: Dimension) -> Dimension:
    return "COLUMNS" if dimension == "ROWS" else "ROWS"


def _by_id(mark: int) -> Request:
    return {"developerMetadataLookup": {"metadataId": mark}}


def _runs(columns: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Cut columns into stretches without a gap, each with its place in the list."""
    runs: list[tuple[int, list[int]]] = []
    for place, column in enumerate(columns):
        if runs and column == runs[-1][1][-1] + 1:
            runs[-1][1].append(column)
        else:
            runs.append((place, [column]))
    return runs
