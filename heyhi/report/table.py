"""Owns gathering experiments into a table: a row each, whatever its status, with what varies and what came out.

How an experiment's files are read is `ExperimentDir`'s business, and how a table is written that of `table`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from heyhi.experiment.folder import Experiment
from heyhi.project import Project, find_project
from heyhi.report.columns import ColumnCache
from heyhi.report.read import Collector, Reader
from heyhi.report.readings import Entry, Reading, Readings, transposed
from heyhi.sweep.expand import paused_collection
from heyhi.sweep.manifest import Manifest, project_of
from heyhi.sweep.target import target_of

if TYPE_CHECKING:
    import pandas as pd

_FEW = 10  # of what has to be read, that part is looked up one by one


def collect(
    source: Manifest | Iterable[Experiment],
    get_logs_data: Collector | None = None,
    *,
    project: Project | None = None,
    collector_source: bytes = b"",
    with_needs: bool = False,
    drift: Mapping[str, Sequence[str]] | None = None,
    progress: Callable[[int], Callable[[], None]] = lambda total: lambda: None,
) -> pd.DataFrame:
    """Gather experiments into a table.

    Columns: `status`; `cfg` and overrides, where they differ; what came out; `reason` (why it is dead, by what it is
    blocked, who runs it); `problem` (what could not be read); `needs` (exp ids); `drifted` (what differs, if asked
    for); `attempts`; `seconds` of all attempts; `updated` (seconds since 1970); `job_id`; `code` (commit, `+` with
    uncommitted changes); `exp_id`; `exp_path`. What is missing is None; NaN is what somebody wrote as a value.

    What is read of an experiment is remembered as long as its files stay as they are.

    Args:
        source: a manifest, of which the sweep's own experiments are taken, or experiments.
        get_logs_data: returns what came out of an experiment that was started. Default: the last value of each
            metric, its best value as `<name>.best` (the smallest of losses and errors, else the largest), and the
            scalars of the result.
        project: where they belong; default: that of the manifest, or around the working directory.
        collector_source: what get_logs_data is made of (its file): a change of it forgets what is remembered.
        with_needs: also what varies and came out of each needed experiment, as `<task>.<name>`.
        drift: exp id -> what differs today.
        progress: given how many experiments will be read, returns what is called after each.
    """
    if isinstance(source, Manifest):
        project = project or project_of(source)
    with paused_collection():
        # What it holds is freed before the collector would look at all of it.
        return _collect(
            source, Reader(project or find_project(), get_logs_data, collector_source), with_needs, drift, progress
        )


def _collect(
    source: Manifest | Iterable[Experiment],
    reader: Reader,
    with_needs: bool,
    drift: Mapping[str, Sequence[str]] | None,
    progress: Callable[[int], Callable[[], None]],
) -> pd.DataFrame:
    if isinstance(source, Manifest):
        points, entries_at = _points(source, reader.cache)
    else:
        entries = [entry_of(e) for e in source]
        points = _points_of(entries, entries)
        entries_at = lambda places: [entries[place] for place in places]  # noqa: E731
    needed: list[Entry] = []
    if with_needs and points.needs:
        wanted = dict.fromkeys(need for folder in points.folders for need in points.needs.get(folder, ()))
        everything = map(Entry._make, source.entries()[0]) if isinstance(source, Manifest) else entries
        known = {entry.folder: entry for entry in everything}
        needed = [known[folder] for folder in wanted if folder in known]
    tick = progress(len(points.folders) + len(needed))
    readings = reader.read(points.folders, entries_at, points.needs, tick)
    columns = _columns(reader.project, points, readings, drift)
    if needed:
        # The default columns: get_logs_data speaks of the sweep's own experiments.
        read = Reader(reader.project).read_all(needed, points.needs, tick)
        columns = _with_needs(columns, points, needed, read)
    return _frame(columns, points.varying)


@dataclass(frozen=True)
class _Points:
    """What a table shows of its experiments before it looks at their folders.

    Attributes:
        folders: their exp paths.
        needs: exp path -> exp paths of what it needs, for all that need any; also for those that are only needed.
        varying: columns of the config and of the overrides that are not the same for all; None where one has none.
    """

    exp_ids: list[str]
    folders: list[str]
    needs: dict[str, tuple[str, ...]]
    varying: dict[str, list[Any]]


_VARYING = "varying: "


def _points(manifest: Manifest, cache: ColumnCache) -> tuple[_Points, Callable[[Sequence[int]], list[Entry]]]:
    """Return what a manifest holds, and what reads the entries at some places.

    Of a manifest, which never changes, that is remembered: reading all of it takes longer than all else of a table of
    which little has changed.
    """
    name = f"manifest-{manifest.digest}"
    kept = cache.load(name)
    if not kept:
        rows, own = manifest.entries()
        found = list(map(Entry._make, rows))
        entries = [found[place] for place in own]
        points = _points_of(entries, found)
        columns: dict[str, list[Any]] = {"exp_id": points.exp_ids, "folder": points.folders}
        columns |= {"needing": list(points.needs), "needed": list(map(list, points.needs.values()))}
        columns |= {f"{_VARYING}{key}": column for key, column in points.varying.items()}
        cache.store(name, columns)
        return points, lambda places: [entries[place] for place in places]
    needs = dict(zip(kept["needing"], map(tuple, kept["needed"]), strict=True))
    varying = {column.removeprefix(_VARYING): v for column, v in kept.items() if column.startswith(_VARYING)}
    points = _Points(kept["exp_id"], kept["folder"], needs, varying)

    def entries_at(places: Sequence[int]) -> list[Entry]:
        if len(places) < len(points.folders) / _FEW:
            targets = [target_of(points.folders[place], manifest.project_root) for place in places]
            return list(map(Entry._make, manifest.entries_of(targets)))
        rows, own = manifest.entries()
        return [Entry._make(rows[own[place]]) for place in places]

    return points, entries_at


def _points_of(entries: Sequence[Entry], found: Iterable[Entry]) -> _Points:
    needs = {entry.folder: entry.needs for entry in found if entry.needs}
    return _Points([e.exp_id for e in entries], [e.folder for e in entries], needs, _varying(entries))


def entry_of(experiment: Experiment) -> Entry:
    """Return what is to be read of an experiment."""
    needs = tuple(map(str, experiment.needs))
    return Entry(experiment.exp_id, str(experiment.exp_path), experiment.identity, experiment.task, needs)


def _varying(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """Return the columns of the config and of the overrides that are not the same for all; None where one has none."""
    settings = [e.identity.overrides for e in entries]
    split = {text: text.partition("=") for text in set(chain.from_iterable(settings))}
    keys = {text: key for text, (key, _, _) in split.items()}
    texts = {text: value for text, (_, _, value) in split.items()}
    columns: dict[str, list[Any]] = {"cfg": [e.identity.cfg for e in entries]}
    if len(set(map(len, settings))) == 1:
        by_place = list(zip(*settings, strict=True))
        names = [{keys[text] for text in set(column)} for column in by_place]
    else:
        by_place, names = [], [set()]
    if all(len(own) == 1 for own in names):  # mostly all have the same keys
        columns |= {own.pop(): [texts[text] for text in column] for own, column in zip(names, by_place, strict=True)}
    else:
        rows = [[texts[text] for text in one] for one in settings]
        columns |= transposed([tuple([keys[text] for text in one]) for one in settings], rows)
    varying = {}
    for name, column in columns.items():
        values = {text: text if text is None else _scalar(text) for text in set(column)}
        if len(values) > 1:
            varying[name] = [values[text] for text in column]
    return varying


def _scalar(text: str) -> Any:
    """Read an override's value: numbers as such, so that a table can be sorted by them."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            pass
    return text


