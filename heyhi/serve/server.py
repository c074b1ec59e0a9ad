"""A server that runs: it looks at experiments in one thread, and answers in another."""

from __future__ import annotations

import secrets
import socket
import sys
import threading
from typing import TYPE_CHECKING

import uvicorn

from heyhi.errors import error_text
from heyhi.serve.app import make_app
from heyhi.serve.guard import Guard

if TYPE_CHECKING:
    from heyhi.serve.board import Board

LOOK_SECONDS = 2.0


def serve(board: Board, port: int) -> None:
    """Serve until somebody ends it."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        port = listening.getsockname()[1]
        token = secrets.token_urlsafe(24)
        end = threading.Event()

        def look() -> None:
            while not end.is_set():
                try:
                    board.look()
                except Exception as error:  # the next look may find it mended
                    print(f"error: {error_text(error)}", file=sys.stderr, flush=True)
                end.wait(LOOK_SECONDS)

        threading.Thread(target=look, daemon=True).start()
        print(f"http://127.0.0.1:{port}/?token={token}", flush=True)
        config = uvicorn.Config(Guard(make_app(board), token, port), log_level="warning", lifespan="off")
        try:
            uvicorn.Server(config).run(sockets=[listening])
        finally:
            end.set()
