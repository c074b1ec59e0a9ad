"""A table of experiments: a row each, whatever its status, with what varies and what came out.

What varies comes from `outline`, what came out from `read`; where the table goes is left to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from heyhi.experiment.directions import Direction
from heyhi.experiment.folder import Experiment
from heyhi.experiment.given import Results, stale_text
from heyhi.experiment.names import Status
from heyhi.project import Project, find_project
from heyhi.report.composed import ComposedAt, composed_of, no_gaps
from heyhi.report.outline import (
    EntriesAt,
    Outline,
    composed_in,
    entry_of,
    filled,
    is_same_for_all,
    outline_manifest,
    varying_columns,
)
from heyhi.report.read import Collector, Reader
from heyhi.report.readings import OWN_NAMES, Entry, Reading
from heyhi.sweep.drift import NOT_COMPARED, why_not_compared
from heyhi.sweep.expand import paused_collection
from heyhi.sweep.manifest import Manifest, project_of

if TYPE_CHECKING:
    import pandas as pd

# What is left out of a table where nobody has it.
_OPTIONAL = ("problem", "needs", "drifted", "stale", "mixed", "job_id", "code", "packages")
Progress = Callable[[int], Callable[[], None]]
AtBest = tuple[str, Direction]  # a metric, and which way it is better


def reader(
    project: Project, get_logs_data: Collector | None = None, source: bytes = b"", at_best: AtBest | None = None
) -> Reader:
    """Return what reads a project's experiments; see `collect`."""
    return Reader(project, get_logs_data, source, **({} if at_best is None else {"at_best": at_best}))


