"""Pieces of an experiment's log, as the page asks for them."""

from __future__ import annotations

import os
from typing import Any

from heyhi.serve.board import Known

PIECE_BYTES = 1 << 16


def piece(known: Known, *, begin: int | None = None, before: int | None = None) -> dict[str, Any]:
    """Return `{"size", "from", "to", "text"}`: bytes from `begin` on, before `before`, or at the end."""
    try:
        with known.folder.log_path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            end = size if before is None else min(before, size)
            start = max(end - PIECE_BYTES, 0) if begin is None else min(begin, size)
            file.seek(start)
            data = file.read(min(PIECE_BYTES, (size if begin is not None else end) - start))
    except OSError:
        return {"size": 0, "from": 0, "to": 0, "text": ""}
    return {"size": size, "from": start, "to": start + len(data), "text": data.decode(errors="replace")}
