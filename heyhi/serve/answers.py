"""How an answer is made and sent: by a few threads at a time, in pieces that wait for their reader."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from starlette.responses import PlainTextResponse, Response

from heyhi.serve.memory import LARGE, give_back
from heyhi.serve.wire import as_json

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

PIECE_BYTES = 1 << 16
MOST_SENDING = 64 << 20  # bytes that wait for slow readers, of all together
LEAST_PACKED = 1 << 11  # bytes below which nothing is won
LEAST_KEPT = 1 << 18  # bytes from which on it is worth a while to pack them
_GZIP = 16 + zlib.MAX_WBITS
T = TypeVar("T")


class Sending:
    """What a server is sending: the same to several readers counts once, and is packed once.

    Attributes:
        bytes: of all answers that aren't sent to their end.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._readers = Counter[int]()  # of what is being sent, and so has an id of its own
        self._lock = threading.Lock()
        self._digest = self._packed = b""

    def begin(self, body: bytes) -> bool:
        """Take note of a reader; return whether there is room for what it is sent."""
        if id(body) not in self._readers:
            if self.bytes and self.bytes + len(body) > MOST_SENDING:
                return False
            self.bytes += len(body)
        self._readers[id(body)] += 1
        return True

    def end(self, body: bytes) -> None:
        """Forget a reader."""
        self._readers[id(body)] -= 1
        if not self._readers[id(body)]:
            del self._readers[id(body)]
            self.bytes -= len(body)

    def pack(self, body: bytes, *, is_dense: bool) -> bytes:
        """Pack an answer; what is large is remembered, until another one is."""
        if len(body) < LEAST_KEPT:
            return _packed(body, is_dense=is_dense)
        digest = hashlib.blake2b(body).digest()
        with self._lock:
            if digest != self._digest:
                self._digest, self._packed = digest, _packed(body, is_dense=is_dense)
            return self._packed


class Pieces(Response):
    """An answer that is sent piece by piece: of one that its reader doesn't take, little lies in buffers.

    Args:
        sending: what its server sends beside it.
        content: of the answer.
        status_code: of it.
        headers: of it.
        media_type: of it.
    """

    def __init__(
        self,
        sending: Sending,
        content: bytes,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type)
        self._sending = sending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; where too much waits for readers already, say so instead."""
        body, sending = bytes(self.body), self._sending
        if not sending.begin(body):
            return await PlainTextResponse("too much is asked for at once\n", 503)(scope, receive, send)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for begin in range(0, len(body), PIECE_BYTES):
                piece = body[begin : begin + PIECE_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            sending.end(body)


async def in_thread(work: Callable[[], T]) -> T:
    """Do what takes a while in a thread that keeps nobody from ending: a server ends whatever it was asked.

    Raises:
        Exception: what the work has raised.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if future.done():
            return  # who asked is gone
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, problem = None, None
        try:
            result = work()
        except Exception as error:
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=run, name="answering", daemon=True).start()
    return await future


def takes_gzip(request: Request) -> bool:
    """Return whether a browser unpacks what is packed."""
    return "gzip" in request.headers.get("accept-encoding", "")


def json_answer(sending: Sending, value: object, *, packed: bool, is_dense: bool = False) -> Pieces:
    """Make an answer of what JSON can hold, or of JSON.

    Args:
        sending: what the server sends beside it.
        value: what is answered.
        packed: whether it is packed where that wins something.
        is_dense: whether nothing is repeated in it, as in numbers in base64: then it isn't looked for.
    """
    body = value if isinstance(value, bytes) else as_json(value)
    answer = packed_answer(sending, body, "application/json", packed=packed, is_dense=is_dense)
    if len(body) >= LARGE:
        del body, value
        give_back()
    return answer


def packed_answer(sending: Sending, body: bytes, kind: str, *, packed: bool, is_dense: bool = False) -> Pieces:
    """Make an answer, packed where that is asked for and wins something."""
    given = {"vary": "accept-encoding"}
    if packed and len(body) >= LEAST_PACKED:
        body, given["content-encoding"] = sending.pack(body, is_dense=is_dense), "gzip"
    return Pieces(sending, body, media_type=kind, headers=given)


def _packed(body: bytes, *, is_dense: bool) -> bytes:
    packing = zlib.compressobj(1, wbits=_GZIP, strategy=zlib.Z_HUFFMAN_ONLY if is_dense else zlib.Z_DEFAULT_STRATEGY)
    return packing.compress(body) + packing.flush()
