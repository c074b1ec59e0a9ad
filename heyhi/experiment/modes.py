"""The modes: what a launch does with an experiment, given how it is."""

from __future__ import annotations

from dataclasses import dataclass

from heyhi.errors import ModeError, suggest
from heyhi.experiment.names import Status

MODES: tuple[str, ...] = ("gentle_start", "start_restart", "start_continue", "restart", "dryrun")
DEFAULT_MODE = "gentle_start"
ADHOC_MODE = "restart"


@dataclass(frozen=True)
class Action:
    """What a mode asks for, given what is there.

    Attributes:
        start: start the experiment.
        wipe: empty its folder first.
        stop: end the run that has it, first.
    """

    start: bool = False
    wipe: bool = False
    stop: bool = False


_LEAVE, _START = Action(), Action(start=True)
_WIPE, _STOP = Action(start=True, wipe=True), Action(start=True, wipe=True, stop=True)
# The table of docs/workflow.md. A blocked experiment starts when its need does, which the need's own run decides.
_ACTIONS: dict[str, dict[Status, Action]] = {
    "gentle_start": {Status.NOT_STARTED: _START},
    "start_restart": {Status.NOT_STARTED: _START, Status.DEAD: _WIPE},
    "start_continue": {Status.NOT_STARTED: _START, Status.DEAD: _START},
    "restart": {
        Status.NOT_STARTED: _START,
        Status.PENDING: _STOP,
        Status.RUNNING: _STOP,
        Status.DEAD: _WIPE,
        Status.DONE: _WIPE,
    },
    "dryrun": {},
}


def action_of(mode: str, status: Status) -> Action:
    """Return what a mode does with an experiment of a status.

    Raises:
        ModeError: there is no such mode.
    """
    if mode not in _ACTIONS:
        raise ModeError(f"unknown mode '{mode}'{suggest(mode, MODES)}; modes are {', '.join(MODES)}")
    return _ACTIONS[mode].get(Status.NOT_STARTED if status is Status.BLOCKED else status, _LEAVE)
