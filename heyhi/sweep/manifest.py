"""Reading a manifest: what the jobs of a sweep read instead of composing again.

A manifest is named by its content and never replaced, so that queued jobs keep what they were queued with. It is
written by `write`; which one has a target is left to `index`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sqlite3
import weakref
import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.errors import ManifestError, NoProjectError
from heyhi.project import Project, Settings, find_project
from heyhi.sweep.target import folder_of, folders_of

if TYPE_CHECKING:
    # `heyhi status` asks only the index, and half of its time would go into loading these.
    from heyhi.config.identity import Identity
    from heyhi.config.schema import Schema
    from heyhi.experiment.folder import Experiment

SUFFIX = ".sqlite"
FORMAT = 1
# What a job asks of them: which files of a project are its code, and what only schedules.
JOB_SETTINGS = ("conf", "identity_ignore", "include_dirs", "results", "snapshot_exclude", "snapshot_link")
APPLICATION_ID = 0x48657948  # "HeyH", in the header of the file: it tells a manifest from another database
_ENTRIES = "SELECT exp_id, target, cfg, overrides, identity_version, task, needs, own FROM experiment"
# Plain tuples, since a sweep may have 100,000 experiments.
# What a table asks of one: exp id, exp path, identity, task, needed exp paths.
EntryRow = tuple[str, str, "Identity", str, tuple[str, ...]]
# The columns of one, as `write` makes them, less the checksum: position, target, exp_id, own, cfg, overrides,
# identity_version, task, config, needs, resources.
RowContent = tuple[int, str, str, int | None, str, str, int, str, bytes, str, str]


class Node(NamedTuple):
    """What Snakemake has to know of one experiment.

    Attributes:
        target: its result file.
        needs: targets of what it needs.
        resources: of its launcher.
    """

    target: str
    needs: tuple[str, ...]
    resources: dict[str, int | str]


class Manifest:
    """An open manifest, to be read only: it never changes.

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
            return cls(path, connection, _checked_meta(path, connection))
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

    @property
    def project(self) -> Project:
        """The project as far as a job needs it: where it is, and the settings that a job asks for; no file is read."""
        given = json.loads(self._text("settings"))
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
        }
        return Project(self.project_root, Settings()._replace(**values), self.results_root)

    @cached_property
    def _schema(self) -> Schema:
        from heyhi.config.schema import Schema

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
        """Targets of all experiments in alphabetical order, in which an index takes them up fastest."""
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

    def entries(self) -> tuple[list[EntryRow], list[int]]:
        """Return what a table asks of all experiments: all but their configs and resources.

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

    def entries_of(self, targets: Iterable[str]) -> list[EntryRow]:
        """Return what a table asks of a few experiments, as `entries` has it, one of each target.

        Raises:
            ManifestError: there is none of a target, or a row is damaged.
        """
        rows = [self._read(f"{_ENTRIES} WHERE target = ?", self._key(target)) for target in targets]
        with _reading(self.path):
            return self._entries([row for (row,) in rows])

    def _entries(self, rows: list[tuple[Any, ...]]) -> list[EntryRow]:
        import orjson

        from heyhi.config.identity import Identity

        if not rows:
            return []
        root = self._text("project_root")
        with _reading(self.path):
            # Column by column, which takes half the time.
            exp_ids, targets, cfgs, overrides, versions, tasks, needs, _ = zip(*rows, strict=True)
            settings = map(tuple, orjson.loads(f"[{','.join(overrides)}]"))
            identities = map(Identity._make, zip(cfgs, settings, versions, strict=True))
            folders = folders_of(targets, root)
            needed = [() if n == "[]" else tuple(folder_of(t, root) for t in json.loads(n)) for n in needs]
            return list(zip(exp_ids, folders, identities, tasks, needed, strict=True))

    def needs(self, target: str) -> list[str]:
        """Return the targets that an experiment needs itself; none where the manifest has no such experiment."""
        found = self._read("SELECT needs FROM experiment WHERE target = ?", self._key(target))
        with _reading(self.path):
            return list(json.loads(found[0][0])) if found else []

    def needing(self) -> dict[str, list[str]]:
        """Return the targets that each experiment needs itself, of those that need any."""
        found = self._read("SELECT target, needs FROM experiment WHERE needs != '[]'")
        with _reading(self.path):
            return {target: list(json.loads(needs)) for target, needs in found}

    def node(self, target: str) -> Node | None:
        """Return what Snakemake has to know of one experiment, None where the manifest has none of this target."""
        return next(iter(self._nodes("WHERE target = ?", self._key(target))), None)

    def nodes(self) -> list[Node]:
        """Return what Snakemake has to know of all experiments, each after what it needs."""
        return self._nodes("ORDER BY position")

    def _key(self, target: str) -> str:
        """Return a target as the rows have it: Snakemake may have been asked for an absolute path."""
        return target.removeprefix(f"{self._text('project_root')}/")

    def _nodes(self, where: str, *values: object) -> list[Node]:
        rows = self._read(f"SELECT target, needs, resources FROM experiment {where}", *values)
        with _reading(self.path):
            return [
                # Most have neither, and then nothing has to be parsed.
                Node(
                    target,
                    () if needs == "[]" else tuple(json.loads(needs)),
                    {} if resources == "{}" else json.loads(resources),
                )
                for target, needs, resources in rows
            ]

    def _experiments(self, where: str, *values: object) -> Iterator[Experiment]:
        from heyhi.config.identity import Identity
        from heyhi.experiment.folder import Experiment

        root = self.project_root
        roots = {"project_root": str(root), "results_root": str(self.results_root)}
        for *content, checksum in self._read(f"SELECT * FROM experiment {where}", *values):
            with _reading(self.path):
                _, target, exp_id, _, cfg, overrides, version, task, config, needs, resources = content
                if zlib.crc32(row_bytes(tuple(content))) != checksum:
                    raise sqlite3.DatabaseError(f"the row of {target} was changed")
                yield Experiment(
                    exp_id=exp_id,
                    exp_path=Path(folder_of(target, root)),
                    identity=Identity(cfg, tuple(json.loads(overrides)), version),
                    task=task,
                    config=config,
                    needs=tuple(Path(folder_of(need, root)) for need in json.loads(needs)),
                    resources=json.loads(resources),
                    roots=roots,
                )

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with _reading(self.path):
            return self._connection.execute(query, values).fetchall()


def row_bytes(content: RowContent) -> bytes:
    """Return what a row's checksum and the manifest's digest are made over."""
    position, target, exp_id, own, cfg, overrides, version, task, config, needs, resources = content
    # No text here can hold a NUL, and the config's length is said.
    text = (
        f"{position}\0{target}\0{exp_id}\0{own}\0{cfg}\0{overrides}\0{version}\0{task}\0{needs}\0{resources}"
        f"\0{len(config)}\0"
    )
    return text.encode() + config


def manifests_root(project: Project) -> Path:
    """Return the folder of the manifests."""
    return project.state_root / "manifests"


def manifests_on_disk(folder: Path) -> dict[str, int]:
    """Return name and time of change (ns) of each manifest in a folder: the newest is the one asked for last."""
    with os.scandir(folder) as entries:
        return {e.name: e.stat().st_mtime_ns for e in entries if e.name.endswith(SUFFIX) and e.name[0] != "."}


def table_of(project: Project, manifest: Manifest) -> str:
    """Name the table of a manifest as Snakemake does; a changed sweep has another one."""
    return project.relative(project.reports_root / manifest.label / f"{manifest.digest}.csv")


def project_of(manifest: Manifest, here: Project | None = None) -> Project:
    """Return the project that a manifest was written in, with the results root that it was written for.

    Args:
        manifest: of whatever project.
        here: the project around the working directory; it has the manifest where it was moved together with it.

    Raises:
        ManifestError: the manifest's project is gone.
    """
    root = manifest.project_root
    found = None
    with contextlib.suppress(NoProjectError, OSError):
        found = find_project(root)
    if found is not None and found.root.samefile(root):
        return found._replace(results_override=manifest.results_root)
    if here is not None and manifest.path.absolute().is_relative_to(manifests_root(here)):
        return here
    raise ManifestError(f"{manifest.path}: was written in {root}, where there is no project any more; expand it anew")


def check_is_of(manifest: Manifest, here: Project, command: str) -> None:
    """Make sure that a manifest's experiments may be started from a project: its own.

    Args:
        manifest: of whatever project.
        here: the project around the working directory.
        command: that would start them, less the manifest.

    Raises:
        ManifestError: it is another project's; the message names the folder to start it in.
    """
    root = project_of(manifest, here).root
    if root != here.root:
        words = f"{command}{'' if command.endswith('=') else ' '}{shlex.quote(os.path.abspath(manifest.path))}"  # noqa: PTH100
        raise ManifestError(
            f"{manifest.path}: is of the project {root}, and is started there:\n"
            f"  cd {shlex.quote(str(root))} && {words}"
        )


def _connect(path: Path) -> sqlite3.Connection:
    # immutable: no locks are taken, which some network file systems lack.
    from urllib.parse import quote  # the index, which `heyhi status` asks, can do without

    name = quote(os.path.abspath(path))  # noqa: PTH100 (a link keeps its name)
    try:
        return sqlite3.connect(f"file:{name}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    except sqlite3.Error as error:
        raise ManifestError(f"{path}: can't be read: {error}") from None


def _checked_meta(path: Path, connection: sqlite3.Connection) -> dict[str, bytes]:
    """Return what a manifest says of its sweep as a whole; a ManifestError where it is none, or a damaged one."""

    def header(name: str) -> int:
        (value,) = connection.execute(f"PRAGMA {name}").fetchone()
        return int(value)

    with _reading(path):
        if header("application_id") != APPLICATION_ID:
            raise ManifestError(f"{path}: is no manifest of HeyHi (`heyhi expand` writes one)")
        version = header("user_version")
        if version > FORMAT:
            raise ManifestError(
                f"{path}: is a manifest of a newer HeyHi (format {version}, this one reads {FORMAT}):"
                " update HeyHi, or run `heyhi expand` again"
            )
        if path.stat().st_size != header("page_count") * header("page_size"):
            raise sqlite3.DatabaseError("it was cut short")
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        connection.execute("SELECT target FROM experiment LIMIT 1").fetchone()
        if not {"digest", "file_set", "entry", "project_root", "label", "settings"} <= meta.keys():
            raise sqlite3.DatabaseError("some of its settings are missing")
    return meta


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what is wrong with a manifest's content into a ManifestError."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise ManifestError(
            f"{path}: is no manifest, or a damaged one ({error}): remove it and run `heyhi expand` again"
        ) from None