def collect(
    source: Manifest | Iterable[Experiment],
    get_logs_data: Collector | None = None,
    *,
    project: Project | None = None,
    collector_source: bytes = b"",
    with_needs: bool = False,
    drift: Mapping[str, Sequence[str]] | None = None,
    progress: Progress = lambda total: lambda: None,
) -> pd.DataFrame:
    """Gather experiments into a table.

    Columns: `status`; `cfg` and overrides, where they differ; what came out; `reason` (why it is dead, by what it is
    blocked, who runs it); `problem` (what could not be read, or was dropped from the result); `needs` (exp ids);
    `drifted` (what differs, if asked for); `stale` (of which needs there is another result now than it was made of);
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
    reader = Reader(project or find_project(), get_logs_data, collector_source)
    experiments = source if isinstance(source, Manifest) else list(source)
    with paused_collection():
        # What it holds is freed before the collector would look at all of it.
        return frame_of([read_part(experiments, reader, with_needs=with_needs, drift=drift, progress=progress)])


def gathered_columns(project: Project, entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """Gather experiments as `collect` does, as plain columns; those of the overrides also where all have the same."""
    reader = Reader(project)
    outline = replace(Outline.of(entries, entries, no_gaps), varying=varying_columns(entries, everything=True))
    found = reader.read(outline.folders, lambda places: [entries[place] for place in places], outline.needs)
    part = Part(outline, found.fields["status"], found.outcome, _own(project, outline, found.fields, None))
    return _columns(part, part.outline.varying)


@dataclass(frozen=True)
class Part:
    """What is in a table of the experiments of one source.

    Attributes:
        outline: which they are.
        status: of each.
        outcome: what came out, by name.
        own: further columns about the experiments themselves.
        needed: what varies and came out of what they need, by `<task>.<name>`; None where a row has no such need.
        settings: those names among them that are keys of the config.
        composed: returns what keys were composed to.
    """

    outline: Outline
    status: list[Any]
    outcome: dict[str, list[Any]]
    own: dict[str, list[Any]]
    needed: dict[str, list[Any]] = field(default_factory=dict)
    settings: frozenset[str] = frozenset()
    composed: ComposedAt = no_gaps


def read_part(
    source: Manifest | Sequence[Experiment],
    reader: Reader,
    *,
    with_needs: bool = False,
    drift: Mapping[str, Sequence[str]] | None = None,
    progress: Progress = lambda total: lambda: None,
    only: Sequence[str] = (),
) -> Part:
    """Read the experiments of a source.

    Args:
        source: a manifest, of which the sweep's own experiments are taken, or experiments.
        reader: of their folders.
        with_needs: also what varies and came out of each needed experiment.
        drift: exp id -> what differs today.
        progress: given how many experiments will be read, returns what is called after each.
        only: targets of the manifest's experiments that are taken instead.
    """
    entries_at: EntriesAt
    known: list[Entry] = []
    if isinstance(source, Manifest) and not only:
        outline, entries_at = outline_manifest(source, reader.cache)
        composed = composed_in(source, outline.exp_ids)
    else:
        if isinstance(source, Manifest):
            entries = list(map(Entry._make, source.entries_of(only)))
            composed = composed_in(source, [entry.exp_id for entry in entries])
        else:
            entries = known = [entry_of(e) for e in source]
            composed = composed_of(reader.project, source)
        outline, entries_at = Outline.of(entries, entries, composed), lambda places: [entries[p] for p in places]
    needed: list[Entry] = []
    if with_needs and outline.needs:
        wanted = dict.fromkeys(need for folder in outline.folders for need in outline.needs.get(folder, ()))
        everything = list(map(Entry._make, source.entries()[0])) if isinstance(source, Manifest) else known
        by_folder = {entry.folder: entry for entry in everything}
        needed = [by_folder[folder] for folder in wanted if folder in by_folder]
    tick = progress(len(outline.folders) + len(needed))
    found = reader.read(outline.folders, entries_at, outline.needs, tick)
    part = Part(
        outline,
        found.fields["status"],
        found.outcome,
        _own(reader.project, outline, found.fields, drift),
        composed=composed,
    )
    if needed:
        # The default columns: get_logs_data speaks of the sweep's own experiments.
        read = Reader(reader.project).read_all(needed, outline.needs, tick)
        composed_needs = composed_in(source, [e.exp_id for e in needed]) if isinstance(source, Manifest) else no_gaps
        part = _with_needs(part, needed, read, composed_needs)
    return part


def frame_of(parts: Sequence[Part], labels: Sequence[str] = ()) -> pd.DataFrame:
    """Put the experiments of some sources into one table, where what varies is what differs among all of them.

    Args:
        parts: of each source.
        labels: of each; one that is none of several has no column `sweep`. An experiment of two has one row, in which
            what came out is what the first says, else the second.
    """
    if len(parts) == 1:
        return _frame(_columns(parts[0], parts[0].outline.varying), parts[0])
    joined = _joined(parts)
    sweeps: dict[str, list[str]] = {}
    for part, label in zip(parts, labels, strict=True):
        for folder in part.outline.folders:
            sweeps.setdefault(folder, []).append(label)
    columns = _columns(joined, joined.outline.varying)
    named = [", ".join(dict.fromkeys(sweeps[folder])) for folder in joined.outline.folders]
    return _frame({"status": columns["status"], "sweep": named} | columns, joined)


def _joined(parts: Sequence[Part]) -> Part:
    """Join the experiments of several sources."""
    folders = [folder for part in parts for folder in part.outline.folders]
    places: dict[str, list[int]] = {}
    for place, folder in enumerate(folders):
        places.setdefault(folder, []).append(place)

    def join(columns: Sequence[Mapping[str, Sequence[Any]]]) -> dict[str, list[Any]]:
        names = dict.fromkeys(name for one in columns for name in one)
        whole = {
            name: list(
                chain.from_iterable(
                    one.get(name) or [None] * len(part.status) for one, part in zip(columns, parts, strict=True)
                )
            )
            for name in names
        }
        return {
            name: [next((v for p in at if (v := column[p]) is not None), None) for at in places.values()]
            for name, column in whole.items()
        }

    rows = [at[0] for at in places.values()]
    varying = join([_overrides(part, _override_keys(parts)) for part in parts])
    outline = Outline(
        [list(chain.from_iterable(part.outline.exp_ids for part in parts))[row] for row in rows],
        list(places),
        {folder: needs for part in parts for folder, needs in part.outline.needs.items()},
        {key: column for key, column in varying.items() if not is_same_for_all(column)},
    )
    return Part(
        outline,
        join([{"status": part.status} for part in parts])["status"],
        join([part.outcome for part in parts]),
        join([part.own for part in parts]),
        join([part.needed for part in parts]),
        frozenset(chain.from_iterable(part.settings for part in parts)),
    )


def _override_keys(parts: Sequence[Part]) -> list[str]:
    return list(dict.fromkeys(key for part in parts for key in (*part.outline.varying, *part.outline.constant)))


def _overrides(part: Part, keys: Sequence[str]) -> dict[str, list[Any]]:
    """Return a column for each of some keys: what its experiments override, else what was composed."""
    count, own = len(part.status), part.outline
    columns = {key: own.varying.get(key) or [own.constant.get(key)] * count for key in keys}
    return filled(columns, part.composed)


def _columns(part: Part, varying: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Put the columns of a table together: status, what varies, what came out, and the rest about each experiment."""
    columns: dict[str, list[Any]] = {"status": part.status}
    for key, column in varying.items():
        columns[_override_name(key)] = column
    for key, column in part.outcome.items():
        # A metric may be named as an override is: lr, of a schedule.
        columns[_outcome_name(key, columns)] = column
    for key, column in part.needed.items():
        present = [value for value in column if value is not None]
        if key not in columns and not (key in part.settings and is_same_for_all(present)):
            columns[key] = column
    return columns | {k: v for k, v in part.own.items() if k not in _OPTIONAL or v.count(None) < len(v)}


