"""The turn of a run: a process has one run at a time, since working directory and output belong to the whole process.

A turn is of one process: a forked child, such as a worker of a pool that main has started, may have a run of its own.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

from heyhi.errors import BusyError, Pruned


class Turn:
    """The run that a process has.

    Attributes:
        exp_id: of the experiment that is run.
        dropped: keys of its result that could not be kept.
        lost: who has the experiment instead; empty while it is this run's.
        pruned: why a search has ended it early; empty while it hasn't.
        checkpoint: main's own callback, which writes its checkpoint.
        on_pruned: called with the reason when a search ends it, before main is left.
        thread: that main runs in.
    """

    def __init__(self, exp_id: str) -> None:
        self.exp_id = exp_id
        self.dropped: tuple[str, ...] = ()
        self.lost = ""
        self.pruned = ""
        self.checkpoint: Callable[[], object] | None = None
        self.on_pruned: Callable[[str], None] = lambda why: None
        self.thread = threading.get_ident()

    def raise_if_pruned(self) -> None:
        """End what goes on as if nothing had happened.

        Raises:
            Pruned: a search has ended this run.
        """
        if self.pruned:
            raise Pruned(self.pruned)


# By the process, since a child inherits the entry of its parent. One call of setdefault is atomic among threads.
_turns: dict[int, Turn] = {}


@contextlib.contextmanager
def taken_turn(exp_id: str) -> Iterator[Turn]:
    """Have the one run of this process, inside the context.

    Args:
        exp_id: of what is run.

    Raises:
        BusyError: this process runs something already, in another thread or in the main that calls this.
    """
    turn, process = Turn(exp_id), os.getpid()
    other = _turns.setdefault(process, turn)
    if other is not turn:
        raise BusyError(
            f"{exp_id}: can't run in this process while it runs {other.exp_id}: a working directory and an output are"
            " the whole process's; run each in a process of its own, by concurrent.futures.ProcessPoolExecutor"
        )
    try:
        yield turn
    finally:
        del _turns[process]


def current_turn() -> Turn | None:
    """Return the run that this process has; None where it has none, a forked child of one that has included."""
    return _turns.get(os.getpid())
