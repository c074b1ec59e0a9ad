"""How Sphinx makes the site of docs/ (`make docs`): the pages as they are, for reading without a network.

What stands in which group of the list at its left is read from docs/README.md.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder

from heyhi.cli.docs import groups_in

_ROOT = Path(__file__).resolve().parents[1]
# A link out of docs/, into the tree: for a reader of the site it is the name of a file.
_OUT = re.compile(r"(?<!!)\[([^\]]+)\]\(\.\./([^)#]+)(?:#[^)]*)?\)")

# Where one searches the site; Sphinx's own name for it is that of a page of ours.
_SEARCH, _FIND = "search", "find"

project = "HeyHi"
html_title = "HeyHi"
extensions = ["myst_parser"]
root_doc = "README"
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]  # an ellipsis stands for what everybody writes otherwise
smartquotes = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

html_theme = "furo"
templates_path = ["templates"]
html_additional_pages = {"index": "index.html"}
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_use_index = False
# Summaries would be fetched, which a browser refuses a page that it has opened from the disk.
html_show_search_summary = False


class Builder(StandaloneHTMLBuilder):
    """Makes the pages; that to search in goes by another name."""

    def handle_page(self, pagename: str, addctx: dict[str, Any], templatename: str = "page.html", **more: Any) -> None:
        """Make a page."""
        is_to_search_in = (pagename, templatename) == (_SEARCH, "search.html")
        super().handle_page(_FIND if is_to_search_in else pagename, addctx, templatename, **more)


def setup(app: Sphinx) -> None:
    """Have each page read as `shown` makes it, and templates lead to where one searches."""
    app.add_builder(Builder, override=True)
    app.connect("source-read", lambda _, name, source: source.__setitem__(0, shown(name, source[0])))
    app.connect("html-page-context", _lead_to_find)


def _lead_to_find(_: Sphinx, name: str, template: str, context: dict[str, Any], doctree: object) -> None:
    path_to = context["pathto"]
    context["pathto"] = lambda page, *more: path_to(_FIND if page == _SEARCH else page, *more)


def shown(name: str, text: str) -> str:
    """Return the source of a page as the site shows it.

    Args:
        name: of the page.
        text: as it stands in docs/.
    """
    text = _OUT.sub(_as_name, text)
    if name != root_doc:
        return text
    lists = []
    for group in groups_in(text):
        # By title: Sphinx would give `search` one of its own.
        pages = "\n".join(f"{_title(page.name)} <{page.name}>" for page in group.pages)
        lists.append(f"```{{toctree}}\n:hidden:\n:caption: {group.title}\n\n{pages}\n```\n")
    return "\n".join([text, *lists])


def _title(name: str) -> str:
    with (_ROOT / "docs" / f"{name}.md").open(encoding="utf-8") as file:
        return file.readline().removeprefix("# ").replace("`", "").strip()


def _as_name(found: re.Match[str]) -> str:
    text, path = found.groups()
    if not (_ROOT / path).exists():
        raise ValueError(f"a link leads to {path}, which isn't there")
    return text if text.strip("`") in path or path in text else f"{text} (`{path}`)"
