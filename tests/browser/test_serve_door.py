"""How a browser gets into `heyhi serve`: by its address, a link, a frame of a notebook; and no page of others."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heyhi.serve.tickets import make_ticket
from tests.unit.serve.served import Served, make_project, serving, table


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("door"))


@pytest.fixture
def served(project: Path) -> Iterator[Served]:
    with serving(project) as served:
        table(served)
        yield served


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context()
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """Yield the folder and the port of a site of this machine."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, server.server_port
        server.shutdown()


def test_the_token_leaves_the_address_and_what_is_seen_stays(page: Any, served: Served) -> None:
    page.goto(f"{served.address}#view=abc")
    assert page.evaluate("location.search") == ""
    assert page.evaluate("performance.getEntriesByType('navigation')[0].name").endswith("/#view=abc")
    page.wait_for_selector("body[data-ready]")
    page.reload()
    page.wait_for_selector("body[data-ready]")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_link_of_another_site_leads_to_the_page(page: Any, served: Served, site: tuple[Path, int], host: str) -> None:
    folder, port = site
    (folder / "index.html").write_text(f'<a href="{served.address}#view=abc">here</a>')
    page.goto(f"http://{host}:{port}/")
    page.click("a")
    page.wait_for_url(f"http://127.0.0.1:{served.port}/#*")
    assert page.evaluate("performance.getEntriesByType('navigation')[0].name").endswith("/#view=abc")
    page.wait_for_selector("body[data-ready]")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_another_site_gets_nothing_with_the_cookie_of_its_visitor(
    page: Any, served: Served, site: tuple[Path, int], host: str
) -> None:
    folder, port = site
    page.goto(served.address)
    page.wait_for_selector("body[data-ready]")
    (folder / "index.html").write_text(
        f"<iframe src='{served.address}'></iframe><script src='http://127.0.0.1:{served.port}/static/page.js'></script>"
    )
    answers = []
    page.on("response", lambda response: answers.append(response.status))
    page.goto(f"http://{host}:{port}/")
    assert [status for status in answers if status == 403]
    got = page.evaluate(
        """address => fetch(address, {mode: "no-cors", credentials: "include"})
            .then(answer => answer.type, error => "refused")""",
        f"http://127.0.0.1:{served.port}/data",
    )
    assert got in ("opaque", "refused")
    assert answers[-1] == 403
    assert all(frame.url.startswith(("chrome-error:", f"http://{host}:{port}/")) for frame in page.frames)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_frame_of_a_notebook_shows_the_page_also_when_it_is_loaded_again(
    page: Any, project: Path, site: tuple[Path, int], host: str
) -> None:
    """A page of Jupyter's, at either name: the frame's cookies are those of another site, or not."""
    import json
    import subprocess
    import sys

    folder, port = site
    command = [sys.executable, "-m", "heyhi", "serve", "--child", "--port", "0"]
    with subprocess.Popen(command, cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        address = told["address"] + make_ticket(told["token"])
        (folder / "index.html").write_text(f"<iframe src='{address}' width=1000 height=700></iframe>")
        for _ in range(2):
            page.goto(f"http://{host}:{port}/")
            page.frame_locator("iframe").locator("body[data-ready]").wait_for()
        child.stdin.close()
