"""`heyhi.show`: the page of `heyhi serve` in a cell of a notebook, by a process that ends with the kernel."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from heyhi.errors import HeyhiError
from heyhi.extras import check
from heyhi.project import find_project
from heyhi.serve.tickets import make_ticket

_LINES = 20  # of what a process says on standard error


class _Child:
    """A `heyhi serve` that this process has started.

    Args:
        words: that name what it shows.

    Raises:
        HeyhiError: it shows nothing: a word is wrong.
    """

    def __init__(self, words: Sequence[str]) -> None:
        # Of its own session: what interrupts a cell ends no server. It ends when nobody can write to its input any
        # more, however this process has come to its end.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "heyhi", "serve", "--child", "--port", "0", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        said: collections.deque[str] = collections.deque(maxlen=_LINES)
        reader = threading.Thread(target=_gather, args=[self.process.stderr, said], daemon=True)
        reader.start()
        try:
            found = json.loads(self.process.stdout.readline())
            self._address, self._token = str(found["address"]), str(found["token"])
        except (ValueError, KeyError, TypeError):
            self.end()
            reader.join(5)
            raise HeyhiError(_why(said)) from None

    @property
    def is_alive(self) -> bool:
        """Whether it serves."""
        return self.process.poll() is None

    def address(self, *, for_saved: bool) -> str:
        """Return the address; for a notebook, which is saved, one that opens it once."""
        return f"{self._address}{make_ticket(self._token) if for_saved else self._token}"

    def end(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_children: dict[tuple[str, ...], _Child] = {}


def show(words: str | Sequence[str] = "", *, height: int = 800) -> None:
    """Show experiments in a cell of a notebook while they run, as `heyhi serve` does in a browser.

    The page is served by a process of its own, which ends with the kernel; the same words have the same one. Below it
    stands its address, for a tab of the browser: in a saved notebook, it opens the page once, and within ten minutes.
    Outside of a notebook, only the address is printed, and what serves it ends with this process.

    Args:
        words: that name experiments, as behind `heyhi serve`; default: all that are known.
        height: of the page in the cell, in pixels.

    Raises:
        HeyhiError: a word is wrong, there is no project around the working directory, or the extra `serve` is missing.
    """
    check("serve")
    root = find_project().root
    given = shlex.split(words) if isinstance(words, str) else list(words)
    # Of this process: what was forked from it has the pipe, but is another one.
    key = (str(os.getpid()), str(root), str(Path.cwd()), *given)
    child = _children.get(key)
    if child is None or not child.is_alive:
        child = _children[key] = _Child(given)
    if not _is_in_notebook():
        print(child.address(for_saved=False), flush=True)
        return
    from IPython.display import IFrame, display

    page = IFrame(child.address(for_saved=True), width="100%", height=height)
    display(page)  # type: ignore[no-untyped-call]
    print(child.address(for_saved=True), flush=True)


def _is_in_notebook() -> bool:
    """Whether a page can be shown: by a kernel, not by IPython on a terminal."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None) is not None


def _gather(stream: IO[str], said: collections.deque[str]) -> None:
    with contextlib.suppress(ValueError):  # closed
        said.extend(line.rstrip("\n") for line in stream)


def _why(said: Sequence[str]) -> str:
    """Return what a process has said that it ended for."""
    lines = [line for line in said if not line.startswith("warning: ")]
    begin = next((place for place, line in enumerate(lines) if line.startswith("error: ")), 0)
    return "\n".join(lines[begin:]).removeprefix("error: ") or "heyhi serve ended without a word"
