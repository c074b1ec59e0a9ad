"""Who waits for news: each is told that there is some, by server-sent events, and nothing is queued for anybody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

HEART_SECONDS = 15.0
RETRY_MILLISECONDS = 1000
# A browser has six connections to a host, for all its tabs: with one stream each, the seventh tab would get nothing.
MOST_OF_ONE_BROWSER = 4
MOST_STREAMS = 100


class _Stream:
    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.is_over = False

    def end(self) -> None:
        self.is_over = True
        self.wake.set()


class News:
    """The streams of events of a server.

    It is used in the server's loop, but for `tell`.

    Args:
        event: returns what is to be told now, as an event.
    """

    def __init__(self, event: Callable[[], bytes]) -> None:
        self._event = event
        self._streams: dict[_Stream, str] = {}  # with whose they are, the oldest first
        self._is_over = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """Take note of the loop in which this is used."""
        self._loop = asyncio.get_running_loop()

    def tell(self) -> None:
        """Wake who waits; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for stream in self._streams:
            stream.wake.set()

    def end(self) -> None:
        """End all streams, and those that come."""
        self._is_over = True
        for stream in self._streams:
            stream.end()

    def _ends(self, stream: _Stream) -> bool:
        return self._is_over or stream.is_over

    async def stream(self, browser: str) -> AsyncIterator[bytes]:
        """Yield the events for one reader: what it didn't take in time is told once, as it is then.

        Args:
            browser: whose it is; of one, the oldest stream ends where there are too many, and its page asks again.
        """
        own = _Stream()
        its = [stream for stream, other in self._streams.items() if other == browser]
        for old in its[: max(len(its) + 1 - MOST_OF_ONE_BROWSER, 0)]:
            old.end()
        for old in list(self._streams)[: max(len(self._streams) + 1 - MOST_STREAMS, 0)]:
            old.end()
        self._streams[own] = browser
        last = b""
        try:
            yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
            while not self._ends(own):
                own.wake.clear()
                if (event := self._event()) != last:
                    last = event
                    yield event
                if self._ends(own):  # which may have come meanwhile
                    return
                try:
                    async with asyncio.timeout(HEART_SECONDS):
                        await own.wake.wait()
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            del self._streams[own]
