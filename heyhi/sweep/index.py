"""The index of a results root: which manifest has an experiment, and which experiments are known.

It only repeats what the manifests and the records of `known` say, and may be removed at any time. An experiment is in
it by its exp id, so that a results root that was moved, or that has two names, has each once.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import weakref
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from heyhi.errors import HeyhiError, ManifestError
from heyhi.project import Project
from heyhi.sweep.known import KNOWN_NAME, LAUNCHES_NAME, names_in, read_known, read_launch, warn_unreadable
from heyhi.sweep.manifest import SUFFIX, Manifest, Origin, manifests_on_disk, manifests_root
from heyhi.sweep.target import exp_id_of, exp_ids_of, folder_of, folders_at
from heyhi.text import shell_line

_FORMAT = 3
_BUSY_SECONDS = 60.0
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
}
_ROWID_TABLES = ("origin", "manifest")
_INDICES = (
    "CREATE INDEX expanded_needing ON expanded (exp_id) WHERE needs IS NOT NULL",
    "CREATE INDEX known_needing ON known (exp_id) WHERE needs IS NOT NULL",
)
_MAX_ASKED = 500  # values of one query


class ManifestIndex:
    """The index of one results root, brought up to date when it is opened.

    It is a database in the state root. Where there can be none (nobody may write there, or it is damaged and can't be
    removed), it is made in memory.

    Experiments are named by their exp paths: those of today, whatever was the name of the results root.
    """

    def __init__(self, project: Project, connection: sqlite3.Connection) -> None:
        self._project = project
        self._root = project.results_root
        self._folder = manifests_root(project)
        self._connection = connection
        weakref.finalize(self, connection.close)

    @classmethod
    def open(cls, project: Project) -> ManifestIndex:
        """Open the index of a results root, after taking up what was written since.

        Raises:
            UnknownError: records of it can't be listed.
        """
        path = project.state_root / f"index{SUFFIX}"
        found = _Found.look(project)
        for _ in range(2 if found else 0):
            connection = None
            is_taken = False
            try:
                # Who drops the index last closes it, and that may be the garbage collector in another thread.
                connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
                _take_up(connection, project, found)
                is_taken = True
                return cls(project, connection)
            except sqlite3.OperationalError:  # read-only, full or without locks: nothing is wrong with its content
                break
            except sqlite3.DatabaseError:
                with contextlib.suppress(OSError):
                    path.unlink()
            finally:
                if connection is not None and not is_taken:
                    connection.close()
        return cls(project, _in_memory(path, project, found))

    # --- what was expanded

    def find_to_look(self, exp_path: Path | str) -> Path | None:
        """Return the newest manifest that has an experiment, to look at it; None where none has it."""
        return self._path(
            "SELECT name FROM expanded JOIN manifest ON manifest.id = expanded.manifest"
            " WHERE exp_id = ? ORDER BY changed DESC LIMIT 1",
            exp_path,
        )

    def find_to_run(self, exp_path: Path | str) -> Path | None:
        """Return the newest manifest that has an experiment and may be run here; None where none has it.

        It was written by this project for its results where they are: a clone that shares these has its own code.
        """
        return self._path(
            "SELECT name FROM expanded JOIN manifest ON manifest.id = expanded.manifest"
            f" WHERE exp_id = ? AND origin IN ({self._own_origins}) ORDER BY changed DESC LIMIT 1",
            exp_path,
        )

    def find_all(self, exp_paths: Iterable[Path | str]) -> dict[str, Path]:
        """Return the newest manifest of each of some experiments, to look at them; those that none has are left out.

        What was expanded here goes before what another clone has expanded since.
        """
        paths = list(map(str, exp_paths))
        by_id = dict(zip(exp_ids_of(paths, self._root), paths, strict=True))
        found: dict[str, Path] = {}
        for asked in _some(list(by_id)):
            rows = self._connection.execute(
                "SELECT exp_id, name FROM expanded JOIN manifest ON manifest.id = expanded.manifest"
                f" WHERE exp_id IN ({','.join('?' * len(asked))}) ORDER BY origin IN ({self._own_origins}), changed",
                asked,
            )
            found |= {by_id[exp_id]: self._folder / name for exp_id, name in rows}
        return found

    def _path(self, query: str, exp_path: Path | str) -> Path | None:
        found = self._connection.execute(query, (exp_id_of(exp_path, self._root),)).fetchone()
        return self._folder / found[0] if found else None

    @cached_property
    def _own_origins(self) -> str:
        origins = self._connection.execute("SELECT id, project_root, code_root, results_root FROM origin")
        return ",".join(str(number) for number, *then in origins if Origin(*then).is_here(self._project))

    # --- what is known

    def known(self) -> list[str]:
        """Return the exp path of every experiment that was run or handed over."""
        found = self._connection.execute("SELECT exp_id FROM known ORDER BY exp_id")
        return folders_at([exp_id for (exp_id,) in found], self._root)

    def known_in(self, place: str) -> list[str]:
        """Return the exp path of every known experiment below some first parts of exp ids: `p/c02_sup_train/sl`."""
        found = self._connection.execute(
            "SELECT exp_id FROM known WHERE exp_id >= ? AND exp_id < ? ORDER BY exp_id",
            (f"{place}/", f"{place}0"),  # 0 comes after /
        )
        return folders_at([exp_id for (exp_id,) in found], self._root)

    def digests(self, rule: str) -> dict[str, str]:
        """Return what is kept of the configs of DONE experiments by a rule: exp path -> digest."""
        found = dict(self._connection.execute("SELECT exp_id, digest FROM config WHERE rule = ?", (rule,)))
        return dict(zip(folders_at(found, self._root), found.values(), strict=True))

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
        """Return the exp paths of what each experiment needs itself, for all that need any: in one query.

        What was expanded last counts; where no manifest is left, what was written when it was run or launched.
        """
        found: dict[str, str] = {}
        for query in (
            "SELECT exp_id, needs FROM known WHERE needs IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM expanded WHERE expanded.exp_id = known.exp_id)",
            "SELECT exp_id, needs FROM expanded JOIN manifest ON manifest.id = expanded.manifest"
            " WHERE needs IS NOT NULL ORDER BY changed",
        ):
            found.update(self._connection.execute(query))
        needs = (folders_at(json.loads(text), self._root) for text in found.values())
        return dict(zip(folders_at(found, self._root), needs, strict=True))

    def has(self, exp_path: Path | str) -> bool:
        """Return whether an experiment is known, or some manifest has it."""
        exp_id = exp_id_of(exp_path, self._root)
        query = "SELECT 1 FROM known WHERE exp_id = ? UNION ALL SELECT 1 FROM expanded WHERE exp_id = ?"
        return self._connection.execute(query, (exp_id, exp_id)).fetchone() is not None


def _some(values: list[str]) -> Iterable[list[str]]:
    for start in range(0, len(values), _MAX_ASKED):
        yield values[start : start + _MAX_ASKED]


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


def _in_memory(path: Path, project: Project, found: _Found) -> sqlite3.Connection:
    """Make an index that is nowhere on disk, from what is there of the one that is."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with contextlib.suppress(sqlite3.Error):
        before = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            before.backup(connection)
        finally:
            before.close()
    try:
        _take_up(connection, project, found)
    except sqlite3.Error:  # what was there is damaged
        connection.close()
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        _take_up(connection, project, found)
    return connection


