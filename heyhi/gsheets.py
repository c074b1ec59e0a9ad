"""`save_pandas_table` for scripts, at the first HeyHi's import path: a failure is one line on the terminal.

The export itself is left to `heyhi.sheets.export`, whose own `save_pandas_table` returns what was done, and raises
errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from heyhi.errors import reporting_errors

if TYPE_CHECKING:
    from pathlib import Path

    from heyhi.sheets.cells import Frames


def save_pandas_table(
    dataframes: Frames,
    project_name: str,
    table_name: str,
    offset: int = 1,
    start: int = 10,
    viz_port: int | None = None,
    *,
    links: Mapping[str, str] | None = None,
    status_column: str = "status",
    updated_column: str | None = None,
    group: str = "",
    credentials: Path | None = None,
) -> None:
    """Write tables into a worksheet of a Google spreadsheet, both made where absent.

    Without credentials, a line says so and how they are set up, and the script goes on. Where Google can't be
    reached or refuses, a line says why, and the script ends with exit code 2.

    Args:
        dataframes: one table, a list of them, or a dict of them by title; they go under one another.
        project_name: name of the spreadsheet, or its address.
        table_name: name of the worksheet.
        offset: columns that the first export leaves free on the left.
        start: row at which the first export begins, counted from 1.
        viz_port: adds links to what shows the games of a `folder` at this port of the user's machine.
        links: column -> address with `{column}` in it; see `heyhi.sheets.export.save_pandas_table`.
        status_column: column whose statuses are coloured.
        updated_column: column of the times of last updates.
        group: whose tables these are, where several sweeps share a worksheet.
        credentials: file of a service account or an OAuth client.
    """
    from heyhi.sheets.export import save_pandas_table as save

    links = dict(links or {})
    if viz_port is not None:
        links.setdefault("viz", f"http://localhost:{int(viz_port)}/?game={{folder}}")
    with reporting_errors():
        save(
            dataframes,
            project_name,
            table_name,
            offset,
            start,
            links=links,
            status_column=status_column,
            updated_column=updated_column,
            group=group,
            credentials=credentials,
        )
