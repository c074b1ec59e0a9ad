"""Which files of a project are its code: what git tracks or would add; outside git, what isn't hidden or ignored.

Files with secrets are none. Whether a file can be read, and what it holds, snapshot.py finds out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from heyhi.code.git import GITLINK, GitError, NoRepositoryError, ask_git
from heyhi.code.patterns import Patterns, exclude_patterns, ignore_patterns
from heyhi.code.secret_files import Secrets
from heyhi.errors import SnapshotError
from heyhi.loggers import get_logger
from heyhi.project import Project
from heyhi.quick_dataclass import dataclass

GIT_SECONDS = 60
# Folders that programs make for themselves: they change with each run, and nobody means to copy them.
_MADE = frozenset(("__pycache__", ".git", ".snakemake", ".ipynb_checkpoints", "node_modules"))
_log = get_logger(__name__)


@dataclass(frozen=True)
class CodeFiles:
    """The files of a project that are its code.

    Attributes:
        paths: of files and links, relative to the project root; some may be gone, or nothing that can be copied.
        new: those of them that git doesn't track; empty outside git.
        links: what is linked to instead of copied.
        in_git: whether the project is in a git repository.
        secrets: files that would be code, but seem to hold secrets.
        taken_in: those of `paths` that a pattern has taken in, whatever they hold.
    """

    paths: tuple[str, ...]
    new: tuple[str, ...]
    links: tuple[str, ...]
    in_git: bool
    secrets: tuple[str, ...] = ()
    taken_in: frozenset[str] = frozenset()


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
        tuple(dict.fromkeys((*tracked, *new))),
        tuple(dict.fromkeys(new)) if in_git else (),
        lister.links,
        in_git,
        tuple(sorted(lister.secrets)),
        frozenset(lister.taken_in),
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
        self._never = tuple(f"{path}/" for path in never)
        self._excluded = exclude_patterns(project)
        self._secrets = Secrets(project)
        self.secrets: set[str] = set()
        self.taken_in: set[str] = set()

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
            if facts.startswith(GITLINK):  # a submodule
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
        # Each with the ignore rules above it, those of the outermost folder first.
        folders: list[tuple[str, bool, tuple[tuple[str, Patterns], ...]]] = [(path, False, ())]
        count = 0
        while folders:
            folder, in_hidden, rules = folders.pop()
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
            own = ignore_patterns(self._root / folder)
            rules = rules if own is None else (*rules, (folder, own))
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                below = folder + entry.name + "/" * is_folder
                if entry.name in _MADE or entry.name.endswith(".pyc") or _is_ignored(below, rules):
                    continue
                is_hidden = in_hidden or entry.name.startswith(".")
                if (is_hidden and not self._is_taken_in(below)) or not self._wanted(below):
                    continue
                if is_folder:
                    folders.append((below, is_hidden, rules))
                    continue
                count += 1
                if count > self._most:  # a data set with millions of files: enough is known to refuse it
                    return
                yield below

    def _wanted(self, path: str) -> bool:
        if f"{path}/".startswith(self._never):
            return False
        if path.endswith("/") and self._excluded.take_back:
            return True  # of what lies in it, something may be taken back
        leave_out = self._excluded.leave_out(path)
        if leave_out is None and self._secrets.hold(path):
            self.secrets.add(path)
            return False
        if leave_out is False:
            self.taken_in.add(path)
        return not leave_out

    def _is_taken_in(self, path: str) -> bool:
        """Return whether a hidden file is taken in by a pattern, or some in a folder may be."""
        if path.endswith("/"):
            return self._excluded.take_back
        return self._excluded.leave_out(path) is False


def _is_ignored(path: str, rules: tuple[tuple[str, Patterns], ...]) -> bool:
    """Return whether the innermost .gitignore that says anything of a path names it."""
    for folder, patterns in reversed(rules):
        leave_out = patterns.leave_out(path[len(folder) :])
        if leave_out is not None:
            return leave_out
    return False


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
