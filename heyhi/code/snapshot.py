"""Copies of a project's code, which queued jobs run while the work tree is edited; launches decide when one is taken.

The name of a copy is a digest of its files. A copy is built beside its place and renamed there as a whole, with a
list of its files by which damage is noticed. Nothing of the code is executed.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from heyhi.code.files import pattern_of
from heyhi.code.git import CodeVersion, read_version
from heyhi.code.import_path import pinned_copy
from heyhi.code.listing import (
    TRIES,
    VERSION,
    CodeFile,
    KnownHashes,
    Scan,
    copies_root,
    digest_of,
    may_be_copied,
    parents,
    read_file,
    scan_code,
)
from heyhi.code.version import RECORD_NAME, TREE_NAME
from heyhi.code.versions import ListedCode, keep_list, listed_code
from heyhi.errors import ResultError, SnapshotError
from heyhi.files import parse_json, read_bounded, replace_bytes, write_temp, writing
from heyhi.loggers import get_logger
from heyhi.project import Project
from heyhi.quick_dataclass import dataclass

MAX_DIFF = 1_000_000
_LIST_NAME = "files.json"
CODE_SETTING = "code"  # of Snakemake's --config: a copy that was taken before
_NOT_A_NUMBER = "copy-"  # which a digest may be, as Snakemake reads a setting
_MAX_NEW_NAMES = 1_000
_MOST_SECRETS = 5  # that are named
_STALE_SECONDS = 86_400
_log = get_logger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A copy of the code.

    Attributes:
        digest: 16 hex digits over path, mode and content of its files.
        root: copy of the project root; its files are read-only.
        record: JSON file that says what it is a copy of.
        project_root: what it is a copy of.
    """

    digest: str
    root: Path
    record: Path
    project_root: Path


def take_snapshot(project: Project) -> Snapshot:
    """Copy a project's code as it is now, or find the copy that has the same files.

    Copied are files that git tracks or would add; outside git, all but hidden ones and what a .gitignore names. Links
    stay links. `[tool.heyhi] snapshot_exclude`, files with secrets and the results root are left out; what is in
    `snapshot_link` is linked to.

    Raises:
        SnapshotError: it would be too big, or can't be read; or git refuses to list it.
        ResultError: the results root can't be written.
    """
    folder = copies_root(project)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    known = KnownHashes.read(folder, project.root)
    for tries_left in reversed(range(TRIES)):
        scan = scan_code(project)
        contents = known.hashes(project.root, scan)
        known.write()
        snapshot = _snapshot(project, digest_of(scan.files, contents))
        if _is_marked(snapshot) and _intact(snapshot):
            _refresh_record(snapshot, project, scan, contents)
            _tell_of_secrets(snapshot, [*scan.code.secrets, *known.keys])
            return snapshot
        taken = _build(project, scan, contents, last=tries_left == 0)
        if taken is not None:
            _tell_of_secrets(taken, [*scan.code.secrets, *known.keys])
            return taken
    raise AssertionError  # the last try takes what it gets


def code_for_jobs(project: Project) -> Snapshot:
    """Return the copy of the code that jobs of this process are to run: its own where it runs a copy, else a new one.

    What a job launches runs the code that was pinned for it, so that no edit reaches the second half of an experiment.

    Raises:
        SnapshotError: its own was removed or changed; or as `take_snapshot` does.
        ResultError: the results root can't be written.
    """
    copy = pinned_copy(project)
    if copy is None:
        return take_snapshot(project)
    snapshot = Snapshot(copy.parent.name, copy, copy.parent / RECORD_NAME, project.root)
    if not (_is_marked(snapshot) and _intact(snapshot)):
        raise SnapshotError(f"{copy}: the code that was pinned for this job was removed or changed; launch it again")
    return snapshot


def code_setting(digest: str) -> dict[str, str]:
    """Return what Snakemake is told of the copy that jobs are to run; nothing where there is none as yet."""
    return {CODE_SETTING: f"{_NOT_A_NUMBER}{digest}"} if digest else {}


