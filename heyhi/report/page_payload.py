"""What a page's script is given: rows, experiments, curves and details, as JSON holds them.

page_files/values.js reads it. The same can be sent again, whole or in parts, to a page that is open.
"""

from __future__ import annotations

import enum
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from heyhi.config.fields import is_replicate
from heyhi.experiment.metrics import BEST
from heyhi.report.page_arrays import MAX_EXACT, Arrays
from heyhi.report.page_content import Detail, PageData
from heyhi.report.page_curves import CurveSet
from heyhi.report.page_libraries import PageError
from heyhi.report.page_search import search_payload
from heyhi.report.plain_table import PlainTable
from heyhi.report.readings import RESULT
from heyhi.report.spread import DEFAULT_SPREAD, factor
from heyhi.report.x_axes import names_of_axes

if TYPE_CHECKING:
    import pandas as pd

_TEXTS, _FLOATS, _INTS = (frozenset({own, type(None)}) for own in (str, float, int))
_MIXED = {int, float}
_INT64 = 1 << 63
_COLOUR_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def payload_of(page: PageData, folder: Path) -> dict[str, Any]:
    """Make what values.js reads: rows in the table's order; experiments with their curves and details in theirs.

    Raises:
        PageError: the experiments have no exp_id, or a table has a name twice.
    """
    curved = {name for sets in page.curves.values() for one in sets for name in one.y}
    found = table_payload(page, curved)
    details = [page.details.get(exp_id, Detail()) for exp_id in found["ids"]]
    curves = [page.curves.get(exp_id, ()) for exp_id in found["ids"]]
    arrays, axes = Arrays(), names_of_axes(curves)
    common, differing = _flat_configs([detail.flat for detail in details])
    return found | {
        "curves": [[curve_set(one, axes, arrays) for one in sets] for sets in curves],
        "arrays": arrays.packed,
        "x": axes,
        "common": common,
        "details": [
            {
                "config": detail.config,
                "flat": flat,
                "attempts": [{str(k): shown_value(v) for k, v in one.items()} for one in detail.attempts],
                "log": [_COLOUR_CODES.sub("", line.rstrip("\r\n")) for line in detail.log],
                "folder": _link(detail.folder, folder, is_folder=True),
                "log_link": _link(detail.log_path, folder),
            }
            for detail, flat in zip(details, differing, strict=True)
        ],
    }


def table_payload(page: PageData, curved: Iterable[str] = ()) -> dict[str, Any]:
    """Make the same, less the curves and details of the experiments.

    Args:
        page: what is shown.
        curved: names of the metrics that there are curves of.

    Raises:
        PageError: as `payload_of` does.
    """
    whole = page.table if page.whole is None else page.whole
    names, cells = _cells_in(whole)
    if "exp_id" not in names:
        raise PageError(f"a page's table needs a column exp_id, has: {', '.join(names)}")
    ids = [str(exp_id) for exp_id in _column(whole, "exp_id")]
    return {
        "title": _printable(page.title),
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "refresh": page.refresh,
        "notes": [_printable(note) for note in page.notes],
        "asked": [_printable(words) for words in page.asked],
        "total": len(ids) if page.total is None else page.total,
        "pivot": page.pivot,
        "points": page.buckets,
        "ids": ids,
        "runs": _table(page, names, cells, len(ids)),
        "table": None if page.table is whole else _table(page, *_cells_in(page.table), len(page.table)),
        "members": [list(row) for row in page.members] or [[place] for place in range(len(ids))],
        "counts": list(page.counts) or [True] * len(ids),
        "groups": list(page.groups) or list(range(len(ids))),
        "packages": list(page.packages) or [None] * len(ids),
        "spread": page.spread,
        "factors": _factors(page),
        "directions": _directions(page, curved),
        "searches": [search_payload(one, ids) for one in page.searches],
    }


def curve_set(one: CurveSet, axes: Sequence[str], arrays: Arrays) -> dict[str, dict[str, int]]:
    """Return the numbers of the arrays of some metrics: those over axes by the order of these."""
    found = {
        "x": {name: arrays.add(one.x[name]) for name in axes if name in one.x},
        "y": {name: arrays.add(values) for name, values in one.y.items()},
    }
    if one.mean:
        found["mean_x"] = {name: arrays.add(one.mean_x[name]) for name in axes if name in one.mean_x}
        found["mean"] = {name: arrays.add(values) for name, values in one.mean.items()}
    return found


def _table(page: PageData, names: Sequence[str], cells: Sequence[Sequence[object]], count: int) -> dict[str, Any]:
    """Return columns, and rows of cells."""
    if len(set(names)) != len(names):
        raise PageError(f"a page's table needs unique names, has: {', '.join(names)}")
    parts = _parts(page, names)
    empty = {name for name, column in zip(names, cells, strict=True) if all(cell in (None, "") for cell in column)}
    return {
        "columns": [
            {
                "name": name,
                "kind": "part" if name in parts else _kind(name, page),
                # What is empty everywhere takes no room; a table without rows has its columns.
                "hidden": name in page.hidden or name in parts or (name in empty and count > 0),
                "replicate": is_replicate(name, page.replicate),
            }
            for name in names
        ],
        # A table without columns has rows, too.
        "rows": [list(row) for row in zip(*cells, strict=True)] if names else [[] for _ in range(count)],
    }


