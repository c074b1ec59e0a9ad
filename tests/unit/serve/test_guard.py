"""Who may ask a server, and what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heyhi.serve import tickets
from heyhi.serve.guard import Guard
from heyhi.serve.tickets import make_ticket

TOKEN = "t0ken-" + "x" * 32
PORT = 21_000
COOKIE = f"heyhi-{PORT}={TOKEN}"
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
    asyncio.run(guard(scope, None, send))  # type: ignore[arg-type]
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


def test_the_token_becomes_a_cookie_and_leaves_the_address() -> None:
    asked = ask(f"/?a=1&token={TOKEN}&b=%23x")
    assert (asked.status, asked["location"]) == (303, "/?a=1&b=%23x")
    assert asked["set-cookie"] == f"{COOKIE}; Path=/; HttpOnly; SameSite=Strict"
    assert ask(cookie=asked["set-cookie"].partition(";")[0]).body == b"let in"
    assert ask(cookie=f"other=1; {COOKIE}; heyhi-{PORT}=stale").body == b"let in"


@pytest.mark.parametrize("path", ["//evil.com", "/\\evil.com", "/a//evil.com", "/%0d%0ax"])
def test_the_token_leads_to_no_other_host(path: str) -> None:
    assert ask(f"{path}?token={TOKEN}")["location"] == "/"


def test_a_cookie_of_another_port_is_none() -> None:
    assert ask(cookie=f"heyhi-{PORT + 1}={TOKEN}").status == 403


def test_behind_a_tunnel_the_cookie_is_named_by_the_port_that_the_browser_asks() -> None:
    """Two tunnels to two machines may lead to one port there; and one to another port here."""
    host = "localhost:6001"
    cookie = ask(f"/?token={TOKEN}", host=host)["set-cookie"].partition(";")[0]
    assert cookie == f"heyhi-6001={TOKEN}"
    assert ask(host=host, cookie=cookie).body == b"let in"
    assert ask(host="localhost", cookie=f"heyhi-80={TOKEN}").body == b"let in"


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
    assert ask(host=host, cookie=f"{COOKIE}; heyhi-80={TOKEN}").status == 403
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
    # Strict cookies aren't sent on where another site leads: our own script goes there.
    assert asked.status == 200
    assert b'<script src="/static/enter.js">' in asked.body
    assert asked.has("set-cookie")


@pytest.mark.parametrize("method", METHODS[1:])
def test_only_get_is_answered(method: str) -> None:
    asked = ask("/nothing", method=method, cookie=COOKIE)
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
    assert asked.status == 303
    assert asked["set-cookie"].endswith("; Path=/; HttpOnly; Secure; SameSite=None; Partitioned")
    assert TOKEN not in asked["set-cookie"]
    cookie = asked["set-cookie"].partition(";")[0]
    assert ask(address, guard=guard, **FRAME).status == 403
    assert ask(address, guard=guard).status == 403
    assert ask(address, guard=guard, cookie=cookie, **FRAME).status == 303
    assert ask("/", guard=guard, cookie=cookie, **FRAME).body == b"let in"
    assert ask("/data", guard=guard, cookie=cookie, **OWN).body == b"let in"
    script = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "script"}
    assert ask("/data", guard=guard, cookie=cookie, **script).status == 403


def test_a_ticket_opens_a_page_of_its_own_too() -> None:
    asked = ask(f"/?token={make_ticket(TOKEN)}", in_notebook=True)
    assert (asked.status, asked["set-cookie"].partition(";")[0]) == (303, COOKIE)


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
