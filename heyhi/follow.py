"""Owns what people watch while experiments go on: a sweep's live counts, and the log of one experiment.

How experiments are, the survey knows; nothing is changed here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from heyhi.experiment import ExperimentDir
from heyhi.launch import find_controllers
from heyhi.lookup import find_job
from heyhi.project import Project
from heyhi.status import Status
from heyhi.survey import Row, Survey

if TYPE_CHECKING:
    from rich.table import Table

DEFAULT_SECONDS = 5.0
_LOOK_SECONDS = 0.5  # between two looks at a log
_ASK_SECONDS = 3.0  # between two looks at an experiment that may ask Slurm
# A dead experiment may be submitted again by its controller: it is over when it has been dead for so long.
_GRACE_SECONDS = 15.0
# Some are left, nothing waits or runs, and no controller is there: nobody will start them.
_IDLE_SECONDS = 60.0
_OVER = (Status.DONE, Status.DEAD, Status.BLOCKED)
_CHUNK = 1 << 16
_MARGIN = 5  # lines of a terminal that are not for rows


# --- many experiments ---------------------------------------------------------------------------------------------


def watch(project: Project, look: Callable[[], Survey], seconds: float = DEFAULT_SECONDS) -> int:
    """Show how experiments are, again and again, until all are over: a live table, or lines where nobody looks.

    Args:
        project: whose experiments they are.
        look: looks at them.
        seconds: between two looks.

    Returns:
        exit code: 1 where some are dead, or where nobody is left who would start them.
    """
    end = _End(project)
    if not sys.stdout.isatty():
        told: dict[str, str] = {}
        while True:
            survey = look()
            _print_news(survey, told)
            if end.is_over(survey):
                return end.exit_code(survey)
            time.sleep(min(seconds, _ASK_SECONDS) if end.is_near else seconds)
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        while True:
            survey = look()
            live.update(_table(survey, max(3, live.console.size.height - _MARGIN)), refresh=True)
            if end.is_over(survey):
                break
            time.sleep(min(seconds, _ASK_SECONDS) if end.is_near else seconds)
    return end.exit_code(survey)


class _End:
    """Tell when nothing is to come any more."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._since: float | None = None  # all were over
        self._idle_since: float | None = None  # nobody was at work
        self._is_idle = False

    @property
    def is_near(self) -> bool:
        """Whether all were over at the last look."""
        return self._since is not None

    def is_over(self, survey: Survey) -> bool:
        """Tell whether all are over, and stay so: a controller may start those that are dead again."""
        now = time.monotonic()
        left = {status for status, _ in survey.others.values()}.difference(_OVER)
        if left:
            self._since = None
            idle = left == {Status.NOT_STARTED} and not find_controllers(self._project)
            self._idle_since = (self._idle_since or now) if idle else None
            self._is_idle = self._idle_since is not None and now - self._idle_since >= _IDLE_SECONDS
            return self._is_idle
        self._since = now if self._since is None else self._since
        return not survey.others or now - self._since >= _GRACE_SECONDS or not find_controllers(self._project)

    def exit_code(self, survey: Survey) -> int:
        """Return the exit code of the watch; where it ended early, say why."""
        if self._is_idle:
            print(
                "nothing waits or runs, and no controller of `heyhi launch` is there: what is left isn't started by"
                " itself (the log of its last controller, if there was one, says more)",
                flush=True,
            )
        return 1 if self._is_idle or survey.has_dead else 0


def _print_news(survey: Survey, told: dict[str, str]) -> None:
    """Print the counts where they have changed, and what has ended badly since."""
    counts = _counts(survey)
    if told.get("") != counts:
        told[""] = counts
        print(f"{time.strftime('%H:%M:%S')}  {counts}", flush=True)
    for row in survey.not_done:
        if row.status is Status.DEAD and told.get(row.exp_path) != row.text:
            told[row.exp_path] = row.text
            print(row.text, flush=True)


def _counts(survey: Survey) -> str:
    return "  ".join(f"{status.value} {n}" for status, n in survey.counts.items()) or "no experiments"


_STYLES = {Status.DEAD: "red", Status.BLOCKED: "magenta", Status.RUNNING: "green", Status.PENDING: "yellow"}


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


# --- one job ------------------------------------------------------------------------------------------------------


class JobView(NamedTuple):
    """Hold what there is to say of a job.

    Attributes:
        head: what Slurm says of it.
        job_id: its id.
        rows: its experiments.
        logs: exp path -> log; empty where there is none yet.
    """

    head: str
    job_id: str
    rows: list[Row]
    logs: dict[str, str]

    @property
    def has_dead(self) -> bool:
        """Whether one of its experiments is dead."""
        return any(row.status is Status.DEAD for row in self.rows)

    @property
    def lines(self) -> list[str]:
        """The same for a terminal."""
        lines = [self.head]
        for row in self.rows:
            later = f" (has job {row.job_id} by now)" if row.job_id not in ("", self.job_id) else ""
            lines += [f"{row.text}{later}", f"{'':<11} log: {self.logs[row.exp_path] or 'none yet'}"]
        return lines