def _parts(page: PageData, names: Sequence[str]) -> set[str]:
    """Return the columns that are shown in the cell of a mean: its spread, and of how many it is."""
    if page.spread is None:
        return set()
    return {part for name in names for part in (f"{name}.{page.spread}", f"{name}.n") if part in names}


def _kind(name: str, page: PageData) -> str:
    """Return what a column holds, by which the page formats it."""
    kinds = {"exp_id": "id", "status": "status", "exp_path": "folder", "folder": "folder"}
    kinds |= dict.fromkeys(page.durations, "duration") | dict.fromkeys(page.times, "time")
    kinds |= dict.fromkeys(page.overrides, "override") | dict.fromkeys(page.metrics, "metric")
    return kinds.get(name, "fact")


def _directions(page: PageData, curves: Iterable[str]) -> dict[str, str]:
    """Return which way those metrics are better of which one knows."""
    names = {*map(str, page.metrics), *curves}
    found = {name: page.direction(name.removesuffix(RESULT).removesuffix(BEST)) for name in names}
    return {name: direction for name, direction in sorted(found.items()) if direction is not None}


def _factors(page: PageData) -> list[float]:
    """Return by what the sample deviation of 0, 1, 2 … numbers is multiplied for the half width of a band."""
    sizes: dict[int, int] = {}
    for group in page.groups:
        sizes[group] = sizes.get(group, 0) + 1
    most = max([*map(len, page.members), *sizes.values()], default=0)
    return [0.0, 0.0] + [factor(page.spread or DEFAULT_SPREAD, count) for count in range(2, most + 1)]


def _column(table: pd.DataFrame | PlainTable, name: str) -> list[Any]:
    found: list[Any] = table.column(name) if isinstance(table, PlainTable) else table[name].tolist()
    return found


def _cells_in(table: pd.DataFrame | PlainTable) -> tuple[list[str], list[list[object]]]:
    """Return the names of a table's columns, and the columns as JSON holds them."""
    if isinstance(table, PlainTable):
        return [str(name) for name in table.columns], list(map(_plain_cells, table.columns.values()))
    columns: list[list[object]] = []
    for i in range(table.shape[1]):
        column = table.iloc[:, i]
        # Columns of text have no other way to say missing, so that there a NaN is none.
        missing_is_nan = not (column.dtype == object or column.dtype.kind == "f")
        columns.append([_cell(value, missing_is_nan) for value in column.tolist()])
    return [str(name) for name in table.columns], columns


def _plain_cells(values: list[Any]) -> list[Any]:
    """Return the cells of a column, as if it had been one of a DataFrame; mostly they are its values as they are."""
    types = set(map(type, values))
    if types <= _TEXTS:
        return values
    if types == _MIXED and all(-_INT64 <= value < _INT64 for value in values if type(value) is int):
        values, types = list(map(float, values)), {float}  # a column of nothing but numbers has one type
    numbers = values if type(None) not in types else [value for value in values if value is not None]
    if types <= _FLOATS and all(map(math.isfinite, numbers)):
        return values
    if types <= _INTS and numbers and min(numbers) >= -MAX_EXACT and max(numbers) <= MAX_EXACT:
        return values
    return [_cell(value, missing_is_nan=False) for value in values]


def _cell(value: object, missing_is_nan: bool) -> object:
    """Return a cell: text, a number, None for none, or `[text]` for a number that JSON can't hold."""
    if value is None:
        return None
    if isinstance(value, enum.Enum):
        value = value.value
    if not isinstance(value, str | bool | int | float):
        import pandas as pd

        if value is pd.NA or value is pd.NaT:
            return None
        if hasattr(value, "item"):
            value = value.item()  # NumPy's and tensor libraries' scalars
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if math.isnan(value) and missing_is_nan:
            return None
        return value if math.isfinite(value) else [shown_value(value)]
    if isinstance(value, int):
        return value if abs(value) <= MAX_EXACT else [str(value)]
    return shown_value(value)


def shown_value(value: object) -> str:
    """Return a value as text, as configs and metrics write it."""
    if value is None:
        return ""
    if isinstance(value, enum.Enum):
        return shown_value(value.value)
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
    texts = [{str(key): shown_value(value) for key, value in flat.items()} for flat in flats]
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


def _link(target: Path | None, folder: Path, *, is_folder: bool = False) -> str:
    """Return a relative address; it opens after the whole results folder was moved or copied."""
    if target is None:
        return ""
    # The leading dot keeps a name with a colon from being read as a scheme.
    path = "./" + os.path.relpath(target.absolute(), folder) + ("/" if is_folder else "")
    return quote(os.fsencode(path))


def _printable(text: str) -> str:
    """Replace what UTF-8 can't hold, such as bytes of a file name that are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")
