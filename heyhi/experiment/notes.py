"""Notes that people make on experiments: a small file each in the results root, of which a report reads all at once.

A note is of the run that was there when it was made: of an experiment that was wiped and run anew since, it is an
earlier run's, and excludes nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import NOTES_NAME, STATE_NAME
from heyhi.experiment.records import History
from heyhi.files import parse_json, read_bounded, replace_file, utc_now, writing
from heyhi.job_env import user_name

MAX_TEXT = 500  # characters
_SUFFIX = ".json"
_MOST_BYTES = 1 << 16  # of a file: one that is longer was not written here
_log = logging.getLogger(__name__)


class Note(NamedTuple):
    """What somebody noted of an experiment.

    Attributes:
        exp_id: of the experiment.
        text: in one line.
        excluded: whether its results don't count in means.
        user: who made it.
        time: when (UTC).
        first: when the first attempt of its run had started; empty where none had.
    """

    exp_id: str
    text: str
    excluded: bool = False
    user: str = ""
    time: str = ""
    first: str = ""

    @classmethod
    def from_dict(cls, data: object) -> Note:
        """Read it as a file holds it.

        Raises:
            ValueError: it is none.
        """
        match data:
            case {"exp_id": str(exp_id), "text": str(text), **rest}:
                texts = {name: _line(rest.get(name)) for name in ("user", "time", "first")}
                return cls(exp_id, one_line(text), rest.get("excluded") is True, **texts)
        raise ValueError("no note")

    @property
    def about(self) -> str:
        """Who made it and when, for people."""
        when = f"{self.time[:16].replace('T', ' ')} UTC" if self.time else ""
        return ", ".join(part for part in (f"by {self.user}" * bool(self.user), when) if part)


class Shown(NamedTuple):
    """What a note says of an experiment as it is now.

    Attributes:
        text: with what is to be known of it.
        excluded: whether the results don't count in means.
        is_earlier: whether the note is of a run that was wiped since.
    """

    text: str
    excluded: bool = False
    is_earlier: bool = False

    @property
    def line(self) -> str:
        """The same in one text."""
        return f"{self.text} (excluded from means)" if self.excluded else self.text


class Notes:
    """The notes of a results root.

    Args:
        results_root: the folder below which experiments have their exp ids.
        by_id: exp id -> note.
        damaged: name of a file that is no note -> why nobody can read it.
    """

    def __init__(self, results_root: Path, by_id: Mapping[str, Note], damaged: Mapping[str, str]) -> None:
        self.by_id = by_id
        self.damaged = damaged
        self._results_root = results_root

    def __bool__(self) -> bool:
        return bool(self.by_id or self.damaged)

    @classmethod
    def read(cls, results_root: Path) -> Notes:
        """Read all notes; where the folder can't be read, that is said in a warning."""
        folder = results_root / STATE_NAME / NOTES_NAME
        try:
            names = sorted(name for name in os.listdir(folder) if _is_name(name))  # noqa: PTH208 (names are all)
        except OSError as error:
            if not os.path.lexists(folder):  # a file may be where its parent should be
                return cls(results_root, {}, {})
            _log.warning("%s: can't be read, so no notes are shown: %s", folder, error.strerror)
            return cls(results_root, {}, {})
        by_id: dict[str, Note] = {}
        damaged: dict[str, str] = {}
        for name in names:
            try:
                note = _read(folder / name)
            except FileNotFoundError:  # removed just now
                continue
            except OSError as error:
                damaged[name] = f"{folder / name}: {error.strerror}"
            except (ValueError, RecursionError):
                damaged[name] = f"{folder / name} is damaged"
            else:
                by_id[note.exp_id] = note
        return cls(results_root, by_id, damaged)

    def of(self, exp_path: str) -> Note | None:
        """Return the note on an experiment, whichever of its runs it is of."""
        return self.by_id.get(self._exp_id(exp_path))

    def shown(self, exp_path: str) -> Shown | None:
        """Return what is to be said of an experiment; only of one with a note the records are read."""
        exp_id = self._exp_id(exp_path)
        note = self.by_id.get(exp_id)
        if note is None:
            why = self.damaged.get(_file_name(exp_id)) if self.damaged else None
            return Shown(f"(its note can't be read: {why})") if why else None
        if is_earlier(note, exp_path):
            return Shown(f"(of an earlier run) {note.text}", is_earlier=True)
        return Shown(note.text, note.excluded)

    def columns(self, exp_paths: Sequence[str]) -> tuple[list[str | None], list[bool | None]]:
        """Return the texts on some experiments, and which of them are excluded: True, else None."""
        found = [self.shown(path) for path in exp_paths]
        return [one.text if one else None for one in found], [(one.excluded or None) if one else None for one in found]

    def _exp_id(self, exp_path: str) -> str:
        return exp_path.removeprefix(f"{self._results_root}/")


def is_earlier(note: Note, exp_path: str) -> bool:
    """Return whether a note is of a run of which the folder has nothing any more."""
    if not note.first:
        return False
    try:
        return note.first != _first_start(exp_path)
    except HeyhiError:  # nobody can tell, which its status says
        return False


def write_note(folder: ExperimentDir, text: str, *, excluded: bool = False) -> Note:
    """Make a note on an experiment, in place of the one that it has.

    Args:
        folder: of the experiment; its results root has the note.
        text: becomes one line.
        excluded: its results don't count in means.

    Returns:
        the note.

    Raises:
        ResultError: it can't be written.
        UnknownError: nobody can tell which of its runs it would be of.
    """
    first = _first_start(str(folder.path))
    note = Note(folder.exp_id, one_line(text), excluded, one_line(user_name()), utc_now(), first)
    path = _path(folder)
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(note._asdict(), indent=2, ensure_ascii=False) + "\n")
    return note


def remove_note(folder: ExperimentDir) -> bool:
    """Remove the note on an experiment, and return whether there was one.

    Raises:
        ResultError: it can't be removed.
    """
    path = _path(folder)
    with writing(path):
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def one_line(text: str) -> str:
    """Return a text in one line that can be printed anywhere: what can't be printed goes, a long one is cut."""
    words = "".join(c if c.isprintable() or c.isspace() else "" for c in text).split()
    line = " ".join(words)
    return line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1].rstrip()}…"


def _line(value: object) -> str:
    return one_line(value) if isinstance(value, str) else ""


def _first_start(exp_path: str) -> str:
    """Return when the first attempt of the run that is there had started; empty where there is none."""
    starts = History(ExperimentDir(Path(exp_path)).attempts()).starts
    return starts[0].time if starts else ""


def note_path(results_root: Path, exp_id: str) -> Path:
    """Return the file of the note on an experiment, which need not be there."""
    return results_root / STATE_NAME / NOTES_NAME / _file_name(exp_id)


def _path(folder: ExperimentDir) -> Path:
    assert folder.results_root is not None  # whoever makes notes knows where
    return note_path(folder.results_root, folder.exp_id)


def _file_name(exp_id: str) -> str:
    return f"{hashlib.sha256(exp_id.encode()).hexdigest()[:16]}{_SUFFIX}"


def _is_name(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(".")


def _read(path: Path) -> Note:
    """Read a note.

    Raises:
        OSError: it can't be read.
        ValueError: it is none, or another experiment's.
    """
    try:
        data = read_bounded(path, _MOST_BYTES)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ValueError("too long") from None
        raise
    note = Note.from_dict(parse_json(data))
    if path.name != _file_name(note.exp_id):
        raise ValueError("another experiment's")
    return note
