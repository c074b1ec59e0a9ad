"""A server on this machine that keeps what it is told, and answers as a test says: a webhook to try messages on."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

# Of this process: tests beside it have their own on command lines that are looked through.
TOKEN = f"T0KEN-nobody-may-see-{os.getpid()}"


class Request(NamedTuple):
    """What was sent."""

    path: str
    headers: dict[str, str]
    form: Any


class Listener:
    """The server; `answers` are used up one by one, then it answers 200."""

    def __init__(self) -> None:
        self.got: list[Request] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.hold = threading.Event()
        self.hold.set()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                listener.got.append(Request(self.path, dict(self.headers), json.loads(data)))
                listener.hold.wait(60)
                code, headers = listener.answers.pop(0) if listener.answers else (200, {})
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def do_GET(self) -> None:
                listener.got.append(Request(f"GET {self.path}", {}, None))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server.server_port}"

    @property
    def url(self) -> str:
        """An address, which is a secret as a whole."""
        return f"http://{self.host}/services/{TOKEN}"

    @property
    def events(self) -> list[str]:
        """What it was told of."""
        return [request.form["event"] for request in self.got]


@contextmanager
def listening() -> Iterator[Listener]:
    """Listen."""
    listener = Listener()
    thread = threading.Thread(target=listener.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield listener
    finally:
        listener.hold.set()
        listener.server.shutdown()
        thread.join()
        listener.server.server_close()
