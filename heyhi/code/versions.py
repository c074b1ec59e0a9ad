"""The lists of files of the versions of the code that runs were made by.

A list is written once for a content, below the state root, and outlives the copy or the work tree it was made of.
What is in no list makes no other version of the code: `is_code` has the rule.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from heyhi.code.git import GitError
from heyhi.code.listing import CodeFile, KnownHashes, Scan, copies_root, scan_code
from heyhi.errors import ResultError, SnapshotError
from heyhi.files import read_by_digest, replace_file, writing
from heyhi.project import Project
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex
from heyhi.sha import sha256

_FOLDER_NAME = "versions"
_PAUSE_SECONDS = 3600
_HASH_DIGITS = 32  # of 64: lists are many, and nobody forges a file to be taken for an earlier one
# Of files that git doesn't know, these are meant: not what a run or a person writes beside them. By their endings and
# names in small letters, since to compile a pattern of all these takes longer than to list a small project.
_SOURCE = frozenset(
    (
        *("py", "pyi", "pxd", "pxi", "pyx", "so", "dylib", "smk", "proto"),
        *("c", "cc", "cpp", "cxx", "cu", "cuh", "cl", "h", "hh", "hpp", "hxx", "f", "f90"),
        *("sh", "bash", "jl", "lua", "rs", "go", "r", "java", "scala", "js", "ts", "pl"),
    )
)
_SOURCE_NAMES = frozenset(("makefile", "snakefile"))
# What no run reads, or is on record otherwise: the packages that were loaded, and the config.
_NO_CODE = frozenset(("md", "rst", "lock"))
_NO_CODE_NAMES = frozenset(("readme", "copying", "notice", "authors", "changelog", "changes", "contributing"))
_LICENSE = regex(r"licen[cs]e(?:[-.][\w-]+)?(?:\.txt)?")


class ListedCode(NamedTuple):
    """The code of a project as it is now.

    Attributes:
        digest: of its files, of a work tree as of its copy.
        contents: path -> what stands for the content of each file that counts.
        is_edited: whether it differs from the last commit.
    """

    digest: str
    contents: dict[str, str]
    is_edited: bool


def keep_code_of_run(project: Project, *, is_dirty: bool) -> ListedCode:
    """List the code of a project that runs, and keep the list.

    Where that fails, it isn't tried again for some time: of a project with a million files, each run would take long.

    Args:
        project: whose code it is.
        is_dirty: whether git says that tracked files differ from the last commit.

    Raises:
        SnapshotError: it is too big, or git gives no answer; now, or not long ago.
        ResultError: the list can't be kept.
    """
    key = os.fsencode(f"{project.root}\0{project.settings}")
    note = _folder(project) / f"unlisted-{sha256(key).hexdigest()[:16]}"
    with contextlib.suppress(FileNotFoundError):
        if note.stat().st_mtime > time.time() - _PAUSE_SECONDS:
            raise SnapshotError(f"{project.root}: its files could not be listed ({note})")
        note.unlink()
    try:
        listed = list_code_now(project, is_dirty=is_dirty)
    except SnapshotError:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
        raise
    keep_list(project, listed.digest, listed.contents)
    return listed


def list_code_now(project: Project, *, is_dirty: bool) -> ListedCode:
    """List the code of a project as a copy of it would have it, reading only files that have changed since.

    Args:
        project: whose code it is.
        is_dirty: whether git says that tracked files differ from the last commit.

    Raises:
        SnapshotError: it is too big, or git gives no answer.
    """
    scan = scan_code(project, quick=True)
    known = KnownHashes.read(copies_root(project), project.root)
    # A log may be large, and grow: it is not read anew for each run.
    skipped = scan.files.keys() - _counted(project, scan)
    hashes = known.hashes(project.root, scan, skipped=skipped, warn=False)
    if project.state_root.is_dir():  # who only looks makes no folder
        with contextlib.suppress(OSError):
            copies_root(project).mkdir(exist_ok=True)
        known.write()
    return listed_code(project, scan, hashes, is_dirty=is_dirty)


def listed_code(project: Project, scan: Scan, hashes: Mapping[str, str], *, is_dirty: bool) -> ListedCode:
    """Return what a list has of a project's code.

    Args:
        project: whose code it is.
        scan: of it.
        hashes: of its files.
        is_dirty: whether git says that tracked files differ from the last commit.
    """
    contents = _contents(project, scan, hashes)
    total = sha256()
    for path, content in contents.items():
        total.update(os.fsencode(f"{path}\0{content}\0"))
    return ListedCode(total.hexdigest()[:16], contents, _is_edited(project, scan, is_dirty=is_dirty))


def _contents(project: Project, scan: Scan, hashes: Mapping[str, str]) -> dict[str, str]:
    """Return what a list has for each file: the beginning of its hash, or where a link leads."""
    found: dict[str, str] = {}
    for path, file in _counted(project, scan).items():
        if file.link is not None:
            found[path] = f"-> {file.link}"
        elif path in hashes:
            found[path] = hashes[path][:_HASH_DIGITS] + _mark(file)
    return found


def _counted(project: Project, scan: Scan) -> dict[str, CodeFile]:
    """Return the files that count."""
    linked = frozenset(scan.code.links)  # what lies there is no code
    new = frozenset(scan.code.new if scan.code.in_git else scan.code.paths)
    return {
        path: file
        for path, file in scan.files.items()
        if path not in linked and is_code(project, path, is_new=path in new)
    }


def _mark(file: CodeFile) -> str:
    # Who else may read it is another matter in each clone.
    return " x" if file.mode & 0o100 else ""


def _is_edited(project: Project, scan: Scan, *, is_dirty: bool) -> bool:
    """Return whether the code has files that git doesn't know, or knows otherwise."""
    if any(path in scan.files and is_code(project, path, is_new=True) for path in scan.code.new):
        return True
    if not is_dirty:
        return False
    from heyhi.code.work_tree_diff import changed_names  # most work trees are as they were committed

    with contextlib.suppress(GitError):
        return any(is_code(project, name, is_new=False) for name in changed_names(project.root))
    return True


