"""Files in the folder of a search that only save time: they may be removed, and one that is damaged counts as none."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from heyhi.errors import HeyhiError
from heyhi.files import read_bounded, replace_bytes

_MOST_BYTES = 1 << 28


def read_kept(path: Path) -> Any:
    """Return what is kept in a file; None where there is none, or it can't be read."""
    import orjson

    try:
        digest, _, data = read_bounded(path, _MOST_BYTES).partition(b"\n")
        return orjson.loads(data) if digest == _digest(data) else None
    except (OSError, ValueError):
        return None


def write_kept(path: Path, content: Any) -> None:
    """Keep something in a file; that it can't be written is no matter."""
    import orjson

    data = orjson.dumps(content)
    with contextlib.suppress(OSError, HeyhiError):
        replace_bytes(path, _digest(data) + b"\n" + data)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
