"""`heyhi logs`: the log of an experiment, printed and followed."""

from __future__ import annotations

import os
import sys
import time

from heyhi.control.survey import Row, Survey
from heyhi.control.watch import ASK_SECONDS, LOOK_SECONDS, End
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.project import Project

_CHUNK = 1 << 16


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
        self._end = End([project])
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
            if not is_done and time.monotonic() - asked >= ASK_SECONDS:
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
            time.sleep(LOOK_SECONDS)

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