def _take_up(connection: sqlite3.Connection, project: Project, found: _Found) -> None:
    """Bring an index up to date with what is on disk."""
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
        new = [name for name, changed in found.manifests.items() if before.manifests.get(name) != changed]
        for name in sorted(new, key=found.manifests.__getitem__):
            _take_up_manifest(connection, manifests_root(project) / name, found.manifests[name])
        for name in sorted(found.records - before.records):
            _take_up_record(connection, project, name)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _is_of_today(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] == _FORMAT)


def _taken_up(connection: sqlite3.Connection) -> _Found:
    manifests = dict(connection.execute("SELECT name, changed FROM manifest"))
    return _Found(manifests, {name for (name,) in connection.execute("SELECT name FROM record")})


def _make_tables(connection: sqlite3.Connection) -> None:
    present = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in present:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for table, columns in _TABLES.items():
        rowid = "" if table in _ROWID_TABLES else " WITHOUT ROWID"
        connection.execute(f"CREATE TABLE {table} ({columns}){rowid}")
    for statement in _INDICES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_FORMAT}")


def _take_up_manifest(connection: sqlite3.Connection, path: Path, changed: int) -> None:
    """Lead the experiments of one manifest to it, unless a newer one of the same origin has them."""
    if not os.access(path, os.R_OK):
        return  # for us: whoever may read it takes it up
    exp_ids: list[str] = []
    needs: dict[str, list[str]] = {}
    origin = Origin("", "", "")
    with contextlib.suppress(ManifestError), Manifest.open(path) as manifest:  # it is said to who opens it
        exp_ids, needs, origin = manifest.sorted_exp_ids, manifest.needed_exp_ids, manifest.written_for
    connection.execute(
        "INSERT INTO manifest (name, changed) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET changed = excluded.changed",
        (path.name, changed),
    )
    (number,) = connection.execute("SELECT id FROM manifest WHERE name = ?", (path.name,)).fetchone()
    place = _number_of(connection, origin)
    texts = {exp_id: json.dumps(ids) for exp_id, ids in needs.items()}
    connection.executemany(
        "INSERT INTO expanded VALUES (?, ?, ?, ?) ON CONFLICT (exp_id, origin)"
        " DO UPDATE SET manifest = excluded.manifest, needs = excluded.needs"
        # One that was written earlier may be taken up later.
        f" WHERE (SELECT changed FROM manifest WHERE id = expanded.manifest) <= {int(changed)}",
        ((exp_id, place, number, texts.get(exp_id)) for exp_id in exp_ids),
    )
    launched = "SELECT 1 FROM record WHERE manifest = ? LIMIT 1"
    if connection.execute(launched, (path.name,)).fetchone():  # the record was there first
        _make_known(connection, exp_ids, texts)


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
    connection.execute("INSERT INTO record VALUES (?, ?)", (name, manifest))
    if manifest:
        # Where it isn't there, or is damaged, its experiments become known when it is.
        with contextlib.suppress(ManifestError), Manifest.open(manifests_root(project) / Path(manifest).name) as opened:
            texts = {exp_id: json.dumps(ids) for exp_id, ids in opened.needed_exp_ids.items()}
            _make_known(connection, opened.sorted_exp_ids, texts)


