"""Who may ask a server, and what: whoever has its token, by GET, at its own address."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data: blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Guard:
    """Let through what has the token; see `heyhi.serve.wire`.

    Args:
        app: what answers.
        token: that the address or the cookie has.
        port: that the server listens at.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token, self._cookie = app, token, f"heyhi-{port}"
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have the app answer."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refused = self._refused(scope)
        if refused is not None:
            return await refused(scope, receive, send)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", CSP.encode())]
            await send(message)

        return await self._app(scope, receive, send_guarded)

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["method"] != "GET":
            return PlainTextResponse("only GET", 405)
        if headers.get("host") not in self._hosts:
            return PlainTextResponse("another host's name", 403)
        given = QueryParams(scope["query_string"]).get("token")
        if given is not None and secrets.compare_digest(given.encode(), self._token.encode()):
            response = RedirectResponse(scope["path"], 303)
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
            return response
        cookies = headers.get("cookie", "")
        if not any(
            secrets.compare_digest(one.strip().encode(), f"{self._cookie}={self._token}".encode())
            for one in cookies.split(";")
        ):
            return PlainTextResponse("the address that `heyhi serve` printed has a token", 403)
        return None
