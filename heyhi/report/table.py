"""A table of experiments: a row each, whatever its status, with what varies and what came out.

What varies comes from `outline`, what came out from `read`; where the table goes is left to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from heyhi.experiment.folder import Experiment
from heyhi.experiment.given import Results, stale_text
from heyhi.experiment.names import Status
from heyhi.experiment.notes import Notes
from heyhi.project import Project, find_project
from heyhi.report.outline import EntriesAt, Outline, entry_of, outline_manifest, varying_columns
from heyhi.report.read import Collector, Reader
from heyhi.report.readings import IF_ANY, OWN_NAMES, Entry, Reading, Readings
from heyhi.sweep.drift import NOT_COMPARED, why_not_compared
from heyhi.sweep.expand import paused_collection
from heyhi.sweep.manifest import Manifest, project_of

if TYPE_CHECKING:
    import pandas as pd

# What is left out of a table where nobody has it.
_OPTIONAL = (*IF_ANY, "drifted")


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
    blocked, who runs it); `problem` (what could not be read, or was dropped from the result); `note` (what somebody
    noted of it); `excluded` (True where that takes its results out of means); `needs` (exp ids); `drifted` (what
    differs, if asked for); `stale` (of which needs there is another result now than it was made of);
    `mixed` (which attempts went on from what another config had done); `attempts`; `seconds` of all attempts; `updated`
    (seconds since 1970); `job_id`; `code` (commit, `+` with uncommitted changes); `exp_id`; `exp_path`. What is missing
    is None; NaN is what somebody wrote as a value.

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


def gathered_columns(
    project: Project, entries: Sequence[Entry], needs: Mapping[str, tuple[str, ...]]
) -> dict[str, list[Any]]:
    """Gather experiments as `collect` does, as plain columns; those of the overrides also where all have the same.

    Args:
        project: whose experiments they are.
        entries: of them.
        needs: exp path -> exp paths of what it needs, also for those that are only needed.
    """
    reader = Reader(project)
    outline = Outline(
        [e.exp_id for e in entries],
        [e.folder for e in entries],
        dict(needs),
        varying_columns(entries, everything=True),
    )
    found = reader.read(outline.folders, lambda places: [entries[place] for place in places], outline.needs)
    return _columns(project, outline, found, None)


def _collect(
    source: Manifest | Iterable[Experiment],
    reader: Reader,
    with_needs: bool,
    drift: Mapping[str, Sequence[str]] | None,
    progress: Callable[[int], Callable[[], None]],
) -> pd.DataFrame:
    entries_at: EntriesAt
    if isinstance(source, Manifest):
        outline, entries_at = outline_manifest(source, reader.cache)
    else:
        entries = [entry_of(e) for e in source]
        outline, entries_at = Outline.of(entries, entries), lambda places: [entries[place] for place in places]
    needed: list[Entry] = []
    if with_needs and outline.needs:
        wanted = dict.fromkeys(need for folder in outline.folders for need in outline.needs.get(folder, ()))
        everything = map(Entry._make, source.entries()[0]) if isinstance(source, Manifest) else entries
        known = {entry.folder: entry for entry in everything}
        needed = [known[folder] for folder in wanted if folder in known]
    tick = progress(len(outline.folders) + len(needed))
    readings = reader.read(outline.folders, entries_at, outline.needs, tick)
    columns = _columns(reader.project, outline, readings, drift)
    if needed:
        # The default columns: get_logs_data speaks of the sweep's own experiments.
        read = Reader(reader.project).read_all(needed, outline.needs, tick)
        columns = _with_needs(columns, outline, needed, read)
    return _frame(columns, outline.varying)


def _columns(
    project: Project,
    outline: Outline,
    found: Readings,
    drift: Mapping[str, Sequence[str]] | None,
) -> dict[str, list[Any]]:
    """Put the columns of a table together: status, what varies, what came out, and the rest about each experiment."""
    fields = found.fields
    columns: dict[str, list[Any]] = {"status": fields["status"]}
    for key, column in outline.varying.items():
        columns[_override_name(key)] = column
    for key, column in found.outcome.items():
        if not _is_needless(key, found.outcome):
            # A metric may be named as an override is: lr, of a schedule.
            columns[key if key not in columns and key not in OWN_NAMES else f"{key} (result)"] = column
    root = f"{project.results_root}/"
    notes = Notes.read(project.results_root)
    noted, excluded = notes.columns(outline.folders) if notes else ([], [])
    own: dict[str, list[Any]] = {
        "reason": [reason or None for reason in fields["reason"]],
        "problem": [problem or None for problem in fields["problem"]],
        "note": noted,
        "excluded": excluded,
        "needs": [_names(root, outline.needs.get(f, ())) for f in outline.folders] if outline.needs else [],
        "drifted": [_drifted(drift.get(e, ())) for e in outline.exp_ids] if drift is not None else [],
        "stale": _stale(project, fields),
        "mixed": fields["mixed"],
        **{name: fields[name] for name in ("attempts", "seconds", "updated", "job_id", "code")},
        "exp_id": outline.exp_ids,
        "exp_path": outline.folders,
    }
    return columns | {k: v for k, v in own.items() if k not in _OPTIONAL or v.count(None) < len(v)}


def _drifted(lines: Sequence[str]) -> str | None:
    """Write what has drifted into a cell, or why nobody can tell."""
    why = why_not_compared(lines)
    return f"{NOT_COMPARED}: {why}" if why else "; ".join(lines) or None


def _stale(project: Project, fields: Mapping[str, Sequence[Any]]) -> list[str | None]:
    """Say which experiments are made of an earlier result of what they need: as it is today, which isn't remembered."""
    results = Results(project.results_root)
    found: list[str | None] = []
    for status, given in zip(fields["status"], fields["given"], strict=True):
        has_ended = given is not None and not Status(status).is_alive
        found.append(stale_text(results.made_anew(given)) or None if has_ended else None)
    return found


def _names(root: str, folders: Sequence[str]) -> str | None:
    """Return exp ids as a cell; None for none."""
    return ", ".join([folder.removeprefix(root) for folder in folders]) or None


def _override_name(key: str) -> str:
    """Name an override's column, so that none of the table's own columns is hidden by it."""
    return key if key not in OWN_NAMES else f"{key} (override)"


def _is_needless(key: str, outcome: Mapping[str, list[Any]]) -> bool:
    """Return whether a best value is the last one everywhere, which says nothing."""
    plain = key.removesuffix(".best")
    return plain != key and plain in outcome and all(map(_same, outcome[key], outcome[plain]))


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are equal; a NaN is itself."""
    return bool(one == other or (one != one and other != other))


def _with_needs(
    columns: dict[str, list[Any]], outline: Outline, needed: Sequence[Entry], read: Sequence[Reading]
) -> dict[str, list[Any]]:
    """Add what varies and came out of what each experiment needs, before the columns about the experiment itself."""
    varying = varying_columns(needed)
    settings = (
        dict(zip((e.folder for e in needed), zip(*varying.values(), strict=True), strict=True)) if varying else {}
    )
    readings = dict(zip((e.folder for e in needed), read, strict=True))
    tasks = {e.folder: e.task for e in needed}
    rows: list[dict[str, Any]] = []
    for folder in outline.folders:
        row: dict[str, Any] = {}
        for need in outline.needs.get(folder, ()):
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
    """Make a DataFrame, in which a column of nothing but numbers has their type, and None stays None."""
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
