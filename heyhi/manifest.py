"""Owns manifests: what a sweep's jobs read instead of composing again, and the index from a target to its newest one.

A manifest is named by its content and never replaced, so that queued jobs keep what they were queued with. The
index only repeats what the manifests say: it may be removed at any time.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shlex
import sqlite3
import urllib.parse
import weakref
import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.errors import HeyhiError, ManifestError
from heyhi.project import Project
from heyhi.status import RESULT_NAME

if TYPE_CHECKING:
    # `heyhi status` asks only the index, and half of its time would go into loading these.
    from heyhi.experiment import Experiment
    from heyhi.identity import Identity
    from heyhi.schema import Schema
    from heyhi.sweep import Expansion

SUFFIX = ".sqlite"
FORMAT = 1
_APPLICATION = 0x48657948  # "HeyH", in the header of the file: what tells a manifest from another database
_BUSY_SECONDS = 60.0

_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE experiment (
    position INTEGER PRIMARY KEY,  -- each after what it needs
    target TEXT NOT NULL,
    exp_id TEXT NOT NULL,
    own INTEGER,                   -- place in the sweep; NULL for what is only needed
    cfg TEXT NOT NULL,
    overrides TEXT NOT NULL,
    identity_version INTEGER NOT NULL,
    task TEXT NOT NULL,
    config BLOB NOT NULL,
    needs TEXT NOT NULL,           -- targets
    resources TEXT NOT NULL,
    checksum INTEGER NOT NULL      -- of all above
    )""",
)
_INSERT = "INSERT INTO experiment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INDEX_TABLES = (
    "CREATE TABLE manifest (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, changed INTEGER NOT NULL)",
    "CREATE TABLE target (target TEXT PRIMARY KEY, manifest INTEGER NOT NULL) WITHOUT ROWID",
)

# position, target, exp_id, own, cfg, overrides, identity_version, task, config, needs, resources; then the checksum
_Content = tuple[int, str, str, int | None, str, str, int, str, bytes, str, str]
_Row = tuple[int, str, str, int | None, str, str, int, str, bytes, str, str, int]
# exp id, exp path, identity, task, needed exp paths
_Entry = tuple[str, str, "Identity", str, tuple[str, ...]]
_ENTRIES = "SELECT exp_id, target, cfg, overrides, identity_version, task, needs, own FROM experiment"


def target_of(exp_path: Path | str, project_root: Path | str) -> str:
    """Name an experiment's result as Snakemake does: relative to the project root where it lies inside."""
    path, root = str(exp_path), f"{project_root}/"
    return f"{path[len(root) :] if path.startswith(root) else path}/{RESULT_NAME}"


def manifests_root(project: Project) -> Path:
    """Return the folder of the manifests."""
    return project.state_root / "manifests"


# --- writing ------------------------------------------------------------------------------------------------------


