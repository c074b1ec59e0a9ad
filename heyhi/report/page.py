"""Owns the HTML page of a sweep: one file, made from plain data, that needs no network and no other file.

What to show is the caller's: no experiment folder is read here. How it looks and behaves is in page_files/;
table and plots are drawn by the scripts that itables and plotly carry.
"""

from __future__ import annotations

import base64
import contextlib
import enum
import hashlib
import html
import importlib.util
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from heyhi.errors import HeyhiError
from heyhi.files import replace_file

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Positions: TypeAlias = NDArray[np.intp]


POINTS = 300  # of a learning curve, beside its extremes: more than a screen shows
# What may count a curve's progress, the usual one first; all else that is a number is a metric.
X_KEYS = ("step", "global_step", "iteration", "iter", "update", "epoch", "samples", "tokens", "seconds", "time")
_MAX_EXACT = 2**53  # JavaScript's numbers hold no larger integers
_FLOAT32 = (1e-37, 3e38)  # what 32 bits hold in full precision
# One script, in parts that can be read.
_SCRIPTS = ("values.js", "plots.js", "curves.js", "overrides.js", "table.js", "details.js", "start.js")
_COLOUR_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class PageError(HeyhiError):
    """The page can't be made: a library is missing, or the data doesn't fit together."""


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
    plotly, tables, style = _libraries()
    script = "\n".join(map(_own, _SCRIPTS))
    scripts = (plotly, tables, script)
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
        f"script-src {' '.join(_hash(s) for s in scripts)}"
    )
    return _fill(
        _own("page.html"),
        {
            "policy": policy,
            "title": html.escape(_printable(page.title)),
            "library_style": style,
            "style": _own("style.css"),
            "data": _json(_payload(page, folder, points)),
            "plotly": plotly,
            "tables": tables,
            "script": script,
        },
    )