def code_told(project: Project, config: Mapping[str, object]) -> Snapshot:
    """Return the copy of the code that jobs are to run: the one that Snakemake was told, else as `code_for_jobs` does.

    Args:
        project: whose code it is.
        config: Snakemake's.

    Raises:
        SnapshotError: it was removed, or files of it are gone or changed; or as `code_for_jobs` does.
        ResultError: the results root can't be written.
    """
    told = str(config.get(CODE_SETTING) or "")
    return open_snapshot(project, told.removeprefix(_NOT_A_NUMBER)) if told else code_for_jobs(project)


def _tell_of_secrets(snapshot: Snapshot, secrets: Iterable[str]) -> None:
    names = sorted(secrets)
    if names:
        more = len(names) - _MOST_SECRETS
        listed = ", ".join(names[:_MOST_SECRETS]) + (f" and {more} more" if more > 0 else "")
        _log.warning(
            "Code: left out of the copy: %s (secrets, as it seems; [tool.heyhi] snapshot_exclude = [%s] takes it in)%s",
            listed,
            json.dumps(f"!{pattern_of(names[0])}", ensure_ascii=False),
            f"; all of them: {snapshot.record}" if more > 0 else "",
        )


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
            data = read_bounded(snapshot.record)
        except OSError as error:
            raise SnapshotError(f"{snapshot.record}: can't be read: {error.strerror}; launch again") from None
        replace_bytes(target, data)


def _snapshot(project: Project, digest: str) -> Snapshot:
    folder = copies_root(project) / digest
    return Snapshot(digest, folder / TREE_NAME, folder / RECORD_NAME, project.root)


def _build(project: Project, scan: Scan, contents: Mapping[str, str], *, last: bool) -> Snapshot | None:
    """Make a copy and put it in its place; None where the code changed meanwhile and there is another try."""
    import shutil  # who finds a copy that is there does without

    folder = copies_root(project)
    _remove_stale(folder)
    temp = folder / f".{os.urandom(8).hex()}.tmp"
    try:
        with writing(folder):
            temp.mkdir(parents=True)
            copied = _copy(project.root, scan, contents, temp / TREE_NAME)
        digest = digest_of(scan.files, copied)
        version = read_version(project.root) if scan.code.in_git else CodeVersion()
        record = _record(project, scan, copied, digest, version, _listed(project, scan, copied, version))
        changed = _differing(copied, contents) or _differing(scan.files, scan_code(project).files)
        if changed:
            if not last:
                return None
            _log.warning("Code: it changes while it is copied (%s); it is copied as it is", changed[0])
        with writing(folder):
            write_temp(temp / RECORD_NAME, record).replace(temp / RECORD_NAME)
            _write_protect(temp / RECORD_NAME)
            _write_list(temp, scan.files, copied, digest)
            snapshot = _snapshot(project, digest)
            _put(temp, snapshot)
        return snapshot
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def _write_protect(path: Path) -> None:
    path.chmod(path.stat().st_mode & 0o444)  # no more readers than the umask lets it have


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    return [path for path in {**one, **other} if one.get(path) != other.get(path)]


def _copy(root: Path, scan: Scan, contents: Mapping[str, str], tree: Path) -> dict[str, str]:
    """Copy what is readable and no private key, and return the hashes of what was copied."""
    copied: dict[str, str] = {}
    tree.mkdir()
    made = {""}
    for path, file in scan.files.items():
        for parent in parents(path):
            if parent not in made:
                made.add(parent)
                (tree / parent).mkdir(_folder_mode(root / parent))
        target = tree / path
        if file.link is not None:
            target.symlink_to(file.link)
        elif path in contents:
            content = read_file(root / path, target)
            if content is None or not may_be_copied(scan, path, content):
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


def _write_list(folder: Path, files: Mapping[str, CodeFile], copied: Mapping[str, str], digest: str) -> None:
    """Write the list by which damage is noticed, last of all."""
    rows: list[list[str | int]] = []
    for path, file in files.items():
        if file.link is not None:
            rows.append([path, file.link])
        elif path in copied:
            status = (folder / TREE_NAME / path).lstat()
            rows.append([path, status.st_size, status.st_mtime_ns])
    text = json.dumps({"version": VERSION, "digest": digest, "files": rows})
    write_temp(folder / _LIST_NAME, text).replace(folder / _LIST_NAME)


