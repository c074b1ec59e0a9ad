"""How the experiments of a launch are, and what came of them, for a message: counts, the best one, hours, tables.

`python -m heyhi.report.summed_up` reads manifests and targets as JSON, and prints JSON.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.errors import HeyhiError, reporting_errors
from heyhi.experiment.directions import Direction, Directions, loss_of
from heyhi.experiment.metrics import BEST
from heyhi.experiment.names import Status
from heyhi.experiment.slots import shown_folder
from heyhi.files import is_there
from heyhi.project import Project, find_project
from heyhi.quick_dataclass import replace
from heyhi.report.cell_text import value_text
from heyhi.report.gather import directions, gather
from heyhi.report.source import Source
from heyhi.report.spread import is_finite
from heyhi.report.used_line import used_line
from heyhi.report.write import fixed_files
from heyhi.streams import guard_streams
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.manifest import Manifest, table_of
from heyhi.sweep.target import folders_of

if TYPE_CHECKING:
    import pandas as pd

_MOST_SETTING = 200  # characters


def summed_up(project: Project, manifests: Sequence[str], targets: Sequence[str]) -> dict[str, Any]:
    """Sum up some sweeps and experiments.

    Args:
        project: whose they are.
        manifests: of sweeps, relative to the project root.
        targets: of experiments beside them.

    Raises:
        HeyhiError: a manifest is gone or damaged.
    """
    opened = [Manifest.open(project.root / path) for path in manifests]
    sources = [Source.of(manifest, project) for manifest in opened]
    sources += _sources_of(project, targets)
    if not sources:
        return {}
    table = gather(sources).table
    counts = Counter(table["status"])
    # The table has a row for each trial that was chosen; the others weren't started.
    slots = [slot for one in opened if one.search is not None for slot in one.own_folders]
    if unchosen := sum(shown_folder(slot) == slot for slot in slots):
        counts[Status.NOT_STARTED.value] += unchosen
    found: dict[str, Any] = {
        "counts": dict(counts),
        "tables": [path for manifest in opened for path in _tables(project, manifest)],
        "used_line": used_line(table),
    }
    for name in ("gpu_hours", "cpu_hours"):
        columns = [table[one].tolist() for one in (name, f"{name}_lost") if one in table]
        found[name] = round(sum(value for column in columns for value in column if is_finite(value)), 4)
    aims = {(one.search.metric, one.search.direction) for one in opened if one.search is not None}
    aim = next(iter(aims)) if len(aims) == 1 else None
    return found | best_of(table, directions(project), aim)


def best_of(table: pd.DataFrame, known: Directions, aim: tuple[str, Direction] | None = None) -> dict[str, Any]:
    """Return the best experiment that is DONE, by the first metric that the project declares, else the first known."""
    names = [str(name) for name in table.attrs.get("metrics", ()) if not str(name).endswith(BEST)]
    declared = [name for name in names if known.declared(name)]
    for name, direction in [aim] if aim else [(name, known.of(name)) for name in (*declared, *names)]:
        if direction is None or name not in table:
            continue
        values = table[name].tolist()
        done = [
            (loss_of(float(value), direction), place)
            for place, (value, status) in enumerate(zip(values, table["status"], strict=True))
            if status == Status.DONE.value and is_finite(value)
        ]
        if done:
            return _best(table, name, min(done)[1], direction)
    return {}


def _best(table: pd.DataFrame, name: str, place: int, direction: Direction) -> dict[str, Any]:
    row = table.iloc[place]
    value = float(row[name])
    varying = [column for column in table.attrs.get("varying", ()) if column in table]
    cells = {str(column): value_text(row[column]) for column in varying}
    setting = ", ".join(f"{column}={text}" for column, text in cells.items())
    exp_id = str(row["exp_id"])
    shown = setting if setting and len(setting) <= _MOST_SETTING else exp_id
    return {
        "best": {
            "metric": name,
            "value": value if math.isfinite(value) else None,
            "direction": direction,
            "exp_id": exp_id,
            "setting": cells,
        },
        "best_line": f"best {name}: {value_text(value)} ({direction}), {shown}",
    }


def _tables(project: Project, manifest: Manifest) -> list[str]:
    """Return the files of a sweep's table that are there: below its fixed names, else by its digest."""
    fixed = [
        path for path in fixed_files(project, manifest.label, ["csv", *project.settings.reports]) if is_there(path)
    ]
    complete = project.root / table_of(project, manifest)
    found = fixed or [path for path in (complete,) if is_there(path)]
    return list(dict.fromkeys(map(project.relative, found)))


def _sources_of(project: Project, targets: Sequence[str]) -> list[Source]:
    """Return experiments beside the sweeps, by the manifests that each was expanded into last."""
    folders = folders_of(list(targets), project.root)
    by_manifest: dict[Path, list[str]] = {}
    index = ManifestIndex.open(project).find_all(folders) if folders else {}
    for target, folder in zip(targets, folders, strict=True):
        if (path := index.get(str(folder))) is not None:
            by_manifest.setdefault(path, []).append(target)
    found = []
    for path, its in by_manifest.items():
        with contextlib.suppress(HeyhiError):
            found.append(replace(Source.of(Manifest.open(path), project), only=tuple(its)))
    return found


def main() -> int:
    """Read what it is about from standard input, and print what came of it."""
    asked: Mapping[str, Any] = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # a sweep file's own code may print
        found = summed_up(find_project(Path.cwd()), asked["manifests"], asked["targets"])
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    guard_streams()
    with reporting_errors():
        sys.exit(main())
