"""How an answer is made and sent: by a few threads at a time, in pieces that wait for their reader."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import orjson
from starlette.responses import PlainTextResponse, Response

from heyhi.serve.memory import LARGE, give_back

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

PIECE_BYTES = 1 << 16
MOST_SENDING = 64 << 20  # bytes that wait for slow readers, of all together
LEAST_PACKED = 1 << 11  # bytes below which nothing is won
T = TypeVar("T")


class Pieces(Response):
    """An answer that is sent piece by piece: of one that its reader doesn't take, little lies in buffers."""

    sending: ClassVar[int] = 0  # bytes of all that are being sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; where too much waits for readers already, say so instead."""
        body = bytes(self.body)
        if Pieces.sending and Pieces.sending + len(body) > MOST_SENDING:
            return await PlainTextResponse("too much is asked for at once\n", 503)(scope, receive, send)
        Pieces.sending += len(body)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for begin in range(0, len(body), PIECE_BYTES):
                piece = body[begin : begin + PIECE_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            Pieces.sending -= len(body)


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


def json_answer(value: object, *, packed: bool) -> Pieces:
    """Make an answer of what JSON can hold, or of JSON."""
    body = value if isinstance(value, bytes) else _json(value)
    answer = packed_answer(body, "application/json", packed=packed)
    if len(body) >= LARGE:
        del body, value
        give_back()
    return answer


def packed_answer(body: bytes, kind: str, *, packed: bool, headers: Mapping[str, str] | None = None) -> Pieces:
    """Make an answer, packed where that is asked for and wins something."""
    given = {**(headers or {}), "vary": "accept-encoding"}
    if packed and len(body) >= LEAST_PACKED:
        body, given["content-encoding"] = gzip.compress(body, compresslevel=1, mtime=0), "gzip"
    return Pieces(body, media_type=kind, headers=given)


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a name that is no UTF-8
        return json.dumps(value).encode("ascii")
