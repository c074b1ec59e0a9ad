"""The table of one or several sweeps, as `heyhi report` and a notebook ask for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.code.environment import same_packages
from heyhi.experiment.directions import Direction, Directions
from heyhi.experiment.project_names import foreign_names
from heyhi.project import find_project
from heyhi.report.column_types import with_types
from heyhi.report.configs import Configs
from heyhi.report.frames import GroupError
from heyhi.report.gathered import Gathered
from heyhi.report.shape import Shape
from heyhi.report.shaped import Spread
from heyhi.report.source import Source, sweeps_of
from heyhi.report.table import frame_of
from heyhi.report.terminal import show_progress

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.project import Project

_MAX_TITLE = 120  # characters: it becomes a file's name


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

    A column of numbers is float64, or Int64 where all of them are whole; one of flags is boolean; text and what is
    mixed are objects. What is missing is NaN in float64, `<NA>` in Int64 and boolean, else None. What a task logged as
    NaN is NaN, too: `table.attrs["logged_nan"]` names the rows by their columns.

    Args:
        sweep: sweep file or manifest, or several; default: the sweep of `[tool.heyhi]`.
        mean_over: fields such as `seed`: a row for all experiments whose configs differ in nothing else, with the mean
            of each number over those that count, its spread as `<name>.<spread>`, `n` (how many count), `wanted` (how
            many there are), and `<name>.n` where a number has fewer.
        group_by: columns or keys of the config: a row for each combination of their values.
        spread: `se` (standard error, the default), `std`, or `ci95` (half of the 95 % interval, by Student's t).
        where: conditions such as `lr>0.1`. Only what is DONE counts in means, unless one is on the status.
        at_best: metric at whose best value the others are taken; with its direction where that isn't declared.
        with_needs: also what came out of what each experiment needs.
        drift: also what would be composed otherwise today.
        progress: show progress on standard error when there are many.

    Returns:
        a row an experiment, running, dead, blocked and absent ones too; see `heyhi.report.table.collect` for the
        columns.

    Raises:
        HeyhiError: the sweep is wrong, or an option.
    """
    metric, direction = (at_best, None) if at_best is None or isinstance(at_best, str) else at_best
    shape = Shape(
        mean_over=None if mean_over is None else _names(mean_over),
        group_by=_names(group_by),
        spread=spread,
        where=_names(where),
        at_best=metric,
        at_best_direction=direction,
    )
    shape.check(with_needs=with_needs)
    project = find_project()
    if warning := foreign_names(project):
        logging.warning("%s", warning)
    gathered = gather(
        [Source.open(project, path) for path in sweeps_of(project, sweep)],
        with_needs=with_needs,
        drift=drift,
        at_best=metric,
        at_best_direction=direction,
        progress=show_progress if progress else lambda total: lambda: None,
    )
    return with_types(shape.apply(gathered).table)


def gather(
    sources: Sequence[Source],
    *,
    with_needs: bool = False,
    drift: bool = False,
    at_best: str | None = None,
    at_best_direction: Direction | None = None,
    progress: Callable[[int], Callable[[], None]] = lambda total: lambda: None,
) -> Gathered:
    """Gather several sweeps into one table; an experiment of two of them has one row.

    Args:
        sources: the sweeps, at least one.
        with_needs: also what came out of what each experiment needs.
        drift: also what would be composed otherwise today.
        at_best: metric at whose best value the others are taken.
        at_best_direction: which way that is better; default: as its project declares it.
        progress: given how many experiments will be read, returns what is called after each.

    Raises:
        DirectionError: nobody knows which way `at_best` is better.
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
    found = frame_of(parts, [source.manifest.label for source in sources])
    folders = found["exp_path"].tolist()
    projects = list(dict.fromkeys(source.project for source in sources))
    configs = Configs([(source.manifest, source.project) for source in sources])
    return Gathered(
        found,
        lambda: configs.flat(folders),
        lambda fields: configs.replicate_keys(folders, fields),
        sources[0].project.settings.replicate,
        directions(sources[0].project),
        lambda places, fields: configs.differences([folders[place] for place in places], fields),
        lambda digests: all(same_packages(project, digests) for project in projects),
    )


def directions(project: Project) -> Directions:
    """Return which way metrics are better in a project."""
    return Directions(project.settings.minimize, project.settings.maximize)


def title_of(sources: Sequence[Source]) -> str:
    """Return the name of a table of several sweeps, which its files have too."""
    return "+".join(dict.fromkeys(s.manifest.label for s in sources))[-_MAX_TITLE:]


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
