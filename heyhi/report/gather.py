"""The table of one or several sweeps, as `heyhi report` and a notebook ask for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.code.environment import same_packages
from heyhi.collector import paused_collection
from heyhi.errors import suggest
from heyhi.experiment.directions import Direction, Directions
from heyhi.experiment.metrics import BEST
from heyhi.experiment.project_names import foreign_names
from heyhi.project import find_project
from heyhi.report.column_types import with_types
from heyhi.report.configs import Configs
from heyhi.report.frames import GroupError
from heyhi.report.gathered import Gathered
from heyhi.report.outline import values_in
from heyhi.report.shape import Shape
from heyhi.report.shaped import Spread
from heyhi.report.source import Source, sweeps_of
from heyhi.report.table import frame_of
from heyhi.report.terminal import show_progress

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.project import Project


def table(
    sweep: str | Path | Sequence[str | Path] | None = None,
    *,
    mean_over: str | Sequence[str] | None = None,
    group_by: str | Sequence[str] = (),
    spread: Spread | None = None,
    where: str | Sequence[str] = (),
    at_best: str | tuple[str, Direction] | None = None,
    with_needs: bool = False,
    drift: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Gather a sweep into a table: `heyhi.table("conf/c02_sup_train/rs_yolo_01_example.py")` in a notebook.

    Columns: `status`; `cfg` and overrides, where they differ; what came out: the last value of each metric, its best as
    `<name>.best` where it is known which way it is better, and the scalars of the result, or what the sweep file's
    `get_logs_data` returns; `reason` (why it is dead, by what it is blocked, who runs it); `problem` (what could not be
    read, or was dropped from the result); `note` (what somebody noted of it); `excluded` (whether that takes its
    results out of means); `needs` (exp ids); `drifted` (what differs, if asked for); `stale` (of which needs there is
    another result now than it was made of); `mixed` (which attempts went on from what another config had done);
    `attempts`; `seconds` of all attempts; `gpu_hours` and `cpu_hours` of those that made what came out;
    `gpu_hours_lost` and `cpu_hours_lost` of those that failed; `mem_used` (GB, at its peak); `queued` (seconds);
    `updated` (seconds since 1970); `job_id`; `code` (commit, `+` with edits);
    `packages`; `exp_id`; `exp_path`.

    A column of numbers is float64, or Int64 where all of them are whole; one of flags is boolean; text and what is
    mixed are objects. What is missing is NaN in float64, `<NA>` in Int64 and boolean, else None. What a task logged as
    NaN is NaN, too: `table.attrs["logged_nan"]` names the rows by their columns. `table.attrs["minimize"]` and
    `["maximize"]` are those of the project, by which `heyhi.best` goes.

    Args:
        sweep: sweep file or manifest, or several; default: the sweep of `[tool.heyhi]`.
        mean_over: fields such as `seed` (`seed,fold`, or a list): a row for all experiments whose configs differ in
            nothing else, with the mean of each number over those that count, its spread as `<name>.<spread>`, `n` (how
            many count), `wanted` (how many there are), and `<name>.n` where a number has fewer.
        group_by: columns or keys of the config: a row for each combination of their values.
        spread: `se` (standard error, the default), `std`, or `ci95` (half of the 95 % interval, by Student's t).
        where: conditions such as `lr>0.1`. Only what is DONE counts in means, unless one is on the status.
        at_best: metric at whose best value the others are taken; with its direction where that isn't declared.
        with_needs: also what came out of what each experiment needs.
        drift: also what would be composed otherwise today.
        progress: show progress on standard error when there are many.

    Returns:
        a row an experiment, running, dead, blocked and absent ones too.

    Raises:
        HeyhiError: the sweep is wrong, or an option.
    """
    metric, direction = (at_best, None) if at_best is None or isinstance(at_best, str) else at_best
    shape = Shape(
        mean_over=None if mean_over is None else _names(mean_over),
        group_by=_names(group_by),
        spread=spread,
        where=(where,) if isinstance(where, str) else tuple(where),
        at_best=metric,
        at_best_direction=direction,
    )
    shape.check(with_needs=with_needs)
    project = find_project()
    if warning := foreign_names(project):
        logging.warning("%s", warning)
    gathering = partial(
        gather,
        with_needs=with_needs,
        drift=drift,
        at_best=metric,
        at_best_direction=direction,
        progress=show_progress if progress else lambda total: lambda: None,
    )
    with paused_collection():
        return _table(project, sweep, shape, gathering)


