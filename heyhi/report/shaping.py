"""The work of putting a table together as a `Shape` asks for it: who counts, what is a mean, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heyhi.config.fields import covers, key_of
from heyhi.errors import suggest
from heyhi.experiment.directions import Direction
from heyhi.experiment.metrics import BEST
from heyhi.experiment.names import Status
from heyhi.quick_dataclass import dataclass, field
from heyhi.report import where
from heyhi.report.asked import Asked
from heyhi.report.cell_text import listed
from heyhi.report.cells import places_by, taken, varying
from heyhi.report.counted import Counted, counting
from heyhi.report.frames import (
    GroupError,
    best_places,
    check_columns,
    check_numbers,
    chosen,
    equally_good,
    pivot_table,
    sorted_places,
)
from heyhi.report.gathered import Gathered
from heyhi.report.meanings import known_in, override_name, with_meanings
from heyhi.report.means import (
    LAST,
    combinations,
    mean_rows,
    version_column,
)
from heyhi.report.package_kinds import kinds_of
from heyhi.report.readings import IF_ANY, RESULT
from heyhi.report.remarks import Remarks, first, listed_first
from heyhi.report.shaped import Lazily, Shaped, Spread, numbered
from heyhi.report.spread import DEFAULT_SPREAD
from heyhi.text import shell_word

if TYPE_CHECKING:
    import pandas as pd

_CODE, _PACKAGES = "code", "packages"
# Columns that only some tables have, and that are empty in the others.
EMPTY = frozenset({*IF_ANY, *LAST, "drifted", "sweep"}) - {"n", "wanted"}


@dataclass(frozen=True)
class Work:
    """A table that is put together.

    Attributes:
        rows: the experiments that were chosen.
        counts: whether each counts.
        has_metrics: whether any experiment, chosen or not, has a metric yet.
        has_results: whether any is DONE: its result may have what it hasn't logged.
        notes: what is said of it.
    """

    shape: Asked
    rows: Gathered
    counts: list[bool]
    has_metrics: bool
    has_results: bool
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, shape: Asked, gathered: Gathered) -> Work:
        """Take the experiments that are asked for."""
        if gathered.translations:
            shape = shape.by_names_of_today(known_in(gathered).called_today)
        if not shape.where:
            rows = gathered
        else:
            rows = gathered.only(where.chosen_rows(shape.where, known_in(gathered)))
        rows = with_meanings(rows, _key_names(shape), _shown_names(shape))
        work = cls(shape, rows, counting(rows.table, shape.where), *_has_any(gathered.table))
        if shape.at_best is not None:
            work._say_direction(f"at best: {{}} {shape.at_best}", shape.at_best, shape.at_best_direction)
            work.notes.extend(_unlogged(shape.at_best, rows.table))
        if work.is_empty:
            work.notes.append(where.none_text(shape.where, len(gathered.table)))
        return work

    @property
    def is_empty(self) -> bool:
        """Whether conditions chose nothing."""
        return bool(self.shape.where) and not len(self.rows.table)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are averaged over."""
        return self.shape.mean_over or self.rows.replicate

    @property
    def spread(self) -> Spread:
        """What stands beside a mean."""
        return self.shape.spread or DEFAULT_SPREAD

    @property
    def remarks(self) -> Remarks:
        """What there is to say of the experiments."""
        return Remarks(self.rows.table, self.counts)

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
            self.notes.extend(self.remarks.excluded())
        if shape.best is not None:
            table, members = self._best(table, members, shape.best)
        for name in dict.fromkeys([*(key.removeprefix("-") for key in shape.sort), *shape.columns, *shape.per]):
            if self.has_metrics and name.endswith(BEST) and self.rows.directions.of(metric_of(name)) is not None:
                self._say_direction(f"{name}: {{}}", metric_of(name))
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
            groups=Lazily(len(whole), lambda: numbered(self.rows.replicate_keys(self.fields))),
            spread=self.spread if is_of_means else None,
            notes=self.notes[:1] if self.is_empty else list(dict.fromkeys(self.notes)),
            hidden=(_PACKAGES,) if _PACKAGES in table.columns else (),
        )

    # --- means

    def _means(self) -> tuple[pd.DataFrame, list[list[int]]]:
        table = self.rows.table
        if self.shape.group_by:
            keys = {name: self._key(name) for name in self.shape.group_by}
            groups = list(combinations(keys.values(), len(table)).values())
            self._check_alike(groups)
            asked = [name for name in [*_key_names(self.shape), *_shown_names(self.shape)] if name in varying(table)]
            keys |= {name: table[name].tolist() for name in asked if not covers(name, self.fields)}
        else:
            needed = [name for name in table.attrs.get("needed", ()) if name in table]
            names = [name for name in [*varying(table), *needed] if not covers(name, self.fields)]
            keys = {name: table[name].tolist() for name in names}
            groups = list(places_by(self.rows.replicate_keys(self.fields)).values())
        counted = self._counted(groups)
        found, left_out = mean_rows(self._with_versions(table), groups, counted, keys, self.fields, self.spread)
        if _CODE in found and _CODE not in keys:
            count = int(found[_CODE].notna().sum())
            self.notes.append(
                f"{count} {'means are' if count > 1 else 'mean is'} of results of different code: --group-by code parts"
                " them"
            )
        if "diverged" in found:
            self.notes.append("values that are NaN or infinite are in no mean: the column diverged names them")
        self.notes.extend(left_out)
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
            for same in places_by([exact[place] for place in places]).values():
                own = sorted(
                    (places[place] for place in same),
                    key=lambda place: (not self.counts[place], statuses[place] != Status.DONE, place),
                )
                twins.update(own[1:])
                if len(own) > 1:
                    said.append(self.remarks.twins(own))
        self.notes.extend(first(said))
        for place in twins:
            self.counts[place] = False
        return Counted(self.counts, frozenset(twins))

    def _check_alike(self, groups: Sequence[Sequence[int]]) -> None:
        """Make sure that the rows of each group are replicates of one another."""
        names = self._differences(groups)
        if names:
            keys = _typed([*self.shape.group_by, *names])
            fields = _typed([*(name for name in self.fields if name not in self.shape.group_by), *names])
            raise GroupError(
                f"{_varies(names)}: --group-by {keys} or --mean-over {fields} (a row would put together what differs"
                f" in {'it' if len(names) == 1 else 'them'})"
            )

    def _differences(self, groups: Sequence[Sequence[int]]) -> list[str]:
        keys = self.rows.replicate_keys(self.fields)
        names: dict[str, None] = {}
        for places in groups:
            if len({keys[place] for place in places}) > 1:
                found = self.rows.differences(places, self.fields) or ["the config"]
                names.update(dict.fromkeys(map(override_name, found)))
        return list(names)

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
        if name in EMPTY or self.is_empty:
            return [None] * len(table)
        known = known_in(self.rows).names()
        raise GroupError(
            f"the table has no column '{name}', and the configs no such key{suggest(name, known)};"
            f" the table has: {listed(list(map(str, table.columns)))}"
        )

    def _pivot(self, side: str, head: str, metric: str) -> tuple[pd.DataFrame, list[list[int]]]:
        sides, heads, metric = self._key(side), self._key(head), self._metric(metric)
        table = self._with_columns(self.rows.table, [metric])
        cells = list(combinations([sides, heads], len(table)).values())
        if names := self._differences(cells):
            fields = _typed([*self.fields, *names])
            raise GroupError(f"{_varies(names)} within a cell of the pivot: --mean-over {fields} puts that together")
        counted = self._counted(cells)
        values = table[metric].tolist()
        check_numbers(metric, values)
        self.notes.append(f"cells: {metric}, by {side} and {head}")
        self.notes.extend(self.remarks.cells((metric, values), self._with_versions(table), cells, counted))
        found, members = pivot_table((side, sides), (head, heads), values, counted, self.spread)
        found.attrs["pivot"] = (side, head, metric)
        return found, members

    # --- rows and columns

    def _best(self, table: pd.DataFrame, members: list[list[int]], metric: str) -> tuple[pd.DataFrame, list[list[int]]]:
        metric = self._metric(metric)
        table = self._with_columns(table, [metric])
        plain = metric_of(metric.removesuffix(f".{self.spread}"))
        direction = self._say_direction(f"best: {{}} {metric}", plain, self.shape.direction)
        if self.shape.has_means:
            check_columns(table, self.shape.per)
            per = [table[name].tolist() for name in self.shape.per]
            counts = [True] * len(table)
        else:
            per, counts = [self._key(name) for name in self.shape.per], self.counts
        values = table[metric].tolist()
        check_numbers(metric, values)
        places = best_places(values, direction, per, counts)
        if not places and self.has_metrics:
            self.notes.append(f"no experiment that counts has {metric}")
        if ties := equally_good(values, per, counts, places):
            self.notes.append(f"best: {ties} other row{'s are' if ties > 1 else ' is'} equally good, and not shown")
        if not self.shape.has_means and "excluded" in table:
            also = counting(table.drop(columns="excluded"), self.shape.where)
            better = [place for place in best_places(values, direction, per, also) if not counts[place]]
            if better:
                self.notes.append(
                    f"best leaves out excluded: {listed_first([self.remarks.noted(place) for place in better])}"
                )
        return taken(table, places), [members[place] for place in places]

    def _metric(self, name: str) -> str:
        """Return the column of what came out that a name means, also where a key of the configs took its place."""
        return str(self.rows.table.attrs.get("renamed", {}).get(name, name))

    def _say_direction(self, text: str, metric: str, given: Direction | None = None) -> Direction:
        """Say which way a metric is taken to be better.

        Args:
            text: what is said, with a place for the direction.
            metric: that is meant.
            given: its direction, where somebody gave one.

        Raises:
            DirectionError: nobody knows.
        """
        direction = given or self.rows.directions.needed(metric)
        why = "" if given or self.rows.directions.declared(metric) else " (assumed by its name)"
        word = "smallest" if direction == "min" else "largest"
        self.notes.append(f"{text.replace('{}', word, 1)}{why}")
        return direction

    def _with_columns(self, table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
        """Make sure that a table has some columns; before anything has run, any may be a metric's."""
        absent = [name for name in dict.fromkeys(names) if name not in table.columns]
        missing = [name for name in absent if name not in EMPTY and not self.is_empty]
        if not missing:
            return _with_empty(table, absent)
        for name in missing:
            plain = metric_of(name)
            if name != plain and plain in table.columns:
                self.rows.directions.needed(plain)
        if self.has_metrics and self.has_results:
            check_columns(table, missing, lambda: known_in(self.rows).names())
        if self.has_metrics:
            known = known_in(self.rows).names()
            named = ", ".join(f"{name}{suggest(name, known)}" for name in missing)
            self.notes.append(f"no experiment is DONE yet, nor has {named}")
        else:
            self.notes.append(f"no experiment has a metric yet, nor {', '.join(missing)}")
        return _with_empty(table, absent)


def _key_names(shape: Asked) -> list[str]:
    """Return the names by which experiments are put together, or told apart."""
    per = [] if shape.pivot is not None else _of_rows(shape, shape.per)
    return [name for name in [*shape.group_by, *(shape.pivot or ())[:2], *per] if name != _CODE]


def _shown_names(shape: Asked) -> list[str]:
    """Return the names that are shown, or sorted by."""
    if shape.pivot is not None:
        return []
    return _of_rows(shape, [*shape.columns, *(key.removeprefix("-") for key in shape.sort)])


def _of_rows(shape: Asked, names: Sequence[str]) -> list[str]:
    if shape.has_means:  # of which the row has columns of its own
        names = [key_of(name) if key_of(name) in LAST else name for name in names if name not in LAST]
    return [name for name in names if name != _CODE]


def _has_any(table: pd.DataFrame) -> tuple[bool, bool]:
    """Return whether any experiment of a table has a metric yet, and a result.

    Of a table that doesn't say which metrics there are, all have both.
    """
    names = table.attrs.get("metrics")
    if names is None:
        return True, True
    has_metrics = any(table[name].notna().any() for name in names if name in table)
    return has_metrics, "status" not in table or Status.DONE in set(table["status"])


def _with_empty(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Add columns that nobody has anything in."""
    if not names:
        return table
    found = table.copy()
    for name in names:
        found[name] = None
    return found


def _unlogged(metric: str, table: pd.DataFrame) -> list[str]:
    """Say how many of the experiments that were started have not logged the metric at whose best the others are."""
    names = [name for name in table.attrs.get("metrics", ()) if name.removesuffix(RESULT) == metric]
    values = table[names[0]].tolist() if names else [None] * len(table)
    # What was logged as NaN is a value.
    count = sum(value is None and attempts > 0 for value, attempts in zip(values, table["attempts"], strict=True))
    if not count:
        return []
    return [f"{count} experiment{' has' if count == 1 else 's have'} not logged {metric}"]


def metric_of(name: str) -> str:
    """Return the metric that a column is of."""
    return name.removesuffix(RESULT).removesuffix(BEST)


def _typed(names: Sequence[str]) -> str:
    """Write names as an option takes them."""
    return shell_word(",".join(dict.fromkeys(names)))


def _varies(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'varies' if len(names) == 1 else 'vary'}"
