"""Reading a manifest: what the jobs of a sweep read instead of composing again.

A manifest is named by its content and never replaced, so that queued jobs keep what they were queued with. It is
written by `write_manifest`; which one has an experiment is left to `index`.

Its experiments are known by their exp ids, so that it can be read wherever its results root is by now: that is the
folder in whose `.heyhi/manifests` it lies. Its configs hold paths of the time when they were composed, so that it can
be run only where the results and the project still are: `check_is_of`.
"""

from __future__ import annotations

import _sqlite3 as sqlite3  # what sqlite3 itself adds are conversions of dates
import contextlib
import errno
import json
import os
from binascii import crc32  # zlib's: protobuf has loaded this one
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.errors import HeyhiError, ManifestError, NeedsError, NoProjectError
from heyhi.experiment.names import STATE_NAME, WINNERS_NAME, is_winner, result_of
from heyhi.files import is_there
from heyhi.project import PROJECT_KEY, Project, Settings, find_project
from heyhi.quick_tuple import NamedTuple
from heyhi.sweep import database
from heyhi.sweep.target import exp_id_of, folder_of, folders_at, target_of, targets_at
from heyhi.text import shell_line, shell_word

if TYPE_CHECKING:
    # `heyhi status` asks only the index, and half of its time would go into loading these.
    from google.protobuf.message import Message

    from heyhi.config.best import Best, Unchosen
    from heyhi.config.identity import Identity
    from heyhi.config.schema import Schema
    from heyhi.experiment.folder import Experiment
    from heyhi.experiment.winners import GivenBests
    from heyhi.sweep.search_spec import SearchSpec

