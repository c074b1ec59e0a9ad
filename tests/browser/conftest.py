"""A real browser for the tests of this folder: Debian's Chromium, headless, with no network to go to."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from heyhi.report.page import PageData, write_page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Told before any script of the page runs.
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
window.alert = (text) => window.violations.push(`alert ${text}`);
"""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: drives headless Chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    left_out = None if os.environ.get("CI", "").lower() == "true" else lacking()
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker("browser")
            if left_out:  # by a mark: the summary has one line then
                item.add_marker(pytest.mark.skip(left_out))


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def lacking() -> str:
    """Say why no browser can be driven here; an empty text: one can."""
    if find_chromium() is None:
        return "browser tests need Chromium: apt-get install chromium"
    if importlib.util.find_spec("playwright") is None:
        return "browser tests need Playwright: pip install playwright (its own browsers are not needed)"
    return ""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Start one Chromium for all tests; each opens its page in a fresh profile."""
    if what := lacking():
        pytest.fail(what, pytrace=False)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """What a page did beside what it showed."""

    page: Any
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Write a page and open it from the disk; afterwards see that it kept to itself and reported no error."""
    opened: list[Watched] = []
    contexts = []

    def open_it(data: PageData | Path, *, wait: bool = True, **options: Any) -> Any:
        path = data if isinstance(data, Path) else tmp_path / "report.html"
        if isinstance(data, PageData):
            write_page(path, data)
        context = chromium.new_context(**{"viewport": {"width": 1400, "height": 1000}, **options})
        contexts.append(context)
        context.set_default_timeout(120_000)  # milliseconds, after which something hangs
        context.add_init_script(LISTEN)
        page = context.new_page()
        watched = Watched(page)
        opened.append(watched)
        page.on("request", lambda request: watched.requests.append(request.url))
        page.on("console", lambda message: watched.messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: watched.messages.append(f"uncaught: {error}"))
        page.goto(path.as_uri())
        if wait:
            page.wait_for_selector("body[data-ready]")
        return page

    yield open_it
    for watched in opened:
        outside = [url for url in watched.requests if not url.startswith(("file://", "data:", "blob:"))]
        assert not outside, "the page asked the network for something"
        frames = {frame.url.partition("#")[0] for frame in watched.page.frames}
        files = {url.partition("#")[0] for url in watched.requests if url.startswith("file://")}
        assert files <= frames, "it needs another file"
        assert not watched.messages
        assert watched.page.evaluate("window.violations") == []
    for context in contexts:
        context.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Any]:
    """A project without experiments, whose servers and launches end with the test; see served.py."""
    from tests.browser.served import Lab

    made = Lab.new(tmp_path)
    yield made
    made.close()


@pytest.fixture
def watch(chromium: Any) -> Iterator[Any]:
    """Opens pages of servers, and fails at their errors and requests to elsewhere."""
    from tests.browser.served import watching

    with watching(chromium) as found:
        yield found
