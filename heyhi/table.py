"""Owns how a table of experiments is written: as CSV, and on a terminal. What stands in it is collect's business."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from heyhi.experiment import Status

if TYPE_CHECKING:
    import pandas as pd

_MAX_ROWS, _MAX_TROUBLE, _MAX_CELL = 50, 20, 40  # of what is printed
_COLOURS = {Status.DONE: "green", Status.DEAD: "red", Status.BLOCKED: "yellow", Status.RUNNING: "cyan"}
_MISSING = "-"


# --- CSV ----------------------------------------------------------------------------------------------------------


def to_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV: what is missing is empty, text that a spreadsheet would take for a formula is marked."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_csv_cell(str(name)) for name in table.columns)
    writer.writerows([_csv_cell(value) for value in row] for row in table.itertuples(index=False, name=None))
    return out.getvalue()


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
    return _number(value, ".17g") if isinstance(value, float) and not math.isfinite(value) else str(value)


def _number(value: float, form: str) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return format(value, form)


# --- the terminal -------------------------------------------------------------------------------------------------


def print_table(table: pd.DataFrame, file: TextIO | None = None) -> None:
    """Print a table, then what went wrong, then how many experiments have which status.

    Args:
        table: from `collect`.
        file: where to; default: standard output. A terminal gets colours, and as many columns as it has room for.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = sys.stdout if file is None else file
    rows = [[_text(value) for value in row] for row in table.head(_MAX_ROWS).itertuples(index=False, name=None)]
    heads = [_text(str(name)) for name in table.columns]
    wide = Console(file=out).width if out.isatty() else None
    shown = _fitting(heads, rows, wide)
    # Piped, nothing is cut: grep and the like see all.
    console = Console(file=out, width=wide or 10_000, highlight=False, soft_wrap=False)
    grid = Table(box=SIMPLE_HEAD if wide else None, pad_edge=False, show_edge=False)
    for index in shown:
        is_text = any(isinstance(v, str) for v in table.iloc[:, index])
        grid.add_column(
            heads[index], no_wrap=True, max_width=_MAX_CELL if wide else None, justify="left" if is_text else "right"
        )
    for row in rows:
        grid.add_row(*(Text(row[i], style=_style(row[i]) if i == 0 else "") for i in shown))
    if rows:
        console.print(grid)
    notes = [f"{len(table) - len(rows)} more rows"] if len(table) > len(rows) else []
    notes += [f"{len(heads) - len(shown)} more columns"] if wide and len(shown) < len(heads) else []
    for line in [*([f"… {' and '.join(notes)}"] if notes else []), *_trouble(table), counted(table)]:
        print(line, file=out)
    out.flush()


def counted(table: pd.DataFrame) -> str:
    """Sum up a table in a line: `8 experiments: 6 DONE, 1 DEAD, 1 BLOCKED`."""
    counts = Counter(table["status"])
    listed = ", ".join(f"{counts[s.value]} {s.value}" for s in reversed(Status) if counts[s.value])
    return f"{len(table)} experiment{'s' if len(table) != 1 else ''}: {listed}"


def _trouble(table: pd.DataFrame) -> list[str]:
    """Name each experiment that is dead or blocked, or of which something could not be read."""
    lines = []
    problems = table["problem"] if "problem" in table else [None] * len(table)
    for status, exp_id, reason, problem in zip(
        table["status"], table["exp_id"], table["reason"], problems, strict=True
    ):
        if status in (Status.DEAD, Status.BLOCKED):
            lines.append(f"{status:<7} {exp_id}: {_text(reason, None)}")
        if problem:
            lines.append(f"problem {exp_id}: {_text(problem, None)}")
    if len(lines) > _MAX_TROUBLE:
        lines = [*lines[:_MAX_TROUBLE], f"… and {len(lines) - _MAX_TROUBLE} more such lines"]
    return lines


def _text(value: Any, limit: int | None = None) -> str:
    if value is None:
        return _MISSING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _number(value, ".5g")
    # Nothing that a config or a log says may command the terminal.
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1]}…"


def _fitting(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Choose the columns that a width has room for, from the left; the first one always."""
    chosen: list[int] = []
    used = 0
    for index, head in enumerate(heads):
        if head == "exp_path" or (all(row[index] == _MISSING for row in rows) and rows):
            continue
        if width is not None and head == "reason":
            continue  # is listed below, where it has room
        need = min(max([len(head), *(len(row[index]) for row in rows)]), _MAX_CELL) + 2
        if width is None or used + need <= width or not chosen:
            chosen.append(index)
            used += need
    return chosen


def _style(status: str) -> str:
    return _COLOURS.get(Status(status), "") if status in Status.__members__ else ""