def _intact(snapshot: Snapshot) -> bool:
    """Return whether all that was copied is there with its size and time; files that were added don't matter."""
    try:
        content = parse_json(read_bounded(snapshot.root.parent / _LIST_NAME))
        if content["version"] != VERSION or content["digest"] != snapshot.digest:
            return False
        return all(_row_holds(str(snapshot.root), row) for row in content["files"])
    except (OSError, ValueError, LookupError, TypeError):
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
    for _ in range(TRIES):
        with contextlib.suppress(OSError):
            temp.rename(folder)
            return
        if _is_marked(snapshot) and _intact(snapshot):
            return
        aside = folder.with_name(f".{os.urandom(8).hex()}.tmp")
        with contextlib.suppress(FileNotFoundError):  # another process has moved it
            folder.rename(aside)
            if aside.is_dir():
                import shutil

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
    import shutil

    for temp in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if temp.lstat().st_mtime < time.time() - _STALE_SECONDS:
                shutil.rmtree(temp) if temp.is_dir() else temp.unlink()


def _listed(project: Project, scan: Scan, contents: Mapping[str, str], version: CodeVersion) -> ListedCode:
    """List the code of a copy, and keep the list, which outlives the copy; no launch fails for that."""
    listed = listed_code(project, scan, contents, is_dirty=version.dirty)
    with contextlib.suppress(ResultError):
        keep_list(project, listed.digest, listed.contents)
    return listed


def _record(
    project: Project, scan: Scan, copied: Iterable[str], digest: str, version: CodeVersion, listed: ListedCode
) -> str:
    """Return as text what the copy is a copy of."""
    in_git = scan.code.in_git
    diff = ""
    if in_git:
        from heyhi.code.work_tree_diff import read_diff

        diff = read_diff(project, project.results_root, most=MAX_DIFF)
    names = set(copied)
    links = [path for path, file in scan.files.items() if file.link is not None]
    new = [path for path in scan.code.new if path in names or path in links]
    content = {
        "digest": digest,
        "code": listed.digest,
        "project_root": str(project.root),
        "time": time.time(),
        "commit": version.commit,
        "dirty": version.dirty,
        "edited": listed.is_edited,
        "new_files": new[:_MAX_NEW_NAMES],
        "new_file_count": len(new),
        "left_out": _left_out(scan, names),
        "links": {path: scan.files[path].link for path in scan.code.links if path in scan.files},
        "files": len(names) + len(links),
        "bytes": sum(scan.files[path].size for path in names),
        "diff": diff,
    }
    return json.dumps(content, indent=2) + "\n"


def _left_out(scan: Scan, copied: Container[str]) -> list[str]:
    """Return what would be code and isn't copied: files with secrets, and those that can't be read."""
    others = (path for path, file in scan.files.items() if file.link is None and path not in copied)
    return sorted((*scan.code.secrets, *others))


def _refresh_record(snapshot: Snapshot, project: Project, scan: Scan, contents: Mapping[str, str]) -> None:
    """Update the commit in the record of a copy that is used again: what were edits then may be committed now."""
    version = read_version(project.root) if scan.code.in_git else CodeVersion()
    listed = _listed(project, scan, contents, version)
    try:
        content = parse_json(read_bounded(snapshot.record))
        # Without a commit git gave no answer; what an earlier launch was told is no less true.
        if version.commit is None and content["commit"] is not None:
            return
        facts = (version.commit, version.dirty, listed.digest, listed.is_edited, _left_out(scan, contents))
        if tuple(content[k] for k in ("commit", "dirty", "code", "edited", "left_out")) == facts:
            return
    except (OSError, ValueError, LookupError, TypeError):
        pass
    with writing(snapshot.record):
        rows = parse_json(read_bounded(snapshot.root.parent / _LIST_NAME))["files"]
        copied = [row[0] for row in rows if len(row) > 2]
        # The experiments of earlier launches keep the old one.
        temp = write_temp(snapshot.record, _record(project, scan, copied, snapshot.digest, version, listed))
        _write_protect(temp)
        temp.replace(snapshot.record)
