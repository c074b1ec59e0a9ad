"""`heyhi status --watch`: a live view of many experiments, until nothing is to come any more."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from heyhi.control.attendance import NO_COMMANDS, Attendance, Commands
from heyhi.control.progress import progress_of, seconds_of
from heyhi.control.survey import Row, Survey
from heyhi.errors import error_text
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.text import cut_alike, duration

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


DEFAULT_SECONDS = 5.0
LOOK_SECONDS = 0.5  # between two looks at a log
ASK_SECONDS = 3.0  # between two looks at an experiment that may ask Slurm
# A dead experiment may be submitted again by its controller: it is over when it has been dead for so long.
_GRACE_SECONDS = 15.0
# Some are left, nothing waits or runs, and no controller is there: nobody will start them, unless one just begins.
_IDLE_SECONDS = 30.0
_MARGIN = 5  # lines of a terminal that are not for rows
_LEAST_NAME, _LEAST_REASON = 16, 20  # characters of these that are shown on a narrow terminal
_GAP = 2  # between two columns


def watch(look: Callable[[], Survey], seconds: float = DEFAULT_SECONDS, commands: Commands = NO_COMMANDS) -> int:
    """Show how experiments are, again and again, until nothing is to come: a live table, or lines where nobody looks.

    Args:
        look: looks at them.
        seconds: between two looks.
        commands: that start those which nobody runs.

    Returns:
        exit code: 1 where something is neither done nor pruned.
    """
    end = End()
    with _Screen() if sys.stdout.isatty() else _Lines() as view:
        while True:
            try:
                survey = look()
                attendance = Attendance.of(survey)
                # As lines, only what has to be done: who runs what changes all the time.
                is_told = view.is_live or attendance.alone
                view.show(survey, attendance.lines(commands, reasons=survey.reasons) if is_told else [])
                if end.is_over(survey, attendance):
                    break
            except BrokenPipeError:
                raise  # nobody looks any more
            except Exception as error:  # whatever it is: the next look may find it mended
                view.tell(f"error: {error_text(error)}")
            time.sleep(min(seconds, ASK_SECONDS) if end.is_near else seconds)
    if end.is_idle:
        print("nothing waits or runs: what is left isn't started by itself", flush=True)
    return exit_code(survey)


def exit_code(survey: Survey) -> int:
    """Return the exit code of who has waited for experiments: 0 where all are done, or pruned, which was meant."""
    return int(any(status is not Status.PRUNED for status, _ in survey.others.values()))


class End:
    """Whether nothing is to come any more, as seen in look after look.

    Attributes:
        is_idle: whether some were never started, and nobody would: that was the last look.
    """

    def __init__(self) -> None:
        self._since: float | None = None  # all were over
        self._idle_since: float | None = None  # nobody was at work
        self.is_idle = False

    @property
    def is_near(self) -> bool:
        """Whether nothing waited or ran at the last look, and nobody was there who would start something."""
        return self._since is not None or self._idle_since is not None

    def is_over(self, survey: Survey, attendance: Attendance) -> bool:
        """Return whether all are over, and stay so: a controller may start those that are dead again.

        Args:
            survey: has looked at them now.
            attendance: who runs them.
        """
        now = time.monotonic()
        left = {status for status, _ in survey.others.values() if not status.is_over}
        if left:
            self._since = None
            is_idle = left == {Status.NOT_STARTED} and attendance.starts_none(survey)
            self._idle_since = (now if self._idle_since is None else self._idle_since) if is_idle else None
            wait = _IDLE_SECONDS if attendance.ended is None else _GRACE_SECONDS
            self.is_idle = self._idle_since is not None and now - self._idle_since >= wait
            return self.is_idle
        self._idle_since, self.is_idle = None, False
        self._since = now if self._since is None else self._since
        return not survey.others or now - self._since >= _GRACE_SECONDS or not attendance.may_start


class _Lines:
    """What is new, as lines: the counts where they have changed, and what has ended badly since."""

    is_live = False

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._said = ""
        self._error = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, survey: Survey, attendance: Sequence[str]) -> None:
        self._error = ""
        told, counts = self._told, _counts(survey)
        if told.get("") != counts:
            told[""] = counts
            print(f"{time.strftime('%H:%M:%S')}  {counts}", flush=True)
        for row in survey.not_done:
            if row.status.is_trouble and told.get(row.exp_path) != row.text:
                told[row.exp_path] = row.text
                print(row.text, flush=True)
        said = "\n".join(attendance)
        if self._said != said:
            self._said = said
            print(said, end="\n" * bool(said), flush=True)

    def tell(self, error: str) -> None:
        if error != self._error:  # once, as long as it lasts
            self._error = error
            print(error, file=sys.stderr, flush=True)


class _Screen:
    """A live table on a terminal."""

    is_live = True

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

    def show(self, survey: Survey, attendance: Sequence[str]) -> None:
        width, height = self._live.console.size
        self._table = _table(survey, attendance, width, max(3, height - _MARGIN - len(attendance)))
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


def _table(survey: Survey, attendance: Sequence[str], width: int, height: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    rows = survey.not_done
    columns = _columns(rows[:height], width)
    table = Table(box=None, pad_edge=False, title=f"{time.strftime('%H:%M:%S')}  {_counts(survey)}")
    table.title_justify = table.caption_justify = "left"
    below = [f"… and {len(rows) - height} more"] if len(rows) > height else []
    table.caption = Text("\n".join([*below, *attendance])) if below or attendance else None
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
    seconds = [seconds_of(row.exp_path, row.status) for row in rows]
    columns = {
        "status": [row.status.value for row in rows],
        "job": [row.job_id for row in rows],
        "for": [duration(one) if one is not None else "" for one in seconds],
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
