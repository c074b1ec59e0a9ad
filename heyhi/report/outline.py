"""What a table shows of its experiments before their folders are looked at: their names, and what varies among them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Self

from heyhi.config.translation import Translation
from heyhi.experiment.folder import Experiment
from heyhi.quick_dataclass import dataclass, field
from heyhi.report.columns import ColumnCache
from heyhi.report.composed import ComposedAt, composed_columns
from heyhi.report.readings import Entry, transposed
from heyhi.report.setting_values import SettingValues
from heyhi.sweep.manifest import EntryRow, Manifest
from heyhi.sweep.target import folder_of, target_of

EntriesAt = Callable[[Sequence[int]], list[Entry]]  # returns the entries at some places
_FEW = 10  # where less than one in so many has to be read, these are looked up one by one
_VERSION = 3  # of what an outline says of the same manifest
_VARYING = "varying: "
_CLEARED = "NULL"  # as an override writes it
_SELECTED = "SELECT"
_ELEMENT = re.compile(r"\.(?:-1|[0-9]+)(?=\.|$)")


@dataclass(frozen=True)
class Outline:
    """The experiments of a table, as far as their manifest says.

    Attributes:
        exp_ids: their names.
        folders: their exp paths.
        needs: exp path -> exp paths of what it needs, for all that need any; also for those that are only needed.
        varying: columns of the config and of the overrides that are not the same for all. Where one doesn't override
            a key, that is the composed value; None where its config has no such key.
        constant: the value of the others, which all have.
    """

    exp_ids: list[str]
    folders: list[str]
    needs: dict[str, tuple[str, ...]]
    varying: dict[str, list[Any]]
    constant: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        entries: Sequence[Entry],
        found: Iterable[Entry],
        composed: ComposedAt,
        read: SettingValues,
        today: Translation | None = None,
    ) -> Self:
        """Outline experiments.

        Args:
            entries: of the table.
            found: these, and those that they need.
            composed: returns what keys were composed to, in the order of the entries; asked only where one has a gap.
            read: reads their overrides.
            today: gives what was renamed its name of today.
        """
        needs = {entry.folder: entry.needs for entry in found if entry.needs}
        columns = filled(varying_columns(entries, read, today), composed, read)
        varying = {key: column for key, column in columns.items() if not is_same_for_all(column)}
        constant = {key: column[0] for key, column in columns.items() if column and key not in varying}
        return cls([e.exp_id for e in entries], [e.folder for e in entries], needs, varying, constant)

    @classmethod
    def of_columns(cls, columns: dict[str, list[Any]]) -> Self:
        """Restore what `columns` returned."""
        needs = dict(zip(columns["needing"], map(tuple, columns["needed"]), strict=True))
        varying = {column.removeprefix(_VARYING): v for column, v in columns.items() if column.startswith(_VARYING)}
        constant = dict(zip(columns["constant"], columns["constants"], strict=True))
        return cls(columns["exp_id"], columns["folder"], needs, varying, constant)

    def columns(self) -> dict[str, list[Any]]:
        """Return everything as columns, to be kept on disk."""
        return {
            "exp_id": self.exp_ids,
            "folder": self.folders,
            "needing": list(self.needs),
            "needed": [list(needed) for needed in self.needs.values()],
            "constant": list(self.constant),
            "constants": list(self.constant.values()),
            **{f"{_VARYING}{key}": column for key, column in self.varying.items()},
        }


def outline_manifest(
    manifest: Manifest, cache: ColumnCache, today: Translation | None = None, only: Sequence[str] = ()
) -> tuple[Outline, EntriesAt]:
    """Outline a manifest's own experiments, and return what reads their entries.

    A manifest never changes, so its outline is cached: reading all of it takes longer than the rest of a table of which
    little has changed.

    Args:
        manifest: of the experiments.
        cache: of outlines.
        today: gives what was renamed its name of today.
        only: targets of those that are taken instead.
    """
    # Its folders are in it, and the results may be moved.
    place = hashlib.sha256(str(manifest.results_root).encode()).hexdigest()[:8]
    name = f"outline{_VERSION}-{manifest.digest}-{place}{f'-{today.digest}' if today is not None else ''}"
    name += f"-{manifest.completed_by}" if manifest.contests else ""
    if only:
        name += f"-{hashlib.sha256(chr(0).join(only).encode(errors='surrogateescape')).hexdigest()[:16]}"
    kept = cache.load(name)
    if not kept and only:
        entries = _entries_of(manifest, only)
        composed = composed_in(manifest, [e.exp_id for e in entries], today)
        outline = Outline.of(entries, entries, composed, values_in(manifest, today), today)
        cache.store(name, outline.columns())
        return outline, lambda places: [entries[place] for place in places]
    if not kept:
        rows, own = manifest.entries()
        found = list(map(Entry._make, rows))
        entries = [found[place] for place in own]
        composed = composed_in(manifest, [e.exp_id for e in entries], today)
        outline = Outline.of(entries, found, composed, values_in(manifest, today), today)
        cache.store(name, outline.columns())
        return outline, lambda places: [entries[place] for place in places]
    outline = Outline.of_columns(kept)

    def entries_at(places: Sequence[int]) -> list[Entry]:
        if len(places) < len(outline.folders) / _FEW:
            targets = [target_of(outline.folders[place], manifest.project_root) for place in places]
            return list(map(Entry._make, manifest.entries_of(targets)))
        rows, own = manifest.entries()
        if only:
            return _entries_in(rows, [outline.folders[place] for place in places])
        return [Entry._make(rows[own[place]]) for place in places]

    return outline, entries_at


def _entries_of(manifest: Manifest, targets: Sequence[str]) -> list[Entry]:
    """Return the entries of some experiments: of many, they are read all together."""
    if len(targets) < len(manifest.all_targets) / _FEW:
        return list(map(Entry._make, manifest.entries_of(targets)))
    return _entries_in(manifest.entries()[0], [folder_of(target, manifest.project_root) for target in targets])


def _entries_in(rows: Sequence[EntryRow], folders: Sequence[str]) -> list[Entry]:
    by_folder = {row[1]: row for row in rows}
    return [Entry._make(by_folder[folder]) for folder in folders]


def composed_in(manifest: Manifest, exp_ids: Sequence[str], today: Translation | None = None) -> ComposedAt:
    """Return what says to what keys were composed in some experiments of a manifest."""

    def columns(keys: Sequence[str]) -> dict[str, list[Any]]:
        schema = manifest.schema() if today is None else today.schema(manifest.schema())
        own = []
        every = {row.exp_id: row for row in manifest.configs()}
        rows = [every[exp_id] for exp_id in exp_ids]
        for row in rows:
            task = row.task if today is None else today.task(row.task)
            own.append((task, manifest.task_message(task, row.config, schema)))
        found = composed_columns(schema, own, keys)
        for place, row in enumerate(rows):
            if (unchosen := row.unchosen) is not None:
                for key, column in found.items():
                    column[place] = column[place] if unchosen.knows(key, column[place]) else None
        return found

    return columns


def values_in(manifest: Manifest, today: Translation | None = None) -> SettingValues:
    """Return what reads the overrides of a manifest's experiments."""
    return SettingValues(lambda: manifest.schema() if today is None else today.schema(manifest.schema()))


