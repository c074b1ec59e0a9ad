"""How files are written, so that a reader never sees half of one, read from their end, measured and removed."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import stat
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from heyhi.errors import ResultError, UnknownError
from heyhi.quick_tuple import NamedTuple

# What a record or a note may have: far more than any that HeyHi writes.
MOST_BYTES = 64 << 20
# How deep lists and objects may lie in one another: a result has 100, and what goes on with it may use recursion.
MOST_DEPTH = 200
_MARK = b"\xef\xbb\xbf"  # with which some editors begin a text in UTF-8
_TOO_DEEP = f"lists and objects lie in one another more than {MOST_DEPTH} deep"
_NESTED = (dict, list)
# Without O_NONBLOCK, who opens a FIFO waits for somebody who writes; for a file it means nothing.
_TO_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_FEW_BYTES = 1 << 13


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


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, as a whole.

    Raises:
        OSError: it can't be written.
    """
    temp = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
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
            replace_bytes(name, read_bounded(path))  # a file system without hard links


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


def is_there(path: Path | str) -> bool:
    """Return whether there is something of a name; what can't be looked at isn't taken for absent.

    `Path.exists` takes it so in newer Pythons, and in older ones where a link leads round in a circle, or a file is in
    the way.

    Raises:
        UnknownError: nobody can tell; the message has the system's reason.
    """
    try:
        os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UnknownError(f"{path}: can't be read: {error.strerror or error}") from None
    return True


def is_there_now(path: Path) -> bool:
    """Return whether there is something of a name, also where this machine remembers otherwise; see `look_anew`.

    Raises:
        UnknownError: nobody can tell; the message has the system's reason.
    """
    return path.name in look_anew(path.parent, (path.name,))


class Listings:
    """Which folders may be there: one listing of a parent answers for all that are in it, as for a large sweep's."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str] | None] = {}  # by parent; None where that can't be listed

    def may_have(self, folder: str) -> bool:
        """Return whether a folder was there when its parent was listed, or nobody can tell by that."""
        parent, _, name = folder.rpartition("/")
        try:
            names = self._names[parent]
        except KeyError:
            names = self._names[parent] = _names_in(parent)
        return names is None or name in names


def _names_in(folder: str) -> frozenset[str] | None:
    """List a folder; None where that can't be."""
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208 (a set of names is all that is asked)
    except FileNotFoundError:
        return frozenset()
    except OSError:
        return None


def look_anew(folder: Path, names: Collection[str]) -> set[str]:
    """Have this machine forget what it remembers of some files, and return which of them are there.

    A network file system may have kept for a minute that a file isn't there, or is, or which one it is. Opening the
    folder makes NFS ask its server. Elsewhere the names that the folder holds are as they are now, at least, and tell
    what is remembered wrongly.

    Args:
        folder: that they lie in; it need not be there.
        names: of the files.

    Raises:
        UnknownError: nobody can tell; the message has the system's reason.
    """
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.inode() for entry in entries if entry.name in names}
    except FileNotFoundError:
        return set()
    except PermissionError:  # a folder may be closed to who may open what is in it
        return {name for name in names if is_there(folder / name)}
    except OSError as error:
        raise UnknownError(f"{folder}: can't be read: {error.strerror or error}") from None
    for name in names:
        if found.get(name) != _remembered_inode(folder / name):
            forget(folder / name)
    return set(found)


def _remembered_inode(path: Path) -> int | None:
    try:
        return os.lstat(path).st_ino
    except OSError:
        return None


def forget(path: Path) -> None:
    """Have this machine look anew for a file, the next time that it is asked about; changes nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            # Before Linux refuses a hard link to a folder, which it always does, it looks whether the name is free,
            # and trusts nothing but the file system for that.
            os.link(path.parent, path)


def age_of(path: Path, changed: float) -> float:
    """Return the seconds since a file was changed, by the clock of its file system: that of this machine may be off.

    Args:
        path: the file, in whose folder one is made for a moment.
        changed: its time.

    Raises:
        OSError: the folder can't be written.
    """
    temp = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    try:
        temp.touch(exist_ok=False)
        return temp.stat().st_mtime - changed
    finally:
        with contextlib.suppress(OSError):
            temp.unlink()


def is_file(path: Path | str) -> bool:
    """Return whether there is a file of a name that a user has given, which may be one that no file can have.

    Raises:
        UnknownError: nobody can tell; another one must not be taken instead.
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except ValueError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return False
        raise UnknownError(f"{path}: can't be read: {error.strerror or error}") from None


def leads_back(path: Path) -> bool:
    """Return whether a path is a link that leads round in a circle, to no file."""
    try:
        os.stat(path)  # noqa: PTH116
    except OSError as error:
        return error.errno == errno.ELOOP and os.path.islink(path)  # noqa: PTH114 (never raises)
    return False


