"""The HTML page of a sweep: one file, made from plain data, that needs no network and no other file.

What to show is the caller's: no experiment folder is read here. How it looks and behaves is in page_files/.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from heyhi.files import replace_file
from heyhi.report.fields import is_replicate
from heyhi.report.page_curves import MAX_EXACT, POINTS, X_KEYS, Arrays, thinned
from heyhi.report.page_libraries import PageError, read_libraries

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Template

# One script, in parts that can be read.
_SCRIPTS = ("values.js", "plots.js", "curves.js", "overrides.js", "table.js", "details.js", "start.js")
_COLOUR_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@dataclass(frozen=True)
class Detail:
    """What the page tells about one experiment beside its row.

    Args:
        config: the composed config as text.
        flat: the same as dotted keys and scalars; what differs between experiments is found from it.
        attempts: lines of attempts.jsonl.
        log: last lines of the log.
        folder: its folder, for a link relative to the page; None for no link.
        log_path: its log, likewise.
        group: experiments with the same non-empty name are seeds of one; found from `flat` when empty.
    """

    config: str = ""
    flat: Mapping[str, object] = field(default_factory=dict)
    attempts: Sequence[Mapping[str, object]] = ()
    log: Sequence[str] = ()
    folder: Path | None = None
    log_path: Path | None = None
    group: str = ""


@dataclass(frozen=True)
class PageData:
    """What a page shows.

    In the table, None and pandas.NA are shown as blank, and a float NaN as NaN: a column where some
    experiments lack a metric must be of dtype object (or a nullable one), else its gaps are NaN.

    Args:
        title: heading, and name of the browser's tab.
        table: a row an experiment, in the order to show, with a column `exp_id`. Column names are unique.
        metrics: columns that hold results.
        overrides: columns that hold overrides.
        curves: exp id -> lines of metrics.jsonl.
        details: exp id -> what else there is to tell.
        replicate: keys of the flat config in which seeds of one experiment differ (`seed` means `train.seed` too).
        durations: columns that hold seconds.
        times: columns that hold seconds since 1970.
        hidden: columns that are shown on demand only.
    """

    title: str
    table: pd.DataFrame
    metrics: Sequence[str] = ()
    overrides: Sequence[str] = ()
    curves: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)
    details: Mapping[str, Detail] = field(default_factory=dict)
    replicate: Sequence[str] = ()
    durations: Sequence[str] = ("seconds",)
    times: Sequence[str] = ("updated",)
    hidden: Sequence[str] = ("job_id", "code")


def write_page(path: Path, page: PageData, *, points: int = POINTS) -> None:
    """Write a sweep's page; a reader sees the old one or the new one, whole.

    Args:
        path: the HTML file. Links to folders and logs are relative to where it is.
        page: what to show.
        points: how many points of a curve are kept, beside its extremes and its end.

    Raises:
        PageError: plotly or itables is missing, or the table has no exp_id or a name twice.
        ResultError: the file can't be written.
    """
    replace_file(path, render_page(page, folder=path.absolute().parent, points=points))


def render_page(page: PageData, *, folder: Path, points: int = POINTS) -> str:
    """Make a page's text; `folder` is where it will be, for relative links."""
    libraries = read_libraries()
    scripts = {"plotly": libraries.plotly, "tables": libraries.tables, "script": "\n".join(map(_own, _SCRIPTS))}
    return _template().render(
        **scripts,
        hashes=list(map(_hash, scripts.values())),
        title=_printable(page.title),
        library_style=libraries.tables_style,
        style=_own("style.css"),
        data=_json(_payload(page, folder, points)),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    """Load page_files/page.html; what a user wrote is escaped in it."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_own),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html")


def _payload(page: PageData, folder: Path, points: int) -> dict[str, Any]:
    """Make what values.js reads: rows, curves and details in the table's order."""
    names = [str(name) for name in page.table.columns]
    if "exp_id" not in names or len(set(names)) != len(names):
        raise PageError(f"a page's table needs a column exp_id and unique names, has: {', '.join(names)}")
    ids = [str(exp_id) for exp_id in page.table["exp_id"]]
    details = [page.details.get(exp_id, Detail()) for exp_id in ids]
    arrays = Arrays()
    common, differing = _flat_configs([detail.flat for detail in details])
    return {
        "title": _printable(page.title),
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "points": points,
        "ids": ids,
        "columns": [{"name": name, "kind": _kind(name, page), "hidden": name in page.hidden} for name in names],
        "rows": [list(row) for row in zip(*_cells(page.table), strict=True)],
        "groups": _groups(details, page.replicate),
        "curves": [thinned(page.curves.get(exp_id, ()), points, arrays) for exp_id in ids],
        "arrays": arrays.packed,
        "x": list(X_KEYS),
        "common": common,
        "details": [
            {
                "config": detail.config,
                "flat": flat,
                "attempts": [{str(k): _shown(v) for k, v in one.items()} for one in detail.attempts],
                "log": [_COLOUR_CODES.sub("", line.rstrip("\r\n")) for line in detail.log],
                "folder": _link(detail.folder, folder, is_folder=True),
                "log_link": _link(detail.log_path, folder),
            }
            for detail, flat in zip(details, differing, strict=True)
        ],
    }


def _kind(name: str, page: PageData) -> str:
    """Return what a column holds, by which the page formats it."""
    kinds = {"exp_id": "id", "status": "status", "exp_path": "folder", "folder": "folder"}
    kinds |= dict.fromkeys(page.durations, "duration") | dict.fromkeys(page.times, "time")
    kinds |= dict.fromkeys(page.overrides, "override") | dict.fromkeys(page.metrics, "metric")
    return kinds.get(name, "fact")


def _cells(table: pd.DataFrame) -> list[list[object]]:
    """Return the columns as JSON holds them."""
    columns: list[list[object]] = []
    for i in range(table.shape[1]):
        column = table.iloc[:, i]
        # Columns of text have no other way to say missing, so that there a NaN is none.
        missing_is_nan = not (column.dtype == object or column.dtype.kind == "f")
        columns.append([_cell(value, missing_is_nan) for value in column.tolist()])
    return columns


def _cell(value: object, missing_is_nan: bool) -> object:
    """Return a cell: text, a number, None for none, or `[text]` for a number that JSON can't hold."""
    import pandas as pd

    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, enum.Enum):
        value = value.value
    if not isinstance(value, str | bool | int | float) and hasattr(value, "item"):
        value = value.item()  # NumPy's and tensor libraries' scalars
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if math.isnan(value) and missing_is_nan:
            return None
        return value if math.isfinite(value) else [_shown(value)]
    if isinstance(value, int):
        return value if abs(value) <= MAX_EXACT else [str(value)]
    return _shown(value)


