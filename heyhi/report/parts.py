"""What is read of the experiments of one source of a table: which they are, what came out, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from heyhi.config.best import Best
from heyhi.config.translation import Translation
from heyhi.experiment.directions import Direction
from heyhi.experiment.folder import Experiment
from heyhi.experiment.given import Results, stale_text
from heyhi.experiment.names import Status, is_winner, trial_of
from heyhi.experiment.notes import Notes
from heyhi.experiment.status import no_best
from heyhi.project import Project
from heyhi.quick_dataclass import dataclass, field, replace
from heyhi.report.composed import ComposedAt, composed_of, no_gaps
from heyhi.report.outcomes import with_results
from heyhi.report.outline import (
    EntriesAt,
    Outline,
    composed_in,
    entry_of,
    filled,
    outline_manifest,
    values_in,
    varying_columns,
)
from heyhi.report.read import Reader
from heyhi.report.readings import USED, Entry, Readings
from heyhi.report.searched import Searched
from heyhi.report.setting_values import values_of
from heyhi.report.trial_rows import as_noted, outline_trials, trial_columns
from heyhi.sweep.drift import NOT_COMPARED, why_not_compared
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import is_slot_target

Progress = Callable[[int], Callable[[], None]]
AtBest = tuple[str, Direction]  # a metric, and which way it is better


@dataclass(frozen=True)
class Part:
    """What is in a table of the experiments of one source.

    Attributes:
        outline: which they are.
        status: of each.
        outcome: what came out, by name.
        own: further columns about the experiments themselves.
        behind: columns that are in no table, but say how others are put together: `digest`, `repeated`, `returned` of
            `Reading`.
        needed: what varies and came out of what they need, by `<task>.<name>`; None where a row has no such need.
        settings: those names among them that are keys of the config.
        composed: returns what keys were composed to.
        searched: the search of which they are trials; None where they are of none.
    """

    outline: Outline
    status: list[Any]
    outcome: dict[str, list[Any]]
    own: dict[str, list[Any]]
    behind: dict[str, list[Any]]
    needed: dict[str, list[Any]] = field(default_factory=dict)
    settings: frozenset[str] = frozenset()
    composed: ComposedAt = no_gaps
    searched: Searched | None = None


@dataclass(frozen=True)
class Plan:
    """Which experiments of a source are read, before any folder is looked at.

    Attributes:
        source: a manifest, or experiments.
        reader: of their folders.
        outline: which they are.
        entries_at: returns the entries at some places.
        composed: returns what keys were composed to.
        searched: the search of which they are trials; None where they are of none.
        known: entries of a source that is no manifest.
        growing: names what is remembered of them, where there are more each time.
        needs: exp path -> exp paths of what it needs, for all from which a block may come.
        best_of: returns which best of a sweep a need stands for, by its exp path.
    """

    source: Manifest | Sequence[Experiment]
    reader: Reader
    outline: Outline
    entries_at: EntriesAt
    composed: ComposedAt
    searched: Searched | None = None
    known: Sequence[Entry] = ()
    growing: str = ""
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    best_of: Callable[[str], Best | None] = no_best

    @classmethod
    def of(cls, source: Manifest | Sequence[Experiment], reader: Reader, *, only: Sequence[str] = ()) -> Self:
        """Plan what is read of a source.

        Args:
            source: a manifest, of which the sweep's own experiments are taken, or experiments.
            reader: of their folders.
            only: targets of the manifest's experiments that are taken instead.
        """
        today = Translation.of(reader.project)
        if not isinstance(source, Manifest):
            entries = [entry_of(e) for e in source]
            composed = composed_of(reader.project, source)
            outline = Outline.of(entries, entries, composed, values_of(reader.project), today)
            at: EntriesAt = lambda places: [entries[p] for p in places]  # noqa: E731
            return cls(source, reader, outline, at, composed, known=entries, needs=outline.needs)
        searched = _searched(source, reader, only)
        if searched is not None:
            outline, at = outline_trials(source, searched, today)
            composed = no_gaps  # each trial has chosen a value for each key that applies
        else:
            outline, at = outline_manifest(source, reader.cache, today, only)
            composed = composed_in(source, outline.exp_ids, today)
        growing = f"searches/{searched.spec.search_id}" if searched is not None and not only else ""
        needs, best_of = _waited_for(source, outline, only)
        return cls(source, reader, outline, at, composed, searched, (), growing, needs, best_of)

    def part(self, found: Readings, drift: Mapping[str, Sequence[str]] | None = None) -> Part:
        """Put together what was read.

        Args:
            found: what was read of the experiments, in the outline's order.
            drift: exp id -> what differs today.
        """
        fields, trials = found.fields, {}
        if isinstance(self.source, Manifest) and self.searched is not None:
            fields = as_noted(self.source, self.searched, fields)
            trials = trial_columns(self.searched, fields["status"])
        return Part(
            self.outline,
            fields["status"],
            found.outcome,
            trials | own_columns(self.reader.project, self.outline, fields, drift, self.best_of),
            behind_columns(fields),
            composed=self.composed,
            searched=self.searched,
        )


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
    today = Translation.of(reader.project)
    plan = Plan.of(source, reader, only=only)
    outline = plan.outline
    needed: list[Entry] = []
    if with_needs and outline.needs:
        wanted = dict.fromkeys(need for folder in outline.folders for need in outline.needs.get(folder, ()))
        everything = list(map(Entry._make, source.entries()[0])) if isinstance(source, Manifest) else plan.known
        by_folder = {entry.folder: entry for entry in everything}
        needed = [by_folder[folder] for folder in wanted if folder in by_folder]
    tick = progress(len(outline.folders) + len(needed))
    needs, best_of = plan.needs, plan.best_of
    part = plan.part(reader.read(outline.folders, plan.entries_at, needs, tick, plan.growing, best_of), drift)
    if needed:
        # The default columns: get_logs_data speaks of the sweep's own experiments.
        folders = [entry.folder for entry in needed]
        read = Reader(reader.project).read(
            folders, lambda places: [needed[p] for p in places], needs, tick, best_of=best_of
        )
        ids = [entry.exp_id for entry in needed]
        composed_needs = composed_in(source, ids, today) if isinstance(source, Manifest) else no_gaps
        values = values_in(source, today) if isinstance(source, Manifest) else values_of(reader.project)
        columns = filled(varying_columns(needed, values, today), composed_needs, values)
        part = _with_needs(part, needed, read, columns, today)
    return part


def _waited_for(
    manifest: Manifest, outline: Outline, only: Sequence[str]
) -> tuple[Mapping[str, Sequence[str]], Callable[[str], Best | None]]:
    """Return all needs by which experiments may be blocked, and which best of a sweep one stands for."""
    if not outline.needs or not (only or manifest.contests):  # its own experiments have all of that in their outline
        return outline.needs, no_best
    return manifest.waited_folders, manifest.best_of


def _searched(manifest: Manifest, reader: Reader, only: Sequence[str]) -> Searched | None:
    """Read the search of a manifest, or those of its trials that were named; None where none of it is meant."""
    spec = manifest.search
    if spec is None or not all(map(is_slot_target, only)):
        return None
    searched = Searched.read(manifest.results_root, spec, reader.cache)
    slots = {trial_of(target.removesuffix(".json")) for target in only}
    return searched.only(slots) if only else searched


def _with_needs(
    part: Part,
    needed: Sequence[Entry],
    read: Readings,
    columns: Mapping[str, Sequence[Any]],
    today: Translation | None,
) -> Part:
    """Add what was overridden and came out of what each experiment needs."""
    settings = dict(zip((e.folder for e in needed), zip(*columns.values(), strict=True), strict=True))
    came_out = with_results(read.outcome, read.fields["repeated"], read.fields["returned"])
    readings = {
        entry.folder: {"status": read.fields["status"][place]}
        | {name: value for name, column in came_out.items() if (value := column[place]) is not None}
        for place, entry in enumerate(needed)
    }
    tasks = {e.folder: e.task if today is None else today.task(e.task) for e in needed}
    rows: list[dict[str, Any]] = []
    keys: set[str] = set()
    outcomes: set[str] = set()
    for folder in part.outline.folders:
        row: dict[str, Any] = {}
        for need in part.outline.needs.get(folder, ()):
            if need in readings:
                point = {k: v for k, v in zip(columns, settings[need], strict=True) if v is not None}
                found = {"status": readings[need]["status"], **point} | readings[need]
                row.update({f"{tasks[need]}.{key}": value for key, value in found.items()})
                keys.update(f"{tasks[need]}.{key}" for key in point)
                outcomes.update(f"{tasks[need]}.{key}" for key in readings[need] if key != "status")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return replace(part, needed={n: [row.get(n) for row in rows] for n in names}, settings=frozenset(keys - outcomes))


def own_columns(
    project: Project,
    outline: Outline,
    fields: Mapping[str, list[Any]],
    drift: Mapping[str, Sequence[str]] | None,
    best_of: Callable[[str], Best | None] = no_best,
) -> dict[str, list[Any]]:
    """Return the columns about each experiment itself, but its status."""
    root = f"{project.results_root}/"
    notes = Notes.read(project.results_root)
    noted, excluded = notes.columns(outline.folders) if notes else ([], [])
    own: dict[str, list[Any]] = {
        "reason": [reason or None for reason in fields["reason"]],
        "problem": [problem or None for problem in fields["problem"]],
        "note": noted,
        "excluded": excluded,
        "needs": [_names(root, outline.needs.get(f, ()), best_of) for f in outline.folders] if outline.needs else [],
        "drifted": [_drifted(drift.get(e, ())) for e in outline.exp_ids] if drift is not None else [],
        "stale": _stale(project, fields),
        "mixed": fields["mixed"],
        **{name: fields[name] for name in ("attempts", "seconds", *USED, "updated", "job_id", "code", "packages")},
        "exp_id": outline.exp_ids,
        "exp_path": outline.folders,
    }
    return own


def behind_columns(fields: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the columns that say how others are put together."""
    return {name: fields[name] for name in ("digest", "repeated", "returned")}


def _drifted(lines: Sequence[str]) -> str | None:
    """Write what has drifted into a cell, or why nobody can tell."""
    why = why_not_compared(lines)
    return f"{NOT_COMPARED}: {why}" if why else "; ".join(lines) or None


def _stale(project: Project, fields: Mapping[str, Sequence[Any]]) -> list[str | None]:
    """Say which experiments are made of an earlier result of what they need: as it is today, which isn't remembered."""
    results = Results(project.results_root, project.root)
    found: list[str | None] = []
    for status, given in zip(fields["status"], fields["given"], strict=True):
        has_ended = given is not None and not Status(status).is_alive
        found.append(stale_text(results.made_anew(given)) or None if has_ended else None)
    return found


def _names(root: str, folders: Sequence[str], best_of: Callable[[str], Best | None]) -> str | None:
    """Return exp ids, and what isn't chosen yet, as a cell; None for none."""
    bests = {folder: best.text for folder in folders if is_winner(folder) and (best := best_of(folder)) is not None}
    return ", ".join([bests.get(folder) or folder.removeprefix(root) for folder in folders]) or None
