"""Writing a manifest: once, whole, under the name of its content.

The experiments of a sweep come from `expand`; how a manifest is read is left to `manifest`.
"""

from __future__ import annotations

import _sqlite3 as sqlite3  # what sqlite3 itself adds are conversions of dates
import contextlib
import datetime
import json
import os
import time
from binascii import crc32  # zlib's: protobuf has loaded this one
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.errors import ManifestError
from heyhi.experiment.names import SEARCHES_NAME
from heyhi.project import PROJECT_KEY, Project
from heyhi.quick_tuple import NamedTuple
from heyhi.sha import sha256
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.manifest import (
    APPLICATION_ID,
    CHECKSUMS,
    COLUMNS,
    FORMAT,
    JOB_SETTINGS,
    SEAL,
    STATEMENTS,
    SUFFIX,
    Contents,
    Manifest,
    Origin,
    column_checksum,
    contest_bytes,
    manifests_on_disk,
    manifests_root,
    meta_checksum,
    moved_away,
    row_bytes,
)
from heyhi.sweep.target import exp_ids_of

if TYPE_CHECKING:
    # `heyhi status` asks only the index, and half of its time would go into loading these.
    from heyhi.config.schema import Schema
    from heyhi.sweep.expand import Expansion

_MAX_WORDED = 20  # experiments that words name
_MARKED_NS = 3_600_000_000_000  # after which a manifest is marked again as asked for
_MANY = 5000  # rows
_PAGE_OF_MANY = 16384  # bytes: the rows of a large sweep are written in nine tenths of the time
# Columns that mostly are the same for all experiments: then they are written into the statement, a sixth of its time.
_OFTEN_SAME = ("cfg", "identity_version", "task", "needs", "resources", "files", "given")
_MOST_WRITTEN = 1000  # characters of such a text: a statement has its bounds
_Columns = dict[str, Sequence[Any]]  # by the names of `COLUMNS`


def write_manifest(
    expansion: Expansion,
    project: Project,
    schema: Schema,
    *,
    code_root: Path | None = None,
    folder: Path | None = None,
    words: Sequence[str] = (),
    indexed: bool = True,
) -> Path:
    """Write the manifest of a sweep, unless it is there, and make it the newest of its experiments.

    Args:
        expansion: the sweep.
        project: where it belongs.
        schema: of the configs.
        code_root: folder from which jobs import the task file; default: the project root.
        folder: where to write it instead, for somebody who only looks: it becomes the newest of nothing.
        words: by which `heyhi expand` names the sweep; default: its file, or the config of each experiment. They are
            no part of the content: of two spellings, the first one stays.
        indexed: whether the index takes it up now; else it does when it is opened next, by whoever asks it.

    Returns:
        `<state root>/manifests/<label>-<16 hex of the content>.sqlite`.

    Raises:
        ManifestError: the results root can't be written, or is full.
        ResultError: likewise, where a config outside of the project is to be kept.
    """
    from heyhi.collector import paused_collection
    from heyhi.config.outside import keep

    if folder is None:
        keep(project, expansion.outside)
        for search in expansion.searches:  # whose slots are run by these
            write_manifest(search, project, schema, code_root=code_root)
    meta = _meta(expansion, project, schema, code_root or project.root)
    with paused_collection():
        others = _Others.of(expansion, str(project.results_root))
        blobs = (schema.file_set, expansion.base, *others.blobs)
        columns, digest = _digested(meta, blobs, expansion, str(project.results_root))
    path = (folder or manifests_root(project)) / f"{expansion.label}-{digest}{SUFFIX}"
    with _writing(path):
        if not _is_whole(path, project.name):
            path.parent.mkdir(parents=True, exist_ok=True)
            # What changes nothing of what a job does is no part of the digest: a project may get another name.
            values = {key: value.encode() for key, value in {**meta, PROJECT_KEY: project.name}.items()}
            created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").encode()
            spoken = json.dumps([*words] or _words(expansion)).encode()
            about = {"digest": digest.encode(), "file_set": schema.file_set, "created": created, "words": spoken}
            about |= {"base": expansion.base} if expansion.base else {}
            _write(path, {**values, **about}, columns, others)
        _make_newest(path, always=folder is not None)
    # A read-only index only costs time: what it misses is looked up in the manifests.
    with contextlib.suppress(ManifestError):
        if folder is None and indexed:
            ManifestIndex.open(project, {path.name: partial(_held, columns, others, meta)})
    return path


