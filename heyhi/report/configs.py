"""The composed configs behind a table's rows: who is a replicate of whom, and in what rows differ that are none.

A need counts as what it was composed to, by itself: evaluations of one training per seed are replicates of one another.
What of a config counts, `config/comparable` says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from google.protobuf.message import Message

from heyhi.config.best import Unchosen
from heyhi.config.comparable import Comparable, changed_defaults
from heyhi.config.fields import covers
from heyhi.config.leaves import leaves
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import TASK_ONEOF, Schema, set_fields, type_of
from heyhi.config.translation import Translation
from heyhi.config.values import Special
from heyhi.project import Project
from heyhi.report.searched import Searched
from heyhi.report.setting_values import read_list, read_scalar
from heyhi.report.trial_rows import trial_configs
from heyhi.sweep.manifest import ConfigRow, Manifest
from heyhi.sweep.target import folders_at

# Marks where a config names another experiment's folder, its own, or where project and results lie; no value as it is
# written has such a character.
_MARK = "\0"
_LINK = re.compile(f"{_MARK}([^{_MARK}]*){_MARK}")
_OWN, _RESULTS, _PROJECT = (f"{_MARK}{name}{_MARK}" for name in ("own", "results", "project"))
_MAX_COMPARED = 50  # kinds of rows of which the differences are listed


class _Origin(NamedTuple):
    """Where a manifest's configs were composed, how they are read by the names of today, and how they are compared."""

    manifest: Manifest
    schema: Schema
    comparable: Comparable
    results_root: str
    project_root: str


class _Record(NamedTuple):
    """The config of one experiment.

    Attributes:
        needs: exp path of each need, as it is now.
        paths: exp path as its config has it -> mark, of itself and of what it needs.
        unchosen: what is known of the config where that isn't complete; None: all of it.
    """

    origin: _Origin
    task: str
    config: bytes
    needs: tuple[str, ...]
    paths: dict[str, str]
    unchosen: Unchosen | None = None

    @property
    def bests(self) -> tuple[str, ...]:
        """Words of the best ones of sweeps that it takes over, and that aren't chosen yet."""
        return self.unchosen.bests if self.unchosen is not None else ()

    @property
    def flat(self) -> Iterator[tuple[str, Any]]:
        """Keys of the config, with all defaults; None for what isn't known."""
        for key, value in _flat(_message(self)):
            yield key, value if self.unchosen is None or self.unchosen.knows(key, value) else None


