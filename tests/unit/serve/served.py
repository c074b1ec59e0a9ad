"""A `heyhi serve` that runs, and what asks it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from heyhi.serve.tickets import derived
from tests.errors.project import FILES, write

COMMAND = (sys.executable, "-m", "heyhi", "serve")
SECONDS = 60.0  # that a busy machine may need


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Served(NamedTuple):
    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        return int(re.findall(r":(\d+)/", self.address)[0])

    @property
    def token(self) -> str:
        return self.address.rpartition("=")[2]

    @property
    def cookie(self) -> str:
        return cookie(self.port, self.token)

    @property
    def key(self) -> str:
        return derived(self.token, "key")

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask with the cookie and the key, unless others are given."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.port, path, method, {"Cookie": self.cookie, "HeyHi-Key": self.key, **named})

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        return code, self.process.stdout.read(), self.process.stderr.read()


def cookie(port: int, token: str) -> str:
    """Return the cookie of a server that is asked at a port."""
    return f"heyhi-{port}={derived(token, 'cookie')}"


def ask(port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def make_project(folder: Path) -> Path:
    """Write a project in which one experiment is done."""
    write(folder, {**FILES, "run.py": "def main(task, cfg, log_level):\n    return {'accuracy': cfg.seed}\n"})
    run = subprocess.run(
        [sys.executable, "-m", "heyhi", "run", "--cfg", "train", "seed=4"], cwd=folder, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return folder


@contextlib.contextmanager
def serving(folder: Path, *words: str, **environment: str) -> Iterator[Served]:
    """Serve a project for a while."""
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://"), (line, process.communicate(timeout=SECONDS))
        yield Served(process, line.strip())
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(found: Callable[[], Any]) -> Any:
    """Return what is found, as soon as it is something."""
    end = time.monotonic() + SECONDS
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return value


def table(served: Served) -> dict[str, Any]:
    """Return the table, as soon as there is one."""
    return dict(until(lambda: json.loads(served.get("/data").body)))
