"""Who may ask a server, and what: whoever has its token, by GET, at a name of its own.

The token stands in the address that is printed, which gives a browser two things. A cookie opens the page and its
files, in which nothing is told of experiments: a browser sends it to every port of the machine, and so to servers of
other users. A key opens the rest: it lies in the storage of the page's own origin, and only its scripts send it.
Everybody else gets the same answer, whatever they ask for: nothing is told of what there is. What `heyhi.show` puts
into a notebook has a ticket in the token's place (see `tickets`), since notebooks are saved, and shared.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.serve.tickets import Tickets, derived

if TYPE_CHECKING:
    from collections.abc import Awaitable, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

STALL_SECONDS = 30.0  # after which a reader that takes nothing more is left
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_REFUSED = (
    "open the address that `heyhi serve` has printed, with its token and the host that stands there, or localhost:"
    " by other names nothing is answered; in a notebook, run the cell again\n"
)
_PARAMETER = "token"
KEY_HEADER, KEY_PARAMETER = "heyhi-key", "key"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]\s]+)(?::([0-9]{1,5}))?")
# What the cookie alone opens.
_OPEN = re.compile(r"/(static/[^/]*|favicon\.ico)?")
# Where the key may stand in the address: an EventSource sends no headers.
_STREAM = "/events"
# Plotly and the table write styles, and draw downloads as blobs.
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
)
_NOTEBOOKS = " ".join(f"{scheme}://{name}:*" for scheme in ("http", "https") for name in ("127.0.0.1", "localhost"))
_ENTER = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>HeyHi</title>
<script src="/static/enter.js" data-key="{}"></script>
<noscript>this page needs JavaScript</noscript>
"""


class Admission(NamedTuple):
    """How a request is taken.

    Attributes:
        is_let_in: whether it is answered by the app.
        cookie: to be set first; the answer leads to the same address without its token then.
        key: that the page is given for its storage; empty where it isn't shown what opens it.
    """

    is_let_in: bool = False
    cookie: str = ""
    key: str = ""


