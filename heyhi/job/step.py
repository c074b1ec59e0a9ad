"""The processes that are the ranks of an experiment: a step of its job, or processes of this machine.

What is in them is `ranks`' business: here they are started, told of signals, waited for and ended.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Protocol

from heyhi.job.notice import WARNING, Notice
from heyhi.job_env import NOTICE_VARIABLE, RANKS_VARIABLE, REQUEUE_EXIT

# For the others, once a rank has ended badly.
_END_SECONDS = 10.0


class Step(Protocol):
    """What the runner has of the ranks' processes."""

    def tell(self, word: str) -> None:
        """Send a word to every rank."""

    def wait(self, seconds: float | None = None) -> int:
        """Wait for all of them, and return an exit code: 0 where each has ended with it; else TimeoutExpired."""

    def terminate(self) -> None:
        """Ask all to end."""

    def kill(self) -> None:
        """End all."""


# Starts a step: by the words of each rank's command; what they print outside of their logs goes to the file.
Start = Callable[[list[str], IO[bytes]], Step]


def ranks_environment() -> dict[str, str]:
    """Return the environment of processes that are ranks: the notice of the job's script is for the runner alone."""
    own = {name: value for name, value in os.environ.items() if name != NOTICE_VARIABLE}
    return {**own, RANKS_VARIABLE: "1"}


class SrunStep:
    """A step of this job, by srun: it passes its standard input to all tasks, and keeps it for those that still start.

    A signal of Slurm's own (scancel) would reach their workers too, and kill those that don't handle it.
    """

    def __init__(self, words: Sequence[str], said: IO[bytes]) -> None:
        self._srun = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=said, stderr=said, env=ranks_environment(), bufsize=0
        )

    def tell(self, word: str) -> None:
        """Send a word to every rank."""
        assert self._srun.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # the step has ended
            self._srun.stdin.write(f"{word}\n".encode())

    def wait(self, seconds: float | None = None) -> int:
        """Wait for the step."""
        code = self._srun.wait(seconds)
        if self._srun.stdin is not None:
            with contextlib.suppress(OSError):
                self._srun.stdin.close()
        return code

    def terminate(self) -> None:
        """Ask the step to end."""
        self._srun.terminate()

    def kill(self) -> None:
        """End it."""
        self._srun.kill()


class Process:
    """A rank that is a process of this machine, started by this one, with which it ends.

    Args:
        words: of its command.
        env: of it.
        said: where it prints, outside of its log; None: where this process does, with its standard input: a rank that
            a debugger may run in.
    """

    def __init__(self, words: Sequence[str], env: Mapping[str, str], said: IO[bytes] | None) -> None:
        reader, self._channel = os.pipe()
        # Only a job of ours is told before it is stopped.
        more = [] if isinstance(signal.getsignal(WARNING), Notice) else ["--unwarned"]
        try:
            self.process = subprocess.Popen(
                [*words, "--channel", str(reader), "--parent", str(os.getpid()), *more],
                stdin=None if said is None else subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=env,
                pass_fds=[reader],
                # Ctrl-C in a terminal is for this process, which tells the ranks. The one that reads from a terminal
                # must stay with it.
                start_new_session=said is not None,
            )
        except BaseException:
            os.close(self._channel)
            raise
        finally:
            os.close(reader)
        self._has_session = said is not None
        self.host = socket.gethostname()

    def wait(self) -> int:
        """Wait for its end."""
        return self.process.wait()

    def tell(self, word: str) -> None:
        """Send it a word."""
        with contextlib.suppress(OSError):  # it has ended
            os.write(self._channel, f"{word}\n".encode())

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.terminate()

    def kill(self) -> None:
        """End it, with what it has started in its session."""
        if self._has_session and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()

    def close(self) -> None:
        """Close what it is told by, when it has ended."""
        if self._channel >= 0:
            os.close(self._channel)
            self._channel = -1


