"""`heyhi docs`: the pages of docs/, which come with the package: a list of them, or one on the terminal."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from heyhi.errors import HeyhiError, suggest
from heyhi.shipped import shipped_root

INDEX = "README.md"  # the list of pages, by groups
_LINE = re.compile(r"^- \[(?P<name>[\w-]+)\.md\]\((?P=name)\.md\): (?P<text>.+(?:\n  .+)*)$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([\w-]*)(?:\.md)?(?:#[^)]*)?\)")
_MOST_NAMED = 5  # pages that have a word


class Page(NamedTuple):
    """A page of the docs.

    Attributes:
        name: of its file, without `.md`.
        text: what it is about, in a line.
    """

    name: str
    text: str


class Group(NamedTuple):
    """Pages that belong together, in the order of reading."""

    title: str
    pages: list[Page]


def groups_in(index: str) -> list[Group]:
    """Return the groups of pages that an index lists.

    Args:
        index: text of docs/README.md: `## Group`, and below it `- [name.md](name.md): what it is about`.
    """
    found = []
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, rest = part.partition("\n")
        pages = [Page(line["name"], " ".join(line["text"].split())) for line in _LINE.finditer(rest)]
        if pages:
            found.append(Group(title.strip(), pages))
    return found


def folder() -> Path:
    """Return where the pages lie: in the package, or in the checkout that it is run from.

    Raises:
        HeyhiError: they are missing.
    """
    found = shipped_root() / "docs"
    if not (found / INDEX).is_file():
        raise HeyhiError(f"{found / INDEX} is missing: HeyHi is not installed as a whole")
    return found


def docs(args: argparse.Namespace) -> int:
    """List the pages, show one, or say where they lie."""
    pages = folder()
    path = _find(pages, args.page) if args.page is not None else None
    if args.path:
        print(path or pages)
    elif path is not None:
        _show(path.read_text(encoding="utf-8"))
    else:
        print(_listed(groups_in((pages / INDEX).read_text(encoding="utf-8"))))
    return 0


def names() -> list[str]:
    """Return the names of all pages."""
    return sorted(path.stem for path in folder().glob("*.md") if path.name != INDEX)


def _find(pages: Path, given: str) -> Path:
    """Return the file of a page, named as in a link or bare.

    Raises:
        HeyhiError: there is none of that name.
    """
    name = given.partition("#")[0].removeprefix("docs/").removesuffix(".md")
    known = names()
    if name in known or f"{name}.md" == INDEX:
        return pages / f"{name}.md"
    near = suggest(name, known)
    with_word = [] if near else _having(pages, known, name)[:_MOST_NAMED]
    where = f" (the word stands in {', '.join(with_word)})" if with_word else ""
    raise HeyhiError(f"there is no page '{given}'{near}{where}: `heyhi docs` lists them")


def _having(pages: Path, known: Iterable[str], word: str) -> list[str]:
    """Return the pages that have a word, whatever its case, the one first that has it most often."""
    if not re.fullmatch(r"\w[\w.-]{2,40}", word):
        return []
    wanted = re.compile(rf"\b{re.escape(word)}", re.IGNORECASE)
    found = {name: len(wanted.findall((pages / f"{name}.md").read_text(encoding="utf-8"))) for name in known}
    return sorted((name for name in known if found[name]), key=lambda name: -found[name])


def _listed(groups: list[Group]) -> str:
    width = max((len(page.name) for group in groups for page in group.pages), default=0)
    lines = []
    for group in groups:
        lines += [f"{group.title}:", *(f"  {page.name:<{width}}  {page.text}" for page in group.pages), ""]
    return "\n".join([*lines, "heyhi docs NAME shows a page; --path says where its file lies"])


def _show(text: str) -> None:
    """Show a page: as it is where standard output is no terminal, else laid out and by a pager."""
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.markdown import Markdown

    from heyhi.shown_console import ShownConsole

    console = ShownConsole()
    page = Markdown(_with_commands(text), hyperlinks=False, code_theme="ansi_dark")
    with console.capture() as captured:
        console.print(page)
    if not _is_paged(captured.get()):
        console.print(page)


def _is_paged(text: str) -> bool:
    """Show a text by the user's pager; return False where there is none that starts."""
    pager = _pager()
    if not pager:
        return False
    try:
        # As git has it: colours stay, and what fits the screen needs no key.
        child = subprocess.Popen(pager, stdin=subprocess.PIPE, env={"LESS": "FRX", **os.environ})
    except OSError:
        return False
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's
    try:
        child.communicate(text.encode(sys.stdout.encoding or "utf-8", "replace"))
    finally:
        signal.signal(signal.SIGINT, before)
    return True


def _pager() -> list[str]:
    """Return the command of the user's pager; empty where there is none, or nobody at a keyboard."""
    try:
        command = shlex.split(os.environ.get("PAGER", "less"))
    except ValueError:
        return []
    found = shutil.which(command[0]) if command and sys.stdin is not None and sys.stdin.isatty() else None
    return [found, *command[1:]] if found else []


def _with_commands(text: str) -> str:
    """Write links between pages as the commands that show them."""

    def written(link: re.Match[str]) -> str:
        shown, page = link.groups()
        return f"`heyhi docs {page}`" if shown == f"{page}.md" else f"{shown} (`heyhi docs {page}`)" if page else shown

    return _LINK.sub(written, text)
