"""What is asked of a table: the options of a report, and which of them contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, get_args

from heyhi.config.fields import covers
from heyhi.errors import suggest
from heyhi.experiment.directions import Direction
from heyhi.quick_dataclass import dataclass, replace
from heyhi.report import where
from heyhi.report.cells import varying
from heyhi.report.frames import GroupError
from heyhi.report.meanings import known_in
from heyhi.report.shaped import Spread
from heyhi.report.spread import SPREADS

if TYPE_CHECKING:
    from heyhi.report.gathered import Gathered

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


@dataclass(frozen=True)
class Asked:
    """How a table is put together.

    Attributes:
        sort: columns to sort by, `-name` downward.
        columns: columns to keep; empty: all.
        mean_over: fields such as `seed`: a row for all runs whose configs differ in nothing else; None: not asked for.
        group_by: columns or keys of the config: a row for each combination of their values; empty: not asked for.
        spread: what stands beside a mean; None: the standard error.
        where: conditions on the experiments that are looked at.
        at_best: metric at whose best value the others are taken; None: their last and best ones.
        at_best_direction: which way it is better; None: as declared.
        best: column of which the best rows are kept.
        direction: which way that is better; None: as declared.
        per: columns for each combination of which the best row is kept.
        pivot: (rows, columns, metric).
    """

    sort: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    mean_over: tuple[str, ...] | None = None
    group_by: tuple[str, ...] = ()
    spread: Spread | None = None
    where: tuple[str, ...] = ()
    at_best: str | None = None
    at_best_direction: Direction | None = None
    best: str | None = None
    direction: Direction | None = None
    per: tuple[str, ...] = ()
    pivot: tuple[str, str, str] | None = None

    @property
    def has_means(self) -> bool:
        """Whether its rows are means."""
        return self.mean_over is not None or bool(self.group_by)

    def by_names_of_today(self, today: Callable[[str], str]) -> Asked:
        """Return the same where columns and keys have the names of today; conditions are read where they are used."""

        def each(names: Iterable[str]) -> tuple[str, ...]:
            return tuple(today(name) for name in names)

        sort = tuple(f"-{today(name[1:])}" if name.startswith("-") else today(name) for name in self.sort)
        pivot = None if self.pivot is None else (today(self.pivot[0]), today(self.pivot[1]), self.pivot[2])
        mean_over = None if self.mean_over is None else each(self.mean_over)
        found = replace(self, sort=sort, pivot=pivot, mean_over=mean_over, columns=each(self.columns))
        return replace(found, group_by=each(self.group_by), per=each(self.per))

    def words(self) -> tuple[str, ...]:
        """Return what is asked for beside the order of the rows, as the options of `heyhi report` say it."""
        best, at_best = (
            metric and (f"{metric}:{direction}" if direction else metric)
            for metric, direction in ((self.best, self.direction), (self.at_best, self.at_best_direction))
        )
        options: tuple[tuple[str, Sequence[str]], ...] = (
            *(("--where", (condition,)) for condition in self.where),
            ("--at-best", (at_best,) if at_best else ()),
            ("--mean-over", (",".join(self.mean_over),) if self.mean_over is not None else ()),
            ("--group-by", (",".join(self.group_by),) if self.group_by else ()),
            ("--best", (best,) if best else ()),
            ("--per", (",".join(self.per),) if self.per else ()),
            ("--pivot", self.pivot or ()),
            ("--spread", (self.spread,) if self.spread else ()),
            ("--columns", (",".join(self.columns),) if self.columns else ()),
        )
        return tuple(" ".join([option, *values]) for option, values in options if values)

    def check(self, *, with_needs: bool = False) -> None:
        """Make sure that it can be, before anything is read.

        Args:
            with_needs: what the experiments need is shown, too.

        Raises:
            GroupError: two options contradict each other.
            WhereError: a condition can't be read.
        """
        for what, value, known in (
            ("spread", self.spread, SPREADS),
            ("direction", self.direction, DIRECTIONS),
            ("direction", self.at_best_direction, DIRECTIONS),
        ):
            if value is not None and value not in known:
                raise GroupError(f"'{value}' is no {what}{suggest(value, known)}: expected {' or '.join(known)}")
        pivot, means = self.pivot is not None, self.has_means
        both = sorted(set(self.group_by) & set(self.mean_over or ()))
        contradictions = {
            "--mean-over names no field": self.mean_over == (),
            "--pivot goes without --best: it shows all rows": pivot and self.best is not None,
            "--pivot goes without --group-by: its keys group by themselves": pivot and bool(self.group_by),
            "--spread goes with --mean-over, --group-by or --pivot": self.spread and not (means or pivot),
            "--per goes with --best KEY: the best row for each combination of these columns": self.per
            and self.best is None,
            "--at-best goes without --needs": self.at_best is not None and with_needs,
            f"'{', '.join(both)}' can't be averaged over and be a key of --group-by": bool(both),
        }
        for text, is_so in contradictions.items():
            if is_so:
                raise GroupError(text)
        where.check(self.where)

    def check_fields(self, gathered: Gathered, always: Sequence[str] = ()) -> None:
        """Make sure that the fields that are averaged over are some that a config may have.

        Args:
            gathered: the experiments.
            always: fields that need not be: the project's own, for all of its reports.

        Raises:
            GroupError: one is none; the message names the nearest.
        """
        asked = [name for name in self.mean_over or () if name not in always]
        if not asked or not gathered.settings:
            return
        known = [*varying(gathered.table), *known_in(gathered).configs]
        for name in asked:
            if any(covers(key, (name,)) for key in known):
                continue
            keys = [one.keys_for(name) for one in gathered.settings]
            if None not in keys:
                near = suggest(name, dict.fromkeys([*known, *(key for some in keys for key in some or ())]))
                raise GroupError(f"--mean-over {name}: no config has a key '{name}'{near}", key=name)

    def warning(self, gathered: Gathered) -> str:
        """Return a warning where no experiments differ in the fields that are averaged over, else an empty string."""
        names = varying(gathered.table)
        if not self.mean_over or any(covers(name, self.mean_over) for name in names):
            return ""
        if len(set(gathered.replicate_keys(self.mean_over))) < len(gathered.table):  # what they need may differ in them
            return ""
        return f"no experiments differ in {' or '.join(map(repr, self.mean_over))}{suggest(self.mean_over[0], names)}"
