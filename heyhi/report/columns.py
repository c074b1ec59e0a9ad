"""A cache of columns on disk: named groups of columns, a file each, that save time between reports and nothing else.

A file may be removed, cut or overwritten at any moment: what isn't whole counts as missing. What the columns mean, and
when they are out of date, is left to the caller.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zlib
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from heyhi.files import read_bounded

_MAGIC = b"HeyHi columns 1 %b\n" % sys.byteorder.encode()
_SUFFIX = ".columns"
_CHECKSUM_BYTES = 8
_MOST_BYTES = 1 << 28  # of all files; the oldest are removed
# Values of these types that compare equal are the same; two floats that do may not be: 0.0 and -0.0.
_REPEATED = (str, type(None), bool, int)


class ColumnCache:
    """A folder of cached columns; where no file can be written, nothing is cached.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, name: str) -> dict[str, list[Any]]:
        """Return the columns that were stored under a name; none where they are missing or damaged."""
        try:
            return _decoded(name, read_bounded(self.folder / f"{name}{_SUFFIX}", _MOST_BYTES))
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def store(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Store columns under a name, in place of what was stored there; they may have different lengths."""
        temp = self.folder / f".{name}.{os.urandom(6).hex()}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temp.write_bytes(_encoded(name, columns))
            temp.replace(self.folder / f"{name}{_SUFFIX}")
            self._remove_oldest()
        except (OSError, ValueError, TypeError):  # full, or not ours to write; or what has no text
            with contextlib.suppress(OSError):
                temp.unlink()

    def _remove_oldest(self) -> None:
        with os.scandir(self.folder) as entries:
            files = sorted(((e.stat().st_mtime_ns, e.stat().st_size, e.path) for e in entries), reverse=True)
        total = 0
        for place, (_, size, path) in enumerate(files):
            total += size
            if place and total > _MOST_BYTES:
                os.unlink(path)  # noqa: PTH108 (scandir names it as text)


def _encoded(name: str, columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Return the bytes of a file: a checksum, a line with the name, kind and size of each column, the columns."""
    parts = [(column, *_column(values)) for column, values in columns.items()]
    head = json.dumps([name, [(column, kind, len(data)) for column, kind, data in parts]]).encode()
    content = b"".join([head, b"\n", *[data for _, _, data in parts]])
    return b"%b%0*x%b" % (_MAGIC, _CHECKSUM_BYTES, zlib.crc32(content), content)


def _column(values: Sequence[Any]) -> tuple[str, bytes]:
    """Return the kind and the bytes of a column.

    Kinds: `d` and `q` are numbers side by side, `=` one value that all have, `o` JSON that orjson reads back as it was,
    and `j` JSON of Python's module, for NaN and large integers.
    """
    import orjson

    types = set(map(type, values))
    if len(types) == 1:
        if types == {float}:
            return "d", array("d", values).tobytes()
        first = values[0]
        if types.issubset(_REPEATED) and values.count(first) == len(values):
            return "=", json.dumps([len(values), first]).encode()
        if types == {int}:
            with contextlib.suppress(OverflowError):
                return "q", array("q", values).tobytes()
    with contextlib.suppress(TypeError, ValueError):
        data = orjson.dumps(values)
        if types == {str} or orjson.loads(data) == values:  # NaN comes back as None, and integers have 64 bits
            return "o", data
    return "j", json.dumps(values).encode()


def _decoded(name: str, data: bytes) -> dict[str, list[Any]]:
    """Return the columns in the bytes of a file.

    Raises:
        ValueError: they are damaged, or were stored under another name.
        TypeError: the same.
        KeyError: the same.
    """
    import orjson

    start = len(_MAGIC) + _CHECKSUM_BYTES
    content = memoryview(data)
    if not data.startswith(_MAGIC) or zlib.crc32(content[start:]) != int(data[len(_MAGIC) : start], 16):
        raise ValueError("damaged")
    at = data.index(b"\n", start) + 1
    own, columns = json.loads(data[start:at])
    if own != name:
        raise ValueError("another one's")
    found: dict[str, list[Any]] = {}
    for column, kind, size in columns:
        part = content[at : at + size]
        at += size
        if kind in ("d", "q"):
            numbers = array(kind)
            numbers.frombytes(part)
            found[column] = numbers.tolist()
        elif kind == "=":
            count, value = json.loads(bytes(part))
            found[column] = [value] * count
        else:
            found[column] = orjson.loads(part) if kind == "o" else json.loads(bytes(part))
    return found
