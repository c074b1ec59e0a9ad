"""The note of a launch that it starts nothing more, and why: a small file, whoever finds that out first.

What that means for experiments, `heyhi.control.held_back` says.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from heyhi.experiment.names import HELD_NAME
from heyhi.files import parse_json, read_bounded, replace_file, writing
from heyhi.text import one_line

NOTE_SUFFIX = ".json"
HELD_BACK = "held back: "  # opens the reason


def hold(folder: Path, why: str, *, is_over: bool = True) -> None:
    """Have it known that a launch doesn't start what it hasn't started yet, and why.

    Args:
        folder: of its controller.
        why: a line.
        is_over: that it won't; else it only hasn't as yet.

    Raises:
        ResultError: it can't be written.
    """
    path = _path(folder)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps({"why": one_line(why), "is_over": is_over}) + "\n")


def forget_held(folder: Path) -> None:
    """Have it forgotten: the launch begins anew.

    Args:
        folder: of its controller.

    Raises:
        ResultError: the file of it can't be removed.
    """
    with writing(_path(folder)):
        _path(folder).unlink(missing_ok=True)


def held_by(folder: Path) -> str:
    """Return why a launch has held some back; empty where it hasn't.

    Args:
        folder: of its controller.
    """
    return read_why(_path(folder), is_over=True)


def read_why(path: Path, *, is_over: bool = False) -> str:
    """Return what such a file says; empty where there is none, or it is damaged.

    Args:
        path: of the file.
        is_over: only where what is held back won't be started.
    """
    with contextlib.suppress(OSError, ValueError):
        data = parse_json(read_bounded(path))
        if not isinstance(data, dict) or (is_over and data.get("is_over") is False):
            return ""
        if isinstance(data.get("why"), str):
            return one_line(data["why"])
    return ""


def _path(folder: Path) -> Path:
    return folder.parent.with_name(HELD_NAME) / f"{folder.name}{NOTE_SUFFIX}"