def filled(
    columns: dict[str, list[Any]], composed: ComposedAt, read: SettingValues | None = None
) -> dict[str, list[Any]]:
    """Fill gaps in columns of overrides with what was composed; where the config has no such key, a gap stays one.

    Elements of a list, which were set by their indices, become one column: the list. Members of a oneof that were
    chosen as such become one: the oneof.

    Args:
        columns: of overrides.
        composed: returns what keys were composed to.
        read: has read the overrides; None where oneofs have their columns already.
    """
    columns = _with_whole_lists(columns, composed)
    if read is not None:
        columns = _with_oneofs(columns, composed, read)
    gaps = [key for key, column in columns.items() if None in column]
    if not gaps:
        return columns
    found = composed(gaps)
    return columns | {
        key: [other if own is None else own for own, other in zip(columns[key], found[key], strict=True)]
        for key in gaps
        if key in found
    }


def _with_whole_lists(columns: dict[str, list[Any]], composed: ComposedAt) -> dict[str, list[Any]]:
    """Put the list, as it was composed, in place of columns of its elements, and of what is in these."""
    holders = {key: [key[: found.start()] for found in _ELEMENT.finditer(key)] for key in columns}
    lists = list(dict.fromkeys(name for names in holders.values() for name in names))
    if not lists:
        return columns
    composed_lists = composed(lists)
    # An entry of a map is called alike.
    known = {key: column for key, column in composed_lists.items() if column.count(None) < len(column)}
    whole: dict[str, list[Any]] = {}
    for key, column in columns.items():
        name = next((name for name in holders[key] if name in known), key)
        if name not in whole:
            whole[name] = known.get(name, column)
    return whole


