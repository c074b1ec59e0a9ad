"""How git is asked: quietly, without locks, and never so that it runs a program that a repository names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO

from heyhi.quick_tuple import NamedTuple

# A repository on a slow network file system must not hold up a run.
SECONDS = 10
GITLINK = b"160000"  # mode of a submodule
# No program that a repository names (this one may have come in an archive) is run: to watch for changes, as a hook, to
# show a difference, or in a submodule's own git. A repository without a work tree may be a folder of any other one.
_QUIET = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "safe.bareRepository=explicit")
SHOWN_AS_IS = ("--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty", "--submodule=short")
_NO_FILTER = (("clean", ""), ("smudge", ""), ("process", ""), ("required", "false"))
_OWN = ("local", "worktree")  # scopes of the repository's own settings
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
    if not _is_in_repository(root):  # git would say so, too: a process less, where nobody uses it
        raise NoRepositoryError(f"{root}: is in no git repository")
    return _ask(root, _without_filters(root), args, seconds, most)


def _ask(
    root: Path, settings: Sequence[tuple[str, str]], args: Sequence[str], seconds: float, most: int | None
) -> bytes:
    """Run git in a folder with some settings more."""
    env = {k: v for k, v in os.environ.items() if k not in _HIDDEN}
    # No lock is taken: another process may be committing. Messages are in English, to be told apart. What a repository
    # lacks isn't fetched: it names the program for that, too.
    env |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
    env |= _settings(env, settings)
    command = ["git", "--no-pager", *(word for one in _QUIET for word in ("-c", one)), "-C", str(root), *args]
    if most is None:
        return _run(command, args[0], env, seconds, None)
    import tempfile  # a run asks only for what is short, and this takes it some milliseconds

    with tempfile.TemporaryFile() as answer:  # a pipe would hold all of it in memory
        _run(command, args[0], env, seconds, answer)
        answer.seek(0)
        return answer.read(most)


def _settings(env: Mapping[str, str], settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the variables by which git has some settings more: their names may hold what `-c` can't."""
    if not settings:
        return {}
    count = env.get("GIT_CONFIG_COUNT", "")
    first = int(count) if count.isdigit() else 0
    found = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for place, (key, value) in enumerate(settings, first):
        found |= {f"GIT_CONFIG_KEY_{place}": key, f"GIT_CONFIG_VALUE_{place}": value}
    return found


def _run(command: list[str], name: str, env: Mapping[str, str], seconds: float, out: IO[bytes] | None) -> bytes:
    """Run git; return what it printed, where that goes to no file."""
    import subprocess  # code that is in no repository can do without

    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out if out is not None else subprocess.PIPE,
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
        # One call answers both. What lies in a submodule, only its own repository can be asked safely.
        options = ("--porcelain=v2", "--branch", "--no-ahead-behind", "--untracked-files=no", "--no-renames")
        answer = ask_git(root, "status", *options, "--ignore-submodules=dirty", "-z")
    except GitError:
        return CodeVersion()
    lines = answer.split(b"\0")
    commit = next((line.split()[-1].decode() for line in lines if line.startswith(b"# branch.oid ")), "")
    if not commit.isalnum():  # `(initial)`: there is none yet
        return CodeVersion()
    is_dirty = any(line and not line.startswith(b"#") for line in lines)
    return CodeVersion(commit, is_dirty or any(read_version(folder).dirty for folder, _ in submodules(top_of(root))))


def submodules(root: Path, *, seconds: float = SECONDS) -> Iterator[tuple[Path, str]]:
    """Yield the submodules below a folder that are there, each with the commit that the repository has of it.

    Raises:
        GitError: git refuses, or takes longer.
    """
    if not os.path.lexists(top_of(root) / ".gitmodules"):  # most repositories have none
        return
    for row in ask_git(root, "ls-files", "--stage", "-z", seconds=seconds).split(b"\0"):
        facts, _, name = row.partition(b"\t")
        if facts.startswith(GITLINK):
            folder = root / os.fsdecode(name)
            if os.path.lexists(folder / ".git") and not folder.is_symlink():
                yield folder, facts.split()[1].decode()


def top_of(root: Path) -> Path:
    """Return the folder of the repository that a folder lies in; itself where it lies in none."""
    real = root.resolve()
    for folder in (real, *real.parents):
        if os.path.lexists(folder / ".git"):
            return folder
    return root


def _is_in_repository(root: Path) -> bool:
    """Return whether git would find a repository that a folder lies in, which may be damaged.

    As git looks for one that it is told nothing of: `_HIDDEN` are taken away, and one without a work tree is none.
    """
    return os.path.lexists(top_of(root) / ".git")


@lru_cache(maxsize=64)
def _without_filters(root: Path) -> tuple[tuple[str, str], ...]:
    """Return the settings by which a repository's own filters do nothing; those that a person has set up stay.

    Git would run them to compare a file with what it has of it.
    """
    if not _may_have_filters(root):
        return ()
    # Whose setting it is, only a newer git can say; then all are left out.
    for scope in (("--show-scope",), ()):
        try:
            answer = _ask(
                root, (), ("config", *scope, "--name-only", "-z", "--get-regexp", r"^filter\."), SECONDS, None
            )
        except GitError:
            continue
        words = answer.decode("utf-8", "surrogateescape").split("\0")[:-1]
        names = [key for of, key in zip(words[::2], words[1::2], strict=False) if of in _OWN] if scope else words
        drivers = dict.fromkeys(name[: name.rindex(".")] for name in names)
        return tuple((f"{driver}.{key}", value) for driver in drivers for key, value in _NO_FILTER)
    return ()


def _may_have_filters(root: Path) -> bool:
    """Return whether the repository's own settings name a filter, or other files with settings; most name none."""
    git_folder = top_of(root) / ".git"
    try:
        if git_folder.is_file():  # a work tree of another repository, or a submodule
            git_folder = git_folder.parent / os.fsdecode(git_folder.read_bytes()).removeprefix("gitdir:").strip()
        common = git_folder / "commondir"
        shared = git_folder / os.fsdecode(common.read_bytes()).strip() if common.exists() else git_folder
        settings = [path for path in (shared / "config", git_folder / "config.worktree") if path.exists()]
        return any(word in path.read_bytes().lower() for path in settings for word in (b"filter", b"include"))
    except (OSError, ValueError):
        return True
