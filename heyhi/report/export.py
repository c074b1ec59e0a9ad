"""A table as XLSX and Parquet."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.experiment.names import Status
from heyhi.extras import load
from heyhi.files import replace_bytes
from heyhi.report.cell_text import UPDATED, moment
from heyhi.report.destination import ExportError
from heyhi.text import number_text

if TYPE_CHECKING:
    import pandas as pd

_COLOURS = {  # background and text, of a status
    Status.DONE: ("#C6EFCE", "#006100"),
    Status.DEAD: ("#FFC7CE", "#9C0006"),
    Status.UNKNOWN: ("#F8CBAD", "#843C0C"),
    Status.BLOCKED: ("#FFEB9C", "#7F6000"),
    Status.RUNNING: ("#DDEBF7", "#1F4E78"),
    Status.PENDING: ("#EDEDED", "#404040"),
    Status.PRUNED: ("#D9E1F2", "#305496"),
}
_MAX_ROWS, _MAX_COLUMNS = 1_048_575, 16_384  # of a sheet, less its header
_MAX_CELL = 32_767  # characters
_MAX_ADDRESS = 2_079  # characters of what a cell leads to
_MAX_LINKS = 64_999  # rows of them: a sheet has 65,530 links
_MAX_EXACT = 2**53  # a cell's number is a double
_MAX_WIDTH = 60
_FIRST_YEAR = 1900  # that a cell's time can have


def write_xlsx(table: pd.DataFrame, path: Path, *, links: Mapping[str, str] | None = None) -> None:
    """Write a table as an XLSX workbook: typed cells, status colours, links to folders, a header that stays in view.

    Text is text, also where it begins with `=`; NaN and infinities are text, what is missing is an empty cell.

    Args:
        table: a report's.
        path: of the workbook.
        links: column -> column that holds the path its cells lead to; default: `exp_id` leads to `exp_path`.

    Raises:
        ExportError: it has more rows or columns than a sheet can hold.
        ResultError: it can't be written.
    """
    import xlsxwriter

    if len(table) > _MAX_ROWS or len(table.columns) > _MAX_COLUMNS:
        raise ExportError(f"{path}: a sheet holds {_MAX_ROWS} rows of {_MAX_COLUMNS} columns; this table has more")
    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    sheet = book.add_worksheet("experiments")
    header = book.add_format({"bold": True, "bottom": 1})
    date = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    link = book.get_default_url_format()
    names = [str(c) for c in table.columns]
    targets = {"exp_id": "exp_path"} if links is None else links
    columns = {name: table.iloc[:, i].tolist() for i, name in enumerate(names)}
    for col, name in enumerate(names):
        sheet.write_string(0, col, f"{name} (UTC)" if name == UPDATED else name[:_MAX_CELL], header)
        values = columns[name]
        goals = columns.get(targets.get(name, ""), [None] * len(values))
        for row, (value, goal) in enumerate(zip(values, goals, strict=True), 1):
            address = None if value is None or row > _MAX_LINKS else _address(goal)
            if address is not None:
                sheet.write_url(row, col, address, link, string=str(value)[:_MAX_CELL])
            elif name == UPDATED and (time := moment(value)) is not None and time.year >= _FIRST_YEAR:
                sheet.write_datetime(row, col, time.replace(tzinfo=None), date)
            else:
                _write_cell(sheet, row, col, value)
        shown = [len(_shown(v)) for v in values[:1000]]
        sheet.set_column(col, col, min(_MAX_WIDTH, max([len(name), *shown]) + 2))
    if "status" in names and len(table):
        _colour_statuses(book, sheet, names.index("status"), len(table))
    sheet.freeze_panes(1, 1)
    if names:
        sheet.autofilter(0, 0, len(table), len(names) - 1)
    book.close()
    replace_bytes(path, out.getvalue())


def _address(goal: object) -> str | None:
    """Return the address of a path, or None where a cell can't lead there."""
    if not isinstance(goal, str):
        return None
    # In capitals, which mean the same, or the library would make a Windows path of it.
    address = Path(goal).absolute().as_uri().replace("file:", "FILE:", 1)
    return address if len(address) <= _MAX_ADDRESS else None


def _write_cell(sheet: Any, row: int, col: int, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, col, value)
    elif (isinstance(value, int) and abs(value) <= _MAX_EXACT) or (isinstance(value, float) and math.isfinite(value)):
        sheet.write_number(row, col, value)
    else:
        sheet.write_string(row, col, _shown(value)[:_MAX_CELL])


def _colour_statuses(book: Any, sheet: Any, col: int, rows: int) -> None:
    for status, (back, fore) in _COLOURS.items():
        look = book.add_format({"bg_color": back, "font_color": fore})
        rule = {"type": "cell", "criteria": "==", "value": f'"{status.value}"', "format": look}
        sheet.conditional_format(1, col, rows, col, rule)


def _shown(value: Any) -> str:
    """Return the text that a sheet shows for a value."""
    if value is None:
        return ""
    if isinstance(value, float):
        return number_text(value, "g")
    # What XML can't hold is shown as a space.
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in str(value))


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet: numbers as numbers, NaN as NaN, what is missing as null, times with their zone.

    Raises:
        ExtraError: pyarrow isn't installed.
        ResultError: it can't be written.
    """
    pa, pq = load("pyarrow"), load("pyarrow.parquet")
    arrays, names = [], []
    for index, name in enumerate(table.columns):
        values = [v.item() if hasattr(v, "item") else v for v in table.iloc[:, index].tolist()]
        if name == UPDATED:
            arrays.append(pa.array([moment(v) for v in values], type=pa.timestamp("ms", tz="UTC")))
            names.append(str(name))
            continue
        kinds = {type(v) for v in values if v is not None}
        if kinds == {int, float}:
            with contextlib.suppress(OverflowError):  # an integer that no float can hold
                values = [None if v is None else float(v) for v in values]
                kinds = {float}
        if len(kinds) > 1:  # a column has one type
            values = [None if v is None else str(v) for v in values]
        try:
            arrays.append(pa.array(values, from_pandas=False))
        except (pa.ArrowInvalid, OverflowError):  # an integer of more than 64 bits
            arrays.append(pa.array([None if v is None else str(v) for v in values]))
        names.append(str(name))
    table_of = pa.table(arrays, names=names)
    out = io.BytesIO()
    pq.write_table(table_of.replace_schema_metadata({b"pandas": _for_pandas(table_of)}), out)
    replace_bytes(path, out.getvalue())


def _for_pandas(table: Any) -> bytes:
    """Say of an Arrow table that pandas keeps integers with gaps: it would make floats of them, and round some."""
    columns = [
        {"name": name, "field_name": name, "pandas_type": "int64", "numpy_type": "Int64", "metadata": None}
        for name, column in zip(table.column_names, table.columns, strict=True)
        if str(column.type) == "int64" and column.null_count
    ]
    return json.dumps({"index_columns": [], "column_indexes": [], "columns": columns}).encode()
