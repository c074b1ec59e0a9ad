"""Pages in a real browser, headless: how long it takes until a page has drawn its curves, ours and TensorBoard's.

The browser is told through a pipe, and only what it takes to open a page and to look at it. Tools that test pages have
it compile scripts for a debugger, which takes half a second that nobody waits for who looks at a page.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from benchmarks.served import MOST_SECONDS
from benchmarks.timing import CommandFailed

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
)
_LEAST_POINTS = 50  # of a line that is thinned out to what can be seen
_LOOK_SECONDS = 0.02
_HAS_FAILED = "location.protocol === 'chrome-error:'"
_POINTS = "document.getElementById('curves').data.reduce((sum, trace) => sum + trace.x.length, 0)"
_ASKED = "performance.getEntriesByType('resource').filter((one) => one.responseEnd > 0).map((one) => one.name)"
# A frame begins once the one before is painted: then what was there at a look has been seen.
_PAINTED = "new Promise((told) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(told))))"
# All charts are in view: TensorBoard loads what is, and no more.
_SIZE = {"width": 1400, "height": 2000}


def find_chromium() -> str | None:
    """Return the browser's program, where there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Chromium:
    """Start the browser; each page is opened in a fresh profile."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="heyhi-bench-", ignore_cleanup_errors=True)
        self._pipe = _Pipe([find_chromium() or "chromium", *_FLAGS, f"--user-data-dir={self._folder.name}"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.end()
        self._folder.cleanup()

    def draw_served(self, address: str, runs: int, metrics: Sequence[str] = ()) -> float:
        """Open the page of a server with the curves of all runs, and return the seconds until they are drawn.

        Args:
            address: with its token.
            runs: how many have curves.
            metrics: that are drawn; default: the one that the page chooses.
        """
        asked = urllib.parse.urlencode([("lines", "Infinity"), ("seeds", "0"), *(("metric", one) for one in metrics)])
        begun = time.perf_counter()
        with _Page(self._pipe, f"{address}#{asked}") as page:
            page.wait("document.body?.dataset.ready && globalThis.heyhi.isDrawn()")
            seconds = time.perf_counter() - begun
            points = page.evaluate(_POINTS)
            curves = [one for one in map(urllib.parse.urlsplit, page.evaluate(_ASKED)) if one.path.endswith("/curves")]
        fetched = {key for one in curves for key in urllib.parse.parse_qs(one.query).get("keys", [""])[0].split(",")}
        if len(fetched) != runs or points < runs * max(len(metrics), 1) * _LEAST_POINTS:
            raise CommandFailed(f"the page fetched curves of {len(fetched)} of {runs} runs and drew {points} points")
        return seconds

    def draw_tensorboard(self, address: str, metrics: Sequence[str]) -> None:
        """Open TensorBoard's page and wait until the curves of all tags have come, and nothing shows that it loads."""
        with _Page(self._pipe, f"{address}#timeseries") as page:
            page.wait(
                f"document.querySelectorAll('scalar-card line-chart').length === {len(metrics)}"
                " && !document.querySelector('scalar-card mat-spinner')",
            )
            come = [one.rpartition("/")[2] for one in page.evaluate(_ASKED)]
        if come.count("timeSeries") < len(metrics):
            raise CommandFailed(f"TensorBoard's page asked {come.count('timeSeries')} times for {len(metrics)} tags")


class _Page:
    """A page in a profile of its own, open while the context is."""

    def __init__(self, pipe: _Pipe, address: str) -> None:
        self._pipe, self._address = pipe, address

    def __enter__(self) -> Self:
        self._profile = self._pipe.ask("Target.createBrowserContext")["browserContextId"]
        opened = self._pipe.ask("Target.createTarget", url=self._address, browserContextId=self._profile, **_SIZE)
        attached = self._pipe.ask("Target.attachToTarget", targetId=opened["targetId"], flatten=True)
        self._session = attached["sessionId"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(CommandFailed):
            self._pipe.ask("Target.disposeBrowserContext", browserContextId=self._profile)

    def evaluate(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        found = self._pipe.ask("Runtime.evaluate", self._session, **asked)
        if "exceptionDetails" in found:
            raise CommandFailed(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, what: str) -> None:
        """Look again and again whether something is so, and then wait until that is painted.

        Raises:
            CommandFailed: it doesn't become so.
        """
        end = time.monotonic() + MOST_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(_Gone):
                if self.evaluate(f"Boolean({what})"):
                    self.evaluate(_PAINTED)
                    return
                if self.evaluate(_HAS_FAILED):
                    raise CommandFailed(f"Chromium: {self._address.partition('?')[0]} can't be reached")
            time.sleep(_LOOK_SECONDS)
        raise CommandFailed(f"in {MOST_SECONDS:g} s a page came to no: {what}")


class _Gone(CommandFailed):
    """A page has become another one while it was looked at, as the page of a server does that takes the token."""


class _Pipe:
    """A browser that is asked through a pipe: one JSON after the other, with a zero byte behind each."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            ["sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null', *command, "--remote-debugging-pipe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self._process.stdin and self._process.stdout
        self._writing, self._reading = self._process.stdin, self._process.stdout
        self._count, self._rest = 0, b""

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Ask for something, and return the answer.

        Raises:
            _Gone: whom it was about isn't there any more.
            CommandFailed: it can't be done.
        """
        self._count += 1
        asked = {
            "id": self._count,
            "method": method,
            "params": parameters,
            **({"sessionId": session} if session else {}),
        }
        text = json.dumps(asked).encode() + b"\0"
        while text:
            text = text[os.write(self._writing.fileno(), text) :]
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self._count:
                break
        if "error" in answer:
            told = answer["error"].get("message", "")
            raise (_Gone if session else CommandFailed)(f"{method}: {told}")
        found: dict[str, Any] = answer["result"]
        return found

    def _next(self) -> bytes:
        while b"\0" not in self._rest:
            if not select.select([self._reading], [], [], MOST_SECONDS)[0]:
                raise CommandFailed(f"Chromium says nothing for {MOST_SECONDS:g} s")
            piece = os.read(self._reading.fileno(), 1 << 20)
            if not piece:
                raise CommandFailed(f"Chromium ended with {self._process.wait()}")
            self._rest += piece
        found, _, self._rest = self._rest.partition(b"\0")
        return found

    def end(self) -> None:
        """End it."""
        with contextlib.suppress(CommandFailed, OSError):
            self.ask("Browser.close")
        self._writing.close()
        self._reading.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
