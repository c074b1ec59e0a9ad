"""Copies of a project's code, which queued jobs run while the work tree is edited; launches decide when one is taken.

The name of a copy is a digest of its files. A copy is built beside its place and renamed there as a whole, with a
list of its files by which damage is noticed. Nothing of the code is executed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from heyhi.code.files import CodeFiles, list_code, pattern_of
from heyhi.code.git import CodeVersion, read_diff, read_version
from heyhi.code.version import RECORD_NAME, TREE_NAME
from heyhi.errors import SnapshotError
from heyhi.files import replace_bytes, write_temp, writing
from heyhi.project import Project

MAX_BYTES = 200_000_000
MAX_FILES = 20_000
MAX_DIFF = 1_000_000
_LIST_NAME = "files.json"
_VERSION = 1
_MAX_NEW_NAMES = 1_000
_MOST_NAMES = 200_000  # where git has no say, no more are listed: enough is known to refuse them
_TRIES = 3
_CHUNK = 1 << 20
# A file that was written this recently may be written again without its times showing it.
_RACY_NS = 2_000_000_000
_STALE_SECONDS = 86_400
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A copy of the code.

    Attributes:
        digest: 16 hex digits over path, mode and content of its files.
        root: copy of the project root; its files are read-only.
        record: JSON file that says what it is a copy of.
    """

    digest: str
    root: Path
    record: Path


class _File(NamedTuple):
    """One file of the code, as the file system shows it; a link where `link` says where it leads."""

    path: str
    mode: int
    size: int
    times: tuple[int, int, int]  # changed when its content was: modified, changed, inode
    link: str | None

    @property
    def known_by(self) -> list[int]:
        return [self.mode, self.size, *self.times]


class _Scan(NamedTuple):
    files: dict[str, _File]
    code: CodeFiles


def take_snapshot(project: Project) -> Snapshot:
    """Copy a project's code as it is now, or find the copy that has the same files.

    Copied are files that git tracks or would add; outside git, all but hidden ones. Symbolic links stay links.
    `[tool.heyhi] snapshot_exclude` and the results root are left out; `snapshot_link` is linked to.

    Raises:
        SnapshotError: it would be too big, or can't be read; or git refuses to list it.
        ResultError: the results root can't be written.
    """
    folder = _code_root(project)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    known = _KnownHashes.read(folder, project.root)
    for tries_left in reversed(range(_TRIES)):
        scan = _scan(project)
        contents = known.hashes(project.root, scan.files)
        known.write()
        snapshot = _snapshot(project, _digest(scan.files, contents))
        if _is_marked(snapshot) and _intact(snapshot):
            _refresh_record(snapshot, project, scan)
            return snapshot
        taken = _build(project, scan, contents, last=tries_left == 0)
        if taken is not None:
            return taken
    raise AssertionError  # the last try takes what it gets


def open_snapshot(project: Project, digest: str) -> Snapshot:
    """Find a copy that was taken before.

    Raises:
        SnapshotError: it was removed, or files of it are gone or changed.
    """
    snapshot = _snapshot(project, digest)
    if not _intact(snapshot):
        raise SnapshotError(
            f"{snapshot.root}: the code of this launch was removed or changed; launch again to copy the code anew"
        )
    return snapshot


def link_record(snapshot: Snapshot, target: Path) -> None:
    """Put the record of a copy in another place too: as a hard link, or as a copy where links fail.

    Args:
        snapshot: of the code.
        target: the file to make, or to replace.

    Raises:
        SnapshotError: the record is gone.
        ResultError: the folder can't be written.
    """
    temp = target.with_name(f".{target.name}.{os.urandom(6).hex()}.tmp")
    try:
        try:
            os.link(snapshot.record, temp)
            temp.replace(target)
        finally:
            # A rename between two links to one file does nothing, and leaves both.
            temp.unlink(missing_ok=True)
    except OSError:
        try:
            data = snapshot.record.read_bytes()
        except OSError as error:
            raise SnapshotError(f"{snapshot.record}: can't be read: {error.strerror}; launch again") from None
        replace_bytes(target, data)


