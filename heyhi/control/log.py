"""`heyhi logs`: the log of an experiment, printed and followed."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

from heyhi.control.attendance import NO_COMMANDS, Attendance, Commands, said_of_experiment
from heyhi.control.survey import Survey
from heyhi.control.watch import ASK_SECONDS, LOOK_SECONDS, End
from heyhi.errors import ResultError, UnknownError
from heyhi.experiment.death import death_of
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.records import REFUSED
from heyhi.files import is_there
from heyhi.project import Project

_CHUNK = 1 << 16


def show_log(
    project: Project,
    folder: ExperimentDir,
    *,
    lines: int | None = None,
    follow: bool = False,
    commands: Commands = NO_COMMANDS,
) -> int:
    """Print an experiment's log: log.txt, or launch.log where there is none yet; else why there is none.

    Args:
        project: whose experiment it is.
        folder: of the experiment.
        lines: only so many of the last ones.
        follow: print what is added, also after the file was begun anew, until the experiment is over.
        commands: that start it where nobody runs it.

    Returns:
        exit code: with `follow` 0 where the experiment is done, else 1; without it 0.

    Raises:
        ResultError: the log is there and can't be read.
    """
    if follow:
        return _Follower(project, folder, commands).run(lines)
    path = folder.log_path
    if not is_there(path):
        survey = Survey.of_folders(project, [str(folder.path)])
        row = survey.rows[0]
        if not _has_text(folder.launch_log_path):
            _tell(f"no log yet: {row.text}")
            _tell_more(project, survey, Attendance.of(survey), commands)
            return 0
        path = folder.launch_log_path
        _tell(f"no {folder.log_path.name} yet ({row.status.value}); this is {path}")
    with _opened(path) as file:
        file.seek(_start_of_last(file.fileno(), lines))
        while chunk := file.read(_CHUNK):
            _write(chunk)
    _tell_refusal(folder)
    return 0


def _tell_refusal(folder: ExperimentDir) -> None:
    """Say that Slurm has refused another job since its log was written."""
    with contextlib.suppress(UnknownError):  # which its status says
        history = folder.history()
        if (end := history.last_end) is not None and end.reason == REFUSED and not history.unstarted_job:
            _tell(f"since then: {death_of(history).text}")


def _has_text(path: Path) -> bool:
    """Return whether a log has something to say: Snakemake leaves an empty one of a job that it couldn't submit."""
    return is_there(path) and path.stat().st_size > 0


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
    """Print a log as it grows, until its experiment is over."""

    def __init__(self, project: Project, folder: ExperimentDir, commands: Commands) -> None:
        self._project = project
        self._folder = folder
        self._commands = commands
        self._end = End()
        self._file: int | None = None
        self._path = folder.log_path
        self._said = ""
        self._unread = ""  # why the log can't be read

    def run(self, lines: int | None) -> int:
        """Follow; return 0 where it is done, 1 where it is dead or blocked."""
        asked = 0.0
        first = True
        while True:
            # Before its log is read: what it wrote until then is there.
            is_done = os.access(self._folder.result_path, os.F_OK)  # where nobody can tell, its status says so
            is_over = is_done
            if not is_done and time.monotonic() - asked >= ASK_SECONDS:
                survey = Survey.of_folders(self._project, [str(self._folder.path)])
                asked = time.monotonic()
                attendance = Attendance.of(survey)
                is_over = self._end.is_over(survey, attendance)
                is_done = not survey.others
                self._say(survey, attendance, is_over)
            self._read(lines if first else None, is_over)
            first = first and self._file is None
            if is_over:
                if self._file is None and not self._unread:
                    _tell("it left no log")
                return 0 if is_done else 1
            time.sleep(LOOK_SECONDS)

    def _say(self, survey: Survey, attendance: Attendance, is_over: bool) -> None:
        """Say what is waited for while there is no log, who would start it, and why it is dead."""
        row = survey.rows[0]
        waits = row.status is not Status.RUNNING and row.status is not Status.DONE
        if (waits or is_over) and row.text != self._said:
            self._said = row.text
            _tell(row.text)
            if self._file is None:
                _tell_more(self._project, survey, attendance, self._commands)

    def _read(self, lines: int | None, is_over: bool) -> None:
        self._reopen(lines, is_over)
        while self._file is not None:
            chunk = os.read(self._file, _CHUNK)
            if not chunk:
                return
            _write(chunk)

    def _tell_unread(self, path: Path, error: Exception) -> None:
        text = f"{path}: can't be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)
        if text != self._unread:
            self._unread = text
            _tell(text)

    def _reopen(self, lines: int | None, is_over: bool) -> None:
        """Open the log when it comes, and again when there is another file of its name, or it was emptied."""
        path = self._folder.log_path
        launch_log = self._folder.launch_log_path
        try:
            if self._file is None and is_over and not is_there(path) and _has_text(launch_log):
                path = launch_log
                _tell(f"no {self._folder.log_path.name}; this is {path}")
            if not is_there(path):
                return
            now = path.stat()
        except (UnknownError, OSError) as error:
            self._tell_unread(path, error)
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
        except OSError as error:
            self._tell_unread(path, error)
            return
        os.lseek(self._file, _start_of_last(self._file, lines), os.SEEK_SET)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ResultError(f"{path}: can't be read: {error.strerror or error}") from None


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
