"""DataFrames as the cells of a worksheet, in Google's JSON: numbers stay numbers, all else is text, none a formula.

Where the cells will stand is left to `heyhi.sheets.plan`, how they are sent to `heyhi.sheets.api`.
"""

from __future__ import annotations

import datetime
import enum
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from heyhi.errors import HeyhiError

if TYPE_CHECKING:
    import pandas as pd


Cell: TypeAlias = dict[str, Any]  # CellData of Sheets v4
Frames: TypeAlias = "pd.DataFrame | Sequence[pd.DataFrame | tuple[str, pd.DataFrame]] | Mapping[str, pd.DataFrame]"
MAX_TEXT = 50_000  # characters of a cell, in UTF-16 units
CUT_MARK = " … [cut]"
# Times of last updates are compared with the sheet's clock, so they are written as text of exactly this form.
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
UPDATED_COLUMNS = ("updated", "last_update", "last update", "last")
_EPOCHS = (10**9, 10**11)  # seconds since 1970 that are times, not counts of something
_EXACT = 2**53  # the cells' doubles hold every whole number up to this one
_SURROGATE = re.compile("[\ud800-\udfff]")
_FIELD = re.compile(r"\{([^{}]+)\}")


class SheetsError(HeyhiError):
    """A table can't be written to Google Sheets."""


@dataclass(frozen=True)
class Table:
    """A table as it will stand in the sheet.

    Attributes:
        key: its name among the tables of an export: its title's digest, or its number where it has none.
        rows: all of it, title and header included; each is as wide as `width`.
        heads: how many rows stand before the data.
        status: column of the statuses, None without one.
        updated: column of the times of last updates, None without one.
    """

    key: str
    rows: list[list[Cell]]
    heads: int
    width: int
    status: int | None = None
    updated: int | None = None


def tables_of(
    dataframes: Frames,
    *,
    links: Mapping[str, str] | None = None,
    status_column: str = "status",
    updated_column: str | None = None,
    zone: datetime.tzinfo | None = None,
) -> list[Table]:
    """Turn DataFrames into tables of cells.

    Args:
        dataframes: one, several, or several by title.
        links: column -> address with `{column}` in it; see `heyhi.sheets.export.save_pandas_table`.
        status_column: name of the column of statuses.
        updated_column: name of the column of last updates; default: the first of `UPDATED_COLUMNS` there is.
        zone: time zone of the spreadsheet, in which last updates are written; default: UTC.

    Raises:
        SheetsError: an address doesn't begin with http:// or https://, or a table is no DataFrame.
    """
    addresses = {column: _Address.parse(column, pattern) for column, pattern in (links or {}).items()}
    tables: list[Table] = []
    keys: set[str] = set()
    for number, (title, frame) in enumerate(_titled(dataframes)):
        key = f"t{sha256(title.encode('utf-8', 'replace')).hexdigest()[:10]}" if title else f"t{number}"
        while key in keys:  # the same title twice
            key += "x"
        keys.add(key)
        tables.append(_table(key, title, frame, addresses, status_column, updated_column, zone))
    return tables


def _titled(dataframes: Frames) -> list[tuple[str, pd.DataFrame]]:
    import pandas as pd

    items: Iterable[Any]
    if isinstance(dataframes, pd.DataFrame):
        items = [("", dataframes)]
    elif isinstance(dataframes, Mapping):
        items = dataframes.items()
    else:
        items = [item if isinstance(item, tuple) else ("", item) for item in dataframes]
    titled = []
    for title, frame in items:
        if not isinstance(frame, pd.DataFrame):
            raise SheetsError(f"a table must be a pandas DataFrame, not {type(frame).__name__}")
        titled.append((str(title), frame))
    return titled