def files_below(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the files at any depth in a folder that people have given names like a pattern, to be offered to them.

    Hidden ones aren't, nor links that lead nowhere: an editor's lock `.#line.prototxt` is both.
    """
    yield from (path for path in folder.rglob(pattern) if is_offered(path))


def is_offered(path: Path) -> bool:
    """Return whether a path is of a file that can be offered to people; see `files_below`."""
    return not path.name.startswith(".") and os.path.isfile(path)  # noqa: PTH113 (never raises)


def open_regular(path: Path | str) -> int:
    """Open a file to read, unless it is something that may never answer or never end, as a FIFO or a device does.

    Returns:
        its file descriptor.

    Raises:
        OSError: as `os.open` does; also where it is no regular file, which the message says.
    """
    return open_sized(path)[0]


class Origin(NamedTuple):
    """A folder that is open, from which on files in it can be named.

    Attributes:
        handle: its file descriptor; None where none is open.
        length: of what a path has to begin with, in characters.
    """

    handle: int | None
    length: int


NO_ORIGIN = Origin(None, 0)


def open_sized(path: Path | str) -> tuple[int, int]:
    """Open a file as `open_regular` does.

    Returns:
        its file descriptor; how many bytes it has.

    Raises:
        OSError: likewise.
    """
    handle, found = open_found(path)
    return handle, found.st_size


def open_found(path: Path | str, origin: Origin = NO_ORIGIN) -> tuple[int, os.stat_result]:
    """Open a file as `open_regular` does.

    Args:
        path: the file.
        origin: a folder that it is in, where that is open.

    Returns:
        its file descriptor; what the system says of it.

    Raises:
        OSError: likewise.
    """
    below = os.fspath(path)[origin.length :]
    try:
        handle = os.open(below, _TO_READ, dir_fd=origin.handle)
    except FileNotFoundError:
        if _is_link(below, origin.handle):
            # Nothing is absent there: the disk that it leads to may be.
            raise OSError(errno.EINVAL, "it is a link that leads nowhere", str(path)) from None
        raise
    found = os.fstat(handle)
    mode = found.st_mode
    if stat.S_ISREG(mode):
        return handle, found
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, f"it is a {'FIFO' if stat.S_ISFIFO(mode) else 'device'}, no file", str(path))


def _is_link(path: str, folder: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def opened_parent(paths: Sequence[str]) -> Iterator[Origin]:
    """Open the folder that some paths have in common, so that the system needn't find it for each file in them."""
    ends = [min(paths), max(paths)] if paths else []
    parent = os.path.commonprefix(ends).rpartition("/")[0]  # noqa: RUF071 (cut at a slash)
    try:
        handle = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield NO_ORIGIN
        return
    try:
        yield Origin(handle, len(parent) + 1)
    finally:
        os.close(handle)


def open_to_append(path: Path | str) -> int:
    """Open a file to add to its end, or make it; what is none would swallow that, or wait for who reads it.

    Returns:
        its file descriptor, which can be read as well.

    Raises:
        OSError: as `open_regular` does.
    """
    with contextlib.suppress(FileNotFoundError):
        os.close(open_regular(path))
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)


def read_bounded(path: Path | str, most: int = MOST_BYTES) -> bytes:
    """Read a file whole, which somebody may have put something odd in the place of.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        OSError: as `open_regular` does; also where it is larger, which the message says.
    """
    return read_found(path, most)[0]


def read_found(path: Path | str, most: int = MOST_BYTES, origin: Origin = NO_ORIGIN) -> tuple[bytes, os.stat_result]:
    """Read a file as `read_bounded` does.

    Args:
        path: the file.
        most: bytes that it may have.
        origin: a folder that it is in, where that is open.

    Returns:
        its bytes; what the system said of it before: if it changes meanwhile, it will say something else.

    Raises:
        OSError: likewise.
    """
    handle, found = open_found(path, origin)
    size = found.st_size
    try:
        if size <= most:
            # 10,000 of them, so none of the layers that open() puts around a file.
            data = os.read(handle, size + 1)
            if len(data) == size:
                return data, found
            data += _read_on(handle, most - len(data))  # it grows, or is none of a disk, which all have a size of 0
            if len(data) <= most:
                return data, found
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(handle)
    raise OSError(errno.EFBIG, f"it is larger than the {most >> 20} MB that such a file may have", str(path))


def read_lines(path: str, most: int = MOST_BYTES) -> bytes:
    """Read a file of whole lines, as `read_bounded` does: faster where it is small and nothing is odd about it.

    Raises:
        OSError: likewise.
    """
    data = b""
    with contextlib.suppress(OSError):
        handle = os.open(path, _TO_READ)
        try:
            data = os.read(handle, _FEW_BYTES)  # of a file all there is, if that isn't more
        finally:
            os.close(handle)
    # Else it is larger, or a part of one, or no file: nobody has written to a FIFO, and a device has no end.
    return data if data.endswith(b"\n") and len(data) < _FEW_BYTES else read_bounded(path, most)


