"""What points of a sweep leave out: a key in a member of a oneof, where the point chooses another member by its name.

    --sweep optimizer=sgd,momentum --sweep momentum.decay=0.5,0.8

are three experiments, as they are in a search's space: one with sgd, two with momentum. A key that no point keeps is
refused, as it is on a command line without a sweep. What contradicts what is found by `heyhi.config.contradictions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from heyhi.config.compose import Composer
from heyhi.config.contradictions import Contradiction
from heyhi.config.overrides import Overrides, keys_and_values, shown_value
from heyhi.quick_dataclass import dataclass, field

_Place = tuple[str, tuple[str, ...], int]  # config, keys of the overrides, place of one


@dataclass
class _Key:
    """A key that some points leave out.

    Attributes:
        name: as it was given.
        member: in which it lies.
        contradiction: in the first of them.
        count: how many they are.
        points: index, config and overrides of each, while no other point keeps the key.
    """

    name: str
    member: str
    contradiction: Contradiction
    count: int = 0
    points: list[tuple[int, str, Overrides]] = field(default_factory=list)


class LeftOut:
    """The keys that points of a sweep leave out, while these are composed.

    Args:
        composer: of the points.
    """

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._keys: dict[_Place, _Key] = {}
        self._kept: dict[_Place, int] = {}  # how many points have it
        self._plain_cfg: str | Path | None = None  # of the last point that has no such key,
        self._plain_keys: tuple[object, ...] = ()  # and its keys

    def without(self, index: int, cfg: str | Path, overrides: Overrides) -> Overrides:
        """Return a point's overrides less those that apply only where another member of a oneof is chosen.

        Args:
            index: of the point.
            cfg: its config.
            overrides: as they were given; the same object where none is left out.

        Raises:
            HeyhiError: the config is wrong.
        """
        # Of a large sweep's points nearly all have the keys of the one before.
        if type(overrides) is dict and cfg is self._plain_cfg and tuple(overrides) == self._plain_keys:
            return overrides
        found = self._composer.choices(cfg, overrides)
        if found is None:
            if type(overrides) is dict and not self._composer.may_contradict(cfg, overrides):
                self._plain_cfg, self._plain_keys = cfg, tuple(overrides)
            return overrides
        keys, _, _ = keys_and_values(overrides)
        for place in found.inside:
            at = (str(cfg), keys, place)
            self._kept[at] = self._kept.get(at, 0) + 1
            if (one := self._keys.get(at)) is not None:
                one.points.clear()
        if not found.outside:
            return overrides
        for place, (contradiction, member) in found.outside.items():
            at = (str(cfg), keys, place)
            one = self._keys.get(at) or self._keys.setdefault(at, _Key(keys[place], member, contradiction))
            one.count += 1
            if at not in self._kept:
                one.points.append((index, str(cfg), overrides))
        if isinstance(overrides, Mapping):
            return {key: value for place, (key, value) in enumerate(overrides.items()) if place not in found.outside}
        return [one for place, one in enumerate(overrides) if place not in found.outside]

    def errors(self) -> Iterator[tuple[str, list[tuple[int, str, Overrides]]]]:
        """Yield what is wrong with keys that apply in no point, each with the points."""
        for at, one in self._keys.items():
            if at not in self._kept:
                keys, values, _ = keys_and_values(one.points[0][2])
                texts = {place: f"{keys[place]}={shown_value(value)}" for place, value in enumerate(values)}
                yield str(one.contradiction.error(texts, one.name)), one.points

    def lines(self) -> list[str]:
        """Say which keys were left out, and of how many points."""
        counts: dict[tuple[str, str], tuple[int, int]] = {}
        for at, one in self._keys.items():
            out, kept = counts.get((one.name, one.member), (0, 0))
            counts[one.name, one.member] = (out + one.count, kept + self._kept.get(at, 0))
        return [
            f"{name} counts only where {member} is chosen: {out:,} of {out + kept:,} points are without it"
            for (name, member), (out, kept) in counts.items()
        ]
