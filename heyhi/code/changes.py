"""How the code has changed between two versions: by their lists of files, else by their commits as git knows them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from heyhi.code.git import SHOWN_AS_IS, CodeVersion, GitError, ask_git, read_version
from heyhi.code.versions import is_code, list_code_now, read_list
from heyhi.errors import HeyhiError
from heyhi.project import Project
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex

EDITED, NEW, GONE = "edited", "new", "gone"
_MOST_NAMES = 3
_COMMIT = regex(r"[0-9a-f]{7,64}")  # nothing else on record is handed to git


class CodeChange(NamedTuple):
    """What differs between two versions of the code.

    Attributes:
        then: the earlier version `1a2b3c4d`, with edits `1a2b3c4d+e5f6`; without git `code e5f6a7b8`.
        now: the later one.
        edits: each file that differs -> EDITED, NEW or GONE; empty where it is known that some do, but not which.
    """

    then: str
    now: str
    edits: Mapping[str, str]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that differ, Python's first."""
        return tuple(self.edits)

    @property
    def text(self) -> str:
        """Both versions and the first of the files: `commit 1a2b3c4d → 5e6f7a8b: run.py, model.py and 3 more`."""
        then, now = self.then, self.now
        if then.startswith("code ") and now.startswith("code "):
            now = now.removeprefix("code ")
        elif not then.startswith("code "):
            then = f"commit {then}"
        names = ", ".join(self.files[:_MOST_NAMES])
        more = len(self.files) - _MOST_NAMES
        return f"{then} → {now}: {names or 'files that are not on record'}{f' and {more} more' if more > 0 else ''}"


class CodeChanges:
    """Compare versions of a project's code with one another and with what it is now; each is compared once.

    Only what `is_code` says counts: not configs, documents or outputs.

    Args:
        project: whose code it is.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._found: dict[tuple[CodeVersion, CodeVersion | None], CodeChange | None] = {}
        self._lists: dict[str, dict[str, str] | None] = {}

    def since(self, commit: str, dirty: bool, digest: str) -> CodeChange | None:
        """Return what has changed in the project since a version; None where nothing has, or nobody can tell.

        Args:
            commit: as the start of an attempt has it, empty without git.
            dirty: likewise.
            digest: likewise, empty where the files were not listed.
        """
        return self._found_between(CodeVersion(commit or None, dirty, digest), None)

    def between(self, then: CodeVersion, now: CodeVersion) -> CodeChange | None:
        """Return what differs between two versions; None where nothing does, or nobody can tell."""
        return self._found_between(then, now)

    def _found_between(self, then: CodeVersion, now: CodeVersion | None) -> CodeChange | None:
        if (then, now) not in self._found:
            self._found[then, now] = self._compare(then, now)
        return self._found[then, now]

    @cached_property
    def _now(self) -> CodeVersion:
        version = read_version(self._project.root)
        try:
            listed = list_code_now(self._project, is_dirty=version.dirty)
        except (HeyhiError, OSError):
            return version
        self._lists[listed.digest] = listed.contents
        return CodeVersion(version.commit, listed.is_edited, listed.digest)

    def _compare(self, then: CodeVersion, later: CodeVersion | None) -> CodeChange | None:
        now = self._now if later is None else later
        if then.digest and then.digest == now.digest:
            return None
        one, two = self._list(then.digest), self._list(now.digest)
        is_other = False  # other digests alone say little: who may read a file is in them, too
        if one is not None and two is not None:
            edits = _differences(one, two)
        else:
            in_git = self._edits_in_git(then, now, is_tree=later is None)
            is_other = bool(then.digest and now.digest) and (in_git is None or then.dirty or now.dirty)
            edits = in_git or {}
        order = sorted(edits, key=lambda path: (not path.endswith(".py"), path))
        edits = {_printable(path): edits[path] for path in order if is_code(self._project, path, is_new=False)}
        return CodeChange(then.name, now.name, edits) if edits or is_other else None

    def _list(self, digest: str) -> dict[str, str] | None:
        if digest and digest not in self._lists:
            try:
                self._lists[digest] = read_list(self._project, digest)
            except HeyhiError:  # git may know
                self._lists[digest] = None
        return self._lists.get(digest)

    def _edits_in_git(self, then: CodeVersion, now: CodeVersion, *, is_tree: bool) -> dict[str, str] | None:
        """Return what differs by git, between commits or up to the work tree; None where it can't tell."""
        commits = [version.commit or "" for version in (then, now)]
        if not all(map(_COMMIT.fullmatch, commits)):
            return None
        if is_tree:
            if then.dirty and commits[0] == commits[1]:
                return None  # both may have the same edits
            del commits[1]
        try:
            options = ("--name-status", "-z", "--no-renames", "--relative", *SHOWN_AS_IS)
            answer = ask_git(self._project.root, "diff", *options, *commits, "--")
        except GitError:  # another clone's, or one that was rebased away
            return None
        words = answer.decode("utf-8", "surrogateescape").split("\0")
        kinds = {"A": NEW, "D": GONE}
        return {path: kinds.get(kind, EDITED) for kind, path in zip(words[::2], words[1::2], strict=False)}


def _differences(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    edits = {}
    for path in {**then, **now}:
        if then.get(path) != now.get(path):
            edits[path] = GONE if path not in now else NEW if path not in then else EDITED
    return edits


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
