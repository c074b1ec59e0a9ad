"""A table of experiments as text: on a terminal, with colours and as many columns as fit, or in a pipe."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, TextIO

from heyhi.experiment.names import Status

if TYPE_CHECKING:
    import pandas as pd


_MAX_ROWS, _MAX_TROUBLE, _MAX_CELL = 50, 20, 40  # of what is printed
# Characters of a cell in a pipe, too, where each row is as wide as the widest one, and of a line below the table.
_MAX_TEXT, _MAX_LINE = 200, 1000
_COLOURS = {
    Status.DONE: "green",
    Status.DEAD: "red",
    Status.UNKNOWN: "bright_red",
    Status.BLOCKED: "yellow",
    Status.RUNNING: "cyan",
    Status.PRUNED: "blue",
}
_MISSING = "-"
SE = ".se"  # what ends the name of a standard error's column
_GAP = 3  # between two columns on a terminal
# Columns that are not printed (lines below the table say what matters of them), and those that come last.
_BELOW = ("reason", "problem", "note", "drifted", "stale", "mixed", "updated", "exp_path")
_MARKS = {
    "stale": "stale",
    "mixed": "mixed",
    "note": "noted",
}  # column -> what those are called that have something there
_WHOLE = ("exp_id", "cfg")  # what is copied to the next command
_LAST = ("needs", "attempts", "seconds", "job_id", "code", "exp_id")


def number_text(value: float, form: str) -> str:
    """Write a number in a format; NaN and infinities as they are called everywhere."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return format(value, form)


def print_table(table: pd.DataFrame, file: TextIO | None = None, *, about: pd.DataFrame | None = None) -> None:
    """Print a table, then what went wrong, then how many experiments have which status.

    Args:
        table: from `collect`.
        file: where to; default: standard output. A terminal gets colours, and as many columns as it has room for;
            a file or pipe gets all columns as plain text.
        about: the experiments that a grouped or chosen table was made of, of which the last lines speak.
    """
    out = sys.stdout if file is None else file
    grid = _Grid.of(table)
    shown = _print_rich(grid, out) if out.isatty() else _print_plain(grid, out)
    hidden = {"rows": len(table) - len(grid.rows), "columns": len(grid.heads) - len(shown)}
    if any(hidden.values()):
        print(f"… {' and '.join(f'{n} more {what}' for what, n in hidden.items() if n)}", file=out)
    whole = table if about is None else about
    for line in [*_trouble(whole), counted(whole)]:
        print(line, file=out)
    out.flush()


def rendered(table: pd.DataFrame) -> pd.DataFrame:
    """Write means with their errors as one cell, as a terminal shows them: `0.91 ± 0.02`."""
    errors = [str(c) for c in table.columns if str(c).endswith(SE)]
    if not errors:
        return table
    found = table.copy()
    found.attrs.update(table.attrs)
    for name in errors:
        plain = name.removesuffix(SE)
        pairs = zip(table[plain], table[name], strict=True)
        found[plain] = [
            m if m is None or e is None else f"{number_text(m, '.5g')} ± {number_text(e, '.2g')}" for m, e in pairs
        ]
    return found.drop(columns=errors)


@dataclass(frozen=True)
class _Grid:
    """A table as text.

    Attributes:
        heads: of the columns.
        rows: the first ones.
        is_text: of each column.
        ranks: of each column: where there is no room for all, those of rank 0 come first, then one of each of the
            ranks 1 and 2 in turn, then the others.
    """

    heads: list[str]
    rows: list[list[str]]
    is_text: list[bool]
    ranks: list[int]

    @classmethod
    def of(cls, table: pd.DataFrame) -> _Grid:
        names = [str(name) for name in table.columns]
        limits = [None if name in _WHOLE else _MAX_TEXT for name in names]
        head = table.head(_MAX_ROWS).itertuples(index=False, name=None)
        rows = [[_text(value, limit) for value, limit in zip(row, limits, strict=True)] for row in head]
        # What nobody has is left out; why something failed stands below, where it has room.
        kept = [i for i, n in enumerate(names) if n not in _BELOW and any(row[i] != _MISSING for row in rows)]
        varying = table.attrs.get("varying", ())
        return cls(
            [_text(names[i], _MAX_TEXT) for i in kept],
            [[row[i] for i in kept] for row in rows],
            [any(isinstance(value, str) for value in table.iloc[:, i]) for i in kept],
            [0 if i == 0 else 1 if names[i] in varying else 3 if names[i] in _LAST else 2 for i in kept],
        )

    def widths(self, limit: int | None = None) -> list[int]:
        """Return how wide each column is."""
        widths = [max(map(len, column)) for column in zip(self.heads, *self.rows, strict=True)]
        return widths if limit is None else [min(width, limit) for width in widths]

    def fitting(self, room: int) -> list[int]:
        """Choose the columns that there is room for."""
        ranked: dict[int, list[int]] = {rank: [i for i, r in enumerate(self.ranks) if r == rank] for rank in range(4)}
        # What tells most rows apart comes first: a learning rate before a size of which there are two.
        ranked[1].sort(key=lambda i: -len({row[i] for row in self.rows}))
        # A training logs what it is after last.
        in_turn = [i for pair in zip_longest(reversed(ranked[2]), ranked[1]) for i in pair if i is not None]
        widths = self.widths(_MAX_CELL)
        shown, used = ranked[0], sum(widths[i] for i in ranked[0])
        for index in [*in_turn, *ranked[3]]:
            if used + _GAP + widths[index] <= room:
                shown = [*shown, index]
                used += _GAP + widths[index]
        return sorted(shown)


