"""A table of experiments with what stands behind its rows: composed configs, and who is a replicate of whom."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from heyhi.config.fields import covers
from heyhi.config.translation import Translation
from heyhi.experiment.directions import Directions
from heyhi.quick_dataclass import dataclass, field, replace
from heyhi.report.cells import hashable, taken, varying
from heyhi.report.setting_values import SettingValues

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.report.searched import Searched

Differences = Callable[[Sequence[int], Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class Gathered:
    """The experiments of one or several sweeps.

    Attributes:
        table: a row an experiment, as `heyhi.table` says.
        configs: returns the composed config of each row as dotted keys below its task, an empty one where none is
            known; read when it is first asked for.
        replicate_keys: given the fields that are averaged over, returns for each row what it has in common with its
            replicates, and with nobody else.
        replicate: the fields of `[tool.heyhi] replicate`.
        directions: which way its metrics are better.
        same_packages: given digests of what runs had loaded, returns whether these are of the same packages.
        differences: given the places of some rows and the fields that are averaged over, names the keys in which their
            configs differ otherwise.
        may_be_key: whether the configs may have a key, as far as is known without reading them.
        translations: what knows the earlier names of keys and values.
        settings: what reads overrides, by the schemas of the configs.
        searches: those of which there are trials among the rows.
    """

    table: pd.DataFrame
    configs: Callable[[], Sequence[Mapping[str, Any]]]
    replicate_keys: Callable[[Sequence[str]], Sequence[Hashable]]
    replicate: tuple[str, ...] = ("seed",)
    directions: Directions = field(default_factory=Directions)
    differences: Differences = lambda places, fields: ()
    same_packages: Callable[[Sequence[str]], bool] = lambda digests: len(set(digests)) < 2
    may_be_key: Callable[[str], bool] = lambda name: True
    translations: tuple[Translation, ...] = ()
    settings: tuple[SettingValues, ...] = ()
    searches: tuple[Searched, ...] = ()

    @classmethod
    def of_table(cls, table: pd.DataFrame) -> Gathered:
        """Go by the columns of a table alone: what varies in it is all that its rows may differ in."""

        def columns(fields: Sequence[str]) -> dict[str, list[Hashable]]:
            names = [name for name in varying(table) if name in table and not covers(name, fields)]
            return {name: list(map(hashable, table[name].tolist())) for name in names}

        def keys(fields: Sequence[str]) -> list[Hashable]:
            found = columns(fields)
            return list(zip(*found.values(), strict=True)) if found else [()] * len(table)

        def differences(places: Sequence[int], fields: Sequence[str]) -> list[str]:
            return [name for name, column in columns(fields).items() if len({column[p] for p in places}) > 1]

        return cls(table, lambda: [{}] * len(table), keys, differences=differences)

    def only(self, places: Sequence[int]) -> Gathered:
        """Return some of the rows, in order."""
        if list(places) == list(range(len(self.table))):
            return self
        table = taken(self.table, places)

        def configs() -> list[Mapping[str, Any]]:
            every = self.configs()
            return [every[place] for place in places]

        def keys(fields: Sequence[str]) -> list[Hashable]:
            every = self.replicate_keys(fields)
            return [every[place] for place in places]

        def differences(some: Sequence[int], fields: Sequence[str]) -> Sequence[str]:
            return self.differences([places[place] for place in some], fields)

        return replace(self, table=table, configs=configs, replicate_keys=keys, differences=differences)
