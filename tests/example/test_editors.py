"""A debugger at a task file, as an editor attaches one: debugpy, asked by its protocol (DAP)."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.docs_shown import copy_examples


class Debugger:
    """The client's side of a session."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.file = connection.makefile("rb")
        self.numbers = itertools.count(1)

    def send(self, command: str, **arguments: object) -> None:
        message = {"seq": next(self.numbers), "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        self.connection.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def wait_for(self, **what: object) -> dict[str, Any]:
        """Return the next message that says so."""
        while True:
            length = 0
            while line := self.file.readline().strip():
                length = int(line.removeprefix(b"Content-Length: "))
            assert length, f"ended before {what}"
            message: dict[str, Any] = json.loads(self.file.read(length))
            if what.items() <= message.items():
                return message

    def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        self.send(command, **arguments)
        answer = self.wait_for(type="response", command=command)
        assert answer["success"], answer
        return dict(answer.get("body") or {})


@contextmanager
def debugged(folder: Path, *words: str) -> Iterator[Debugger]:
    """Run a file with a debugger that waits for its client; it has to end well."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(120)
        port = server.getsockname()[1]
        command = [sys.executable, "-m", "debugpy", "--connect", f"127.0.0.1:{port}", "--wait-for-client", *words]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
            try:
                with server.accept()[0] as connection:
                    connection.settimeout(120)
                    yield Debugger(connection)
                assert run.wait(120) == 0
            finally:
                run.kill()


@pytest.mark.slow
def test_a_breakpoint_in_main_stops_there_and_shows_the_config(tmp_path: Path) -> None:
    copy_examples(tmp_path)
    folder = tmp_path / "examples"
    line = (folder / "run.py").read_text().splitlines().index("        x += speed") + 1
    with debugged(folder, "run.py", "--cfg", "bowl", "lr=0.2") as debugger:
        debugger.ask("initialize", adapterID="test", pathFormat="path")
        debugger.send("attach", justMyCode=True)
        debugger.wait_for(event="initialized")
        source = {"path": str(folder / "run.py")}
        set_there = debugger.ask("setBreakpoints", source=source, breakpoints=[{"line": line}])
        assert set_there["breakpoints"][0]["verified"]
        debugger.ask("configurationDone")
        stopped = debugger.wait_for(event="stopped")["body"]
        assert stopped["reason"] == "breakpoint"
        frame = debugger.ask("stackTrace", threadId=stopped["threadId"])["stackFrames"][0]
        assert (frame["name"], frame["line"]) == ("descend", line)
        words = ("cfg.lr", "step", "str(Path.cwd())")
        seen = {what: debugger.ask("evaluate", expression=what, frameId=frame["id"])["result"] for what in words}
        assert (seen["cfg.lr"], seen["step"]) == ("0.2", "1")
        assert "results/p/bowl/lr=0.2_" in seen["str(Path.cwd())"], "a debugger sees the folder that main works in"
        debugger.ask("setBreakpoints", source=source, breakpoints=[])
        debugger.ask("continue", threadId=stopped["threadId"])
        debugger.wait_for(event="terminated")
    assert list(folder.glob("results/p/bowl/lr=0.2_*/result.json"))
