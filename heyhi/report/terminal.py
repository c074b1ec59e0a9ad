"""A table of experiments as text: on a terminal, with colours and as many columns as fit, or in a pipe."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from heyhi.experiment.names import Status
from heyhi.report.cell_text import value_text
from heyhi.report.cells import is_missing
from heyhi.report.fitting import MAX_CELL, fitting, left_out
from heyhi.report.searched import search_lines
from heyhi.report.shaped import Shaped
from heyhi.report.shown_table import ShownColumn, ShownTable
from heyhi.report.used_line import used_line
from heyhi.text import padded, steering, width_of

if TYPE_CHECKING:
    import pandas as pd


_MAX_ROWS, _MAX_TROUBLE = 50, 20  # of what is printed
_MAX_LINE = 1000  # characters of a line below the table
_COLOURS = {
    Status.DONE: "green",
    Status.DEAD: "red",
    Status.UNKNOWN: "bright_red",
    Status.BLOCKED: "yellow",
    Status.RUNNING: "cyan",
    Status.PRUNED: "blue",
}
_MARKS = ("stale", "mixed", "note")  # of which a line each is said
# Column -> what those are called that have something there.
_COUNTED = {"stale": "stale", "mixed": "mixed", "note": "noted", "excluded": "excluded"}


def print_table(shaped: Shaped, file: TextIO | None = None, *, asked: Sequence[str] = ()) -> None:
    """Print a table, then what is to be said of it, what went wrong, and how many experiments have which status.

    Args:
        shaped: what to print.
        file: where to; default: standard output. A terminal gets colours, and as many columns as it has room for;
            a file or pipe gets all columns as plain text.
        asked: columns that were asked for by name: of these it is said which aren't shown.
    """
    out = sys.stdout if file is None else file
    table = ShownTable.of(shaped, asked, most=_MAX_ROWS)
    shown = _print_rich(table, shaped, out, asked) if out.isatty() else _print_plain(table.columns, out)
    if (more := len(shaped.table) - _MAX_ROWS) > 0:
        print(f"… {more} more row{'s' * (more != 1)}", file=out)
    if len(shaped.whole):
        hidden = _hidden(table, shown, shaped, asked, out)
        lines = [*hidden, *shaped.notes, *_trouble(shaped.whole), counted(shaped.whole)]
        lines += [line for line in [used_line(shaped.whole)] if line]
        lines += search_lines(shaped.searches)
    else:  # conditions that nothing meets say so
        lines = shaped.notes or [counted(shaped.whole), *search_lines(shaped.searches)]
    for line in lines:
        print(line, file=out)
    out.flush()


def _hidden(
    table: ShownTable, shown: Sequence[str], shaped: Shaped, asked: Sequence[str], out: TextIO
) -> Iterable[str]:
    """Say which columns are not shown."""
    lines = []
    if names := left_out(table.columns, shown, len(shaped.table)):
        lines.append(
            f"no room for: {names} (a wider terminal, or a pipe, shows them)"
            if asked
            else f"left out: {names} (--columns chooses)"
        )
    if table.empty:
        lines.append(f"empty everywhere: {', '.join(value_text(name, _MAX_LINE) for name in table.empty)}")
    if not out.isatty():
        return lines
    from heyhi.shown_console import ShownConsole

    return [part for line in lines for part in textwrap.wrap(line, ShownConsole(out).width)]


def _print_plain(columns: Sequence[ShownColumn], out: TextIO) -> list[str]:
    """Print all columns as plain text; return their names."""
    justified = []
    for column in columns:
        cells = [column.head, *column.cells]
        width = max(map(width_of, cells))
        justified.append([padded(cell, width, is_right=not column.is_text) for cell in cells])
    lines = ["  ".join(row).rstrip() for row in zip(*justified, strict=True)]
    for line in lines if len(lines) > 1 else ():
        print(line, file=out)
    return [column.name for column in columns]


def _print_rich(table: ShownTable, shaped: Shaped, out: TextIO, asked: Sequence[str]) -> list[str]:
    """Print with colours what fits the terminal; return the names of these columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from heyhi.shown_console import ShownConsole

    console = ShownConsole(out)
    varying = [str(name) for name in shaped.table.attrs.get("varying", ())]
    shown = fitting(table.columns, console.width, varying=varying, asked=asked, is_mean=shaped.spread is not None)
    printed = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in shown:
        justify: Literal["left", "right"] = "left" if column.is_text else "right"
        width = None if column.name == "exp_id" else MAX_CELL
        printed.add_column(Text(column.head), no_wrap=True, max_width=width, justify=justify, vertical="bottom")
    rows = list(zip(*(column.cells for column in shown), strict=True))
    for row in rows:
        # Text, not str: brackets in it are no commands to rich.
        printed.add_row(
            *(Text(cell, style=_style(cell) if c.name == "status" else "") for c, cell in zip(shown, row, strict=True))
        )
    if rows:
        console.print(printed)
    return [column.name for column in shown]


