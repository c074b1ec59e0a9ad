"""What a launch has given up, and how often it has tried what: for a controller that goes on with another one's launch.

Without that, each controller would start again what the one before it has seen die for good.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.files import parse_json, read_bounded


class GivenUp:
    """The notes of one launch, a line each.

    Args:
        path: of the file; None: nothing is noted.

    Attributes:
        is_handed_on: whether there was an earlier run of this launch.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._why: dict[str, str] = {}
        self._attempts: dict[str, int] = {}
        self.is_handed_on = False
        lines: list[bytes] = []
        if path is not None:
            with contextlib.suppress(OSError, HeyhiError):
                lines = read_bounded(path).splitlines()
                self.is_handed_on = True
            with contextlib.suppress(OSError):
                path.touch()
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, KeyError):  # cut short by a kill
                note = parse_json(line)
                self._attempts[note["exp_path"]] = int(note["attempt"])
                if note["why"]:
                    self._why[note["exp_path"]] = str(note["why"])

    def why(self, exp_path: Path) -> str:
        """Return why an experiment was given up; empty where it wasn't."""
        return self._why.get(str(exp_path), "")

    def attempt(self, exp_path: Path) -> int:
        """Return which attempt of this launch an experiment is at."""
        return self._attempts.get(str(exp_path), 1)

    def note(self, exp_path: Path, attempt: int, why: str = "") -> None:
        """Write down that an experiment is at another attempt, or was given up."""
        if self._path is not None:
            line = json.dumps({"exp_path": str(exp_path), "attempt": attempt, "why": why}) + "\n"
            with contextlib.suppress(OSError), self._path.open("a") as file:
                file.write(line)
