"""What a launch has given up, and how often it has tried what: for a controller that goes on with another one's launch.

Without that, each controller would start again what the one before it has seen die for good.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.experiment.records import Submission
from heyhi.files import open_to_append, parse_json, read_bounded, utc_now, writing


class GivenUp:
    """The notes of one launch, a line each; the first says when it began.

    Args:
        path: of the file; None: nothing is noted.
        is_look: only look.

    Attributes:
        is_handed_on: whether there was an earlier controller of this launch.
    """

    def __init__(self, path: Path | None, *, is_look: bool = False) -> None:
        self._path = path
        self._began = ""
        self._why: dict[str, str] = {}
        self._attempts: dict[str, int] = {}
        with contextlib.suppress(OSError, HeyhiError):
            for line in read_bounded(path).splitlines() if path is not None else []:
                with contextlib.suppress(ValueError, TypeError, KeyError):  # cut short by a kill
                    self._read(parse_json(line))
        self.is_handed_on = bool(self._began)
        if not (self.is_handed_on or is_look):
            self._write({"began": utc_now()})

    @classmethod
    def give_up(cls, path: Path, exp_path: str, why: str) -> None:
        """Write down that an experiment was given up before the launch's own run begins.

        Args:
            path: of the file.
            exp_path: of the experiment.
            why: it was.

        Raises:
            HeyhiError: it can't be written.
        """
        with writing(path), os.fdopen(open_to_append(path), "a") as file:
            file.write(_line({"exp_path": exp_path, "attempt": 1, "why": why}))

    def _read(self, note: dict[str, object]) -> None:
        if "began" in note:
            self._began = self._began or str(note["began"])
            return
        path = str(note["exp_path"])
        self._attempts[path] = int(str(note["attempt"]))
        if note["why"]:
            self._why[path] = str(note["why"])

    def why(self, exp_path: Path) -> str:
        """Return why an experiment was given up; empty where it wasn't."""
        return self._why.get(str(exp_path), "")

    def attempt(self, exp_path: Path) -> int:
        """Return which attempt of this launch an experiment is at."""
        return self._attempts.get(str(exp_path), 1)

    def has_submitted(self, exp_path: Path, last: Submission | None) -> bool:
        """Return whether an experiment's last job is of an earlier controller, which has not seen its end.

        Args:
            exp_path: of the experiment.
            last: its last submission.
        """
        if last is None or not self.is_handed_on:
            return False
        return last.time >= self._began and last.attempt >= self.attempt(exp_path)

    def note(self, exp_path: Path, attempt: int, why: str = "") -> None:
        """Write down that an experiment is at another attempt, or was given up."""
        self._write({"exp_path": str(exp_path), "attempt": attempt, "why": why})

    def _write(self, note: dict[str, object]) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError, HeyhiError), os.fdopen(open_to_append(self._path), "a") as file:
                file.write(_line(note))


def _line(note: dict[str, object]) -> str:
    return f"\n{json.dumps(note)}\n"  # apart from one that a kill has cut short


def is_given_up(path: Path, exp_path: Path) -> bool:
    """Return whether a launch has given an experiment up; nothing is written.

    Args:
        path: of the launch's notes.
        exp_path: of the experiment.
    """
    return bool(GivenUp(path, is_look=True).why(exp_path))
