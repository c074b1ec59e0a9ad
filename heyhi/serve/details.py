"""One experiment, as the page asks for it: how it is and why, its config, attempts, needs, and what may be typed next.

Whatever lies in its folder, what is sent is bounded, and what can't be read is left out: its status says why.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from heyhi.config.frozen import flatten, to_text
from heyhi.config.shown_list import shown_cell
from heyhi.config.translation import Translation
from heyhi.control.attendance import said_of_experiment
from heyhi.control.log_files import numbers_of, ranks_of
from heyhi.control.progress import progress_of, since_when
from heyhi.control.search_lines import trial_lines
from heyhi.control.survey import Part, Row, Survey
from heyhi.control.typed_commands import commands_for_one
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status, is_winner
from heyhi.experiment.records import History, Used
from heyhi.experiment.slots import living_slots_of
from heyhi.experiment.used import sums_of, used_so_far
from heyhi.files import is_there
from heyhi.report.page_data import MOST_CONFIG_BYTES, attempt_rows, end_of_file
from heyhi.report.page_payload import shown_value
from heyhi.serve.inside import leads_out
from heyhi.serve.wire import key_of
from heyhi.sweep.index import ManifestIndex
from heyhi.text import readable, shorten

if TYPE_CHECKING:
    from heyhi.project import Project
    from heyhi.serve.board import Known

MOST_ATTEMPTS, MOST_NEEDS, MOST_KEYS, MOST_RANKS = 200, 200, 5_000, 1_000
_MOST_TEXT = 2_000  # characters of a value
_MOST_LINE = 20_000  # characters of a command
_MOST_SAID = 20  # lines of a controller

T = TypeVar("T")


def experiment(known: Known) -> dict[str, Any]:
    """Return what there is to say of an experiment, see `wire`."""
    project, folder = known
    path = str(folder.path)
    needs, users = _related(project, path)
    near = [*needs[:MOST_NEEDS], *users[:MOST_NEEDS]]
    survey = Survey.of_folders(project, list(dict.fromkeys([path, *near])))
    rows = {row.asked: row for row in survey.rows}
    row = rows[path]
    today = _or(None, lambda: Translation.of(project))
    files = (folder.config_path, folder.flat_config_path, folder.identity_path, folder.attempts_path)
    outside = {path: line for path in files if (line := leads_out(path, folder.path, project))}
    history = History([]) if folder.attempts_path in outside else _or(History([]), folder.history)
    ranks = ranks_of(folder)
    dead = [need for need in needs[:MOST_NEEDS] if rows[need].status is Status.DEAD]
    config = _Config() if outside else _config_of(folder, today)
    if config is None:
        config = _or(None, lambda: _planned(survey, path)) or _Config()
    commands = commands_for_one(project, folder, row.status, words=config.words, blocked_by=dead, has_log=0 in ranks)
    return {
        "id": readable(row.exp_id),
        "status": row.status.value,
        "reason": _text(row.reason),
        "job": _text(row.job_id),
        "since": _or("", lambda: _time(row)),
        "progress": _or("", lambda: progress_of(folder, row.status) if row.status.is_alive else ""),
        "folder": readable(path),
        "project": readable(str(project.root)),
        **config.shown(),
        "not_shown": list(outside.values()),
        "attempts": [_texts(one) for one in attempt_rows(history.attempts)[-MOST_ATTEMPTS:]],
        "attempts_in_all": len(history.starts),
        "used": _used(folder, history, row.status),
        "needs": [_near(rows[one], survey) for one in needs[:MOST_NEEDS]],
        "needs_in_all": len(needs),
        "needed_by": [_near(rows[one], survey) for one in users[:MOST_NEEDS]],
        "needed_by_in_all": len(users),
        **_marks(project, path, row),
        "logs": _logs(folder, history, ranks),
        "said": _said(project, row),
        "commands": [[one.what, one.line] for one in commands if len(one.line) <= _MOST_LINE],
    }


def _or(other: T, make: Callable[[], T]) -> T:
    """Return what is made, or something else where files are such that it can't be."""
    try:
        return make()
    except (HeyhiError, OSError, ValueError):
        return other


def _text(text: str) -> str:
    return shorten(readable(text), _MOST_TEXT)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {_text(str(key)): _text(shown_value(value)) for key, value in islice(values.items(), MOST_KEYS)}


def _time(row: Row) -> str:
    since = since_when(row.exp_path, row.status)
    return since.isoformat(timespec="seconds") if since is not None else ""


