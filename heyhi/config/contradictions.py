"""Contradictions: overrides that choose different members of one oneof, so that one of them would count for nothing.

`optimizer=sgd momentum.decay=0.5` is one. What is done with it is left to `compose`, and in a sweep to
`heyhi.sweep.left_out`. Of what include overrides choose, and of what lies in a value like `{…}`, nothing is said here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from heyhi.config.keys import Key, Kind, choices
from heyhi.config.renames import once_named
from heyhi.config.values import NULL, shorten
from heyhi.errors import OverrideError
from heyhi.quick_tuple import NamedTuple


class Contradiction(NamedTuple):
    """Two overrides that choose different members of one oneof.

    Attributes:
        first: place of the earlier one.
        second: place of the later one.
        oneof: key of the oneof.
    """

    first: int
    second: int
    oneof: str

    def error(self, texts: Mapping[int, str], key: str = "") -> OverrideError:
        """Return what a user is told.

        Args:
            texts: of the overrides, by their places.
            key: of the later one.
        """
        first, second = shorten(texts[self.first]), shorten(texts[self.second])
        return OverrideError(
            f"override '{second}': '{first}' chooses another member of the oneof '{self.oneof}':"
            " leave one of the two out",
            key=key,
        )


class Choices(NamedTuple):
    """What some overrides choose in oneofs.

    Attributes:
        clashing: those of which one has to go.
        outside: place of an override in a member that another one, by the oneof's name, doesn't choose -> both, and
            the member in which it lies.
        inside: places of those in a member that one by the oneof's name chooses.
    """

    clashing: list[Contradiction]
    outside: dict[int, tuple[Contradiction, str]]
    inside: set[int]


class _Chooser(NamedTuple):
    """An override that chooses a member of a oneof."""

    place: int
    key: Key
    member: str
    is_by_name: bool


def may_contradict(keys: Iterable[Key]) -> bool:
    """Return whether overrides with certain keys can choose different members of one oneof, by some values."""
    members: dict[str, set[str]] = {}
    named: set[str] = set()
    for key in keys:
        if _appends(key):
            continue
        if key.kind is Kind.ONEOF:
            named.add(key.text)
        for oneof, member in choices(key):
            members.setdefault(oneof, set()).add(member)
    return any(len(found) > 1 for found in members.values()) or not named.isdisjoint(members)


def choices_made(writes: Sequence[tuple[Key, str]]) -> Choices:
    """Find what overrides choose in oneofs, and where they contradict one another.

    What is cleared in between contradicts nothing, and of a oneof's own name the last one counts.

    Args:
        writes: key and text of the value of each, in applied order.
    """
    choosers: dict[str, list[_Chooser]] = {}
    for place, (key, text) in enumerate(writes):
        if _appends(key):
            continue
        is_cleared = text == NULL.value
        if is_cleared or key.kind in (Kind.MESSAGE, Kind.LIST, Kind.MAP):
            _forget(choosers, key, is_whole=is_cleared)
        if is_cleared:
            continue
        if key.kind is Kind.ONEOF and _member(key, text) in key.members:
            earlier = [one for one in choosers.get(key.text, ()) if not one.is_by_name]
            choosers[key.text] = [*earlier, _Chooser(place, key, _member(key, text), is_by_name=True)]
        for oneof, member in choices(key):
            choosers.setdefault(oneof, []).append(_Chooser(place, key, member, is_by_name=False))
    found = Choices([], {}, set())
    for oneof in sorted(choosers, key=lambda text: text.count(".")):  # what is outside already chooses nothing within
        _judge(oneof, [one for one in choosers[oneof] if one.place not in found.outside], found)
    return found


def _judge(oneof: str, choosers: Sequence[_Chooser], found: Choices) -> None:
    """Note what of the choosers of a oneof is outside, inside, or clashes."""
    named = next((one for one in choosers if one.is_by_name), None)
    if named is None:
        other = next((one for one in choosers if one.member != choosers[0].member), None)
        if other is not None:
            found.clashing.append(Contradiction(choosers[0].place, other.place, oneof))
        return
    for one in choosers:
        if one.member != named.member:
            first, second = sorted((one.place, named.place))
            found.outside[one.place] = (Contradiction(first, second, oneof), one.member)
        elif one is not named:
            found.inside.add(one.place)


def _forget(choosers: dict[str, list[_Chooser]], key: Key, *, is_whole: bool) -> None:
    """Forget what was chosen in what a key clears, or gives another value as a whole."""
    for oneof, found in choosers.items():
        holder = oneof.rpartition(".")[0]
        found[:] = [
            one
            for one in found
            if not (
                _is_in(holder, key.text)
                or (is_whole and oneof == key.text)
                or (is_whole and _is_in(f"{holder}.{one.member}".lstrip("."), key.text))
            )
        ]


def _is_in(text: str, outer: str) -> bool:
    return text == outer or text.startswith(f"{outer}.")


def _appends(key: Key) -> bool:
    return any(step.index == -1 for step in key.steps)


def _member(key: Key, text: str) -> str:
    """Return the member that a oneof's value names, by its name of today."""
    name = text.strip()
    if name not in key.members and (known := once_named(key.choices, name)) is not None:
        return str(known.name)
    return name
