"""The canonical order of overrides, in which an identity names them.

They are sorted by key, each key once, but for those between which order changes the result. Includes, which stand
before all others and keep their order, are left to `compose`.
"""

from __future__ import annotations

from collections.abc import Sequence

from heyhi.config.keys import Key, choices, lists, prefixes
from heyhi.config.values import NULL, Special, Value
from heyhi.quick_tuple import NamedTuple


class Line(NamedTuple):
    """An override that was applied, or one write of it where its value is a list, a map or a message.

    Attributes:
        key: where it wrote.
        value: what it wrote.
        text: the override as the schema writes it.
        named: its value as an identity names it, where that differs: a string in which a need goes by its exp id.
    """

    key: Key
    value: Value
    text: str
    named: str | None = None


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
    waits = _waits(kept, keys, marks)
    waiting = {i: len(before) for i, before in waits.items()}
    followers: dict[int, list[int]] = {i: [] for i in kept}
    for i, before in waits.items():
        for earlier in before:
            followers[earlier].append(i)
    # The smallest of those that wait for nothing, again and again: overrides that may change places always come out
    # the same way.
    free = sorted(((keys[i].first_text, i) for i in kept if not waiting[i]), reverse=True)
    order: list[int] = []
    while free:
        _, i = free.pop()
        order.append(i)
        for later in followers[i]:
            waiting[later] -= 1
            if not waiting[later]:
                free.append((keys[later].first_text, later))
                free.sort(reverse=True)  # of what is sorted already: heapq takes longer to load than this, mostly
    return order


def _waits(kept: Sequence[int], keys: Sequence[Key], marks: Sequence[Special | None]) -> dict[int, set[int]]:
    """Find for each override those before it with which it can't change places."""
    waits: dict[int, set[int]] = {}
    last_of_list: dict[str, int] = {}
    at_key: dict[str, list[int]] = {}
    inside: dict[str, list[int]] = {}
    choosing: dict[str, dict[str, list[int]]] = {}
    for i in kept:
        key = keys[i]
        before = set(inside.get(key.text, ()))
        for prefix in prefixes(key):
            before.update(at_key.get(prefix, ()))
            inside.setdefault(prefix, []).append(i)
        at_key.setdefault(key.text, []).append(i)
        for path in lists(key):
            if path in last_of_list:
                before.add(last_of_list[path])
            last_of_list[path] = i
        for oneof, member in _chosen(key, marks[i]):
            members = choosing.setdefault(oneof, {})
            for other, numbers in members.items():
                if other != member:
                    before.update(numbers)
            members.setdefault(member, []).append(i)
        waits[i] = before
    return waits


def _chosen(key: Key, mark: Special | None) -> list[tuple[str, str]]:
    """List the oneofs in which an override chooses a member, each with that member ('': none)."""
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
            # What stands between two writes to a list may hang on the first one; each append counts, and each removal.
            appends = any(step.index == -1 for step in key.steps)
            is_next = all(following.get(path) == later for path in through)
            replaced = is_next and not appends and NULL not in (marks[i], marks[later])
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