def _with_oneofs(columns: dict[str, list[Any]], composed: ComposedAt, read: SettingValues) -> dict[str, list[Any]]:
    """Put a oneof, by its chosen members, in place of columns that say no more than which of these are chosen."""
    oneofs = {key: name for key, column in columns.items() if (name := _oneof(key, column, read))}
    found = composed(list(dict.fromkeys(oneofs.values()))) if oneofs else {}
    whole: dict[str, list[Any]] = {}
    for key, column in columns.items():
        chosen = found.get(oneofs.get(key, ""))
        if chosen is None:
            whole[key] = column
            continue
        whole[oneofs[key]] = chosen
        # A member that was emptied is another one than what was left as it is, where both have it chosen.
        if key != oneofs[key] and len(set(zip(chosen, column, strict=True))) > len(set(chosen)):
            whole[key] = column
    return whole


def _oneof(key: str, column: Sequence[Any], read: SettingValues) -> str:
    """Return the oneof that a column chooses a member of; empty where it says anything else."""
    from heyhi.config.keys import Kind, choices

    for task in read.schema.tasks if read.schema is not None else ():
        found = read.key(task, key)
        if found is not None and found.kind is Kind.ONEOF:
            return found.text
        if found is not None and found.kind is Kind.MESSAGE and found.steps[-1].oneof is not None:
            return choices(found)[-1][0] if {None, _SELECTED}.issuperset(column) else ""
    return ""


def column_of(key: str) -> str:
    """Return the column of an override's key: that of the list, the map or the message where it adds to one."""
    return key.removesuffix("+")


def is_same_for_all(column: Sequence[Any]) -> bool:
    """Return whether a column says nothing that tells its rows apart; 1, 1.0 and True are three values."""
    first = column[0] if column else None
    return column.count(first) == len(column) if type(first) is str else len(set(map(repr, column))) < 2


def entry_of(experiment: Experiment) -> Entry:
    """Return what is to be read of an experiment."""
    needs = tuple(map(str, experiment.needs))
    return Entry(experiment.exp_id, str(experiment.exp_path), experiment.identity, experiment.task, needs)


def varying_columns(
    entries: Sequence[Entry], read: SettingValues, today: Translation | None = None
) -> dict[str, list[Any]]:
    """Return the columns of the config and of the overrides; None where one has none.

    Args:
        entries: of the experiments.
        read: reads their overrides.
        today: gives what was renamed its name of today.
    """
    settings = [e.identity.overrides for e in entries]
    cfgs = [e.identity.cfg for e in entries]
    if today is not None:
        settings = [today.overrides(own, e.task) for own, e in zip(settings, entries, strict=True)]
        cfgs = list(map(today.cfg, cfgs))
    split = {text: text.partition("=") for text in set(chain.from_iterable(settings))}
    keys = {text: column_of(key) for text, (key, _, _) in split.items()}
    # What a list is appended to is known to the config only.
    texts = {text: None if key.endswith("+") else value for text, (key, _, value) in split.items()}
    columns: dict[str, list[Any]] = {"cfg": cfgs}
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
    tasks = [e.task if today is None else today.task(e.task) for e in entries]
    distinct = list(dict.fromkeys(tasks))
    return {name: _read(name, column, tasks, distinct, read) for name, column in columns.items()}


def _read(
    name: str, column: Sequence[str | None], tasks: Sequence[str], distinct: Sequence[str], read: SettingValues
) -> list[Any]:
    """Read the texts of a column."""
    reader = read.reader(name, distinct) if name != "cfg" else str
    if reader is not None:
        values = {text: None if text in (None, _CLEARED) else reader(text) for text in set(column)}
        return [values[text] for text in column]
    readers = {task: read.readers(name, task)[0] for task in distinct}
    return [
        None if text is None or text == _CLEARED else readers[task](text)
        for task, text in zip(tasks, column, strict=True)
    ]