def _shown(value: object) -> str:
    """Return a value as text, as configs and metrics write it."""
    if value is None:
        return ""
    if isinstance(value, enum.Enum):
        return _shown(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return json.dumps(value)
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def _flat_configs(flats: Sequence[Mapping[str, object]]) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """Part the configs into what those of one task share, and what each has beside it.

    Returns:
        The shared keys with their values, one dict a task; for each config the number of its task's dict
        (`common`) and its own keys (`own`).
    """
    texts = [{str(key): _shown(value) for key, value in flat.items()} for flat in flats]
    by_task: dict[str, list[dict[str, str]]] = {}
    tasks = []
    for text in texts:
        heads = {key.partition(".")[0] for key in text}
        task = heads.pop() if len(heads) == 1 else ""  # an evaluation isn't compared with a training
        tasks.append(task)
        by_task.setdefault(task, []).append(text)
    common = {}
    for task, members in by_task.items():
        shared = set(members[0].items())
        for text in members[1:]:
            shared &= text.items()
        common[task] = {key: value for key, value in members[0].items() if (key, value) in shared}
    order = list(common)
    return list(common.values()), [
        {"common": order.index(task), "own": {k: v for k, v in text.items() if k not in common[task]}}
        for task, text in zip(tasks, texts, strict=True)
    ]


def _groups(details: Sequence[Detail], replicate: Sequence[str]) -> list[int]:
    """Number the groups of seeds: experiments whose configs are equal but for the replicate keys."""
    numbers: dict[object, int] = {}
    groups = []
    for i, detail in enumerate(details):
        key: object = i
        if detail.group:
            key = ("group", detail.group)
        elif replicate and detail.flat:
            rest = {k: _shown(v) for k, v in detail.flat.items() if not is_replicate(k, replicate)}
            key = ("flat", tuple(sorted(rest.items())))
        groups.append(numbers.setdefault(key, len(numbers)))
    return groups


def _link(target: Path | None, folder: Path, *, is_folder: bool = False) -> str:
    """Return a relative address; it opens after the whole results folder was moved or copied."""
    if target is None:
        return ""
    # The leading dot keeps a name with a colon from being read as a scheme.
    path = "./" + os.path.relpath(target.absolute(), folder) + ("/" if is_folder else "")
    return quote(os.fsencode(path))


def _own(name: str) -> str:
    """Read a file of page_files/."""
    return resources.files("heyhi.report").joinpath("page_files", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Name a script by its content, as a Content-Security-Policy does: no other one runs."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"


def _json(value: object) -> str:
    """Write JSON that nothing in a page takes for markup, whatever the texts in it are."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text  # ASCII only, so that U+2028, U+2029 and lone surrogates are escaped as well


def _printable(text: str) -> str:
    """Replace what UTF-8 can't hold, such as bytes of a file name that are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")
