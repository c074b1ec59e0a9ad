"""The scripts that a page carries: Plotly's and DataTables', as the installed plotly and itables bring them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.extras import check
from heyhi.quick_dataclass import dataclass


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

    plotly: str
    tables: str
    tables_style: str


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
    return Libraries(_compiled_once(plotly), tables, style.replace("</style", "<\\/style"))


def _ends_a_script(text: str) -> bool:
    """Return whether a text has `</script`, in letters of any case; most of what is looked at has 5 MB."""
    return any(behind[:6].lower() == "script" for behind in text.split("</")[1:])


def _as_global(tables: str) -> str:
    """Let the bundle set a global instead of exporting names: a page has no address to import it from."""
    # Not \b in front, at which each character would be looked at; looked behind it is only where the word stands.
    exports = re.search(r"export(?<!\wexport)\s*\{([^{}]*)\}\s*;?", tables)
    names = dict(re.findall(r"([\w$]+) as (\w+)", exports[1])) if exports else {}
    wanted = [local for local, name in names.items() if name == "default"]
    if not exports or not wanted:
        raise PageError("the DataTables bundle of the installed itables exports no default; try another version")
    return f"{tables[: exports.start()]}globalThis.DataTable={wanted[0]};{tables[exports.end() :]}"


def _compiled_once(plotly: str) -> str:
    """Put parentheses around the function that is all of plotly.min.js: browsers then compile it once.

    Without them V8 takes it for one that is called later: it reads the 5 MB twice, which makes opening the
    page a fifth slower.
    """
    head = re.search(r"\bthis,\s*(?=\(\)\s*=>\s*\{)", plotly[:2000])
    tail = re.search(r"\}(?=\)\);?\s*$)", plotly)
    if not head or not tail:
        return plotly
    return f"{plotly[: head.end()]}({plotly[head.end() : tail.end()]}){plotly[tail.end() :]}"


def _packaged(package: str, name: str) -> str:
    """Read a file of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    for location in (spec and spec.submodule_search_locations) or ():
        path = Path(location, name)
        if path.exists():
            return path.read_text(encoding="utf-8")
    raise PageError(f"the installed {package} has no {name}, which the page needs; try another version")
