"""Fields that are averaged over: which keys of a config, and which columns of a table, a field such as `seed` means."""

from __future__ import annotations

from collections.abc import Sequence

OVERRIDE = " (override)"  # ends the column of a key that is called as one of the table's own


def key_of(name: str) -> str:
    """Return the key of the config that a column of what varies stands for."""
    return name.removesuffix(OVERRIDE)


def is_replicate(name: str, fields: Sequence[str]) -> bool:
    """Return whether a key is one of some fields, by its whole name or its last part: `seed` means `data.seed`, too."""
    key = key_of(name)
    return any(key == field or key.endswith(f".{field}") for field in map(key_of, fields))


def covers(key: str, fields: Sequence[str]) -> bool:
    """Return whether a key is one of some fields, or lies in one."""
    while True:
        if is_replicate(key, fields):
            return True
        key, dot, _ = key.rpartition(".")
        if not dot:
            return False
