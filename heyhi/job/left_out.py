"""Which nodes a job is kept from: those where its experiment has failed, and those at fault, for a whole launch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from heyhi.experiment.death import NODE_STATES, Death
from heyhi.experiment.exits import said_before_crash
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import End, History, rank_ended
from heyhi.loggers import get_logger
from heyhi.slurm.commands import Refused
from heyhi.slurm.nodes import has_others
from heyhi.slurm.request import JobRequest

# Of one launch: what happens on more nodes than these isn't the nodes' fault.
MAX_FAULTS = 5
_LAST_BYTES, _LAST_LINES = 8_000, 20  # of a log: what a task printed long before its end isn't why it ended
_log = get_logger(__name__)
_OWN_FAILURES = ("failed", "killed")


class LeftOut:
    """The nodes that a launch leaves out, since what it ran there has failed by their fault.

    Args:
        faults: texts by which such a failure is known.

    Attributes:
        nodes: as Slurm lists nodes, those of a job together.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self._faults = faults
        self.nodes: tuple[str, ...] = ()

    def blame(self, folder: ExperimentDir, death: Death, known: Sequence[str]) -> str:
        """Leave the node out where an experiment failed by its fault; return what is to be said, empty where it didn't.

        Args:
            folder: of the experiment.
            death: why it is dead.
            known: nodes that were left out already when it was submitted: if it still ran there, there are no others,
                and it would fail again.

        Raises:
            UnknownError: its records can't be read.
        """
        fault = fault_in(folder, death, self._faults)
        nodes = _nodes_of_last(folder.history()) if fault else ""
        if not nodes or nodes in known or (nodes not in self.nodes and len(self.nodes) >= MAX_FAULTS):
            return ""
        if nodes not in self.nodes:
            self.nodes = (*self.nodes, nodes)
        return f"{nodes} is left out from now on, and this is no attempt (node_faults: {fault})"


def fault_in(folder: ExperimentDir, death: Death, faults: Iterable[str]) -> str:
    """Return which of some texts a failure is known by, in whatever case; empty for none.

    Of what the task raised; only where it raised nothing, of the last lines of its log: a library may print there what
    doesn't matter.
    """
    if death.kind not in _OWN_FAILURES:
        return ""
    rank = rank_ended(death.exception)
    if death.exception and rank is None:
        return known_by(death.exception, faults)
    log = folder.log_path_of(rank) if rank is not None else folder.log_path
    return known_by(_last_lines(log), faults)


def known_by(text: str, faults: Iterable[str]) -> str:
    """Return which of some texts stands in another one, in whatever case; empty for none."""
    text = text.lower()
    return next((fault for fault in faults if fault.lower() in text), "")


def nodes_to_avoid(history: History, tries: int, faults: Sequence[str]) -> tuple[str, ...]:
    """Return the nodes that the next job of an experiment is kept from, as Slurm lists nodes.

    Args:
        history: what is on record of it.
        tries: how many of its last attempts were this launch's.
        faults: texts by which a node's fault is known: it counts whoever made the attempt.
    """
    lost = [end.host for end in history.ends if end.job_state in NODE_STATES]
    numbers = list(dict.fromkeys(start.attempt for start in history.starts))
    recent = set(numbers[-tries:]) if tries > 0 else set()
    failed = [
        nodes_of(history, end.attempt)
        for end in history.ends
        if end.reason in _OWN_FAILURES and (end.attempt in recent or fault_of(end, faults))
    ]
    return tuple(dict.fromkeys(filter(None, [*lost, *failed])))


def submit_elsewhere(request: JobRequest, nodes: tuple[str, ...], submit: Callable[[JobRequest], str]) -> str:
    """Submit a job that is kept from some nodes, unless only these can have it; return its id.

    Args:
        request: what it asks for.
        nodes: that others are better than.
        submit: hands it over, and returns its id.

    Raises:
        Busy: Slurm may take it later.
        Refused: Slurm doesn't take it, on whatever node.
    """
    if nodes and has_others(request, nodes):
        try:
            return submit(request.scaled(0, 0, nodes))
        except Refused:
            pass  # no others have what it asks for, or may be used; if that isn't why, it is refused again
    job_id = submit(request)
    if nodes:
        _log.warning("job %s may run on %s again: no others can have it now", job_id, ",".join(nodes))
    return job_id


def _nodes_of_last(history: History) -> str:
    starts, end = history.starts, history.last_end
    # A job that ended before it started an attempt has left neither words nor a node.
    is_unstarted = end is not None and not end.attempt
    return nodes_of(history, starts[-1].attempt) if starts and not is_unstarted else ""


def fault_of(end: End, faults: Iterable[str]) -> str:
    """Return which of some texts the record of an end is known by, as far as that says why; empty for none."""
    return known_by(end.exception, faults) if end.reason in _OWN_FAILURES else ""


def nodes_of(history: History, attempt: int) -> str:
    """Return where an attempt ran: the node of the rank that failed, else all nodes of its job."""
    ends = [end for end in history.ends if end.attempt == attempt and end.host]
    own = next((end.host for end in ends if not end.job_state), "")
    starts = next((start.nodes for start in history.starts if start.attempt == attempt), "")
    return own or starts or (ends[-1].host if ends else "")


def _last_lines(path: Path) -> str:
    return "\n".join(said_before_crash(path)[-_LAST_BYTES:].splitlines()[-_LAST_LINES:])
