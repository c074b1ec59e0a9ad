"""A script as text and syntax tree; who uses another library than argparse is told so."""

from __future__ import annotations

import ast
import io
import os
import re
import tokenize
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from heyhi.errors import ProjectError
from heyhi.text import one_line

_MOST_BYTES = 10_000_000
_PYTHON_2 = re.compile(
    r"^\s*(print\s+[^=(\s]|print\s+\(.*\)\s*%|exec\s+\S|except\s+[\w.]+\s*,\s*\w+\s*:|raise\s+\w+\s*,)", re.M
)
# Libraries by which scripts read their arguments, by the names they are imported by.
OTHERS = {
    "absl": "absl",
    "cappa": "cappa",
    "click": "click",
    "configargparse": "ConfigArgParse",
    "cyclopts": "cyclopts",
    "docopt": "docopt",
    "draccus": "draccus",
    "fire": "Fire",
    "getopt": "getopt",
    "gflags": "gflags",
    "hydra": "Hydra",
    "jsonargparse": "jsonargparse",
    "optparse": "optparse",
    "plac": "plac",
    "pyrallis": "pyrallis",
    "sacred": "Sacred",
    "simple_parsing": "simple-parsing",
    "tap": "Tap",
    "typer": "Typer",
    "tyro": "tyro",
}
_ONLY = "only argparse is read"
_NEXT_OF_HYDRA = "(`heyhi init .` begins without it, and `heyhi docs from-hydra` has what is called what)"
_NEXT = "(`heyhi init DIR` makes a project with an example; its conf/conf.proto is where settings are declared)"


@dataclass(frozen=True)
class Script:
    """A Python file.

    Attributes:
        path: absolute.
        shown: its path as the user gave it.
        text: what stands in it.
        tree: that as a syntax tree.
    """

    path: Path
    shown: str
    text: str
    tree: ast.Module

    @property
    def stem(self) -> str:
        """Its name without suffix."""
        return self.path.stem

    def source(self, node: ast.AST, limit: int = 80) -> str:
        """Return what stands in it at a node, in one line."""
        first, last = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
        if not first or not last:
            return ""
        lines = self.lines[first - 1 : last]
        lines[-1] = lines[-1][: getattr(node, "end_col_offset", 0)]
        lines[0] = lines[0][getattr(node, "col_offset", 0) :]
        text = b" ".join(lines[:100]).decode(errors="replace")
        return one_line(" ".join(text.split()), limit)

    @cached_property
    def lines(self) -> list[bytes]:
        """Its lines, as syntax trees count: columns are bytes."""
        return self.text.encode(errors="replace").split(b"\n")

    @cached_property
    def imports(self) -> list[tuple[str, int]]:
        """The modules that are imported anywhere in it, each with how many folders up its name starts."""
        found: list[tuple[str, int]] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(name.name, 0) for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                found.append((node.module or "", node.level))
                if not node.module or node.level == 0:
                    found += [(".".join(filter(None, (node.module, name.name))), node.level) for name in node.names]
        return found


def read_script(given: Path) -> Script:
    """Read and parse a script; nothing in it is run.

    Raises:
        ProjectError: it can't be read, or is no Python.
    """
    shown = str(given)
    if given.is_dir():
        raise ProjectError(f"{shown}: is a folder; expected a Python script, such as train.py: nothing was written")
    if given.suffix == ".ipynb":
        raise ProjectError(
            f"{shown}: is a notebook; expected a Python script (`jupyter nbconvert --to script` makes one of it):"
            " nothing was written"
        )
    if os.path.abspath(given).startswith(("/dev/", "/proc/")):  # noqa: PTH100
        raise ProjectError(
            f"{shown}: is no file that stays; expected a Python script, which the task file goes on importing:"
            " nothing was written"
        )
    data = _bytes_of(given, shown)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        at = f"byte {error.start}" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ProjectError(
            f"{shown}: is no UTF-8 text ({at}), and its first lines name no other encoding: nothing was written"
        ) from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    # abspath, not resolve: names are those that the user gave.
    return Script(Path(os.path.abspath(given)), shown, text, _tree_of(text, shown))  # noqa: PTH100


def _bytes_of(given: Path, shown: str) -> bytes:
    from heyhi.files import read_bounded

    try:
        return read_bounded(given, _MOST_BYTES)
    except FileNotFoundError:
        from heyhi.errors import suggest

        folder = given.absolute().parent
        near = suggest(given.name, (path.name for path in folder.glob("*.py"))) if folder.is_dir() else ""
        raise ProjectError(f"{shown}: no such file{near}: nothing was written") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ProjectError(f"{shown}: can't be read: {why}: nothing was written") from None


def _tree_of(text: str, shown: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its strings' escapes
            return ast.parse(text)
    except SyntaxError as error:
        line = f":{error.lineno}" if error.lineno else ""
        hint = " (it looks like Python 2: `2to3` rewrites it)" if _PYTHON_2.search(text) else ""
        raise ProjectError(f"{shown}{line}: is no valid Python: {error.msg}{hint}: nothing was written") from None
    except (ValueError, RecursionError, MemoryError) as error:
        why = str(error) or "it is nested too deeply"
        raise ProjectError(f"{shown}: is no valid Python: {why}: nothing was written") from None


def no_parser(script: Script) -> ProjectError:
    """Say that a script has no arguments that could be read, and what it has instead."""
    roots = {name.partition(".")[0].lower() for name, level in script.imports if level == 0}
    found = [title for name, title in OTHERS.items() if name in roots]
    if any(name.endswith("HfArgumentParser") for name, _ in script.imports):
        found.append("transformers.HfArgumentParser")
    if found:
        next_step = _NEXT_OF_HYDRA if "hydra" in roots else _NEXT
        what = f"reads its arguments by {' and '.join(found)}, and {_ONLY} {next_step}"
        return ProjectError(f"{script.shown}: {what}: nothing was written")
    beside = [path for path in _beside(script) if "argparse" in path.read_text(encoding="utf-8", errors="replace")]
    if beside:
        near = Path(script.shown).parent / beside[0].relative_to(script.path.parent)
        return ProjectError(
            f"{script.shown}: has no argparse.ArgumentParser itself; {near}, which it imports, names argparse: give"
            " that one (--from takes one file): nothing was written"
        )
    return ProjectError(f"{script.shown}: has no argparse.ArgumentParser, and {_ONLY} {_NEXT}: nothing was written")


def _beside(script: Script) -> list[Path]:
    """List the modules beside a script that it imports."""
    paths = [
        script.path.parent / f"{name.replace('.', '/')}.py" for name, level in script.imports if level < 2 and name
    ]
    return [path for path in dict.fromkeys(paths) if path.is_file() and path.stat().st_size < _MOST_BYTES]