def is_code(project: Project, path: str, *, is_new: bool) -> bool:
    """Return whether a file counts where versions of the code are told apart.

    Never do configs, protos and sweep files, documents, and what says which packages there are or what git does.

    Args:
        project: whose file it is.
        path: relative to the project root.
        is_new: whether git doesn't know it, as it knows none outside git: then it must look like source, since logs
            and outputs lie there, too. Source counts the same before and after it is committed.
    """
    name = path.rpartition("/")[2]
    if path.startswith(".git") or "/.git" in path:
        return False
    if not _is_source(name):
        if is_new or _is_no_code(name):
            return False
    elif is_new and name.startswith((".#", "._")):  # editors and file systems leave such beside a file
        return False
    return not _is_config(project, path)


def _is_source(name: str) -> bool:
    _, dot, ending = (name := name.casefold()).rpartition(".")
    return ending in _SOURCE if dot else name in _SOURCE_NAMES


def _is_no_code(name: str) -> bool:
    name = name.casefold()
    if name == "pyproject.toml" or (name.rpartition(".")[2] in _NO_CODE and "." in name):
        return True
    if name.startswith("requirements") and name.endswith(".txt"):
        return True
    return name.removesuffix(".txt") in _NO_CODE_NAMES or _LICENSE.fullmatch(name) is not None


def _is_config(project: Project, path: str) -> bool:
    """Return whether a file is a config, proto or sweep file: what they come to is compared as configs are."""
    if not path.endswith((".prototxt", ".proto", ".py")):
        return False
    folders = map(os.path.normpath, (project.settings.conf, *project.settings.include_dirs))
    # A project whose configs lie beside its code has sweep files there that can't be told from code.
    return any((folder == "." and not path.endswith(".py")) or path.startswith(f"{folder}/") for folder in folders)


def keep_list(project: Project, digest: str, contents: Mapping[str, str]) -> None:
    """Write the list of a version's files, unless it is there.

    Raises:
        ResultError: it can't be written.
    """
    path = _list_path(project, digest)
    with contextlib.suppress(OSError):
        if path.lstat().st_size and path.is_file():  # else it was cut short, or is something else
            return
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps({"digest": digest, "files": contents}) + "\n")


def read_list(project: Project, digest: str) -> dict[str, str] | None:
    """Read the list of a version's files; None where there is none.

    Raises:
        ResultError: it can't be read.
    """
    content = read_by_digest(_folder(project), digest)
    if content is None:
        return None
    files = content.get("files")
    if not isinstance(files, dict) or not all(isinstance(content, str) for content in files.values()):
        raise ResultError(f"{_list_path(project, digest)}: is no list of files")
    return files


def _list_path(project: Project, digest: str) -> Path:
    return _folder(project) / f"{digest}.json"


def _folder(project: Project) -> Path:
    return project.state_root / _FOLDER_NAME