def _print_plain(grid: _Grid, out: TextIO) -> list[int]:
    """Print all columns as plain text; return which they are."""
    widths = grid.widths()
    for line in (grid.heads, *grid.rows) if grid.rows else ():
        justified = zip(line, widths, grid.is_text, strict=True)
        print("  ".join(t.ljust(w) if is_text else t.rjust(w) for t, w, is_text in justified).rstrip(), file=out)
    return list(range(len(grid.heads)))


def _print_rich(grid: _Grid, out: TextIO) -> list[int]:
    """Print with colours what fits the terminal; return which columns that was."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, highlight=False)
    shown = grid.fitting(console.width)
    printed = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i in shown:
        justify: Literal["left", "right"] = "left" if grid.is_text[i] else "right"
        printed.add_column(Text(grid.heads[i]), no_wrap=True, max_width=_MAX_CELL, justify=justify)
    for row in grid.rows:
        # Text, not str: brackets in it are no commands to rich.
        printed.add_row(*(Text(row[i], style=_style(row[i]) if i == 0 else "") for i in shown))
    if grid.rows:
        console.print(printed)
    return shown


def counted(table: pd.DataFrame) -> str:
    """Sum up a table in a line: `8 experiments: 6 DONE, 1 DEAD, 1 BLOCKED`."""
    counts = Counter(table["status"])
    listed = ", ".join(f"{counts[s.value]} {s.value}" for s in reversed(Status) if counts[s.value])
    called = {**_MARKS, "excluded": "excluded"}
    marks = [(text, int(table[name].notna().sum())) for name, text in called.items() if name in table]
    marked = "".join(f"; {count} {text}" for text, count in marks if count)
    return f"{len(table)} experiment{'s' if len(table) != 1 else ''}: {listed}{marked}"


def _trouble(table: pd.DataFrame) -> list[str]:
    """Name each experiment that is dead, unknown or blocked, or of which something could not be read or kept."""
    lines = []
    problems = table["problem"] if "problem" in table else [None] * len(table)
    for status, exp_id, reason, problem in zip(
        table["status"], table["exp_id"], table["reason"], problems, strict=True
    ):
        if status in (Status.DEAD, Status.UNKNOWN, Status.BLOCKED):
            lines.append(f"{status:<7} {exp_id}: {_text(reason, _MAX_LINE)}")
        if problem:
            lines.append(f"problem {exp_id}: {_text(problem, _MAX_LINE)}")
    for name in _MARKS:
        marks = zip(table["exp_id"], table[name], strict=True) if name in table else ()
        lines += [f"{name:<7} {exp_id}: {_text(mark, _MAX_LINE)}" for exp_id, mark in marks if mark]
    if len(lines) > _MAX_TROUBLE:
        lines = [*lines[:_MAX_TROUBLE], f"… and {len(lines) - _MAX_TROUBLE} more such lines"]
    return lines


def _text(value: Any, limit: int | None) -> str:
    """Return the text that a terminal shows for a value, cut at a number of characters."""
    if value is None:
        return _MISSING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return number_text(value, ".5g")
    text = str(value)
    if limit is not None and len(text) > limit:
        text = f"{text[: limit - 1]}…"
    # Nothing that a config or a log says may command the terminal.
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _style(status: str) -> str:
    return _COLOURS.get(Status(status), "") if status in Status.__members__ else ""


def show_progress(total: int) -> Callable[[], None]:
    """Count on standard error what is read, where it takes long and somebody looks: on a terminal, in a notebook."""
    import time

    if not sys.stderr.isatty() and not type(sys.stderr).__module__.startswith("ipykernel."):
        return lambda: None
    begun = last = time.monotonic()
    count, shown = 0, False

    def tick() -> None:
        nonlocal count, last, shown
        count += 1
        if count == total and shown:
            print(f"\r{'':60}\r", end="", file=sys.stderr, flush=True)  # no command that a notebook would show
        elif count % 100 == 0 and (now := time.monotonic()) - begun > 1 and now - last > 0.2:
            print(f"\r{count} of {total} experiments read", end="", file=sys.stderr, flush=True)
            last, shown = now, True

    return tick
