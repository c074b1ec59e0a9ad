"""`heyhi status --watch`: a live view of many experiments, until nothing is to come any more."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from heyhi.console.screen import is_terminal
from heyhi.control.attendance import NO_COMMANDS, Attendance, Commands
from heyhi.control.listing import live_lines
from heyhi.control.search_lines import search_lines
from heyhi.control.survey import Survey
from heyhi.errors import error_text
from heyhi.experiment.names import Status
from heyhi.streams import LostOutput
from heyhi.text import readable, take_any_text, wrapped

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text


DEFAULT_SECONDS = 5.0
LOOK_SECONDS = 0.5  # between two looks at a log
ASK_SECONDS = 3.0  # between two looks at an experiment that may ask Slurm
# A dead experiment may be submitted again by its controller: it is over when it has been dead for so long.
_GRACE_SECONDS = 15.0
# Some are left, nothing waits or runs, and no controller is there: nobody will start them, unless one just begins.
_IDLE_SECONDS = 30.0
_MARGIN = 3  # lines of a terminal that are left free: of what is left out, an error, the cursor's
_LEAST_ROWS = 3


def watch(look: Callable[[], Survey], seconds: float = DEFAULT_SECONDS, commands: Commands = NO_COMMANDS) -> int:
    """Show how experiments are, again and again, until nothing is to come: a live list, or lines where nobody looks.

    Args:
        look: looks at them.
        seconds: between two looks.
        commands: that start those which nobody runs.

    Returns:
        exit code: 1 where something is neither done nor pruned.
    """
    end = End()
    with _Screen() if is_terminal(sys.stdout) else _Lines() as view:
        while True:
            try:
                survey = look()
                attendance = Attendance.of(survey)
                # As lines, only what has to be done or known: who runs what changes all the time.
                is_told = view.is_live or attendance.alone
                view.show(survey, attendance.lines(commands, reasons=survey.reasons) if is_told else attendance.notices)
                if end.is_over(survey, attendance):
                    break
            except (BrokenPipeError, LostOutput):
                raise  # nobody looks any more
            except Exception as error:  # whatever it is: the next look may find it mended
                view.tell(f"error: {error_text(error)}")
            time.sleep(min(seconds, ASK_SECONDS) if end.is_near else seconds)
    if end.is_idle:
        print("nothing waits or runs: what is left isn't started by itself", flush=True)
    return exit_code(survey)


def exit_code(survey: Survey) -> int:
    """Return the exit code of who has waited for experiments: 0 where all are done, or pruned, and none is missing."""
    return int(survey.lacks or any(status is not Status.PRUNED for status, _ in survey.others.values()))


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
        self._is_silent = False
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
        for text in search_lines(survey):
            best, _, _ = text.partition(";")
            name = text.partition(":")[0]
            if "best so far" in best and told.get(name) != best:
                told[name] = best
                print(best, flush=True)
        for row in survey.not_done:
            if row.status.is_trouble and told.get(row.exp_path) != row.text:
                told[row.exp_path] = row.text
                print(row.text, flush=True)
        said = "\n".join(attendance)
        if self._said != said:
            self._said = said
            print(said, end="\n" * bool(said), flush=True)
        if self._is_silent and not survey.silence:
            print("Slurm answers again", flush=True)
        self._is_silent = bool(survey.silence)

    def tell(self, error: str) -> None:
        if error != self._error:  # once, as long as it lasts
            self._error = error
            print(error, file=sys.stderr, flush=True)


class _Screen:
    """What is shown anew, on a terminal."""

    is_live = True

    def __init__(self) -> None:
        from rich.live import Live

        from heyhi.shown_console import ShownConsole

        self._live = Live(console=ShownConsole(), auto_refresh=False)
        self._text: RenderableType = ""

    def __enter__(self) -> Self:
        self._live.start()
        take_any_text()  # by now, what is printed meanwhile goes by way of rich
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, survey: Survey, attendance: Sequence[str]) -> None:
        width, height = self._live.console.size
        self._text = _shown(survey, attendance, width, height)
        self._live.update(self._text, refresh=True)

    def tell(self, error: str) -> None:
        from rich.console import Group
        from rich.text import Text

        self._live.update(Group(Text(readable(error), "red"), self._text), refresh=True)


def _counts(survey: Survey) -> str:
    return "  ".join(f"{status.value} {n}" for status, n in survey.counts.items()) or "no experiments"


_STYLES = {
    Status.DEAD.value: "red",
    Status.UNKNOWN.value: "bright_red",
    Status.BLOCKED.value: "magenta",
    Status.RUNNING.value: "green",
    Status.PENDING.value: "yellow",
    Status.PRUNED.value: "blue",
}


def _shown(survey: Survey, attendance: Sequence[str], width: int, height: int) -> Text:
    """Return what a terminal shows: counts, what isn't done, and who runs it."""
    from rich.text import Text

    below = wrapped(attendance, width)
    head = wrapped([f"{time.strftime('%H:%M:%S')}  {_counts(survey)}", *search_lines(survey)], width)
    rows = live_lines(survey.not_done, width, max(_LEAST_ROWS, height - len(head) - len(below) - _MARGIN))
    # As text: an exp id with brackets is no markup.
    return Text("\n", overflow="fold").join(
        [*(Text(line, "italic") for line in head), *map(_coloured, rows), *map(Text, below)]
    )


def _coloured(line: str) -> Text:
    from rich.text import Text

    text = Text(line)
    word = line.partition(" ")[0]
    if word in _STYLES:
        text.stylize(_STYLES[word], 0, len(word))
    return text
