"""What a run lacks of HeyHi's extras: in its jobs, which is refused before one starts; at its end, which is said."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from heyhi.errors import HeyhiError
from heyhi.extras import check, install_line, missing
from heyhi.project import Project
from heyhi.report.destination import EXTRA_OF_FORMAT
from heyhi.slurm.request import request_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.sweep.manifest import Manifest

_NAMES = {"page": "page", "parquet": "Parquet file", "sheets": "Google Sheet"}  # of what is made by an extra


def lacking_in_jobs(project: Project, *, is_search: bool) -> list[str]:
    """List the extras that jobs need and this Python hasn't.

    Args:
        project: of the experiments.
        is_search: they are trials of a search, which choose their points.
    """
    needed = [
        *(["search"] if is_search else []),
        *(["tensorboard"] if "tensorboard" in project.settings.log_to else []),
    ]
    return [extra for extra in needed if missing(extra)]


def brings_own_python(task: Message) -> bool:
    """Return whether a task's launcher has its jobs run in an environment of their own, of which nobody knows here."""
    request = request_of(task)
    return bool(request.python or request.prefix)


def check_jobs(project: Project, manifests: Iterable[Manifest], starting: Container[str], *, uses_slurm: bool) -> None:
    """Refuse to start jobs that lack an extra: they would fail, or leave out what the settings ask for.

    Args:
        project: of the experiments.
        manifests: have them.
        starting: exp paths of what is to start.
        uses_slurm: whether it is Slurm that runs them, whose jobs may have an environment of their own.

    Raises:
        ExtraError: they do.
    """
    for manifest in manifests:
        lacking = lacking_in_jobs(project, is_search=manifest.search is not None)
        for one in manifest.experiments() if lacking else ():
            if str(one.exp_path) in starting and not (
                uses_slurm and brings_own_python(manifest.task_message(one.task, one.config))
            ):
                check(lacking[0])


def end_lines(project: Project, sweeps: Iterable[str]) -> list[str]:
    """Say in a line what the end of a run will lack, and what installs it; no line where it lacks nothing.

    Args:
        project: whose settings say which files there are to be.
        sweeps: the sweep files whose tables come at the end, relative to the project root; empty for none.
    """
    extras = [extra for one in project.settings.reports if (extra := EXTRA_OF_FORMAT.get(one))]
    lacking = [extra for extra in extras if missing(extra)]
    if missing("sheets") and any(sheet_named_by(project, sweep)[0] for sweep in sweeps if sweep):
        lacking.append("sheets")
    if not lacking:
        return []
    return [f"there will be no {' and no '.join(map(_NAMES.__getitem__, lacking))}: {install_line(*lacking)}"]


def without_page(formats: Iterable[str]) -> tuple[list[str], list[str]]:
    """Leave the page out of the formats of a table that is there anyway where its extra isn't.

    Returns:
        the formats that are left, and the line that says so.
    """
    wanted = list(formats)
    if "html" not in wanted or not missing("page"):
        return wanted, []
    return [one for one in wanted if one != "html"], [f"no page: {install_line('page')}"]


def sheet_named_by(project: Project, sweep: str) -> tuple[tuple[str, str] | None, list[str]]:
    """Return the spreadsheet and worksheet that a sweep file names, and what is wrong with that."""
    from heyhi.sweep.file import load_sweep_module

    try:
        sheet = getattr(load_sweep_module(project, project.root / sweep), "SHEET", None)
    except HeyhiError:
        return None, []  # said where its get_logs_data is asked for
    if sheet is None:
        return None, []
    if isinstance(sheet, (tuple, list)) and len(sheet) == 2 and all(isinstance(s, str) and s for s in sheet):
        return (sheet[0], sheet[1]), []
    return None, [f"{sweep}: SHEET is {sheet!r}; expected (spreadsheet, worksheet)"]
