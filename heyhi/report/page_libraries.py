"""The scripts that a page carries: Plotly's and DataTables', as the installed plotly and itables bring them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.extras import check
from heyhi.quick_dataclass import dataclass

_ENDS = 2000  # bytes at either end of a script, in which its outermost function begins and ends


class PageError(HeyhiError):
    """The page can't be made: a library doesn't fit, or the data doesn't fit together."""


@dataclass(frozen=True)
class Libraries:
    """What draws a page's plots and its table.

    Attributes:
        plotly: script.
        tables: script of DataTables, a module that sets a global `DataTable`.
        tables_style: its style sheet.
    """

    plotly: bytes
    tables: bytes
    tables_style: bytes


def read_libraries() -> Libraries:
    """Read the libraries of the installed packages, without importing these.

    Raises:
        ExtraError: one is missing.
        PageError: one can't be put into a page.
    """
    check("page")
    plotly = _packaged("plotly", "package_data/plotly.min.js")
    tables = _as_global(_packaged("itables", "html/dt_bundle.js"))
    style = _packaged("itables", "html/dt_bundle.css")
    for name, text in (("plotly", plotly), ("itables", tables)):
        if _ends_a_script(text):
            raise PageError(f"the script of the installed {name} can't be put into a page; try another version")
    return Libraries(_compiled_once(plotly), tables, style.replace(b"</style", b"<\\/style"))


def _ends_a_script(text: bytes) -> bool:
    """Return whether a text has `</script`, in letters of any case; most of what is looked at has 5 MB."""
    return any(behind[:6].lower() == b"script" for behind in text.split(b"</")[1:])


def _as_global(tables: bytes) -> bytes:
    """Let the bundle set a global instead of exporting names: a page has no address to import it from."""
    # Not \b in front, at which each character would be looked at; looked behind it is only where the word stands.
    exports = re.search(rb"export(?<!\wexport)\s*\{([^{}]*)\}\s*;?", tables)
    names = dict(re.findall(rb"([\w$]+) as (\w+)", exports[1])) if exports else {}
    wanted = [local for local, name in names.items() if name == b"default"]
    if not exports or not wanted:
        raise PageError("the DataTables bundle of the installed itables exports no default; try another version")
    return b"%bglobalThis.DataTable=%b;%b" % (tables[: exports.start()], wanted[0], tables[exports.end() :])


def _compiled_once(plotly: bytes) -> bytes:
    """Put parentheses around the function that is all of plotly.min.js: browsers then compile it once.

    Without them V8 takes it for one that is called later: it reads the 5 MB twice, which makes opening the
    page a fifth slower.
    """
    head = re.search(rb"\bthis,\s*(?=\(\)\s*=>\s*\{)", plotly[:_ENDS])
    tail = re.search(rb"\}(?=\)\);?\s*$)", plotly[-_ENDS:])
    if not head or not tail:
        return plotly
    end = len(plotly) - len(plotly[-_ENDS:]) + tail.end()
    return b"%b(%b)%b" % (plotly[: head.end()], plotly[head.end() : end], plotly[end:])


def _packaged(package: str, name: str) -> bytes:
    """Read a file of an installed package without importing it; its lines end as a browser has them."""
    spec = importlib.util.find_spec(package)
    for location in (spec and spec.submodule_search_locations) or ():
        path = Path(location, name)
        if path.exists():
            return path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    raise PageError(f"the installed {package} has no {name}, which the page needs; try another version")
