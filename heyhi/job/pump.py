"""The `tee` program between a run and its terminal, and who takes its place where it is killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path

from heyhi.streams import Held, write_all

_CHUNK = 1 << 16


class Pump:
    """Gives on what is written to a pipe, to a log and to where it went before.

    The pipe's end that is read is kept here, too: whatever becomes of the program, who writes is told of nothing, and
    nothing that waits in the pipe is lost. Where it was killed, another one is started. Once it can't append to the log
    it would never try again, and where there can be no other one, a thread of this process does its work.

    Args:
        reader: of the pipe; closed at the end.
        terminal: descriptor of where the output went before.
        log: file that gets it, too.

    Raises:
        OSError: there is no such program; the reader is closed.
    """

    def __init__(self, reader: int, terminal: Held, log: Path) -> None:
        self._reader = Held(reader)
        self._terminal = terminal
        self._log = log
        try:
            self._tee, self._said = self._start()
        except OSError:
            self._reader.close()
            raise
        self._thread = threading.Thread(target=self._attend, name="heyhi-tee", daemon=True)
        self._thread.start()

    def end(self, until: float) -> None:
        """Wait until all is given on, now that nobody of this process writes any more.

        Args:
            until: time of the monotonic clock at which that is left to itself.
        """
        self._thread.join(max(0.0, until - time.monotonic()))
        if not self._thread.is_alive():
            self._reader.close()

    def _start(self) -> tuple[subprocess.Popen[bytes], Held]:
        said, says = os.pipe()
        try:
            tee = subprocess.Popen(
                ["tee", "-a", str(self._log)],
                stdin=self._reader.fd,
                stdout=self._terminal.fd,
                stderr=says,
                # Ctrl-C in the terminal must not end it before all is written.
                start_new_session=True,
                # Python ignores SIGPIPE, and so will it: `| head` must not end the log, nor the run.
                restore_signals=False,
            )
        except OSError:
            os.close(said)
            raise
        finally:
            os.close(says)
        return tee, Held(said)

    def _attend(self) -> None:
        """Wait for the program to end, and see to it that the work goes on."""
        name = os.fsencode(self._log.name)
        with contextlib.suppress(OSError):
            while True:
                has_lost_log = False
                while said := os.read(self._said.fd, _CHUNK):
                    if name in said and not has_lost_log:  # the disk is full, say
                        has_lost_log = True
                        self._tee.kill()
                self._said.close()
                if self._tee.wait() >= 0:
                    return  # it has read all
                if has_lost_log:
                    break
                self._tee, self._said = self._start()
        with contextlib.suppress(OSError):
            self._give_on()

    def _give_on(self) -> None:
        """Do what the program does, and try each time what has failed before."""
        while self._reader.is_ours and (chunk := os.read(self._reader.fd, _CHUNK)):
            with contextlib.suppress(OSError):
                if self._terminal.is_ours:
                    write_all(self._terminal.fd, chunk)
            with contextlib.suppress(OSError):
                log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK)
                try:
                    write_all(log, chunk)
                finally:
                    os.close(log)
