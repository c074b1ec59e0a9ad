"""Provenance: with which config and by which code DONE experiments were made, beside what there is today.

It looks and says so in words; nothing is redone here.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from heyhi.code.changes import CodeChange, CodeChanges
from heyhi.config.difference import Change, one_line
from heyhi.config.schema import Schema
from heyhi.config.values import shorten
from heyhi.errors import HeyhiError, ModeError, fact_of
from heyhi.experiment.folder import last_sources
from heyhi.experiment.given import find_stale, stale_text
from heyhi.experiment.names import RESULT_NAME
from heyhi.files import Listings
from heyhi.project import SCHEDULING_KEYS, Project
from heyhi.quick_dataclass import dataclass, field
from heyhi.sweep.drift import DriftCheck

if TYPE_CHECKING:
    from heyhi.experiment.records import Sources

# What becomes of DONE experiments: False: nothing; True: those of another config are made anew; "code": also those of
# other code; "continue": those of another config go on from their files; "stale": also those made of earlier results.
Redo = bool | Literal["code", "continue", "stale"]
MAX_COMPARED = 500  # that nobody asked for and whose digests differ; a fifth of a millisecond each
_MAX_KEYS = 4  # of one experiment, that a line names
_MAX_LINES = 3
_MAX_KEY, _MAX_VALUE = 120, 60  # characters


@dataclass(frozen=True)
class Provenance:
    """What was found out about some DONE experiments.

    Attributes:
        drifted: exp path -> what of its config is otherwise today.
        recoded: exp path -> what of the code is otherwise today.
        ignored: exp path -> what is otherwise of keys that are in no identity by the project's own words; of those that
            have not drifted.
        stale: exp path -> what of that which it needs has another result by now; of those that were asked for that.
        unread: exp path -> why nobody can tell.
        skipped: how many may have another config and were not compared, since there are so many.
        size: how many are DONE.
    """

    drifted: dict[str, list[Change]] = field(default_factory=dict)
    recoded: dict[str, CodeChange] = field(default_factory=dict)
    ignored: dict[str, list[Change]] = field(default_factory=dict)
    stale: dict[str, list[str]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    skipped: int = 0
    size: int = 0

    def to_redo(self, redo: Redo) -> list[str]:
        """Return the exp paths of those that are to be made anew; none of which nobody can tell what it would be."""
        found = dict.fromkeys(self.drifted) if redo else {}
        found |= dict.fromkeys(self.recoded) if redo == "code" else {}
        found |= dict.fromkeys(self.stale) if redo == "stale" else {}
        return [path for path in found if path not in self.unread]

    def why(self, path: str) -> str:
        """Say in some words how one of them was made otherwise."""
        texts = [*map(_told, self.drifted.get(path, ()))]
        more = [f"… and {len(texts) - _MAX_KEYS} more"] if len(texts) > _MAX_KEYS else []
        change = self.recoded.get(path)
        stale = [stale_text(self.stale[path])] if path in self.stale else []
        return ", ".join([*texts[:_MAX_KEYS], *more, *([one_line(change.text)] if change is not None else []), *stale])

    @property
    def drifted_texts(self) -> dict[str, list[str]]:
        """What is otherwise in the configs of those that have drifted, by exp path."""
        return {path: list(map(_told, changes)) for path, changes in self.drifted.items()}

    def merged(self, other: Provenance) -> Provenance:
        """Return both together."""
        return Provenance(
            self.drifted | other.drifted,
            self.recoded | other.recoded,
            self.ignored | other.ignored,
            self.stale | other.stale,
            self.unread | other.unread,
            self.skipped + other.skipped,
            self.size + other.size,
        )

    @property
    def _uncompared(self) -> str:
        return f"of those compared none was made with another config; there are {self.skipped} more"

    @property
    def lines(self) -> list[str]:
        """All of it in some lines; none where everything was made as it would be today."""
        code = code_lines(self.recoded.values(), is_one=self.size == 1)
        return [*self.config_lines, *self.ignored_lines, *self.stale_lines, *code]

    @property
    def config_lines(self) -> list[str]:
        """The same, less what is said of the code."""
        kinds = Counter(tuple(map(_told, changes)) for changes in self.drifted.values())
        found = []
        for texts, count in kinds.most_common(_MAX_LINES):
            more = f" … and {len(texts) - _MAX_KEYS} more" if len(texts) > _MAX_KEYS else ""
            which = f" ({count} experiment{'s' * (count > 1)})" if self.size > 1 else ""
            found.append(f"made with another config: {', '.join(texts[:_MAX_KEYS])}{more}{which}")
        if rest := len(self.drifted) - sum(count for _, count in kinds.most_common(_MAX_LINES)):
            found.append(f"… and {rest} more with other differences")
        if self.skipped:
            more = f"… and {self.skipped} more that may be" if found else self._uncompared
            found.append(f"{more}, which were not compared (heyhi plan does)")
        if self.unread:
            more = f" … and {len(self.unread) - 1} more" if len(self.unread) > 1 else ""
            found.append(f"can't be compared with today: {next(iter(self.unread.values()))}{more}")
        return found

    @property
    def ignored_lines(self) -> list[str]:
        """Say with which values of keys that are in no identity some are DONE, and how they go on."""
        kinds = Counter(tuple(map(_told, changes[:_MAX_KEYS])) for changes in self.ignored.values())
        return [
            f"DONE with another value of what is in no identity: {', '.join(texts)}"
            f"{_counted(count) if self.size > 1 else ''}; --redo-drifted=continue goes on"
            for texts, count in kinds.most_common(_MAX_LINES)
        ]

    @property
    def stale_lines(self) -> list[str]:
        """Say of which needs some are stale."""
        kinds = Counter(stale_text(needs) for needs in self.stale.values())
        found = [
            f"stale: {text}{_counted(count) if self.size > 1 else ''}" for text, count in kinds.most_common(_MAX_LINES)
        ]
        rest = len(self.stale) - sum(count for _, count in kinds.most_common(_MAX_LINES))
        return [*found, *([f"… and {rest} more that are stale"] if rest else [])]


class Inspector:
    """A look at how DONE experiments of one project were made.

    Args:
        project: where configs, code and results are today.
        schema: as it is today.
        codes: what compares code; default: the code is looked at now.
        redo: what is to be made anew: what nothing hangs on isn't looked at.
    """

    def __init__(
        self, project: Project, schema: Schema, codes: CodeChanges | None = None, *, redo: Redo = False
    ) -> None:
        self._project, self._redo = project, redo
        self._check = DriftCheck(project, schema)
        own = project.settings.own_identity_ignore
        self._all_keys = DriftCheck(compared_by(project, "continue"), schema) if own else None
        self._codes = codes or CodeChanges(project)

    def look(self, configs: Mapping[str, bytes | None], *, most: int | None = None) -> Provenance:
        """Compare those that are DONE with what they would be made of today.

        Args:
            configs: exp path -> root message that it is composed to, serialised; None: compose it from its identity.
            most: compare no more than so many whose digests differ; default: all.
        """
        unread: dict[str, str] = {}
        starts = _starts(configs, unread)
        recoded = _recoded(starts, self._codes)
        differing = [path for path, start in starts.items() if not self._is_alike(start, configs[path])]
        step = 1 if most is None else -(-len(differing) // most) or 1
        drifted: dict[str, list[Change]] = {}
        ignored: dict[str, list[Change]] = {}
        for path in differing[::step]:
            try:
                if changes := self._check.changes(Path(path), configs[path]):
                    drifted[path] = changes
                elif self._all_keys is not None and (changes := self._all_keys.changes(Path(path), configs[path])):
                    ignored[path] = changes
            except HeyhiError as error:
                unread[path] = fact_of(error)
        skipped = len(differing) - len(differing[::step])
        size = len(starts) + len(unread.keys() - starts.keys())
        return Provenance(drifted, recoded, ignored, self._stale(starts), unread, skipped, size)

    def _stale(self, starts: Mapping[str, Sources | None]) -> dict[str, list[str]]:
        """Return those of which a need has another result by now; what is only made of stale ones would stay so."""
        given = [path for path, start in starts.items() if start is not None and start.needs]
        if self._redo != "stale" or not given:
            return {}
        return find_stale(self._project.results_root, given, self._project.root, is_whole=False)

    def _is_alike(self, start: Sources | None, config: bytes | None) -> bool:
        return config is not None and self._check.is_as_started(start, config)


def is_done(path: str) -> bool:
    """Return whether an experiment has a result, by a look at its folder."""
    return os.access(f"{path}/{RESULT_NAME}", os.F_OK)


def find_recoded(project: Project, folders: Iterable[str]) -> dict[str, CodeChange]:
    """Return what of the code is otherwise today than when experiments were made, for those that are DONE.

    Args:
        project: whose code it is.
        folders: exp path of each.

    Returns:
        exp path -> what is otherwise; nothing of those whose records can't be read.
    """
    return _recoded(_starts(folders, {}), CodeChanges(project))


def compared_by(project: Project, redo: Redo) -> Project:
    """Return a project by whose settings DONE experiments are compared with today.

    Who goes on with what is DONE means what the project's own `identity_ignore` names, too: with more epochs, the
    experiment is the same one, and its result isn't.
    """
    if redo != "continue":
        return project
    return project._replace(settings=project.settings._replace(identity_ignore=SCHEDULING_KEYS))


@lru_cache(maxsize=8)
def code_changes(project: Project) -> CodeChanges:
    """Return what compares a project's code, as it was when this process first asked: scripts ask 1,000 times."""
    return CodeChanges(project)


