"""A report in a Google spreadsheet: where the table goes, and where its cells lead to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from heyhi.errors import suggest
from heyhi.project import Project
from heyhi.report.lazy_frame import as_frame

if TYPE_CHECKING:
    import pandas as pd


def export_sheet(
    table: pd.DataFrame,
    sheet: tuple[str, str],
    project: Project,
    *,
    group: str = "",
    known: Iterable[str] | None = None,
) -> str | None:
    """Export a table to a Google spreadsheet; without credentials one line says so.

    Args:
        table: as it is to stand there.
        sheet: spreadsheet and worksheet.
        project: whose settings say where cells lead to.
        group: whose tables these are, where several sweeps share a worksheet.
        known: columns that the settings may name, where some of them were left out of the table.

    Returns:
        the address of the worksheet; None without credentials.

    Raises:
        HeyhiError: it couldn't be written; what stood there still does.
    """
    from heyhi.sheets.export import save_pandas_table

    done = save_pandas_table(
        as_frame(table),
        sheet[0],
        sheet[1],
        links=sheet_links(project, table.columns if known is None else known),
        updated_column="updated" if "updated" in table else None,
        group=group,
        credentials=project.sheets_credentials,
    )
    return None if done is None else done.url


def sheet_links(project: Project, known: Iterable[str]) -> Mapping[str, str]:
    """Return the addresses that a sheet's cells lead to, by the patterns of the settings.

    Raises:
        SheetsError: a pattern is no address of the web, or names a column that no table has.
    """
    from heyhi.sheets.cells import SheetsError, fields_of

    names = list(map(str, known))
    links = {}
    for setting, column in (("folder_link", "exp_id"), ("log_link", "log")):
        pattern: str = getattr(project.settings, setting)
        if not pattern:
            continue
        for name in fields_of(f"[tool.heyhi] {setting}", pattern):
            if name not in names:
                raise SheetsError(f"[tool.heyhi] {setting}: there is no column {{{name}}}{suggest(name, names)}")
        links[column] = pattern
    return links
