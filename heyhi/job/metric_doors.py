"""What a run's metrics go to beside their file, by `[tool.heyhi] log_to`: trackers, and functions of the project."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.errors import HeyhiError, TrackerError
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.files import parse_json
from heyhi.project import PROJECT_KEY, TRACKERS, Project

if TYPE_CHECKING:
    # Most projects name no tracker, and their runs are spared the imports.
    from heyhi.sweep.manifest import Manifest
    from heyhi.trackers.door import Door
    from heyhi.trackers.tracked_run import Line, RunEnd, TrackedRun, Tracker

_HURRIED_SECONDS = 5.0  # where who has stopped the run will soon kill it
_ENDS = {"done": "DONE", "pruned": "PRUNED", "failed": "FAILED", "requeue": "AGAIN"}


class MetricDoors:
    """The doors of one run.

    Args:
        doors: in the order of the setting.
        folder: of the experiment.
        seconds: that they have to close; 0: any number.
    """

    def __init__(self, doors: Sequence[Door] = (), folder: ExperimentDir | None = None, seconds: float = 0) -> None:
        self.listeners = tuple(doors)
        self._folder = folder
        self._seconds = seconds

    def close(self, reason: str, *, is_hurried: bool, result: str = "") -> None:
        """Tell trackers how the run has ended, when it is on record and its result is safe.

        Args:
            reason: of the attempt's end.
            is_hurried: who has stopped it will soon kill it.
            result: what came out, as JSON; default: what its file has.
        """
        if not self.listeners or self._folder is None:
            return
        from heyhi.trackers.door import close_all
        from heyhi.trackers.tracked_run import RunEnd

        end = RunEnd[_ENDS.get(reason, "STOPPED")]
        seconds = self._seconds or None
        if is_hurried:
            seconds = min(self._seconds or _HURRIED_SECONDS, _HURRIED_SECONDS)
        close_all(self.listeners, end, _result(result, self._folder) if end is RunEnd.DONE else {}, seconds)

    def shut(self) -> None:
        """Let nothing through any more: another has the experiment."""
        for door in self.listeners:
            door.shut()


def doors_of(project: Project | None, experiment: Experiment, sweep: str, code_root: Path) -> MetricDoors:
    """Make the doors of a run; what they lead to is opened by its first line of metrics.

    Args:
        project: of the experiment; None: it has no settings.
        experiment: that is run.
        sweep: label of the one that it is run for; empty for none.
        code_root: folder that the project's own functions are imported from.
    """
    if project is None or not project.settings.log_to:
        return MetricDoors()
    from heyhi.trackers.door import Door

    folder = ExperimentDir(experiment.exp_path)
    name = experiment.roots.get(PROJECT_KEY) or project.name or project.root.name

    def run() -> TrackedRun:
        from heyhi.trackers.tracked_run import TrackedRun

        return TrackedRun.running(folder, project.results_root, name, sweep)

    def door(to: str) -> Door:
        if to in TRACKERS:
            later = f"; `heyhi export {to} {experiment.exp_id}` does it afterwards"
            return Door(to, lambda: _tracker(to, run()), later)
        return Door(to, lambda: _Function(to, code_root, run()))

    return MetricDoors([door(to) for to in project.settings.log_to], folder, project.settings.end_grace)


def swept_as(manifest: Manifest) -> str:
    """Return the label of a manifest's sweep; empty where it has but one experiment, as `run.py` submits it."""
    return manifest.label if manifest.sweep or manifest.has_several else ""


def _tracker(name: str, run: TrackedRun) -> Tracker:
    from heyhi.trackers.catching_up import CatchingUp

    return CatchingUp(name, run)


class _Function:
    """A project's own function as a tracker: called with each line, and with what there is to know of the run."""

    def __init__(self, named: str, code_root: Path, run: TrackedRun) -> None:
        self._function = _load(named, code_root)
        self._info = run.info

    def write(self, lines: list[Line]) -> None:
        """Call it with each line."""
        for line in lines:
            self._function(dict(line), self._info)

    def close(self, end: RunEnd, result: Mapping[str, Any]) -> None:
        """Do nothing: a function has no end."""


def _load(named: str, code_root: Path) -> Any:
    """Import the function that a setting names, from the project's code as the run has it.

    Raises:
        TrackerError: there is none.
    """
    place, _, name = named.partition(":")
    if str(code_root) not in sys.path:
        sys.path.insert(0, str(code_root))
    try:
        module = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name != place:
            raise
        raise TrackerError(f"there is no module '{place}' in {code_root}") from None
    function: object = module
    for part in name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        raise TrackerError(f"{getattr(module, '__file__', place)} has no function '{name}'")
    return function


def _result(text: str, folder: ExperimentDir) -> Mapping[str, Any]:
    with contextlib.suppress(HeyhiError, ValueError):
        found = parse_json(text) if text else folder.read_result()
        return found if isinstance(found, dict) else {}
    return {}
