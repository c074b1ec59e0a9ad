"""Pages in a real browser, headless: how long it takes until a page has drawn its curves, ours and TensorBoard's."""

from __future__ import annotations

import functools
import shutil
import time
import urllib.parse
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from benchmarks.served import MOST_SECONDS
from benchmarks.timing import CommandFailed

_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
_LEAST_POINTS = 50  # of a line that is thinned out to what can be seen
_POINTS = "document.getElementById('curves').data.reduce((sum, trace) => sum + trace.x.length, 0)"
# All charts are in view: TensorBoard loads what is, and no more.
_SIZE: Any = {"width": 1400, "height": 2000}
P = ParamSpec("P")
R = TypeVar("R")


def find_chromium() -> str | None:
    """Return the browser's program, where there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def _failing(draw: Callable[P, R]) -> Callable[P, R]:
    """Have what a browser can't do, such as reach a page in time, be told as what else fails."""

    @functools.wraps(draw)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        from playwright.sync_api import Error

        try:
            return draw(*args, **kwargs)
        except Error as error:
            raise CommandFailed(f"Chromium: {error}") from None

    return told


class Chromium:
    """Start the browser; each page is opened in a fresh profile."""

    def __enter__(self) -> Self:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=find_chromium(), args=list(_FLAGS))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._browser.close()
        self._playwright.stop()

    @_failing
    def draw_served(self, address: str, runs: int, metrics: Sequence[str] = ()) -> float:
        """Open the page of a server with the curves of all runs, and return the seconds until they are drawn.

        Args:
            address: with its token.
            runs: how many have curves.
            metrics: that are drawn; default: the one that the page chooses.
        """
        asked = urllib.parse.urlencode([("lines", "Infinity"), ("seeds", "0"), *(("metric", one) for one in metrics)])
        page = self._page()
        fetched: set[str] = set()

        def count(request: Any) -> None:
            parts = urllib.parse.urlsplit(request.url)
            if parts.path.endswith("/curves"):
                fetched.update(urllib.parse.parse_qs(parts.query).get("keys", [""])[0].split(","))

        page.on("requestfinished", count)
        begun = time.perf_counter()
        page.goto(f"{address}#{asked}")
        _wait(page, "document.body.dataset.ready && globalThis.heyhi.isDrawn()")
        seconds = time.perf_counter() - begun
        points = page.evaluate(_POINTS)
        page.context.close()
        if len(fetched) != runs or points < runs * max(len(metrics), 1) * _LEAST_POINTS:
            raise CommandFailed(f"the page fetched curves of {len(fetched)} of {runs} runs and drew {points} points")
        return seconds

    @_failing
    def draw_tensorboard(self, address: str, metrics: Sequence[str]) -> None:
        """Open TensorBoard's page and wait until the curves of all tags have come, and nothing shows that it loads."""
        page = self._page()
        come: list[str] = []
        page.on("requestfinished", lambda request: come.append(request.url.rpartition("/")[2]))
        page.goto(f"{address}#timeseries")
        _wait(
            page,
            f"document.querySelectorAll('scalar-card line-chart').length === {len(metrics)}"
            " && !document.querySelector('scalar-card mat-spinner')",
        )
        page.context.close()
        if come.count("timeSeries") < len(metrics):
            raise CommandFailed(f"TensorBoard's page asked {come.count('timeSeries')} times for {len(metrics)} tags")

    def _page(self) -> Any:
        context = self._browser.new_context(viewport=_SIZE)
        context.set_default_timeout(MOST_SECONDS * 1000)
        return context.new_page()


def _wait(page: Any, what: str) -> None:
    """Look at each frame whether something is so; Playwright's own waiting is what a page's policy forbids.

    Raises:
        CommandFailed: it doesn't become so.
    """
    look = (
        f"{what} ? told(true) : performance.now() > {MOST_SECONDS * 1000} ? told(false) : requestAnimationFrame(look)"
    )
    if not page.evaluate(f"() => new Promise((told) => {{ const look = () => {look}; look(); }})"):
        raise CommandFailed(f"in {MOST_SECONDS:g} s a page came to no: {what}")