def code_lines(changes: Iterable[CodeChange], *, is_one: bool = False) -> list[str]:
    """Say in one line how many experiments were made by other code; no line where none were.

    Args:
        changes: of each.
        is_one: there is only one experiment, which needs no counting.
    """
    kinds = Counter(one_line(change.text) for change in changes)
    if not kinds:
        return []
    ((text, _),) = kinds.most_common(1)
    more = f"; and {len(kinds) - 1} other version{'s' * (len(kinds) > 2)}" if len(kinds) > 1 else ""
    count = kinds.total()
    counted = "" if is_one else f"{count} experiment{'s' * (count > 1)}: "
    return [f"made by other code: {counted}{text}{more}"]


def _starts(folders: Iterable[str], unread: dict[str, str]) -> dict[str, Sources | None]:
    """Return the last start of each that is DONE; why it can't be read goes into `unread`."""
    found: dict[str, Sources | None] = {}
    listings = Listings()
    for path in folders:
        if listings.may_have(path) and is_done(path):
            try:
                found[path] = last_sources(path)
            except HeyhiError as error:
                unread[path] = fact_of(error)
    return found


def _recoded(starts: Mapping[str, Sources | None], codes: CodeChanges) -> dict[str, CodeChange]:
    known: dict[tuple[str, bool, str], CodeChange | None] = {}
    found = {}
    for path, start in starts.items():
        if start is None:
            continue
        key = (start.commit, start.dirty, start.code)
        if key not in known:
            known[key] = codes.since(*key)
        if (change := known[key]) is not None:
            found[path] = change
    return found


def _counted(count: int) -> str:
    return f" ({count} experiment{'s' * (count > 1)})"


def _told(change: Change) -> str:
    """Write a change for people, no longer than it must be."""
    then, now = (shorten(one_line(value), _MAX_VALUE) or "''" for value in (change.then, change.now))
    return f"{shorten(one_line(change.key), _MAX_KEY)} {then} → {now}"


def checked_redo(redo: Redo) -> Redo:
    """Return a choice of what is made anew.

    Raises:
        ModeError: it is none.
    """
    if redo not in (False, True, "code", "continue", "stale"):
        raise ModeError(f"redo_drifted is {redo!r}; expected True, False, 'code', 'continue' or 'stale'")
    return redo
