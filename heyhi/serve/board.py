"""What a server knows of the experiments that it shows: looked at again and again, with a number for each news."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.collector import paused_collection
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import NOTES_NAME, Status
from heyhi.quick_dataclass import replace
from heyhi.report.configs import Configs
from heyhi.report.kept_readings import SETTLED_SECONDS
from heyhi.report.page_data import plain_page_of
from heyhi.report.page_payload import table_payload
from heyhi.report.plain_table import PlainTable
from heyhi.report.readings import USED
from heyhi.report.shaped import numbered
from heyhi.report.table import plain_table_of
from heyhi.report.titles import label_of, name_of, title_of, title_of_known
from heyhi.serve.notices import Notices
from heyhi.serve.shown_sources import ShownSources
from heyhi.serve.wire import as_json, key_of
from heyhi.slurm.aside import Aside
from heyhi.sweep.own_code import stdout_to_stderr
from heyhi.sweep.target import exp_id_of

if TYPE_CHECKING:
    from heyhi.project import Project
    from heyhi.report.source import Source
    from heyhi.serve.watched import Watched

FILLING = "statuses"  # the phase in which little more than statuses are known
_PROGRESS = "progress"  # column of how far those are that run
_QUIET = frozenset({"updated", "seconds", _PROGRESS, *USED})  # columns that change often, and tell little
_QUIET_SECONDS = 15.0  # after which what has changed in them is news
_FILLING_SECONDS = 3.0  # between two tables while experiments are read for the first time
_FIRST_KEEP_SECONDS = 5.0  # after which what was read is kept on disk for the first time
_SHOWN_SECONDS = 1.0  # for which all that was read is shown before it is kept
_KEEP_SECONDS, _KEEP_PART = 60.0, 50  # between two times that what was read is kept, and part of the time
_STALE_SECONDS = 10.0  # after which it is looked whether results were made anew that others are made of
_MOST_READING = 5  # experiments that are named while their metrics are read
_NONE_YET = "no experiment yet: heyhi run --cfg … and heyhi launch … make some, which are shown here as they begin"
_OF_NOTHING = ("status", "exp_id", "exp_path")  # columns of a table of no experiments


class Known(NamedTuple):
    """An experiment that is shown.

    Attributes:
        project: that it is of.
        folder: its folder.
    """

    project: Project
    folder: ExperimentDir


class Board:
    """The experiments that a server shows.

    It is looked at by one thread, and asked by others.

    Args:
        project: around the working directory.
        sources: returns what is shown, as it is now.
        is_of_all: whether that is all that is known, which has a title of its own.

    Attributes:
        server: names this one among all that are started.
        woken: called where there is something to be looked at now.
    """

    def __init__(self, project: Project, sources: Callable[[], Sequence[Source]], *, is_of_all: bool = False) -> None:
        self.server = secrets.token_hex(8)
        self.woken: Callable[[], object] = lambda: None
        self._project = project
        self._is_of_all = is_of_all
        self._aside = Aside(lambda: self.woken())
        self._shown = ShownSources(project, sources, self._aside)
        self._notices = Notices()
        self._noted: list[tuple[int, int]] = []
        self._groups: list[int] = []
        self._is_grouped_anew = self._has_progress = False
        self._keys: dict[str, str] = {}
        self._next_quiet = self._next_table = self._next_stale = 0.0
        self._next_keep = time.monotonic() + _FIRST_KEEP_SECONDS
        self._has_quiet = False  # whether something has changed that is no news yet
        self._is_due = False  # whether a table is to be made yet of what was seen
        self._lock = threading.Lock()
        self._version = 0
        self._whole: dict[str, Any] = {}
        self._json = b""
        self._changed: dict[int, int] = {}  # place of an experiment -> version at which its row changed last
        self._fields: dict[str, int] = {}  # name of another field -> version at which it changed last
        self._anew = 0  # version at which everything is another
        self._known: dict[str, tuple[Project, str, Path]] = {}

    @property
    def version(self) -> int:
        """The number of the last news; 0 before the first look."""
        return self._version

    @property
    def is_filling(self) -> bool:
        """Whether experiments are yet to be read for the first time, so that the next look should come at once."""
        return any(watched.is_filling for watched in self._shown.watched)

    @property
    def is_unfinished(self) -> bool:
        """Whether the next look should come at once: there is more to be shown of what was seen."""
        return self.is_filling or len(self._groups) != len(self._known)

    @property
    def is_asking(self) -> bool:
        """Whether Slurm has yet to answer what was asked."""
        return self._aside.is_asking

    def end(self) -> None:
        """Ask Slurm no more."""
        self._aside.end()

    # --- looking

    def look(self) -> bool:
        """Look at the experiments now.

        Returns:
            whether there is news.

        Raises:
            HeyhiError: what is shown is wrong; what was known before is kept.
        """
        self._aside.begin_look()
        shown = self._shown
        is_first = not shown.is_found
        is_other = shown.look(is_news=False) if is_first else False
        changed, has_statuses = 0, False
        # What a sweep file's get_logs_data prints is no part of what a server prints.
        with paused_collection(), stdout_to_stderr():
            for watched, share in self._shares():
                outcome = watched.look(share)
                changed += outcome.changed
                has_statuses = has_statuses or outcome.statuses
        if not is_first and shown.look(is_news=bool(changed)):
            is_other = True
            with paused_collection(), stdout_to_stderr():
                for watched, share in self._shares():
                    watched.look(share)
        now = time.monotonic()
        is_told = self._look_at_notices(is_news=is_other or has_statuses)
        is_noted = self._look_at_notes()
        self._is_due = self._is_due or bool(changed) or is_other or is_told or is_noted or self._may_be_stale(now)
        self._is_due = self._is_due or self.is_unfinished or (self._has_quiet and now >= self._next_quiet)
        is_news = False
        if shown.is_found and self._is_due and (now >= self._next_table or is_other or not self.is_filling):
            self._is_due = self._has_quiet = False
            is_news = self._make(is_other=is_other)
            self._next_table = time.monotonic() + _FILLING_SECONDS
        self._keep(now)
        if shown.error is not None:
            raise shown.error
        return is_news

    def _shares(self) -> list[tuple[Watched, float]]:
        """Return what is watched, each with its share of all."""
        count = sum(len(watched.seen) for watched in self._shown.watched) or 1
        return [(watched, len(watched.seen) / count) for watched in self._shown.watched]

    def _look_at_notices(self, *, is_news: bool) -> bool:
        shown, before = self._shown, self._notices.said
        if not shown.sources or self.is_filling:
            return False
        if all(one.state.status is Status.DONE for watched in shown.watched for one in watched.seen):
            self._notices.forget()
        else:
            aside = self._aside
            self._notices.find(shown.sources, shown.watched, aside.view, aside.silence, is_news=is_news)
        return self._notices.said != before

    def _look_at_notes(self) -> bool:
        """Return whether people may have noted something since the last look."""
        found = []
        for project in dict.fromkeys(source.project for source in self._shown.sources):
            with contextlib.suppress(OSError):
                stat = (project.state_root / NOTES_NAME).stat()
                found.append((stat.st_mtime_ns, stat.st_ino))
        before = self._noted
        # Within its clock's tick, more may come.
        self._noted = [one for one in found if one[0] / 1e9 < time.time() - SETTLED_SECONDS]
        return before != found

    def _may_be_stale(self, now: float) -> bool:
        if now < self._next_stale:
            return False
        self._next_stale = now + _STALE_SECONDS
        return any(one.reading.given for watched in self._shown.watched for one in watched.seen)

    def _keep(self, now: float) -> None:
        """Remember on disk what was read, so that the next report, and the next server, needn't read it."""
        if self.is_filling:
            self._next_keep = now + _SHOWN_SECONDS
        if now < self._next_keep or self.is_filling:
            return
        for watched in self._shown.watched:
            if watched.is_to_be_kept:
                watched.keep()
        took = time.monotonic() - now
        self._next_keep = now + max(_KEEP_SECONDS, _KEEP_PART * took)

    # --- the table

    def _make(self, *, is_other: bool) -> bool:
        """Make the table of what was seen; return whether there is news in it."""
        shown = self._shown
        parts = [watched.plan.part(watched.readings()) for watched in shown.watched]
        labels = [source.manifest.label for source in shown.sources]
        table = plain_table_of(parts, labels) if parts else PlainTable({name: [] for name in _OF_NOTHING})
        folders = table.columns["exp_path"]
        table = self._with_progress(table, folders)
        is_filling, is_first = self.is_filling, not self._version  # the first table comes without what takes long
        self._is_grouped_anew = self._is_grouped_anew or is_other
        if parts and not (is_filling or is_first) and (self._is_grouped_anew or len(self._groups) != len(folders)):
            self._is_grouped_anew = False
            configs = Configs([(one.manifest, one.project) for one in shown.sources], [part.searched for part in parts])
            replicate = shown.sources[0].project.settings.replicate
            self._groups = numbered(configs.replicate_keys(folders, replicate))
        page = plain_page_of(
            table,
            self._project,
            self._title(),
            groups=self._groups if len(self._groups) == len(folders) else (),
            searches=[part.searched for part in parts if part.searched is not None],
        )
        keys = {folder: self._keys.get(folder) or key_of(folder) for folder in folders}
        warnings = [warning for source in shown.sources for warning in source.warnings]
        whole = table_payload(page) | {
            "live": True,
            "tab": name_of(self._project) if self._is_of_all or not shown.sources else label_of(shown.sources),
            "server": self.server,
            "keys": list(keys.values()),
            "notices": [
                *([] if folders else [_NONE_YET]),
                *warnings,
                *self._notices.said,
                *self._being_read(),
            ],
            "phase": FILLING if is_filling else "",
        }
        projects = {
            folder: (watched.plan.reader.project, root)
            for watched in reversed(shown.watched)
            for root in [watched.plan.reader.project.results_root]
            for folder in watched.plan.outline.folders
        }
        known = {keys[folder]: (project, folder, root) for folder in folders for project, root in [projects[folder]]}
        self._keys = keys
        with self._lock:
            return self._take(whole, known, table)

    def _title(self) -> str:
        if self._is_of_all:
            return title_of_known(self._project)
        return title_of([source.manifest for source in self._shown.sources])

    def _being_read(self) -> list[str]:
        """Say which metrics take long to read: until they are, the rows lack them."""
        found = [
            f"reading {size / 1e6:.0f} MB of metrics of {exp_id_of(folder, watched.plan.reader.project.results_root)}"
            for watched in self._shown.watched
            for folder, size in watched.being_read.items()
        ]
        left = len(found) - _MOST_READING
        return found if left <= 0 else [*found[:_MOST_READING], f"reading the metrics of {left} more"]

    def _with_progress(self, table: PlainTable, folders: Sequence[str]) -> PlainTable:
        """Return the table with how far those are that run; it has that as long as others wait, too."""
        watched = self._shown.watched
        progress = {folder: text for one in watched for folder, text in one.progress().items()}
        statuses = table.columns["status"]
        self._has_progress = bool(progress) or (self._has_progress and any(Status(one).is_alive for one in statuses))
        if not self._has_progress:
            return table
        columns: dict[str, list[Any]] = {}
        for name, column in table.columns.items():
            columns[name] = column
            if name == "status":
                columns.setdefault(_PROGRESS, [progress.get(folder) for folder in folders])
        return replace(table, columns=columns | table.columns)  # a task may log something of that name

    def _take(self, whole: dict[str, Any], known: dict[str, tuple[Project, str, Path]], table: PlainTable) -> bool:
        before, self._known = self._whole, known
        is_same = bool(before) and all(before[name] == whole[name] for name in ("ids", "keys"))
        is_same = is_same and before["runs"]["columns"] == whole["runs"]["columns"]
        changed: list[int] = []
        if is_same:
            changed = self._changed_rows(before, whole)
        apart = {"made", "runs", "version", "counts"}
        fields = [name for name in whole if name not in apart and before.get(name) != whole[name]]
        if is_same and not changed and not fields:
            return False
        version = self._version + 1
        if not is_same:
            self._anew, self._changed, self._fields = version, {}, {}
        self._changed |= dict.fromkeys(changed, version)
        self._fields |= dict.fromkeys(fields, version)
        self._whole, self._json = whole | {"version": version}, b""
        self._version = version
        return True

    def _changed_rows(self, before: dict[str, Any], whole: dict[str, Any]) -> list[int]:
        """Return the places of the rows that are others; where little has changed in one, it stays for a while."""
        columns = [column["name"] for column in whole["runs"]["columns"]]
        quiet = [place for place, name in enumerate(columns) if name in _QUIET]
        now = time.monotonic()
        is_loud = now >= self._next_quiet
        rows, counts = whole["runs"]["rows"], whole["counts"]
        changed = []
        for place, (then, row) in enumerate(zip(before["runs"]["rows"], rows, strict=True)):
            if then == row and before["counts"][place] == counts[place]:
                continue
            if not is_loud and before["counts"][place] == counts[place] and _is_same_but(then, row, quiet):
                rows[place], self._has_quiet = then, True
                continue
            changed.append(place)
        if is_loud:
            self._next_quiet = now + _QUIET_SECONDS
        return changed

    # --- what is asked

    def data(self, server: str = "", since: int = 0) -> dict[str, Any]:
        """Return the whole table, or what is new in it; see `wire`.

        Args:
            server: whose version is known.
            since: that version.
        """
        with self._lock:
            return self._data(server, since)

    def data_json(self, server: str = "", since: int = 0) -> bytes:
        """Return the same as JSON; that of the whole table is made once."""
        with self._lock:
            found = self._data(server, since)
            if found is not self._whole:
                return as_json(found)
            self._json = self._json or as_json(found)
            return self._json

    def _data(self, server: str, since: int) -> dict[str, Any]:
        whole = self._whole
        if server != self.server or not self._anew <= since <= self._version or not self._anew:
            return whole
        places = [place for place, version in self._changed.items() if version > since]
        return {
            "server": self.server,
            "version": self._version,
            "made": datetime.now().astimezone().isoformat(timespec="seconds"),
            "rows": {place: whole["runs"]["rows"][place] for place in places},
            "counts": {place: whole["counts"][place] for place in places},
            **{name: whole[name] for name, version in self._fields.items() if version > since},
        }

    def experiment(self, key: str) -> Known | None:
        """Return the experiment of a key; None where it isn't shown."""
        found = self._known.get(key)
        if found is None:
            return None
        project, folder, root = found
        return Known(project, ExperimentDir(Path(folder), root))


def _is_same_but(then: Sequence[Any], row: Sequence[Any], places: Sequence[int]) -> bool:
    """Return whether two rows differ at some places only, and not in whether something is there."""
    own = list(row)
    for place in places:
        if (then[place] is None) == (row[place] is None):
            own[place] = then[place]
    return own == then