def look_at_job(project: Project, job_id: str) -> JobView:
    """Find the experiments of a job of Slurm's, how they are, and their logs.

    Raises:
        HeyhiError: no experiment has it.
    """
    job, paths = find_job(project, job_id)
    head = f"job {job_id}: Slurm doesn't know it any more"
    if job is not None:
        head = f"job {job_id}: {job.state}{f' on {job.nodes}' if job.nodes else ''}{f': {job.why}' if job.why else ''}"
    logs = {}
    for path in paths:
        folder = ExperimentDir(Path(path))
        there = [str(log) for log in (folder.log_path, folder.launch_log_path) if log.is_file()]
        logs[path] = there[0] if there else ""
    return JobView(head, job_id, Survey.of_folders(project, paths).rows, logs)


# --- one log ------------------------------------------------------------------------------------------------------


def show_log(project: Project, folder: ExperimentDir, *, lines: int | None = None, follow: bool = False) -> int:
    """Print an experiment's log: log.txt, or launch.log where there is none yet.

    Args:
        project: whose experiment it is.
        folder: of the experiment.
        lines: only so many of the last ones.
        follow: print what is added, also after the file was begun anew, until the experiment is over.

    Returns:
        exit code: with `follow` 0 where the experiment is done, else 1; without it 0.
    """
    if follow:
        return _Follower(project, folder).run(lines)
    path = folder.log_path
    if not path.is_file():
        row = Survey.of_folders(project, [str(folder.path)]).rows[0]
        if not folder.launch_log_path.is_file():
            _tell(f"no log yet: {row.text}")
            return 0
        path = folder.launch_log_path
        _tell(f"no {folder.log_path.name} yet ({row.status.value}); this is {path}")
    with path.open("rb") as file:
        file.seek(_start_of_last(file.fileno(), lines))
        while chunk := file.read(_CHUNK):
            _write(chunk)
    return 0


class _Follower:
    """Print a log as it grows, until its experiment is over."""

    def __init__(self, project: Project, folder: ExperimentDir) -> None:
        self._project = project
        self._folder = folder
        self._end = _End(project)
        self._file: int | None = None
        self._path = folder.log_path
        self._said = ""

    def run(self, lines: int | None) -> int:
        """Follow; return 0 where it is done, 1 where it is dead or blocked."""
        asked = 0.0
        first = True
        while True:
            # Before its log is read: what it wrote until then is there.
            is_done = self._folder.result_path.exists()
            is_over = is_done
            if not is_done and time.monotonic() - asked >= _ASK_SECONDS:
                survey = Survey.of_folders(self._project, [str(self._folder.path)])
                asked = time.monotonic()
                is_over = self._end.is_over(survey)
                is_done = not survey.others
                self._say(survey.rows[0], is_over)
            self._read(lines if first else None, is_over)
            first = first and self._file is None
            if is_over:
                if self._file is None:
                    _tell("it left no log")
                return 0 if is_done else 1
            time.sleep(_LOOK_SECONDS)

    def _say(self, row: Row, is_over: bool) -> None:
        """Say what is waited for while there is no log, and why it is dead."""
        waits = row.status is not Status.RUNNING and row.status is not Status.DONE
        if (waits or is_over) and row.text != self._said:
            self._said = row.text
            _tell(row.text)

    def _read(self, lines: int | None, is_over: bool) -> None:
        self._reopen(lines, is_over)
        while self._file is not None:
            chunk = os.read(self._file, _CHUNK)
            if not chunk:
                return
            _write(chunk)

    def _reopen(self, lines: int | None, is_over: bool) -> None:
        """Open the log when it comes, and again when there is another file of its name, or it was emptied."""
        path = self._folder.log_path
        if self._file is None and is_over and not path.exists() and self._folder.launch_log_path.exists():
            path = self._folder.launch_log_path
            _tell(f"no {self._folder.log_path.name}; this is {path}")
        try:
            now = path.stat()
        except OSError:
            return
        if self._file is not None:
            held = os.fstat(self._file)
            if (held.st_dev, held.st_ino) == (now.st_dev, now.st_ino):
                if os.lseek(self._file, 0, os.SEEK_CUR) > held.st_size:
                    os.lseek(self._file, 0, os.SEEK_SET)
                return
            while chunk := os.read(self._file, _CHUNK):  # what the old one still got
                _write(chunk)
            os.close(self._file)
            self._file = None
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        os.lseek(self._file, _start_of_last(self._file, lines), os.SEEK_SET)


def _start_of_last(file: int, lines: int | None) -> int:
    """Return where the last lines of a file begin."""
    if lines is None:
        return 0
    size = os.fstat(file).st_size
    if lines == 0:
        return size
    position, wanted = size, lines + 1
    while position > 0:
        start = max(0, position - _CHUNK)
        chunk = os.pread(file, position - start, start)
        if position == size and not chunk.endswith(b"\n"):
            wanted -= 1  # the last line has no end yet
        at = len(chunk)
        while wanted > 0 and (at := chunk.rfind(b"\n", 0, at)) >= 0:
            wanted -= 1
            if wanted == 0:
                return start + at + 1
        position = start
    return 0


def _write(data: bytes) -> None:
    # As it is: a piece may end inside a character.
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _tell(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)
