"""What a project's code holds now: each of its files with the hash of its content, and one digest of all of them.

A copy of the code has this digest as its name (snapshot.py), a run of the work tree has it on record (versions.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from heyhi.code.files import GIT_SECONDS, CodeFiles, list_code, pattern_of
from heyhi.code.secret_files import HEAD_BYTES, is_key
from heyhi.errors import SnapshotError
from heyhi.files import parse_json, read_bounded, write_temp
from heyhi.loggers import get_logger
from heyhi.project import Project
from heyhi.quick_tuple import NamedTuple
from heyhi.sha import sha256

MAX_BYTES = 200_000_000
MAX_FILES = 20_000
VERSION = 1  # of how a digest is made
_KNOWN_VERSION = 2  # of what is known of files
TRIES = 3  # at reading what changes meanwhile
_MOST_NAMES = 200_000  # where git has no say, no more are listed: enough is known to refuse them
_QUICK_GIT_SECONDS = 5
_CHUNK = 1 << 20
_KEY_MARK = " key"  # behind the hash of a file that is a private key
# A file that was written this recently may be written again without its times showing it.
_RACY_NS = 2_000_000_000
_log = get_logger(__name__)


class CodeFile(NamedTuple):
    """One file of the code, as the file system shows it; a link where `link` says where it leads."""

    path: str
    mode: int
    size: int
    times: tuple[int, int, int]  # changed when its content was: modified, changed, inode
    link: str | None

    @property
    def known_by(self) -> list[int]:
        """What stays the same as long as its content does."""
        return [self.mode, self.size, *self.times]


class Scan(NamedTuple):
    """The code as the file system shows it: its files by path, in order, and how they were listed."""

    files: dict[str, CodeFile]
    code: CodeFiles


def copies_root(project: Project) -> Path:
    """Return the folder of the copies of the code, and of what is known of its files."""
    return project.state_root / "code"


def scan_code(project: Project, *, quick: bool = False) -> Scan:
    """List the code with what the file system says of each file.

    Args:
        project: the project.
        quick: give up early, and don't say why; and don't warn of what can't be read.

    Raises:
        SnapshotError: it is too big to be code, or git gives no answer.
    """
    most = MAX_FILES + 1 if quick else _MOST_NAMES
    code = list_code(project, most=most, warn=not quick, seconds=_QUICK_GIT_SECONDS if quick else GIT_SECONDS)
    if quick and len(code.paths) > MAX_FILES:
        raise SnapshotError(f"{project.root}: there are too many files")
    found: dict[str, os.stat_result] = {}
    for path in code.paths:
        with contextlib.suppress(OSError):  # deleted and not committed yet, or deleted just now
            found[path] = os.lstat(project.root / path)
    found = {p: s for p, s in found.items() if stat.S_ISREG(s.st_mode) or stat.S_ISLNK(s.st_mode)}
    if quick and sum(status.st_size for status in found.values()) > MAX_BYTES:
        raise SnapshotError(f"{project.root}: the files are too big")
    _check_size(project, found, cut=len(code.paths) >= _MOST_NAMES)
    inside = _Inside(project, found, code.links)
    files = {}
    for path, status in found.items():
        times = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        if stat.S_ISREG(status.st_mode):
            # No write bits: nobody edits it by accident. No more readers than the original has.
            mode = status.st_mode & 0o555 | 0o400
            files[path] = CodeFile(path, mode, status.st_size, times, None)
            continue
        with contextlib.suppress(OSError):
            files[path] = CodeFile(path, 0, 0, times, inside.link_text(path))
    for path in inside.links:
        files[path] = CodeFile(path, 0, 0, (0, 0, 0), str(project.root / path))
    return Scan(dict(sorted(files.items(), key=lambda item: os.fsencode(item[0]))), code)


class _Inside:
    """The paths of a project that a copy has, by which follows where the copy's links must lead."""

    def __init__(self, project: Project, found: Mapping[str, os.stat_result], links: Sequence[str]) -> None:
        own_links = {path for path, status in found.items() if stat.S_ISLNK(status.st_mode)}
        self._root = project.root
        # What lies behind a link of the project's own is reached through that one.
        self.links = [path for path in links if not any(p in own_links for p in parents(path))]
        self._through = own_links.union(self.links)
        self._paths = {".", *found, *self.links}
        for path in (*found, *self.links):
            self._paths.update(parents(path))

    def holds(self, path: str) -> bool:
        return path in self._paths or any(parent in self._through for parent in parents(path))

    def link_text(self, path: str) -> str:
        """Return where a link leads from within a copy: to the copy of what it meant, else to the same place."""
        text = os.readlink(self._root / path)  # noqa: PTH115
        parent = os.path.dirname(path)  # noqa: PTH120 (names as text: Path would tidy them)
        if not text.startswith("/"):
            if self.holds(os.path.normpath(os.path.join(parent, text))):  # noqa: PTH118
                return text
            whole = os.path.join(os.path.realpath(self._root / parent), text)  # noqa: PTH118
            short = os.path.normpath(whole)
            return short if os.path.realpath(short) == os.path.realpath(whole) else whole
        for root in (str(self._root), os.path.realpath(self._root)):
            below = os.path.relpath(text, root)
            if self.holds(below):
                return os.path.relpath(below, parent or ".")
        return text


