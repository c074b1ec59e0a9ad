"""The addresses of a server, and what answers each; see `heyhi.serve.wire`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from heyhi.errors import HeyhiError, error_text
from heyhi.serve.answers import Sending, in_thread, json_answer, takes_gzip
from heyhi.serve.curves import Curves
from heyhi.serve.parameters import RequestError, have_in, integer, keys_in, mark_in, metrics_in, points_in
from heyhi.serve.static import Static
from heyhi.text import one_line

if TYPE_CHECKING:
    from heyhi.serve.board import Board, Known
    from heyhi.serve.looking import Looking
    from heyhi.serve.news import News

MOST_AT_ONCE = 4  # answers that are made, or on their way: each holds what it sends

Answering = Callable[[Request], Awaitable[Response]]


class Answers:
    """What answers requests that were let through.

    Args:
        board: what is shown.
        looking: looks at it.
        news: streams of events.
        pack: whether what is large is packed: readers are far away.
    """

    def __init__(self, board: Board, looking: Looking, news: News, *, pack: bool = True) -> None:
        self._board, self._looking, self._news, self._pack = board, looking, news, pack
        self._curves_of = Curves(board)
        self._sending = Sending()
        self._static = Static(self._sending, pack=pack)
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._told: set[str] = set()

    def app(self) -> Starlette:
        """Return them by their addresses."""
        routes = {
            "/": self._page,
            "/static/{name}": self._file,
            "/favicon.ico": _no_icon,  # which browsers ask for unasked
            "/data": self._data,
            "/curves": self._curves,
            "/experiments/{key}": self._experiment,
            "/experiments/{key}/log": self._log,
            "/events": self._events,
        }
        return Starlette(
            routes=[Route(path, self._safely(answer), methods=["GET"]) for path, answer in routes.items()],
            exception_handlers={HTTPException: _unknown},
        )

    def _safely(self, answer: Answering) -> Answering:
        """Answer what goes wrong by a line, too: it ends nothing, and no reader gets a traceback."""

        async def safely(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestError as error:
                return _line(error.status, str(error))
            except Exception as error:
                text = one_line(error_text(error))
                if not isinstance(error, HeyhiError) and text not in self._told and len(self._told) < 100:
                    self._told.add(text)
                    print(f"error: {request.url.path}: {text}", file=sys.stderr, flush=True)
                return _line(500, text)

        return safely

    async def _made(self, request: Request, work: Callable[[], object], *, is_dense: bool = False) -> Response:
        """Answer with what JSON can hold, and takes a while to find out."""
        packed = self._pack and takes_gzip(request)
        async with self._room:
            return await in_thread(lambda: json_answer(self._sending, work(), packed=packed, is_dense=is_dense))

    async def _page(self, request: Request) -> Response:
        return await in_thread(partial(self._static.page, packed=takes_gzip(request)))

    async def _file(self, request: Request) -> Response:
        name = str(request.path_params["name"])
        if name not in await in_thread(lambda: self._static.names):
            raise RequestError(404, "no such file")
        return await in_thread(partial(self._static.file, name, request))

    async def _data(self, request: Request) -> Response:
        query = request.query_params
        server, since = query.get("server", ""), integer(query, "since") or 0
        return await self._made(request, lambda: self._board.data_json(server, since))

    async def _curves(self, request: Request) -> Response:
        query = request.query_params
        keys, points, have = keys_in(query), points_in(query), have_in(query)
        metrics, axes = (metrics_in(query.getlist(name), name) for name in ("metrics", "x"))
        if not any(self._board.experiment(key) for key in keys):
            raise RequestError(404, "no such experiments")
        make = partial(self._curves_of.answer, keys, points, metrics, axes, have)
        return await self._made(request, make, is_dense=True)

    async def _experiment(self, request: Request) -> Response:
        known = self._known(request)
        return await self._made(request, partial(_details_of, known))

    async def _log(self, request: Request) -> Response:
        known = self._known(request)
        query = request.query_params
        begin, before, rank, attempt = (integer(query, name) for name in ("from", "before", "rank", "attempt"))
        at, file = (mark_in(query, name) for name in ("at", "file"))
        make = partial(_piece_of, known, begin=begin, before=before, rank=rank, attempt=attempt, at=at, file=file)
        try:
            return await self._made(request, make)
        except HeyhiError as error:  # there is no such rank or attempt
            raise RequestError(400, one_line(str(error))) from None

    def _known(self, request: Request) -> Known:
        known = self._board.experiment(str(request.path_params["key"]))
        if known is None:
            raise RequestError(404, "no such experiment")
        return known

    async def _events(self, request: Request) -> Response:
        client = request.client.host if request.client else ""
        browser = f"{client} {request.headers.get('user-agent', '')}"

        async def seen() -> AsyncIterator[bytes]:
            with self._looking.viewer():
                async for event in self._news.stream(browser):
                    yield event

        return StreamingResponse(seen(), media_type="text/event-stream")


def event_of(board: Board, looking: Looking) -> bytes:
    """Return what is told whenever there is news."""
    data = {"server": board.server, "version": board.version, "error": one_line(looking.error)}
    return b"event: version\ndata: " + orjson.dumps(data) + b"\n\n"


def _details_of(known: Known) -> dict[str, Any]:
    from heyhi.serve.details import experiment  # which imports much: a server that starts has no time for it

    return experiment(known)


def _piece_of(known: Known, **asked: Any) -> dict[str, Any]:
    from heyhi.serve.log_pieces import piece  # likewise

    return piece(known, **asked)


async def _no_icon(_: Request) -> Response:
    return Response(status_code=204)


async def _unknown(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _line(status, "no such address" if status == 404 else "this can't be answered")


def _line(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status)