def _related(project: Project, path: str) -> tuple[list[str], list[str]]:
    """Return the exp paths of what an experiment needs itself, and of those that need it."""
    nothing: dict[str, list[str]] = {}
    needs_of = _or(nothing, lambda: ManifestIndex.open(project).needs())
    own = {path, *living_slots_of(path)}
    needs = list(dict.fromkeys(need for one in own for need in needs_of.get(one, ())))
    users = [user for user, its in needs_of.items() if not own.isdisjoint(its)]
    return needs, users


def _near(row: Row, survey: Survey) -> dict[str, str]:
    """Return what is said of an experiment that needs it, or is needed."""
    shown = survey.shown(row.asked)
    key = "" if is_winner(shown) else key_of(shown)
    return {"key": key, "id": readable(row.exp_id), "status": row.status.value, "reason": _text(row.reason)}


class _Config(NamedTuple):
    """What an experiment was composed from, and to what; of one that never began, what it was planned to be."""

    words: Sequence[str] = ()
    text: str = ""
    flat: Mapping[str, Any] = {}

    def shown(self) -> dict[str, Any]:
        """Return what is sent of it."""
        flat = {key: shown_cell(value) for key, value in islice(self.flat.items(), MOST_KEYS)}
        return {
            "config": shorten(readable(self.text), MOST_CONFIG_BYTES),
            "flat": _texts(flat),
            "flat_in_all": len(self.flat),
            "cfg": "".join(map(_text, self.words[:1])),
            "overrides": [_text(one) for one in self.words[1:MOST_KEYS]],
        }


def _config_of(folder: ExperimentDir, today: Translation | None) -> _Config | None:
    """Return what the folder says; None where it holds no experiment."""
    identity = _or(None, folder.read_identity)
    if identity is None and not os.path.lexists(folder.identity_path):
        return None
    words: Sequence[str] = ()
    if identity is not None:
        words = [identity.cfg, *identity.overrides] if today is None else today.words(identity)
    flat: Mapping[str, Any] = folder.read_flat_config()
    flat = flat if today is None else _or(flat, lambda: today.flat(flat))
    return _Config(words, end_of_file(folder.config_path, MOST_CONFIG_BYTES), flat)


def _planned(survey: Survey, path: str) -> _Config | None:
    plan = survey.parts[0].plan_of(path)
    if plan is None:
        return None
    message = plan.schema().parse_root(plan.config)
    return _Config([plan.identity.cfg, *plan.identity.overrides], to_text(message), flatten(message))


def _used(folder: ExperimentDir, history: History, status: Status) -> dict[str, float]:
    """Return what all attempts used; one that has no end on record, what it has noted so far."""
    start, end = history.last_attempt
    note = used_so_far(folder.path)
    if end is None and note.is_of(start):
        sums = sums_of(history.ends, note.used, is_lost=status.is_trouble)
    else:
        sums = sums_of(history.ends)
    found = _numbers(sums._asdict().items())
    now: Used | None = note.used if end is None and note.is_of(start) else None
    if now is not None and now.seconds is not None:
        found |= _numbers([("seconds_so_far", now.seconds)])
    return found


def _numbers(items: Iterable[tuple[str, float | None]]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in items if value is not None and math.isfinite(value)}


def _marks(project: Project, path: str, row: Row) -> dict[str, Any]:
    """Return what is to be said of it beside how it is: notes, and how it was made otherwise than others are."""
    survey = Survey([Part.of_folders(project, [path])], {} if row.status is Status.DONE else {path: row.state})
    none: dict[str, Any] = {}
    marks = _or(none, lambda: survey.marks(row))
    return {
        "note": _text(marks.get("note", "")),
        "excluded": bool(marks.get("excluded", False)),
        "stale": [_text(one) for one in marks.get("stale", [])[:MOST_NEEDS]],
        "mixed": _text(marks.get("mixed", "")),
        "trial": [_text(one) for one in _or(list[str](), lambda: trial_lines(project, row))],
    }


def _logs(folder: ExperimentDir, history: History, ranks: Sequence[int]) -> dict[str, Any]:
    size = 0
    with contextlib.suppress(OSError, HeyhiError):
        size = folder.log_path.stat().st_size if is_there(folder.log_path) else 0
    return {"size": size, "ranks": list(ranks[:MOST_RANKS]), "attempts": numbers_of(history)[-MOST_ATTEMPTS:]}


def _said(project: Project, row: Row) -> list[list[str]]:
    """Return what the last controller has said of it, each with its log; of what has begun, its own log tells."""
    if row.status.is_started and row.status is not Status.DEAD:
        return []
    said = _or(
        list[tuple[str, str]](), lambda: list(islice(said_of_experiment(project, row.exp_path, row.exp_id), _MOST_SAID))
    )
    return [[readable(str(Path(log))), _text(line)] for log, line in said if line != row.reason]
