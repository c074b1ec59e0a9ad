"""The HTML page of a sweep: one file, made from plain data, that needs no network and no other file.

What to show is the caller's: no experiment folder is read here. How it looks and behaves is in page_files/; what its
script is given, in page_payload.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from heyhi.files import replace_bytes
from heyhi.report.page_content import Detail as Detail
from heyhi.report.page_content import PageData as PageData
from heyhi.report.page_libraries import read_libraries
from heyhi.report.page_payload import payload_of
from heyhi.text import readable

# One script, in parts that can be read.
_SCRIPTS = (
    *("texts.js", "values.js", "view.js", "plots.js", "drawn_once.js", "drawing.js", "colours.js", "left_out.js"),
    *("metrics.js", "metrics_menu.js"),
    *("bundles.js", "far_lines.js", "curve_traces.js", "merged_lines.js", "curves.js"),
    *("overrides.js", "parallel_axes.js", "parallel.js"),
    *("search.js", "columns.js", "filters.js", "reasons.js", "table.js", "choosing.js", "keys.js"),
    *("details.js", "controls.js", "live.js", "connection.js", "news.js"),
    *("live_curves.js", "copying.js", "log.js", "live_details.js", "start.js"),
)
_STYLES = ("style.css", "table.css", "details.css")
_PART = re.compile(rb"\{\{ ([\w.]+) \}\}")


def write_page(path: Path, page: PageData) -> None:
    """Write a sweep's page; a reader sees the old one or the new one, whole.

    Args:
        path: the HTML file. Links to folders and logs are relative to where it is.
        page: what to show.

    Raises:
        ExtraError: plotly or itables is missing.
        PageError: the table has no exp_id or a name twice.
        ResultError: the file can't be written.
    """
    replace_bytes(path, render_page(page, folder=path.absolute().parent))


def render_page(page: PageData, *, folder: Path) -> bytes:
    """Make a page's text; `folder` is where it will be, for relative links.

    It is of bytes from the start: nearly all of it are scripts, which take longer to be decoded and encoded again than
    all the rest.
    """
    payload = payload_of(page, folder)
    libraries = read_libraries()
    scripts = {"plotly": libraries.plotly, "tables": libraries.tables, "script": _joined(_SCRIPTS, b"\n")}
    title = _escaped(readable(payload["title"]))
    return _filled(
        "page.html",
        {
            **scripts,
            "hashes": b" ".join(map(_hash, scripts.values())),
            "title": title,
            "library_style": libraries.tables_style,
            "style": _joined(_STYLES),
            "body": _filled("body.html", {"title": title}),
            "data": _json(payload),
        },
    )


def live_page(addresses: Mapping[str, str]) -> str:
    """Make the text of the page of `heyhi serve`: the same, with its scripts and its data to be fetched.

    Args:
        addresses: of what `static_files` has, by name.
    """
    parts = {name: _escaped(address) for name, address in addresses.items()}
    return _filled("live.html", {"body": _filled("body.html", {"title": b"HeyHi"}), **parts}).decode()


def static_files() -> dict[str, bytes]:
    """Return what that page fetches beside its data, by name."""
    libraries = read_libraries()
    return {
        "plotly.js": libraries.plotly,
        "tables.js": libraries.tables,
        "page.js": _joined(_SCRIPTS, b"\n"),
        "enter.js": _own("enter.js"),
        "early.js": _own("early.js"),
        "style.css": libraries.tables_style + _joined(_STYLES),
    }


def _filled(name: str, parts: Mapping[str, bytes]) -> bytes:
    """Return a template of page_files/ with parts in the place of their names, `{{ name }}`.

    Args:
        name: of the template.
        parts: by name. What a user wrote is escaped in them: nothing else may stand there but scripts and styles of
            HeyHi's or a library's, and JSON in which `<`, `>` and `&` are escaped.
    """
    pieces = _PART.split(_own(name))  # text and names in turns
    return b"".join(parts[piece.decode()] if number % 2 else piece for number, piece in enumerate(pieces))


def _own(name: str) -> bytes:
    """Read a file of page_files/."""
    return resources.files("heyhi.report").joinpath("page_files", name).read_bytes()


def _joined(names: tuple[str, ...], separator: bytes = b"") -> bytes:
    """Read several files of page_files/."""
    return separator.join(map(_own, names))


def _escaped(text: str) -> bytes:
    """Return a text as HTML has it."""
    return html.escape(text).encode()


def _hash(script: bytes) -> bytes:
    """Name a script by its content, as a Content-Security-Policy does: no other one runs."""
    return b"'sha256-%b'" % base64.b64encode(hashlib.sha256(script).digest())


def _json(value: object) -> bytes:
    """Write JSON that nothing in a page takes for markup, whatever the texts in it are."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode("ascii")  # so that U+2028, U+2029 and lone surrogates are escaped as well
