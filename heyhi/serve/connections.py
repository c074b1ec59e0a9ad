"""Who is connected to a server: so many at most, and nobody keeps others out.

Of a connection nothing is known until a request of it was let through; the oldest of these makes room for a new one,
and none of them lasts long.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_KNOWN = 200
MOST_UNKNOWN = 100
UNKNOWN_SECONDS = 10.0
_TOO_LARGE = 431  # its headers are
# What any port of a machine sets is sent to all of them.
_COOKIES = "clear the cookies of this address in your browser: another program of it has set more than is taken here\n"
_DROPPED_SECONDS = 2.0  # for which more of what is too large is taken: else the answer may be lost, too
_WRONG = (
    "HTTP/1.1 {}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n"
    "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\nx-content-type-options: nosniff\r\n"
    "referrer-policy: no-referrer\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{}"
)


class Connections:
    """The connections of one server, by the address of the other end."""

    def __init__(self) -> None:
        self._unknown: dict[object, asyncio.Transport] = {}
        self._known: dict[object, asyncio.Transport] = {}

    def __len__(self) -> int:
        return len(self._unknown) + len(self._known)

    def begin(self, client: object, transport: asyncio.Transport) -> None:
        """Take a new connection."""
        while len(self._unknown) >= MOST_UNKNOWN:
            self.leave(next(iter(self._unknown)))
        self._unknown[client] = transport
        asyncio.get_running_loop().call_later(UNKNOWN_SECONDS, self._leave_unknown, client, transport)

    def end(self, client: object, transport: asyncio.Transport) -> None:
        """Forget a connection that is over."""
        for known in (self._unknown, self._known):
            if known.get(client) is transport:
                del known[client]

    def admit(self, client: object) -> bool:
        """Take note that a request of this connection was let through; return whether there is room for it."""
        if client in self._unknown and len(self._known) < MOST_KNOWN:
            self._known[client] = self._unknown.pop(client)
        return client not in self._unknown

    def leave(self, client: object) -> None:
        """Close a connection at once, whatever waits to be sent."""
        for known in (self._unknown, self._known):
            if (transport := known.pop(client, None)) is not None:
                transport.abort()

    def _leave_unknown(self, client: object, transport: asyncio.Transport) -> None:
        if self._unknown.get(client) is transport:
            self.leave(client)

    def protocol(self) -> type[H11Protocol]:
        """Return what speaks HTTP on these connections."""
        connections = self

        class Protocol(H11Protocol):
            _is_refused = False

            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                connections.begin(self.client, transport)

            def connection_lost(self, exc: Exception | None) -> None:
                connections.end(self.client, self.transport)
                super().connection_lost(exc)

            def data_received(self, data: bytes) -> None:
                if not self.transport.is_closing() and not self._is_refused:
                    super().data_received(data)

            def send_400_response(self, msg: str) -> None:
                # It is called where an error of h11 is caught, which alone knows what was wrong.
                is_large = getattr(sys.exception(), "error_status_hint", 0) == _TOO_LARGE
                status = "431 Request Header Fields Too Large" if is_large else "400 Bad Request"
                text = _COOKIES if is_large else "bad request\n"
                self._is_refused = True
                self.transport.write(_WRONG.format(status, len(text), text).encode())
                if is_large and self.transport.can_write_eof():
                    self.transport.write_eof()
                self.loop.call_later(_DROPPED_SECONDS if is_large else 0, self.transport.close)

        return Protocol
