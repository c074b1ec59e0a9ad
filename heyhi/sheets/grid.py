"""Owns the requests that change a worksheet, and where each of them leaves what is ours; it decides nothing.

Requests of one list see what those before them did, so rows and columns are counted as they will be by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from heyhi.sheets.cells import Cell
from heyhi.sheets.worksheet import Area, Block

Request: TypeAlias = dict[str, Any]
_WRITTEN = "userEnteredValue,textFormatRuns"
_BOLD = "userEnteredFormat.textFormat.bold"


class Grid:
    """Collects requests for a worksheet, and moves its blocks as Google will.

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
        """Return whether an area has a cell of a block, of others than the one named."""
        return any(block is not but and block.meets(area) for block in self.blocks.values())

    def ensure(self, rows: int, columns: int) -> None:
        """Make the worksheet as large as this at least."""
        for dimension, missing in (("ROWS", rows - self.rows), ("COLUMNS", columns - self.columns)):
            if missing > 0:
                self.ask("appendDimension", sheetId=self.sheet_id, dimension=dimension, length=missing)
        self.rows, self.columns = max(rows, self.rows), max(columns, self.columns)

    def open_rows(self, at: int, count: int, left: int, right: int, *, like_above: bool) -> None:
        """Put in rows; where whole ones would cut one of our tables in two, only in the columns that are named."""
        if any(block.top < at < block.bottom for block in self.blocks.values()):
            self.ensure(at + count, right)
            self._push(Area(at, left, at + count, right), "ROWS")
            return
        self.ensure(at if like_above else at + 1, 1)
        self._insert("ROWS", at, count, like_above)
        self.rows += count
        for block in self.blocks.values():
            if block.top >= at:
                block.top += count
                block.bottom += count

    def open_columns(self, at: int, count: int, top: int, bottom: int) -> None:
        """Put in columns; where whole ones would cut one of our tables in two, only in the rows that are named."""
        if any(block.left < at < block.right for block in self.blocks.values()):
            self.ensure(bottom, at + count)
            self._push(Area(top, at, bottom, at + count), "COLUMNS")
            return
        self.ensure(1, at)
        self._insert("COLUMNS", at, count, True)
        self.columns += count
        for block in self.blocks.values():
            if block.left >= at:
                block.left += count
                block.right += count
                block.columns = [column + count for column in block.columns]
            block.marks = {mark: c + count if c >= at else c for mark, c in block.marks.items()}

    def _insert(self, dimension: str, at: int, count: int, like_before: bool) -> None:
        span = self._span(dimension, at, at + count)
        self.ask("insertDimension", range=span, inheritFromBefore=like_before)

    def _push(self, area: Area, dimension: str) -> None:
        self.ask("insertRange", range=area.grid_range(self.sheet_id), shiftDimension=dimension)

    def move_row(self, at: int, before: int) -> None:
        """Move a whole row to before another one."""
        if at + 1 < before:
            self.ask("moveDimension", source=self._span("ROWS", at, at + 1), destinationIndex=before)

    def _span(self, dimension: str, start: int, end: int) -> dict[str, Any]:
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
