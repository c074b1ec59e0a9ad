"""Owns how HeyHi and its users log, and what git says about the code that runs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from heyhi.job_env import get_job_env, is_master

DIFF_NAME = "workdir.diff"
# A repository on a slow network file system must not hold up a run.
_GIT_SECONDS = 10


class _Formatter(logging.Formatter):
    """One line a record: `I1124 10:00:00 [module:12] text`."""

    def __init__(self) -> None:
        env = get_job_env()
        rank = f" [rank {env.rank}]" if env.world_size > 1 else ""
        form = f"%(letter)s%(asctime)s{rank} [%(module)s:%(lineno)d] %(message)s"
        super().__init__(form, "%m%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        record.letter = record.levelname[0]
        return super().formatMessage(record)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Log to what `sys.stderr` is at that moment: a runner, a test or a notebook may have replaced it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _FileHandler(logging.FileHandler):
    """Tell ours from a user's."""


def setup_logging(
    level: str | int = "INFO", file: Path | None = None, *, console_level: str | int | None = None
) -> logging.Logger:
    """Log to standard error, one line a message; calling it again changes the level and adds nothing.

    Args:
        level: lowest level that is shown, by name or number.
        file: also append everything to this file.
        console_level: the first HeyHi's name for `level`.

    Returns:
        The root logger.
    """
    level = level if console_level is None else console_level
    root = logging.getLogger()
    for handler in root.handlers[:]:
        # Ours of an earlier call, and what logging.basicConfig() left: it would print each line twice.
        if isinstance(handler, _StderrHandler | _FileHandler) or type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
            handler.close()
    handlers: list[logging.Handler] = [_StderrHandler()]
    if file is not None:
        handlers.append(_FileHandler(file))
    for handler in handlers:
        handler.setFormatter(_Formatter())
        root.addHandler(handler)
    root.setLevel(level.upper() if isinstance(level, str) else level)
    return root


@dataclass(frozen=True)
class CodeVersion:
    """Hold which code runs.

    Attributes:
        commit: git's commit, None without git.
        dirty: tracked files differ from it.
    """

    commit: str | None = None
    dirty: bool = False


@lru_cache(maxsize=16)
def code_version(root: Path) -> CodeVersion:
    """Ask git, once a process, for the version of the code in a folder; without git there is none."""
    # One call answers both; `--exclude=*` because a tag's name would hide the commit.
    answer = _git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*").strip()
    commit = answer.removesuffix("-dirty")
    return CodeVersion(commit or None, commit != answer)


def log_git_status() -> None:
    """Log the commit of the code that runs; where it was edited, save the difference in this folder."""
    root = Path(sys.path[0] or ".").resolve()  # the folder of the script, or what the runner put there
    version = code_version(root)
    if version.commit is None:
        logging.info("Git: %s is in no repository", root)
    elif not version.dirty:
        logging.info("Git: commit %s", version.commit)
    elif not is_master():
        logging.info("Git: commit %s, edited", version.commit)
    else:
        path = Path(DIFF_NAME).resolve()
        path.write_text(_git(root, "diff", "HEAD"), encoding="utf-8", errors="replace")
        logging.info("Git: commit %s, edited; the difference is in %s", version.commit, path)


def _git(root: Path, *args: str) -> str:
    # Inside a git hook these name the hook's repository, not that of the folder.
    env = {k: v for k, v in os.environ.items() if k not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}
    try:
        done = subprocess.run(
            # No lock is taken: another process may be committing.
            ["git", "--no-optional-locks", "-C", str(root), *args],
            capture_output=True,
            env=env,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
