"""Which version of the code runs: commit and changes, of the work tree or of its copy."""

from __future__ import annotations

import json
import logging
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from heyhi.code.git import CodeVersion, read_diff, read_version
from heyhi.job_env import is_master

# Names in the folder of a copy of code: of the copied tree, and of the record of what it is a copy of.
TREE_NAME = "tree"
RECORD_NAME = "code.json"
DIFF_NAME = "workdir.diff"


@lru_cache(maxsize=16)
def code_version(root: Path) -> CodeVersion:
    """Return the version of the code in a folder; git is asked once a process, and without git there is none.

    A copy that was made for a job has the version of the code that it is a copy of.
    """
    record = _record_of_copy(root)
    if record is not None:
        return CodeVersion(record.get("commit"), bool(record.get("dirty")))
    return read_version(root)


def _record_of_copy(root: Path) -> dict[str, Any] | None:
    """Read the record of a copy of code; None where the folder is no copy."""
    if root.name != TREE_NAME:
        return None
    try:
        record = json.loads((root.parent / RECORD_NAME).read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def log_git_status() -> None:
    """Log the commit of the code that runs; where it was edited, save the difference in the working directory."""
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
