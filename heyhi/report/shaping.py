"""The work of putting a table together as a `Shape` asks for it: who counts, what is a mean, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heyhi.errors import suggest
from heyhi.experiment.names import Status
from heyhi.report import where
from heyhi.report.asked import Asked
from heyhi.report.cells import varying
from heyhi.report.fields import covers
from heyhi.report.frames import (
    GroupError,
    best_places,
    check_columns,
    chosen,
    listed,
    pivot_table,
    sorted_places,
    taken,
)
from heyhi.report.gathered import Gathered
from heyhi.report.means import BEST, Counted, combinations, mean_rows, version_column
from heyhi.report.package_kinds import kinds_of
from heyhi.report.shaped import Lazily, Shaped, Spread
from heyhi.report.spread import DEFAULT_SPREAD

if TYPE_CHECKING:
    import pandas as pd

_CODE, _PACKAGES = "code", "packages"
_MAX_SAID = 5  # of one kind


@dataclass(frozen=True)
class Work:
    """A table that is put together.

    Attributes:
        rows: the experiments that were chosen.
        counts: whether each counts.
        has_metrics: whether any experiment, chosen or not, has a metric yet.
        notes: what is said of it.
    """

    shape: Asked
    rows: Gathered
    counts: list[bool]
    has_metrics: bool
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, shape: Asked, gathered: Gathered) -> Work:
        """Take the experiments that are asked for."""
        places = _chosen_places(shape.where, gathered)
        rows = gathered.only(places)
        return cls(shape, rows, counting(rows.table, shape.where), _has_metrics(gathered.table))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are averaged over."""
        return self.shape.mean_over or self.rows.replicate

    @property
    def spread(self) -> Spread:
        """What stands beside a mean."""
        return self.shape.spread or DEFAULT_SPREAD

    def shaped(self) -> Shaped:
        """Put the table together."""
        shape, whole = self.shape, self.rows.table
        is_of_means = shape.has_means or shape.pivot is not None
        counts = self.counts
        if shape.pivot is not None:
            table, members = self._pivot(*shape.pivot)
        elif shape.has_means:
            table, members = self._means()
        else:
            table, members = whole, [[place] for place in range(len(whole))]
        if is_of_means:
            self._say_excluded()
        if shape.best is not None:
            table, members = self._best(table, members, shape.best)
        if shape.sort:
            table = self._with_columns(table, [key.removeprefix("-") for key in shape.sort])
            order = sorted_places(table, shape.sort)
            table, members = taken(table, order), [members[place] for place in order]
        if shape.columns:
            table = chosen(
                self._with_columns(table, shape.columns), shape.columns, self.spread if is_of_means else None
            )
        return Shaped(
            table=table,
            whole=whole,
            members=members,
            counts=counts,
            groups=Lazily(len(whole), lambda: _numbered(self.rows.replicate_keys(self.fields))),
            spread=self.spread if is_of_means else None,
            notes=list(dict.fromkeys(self.notes)),
            hidden=(_PACKAGES,) if _PACKAGES in table.columns else (),
        )

    # --- means

    def _means(self) -> tuple[pd.DataFrame, list[list[int]]]:
        table = self.rows.table
        if self.shape.group_by:
            keys = {name: self._key(name) for name in self.shape.group_by}
            groups = list(combinations(keys.values(), len(table)).values())
            self._check_alike(groups)
        else:
            needed = [name for name in table.attrs.get("needed", ()) if name in table]
            names = [name for name in [*varying(table), *needed] if not covers(name, self.fields)]
            keys = {name: table[name].tolist() for name in names}
            groups = list(_places_by(self.rows.replicate_keys(self.fields)).values())
        counted = self._counted(groups)
        found = mean_rows(self._with_versions(table), groups, counted, keys, self.fields, self.spread)
        if _CODE in found and _CODE not in keys:
            count = int(found[_CODE].notna().sum())
            self.notes.append(
                f"{count} {'means are' if count > 1 else 'mean is'} of results of different code: --group-by code parts"
                " them"
            )
        if "diverged" in found:
            self.notes.append("values that are NaN or infinite are in no mean: the column diverged names them")
        return found, groups

    def _with_versions(self, table: pd.DataFrame) -> pd.DataFrame:
        """Give the same digest to packages that are the same: one run may load more of them than another."""
        column: list[Any] = table[_PACKAGES].tolist() if _PACKAGES in table else []
        kinds = kinds_of(column, self.rows.same_packages)
        if len(kinds) < 2:
            return table
        found = table.copy(deep=False)
        found[_PACKAGES] = [kinds.get(digest, digest) for digest in column]
        return found

    def _counted(self, groups: Sequence[Sequence[int]]) -> Counted:
        """Return what counts in groups: of an experiment that stands there twice, under two names, only one."""
        exact = self.rows.replicate_keys(())
        statuses = self.rows.table["status"].tolist()
        twins: set[int] = set()
        said = []
        for places in groups:
            for same in _places_by([exact[place] for place in places]).values():
                own = sorted(
                    (places[place] for place in same),
                    key=lambda place: (not self.counts[place], statuses[place] != Status.DONE, place),
                )
                twins.update(own[1:])
                if len(own) > 1:
                    said.append(f"the same config twice: {', '.join(map(self._exp_id, own))}: only one counts")
        self.notes.extend(_first(said))
        for place in twins:
            self.counts[place] = False
        return Counted(self.counts, frozenset(twins))

    def _exp_id(self, place: int) -> str:
        table = self.rows.table
        return str(table["exp_id"].iloc[place]) if "exp_id" in table else f"row {place + 1}"

    def _check_alike(self, groups: Sequence[Sequence[int]]) -> None:
        """Make sure that the rows of each group are replicates of one another."""
        names = self._differences(groups)
        if names:
            keys = ",".join([*self.shape.group_by, *names])
            fields = ",".join([*(name for name in self.fields if name not in self.shape.group_by), *names])
            raise GroupError(
                f"{_varies(names)}: --group-by {keys} or --mean-over {fields} (a row would put together what differs"
                f" in {'it' if len(names) == 1 else 'them'})"
            )

    def _differences(self, groups: Sequence[Sequence[int]]) -> list[str]:
        keys = self.rows.replicate_keys(self.fields)
        names: dict[str, None] = {}
        for places in groups:
            if len({keys[place] for place in places}) > 1:
                names.update(dict.fromkeys(self.rows.differences(places, self.fields) or ["the config"]))
        return list(names)

    def _say_excluded(self) -> None:
        table = self.rows.table
        if "excluded" not in table:
            return
        notes = table["note"].tolist() if "note" in table else [None] * len(table)
        left_out = [
            self._exp_id(place) + (f" ({notes[place]})" if notes[place] else "")
            for place, flag in enumerate(table["excluded"])
            if flag is True and not self.counts[place]
        ]
        if left_out:
            self.notes.append(f"excluded from means: {', '.join(_first(left_out))}")

    def _key(self, name: str) -> list[Any]:
        """Return the column of a key: of the table, else of the composed configs."""
        table = self.rows.table
        if name == _CODE:
            marked = self._with_versions(table)
            columns = {column: marked[column].tolist() for column in (_CODE, _PACKAGES) if column in table}
            return version_column(columns, range(len(table)))
        if name in table.columns:
            found: list[Any] = table[name].tolist()
            return found
        configs = self.rows.configs()
        if not configs or any(name in config for config in configs):
            return [config.get(name) for config in configs]
        known = list(dict.fromkeys([*map(str, table.columns), *(key for config in configs for key in config)]))
        raise GroupError(
            f"the table has no column '{name}', and the configs no such key{suggest(name, known)};"
            f" the table has: {listed(list(map(str, table.columns)))}"
        )

    def _pivot(self, side: str, head: str, metric: str) -> tuple[pd.DataFrame, list[list[int]]]:
        sides, heads = self._key(side), self._key(head)
        table = self._with_columns(self.rows.table, [metric])
        cells = list(combinations([sides, heads], len(table)).values())
        names = [name for name in self._differences(cells) if name not in (side, head)]
        if names:
            fields = ",".join([*self.fields, *names])
            raise GroupError(f"{_varies(names)} within a cell of the pivot: --mean-over {fields} puts that together")
        counted = self._counted(cells)
        every = range(len(table))
        found, members = pivot_table(
            (side, sides), (head, heads), table[metric].tolist(), counted.of(every), self.spread
        )
        found.attrs["pivot"] = (side, head, metric)
        return found, members

    # --- rows and columns

    def _best(self, table: pd.DataFrame, members: list[list[int]], metric: str) -> tuple[pd.DataFrame, list[list[int]]]:
        table = self._with_columns(table, [metric])
        plain = metric_of(metric.removesuffix(f".{self.spread}"))
        direction = self.shape.direction or self.rows.directions.needed(plain)
        why = "" if self.shape.direction or self.rows.directions.declared(plain) else " (assumed by its name)"
        self.notes.append(f"best: {'smallest' if direction == 'min' else 'largest'} {metric}{why}")
        if self.shape.has_means:
            check_columns(table, self.shape.per)
            per = [table[name].tolist() for name in self.shape.per]
            counts = [True] * len(table)
        else:
            per, counts = [self._key(name) for name in self.shape.per], self.counts
        places = best_places(table[metric].tolist(), direction, per, counts)
        return taken(table, places), [members[place] for place in places]

    def _with_columns(self, table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
        """Make sure that a table has some columns; before anything has run, any may be a metric's."""
        missing = [name for name in dict.fromkeys(names) if name not in table.columns]
        if not missing:
            return table
        for name in missing:
            plain = metric_of(name)
            if name != plain and plain in table.columns:
                self.rows.directions.needed(plain)
        if self.has_metrics:
            check_columns(table, names)
        self.notes.append(f"no experiment has a metric yet, nor {', '.join(missing)}")
        found = table.copy()
        for name in missing:
            found[name] = None
        return found


def counting(table: pd.DataFrame, conditions: Sequence[str] = ()) -> list[bool]:
    """Return for each experiment of a table whether its results count in means.

    Those that are DONE do; where a condition is on the status, all that were chosen by it. Excluded ones don't, but
    where a condition is on that.
    """
    asked = {meaning.key for text in conditions for meaning in where.readings(text) if meaning.key in table.columns}
    if "status" in asked or "status" not in table:
        is_done = [True] * len(table)
    else:
        done = Status.DONE.value  # as text: there may be 10,000
        is_done = [status == done for status in table["status"].tolist()]
    if "excluded" not in table or "excluded" in asked:
        return is_done
    return [done and flag is not True for done, flag in zip(is_done, table["excluded"].tolist(), strict=True)]


def _chosen_places(conditions: Sequence[str], gathered: Gathered) -> list[int]:
    table = gathered.table
    if not conditions:
        return list(range(len(table)))

    def more() -> Mapping[str, Sequence[Any]]:
        configs = gathered.configs()
        names = dict.fromkeys(name for config in configs for name in config)
        return {name: [config.get(name) for config in configs] for name in names}

    columns = {str(name): table[name].tolist() for name in table.columns}
    return where.chosen_rows(conditions, columns, _once(more))


def _once(function: Callable[[], Mapping[str, Sequence[Any]]]) -> Callable[[], Mapping[str, Sequence[Any]]]:
    found: list[Mapping[str, Sequence[Any]]] = []

    def remembered() -> Mapping[str, Sequence[Any]]:
        if not found:
            found.append(function())
        return found[0]

    return remembered


def _has_metrics(table: pd.DataFrame) -> bool:
    """Return whether any experiment of a table has a metric yet; of one that doesn't say which these are, all have."""
    names = table.attrs.get("metrics")
    return names is None or any(table[name].notna().any() for name in names if name in table)


def metric_of(name: str) -> str:
    """Return the metric that a column is of."""
    return name.removesuffix(BEST)


def _places_by(keys: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return found


def _numbered(keys: Sequence[Hashable]) -> list[int]:
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return [numbers[key] for key in keys]


def _first(texts: Sequence[str]) -> list[str]:
    """Return the first of some texts, and how many more there are."""
    more = len(texts) - _MAX_SAID
    return [*texts[:_MAX_SAID], f"and {more} more"] if more > 1 else list(texts)


def _varies(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'varies' if len(names) == 1 else 'vary'}"
