"""The index of a results root: it leads from a target to the manifest that the target was expanded into last.

It only repeats what the manifests say, and may be removed at any time; what they hold is left to `manifest`.
"""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
import weakref
from pathlib import Path

from heyhi.errors import HeyhiError, ManifestError
from heyhi.project import Project
from heyhi.sweep.manifest import FORMAT, SUFFIX, Manifest, manifests_on_disk, manifests_root
from heyhi.sweep.target import folder_of

_BUSY_SECONDS = 60.0
_INDEX_FORMAT = 10 * FORMAT + 2  # of the index, and of the manifests in it
_INDEX_TABLES = (
    "CREATE TABLE manifest (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, changed INTEGER NOT NULL,"
    " needing INTEGER NOT NULL)",  # whether an experiment of it needs another one
    "CREATE TABLE target (target TEXT PRIMARY KEY, manifest INTEGER NOT NULL) WITHOUT ROWID",
)


class ManifestIndex:
    """The index of one results root, brought up to date when it is opened.

    It is a database beside the manifests. Where there can be none (nobody may write there, or it is damaged and can't
    be removed) the manifests themselves are asked, newest first.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection | None) -> None:
        self.folder = folder
        self.connection = connection

    @classmethod
    def open(cls, project: Project) -> ManifestIndex:
        """Open the index of a results root, after taking up what was written since."""
        folder = manifests_root(project)
        path = project.state_root / f"index{SUFFIX}"
        if not folder.is_dir():
            return cls(folder, None)
        for _ in range(2):
            connection = None
            try:
                # Who drops the index last closes it, and that may be the garbage collector in another thread.
                connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
                _take_up(connection, folder)
                index = cls(folder, connection)
                weakref.finalize(index, connection.close)
                return index
            except sqlite3.OperationalError:  # read-only, full or without locks: nothing is wrong with its content
                break
            except sqlite3.DatabaseError:
                with contextlib.suppress(OSError):
                    path.unlink()
            finally:
                if connection is not None and connection.in_transaction:
                    connection.rollback()
        return cls(folder, None)

    def find(self, target: str) -> Path | None:
        """Return the newest manifest that has a target, None where none has it."""
        if self.connection is None:
            return next((p for p in reversed(self._all()) if target in Manifest.open(p)), None)
        query = "SELECT name FROM target JOIN manifest ON manifest.id = target.manifest WHERE target = ?"
        found = self.connection.execute(query, (target,)).fetchone()
        return self.folder / found[0] if found else None

    def targets(self) -> list[str]:
        """Return every target that was ever expanded; those of the oldest manifest first."""
        if self.connection is None:
            return list(dict.fromkeys(t for path in self._all() for t in Manifest.open(path).all_targets))
        (manifests,) = self.connection.execute("SELECT count(*) FROM manifest").fetchone()
        query = "SELECT target FROM target ORDER BY target"
        if manifests > 1:  # which takes twice as long
            query = "SELECT target FROM target JOIN manifest ON manifest.id = target.manifest ORDER BY changed, target"
        return [target for (target,) in self.connection.execute(query)]

    def needing(self) -> dict[str, list[str]]:
        """Return the targets that each experiment needs itself, of all that need any."""
        paths = self._all()
        if self.connection is not None:
            query = "SELECT name FROM manifest WHERE needing ORDER BY changed"
            paths = [self.folder / name for (name,) in self.connection.execute(query)]
        found: dict[str, list[str]] = {}
        for path in paths:
            with contextlib.suppress(ManifestError), Manifest.open(path) as manifest:
                found |= manifest.needing()
        return found

    def _all(self) -> list[Path]:
        found = manifests_on_disk(self.folder) if self.folder.is_dir() else {}
        return [self.folder / name for name in sorted(found, key=found.__getitem__)]


def _take_up(connection: sqlite3.Connection, folder: Path) -> None:
    """Bring the index up to date with the manifests on disk; of two that have a target, the newer one counts."""

    def known() -> dict[str, int]:
        return dict(connection.execute("SELECT name, changed FROM manifest"))

    found = manifests_on_disk(folder)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == _INDEX_FORMAT and known() == found:
        return
    connection.execute("BEGIN IMMEDIATE")
    found = manifests_on_disk(folder)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != _INDEX_FORMAT or not known().keys() <= found.keys():
        # Made anew when a manifest was removed: an older one may hold its targets.
        for table in ("manifest", "target"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _INDEX_TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_INDEX_FORMAT}")
    before = known()
    for name in sorted((n for n in found if before.get(n) != found[n]), key=found.__getitem__):
        _take_up_one(connection, folder / name, found[name])
    connection.execute("COMMIT")


def _take_up_one(connection: sqlite3.Connection, path: Path, changed: int) -> None:
    """Lead the targets of one manifest to it, unless a newer one has them."""
    try:
        with Manifest.open(path) as manifest:
            targets, needing = manifest.sorted_targets, bool(manifest.needing())
    except ManifestError:
        targets, needing = [], False  # what is wrong with it is said to who opens it
    connection.execute(
        "INSERT INTO manifest (name, changed, needing) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET changed = excluded.changed, needing = excluded.needing",
        (path.name, changed, needing),
    )
    (number,) = connection.execute("SELECT id FROM manifest WHERE name = ?", (path.name,)).fetchone()
    connection.executemany(
        "INSERT INTO target VALUES (?, ?) ON CONFLICT (target) DO UPDATE SET manifest = excluded.manifest"
        # One that was written earlier may be taken up later.
        f" WHERE (SELECT changed FROM manifest WHERE id = target.manifest) <= {int(changed)}",
        ((target, number) for target in targets),
    )


def find_manifest(project: Project, target: str) -> Path:
    """Find the newest manifest that has a target.

    Args:
        project: in whose results root to look.
        target: as `target_of` names it.

    Raises:
        ManifestError: none has it; the message names the command that makes one.
    """
    found = ManifestIndex.open(project).find(target)
    if found is None:
        raise no_manifest(project, target)
    return found


def no_manifest(project: Project, target: str) -> ManifestError:
    """Return the error that a target is in no manifest; it names the command that makes one."""
    from heyhi.experiment.folder import ExperimentDir

    command = "heyhi expand SWEEP.py, or heyhi expand --cfg CFG key=value …"
    folder = ExperimentDir(Path(folder_of(target, project.root)), project.results_root)
    with contextlib.suppress(HeyhiError):
        identity = folder.read_identity()
        if identity is not None:
            command = shlex.join(["heyhi", "expand", "--cfg", identity.cfg, *identity.overrides])
    return ManifestError(
        f"{target}: is in no manifest of {project.results_root}; expand what it belongs to first:\n  {command}"
    )
