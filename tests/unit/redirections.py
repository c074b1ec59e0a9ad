"""Standard streams as a shell may set them, for commands that are to stand all of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from types import MappingProxyType

UNREAD = "| true"  # which has ended before anything is written
REDIRECTIONS = [
    "> /dev/full",
    "2> /dev/full",
    "> /dev/full 2>&1",
    ">&-",
    "2>&-",
    "<&-",
    "<&- >&- 2>&-",
    "1< /dev/null",
    UNREAD,
]


def redirected(
    command: Sequence[str], redirection: str, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run a command with other standard streams."""
    reader, writer = os.pipe()
    os.close(reader)
    is_unread = redirection == UNREAD
    try:
        return subprocess.run(
            ["bash", "-c", f'exec "$@" {"" if is_unread else redirection}', "bash", *command],
            stdin=subprocess.DEVNULL,
            stdout=writer if is_unread else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where Python is told to buffer nothing, a line is written in two pieces.
            env={**os.environ, "PYTHONUNBUFFERED": "", **environment},
            check=False,
        )
    finally:
        os.close(writer)
