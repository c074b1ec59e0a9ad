"""Two mounts of one folder, each with a memory of its own, as two machines have it on a network file system.

By FUSE, which root can do wherever there is /dev/fuse. HEYHI_TEST_MOUNTS=/mnt/a:/mnt/b names others, such as two
mounts of one NFS export, made with `nosharecache`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent


def lacking() -> str:
    """Say why nothing can be mounted here; an empty text: it can."""
    if os.environ.get("HEYHI_TEST_MOUNTS"):
        return ""
    if os.geteuid() or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "left out: tests on file systems that remember need root, and /dev/fuse"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    why = lacking()
    for item in items:
        # By a mark: the summary has one line a file then. CI is to have all of it.
        if why and not os.environ.get("CI") and str(item.path).startswith(str(HERE)):
            item.add_marker(pytest.mark.skip(why))


class Mounts(NamedTuple):
    """One folder as two machines see it, and a folder of a local disk."""

    a: Path
    b: Path
    book: Path


Mount = Callable[..., Mounts]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mount a new folder twice."""
    servers: list[tuple[subprocess.Popen[str], Path]] = []

    def make(*, seconds: int = 30, lost: int = 0) -> Mounts:
        book = tmp_path / "book"
        book.mkdir()
        if others := os.environ.get("HEYHI_TEST_MOUNTS"):
            first, second = others.split(":")
            folder = tempfile.mkdtemp(dir=first)
            return Mounts(Path(folder), Path(second, Path(folder).name), book)
        assert not (why := lacking()), why
        back = tmp_path / "server"
        back.mkdir()
        places = [tmp_path / "a", tmp_path / "b"]
        for place in places:
            place.mkdir()
            words = [str(back), str(place), "--seconds", str(seconds), "--lost", str(lost)]
            server = subprocess.Popen(
                [sys.executable, str(HERE / "fuse.py"), *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            servers.append((server, place))
            assert server.stdout is not None
            assert server.stdout.readline() == "mounted\n"
        return Mounts(*places, book)

    yield make
    for server, place in servers:
        subprocess.run(["umount", "--lazy", str(place)], check=False)
        server.wait(60)


class Client:
    """A process of another machine, see client.py; an attribute is what it is asked to do, at once or by `begin`."""

    def __init__(self, **told: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "client.py"), json.dumps(told)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.answer() == "ready"

    def begin(self, name: str, *words: object) -> None:
        """Have it do something."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([name, *words], default=str) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Return what came of it; None where it has died."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def ask(self, name: str, *words: object) -> Any:
        """Have it do something, and return what comes of it."""
        self.begin(name, *words)
        return self.answer()


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    """Start processes of other machines."""
    started: list[Client] = []

    def start(**told: object) -> Client:
        started.append(Client(**told))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()
