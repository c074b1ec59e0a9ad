"""The commands that a package of the user's has, each of which calls one of its functions and exits with its result."""

from __future__ import annotations

import configparser
import contextlib
import tomllib
from collections.abc import Iterator
from pathlib import Path


def console_script(root: Path, module: str, function: str) -> str:
    """Return the command that calls a function; empty where none does.

    Args:
        root: of the repository, with its pyproject.toml or setup.cfg.
        module: in which the function is.
        function: its name.
    """
    wanted = f"{module}:{function}"
    for name, called in (*_of_pyproject(root / "pyproject.toml"), *_of_setup(root / "setup.cfg")):
        if called.partition("[")[0].replace(" ", "") == wanted:  # extras may stand behind it
            return name
    return ""


def _of_pyproject(path: Path) -> Iterator[tuple[str, str]]:
    found: dict[str, object] = {}
    with contextlib.suppress(OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    for keys in (("project", "scripts"), ("tool", "poetry", "scripts")):
        table: object = found
        for key in keys:
            table = table.get(key) if isinstance(table, dict) else None
        if isinstance(table, dict):
            yield from ((name, called) for name, called in table.items() if isinstance(called, str))


def _of_setup(path: Path) -> Iterator[tuple[str, str]]:
    parser = configparser.RawConfigParser()
    with contextlib.suppress(OSError, configparser.Error, UnicodeDecodeError):
        parser.read_string(path.read_text(encoding="utf-8"))
    for line in parser.get("options.entry_points", "console_scripts", fallback="").splitlines():
        name, is_one, called = line.partition("=")
        if is_one:
            yield name.strip(), called.strip()
