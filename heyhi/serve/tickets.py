"""Tickets: what opens a server once, within some minutes, for who may be seen by others, as a saved notebook is.

Who has the token makes them, and needs to ask nobody: they are signed by it.
"""

from __future__ import annotations

import hmac
import secrets
import time

TICKET_SECONDS = 600
_SIGNED = 32  # hexadecimal digits of a signature


def derived(token: str, what: str) -> str:
    """Return a secret for one purpose, from which nobody learns the token."""
    return hmac.new(token.encode(), what.encode(), "sha256").hexdigest()


def make_ticket(token: str) -> str:
    """Make a ticket of the server that has a token."""
    text = f"{secrets.token_hex(8)}.{int(time.time()) + TICKET_SECONDS}"
    return f"{text}.{_signature(token, text)}"


def _signature(token: str, text: str) -> str:
    return derived(token, f"ticket {text}")[:_SIGNED]  # no other secret is one


class Tickets:
    """The tickets of a server, each of which counts once.

    Args:
        token: of the server.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._used: dict[bytes, float] = {}  # ticket -> when it would have ended

    def is_ours(self, given: bytes) -> bool:
        """Return whether this is a ticket, be it one that counts no more."""
        text, _, signature = given.rpartition(b".")
        right = _signature(self._token, text.decode("ascii", "replace")).encode()
        return hmac.compare_digest(right, signature)

    def use(self, given: bytes) -> bool:
        """Return whether this is a ticket that counts, which it does no more."""
        if not self.is_ours(given):
            return False
        now, until = time.time(), float(given.split(b".")[1])
        self._used = {ticket: end for ticket, end in self._used.items() if end > now}
        if until < now or given in self._used:
            return False
        self._used[given] = until
        return True
