"""A server on this machine that speaks the part of Sheets v4 and Drive v3 that exports use, and keeps state.

Each request is checked against the discovery documents that google-api-python-client ships: an unknown method, field
or parameter, or a value of the wrong type is answered with 400, as Google does. It can be told to fail.
"""

# ruff: noqa: N802 (methods are named as Google names its requests)
from __future__ import annotations

import copy
import datetime
import json
import re
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from googleapiclient.discovery_cache import get_static_doc

Json = dict[str, Any]

MAX_CELLS = 10_000_000
MAX_TEXT = 50_000
MAX_METADATA = 30_000
KIND = "application/vnd.google-apps.spreadsheet"


class ApiError(Exception):
    """What Google answers instead of a result."""

    def __init__(self, status: int, message: str, reason: str = "badRequest") -> None:
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason


def refuse(message: str) -> ApiError:
    return ApiError(400, message)


# --- what the discovery documents say -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    api: Api
    id: str
    http: str
    pattern: re.Pattern[str]
    spec: Json


class Api:
    """Check requests against a discovery document."""

    def __init__(self, name: str, version: str) -> None:
        self.doc: Json = json.loads(get_static_doc(name, version) or "null")
        self.schemas: Json = self.doc["schemas"]
        self.methods = list(self._methods(self.doc["resources"]))

    def _methods(self, resources: Json) -> Iterator[Method]:
        for resource in resources.values():
            for spec in resource.get("methods", {}).values():
                path = self.doc["servicePath"] + spec.get("flatPath", spec["path"])
                pattern = re.escape("/" + path).replace(r"\{", "{").replace(r"\}", "}")
                pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/:]+)", pattern)
                yield Method(self, spec["id"], spec["httpMethod"], re.compile(pattern), spec)
            yield from self._methods(resource.get("resources", {}))

    def check_query(self, method: Method, query: Mapping[str, list[str]], path: Mapping[str, str]) -> Json:
        known = {**self.doc["parameters"], **method.spec.get("parameters", {})}
        given: Json = dict(path)
        for name, texts in query.items():
            spec = known.get(name)
            if spec is None:
                raise refuse(f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.')
            if len(texts) > 1 and not spec.get("repeated"):
                raise refuse(f"'{name}' is given twice")
            values = [self._parameter(name, spec, text) for text in texts]
            given[name] = values if spec.get("repeated") else values[0]
        for name, spec in known.items():
            if spec.get("required") and name not in given:
                raise refuse(f"Required parameter: [{name}]")
        return given

    def _parameter(self, name: str, spec: Json, text: str) -> Any:
        if "enum" in spec and text not in spec["enum"]:
            raise refuse(f"Invalid value at '{name}' ({spec['enum']}), \"{text}\"")
        kind = spec["type"]
        if kind == "boolean":
            if text not in ("true", "false"):
                raise refuse(f"Invalid value at '{name}' (TYPE_BOOL), \"{text}\"")
            return text == "true"
        if kind == "integer":
            if re.fullmatch(r"-?\d+", text) is None:
                raise refuse(f"Invalid value at '{name}' (TYPE_INT32), \"{text}\"")
            value = int(text)
            if not int(spec.get("minimum", value)) <= value <= int(spec.get("maximum", value)):
                raise refuse(f"Invalid value '{value}'. Values must be within the range of '{name}'")
            return value
        return text

    def check_body(self, method: Method, body: Any) -> None:
        expected = method.spec.get("request")
        if expected is None:
            if body is not None:
                raise refuse(f"{method.id} takes no body")
            return
        self.check(expected["$ref"], {} if body is None else body, "")

    def check(self, schema: str, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise refuse(f"Invalid value at '{where}' ({schema}), {json.dumps(value)[:80]}")
        fields = self.schemas[schema].get("properties", {})
        for name, part in value.items():
            place = f"{where}.{name}" if where else name
            if name not in fields:
                raise refuse(f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field.")
            self._check_value(fields[name], part, place)

    def _check_value(self, spec: Json, value: Any, where: str) -> None:
        if "$ref" in spec:
            self.check(spec["$ref"], value, where)
        elif spec["type"] == "array":
            if not isinstance(value, list):
                raise refuse(f"Invalid value at '{where}' (repeated), {json.dumps(value)[:80]}")
            for index, item in enumerate(value):
                self._check_value(spec["items"], item, f"{where}[{index}]")
        elif spec["type"] == "object":
            if not isinstance(value, dict):
                raise refuse(f"Invalid value at '{where}' (map), {json.dumps(value)[:80]}")
            for key, item in value.items():
                below = spec.get("properties", {}).get(key) or spec.get("additionalProperties")
                if below is None:
                    raise refuse(f"Invalid JSON payload received. Unknown name \"{key}\" at '{where}'")
                self._check_value(below, item, f"{where}.{key}")
        elif spec["type"] != "any" and not _is_scalar(spec, value):
            kind = spec.get("format", spec["type"])
            raise refuse(f"Invalid value at '{where}' (TYPE_{kind.upper()}), {json.dumps(value)[:80]}")

    def check_mask(self, schema: str, mask: str) -> list[list[str]]:
        """Check the mask of an update: dotted names of fields."""
        if not mask:
            raise refuse("At least one field must be listed in 'fields'. (Use '*' to indicate all fields.)")
        paths = [path.split(".") for path in mask.split(",")]
        for path in paths:
            self._check_path(schema, path, mask)
        return paths

    def _check_path(self, schema: str, path: Sequence[str], mask: str) -> None:
        if path == ["*"]:
            return
        current: Json = {"$ref": schema}
        for name in path:
            fields = self.schemas[current["$ref"]].get("properties", {}) if "$ref" in current else {}
            if name not in fields:
                raise refuse(f"Invalid field: {mask} ('{name}' is no field of {current.get('$ref', 'a value')})")
            current = fields[name]

    def select(self, schema: str, value: Any, mask: str | None) -> Any:
        """Return the part of an answer that was asked for, after checking that there is such a part."""
        if mask is None:
            return value
        tree = _parse_mask(mask)
        self._check_tree({"$ref": schema}, tree, mask)
        return _selected(value, tree)

    def _check_tree(self, spec: Json, tree: Json, mask: str) -> None:
        if spec.get("type") == "array":
            spec = spec["items"]
        fields = (self.schemas[spec["$ref"]] if "$ref" in spec else spec).get("properties", {})
        for name, below in tree.items():
            if name == "*":
                continue
            if name not in fields:
                raise refuse(f"Request contains an invalid argument: Invalid field selection {name} in {mask}")
            self._check_tree(fields[name], below, mask)


def _is_scalar(spec: Json, value: Any) -> bool:
    kind = spec["type"]
    if kind == "string":
        return isinstance(value, str) and ("enum" not in spec or value in spec["enum"])
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return kind == "number" or (isinstance(value, int) and -(2**31) <= value < 2**31)


def _parse_mask(mask: str) -> Json:
    """Read `a,b(c,d/e)` into a tree."""
    tokens = re.findall(r"[\w*.\-]+|[(),/]", mask)
    if "".join(tokens) != mask:
        raise refuse(f"Invalid field selection {mask}")
    position = 0

    def group() -> Json:
        nonlocal position
        tree: Json = {}
        while True:
            at = tree
            while True:
                if position == len(tokens) or tokens[position] in "(),/":
                    raise refuse(f"Invalid field selection {mask}")
                for name in tokens[position].split("."):
                    at = at.setdefault(name, {})
                position += 1
                if position < len(tokens) and tokens[position] == "/":
                    position += 1
                    continue
                break
            if position < len(tokens) and tokens[position] == "(":
                position += 1
                at.update(group())
                if position >= len(tokens) or tokens[position] != ")":
                    raise refuse(f"Invalid field selection {mask}")
                position += 1
            if position < len(tokens) and tokens[position] == ",":
                position += 1
                continue
            return tree

    tree = group()
    if position != len(tokens):
        raise refuse(f"Invalid field selection {mask}")
    return tree


def _selected(value: Any, tree: Json) -> Any:
    if not tree or "*" in tree:
        return value
    if isinstance(value, list):
        return [_selected(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _selected(value[name], below) for name, below in tree.items() if name in value}


# --- a spreadsheet ------------------------------------------------------------------------------------------------


def a1(column: int, row: int) -> str:
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(65 + rest) + text
    return f"{text}{row + 1}"


def cell_at(name: str) -> tuple[int, int]:
    """Return row and column of `B3`, counted from 0."""
    found = re.fullmatch(r"([A-Z]+)(\d+)", name)
    if found is None:
        raise refuse(f"Unable to parse range: {name}")
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - 64
    return int(found[2]) - 1, column - 1


@dataclass
class Mark:
    """Developer metadata; `column` and `row` are None for that of the sheet."""

    id: int
    key: str
    value: str
    sheet_id: int
    column: int | None = None
    row: int | None = None

    def to_json(self) -> Json:
        if self.column is None and self.row is None:
            location: Json = {"locationType": "SHEET", "sheetId": self.sheet_id}
        else:
            kind, index = ("COLUMN", self.column) if self.column is not None else ("ROW", self.row)
            assert index is not None
            span = {"sheetId": self.sheet_id, "dimension": f"{kind}S", "startIndex": index, "endIndex": index + 1}
            location = {"locationType": kind, "dimensionRange": span}
        found = {"metadataId": self.id, "metadataKey": self.key, "location": location, "visibility": "DOCUMENT"}
        return found | ({"metadataValue": self.value} if self.value else {})


@dataclass
class Named:
    id: str
    name: str
    range: Json | None  # None: its cells are gone

    def to_json(self) -> Json:
        return {"namedRangeId": self.id, "name": self.name} | ({"range": _told(self.range)} if self.range else {})


def _told(grid_range: Json) -> Json:
    """Leave out a sheet id of 0, as Google does."""
    return {k: v for k, v in grid_range.items() if k != "sheetId" or v != 0}


class Sheet:
    """A worksheet; what a user does in the browser are its public methods."""

    def __init__(self, book: Book, sheet_id: int, title: str, rows: int, columns: int) -> None:
        self.book = book
        self.id, self.title, self.rows, self.columns = sheet_id, title, rows, columns
        self.cells: dict[tuple[int, int], Json] = {}  # a cell is replaced, never changed
        self.rules: list[Json] = []

    def copied(self, book: Book) -> Sheet:
        other = Sheet(book, self.id, self.title, self.rows, self.columns)
        other.cells, other.rules = dict(self.cells), copy.deepcopy(self.rules)
        return other

    # What a user does and sees.

    def put(self, name: str, value: object) -> None:
        """Type a value into a cell."""
        kind = (
            "boolValue"
            if isinstance(value, bool)
            else "numberValue"
            if isinstance(value, (int, float))
            else "formulaValue"
            if str(value).startswith("=")
            else "stringValue"
        )
        self.cells[cell_at(name)] = {**self.cells.get(cell_at(name), {}), "userEnteredValue": {kind: value}}

    def value(self, name: str) -> Any:
        return entered(self.cells.get(cell_at(name), {}))

    def cell(self, name: str) -> Json:
        return self.cells.get(cell_at(name), {})

    def values(self, area: str) -> list[list[Any]]:
        (top, left), (bottom, right) = (cell_at(part) for part in area.split(":"))
        return [
            [entered(self.cells.get((row, column), {})) for column in range(left, right + 1)]
            for row in range(top, bottom + 1)
        ]

    def filled(self) -> dict[str, Any]:
        """Return all that stands in it, by the cells' names."""
        found = {a1(column, row): entered(cell) for (row, column), cell in sorted(self.cells.items())}
        return {name: value for name, value in found.items() if value is not None}

    def find(self, value: object) -> str:
        """Return the one cell that holds a value."""
        (name,) = [name for name, other in self.filled().items() if other == value]
        return name

    def insert(self, dimension: str, at: int, count: int) -> None:
        self._grow(dimension, count)
        self._map(dimension, lambda index: index + count if index >= at else index)

    def delete(self, dimension: str, at: int, count: int) -> None:
        self._grow(dimension, -count)
        self._map(dimension, lambda i: i - count if i >= at + count else None if i >= at else i)

    def move(self, dimension: str, start: int, end: int, before: int) -> None:
        count = end - start

        def moved(index: int) -> int:
            if start <= index < end:
                return index - start + (before - count if before > start else before)
            if before >= end and end <= index < before:
                return index - count
            if before <= start and before <= index < start:
                return index + count
            return index

        self._map(dimension, moved, gone=None if start <= before <= end else range(start, end))

    # What the API does.

    def _grow(self, dimension: str, count: int) -> None:
        if dimension == "ROWS":
            self.rows += count
        else:
            self.columns += count
        self.book.check_size()

    def _map(self, dimension: str, where: Callable[[int], int | None], gone: range | None = None) -> None:
        """Move all that has a place; a range keeps to what is left of it where it was."""
        axis = 0 if dimension == "ROWS" else 1
        cells: dict[tuple[int, int], Json] = {}
        for place, cell in self.cells.items():
            index = where(place[axis])
            if index is not None:
                cells[(index, place[1]) if axis == 0 else (place[0], index)] = cell
        self.cells = cells
        first, last = ("startRowIndex", "endRowIndex") if axis == 0 else ("startColumnIndex", "endColumnIndex")

        def fitted(grid_range: Json) -> Json | None:
            inside = range(grid_range[first], grid_range[last])
            if gone is not None and not (gone.start <= inside.start and inside.stop <= gone.stop):
                target = where(gone.start)
                stays = [i for i in inside if i not in gone]
                if stays and target is not None and not min(stays) < target <= max(stays):
                    inside = range(min(stays), max(stays) + 1)
            places = [where(i) for i in inside if gone is None or i not in gone or i == inside.start]
            left = [place for place in places if place is not None]
            return {**grid_range, first: min(left), last: max(left) + 1} if left else None

        for named in self.book.named:
            if named.range is not None and named.range["sheetId"] == self.id:
                named.range = fitted(named.range)
        for rule in self.rules:
            rule["ranges"] = [new for new in (fitted(old) for old in rule["ranges"]) if new is not None]
        self.rules = [rule for rule in self.rules if rule["ranges"]]
        marks = []
        for mark in self.book.marks:
            index = mark.row if axis == 0 else mark.column
            if mark.sheet_id == self.id and index is not None:
                index = where(index)
                if index is None:
                    continue
                if axis == 0:
                    mark.row = index
                else:
                    mark.column = index
            marks.append(mark)
        self.book.marks = marks

    def push(self, area: Json, dimension: str) -> None:
        """Insert cells, not whole rows or columns."""
        rows = range(area["startRowIndex"], area["endRowIndex"])
        columns = range(area["startColumnIndex"], area["endColumnIndex"])
        cells: dict[tuple[int, int], Json] = {}
        for (row, column), cell in self.cells.items():
            if dimension == "ROWS" and column in columns and row >= rows.start:
                row += len(rows)
            elif dimension == "COLUMNS" and row in rows and column >= columns.start:
                column += len(columns)
            cells[row, column] = cell
        self.cells = cells
        self.rows = max([self.rows, *(row + 1 for row, _ in cells)])
        self.columns = max([self.columns, *(column + 1 for _, column in cells)])
        for named in self.book.named:
            place = named.range
            if place is None or place["sheetId"] != self.id:
                continue
            inside_columns = columns.start <= place["startColumnIndex"] and place["endColumnIndex"] <= columns.stop
            inside_rows = rows.start <= place["startRowIndex"] and place["endRowIndex"] <= rows.stop
            if dimension == "ROWS" and inside_columns and place["startRowIndex"] >= rows.start:
                place["startRowIndex"] += len(rows)
                place["endRowIndex"] += len(rows)
            if dimension == "COLUMNS" and inside_rows and place["startColumnIndex"] >= columns.start:
                place["startColumnIndex"] += len(columns)
                place["endColumnIndex"] += len(columns)

    def paste(self, area: Json, top: int, left: int) -> None:
        """Cut cells and paste them elsewhere, over what stands there."""
        rows = range(area["startRowIndex"], area["endRowIndex"])
        columns = range(area["startColumnIndex"], area["endColumnIndex"])
        cut = {
            (row - rows.start + top, column - columns.start + left): self.cells.pop((row, column), {})
            for row in rows
            for column in columns
        }
        for place, cell in cut.items():
            self.cells.pop(place, None)
            if cell:
                self.cells[place] = cell

    def area(self, grid_range: Json) -> Json:
        """Check that a range lies in the grid, and return it with both ends."""
        found = {
            "sheetId": self.id,
            "startRowIndex": grid_range.get("startRowIndex", 0),
            "endRowIndex": grid_range.get("endRowIndex", self.rows),
            "startColumnIndex": grid_range.get("startColumnIndex", 0),
            "endColumnIndex": grid_range.get("endColumnIndex", self.columns),
        }
        for kind, size in (("Row", self.rows), ("Column", self.columns)):
            start, end = found[f"start{kind}Index"], found[f"end{kind}Index"]
            if not 0 <= start < end <= size:
                raise refuse(
                    f"Range ({self.title}!{start}:{end}) exceeds grid limits. "
                    f"Max rows: {self.rows}, max columns: {self.columns}"
                )
        return found

    def write(self, row: int, column: int, data: Json, paths: Sequence[Sequence[str]]) -> None:
        new = copy.deepcopy(self.cells.get((row, column), {}))
        if any(path[0] in ("userEnteredValue", "*") for path in paths):
            new.pop("textFormatRuns", None)
        for path in paths:
            _copy_path(new, data, path)
        value = new.get("userEnteredValue")
        if value == {"stringValue": ""} or value == {}:
            del new["userEnteredValue"]
        _check_cell(new)
        if new:
            self.cells[row, column] = new
        else:
            self.cells.pop((row, column), None)

    def to_json(self, tree: Json | None, with_data: bool) -> Json:
        marks = [mark for mark in self.book.marks if mark.sheet_id == self.id]
        found: Json = {
            "properties": {
                "sheetId": self.id,
                "title": self.title,
                "index": self.book.sheets.index(self),
                "sheetType": "GRID",
                "gridProperties": {"rowCount": self.rows, "columnCount": self.columns},
            }
        }
        own = [mark.to_json() for mark in marks if mark.column is None and mark.row is None]
        found |= {"developerMetadata": own} if own else {}
        rules = [{**rule, "ranges": [_told(r) for r in rule["ranges"]]} for rule in self.rules]
        found |= {"conditionalFormats": rules} if rules else {}
        wanted = (tree or {}).get("data") if tree is not None else ({} if with_data else None)
        if wanted is None:
            return found
        data: Json = {}
        if not wanted or "columnMetadata" in wanted:
            columns: list[Json] = [{} for _ in range(self.columns)]
            for mark in marks:
                if mark.column is not None:
                    columns[mark.column].setdefault("developerMetadata", []).append(mark.to_json())
            data["columnMetadata"] = columns
        if not wanted or "rowData" in wanted:
            rows: list[Json] = [{} for _ in range(max((row + 1 for row, _ in self.cells), default=0))]
            for (row, column), cell in sorted(self.cells.items()):
                line = rows[row].setdefault("values", [])
                line += [{} for _ in range(column - len(line))]
                line.append(cell)
            data["rowData"] = rows
        return {**found, "data": [data]}


def entered(cell: Json) -> Any:
    return next(iter(cell.get("userEnteredValue", {}).values()), None)


def _copy_path(target: Json, source: Json, path: Sequence[str]) -> None:
    if list(path) == ["*"]:
        target.clear()
        target.update(copy.deepcopy(source))
        return
    *way, last = path
    for name in way:
        target = target.setdefault(name, {})
        source = source.get(name, {})
    if last in source:
        target[last] = copy.deepcopy(source[last])
    else:
        target.pop(last, None)


def _check_cell(cell: Json) -> None:
    value = cell.get("userEnteredValue", {})
    if len(value) > 1:
        raise refuse(f"oneof field 'value' is already set. Cannot set {sorted(value)}")
    text = value.get("stringValue", "")
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 > MAX_TEXT:
        raise refuse("Your input contains more than the maximum of 50000 characters in a single cell.")
    if re.search("[\ud800-\udfff]", text):
        raise refuse("Invalid JSON payload received. Lone surrogate.")
    if "formulaValue" in value and not value["formulaValue"].startswith("="):
        raise refuse("Invalid formula")
    if cell.get("textFormatRuns") and "stringValue" not in value:
        raise refuse("textFormatRuns can only be set on cells with text")
    for run in cell.get("textFormatRuns", []):
        uri = run.get("format", {}).get("link", {}).get("uri", "")
        if uri and re.match(r"(https?|mailto):", uri) is None:
            raise refuse(f"Invalid link: {uri}")


class Book:
    """A spreadsheet."""

    def __init__(self, book_id: str, title: str, zone: str) -> None:
        self.id, self.title, self.zone = book_id, title, zone
        self.sheets: list[Sheet] = []
        self.named: list[Named] = []
        self.marks: list[Mark] = []
        self.next_id = 1
        self.can_edit = True

    def copied(self) -> Book:
        other = Book(self.id, self.title, self.zone)
        other.sheets = [sheet.copied(other) for sheet in self.sheets]
        other.named, other.marks = copy.deepcopy(self.named), copy.deepcopy(self.marks)
        other.next_id, other.can_edit = self.next_id, self.can_edit
        return other

    def take(self, other: Book) -> None:
        """Become another one, whose sheets keep being the same objects for who holds them."""
        mine = {sheet.id: sheet for sheet in self.sheets}
        for sheet in other.sheets:
            sheet.book = self
        self.sheets = [_become(mine[sheet.id], sheet) if sheet.id in mine else sheet for sheet in other.sheets]
        self.named, self.marks, self.next_id, self.title = other.named, other.marks, other.next_id, other.title

    def sheet(self, title: str) -> Sheet:
        (found,) = [sheet for sheet in self.sheets if sheet.title == title]
        return found

    def by_id(self, sheet_id: int) -> Sheet:
        for sheet in self.sheets:
            if sheet.id == sheet_id:
                return sheet
        raise refuse(f"No grid with id: {sheet_id}")

    def add(self, title: str, sheet_id: int | None = None, rows: int = 1000, columns: int = 26) -> Sheet:
        if any(sheet.title.casefold() == title.casefold() for sheet in self.sheets):
            raise refuse(f'A sheet with the name "{title}" already exists. Please enter another name.')
        if sheet_id is None:
            sheet_id = 0 if not self.sheets else max(sheet.id for sheet in self.sheets) + 17
        if any(sheet.id == sheet_id for sheet in self.sheets):
            raise refuse(f"Sheet id {sheet_id} already exists")
        self.sheets.append(Sheet(self, sheet_id, title, rows, columns))
        self.check_size()
        return self.sheets[-1]

    def check_size(self) -> None:
        if sum(sheet.rows * sheet.columns for sheet in self.sheets) > MAX_CELLS:
            raise refuse(f"This action would increase the number of cells in the workbook above {MAX_CELLS} cells.")

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id

    def to_json(self, tree: Json | None = None, with_data: bool = False) -> Json:
        sheet_tree = tree.get("sheets") if tree else None
        found: Json = {
            "spreadsheetId": self.id,
            "properties": {"title": self.title, "locale": "en_US", "timeZone": self.zone},
            "sheets": [sheet.to_json(sheet_tree, with_data) for sheet in self.sheets],
            "spreadsheetUrl": f"https://docs.google.com/spreadsheets/d/{self.id}/edit",
        }
        return found | ({"namedRanges": [named.to_json() for named in self.named]} if self.named else {})


def _become(sheet: Sheet, other: Sheet) -> Sheet:
    sheet.__dict__.update(other.__dict__)
    return sheet


class Batch:
    """Apply the requests of a batchUpdate to a copy, which is then taken as a whole."""

    def __init__(self, api: Api, book: Book) -> None:
        self.api, self.book = api, book

    def run(self, requests: Sequence[Json]) -> list[Json]:
        if not requests:
            raise refuse("Must specify at least one request.")
        replies = []
        for index, request in enumerate(requests):
            if len(request) != 1:
                raise refuse(f"Invalid requests[{index}]: Must set exactly one kind of request")
            ((kind, body),) = request.items()
            action = getattr(self, f"_{kind}", None)
            if action is None:
                raise refuse(f"Invalid requests[{index}].{kind}: not in this server")
            try:
                replies.append(action(body) or {})
            except ApiError as error:
                raise ApiError(error.status, f"Invalid requests[{index}].{kind}: {error.message}") from None
        return replies

    def _sheet(self, body: Json) -> Sheet:
        return self.book.by_id(body.get("sheetId", 0))

    def _addSheet(self, body: Json) -> Json:
        properties = body.get("properties", {})
        grid = properties.get("gridProperties", {})
        sheet = self.book.add(
            properties.get("title", f"Sheet{len(self.book.sheets) + 1}"),
            properties.get("sheetId"),
            grid.get("rowCount", 1000),
            grid.get("columnCount", 26),
        )
        return {"addSheet": {"properties": sheet.to_json(None, False)["properties"]}}

    def _appendDimension(self, body: Json) -> None:
        if body["length"] <= 0:
            raise refuse("length must be positive")
        self._sheet(body)._grow(body["dimension"], body["length"])

    def _insertDimension(self, body: Json) -> None:
        span = body["range"]
        sheet = self._sheet(span)
        start, end = span["startIndex"], span["endIndex"]
        size = sheet.rows if span["dimension"] == "ROWS" else sheet.columns
        before = body.get("inheritFromBefore", False)
        if before and start == 0:
            raise refuse("inheritFromBefore cannot be true when inserting at the start")
        if not 0 <= start < end or start > size or (start == size and not before):
            raise refuse(f"range.startIndex[{start}] must be less than the grid size ({size})")
        sheet.insert(span["dimension"], start, end - start)
        # The look of the neighbour comes along, not what it holds.
        like = start - 1 if before else end
        for (row, column), cell in list(sheet.cells.items()):
            index = row if span["dimension"] == "ROWS" else column
            if index == like and "userEnteredFormat" in cell:
                for new in range(start, end):
                    place = (new, column) if span["dimension"] == "ROWS" else (row, new)
                    sheet.cells[place] = {"userEnteredFormat": cell["userEnteredFormat"]}

    def _insertRange(self, body: Json) -> None:
        sheet = self._sheet(body["range"])
        sheet.push(sheet.area(body["range"]), body["shiftDimension"])

    def _cutPaste(self, body: Json) -> None:
        sheet, place = self._sheet(body["source"]), body["destination"]
        if self._sheet(place) is not sheet or body["pasteType"] != "PASTE_NORMAL":
            raise refuse("cutPaste: only inside of a worksheet, as all that it is, in this server")
        sheet.paste(sheet.area(body["source"]), place.get("rowIndex", 0), place.get("columnIndex", 0))

    def _moveDimension(self, body: Json) -> None:
        source = body["source"]
        sheet = self._sheet(source)
        size = sheet.rows if source["dimension"] == "ROWS" else sheet.columns
        start, end, before = source["startIndex"], source["endIndex"], body["destinationIndex"]
        if not (0 <= start < end <= size and 0 <= before <= size) or start < before < end:
            raise refuse("cannot move there")
        sheet.move(source["dimension"], start, end, before)

    def _updateCells(self, body: Json) -> None:
        paths = self.api.check_mask("CellData", body.get("fields", ""))
        if ("range" in body) == ("start" in body):
            raise refuse("Must specify either range or start")
        rows = body.get("rows", [])
        if "start" in body:
            raise refuse("start: not in this server")
        sheet = self._sheet(body["range"])
        area = sheet.area(body["range"])
        height = area["endRowIndex"] - area["startRowIndex"]
        width = area["endColumnIndex"] - area["startColumnIndex"]
        if len(rows) > height or any(len(row.get("values", [])) > width for row in rows):
            raise refuse("Tried to write beyond the range")
        for i in range(height):
            values = rows[i].get("values", []) if i < len(rows) else []
            for j in range(width):
                data = values[j] if j < len(values) else {}
                sheet.write(area["startRowIndex"] + i, area["startColumnIndex"] + j, data, paths)

    def _repeatCell(self, body: Json) -> None:
        paths = self.api.check_mask("CellData", body.get("fields", ""))
        sheet = self._sheet(body["range"])
        area = sheet.area(body["range"])
        for row in range(area["startRowIndex"], area["endRowIndex"]):
            for column in range(area["startColumnIndex"], area["endColumnIndex"]):
                sheet.write(row, column, body.get("cell", {}), paths)

    def _checked_name(self, name: str, but: Named | None = None) -> str:
        if re.fullmatch(r"(?!(true|false)$)[A-Za-z_]\w{0,249}", name, re.ASCII | re.IGNORECASE) is None:
            raise refuse(f"The name '{name}' is invalid")
        if re.fullmatch(r"[A-Za-z]{1,3}\d+|[rR]\d*[cC]\d*", name):
            raise refuse(f"The name '{name}' looks like a cell")
        if any(other is not but and other.name.casefold() == name.casefold() for other in self.book.named):
            raise refuse(f"A named range with the name '{name}' already exists")
        return name

    def _addNamedRange(self, body: Json) -> Json:
        named = body["namedRange"]
        place = self._sheet(named["range"]).area(named["range"])
        new = Named(f"range{self.book.new_id()}", self._checked_name(named["name"]), place)
        self.book.named.append(new)
        return {"addNamedRange": {"namedRange": new.to_json()}}

    def _named(self, range_id: str) -> Named:
        for named in self.book.named:
            if named.id == range_id:
                return named
        raise refuse(f"No named range with id: {range_id}")

    def _updateNamedRange(self, body: Json) -> None:
        new = body["namedRange"]
        named = self._named(new["namedRangeId"])
        for path in self.api.check_mask("NamedRange", body.get("fields", "")):
            if path == ["name"]:
                named.name = self._checked_name(new["name"], named)
            elif path == ["range"]:
                named.range = self._sheet(new["range"]).area(new["range"])
            else:
                raise refuse(f"{path}: not in this server")

    def _deleteNamedRange(self, body: Json) -> None:
        self.book.named.remove(self._named(body["namedRangeId"]))

    def _createDeveloperMetadata(self, body: Json) -> Json:
        data = body["developerMetadata"]
        if not data.get("metadataKey") or data.get("visibility") not in ("DOCUMENT", "PROJECT"):
            raise refuse("metadataKey and visibility must be specified")
        location = data.get("location", {})
        if len(location.keys() - {"locationType"}) != 1 or "locationType" in location:
            raise refuse("Exactly one location must be specified")
        mark = Mark(self.book.new_id(), data["metadataKey"], data.get("metadataValue", ""), 0)
        if "dimensionRange" in location:
            span = location["dimensionRange"]
            sheet = self._sheet(span)
            size = sheet.rows if span["dimension"] == "ROWS" else sheet.columns
            if span["endIndex"] - span["startIndex"] != 1 or not 0 <= span["startIndex"] < size:
                raise refuse("A dimensionRange must be a single row or column of the grid")
            mark.sheet_id = sheet.id
            if span["dimension"] == "ROWS":
                mark.row = span["startIndex"]
            else:
                mark.column = span["startIndex"]
        elif "sheetId" in location:
            mark.sheet_id = self._sheet(location).id
        else:
            raise refuse("spreadsheet: not in this server")
        self.book.marks.append(mark)
        self._check_metadata()
        return {"createDeveloperMetadata": {"developerMetadata": mark.to_json()}}

    def _check_metadata(self) -> None:
        for sheet in self.book.sheets:
            marks = [mark for mark in self.book.marks if mark.sheet_id == sheet.id]
            if sum(len(mark.key) + len(mark.value) for mark in marks) > MAX_METADATA:
                raise refuse(f"Developer metadata of a sheet is limited to {MAX_METADATA} characters")

    def _found(self, data_filter: Json) -> list[Mark]:
        lookup = data_filter.get("developerMetadataLookup", {})
        if lookup.keys() != {"metadataId"}:
            raise refuse("lookups other than by metadataId: not in this server")
        found = [mark for mark in self.book.marks if mark.id == lookup["metadataId"]]
        if not found:
            raise refuse(f"No developer metadata with id: {lookup['metadataId']}")
        return found

    def _updateDeveloperMetadata(self, body: Json) -> None:
        if self.api.check_mask("DeveloperMetadata", body.get("fields", "")) != [["metadataValue"]]:
            raise refuse("fields other than metadataValue: not in this server")
        for data_filter in body["dataFilters"]:
            for mark in self._found(data_filter):
                mark.value = body["developerMetadata"].get("metadataValue", "")
        self._check_metadata()

    def _deleteDeveloperMetadata(self, body: Json) -> None:
        gone = self._found(body["dataFilter"])
        self.book.marks = [mark for mark in self.book.marks if mark not in gone]

    def _checked_rule(self, rule: Json) -> tuple[Sheet, Json]:
        ranges = rule.get("ranges", [])
        if not ranges or len({r.get("sheetId", 0) for r in ranges}) != 1:
            raise refuse("A rule must have ranges, all on the same sheet")
        sheet = self._sheet(ranges[0])
        if ("booleanRule" in rule) == ("gradientRule" in rule):
            raise refuse("Must specify exactly one rule")
        condition = rule.get("booleanRule", {}).get("condition", {})
        values = condition.get("values", [])
        if condition.get("type") == "CUSTOM_FORMULA" and (
            len(values) != 1 or not values[0].get("userEnteredValue", "").startswith("=")
        ):
            raise refuse("CUSTOM_FORMULA takes one formula")
        return sheet, {**copy.deepcopy(rule), "ranges": [sheet.area(r) for r in ranges]}

    def _addConditionalFormatRule(self, body: Json) -> None:
        sheet, rule = self._checked_rule(body["rule"])
        index = body.get("index", 0)
        if not 0 <= index <= len(sheet.rules):
            raise refuse(f"index {index} is out of bounds")
        sheet.rules.insert(index, rule)

    def _updateConditionalFormatRule(self, body: Json) -> None:
        sheet, rule = self._checked_rule(body["rule"])
        if not 0 <= body.get("index", 0) < len(sheet.rules):
            raise refuse(f"No conditional format on sheet: {sheet.id} at index: {body.get('index', 0)}")
        sheet.rules[body.get("index", 0)] = rule

    def _deleteConditionalFormatRule(self, body: Json) -> None:
        sheet = self._sheet(body)
        if not 0 <= body.get("index", 0) < len(sheet.rules):
            raise refuse(f"No conditional format on sheet: {sheet.id} at index: {body.get('index', 0)}")
        del sheet.rules[body.get("index", 0)]


# --- the server ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """Say how to fail.

    Attributes:
        status: answer with this HTTP status.
        retry_after: header of that answer.
        location: where that answer sends the client.
        message: what that answer says.
        reason: Drive's word for it.
        cut: end the connection: "before" or "after" doing what was asked, or "within" the answer.
        hang: never answer.
    """

    status: int = 0
    retry_after: str | None = None
    location: str | None = None
    message: str = "try again"
    reason: str = "backendError"
    cut: str = ""
    hang: bool = False


@dataclass(frozen=True)
class Call:
    method: str
    query: Json
    body: Any


@dataclass
class Server:
    """What the server knows, and what tests tell it."""

    zone: str = "Etc/UTC"
    books: dict[str, Book] = field(default_factory=dict)
    files: dict[str, Json] = field(default_factory=dict)  # what Drive knows of each, by id
    calls: list[Call] = field(default_factory=list)
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    token_requests: list[Json] = field(default_factory=list)
    is_revoked: bool = False
    token_scope: str = ""
    root: str = ""
    mistakes: list[str] = field(default_factory=list)  # of this server's own

    def __post_init__(self) -> None:
        self.sheets_api, self.drive_api = Api("sheets", "v4"), Api("drive", "v3")
        self.lock = threading.RLock()
        self.stopping = threading.Event()

    # What tests do and ask.

    def book(self, title: str) -> Book:
        (found,) = [book for book in self.books.values() if book.title == title]
        return found

    def make_book(self, title: str, *tabs: str, owned: bool = True) -> Book:
        book = self._new_book(title)
        for tab in tabs or ("Sheet1",):
            book.add(tab)
        self.files[book.id]["ownedByMe"] = owned
        return book

    def fail(self, method: str, *faults: Fault) -> None:
        """Fail the next calls of a method, one fault each."""
        self.faults += [(method, fault) for fault in faults]

    def methods(self) -> list[str]:
        """Return which methods were called, by their last names."""
        return [call.method.rsplit(".", 1)[-1] for call in self.calls]

    # What it answers.

    def _new_book(self, title: str) -> Book:
        book = Book(f"book-{len(self.books) + 1}_x", title, self.zone)
        self.books[book.id] = book
        made = datetime.datetime(2026, 1, 1) + datetime.timedelta(minutes=len(self.books))
        self.files[book.id] = {
            "id": book.id,
            "mimeType": KIND,
            "ownedByMe": True,
            "trashed": False,
            "createdTime": made.isoformat() + "Z",
            "permissions": [],
        }
        return book

    def token(self, form: Mapping[str, list[str]]) -> tuple[int, Json]:
        self.token_requests.append({name: values[0] for name, values in form.items()})
        if self.is_revoked:
            return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        token = f"ya29.token-{len(self.tokens) + 1}-very-secret"
        self.tokens.add(token)
        answer = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
        if form["grant_type"] == ["authorization_code"]:
            answer |= {"refresh_token": "1//refresh-very-secret", "scope": self.token_scope}
        return 200, answer

    def answer(self, http: str, path: str, query: Mapping[str, list[str]], text: bytes) -> Json:
        method, parts = self._method(http, path)
        given = method.api.check_query(method, query, parts)
        body = _parsed(text)
        method.api.check_body(method, body)
        action: Callable[[Json, Any], Json] | None = getattr(self, "_" + method.id.replace(".", "_"), None)
        if action is None:
            raise refuse(f"{method.id}: not in this server")
        answer = action(given, body)
        schema = method.spec["response"]["$ref"]
        method.api.check(schema, answer, "answer")
        return method.api.select(schema, answer, given.get("fields"))  # type: ignore[no-any-return]

    def method_of(self, http: str, path: str) -> str:
        try:
            return self._method(http, path)[0].id
        except ApiError:
            return "?"

    def _method(self, http: str, path: str) -> tuple[Method, dict[str, str]]:
        for api in (self.sheets_api, self.drive_api):
            for method in api.methods:
                found = method.pattern.fullmatch(path) if method.http == http else None
                if found is not None:
                    return method, {name: unquote(text) for name, text in found.groupdict().items()}
        raise ApiError(400, f"unknown method: {http} {path}")

    def _book(self, given: Json) -> Book:
        book = self.books.get(given["spreadsheetId"])
        if book is None:
            raise ApiError(404, "Requested entity was not found.", "notFound")
        return book

    def _sheets_spreadsheets_create(self, given: Json, body: Json) -> Json:
        book = self._new_book(body.get("properties", {}).get("title", "Untitled spreadsheet"))
        for sheet in body.get("sheets", []) or [{"properties": {"title": "Sheet1"}}]:
            grid = sheet["properties"].get("gridProperties", {})
            book.add(sheet["properties"]["title"], None, grid.get("rowCount", 1000), grid.get("columnCount", 26))
        return book.to_json(_tree(given))

    def _sheets_spreadsheets_get(self, given: Json, body: None) -> Json:
        return self._book(given).to_json(_tree(given), given.get("includeGridData", False))

    def _sheets_spreadsheets_batchUpdate(self, given: Json, body: Json) -> Json:
        book = self._book(given)
        if not book.can_edit:
            raise ApiError(403, "The caller does not have permission", "forbidden")
        changed = book.copied()
        replies = Batch(self.sheets_api, changed).run(body.get("requests", []))
        book.take(changed)
        return {"spreadsheetId": book.id, "replies": replies}

    def _sheets_spreadsheets_values_batchGet(self, given: Json, body: None) -> Json:
        if given.get("valueRenderOption") != "FORMULA":
            raise refuse("values as others than FORMULA: not in this server")
        book = self._book(given)
        return {"spreadsheetId": book.id, "valueRanges": [_values(book, text) for text in given["ranges"]]}

    def _drive_files_list(self, given: Json, body: None) -> Json:
        found = [self._file(file) for file in self.files.values() if self._matches(file, given.get("q", ""))]
        return {"files": found[: given.get("pageSize", 100)]}

    def _file(self, file: Json) -> Json:
        book = self.books[file["id"]]
        return {**file, "name": book.title, "capabilities": {"canEdit": book.can_edit}}

    def _matches(self, file: Json, query: str) -> bool:
        rest = query
        while rest:
            found = re.match(r"(\w+) = ('(?:\\.|[^'\\])*'|true|false)(?: and |$)", rest)
            if found is None:
                raise ApiError(400, f"Invalid Value: {query}", "invalid")
            text = found[2]
            value: Any = text == "true" if text in ("true", "false") else re.sub(r"\\(.)", r"\1", text[1:-1])
            mine = self._file(file)[found[1]]
            if isinstance(value, str) and found[1] == "name":
                mine, value = mine.casefold(), value.casefold()  # Drive doesn't tell case
            if mine != value:
                return False
            rest = rest[found.end() :]
        return True

    def _drive_files_get(self, given: Json, body: None) -> Json:
        if given["fileId"] not in self.files:
            raise ApiError(404, f"File not found: {given['fileId']}.", "notFound")
        return self._file(self.files[given["fileId"]])

    def _drive_permissions_create(self, given: Json, body: Json) -> Json:
        permission = {"role": body["role"], "type": body["type"], "emailAddress": body["emailAddress"]}
        shared = self.files[given["fileId"]]["permissions"]
        if permission not in shared:
            shared.append(permission)
        return permission

    def next_fault(self, method: str) -> Fault | None:
        for index, (name, fault) in enumerate(self.faults):
            if method.endswith(name):
                del self.faults[index]
                return fault
        return None


def _tree(given: Json) -> Json | None:
    mask = given.get("fields")
    if mask is None:
        return None
    tree = _parse_mask(mask)
    return None if "*" in tree else tree


def _parsed(text: bytes) -> Any:
    if not text:
        return None

    def no_constant(name: str) -> None:
        raise refuse(f"Invalid JSON payload received. Unexpected token: {name}")

    try:
        return json.loads(text, parse_constant=no_constant)
    except ValueError:
        raise refuse("Invalid JSON payload received.") from None


def _values(book: Book, text: str) -> Json:
    found = re.fullmatch(r"'((?:[^']|'')*)'!([A-Z]+\d+):([A-Z]+\d+)", text)
    sheets = [s for s in book.sheets if found is not None and s.title == found[1].replace("''", "'")]
    if found is None or not sheets:
        raise refuse(f"Unable to parse range: {text}")
    (top, left), (bottom, right) = cell_at(found[2]), cell_at(found[3])
    sheets[0].area(
        {"startRowIndex": top, "endRowIndex": bottom + 1, "startColumnIndex": left, "endColumnIndex": right + 1}
    )
    rows = [["" if v is None else v for v in row] for row in sheets[0].values(f"{found[2]}:{found[3]}")]
    for row in rows:
        while row and row[-1] == "":
            row.pop()
    while rows and not rows[-1]:
        rows.pop()
    return {"range": text, "majorDimension": "ROWS"} | ({"values": rows} if rows else {})


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two packets; the second one must not wait

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def log_message(self, *_: object) -> None:
            pass

        def _serve(self) -> None:
            text = self.rfile.read(int(self.headers.get("content-length") or 0))
            parts = urlsplit(self.path)
            if parts.path == "/token":
                with server.lock:
                    status, answer = server.token(parse_qs(text.decode()))
                self._send(status, answer)
                return
            query = parse_qs(parts.query, keep_blank_values=True)
            method = server.method_of(self.command, parts.path)
            with server.lock:
                fault = server.next_fault(method) or Fault()
                server.calls.append(Call(method, {k: v[0] for k, v in query.items()}, _quietly(text)))
            if fault.hang:
                server.stopping.wait(60)
            if fault.hang or fault.cut == "before":
                self._cut()
            elif fault.status:
                headers = {"retry-after": fault.retry_after, "location": fault.location}
                self._send(fault.status, _error(fault.status, fault.message, fault.reason), headers)
            else:
                self._answer(parts.path, query, text, fault)

        def _answer(self, path: str, query: Mapping[str, list[str]], text: bytes, fault: Fault) -> None:
            kind, _, token = self.headers.get("authorization", "").partition(" ")
            try:
                with server.lock:
                    if kind != "Bearer" or token not in server.tokens:
                        raise ApiError(401, "Request had invalid authentication credentials.", "authError")
                    answer = server.answer(self.command, path, query, text)
            except ApiError as error:
                self._send(error.status, _error(error.status, error.message, error.reason))
                return
            except Exception:
                server.mistakes.append(traceback.format_exc())
                self._send(400, _error(400, "this server has a mistake", "mistake"))
                return
            if fault.cut == "after":
                self._cut()
            else:
                self._send(200, answer, is_half=fault.cut == "within")

        def _send(
            self, status: int, answer: Json, headers: Mapping[str, str | None] | None = None, is_half: bool = False
        ) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json; charset=UTF-8")
            self.send_header("content-length", str(len(data)))
            for name, text in (headers or {}).items():
                if text is not None:
                    self.send_header(name, text)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if is_half else data)
            if is_half:
                self._cut()

        def _cut(self) -> None:
            self.close_connection = True

    return Handler


def _quietly(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _error(status: int, message: str, reason: str) -> Json:
    errors = [{"domain": "global", "reason": reason, "message": message}]
    return {"error": {"code": status, "message": message, "errors": errors}}


@contextmanager
def serving(port: int = 0) -> Iterator[Server]:
    """Run a server until the end of the block."""
    server = Server()
    with ThreadingHTTPServer(("127.0.0.1", port), _handler(server)) as http:
        http.daemon_threads = True
        server.root = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            http.shutdown()
            thread.join()


def shown(sheets: Iterable[Sheet]) -> str:
    """Draw worksheets as text, for who tries something by hand."""
    lines = []
    for sheet in sheets:
        lines.append(f"== {sheet.title} ({sheet.rows} x {sheet.columns})")
        lines += [f"{name:>6} {value!r}" for name, value in sheet.filled().items()]
    return "\n".join(lines)