def _read_on(handle: int, most: int) -> bytes:
    """Read the rest of a file, and of one that has more bytes than that no more than one byte too many."""
    parts, left = [], most + 1
    while left > 0 and (data := os.read(handle, min(left, 1 << 20))):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def parse_json(data: bytes | str) -> Any:
    """Parse JSON that somebody may have damaged.

    Raises:
        ValueError: it is none, or lists and objects lie in one another deeper than anything that is on record.
    """
    import json  # of no use to `heyhi --help`

    try:
        # Of bytes it would guess an encoding, and call a page of NULs UTF-32.
        text = data.removeprefix(_MARK).decode("utf-8", "surrogatepass") if isinstance(data, bytes) else data
        found = json.loads(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8 from byte {error.start} on") from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python would have us raise a limit
        raise ValueError("it has an integer of more digits than any that is on record") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except MemoryError:
        raise ValueError("it is too large for this machine's memory") from None
    brackets = (b"[", b"{") if isinstance(data, bytes) else ("[", "{")
    if sum(map(data.count, brackets)) > MOST_DEPTH and _is_deep(found):  # type: ignore[arg-type]
        raise ValueError(_TOO_DEEP)
    return found


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        below: list[Any] = []
        for one in level:
            if type(one) is dict:
                below += [inner for inner in one.values() if type(inner) in _NESTED]
            elif type(one) is list:
                below += [inner for inner in one if type(inner) in _NESTED]
        if not below:
            return False
        level = below
    return True


def read_by_digest(folder: Path, digest: str) -> dict[str, Any] | None:
    """Read a JSON object that is kept under a digest; None where there is none.

    Args:
        folder: of such files, each `<digest>.json`.
        digest: as a record has it, which may hold anything.

    Raises:
        ResultError: it can't be read, or is damaged.
    """
    if not digest.isalnum():
        return None
    path = folder / f"{digest}.json"
    reason: object = "it is no JSON object"
    try:
        content = parse_json(read_bounded(path))
        if isinstance(content, dict):
            return content
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
    raise ResultError(f"{path}: can't be read: {reason}")


def read_end(path: Path, most: int) -> str:
    """Read the end of a file as text.

    Args:
        path: the file.
        most: bytes that are read.

    Returns:
        the text, with a mark for each byte that is no UTF-8; empty where the file can't be read.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


def user_cache() -> Path:
    """Return the folder of what is kept for this user, of all projects, only to save time; it may be missing."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (never raises)
    return Path(base) / "heyhi"


def user_state() -> Path:
    """Return the folder of what this user's programs know of themselves while they run; it may be missing."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 (never raises)
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


class Tree(NamedTuple):
    """What lies at a path, without what links in it lead to.

    Attributes:
        bytes: of all files.
        files: how many; links, too.
        changed: when one of them was changed last, in nanoseconds since 1970.
        is_ours: whether all of it, folders too, belongs to this user.
    """

    bytes: int
    files: int
    changed: int
    is_ours: bool


def measure(path: str | Path) -> Tree:
    """Measure a file, or a folder with all that is in it; what lies behind a link isn't looked at.

    Raises:
        OSError: something in it can't be looked at.
    """
    status = os.lstat(path)
    is_ours = status.st_uid == os.getuid()
    if not stat.S_ISDIR(status.st_mode):
        return Tree(status.st_size, 1, status.st_mtime_ns, is_ours)
    size = files = 0
    changed = status.st_mtime_ns  # of a folder without files
    below = []
    with os.scandir(path) as entries:
        for entry in entries:
            below.append(measure(entry.path))
    if below:
        size, files = sum(one.bytes for one in below), sum(one.files for one in below)
        changed = max(one.changed for one in below)
        is_ours = is_ours and all(one.is_ours for one in below)
    return Tree(size, files, changed, is_ours)


def open_below(root: Path, folder: Path) -> int:
    """Open a folder below another one, never through a symbolic link on the way down from there.

    Raises:
        OSError: it isn't there, or is reached through a link.
    """
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for part in folder.relative_to(root).parts:
        try:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
        finally:
            os.close(handle)
        handle = inner
    return handle


def remove_below(root: Path, path: Path) -> None:
    """Remove a file, or a folder with all that is in it, that lies below a folder; links are removed, not followed.

    Raises:
        OSError: some of it can't be removed, or is reached through a link.
    """
    handle = open_below(root, path.parent)
    try:
        if not stat.S_ISDIR(os.lstat(path.name, dir_fd=handle).st_mode):
            os.unlink(path.name, dir_fd=handle)
            return
        import shutil  # which loads what compresses

        try:
            shutil.rmtree(path.name, dir_fd=handle)
        except PermissionError:  # somebody has protected folders of their own
            for _, _, _, inside in os.fwalk(path.name, dir_fd=handle, follow_symlinks=False):
                os.fchmod(inside, 0o700)
            shutil.rmtree(path.name, dir_fd=handle)
    finally:
        os.close(handle)
