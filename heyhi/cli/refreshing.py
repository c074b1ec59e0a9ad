"""`heyhi init --refresh`: brings a project's copy of what is the same in every project up to date, and shows how."""

from __future__ import annotations

import difflib
import os
import re
import sys
from pathlib import Path

from heyhi.cli.init import LAUNCHER_PROTO
from heyhi.errors import ProjectError, SchemaError
from heyhi.files import replace_file
from heyhi.profiles import SNAKEFILE
from heyhi.project import Project
from heyhi.shipped import shipped_root
from heyhi.text import data_output

_NAMES = re.compile(r"^(?:message|enum)\s+(\w+)", re.MULTILINE)  # of types that stand in no other
_HOW = """\
{path} has {names} itself, which are in {launcher} now: remove them there, write `import "{launcher}";` below its
syntax line, and refresh again; configs go on as they are, and fields of your own belong into {launcher} then"""


def refresh(project: Project, *, is_dry_run: bool) -> None:
    """Bring the launcher's messages of a project up to date, and print what changes.

    What it has added to them stays. Copies of what is taken in from the package by now are only named.

    Args:
        project: the project.
        is_dry_run: change nothing.

    Raises:
        ProjectError: its protos are such that this can't be done; then nothing is written.
        ResultError: the file can't be written.
    """
    root = shipped_root()
    _refresh_launcher(project, (root / LAUNCHER_PROTO).read_text(encoding="utf-8"), is_dry_run=is_dry_run)
    if os.path.realpath(root) != os.path.realpath(project.root):
        for line in _copies(project, root):
            print(line, file=sys.stderr)


def _refresh_launcher(project: Project, ours: str, *, is_dry_run: bool) -> None:
    from heyhi.config.merged_proto import Merged, merge

    path = project.conf_root / Path(LAUNCHER_PROTO).name
    name = project.relative(path)
    old = _read(path) if os.path.lexists(path) else None
    try:
        merged = merge(old, ours) if old is not None else Merged(ours, ())
    except SchemaError as error:
        raise ProjectError(f"{name} can't be brought up to date: nothing was written\n{error}") from None
    _check_others(project, path, set(_NAMES.findall(merged.text)))
    if merged.text == old:
        print(f"{name} is up to date")
        return
    before = (old or "").splitlines(keepends=True)
    diff = difflib.unified_diff(before, merged.text.splitlines(keepends=True), f"{name} (before)", name)
    data_output().writelines(diff)
    for line in merged.kept:
        print(f"kept: {line}", file=sys.stderr)
    if is_dry_run:
        print(f"dry run: {name} stays as it is", file=sys.stderr)
        return
    # Where it is a link, what it leads to.
    replace_file(Path(os.path.realpath(path)), merged.text)
    print(f"{name} is brought up to date", file=sys.stderr)


def _check_others(project: Project, path: Path, names: set[str]) -> None:
    """Refuse where another proto of the project has one of these types, too: the two would not compile together."""
    for other in sorted(project.conf_root.glob("*.proto")):
        taken = sorted(names.intersection(_NAMES.findall(_read(other)))) if other != path else []
        if taken:
            how = _HOW.format(path=project.relative(other), names=", ".join(taken), launcher=project.relative(path))
            raise ProjectError(f"nothing was written: {how}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProjectError(f"{path}: can't be read: {error.strerror}: nothing was written") from None
    except UnicodeDecodeError:
        raise ProjectError(f"{path}: is no UTF-8 text: nothing was written") from None


def _copies(project: Project, root: Path) -> list[str]:
    """Name the files of a project that are copies of what it could take in from the package."""
    ours = [root / SNAKEFILE, *sorted(root.glob("workflows/*.smk")), *sorted(root.glob("profiles/*/config.yaml"))]
    same: list[str] = []
    other: list[str] = []
    for path in ours:
        name = path.relative_to(root).as_posix()
        try:
            content = (project.root / name).read_bytes()
        except OSError:
            continue
        if b"heyhi" in content and b"heyhi.shipped" not in content:
            (same if content == path.read_bytes() else other).append(name)
    lines = [f"{name} differs from HeyHi's, and stays: it is yours to change" for name in other]
    if same:
        lines.append(f"{', '.join(same)}: copies of HeyHi's, which no upgrade reaches (`heyhi docs existing-repo`)")
    return lines