def _code_root(project: Project) -> Path:
    return project.state_root / "code"


def _snapshot(project: Project, digest: str) -> Snapshot:
    folder = _code_root(project) / digest
    return Snapshot(digest, folder / TREE_NAME, folder / RECORD_NAME)


def _scan(project: Project) -> _Scan:
    """List the code with what the file system says of each file."""
    code = list_code(project, most=_MOST_NAMES)
    found: dict[str, os.stat_result] = {}
    for path in code.paths:
        with contextlib.suppress(OSError):  # deleted and not committed yet, or deleted just now
            found[path] = os.lstat(project.root / path)
    found = {p: s for p, s in found.items() if stat.S_ISREG(s.st_mode) or stat.S_ISLNK(s.st_mode)}
    _check_size(project, found, cut=len(code.paths) >= _MOST_NAMES)
    inside = _Inside(project, found, code.links)
    files = {}
    for path, status in found.items():
        times = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        if stat.S_ISREG(status.st_mode):
            # No write bits: nobody edits it by accident. No more readers than the original has.
            mode = status.st_mode & 0o555 | 0o400
            files[path] = _File(path, mode, status.st_size, times, None)
            continue
        with contextlib.suppress(OSError):
            files[path] = _File(path, 0, 0, times, inside.link_text(path))
    for path in inside.links:
        files[path] = _File(path, 0, 0, (0, 0, 0), str(project.root / path))
    return _Scan(dict(sorted(files.items(), key=lambda item: os.fsencode(item[0]))), code)


class _Inside:
    """The paths of a project that a copy has, by which follows where the copy's links must lead."""

    def __init__(self, project: Project, found: Mapping[str, os.stat_result], links: Sequence[str]) -> None:
        own_links = {path for path, status in found.items() if stat.S_ISLNK(status.st_mode)}
        self._root = project.root
        # What lies behind a link of the project's own is reached through that one.
        self.links = [path for path in links if not any(p in own_links for p in _parents(path))]
        self._through = own_links.union(self.links)
        self._paths = {".", *found, *self.links}
        for path in (*found, *self.links):
            self._paths.update(_parents(path))

    def holds(self, path: str) -> bool:
        return path in self._paths or any(parent in self._through for parent in _parents(path))

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


def _parents(path: str) -> list[str]:
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
        for name in (*_parents(path), path):
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


def _digest(files: Mapping[str, _File], contents: Mapping[str, str]) -> str:
    """Return the name of a copy; files that could not be read have no content, and don't count."""
    total = hashlib.sha256(f"heyhi code {_VERSION}\0".encode())
    for path, file in files.items():
        content = f"link {file.link}" if file.link is not None else contents.get(path)
        if content is not None:
            total.update(os.fsencode(f"{path}\0{file.mode:o}\0{content}\0"))
    return total.hexdigest()[:16]


class _KnownHashes:
    """The hashes of files as of the last copy, kept in a file that only saves time."""

    def __init__(self, path: Path, known: dict[str, list[int | str]]) -> None:
        self._path = path
        self._known = known
        self._changed = False

    @classmethod
    def read(cls, folder: Path, root: Path) -> _KnownHashes:
        # Several clones may share a results root.
        path = folder / f"hashes-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.json"
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            content = None
        known = content.get("files") if isinstance(content, dict) and content.get("version") == _VERSION else None
        return cls(path, known if isinstance(known, dict) else {})

    def hashes(self, root: Path, files: Mapping[str, _File]) -> dict[str, str]:
        """Return the hash of each file that can be read, and warn of the others."""
        hashes: dict[str, str] = {}
        known: dict[str, list[int | str]] = {}
        for path, file in files.items():
            if file.link is not None:
                continue
            earlier = self._known.get(path)
            content: str | None
            settled = True
            if isinstance(earlier, list) and earlier[:-1] == file.known_by and isinstance(earlier[-1], str):
                content = earlier[-1]
            else:
                settled = file.times[1] < time.time_ns() - _RACY_NS
                content = _read(root / path, None)
                if content is None:
                    continue
            hashes[path] = content
            if settled:
                known[path] = [*file.known_by, content]
        self._changed |= known != self._known
        self._known = known
        return hashes

    def write(self) -> None:
        if self._changed:
            with contextlib.suppress(OSError):
                write_temp(self._path, json.dumps({"version": _VERSION, "files": self._known})).replace(self._path)
            self._changed = False


