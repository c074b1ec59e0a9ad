"""The files of a sweep's table, kept fresh while a run of Snakemake goes on: by a process that is started now and then.

The run's own process only looks whether something has changed, in a thread; `python -m heyhi.report` reads and writes.
It is nobody's hurry: it gives way to all else, takes a small share of one core, and ends with the run.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.experiment.names import is_slot, result_of
from heyhi.experiment.slots import shown_folder
from heyhi.extras import missing
from heyhi.report.destination import EXTRA_OF_FORMAT
from heyhi.report.kept_readings import Stamp, look_at
from heyhi.report.write import fixed_files
from heyhi.text import readable

if TYPE_CHECKING:
    from types import FrameType

    from heyhi.project import Project
    from heyhi.sweep.flow import Flow
    from heyhi.sweep.manifest import Manifest

IN_BACKGROUND = "--in-background"
# A table is made at most this often, and takes no more than such a part of one core; where files answer slowly, it is
# made less often still.
_TABLE_SECONDS, _TABLE_SHARE, _TABLE_WAITS = 20.0, 40.0, 2.0
# Likewise the looks whether something has changed: each takes some system calls an experiment.
_LOOK_SECONDS, _LOOK_SHARE, _LOOK_WAITS = 2.0, 100.0, 10.0
_FIRST_SECONDS = 5.0  # a run that is over sooner needs no other table than that of its end
_SHORT_SECONDS = 10.0  # nor does one that is over sooner than that as fast as it goes by then
_END_SECONDS = 1.0  # for a process to end that was told to, before it is killed
# Of what is seen of an experiment: whether it has ended, then the parts of a stamp of result and metrics, and those of
# attempts; what it has used so far is no news.
_OUTCOME, _LOOKED_AT = 7, 9
_NOTHING: Stamp = (False,) + _LOOKED_AT * (0,)
_NICE = 19
_MOST_SAID = 1 << 13
_ORPHAN_SECONDS = 1.0  # between two looks whether who has started this process lives


class Freshness:
    """Keeps the files of the tables that a run was asked for fresh, from its start to its end."""

    def __init__(self) -> None:
        self._root = Path()
        self._watched: list[_Watched] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="heyhi-fresh", daemon=True)
        self._lock = threading.Lock()  # around what is signalled and what is reaped: a pid is used again
        self._process: subprocess.Popen[bytes] | None = None
        self._has_said = False

    def begin(self, flow: Flow) -> None:
        """Begin: for `onstart`. Where no sweep is run whole, or no files are wanted, there is nothing to do."""
        if not flow.is_run or not flow.project.settings.reports:
            return
        self._root = flow.project.root
        self._watched = [_Watched(flow.project, manifest) for manifest in flow.reported]
        if self._watched:
            self._thread.start()

    def end(self) -> None:
        """End, with what is being written: the table of the run's end is newer. For its end, before that is made."""
        self._over.set()
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with self._lock:
                if self._process is not None:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(self._process.pid, sign)
            if self._thread.ident is None:
                return
            self._thread.join(_END_SECONDS)
            if not self._thread.is_alive():
                return

    def _keep(self) -> None:
        pause, start = _FIRST_SECONDS, time.monotonic()
        changed: list[_Watched] = []
        while not self._over.wait(pause):
            began, cpu = time.monotonic(), time.thread_time()
            changed = [one for one in self._watched if one.look() or one in changed]
            pause = _rest(_LOOK_SECONDS, _LOOK_SHARE, _LOOK_WAITS, time.thread_time() - cpu, time.monotonic() - began)
            # Where nothing goes on, or soon nothing will, the end comes, with its table.
            if changed and any(one.is_going_on for one in self._watched) and not self._is_short(began - start):
                began = time.monotonic()
                cpu = sum(self._write(one) for one in changed)
                changed = []
                pause = _rest(_TABLE_SECONDS, _TABLE_SHARE, _TABLE_WAITS, cpu, time.monotonic() - began)

    def _is_short(self, age: float) -> bool:
        """Return whether a run of some age is over soon, if its experiments go on to end as they have so far."""
        ended = sum(one.ended for one in self._watched)
        return age * sum(one.size for one in self._watched) < _SHORT_SECONDS * ended

    def _write(self, watched: _Watched) -> float:
        """Write the files of one table; return for how many seconds that kept a core."""
        command = [sys.executable, "-P", "-m", "heyhi.report", str(watched.manifest), IN_BACKGROUND]
        with self._lock:
            if self._over.is_set():
                return 0.0
            try:
                # A session of its own: what the terminal or `cancel` says to runs is not said to this.
                self._process = process = subprocess.Popen(
                    [*command, *(word for file in watched.files for word in ("--to", str(file)))],
                    cwd=self._root,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                self._say(watched, str(error))
                return 0.0
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
        with process:
            assert process.stderr is not None
            said = b""
            while piece := os.read(process.stderr.fileno(), _MOST_SAID):
                said = (said + piece)[-_MOST_SAID:]
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            with self._lock:
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                self._process = None
        watched.is_written |= process.returncode == 0
        if process.returncode > 0 and not self._over.is_set():
            self._say(watched, said.decode(errors="replace"))
        return used.ru_utime + used.ru_stime

    def _say(self, watched: _Watched, why: str) -> None:
        """Say once that a table isn't kept fresh: it is tried again, and its last one comes at the end."""
        if self._has_said:
            return
        self._has_said = True
        from snakemake.logging import logger  # by which it finds its place beside the bar

        why = (why.strip().splitlines() or ["it was ended"])[-1].removeprefix("error: ")
        logger.warning(f"the table isn't fresh while this goes on: {readable(why)}")


class _Watched:
    """A sweep whose table is kept fresh.

    Args:
        project: whose settings say which files it has.
        manifest: of it.

    Attributes:
        manifest: path of that.
        files: that are written.
        is_written: whether they were, since the run began.
        is_going_on: whether an experiment was without a result at the last look.
        size: how many experiments were without a result when the run began.
        ended: how many of these had one at the last look.
    """

    def __init__(self, project: Project, manifest: Manifest) -> None:
        formats = dict.fromkeys(["csv", *project.settings.reports])
        made = [one for one in formats if one not in EXTRA_OF_FORMAT or not missing(EXTRA_OF_FORMAT[one])]
        self.manifest = manifest.path
        self.files = fixed_files(project, manifest.label, made)
        self.is_written = False
        self.is_going_on = True
        self._folders = [one for one in manifest.own_folders if not os.access(result_of(one), os.F_OK)]
        self.size, self.ended = len(self._folders), 0
        self._shown: dict[str, str] = {}  # exp path -> folder of the experiment, of slots that have chosen one
        self._seen: dict[str, Stamp] = {}  # by exp path

    def look(self) -> bool:
        """Return whether something has changed since the last look; at first, whether a result or metrics have."""
        is_news = False
        left, going_on = [], 0
        for folder in self._folders:
            seen, before = self._look_at(folder), self._seen.get(folder, _NOTHING)
            is_over = bool(seen[0])
            if seen != before:
                self._seen[folder] = seen
                is_news |= self.is_written or seen[:_OUTCOME] != before[:_OUTCOME]
            if seen != before or not is_over:  # a task may write metrics on after its result
                left.append(folder)
            going_on += not is_over
        self._folders = left
        self.is_going_on, self.ended = going_on > 0, self.size - going_on
        return is_news

    def _look_at(self, folder: str) -> Stamp:
        """Return whether an experiment has ended, and what its files are like."""
        if not is_slot(folder):
            look = look_at(folder)
            return (look.is_done, *look.stamp[:_LOOKED_AT])
        shown = self._shown.get(folder) or shown_folder(folder)
        if shown != folder:
            self._shown[folder] = shown
        return (os.access(result_of(folder), os.F_OK), *look_at(shown).stamp[:_LOOKED_AT])


def _rest(least: float, share: float, waits: float, cpu: float, took: float) -> float:
    """Return how long to rest after something, so that it takes its share of a core and of the time, and no more."""
    return max(least, share * cpu, waits * took)


def end_with_parent() -> None:
    """Have this process end when the one does that has started it: which has the other end of standard input."""
    parent = os.getppid()
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_follow, args=(parent,), name="heyhi-parent", daemon=True).start()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)  # what is half-written is removed


def _follow(parent: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        # The end of the pipe may be held by a process that was forked meanwhile.
        while os.getppid() == parent and not select.select([0], [], [], _ORPHAN_SECONDS)[0]:
            pass
    for sign in (signal.SIGTERM, signal.SIGKILL):
        # With what it has started (squeue), where it is of a session of its own, as `Freshness` starts it.
        (os.killpg if os.getpgrp() == os.getpid() else os.kill)(os.getpid(), sign)
        time.sleep(_END_SECONDS)
