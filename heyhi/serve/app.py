"""The addresses of a server, and what answers each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from heyhi.errors import HeyhiError
from heyhi.report.page import live_page, static_files
from heyhi.serve.board import Board
from heyhi.serve.curves import Curves
from heyhi.serve.details import experiment
from heyhi.serve.log_pieces import piece


def make_app(board: Board) -> Starlette:
    """Make what answers, for who may ask."""
    files, curves = static_files(), Curves(board)

    async def page(_: Request) -> Response:
        return Response(live_page(), media_type="text/html")

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            return PlainTextResponse("no such file", 404)
        return Response(files[name], media_type="text/css" if name.endswith(".css") else "text/javascript")

    async def data(request: Request) -> Response:
        query = request.query_params
        return _json(await run_in_threadpool(board.data, query.get("server", ""), int(query.get("since", 0))))

    async def curves_of(request: Request) -> Response:
        query = request.query_params
        keys, have = query["keys"].split(","), query.get("have", "").split(",")
        metrics, axes = query.getlist("metrics"), query.getlist("x")
        return _json(await run_in_threadpool(curves.answer, keys, int(query["points"]), metrics, axes, have))

    async def one(request: Request) -> Response:
        known = board.experiment(request.path_params["key"])
        if known is None:
            return PlainTextResponse("no such experiment", 404)
        return _json(await run_in_threadpool(experiment, known))

    async def log(request: Request) -> Response:
        known, query = board.experiment(request.path_params["key"]), request.query_params
        if known is None:
            return PlainTextResponse("no such experiment", 404)
        names = {"from": "begin", "before": "before", "rank": "rank", "attempt": "attempt"}
        of: dict[str, Any] = {names[name]: int(query[name]) for name in names if name in query}
        of |= {"at": query.get("at", ""), "file": query.get("file", "")}
        try:
            return _json(await run_in_threadpool(partial(piece, known, **of)))
        except HeyhiError as error:
            return PlainTextResponse(str(error), 400)

    async def events(_: Request) -> Response:
        async def told() -> AsyncIterator[bytes]:
            last = -1
            while True:
                if board.version != last:
                    last = board.version
                    yield b"event: version\ndata: " + orjson.dumps({"server": board.server, "version": last}) + b"\n\n"
                await asyncio.sleep(0.2)

        return StreamingResponse(told(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/static/{name}", static),
            Route("/data", data),
            Route("/curves", curves_of),
            Route("/experiments/{key}", one),
            Route("/experiments/{key}/log", log),
            Route("/events", events),
        ]
    )


def _json(value: object) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), media_type="application/json")
