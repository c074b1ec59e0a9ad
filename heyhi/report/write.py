"""Where a table goes: files, and Google spreadsheets.

What was written and what failed is returned; telling it is left to the caller.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.code.import_path import own_modules_out
from heyhi.errors import HeyhiError
from heyhi.files import replace_file, writing
from heyhi.project import Project
from heyhi.quick_dataclass import dataclass, field
from heyhi.report.destination import is_standard_output, suffix_of
from heyhi.report.export import write_parquet, write_xlsx
from heyhi.report.lazy_frame import as_frame
from heyhi.report.page_data import write_html
from heyhi.report.shaped import Shaped
from heyhi.report.sheet import export_sheet
from heyhi.report.text_files import to_csv, to_json, to_markdown, to_tex, to_tsv
from heyhi.text import data_output

if TYPE_CHECKING:
    import pandas as pd

# By formats that pandas and the like write: where a usual run ends, these aren't loaded yet.
_BY_LIBRARIES = {"xlsx": write_xlsx, "parquet": write_parquet}


@dataclass(frozen=True)
class Written:
    """What became of files that a table was to be written to.

    Attributes:
        files: those that were written.
        problems: why the others were not.
    """

    files: list[Path]
    problems: list[HeyhiError]


def fixed_files(project: Project, label: str, suffixes: Iterable[str]) -> list[Path]:
    """Return the files in which people find the table of a sweep, by its label: one of each format."""
    return [project.reports_root / f"{label}.{suffix}" for suffix in suffixes]


def write_files(
    paths: Iterable[Path], shaped: Shaped, project: Project, title: str, *, asked: Sequence[str] = ()
) -> Written:
    """Write a table to each file that can be written; see `write_table`."""
    written = Written([], [])
    for path in paths:
        try:
            write_table(path, shaped, project, title, asked=asked)
            written.files.append(path)
        except HeyhiError as error:
            written.problems.append(error)
    return written


def write_table(path: Path, shaped: Shaped, project: Project, title: str, *, asked: Sequence[str] = ()) -> None:
    """Write a table to a file, in the format that its name asks for, or to standard output.

    Args:
        path: of the file; `-`, or `-.md` for another format than CSV: standard output.
        shaped: what it shows.
        project: where the experiments are.
        title: of a page, or of a table in a paper.
        asked: columns that were asked for by name.

    Raises:
        HeyhiError: the name asks for no known format, or the file can't be written.
    """
    suffix = suffix_of(path)
    if is_standard_output(path):
        out = data_output()
        out.write(_text(suffix, shaped, title, asked))
        out.flush()
        return
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if suffix in _BY_LIBRARIES:
        with own_modules_out(project.root):
            _BY_LIBRARIES[suffix](as_frame(shaped.table), path)
    elif suffix == "html":
        write_html(path, shaped, project, title)
    else:
        replace_file(path, _text(suffix, shaped, title, asked))


def _text(suffix: str, shaped: Shaped, title: str, asked: Sequence[str]) -> str:
    """Return a table in one of the formats that are text."""
    match suffix:
        case "md":
            return to_markdown(shaped, asked)
        case "tex":
            return to_tex(shaped, title, asked)
        case "json":
            return to_json(shaped.table)
        case "tsv":
            return to_tsv(shaped.table)
    return to_csv(shaped.table)


@dataclass(frozen=True)
class Exported:
    """What became of spreadsheets that a table was to be exported to.

    Attributes:
        links: addresses of the worksheets that were written.
        problems: why others were not.
    """

    links: list[str] = field(default_factory=list)
    problems: list[HeyhiError] = field(default_factory=list)


def export_sheets(
    table: pd.DataFrame,
    sheets: Iterable[tuple[str, str]],
    project: Project,
    *,
    group: str,
    known: Collection[str] | None = None,
) -> Exported:
    """Export a table to each Google spreadsheet that can be written; see `export_sheet`."""
    exported = Exported()
    for sheet in sheets:
        try:
            link = export_sheet(table, sheet, project, group=group, known=known)
        except HeyhiError as error:
            exported.problems.append(error)
        else:
            exported.links.extend([link] if link is not None else [])
    return exported