def _meta(expansion: Expansion, project: Project, schema: Schema, code_root: Path) -> dict[str, str]:
    """Return what a manifest says of its sweep as a whole."""
    return {
        "root_name": schema.root_name,
        "project_root": str(project.root),
        "code_root": str(code_root),
        "results_root": str(project.results_root),
        "entry": project.settings.entry,
        "settings": json.dumps({name: getattr(project.settings, name) for name in JOB_SETTINGS}),
        "sweep": expansion.sweep or "",
        "label": expansion.label,
        "search": expansion.search.to_json() if expansion.search is not None else "",
    }


def _words(expansion: Expansion) -> list[str]:
    """Return words that name a sweep, or as many of its experiments as a command line should hold."""
    if expansion.sweep is not None:
        return [expansion.sweep]
    if expansion.search is not None:
        return [f"{SEARCHES_NAME}/{expansion.search.search_id}"]
    own = set(expansion.own)
    points = islice((p.identity for p in expansion.planned if p.exp_id in own), _MAX_WORDED)
    pattern = ["--out", expansion.pattern] if expansion.pattern is not None else []
    return [word for point in points for word in ("--cfg", point.cfg, *point.overrides, *pattern)]


class _Others(NamedTuple):
    """Rows of the other tables: of what configs are completed from, and of the best ones of sweeps."""

    bases: list[tuple[str, bytes, int]]
    contests: list[tuple[str, str, str, int]]

    @classmethod
    def of(cls, expansion: Expansion, root: str) -> _Others:
        bases = [(e.exp_id, e.base, crc32(e.base)) for e in expansion.planned if e.base]
        contests = []
        for one in expansion.contests:
            row = (one.exp_id, one.best.words, json.dumps(exp_ids_of(one.candidates, root)))
            contests.append((*row, crc32(contest_bytes(*row))))
        return cls(bases, contests)

    @property
    def blobs(self) -> list[bytes]:
        return [*(content for _, content, _ in self.bases), *(contest_bytes(*row[:3]) for row in self.contests)]


def _contents(expansion: Expansion, root: str) -> _Columns:
    """Return what `RowContent` holds of each experiment, by no class: there may be 100,000."""
    planned = expansion.planned
    identities = [e.identity for e in planned]
    exp_ids = [e.exp_id for e in planned]
    return {
        "position": range(len(planned)),
        "exp_id": exp_ids,
        "own": list(map({exp_id: i for i, exp_id in enumerate(expansion.own)}.get, exp_ids)),
        "cfg": [identity.cfg for identity in identities],
        # JSON, in a third of the time.
        "overrides": [f"[{', '.join(map(encode_basestring_ascii, identity.overrides))}]" for identity in identities],
        "identity_version": [identity.version for identity in identities],
        "task": [e.task for e in planned],
        "config": [e.as_written or e.config for e in planned],
        "needs": [json.dumps(exp_ids_of(e.needs, root)) if e.needs else "[]" for e in planned],
        "resources": [json.dumps(dict(e.resources), sort_keys=True) if e.resources else "{}" for e in planned],
        "files": [json.dumps(e.files) if e.files else "[]" for e in planned],
        "given": [json.dumps(e.given) if e.given else "[]" for e in planned],
    }


def _digested(meta: dict[str, str], blobs: Sequence[bytes], expansion: Expansion, root: str) -> tuple[_Columns, str]:
    """Digest all that makes a job what it is: the time of writing is no part of it."""
    digest = _sha256_of_many(len(expansion.planned))(json.dumps([FORMAT, meta]).encode())
    for blob in blobs:
        digest.update(sha256(blob).digest())
    columns = _contents(expansion, root)
    checksums = []
    for content in zip(*columns.values(), strict=True):
        data = row_bytes(content)
        digest.update(data)
        checksums.append(crc32(data))
    return {**columns, "checksum": checksums}, digest.hexdigest()[:16]


