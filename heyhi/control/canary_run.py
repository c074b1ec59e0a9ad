"""The Snakemake that runs the canaries of a launch, a process beside the controller; it never outlives that.

The two are joined by a pipe: a letter on it says what to do, and its end that the controller is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from heyhi.streams import guard_streams
from heyhi.text import take_any_text

_QUIET, _LEAVE = b"q", b"l"
_KILLED = 128 + signal.SIGKILL
_LEAVE_SECONDS = 60.0  # it may be handing over a job


class CanaryRun:
    """Such a process, as its controller has it.

    Args:
        words: for Snakemake.
    """

    def __init__(self, words: Sequence[str]) -> None:
        reading, self._pipe = os.pipe()
        try:
            # A session of its own: Ctrl-C in the terminal reaches it by the controller, once.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "heyhi.control.canary_run", str(reading), *words],
                stdin=subprocess.DEVNULL,
                stdout=2,  # a table of canaries is none of what was asked for
                pass_fds=(reading,),
                start_new_session=True,
            )
        finally:
            os.close(reading)

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end, and return the exit code; None where it hasn't ended by then."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def tell(self, sign: int) -> None:
        """Send it a signal."""
        self._process.send_signal(sign)

    def be_quiet(self) -> None:
        """Have it say nothing any more: the controller tells of the same experiments."""
        self._say(_QUIET)

    def leave(self) -> None:
        """Have it end at once, and wait for that; HeyHi's executor lets its jobs go on."""
        self._say(_LEAVE)
        if self.wait(_LEAVE_SECONDS) is None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Give back what joins it to this process; to be called when it has ended."""
        os.close(self._pipe)

    def _say(self, letter: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended
            os.write(self._pipe, letter)


def _follow(pipe: int) -> None:
    """Do what the controller says, and end at once where it is gone, as it has: what runs goes on."""
    while letter := os.read(pipe, 1):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        os.close(nothing)
        if letter == _LEAVE:
            os.kill(os.getpid(), signal.SIGHUP)
    os._exit(_KILLED)


def main(pipe: int, words: Sequence[str]) -> None:
    """Be this process.

    Args:
        pipe: file descriptor on which the controller speaks.
        words: for Snakemake.
    """
    os.set_inheritable(pipe, False)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a detached controller ignores it
    threading.Thread(target=_follow, args=(pipe,), daemon=True).start()
    from snakemake.cli import main as snakemake

    snakemake(words)


if __name__ == "__main__":
    guard_streams(goes_on=True)
    take_any_text()
    main(int(sys.argv[1]), sys.argv[2:])
