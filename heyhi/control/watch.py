"""`heyhi status --watch`: a live view of many experiments, until nothing is to come any more."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from heyhi.control.controller import find_controllers
from heyhi.control.survey import Survey
from heyhi.errors import UnknownError
from heyhi.experiment.names import Status
from heyhi.project import Project

if TYPE_CHECKING:
    from rich.table import Table


DEFAULT_SECONDS = 5.0
LOOK_SECONDS = 0.5  # between two looks at a log
ASK_SECONDS = 3.0  # between two looks at an experiment that may ask Slurm
# A dead experiment may be submitted again by its controller: it is over when it has been dead for so long.
_GRACE_SECONDS = 15.0
# Some are left, nothing waits or runs, and no controller is there: nobody will start them.
_IDLE_SECONDS = 60.0
_MARGIN = 5  # lines of a terminal that are not for rows


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
    if not sys.stdout.isatty():
        told: dict[str, str] = {}
        while True:
            survey = look()
            _print_news(survey, told)
            if end.is_over(survey):
                return end.exit_code(survey)
            time.sleep(min(seconds, ASK_SECONDS) if end.is_near else seconds)
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        while True:
            survey = look()
            live.update(_table(survey, max(3, live.console.size.height - _MARGIN)), refresh=True)
            if end.is_over(survey):
                break
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


def _print_news(survey: Survey, told: dict[str, str]) -> None:
    """Print the counts where they have changed, and what has ended badly since."""
    counts = _counts(survey)
    if told.get("") != counts:
        told[""] = counts
        print(f"{time.strftime('%H:%M:%S')}  {counts}", flush=True)
    for row in survey.not_done:
        if row.status.is_trouble and told.get(row.exp_path) != row.text:
            told[row.exp_path] = row.text
            print(row.text, flush=True)


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


def _table(survey: Survey, height: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    rows = survey.not_done
    table = Table(box=None, pad_edge=False, title=f"{time.strftime('%H:%M:%S')}  {_counts(survey)}")
    table.title_justify = "left"
    for name in ("status", "job", "experiment", "reason"):
        table.add_column(name, overflow="ellipsis", no_wrap=True, ratio=1 if name == "reason" else None)
    for row in rows[:height]:
        # As text: an exp id with brackets is no markup.
        cells = (row.job_id, row.exp_id, row.reason)
        table.add_row(Text(row.status.value, style=_STYLES.get(row.status, "")), *map(Text, cells))
    if len(rows) > height:
        table.add_row("", "", Text(f"… and {len(rows) - height} more"), "")
    return table
