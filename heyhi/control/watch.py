"""`heyhi status --watch`: a live view of many experiments, until nothing is to come any more."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from heyhi.control.controller import find_controllers
from heyhi.control.progress import progress_of
from heyhi.control.survey import Row, Survey
from heyhi.errors import UnknownError, error_text
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.project import Project
from heyhi.text import cut_alike

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


DEFAULT_SECONDS = 5.0
LOOK_SECONDS = 0.5  # between two looks at a log
ASK_SECONDS = 3.0  # between two looks at an experiment that may ask Slurm
# A dead experiment may be submitted again by its controller: it is over when it has been dead for so long.
_GRACE_SECONDS = 15.0
# Some are left, nothing waits or runs, and no controller is there: nobody will start them.
_IDLE_SECONDS = 60.0
_MARGIN = 5  # lines of a terminal that are not for rows
_LEAST_NAME, _LEAST_REASON = 16, 20  # characters of these that are shown on a narrow terminal
_GAP = 2  # between two columns


def watch(projects: Sequence[Project], look: Callable[[], Survey], seconds: float = DEFAULT_SECONDS) -> int:
    """Show how experiments are, again and again, until all are over: a live table, or lines where nobody looks.

    Args:
        projects: whose experiments they are.
        look: looks at them.
        seconds: between two looks.

    Returns:
        exit code: 1 where some are dead or unknown, or where nobody is left who would start them.
    """
    end = End(projects)
    with _Screen() if sys.stdout.isatty() else _Lines() as view:
        while True:
            try:
                survey = look()
                view.show(survey)
                if end.is_over(survey):
                    break
            except BrokenPipeError:
                raise  # nobody looks any more
            except Exception as error:  # whatever it is: the next look may find it mended
                view.tell(f"error: {error_text(error)}")
            time.sleep(min(seconds, ASK_SECONDS) if end.is_near else seconds)
    return end.exit_code(survey)


class End:
    """Whether nothing is to come any more, as seen in look after look.

    Args:
        projects: whose experiments are looked at; their controllers may start some again.
    """

    def __init__(self, projects: Sequence[Project]) -> None:
        self._projects = projects
        self._since: float | None = None  # all were over
        self._idle_since: float | None = None  # nobody was at work
        self._is_idle = False

    @property
    def is_near(self) -> bool:
        """Whether all were over at the last look."""
        return self._since is not None

    @property
    def _is_controlled(self) -> bool:
        try:
            return any(find_controllers(project) for project in self._projects)
        except UnknownError:
            return True  # there may be one

    def is_over(self, survey: Survey) -> bool:
        """Return whether all are over, and stay so: a controller may start those that are dead again."""
        now = time.monotonic()
        left = {status for status, _ in survey.others.values() if not status.is_over}
        if left:
            self._since = None
            idle = left == {Status.NOT_STARTED} and not self._is_controlled
            self._idle_since = (self._idle_since or now) if idle else None
            self._is_idle = self._idle_since is not None and now - self._idle_since >= _IDLE_SECONDS
            return self._is_idle
        self._since = now if self._since is None else self._since
        return not survey.others or now - self._since >= _GRACE_SECONDS or not self._is_controlled

    def exit_code(self, survey: Survey) -> int:
        """Return the exit code of the watch; where it ended early, say why."""
        if self._is_idle:
            print(
                "nothing waits or runs, and no controller of `heyhi launch` is there: what is left isn't started by"
                " itself (the log of its last controller, if there was one, says more)",
                flush=True,
            )
        return 1 if self._is_idle or survey.has_trouble else 0


class _Lines:
    """What is new, as lines: the counts where they have changed, and what has ended badly since."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._error = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, survey: Survey) -> None:
        self._error = ""
        told, counts = self._told, _counts(survey)
        if told.get("") != counts:
            told[""] = counts
            print(f"{time.strftime('%H:%M:%S')}  {counts}", flush=True)
        for row in survey.not_done:
            if row.status.is_trouble and told.get(row.exp_path) != row.text:
                told[row.exp_path] = row.text
                print(row.text, flush=True)

    def tell(self, error: str) -> None:
        if error != self._error:  # once, as long as it lasts
            self._error = error
            print(error, file=sys.stderr, flush=True)


class _Screen:
    """A live table on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(), auto_refresh=False)
        self._table: RenderableType = ""

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, survey: Survey) -> None:
        width, height = self._live.console.size
        self._table = _table(survey, width, max(3, height - _MARGIN))
        self._live.update(self._table, refresh=True)

    def tell(self, error: str) -> None:
        from rich.console import Group
        from rich.text import Text

        self._live.update(Group(Text(error, "red", no_wrap=True, overflow="ellipsis"), self._table), refresh=True)


def _counts(survey: Survey) -> str:
    return "  ".join(f"{status.value} {n}" for status, n in survey.counts.items()) or "no experiments"


_STYLES = {
    Status.DEAD: "red",
    Status.UNKNOWN: "bright_red",
    Status.BLOCKED: "magenta",
    Status.RUNNING: "green",
    Status.PENDING: "yellow",
    Status.PRUNED: "blue",
}


def _table(survey: Survey, width: int, height: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    rows = survey.not_done
    columns = _columns(rows[:height], width)
    table = Table(box=None, pad_edge=False, title=f"{time.strftime('%H:%M:%S')}  {_counts(survey)}")
    table.title_justify = table.caption_justify = "left"
    table.caption = f"… and {len(rows) - height} more" if len(rows) > height else None
    for name, column_width in _widths(columns, width).items():
        table.add_column(name, overflow="ellipsis", no_wrap=True, width=column_width)
    for row, *cells in zip(rows, *columns.values(), strict=False):
        # As text: an exp id with brackets is no markup.
        table.add_row(Text(cells[0], style=_STYLES.get(row.status, "")), *map(Text, cells[1:]))
    return table


def _columns(rows: Sequence[Row], width: int) -> dict[str, list[str]]:
    """Return what a terminal of some width shows of experiments: of a reason the beginning, of names what differs."""
    names = [row.exp_id for row in rows]
    progress = [progress_of(ExperimentDir(Path(row.exp_path))) if row.status.is_started else "" for row in rows]
    columns = {
        "status": [row.status.value for row in rows],
        "job": [row.job_id for row in rows],
        "progress": progress,
        "experiment": names,
        "reason": [row.reason for row in rows],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells) or name in ("status", "experiment")}
    if _longest(names) > _room(columns, width):
        columns.pop("job", None)  # a reason has it, too, where it waits or runs
    columns["experiment"] = cut_alike(names, max(_LEAST_NAME, _room(columns, width)))
    return columns


def _room(columns: Mapping[str, Sequence[str]], width: int) -> int:
    """Return how many characters there are for a name."""
    others = {name: max(len(name), _longest(cells)) for name, cells in columns.items() if name != "experiment"}
    if "reason" in others:
        others["reason"] = min(others["reason"], _LEAST_REASON)
    return width - sum(own + _GAP for own in others.values())


def _widths(columns: Mapping[str, Sequence[str]], width: int) -> dict[str, int]:
    """Return how wide each column is: only a reason is cut."""
    widths = {name: max(len(name), _longest(cells)) for name, cells in columns.items()}
    if "reason" in widths:
        others = sum(own + _GAP for name, own in widths.items() if name != "reason")
        widths["reason"] = max(_LEAST_NAME, min(widths["reason"], width - others))
    return widths


def _longest(cells: Sequence[str]) -> int:
    return max(map(len, cells), default=0)