def _held(columns: _Columns, others: _Others, meta: dict[str, str]) -> Contents:
    """Return what `Manifest.contents` will."""
    needing = zip(columns["exp_id"], columns["needs"], strict=True)
    needs = {exp_id: text for exp_id, text in needing if text != "[]"}
    needs |= {exp_id: candidates for exp_id, _, candidates, _ in others.contests}
    return Contents(sorted(columns["exp_id"]), needs, Origin(*(meta[name] for name in Origin._fields)))


def _sha256_of_many(count: int) -> Callable[[bytes], Any]:
    """Return what digests so many rows sooner: OpenSSL's, where to load it takes less than it spares."""
    if count < _MANY:
        return sha256
    import hashlib

    return hashlib.sha256


def _write(path: Path, meta: dict[str, bytes], columns: _Columns, others: _Others) -> None:
    """Write a whole manifest beside its place, then put it there unless another process was faster."""
    checksums = {name: column_checksum(values) for name, values in columns.items()}
    meta = {**meta, CHECKSUMS: json.dumps(checksums).encode()}
    meta[SEAL] = meta_checksum(meta)
    temp = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    try:
        connection = sqlite3.connect(temp, isolation_level=None)
        try:
            # Nobody sees this file before it is complete and on disk: no journal, no syncing on the way.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            if len(columns["exp_id"]) >= _MANY:
                connection.execute(f"PRAGMA page_size = {_PAGE_OF_MANY}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("BEGIN")
            *tables, index = STATEMENTS.values()
            for statement in tables:
                connection.execute(statement)
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            _insert(connection, columns)
            connection.executemany("INSERT INTO base VALUES (?, ?, ?)", others.bases)
            connection.executemany("INSERT INTO contest VALUES (?, ?, ?, ?)", others.contests)
            connection.execute(index)
            connection.execute("COMMIT")
        finally:
            connection.close()
        temp.chmod(temp.stat().st_mode & 0o444)
        with temp.open("rb") as file:
            os.fsync(file.fileno())
        _put_in_place(temp, path, meta[PROJECT_KEY].decode())
    finally:
        temp.unlink(missing_ok=True)


def _insert(connection: sqlite3.Connection, columns: _Columns) -> None:
    """Write the rows of the experiments."""
    same: dict[str, str] = {}
    for name in _OFTEN_SAME:
        values = set(columns[name])
        if len(values) == 1 and len(str(*values)) <= _MOST_WRITTEN:
            (same[name],) = connection.execute("SELECT quote(?)", (*values,)).fetchone()
    places = ", ".join(same.get(name, "?") for name in COLUMNS)
    others = [columns[name] for name in COLUMNS if name not in same]
    connection.executemany(f"INSERT INTO experiment VALUES ({places})", zip(*others, strict=True))


def _put_in_place(temp: Path, path: Path, name: str) -> None:
    """Give a complete manifest its name; one of that name stays unless it is damaged."""
    try:
        path.hardlink_to(temp)
    except FileExistsError:
        # The same content, from another process; or damaged, and then it is restored, or of an earlier name.
        if not _is_whole(path, name):
            temp.replace(path)
    except OSError:  # a file system without hard links
        temp.replace(path)


def _is_whole(path: Path, project_name: str) -> bool:
    """Return whether a manifest is there, as it was written, and of a project of this name."""
    try:
        with Manifest.open(path) as manifest:
            manifest.check()
            return manifest.project_name == project_name
    except ManifestError:
        return False


def _make_newest(path: Path, *, always: bool) -> None:
    """Mark a manifest as the one that was asked for last; its time of change is the order that the index keeps.

    It also says to `heyhi clean` that somebody is about to use it, which an hour more or less doesn't change.
    """
    others = [changed for name, changed in manifests_on_disk(path.parent).items() if name != path.name]
    changed = path.stat().st_mtime_ns
    if always or (others and max(others) >= changed) or changed < time.time_ns() - _MARKED_NS:
        with contextlib.suppress(PermissionError):  # another user's, in a shared results root
            os.utime(path)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what keeps a manifest from being written into a ManifestError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        if os.path.isdir(path):  # noqa: PTH112 (never raises)
            raise ManifestError(
                f"{path}: is a folder in the place of the sweep's manifest: move it away, then try again:"
                f" {moved_away(path)}"
            ) from None
        raise ManifestError(f"{path.parent}: the sweep's manifest can't be written there: {reason}") from None
