"""Notes on experiments that are gone: nobody knows them any more, and neither folder nor trash has anything of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from heyhi.experiment.notes import Notes, note_path
from heyhi.experiment.trash import entries, places


def find_old_notes(results_root: Path, known: Iterable[str]) -> dict[str, Path]:
    """Return exp ids of experiments that are gone, each with the file of the note on it.

    Args:
        results_root: which has the notes.
        known: exp paths of those that are known.
    """
    by_id = Notes.read(results_root).by_id
    if not by_id:
        return {}
    folders = set(known)
    wiped = _Wiped(results_root)
    found = {}
    for exp_id in by_id:
        exp_path = results_root / exp_id
        if not (str(exp_path) in folders or _may_be_there(exp_path) or wiped.may_have(exp_path)):
            found[exp_id] = note_path(results_root, exp_id)
    return found


class _Wiped:
    """What lies in the trash: each is listed once.

    Args:
        results_root: folder below which experiments have their exp ids.
    """

    def __init__(self, results_root: Path) -> None:
        self._results_root = results_root
        self._listed: dict[Path, list[Path] | None] = {}

    def may_have(self, exp_path: Path) -> bool:
        """Return whether something of an experiment may lie in a trash."""
        for place in places(exp_path, self._results_root):
            if place.trash not in self._listed:
                self._listed[place.trash] = _listed(place.trash)
            found = self._listed[place.trash]
            if found is None or any(_may_be_there(entry / place.below) for entry in found):
                return True
        return False


def _listed(trash: Path) -> list[Path] | None:
    """Return what wipes have put into a trash; None where nobody can tell."""
    try:
        return [entry.path for entry in entries(trash)]
    except OSError:
        return None


def _may_be_there(path: Path) -> bool:
    """Return whether there is something of a name, or nobody can tell."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
