"""The index of a results root: which manifest has an experiment, and which experiments are known.

It only repeats what the manifests and the records of `known` say, and may be removed at any time. An experiment is in
it by its exp id, so that a results root that was moved, or that has two names, has each once.
"""

from __future__ import annotations

import _sqlite3 as sqlite3  # what sqlite3 itself adds are conversions of dates
import contextlib
import json
import marshal
import math
import os
import time
from binascii import crc32  # zlib's: protobuf has loaded this one
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from heyhi.errors import HeyhiError, ManifestError
from heyhi.loggers import get_logger
from heyhi.project import Project
from heyhi.quick_tuple import NamedTuple
from heyhi.sweep import database
from heyhi.sweep.known import (
    KNOWN_NAME,
    LAUNCHES_NAME,
    LaunchRecord,
    names_in,
    read_known,
    read_launch,
    warn_unreadable,
)
from heyhi.sweep.manifest import (
    SUFFIX,
    Contents,
    Manifest,
    Origin,
    column_checksum,
    manifests_on_disk,
    manifests_root,
    moved_away,
)
from heyhi.sweep.target import exp_id_of, exp_ids_of, folder_of, folders_at
from heyhi.text import shell_line

if TYPE_CHECKING:
    from heyhi.config.identity import Identity
    from heyhi.experiment.folder import ExperimentDir

_FORMAT = 6
# For which others are waited for: whoever has it locked for longer was stopped, and this one does without it.
_BUSY_SECONDS = 10.0
# Once somebody was waited for in vain, each later look of this process takes so long, for a minute.
_BUSY_AGAIN_SECONDS, _REMEMBERED_SECONDS = 0.1, 60.0
_TABLES = {
    "origin": "id INTEGER PRIMARY KEY, project_root TEXT, code_root TEXT, results_root TEXT",
    "manifest": "id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, changed INTEGER NOT NULL",
    # The newest manifest of each origin that has an experiment; what it needs as JSON, NULL for nothing.
    "expanded": "exp_id TEXT, origin INTEGER, manifest INTEGER, needs TEXT, PRIMARY KEY (exp_id, origin)",
    # Files in `known` and `launches`; the manifest that a launch names.
    "record": "name TEXT PRIMARY KEY, manifest TEXT",
    "known": "exp_id TEXT PRIMARY KEY, needs TEXT",
    # What the config of one that is DONE says, by the rule that it was found out by; see `twins`.
    "config": "exp_id TEXT PRIMARY KEY, rule TEXT NOT NULL, digest TEXT NOT NULL",
    # Of what each of `_SEALED` has found when it was written: a lost page may leave a table that is shorter, or other.
    "seal": "name TEXT PRIMARY KEY, checksum INTEGER NOT NULL",
}
_ROWID_TABLES = ("origin", "manifest")
_INDICES = {
    "expanded_needing": "CREATE INDEX expanded_needing ON expanded (exp_id) WHERE needs IS NOT NULL",
    "known_needing": "CREATE INDEX known_needing ON known (exp_id) WHERE needs IS NOT NULL",
}
_STATEMENTS = {
    name: f"CREATE TABLE {name} ({columns}){'' if name in _ROWID_TABLES else ' WITHOUT ROWID'}"
    for name, columns in _TABLES.items()
} | _INDICES
_SEALED = {
    "known": "SELECT exp_id FROM known ORDER BY exp_id",
    "origin": "SELECT id, project_root, code_root, results_root FROM origin ORDER BY id",
    "manifest": "SELECT id, name, changed FROM manifest ORDER BY id",
    "expanded": "SELECT exp_id, origin, manifest, needs FROM expanded ORDER BY exp_id, origin",
    # What was expanded last counts; where no manifest is left, what was written when it was run or launched.
    "needs": "SELECT exp_id, needs, 0 FROM known WHERE needs IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM expanded WHERE expanded.exp_id = known.exp_id)"
    " UNION ALL SELECT exp_id, needs, changed FROM expanded JOIN manifest ON manifest.id = manifest"
    " WHERE needs IS NOT NULL ORDER BY 3, 1",
}
_MAX_ASKED = 500  # values of one query
_MAX_IN_TEXT = 10_000  # exp ids in one value, however long they are
_T = TypeVar("_T")
_Read = Callable[[], Contents]
_log = get_logger(__name__)