SUFFIX = ".sqlite"
FORMAT = 4
# What a job asks of them: which files of a project are its code, what only schedules, and how long it may end.
JOB_SETTINGS = (
    *("conf", "end_grace", "identity_ignore", "include_dirs", "link", "log_to", "node_faults", "results"),
    *("sheets_credentials", "snapshot_exclude", "snapshot_link"),
)
APPLICATION_ID = 0x48657948  # "HeyH", in the header of the file: it tells a manifest from another database
# Folders in the state root: of what may be run, and of what was only looked at, which no index knows.
_MANIFESTS, _LOOKED_AT = "manifests", "looked-at"
_ENTRIES = ("exp_id", "cfg", "overrides", "identity_version", "task", "needs", "own")
_ROW = "SELECT * FROM experiment"
_FEW = 100  # experiments that are faster read one by one than all together
CHECKSUMS = "checksums"  # key of the checksums of its columns, as JSON
SEAL = "seal"  # key of the checksum of all other settings
# What a manifest is made of; a file with anything else, such as a trigger, is none.
STATEMENTS = {
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "experiment": """CREATE TABLE experiment (
    position INTEGER PRIMARY KEY,  -- each after what it needs
    exp_id TEXT NOT NULL,
    own INTEGER,                   -- place in the sweep; NULL for what is only needed
    cfg TEXT NOT NULL,
    overrides TEXT NOT NULL,       -- canonical, as JSON
    identity_version INTEGER NOT NULL,
    task TEXT NOT NULL,
    config BLOB NOT NULL,          -- root message, serialised
    needs TEXT NOT NULL,           -- exp ids, as JSON
    resources TEXT NOT NULL,       -- of the launcher, as JSON
    files TEXT NOT NULL,           -- that it needs: relative to the project, or absolute; as JSON
    given TEXT NOT NULL,           -- overrides as they were given, as JSON, where some only schedule; else []
    checksum INTEGER NOT NULL      -- of all above
    )""",
    # What configs are completed from that name the best of a sweep; most sweeps have none.
    "base": """CREATE TABLE base (
    exp_id TEXT PRIMARY KEY,
    content BLOB NOT NULL,
    checksum INTEGER NOT NULL
    ) WITHOUT ROWID""",
    # The best ones of sweeps that are named: words, and exp ids of what it is chosen from, as JSON.
    "contest": """CREATE TABLE contest (
    exp_id TEXT PRIMARY KEY,
    words TEXT NOT NULL,
    candidates TEXT NOT NULL,
    checksum INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "experiment_exp_id": "CREATE UNIQUE INDEX experiment_exp_id ON experiment (exp_id)",
}
# Plain tuples, since a sweep may have 100,000 experiments.
# What a table asks of one: exp id, exp path, identity, task, needed exp paths.
EntryRow = tuple[str, str, "Identity", str, tuple[str, ...]]


class RowContent(NamedTuple):
    """The columns of one, less the checksum of its row; what they are, `STATEMENTS` says."""

    position: int
    exp_id: str
    own: int | None
    cfg: str
    overrides: str
    identity_version: int
    task: str
    config: bytes
    needs: str
    resources: str
    files: str
    given: str


COLUMNS = (*RowContent._fields, "checksum")
_CHECKED = ("exp_id", "own", "cfg", "overrides", "identity_version", "task", "config", "needs", "resources")


class Node(NamedTuple):
    """What Snakemake has to know of one experiment.

    Attributes:
        target: its result file.
        needs: targets of what it needs.
        resources: of its launcher.
        position: among all that the manifest has, each after what it needs.
        files: that it needs, as Snakemake may know them.
    """

    target: str
    needs: tuple[str, ...]
    resources: dict[str, int | str]
    position: int = 0
    files: tuple[str, ...] = ()


class ConfigRow(NamedTuple):
    """What two experiments are compared by.

    Attributes:
        exp_id: its name.
        task: field of the root message.
        config: root message, serialised.
        needs: exp ids of what it needs itself.
        unchosen: what is known of the config where that isn't complete; None: all of it.
    """

    exp_id: str
    task: str
    config: bytes
    needs: tuple[str, ...]
    unchosen: Unchosen | None = None


class ContestRow(NamedTuple):
    """The best of a sweep, and what it is chosen from.

    Attributes:
        exp_id: that stands for it.
        words: by which configs name it.
        candidates: exp ids of what it is chosen from.
    """

    exp_id: str
    words: str
    candidates: tuple[str, ...]


class Origin(NamedTuple):
    """What the configs of a manifest were composed for.

    Attributes:
        project_root: where the project was.
        code_root: where its code is imported from.
        results_root: where the results were.
    """

    project_root: str
    code_root: str
    results_root: str

    def is_here(self, project: Project) -> bool:
        """Return whether all of it is a project's own, by whatever names: only then its experiments may run there."""
        own = (project.root, project.root, project.results_root)
        return all(_is_same(then, now) for then, now in zip(self, map(str, own), strict=True))


def _is_same(one: str, other: str) -> bool:
    """Return whether two paths lead to one folder; the results root need not be there yet."""
    if one == other:
        return True
    try:
        return os.path.samefile(one, other)  # noqa: PTH121
    except (OSError, ValueError):
        return False


class Contents(NamedTuple):
    """What an index takes up of a manifest.

    Attributes:
        exp_ids: of all experiments, in alphabetical order, in which they are taken up fastest.
        needs: exp ids of what each needs itself, as JSON, by its own, for those that need any; and of what the best
            ones of sweeps are chosen from, which are no experiments.
        origin: what it was composed for.
    """

    exp_ids: list[str]
    needs: dict[str, str]
    origin: Origin


class Manifest:
    """An open manifest, to be read only: it never changes.

    Opening costs the same for any number of experiments, and so does reading one of them. Nothing is returned that was
    written otherwise: of a single experiment the checksum of its row is compared, of all of them those of columns.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, meta: dict[str, bytes]) -> None:
        self.path = path
        self._connection = connection
        self._meta = meta

    @classmethod
    def open(cls, path: Path) -> Manifest:
        """Open a manifest.

        Raises:
            ManifestError: it is missing, damaged, cut short, of another program, or of a newer HeyHi.
        """
        try:
            connection = database.open_to_read(path)
        except (FileNotFoundError, NotADirectoryError):
            raise ManifestError(
                f"{path}: there is no such manifest (`heyhi expand` writes one and prints its path)",
                key=str(path),
            ) from None
        except IsADirectoryError:
            raise ManifestError(f"{path}: is a folder, no manifest{_move_first(path)}") from None
        except OSError as error:
            is_other = os.path.lexists(path) and not os.path.isfile(path)  # noqa: PTH113 (never raises)
            remedy = _move_first(path) if is_other else ""
            raise ManifestError(f"{path}: can't be read: {error.strerror or error}{remedy}") from None
        except (sqlite3.Error, ValueError) as error:  # or a name that no file can have
            raise ManifestError(f"{path}: can't be read: {error}") from None
        try:
            return cls(path, connection, _checked_meta(path, connection))
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close the file; reading fails from then on."""
        self._connection.close()

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, target: str) -> bool:
        return self._row(target) is not None

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

    @cached_property
    def search(self) -> SearchSpec | None:
        """What is searched, where its own experiments are a search's slots.

        Raises:
            ManifestError: that was written by another HeyHi.
        """
        data = self._meta.get("search", b"")
        if not data:
            return None
        from heyhi.sweep.search_spec import SearchSpec

        return SearchSpec.from_json(data)

    def base(self) -> bytes:
        """Return what the experiments of a search are composed from, as `heyhi.config.base.Base` writes it."""
        return self._meta.get("base", b"")

    @property
    def words(self) -> tuple[str, ...]:
        """The words that `heyhi expand` was first given for it, and that make it again."""
        with _reading(self.path):
            return tuple(map(str, json.loads(self._meta.get("words", b"[]"))))

    @cached_property
    def expand_command(self) -> str:
        """The command that writes it anew."""
        return shell_line(["heyhi", "expand", *self.words])

    @property
    def written_for(self) -> Origin:
        """Where project, code and results were when its configs were composed."""
        return Origin(*(self._text(key) for key in Origin._fields))

    @cached_property
    def results_root(self) -> Path:
        """Folder that exp ids are relative to, where it is now."""
        folder = Path(os.path.abspath(self.path)).parent  # noqa: PTH100 (a link keeps its name)
        if folder.name in (_MANIFESTS, _LOOKED_AT) and folder.parent.name == STATE_NAME:
            return folder.parent.parent
        return Path(self.written_for.results_root)

    @cached_property
    def project_root(self) -> Path:
        """Folder that targets are relative to, where it is now, as far as the results show it."""
        then, now = self.written_for, str(self.results_root)
        inside = then.results_root.removeprefix(then.project_root)
        if now != then.results_root and inside != then.results_root and now.endswith(inside):
            # A project that was moved, or that has another name, has its results at the same place in it.
            root = Path(now.removesuffix(inside))
            with contextlib.suppress(HeyhiError, OSError):
                if find_project(root).root == root:
                    return root
        return Path(then.project_root)

    @property
    def project_name(self) -> str:
        """Declared name of its project; empty where there was none. No part of the digest."""
        return self._meta.get(PROJECT_KEY, b"").decode()

    @property
    def code_root(self) -> Path:
        """Folder that the task file is imported from."""
        return Path(self.written_for.code_root)

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
        return self._targets(self._own_exp_ids)

    @property
    def all_targets(self) -> list[str]:
        """Targets of all experiments, each after what it needs."""
        return self._targets(self._exp_ids)

    @property
    def own_folders(self) -> list[str]:
        """Exp paths of the sweep's own experiments, in its order."""
        return folders_at(self._own_exp_ids, self.results_root)

    @property
    def folders(self) -> list[str]:
        """Exp paths of all experiments, each after what it needs."""
        return folders_at(self._exp_ids, self.results_root)

    @property
    def contents(self) -> Contents:
        """What an index takes up."""
        needs = {exp_id: json.dumps(ids) for exp_id, ids in self.needed_exp_ids.items()}
        return Contents(sorted(self._exp_ids), needs, self.written_for)

    @property
    def needed_exp_ids(self) -> dict[str, list[str]]:
        """Exp ids of what each experiment needs itself, by its own, for those that need any."""
        needed = {}
        # Mostly none needs any, which the checksum tells: a column of 100,000 isn't read for that.
        if self._checksums["needs"] != column_checksum(["[]"] * len(self._exp_ids)):
            [every] = self._columns("needs")
            found = zip(self._exp_ids, every, strict=True)
            needed = {exp_id: list(json.loads(needs)) for exp_id, needs in found if needs != "[]"}
        return needed | {one.exp_id: list(one.candidates) for one in self.contests.values()}

    @property
    def needed_folders(self) -> dict[str, list[str]]:
        """Exp paths of what each experiment needs itself, by its own, for those that need any."""
        needs, root = self.needed_exp_ids, self.results_root
        return dict(zip(folders_at(needs, root), (folders_at(ids, root) for ids in needs.values()), strict=True))

    @property
    def waited_folders(self) -> dict[str, list[str]]:
        """The same, with the best experiments whose folders they are given and that aren't DONE."""
        found = self.needed_folders
        for path, needs in found.items() if self.contests else ():
            if any(map(is_winner, needs)):
                found[path] = [*needs, *self.missing_bests(path, needs)]
        return found

    def missing_bests(self, exp_path: str, needs: Sequence[str]) -> list[str]:
        """Return the exp paths of the best ones of sweeps whose folders an experiment is given and that aren't DONE.

        Args:
            exp_path: of the experiment.
            needs: exp paths of what it needs itself.
        """
        target = target_of(exp_path, self.project_root)
        return self._given_bests.of(needs, lambda: self.experiment(target).config, is_missing=True)

    @cached_property
    def _given_bests(self) -> GivenBests:
        from heyhi.experiment.winners import GivenBests  # most need none

        return GivenBests(self.results_root)

    @cached_property
    def size(self) -> int:
        """Number of all experiments."""
        return len(self._exp_ids)

    @property
    def has_several(self) -> bool:
        """Whether it has more than one experiment."""
        return bool(self._read("SELECT 1 FROM experiment LIMIT 1 OFFSET 1"))

    @cached_property
    def _exp_ids(self) -> list[str]:
        """Exp ids of all experiments, each after what it needs."""
        return self._columns("exp_id")[0]

    @property
    def _own_exp_ids(self) -> list[str]:
        """Exp ids of the sweep's own experiments, in its order."""
        found = zip(*self._columns("own", "exp_id"), strict=True)
        return [exp_id for _, exp_id in sorted(pair for pair in found if pair[0] is not None)]

    def _targets(self, exp_ids: Iterable[str]) -> list[str]:
        return targets_at(exp_ids, self.results_root, self.project_root)

    def experiment(self, target: str) -> Experiment:
        """Read one experiment.

        Raises:
            ManifestError: it has none of this target, or the row is damaged.
        """
        row = self._row(target)
        if row is None:
            raise ManifestError(f"{self.path}: has no experiment {target}")
        return self._experiment(row)

    def check_has(self, targets: Sequence[str]) -> None:
        """Make sure that it has some experiments, and that what it says of them was never changed.

        Raises:
            ManifestError: it has none of a target, or its row is damaged.
        """
        if len(targets) > _FEW:
            with contextlib.suppress(ManifestError):  # a row is damaged: maybe of another one
                self._columns(*_CHECKED)
                if set(self.all_targets).issuperset(targets):
                    return
        for target in targets:
            self.experiment(target)

    def given(self, target: str) -> list[str]:
        """Return the overrides of an experiment as they were given; none where its identity has all of them."""
        row = self._row(target)
        return [str(text) for text in json.loads(row.given)] if row is not None else []

    def experiments(self, *, own: bool = False) -> Iterator[Experiment]:
        """Read all experiments, each after what it needs; or only the sweep's own, in its order.

        Raises:
            ManifestError: a row is damaged.
        """
        order = "WHERE own IS NOT NULL ORDER BY own" if own else "ORDER BY position"
        rows = self._read(f"{_ROW} {order}")
        with _reading(self.path, self.expand_command):
            if len(rows) != len(self._own_exp_ids if own else self._exp_ids):
                raise sqlite3.DatabaseError("some experiments are missing")
        return map(self._experiment, self._all_checked(rows))

    def entries(self) -> tuple[list[EntryRow], list[int]]:
        """Return what a table asks of all experiments: all but their configs and resources.

        Returns:
            exp id, exp path, identity, task and needed exp paths of each; places of the sweep's own, in its order.

        Raises:
            ManifestError: a row is damaged.
        """
        columns = self._columns(*_ENTRIES)
        own = columns[-1]
        places = [place for place, number in enumerate(own) if number is not None]
        places.sort(key=own.__getitem__)
        return self._entries(columns), places

    def entries_of(self, targets: Iterable[str]) -> list[EntryRow]:
        """Return what a table asks of a few experiments, as `entries` has it, one of each target.

        Raises:
            ManifestError: there is none of a target, or a row is damaged.
        """
        rows = []
        for target in targets:
            row = self._row(target)
            if row is None:
                raise ManifestError(f"{self.path}: has no experiment {target}")
            rows.append([getattr(row, name) for name in _ENTRIES])
        return self._entries(list(map(list, zip(*rows, strict=True)))) if rows else []

    def _entries(self, columns: list[list[Any]]) -> list[EntryRow]:
        import orjson

        from heyhi.config.identity import Identity

        root = self.results_root
        # Column by column, which takes half the time.
        exp_ids, cfgs, overrides, versions, tasks, needs, _ = columns
        settings = map(tuple, orjson.loads(f"[{','.join(overrides)}]"))
        identities = map(Identity._make, zip(cfgs, settings, versions, strict=True))
        folders = folders_at(exp_ids, root)
        chosen = self._chosen()
        needed = [() if n == "[]" else tuple(folders_at(_named(n, chosen), root)) for n in needs]
        return list(zip(exp_ids, folders, identities, tasks, needed, strict=True))

    def configs(self) -> list[ConfigRow]:
        """Return the configs of all experiments, each after what it needs.

        Raises:
            ManifestError: a row is damaged.
        """
        columns = self._columns("exp_id", "task", "config", "needs")
        found = [
            ConfigRow(exp_id, task, config, () if needs == "[]" else tuple(json.loads(needs)))
            for exp_id, task, config, needs in zip(*columns, strict=True)
        ]
        if not self.contests:
            return found
        from heyhi.config.best import Unchosen

        chosen, [overrides] = self._chosen(), self._columns("overrides")
        return [
            row._replace(
                config=self._completed(row.exp_id, row.config, row.needs),
                needs=tuple(chosen.get(need, need) for need in row.needs),
                unchosen=Unchosen.of(json.loads(texts)) if {*filter(is_winner, row.needs)} - chosen.keys() else None,
            )
            for row, texts in zip(found, overrides, strict=True)
        ]

    def task_message(self, task: str, config: bytes, schema: Schema | None = None) -> Message:
        """Read the message of the task in one of its configs.

        Args:
            task: its name.
            config: root message, serialised.
            schema: its own one by other names; default: as it was.

        Raises:
            ManifestError: it is damaged.
        """
        from google.protobuf.message import DecodeError

        try:
            message: Message = getattr((schema or self._schema).parse_root(config), task)
        except (DecodeError, AttributeError) as error:
            raise _damaged(self.path, error, self.expand_command) from None
        return message

    def needs(self, target: str) -> list[str]:
        """Return the targets that an experiment needs itself; none where the manifest has no such experiment."""
        row = self._row(target)
        return self._targets(json.loads(row.needs)) if row is not None else []

    def node(self, target: str) -> Node | None:
        """Return what Snakemake has to know of one experiment, None where the manifest has none of this target."""
        row = self._row(target)
        if row is None:
            return None
        return self._nodes([[row.exp_id], [row.needs], [row.resources], [row.position], [row.files]])[0]

    # --- the best ones of sweeps that its experiments need

    @cached_property
    def contests(self) -> dict[str, ContestRow]:
        """The best ones of sweeps that some of its experiments need, by the exp ids that stand for them.

        Raises:
            ManifestError: a row is damaged.
        """
        found = {}
        with _reading(self.path, self.expand_command):
            for exp_id, words, candidates, checksum in self._read("SELECT * FROM contest"):
                if crc32(contest_bytes(exp_id, words, candidates)) != checksum:
                    raise sqlite3.DatabaseError(f"the row of {exp_id} was changed")
                found[exp_id] = ContestRow(exp_id, words, tuple(json.loads(candidates)))
        return found

    def contest(self, target: str) -> ContestRow | None:
        """Return the best of a sweep whose target it is; None where it has none of that."""
        return self.contests.get(self._key(target))

    def best_of(self, exp_path: str) -> Best | None:
        """Return which best of a sweep a folder stands for; None where it has none of that."""
        from heyhi.config.best import Best

        row = self.contests.get(exp_id_of(exp_path, self.results_root))
        return Best.parse(row.words, self.written_for.project_root) if row is not None else None

    @property
    def choosable(self) -> list[ContestRow]:
        """The best ones of sweeps that aren't chosen, though all the results are there that they are chosen from."""
        return [
            row
            for row in self.contests.values()
            if not is_there(self._winner_path(row.exp_id))
            and all(is_there(result_of(one)) for one in folders_at(row.candidates, self.results_root))
        ]

    def contest_nodes(self) -> list[Node]:
        """Return what Snakemake has to know of the best ones of sweeps that some of its experiments need."""
        return [
            Node(self._targets([one.exp_id])[0], tuple(self._targets(one.candidates)), {})
            for one in self.contests.values()
        ]

    @property
    def completed_by(self) -> str:
        """Digest of the best ones of sweeps that are known; empty where its experiments need none."""
        known = [(one, os.stat(path).st_mtime_ns) for one in self.contests if is_there(path := self._winner_path(one))]  # noqa: PTH116
        return f"{crc32(repr(sorted(known)).encode()):08x}" if self.contests else ""

    def _winner_path(self, exp_id: str) -> str:
        return result_of(f"{self.results_root}/{exp_id}")

    def check_complete(self, experiment: Experiment) -> None:
        """Make sure that an experiment's config is complete: that the best ones of sweeps are known that it names.

        Raises:
            NeedsError: one isn't; the message names the command that chooses it.
        """
        for folder in map(str, experiment.needs):
            if is_winner(folder) and not is_there(result_of(folder)):
                from heyhi.profiles import LOCAL, snakemake_command  # most configs are complete

                best = self.best_of(folder)
                target = self._targets([experiment.exp_id])[0]
                raise NeedsError(
                    f"{experiment.exp_id} needs {best.text if best is not None else folder}, which isn't chosen yet:"
                    f" {snakemake_command(self.project, LOCAL)} {shell_word(target)} does that first"
                )

    def _chosen(self) -> dict[str, str]:
        """Return the exp ids of the best ones of sweeps that are known, by those that stand for them."""
        if not self.contests:
            return {}
        from heyhi.experiment.winners import read_winner

        found = {exp_id: read_winner(Path(self._winner_path(exp_id))) for exp_id in self.contests}
        return {exp_id: winner.exp_id for exp_id, winner in found.items() if winner is not None}

    def _completed(self, exp_id: str, config: bytes, needs: Sequence[str]) -> bytes:
        """Return an experiment's config, completed if the best ones of sweeps that it names are known."""
        named = [folder for folder in folders_at(needs, self.results_root) if is_winner(folder)]
        if not named or not all(is_there(result_of(folder)) for folder in named):
            return config
        from heyhi.config.base import Base
        from heyhi.experiment.winners import known_winners

        with _reading(self.path, self.expand_command):
            rows = self._read("SELECT content, checksum FROM base WHERE exp_id = ?", exp_id)
            if not rows or crc32(rows[0][0]) != rows[0][1]:
                raise sqlite3.DatabaseError(f"what {exp_id} is completed from is missing, or was changed")
        base = Base.from_bytes(rows[0][0], self._schema, self.project)
        composed = base.complete(known_winners(self.results_root))
        data: bytes = composed.message.SerializeToString(deterministic=True)
        return data

    def nodes(self) -> list[Node]:
        """Return what Snakemake has to know of all experiments, each after what it needs."""
        return self._nodes(self._columns("exp_id", "needs", "resources", "position", "files"))

    def check(self) -> None:
        """Make sure that all of it is as it was written.

        Raises:
            ManifestError: some of it is damaged.
        """
        positions, exp_ids, *_ = self._columns(*COLUMNS)
        # The index of the database may be damaged alone.
        rows = self._read("SELECT exp_id, position FROM experiment INDEXED BY experiment_exp_id ORDER BY exp_id")
        with _reading(self.path, self.expand_command):
            if rows != sorted(zip(exp_ids, positions, strict=True)):
                raise sqlite3.DatabaseError("its index was changed")
            bases = self._read("SELECT exp_id, content, checksum FROM base")
            for exp_id, content, checksum in bases:
                if crc32(content) != checksum:
                    raise sqlite3.DatabaseError(f"what {exp_id} is completed from was changed")
            wanted = {exp_id for exp_id, needs in self.needed_exp_ids.items() if any(map(is_winner, needs))}
            if wanted != {exp_id for exp_id, _, _ in bases}:
                raise sqlite3.DatabaseError("what configs are completed from is missing")

    def _key(self, target: str) -> str:
        """Return the exp id that a target stands for: Snakemake may have been asked for an absolute path."""
        return exp_id_of(folder_of(target, self.project_root), self.results_root)

    def _nodes(self, columns: list[list[Any]]) -> list[Node]:
        exp_ids, *others = columns
        return [
            # Most have none of these, and then nothing has to be parsed.
            Node(
                target,
                () if needs == "[]" else tuple(self._targets(json.loads(needs))),
                {} if resources == "{}" else json.loads(resources),
                position,
                () if files == "[]" else tuple(json.loads(files)),
            )
            for target, needs, resources, position, files in zip(self._targets(exp_ids), *others, strict=True)
        ]

    def _experiment(self, row: RowContent) -> Experiment:
        from heyhi.config.identity import Identity
        from heyhi.experiment.folder import Experiment

        _, exp_id, _, cfg, overrides, version, task, config, needs, resources, files, _ = row
        if WINNERS_NAME in needs:
            config = self._completed(exp_id, config, json.loads(needs))
        return Experiment(
            exp_id=exp_id,
            exp_path=Path(*folders_at([exp_id], self.results_root)),
            identity=Identity(cfg, tuple(json.loads(overrides)), version),
            task=task,
            config=config,
            needs=tuple(map(Path, folders_at(json.loads(needs), self.results_root))),
            resources=json.loads(resources),
            roots=dict(self._roots),
            files=tuple(json.loads(files)),
        )

    @cached_property
    def _roots(self) -> dict[str, str]:
        then = self.written_for
        roots = {"project_root": then.project_root, "results_root": then.results_root}
        return {**roots, PROJECT_KEY: self.project_name} if self.project_name else roots

    # --- its rows, as they were written

    def _row(self, target: str) -> RowContent | None:
        """Return all that is on record of a target; None where it has none."""
        exp_id = self._key(target)
        row = self._find_row(exp_id)
        with _reading(self.path, self.expand_command):
            if row is None and exp_id in self._exp_ids:
                raise sqlite3.DatabaseError(f"the row of {exp_id} isn't found")
        return row

    def _find_row(self, exp_id: str) -> RowContent | None:
        rows = self._read(f"{_ROW} WHERE exp_id = ?", exp_id)
        return next(self._all_checked(rows), None)

    def _all_checked(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[RowContent]:
        with _reading(self.path, self.expand_command):
            for *content, checksum in rows:
                found = RowContent(*content)
                if crc32(row_bytes(found)) != checksum:
                    raise sqlite3.DatabaseError(f"the row of {found.exp_id} was changed")
                yield found

    def _columns(self, *names: str) -> list[list[Any]]:
        """Return columns of all experiments, each after what it needs."""
        rows = self._read(f"SELECT {', '.join(names)} FROM experiment ORDER BY position")
        columns = list(map(list, zip(*rows, strict=True))) if rows else [[] for _ in names]
        with _reading(self.path, self.expand_command):
            for name, column in zip(names, columns, strict=True):
                if column_checksum(column) != self._checksums[name]:
                    raise sqlite3.DatabaseError(f"its {name.replace('_', ' ')} were changed")
        return columns

    @cached_property
    def _checksums(self) -> dict[str, int]:
        return dict(json.loads(self._meta[CHECKSUMS]))

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with _reading(self.path, self.expand_command):
            return self._connection.execute(query, values).fetchall()


def column_checksum(values: Sequence[Any]) -> int:
    """Return the checksum of a column, in the order of the experiments."""
    kinds = set(map(type, values))
    if kinds == {bytes}:
        return crc32(b"".join(values), crc32(repr(list(map(len, values))).encode()))
    # No text here can hold a NUL.
    text = "\0".join(values) if kinds == {str} else repr(list(values))
    return crc32(text.encode("utf-8", "surrogatepass"))


def meta_checksum(meta: Mapping[str, bytes]) -> bytes:
    """Return the checksum of what a manifest says of its sweep as a whole."""
    content = sorted((key, crc32(value), len(value)) for key, value in meta.items() if key != SEAL)
    return b"%d" % crc32(repr(content).encode())


def row_bytes(content: tuple[Any, ...]) -> bytes:
    """Return what a row's checksum and the manifest's digest are made over.

    Args:
        content: as `RowContent` has it.
    """
    position, exp_id, own, cfg, overrides, version, task, config, needs, resources, files, given = content
    # No text here can hold a NUL, and the config's length is said.
    text = (
        f"{position}\0{exp_id}\0{own}\0{cfg}\0{overrides}\0{version}\0{task}\0{needs}\0{resources}\0{files}\0{given}"
        f"\0{len(config)}\0"
    )
    data: bytes = text.encode() + config
    return data


def contest_bytes(exp_id: str, words: str, candidates: str) -> bytes:
    """Return what the checksum of the best of a sweep, and the manifest's digest, are made over."""
    return f"{exp_id}\0{words}\0{candidates}".encode("utf-8", "surrogatepass")


def _named(needs: str, chosen: Mapping[str, str]) -> list[str]:
    """Read exp ids of needs; for the best of a sweep, that of what was chosen."""
    return [chosen.get(need, need) for need in json.loads(needs)]


def manifests_root(project: Project) -> Path:
    """Return the folder of the manifests."""
    return project.state_root / _MANIFESTS


def looked_at_root(project: Project) -> Path:
    """Return the folder of the manifests of what was only looked at; whatever is in it may be removed."""
    return project.state_root / _LOOKED_AT


def manifests_on_disk(folder: Path) -> dict[str, int]:
    """Return name and time of change (ns) of each manifest in a folder: the newest is the one asked for last.

    Raises:
        ManifestError: the folder is there, and can't be read.
    """
    try:
        with os.scandir(folder) as entries:
            found = {e.name: _changed(e) for e in entries if e.name.endswith(SUFFIX) and e.name[0] != "."}
            return {name: changed for name, changed in found.items() if changed is not None}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ManifestError(f"{folder}: can't be read: {error.strerror or error}") from None


def _changed(entry: os.DirEntry[str]) -> int | None:
    try:
        return entry.stat().st_mtime_ns
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):  # gone just now, or a link to nothing: the others are there
            return None
        raise


