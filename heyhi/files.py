"""How files are written, so that a reader never sees half of one, and how the end of a long one is read."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from heyhi.errors import ResultError


def replace_file(path: Path, text: str) -> None:
    """Put a file in place as a whole: a reader sees the old one or the new one, also after a crash.

    Raises:
        ResultError: the folder can't be written, or is full; the old file is untouched.
    """
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, data: bytes) -> None:
    """Put a file that is not text in place as a whole.

    Raises:
        ResultError: the folder can't be written, or is full; the old file is untouched.
    """
    with writing(path):
        temp = write_temp(path, data)
        try:
            temp.replace(path)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise


def keep_file(path: Path, name: Path) -> None:
    """Give what a file holds now a second name, which stays when the file is replaced; one that is there stays.

    Raises:
        ResultError: the folder can't be written, or is full.
    """
    with writing(name):
        try:
            name.hardlink_to(path)
        except FileExistsError:
            return
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise
            replace_bytes(name, path.read_bytes())  # a file system without hard links


def write_temp(path: Path, data: str | bytes) -> Path:
    """Write a file of another name beside a path, safely on disk; the caller moves or links it there.

    Returns:
        `.<name>.<random>.tmp` in the same folder.

    Raises:
        OSError: the folder can't be written, or is full; nothing is left behind.
    """
    temp = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    # Not tempfile's: that makes files which only their owner can read, and results are shared.
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(handle)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    return temp


def read_end(path: Path, most: int) -> str:
    """Read the end of a file as text.

    Args:
        path: the file.
        most: bytes that are read.

    Returns:
        the text, with a mark for each byte that is no UTF-8; empty where the file can't be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


def user_cache() -> Path:
    """Return the folder of what is kept for this user, of all projects, only to save time; it may be missing."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (never raises)
    return Path(base) / "heyhi"


def utc_now() -> str:
    """Return the time as records hold it: ISO 8601, UTC, whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the system inside the context into one sentence: why a file or folder can't be written.

    Raises:
        ResultError: names the path and the system's reason.
    """
    try:
        yield
    except OSError as error:
        raise ResultError(f"{path}: can't be written: {error.strerror or error}") from error
