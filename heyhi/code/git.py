"""How git is asked: quietly, without locks, and never so that it runs a program that a repository names."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple

# A repository on a slow network file system must not hold up a run.
SECONDS = 10
# Inside a git hook these name the hook's repository, not that of the folder; a person's diff program is not for us.
_HIDDEN = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)


class GitError(Exception):
    """Git gives no answer; the text of the error is git's reason."""


class NoRepositoryError(GitError):
    """The folder is in no repository, or git isn't installed."""


class CodeVersion(NamedTuple):
    """The version of the code that runs.

    Attributes:
        commit: git's commit, None without git.
        dirty: whether tracked files differ from it.
        digest: of the files that count; empty where they were not listed.
    """

    commit: str | None = None
    dirty: bool = False
    digest: str = ""

    @property
    def name(self) -> str:
        """What tells it from other versions in a table: `1a2b3c4d`, with edits `1a2b3c4d+e5f6`, else `code e5f6a7b8`.

        Without git, it is made of the digest alone; empty where nothing is known.
        """
        if not self.commit:
            return f"code {self.digest[:8]}" if self.digest else ""
        return f"{self.commit[:8]}+{self.digest[:4]}" if self.dirty else self.commit[:8]


def ask_git(root: Path, *args: str, seconds: float = SECONDS, most: int | None = None) -> bytes:
    """Return what git prints in a folder.

    Args:
        root: the folder.
        args: command and arguments.
        seconds: how long it may take.
        most: bytes of the answer that are read; the rest is dropped.

    Raises:
        NoRepositoryError: there is no git, no folder, or no repository.
        GitError: git refuses, or takes longer.
    """
    env = {k: v for k, v in os.environ.items() if k not in _HIDDEN}
    # No lock is taken: another process may be committing. Messages are in English, to be told apart.
    env |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    # A program that a repository names (this one may have come in an archive) would be started to watch for changes.
    command = ["git", "--no-pager", "-c", "core.fsmonitor=false", "-C", str(root), *args]
    if most is None:
        return _run(command, args[0], env, seconds, subprocess.PIPE)
    import tempfile  # a run asks only for what is short, and this takes it some milliseconds

    with tempfile.TemporaryFile() as answer:  # a pipe would hold all of it in memory
        _run(command, args[0], env, seconds, answer)
        answer.seek(0)
        return answer.read(most)


def _run(command: list[str], name: str, env: Mapping[str, str], seconds: float, out: int | IO[bytes]) -> bytes:
    """Run git; return what it printed, where that goes to a pipe."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            env=env,
            timeout=seconds,
            check=False,
        )
    except OSError as error:
        raise NoRepositoryError(f"git can't be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise GitError(f"git {name} took more than {seconds:g} seconds") from None
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
        none = "not a git repository" in reason or "cannot change to" in reason
        raise (NoRepositoryError if none else GitError)(reason)
    return done.stdout or b""


def read_version(root: Path) -> CodeVersion:
    """Ask git for the version of the code in a folder; without git there is none."""
    try:
        # One call answers both; `--exclude=*` because a tag's name would hide the commit.
        answer = ask_git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except GitError:
        return CodeVersion()
    text = answer.decode("utf-8", "replace").strip()
    commit = text.removesuffix("-dirty")
    return CodeVersion(commit or None, commit != text)


def read_diff(root: Path, *args: str, most: int | None = None) -> str:
    """Return how tracked files differ from the last commit, empty where git gives no answer.

    Args:
        root: folder in a repository.
        args: more arguments of `git diff`.
        most: bytes to keep; a line says that the rest was cut.
    """
    command = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", *args, "HEAD", "--")
    try:
        answer = ask_git(root, *command, most=None if most is None else most + 1)
    except GitError:
        return ""
    if most is None or len(answer) <= most:
        return answer.decode("utf-8", "replace")
    return answer[:most].decode("utf-8", "replace") + f"\n[cut: longer than {most} bytes]\n"