def _payload(page: PageData, folder: Path, points: int) -> dict[str, Any]:
    """Make what values.js reads: rows, curves and details in the table's order."""
    names = [str(name) for name in page.table.columns]
    if "exp_id" not in names or len(set(names)) != len(names):
        raise PageError(f"a page's table needs a column exp_id and unique names, has: {', '.join(names)}")
    ids = [str(exp_id) for exp_id in page.table["exp_id"]]
    details = [page.details.get(exp_id, Detail()) for exp_id in ids]
    arrays = _Arrays()
    common, differing = _flat_configs([detail.flat for detail in details])
    return {
        "title": _printable(page.title),
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "points": points,
        "ids": ids,
        "columns": [{"name": name, "kind": _kind(name, page), "hidden": name in page.hidden} for name in names],
        "rows": [list(row) for row in zip(*_cells(page.table), strict=True)],
        "groups": _groups(details, page.replicate),
        "curves": [_curves(page.curves.get(exp_id, ()), points, arrays) for exp_id in ids],
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
        return value if abs(value) <= _MAX_EXACT else [str(value)]
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
            rest = {k: _shown(v) for k, v in detail.flat.items() if not _is_replicate(k, replicate)}
            key = ("flat", tuple(sorted(rest.items())))
        groups.append(numbers.setdefault(key, len(numbers)))
    return groups


def _is_replicate(key: str, replicate: Sequence[str]) -> bool:
    return any(key == name or key.endswith(f".{name}") for name in replicate)


class _Arrays:
    """The curves' numbers, each array once: seeds and metrics mostly share their steps."""

    def __init__(self) -> None:
        self.packed: list[str] = []
        self._numbers: dict[str, int] = {}

    def add(self, values: Floats, *, exact: bool = False) -> int:
        """Keep an array and return its number; its first letter tells the type of the rest, in base64."""
        text = _packed(values, exact)
        number = self._numbers.setdefault(text, len(self.packed))
        if number == len(self.packed):
            self.packed.append(text)
        return number


def _packed(values: Floats, exact: bool) -> str:
    """Write numbers in the smallest of three types that changes nothing a plot could show, or nothing at all."""
    import numpy as np

    kind, dtype = "d", "<f8"
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not exact and (not sizes.size or (sizes.min() > _FLOAT32[0] and sizes.max() < _FLOAT32[1])):
        kind, dtype = "f", "<f4"
    if len(values) and np.isfinite(values).all() and (values == np.rint(values)).all():
        top = np.abs(values).max()
        if top < 2**31:
            kind, dtype = "i", "<i4"
        elif top < _MAX_EXACT:
            kind, dtype = "d", "<f8"  # a time stamp or a count of tokens needs its last digits
    return kind + base64.b64encode(values.astype(dtype).tobytes()).decode("ascii")


def _curves(lines: Sequence[Mapping[str, object]], points: int, arrays: _Arrays) -> list[dict[str, Any]]:
    """Thin out one experiment's curves.

    Returns:
        One dict for each set of lines that hold the same metrics: `x` (name -> array's number) and `y`.
    """
    import numpy as np

    if not lines:
        return []
    columns = _numbers(lines)
    x = {key: columns.pop(key) for key in X_KEYS if key in columns}
    # Metrics that are logged at the same lines share their x, and what is kept of it.
    sets: dict[bytes, list[str]] = {}
    for name, (where, _) in columns.items():
        sets.setdefault(where.tobytes(), []).append(name)
    found = []
    for names in sets.values():
        where = columns[names[0]][0]
        kept = _kept([columns[name][1] for name in names], points)
        positions = {key: _at(where[kept], *values, len(lines)) for key, values in x.items()}
        if not positions:
            positions = {"line": (where[kept] + 1).astype(np.float64)}
        found.append(
            {
                "x": {key: arrays.add(values, exact=True) for key, values in positions.items()},
                "y": {name: arrays.add(np.asarray(columns[name][1][kept])) for name in names},
            }
        )
    return found


def _numbers(lines: Sequence[Mapping[str, object]]) -> dict[str, tuple[Positions, Floats]]:
    """Return for each key the lines where it is a number, and the numbers."""
    import numpy as np

    everywhere = np.arange(len(lines))
    columns = {}
    for key, values in _by_key(lines):
        where = everywhere
        # One look at the types decides for all lines; only a mixed column is gone through one by one.
        if set(map(type, values)) - {float, int}:
            where = np.array([i for i, v in enumerate(values) if isinstance(v, int | float)], dtype=np.intp)
            values = [values[i] for i in where]
        if len(where):
            columns[str(key)] = (where, _floats(values))
    return columns


def _by_key(lines: Sequence[Mapping[str, object]]) -> Iterator[tuple[str, list[Any]]]:
    """Turn lines into columns, None where a line lacks a key; fast where all lines have the same keys."""
    if set(map(len, lines)) == {len(lines[0])}:
        with contextlib.suppress(KeyError):
            yield from [(key, list(map(itemgetter(key), lines))) for key in lines[0]]
            return
    for key in dict.fromkeys(key for line in lines for key in line):
        yield key, [line.get(key) for line in lines]


def _floats(values: list[Any]) -> Floats:
    import numpy as np

    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:  # an integer beyond any float
        return np.array([_float(value) for value in values])


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _kept(metrics: Sequence[Floats], points: int) -> Positions:
    """Choose positions: evenly spaced ones, each metric's extremes, and where it first isn't finite."""
    import numpy as np

    count = len(metrics[0])
    if count <= points:
        return np.arange(count)
    kept = [np.linspace(0, count - 1, points).round().astype(np.intp)]
    for values in metrics:
        finite = np.isfinite(values)
        if finite.all():
            kept.append(np.array([values.argmin(), values.argmax()]))
            continue
        first_bad = int(finite.argmin())
        kept.append(np.array([max(first_bad - 1, 0), first_bad]))
        if finite.any():
            inner = np.where(finite, values, np.nan)
            kept.append(np.array([np.nanargmin(inner), np.nanargmax(inner)]))
    return np.unique(np.concatenate(kept))


def _at(wanted: Positions, where: Positions, values: Floats, count: int) -> Floats:
    """Return values at some lines, NaN where a line has none."""
    import numpy as np

    if len(where) == count:
        return values[wanted]
    full = np.full(count, np.nan)
    full[where] = values
    return full[wanted]


def _link(target: Path | None, folder: Path, *, is_folder: bool = False) -> str:
    """Return a relative address; it opens after the whole results folder was moved or copied."""
    if target is None:
        return ""
    # The leading dot keeps a name with a colon from being read as a scheme.
    path = "./" + os.path.relpath(target.absolute(), folder) + ("/" if is_folder else "")
    return quote(os.fsencode(path))


def _libraries() -> tuple[str, str, str]:
    """Read what plotly and itables carry: Plotly's script, DataTables' script and style."""
    plotly = _packaged("plotly", "package_data/plotly.min.js")
    tables = _packaged("itables", "html/dt_bundle.js")
    style = _packaged("itables", "html/dt_bundle.css")
    # The bundle is a module that exports names. A page has no address to import it from, so that it sets
    # a global instead.
    exports = re.search(r"\bexport\s*\{([^{}]*)\}\s*;?", tables)
    names = dict(re.findall(r"([\w$]+) as (\w+)", exports[1])) if exports else {}
    wanted = [local for local, name in names.items() if name == "default"]
    if not exports or not wanted:
        raise PageError("the DataTables bundle of the installed itables exports no default; try another version")
    tables = f"{tables[: exports.start()]}globalThis.DataTable={wanted[0]};{tables[exports.end() :]}"
    for name, text in (("plotly", plotly), ("itables", tables)):
        if "</script" in text.lower():
            raise PageError(f"the script of the installed {name} can't be put into a page; try another version")
    return _compiled_once(plotly), tables, style.replace("</style", "<\\/style")


def _compiled_once(plotly: str) -> str:
    """Put parentheses around the function that is all of plotly.min.js: browsers then compile it once.

    Without them V8 takes it for one that is called later: it reads the 5 MB twice, which makes opening the
    page a fifth slower.
    """
    head = re.search(r"\bthis,\s*(?=\(\)\s*=>\s*\{)", plotly[:2000])
    tail = re.search(r"\}(?=\)\);?\s*$)", plotly)
    if not head or not tail:
        return plotly
    return f"{plotly[: head.end()]}({plotly[head.end() : tail.end()]}){plotly[tail.end() :]}"


def _packaged(package: str, name: str) -> str:
    """Read a file of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    for location in (spec and spec.submodule_search_locations) or ():
        path = Path(location, name)
        if path.exists():
            return path.read_text(encoding="utf-8")
    raise PageError(f"the HTML page needs {package} (with its {name}): pip install plotly itables")


def _own(name: str) -> str:
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


def _fill(template: str, parts: Mapping[str, str]) -> str:
    """Put parts where the template has `{{name}}`; what stands in a part is left as it is."""
    pieces: Iterable[str] = re.split(r"\{\{(\w+)\}\}", template)
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))