_OWN_NAMES = (
    "status reason problem needs drifted attempts seconds updated job_id code exp_id exp_path".split()  # noqa: SIM905
)
# What is left out of a table where nobody has it.
_OPTIONAL = ("problem", "needs", "drifted", "job_id", "code")


def _columns(
    project: Project,
    points: _Points,
    found: Readings,
    drift: Mapping[str, Sequence[str]] | None,
) -> dict[str, list[Any]]:
    fields = found.fields
    columns: dict[str, list[Any]] = {"status": fields["status"]}
    for key, column in points.varying.items():
        columns[_override_name(key)] = column
    for key, column in found.outcome.items():
        if not _is_needless(key, found.outcome):
            # A metric may be named as an override is: lr, of a schedule.
            columns[key if key not in columns and key not in _OWN_NAMES else f"{key} (result)"] = column
    root = f"{project.results_root}/"
    own: dict[str, list[Any]] = {
        "reason": [reason or None for reason in fields["reason"]],
        "problem": [problem or None for problem in fields["problem"]],
        "needs": [_names(root, points.needs.get(f, ())) for f in points.folders] if points.needs else [],
        "drifted": ["; ".join(drift.get(e, ())) or None for e in points.exp_ids] if drift is not None else [],
        **{name: fields[name] for name in ("attempts", "seconds", "updated", "job_id", "code")},
        "exp_id": points.exp_ids,
        "exp_path": points.folders,
    }
    return columns | {k: v for k, v in own.items() if k not in _OPTIONAL or any(x is not None for x in v)}


