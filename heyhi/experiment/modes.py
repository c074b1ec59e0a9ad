"""The modes: what a launch does with an experiment of each status. Doing it is left to the launch."""

from __future__ import annotations

from heyhi.errors import ModeError, suggest
from heyhi.experiment.names import Status
from heyhi.quick_dataclass import dataclass

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
        refuse: do nothing, and say why not.
        is_redo: it is done, and made anew since it was made otherwise than it would be today.
        keeps_files: of what is wiped, only the result is; it goes on from the rest.
    """

    start: bool = False
    wipe: bool = False
    stop: bool = False
    refuse: bool = False
    is_redo: bool = False
    keeps_files: bool = False


REDO = Action(start=True, wipe=True, is_redo=True)
GO_ON = Action(start=True, wipe=True, is_redo=True, keeps_files=True)
_LEAVE, _START, _REFUSE = Action(), Action(start=True), Action(refuse=True)
_WIPE, _STOP = Action(start=True, wipe=True), Action(start=True, wipe=True, stop=True)
# The table of docs/sweeps.md. A blocked experiment starts when its need does, which the need's own run decides.
_ACTIONS: dict[str, dict[Status, Action]] = {
    "gentle_start": {Status.NOT_STARTED: _START},
    "start_restart": {Status.NOT_STARTED: _START, Status.DEAD: _WIPE},
    "start_continue": {Status.NOT_STARTED: _START, Status.DEAD: _START, Status.PRUNED: _START},
    "restart": {
        Status.NOT_STARTED: _START,
        Status.PENDING: _STOP,
        Status.RUNNING: _STOP,
        Status.PRUNED: _WIPE,
        Status.UNKNOWN: _REFUSE,
        Status.DEAD: _WIPE,
        Status.DONE: _WIPE,
    },
    "dryrun": {},
}


def action_of(mode: str, status: Status) -> Action:
    """Return what a mode does with an experiment of a status; what nobody knows about, no mode starts.

    Raises:
        ModeError: there is no such mode.
    """
    if mode not in _ACTIONS:
        raise ModeError(f"unknown mode '{mode}'{suggest(mode, MODES)}; modes are {', '.join(MODES)}")
    return _ACTIONS[mode].get(Status.NOT_STARTED if status is Status.BLOCKED else status, _LEAVE)
