"""What a page shows beside its table: curves, and the config, attempts and log of each experiment."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.errors import HeyhiError, UnknownError
from heyhi.experiment.counters import is_counter
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import Record, Start
from heyhi.files import is_there, read_end
from heyhi.project import Project
from heyhi.report.read import metrics_of
from heyhi.report.readings import OWN_NAMES
from heyhi.report.shaped import Shaped

if TYPE_CHECKING:
    from heyhi.report.page import Detail


_LOG_LINES = 40  # of each experiment, on the page
_LOG_BYTES = 20_000
_CONFIG_BYTES = 1_000_000
_MOST_ROWS = 5_000  # experiments of a page that a browser can still open


def write_html(path: Path, shaped: Shaped, project: Project, title: str) -> None:
    """Write a table with its curves, configs, attempts and logs as a page.

    Raises:
        HeyhiError: it can't be written.
    """
    from heyhi.report.page import PageData, write_page

    table = shaped.whole
    if len(table) > _MOST_ROWS:  # no failure: the aggregate rule must have its file
        print(f"warning: {path}: shows the first {_MOST_ROWS} of {len(table)} experiments", file=sys.stderr)
        attrs, table = table.attrs, table.head(_MOST_ROWS)
        table.attrs.update(attrs)
    varying = [str(v) for v in table.attrs.get("varying", ())]
    metrics = [str(c) for c in table.columns if c not in {*OWN_NAMES, *varying}]
    metrics.sort(key=is_counter)  # what only counts is the last that anybody looks for
    curves, details = {}, {}
    for exp_id, folder in zip(table["exp_id"], table["exp_path"], strict=True):
        curves[exp_id] = metrics_of(folder)
        details[exp_id] = _detail(ExperimentDir(Path(folder), project.results_root))
    page = PageData(
        title=title,
        table=table.drop(columns=["exp_path"]),
        metrics=metrics,
        overrides=varying,
        curves=curves,
        details=details,
        replicate=project.settings.replicate,
    )
    write_page(path, page)


def _detail(folder: ExperimentDir) -> Detail:
    """Read what a page shows of an experiment beside its row and its curves; what can't be read is left out."""
    from heyhi.report.page import Detail

    # Where one can't be looked at, its row says why.
    try:
        if not is_there(folder.path):
            return Detail()
        has_log = is_there(folder.log_path)
    except UnknownError:
        return Detail()
    attempts: list[Record] = []
    with contextlib.suppress(HeyhiError):
        attempts = folder.attempts()
    try:
        found = json.loads(folder.flat_config_path.read_bytes())
    except (OSError, ValueError):
        found = {}
    log = folder.log_path
    return Detail(
        config=_shown(folder.config_path, _CONFIG_BYTES),
        flat=found if isinstance(found, dict) else {},
        attempts=_joined(attempts),
        log=_shown(log, _LOG_BYTES).splitlines()[-_LOG_LINES:],
        folder=folder.path,
        log_path=log if has_log else None,
    )


def _shown(path: Path, most: int) -> str:
    """Read the end of a text file; nothing where there is none, and why where it can't be read."""
    try:
        path.open("rb").close()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"({path.name} can't be read: {error.strerror or error})"
    return read_end(path, most)


def _joined(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Put start and end of each attempt into one row."""
    rows: dict[int, dict[str, Any]] = {}
    for record in records:
        row = rows.setdefault(record.attempt, {"attempt": record.attempt})
        if isinstance(record, Start):
            row |= {"kind": record.kind, "host": record.host, "job_id": record.job_id or None}
            row |= {"started": record.time, "code": record.version.name}
            row |= {"changed": "; ".join(record.changed)} if record.changed else {}
        else:
            row |= {"seconds": record.seconds, "reason": record.exception or record.reason}
    return list(rows.values())
