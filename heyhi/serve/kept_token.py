"""The token of a server, kept while it runs: who is killed and started again lets pages that are open go on.

It lies in the user's own folder of state, where nobody else reads it, and never beside results, which may be shared. By
the port that it was for, a server knows that the one before it is dead: it couldn't listen there otherwise. What died
long ago is not taken up: a stranger may have listened at its port since, and have been told cookies.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import socket
import stat
import time
from pathlib import Path

from heyhi.files import open_regular, user_state, write_private

TOUCH_SECONDS = 60.0  # between two signs of life
KEPT_SECONDS = 600.0  # after the last of them
_TOKEN = re.compile(r"[\w-]{32,64}")
_MOST_BYTES = 4096


class KeptToken:
    """The token of one server, with the file in which it is kept.

    Args:
        results_root: of what is shown.
        host: address that is listened at.
        port: likewise.
    """

    def __init__(self, results_root: Path, host: str, port: int) -> None:
        place = json.dumps([socket.gethostname(), str(results_root), host])
        digest = hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()[:16]
        self.path = user_state() / "serve" / f"{digest}-{port}.json"
        self.token = secrets.token_urlsafe(32)

    def take(self) -> None:
        """Take up what one that was killed has left, and keep the token; where nothing can be kept, go on without."""
        if found := _read(self.path, newer_than=time.time() - KEPT_SECONDS):
            self.token = str(found["token"])
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_old(self.path.parent)
            write_private(self.path, json.dumps({"token": self.token, "pid": os.getpid()}))

    def touch(self) -> None:
        """Give a sign of life."""
        with contextlib.suppress(OSError):
            os.utime(self.path)

    def remove(self) -> None:
        """Forget it, at an orderly end: no server takes it up."""
        if (found := _read(self.path)) and found["token"] == self.token:
            with contextlib.suppress(OSError):
                self.path.unlink()


def server_at(port: int) -> int | None:
    """Return the process of this user's server that listens at a port of this machine; None where none is known."""
    for path in user_state().glob(f"serve/*-{port}.json"):
        found = _read(path, newer_than=time.time() - 2 * TOUCH_SECONDS)
        if found and isinstance(pid := found.get("pid"), int):
            with contextlib.suppress(OSError):
                os.kill(pid, 0)
                return pid
    return None


def _remove_old(folder: Path) -> None:
    """Remove what killed servers have left that nobody takes up any more; those of other machines give signs, too."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < time.time() - KEPT_SECONDS:
                path.unlink()


def _read(path: Path, newer_than: float = 0.0) -> dict[str, object]:
    """Read what is kept, where nobody else can have written or read it; empty where there is nothing such."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            state = os.fstat(file.fileno())
            if state.st_uid != os.geteuid() or stat.S_IMODE(state.st_mode) & 0o077 or state.st_mtime < newer_than:
                return {}
            found = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    is_whole = isinstance(found, dict) and _TOKEN.fullmatch(str(found.get("token", "")))
    return found if is_whole else {}
