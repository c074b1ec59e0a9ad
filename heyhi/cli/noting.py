"""The command `heyhi note`: which word is the text, what becomes of the notes, and what is said of that.

How notes are kept is left to `heyhi.experiment.notes`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.cli.choosing import Choice
from heyhi.cli.json_answer import give
from heyhi.cli.selection import Selection, project_for, read_words
from heyhi.cli.whose import may_change, only_looks
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.notes import Note, Notes, Shown, is_earlier, one_line, remove_note, write_note
from heyhi.experiment.slots import shown_folders
from heyhi.streams import go_on

if TYPE_CHECKING:
    from heyhi.control.survey import Part
    from heyhi.project import Project

_MAX_NAMED = 8  # experiments of a line
_SUFFIXES = (".py", ".sqlite", ".prototxt")


def note(args: argparse.Namespace) -> int:
    """Make, change, remove or list notes."""
    here = project_for(args)
    selection, text = _split(here, args)
    is_change = text is not None or args.exclude or args.include or args.remove
    _check(args, text, is_change=is_change)
    if is_change and not (selection or args.where):
        raise HeyhiError("a note on which experiments? Name some before its text, or choose them by --where")
    choice = Choice(selection, args.where, own=True)
    if not is_change:
        only_looks(here)
        return _list(here, choice if selection or args.where else None, as_json=args.json)
    for project in selection.projects:
        may_change(project, is_dry_run=args.dry_run)
    folders = _folders_of(choice.parts())
    if not folders:
        print(choice.none_text)
        return 0
    if not args.dry_run:
        go_on()
    changes = [_change(args, text, folder, notes) for folder, notes in _with_notes(folders)]
    return _make(changes, is_dry_run=args.dry_run)


def _folders_of(parts: Iterable[Part]) -> list[ExperimentDir]:
    """Return the folders that notes are on: of a search's trials, those of their experiments."""
    return [ExperimentDir(Path(f), part.project.results_root) for part in parts for f in shown_folders(part.folders)]


# --- which word is the text


def _split(project: Project, args: argparse.Namespace) -> tuple[Selection, str | None]:
    """Return what the words name, and the text if there is one.

    Raises:
        HeyhiError: a word that is no text names nothing.
    """
    given: list[tuple[str, str]] = args.given
    kind, last = given[-1] if given else ("", "")
    if args.text is not None or kind != "word":
        return read_words(project, given), args.text
    if len(last.split()) > 1 and not os.path.isfile(last):  # noqa: PTH113 (never raises)
        return read_words(project, given[:-1]), last
    try:
        return read_words(project, given), None
    except HeyhiError as error:
        others = read_words(project, given[:-1])  # one of these may be what is wrong
        if not (others or args.where):
            raise
        if "/" in last or last.endswith(_SUFFIXES):  # rather a word with a slip in it
            raise HeyhiError(f"{error} (a note that looks like one is given as --text)") from None
        return others, last


def _check(args: argparse.Namespace, text: str | None, *, is_change: bool) -> None:
    if text is not None and args.remove:
        raise HeyhiError(f"--remove takes the notes away, and '{one_line(text)}' would be one: which is it?")
    if text is not None and not one_line(text):
        raise HeyhiError("the note is empty: say what there is to know, or --remove to take a note away")
    if is_change and args.json:
        raise HeyhiError("--json lists notes, and goes without a text, --exclude, --include and --remove")


# --- changes


class _Change(NamedTuple):
    """What becomes of the note on an experiment.

    Attributes:
        folder: of the experiment.
        told: what is said of it.
        note: text and whether it excludes; None where there is to be none.
        is_one: whether anything is to be written.
    """

    folder: ExperimentDir
    told: str
    note: tuple[str, bool] | None = None
    is_one: bool = True


def _with_notes(folders: Sequence[ExperimentDir]) -> Iterator[tuple[ExperimentDir, Notes]]:
    """Yield experiments, each once, with the notes of its results root."""
    read: dict[Path, Notes] = {}
    for folder in {folder.path: folder for folder in folders}.values():
        root = folder.results_root
        assert root is not None
        if root not in read:
            read[root] = Notes.read(root)
        yield folder, read[root]