def table_of(project: Project, manifest: Manifest) -> str:
    """Name the table of a manifest as Snakemake does; a changed sweep has another one."""
    return project.relative(project.reports_root / manifest.label / f"{manifest.digest}.csv")


def project_of(manifest: Manifest, here: Project | None = None) -> Project:
    """Return the project that a manifest was written in, with the results root that it has now: to look at it.

    Args:
        manifest: of whatever project.
        here: the project around the working directory; it has the manifest where it was moved together with it.

    Raises:
        ManifestError: the manifest's project is gone.
    """
    root = manifest.project_root
    if here is not None and _is_same(str(root), str(here.root)):
        is_own = _is_same(str(manifest.results_root), str(here.results_root))
        return here if is_own else here._replace(results_override=manifest.results_root)
    found = None
    with contextlib.suppress(NoProjectError, OSError):
        found = find_project(root)
    if found is not None and found.root.samefile(root):
        return found._replace(results_override=manifest.results_root)
    if here is not None and _is_same(str(manifest.results_root), str(here.results_root)):
        return here
    raise ManifestError(f"{manifest.path}: was written in {root}, where there is no project any more; expand it anew")


def by_own_name(path: Path, project: Project) -> Path:
    """Return a manifest's path by the name that a project has for its results root, where it lies in that."""
    own = manifests_root(project) / path.name
    is_other_name = os.path.abspath(path) != str(own) and _is_same(str(path), str(own))  # noqa: PTH100
    return own if is_other_name else path


