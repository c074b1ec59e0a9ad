"""How the files of a work tree differ from the last commit, without secrets and what others may not read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from heyhi.code.git import SHOWN_AS_IS, GitError, ask_git, submodules
from heyhi.code.patterns import exclude_patterns
from heyhi.code.secret_files import KEY_LINE, Secrets, is_key_file
from heyhi.project import Project

_READ, _ENTER = 0o044, 0o011  # by others than the owner
_MOST_LEFT_OUT = 100_000  # characters of names: they go to git on its command line


def changed_names(root: Path, base: str = "HEAD") -> Iterator[str]:
    """Yield the tracked files below a folder that differ from a commit, those of submodules too.

    Raises:
        GitError: git gives no answer.
    """
    options = ("--name-only", "-z", "--relative", "--no-renames", *SHOWN_AS_IS)
    yield from _names(ask_git(root, "diff", *options, base, "--"))
    for folder, commit in submodules(root):
        below = folder.relative_to(root).as_posix()
        yield from (f"{below}/{name}" for name in changed_names(folder, _base(folder, commit)))


def read_diff(project: Project, folder: Path, *, most: int | None = None) -> str:
    """Return how the tracked files of a project differ from the last commit, empty where git gives no answer.

    Args:
        project: whose files they are.
        folder: in which the answer is kept, by whose readers is seen what may be in it.
        most: bytes to keep; a line says that the rest was cut.
    """
    readers = _readers_of(folder) & ~_umask()
    secrets, taken_in = Secrets(project), exclude_patterns(project)

    def is_shown(name: str, has_key: bool) -> bool:
        is_secret = has_key or secrets.hold(name) or is_key_file(project.root / name)
        if is_secret and taken_in.leave_out(name) is not False:
            return False
        return not readers & ~_readers(project.root, name)

    try:
        parts = list(_diffs(project.root, "", "HEAD", is_shown, None if most is None else most + 1))
    except GitError:
        return ""
    answer = b"".join(parts)
    if most is None or len(answer) <= most:
        return answer.decode("utf-8", "replace")
    return answer[:most].decode("utf-8", "replace") + f"\n[cut: longer than {most} bytes]\n"


def _diffs(
    root: Path, below: str, base: str, is_shown: Callable[[str, bool], bool], most: int | None
) -> Iterator[bytes]:
    """Yield the differences in a repository, then those in its submodules, which git itself would ask otherwise.

    Args:
        root: of the repository.
        below: its path in the project, empty or with a `/` at its end.
        base: commit to compare with.
        is_shown: whether a file may be shown; is told, too, whether its lines of a private key differ.
        most: bytes of an answer that are read.
    """
    options = ("--relative", "--no-color", f"--src-prefix=a/{below}", f"--dst-prefix=b/{below}", *SHOWN_AS_IS)
    listing = ("diff", "--name-only", "-z", "--no-renames", *options)
    names = list(_names(ask_git(root, *listing, base, "--")))
    # A key that was deleted or replaced is in the commit only: the difference would show it.
    keys = set(_names(ask_git(root, *listing, f"-G{KEY_LINE}", base, "--"))) if names else set()
    left_out = [name for name in names if not is_shown(f"{below}{name}", name in keys)]
    if sum(map(len, left_out)) < _MOST_LEFT_OUT:
        others = (f":(exclude,literal){name}" for name in left_out)
        yield ask_git(root, "diff", *options, base, "--", ".", *others, most=most)
    for folder, commit in submodules(root):
        inner = f"{below}{folder.relative_to(root).as_posix()}/"
        yield from _diffs(folder, inner, _base(folder, commit), is_shown, most)


def _base(folder: Path, commit: str) -> str:
    """Return what a submodule is compared with: the commit that the repository has of it, if it is there."""
    try:
        ask_git(folder, "cat-file", "-e", f"{commit}^{{commit}}")
    except GitError:
        return "HEAD"
    return commit


def _names(answer: bytes) -> Iterator[str]:
    return (os.fsdecode(name) for name in answer.split(b"\0") if name)


def _readers(root: Path, name: str) -> int:
    """Return who else than its owner may read a file, as the read bits of its mode; all where it is gone."""
    path = root / name
    try:
        readers = path.lstat().st_mode & _READ
        for folder in path.parents:
            if folder == root:
                break
            readers &= (folder.stat().st_mode & _ENTER) << 2
    except OSError:
        return _READ
    return readers


def _readers_of(folder: Path) -> int:
    """Return who else than its owner may read what lies in a folder."""
    try:
        return (folder.stat().st_mode & _ENTER) << 2
    except OSError:
        return _READ


def _umask() -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # another system: it can be asked only by setting it, for other threads too
        return 0
    return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), 0)
