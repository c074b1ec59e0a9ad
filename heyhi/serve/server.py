"""A server that runs: it looks at experiments in one thread, answers in another, and ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from heyhi.files import write_private
from heyhi.serve.app import Answers, event_of
from heyhi.serve.connections import Connections
from heyhi.serve.guard import Guard
from heyhi.serve.kept_token import TOUCH_SECONDS, KeptToken
from heyhi.serve.listening import is_far
from heyhi.serve.looking import Looking
from heyhi.serve.memory import bound
from heyhi.serve.news import News
from heyhi.serve.tickets import make_ticket

if TYPE_CHECKING:
    from heyhi.serve.board import Board
    from heyhi.serve.listening import Listening

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MOST_HEADER_BYTES = 1 << 15  # of a request: its line, and all headers
_IDLE_SECONDS = 30
_END_SECONDS = 1  # for what is being answered
_OPENING = '<!doctype html>\n<meta charset="utf-8">\n<meta http-equiv="refresh" content="0;url={}">\n'


def serve(board: Board, listening: Listening, kept: KeptToken, *, is_child: bool = False, opens: bool = False) -> int:
    """Serve until somebody ends it.

    Args:
        board: what is shown.
        listening: where.
        kept: the token.
        is_child: a notebook has started this: pages of this machine may frame it, and it ends with its standard input.
        opens: a browser is opened.

    Returns:
        exit code: 128 and the signal's number.

    Raises:
        KeyboardInterrupt: Ctrl-C has ended it.
    """
    bound()
    opening = _Opening(kept.path.with_suffix(".html"))
    with _Signals() as signals:  # from here on: what is kept is removed at the end
        kept.take()
        try:
            server = _Server(board, listening, kept, is_child=is_child)
            signals.end_by_them(server)
            _print_address(listening, kept.token, is_child=is_child)
            if opens:
                opening.open(listening.address(make_ticket(kept.token)))
            server.run_to_end()
        finally:
            opening.remove()
            kept.remove()
    if signals.first == signal.SIGINT:
        raise KeyboardInterrupt
    return 128 + signals.first if signals.first else 0


def _print_address(listening: Listening, token: str, *, is_child: bool) -> None:
    if is_child:
        print(json.dumps({"address": listening.address(""), "token": token}), flush=True)
        return
    print(listening.address(token))
    if is_far() and listening.is_loopback:
        print(f"from another machine: {listening.tunnel()}, and the address above there")
    if not listening.is_loopback:
        print("other machines reach it: whoever has the address reads all, and the network sees what is sent")
    print("Ctrl-C ends it", flush=True)


class _Server(uvicorn.Server):
    """Uvicorn's server, with signals, connections and messages of our own."""

    def __init__(self, board: Board, listening: Listening, kept: KeptToken, *, is_child: bool) -> None:
        self._told_error = ""
        self._listening, self._kept, self._is_child = listening, kept, is_child
        self._looking = Looking(board, self._tell)
        self._news = News(lambda: event_of(board, self._looking))
        connections = Connections()
        guard = Guard(
            Answers(board, self._looking, self._news, pack=is_far() or not listening.is_loopback).app(),
            kept.token,
            listening.port,
            listening.names,
            in_notebook=is_child,
            admitted=connections.admit,
            leave=connections.leave,
        )
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # no line of theirs is for a user
            logging.getLogger(name).addHandler(logging.NullHandler())
            logging.getLogger(name).propagate = False
        super().__init__(
            uvicorn.Config(
                guard,
                http=connections.protocol(),
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_END_SECONDS,
            )
        )

    def run_to_end(self) -> None:
        """Serve until `should_exit`."""
        try:
            self.run(sockets=[self._listening.socket])
        finally:
            self._looking.end()

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        """Leave signals as they are: they are heard from before the server runs until after."""
        return contextlib.nullcontext()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Begin to look as soon as somebody can ask."""
        self._news.begin()
        await super().startup(sockets)  # type: ignore[arg-type]
        self._looking.begin()
        self._touch()
        if self._is_child:
            threading.Thread(target=self._wait_for_parent, daemon=True).start()

    def _touch(self) -> None:
        self._kept.touch()
        asyncio.get_running_loop().call_later(TOUCH_SECONDS, self._touch)

    def _wait_for_parent(self) -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        self.should_exit = True

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """End what goes on by itself, and then the rest."""
        self._news.end()
        await super().shutdown(sockets)  # type: ignore[arg-type]

    def _tell(self) -> None:
        """Wake who waits, from the thread that looks; say an error once, and not each time that it is met."""
        error = self._looking.error
        if error and error != self._told_error:
            print(f"error: {error}", file=sys.stderr, flush=True)
        self._told_error = error
        self._news.tell()


class _Signals:
    """A context in which signals end a server; the second of them at once.

    Attributes:
        first: that came; 0 where none did.
    """

    def __init__(self) -> None:
        self.first = 0
        self._server: _Server | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:  # as in the background of a script, or by nohup
                self._before[number] = before
                signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def end_by_them(self, server: _Server) -> None:
        """Have them end this server, also those that came before."""
        self._server = server
        server.should_exit = bool(self.first)

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self._server is not None:
            self._server.force_exit = bool(self.first)
            self._server.should_exit = True
        self.first = self.first or number


class _Opening:
    """A browser that is opened: by a file that only its user can read, since all users see how programs are called.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, address: str) -> None:
        """Open a browser, if there is one."""
        import webbrowser

        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._path, _OPENING.format(address))
        except OSError as error:
            print(f"warning: no browser is opened: {error}", file=sys.stderr, flush=True)
            return

        def show() -> None:
            if not webbrowser.open(self._path.as_uri()):
                print("warning: no browser was found to open it in", file=sys.stderr, flush=True)

        # In a thread: one of a terminal lasts as long as somebody reads in it.
        threading.Thread(target=show, daemon=True).start()

    def remove(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
