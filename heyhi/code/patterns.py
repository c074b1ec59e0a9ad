"""Patterns as a .gitignore has them: those of `snapshot_exclude`, and those of the files of that name outside git."""

from __future__ import annotations

import re
import stat
import warnings
from collections.abc import Iterable
from pathlib import Path

from heyhi.errors import SnapshotError
from heyhi.project import Project
from heyhi.quick_tuple import NamedTuple

IGNORE_NAME = ".gitignore"
_MOST_BYTES = 1_000_000


class Patterns(NamedTuple):
    """Patterns in order, of which the last one that matches a path counts.

    Attributes:
        rules: each one as a regular expression over a path (folders end in `/`), and whether what matches is left out;
            else it is taken back.
    """

    rules: tuple[tuple[re.Pattern[str], bool], ...] = ()

    def leave_out(self, path: str) -> bool | None:
        """Return whether a path is left out or taken back; None where nothing is said of it."""
        for regex, leaves_out in reversed(self.rules):
            if regex.search(path):
                return leaves_out
        return None

    @property
    def take_back(self) -> bool:
        """Whether anything may be taken back."""
        return any(not leaves_out for _, leaves_out in self.rules)


def exclude_patterns(project: Project) -> Patterns:
    """Return the patterns of `snapshot_exclude`.

    They match all that lies below a match, too. Unlike in a .gitignore, `./a` means `/a`, a leading `#` or a bracket
    that isn't closed stands for itself, and what lies in a folder that is left out can be taken back.

    Raises:
        SnapshotError: one is no pattern.
    """
    texts = (text for text in project.settings.snapshot_exclude if text.strip("!/ "))
    return Patterns(tuple((_pattern(text), not text.startswith("!")) for text in texts))


def ignore_patterns(folder: Path) -> Patterns | None:
    """Return the patterns of a folder's .gitignore; None where there is none that says anything.

    They don't match what lies in a folder that they match, which is left out with it. What is no pattern says nothing.
    """
    path = folder / IGNORE_NAME
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # git follows no link here
            return None
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return None
    rules = tuple(_ignored(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")))
    return Patterns(rules) if rules else None


def _ignored(lines: Iterable[str]) -> Iterable[tuple[re.Pattern[str], bool]]:
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        is_back = line.startswith("!")
        try:
            regex = _translated(_escaped(line[1:]) if is_back else line, inside=False)
        except (ValueError, re.error):
            continue
        if regex is not None:
            yield regex, not is_back


def _escaped(rest: str) -> str:
    """Return what follows a `!` as a line of its own."""
    return f"\\{rest}" if rest.startswith(("#", "!")) else rest


def _pattern(text: str) -> re.Pattern[str]:
    """Translate a pattern of the setting.

    Raises:
        SnapshotError: it is none.
    """
    setting = f"[tool.heyhi] snapshot_exclude has {text!r}"
    line = text.removeprefix("!")
    line = line.removeprefix(".") if line.startswith("./") else line
    line = _escaped(line)
    try:
        regex = _translated(line) or _translated(line.replace("[", r"\["))
    except (ValueError, re.error) as error:
        raise SnapshotError(f"{setting}: {error}") from None
    if regex is None:
        raise SnapshotError(f"{setting}: it matches nothing")
    return regex


def _translated(line: str, *, inside: bool = True) -> re.Pattern[str] | None:
    """Translate a line as pathspec does; None where git would ignore it.

    Args:
        line: of a .gitignore.
        inside: match what lies in a folder that matches, too.
    """
    from pathspec import GitIgnoreSpec  # slower to import than all of ours, and few projects have patterns

    line = re.sub(r"/\*\*/ *\Z", "/**/*/", line)  # pathspec takes `a/**/` for `a/`, git for the folders in it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of `[[]`, which means what it says
        regexes = [pattern.regex for pattern in GitIgnoreSpec.from_lines([line]).patterns]
        if not regexes or regexes[0] is None:
            return None
        text = regexes[0].pattern
        if not inside:
            text = text.replace("(?P<ps_d>/)", "/\\Z")  # pathspec's mark of where a folder's name ends
            text += "." if text.endswith("/") else ""  # `a/**` doesn't mean the folder itself
        # pathspec lets `[!a]` match a slash, and no wildcard match a line break in a folder's name.
        return re.compile(re.sub(r"\[\^(?!/)", "[^/", text), re.DOTALL)
