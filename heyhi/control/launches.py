"""`heyhi status --sweeps`: what was launched, when and by which words, how it is now, and how its table is made again.

What is on record of launches, `heyhi.sweep.known` says; launches of the same experiments are one here.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from heyhi.config.values import shorten
from heyhi.control.survey import Part, Survey
from heyhi.errors import ManifestError
from heyhi.experiment.names import Status, is_slot
from heyhi.experiment.slots import shown_folders
from heyhi.project import Project
from heyhi.sweep.index import ManifestIndex, expand_command
from heyhi.sweep.known import KNOWN_NAME, LAUNCHES_NAME, LaunchRecord, names_in, read_known, read_launches
from heyhi.sweep.manifest import Manifest, manifests_root
from heyhi.sweep.target import exp_ids_of, folders_at
from heyhi.text import shell_line

_MAX_SHOWN = 300  # characters of a command
_MAX_NAMED = 5  # experiments that a command names


class Launched(NamedTuple):
    """What was launched once or several times.

    Attributes:
        records: of its launches, the oldest first; none of what was run by `run.py` or `maybe_launch`.
        size: how many experiments, less what is only needed.
        counts: how many of them have each status now.
        words: by which `heyhi expand` names it.
        table: command that makes its table again; empty where there is none.
        problem: why nobody knows its experiments any more.
    """

    records: tuple[LaunchRecord, ...]
    size: int
    counts: Mapping[Status, int]
    words: tuple[str, ...] = ()
    table: str = ""
    problem: str = ""

    @property
    def lines(self) -> list[str]:
        """The same for a terminal."""
        statuses = "  ".join(f"{status.value} {n}" for status, n in self.counts.items())
        size = f"{self.size} experiment{'s' * (self.size != 1)}: {statuses}"
        if not self.records:
            return [f"by run.py and maybe_launch: {size}"]
        first, last = self.records[0], self.records[-1]
        count = len(self.records)
        times = f" … {_shown(last.time)} UTC, {count} times" if count > 1 else " UTC"
        lines = [f"{_shown(first.time)}{times}  {last.label}  {self.problem or size}"]
        lines.append(f"    {last.user}@{last.host}: {shorten(shell_line([last.command, *last.words]), _MAX_SHOWN)}")
        return [*lines, f"    table: {self.table}"] if self.table else lines

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        last = self.records[-1] if self.records else None
        return {
            "label": last.label if last is not None else "",
            "first": self.records[0].time if self.records else None,
            "last": last.time if last is not None else None,
            "launches": len(self.records),
            "user": last.user if last is not None else "",
            "host": last.host if last is not None else "",
            "command": [last.command, *last.words] if last is not None else [],
            "words": list(self.words),
            "manifest": last.manifest if last is not None else "",
            "experiments": self.size,
            "statuses": {status.value: n for status, n in self.counts.items()},
            "report": self.table,
            "problem": self.problem,
        }


class _Named(NamedTuple):
    """The experiments of some launches, before anybody has looked how they are."""

    folders: list[str]
    words: tuple[str, ...] = ()
    table: str = ""
    problem: str = ""


class Launches(NamedTuple):
    """What was launched in a results root.

    Attributes:
        found: what was launched last at the end; then what `run.py` has run.
        lacks: whether there is more on record, which can't be read.
    """

    found: list[Launched]
    lacks: bool


def launches_of(project: Project) -> Launches:
    """Return what was launched in a results root.

    Raises:
        UnknownError: the records can't be listed.
    """
    index = ManifestIndex.open(project)
    unread = index.unread()
    records = read_launches(project, said=unread)
    by_what: dict[tuple[str, str], list[LaunchRecord]] = {}
    for record in records:
        by_what.setdefault((record.manifest, record.known), []).append(record)
    found = [(tuple(its), _named(project, its[-1])) for its in sorted(by_what.values(), key=lambda its: its[-1].time)]
    alone = names_in(project.state_root / KNOWN_NAME) - {known for _, known in by_what}
    singles = dict.fromkeys(folder for name in sorted(alone) for folder in _known_folders(project, name))
    # What a search has chosen is launched with that.
    trials = set(shown_folders(folder for _, named in found for folder in named.folders if is_slot(folder)))
    singles = {folder: None for folder in singles if folder not in trials}
    if singles:
        found.append(((), _Named(list(singles))))
    every = list(dict.fromkeys(folder for _, named in found for folder in named.folders))
    needs = index.needs()
    survey = Survey.of_parts([Part(project, every, lambda path: needs.get(path, ()))])
    # One may have been taken up before it was damaged.
    lacks = index.lacks() or len(records) < len(names_in(project.state_root / LAUNCHES_NAME))
    return Launches([_launched(its, named, survey) for its, named in found], lacks)


def _named(project: Project, record: LaunchRecord) -> _Named:
    if not record.manifest:
        folders = _known_folders(project, record.known)
        words = tuple(exp_ids_of(folders, project.results_root))
        table = shell_line(["heyhi", "report", *words]) if 0 < len(words) <= _MAX_NAMED else ""
        return _Named(folders, words, table, "" if folders else f"its record {record.known} is gone or damaged")
    path = manifests_root(project) / record.manifest
    with contextlib.suppress(ManifestError), Manifest.open(path) as opened:
        return _Named(opened.own_folders, opened.words, shell_line(["heyhi", "report", project.relative(path)]))
    command = expand_command(record)
    return _Named([], problem=f"its manifest {record.manifest} is gone or damaged: {command} writes it anew")


def _known_folders(project: Project, name: str) -> list[str]:
    path = project.state_root / KNOWN_NAME / name
    with contextlib.suppress(OSError, ValueError):  # which the index says
        return folders_at(read_known(path), project.results_root)
    return []


def _launched(records: tuple[LaunchRecord, ...], named: _Named, survey: Survey) -> Launched:
    counts = Counter(_statuses(survey, named.folders))
    ordered = {status: counts[status] for status in sorted(counts, key=lambda s: s.urgency)}
    return Launched(records, len(named.folders), ordered, named.words, named.table, named.problem)


def _statuses(survey: Survey, folders: Sequence[str]) -> Iterable[Status]:
    return (survey.others[path].status if path in survey.others else Status.DONE for path in folders)


def _shown(time: str) -> str:
    return time[:19].replace("T", " ")
