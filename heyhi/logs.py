"""Owns how HeyHi and its users log, and what they say of the version of the code; how git is asked, git.py owns."""

from __future__ import annotations

import json
import logging
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from heyhi.git import CodeVersion as CodeVersion
from heyhi.git import read_diff, read_version
from heyhi.job_env import get_job_env, is_master

DIFF_NAME = "workdir.diff"


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


@lru_cache(maxsize=16)
def code_version(root: Path) -> CodeVersion:
    """Return the version of the code in a folder: git's, asked once a process; without git there is none.

    Of a copy that was made for a job, it is that of the code it was made of.
    """
    record = _record_of_copy(root)
    if record is not None:
        return CodeVersion(record.get("commit"), bool(record.get("dirty")))
    return read_version(root)


def _record_of_copy(root: Path) -> dict[str, Any] | None:
    """Read what is noted beside a copy of code; None where the folder is no copy."""
    # As snapshot.py lays them out, which this must not import: a job needs nothing of it.
    if root.name != "tree":
        return None
    try:
        record = json.loads((root.parent / "code.json").read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


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
        record = _record_of_copy(root)
        diff = read_diff(root) if record is None else str(record.get("diff") or "")
        path.write_text(diff, encoding="utf-8", errors="replace")
        logging.info("Git: commit %s, edited; the difference is in %s", version.commit, path)