def _make_known(connection: sqlite3.Connection, exp_ids: Iterable[str], needs: dict[str, str]) -> None:
    connection.executemany(
        "INSERT INTO known VALUES (?, ?) ON CONFLICT (exp_id) DO UPDATE SET needs = excluded.needs",
        ((exp_id, needs.get(exp_id)) for exp_id in exp_ids),
    )


# --- where none is found


def no_manifest(project: Project, target: str) -> ManifestError:
    """Return the error that no manifest has a target which may be run here; it names the command that makes one."""
    from heyhi.config.identity import ExpPattern
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
    command = "heyhi expand SWEEP.py, or heyhi expand --cfg CFG key=value …"
    if identity is not None:
        words = ["heyhi", "expand", "--cfg", identity.cfg, *identity.overrides]
        with contextlib.suppress(HeyhiError):
            is_default = ExpPattern(project).exp_id(identity) == folder.exp_id
            words += [] if is_default else ["--out", folder.exp_id]
        command = shell_line(words)
    if then is not None:
        return ManifestError(
            f"{target}: was only expanded by the project {then.project_root}, with its results in {then.results_root};"
            f" another one's code and paths are not run here. Expand it here first:\n  {command}"
        )
    return ManifestError(
        f"{target}: is in no manifest of {project.results_root}; expand what it belongs to first:\n  {command}"
    )