def how_ended(code: int) -> str:
    """Say how a process has ended, by its exit code, as srun does."""
    if code >= 0:
        return f"Exited with exit code {code}"
    return signal.strsignal(-code) or f"signal {-code}"


class Member(Protocol):
    """One of the ranks that this process looks after."""

    host: str

    def tell(self, word: str) -> None:
        """Send it a word."""

    def wait(self) -> int:
        """Wait for its end, in a thread of its own, and return its exit code as subprocess has it."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""

    def close(self) -> None:
        """Forget it, when it has ended."""


class Members:
    """Ranks that this process looks after one by one; one that ends badly ends all, as in a step of srun's.

    Args:
        members: the ranks in order.
        said: what they print outside of their logs.
    """

    def __init__(self, members: Sequence[Member], said: IO[bytes]) -> None:
        self._members = members
        self._said = said
        self._ended: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._running = set(range(len(members)))
        self._code = 0
        self._deadline: float | None = None  # for those that are to end since one has ended badly
        for rank in range(len(members)):
            threading.Thread(target=self._follow, args=(rank,), name="heyhi-rank", daemon=True).start()

    def tell(self, word: str) -> None:
        """Send a word to every rank that runs."""
        for rank in self._running:
            self._members[rank].tell(word)

    def wait(self, seconds: float | None = None) -> int:
        """Wait for all ranks, and return the exit code of the one that ended badly first."""
        deadline = time.monotonic() + seconds if seconds is not None else None
        while self._running:
            ends = [at for at in (deadline, self._deadline) if at is not None]
            try:
                rank, code = self._ended.get(timeout=max(0.0, min(ends) - time.monotonic()) if ends else None)
            except queue.Empty:
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    self._deadline = None
                    self.kill()
                elif deadline is not None:
                    raise subprocess.TimeoutExpired("ranks", seconds or 0.0) from None
            else:
                self._note(rank, code)
        return self._code

    def terminate(self) -> None:
        """Ask all to end."""
        for rank in self._running:
            self._members[rank].terminate()

    def kill(self) -> None:
        """End all, with what they have started in their sessions."""
        for rank in self._running:
            self._members[rank].kill()

    def _follow(self, rank: int) -> None:
        self._ended.put((rank, self._members[rank].wait()))

    def _note(self, rank: int, code: int) -> None:
        """Take notice of a rank's end."""
        self._running.discard(rank)
        one = self._members[rank]
        one.close()
        if code == 0 or self._code:
            return
        self._code = code
        self._said.write(f"heyhi: error: {one.host}: task {rank}: {how_ended(code)}\n".encode())
        self._said.flush()
        # One that has written its checkpoint is the last that had anything to do.
        self._deadline = time.monotonic() + (0.0 if code == REQUEUE_EXIT else _END_SECONDS)
        self.terminate()


def local_step(tasks: int, words: Sequence[str], said: IO[bytes]) -> Members:
    """Start ranks as processes of this machine; the first one has this process's standard input and output.

    Args:
        tasks: how many.
        words: of each one's command.
        said: what others print outside of their logs.
    """
    port = free_port()
    members: list[Process] = []
    try:
        for rank in range(tasks):
            env = {**ranks_environment(), **local_variables(rank, tasks, port)}
            members.append(Process(words, env, said if rank else None))
        return Members(members, said)
    except BaseException:
        for one in members:
            one.kill()
        raise


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def local_variables(rank: int, tasks: int, port: int) -> dict[str, str]:
    """Return torchrun's variables for a rank that is a process of this machine."""
    numbers = {
        "RANK": rank,
        "WORLD_SIZE": tasks,
        "LOCAL_RANK": rank,
        "LOCAL_WORLD_SIZE": tasks,
        "NODE_RANK": 0,
        "MASTER_PORT": port,
    }
    return {"MASTER_ADDR": "127.0.0.1", **{name: str(number) for name, number in numbers.items()}}
