"""How one who submits a job by itself waits for a Slurm that doesn't answer now: some minutes, ever less often."""

from __future__ import annotations

import time
from collections.abc import Callable

from heyhi.loggers import get_logger
from heyhi.slurm.commands import Busy, Full

_FIRST_SECONDS, _LONGEST_SECONDS = 1.0, 20.0
SECONDS = 180.0
_log = get_logger(__name__)


class Patience:
    """The waiting of one submission.

    Args:
        name: of what is submitted, for the line that says so.
        seconds: for how long in all.
        ask: is called once, before all else: finds out, and says better than sbatch does, why Slurm takes nothing.
            It may wait, too, or raise; when it returns Slurm is asked again at once.
    """

    def __init__(self, name: str, seconds: float = SECONDS, ask: Callable[[], None] | None = None) -> None:
        self._name = name
        self._ask = ask
        self._seconds = seconds
        self._pause = _FIRST_SECONDS
        self._until: float | None = None

    def wait(self, error: Busy) -> None:
        """Wait before the next try.

        Args:
            error: why the last one failed.

        Raises:
            Busy: that error, where there is no sense in waiting, or it was long enough.
        """
        if isinstance(error, Full):  # until jobs end: nobody knows when
            raise error
        if self._ask is not None:
            ask, self._ask = self._ask, None
            ask()
            return
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._seconds
            _log.warning(
                "%s: Slurm takes no job now, and is asked again for %.3g minutes (Ctrl-C leaves nothing behind): %s",
                self._name,
                self._seconds / 60,
                error,
            )
        if now + self._pause > self._until:
            raise error
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_SECONDS)
