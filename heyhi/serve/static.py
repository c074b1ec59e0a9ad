"""The page and its files, which don't change while a server runs: a browser asks once for each."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from heyhi.report.page import live_page, static_files
from heyhi.serve.answers import Pieces, Sending, packed_answer, takes_gzip

if TYPE_CHECKING:
    from starlette.requests import Request

_LEVEL = 6  # once for each file
_VERSION = "v"


class Static:
    """The page of `heyhi serve`, and what it fetches beside its data.

    Args:
        sending: what the server is sending.
        pack: whether files are packed: readers are far away. Whoever is near waits longer for that than for megabytes.
    """

    def __init__(self, sending: Sending, *, pack: bool = True) -> None:
        self._sending, self._pack = sending, pack
        self._packed: dict[str, bytes] = {}

    @cached_property
    def _files(self) -> dict[str, bytes]:
        return static_files()

    @cached_property
    def _versions(self) -> dict[str, str]:
        return {name: hashlib.sha256(data).hexdigest()[:16] for name, data in self._files.items()}

    @cached_property
    def _text(self) -> bytes:
        return live_page(
            {name: f"static/{name}?{_VERSION}={version}" for name, version in self._versions.items()}
        ).encode()

    @property
    def names(self) -> Mapping[str, object]:
        """The files."""
        return self._files

    def page(self, *, packed: bool) -> Pieces:
        """Return the page."""
        return packed_answer(self._sending, self._text, "text/html", packed=packed)

    def file(self, name: str, request: Request) -> Pieces:
        """Return a file; where a browser has it, only that it is so."""
        version = self._versions[name]
        is_named = request.query_params.get(_VERSION) == version
        headers = {
            "etag": f'"{version}"',
            "cache-control": "private, max-age=31536000, immutable" if is_named else "private, no-cache",
            "vary": "accept-encoding",
        }
        if f'"{version}"' in request.headers.get("if-none-match", ""):
            return Pieces(self._sending, b"", 304, headers)
        body = self._files[name]
        if self._pack and takes_gzip(request):
            if name not in self._packed:
                self._packed[name] = gzip.compress(body, compresslevel=_LEVEL, mtime=0)
            body, headers["content-encoding"] = self._packed[name], "gzip"
        return Pieces(self._sending, body, 200, headers, "text/css" if name.endswith(".css") else "text/javascript")
