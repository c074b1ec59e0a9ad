"""`heyhi launch` waits until the first of its experiments is handed over, or says why none is.

What is looked at are the records of a few of them: to look at 10,000 again and again would take longer than a launch.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from heyhi.control.controller import Controller
from heyhi.control.job_claim import living_owner
from heyhi.control.last_words import last_words
from heyhi.errors import HeyhiError
from heyhi.experiment.claim import read_last_owner
from heyhi.experiment.death import death_of
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import ATTEMPTS_NAME, CLAIM_NAME, JOB_NAME, result_of
from heyhi.experiment.records import REFUSED
from heyhi.experiment.slots import shown_folder
from heyhi.files import read_end
from heyhi.project import Project
from heyhi.text import TIMES

WAIT_SECONDS = 60.0  # after which who launches isn't kept any longer
QUEUE_SECONDS = 10.0  # that a controller's job may wait in the queue without that being said
_LOOK_SECONDS = 0.2
_ASK_SECONDS = 2.0
_END_SECONDS = 20.0  # that a controller with nothing left may take to end
_FEW = 200  # experiments that are looked at
_TAIL_BYTES = 2000
_TAIL_LINES = 5
_NAMES = (JOB_NAME, ATTEMPTS_NAME, CLAIM_NAME)

_Mark = tuple[tuple[int, int] | None, ...]


class Outcome(NamedTuple):
    """What came of the first moments of a launch.

    Attributes:
        lines: to be said.
        failed: whether none was handed over, and none will be.
    """

    lines: list[str]
    failed: bool = False


class FirstStart:
    """Wait for the first of some experiments; to be made before the controller that starts them.

    Args:
        project: whose they are.
        starting: exp paths of what is to be started, in order.
        words: by which they are named.
    """

    def __init__(self, project: Project, starting: Sequence[str], words: str = "") -> None:
        self._project = project
        self._words = words
        self._count = len(starting)
        # The first ones, and some of the others: nobody knows for sure which a controller takes first.
        half = _FEW // 2
        rest = starting[half:]
        few = [*starting[:half], *rest[:: max(1, -(-len(rest) // half))]]
        self._before = {path: _mark(path) for path in few}
        self._refused: dict[str, str] = {}  # exp path -> why
        self._first = ""

    def wait(self, controller: Controller, seconds: float = WAIT_SECONDS) -> Outcome:
        """Wait until one is handed over, all are refused, or the controller has ended; or is a job that waits itself.

        Args:
            controller: that was started.
            seconds: at most.
        """
        if not self._before:
            return Outcome([])
        began = time.monotonic()
        deadline = began + seconds
        life = _Life(controller)
        while True:
            has_ended = life.has_ended()  # before the look: what it did until then is there
            if time.monotonic() > began + QUEUE_SECONDS and (waits := life.waits(self._words)):
                return Outcome([waits])
            if self._look():
                return Outcome([*self._refusals(), self._first])
            if has_ended or len(self._refused) == self._count:
                return self._failure(controller, has_ended or _ends(life))
            if time.monotonic() >= deadline:
                text = f"nothing is submitted or started yet after {seconds:.0f} s; the controller goes on"
                return Outcome([*self._refusals(), text])
            time.sleep(_LOOK_SECONDS)

    def _look(self) -> bool:
        """Return whether one was handed over."""
        for path, before in self._before.items():
            if path not in self._refused and _mark(path) != before:
                with contextlib.suppress(HeyhiError):  # another look may find it mended
                    self._first = self._said_of(path)
                if self._first:
                    return True
        return False

    def _said_of(self, path: str) -> str:
        """Say how an experiment was started; empty where it wasn't, and as yet."""
        name = shown_folder(path).removeprefix(f"{self._project.results_root}/")
        if os.access(result_of(path), os.F_OK):
            return f"done already: {name}"
        folder = ExperimentDir(Path(path))
        history = folder.history()
        end = history.last_end
        if end is not None and end.reason == REFUSED and not history.unstarted_job:
            if _mark(path)[2] != self._before[path][2]:
                self._refused[path] = death_of(history).text
            return ""
        owner = read_last_owner(path)
        job = owner.job if owner is not None else ""
        if job or _mark(path)[1] != self._before[path][1]:
            return f"submitted: job {job or history.current_job} ({name})"
        if _mark(path)[4] != self._before[path][4]:
            return f"started: {name}{f' (pid {owner.pid} on {owner.host})' if owner is not None else ''}"
        return ""

    def _refusals(self) -> list[str]:
        """Say which were refused, many of one reason once."""
        return [f"{count} {TIMES} {text}" for text, count in Counter(self._refused.values()).most_common()]

    def _failure(self, controller: Controller, has_ended: bool) -> Outcome:
        log = self._project.relative(controller.log)
        refusals = self._refusals()
        words = last_words(controller.log)
        if has_ended and words.exit_code == 0:  # others have done it all, or it was done meanwhile
            return Outcome(refusals)
        why = words.summary(lambda text: text in self._refused.values()) if has_ended else []
        if has_ended and not (why or refusals):
            why = read_end(controller.log, _TAIL_BYTES).splitlines()[-_TAIL_LINES:]
        head = "all are refused" if len(self._refused) == self._count else f"the controller {words.how}"
        return Outcome(
            [f"nothing was submitted or started: {head} ({log})", *(f"  {x}" for x in (*refusals, *why))], True
        )


class _Life:
    """Whether a controller has ended; about one that is a job Slurm is asked, and not each time.

    Args:
        controller: that was started.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._is_job = controller.owner is not None and bool(controller.owner.root)
        self._ask_at = 0.0
        self._ended = False
        self._is_seen = False  # to run

    def has_ended(self) -> bool:
        """Look whether it has."""
        if self._is_job and time.monotonic() < self._ask_at:
            return self._ended
        self._ask_at = time.monotonic() + _ASK_SECONDS
        with contextlib.suppress(HeyhiError):  # nobody can tell
            self._ended = living_owner(self._controller.folder) is None
        return self._ended

    def waits(self, words: str) -> str:
        """Say that it is a job that waits; empty where it isn't."""
        owner = self._controller.owner
        if not self._is_job or owner is None or self._is_seen:
            return ""
        from heyhi.control.controller_job import waiting_line

        with contextlib.suppress(HeyhiError):
            waits = waiting_line(owner, words)
            self._is_seen = not waits
            return waits
        return ""


def _ends(life: _Life) -> bool:
    """Wait a moment for a controller that has nothing left to do; return whether it has ended."""
    deadline = time.monotonic() + _END_SECONDS
    while not (ended := life.has_ended()) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return ended


def _mark(path: str) -> _Mark:
    """Return by what is seen that somebody has written in an experiment's folder."""
    names = (result_of(path), *(f"{path}/{name}" for name in _NAMES), f"{shown_folder(path)}/{ATTEMPTS_NAME}")
    return tuple(map(_stamp, names))


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
