"""What a table shows of its experiments before their folders are looked at: their names, and what varies among them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

from heyhi.experiment.folder import Experiment
from heyhi.report.columns import ColumnCache
from heyhi.report.readings import Entry, transposed
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import target_of

EntriesAt = Callable[[Sequence[int]], list[Entry]]  # returns the entries at some places
_FEW = 10  # where less than one in so many has to be read, these are looked up one by one
_VARYING = "varying: "


@dataclass(frozen=True)
class Outline:
    """The experiments of a table, as far as their manifest says.

    Attributes:
        exp_ids: their names.
        folders: their exp paths.
        needs: exp path -> exp paths of what it needs, for all that need any; also for those that are only needed.
        varying: columns of the config and of the overrides that are not the same for all; None where one has none.
    """

    exp_ids: list[str]
    folders: list[str]
    needs: dict[str, tuple[str, ...]]
    varying: dict[str, list[Any]]

    @classmethod
    def of(cls, entries: Sequence[Entry], found: Iterable[Entry]) -> Self:
        """Outline experiments.

        Args:
            entries: of the table.
            found: these, and those that they need.
        """
        needs = {entry.folder: entry.needs for entry in found if entry.needs}
        return cls([e.exp_id for e in entries], [e.folder for e in entries], needs, varying_columns(entries))

    @classmethod
    def of_columns(cls, columns: dict[str, list[Any]]) -> Self:
        """Restore what `columns` returned."""
        needs = dict(zip(columns["needing"], map(tuple, columns["needed"]), strict=True))
        varying = {column.removeprefix(_VARYING): v for column, v in columns.items() if column.startswith(_VARYING)}
        return cls(columns["exp_id"], columns["folder"], needs, varying)

    def columns(self) -> dict[str, list[Any]]:
        """Return everything as columns, to be kept on disk."""
        return {
            "exp_id": self.exp_ids,
            "folder": self.folders,
            "needing": list(self.needs),
            "needed": [list(needed) for needed in self.needs.values()],
            **{f"{_VARYING}{key}": column for key, column in self.varying.items()},
        }


def outline_manifest(manifest: Manifest, cache: ColumnCache) -> tuple[Outline, EntriesAt]:
    """Outline a manifest's own experiments, and return what reads their entries.

    A manifest never changes, so its outline is cached: reading all of it takes longer than the rest of a table of which
    little has changed.
    """
    # Its folders are in it, and the results may be moved.
    place = hashlib.sha256(str(manifest.results_root).encode()).hexdigest()[:8]
    name = f"manifest-{manifest.digest}-{place}"
    kept = cache.load(name)
    if not kept:
        rows, own = manifest.entries()
        found = list(map(Entry._make, rows))
        entries = [found[place] for place in own]
        outline = Outline.of(entries, found)
        cache.store(name, outline.columns())
        return outline, lambda places: [entries[place] for place in places]
    outline = Outline.of_columns(kept)

    def entries_at(places: Sequence[int]) -> list[Entry]:
        if len(places) < len(outline.folders) / _FEW:
            targets = [target_of(outline.folders[place], manifest.project_root) for place in places]
            return list(map(Entry._make, manifest.entries_of(targets)))
        rows, own = manifest.entries()
        return [Entry._make(rows[own[place]]) for place in places]

    return outline, entries_at


def entry_of(experiment: Experiment) -> Entry:
    """Return what is to be read of an experiment."""
    needs = tuple(map(str, experiment.needs))
    return Entry(experiment.exp_id, str(experiment.exp_path), experiment.identity, experiment.task, needs)


def varying_columns(entries: Sequence[Entry], *, everything: bool = False) -> dict[str, list[Any]]:
    """Return the columns of the config and of the overrides that are not the same for all; None where one has none.

    Args:
        entries: of the experiments.
        everything: also those that are the same for all.
    """
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
        if len(values) > 1 or everything:
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
