"""`--canary`: some experiments of a launch are started first, and the others once these are well.

That is the controller's business, whatever runs the experiments: a Snakemake of its own (`canary_run`) has the canaries
until the controller's takes over. What they write tells how they are; a look at it costs next to nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from heyhi.console.lines import CANARY, line
from heyhi.control.canary_run import CanaryRun
from heyhi.control.survey import Survey
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status, is_slot, result_of
from heyhi.experiment.slots import shown_folder
from heyhi.experiment.status import State, find_status
from heyhi.files import read_bounded, replace_file
from heyhi.job.given_up import GivenUp
from heyhi.project import Project
from heyhi.sweep.canaries import CANARY_SETTING, canaries_in
from heyhi.sweep.held_note import forget_held, hold
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME, GIVEN_UP_NAME, launch_in
from heyhi.text import duration

_PASSED_NAME = "canary"  # in the controller's folder: the launch whose canaries have passed
_LOOK_SECONDS = 1.0
# Whoever is dead for so long, and would be tried again, would have been by now.
_DEAD_SECONDS, _DEAD_LOOK_SECONDS = 30.0, 5.0
_TABLE_SECONDS = 600.0
_MOST_RUNS = 5  # of a Snakemake that somebody kills
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Canaries:
    """The canaries of one launch; around the run of the others.

    Args:
        project: whose they are.
        folder: of the controller.
        canaries: their exp paths.
        words: by which Snakemake runs them.
        launch: name of its record: a controller that goes on with a launch asks no canary again.
        others: how many wait for them.
        leaves_jobs: whether a Snakemake that is told to leave lets what it has started go on.
    """

    def __init__(
        self,
        project: Project,
        folder: Path,
        canaries: Sequence[str],
        words: Sequence[str],
        *,
        launch: str,
        others: int,
        leaves_jobs: bool,
    ) -> None:
        self._project = project
        self._folder = folder
        self._words = words
        self._launch = launch
        self._others = others
        self._leaves_jobs = leaves_jobs
        self._run: CanaryRun | None = None
        self._told: int | None = None  # which signal has come
        self._began = time.monotonic()
        self._watched = [_Watched(path, project) for path in canaries]

    def wait(self) -> int | None:
        """Start them, and wait until the others may be started.

        Returns:
            None where they may; else the exit code of the launch.
        """
        if self._has_passed_before():
            return None
        if not self._is_enough():
            runs, them = ("runs", "it") if len(self._watched) == 1 else ("run", "them")
            waits = "waits" if self._others == 1 else "wait"
            _say(f"{', '.join(one.name for one in self._watched)} {runs}; {self._others} {waits} for {them}")
            with contextlib.suppress(HeyhiError):
                more = f" and {len(self._watched) - 1} more" * (len(self._watched) > 1)
                hold(self._folder, f"waits for canary {self._watched[0].name}{more}", is_over=False)
            with self._passing_signals_on():
                code = self._run_them()
            forget_held(self._folder)
            if self._told is not None:
                return 128 + self._told if code is None or code <= 0 else code
            for one in self._watched:  # once more: they may be well since the last look before the end of their run
                one.look()
            if not any(one.passed for one in self._watched):
                self._hold()
                return 1
        self._give_up_dead()
        self._say_passed()
        if self._launch:
            replace_file(self._folder / _PASSED_NAME, f"{self._launch}\n")
        return None

    def end(self, code: int) -> None:
        """Wait until what has run the canaries has ended, where that has taken so long.

        Args:
            code: exit code of the run of the others: what has ended that by a signal ends this, too.
        """
        if self._run is None:
            return
        with self._passing_signals_on():
            if code - 128 in _SIGNALS:
                self._run.tell(code - 128)
            self._run.wait()
        self._run.close()
        self._run = None

    def _run_them(self) -> int | None:
        """Run them until it is known how they are, or this launch is told to end; return the exit code, if any."""
        code = None
        for _ in range(_MOST_RUNS):
            self._run = CanaryRun(self._words)
            code = None
            while code is None and (self._told is not None or not self._is_enough()):
                code = self._run.wait(_LOOK_SECONDS)
            if code is None:
                if not self._leaves_jobs:
                    self._run.be_quiet()
                    return None
                self._run.leave()
            self._run.close()
            self._run = None
            is_killed = code is not None and code < 0
            if not is_killed or self._told is not None or self._is_enough() or not self._any_alive():
                return code
        return code

    def _is_enough(self) -> bool:
        """Return whether all have passed, or some have, and the others are dead for good."""
        for one in self._watched:
            one.look()
        left = [one for one in self._watched if not one.passed]
        if not left or len(left) == len(self._watched):
            return not left
        are_dead = [one.is_dead() for one in left]  # each looks by its own clock
        return all(are_dead)

    def _any_alive(self) -> bool:
        return any(find_status(one.path).is_alive for one in self._watched)

    def _hold(self) -> None:
        states = Survey.of_folders(self._project, [one.path for one in self._watched]).others
        ends = [_how(one.name, states.get(one.path, State(Status.NOT_STARTED))) for one in self._watched]
        more = f" (and {len(ends) - 1} more)" if len(ends) > 1 else ""
        why = f"held back: {ends[0]}{more}"
        _say(f"{why}; {_are(self._others)} not started")
        hold(self._folder, why)
        self._write_tables()

    def _write_tables(self) -> None:
        """Write the tables of the launch, as the end of a run of the others would."""
        words = [sys.executable, "-P", "-m", "heyhi.report.closing", "--tables", self._folder.name]
        with contextlib.suppress(subprocess.SubprocessError, OSError), self._passing_signals_on():
            sys.stdout.flush()
            subprocess.run(words, cwd=self._project.root, stdin=subprocess.DEVNULL, timeout=_TABLE_SECONDS, check=False)

    def _give_up_dead(self) -> None:
        """Note which are dead for good: the run of the others doesn't start them again."""
        for one in self._watched:
            if not one.passed and find_status(one.path) is Status.DEAD:
                state = Survey.of_folders(self._project, [one.path]).others.get(one.path, State(Status.DEAD))
                with contextlib.suppress(HeyhiError):  # then it is started once more
                    GivenUp.give_up(self._folder / GIVEN_UP_NAME, one.path, f"{Status.DEAD.value}: {state.reason}")

    def _say_passed(self) -> None:
        passed = [one for one in self._watched if one.passed]
        left = [one.path for one in self._watched if not one.passed]
        states = Survey.of_folders(self._project, left).others if left else {}
        said = [f"{one.name} {one.passed}" for one in passed]
        said += [_how(one.name, states.get(one.path, State(Status.DEAD))) for one in self._watched if not one.passed]
        after = duration(time.monotonic() - self._began)
        _say(f"passed: {', '.join(said)} after {after}; the other {_are(self._others)} started")

    def _has_passed_before(self) -> bool:
        return bool(self._launch) and _passed_launch(self._folder) == self._launch

    @contextlib.contextmanager
    def _passing_signals_on(self) -> Iterator[None]:
        """Pass on what would end this process to the one that runs the canaries: its end is waited for."""

        def pass_on(number: int, frame: FrameType | None) -> None:
            self._told = self._told or number
            if self._run is not None:
                self._run.tell(number)

        before = {sign: signal.getsignal(sign) for sign in _SIGNALS}
        before = {sign: handler for sign, handler in before.items() if handler is not signal.SIG_IGN}
        try:
            for sign in before:
                signal.signal(sign, pass_on)
            yield
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)


