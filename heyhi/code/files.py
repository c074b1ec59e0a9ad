"""Which files of a project are its code: what git tracks or would add; outside git, what isn't hidden.

Only names are looked at here. Whether a file can be read, and what it holds, snapshot.py finds out.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from heyhi.code.git import GitError, NoRepositoryError, ask_git
from heyhi.errors import SnapshotError
from heyhi.project import Project

GIT_SECONDS = 60
# Folders that programs make for themselves: they change with each run, and nobody means to copy them.
_MADE = frozenset(("__pycache__", ".git", ".snakemake", ".ipynb_checkpoints", "node_modules"))
_GITLINK = b"160000"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CodeFiles:
    """The files of a project that are its code.

    Attributes:
        paths: of files and links, relative to the project root; some may be gone, or nothing that can be copied.
        new: those of them that git doesn't track; empty outside git.
        links: what is linked to instead of copied.
        in_git: whether the project is in a git repository.
    """

    paths: tuple[str, ...]
    new: tuple[str, ...]
    links: tuple[str, ...]
    in_git: bool


def list_code(project: Project, most: int, *, warn: bool = True, seconds: float = GIT_SECONDS) -> CodeFiles:
    """List the code of a project.

    Args:
        project: the project.
        most: number of names beyond which nobody meant them all; more are not listed outside git.
        warn: of folders that can't be read.
        seconds: that git may take.

    Raises:
        SnapshotError: git gives no answer, a setting is wrong, or the results root is the project root.
    """
    lister = _Lister(project, most, warn, seconds)
    tracked, new, in_git = lister.folder("")
    return CodeFiles(
        tuple(dict.fromkeys((*tracked, *new))), tuple(dict.fromkeys(new)) if in_git else (), lister.links, in_git
    )


def pattern_of(path: str) -> str:
    """Return the pattern for `snapshot_exclude` that leaves out a path."""
    return re.sub(r"[\\*?\[]|\A[!#]| \Z", r"\\\g<0>", path)


class _Lister:
    """A listing, folder by folder, since each repository inside the project has ignore rules of its own."""

    def __init__(self, project: Project, most: int, warn: bool, seconds: float) -> None:
        self._root = project.root
        self._most = most
        self._warn = warn
        self._seconds = seconds
        self.links = _link_paths(project)
        never = [*self.links, *_results_paths(project)]
        self._never = re.compile("|".join(rf"\A{re.escape(path)}(?:/|\Z)" for path in never))
        self._excluded = [_pattern(text) for text in project.settings.snapshot_exclude if text.strip("/ ")]

    def folder(self, path: str) -> tuple[list[str], list[str], bool]:
        """Return the tracked and the new files of a folder (`a/b/`, empty for the root), and whether git knows them."""
        try:
            listed = self._from_git(path)
        except NoRepositoryError:
            listed = None
        except GitError as error:
            raise SnapshotError(
                f"{self._root / path}: git can't say which files are code: {error}. Launch with --no-snapshot to run"
                " the work tree as it is then"
            ) from None
        # Where git ignores the whole project (a home folder's repository that ignores all), it knows nothing of it.
        if listed is not None and any(listed):
            return *listed, True
        return [], list(self._walk(path)), False

    def _from_git(self, path: str) -> tuple[list[str], list[str]]:
        top = self._root / path
        tracked: list[str] = []
        new: list[str] = []
        names: list[str] = []
        # One call for both: a run lists its code, too. Each name has a letter before it, of new ones it is "?".
        options = ("-t", "--stage", "--others", "--exclude-standard", "-z")
        for row in _split(ask_git(top, "ls-files", *options, seconds=self._seconds)):
            if row.startswith(b"? "):
                names.append(path + os.fsdecode(row[2:]))
                continue
            facts, _, name = row[2:].partition(b"\t")
            below = path + os.fsdecode(name)
            if facts.startswith(_GITLINK):  # a submodule
                if self._wanted(f"{below}/"):
                    inner, inner_new = self._inner(f"{below}/")
                    tracked += inner
                    new += inner_new
            elif self._wanted(below):
                tracked.append(below)
        environments = _environments(names)
        for below in names:
            if not self._wanted(below) or _is_made(below, environments):
                continue
            if below.endswith("/"):  # a repository in the repository
                for inner in self._inner(below):
                    new += inner
            else:
                new.append(below)
        return tracked, new

    def _inner(self, path: str) -> tuple[list[str], list[str]]:
        folder = self._root / path.rstrip("/")
        if folder.is_symlink():
            return [], [path.rstrip("/")]
        # Without a repository of its own, git would answer for the one around it.
        if os.path.lexists(folder / ".git"):
            return self.folder(path)[:2]
        return [], list(self._walk(path))

    def _walk(self, path: str) -> Iterator[str]:
        """Yield the files below a folder that git has no say in."""
        folders = [path]
        count = 0
        while folders:
            folder = folders.pop()
            try:
                entries = list(os.scandir(self._root / folder))
            except OSError as error:
                if self._warn:
                    _log.warning("Code: %s is left out: %s", self._root / folder, error.strerror)
                continue
            names = {entry.name for entry in entries}
            if folder != path and (names & {"pyvenv.cfg", "conda-meta"}):
                continue
            if folder != path and ".git" in names:
                for inner in self.folder(folder)[:2]:
                    yield from inner
                continue
            for entry in entries:
                below = folder + entry.name
                is_folder = entry.is_dir(follow_symlinks=False)
                if entry.name.startswith(".") or entry.name in _MADE or entry.name.endswith(".pyc"):
                    continue
                if not self._wanted(f"{below}/" if is_folder else below):
                    continue
                if is_folder:
                    folders.append(f"{below}/")
                    continue
                count += 1
                if count > self._most:  # a data set with millions of files: enough is known to refuse it
                    return
                yield below

    def _wanted(self, path: str) -> bool:
        if self._never.pattern and self._never.search(path):
            return False
        return not any(pattern.search(path) for pattern in self._excluded)


def _split(answer: bytes) -> Iterator[bytes]:
    return (name for name in answer.split(b"\0") if name)


def _environments(names: Iterable[str]) -> tuple[str, ...]:
    """Return the folders that are Python environments, by what only these hold."""
    marks = ("/pyvenv.cfg", "/conda-meta/history")
    return tuple(name.removesuffix(mark) + "/" for name in names for mark in marks if name.endswith(mark))


def _is_made(path: str, environments: tuple[str, ...]) -> bool:
    return not _MADE.isdisjoint(path.split("/")) or path.endswith(".pyc") or path.startswith(environments)


def _results_paths(project: Project) -> Iterator[str]:
    """Yield the folders of results inside the project: that of the environment, and that of the settings.

    Raises:
        SnapshotError: they lie in the project root itself.
    """
    root = str(project.root)
    results = project.results_root
    configured = os.path.join(root, os.path.expanduser(project.settings.results))  # noqa: PTH111, PTH118
    real = os.path.realpath(root)
    if os.path.realpath(results) == real:
        raise SnapshotError(
            f"{results}: the results root is the project root, so code and results can't be told apart: set"
            " [tool.heyhi] results or HH_EXP_DIR to a folder of its own, or launch with --no-snapshot"
        )
    for path, base in ((str(results), root), (configured, root), (os.path.realpath(results), real)):
        below = os.path.relpath(path, base)
        if below != "." and below.split("/")[0] != "..":
            yield below


def _link_paths(project: Project) -> tuple[str, ...]:
    """Return what `snapshot_link` names, without what lies in another one.

    Raises:
        SnapshotError: one is no path inside the project.
    """
    paths: list[str] = []
    for text in project.settings.snapshot_link:
        path = os.path.normpath(text) if text else "."
        if path == "." or path.startswith("/") or path.split("/")[0] == "..":
            raise SnapshotError(
                f"{project.root}: [tool.heyhi] snapshot_link names {text!r}: it must be a path inside the project"
            )
        paths.append(path)
    return tuple(p for p in dict.fromkeys(paths) if not any(p.startswith(f"{other}/") for other in paths))


def _pattern(text: str) -> re.Pattern[str]:
    """Translate a line of a .gitignore: it matches paths (folders end in `/`), and all that lies below a match.

    Unlike in a .gitignore, `./a` means `/a`, and a leading `#` or a bracket that isn't closed stands for itself.

    Raises:
        SnapshotError: it takes something back (`!`), which is not supported, or is no pattern.
    """
    setting = f"[tool.heyhi] snapshot_exclude has {text!r}"
    if text.startswith("!"):
        raise SnapshotError(f"{setting}: patterns with '!' are not supported")
    line = text.removeprefix(".") if text.startswith("./") else text
    line = re.sub(r"/\*\*/ *\Z", "/**/*/", line)  # pathspec takes `a/**/` for `a/`, git for the folders in it
    line = f"\\{line}" if line.startswith("#") else line
    try:
        regex = _translated(line) or _translated(line.replace("[", r"\["))
    except (ValueError, re.error) as error:
        raise SnapshotError(f"{setting}: {error}") from None
    if regex is None:
        raise SnapshotError(f"{setting}: it matches nothing")
    return regex


def _translated(line: str) -> re.Pattern[str] | None:
    """Translate a line as pathspec does; None where git would ignore it."""
    from pathspec import GitIgnoreSpec  # slower to import than all of ours, and few projects have patterns

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of `[[]`, which means what it says
        regexes = [pattern.regex for pattern in GitIgnoreSpec.from_lines([line]).patterns]
        if not regexes or regexes[0] is None:
            return None
        # pathspec lets `[!a]` match a slash, and no wildcard match a line break in a folder's name.
        return re.compile(re.sub(r"\[\^(?!/)", "[^/", regexes[0].pattern), re.DOTALL)
