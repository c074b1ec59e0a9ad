"""A `heyhi serve` that is measured, and somebody who looks at it as the page does: events, and then what is new."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
import psutil

from benchmarks.timing import Command, CommandFailed, Cost

_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\S*")
MOST_SECONDS = 300.0  # that anything may take: a benchmark that hangs tells nothing
_SAMPLE_SECONDS = 0.1
_ASK_SECONDS = 0.01  # between two looks at whether a server has printed its address
# Experiments whose curves are asked for at once.
KEYS_AT_ONCE = 100


class Tree:
    """The CPU time and the memory of a process with its children."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._clock = (~pid << 3) | 2  # its CPU time in nanoseconds, where /proc has hundredths of a second
        self._process = psutil.Process(pid)
        self._peaks: dict[int, int] = {}
        self._end = threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)
        self._watch.start()

    @property
    def cpu(self) -> float:
        """Seconds so far, of those that have ended, too."""
        times = self._process.cpu_times()
        total = time.clock_gettime(self._clock) + times.children_user + times.children_system
        for child in self._process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                own = child.cpu_times()
                total += own.user + own.system + own.children_user + own.children_system
        return total

    @property
    def peak(self) -> float:
        """The most MB so far: of each process what it had at most."""
        self._look()
        return sum(self._peaks.values()) / 1024

    def _sample(self) -> None:
        while not self._end.wait(_SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        with contextlib.suppress(psutil.Error):
            for pid in (self._pid, *(child.pid for child in self._process.children(recursive=True))):
                with contextlib.suppress(OSError):
                    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
                    if found:  # a process that has just ended has none
                        self._peaks[pid] = max(int(found[1]), self._peaks.get(pid, 0))

    def end(self) -> None:
        """Look no more."""
        self._end.set()
        self._watch.join()


class Server:
    """Start a process that prints at which address it answers, and end it.

    Args:
        command: that starts it.
        name: of it, in what is said where it fails.
        pattern: finds the address in what it prints.
        stop: the signal that ends it.

    Attributes:
        tree: its processes.
        address: that it printed.
    """

    def __init__(self, command: Command, name: str, pattern: re.Pattern[str], stop: signal.Signals) -> None:
        command.prepare()
        self._name, self._stop = name, stop
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed by end)
        self._connections: list[http.client.HTTPConnection] = []
        self._begun = time.perf_counter()
        self._process = subprocess.Popen(
            command.args,
            cwd=command.cwd,
            env=command.env,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self.tree = Tree(self._process.pid)
        try:
            self.address = self._printed(pattern)
            self._asking = self._connection()
            self._enter()
        except BaseException:
            self.end()
            raise

    def _enter(self) -> None:
        """Do what has to be done before anything else is asked for."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def cost(self) -> Cost:
        """What was taken since its start."""
        return Cost(self.tree.cpu, time.perf_counter() - self._begun)

    def end(self) -> None:
        """End it."""
        self.tree.end()
        self._process.send_signal(self._stop)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for connection in self._connections:
            connection.close()
        self._output.close()

    def _said(self) -> str:
        """Return what it has printed, without touching where it prints next."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def _printed(self, pattern: re.Pattern[str]) -> str:
        end = time.monotonic() + MOST_SECONDS
        while time.monotonic() < end:
            is_over = self._process.poll() is not None  # asked first: what it has printed by then is all
            if found := pattern.search(self._said()):
                return found[0]
            if is_over:
                break
            time.sleep(_ASK_SECONDS)
        raise self._broken("printed no address")

    def _connection(self) -> http.client.HTTPConnection:
        where = urllib.parse.urlsplit(self.address)
        made = http.client.HTTPConnection(str(where.hostname), where.port, timeout=MOST_SECONDS)
        self._connections.append(made)
        return made

    def _broken(self, what: str) -> CommandFailed:
        return CommandFailed(f"{self._name} {what}:\n{self._said()[-2000:]}")


class Served(Server):
    """A `heyhi serve`.

    Args:
        command: that serves; its port is 0.

    Attributes:
        table: the whole table as it is known so far, with what was new in it.
    """

    def __init__(self, command: Command) -> None:
        self.table: dict[str, Any] = {}
        self._news = threading.Condition()
        self._version = 0
        super().__init__(command, "heyhi serve", _ADDRESS, signal.SIGINT)  # which is Ctrl-C

    def _enter(self) -> None:
        parts = urllib.parse.urlsplit(self.address)
        self._shown = self._admitted(f"{parts.path}?{parts.query}")

    def look_on(self) -> None:
        """Have somebody look at it, from now to the end."""
        listening = self._connection()
        listening.request("GET", "/events", headers=self._shown)
        answer = listening.getresponse()
        if answer.status != 200:
            raise CommandFailed(f"/events answered {answer.status}")
        threading.Thread(target=self._listen, args=(answer,), daemon=True).start()

    def _listen(self, answer: http.client.HTTPResponse) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):  # the end closes it
            for line in answer:
                if line.startswith(b"data:"):
                    version = orjson.loads(line[5:])["version"]
                    with self._news:
                        self._version = version
                        self._news.notify_all()

    def fetch_news(self) -> dict[str, Any]:
        """Wait until there is news, fetch and keep it, and return what was answered."""
        known = int(self.table.get("version", 0))
        end = time.monotonic() + MOST_SECONDS
        with self._news:
            while self._version <= known:
                if not self._news.wait(1) and (self._process.poll() is not None or time.monotonic() > end):
                    raise self._broken("told no news")
        asked = f"?server={self.table['server']}&since={known}" if self.table else ""
        news: dict[str, Any] = self.get(f"/data{asked}")
        if "ids" in news:
            self.table = news
        elif news.get("version"):
            for place, cells in news.pop("rows", {}).items():
                self.table["runs"]["rows"][int(place)] = cells
                news.setdefault("places", []).append(int(place))
            self.table |= news
        return news

    def is_whole(self) -> bool:
        """Whether the table has all that is known of its experiments."""
        return bool(self.table.get("ids")) and not self.table.get("phase")

    def column(self, name: str) -> int:
        """Return the place of a column in the table's rows."""
        return [one["name"] for one in self.table["runs"]["columns"]].index(name)

    def fetch_curves(self, keys: Sequence[str], metrics: Sequence[str], points: int) -> None:
        """Fetch the curves of experiments, as many at once as a page does.

        Raises:
            CommandFailed: a curve is not among what is answered.
        """
        asked = "".join(f"&metrics={name}" for name in metrics)
        for first in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[first : first + KEYS_AT_ONCE]
            found = self.get(f"/curves?points={points}&keys={','.join(some)}{asked}")["curves"]
            for key in some:
                if not set(metrics) <= {name for one in found.get(key, ()) for name in one["y"]}:
                    raise CommandFailed(f"/curves answered without those of {key}")

    def get(self, path: str) -> Any:
        """Ask for something as the page does, and return the JSON that is answered."""
        headers = {**self._shown, "Accept-Encoding": "gzip"}
        try:
            self._asking.request("GET", path, headers=headers)
            answer = self._asking.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError):  # it was idle for long: asked again, as pages do
            self._asking.close()
            self._asking.request("GET", path, headers=headers)
            answer = self._asking.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise CommandFailed(f"{path[:80]} answered {answer.status}: {body[:500]!r}")
        return orjson.loads(gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body)

    def _admitted(self, path: str) -> dict[str, str]:
        """Show the token, and return the cookie and the key that are given for it, as headers."""
        try:
            self._asking.request("GET", path)
            answer = self._asking.getresponse()
            key = re.search(rb'data-key="(\w+)"', answer.read())
        except OSError as error:
            raise self._broken(f"doesn't answer where it says that it is ({error})") from None
        cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
        if not cookie or key is None:
            raise CommandFailed(f"heyhi serve gave no cookie or no key: {answer.status}")
        return {"Cookie": cookie, "HeyHi-Key": key[1].decode()}