def _change(args: argparse.Namespace, text: str | None, folder: ExperimentDir, notes: Notes) -> _Change:
    """Return what becomes of the note on an experiment.

    Raises:
        HeyhiError: it is to be excluded, and nobody has said why.
    """
    path = str(folder.path)
    held = notes.of(path)
    if args.remove:
        is_there = notes.shown(path) is not None  # a damaged one, too
        return _Change(folder, "note removed" if is_there else "without a note", is_one=is_there)
    now = held if held is not None and not is_earlier(held, path) else None
    if text is None and now is None:
        if args.include:
            return _Change(folder, "not excluded", is_one=False)
        raise HeyhiError(
            f'why is {folder.exp_id} to be excluded? The text is missing: heyhi note WORDS "bad data" --exclude'
        )
    line = one_line(text) if text is not None else now.text if now is not None else ""
    excluded = args.exclude or (now is not None and now.excluded and not args.include)
    if text is None and now is not None and now.excluded == excluded:
        return _Change(folder, "excluded before" if excluded else "not excluded", is_one=False)
    told = f"noted '{line}'" if text is not None else ""
    effect = "excluded from means" if excluded else "in means again" if now is not None and now.excluded else ""
    return _Change(folder, ", ".join(part for part in (told, effect) if part), (line, excluded))


def _make(changes: Sequence[_Change], *, is_dry_run: bool) -> int:
    """Write or remove notes, and say what was done; what can be done is, where something can't."""
    done: dict[str, list[str]] = {}
    problems: list[HeyhiError] = []
    for change in changes:
        try:
            if change.is_one and not is_dry_run:
                _apply(change)
        except HeyhiError as error:
            problems.append(error)
        else:
            done.setdefault(change.told, []).append(change.folder.exp_id)
    for told, names in done.items():
        more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
        count = f"{len(names)} experiment{'s' * (len(names) > 1)}"
        print(f"{told}: {count}: {', '.join(names[:_MAX_NAMED])}{more}")
    if is_dry_run:
        print("dry run: nothing was written")
    for problem in problems[:-1]:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise problems[-1]
    return 0


def _apply(change: _Change) -> None:
    if change.note is None:
        remove_note(change.folder)
    else:
        text, excluded = change.note
        write_note(change.folder, text, excluded=excluded)


# --- lists


class _Listed(NamedTuple):
    """An experiment and the note on it; `note` is None where that can't be read."""

    folder: ExperimentDir
    note: Note | None
    shown: Shown

    @property
    def line(self) -> str:
        """It as a line."""
        about = f"  {self.note.about}" if self.note is not None and self.note.about else ""
        return f"{self.folder.exp_id}  {self.shown.line}{about}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "exp_id": self.folder.exp_id,
            "exp_path": str(self.folder.path),
            "note": self.note.text if self.note is not None else self.shown.text,
            "excluded": self.shown.excluded,
            "is_of_earlier_run": self.shown.is_earlier,
            "user": self.note.user if self.note is not None else "",
            "time": self.note.time if self.note is not None else "",
        }


def _list(here: Project, choice: Choice | None, *, as_json: bool) -> int:
    """Print the notes on what was chosen, or all of the results root."""
    if choice is None:
        notes = Notes.read(here.results_root)
        folders = [ExperimentDir(here.results_root / exp_id, here.results_root) for exp_id in sorted(notes.by_id)]
        damaged = sorted(notes.damaged.values())
    else:
        folders = _folders_of(choice.parts())
        damaged = []
        if not folders and not as_json:
            print(choice.none_text)
            return 0
    listed = list(_listed(folders))
    if as_json:
        give("note", {}, last="notes", rows=(one.to_dict() for one in listed))
        return 0
    lines = [*(one.line for one in listed), *(f"a note can't be read: {why}" for why in damaged)]
    print("\n".join(lines) or ("no notes" if choice is None else f"no notes on {len(folders)} experiments"))
    return 0


def _listed(folders: Sequence[ExperimentDir]) -> Iterator[_Listed]:
    for folder, notes in _with_notes(folders):
        shown = notes.shown(str(folder.path))
        if shown is not None:
            yield _Listed(folder, notes.of(str(folder.path)), shown)