def _read(path: Path, copy: Path | None) -> str | None:
    """Read a file and return its hash, None where it can't be read; write what was read to a copy.

    A file that is written meanwhile is read again, up to a few times.
    """
    for _ in range(_TRIES):
        try:
            # It may have become a pipe, which must not hold us up, or a link.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and copy is None:
                _log.warning("Code: %s is left out: %s", path, error.strerror)
            return None
        with os.fdopen(handle, "rb", buffering=0) as source:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                return None
            total = hashlib.sha256()
            with copy.open("wb") if copy is not None else contextlib.nullcontext() as target:
                rest = before.st_size  # a log that grows as fast as it is read would have no end
                while rest > 0 and (chunk := source.read(min(rest, _CHUNK))):
                    rest -= len(chunk)
                    total.update(chunk)
                    if target is not None:
                        target.write(chunk)
            after = os.fstat(handle)
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            break
    if copy is not None:
        os.utime(copy, ns=(after.st_mtime_ns, after.st_mtime_ns))
    return total.hexdigest()


def _build(project: Project, scan: _Scan, contents: Mapping[str, str], *, last: bool) -> Snapshot | None:
    """Make a copy and put it in its place; None where the code changed meanwhile and there is another try."""
    folder = _code_root(project)
    _remove_stale(folder)
    temp = folder / f".{os.urandom(8).hex()}.tmp"
    try:
        with writing(folder):
            temp.mkdir(parents=True)
            copied = _copy(project.root, scan.files, contents, temp / TREE_NAME)
        digest = _digest(scan.files, copied)
        record = _record(project, scan, copied, digest)
        changed = _differing(copied, contents) or _differing(scan.files, _scan(project).files)
        if changed:
            if not last:
                return None
            _log.warning("Code: it changes while it is copied (%s); it is copied as it is", changed[0])
        with writing(folder):
            write_temp(temp / RECORD_NAME, record).replace(temp / RECORD_NAME)
            (temp / RECORD_NAME).chmod(0o444)
            _write_list(temp, scan.files, copied, digest)
            snapshot = _snapshot(project, digest)
            _put(temp, snapshot)
        return snapshot
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    return [path for path in {**one, **other} if one.get(path) != other.get(path)]


def _copy(root: Path, files: Mapping[str, _File], contents: Mapping[str, str], tree: Path) -> dict[str, str]:
    """Copy what is readable, and return the hashes of what was copied."""
    copied: dict[str, str] = {}
    tree.mkdir()
    made = {""}
    for path, file in files.items():
        for parent in _parents(path):
            if parent not in made:
                made.add(parent)
                (tree / parent).mkdir(_folder_mode(root / parent))
        target = tree / path
        if file.link is not None:
            target.symlink_to(file.link)
        elif path in contents:
            content = _read(root / path, target)
            if content is None:
                target.unlink(missing_ok=True)
                continue
            target.chmod(file.mode)
            copied[path] = content
    return copied


def _folder_mode(folder: Path) -> int:
    """Return a folder's permissions, so that a private one stays private; ours to write in any case."""
    try:
        return folder.stat().st_mode & 0o777 | 0o700
    except OSError:
        return 0o777


def _write_list(folder: Path, files: Mapping[str, _File], copied: Mapping[str, str], digest: str) -> None:
    """Write the list by which damage is noticed, last of all."""
    rows: list[list[str | int]] = []
    for path, file in files.items():
        if file.link is not None:
            rows.append([path, file.link])
        elif path in copied:
            status = (folder / TREE_NAME / path).lstat()
            rows.append([path, status.st_size, status.st_mtime_ns])
    text = json.dumps({"version": _VERSION, "digest": digest, "files": rows})
    write_temp(folder / _LIST_NAME, text).replace(folder / _LIST_NAME)


