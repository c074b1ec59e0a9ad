"""The rows that a search has in a table: its trials, each the experiment that its slot has chosen.

What is kept of a manifest's own experiments doesn't hold for these: which they are, is decided while the search runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from heyhi.config.identity import Identity
from heyhi.errors import HeyhiError
from heyhi.experiment.names import Status, is_slot
from heyhi.experiment.slots import SearchDir
from heyhi.experiment.status import find_state
from heyhi.report.composed import no_gaps
from heyhi.report.outline import EntriesAt, Outline, column_of, filled, values_in, varying_columns
from heyhi.report.readings import Entry
from heyhi.sweep.manifest import ConfigRow
from heyhi.sweep.target import folders_at

if TYPE_CHECKING:
    from heyhi.config.translation import Translation
    from heyhi.report.searched import Searched
    from heyhi.search.trial import Trial
    from heyhi.sweep.manifest import Manifest
    from heyhi.sweep.search_spec import Axis


def outline_trials(
    manifest: Manifest, searched: Searched, today: Translation | None = None
) -> tuple[Outline, EntriesAt]:
    """Outline the trials of a search, and return what reads their entries.

    Every key of its space has a column, whatever the trials have there: None where it doesn't apply.

    Args:
        manifest: of the search.
        searched: its trials.
        today: gives what was renamed its name of today.
    """
    entries = list(_entries(manifest, searched))
    values = values_in(manifest, today)
    columns = filled(varying_columns(entries, values, today), no_gaps, values)
    axes = _keys(searched.spec.axes, entries[0].task if entries else "", today)
    needs = {entry.folder: entry.needs for entry in entries if entry.needs}
    needs |= {f: tuple(its) for f, its in manifest.waited_folders.items()} if needs else {}
    outline = Outline(
        [entry.exp_id for entry in entries],
        [entry.folder for entry in entries],
        needs,
        {key: columns[key] for key in axes if key in columns},
        {key: column[0] for key, column in columns.items() if column and key not in axes},
    )
    search = SearchDir(manifest.results_root, searched.spec.search_id)

    def entries_at(places: Sequence[int]) -> list[Entry]:
        return [_as_chosen(search, searched.trials[place], entries[place]) for place in places]

    return outline, entries_at


def _entries(manifest: Manifest, searched: Searched) -> list[Entry]:
    """Return entries that have what was chosen as overrides, without reading what each trial has written."""
    targets = manifest.targets[:1]
    if not targets:
        return []
    (slot,) = map(Entry._make, manifest.entries_of(targets))
    spec = searched.spec
    fixed = [(text.partition("=")[0], text) for text in spec.overrides]
    ids = [trial.exp_id for trial in searched.trials]
    found = []
    for trial, folder in zip(searched.trials, folders_at(ids, manifest.results_root), strict=True):
        texts = [text for key, text in fixed if key not in trial.chosen]
        texts += [f"{key}={value}" for key, value in trial.chosen.items()]
        found.append(Entry(trial.exp_id, folder, Identity(spec.cfg, tuple(texts)), slot.task, slot.needs))
    return found


def _as_chosen(search: SearchDir, trial: Trial, entry: Entry) -> Entry:
    """Return an entry with the identity that its experiment has."""
    try:
        choice = search.slot(trial.slot).read_choice()
    except HeyhiError:  # it was read a moment ago
        choice = None
    return entry if choice is None else entry._replace(identity=Identity(choice.cfg, choice.overrides))


def _keys(axes: Sequence[Axis], task: str, today: Translation | None) -> list[str]:
    """Return the columns of the keys of a space, by the names of today."""
    texts = tuple(f"{axis.key}={axis.values[0] if axis.values else axis.low}" for axis in axes)
    texts = tuple(today.overrides(texts, task)) if today is not None else texts
    return [column_of(text.partition("=")[0]) for text in texts]


def trial_columns(searched: Searched, statuses: Sequence[str]) -> dict[str, list[Any]]:
    """Return the columns that say which trials the rows are, and at which rungs they were ended.

    Args:
        searched: its trials.
        statuses: of each.
    """
    slots = [trial.slot for trial in searched.trials]
    if searched.spec.stop is None:
        return {"trial": list(slots)}
    pruned = Status.PRUNED.value  # what has gone on since is no more
    ended = [
        searched.pruned_at.get(slot) if status == pruned else None for slot, status in zip(slots, statuses, strict=True)
    ]
    return {"trial": list(slots), "pruned_at": ended}


def as_noted(manifest: Manifest, searched: Searched, fields: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the fields of trials, as their slots say it of those whose folders are gone.

    Args:
        manifest: of the search.
        searched: its trials.
        fields: as their folders have them.
    """
    search = SearchDir(manifest.results_root, searched.spec.search_id)
    statuses, reasons = list(fields["status"]), list(fields["reason"])
    for place, trial in enumerate(searched.trials):
        if statuses[place] == Status.NOT_STARTED.value and trial.state in ("dead", "pruned"):
            status, reasons[place] = find_state(search.slot(trial.slot).path)
            statuses[place] = status.value
    return {**fields, "status": statuses, "reason": reasons}


def trial_configs(manifest: Manifest, searched: Searched) -> list[ConfigRow]:
    """Return the configs of a search's trials, composed as their jobs compose them, after those of what they need."""
    from heyhi.config.base import Base

    rows = manifest.configs()
    others = [row for row in rows if not is_slot(row.exp_id)]
    slot = next((row for row in rows if is_slot(row.exp_id)), None)
    if slot is None:
        return others
    base = Base.from_bytes(manifest.base(), manifest.schema(), manifest.project)
    found = []
    for trial in searched.trials:
        try:
            message = base.compose(trial.chosen).message
        except HeyhiError:  # somebody has edited which point it is
            continue
        found.append(slot._replace(exp_id=trial.exp_id, config=message.SerializeToString(deterministic=True)))
    return [*others, *found]
