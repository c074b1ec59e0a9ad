"""How an answer is made and sent: by a few threads at a time, in pieces that wait for their reader."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from starlette.responses import PlainTextResponse, Response

from heyhi.serve.memory import LARGE, give_back

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

PIECE_BYTES = 1 << 16
MOST_SENDING = 64 << 20  # bytes that wait for slow readers, of all together
LEAST_PACKED = 1 << 11  # bytes below which nothing is won
_GZIP = 16 + zlib.MAX_WBITS
T = TypeVar("T")


@dataclass
class Sending:
    """What a server is sending.

    Attributes:
        bytes: of all answers that aren't sent to their end.
    """

    bytes: int = 0


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
        if sending.bytes and sending.bytes + len(body) > MOST_SENDING:
            return await PlainTextResponse("too much is asked for at once\n", 503)(scope, receive, send)
        sending.bytes += len(body)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for begin in range(0, len(body), PIECE_BYTES):
                piece = body[begin : begin + PIECE_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            sending.bytes -= len(body)


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
    body = value if isinstance(value, bytes) else _json(value)
    answer = packed_answer(sending, body, "application/json", packed=packed, is_dense=is_dense)
    if len(body) >= LARGE:
        del body, value
        give_back()
    return answer


def packed_answer(sending: Sending, body: bytes, kind: str, *, packed: bool, is_dense: bool = False) -> Pieces:
    """Make an answer, packed where that is asked for and wins something."""
    given = {"vary": "accept-encoding"}
    if packed and len(body) >= LEAST_PACKED:
        packing = zlib.compressobj(
            1, wbits=_GZIP, strategy=zlib.Z_HUFFMAN_ONLY if is_dense else zlib.Z_DEFAULT_STRATEGY
        )
        body, given["content-encoding"] = packing.compress(body) + packing.flush(), "gzip"
    return Pieces(sending, body, media_type=kind, headers=given)


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a name that is no UTF-8
        return json.dumps(value).encode("ascii")
