"""Tells whether a process has ended, whoever was to take notice of it."""

from __future__ import annotations

from pathlib import Path


def is_gone(pid: int) -> bool:
    """Return whether there is no such process any more, or only a zombie, which nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
