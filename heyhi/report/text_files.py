"""A table as text: CSV, TSV and JSON for programs, Markdown and LaTeX for people.

Programs get every column and every digit; people get what a terminal shows, in one cell with its spread.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from heyhi.report.cell_text import MISSING, UPDATED, with_times
from heyhi.report.shaped import Shaped
from heyhi.report.shown_table import ShownColumn, ShownTable
from heyhi.text import number_text

if TYPE_CHECKING:
    import pandas as pd

_MARKUP = re.compile(r"([\\`*\[\]<|~$&]|(?<![^\W_])_|_(?![^\W_]))")
_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"\ensuremath{\pm}",
    "…": r"\ldots{}",
    "→": r"\ensuremath{\to}",
}
_ONE = r"-?(?:[0-9.]+(?:e[+-]?[0-9]+)?|NaN|Infinity)"
_NUMBER = re.compile(rf"(?P<number>\(?{_ONE}(?: ± {_ONE}\)?)?(?:e[+-]?[0-9]+)?)(?P<count> \([0-9]+/[0-9]+\))?")
_EXPONENT = re.compile(r"e([+-]?[0-9]+)")
_SPECIAL = re.compile(r"(NaN|Infinity)")
_LABEL = re.compile(r"[^A-Za-z0-9.-]+")


def to_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV: what is missing is empty, text that a spreadsheet would take for a formula is marked."""
    return _delimited(table, ",")


def to_tsv(table: pd.DataFrame) -> str:
    """Write a table as CSV with tabs; a tab or a new line in a cell is written as a space."""
    return _delimited(table, "\t")


def _delimited(table: pd.DataFrame, delimiter: str) -> str:
    out = io.StringIO()
    names = [str(name) for name in table.columns]

    def in_line(value: Any) -> str:
        return re.sub(r"[\t\r\n]+", " ", _csv_cell(value))

    cell = in_line if delimiter == "\t" else _csv_cell
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(map(cell, names))
    writer.writerows(map(cell, row) for row in _rows(table))
    return out.getvalue()


def _rows(table: pd.DataFrame) -> Iterable[tuple[Any, ...]]:
    """Return the rows of a table, in which times have their zone."""
    columns = [table.iloc[:, place].tolist() for place in range(len(table.columns))]
    for place, name in enumerate(table.columns):
        if name == UPDATED:
            columns[place] = [with_times(UPDATED, value) for value in columns[place]]
    return zip(*columns, strict=True)


def _csv_cell(value: Any) -> str:
    """Return the text of a cell, marked with an apostrophe where a spreadsheet would run it as a formula."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
    return number_text(value, ".17g") if isinstance(value, float) and not math.isfinite(value) else str(value)


def to_json(table: pd.DataFrame) -> str:
    """Write a table as a JSON list, an object a row: numbers, flags and text as such, null for what is missing.

    JSON knows no NaN and no infinity: they are the texts `NaN`, `Infinity` and `-Infinity`.
    """
    names = [str(name) for name in table.columns]
    rows = (
        json.dumps({name: _json_value(value) for name, value in zip(names, row, strict=True)}) for row in _rows(table)
    )
    return f"[{','.join(f'{chr(10)}  {row}' for row in rows)}\n]\n"


def _json_value(value: Any) -> Any:
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return number_text(value, "g")
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def to_markdown(shaped: Shaped, asked: Collection[str] = ()) -> str:
    """Write a table as one of Markdown (GitHub's); nothing in a cell is markup.

    Args:
        shaped: the table.
        asked: columns that were asked for by name.
    """
    columns = ShownTable.of(shaped, asked).columns
    if not columns:
        return "(nothing)\n"
    rows = [_markdown_row(column.head for column in columns)]
    rows.append(f"|{'|'.join(' :-- ' if column.is_text else ' --: ' for column in columns)}|")
    rows += [_markdown_row(row) for row in zip(*(column.cells for column in columns), strict=True)]
    return "\n".join(rows) + "\n"


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_markdown_text, cells))} |"


def _markdown_text(cell: str) -> str:
    return "" if cell == MISSING else _MARKUP.sub(r"\\\1", cell)


def to_tex(shaped: Shaped, title: str, asked: Collection[str] = ()) -> str:
    r"""Write a table for LaTeX, with the rules of `booktabs`; nothing in a cell is a command.

    Args:
        shaped: the table.
        title: its caption.
        asked: columns that were asked for by name.
    """
    columns = ShownTable.of(shaped, asked).columns
    kinds = "".join("l" if column.is_text else "r" for column in columns)
    label = _LABEL.sub("-", title).strip("-.")[:80] or "heyhi"
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_tex(title)}}}",
        rf"  \label{{tab:{label}}}",
        rf"  \begin{{tabular}}{{{kinds or 'l'}}}",
        r"    \toprule",
        _tex_row([_tex(column.head) for column in columns]),
        r"    \midrule",
        *map(_tex_row, zip(*(_tex_cells(column) for column in columns), strict=True)),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tex_row(cells: Sequence[str]) -> str:
    return rf"    {' & '.join(cells)} \\"


def _tex_cells(column: ShownColumn) -> list[str]:
    write: Callable[[str], str] = _tex if column.is_text else _tex_number
    return ["" if cell == MISSING else write(cell) for cell in column.cells]


def _tex_number(text: str) -> str:
    """Write a number, or a mean with its spread, in LaTeX's mathematics; anything else as text."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return _tex(text)
    number = _EXPONENT.sub(lambda m: rf" \times 10^{{{int(m[1])}}}", found["number"])
    number = _SPECIAL.sub(r"\\mathrm{\1}", number).replace("±", r"\pm")
    return f"${number}${found['count'] or ''}"


def _tex(text: str) -> str:
    return "".join(_TEX.get(char, char) for char in text).replace("--", "-{}-")
