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
from tests.unit.serve.served import Served, ask, make_project, serving, table


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


def test_a_server_at_another_port_reads_nothing_with_the_cookie_that_it_is_sent(page: Any, served: Served) -> None:
    told: list[str] = []

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append(self.headers.get("Cookie", ""))
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    page.goto(served.address)
    page.wait_for_selector("body[data-ready]")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stranger = page.context.new_page()
        stranger.goto(f"http://127.0.0.1:{server.server_port}/")
        assert stranger.evaluate("Object.keys(localStorage)") == []
        server.shutdown()
    stolen = next(cookie for cookie in told if cookie)
    (key,) = table(served)["keys"]
    for path in (
        "/data",
        f"/curves?keys={key}&points=100",
        f"/experiments/{key}",
        f"/experiments/{key}/log",
        "/events",
    ):
        assert ask(served.port, path, headers={"Cookie": stolen}).status == 403
    assert b'data-key=""' in ask(served.port, "/?token=x", headers={"Cookie": stolen}).body


def test_another_tab_of_the_browser_needs_no_token(page: Any, served: Served) -> None:
    page.goto(served.address)
    page.wait_for_selector("body[data-ready]")
    other = page.context.new_page()
    other.goto(f"http://127.0.0.1:{served.port}/#view=abc")
    other.wait_for_selector("body[data-ready]")
    page.goto(f"http://127.0.0.1:{served.port}/?token=of-a-server-before")
    page.wait_for_selector("body[data-ready]")
    assert page.evaluate("location.search") == ""


def test_a_page_without_the_key_says_which_address_to_open(page: Any, served: Served) -> None:
    page.goto(served.address)
    page.wait_for_selector("body[data-ready]")
    page.evaluate("localStorage.clear()")
    page.reload()
    page.get_by_text("open the address that `heyhi serve` prints now").wait_for()
    page.goto(served.address)
    page.wait_for_selector("body[data-ready]")


def test_where_the_storage_is_closed_it_is_said(page: Any, served: Served) -> None:
    page.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('no', 'SecurityError'); }")
    page.goto(served.address)
    page.get_by_text("keeps a key in the browser's storage").wait_for()


@pytest.mark.parametrize("path", ["//evil.invalid", "/\\evil.invalid", "/%0d%0ax"])
def test_the_token_leads_to_no_other_host(page: Any, served: Served, path: str) -> None:
    """What the address leads to is of the server, whatever its path is."""
    page.goto(f"http://127.0.0.1:{served.port}{path}?token={served.token}")
    page.wait_for_function("location.search === ''")
    assert page.evaluate("location.host") == f"127.0.0.1:{served.port}"


def test_many_cookies_of_another_port_are_said(page: Any, served: Served, site: tuple[Path, int]) -> None:
    page.goto(served.address)
    page.wait_for_selector("body[data-ready]")
    other = page.context.new_page()
    other.goto(f"http://127.0.0.1:{site[1]}/")
    other.evaluate("for (let i = 0; i < 40; i += 1) document.cookie = `j${i}=${'x'.repeat(3500)};path=/`")
    page.reload()
    page.get_by_text("clear the cookies of this address").wait_for()