def _names(root: str, folders: Sequence[str]) -> str | None:
    return ", ".join([folder.removeprefix(root) for folder in folders]) or None


def _override_name(key: str) -> str:
    return key if key not in _OWN_NAMES else f"{key} (override)"


def _is_needless(key: str, outcome: Mapping[str, list[Any]]) -> bool:
    """Return whether a best value is the last one everywhere, which says nothing."""
    plain = key.removesuffix(".best")
    return plain != key and plain in outcome and all(map(_same, outcome[key], outcome[plain]))


def _same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))


def _with_needs(
    columns: dict[str, list[Any]], points: _Points, needed: Sequence[Entry], read: Sequence[Reading]
) -> dict[str, list[Any]]:
    """Add what varies and came out of what each experiment needs, before the columns about the experiment itself."""
    varying = _varying(needed)
    settings = (
        dict(zip((e.folder for e in needed), zip(*varying.values(), strict=True), strict=True)) if varying else {}
    )
    readings = dict(zip((e.folder for e in needed), read, strict=True))
    tasks = {e.folder: e.task for e in needed}
    rows: list[dict[str, Any]] = []
    for folder in points.folders:
        row: dict[str, Any] = {}
        for need in points.needs.get(folder, ()):
            if need in readings:
                point = zip(varying, settings.get(need, ()), strict=True)
                found = {"status": readings[need].status, **{k: v for k, v in point if v is not None}}
                found |= readings[need].outcome
                row.update({f"{tasks[need]}.{key}": value for key, value in found.items()})
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    added = {name: [row.get(name) for row in rows] for name in names if name not in columns}
    before = list(columns)[: list(columns).index("reason")]
    return {n: columns[n] for n in before} | added | {n: v for n, v in columns.items() if n not in before}


def _frame(columns: dict[str, list[Any]], varying: Iterable[str]) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    data: dict[str, Any] = {}
    for name, values in columns.items():
        types = set(map(type, values))
        typed = np.array(values) if types in ({float}, {int}) else None
        if typed is not None and typed.dtype.kind == ("f" if float in types else "i"):  # else integers of 64 bits
            data[name] = typed
        else:
            # As objects, None stays None; a column of nothing but numbers gets their type.
            data[name] = pd.Series(values, dtype=object)
            if all(issubclass(t, (bool, int, float)) for t in types):
                data[name] = data[name].infer_objects()
    frame = pd.DataFrame(data)
    frame.attrs["varying"] = [_override_name(key) for key in varying]
    return frame