def counted(table: pd.DataFrame) -> str:
    """Sum up a table in a line: `8 experiments: 6 DONE, 1 DEAD, 1 BLOCKED`."""
    counts = Counter(table["status"])
    listed = ", ".join(f"{counts[s.value]} {s.value}" for s in reversed(Status) if counts[s.value])
    marks = [(text, int(table[name].notna().sum())) for name, text in _COUNTED.items() if name in table]
    marked = "".join(f"; {count} {text}" for text, count in marks if count)
    return f"{len(table)} experiment{'s' if len(table) != 1 else ''}{': ' if listed else ''}{listed}{marked}"


def _trouble(table: pd.DataFrame) -> list[str]:
    """Name each that is dead, unknown or blocked, or of which something could not be read or kept; what is held back."""
    lines = []
    problems = table["problem"] if "problem" in table else [None] * len(table)
    for status, exp_id, reason, problem in zip(
        table["status"], table["exp_id"], table["reason"], problems, strict=True
    ):
        if status in (Status.DEAD, Status.UNKNOWN, Status.BLOCKED):
            lines.append(f"{status:<7} {exp_id}: {value_text(reason, _MAX_LINE)}")
        if problem:
            lines.append(f"problem {exp_id}: {value_text(problem, _MAX_LINE)}")
    for name in _MARKS:
        marks = zip(table["exp_id"], table[name], _excluded(table), strict=True) if name in table else ()
        lines += [
            f"{name:<7} {exp_id}: {value_text(mark, _MAX_LINE)}{' (excluded)' if name == 'note' and excluded else ''}"
            for exp_id, mark, excluded in marks
            if mark
        ]
    waiting = zip(table["status"], table["reason"], strict=True)
    held = Counter(str(reason) for status, reason in waiting if status == Status.NOT_STARTED and reason)
    lines += [f"{count} {Status.NOT_STARTED}: {value_text(reason, _MAX_LINE)}" for reason, count in held.items()]
    if len(lines) > _MAX_TROUBLE:
        lines = [*lines[:_MAX_TROUBLE], f"… and {len(lines) - _MAX_TROUBLE} more such lines"]
    return lines


def _excluded(table: pd.DataFrame) -> list[bool]:
    """Return for each experiment whether a note leaves it out of means."""
    if "excluded" not in table:
        return [False] * len(table)
    return [not is_missing(value) and bool(value) for value in table["excluded"]]


def _style(status: str) -> str:
    return _COLOURS.get(Status(status), "") if status in Status.__members__ else ""


def show_progress(total: int, done: str = "read", *, every: int = 100) -> Callable[[], None]:
    """Count on standard error what is read, where it takes long and somebody looks: on a terminal, in a notebook.

    Args:
        total: how many experiments there are.
        done: what is done with them, for what is said.
        every: after how many the clock is looked at.
    """
    import time

    if not sys.stderr.isatty() and not type(sys.stderr).__module__.startswith("ipykernel."):
        return lambda: None
    begun = last = time.monotonic()
    count, shown = 0, False

    def tick() -> None:
        nonlocal count, last, shown
        count += 1
        if count == total and shown:
            # No command, which a notebook would show.
            print(f"\r{'':60}\r", end="", file=steering(sys.stderr), flush=True)
        elif count % every == 0 and (now := time.monotonic()) - begun > 1 and now - last > 0.2:
            print(f"\r{count} of {total} experiments {done}", end="", file=steering(sys.stderr), flush=True)
            last, shown = now, True

    return tick