def _outcome_name(key: str, taken: Iterable[str]) -> str:
    return key if key not in taken and key not in OWN_NAMES else f"{key} (result)"


def _own(
    project: Project,
    outline: Outline,
    fields: Mapping[str, list[Any]],
    drift: Mapping[str, Sequence[str]] | None,
) -> dict[str, list[Any]]:
    """Return the columns about each experiment itself, but its status."""
    root = f"{project.results_root}/"
    own: dict[str, list[Any]] = {
        "reason": [reason or None for reason in fields["reason"]],
        "problem": [problem or None for problem in fields["problem"]],
        "needs": [_names(root, outline.needs.get(f, ())) for f in outline.folders] if outline.needs else [],
        "drifted": [_drifted(drift.get(e, ())) for e in outline.exp_ids] if drift is not None else [],
        "stale": _stale(project, fields),
        "mixed": fields["mixed"],
        **{name: fields[name] for name in ("attempts", "seconds", "updated", "job_id", "code", "packages")},
        "exp_id": outline.exp_ids,
        "exp_path": outline.folders,
    }
    return own


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


def _with_needs(part: Part, needed: Sequence[Entry], read: Sequence[Reading], composed: ComposedAt) -> Part:
    """Add what was overridden and came out of what each experiment needs."""
    columns = filled(varying_columns(needed, everything=True), composed)
    settings = dict(zip((e.folder for e in needed), zip(*columns.values(), strict=True), strict=True))
    readings = dict(zip((e.folder for e in needed), read, strict=True))
    tasks = {e.folder: e.task for e in needed}
    rows: list[dict[str, Any]] = []
    keys: set[str] = set()
    for folder in part.outline.folders:
        row: dict[str, Any] = {}
        for need in part.outline.needs.get(folder, ()):
            if need in readings:
                point = {k: v for k, v in zip(columns, settings[need], strict=True) if v is not None}
                found = {"status": readings[need].status, **point} | readings[need].outcome
                row.update({f"{tasks[need]}.{key}": value for key, value in found.items()})
                keys.update(f"{tasks[need]}.{key}" for key in point if key not in readings[need].outcome)
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return replace(part, needed={n: [row.get(n) for row in rows] for n in names}, settings=frozenset(keys))


def _frame(columns: dict[str, list[Any]], part: Part) -> pd.DataFrame:
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
    varying = [_override_name(key) for key in part.outline.varying]
    frame.attrs["varying"] = varying
    frame.attrs["needed"] = [name for name in part.needed if name in part.settings and name in columns]
    frame.attrs["metrics"] = [_outcome_name(key, ("status", *varying)) for key in part.outcome]
    return frame