def parents(path: str) -> list[str]:
    """Return the folders above a relative path, below the root."""
    parts = path.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def _check_size(project: Project, found: Mapping[str, os.stat_result], *, cut: bool) -> None:
    """Refuse what is too big to be code.

    Raises:
        SnapshotError: it is too big; the message names what is biggest.
    """
    sizes = {path: status.st_size for path, status in found.items()}
    total, count = sum(sizes.values()), len(sizes)
    if total <= MAX_BYTES and count <= MAX_FILES:
        return
    weights = sizes if total > MAX_BYTES else dict.fromkeys(sizes, 1)
    biggest = _biggest(weights)
    names = ", ".join(f"{name!r} ({_amount(sizes, name)})" for name in biggest)
    raise SnapshotError(
        f"{project.root}: a copy of the code would hold {'at least ' * cut}{_megabytes(total)} in {count:,} files,"
        f" more than {_megabytes(MAX_BYTES)} or {MAX_FILES:,} files. Most of it: {names}. Leave such out with"
        f" [tool.heyhi] snapshot_exclude = [{json.dumps(pattern_of(biggest[0]), ensure_ascii=False)}], link to it with"
        " snapshot_link, or launch with --no-snapshot"
    )


def _biggest(weights: Mapping[str, int], most: int = 3) -> list[str]:
    """Return the heaviest files and folders; for a folder, the one inside it that has nearly all of its weight."""
    sums: dict[str, int] = {}
    for path, weight in weights.items():
        for name in (*parents(path), path):
            sums[name] = sums.get(name, 0) + weight
    heavy = sum(weights.values()) / 100
    names = sorted((n for n in sums if "/" not in n), key=lambda n: -sums[n])[:most]
    names = [n for n in names if sums[n] > heavy] or names
    inner: dict[str, str] = {}  # folder -> its heaviest child
    for name, weight in sums.items():
        folder = name.rpartition("/")[0]
        if folder and weight > sums.get(inner.get(folder, ""), -1):
            inner[folder] = name
    for i, name in enumerate(names):
        while name in inner and sums[inner[name]] > 0.9 * sums[name]:
            name = inner[name]
        names[i] = name
    return names


def _amount(sizes: Mapping[str, int], name: str) -> str:
    within = [size for path, size in sizes.items() if path == name or path.startswith(f"{name}/")]
    return _megabytes(sum(within)) + (f" in {len(within):,} files" if name not in sizes else "")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e6:.2f} MB"


def digest_of(files: Mapping[str, CodeFile], contents: Mapping[str, str]) -> str:
    """Return the digest of all files; files that could not be read have no content, and don't count."""
    total = sha256(f"heyhi code {VERSION}\0".encode())
    for path, file in files.items():
        content = f"link {file.link}" if file.link is not None else contents.get(path)
        if content is not None:
            total.update(os.fsencode(f"{path}\0{file.mode:o}\0{content}\0"))
    return total.hexdigest()[:16]


