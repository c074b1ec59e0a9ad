"""The HTML page of a sweep: one file, made from plain data, that needs no network and no other file.

What to show is the caller's: no experiment folder is read here. How it looks and behaves is in page_files/; what its
script is given, in page_payload.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.extras import load
from heyhi.files import replace_file
from heyhi.report.page_content import Detail as Detail
from heyhi.report.page_content import PageData as PageData
from heyhi.report.page_libraries import read_libraries
from heyhi.report.page_payload import payload_of
from heyhi.text import readable

if TYPE_CHECKING:
    from jinja2 import Template

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


def write_page(path: Path, page: PageData) -> None:
    """Write a sweep's page; a reader sees the old one or the new one, whole.

    Args:
        path: the HTML file. Links to folders and logs are relative to where it is.
        page: what to show.

    Raises:
        ExtraError: plotly, itables or jinja2 is missing.
        PageError: the table has no exp_id or a name twice.
        ResultError: the file can't be written.
    """
    replace_file(path, render_page(page, folder=path.absolute().parent))


def render_page(page: PageData, *, folder: Path) -> str:
    """Make a page's text; `folder` is where it will be, for relative links."""
    payload = payload_of(page, folder)
    libraries = read_libraries()
    scripts = {"plotly": libraries.plotly, "tables": libraries.tables, "script": "\n".join(map(_own, _SCRIPTS))}
    return _template("page.html").render(
        **scripts,
        hashes=list(map(_hash, scripts.values())),
        title=readable(payload["title"]),
        library_style=libraries.tables_style,
        style="".join(map(_own, _STYLES)),
        data=_json(payload),
    )


def live_page(addresses: Mapping[str, str]) -> str:
    """Make the text of the page of `heyhi serve`: the same, with its scripts and its data to be fetched.

    Args:
        addresses: of what `static_files` has, by name.
    """
    return _template("live.html").render(title="HeyHi", addresses=addresses)


def static_files() -> dict[str, bytes]:
    """Return what that page fetches beside its data, by name."""
    libraries = read_libraries()
    texts = {
        "plotly.js": libraries.plotly,
        "tables.js": libraries.tables,
        "page.js": "\n".join(map(_own, _SCRIPTS)),
        "enter.js": _own("enter.js"),
        "early.js": _own("early.js"),
        "style.css": libraries.tables_style + "".join(map(_own, _STYLES)),
    }
    return {name: text.encode() for name, text in texts.items()}


@lru_cache(maxsize=2)
def _template(name: str) -> Template:
    """Load a template of page_files/; what a user wrote is escaped in it."""
    jinja2 = load("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_own),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    template: Template = environment.get_template(name)
    return template


def _own(name: str) -> str:
    """Read a file of page_files/."""
    return resources.files("heyhi.report").joinpath("page_files", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Name a script by its content, as a Content-Security-Policy does: no other one runs."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"


def _json(value: object) -> str:
    """Write JSON that nothing in a page takes for markup, whatever the texts in it are."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text  # ASCII only, so that U+2028, U+2029 and lone surrogates are escaped as well