def write_manifest(
    expansion: Expansion,
    project: Project,
    schema: Schema,
    *,
    code_root: Path | None = None,
    folder: Path | None = None,
) -> Path:
    """Write the manifest of a sweep, unless it is there, and make it the newest of its targets.

    Args:
        expansion: the sweep.
        project: where it belongs.
        schema: of the configs.
        code_root: folder from which jobs import the task file; default: the project root.
        folder: where to write it instead, for who only reads and may not write to the results.

    Returns:
        `<state root>/manifests/<label>-<16 hex of the content>.sqlite`.

    Raises:
        ManifestError: the results root can't be written, or is full.
    """
    from heyhi.sweep import paused_collection

    meta = {
        "root_name": schema.root_name,
        "project_root": str(project.root),
        "code_root": str(code_root or project.root),
        "results_root": str(project.results_root),
        "entry": project.settings.entry,
        "sweep": expansion.sweep or "",
        "label": expansion.label,
    }
    with paused_collection():
        rows, digest = _digested(meta, schema.file_set, _contents(expansion, str(project.root)))
    path = (folder or manifests_root(project)) / f"{expansion.label}-{digest}{SUFFIX}"
    with _writing(path):
        if not _is_whole(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            blobs = {key: value.encode() for key, value in meta.items()}
            created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").encode()
            _write(path, {**blobs, "digest": digest.encode(), "file_set": schema.file_set, "created": created}, rows)
        _make_newest(path)
    # A read-only index only costs time: what it misses is looked up in the manifests.
    with contextlib.suppress(ManifestError):
        if folder is None:
            ManifestIndex.open(project)
    return path


def _contents(expansion: Expansion, root: str) -> Iterator[_Content]:
    place = {exp_id: i for i, exp_id in enumerate(expansion.own)}
    for position, e in enumerate(expansion.planned):
        identity = e.identity
        yield (
            position,
            target_of(e.folder, root),
            e.exp_id,
            place.get(e.exp_id),
            identity.cfg,
            f"[{', '.join(map(encode_basestring_ascii, identity.overrides))}]",  # JSON, in a third of the time
            identity.version,
            e.task,
            e.config,
            json.dumps([target_of(n, root) for n in e.needs]) if e.needs else "[]",
            json.dumps(dict(e.resources), sort_keys=True) if e.resources else "{}",
        )


def _digested(meta: dict[str, str], file_set: bytes, contents: Iterable[_Content]) -> tuple[list[_Row], str]:
    """Digest all that makes a job what it is: the time of writing is no part of it."""
    import hashlib

    digest = hashlib.sha256(json.dumps([FORMAT, meta]).encode())
    digest.update(hashlib.sha256(file_set).digest())
    rows = []
    for content in contents:
        data = _bytes_of(content)
        digest.update(data)
        rows.append((*content, zlib.crc32(data)))
    return rows, digest.hexdigest()[:16]


def _bytes_of(content: _Content) -> bytes:
    position, target, exp_id, own, cfg, overrides, version, task, config, needs, resources = content
    # No text here can hold a NUL, and the config's length is told.
    text = (
        f"{position}\0{target}\0{exp_id}\0{own}\0{cfg}\0{overrides}\0{version}\0{task}\0{needs}\0{resources}"
        f"\0{len(config)}\0"
    )
    return text.encode() + config


def _write(path: Path, meta: dict[str, bytes], rows: list[_Row]) -> None:
    """Write a whole manifest beside its place, then put it there unless another process was faster."""
    temp = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    try:
        connection = sqlite3.connect(temp, isolation_level=None)
        try:
            # Nobody sees this file before it is complete and on disk: no journal, no syncing on the way.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("BEGIN")
            for statement in _TABLES:
                connection.execute(statement)
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            connection.executemany(_INSERT, rows)
            connection.execute("CREATE UNIQUE INDEX experiment_target ON experiment (target)")
            connection.execute("COMMIT")
        finally:
            connection.close()
        temp.chmod(0o444)
        with temp.open("rb") as file:
            os.fsync(file.fileno())
        _put_in_place(temp, path)
    finally:
        temp.unlink(missing_ok=True)


def _put_in_place(temp: Path, path: Path) -> None:
    try:
        path.hardlink_to(temp)
    except FileExistsError:
        # The same content, from another process; or damaged, and then it is restored.
        if not _is_whole(path):
            temp.replace(path)
    except OSError:  # a file system without hard links
        temp.replace(path)


def _is_whole(path: Path) -> bool:
    """Tell whether a manifest is there and not cut short."""
    try:
        with Manifest.open(path):
            return True
    except ManifestError:
        return False


def _make_newest(path: Path) -> None:
    """Mark a manifest as the one that was asked for last; its time of change is the order that the index keeps."""
    with os.scandir(path.parent) as entries:
        others = [e.stat().st_mtime_ns for e in entries if _is_manifest(e.name) and e.name != path.name]
    if others and max(others) >= path.stat().st_mtime_ns:
        with contextlib.suppress(PermissionError):  # another user's, in a shared results root
            os.utime(path)


def _is_manifest(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise ManifestError(f"{path.parent}: the sweep's manifest can't be written there: {reason}") from None


# --- reading ------------------------------------------------------------------------------------------------------


class Task(NamedTuple):
    """Hold what Snakemake has to know of one experiment.

    Attributes:
        target: its result file.
        needs: targets of what it needs.
        resources: of its launcher.
    """

    target: str
    needs: tuple[str, ...]
    resources: dict[str, int | str]


class Manifest:
    """Read one manifest, which doesn't change while it is open, nor later.

    Opening costs the same for any number of experiments, and so does reading one of them.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, meta: dict[str, bytes]) -> None:
        self.path = path
        self._connection = connection
        self._meta = meta
        self._close = weakref.finalize(self, connection.close)

    @classmethod
    def open(cls, path: Path) -> Manifest:
        """Open a manifest.

        Raises:
            ManifestError: it is missing, damaged, cut short, of another program, or of a newer HeyHi.
        """
        if not path.is_file():
            raise ManifestError(f"{path}: there is no such manifest (`heyhi expand` writes one and prints its path)")
        connection = _connect(path)
        try:
            with _reading(path):
                (application,) = connection.execute("PRAGMA application_id").fetchone()
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                (pages,) = connection.execute("PRAGMA page_count").fetchone()
                (page_size,) = connection.execute("PRAGMA page_size").fetchone()
                if application != _APPLICATION:
                    raise ManifestError(f"{path}: is no manifest of HeyHi (`heyhi expand` writes one)")
                if version > FORMAT:
                    raise ManifestError(
                        f"{path}: is a manifest of a newer HeyHi (format {version}, this one reads {FORMAT}):"
                        " update HeyHi, or run `heyhi expand` again"
                    )
                if path.stat().st_size != pages * page_size:
                    raise sqlite3.DatabaseError("it was cut short")
                meta = dict(connection.execute("SELECT key, value FROM meta"))
                connection.execute("SELECT target FROM experiment LIMIT 1").fetchone()
                if not {"digest", "file_set", "entry", "project_root", "label"} <= meta.keys():
                    raise sqlite3.DatabaseError("some of its settings are missing")
                return cls(path, connection, meta)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close the file; reading fails from then on."""
        self._close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, target: str) -> bool:
        return bool(self._read("SELECT 1 FROM experiment WHERE target = ?", self._key(target)))

    # --- the sweep

    @property
    def digest(self) -> str:
        """16 hex digits over all that its jobs depend on."""
        return self._text("digest")

    @property
    def label(self) -> str:
        """Name of its reports."""
        return self._text("label")

    @property
    def sweep(self) -> str | None:
        """Sweep file, relative to the project root; None where it came from a command line."""
        return self._text("sweep") or None

    @property
    def entry(self) -> str:
        """`module:function` of the task file."""
        return self._text("entry")

    @property
    def project_root(self) -> Path:
        """Folder that targets are relative to."""
        return Path(self._text("project_root"))

    @property
    def code_root(self) -> Path:
        """Folder that the task file is imported from."""
        return Path(self._text("code_root"))

    @property
    def results_root(self) -> Path:
        """Folder that exp ids are relative to."""
        return Path(self._text("results_root"))

    @cached_property
    def _schema(self) -> Schema:
        from heyhi.schema import Schema

        return Schema.from_file_set(self._meta["file_set"], self._text("root_name"))

    def schema(self) -> Schema:
        """Return the schema of its configs, as it was when they were composed."""
        return self._schema

    def _text(self, key: str) -> str:
        return self._meta[key].decode()

    # --- its experiments

    @property
    def targets(self) -> list[str]:
        """Targets of the sweep's own experiments, in its order."""
        return [t for (t,) in self._read("SELECT target FROM experiment WHERE own IS NOT NULL ORDER BY own")]

    @property
    def all_targets(self) -> list[str]:
        """Targets of all experiments, each after what it needs."""
        return [t for (t,) in self._read("SELECT target FROM experiment ORDER BY position")]

    @property
    def sorted_targets(self) -> list[str]:
        """The same in the order of their names, in which an index takes them up fastest."""
        return [t for (t,) in self._read("SELECT target FROM experiment ORDER BY target")]

    def experiment(self, target: str) -> Experiment:
        """Read one experiment.

        Raises:
            ManifestError: it has none of this target, or the row is damaged.
        """
        found = list(self._experiments("WHERE target = ?", self._key(target)))
        if not found:
            raise ManifestError(f"{self.path}: has no experiment {target}")
        return found[0]

    def experiments(self, *, own: bool = False) -> Iterator[Experiment]:
        """Read all experiments, each after what it needs; or only the sweep's own, in its order.

        Raises:
            ManifestError: a row is damaged.
        """
        return self._experiments("WHERE own IS NOT NULL ORDER BY own" if own else "ORDER BY position")

    def entries(self) -> tuple[list[_Entry], list[int]]:
        """Return what a table asks of all experiments, which is all but the configs.

        Returns:
            exp id, exp path, identity, task and needed exp paths of each; places of the sweep's own, in its order.

        Raises:
            ManifestError: a row is damaged.
        """
        rows = self._read(f"{_ENTRIES} ORDER BY position")
        with _reading(self.path):
            own = [row[-1] for row in rows]
            places = [place for place, number in enumerate(own) if number is not None]
            places.sort(key=own.__getitem__)
        return self._entries(rows), places

    def entries_of(self, targets: Iterable[str]) -> list[_Entry]:
        """Return the same of a few experiments, one of each target.

        Raises:
            ManifestError: there is none of a target, or a row is damaged.
        """
        rows = [self._read(f"{_ENTRIES} WHERE target = ?", self._key(target)) for target in targets]
        with _reading(self.path):
            return self._entries([row for (row,) in rows])

    def _entries(self, rows: list[tuple[Any, ...]]) -> list[_Entry]:
        import orjson

        from heyhi.identity import Identity

        if not rows:
            return []
        root = self._text("project_root")
        with _reading(self.path):
            # Column by column, which takes half the time.
            exp_ids, targets, cfgs, overrides, versions, tasks, needs, _ = zip(*rows, strict=True)
            settings = map(tuple, orjson.loads(f"[{','.join(overrides)}]"))
            identities = map(Identity._make, zip(cfgs, settings, versions, strict=True))
            end = -len(RESULT_NAME) - 1
            folders = [target[:end] if target.startswith("/") else f"{root}/{target[:end]}" for target in targets]
            needed = [() if n == "[]" else tuple(_folder_of(root, t) for t in json.loads(n)) for n in needs]
            return list(zip(exp_ids, folders, identities, tasks, needed, strict=True))

    def needs(self, target: str) -> list[str]:
        """Return the targets that an experiment needs itself; none for a target that isn't here."""
        found = self._read("SELECT needs FROM experiment WHERE target = ?", self._key(target))
        with _reading(self.path):
            return list(json.loads(found[0][0])) if found else []

    def task(self, target: str) -> Task | None:
        """Return what Snakemake has to know of one experiment, or None where it isn't here."""
        return next(iter(self._tasks("WHERE target = ?", self._key(target))), None)

    def tasks(self) -> list[Task]:
        """Return the same for all experiments, at once."""
        return self._tasks("ORDER BY position")

    def _key(self, target: str) -> str:
        """Name a target as the rows do: Snakemake may have been asked for an absolute path."""
        return target.removeprefix(f"{self._text('project_root')}/")

    def _tasks(self, where: str, *values: object) -> list[Task]:
        rows = self._read(f"SELECT target, needs, resources FROM experiment {where}", *values)
        with _reading(self.path):
            return [
                # Most have neither, and then nothing has to be parsed.
                Task(
                    target,
                    () if needs == "[]" else tuple(json.loads(needs)),
                    {} if resources == "{}" else json.loads(resources),
                )
                for target, needs, resources in rows
            ]

    def _experiments(self, where: str, *values: object) -> Iterator[Experiment]:
        from heyhi.experiment import Experiment
        from heyhi.identity import Identity

        root = self.project_root
        roots = {"project_root": str(root), "results_root": str(self.results_root)}
        for *content, checksum in self._read(f"SELECT * FROM experiment {where}", *values):
            with _reading(self.path):
                _, target, exp_id, _, cfg, overrides, version, task, config, needs, resources = content
                if zlib.crc32(_bytes_of(tuple(content))) != checksum:
                    raise sqlite3.DatabaseError(f"the row of {target} was changed")
                yield Experiment(
                    exp_id=exp_id,
                    exp_path=root / os.path.dirname(target),  # noqa: PTH120 (a target may be absolute)
                    identity=Identity(cfg, tuple(json.loads(overrides)), version),
                    task=task,
                    config=config,
                    needs=tuple(root / os.path.dirname(n) for n in json.loads(needs)),  # noqa: PTH120
                    resources=json.loads(resources),
                    roots=roots,
                )

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with _reading(self.path):
            return self._connection.execute(query, values).fetchall()


def _folder_of(root: str, target: str) -> str:
    folder = target[: -len(RESULT_NAME) - 1]
    return folder if folder.startswith("/") else f"{root}/{folder}"


def _connect(path: Path) -> sqlite3.Connection:
    # immutable: no locks are taken, which some network file systems lack.
    name = urllib.parse.quote(os.path.abspath(path))  # noqa: PTH100 (a link keeps its name)
    try:
        return sqlite3.connect(f"file:{name}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    except sqlite3.Error as error:
        raise ManifestError(f"{path}: can't be read: {error}") from None


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise ManifestError(
            f"{path}: is no manifest, or a damaged one ({error}): remove it and run `heyhi expand` again"
        ) from None


# --- index --------------------------------------------------------------------------------------------------------


class ManifestIndex:
    """Lead from targets to the manifest that each was expanded into last.

    The index is a database beside the manifests, brought up to date when it is opened; without it (nobody may
    write there, or it is damaged and can't be removed) the manifests themselves are asked, newest first.
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
                connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
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
        """Return the newest manifest that has a target."""
        if self.connection is None:
            return next((p for p in reversed(self._all()) if target in _opened(p)), None)
        query = "SELECT name FROM target JOIN manifest ON manifest.id = target.manifest WHERE target = ?"
        found = self.connection.execute(query, (target,)).fetchone()
        return self.folder / found[0] if found else None

    def targets(self) -> list[str]:
        """Return every target that was ever expanded; those of the oldest manifest first."""
        if self.connection is None:
            return list(dict.fromkeys(t for path in self._all() for t in _opened(path).all_targets))
        (manifests,) = self.connection.execute("SELECT count(*) FROM manifest").fetchone()
        query = "SELECT target FROM target ORDER BY target"
        if manifests > 1:  # which takes twice as long
            query = "SELECT target FROM target JOIN manifest ON manifest.id = target.manifest ORDER BY changed, target"
        return [target for (target,) in self.connection.execute(query)]

    def _all(self) -> list[Path]:
        found = _on_disk(self.folder) if self.folder.is_dir() else {}
        return [self.folder / name for name in sorted(found, key=found.__getitem__)]


def _opened(path: Path) -> Manifest:
    return Manifest.open(path)


def _on_disk(folder: Path) -> dict[str, int]:
    with os.scandir(folder) as entries:
        return {e.name: e.stat().st_mtime_ns for e in entries if _is_manifest(e.name)}


def _take_up(connection: sqlite3.Connection, folder: Path) -> None:
    """Bring the index up to date with the manifests: the order in which they were asked for is their time of change."""

    def known() -> dict[str, int]:
        return dict(connection.execute("SELECT name, changed FROM manifest"))

    found = _on_disk(folder)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == FORMAT and known() == found:
        return
    connection.execute("BEGIN IMMEDIATE")
    found = _on_disk(folder)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT or not known().keys() <= found.keys():
        # Made anew when a manifest was removed: an older one may hold its targets.
        for table in ("manifest", "target"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _INDEX_TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    before = known()
    for name in sorted((n for n in found if before.get(n) != found[n]), key=found.__getitem__):
        _take_up_one(connection, folder / name, found[name])
    connection.execute("COMMIT")


def _take_up_one(connection: sqlite3.Connection, path: Path, changed: int) -> None:
    try:
        with Manifest.open(path) as manifest:
            targets = manifest.sorted_targets
    except ManifestError:
        targets = []  # what is wrong with it is said to who opens it
    connection.execute(
        "INSERT INTO manifest (name, changed) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET changed = excluded.changed",
        (path.name, changed),
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
    """Say that a target is in no manifest, and which command makes one."""
    from heyhi.experiment import ExperimentDir

    command = "heyhi expand SWEEP.py, or heyhi expand --cfg CFG key=value …"
    folder = ExperimentDir(project.root / os.path.dirname(target), project.results_root)  # noqa: PTH120
    with contextlib.suppress(HeyhiError):
        identity = folder.read_identity()
        if identity is not None:
            command = shlex.join(["heyhi", "expand", "--cfg", identity.cfg, *identity.overrides])
    return ManifestError(
        f"{target}: is in no manifest of {project.results_root}; expand what it belongs to first:\n  {command}"
    )