class Configs:
    """The configs of the experiments of some manifests.

    Args:
        sources: the manifests, each with the project whose settings say what counts.
        searches: for each manifest the search whose trials are meant, None where there is none; empty: nowhere.
    """

    def __init__(self, sources: Sequence[tuple[Manifest, Project]], searches: Sequence[Searched | None] = ()) -> None:
        self._sources = sources
        self._searches = searches or [None] * len(sources)
        self._lines: dict[str, dict[str, str]] = {}
        self._keys: dict[tuple[str, ...], dict[str, str]] = {}

    @cached_property
    def _records(self) -> dict[str, _Record]:
        """All experiments by their exp paths, each after what it needs."""
        told = changed_defaults(self._schemas)
        found: dict[str, _Record] = {}
        for (manifest, project), schema, searched in zip(self._sources, self._schemas, self._searches, strict=True):
            today = self.translations.get(project)
            then = manifest.written_for
            comparable = Comparable(Scheduling(project.settings.identity_ignore), told)
            origin = _Origin(manifest, schema, comparable, then.results_root, then.project_root)
            rows = manifest.configs() if searched is None else trial_configs(manifest, searched)
            ids = [row.exp_id for row in rows]
            now = dict(zip(ids, folders_at(ids, manifest.results_root), strict=True))
            before = dict(zip(ids, folders_at(ids, origin.results_root), strict=True))
            if today is not None:
                rows = [row._replace(task=today.task(row.task)) for row in rows]
            for row in rows:
                if now[row.exp_id] not in found:
                    found[now[row.exp_id]] = _recorded(origin, row, now, before)
        return found

    @cached_property
    def translations(self) -> dict[Project, Translation]:
        """What gives things their names of today, for each project in which some were renamed."""
        found = {project: Translation.of(project) for _, project in self._sources}
        return {project: today for project, today in found.items() if today is not None}

    @cached_property
    def _schemas(self) -> list[Schema]:
        """Schema of each manifest, by the names of today."""
        found = []
        for manifest, project in self._sources:
            today = self.translations.get(project)
            found.append(manifest.schema() if today is None else today.schema(manifest.schema()))
        return found

    def may_have(self, key: str) -> bool:
        """Return whether the configs may have a key, by the schemas alone."""
        return re.split(r"[.\[]", key, maxsplit=1)[0] in self._first_names

    @cached_property
    def _first_names(self) -> frozenset[str]:
        """The names with which keys begin: fields and oneofs of all tasks, and the tasks that may be needed."""
        found = {TASK_ONEOF}
        for schema in self._schemas:
            for task, field in schema.tasks.items():
                found.add(task)
                if (message := field.message_type) is not None:
                    found |= {*message.fields_by_name, *message.oneofs_by_name}
        return frozenset(found)

    def flat(self, folders: Sequence[str]) -> list[dict[str, Any]]:
        """Return for each experiment its config as dotted keys below the task, its oneofs by their chosen members.

        What it needs stands there as `<task>.<key>`. Values are as a table has those of overrides.
        """
        memo: dict[str, dict[str, Any]] = {}

        def row(folder: str) -> dict[str, Any]:
            if folder not in memo:
                record = self._records[folder]
                found: dict[str, Any] = {TASK_ONEOF: record.task}
                for need in record.needs:
                    found |= {f"{self._records[need].task}.{key}": value for key, value in row(need).items()}
                memo[folder] = found | dict(record.flat)
            return memo[folder]

        return [row(folder) if folder in self._records else {} for folder in folders]

    def replicate_keys(self, folders: Sequence[str], fields: Sequence[str]) -> list[str]:
        """Return for each experiment what it has in common with its replicates, and with nobody else.

        Args:
            folders: their exp paths; one that no manifest has is nobody's replicate.
            fields: keys of the config that are averaged over, in what is needed, too.
        """
        keys = self._keys_of(tuple(fields))
        return [keys.get(folder) or f"{_MARK}{folder}" for folder in folders]

    def _keys_of(self, fields: tuple[str, ...]) -> dict[str, str]:
        if fields not in self._keys:
            keys: dict[str, str] = {}
            for folder, record in self._records.items():  # needs come first
                # What isn't known yet is like nothing that is known.
                text = "\n".join([record.task, *record.bests, *self._compared(folder, fields)])
                if record.needs:
                    text = _LINK.sub(lambda match: keys.get(match[1], match[1]), text)
                keys[folder] = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
            self._keys[fields] = keys
        return self._keys[fields]

    def _compared(self, folder: str, fields: tuple[str, ...]) -> Iterator[str]:
        """Yield the lines of an experiment's config that count beside some fields."""
        for key, value in self._lines_of(folder).items():
            if not self._is_covered(folder, key, fields):
                yield f"{key}={value}"

    def _is_covered(self, folder: str, key: str, fields: tuple[str, ...]) -> bool:
        record = self._records[folder]
        memo = self._covered.setdefault((record.task, fields), {})
        found = memo.get(key)
        if found is None:
            names = (key, *record.origin.comparable.oneofs.get(key, ()))
            found = memo[key] = any(covers(f"{record.task}.{name}", fields) for name in names)
        return found

    @cached_property
    def _covered(self) -> dict[tuple[str, tuple[str, ...]], dict[str, bool]]:
        return {}

    def _lines_of(self, folder: str) -> dict[str, str]:
        found = self._lines.get(folder)
        if found is None:
            record = self._records[folder]
            found = record.origin.comparable.lines(_message(record))
            found = {key: _marked(value, record) if "/" in value else value for key, value in found.items()}
            self._lines[folder] = found
        return found

    # --- in what they differ

    def differences(self, folders: Sequence[str], fields: Sequence[str]) -> list[str]:
        """Name the keys in which experiments differ, beside some fields; those of what is needed as `<task>.<key>`."""
        chosen = tuple(fields)
        keys = dict(zip(self.replicate_keys(folders, fields), folders, strict=True))
        first, *others = list(keys.values())[:_MAX_COMPARED] or [""]
        names: dict[str, None] = {}
        for other in others:
            names.update(dict.fromkeys(self._difference(first, other, chosen)))
        return list(names)

    def _difference(self, one: str, other: str, fields: tuple[str, ...]) -> list[str]:
        """Name the keys in which two experiments differ."""
        keys = self._keys_of(fields)
        if one not in keys or other not in keys:
            return ["exp_id"]
        if keys[one] == keys[other]:
            return []
        if self._records[one].task != self._records[other].task:
            return [TASK_ONEOF]
        mine, theirs = self._lines_of(one), self._lines_of(other)
        names = ["I"] if self._records[one].bests != self._records[other].bests else []
        for key in dict.fromkeys([*mine, *theirs]):
            if mine.get(key) != theirs.get(key) and not self._is_covered(one, key, fields):
                names += self._named(key, mine.get(key), theirs.get(key), (one, other), fields)
        return names

    def _other_choice(self, key: str, one: str, other: str) -> str:
        """Return the oneof on a key's way in which two experiments chose otherwise; empty where there is none."""
        mine, theirs = self._lines_of(one), self._lines_of(other)
        oneofs = {folder: self._records[folder].origin.comparable.oneofs.get(key, ()) for folder in (one, other)}
        for oneof in oneofs[one] or oneofs[other]:
            prefix = oneof[: oneof.rfind(".") + 1]
            member = prefix + key.removeprefix(prefix).partition(".")[0]
            if (member in mine) != (member in theirs):
                return oneof
        return ""

    def _named(
        self, key: str, mine: str | None, theirs: str | None, pair: tuple[str, str], fields: tuple[str, ...]
    ) -> list[str]:
        """Name a key whose values differ: as such, as the oneof that was chosen otherwise, or by what is needed."""
        one, other = pair
        if mine is None or theirs is None:
            return [self._other_choice(key, one, other) or key]
        if _LINK.sub("", mine) != _LINK.sub("", theirs):
            return [key]
        keys = self._keys_of(fields)
        names = []
        for left, right in zip(_LINK.findall(mine), _LINK.findall(theirs), strict=False):
            if keys.get(left, left) != keys.get(right, right):
                inner = self._difference(left, right, fields)
                task = self._records[left].task if left in self._records else ""
                names += [f"{task}.{name}" if name not in (TASK_ONEOF, "exp_id") else key for name in inner] or [key]
        return names


