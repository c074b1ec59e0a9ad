"""`heyhi logs`: the log of an experiment, printed and followed; what `--error` shows of it is left to `failure`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from heyhi.control.attendance import NO_COMMANDS, Attendance, Commands, said_of_experiment
from heyhi.control.log_files import LogPart, check_rank, has_text, launch_log_of, part_of, ranks_of
from heyhi.control.shown_log import Shown
from heyhi.control.survey import Survey
from heyhi.control.watch import ASK_SECONDS, LOOK_SECONDS, End
from heyhi.errors import UnknownError
from heyhi.experiment.death import death_of
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.records import REFUSED
from heyhi.files import is_there, open_regular
from heyhi.project import Project

_CHUNK = 1 << 16
_MOST_NAMED = 4  # logs of ranks that are named one by one


def show_log(
    project: Project,
    folder: ExperimentDir,
    *,
    lines: int | None = None,
    follow: bool = False,
    rank: int | None = None,
    all_ranks: bool = False,
    attempt: int | None = None,
    commands: Commands = NO_COMMANDS,
) -> int:
    """Print an experiment's log: log.txt, or launch.log where there is none yet; else why there is none.

    Args:
        project: whose experiment it is.
        folder: of the experiment.
        lines: only so many of the last ones.
        follow: print what is added, also after the file was begun anew, until the experiment is over.
        rank: whose log; default: the first one's, and a line says which others there are.
        all_ranks: the logs of all ranks, each line with its rank.
        attempt: only what this one has written.
        commands: that start it where nobody runs it.

    Returns:
        exit code: with `follow` 0 where the experiment is done, else 1; without it 0.

    Raises:
        HeyhiError: there is no such rank or attempt.
        ResultError: the log is there and can't be read.
    """
    if follow:
        return _Follower(project, folder, commands, rank or 0, all_ranks=all_ranks).run(lines)
    if not is_there(folder.log_path) and not rank and not ranks_of(folder) and attempt is None:
        return _show_launch_log(project, folder, lines, commands)
    if rank is not None:
        check_rank(folder, rank)
    history = folder.history() if attempt is not None else None
    for one in ranks_of(folder) if all_ranks else [rank or 0]:
        part = part_of(folder, history, one, attempt) if history is not None else LogPart(folder.log_path_of(one))
        _print_part(part, lines, f"[rank {one}] " if all_ranks else "")
    _tell_refusal(folder)
    if rank is None and not all_ranks:
        _tell_others(folder)
    return 0


def _show_launch_log(project: Project, folder: ExperimentDir, lines: int | None, commands: Commands) -> int:
    survey = Survey.of_folders(project, [str(folder.path)])
    row = survey.rows[0]
    path = launch_log_of(folder)
    if not has_text(path):
        _tell(f"no log yet: {row.text}")
        _tell_more(project, survey, Attendance.of(survey), commands)
        return 0
    _tell(f"no {folder.log_path.name} yet ({row.status.value}); this is {path}")
    _print_part(LogPart(path), lines)
    _tell_refusal(folder)
    return 0


def _print_part(part: LogPart, lines: int | None, label: str = "") -> None:
    """Print what there is now: a task may write faster than a terminal shows it."""
    file, start, end = part.open()
    try:
        shown = Shown(label)
        at = max(start, start_of_last(file, lines, end))
        while at < end and (chunk := os.pread(file, min(_CHUNK, end - at), at)):
            shown.write(chunk)
            at += len(chunk)
        shown.end()
    finally:
        os.close(file)


def _tell_others(folder: ExperimentDir) -> None:
    """Say which logs of other ranks there are."""
    others = [rank for rank in ranks_of(folder) if rank]
    if others:
        names = ", ".join(folder.log_path_of(rank).name for rank in others[:_MOST_NAMED])
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        _tell(f"this is rank 0's; other ranks have {names}{more}: --rank N, or --rank all")


def _tell_refusal(folder: ExperimentDir) -> None:
    """Say that Slurm has refused another job since its log was written."""
    with contextlib.suppress(UnknownError):  # which its status says
        history = folder.history()
        if (end := history.last_end) is not None and end.reason == REFUSED and not history.unstarted_job:
            _tell(f"since then: {death_of(history).text}")


def _tell_more(project: Project, survey: Survey, attendance: Attendance, commands: Commands) -> None:
    """Say of an experiment without a log what its last controller said of it, and who starts it."""
    row = survey.rows[0]
    said = list(said_of_experiment(project, row.exp_path, row.exp_id))
    for log, line in said:
        if line != row.reason:
            _tell(f"{log} says: {line}")
    for line in attendance.lines(commands, reasons={row.reason, *(line for _, line in said)}):
        _tell(line)


class _Follower:
    """Print a log as it grows, until its experiment is over; or the logs of all ranks."""

    def __init__(
        self, project: Project, folder: ExperimentDir, commands: Commands, rank: int, *, all_ranks: bool
    ) -> None:
        self._project = project
        self._folder = folder
        self._commands = commands
        self._end = End()
        self._all_ranks = all_ranks
        self._logs = {} if all_ranks else {rank: _Growing(folder.log_path_of(rank))}
        self._said = ""

    def run(self, lines: int | None) -> int:
        """Follow; return 0 where it is done, 1 where it is dead or blocked."""
        asked = 0.0
        while True:
            # Before its log is read: what it wrote until then is there.
            is_done = os.access(self._folder.result_path, os.F_OK)  # where nobody can tell, its status says so
            is_over, had_begun, survey = is_done, self._has_begun, None
            if is_done or time.monotonic() - asked >= ASK_SECONDS:
                survey = Survey.of_folders(self._project, [str(self._folder.path)])
                asked = time.monotonic()
                attendance = Attendance.of(survey)
                is_over = is_done or self._end.is_over(survey, attendance)
                is_done = is_done or not survey.others
            self._read(lines, is_over)
            if survey is not None:
                self._say(survey, attendance, had_begun)  # behind the last line of its log: there it is looked for
            if is_over:
                if not any(log.is_known for log in self._logs.values()):
                    _tell("it left no log")
                elif not self._all_ranks and 0 in self._logs:
                    _tell_others(self._folder)
                return 0 if is_done else 1
            time.sleep(LOOK_SECONDS)

    @property
    def _has_begun(self) -> bool:
        return any(log.is_open for log in self._logs.values())

    def _say(self, survey: Survey, attendance: Attendance, had_begun: bool) -> None:
        """Say what is waited for while there is no log, who would start it, and how it has ended."""
        row = survey.rows[0]
        if row.status is not Status.RUNNING and row.text != self._said:
            self._said = row.text
            _tell(row.text)
            if row.status is not Status.DONE and not had_begun:
                _tell_more(self._project, survey, attendance, self._commands)

    def _read(self, lines: int | None, is_over: bool) -> None:
        if self._all_ranks:
            for rank in ranks_of(self._folder):
                if rank not in self._logs:
                    self._logs[rank] = _Growing(self._folder.log_path_of(rank), f"[rank {rank}] ")
        for log in self._logs.values():
            log.read(lines, is_over)
        if is_over and not self._has_begun and (rest := self._launch_log()) is not None:
            rest.read(lines, is_over)

    def _launch_log(self) -> _Growing | None:
        path = self._folder.launch_log_path
        if any(log.is_known for log in self._logs.values()) or not has_text(path):
            return None
        _tell(f"no {self._folder.log_path.name}; this is {path}")
        self._logs = {0: _Growing(path)}
        return self._logs[0]


class _Growing:
    """A log that is read on and on.

    Args:
        path: of it; it may come later, and be begun anew.
        label: stands before each line.
    """

    def __init__(self, path: Path, label: str = "") -> None:
        self._path = path
        self._shown = Shown(label)
        self._file: int | None = None
        self._was_open = False
        self._unread = ""  # why it can't be read

    @property
    def is_open(self) -> bool:
        """Whether there is something to read."""
        return self._file is not None

    @property
    def is_known(self) -> bool:
        """Whether it is read, or why it isn't was said."""
        return self.is_open or bool(self._unread)

    def read(self, lines: int | None, is_over: bool) -> None:
        """Print what is new; at first only the last lines."""
        self._reopen(None if self._was_open else lines)
        self._was_open = self._was_open or self._file is not None
        if self._file is not None:
            self._read_on(self._file)
        if is_over:
            self._shown.end()

    def _read_on(self, file: int) -> None:
        while chunk := os.read(file, _CHUNK):
            self._shown.write(chunk)

    def _tell_unread(self, error: Exception) -> None:
        text = f"{self._path}: can't be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)
        if text != self._unread:
            self._unread = text
            _tell(text)

    def _reopen(self, lines: int | None) -> None:
        """Open the log when it comes, and again when there is another file of its name, or it was emptied."""
        try:
            if not is_there(self._path):
                return
            now = self._path.stat()
        except (UnknownError, OSError) as error:
            self._tell_unread(error)
            return
        if self._file is not None:
            held = os.fstat(self._file)
            if os.path.samestat(held, now):
                if os.lseek(self._file, 0, os.SEEK_CUR) > held.st_size:
                    os.lseek(self._file, 0, os.SEEK_SET)
                return
            self._read_on(self._file)  # what the old one still got
            os.close(self._file)
            self._file = None
        try:
            self._file = open_regular(self._path)
        except FileNotFoundError:
            return
        except OSError as error:
            self._tell_unread(error)
            return
        os.lseek(self._file, start_of_last(self._file, lines), os.SEEK_SET)


def start_of_last(file: int, lines: int | None, end: int | None = None) -> int:
    """Return where the last lines of a file begin.

    Args:
        file: its descriptor.
        lines: how many; None: all.
        end: what counts as its end.
    """
    if lines is None:
        return 0
    size = os.fstat(file).st_size if end is None else end
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


def _tell(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)
