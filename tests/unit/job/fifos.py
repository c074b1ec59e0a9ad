"""Meetings of a test with a process that it has started, by a FIFO."""

from __future__ import annotations

import os
import select
from pathlib import Path

SECONDS = 120.0  # in which a process gets where it is waited for


def meet_at(fifo: Path) -> None:
    """Wait for a process that comes to a FIFO; a process that has died is not waited for without end."""
    handle = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert select.select([handle], [], [], SECONDS)[0], f"nobody came to '{fifo.name}'"
        os.set_blocking(handle, True)
        with os.fdopen(os.dup(handle), "rb") as file:
            assert file.read() == b"x"
    finally:
        os.close(handle)
