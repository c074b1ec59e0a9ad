"""Which habit of somebody's a mistake is about, if any; the habits themselves stand in `heyhi.cli.habits`."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.errors import HeyhiError
from heyhi.slips import is_slip

if TYPE_CHECKING:
    from heyhi.cli.habits import Advice

_MAX_KEYS = 2000
_MAX_CONFIGS = 2000


def advice_for(
    error: str, words: tuple[str, ...], command: str, *, sweeps: bool, options: Container[str]
) -> Advice | None:
    """Find how it is typed what an error is about; None where that is no habit.

    Args:
        error: text of it.
        words: of the command line, less the program.
        command: the first of them where it names a command; empty for a task file.
        sweeps: whether the command takes `--sweep`.
        options: of a task file.
    """
    from heyhi.cli.habits import Line, advice_on

    def commands_with(option: str) -> list[str]:
        return _commands_with(option, command, options)

    place = words.index(command) if command in words else -1
    words = words[place + 1 :]
    keys = _Keys(words)
    line = Line(words, command, sweeps, keys, keys.proto, _configs, _kind_of, commands_with)
    first = error.partition("\n")[0] if error.count("override '") == 1 else error
    if _is_typo(error, line.known_keys):
        return None
    for one in advice_on(line):
        if any(mark in first for mark in one.marks) and one.also in first:
            return one
    return None


def _commands_with(option: str, command: str, options: Container[str]) -> list[str]:
    """Name the commands of `heyhi` that have an option; none where this one has it itself."""
    import argparse

    from heyhi.cli.parser import make_parser

    (commands,) = (one for one in make_parser()._actions if isinstance(one, argparse._SubParsersAction))
    having = [name for name, parser in commands.choices.items() if option in parser._option_string_actions]
    return [] if option in options or command in having else having


class _Keys:
    """The keys of the config on a command line, looked up when they are first asked for; none where there is none."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._found: tuple[list[str], str] | None = None

    def __call__(self) -> list[str]:
        """Return them."""
        return self._look_up()[0]

    def proto(self) -> str:
        """Name the file that declares their message."""
        return self._look_up()[1]

    def _look_up(self) -> tuple[list[str], str]:
        if self._found is None:
            self._found = [], "conf/*.proto"
            with contextlib.suppress(HeyhiError, OSError):
                self._found = next(_keys_of(self._words), self._found)
        return self._found


def _keys_of(words: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """Yield the keys of each config that some words name, with the file that declares their message."""
    from heyhi.config.includes import ConfigFiles
    from heyhi.config.keys import schema_keys
    from heyhi.config.schema import load_schema, message_type
    from heyhi.project import find_project

    project = find_project()
    schema = load_schema(project)
    files = ConfigFiles(project, schema)
    for word in words:
        name = word.partition("=")[2] if word.startswith("--") else word
        if not name or "=" in name or name.startswith("-"):
            continue
        with contextlib.suppress(HeyhiError):
            task = files.root(files.find_config(name)).task
            kind = message_type(schema.tasks[task])
            yield schema_keys(kind, _MAX_KEYS), kind.file.name


def _is_typo(error: str, known_keys: Callable[[], Sequence[str]]) -> bool:
    """Return whether an error names an option that differs from what was typed in dashes or a letter only."""
    from heyhi.cli.habits import OPTIONS

    match = re.search(r"unknown option '-*([\w-]+)' \(did you mean '-*([\w-]+)'", error)
    if match is None or match[1] in OPTIONS or match[1].replace("-", "_") in known_keys():
        return False
    typed, meant = (text.replace("-", "").replace("_", "") for text in match.groups())
    return is_slip(typed, meant)


def _configs() -> list[str]:
    """Name the project's configs, less their suffix."""
    from heyhi.config.identity import SUFFIX
    from heyhi.files import files_below
    from heyhi.project import find_project

    with contextlib.suppress(HeyhiError, OSError):
        root = find_project().conf_root
        found = itertools.islice(files_below(root, f"*{SUFFIX}"), _MAX_CONFIGS)
        return sorted(path.relative_to(root).as_posix().removesuffix(SUFFIX) for path in found)
    return []


def _kind_of(name: str) -> str:
    """Say what a word leads to that was taken for something else; empty where that is nothing of note."""
    from heyhi.control.find import find_started
    from heyhi.project import find_project

    with contextlib.suppress(HeyhiError, OSError, ValueError):
        path = Path(name)
        if name.endswith(".py"):
            text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
            if "def yield_sweep" in text or "SEARCH" in text:
                return "sweep file"
            if "def main(" in text and "heyhi" in text:
                return "task file"
            return "script" if "argparse" in text else ""
        if find_started(find_project(), name) is not None:
            return "experiment"
    return ""
