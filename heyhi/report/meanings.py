"""What a name means in a table of experiments, where they are chosen, put together or told apart by it.

A column of what varies comes first, then one of the table's own (`status`, `code` …), then a key of the composed
configs, and last what came out: a result named `lr` never stands for the `lr` of the config. What is hidden so is
called `lr (result)`, and a key of the config that is called as a column of the table `status (override)`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

from heyhi.config.fields import OVERRIDE, key_of
from heyhi.config.renames import renamed_text
from heyhi.config.translation import Translation
from heyhi.quick_dataclass import dataclass, field, replace
from heyhi.report.cells import varying
from heyhi.report.gathered import Gathered
from heyhi.report.readings import IF_ANY, OWN_NAMES, RESULT
from heyhi.report.setting_values import SettingValues

Columns = Mapping[str, Sequence[Any]]


class Meaning(NamedTuple):
    """What a name stands for.

    Attributes:
        kind: `column` of what varies or of the table's own, `key` of the configs, or `outcome`.
        column: its values.
    """

    kind: Literal["column", "key", "outcome"]
    column: Sequence[Any]


@dataclass(frozen=True)
class Known:
    """What names may mean.

    Attributes:
        columns: what varies in configs and overrides, as the table names it, what all have alike, and the table's own
            columns.
        read_configs: returns a column for each key of the composed configs; asked once, and only where it has to be.
        outcome: what came out.
        may_be_key: whether the configs may have a key, as far as is known without reading them.
        translations: what knows the earlier names of keys and values.
        settings: what reads overrides, by the schemas of the configs.
    """

    columns: Columns
    read_configs: Callable[[], Columns] = dict
    outcome: Columns = field(default_factory=dict)
    may_be_key: Callable[[str], bool] = lambda name: True
    translations: tuple[Translation, ...] = ()
    settings: tuple[SettingValues, ...] = ()

    @cached_property
    def configs(self) -> Columns:
        """A column for each key of the composed configs."""
        return self.read_configs()

    @property
    def count(self) -> int:
        """How many experiments there are."""
        return len(next(iter((self.columns or self.outcome).values()), ()))

    def find(self, name: str) -> Meaning | None:
        """Return what a name means; None where it means nothing."""
        if name in self.columns:
            return Meaning("column", self.columns[name])
        if name in IF_ANY:  # nobody has it
            return Meaning("column", [None] * self.count)
        key = key_of(name)
        if (key == name or key in OWN_NAMES) and self.may_be_key(key) and key in self.configs:
            return Meaning("key", self.configs[key])
        for own in (name, name.removesuffix(RESULT)):
            if own in self.outcome:
                return Meaning("outcome", self.outcome[own])
        return None

    def called_today(self, name: str) -> str:
        """Return a name; for one that means nothing by itself, but is an earlier one of a key, that of today."""
        if not self.translations or self.find(name) is not None:
            return name
        today = next((today for one in self.translations if (today := one.name(name)) != name), name)
        if today != name and self.find(today) is not None:
            tell_renamed(name, today)
        return today

    def leaves_today(self, name: str) -> list[str]:
        """Return what fields are called today that had a name before, wherever they lie."""
        return [leaf for one in self.translations for leaf in one.leaves(name)]

    def names(self) -> list[str]:
        """Return all names that mean something."""
        return list(dict.fromkeys([*self.columns, *self.outcome, *map(override_name, self.configs), *IF_ANY]))


def tell_renamed(old: str, new: str) -> None:
    """Tell the user that something has another name by now."""
    print(f"warning: {renamed_text(old, new)}", file=sys.stderr)


def override_name(key: str) -> str:
    """Name a config key's column, so that none of the table's own columns is hidden by it."""
    return f"{key}{OVERRIDE}" if key in OWN_NAMES else key


def outcome_names(keys: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Name the columns of what came out, so that they hide none of some others, nor one of the table's own."""
    used = {*taken, *OWN_NAMES}
    names = {}
    for key in sorted(keys, key=len):  # `lr` before the `lr (result)` of an experiment whose result says another one
        names[key] = key
        while names[key] in used:
            names[key] += RESULT
        used.add(names[key])
    return names


def known_in(gathered: Gathered) -> Known:
    """Return what names mean among gathered experiments."""
    table = gathered.table
    first = {*varying(table), *table.attrs.get("needed", ()), *OWN_NAMES}
    columns = {str(name): table[name].tolist() for name in table.columns}
    # A key that all override alike, or the config file of all, has no column.
    constant = {name: [value] * len(table) for name, value in table.attrs.get("constant", {}).items()}

    def configs() -> Columns:
        rows = gathered.configs()
        return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}

    return Known(
        {name: column for name, column in columns.items() if name in first} | constant,
        configs,
        {name: column for name, column in columns.items() if name not in first},
        gathered.may_be_key,
        gathered.translations,
        gathered.settings,
    )


def with_meanings(gathered: Gathered, keys: Iterable[str], shown: Iterable[str] = ()) -> Gathered:
    """Give the table the columns that some names mean, under these names: keys of the configs, too.

    What came out under the name of such a key gets another name, which `attrs["renamed"]` has.

    Args:
        gathered: the experiments.
        keys: by which they are put together: a result never stands for a key of the configs.
        shown: what is shown or sorted by: a column of the table is meant by its own name.
    """
    keys = set(keys)
    wanted = list(dict.fromkeys([*keys, *(name for name in shown if name not in gathered.table)]))
    if not wanted:
        return gathered
    import pandas as pd

    known = known_in(gathered)
    table, attrs = gathered.table, dict(gathered.table.attrs)
    for name in wanted:
        found = known.find(name)
        if found is None or (name in table and (name not in known.outcome or found.kind == "outcome")):
            continue
        if found.kind == "column" and name in IF_ANY:  # nobody has it
            continue
        is_setting = found.kind != "outcome"
        if not is_setting:
            table = table.assign(**{name: pd.Series(found.column, index=table.index, dtype=object)})
            attrs["metrics"] = [*attrs.get("metrics", ()), name]
            continue
        renamed = {name: name + RESULT}
        while renamed[name] in table:
            renamed[name] += RESULT
        if name in table:
            attrs["renamed"] = attrs.get("renamed", {}) | renamed
        table = table.rename(columns=renamed)
        if "metrics" in attrs:
            attrs["metrics"] = [renamed.get(metric, metric) for metric in attrs["metrics"]]
        table.insert(min(1, len(table.columns)), name, pd.Series(found.column, index=table.index, dtype=object))
        attrs["varying"] = [*attrs.get("varying", ()), name]
    if table is gathered.table:
        return gathered
    table.attrs.update(attrs)
    return replace(gathered, table=table)