def left_alive(project: Project, name: str) -> list[str]:
    """Return the exp paths of canaries that a controller which is gone has left, and that haven't passed: they go on.

    Args:
        project: whose they are.
        name: of the controller.
    """
    first = canaries_in(project, {CANARY_SETTING: name})
    folder = project.state_root / CONTROLLERS_NAME / name
    if not first or _passed_launch(folder) == launch_in(folder):
        return []
    return sorted(path for path in first if find_status(path).is_alive)


def _passed_launch(folder: Path) -> str:
    """Return the launch of a controller's folder whose canaries have passed; empty for none."""
    with contextlib.suppress(OSError):
        return read_bounded(folder / _PASSED_NAME).decode().strip()
    return ""


class _Watched:
    """One canary.

    Attributes:
        path: its exp path; of a trial, its slot's.
        passed: why it is well; empty as long as nobody knows.
    """

    def __init__(self, path: str, project: Project) -> None:
        self.path = path
        self.passed = ""
        self._root = project.results_root
        self._before: dict[str, int] = {}  # folder -> the last attempt whose metrics say nothing
        self._dead_since: float | None = None
        self._dead_look = 0.0
        self.look()

    @property
    def name(self) -> str:
        """Its exp id; of a trial that isn't chosen yet, its slot's."""
        return ExperimentDir(Path(shown_folder(self.path)), self._root).exp_id

    def look(self) -> None:
        """Look whether it is well by now."""
        if self.passed:
            return
        # A trial that is dead for its search has a file by that name, too.
        is_done = os.access(result_of(self.path), os.F_OK)
        if is_done and (not is_slot(self.path) or not find_status(self.path).blocks):
            self.passed = "is DONE"
            return
        with contextlib.suppress(HeyhiError):  # another look may find it mended
            folder = ExperimentDir(Path(shown_folder(self.path)))
            if str(folder.path) not in self._before:
                self._before[str(folder.path)] = _last_over(folder)
            start = folder.last_start()
            is_new = start is not None and start.attempt > self._before[str(folder.path)]
            if start is not None and is_new and folder.metrics_now().size > start.metrics_size:
                self.passed = "logged a line"

    def is_dead(self) -> bool:
        """Return whether it has been dead for so long that nobody tries it again."""
        now = time.monotonic()
        if now >= self._dead_look:
            self._dead_look = now + _DEAD_LOOK_SECONDS
            is_dead = find_status(self.path).blocks
            self._dead_since = (now if self._dead_since is None else self._dead_since) if is_dead else None
        return self._dead_since is not None and now - self._dead_since >= _DEAD_SECONDS


def _last_over(folder: ExperimentDir) -> int:
    """Return the number of the last attempt that is over; what runs already is none."""
    start, end = folder.history().last_attempt
    if start is None:
        return 0
    runs = end is None and find_status(folder.path) is Status.RUNNING
    return start.attempt - 1 if runs else start.attempt


def _are(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'}"


def _how(name: str, state: State) -> str:
    if state.status is Status.DEAD:
        if state.reason.startswith("CANCELLED"):
            return f"canary {name} was cancelled"
        return f"canary {name} died: {state.reason}"
    return f"canary {name} was not started" if state.status is Status.NOT_STARTED else f"canary {name}: {state.line}"


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads it
        print(line(time.time(), CANARY, text), file=sys.stderr, flush=True)
