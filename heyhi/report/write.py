"""Where a table goes: files, and Google spreadsheets.

What was written and what failed is returned; telling it is left to the caller.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.errors import HeyhiError
from heyhi.files import replace_file, writing
from heyhi.project import Project
from heyhi.report.export import suffix_of, to_csv, write_parquet, write_xlsx
from heyhi.report.page_data import write_html
from heyhi.report.shaped import Shaped
from heyhi.report.sheet import export_sheet

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Written:
    """What became of files that a table was to be written to.

    Attributes:
        files: those that were written.
        problems: why the others were not.
    """

    files: list[Path]
    problems: list[HeyhiError]


def fixed_files(project: Project, title: str, suffixes: Iterable[str]) -> list[Path]:
    """Return the files in which people find a table, by its title: one of each format."""
    return [project.reports_root / f"{title}.{suffix}" for suffix in suffixes]


def write_files(paths: Iterable[Path], shaped: Shaped, project: Project, title: str) -> Written:
    """Write a table to each file that can be written; see `write_table`."""
    written = Written([], [])
    for path in paths:
        try:
            write_table(path, shaped, project, title)
            written.files.append(path)
        except HeyhiError as error:
            written.problems.append(error)
    return written


def write_table(path: Path, shaped: Shaped, project: Project, title: str) -> None:
    """Write a table to a file, in the format that its name asks for.

    Args:
        path: of the file.
        shaped: what it shows.
        project: where the experiments are.
        title: of a page.

    Raises:
        HeyhiError: the name asks for no known format, or the file can't be written.
    """
    suffix = suffix_of(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == "csv":
        replace_file(path, to_csv(shaped.table))
    elif suffix == "xlsx":
        write_xlsx(shaped.table, path)
    elif suffix == "parquet":
        write_parquet(shaped.table, path)
    else:
        write_html(path, shaped, project, title)


def export_sheets(
    table: pd.DataFrame,
    sheets: Iterable[tuple[str, str]],
    project: Project,
    *,
    group: str,
    known: Collection[str] | None = None,
) -> list[HeyhiError]:
    """Export a table to each Google spreadsheet that can be written; see `export_sheet`.

    Returns:
        why the others could not be.
    """
    problems = []
    for sheet in sheets:
        try:
            export_sheet(table, sheet, project, group=group, known=known)
        except HeyhiError as error:
            problems.append(error)
    return problems
