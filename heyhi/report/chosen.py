"""Which of some experiments conditions choose, by the columns that a report of them would have."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from heyhi.config.best import Best, Unchosen
from heyhi.config.difference import flat_of
from heyhi.config.identity import Identity
from heyhi.config.keys import choices_of
from heyhi.config.schema import load_schema
from heyhi.config.shown_list import shown_cell
from heyhi.config.translation import Translation
from heyhi.control.plans import Plan
from heyhi.control.survey import Part
from heyhi.errors import HeyhiError, UnknownError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import is_winner, result_of
from heyhi.experiment.slots import shown_folder
from heyhi.files import is_there
from heyhi.project import Project
from heyhi.quick_dataclass import replace
from heyhi.report.meanings import Columns, Known, override_name
from heyhi.report.outline import column_of
from heyhi.report.readings import Entry
from heyhi.report.setting_values import SettingValues, values_of
from heyhi.report.table import gathered_columns
from heyhi.report.where import check, chosen_rows, readings


def narrowed(parts: Sequence[Part], conditions: Sequence[str]) -> list[Part]:
    """Return the same parts with only those of their experiments for which all conditions hold.

    The columns are those of `heyhi report`, less those of a sweep's own `get_logs_data`; `cfg` and all overrides, also
    where they are the same for all; and the keys of the composed configs. What hasn't started yet has those that it
    was expanded to.

    Raises:
        WhereError: a condition can't be read or names no column, or a column of numbers is compared with none.
    """
    chosen = set(_choose(parts, conditions))
    return [
        # What is left out may need what isn't.
        part._replace(folders=[folder for folder in part.folders if folder in chosen], own=None)
        for part in parts
    ]


def _choose(parts: Sequence[Part], conditions: Sequence[str]) -> list[str]:
    check(conditions)
    all_of = [_Candidates(project, parts) for project in dict.fromkeys(part.project for part in parts)]
    all_of = [some for some in all_of if some.folders]
    if not all_of:
        return []
    sizes = [len(some.folders) for some in all_of]
    keys = {meaning.key for condition in conditions for meaning in readings(condition)}
    keys |= {some.today.name(key) for some in all_of if some.today is not None for key in keys}
    each = [some.known(keys) for some in all_of]
    known = Known(
        _joined([some.columns for some in each], sizes),
        lambda: _joined([some.configs for some in each], sizes),
        _joined([some.outcome for some in each], sizes),
        translations=tuple(some.today for some in all_of if some.today is not None),
        settings=tuple(some.settings for some in all_of),
    )
    folders = [folder for some in all_of for folder in some.folders]
    return [folders[row] for row in chosen_rows(conditions, known)]


class _Candidates:
    """Experiments of one project that may be chosen.

    Args:
        project: whose they are.
        parts: that they are in, and others.
    """

    def __init__(self, project: Project, parts: Iterable[Part]) -> None:
        self._project = project
        self._parts = [part for part in parts if part.project == project]
        self._part_of = {folder: part for part in reversed(self._parts) for folder in part.folders}
        self.folders = list(dict.fromkeys(folder for part in self._parts for folder in part.folders))

    def known(self, keys: Collection[str]) -> Known:
        """Return what names mean among them, as in their table.

        Args:
            keys: that are asked for: what doesn't override one of them has the value in its config there.
        """
        needs = self._all_needs()
        entries = self._with_tasks([self._entry(folder, needs) for folder in self.folders])
        found = gathered_columns(self._project, entries, needs, self._best_of)
        columns = dict(found.columns)
        shown = [(e.identity.overrides, e.task) for e in entries]
        if (today := self.today) is not None:
            shown = [(today.overrides(*one), "") for one in shown]
        overridden = {text.partition("=")[0] for overrides, _ in shown for text in overrides}
        for key in map(column_of, overridden):
            name = override_name(key)
            if name in keys and None in columns.get(name, ()):
                composed = self.config_columns.get(key, [None] * len(entries))
                columns[name] = [a if a is not None else b for a, b in zip(columns[name], composed, strict=True)]
        return replace(found, columns=columns, read_configs=lambda: self.config_columns)

    @cached_property
    def settings(self) -> SettingValues:
        """What reads their overrides."""
        return values_of(self._project)

    @cached_property
    def today(self) -> Translation | None:
        """What knows the earlier names of keys and values; None where there are none."""
        return Translation.of(self._project)

    def _all_needs(self) -> dict[str, tuple[str, ...]]:
        """Return what they need, and what that needs: one may be blocked from afar."""
        found: dict[str, tuple[str, ...]] = {}
        left = [*self.folders]
        seen = set(left)
        while left:
            folder = left.pop()
            needs = dict.fromkeys(need for part in self._parts for need in part.waits_for(folder))
            if needs:
                found[folder] = tuple(needs)
                left += needs.keys() - seen
                seen |= needs.keys()
        return found

    def _best_of(self, path: str) -> Best | None:
        return next((best for part in self._parts if (best := part.best_of(path)) is not None), None)

    def _entry(self, folder: str, needs: Mapping[str, tuple[str, ...]]) -> Entry:
        shown = shown_folder(folder)  # of a search's slot: its experiment
        experiment = ExperimentDir(Path(shown), self._project.results_root)
        identity = None
        with contextlib.suppress(UnknownError):  # which its status says
            identity = experiment.read_identity()
        if identity is None and (plan := self._plan(folder)) is not None:
            identity = plan.identity
        return Entry(experiment.exp_id, shown, identity or Identity("", ()), "", needs.get(folder, ()))

    def _plan(self, folder: str) -> Plan | None:
        return self._part_of[folder].plan_of(folder)

    @cached_property
    def config_columns(self) -> Columns:
        """A column for each key of the composed configs, named below the task as overrides are."""
        found = [_below_task(flat) | dict(self._choices(flat)) for flat in self._flats]
        rows = [self._known(folder, row) for folder, row in zip(self.folders, found, strict=True)]
        names = dict.fromkeys(name for row in rows for name in row if name)
        return {name: [row.get(name) for row in rows] for name in names}

    @cached_property
    def _flats(self) -> list[Mapping[str, Any]]:
        """Their composed configs as dotted keys, by the names of today."""
        started = {folder: ExperimentDir(Path(shown_folder(folder))).read_flat_config() for folder in self.folders}
        flats = [flat or self._planned_flat(folder) for folder, flat in started.items()]
        return flats if self.today is None else list(map(self.today.flat, flats))

    def _with_tasks(self, entries: list[Entry]) -> list[Entry]:
        """Name the tasks of experiments where an override has another type in one than in the other."""
        if len(self._tasks) < 2:
            return entries
        names = {text.partition("=")[0] for entry in entries for text in entry.identity.overrides}
        if all(len(self.settings.readers(column_of(name))) == 1 for name in names):
            return entries
        tasks = [next((key.partition(".")[0] for key in flat), "") for flat in self._flats]
        return [entry._replace(task=task) for entry, task in zip(entries, tasks, strict=True)]

    def _choices(self, flat: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the oneofs of a config, with their chosen members."""
        for key in flat:
            task, _, below = key.partition(".")
            if (found := self._choices_of_key.get(key)) is None:
                field = self._tasks.get(task)
                kind = field.message_type if field is not None else None
                found = list(choices_of(kind, below)) if kind is not None else []
                self._choices_of_key[key] = found
            yield from found

    @cached_property
    def _choices_of_key(self) -> dict[str, list[tuple[str, str]]]:
        return {}

    @cached_property
    def _tasks(self) -> Mapping[str, FieldDescriptor]:
        with contextlib.suppress(HeyhiError):  # what is wrong with the protos of today is no matter
            return load_schema(self._project).tasks
        return {}

    def _planned_flat(self, folder: str) -> Mapping[str, Any]:
        plan = self._plan(folder)
        with contextlib.suppress(HeyhiError):  # protos of another day
            if plan is not None:
                message = plan.schema().parse_root(plan.config)
                return flat_of(message)
        return {}

    def _known(self, folder: str, row: dict[str, Any]) -> dict[str, Any]:
        """Return the keys of a composed config, less the values that the best of a sweep is still to give."""
        needs = self._part_of[folder].needs_of(folder)
        is_open = any(is_winner(need) and not is_there(result_of(need)) for need in needs)
        if not is_open or (plan := self._plan(folder)) is None:
            return row
        unchosen = Unchosen.of(plan.identity.overrides)
        if unchosen is None or ExperimentDir(Path(shown_folder(folder))).read_flat_config():
            return row
        return {key: value if unchosen.knows(key, value) else None for key, value in row.items()}


def _below_task(flat: Mapping[str, Any]) -> dict[str, Any]:
    return {key.partition(".")[2]: shown_cell(value) for key, value in flat.items()}


def _joined(tables: Sequence[Columns], sizes: Sequence[int]) -> Columns:
    """Put tables of several projects below one another; what one of them lacks is missing there."""
    if len(tables) == 1:
        return tables[0]
    names = dict.fromkeys(name for table in tables for name in table)
    return {
        name: [cell for table, size in zip(tables, sizes, strict=True) for cell in table.get(name, [None] * size)]
        for name in names
    }