class _Foreign(Exception):
    """A database is of another version, or has what no index has."""


class _Unsealed(Exception):
    """A database holds something else than was written into it."""

    def __str__(self) -> str:
        return "it holds something else than was written into it"


# What shows that a database is damaged, or can't be used now.
_WRONG = (sqlite3.Error, _Foreign, _Unsealed, ValueError, TypeError, LookupError, OverflowError)


class ManifestIndex:
    """The index of one results root, brought up to date when it is opened.

    It is a database in the state root. One that is damaged is made anew, also where that shows only when it is asked.
    Where there can be none (nobody may write there, another has it locked, or it is damaged and can't be removed), it
    is made in memory.

    Experiments are named by their exp paths: those of today, whatever was the name of the results root.
    """

    def __init__(self, project: Project, connection: sqlite3.Connection, records: Set[str]) -> None:
        self._project = project
        self._root = project.results_root
        self._folder = manifests_root(project)
        self._records_then = records  # that were there before it was brought up to date
        self._opened: list[sqlite3.Connection] = []
        self._use(connection)

    def _use(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._opened.append(connection)  # one that is damaged may still be read from
        self._is_checked = False
        self.__dict__.pop("_own_origins", None)

    def __del__(self) -> None:
        for connection in self.__dict__.get("_opened", ()):  # not of one that was never made
            connection.close()

    @classmethod
    def open(cls, project: Project, written: Mapping[str, _Read] = {}) -> ManifestIndex:
        """Open the index of a results root, after taking up what was written since.

        Args:
            project: whose results root it is of.
            written: by their names, what returns what manifests hold that were written just now: these needn't be read.

        Raises:
            UnknownError: records of it can't be listed.
        """
        found = _Found.look(project)
        return cls(project, _opened(project, found, written), found.records)

    def _ask(self, ask: Callable[[], _T]) -> _T:
        """Ask the database; where it turns out to be damaged, ask one that is made anew.

        Args:
            ask: asks `self._connection`.
        """
        for made_anew in (_made_anew, _made_in_memory):
            try:
                return ask()
            except _WRONG as error:
                if isinstance(error, HeyhiError):
                    raise
                self._use(made_anew(self._project, error))
        return ask()

    def _sealed(self, name: str) -> list[tuple[Any, ...]]:
        return _sealed_rows(self._connection, name)

    def _check_expanded(self) -> None:
        """Make sure, once, that what isn't found among what was expanded wasn't lost."""
        if not self._is_checked:
            for name in ("known", "origin", "manifest", "expanded"):
                self._sealed(name)
            self._is_checked = True

    # --- what was expanded

    def find_to_look(self, exp_path: Path | str) -> Path | None:
        """Return the newest manifest that has an experiment, to look at it; None where none has it."""
        return self._path(lambda: "", exp_path)

    def find_to_run(self, exp_path: Path | str) -> Path | None:
        """Return the newest manifest that has an experiment and may be run here; None where none has it.

        It was written by this project for its results where they are: a clone that shares these has its own code.
        """
        return self._path(lambda: f" AND origin IN ({self._own_origins})", exp_path)

    def find_all(self, exp_paths: Iterable[Path | str]) -> dict[str, Path]:
        """Return the newest manifest of each of some experiments, to look at them; those that none has are left out.

        What was expanded here goes before what another clone has expanded since.
        """
        paths = list(map(str, exp_paths))
        by_id = dict(zip(exp_ids_of(paths, self._root), paths, strict=True))

        def ask() -> dict[str, Path]:
            found: dict[str, Path] = {}
            places: dict[str, Path] = {}  # few, of 10,000 experiments
            for asked in _some(list(by_id)):
                rows = self._connection.execute(
                    "SELECT exp_id, name FROM expanded JOIN manifest ON manifest.id = expanded.manifest"
                    f" WHERE exp_id IN ({','.join('?' * len(asked))})"
                    f" ORDER BY origin IN ({self._own_origins}), changed",
                    asked,
                )
                for exp_id, name in rows:
                    found[by_id[exp_id]] = places.get(name) or places.setdefault(name, self._folder / name)
            if len(found) < len(by_id):
                self._check_expanded()
            return found

        return self._ask(ask)

    def _path(self, condition: Callable[[], str], exp_path: Path | str) -> Path | None:
        def ask() -> Path | None:
            query = (
                "SELECT name FROM expanded JOIN manifest ON manifest.id = expanded.manifest"
                f" WHERE exp_id = ?{condition()} ORDER BY changed DESC LIMIT 1"
            )
            found = self._connection.execute(query, (exp_id_of(exp_path, self._root),)).fetchone()
            if found is None:
                self._check_expanded()
                return None
            return self._folder / str(found[0])

        return self._ask(ask)

    @cached_property
    def _own_origins(self) -> str:
        origins = self._sealed("origin")
        return ",".join(str(number) for number, *then in origins if Origin(*then).is_here(self._project))

    # --- what is known

    def known(self) -> list[str]:
        """Return the exp path of every experiment that was run or handed over."""
        return self._ask(lambda: folders_at([exp_id for (exp_id,) in self._sealed("known")], self._root))

    def known_in(self, place: str) -> list[str]:
        """Return the exp path of every known experiment below some first parts of exp ids: `p/c02_sup_train/sl`."""

        def ask() -> list[str]:
            found = self._connection.execute(
                "SELECT exp_id FROM known WHERE exp_id >= ? AND exp_id < ? ORDER BY exp_id",
                (f"{place}/", f"{place}0"),  # 0 comes after /
            )
            return folders_at([exp_id for (exp_id,) in found], self._root)

        return self._ask(ask)

    def digests(self, rule: str) -> dict[str, str]:
        """Return what is kept of the configs of DONE experiments by a rule: exp path -> digest."""

        def ask() -> dict[str, str]:
            found = dict(self._connection.execute("SELECT exp_id, digest FROM config WHERE rule = ?", (rule,)))
            return dict(zip(folders_at(found, self._root), found.values(), strict=True))

        return self._ask(ask)

    def keep_digests(self, rule: str, digests: Mapping[str, str]) -> None:
        """Keep such digests; that nobody can write them is no matter."""
        exp_ids = exp_ids_of(digests, self._root)
        rows = [(exp_id, rule, digest) for exp_id, digest in zip(exp_ids, digests.values(), strict=True)]
        if not rows:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO config VALUES (?, ?, ?)", rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def needs(self) -> dict[str, list[str]]:
        """Return the exp paths of what each experiment needs itself, for all that need any: in one query."""
        found = self._ask(lambda: {exp_id: json.loads(text) for exp_id, text, _ in self._sealed("needs")})
        needs = (folders_at(exp_ids, self._root) for exp_ids in found.values())
        return dict(zip(folders_at(found, self._root), needs, strict=True))

    def unread(self) -> set[str]:
        """Return the records that couldn't be taken up, as `known/0123456789abcdef.json`: each was said when opened."""
        unread = self._records_then - self._records().keys()
        return unread & _Found.look(self._project).records if unread else set()  # others may be removed by now

    def lacks(self) -> bool:
        """Return whether experiments may be missing: a record can't be read, or the manifest that one names is gone."""
        return bool(self.unread() or self._gone())

    def warn_of_gone(self) -> None:
        """Say of each launch on record whose manifest is gone what writes that anew."""
        for name, manifest in self._gone().items():
            path, command = self._project.state_root / name, "heyhi expand SWEEP.py"
            with contextlib.suppress(OSError, ValueError):
                command = expand_command(read_launch(path))
            _log.warning(
                "%s: is gone, so what was launched by it and is known by nothing else is left out; this writes it anew"
                " as long as the sweep is as it was:\n  %s\nor remove %s to forget that launch",
                self._folder / manifest,
                command,
                path,
            )

    def _gone(self) -> dict[str, str]:
        """Return the manifests that aren't there, by the name of a record of a launch by them, the last one."""
        there = manifests_on_disk(self._folder)
        last = {manifest: name for name, manifest in sorted(self._records().items())}
        return {name: manifest for manifest, name in last.items() if manifest and manifest not in there}

    def _records(self) -> dict[str, str]:
        """Return the records that were taken up, and the manifest that each names."""
        return dict(self._ask(lambda: self._connection.execute("SELECT name, manifest FROM record").fetchall()))

    def has(self, exp_path: Path | str) -> bool:
        """Return whether an experiment is known, or some manifest has it."""
        exp_id = exp_id_of(exp_path, self._root)

        def ask() -> bool:
            query = "SELECT 1 FROM known WHERE exp_id = ? UNION ALL SELECT 1 FROM expanded WHERE exp_id = ?"
            is_there = self._connection.execute(query, (exp_id, exp_id)).fetchone() is not None
            if not is_there:
                self._check_expanded()
            return is_there

        return self._ask(ask)


def _some(values: list[str], most: int = _MAX_ASKED) -> Iterable[list[str]]:
    for start in range(0, len(values), most):
        yield values[start : start + most]


class _Found(NamedTuple):
    """What there is to take up.

    Attributes:
        manifests: name -> time of change.
        records: names below the state root, such as `known/0123456789abcdef.json`.
    """

    manifests: dict[str, int]
    records: set[str]

    def __bool__(self) -> bool:
        return bool(self.manifests or self.records)

    @classmethod
    def look(cls, project: Project) -> _Found:
        """List what is on disk.

        Raises:
            HeyhiError: it can't be listed.
        """
        folder, state = manifests_root(project), project.state_root
        manifests = manifests_on_disk(folder)
        records = {f"{name}/{one}" for name in (KNOWN_NAME, LAUNCHES_NAME) for one in names_in(state / name)}
        return cls(manifests, records)


# --- the database


def _opened(project: Project, found: _Found, written: Mapping[str, _Read] = {}) -> sqlite3.Connection:
    """Open the database, and bring it up to date; one that is damaged is made anew."""
    if not found:
        return _filled(database.in_memory(), project, found)
    error: Exception | None = None
    for _ in range(2):
        try:
            return _filled(_open_file(project), project, found, written)
        except OSError as wrong:  # something else is in its place
            error = wrong
        except _WRONG as wrong:
            if database.is_around(wrong):
                return _in_memory(project, found, wrong)
            error = wrong
        if not _removed(project, error):
            break
    assert error is not None
    return _in_memory(project, found, error)


class _Patience:
    """For how long this process waits for who has an index locked: a command looks several times, and waits once."""

    def __init__(self) -> None:
        self._lost = -math.inf

    @property
    def is_lost(self) -> bool:
        """Whether somebody was waited for in vain, not long ago."""
        return time.monotonic() - self._lost < _REMEMBERED_SECONDS

    @property
    def seconds(self) -> float:
        """How long to wait now."""
        return _BUSY_AGAIN_SECONDS if self.is_lost else _BUSY_SECONDS

    def lose(self) -> None:
        """Remember that it was waited for in vain."""
        self._lost = time.monotonic()


@lru_cache(maxsize=16)
def _patience_with(path: Path) -> _Patience:
    return _Patience()


def _open_file(project: Project) -> sqlite3.Connection:
    path = _path_of(project)
    return database.open_to_write(path, seconds=_patience_with(path).seconds)


def _path_of(project: Project) -> Path:
    return project.state_root / f"index{SUFFIX}"


def _filled(
    connection: sqlite3.Connection, project: Project, found: _Found, written: Mapping[str, _Read] = {}
) -> sqlite3.Connection:
    """Bring a database up to date; it is closed where that can't be."""
    try:
        _take_up(connection, project, found, written)
    except BaseException:
        connection.close()
        raise
    return connection


def _made_anew(project: Project, error: Exception) -> sqlite3.Connection:
    """Return a database in place of one that couldn't be asked."""
    found = _Found.look(project)
    if database.is_around(error) or not _removed(project, error):
        return _in_memory(project, found, error)
    return _opened(project, found)


def _made_in_memory(project: Project, error: Exception) -> sqlite3.Connection:
    return _in_memory(project, _Found.look(project), error)


def _removed(project: Project, error: Exception) -> bool:
    """Remove a database that is damaged, and say so; return whether that could be done."""
    path = _path_of(project)
    reason = getattr(error, "strerror", None) or error
    try:
        database.remove(path)
    except OSError as problem:
        _log.warning(
            "%s: is no index (%s), and can't be removed (%s), so this command does without it, which takes longer;"
            " move away whatever is there: %s",
            *(path, reason, problem.strerror or problem, moved_away(path)),
        )
        return False
    if not isinstance(error, _Foreign):
        _log.warning("%s: was damaged (%s), and is made anew", path, reason)
    return True


def _in_memory(project: Project, found: _Found, error: Exception) -> sqlite3.Connection:
    """Make an index that is nowhere on disk, from what is there of the one that is.

    Args:
        project: whose results root it is of.
        found: what is there to be taken up.
        error: why the one on disk can't be used.
    """
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        patience = _patience_with(_path_of(project))
        if not patience.is_lost:
            _log.warning("%s: was locked for %g s, so this command does without it", _path_of(project), _BUSY_SECONDS)
        patience.lose()
    elif database.is_around(error):  # it may be right, and only can't be written
        with contextlib.suppress(OSError, *_WRONG):
            return _filled(_copied(project), project, found)
    return _filled(database.in_memory(), project, found)


def _copied(project: Project) -> sqlite3.Connection:
    """Copy a database that can't be written."""
    connection = database.in_memory()
    try:
        before = database.open_to_copy(_path_of(project))
        try:
            before.execute("BEGIN")
            before.execute(
                "SELECT 1 FROM sqlite_master LIMIT 1"
            ).fetchone()  # else `backup` waits for who has locked it
            before.backup(connection)
        finally:
            before.close()
    except BaseException:
        connection.close()
        raise
    return connection


def _take_up(connection: sqlite3.Connection, project: Project, found: _Found, written: Mapping[str, _Read]) -> None:
    """Bring an index up to date with what is on disk.

    Raises:
        sqlite3.Error: it is damaged, or can't be written.
        _Foreign: it is none of this version.
    """
    if _is_of_today(connection) and _taken_up(connection) == found:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _Found.look(project)
        before = _taken_up(connection) if _is_of_today(connection) else None
        if before is None or not (
            before.manifests.keys() <= found.manifests.keys() and before.records <= found.records
        ):
            # Made anew when something was removed: an older manifest may hold its experiments.
            _make_tables(connection)
            before = _Found({}, set())
        else:
            for name in _SEALED:  # what was lost isn't sealed again
                _sealed_rows(connection, name)
        new = [name for name, changed in found.manifests.items() if before.manifests.get(name) != changed]
        for name in sorted(new, key=found.manifests.__getitem__):
            path = manifests_root(project) / name
            _take_up_manifest(connection, path, found.manifests[name], written.get(name) or partial(_contents_of, path))
        for name in sorted(found.records - before.records):
            _take_up_record(connection, project, name)
        connection.executemany(
            "INSERT OR REPLACE INTO seal VALUES (?, ?)",
            [(name, _checksum(connection.execute(query).fetchall())) for name, query in _SEALED.items()],
        )
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _sealed_rows(connection: sqlite3.Connection, name: str) -> list[tuple[Any, ...]]:
    """Return what one of the queries in `_SEALED` finds.

    Raises:
        _Unsealed: it found something else when the database was written.
    """
    with _one_moment(connection):
        rows = connection.execute(_SEALED[name]).fetchall()
        seal = connection.execute("SELECT checksum FROM seal WHERE name = ?", (name,)).fetchone()
    if seal != (_checksum(rows),):
        raise _Unsealed
    return rows


@contextlib.contextmanager
def _one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """Have nobody else write between two queries."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def _checksum(rows: list[tuple[Any, ...]]) -> int:
    if rows and len(rows[0]) == 1:
        return column_checksum([value for (value,) in rows])
    return crc32(marshal.dumps(rows, 2))  # texts, numbers and None: a third of the time of their `repr`


def _is_of_today(connection: sqlite3.Connection) -> bool:
    """Return whether a database is an index of this version; False for an empty one.

    Raises:
        _Foreign: it is something else.
    """
    statements = database.statements_of(connection)
    if not statements:
        return False
    if statements != _STATEMENTS or connection.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
        raise _Foreign("it is no index of this version")
    return True


def _taken_up(connection: sqlite3.Connection) -> _Found:
    manifests = dict(connection.execute("SELECT name, changed FROM manifest"))
    return _Found(manifests, {name for (name,) in connection.execute("SELECT name FROM record")})


def _make_tables(connection: sqlite3.Connection) -> None:
    for table in _TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in _STATEMENTS.values():
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_FORMAT}")


def _contents_of(path: Path) -> Contents:
    with Manifest.open(path) as manifest:
        return manifest.contents


def _take_up_manifest(connection: sqlite3.Connection, path: Path, changed: int, read: _Read) -> None:
    """Lead the experiments of one manifest to it, unless a newer one of the same origin has them.

    Args:
        connection: to the index.
        path: of the manifest.
        changed: when that was asked for last.
        read: returns what it holds, or raises ManifestError.
    """
    if not os.access(path, os.R_OK):
        return  # for us: whoever may read it takes it up
    launched = "SELECT 1 FROM record WHERE manifest = ? LIMIT 1"
    try:
        holds = read()
    except ManifestError as error:  # which is said to who opens it, too
        if connection.execute(launched, (path.name,)).fetchone():
            _warn_damaged(error)
            return  # for now
        holds = Contents([], {}, Origin("", "", ""))
    connection.execute(
        "INSERT INTO manifest (name, changed) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET changed = excluded.changed",
        (path.name, changed),
    )
    (number,) = connection.execute("SELECT id FROM manifest WHERE name = ?", (path.name,)).fetchone()
    place = _number_of(connection, holds.origin)
    then = (
        "ON CONFLICT (exp_id, origin) DO UPDATE SET manifest = excluded.manifest, needs = excluded.needs"
        # One that was written earlier may be taken up later.
        f" WHERE (SELECT changed FROM manifest WHERE id = expanded.manifest) <= {int(changed)}"
    )
    # As one text, in half the time that it takes with a call for each.
    for some in _some([exp_id for exp_id in holds.exp_ids if exp_id not in holds.needs], _MAX_IN_TEXT):
        alone = f"INSERT INTO expanded SELECT value, {place}, {int(number)}, NULL FROM json_each(?) WHERE true {then}"
        connection.execute(alone, (json.dumps(some),))
    connection.executemany(f"INSERT INTO expanded VALUES (?, {place}, {int(number)}, ?) {then}", holds.needs.items())
    if connection.execute(launched, (path.name,)).fetchone():  # the record was there first
        _make_known(connection, holds.exp_ids, holds.needs)


def _number_of(connection: sqlite3.Connection, origin: Origin) -> int:
    where = "SELECT id FROM origin WHERE project_root = ? AND code_root = ? AND results_root = ?"
    found = connection.execute(where, origin).fetchone()
    if found is None:
        connection.execute("INSERT INTO origin (project_root, code_root, results_root) VALUES (?, ?, ?)", origin)
        found = connection.execute(where, origin).fetchone()
    return int(found[0])


def _take_up_record(connection: sqlite3.Connection, project: Project, name: str) -> None:
    """Make the experiments of a record known; one that can't be read is tried again the next time."""
    path, manifest = project.state_root / name, ""
    try:
        if name.startswith(f"{KNOWN_NAME}/"):
            needs = read_known(path)
            _make_known(connection, list(needs), {exp_id: json.dumps(ids) for exp_id, ids in needs.items() if ids})
        else:
            manifest = read_launch(path).manifest
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        warn_unreadable(path, error)
        return
    exp_ids: list[str] = []
    its_needs: dict[str, str] = {}
    if manifest:
        place = manifests_root(project) / manifest
        try:
            exp_ids, its_needs, _ = _contents_of(place)
        except ManifestError as error:
            if os.access(place, os.R_OK) or (os.path.lexists(place) and not os.path.exists(place)):  # noqa: PTH110
                _warn_damaged(error)
                return  # for now
            # Where it isn't there, or is closed to us, its experiments become known when it is read.
    connection.execute("INSERT INTO record VALUES (?, ?)", (name, manifest))
    _make_known(connection, exp_ids, its_needs)


def _warn_damaged(error: ManifestError) -> None:
    _log.warning(
        "%s\nAs long as that isn't done, what was launched by it and is known by nothing else is left out", error
    )


def _make_known(connection: sqlite3.Connection, exp_ids: Iterable[str], needs: dict[str, str]) -> None:
    connection.executemany(
        "INSERT INTO known VALUES (?, ?) ON CONFLICT (exp_id) DO UPDATE SET needs = excluded.needs",
        ((exp_id, needs.get(exp_id)) for exp_id in exp_ids),
    )


def expand_command(record: LaunchRecord) -> str:
    """Return the command that writes the manifest of a launch anew, as long as its sweep is as it was."""
    return shell_line(["heyhi", "expand", *record.expand]) if record.expand else "heyhi expand with the same words"


# --- where none is found


def no_manifest(project: Project, target: str) -> ManifestError:
    """Return the error that no manifest has a target which may be run here; it names the command that makes one."""
    from heyhi.experiment.folder import ExperimentDir

    exp_path = folder_of(target, project.root)
    other = ManifestIndex.open(project).find_to_look(exp_path)
    folder = ExperimentDir(Path(exp_path), project.results_root)
    identity, then = None, None
    with contextlib.suppress(HeyhiError):
        identity = folder.read_identity()
    if other is not None:
        with contextlib.suppress(ManifestError), Manifest.open(other) as manifest:
            then = manifest.written_for
            identity = identity or manifest.entries_of([target])[0][2]
    command = _expand_command(project, folder, identity)
    if then is not None:
        return ManifestError(
            f"{target}: was only expanded by the project {then.project_root}, with its results in {then.results_root};"
            f" another one's code and paths are not run here. Expand it here first:\n  {command}"
        )
    return ManifestError(
        f"{target}: is in no manifest of {project.results_root}; expand what it belongs to first:\n  {command}"
    )


def damaged_manifest(project: Project, target: str, error: ManifestError) -> ManifestError:
    """Return the error that the manifest by which a target would be run is damaged; it names what writes a new one.

    Args:
        project: whose target it is.
        target: of the experiment.
        error: what is wrong with the manifest.
    """
    from heyhi.experiment.folder import ExperimentDir

    folder = ExperimentDir(Path(folder_of(target, project.root)), project.results_root)
    identity = None
    with contextlib.suppress(HeyhiError):
        identity = folder.read_identity()
    return ManifestError(f"{error}\nor, for {folder.exp_id} alone:\n  {_expand_command(project, folder, identity)}")


def _expand_command(project: Project, folder: ExperimentDir, identity: Identity | None) -> str:
    """Write the command that expands an experiment."""
    from heyhi.config.identity import ExpPattern

    if identity is None:
        return "heyhi expand SWEEP.py, or heyhi expand --cfg CFG key=value …"
    words = ["heyhi", "expand", "--cfg", identity.cfg, *identity.overrides]
    with contextlib.suppress(HeyhiError):
        is_default = ExpPattern(project).exp_id(identity) == folder.exp_id
        words += [] if is_default else ["--out", folder.exp_id]
    return shell_line(words)
