"""Files that experiments are given (`{{file PATH}}`): what their content is, and which experiments were given any.

A file of any size is read once: its digest is kept in the results root for as long as size, times and inode stay. Notes
lead to the experiments whose records name files, so that nobody has to read the records of all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from heyhi.errors import NeedsError
from heyhi.experiment.names import GIVEN_NAME, STATE_NAME
from heyhi.files import open_regular, open_to_append, parse_json, read_bounded, replace_file, writing
from heyhi.sha import sha256

OWN_RULES = "workflows/own.smk"  # where rules of a project's own are
NOT_THERE = "isn't there"
_HEAD = "file "  # no exp id has a blank
_DIGITS = 16
_MOST_BYTES = 1 << 16  # of a note
_SETTLED_SECONDS = 2.0  # a file changed later than this may change again within its clock's tick
_LARGE_BYTES = 1 << 30  # to read more is said
_DIGESTS_NAME = "digests"
_log = logging.getLogger(__name__)


def key_of(name: str) -> str:
    """Return by which key records name a file, among the exp ids of needs."""
    return f"{_HEAD}{name}"


def name_in(key: str) -> str:
    """Return which file a key of a record names; empty for one that is an exp id."""
    return key.removeprefix(_HEAD) if key.startswith(_HEAD) else ""


def place_of(name: str, project_root: Path | str) -> Path:
    """Return where a file is that experiments name."""
    return Path(project_root, name)


def why_missing(name: str, project_root: Path | str) -> str:
    """Say why an experiment can't be given a file; empty where it can."""
    path = place_of(name, project_root)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return NOT_THERE
    except OSError as error:
        return f"can't be read: {error.strerror or error}"
    if stat.S_ISDIR(mode):
        return "is a folder: name a file in it, such as one that the rule that fills it writes last"
    return "" if stat.S_ISREG(mode) else "is no file"


def not_given(target: str, name: str, why: str) -> str:
    """Say of an experiment that it can't be given a file: one that nobody makes.

    Args:
        target: of it.
        name: of the file.
        why: as `why_missing` has it.
    """
    more = f", and no rule of {OWN_RULES} makes it" if why == NOT_THERE else ""
    return f"{target}: needs the file {name}, which {why}{more}"


def digest_of(name: str, project_root: Path | str, results_root: Path) -> str:
    """Return 16 hex digits of a file's content; empty where there is none that can be read.

    Args:
        name: relative to the project root, or absolute.
        project_root: of the project.
        results_root: in whose state digests are kept.
    """
    path = place_of(name, project_root)
    with contextlib.suppress(OSError):
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return ""
        kept = results_root / STATE_NAME / GIVEN_NAME / _DIGESTS_NAME / f"{_short(str(path))}.json"
        if known := _kept(kept, found):
            return known
        with _alone(kept):  # of a thousand jobs that begin at once, one reads it
            found = path.stat()
            return _kept(kept, found) or _read(path, found, kept)
    return ""


def _read(path: Path, found: os.stat_result, kept: Path) -> str:
    if found.st_size > _LARGE_BYTES:
        _log.warning("%s: reading its %.1f GB once, to know its content again", path, found.st_size / 1e9)
    import hashlib  # OpenSSL's, which is fast on large files

    with os.fdopen(open_regular(path), "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    after = path.stat()
    if _mark(after) == _mark(found) and after.st_mtime < time.time() - _SETTLED_SECONDS:
        with contextlib.suppress(Exception):  # to keep it only saves time
            replace_file(kept, json.dumps({"mark": _mark(found), "digest": digest, "path": str(path)}))
    return digest


def _mark(found: os.stat_result) -> list[int]:
    # Also when it was changed at all: whoever writes into a file may give it back the time that it had.
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _kept(kept: Path, found: os.stat_result) -> str:
    with contextlib.suppress(OSError, ValueError):
        content = parse_json(read_bounded(kept, _MOST_BYTES))
        if isinstance(content, dict) and content.get("mark") == _mark(found):
            return str(content.get("digest", ""))
    return ""


@contextlib.contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """Be the only process that reads a file, where the file system has locks."""
    handle = -1
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        handle = open_to_append(kept.with_suffix(".lock"))
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def check_files(names: tuple[str, ...], project_root: Path, what: str, command: str) -> None:
    """Make sure that files are there which an experiment is to be given.

    Args:
        names: of the files.
        project_root: of the project.
        what: needs them.
        command: that makes them, up to the first one's name.

    Raises:
        NeedsError: one isn't.
    """
    missing = {name: why for name in names if (why := why_missing(name, project_root))}
    if missing:
        lines = "\n".join(f"  {name}: {why}" for name, why in missing.items())
        absent = [name for name, why in missing.items() if why == NOT_THERE]
        more = f"\nwhere a rule of {OWN_RULES} makes it:\n  {command} {' '.join(absent)}" if absent else ""
        raise NeedsError(f"{what} needs what it can't be given:\n{lines}{more}")


# --- which experiments


def note_given(results_root: Path, exp_id: str) -> None:
    """Note that an experiment was given files.

    Raises:
        ResultError: it can't be written.
    """
    folder = results_root / STATE_NAME / GIVEN_NAME
    note = folder / _short(exp_id)
    if not note.exists():
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        replace_file(note, exp_id)


def given_files(results_root: Path) -> set[str]:
    """Return the exp paths of the experiments that were given files, by their notes."""
    found: set[str] = set()
    with contextlib.suppress(OSError):
        for note in (results_root / STATE_NAME / GIVEN_NAME).iterdir():
            with contextlib.suppress(OSError, UnicodeDecodeError):
                exp_id = read_bounded(note, _MOST_BYTES).decode()
                if note.name == _short(exp_id):
                    found.add(str(results_root / exp_id))
    return found


def _short(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGITS]
