"""How an experiment of a run has ended, by what its runner or the executor said of it, and by its records."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from heyhi.console.lines import ERROR, HELD
from heyhi.console.noise import without_advice
from heyhi.errors import HeyhiError
from heyhi.experiment.exits import exit_text, shell_exit
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.launch_log import of_last_attempt
from heyhi.experiment.names import Status
from heyhi.experiment.processes import find_by_words
from heyhi.experiment.records import REQUEUE
from heyhi.experiment.status import find_state
from heyhi.files import read_end
from heyhi.sweep.held_note import HELD_BACK
from heyhi.sweep.target import target_of

_LEAST_ROOM = 1 << 16  # bytes that the records of a start may take
_MOST_BYTES = 20_000  # of the end of what its runner said
_RUNNER = "heyhi.runner"  # as its shell calls it
_LOG = re.compile(r" \(log: [^()]*\)$")
_STATUSES = tuple(f"{status.value}: " for status in (Status.DEAD, Status.PRUNED, Status.UNKNOWN))


class Ended(NamedTuple):
    """How one ended.

    Attributes:
        word: its status; HELD where its launch starts nothing more, ERROR where it wasn't run otherwise.
        why: the reason.
        log: where more is to be found; empty where nothing is.
    """

    word: str
    why: str
    log: str = ""


def said_by_executor(message: str | None) -> str:
    """Return what an executor said of a job that failed; empty where it said nothing."""
    text = without_advice(message or "")
    return "" if text.startswith("run ") else text


def how_ended(
    folder: str, exp_id: str, project_root: Path, said: str = "", also: Sequence[str] = (), asked: str = ""
) -> Ended:
    """Say how an experiment that failed has ended.

    Args:
        folder: its exp path.
        exp_id: its exp id.
        project_root: of its project.
        said: what the executor said of it.
        also: what else it goes by: the slot of a search that it is.
        asked: the folder that it was run by: of a search's slot, or its own, which is the default.
    """
    names = (exp_id, target_of(folder, project_root), *also)
    text = (
        _without_name(said, names)
        or _said_by_runner(ExperimentDir(Path(folder)), names)
        or _on_record(asked or folder, project_root)
    )
    for status in _STATUSES:
        if text.startswith(status):
            return Ended(status.removesuffix(": "), text.removeprefix(status), log_of(folder, project_root))
    if text.startswith(HELD_BACK):
        return Ended(HELD, text)
    return Ended(ERROR, text or "it has failed, and nobody said why")


def seconds_of(folder: str) -> float | None:
    """Return how long the attempt took that made a result, with those after which its job was queued again.

    Returns:
        None where nobody knows that of one of them.
    """
    try:
        history = ExperimentDir(Path(folder)).history()
    except HeyhiError:
        return None
    known = {end.attempt: end.seconds for end in history.ends if end.seconds is not None}
    total = 0.0
    for start in reversed(history.starts):
        if start.attempt not in known:
            return None
        total += known[start.attempt]
        if start.kind != REQUEUE:
            return total
    return None


def bad_end_of(folder: str) -> str:
    """Say how the process of a DONE experiment has ended behind its result, as its shell saw it; empty where well."""
    seen = shell_exit(ExperimentDir(Path(folder)))
    return f"its process ended with {exit_text(seen.code)} after that" if seen is not None else ""


def _said_by_runner(folder: ExperimentDir, names: tuple[str, ...]) -> str:
    said = of_last_attempt(read_end(folder.launch_log_path, _MOST_BYTES))
    for text in reversed(said.splitlines()):
        if rest := _without_name(text, names, only=True):
            return _LOG.sub("", rest)
    return ""


def _without_name(text: str, names: tuple[str, ...], *, only: bool = False) -> str:
    for name in names:
        if text.startswith(f"{name}: "):
            return text.removeprefix(f"{name}: ")
    return "" if only else text


def _on_record(folder: str, project_root: Path) -> str:
    state = find_state(folder)
    if state.status is Status.NOT_STARTED:
        # Nothing is on record before a runner has loaded what it needs, which takes a second, and may take many.
        if (pid := find_by_words((_RUNNER, target_of(folder, project_root)), project_root)) is not None:
            return f"its shell has ended, and its runner goes on without it (pid {pid})"
        why = _unwritable(Path(folder))
        return f"{why}; make room, and the same command goes on" if why else "it ended before it was started"
    if state.status.is_alive and not state.reason.startswith("job "):
        return f"its shell has ended, and it goes on without it: {state.line}"
    return state.line if state.status in (Status.DEAD, Status.PRUNED, Status.UNKNOWN) else f"it is {state.text}"


def _unwritable(folder: Path) -> str:
    """Say why nothing can be written where an experiment is: its runner had no log to say that in."""
    place = next((one for one in (folder, *folder.parents) if one.is_dir()), folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0" * _LEAST_ROOM)
    except OSError as error:
        return f"{place}: can't be written: {error.strerror}"
    return ""


def log_of(folder: str, project_root: Path) -> str:
    """Return the log of an experiment, relative to the project's root; empty where there is none."""
    known = ExperimentDir(Path(folder))
    for path in (known.log_path, known.launch_log_path):
        try:
            if os.stat(path).st_size:  # noqa: PTH116
                return os.path.relpath(path, project_root) if path.is_relative_to(project_root) else str(path)
        except OSError:
            continue
    return ""