def _intact(snapshot: Snapshot) -> bool:
    """Return whether all that was copied is there with its size and time; files that were added don't matter."""
    try:
        content = json.loads((snapshot.root.parent / _LIST_NAME).read_bytes())
        if content["version"] != _VERSION or content["digest"] != snapshot.digest:
            return False
        return all(_row_holds(str(snapshot.root), row) for row in content["files"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def _row_holds(tree: str, row: list[str | int]) -> bool:
    path = f"{tree}/{row[0]}"
    if len(row) == 2:
        return os.readlink(path) == row[1]  # noqa: PTH115
    status = os.lstat(path)
    # Another machine may be told the time in whole seconds only.
    near = abs(status.st_mtime_ns - int(row[2])) < 10**9
    return stat.S_ISREG(status.st_mode) and status.st_size == row[1] and near


def _put(temp: Path, snapshot: Snapshot) -> None:
    """Rename a copy into its place, unless an intact one is there by now.

    A damaged one is moved away first: a job that runs it finds the same files, intact, under the same names.
    """
    folder = snapshot.root.parent
    for _ in range(_TRIES):
        with contextlib.suppress(OSError):
            temp.rename(folder)
            return
        if _is_marked(snapshot) and _intact(snapshot):
            return
        aside = folder.with_name(f".{os.urandom(8).hex()}.tmp")
        with contextlib.suppress(FileNotFoundError):  # another process has moved it
            folder.rename(aside)
            if aside.is_dir():
                shutil.rmtree(aside, ignore_errors=True)
            else:
                aside.unlink()
    temp.rename(folder)


def _is_marked(snapshot: Snapshot) -> bool:
    """Mark a copy as asked for just now, before it is used: `heyhi clean` leaves it then. False where there is none."""
    try:
        os.utime(snapshot.root.parent)
    except FileNotFoundError:
        return False
    except OSError:  # another user's, whose own cleaning looks at who has it on record
        return True
    return True


def _remove_stale(folder: Path) -> None:
    """Remove the unfinished copies of processes that were killed."""
    for temp in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if temp.lstat().st_mtime < time.time() - _STALE_SECONDS:
                shutil.rmtree(temp) if temp.is_dir() else temp.unlink()


def _record(project: Project, scan: _Scan, copied: Iterable[str], digest: str) -> str:
    """Return as text what the copy is a copy of."""
    in_git = scan.code.in_git
    version = read_version(project.root) if in_git else CodeVersion()
    diff = read_diff(project.root, "--relative", "--submodule=diff", most=MAX_DIFF) if in_git else ""
    names = set(copied)
    links = [path for path, file in scan.files.items() if file.link is not None]
    new = [path for path in scan.code.new if path in names or path in links]
    content = {
        "digest": digest,
        "project_root": str(project.root),
        "time": time.time(),
        "commit": version.commit,
        "dirty": version.dirty,
        "new_files": new[:_MAX_NEW_NAMES],
        "new_file_count": len(new),
        "left_out": [path for path, file in scan.files.items() if file.link is None and path not in names],
        "links": {path: scan.files[path].link for path in scan.code.links if path in scan.files},
        "files": len(names) + len(links),
        "bytes": sum(scan.files[path].size for path in names),
        "diff": diff,
    }
    return json.dumps(content, indent=2) + "\n"


def _refresh_record(snapshot: Snapshot, project: Project, scan: _Scan) -> None:
    """Update the commit in the record of a copy that is used again: what were edits then may be committed now."""
    version = read_version(project.root) if scan.code.in_git else CodeVersion()
    try:
        content = json.loads(snapshot.record.read_bytes())
        # Without a commit git gave no answer; what an earlier launch was told is no less true.
        if version.commit is None or (content["commit"], content["dirty"]) == (version.commit, version.dirty):
            return
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass
    with writing(snapshot.record):
        rows = json.loads((snapshot.root.parent / _LIST_NAME).read_bytes())["files"]
        copied = [row[0] for row in rows if len(row) > 2]
        # The experiments of earlier launches keep the old one.
        temp = write_temp(snapshot.record, _record(project, scan, copied, snapshot.digest))
        temp.chmod(0o444)
        temp.replace(snapshot.record)
