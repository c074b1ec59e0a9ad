"""Owns the order in which an identity names overrides: sorted, but for those between which order matters.

Includes, which come first and keep their order, are not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from heyhi.keys import Key, choices, lists, prefixes
from heyhi.values import NULL, Special, Value


class Line(NamedTuple):
    """Hold an override that was applied, and its text as the schema writes it."""

    key: Key
    value: Value
    text: str


def canonical_order(keys: Sequence[Key], marks: Sequence[Special | None] = ()) -> list[int]:
    """Put overrides in the order in which an identity names them.

    Sorted by key, each key once, at its last write. Overrides between which order matters stay in applied order:
    those that write the same list, lie one inside the other, or choose different members of one oneof.

    Args:
        keys: of the overrides, in applied order.
        marks: NULL or SELECT where an override has that for a value; empty: none has.

    Returns:
        indices into `keys`; of a key that a later write replaces, only the later one.
    """
    marks = marks or [None] * len(keys)
    kept = _unreplaced(keys, marks)
    groups = _Groups(kept)
    named = {keys[i].text for i in kept}
    chosen = {i: _chosen(keys[i], marks[i]) for i in kept}
    members: dict[str, set[str]] = {}
    for i in kept:
        for oneof, member in chosen[i]:
            members.setdefault(oneof, set()).add(member)
    for i in kept:
        for path in lists(keys[i]):
            groups.join(i, f"list {path}")
        for prefix in prefixes(keys[i]):
            if prefix in named:
                groups.join(i, f"key {prefix}")
        for oneof, _ in chosen[i]:
            if len(members[oneof]) > 1:
                groups.join(i, f"oneof {oneof}")
    names: dict[int, str] = {}
    for i in kept:
        group = groups.of(i)
        names[group] = min(names.get(group, keys[i].text), keys[i].text)
    return sorted(kept, key=lambda i: (names[groups.of(i)], i))


class _Groups:
    """Put numbers that share a mark in one group."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._parent = {i: i for i in numbers}
        self._first: dict[str, int] = {}

    def of(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def join(self, i: int, mark: str) -> None:
        self._parent[self.of(i)] = self.of(self._first.setdefault(mark, i))


def _chosen(key: Key, mark: Special | None) -> list[tuple[str, str]]:
    """Name the oneofs in which an override chooses a member, with the member ('': none)."""
    if mark is not NULL:
        return choices(key)
    return [(key.text, "")] if key.oneof else []  # clearing a member chooses no other one


def _unreplaced(keys: Sequence[Key], marks: Sequence[Special | None]) -> list[int]:
    """List the writes that leave something when all is done: no later one to the same key replaces them."""
    kept: list[int] = []
    following: dict[str, int] = {}  # key or list -> next write to it
    replacing: set[str] = set()  # keys that are set to a value later on
    for i in range(len(keys) - 1, -1, -1):
        key, text, through = keys[i], keys[i].text, [f"list {path}" for path in lists(keys[i])]
        later = following.get(text)
        if later is None:
            replaced = False
        elif through:
            # What stands between two writes to a list may hang on the first one, and each append counts.
            appends = any(step.index == -1 for step in key.steps)
            is_next = all(following.get(path) == later for path in through)
            replaced = is_next and not appends and marks[later] is not NULL
        else:
            # What is cleared later may have been made together with what holds it, or chosen in place of another.
            alone = len(key.steps) == 1 and not choices(key)
            replaced = text in replacing or marks[i] is NULL or alone
        if not replaced:
            kept.append(i)
        following.update(dict.fromkeys([text, *through], i))
        if marks[i] is not NULL:
            replacing.add(text)
    return kept[::-1]
