"""Fields that are averaged over: which keys of a config, and which columns of a table, a field such as `seed` means."""

from __future__ import annotations

from collections.abc import Sequence


def is_replicate(name: str, fields: Sequence[str]) -> bool:
    """Return whether a key is one of some fields, by its whole name or its last part: `seed` means `data.seed`, too."""
    return any(name == field or name.endswith(f".{field}") for field in fields)


def covers(key: str, fields: Sequence[str]) -> bool:
    """Return whether a key is one of some fields, or lies in one."""
    while True:
        if is_replicate(key, fields):
            return True
        key, dot, _ = key.rpartition(".")
        if not dot:
            return False