def _recorded(origin: _Origin, row: ConfigRow, now: Mapping[str, str], before: Mapping[str, str]) -> _Record:
    paths = {before[need]: f"{_MARK}{now[need]}{_MARK}" for need in row.needs if need in now}
    paths[before[row.exp_id]] = _OWN
    needs = tuple(now[need] for need in row.needs if need in now)
    return _Record(origin, row.task, row.config, needs, paths, row.unchosen)


def _message(record: _Record) -> Message:
    return record.origin.manifest.task_message(record.task, record.config, record.origin.schema)


def _marked(text: str, record: _Record) -> str:
    """Mark the folders of experiments in a value, and where project and results lie."""
    origin = record.origin
    places = {**record.paths, origin.results_root: _RESULTS, origin.project_root: _PROJECT}
    if not any(place in text for place in places):
        return text
    ordered = sorted(places, key=len, reverse=True)
    # A folder's name goes on with these.
    found = re.compile("(?:" + "|".join(map(re.escape, ordered)) + r")(?![A-Za-z0-9._=@+,-])")
    return found.sub(lambda match: places[match[0]], text)


def _flat(task: Message) -> Iterable[tuple[str, Any]]:
    """Yield the keys of a task's message with all defaults."""
    yield from _choices(task, "")
    for key, field, value in leaves(task, with_defaults=True, whole_lists=True):
        if isinstance(value, list):
            yield key, read_list(field, value)
        elif value is None or isinstance(value, Special):
            yield key, value.value if value is not None else None
        else:
            yield key, read_scalar(field, value)


def _choices(message: Message, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield which member is chosen in each oneof outside of lists and maps."""
    for oneof in type_of(message).oneofs:
        chosen = message.WhichOneof(oneof.name)
        if chosen is not None:
            yield prefix + oneof.name, chosen
    for field, value in set_fields(message):
        if field.message_type is not None and not field.is_repeated:
            yield from _choices(value, f"{prefix}{field.name}.")
