"""Who may ask a server, and what."""

from __future__ import annotations

import re
from typing import Any

import pytest

from heyhi.serve import tickets
from heyhi.serve.guard import Guard
from heyhi.serve.tickets import make_ticket
from tests.threads import run_async

TOKEN = "t0ken-" + "x" * 32
PORT = 21_000
COOKIE = f"heyhi-{PORT}={tickets.derived(TOKEN, 'cookie')}"
KEY = tickets.derived(TOKEN, "key")
OPEN = ("/", "/static/page.js", "/favicon.ico")  # in which nothing is told of experiments
CLOSED = (
    "/data",
    "/curves?keys=0",
    "/experiments/0",
    "/experiments/0/log",
    "/events",
    "/static",
    "/static/a/b",
    "//data",
)
PATHS = ("/", "/data", "/static/page.js", "/nothing/here", "/%2e%2e/etc/passwd", "//evil.com")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE")


class Asked:
    """What a guard has answered."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 0, list[tuple[str, str]](), b""

    def __getitem__(self, name: str) -> str:
        (value,) = (value for own, value in self.headers if own == name)
        return value

    def has(self, name: str) -> bool:
        return any(own == name for own, _ in self.headers)


def ask(
    path: str = "/",
    *,
    method: str = "GET",
    host: str | None = f"127.0.0.1:{PORT}",
    cookie: str = "",
    in_notebook: bool = False,
    guard: Guard | None = None,
    **headers: str,
) -> Asked:
    asked = Asked()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"let in"})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            asked.status = message["status"]
            asked.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
        else:
            asked.body += message["body"]

    given = [(name.replace("_", "-"), value) for name, value in headers.items()]
    given += [("host", host)] * (host is not None) + [("cookie", cookie)] * bool(cookie)
    plain, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": plain,
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given],
        "server": ("127.0.0.1", PORT),
        "client": ("127.0.0.1", 5),
    }
    guard = guard or Guard(app, TOKEN, PORT, ["node7", "node7.lab"], in_notebook=in_notebook)
    guard._app = app
    run_async(guard(scope, None, send))  # type: ignore[arg-type]
    return asked


def test_a_stranger_gets_one_answer_whatever_there_is() -> None:
    answers = {
        (asked.status, asked.body, tuple(asked.headers))
        for path in PATHS
        for method in METHODS
        for asked in (
            ask(path, method=method),
            ask(path, method=method, cookie=f"heyhi-{PORT}=wrong"),
            ask(f"{path}?token=wrong", method=method),
            ask(f"{path}?token=", method=method),
            ask(path, method=method, cookie=COOKIE, host="evil.com"),
        )
    }
    ((status, body, headers),) = answers
    assert status == 403
    assert b"open the address that `heyhi serve` has printed" in body
    assert ("connection", "close") in headers


def key_in(asked: Asked) -> str:
    """Return the key that a page gives to its storage."""
    (key,) = re.findall(rb'<script src="/static/enter.js" data-key="(\w*)">', asked.body)
    return str(key.decode())


def test_the_token_becomes_a_cookie_and_a_key() -> None:
    asked = ask(f"/?a=1&token={TOKEN}&b=%23x")
    assert (asked.status, key_in(asked)) == (200, KEY)
    assert asked["set-cookie"] == f"{COOKIE}; Path=/; HttpOnly; SameSite=Strict"
    assert ask(cookie=asked["set-cookie"].partition(";")[0]).body == b"let in"
    assert ask(cookie=f"other=1; {COOKIE}; heyhi-{PORT}=stale").body == b"let in"
    assert TOKEN.encode() not in asked.body
    assert KEY not in asked["set-cookie"]


def test_the_cookie_alone_opens_nothing_that_tells_of_experiments() -> None:
    """A browser sends it to each port of the machine: whoever listens at one has it."""
    stolen = COOKIE.partition("=")[2]
    for path in OPEN:
        assert ask(path, cookie=COOKIE).body == b"let in"
    for path in CLOSED:
        assert ask(path, cookie=COOKIE, heyhi_key=KEY).body == b"let in"
        with_key = f"{path}{'&' if '?' in path else '?'}key={KEY}"
        assert (ask(with_key, cookie=COOKIE).body == b"let in") == (path == "/events")
        assert ask(path, heyhi_key=KEY).status == 403
        for wrong in ("", stolen, TOKEN, KEY[:-1], "\xe9"):
            assert ask(path, cookie=COOKIE, heyhi_key=wrong).status == 403
        assert ask(path, cookie=COOKIE).status == 403
        assert ask(path, cookie=COOKIE, method="POST").status == 403


def test_the_cookie_gives_nobody_the_key() -> None:
    stolen = COOKIE.partition("=")[2]
    for given in ("", "wrong", stolen, f"cookie.{stolen[:32]}", f"ticket cookie.{stolen[:32]}"):
        asked = ask(f"/?token={given}", cookie=COOKIE)
        assert (asked.status, key_in(asked)) == (200, ""), "who has an old address is led to the page, with its own key"


def test_a_cookie_of_another_port_is_none() -> None:
    assert ask(cookie=COOKIE.replace(str(PORT), str(PORT + 1))).status == 403


def test_behind_a_tunnel_the_cookie_is_named_by_the_port_that_the_browser_asks() -> None:
    """Two tunnels to two machines may lead to one port there; and one to another port here."""
    host = "localhost:6001"
    cookie = ask(f"/?token={TOKEN}", host=host)["set-cookie"].partition(";")[0]
    assert cookie == COOKIE.replace(str(PORT), "6001")
    assert ask(host=host, cookie=cookie).body == b"let in"
    assert ask(host="localhost", cookie=COOKIE.replace(str(PORT), "80")).body == b"let in"


@pytest.mark.parametrize(
    "host",
    [
        *(
            f"evil.com:{PORT}",
            "evil.com",
            "127.0.0.1.evil.com",
            f"localhost.evil.com:{PORT}",
            f"127.0.0.1@evil.com:{PORT}",
        ),
        *("", "127.0.0.1:", "127.0.0.1:x", f"10.0.0.5:{PORT}", "node7", "node7:80", "[::1", f"node8:{PORT}"),
    ],
)
def test_another_name_than_ours_is_refused(host: str) -> None:
    assert ask(host=host, cookie=f"{COOKIE}; {COOKIE.replace(str(PORT), '80')}").status == 403
    assert ask(f"/?token={TOKEN}", host=host).status == 403


@pytest.mark.parametrize("host", [f"node7:{PORT}", f"NODE7.lab:{PORT}", f"[::1]:{PORT}", f"LOCALHOST:{PORT}"])
def test_our_names_are_known(host: str) -> None:
    assert ask(host=host, cookie=COOKIE).body == b"let in"


def test_without_a_host_nothing_is_answered() -> None:
    assert ask(host=None, cookie=COOKIE).status == 403


def test_another_origin_is_refused() -> None:
    assert ask(cookie=COOKIE, origin=f"http://127.0.0.1:{PORT}").body == b"let in"
    for origin in (
        "http://evil.com",
        "null",
        f"http://localhost:{PORT}",
        "http://127.0.0.1",
        f"https://127.0.0.1:{PORT}",
    ):
        assert ask(cookie=COOKIE, origin=origin).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_gets_nothing_but_may_lead_to_the_page(site: str) -> None:
    page = {"sec_fetch_site": site, "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    script = {"sec_fetch_site": site, "sec_fetch_mode": "no-cors", "sec_fetch_dest": "script"}
    frame = {"sec_fetch_site": site, "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}
    for other in (script, frame):
        assert ask("/static/page.js", cookie=COOKIE, **other).status == 403
        assert ask(f"/?token={TOKEN}", **other).status == 403
    assert ask(cookie=COOKIE, **page).status == 403
    asked = ask(f"/?token={TOKEN}", **page)
    assert (asked.status, key_in(asked)) == (200, KEY)
    assert asked.has("set-cookie")


@pytest.mark.parametrize("method", METHODS[1:])
def test_only_get_is_answered(method: str) -> None:
    asked = ask("/nothing", method=method, cookie=COOKIE, heyhi_key=KEY)
    assert (asked.status, asked["allow"], asked.body) == (405, "GET", b"only GET\n")


def test_each_answer_has_the_headers_that_keep_others_out() -> None:
    for asked in (ask(), ask(cookie=COOKIE), ask(f"/?token={TOKEN}"), ask(cookie=COOKIE, method="POST")):
        policy = asked["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert asked["x-content-type-options"] == "nosniff"
        assert asked["referrer-policy"] == "no-referrer"
        assert asked["cache-control"] == "no-store"
        assert asked["cross-origin-opener-policy"] == asked["cross-origin-resource-policy"] == "same-origin"


FRAME = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}
OWN = {"sec_fetch_site": "same-origin", "sec_fetch_mode": "cors", "sec_fetch_dest": "empty"}


def test_a_ticket_opens_a_frame_of_a_notebook_once_and_then_its_cookie_does() -> None:
    guard = Guard(ask, TOKEN, PORT, in_notebook=True)  # type: ignore[arg-type]
    address = f"/?token={make_ticket(TOKEN)}"
    asked = ask(address, guard=guard, **FRAME)
    assert key_in(asked) == KEY
    assert asked["set-cookie"].endswith("; Path=/; HttpOnly; Secure; SameSite=None; Partitioned")
    assert TOKEN not in asked["set-cookie"]
    cookie = asked["set-cookie"].partition(";")[0]
    assert ask(address, guard=guard, **FRAME).status == 403
    assert ask(address, guard=guard).status == 403
    assert key_in(ask(address, guard=guard, cookie=cookie, **FRAME)) == KEY
    assert key_in(ask(address, guard=guard, cookie=cookie)) == ""
    assert key_in(ask("/?token=another", guard=guard, cookie=cookie, **FRAME)) == ""
    assert ask("/", guard=guard, cookie=cookie, **FRAME).body == b"let in"
    assert ask("/data", guard=guard, cookie=cookie, heyhi_key=KEY, **OWN).body == b"let in"
    assert ask("/data", guard=guard, cookie=cookie, **OWN).status == 403
    script = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "script"}
    assert ask("/data", guard=guard, cookie=cookie, heyhi_key=KEY, **script).status == 403


def test_a_ticket_opens_a_page_of_its_own_too() -> None:
    asked = ask(f"/?token={make_ticket(TOKEN)}", in_notebook=True)
    assert (key_in(asked), asked["set-cookie"].partition(";")[0]) == (KEY, COOKIE)


def test_only_pages_of_this_machine_frame_what_a_notebook_has_started() -> None:
    policy = ask(in_notebook=True)["content-security-policy"]
    assert policy.partition("frame-ancestors ")[2].split() == [
        *("http://127.0.0.1:*", "http://localhost:*", "https://127.0.0.1:*", "https://localhost:*")
    ]
    assert ask(f"/?token={make_ticket(TOKEN)}", **FRAME).status == 403
    assert ask(cookie=f"heyhi-{PORT}-frame={tickets.derived(TOKEN, 'frame')}").status == 403


@pytest.mark.parametrize("wrong", ["", ".", "..", "a.b.c", "é.1.2", f"ab.99999999999.{'0' * 32}", "ab.inf.0"])
def test_a_ticket_that_nobody_made_is_none(wrong: str) -> None:
    assert ask(f"/?token={wrong}", in_notebook=True).status == 403


def test_an_old_ticket_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = make_ticket(TOKEN)
    now = tickets.time.time()
    monkeypatch.setattr(tickets.time, "time", lambda: now + tickets.TICKET_SECONDS + 2)
    assert ask(f"/?token={ticket}", in_notebook=True).status == 403