def check_is_of(manifest: Manifest, here: Project, command: str) -> None:
    """Make sure that a manifest's experiments may be started from a project: its own, with the results of then.

    Args:
        manifest: of whatever project.
        here: the project around the working directory.
        command: that would start them, less the manifest.

    Raises:
        ManifestError: it is another project's, or another clone's; the message names the folder to start it in. Or
            project or results were moved since; the message names the command that expands it anew.
    """
    then = manifest.written_for
    if then.is_here(here):
        return
    root = project_of(manifest, here).root
    if not _is_same(str(root), str(here.root)):
        words = f"{command}{'' if command.endswith('=') else ' '}{shell_word(os.path.abspath(manifest.path))}"  # noqa: PTH100
        raise ManifestError(
            f"{manifest.path}: is of the project {root}, and is started there:\n  cd {shell_word(str(root))} && {words}"
        )
    raise ManifestError(
        f"{manifest.path}: was written for the project {then.project_root} with its results in {then.results_root};"
        f" here they are {here.root} and {here.results_root}, and its configs have paths of then: expand it anew:\n"
        f"  {manifest.expand_command}"
    )


def _checked_meta(path: Path, connection: sqlite3.Connection) -> dict[str, bytes]:
    """Return what a manifest says of its sweep as a whole; a ManifestError where it is none, or a damaged one."""

    def header(name: str) -> int:
        (value,) = connection.execute(f"PRAGMA {name}").fetchone()
        return int(value)

    with _reading(path):
        if header("application_id") != APPLICATION_ID:
            raise ManifestError(f"{path}: is no manifest of HeyHi (`heyhi expand` writes one)")
        version = header("user_version")
        if version < FORMAT:
            raise ManifestError(f"{path}: is a manifest of an older HeyHi: run `heyhi expand` again")
        if version > FORMAT:
            raise ManifestError(
                f"{path}: is a manifest of a newer HeyHi (format {version}, this one reads {FORMAT}):"
                " update HeyHi, or run `heyhi expand` again"
            )
        if path.stat().st_size != header("page_count") * header("page_size"):
            raise sqlite3.DatabaseError("it was cut short")
        if database.statements_of(connection) != STATEMENTS:
            raise sqlite3.DatabaseError("it has other tables than a manifest")
        meta: dict[str, bytes] = dict(connection.execute("SELECT key, value FROM meta"))
        if meta.get(SEAL) != meta_checksum(meta):
            raise sqlite3.DatabaseError("its settings were changed")
    return meta


@contextlib.contextmanager
def _reading(path: Path, command: str = "heyhi expand") -> Iterator[None]:
    """Turn what is wrong with a manifest's content into a ManifestError; the command writes it anew."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise _damaged(path, error, command) from None


def _move_first(path: Path) -> str:
    """Say how a manifest gets its place, which something else has taken; nothing of what lies elsewhere."""
    if path.parent.name != _MANIFESTS or path.parent.parent.name != STATE_NAME:
        return ""
    return f": move it away, `heyhi expand` of its sweep writes it anew: {moved_away(path)}"


def moved_away(path: Path) -> str:
    """Return the command that moves something away that lies where a file of ours is to be."""
    return shell_line(["mv", str(path), f"{path}.old"])


def _damaged(path: Path, error: Exception, command: str) -> ManifestError:
    return ManifestError(
        f"{path}: is no manifest, or a damaged one ({error}): run `{command}` again, which writes it anew"
    )