class Guard:
    """Let through who may ask, and give each answer its headers.

    Args:
        app: what answers.
        token: of this server.
        port: that it listens at.
        names: by which its machine is asked for beside loopback ones, in small letters; an IPv6 address in brackets.
        in_notebook: whether pages of this machine may frame it.
        admitted: told the client of each request that is let through; returns whether there is room for it.
        leave: called with a client that takes nothing of its answer.
    """

    def __init__(
        self,
        app: App,
        token: str,
        port: int,
        names: Collection[str] = (),
        *,
        in_notebook: bool = False,
        admitted: Callable[[object], bool] = lambda client: True,
        leave: Callable[[object], None] = lambda client: None,
    ) -> None:
        self._app, self._token, self._port, self._names = app, token, port, frozenset(names)
        self._tickets = Tickets(token)
        self._in_notebook = in_notebook
        # None of them tells another, nor the token.
        self._cookie, self._frame_cookie, self._key = (derived(token, what) for what in ("cookie", "frame", "key"))
        self._admitted, self._leave = admitted, leave
        self._headers = [
            (b"content-security-policy", (_CSP + (_NOTEBOOKS if in_notebook else "'none'")).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have the app answer."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return None

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                if all(name != b"cache-control" for name, _ in own):
                    own.append((b"cache-control", b"no-store"))
                message["headers"] = [*own, *self._headers]
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await send(message)
            except TimeoutError:
                self._leave(scope.get("client"))
                raise ConnectionAbortedError("nothing of the answer is taken") from None

        admission = self._admission(scope)
        if not admission.is_let_in:
            # Closed: nobody who has no token holds a connection.
            return await _answer(send_guarded, 403, _REFUSED, [(b"connection", b"close")])
        if scope["method"] != "GET":
            return await _answer(send_guarded, 405, "only GET\n", [(b"allow", b"GET"), (b"connection", b"close")])
        if not self._admitted(scope.get("client")):
            return await _answer(send_guarded, 503, "too many connections\n", [(b"connection", b"close")])
        if admission.cookie:
            # By a script: it gives the key to the storage, and a cookie isn't sent where another site leads to.
            cookie = (b"set-cookie", admission.cookie.encode())
            return await _answer(send_guarded, 200, _ENTER.format(admission.key), [cookie], "text/html")
        return await self._app(scope, receive, send_guarded)

    def _admission(self, scope: Scope) -> Admission:
        """Find out whether a request is let through."""
        headers = _headers_of(scope)
        host = headers.get("host", [])
        match = _HOST.fullmatch(host[0].lower()) if len(host) == 1 else None
        if match is None or not self._is_own(match[1], match[2] or "80", scope):
            return Admission()
        origins = headers.get("origin", [])
        if any(origin.lower() != f"http://{host[0].lower()}" for origin in origins):
            return Admission()
        # A browser keeps cookies by names of hosts, without their ports. What counts is the port that it asks: a
        # tunnel's may be another than ours, and that of another tunnel ours.
        cookie = f"heyhi-{match[2] or '80'}"
        cookies = _cookies(headers)
        has_frame = self._in_notebook and _has(cookies, f"{cookie}-frame", self._frame_cookie)
        site, mode, dest = ((headers.get(f"sec-fetch-{name}") or [""])[0] for name in ("site", "mode", "dest"))
        given = _given(scope, _PARAMETER)
        if dest == "iframe":
            if not self._in_notebook or mode != "navigate":
                return Admission()
            # A frame of localhost in a page of 127.0.0.1 is another site's. Partitioned: the cookie is for frames in
            # pages of that site alone.
            value = f"{cookie}-frame={self._frame_cookie}; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"
            if not given:
                return self._by_cookie(scope, has_frame)
            # The storage of a frame may be closed, or last as long as the frame: its ticket brings the key again.
            is_again = has_frame and len(given) == 1 and self._tickets.is_ours(given[0])
            return Admission(True, value, self._key) if is_again else self._by_address(given, value, is_known=has_frame)
        is_from_here = site in ("", "none", "same-origin")
        is_known = _has(cookies, cookie, self._cookie) or has_frame
        if not given:
            return self._by_cookie(scope, is_from_here and is_known)
        if not (is_from_here or (mode == "navigate" and dest == "document")):
            return Admission()
        value = f"{cookie}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"
        return self._by_address(given, value, is_known=is_known)

    def _by_address(self, given: list[bytes], cookie: str, *, is_known: bool) -> Admission:
        """Let through who shows the token or a ticket; of one that counts no more, who has been here with it before."""
        if self._opens(given):
            return Admission(True, cookie, self._key)
        return Admission(True, cookie) if is_known else Admission()

    def _by_cookie(self, scope: Scope, is_known: bool) -> Admission:
        """Let through who has the cookie, and the key where that is asked for."""
        if not is_known or _OPEN.fullmatch(scope["path"]):
            return Admission(is_known)
        keys = [one.encode("latin-1") for one in _headers_of(scope).get(KEY_HEADER, [])]
        if scope["path"] == _STREAM:
            keys += _given(scope, KEY_PARAMETER)
        return Admission(len(keys) == 1 and secrets.compare_digest(keys[0], self._key.encode()))

    def _is_own(self, name: str, port: str, scope: Scope) -> bool:
        """Whether a request is for us, and not for a name that somebody has lead to this machine."""
        if name in LOOPBACK:
            return True  # with any port: that of the other end of a tunnel
        server = scope.get("server")
        address = str(server[0]).lower() if server else ""
        numbers = f"[{address}]" if ":" in address else address
        return port == str(self._port) and (name in self._names or name == numbers)

    def _opens(self, given: list[bytes]) -> bool:
        """Whether what stands in an address is the token, or a ticket that counts."""
        if len(given) != 1:
            return False
        return secrets.compare_digest(given[0], self._token.encode()) or self._tickets.use(given[0])


def _has(cookies: list[tuple[str, str]], name: str, value: str) -> bool:
    """Whether there is a cookie, whatever others of its name there are."""
    same = [given.encode(errors="replace") for own, given in cookies if own == name]
    return any(secrets.compare_digest(given, value.encode()) for given in same)


def _headers_of(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _cookies(headers: dict[str, list[str]]) -> list[tuple[str, str]]:
    pairs = (one.partition("=") for line in headers.get("cookie", []) for one in line.split(";"))
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _given(scope: Scope, name: str) -> list[bytes]:
    """Return what an address gives for a parameter, as it stands."""
    begin = f"{name}=".encode()
    parts = scope.get("query_string", b"").split(b"&")
    return [part.removeprefix(begin) for part in parts if part.startswith(begin)]


async def _answer(
    send: Send, status: int, text: str, headers: Collection[tuple[bytes, bytes]] = (), kind: str = "text/plain"
) -> None:
    body = text.encode()
    given = [(b"content-type", f"{kind}; charset=utf-8".encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*given, *headers]})
    await send({"type": "http.response.body", "body": body})
