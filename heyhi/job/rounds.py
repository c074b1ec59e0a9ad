"""When Snakemake looks what can start: when something has ended, and later only if its limit has kept something back.

Snakemake limits how many jobs it starts in a second (--max-jobs-per-timespan), and so has each look followed by another
one, a second later, for good: after 1,000 jobs it looks 1,000 times a second at all that wait, and at its end it waits
for the looks that are still to come.
"""

from __future__ import annotations

import threading
import time
from typing import Any


def look_when_needed(workflow: Any) -> None:
    """Have Snakemake look what can start when something may: for `onstart`.

    Args:
        workflow: Snakemake's object of that name.
    """
    scheduler = workflow.scheduler
    limiter = getattr(scheduler, "job_rate_limiter", None)
    looks_again = hasattr(scheduler, "_schedule_reevalutation") and hasattr(scheduler, "_open_jobs")
    if limiter is None or not looks_again:  # another Snakemake may do it otherwise
        return
    scheduler.job_rate_limiter = limit = _Limit(limiter)
    scheduler._schedule_reevalutation = _LaterLooks(scheduler._open_jobs, limit).plan


class _Limit:
    """Snakemake's limit, which remembers whether it has kept something back.

    Args:
        limiter: Snakemake's.
    """

    def __init__(self, limiter: Any) -> None:
        self._limiter = limiter
        self._left: int | None = None  # of what may be started, after the last look; None: it wasn't asked since

    def get_free_jobs(self) -> int:
        """Return how many may be started now."""
        self._left = free = int(self._limiter.get_free_jobs())
        return free

    def register_jobs(self, count: int) -> None:
        """Note that so many are started."""
        self._limiter.register_jobs(count)
        if self._left is not None:
            self._left -= count

    def had_room(self) -> bool:
        """Return whether the last look was asked for, and has left some of what was allowed."""
        left, self._left = self._left, None
        return left is not None and left > 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._limiter, name)


class _LaterLooks:
    """The looks that come after some time, whatever happens: never two for the same.

    Args:
        wake: what has Snakemake look when it is released.
        limit: on what is started.
    """

    def __init__(self, wake: threading.Semaphore, limit: _Limit) -> None:
        self._wake, self._limit = wake, limit
        self._due: float | None = None

    def plan(self, delay: float) -> None:
        """Plan a look after some seconds, unless nothing can come of it or one is due by then.

        Snakemake asks after each look, and where it waits for inputs from a queue.
        """
        if self._limit.had_room():  # what could not be started waits for others to end
            return
        due = time.monotonic() + delay
        if self._due is not None and self._due <= due:
            return
        self._due = due
        timer = threading.Timer(delay, self._look, (due,))
        timer.daemon = True  # the end of a run waits for none
        timer.start()

    def _look(self, due: float) -> None:
        if self._due == due:
            self._due = None
        self._wake.release()
