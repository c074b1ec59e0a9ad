"""The checkpoints of an experiment: what `[tool.heyhi] checkpoints` matches in its folder, and which of them may go.

A pattern is relative to the experiment's folder; `*` stands for any part of a name, `**` for any folders. A name that
begins with a dot must be matched by a pattern that does. A folder that a pattern matches is one checkpoint with all
that is in it. HeyHi's own records are none, whatever the pattern, nor are links, nor what lies in another experiment.
"""

from __future__ import annotations

import enum
import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from heyhi.errors import ProjectError
from heyhi.experiment.names import IDENTITY_NAME, is_record
from heyhi.files import Tree, measure

_BEST = "best"


class Keep(enum.StrEnum):
    """Which checkpoints stay, of those that one pattern matches."""

    LAST = "last"  # the one that was written last
    BEST = "best"  # those with `best` in their name, and the last where the experiment isn't done
    NONE = "none"


class Pattern:
    """One pattern of the settings.

    Raises:
        ProjectError: it is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        parts = text.split("/")
        if text.startswith("/") or any(part in ("", ".", "..") for part in parts):
            raise ProjectError(
                f"[tool.heyhi] checkpoints: '{text}' is no pattern of files below an experiment's folder"
                " (expected such as '*.pt', 'checkpoints/step_*' or '**/*.ckpt')"
            )
        # All below a folder are its files: the folders would be one checkpoint, all of them.
        self._only_files = parts[-1] == "**"
        self._parts = [*parts, "*"] if self._only_files else parts

    def matches(self, parts: Sequence[str], *, is_folder: bool) -> bool:
        """Return whether it matches a path below the experiment's folder, given in parts."""
        return not (is_folder and self._only_files) and _match(self._parts, parts)


def _match(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    if not pattern or not parts:
        return not pattern and not parts
    if pattern[0] == "**":
        return _match(pattern[1:], parts) or (not parts[0].startswith(".") and _match(pattern, parts[1:]))
    hidden = parts[0].startswith(".") and not pattern[0].startswith(".")
    return not hidden and fnmatch.fnmatchcase(parts[0], pattern[0]) and _match(pattern[1:], parts[1:])


class Checkpoint(NamedTuple):
    """A file or folder that a pattern matches.

    Attributes:
        path: below the experiment's folder.
        tree: what it is.
    """

    path: str
    tree: Tree

    def meets(self, other: str) -> bool:
        """Return whether another path is this one, in it, or around it."""
        return self.path == other or other.startswith(f"{self.path}/") or self.path.startswith(f"{other}/")


@dataclass
class Checkpoints:
    """All of an experiment.

    Attributes:
        by_pattern: what each pattern matches.
        links: path of each symbolic link -> the path below the folder that it leads to.
    """

    by_pattern: dict[str, list[Checkpoint]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def removable(self, keep: Keep, *, is_done: bool) -> tuple[list[Checkpoint], str]:
        """Return those that may go, and why none may: empty where some may, or there are none.

        Args:
            keep: which of each pattern's stay.
            is_done: whether the experiment is done; one that isn't may go on from its last.
        """
        kept = set[str]()
        for pattern, found in self.by_pattern.items():
            own = _outermost(found)
            if not own:
                continue
            if keep is Keep.LAST or (keep is Keep.BEST and not is_done):
                newest = max(one.tree.changed for one in own)
                kept.update(one.path for one in own if one.tree.changed == newest)
            if keep is Keep.BEST:
                best = self._best(own)
                if not best:
                    return [], f"nobody can tell which is best: no name that '{pattern}' matches has 'best' in it"
                kept.update(best)
        if keep is not Keep.NONE:
            kept.update(self.links.values())  # last.pt -> epoch_9.pt
        every = {one.path: one for found in self.by_pattern.values() for one in found}
        free = [one for one in every.values() if not any(one.meets(other) for other in kept)]
        return sorted(_outermost(free)), ""

    def _best(self, own: Iterable[Checkpoint]) -> list[str]:
        named = [target for link, target in self.links.items() if _BEST in link.lower()]
        return [one.path for one in own if _BEST in one.path.lower() or any(one.meets(target) for target in named)]


def _outermost(found: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Return those that lie in none of the others."""
    paths = {one.path for one in found}
    return [one for one in found if not any(above in paths for above in _above(one.path))]


def _above(path: str) -> Iterator[str]:
    """Yield the paths of the folders that a path lies in."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def find_checkpoints(folder: Path, patterns: Sequence[Pattern]) -> Checkpoints:
    """Find the checkpoints in an experiment's folder.

    Raises:
        OSError: something in it can't be looked at.
    """
    found = Checkpoints({pattern.text: [] for pattern in patterns})
    real = os.path.realpath(folder)
    for entry, parts in _walk(str(folder), ()):
        path = "/".join(parts)
        if entry.is_symlink():
            target = os.path.relpath(os.path.realpath(entry.path), real)
            if not re.match(r"\.\.(/|$)", target):
                found.links[path] = target
            continue
        is_folder = entry.is_dir(follow_symlinks=False)
        matching = [pattern for pattern in patterns if pattern.matches(parts, is_folder=is_folder)]
        if matching and not (is_folder and _holds_experiment(entry.path)):
            one = Checkpoint(path, measure(entry.path))
            for pattern in matching:
                found.by_pattern[pattern.text].append(one)
    return found


def _walk(folder: str, above: tuple[str, ...]) -> Iterator[tuple[os.DirEntry[str], tuple[str, ...]]]:
    with os.scandir(folder) as entries:
        inside = sorted(entries, key=lambda entry: entry.name)
    if above and any(entry.name == IDENTITY_NAME for entry in inside):
        return  # another experiment
    for entry in inside:
        if not above and is_record(entry.name):
            continue
        yield entry, (*above, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, (*above, entry.name))


def _holds_experiment(folder: str) -> bool:
    def fail(error: OSError) -> None:
        raise error

    return any(IDENTITY_NAME in names for _, _, names in os.walk(folder, onerror=fail))