def _table(
    key: str,
    title: str,
    frame: pd.DataFrame,
    addresses: Mapping[str, _Address],
    status_column: str,
    updated_column: str | None,
    zone: datetime.tzinfo | None,
) -> Table:
    names, columns = _columns(frame)
    updated = _index(names, (updated_column,) if updated_column is not None else UPDATED_COLUMNS)
    heads = list(names)
    if updated is not None:
        given, columns[updated] = (
            columns[updated],
            [_in_zone(value, zone or datetime.UTC) for value in columns[updated]],
        )
        if columns[updated] != given:  # the cells can't say it: they are compared with the sheet's clock
            heads[updated] = f"{names[updated]} ({_zone_name(zone or datetime.UTC)})"
    cells = [[cell_of(value) for value in column] for column in columns]
    for name, address in addresses.items():
        _link(name, address, names, columns, cells)
    heads += names[len(heads) :]  # of links
    rows = [[text_cell(head) for head in heads], *(list(row) for row in zip(*cells, strict=True))]
    width = max(len(names), 1)
    if not names:
        rows = [[text_cell("(no columns)")]]
    if title:
        rows.insert(0, [text_cell(title), *({} for _ in range(width - 1))])
    return Table(key, rows, 2 if title else 1, width, _index(names, (status_column,)), updated)


def _zone_name(zone: datetime.tzinfo) -> str:
    return str(getattr(zone, "key", zone))


def _index(names: Sequence[str], wanted: Iterable[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _columns(frame: pd.DataFrame) -> tuple[list[str], list[list[Any]]]:
    """Take a frame apart; an index that says something comes first, as columns of its own."""
    import pandas as pd

    index = frame.index
    # Row numbers, also in the order that sorting left them in, are nothing that the table says.
    if any(name is not None for name in index.names) or not pd.api.types.is_integer_dtype(index.dtype):
        given = [name for name in index.names if name is not None]
        parts = [index.get_level_values(i) for i in range(index.nlevels)]
        names = ["" if name is None else _head(name) for name in index.names]
        columns = [_values(pd.Series(part)) for part in parts]
        if len(index) == 0 and not given:
            names, columns = [], []
    else:
        names, columns = [], []
    names += [_head(name) for name in frame.columns]
    columns += [_values(frame.iloc[:, i]) for i in range(frame.shape[1])]
    return names, columns


def _head(name: object) -> str:
    return " / ".join(str(part) for part in name if str(part)) if isinstance(name, tuple) else str(name)


def _values(series: pd.Series[Any]) -> list[Any]:
    """Return Python's values, None for what is missing; a NaN that somebody wrote as a number stays one."""
    import pandas as pd

    dtype = series.dtype
    if pd.api.types.is_float_dtype(dtype):
        if str(dtype) in ("float16", "float32"):  # 0.1 in 32 bits is to read 0.1
            return [float(str(value)) for value in series.to_numpy()]
        return [None if value is pd.NA else float(value) for value in series.astype(object)]
    values = list(series.astype(object))
    if pd.api.types.is_object_dtype(dtype):
        # Where pandas holds text as objects, it writes missing text as NaN.
        is_text = any(isinstance(v, str) for v in values) and all(
            v != v or not isinstance(v, (int, float)) for v in values if v is not pd.NA
        )
        if not is_text:
            return [None if value is pd.NA or value is pd.NaT else value for value in values]
    return [None if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)) else value for value in values]


