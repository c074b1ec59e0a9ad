"""What of a project's code is other than it was when an experiment was run."""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import NamedTuple

from heyhi.code.git import CodeVersion, GitError, ask_git, read_version
from heyhi.project import Project

_MAX_NAMED = 2  # files
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_OPTIONS = ("--name-only", "--no-ext-diff", "--no-textconv", "--relative", "-z")


class CodeChange(NamedTuple):
    """A difference between two versions of the code.

    Attributes:
        then: the earlier one: commit, with a `+` where it was edited.
        now: the later one.
        files: that differ.
    """

    then: str
    now: str
    files: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The change in a few words."""
        named = list(self.files[:_MAX_NAMED])
        more = len(self.files) - len(named)
        listed = f"{', '.join(named)}{f' and {more} more' if more else ''}"
        return f"commit {self.then} → {self.now}{f': {listed}' if listed else ''}"


class CodeChanges:
    """The comparison of a project's code with what experiments were run with; each version is compared once.

    Args:
        project: whose code is looked at.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[tuple[str, bool, str], CodeChange | None] = {}

    def since(self, commit: str, dirty: bool, digest: str) -> CodeChange | None:
        """Return what has changed since; None where it is the same code, or nobody can tell.

        Args:
            commit: of the code that was run; empty where there was none.
            dirty: whether it was edited since.
            digest: of its files; empty where they were not listed.
        """
        key = (commit, dirty, digest)
        if key not in self._known:
            self._known[key] = self._compared(commit, dirty)
        return self._known[key]

    @cached_property
    def _now(self) -> CodeVersion:
        return read_version(self._project.root)

    def _compared(self, commit: str, dirty: bool) -> CodeChange | None:
        now = self._now
        # A record may hold any text, and git would take one with a dash in front for an option.
        if not _COMMIT.fullmatch(commit) or not now.commit or (commit == now.commit and dirty == now.dirty):
            return None
        files: tuple[str, ...] = ()
        try:
            answer = ask_git(self._project.root, "diff", *_OPTIONS, commit, "--")
            files = tuple(os.fsdecode(name) for name in answer.split(b"\0") if name)
        except GitError:
            pass  # a commit that this clone doesn't have
        else:
            if not files and not dirty:
                return None
        return CodeChange(_shown(CodeVersion(commit, dirty)), _shown(now), files)


def _shown(version: CodeVersion) -> str:
    return f"{(version.commit or '')[:8]}{'+' * version.dirty}"
