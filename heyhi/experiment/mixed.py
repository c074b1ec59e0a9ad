"""Which experiments of a results root went on with another config than what they build on had: a note of each.

What they have on record counts, and the notes only lead there, so that nobody has to read the records of all.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import MIXED_NAME, STATE_NAME
from heyhi.experiment.records import History
from heyhi.files import read_bounded, replace_file, writing
from heyhi.sha import sha256

_MOST_BYTES = 1 << 16  # of a note


def note_mixed(results_root: Path, exp_id: str) -> None:
    """Note that an experiment goes on from what another config has done.

    Raises:
        ResultError: it can't be written.
    """
    folder = results_root / STATE_NAME / MIXED_NAME
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / _name(exp_id), exp_id)


def find_mixed(results_root: Path) -> dict[str, str]:
    """Return the exp path of each experiment that is of two configs by its records, with what changed and when."""
    found = {}
    folder = results_root / STATE_NAME / MIXED_NAME
    with contextlib.suppress(OSError):
        for note in sorted(folder.iterdir()):
            if note.name.startswith("."):
                continue
            with contextlib.suppress(OSError, UnicodeDecodeError, HeyhiError):
                exp_id = read_bounded(note, _MOST_BYTES).decode()
                if note.name != _name(exp_id):  # it is damaged
                    continue
                exp_path = results_root / exp_id
                if text := mixed_text(exp_path):  # else it was wiped since, or came to nothing
                    found[str(exp_path)] = text
    return found


def _name(exp_id: str) -> str:
    return sha256(exp_id.encode()).hexdigest()[:16]


def mixed_text(exp_path: Path) -> str:
    """Say of which configs an experiment is, and since which attempt; empty where it is of one.

    Raises:
        UnknownError: nobody can tell.
    """
    folder = ExperimentDir(exp_path)
    history = History(folder.attempts())
    if not history.may_be_mixed:
        return ""
    return history.mixed(folder.metrics_now(), is_done=os.access(folder.result_path, os.F_OK))