def _table(
    project: Project,
    sweep: str | Path | Sequence[str | Path] | None,
    shape: Shape,
    gathering: Callable[[Sequence[Source]], Gathered],
) -> pd.DataFrame:
    """Return a table; what it was made of is gone by then, and not looked through for garbage."""
    gathered = gathering([Source.open(project, path) for path in sweeps_of(project, sweep)])
    found = with_types(shape.apply(gathered).table)
    found.attrs["minimize"], found.attrs["maximize"] = map(list, gathered.directions)
    return found


def gather(
    sources: Sequence[Source],
    *,
    with_needs: bool = False,
    drift: bool = False,
    at_best: str | None = None,
    at_best_direction: Direction | None = None,
    progress: Callable[[int], Callable[[], None]] = lambda total: lambda: None,
    lazily: bool = False,
) -> Gathered:
    """Gather several sweeps into one table; an experiment of two of them has one row.

    Args:
        sources: the sweeps, at least one.
        with_needs: also what came out of what each experiment needs.
        drift: also what would be composed otherwise today.
        at_best: metric at whose best value the others are taken.
        at_best_direction: which way that is better; default: as its project declares it.
        progress: given how many experiments will be read, returns what is called after each.
        lazily: whether its table is a `LazyFrame`, for those who only show all of it.

    Raises:
        DirectionError: nobody knows which way `at_best` is better.
        GroupError: no experiment has logged it, and some have logged others.
    """
    if at_best is not None and with_needs:
        raise GroupError("--at-best goes without --needs")
    parts = [
        source.part(
            with_needs=with_needs,
            drift=drift,
            at_best=(
                None if at_best is None else (at_best, at_best_direction or directions(source.project).needed(at_best))
            ),
            progress=progress,
        )
        for source in sources
    ]
    found = frame_of(parts, [source.manifest.label for source in sources], lazily=lazily)
    if at_best is not None and not any(at_best in part.outcome for part in parts):
        _check_is_unlogged(at_best, gather(sources).table)
    folders = found["exp_path"].tolist()
    projects = list(dict.fromkeys(source.project for source in sources))
    searches = [part.searched for part in parts]
    configs = Configs([(source.manifest, source.project) for source in sources], searches)
    return Gathered(
        found,
        lambda: configs.flat(folders),
        lambda fields: configs.replicate_keys(folders, fields),
        sources[0].project.settings.replicate,
        directions(sources[0].project),
        lambda places, fields: configs.differences([folders[place] for place in places], fields),
        lambda digests: all(same_packages(project, digests) for project in projects),
        configs.may_have,
        tuple(configs.translations.values()),
        tuple(values_in(source.manifest, configs.translations.get(source.project)) for source in sources),
        tuple(one for one in searches if one is not None),
    )


def _check_is_unlogged(metric: str, table: pd.DataFrame) -> None:
    """Make sure that a metric isn't there because nothing was logged yet.

    Raises:
        GroupError: others were.
    """
    names = [name for name in table.attrs["metrics"] if table[name].notna().any() and not name.endswith(BEST)]
    if metric in names:
        raise GroupError(f"--at-best {metric}: it is in results only, and no experiment has logged it on its way")
    if names:
        raise GroupError(f"--at-best {metric}: no experiment has logged it{suggest(metric, names)}")


def directions(project: Project) -> Directions:
    """Return which way metrics are better in a project."""
    return Directions(project.settings.minimize, project.settings.maximize)


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(name.strip() for name in parts if name.strip())