class KnownHashes:
    """The hashes of files as of the last copy, kept in a file that only saves time.

    Attributes:
        keys: files that `hashes` has found to be private keys, and has left out.
    """

    def __init__(self, path: Path, known: dict[str, list[int | str]]) -> None:
        self._path = path
        self._known = known
        self._changed = False
        self.keys: list[str] = []

    @classmethod
    def read(cls, folder: Path, root: Path) -> KnownHashes:
        """Read what is known of a project's files; nothing where there is no such file, or a damaged one."""
        # Several clones may share a results root.
        path = folder / f"hashes-{sha256(os.fsencode(root)).hexdigest()[:16]}.json"
        try:
            content = parse_json(read_bounded(path))
        except (OSError, ValueError):
            content = None
        known = content.get("files") if isinstance(content, dict) and content.get("version") == _KNOWN_VERSION else None
        return cls(path, known if isinstance(known, dict) else {})

    def hashes(self, root: Path, scan: Scan, *, skipped: Container[str] = (), warn: bool = True) -> dict[str, str]:
        """Return the hash of each file that may be copied and isn't skipped, and warn of those that can't be read."""
        hashes: dict[str, str] = {}
        self.keys = []
        known: dict[str, list[int | str]] = {}
        for path, file in scan.files.items():
            if file.link is not None:
                continue
            earlier = self._known.get(path)
            if path in skipped:
                known.update({path: earlier} if earlier is not None else {})
                continue
            content: str | None
            settled = True
            if isinstance(earlier, list) and earlier[:-1] == file.known_by and isinstance(earlier[-1], str):
                content = earlier[-1]
            else:
                settled = file.times[1] < time.time_ns() - _RACY_NS
                content = read_file(root / path, None, warn=warn)
                if content is None:
                    continue
            if may_be_copied(scan, path, content):
                hashes[path] = content
            else:
                self.keys.append(path)
            if settled:
                known[path] = [*file.known_by, content]
        self._changed |= known != self._known
        self._known = known
        return hashes

    def write(self) -> None:
        """Keep what is known now for the next time, where that is possible."""
        if self._changed:
            with contextlib.suppress(OSError):
                write_temp(self._path, json.dumps({"version": _KNOWN_VERSION, "files": self._known})).replace(
                    self._path
                )
            self._changed = False


def may_be_copied(scan: Scan, path: str, content: str) -> bool:
    """Return whether a file that was read is no private key, or is meant to be copied all the same."""
    return not content.endswith(_KEY_MARK) or path in scan.code.taken_in


def read_file(path: Path, copy: Path | None, *, warn: bool = True) -> str | None:
    """Read a file and return its hash, None where it can't be read; write what was read to a copy.

    A file that is written meanwhile is read again, up to a few times. The hash of a private key has a mark behind it.
    """
    mark = ""
    for _ in range(TRIES):
        try:
            # It may have become a pipe, which must not hold us up, or a link.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and copy is None and warn:
                _log.warning("Code: %s is left out: %s", path, error.strerror)
            return None
        with os.fdopen(handle, "rb", buffering=0) as source:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                return None
            total = sha256()
            with copy.open("wb") if copy is not None else contextlib.nullcontext() as target:
                rest = before.st_size  # a log that grows as fast as it is read would have no end
                while rest > 0 and (chunk := source.read(min(rest, _CHUNK))):
                    if rest == before.st_size:
                        mark = _KEY_MARK if is_key(path.name, chunk[:HEAD_BYTES]) else ""
                    rest -= len(chunk)
                    total.update(chunk)
                    if target is not None:
                        target.write(chunk)
            after = os.fstat(handle)
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            break
    if copy is not None:
        os.utime(copy, ns=(after.st_mtime_ns, after.st_mtime_ns))
    return total.hexdigest() + mark