def cell_of(value: object) -> Cell:
    """Return the cell of a value: a number, a boolean, text, or nothing for None and empty text."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"userEnteredValue": {"boolValue": value}}
    if isinstance(value, int) and abs(value) > _EXACT:
        return text_cell(str(value) if value.bit_length() < 10_000 else hex(value))
    if isinstance(value, (int, float)):
        return {"userEnteredValue": {"numberValue": value}} if math.isfinite(value) else text_cell(_special(value))
    if isinstance(value, Decimal):
        return cell_of(float(value)) if value.is_finite() and Decimal(float(value)) == value else text_cell(str(value))
    if isinstance(value, datetime.datetime):
        return text_cell(value.isoformat(sep=" "))
    return text_cell(value if isinstance(value, str) else str(value))


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def text_cell(text: str) -> Cell:
    """Return a cell of text, whatever it begins with; what a cell has no room for is cut, with a mark."""
    # Bytes of file names that are no text come as lone surrogates, which no JSON reader takes.
    text = _SURROGATE.sub("\ufffd", text)
    if len(text) > MAX_TEXT // 2 and _units(text) > MAX_TEXT:
        text = _cut(text)
    return {"userEnteredValue": {"stringValue": text}} if text else {}


def _units(text: str) -> int:
    return len(text) + sum(c > "\uffff" for c in text)


def _cut(text: str) -> str:
    room = MAX_TEXT - len(CUT_MARK)
    used = 0
    for index, char in enumerate(text):
        used += 2 if char > "\uffff" else 1
        if used > room:
            return text[:index] + CUT_MARK
    return text


def _in_zone(value: object, zone: datetime.tzinfo) -> object:
    """Return a time as the sheet's clock shows it: one without a zone is this machine's, a number counts from 1970."""
    moment = value
    if isinstance(moment, (int, float)) and _EPOCHS[0] < moment < _EPOCHS[1]:
        moment = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    if isinstance(moment, str):
        try:
            moment = datetime.datetime.fromisoformat(moment.strip())
        except ValueError:
            return value
    if not isinstance(moment, datetime.datetime):
        return value
    try:
        return moment.astimezone(zone).strftime(TIME_FORMAT)
    except (OverflowError, ValueError, OSError):  # beyond what clocks can convert
        return value


@dataclass(frozen=True)
class _Address:
    """A pattern of addresses: fixed text, with names of columns in between."""

    pattern: str
    fields: tuple[str, ...]

    @classmethod
    def parse(cls, column: str, pattern: str) -> _Address:
        return cls(pattern, fields_of(f"links: the address for '{column}'", pattern))

    def fill(self, values: Mapping[str, object]) -> str | None:
        texts = {name: _plain(values.get(name)) for name in self.fields}
        if not all(texts.values()):
            return None
        return _FIELD.sub(lambda match: quote(texts[match[1]], safe="/"), self.pattern)


def fields_of(what: str, pattern: str) -> tuple[str, ...]:
    """Return the names of columns in the braces of a pattern of addresses.

    Args:
        what: what the message of an error begins with.
        pattern: an address with `{column}` in it.

    Raises:
        SheetsError: it is no address, or has a brace that names no column.
    """
    # The scheme is fixed by whoever set the pattern: no value can make a link do more than open a page.
    if not re.match(r"https?://[^\s]", pattern):
        raise SheetsError(f"{what} must begin with http:// or https://, not {pattern!r}")
    if re.search(r"[{}]", _FIELD.sub("", pattern)):
        raise SheetsError(f"{what} has a brace that names no column: {pattern!r}")
    return tuple(_FIELD.findall(pattern))


def _plain(value: object) -> str:
    """Return a value as an address has it, empty text where there is none."""
    entered = cell_of(value).get("userEnteredValue", {})
    if "numberValue" in entered:
        return str(value)
    return str(entered.get("stringValue", ""))


def _link(name: str, address: _Address, names: list[str], columns: list[list[Any]], cells: list[list[Cell]]) -> None:
    """Link the cells of a column; one that isn't there is added, its cells say what they lead to."""
    if not all(field in names for field in address.fields):
        return
    sources = {field: columns[names.index(field)] for field in address.fields}
    count = len(columns[0]) if columns else 0
    targets = [address.fill({field: values[i] for field, values in sources.items()}) for i in range(count)]
    if name in names:
        shown = cells[names.index(name)]
    else:
        shown = [text_cell(name) if target else {} for target in targets]
        names.append(name)
        columns.append([None] * count)
        cells.append(shown)
    for index, target in enumerate(targets):
        if target and shown[index]:
            shown[index] = _linked(shown[index], target)


def _linked(cell: Cell, target: str) -> Cell:
    entered = cell["userEnteredValue"]
    # Only text takes a link: a job id is shown as text.
    text = entered["stringValue"] if "stringValue" in entered else str(next(iter(entered.values())))
    return {**text_cell(text), "textFormatRuns": [{"format": {"link": {"uri": target}}}]}
