"""Which of a project's own files git ignores, and by which lines: no copy of the code for a job would have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from heyhi.code.git import GitError, ask_git

_MOST_SHOWN = 3
_LINE = re.compile(r"(?P<at>.*?:\d+):(?P<pattern>.*)\t(?P<file>.*)")


def ignored_note(root: Path, names: Sequence[str]) -> str:
    """Say which files git ignores; empty where it ignores none, or can't be asked.

    Args:
        root: the project.
        names: of files, relative to it.
    """
    try:
        answer = ask_git(root, "check-ignore", "-v", "--", *names)
    except GitError:  # also where it ignores none
        return ""
    told = map(_LINE.fullmatch, answer.decode(errors="replace").splitlines())
    found = [(one["file"], one["at"]) for one in told if one and not one["pattern"].startswith("!")]
    if not found:
        return ""
    files, lines = [file for file, _ in found], list(dict.fromkeys(at for _, at in found))
    return (
        f"git ignores {_some(files)} ({_some(lines)}), so that neither a commit nor a job's copy of the code has"
        f" {'it' if len(files) == 1 else 'them'}: add `!` lines there, or take these out"
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
