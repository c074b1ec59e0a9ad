"""`heyhi init`: which files a new project gets and where they come from; what stands in them lies in newproject/."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from heyhi.errors import ProjectError
from heyhi.project import name_line

_PACKAGE = Path(__file__).parent.parent
# Files of newproject/, by their names in the new project; a .gitignore there would hide files from this tree's git.
_OWN = {
    "README.md": "README.md",
    "conf/common/launcher/local.prototxt": "conf/common/launcher/local.prototxt",
    "conf/common/launcher/slurm.prototxt": "conf/common/launcher/slurm.prototxt",
    "conf/conf.proto": "conf/conf.proto",
    "conf/fit/line.prototxt": "conf/fit/line.prototxt",
    "conf/fit/sweep.py": "conf/fit/sweep.py",
    ".gitignore": "gitignore",
    "pyproject.toml": "pyproject.toml",
    "run.py": "run.py",
    "workflows/own.py": "workflows/own.py",
    "workflows/own.smk": "workflows/own.smk",
}
_NAME_LINE = b'name = "newproject"'  # of its pyproject.toml: a new one is called as its folder
LAUNCHER_PROTO = "conf/launcher.proto"  # the same in every project; `heyhi init --refresh` renews it
_WORKFLOW = ("Snakefile", LAUNCHER_PROTO, "workflows/**/*.smk", "workflows/**/*.rst", "profiles/**/*.yaml")


def init(folder: Path) -> list[Path]:
    """Make a new project that runs at once: a proto, a config, a sweep, a task file, and the workflow.

    Args:
        folder: is made if absent; what is in it stays.

    Returns:
        the files.

    Raises:
        ProjectError: one of the files is there already, or can't be written; then none is made.
    """
    # abspath, not resolve: names in messages are those that the user gave.
    root = Path(os.path.abspath(folder))  # noqa: PTH100
    try:
        os.lstat(root)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise ProjectError(f"{root}: can't be made: {error.strerror}") from None
    contents = {root / name: source.read_bytes() for name, source in sources()}
    settings = root / "pyproject.toml"
    contents[settings] = contents[settings].replace(_NAME_LINE, name_line(root).encode())
    # Whatever stands in the way is named before anything is made.
    for path in contents:
        if os.path.lexists(path):
            raise ProjectError(f"{path} exists: nothing was written (give a folder that has no project yet)")
    other = sorted((root / "conf").glob("*.proto"))
    if other:
        raise ProjectError(f"{other[0]} exists, so this is a project already: nothing was written")
    made: list[Path] = []
    try:
        for path, content in contents.items():
            for parent in reversed(path.parents):
                if not parent.is_dir():
                    parent.mkdir()
                    made.append(parent)
            with path.open("xb") as file:
                made.append(path)
                file.write(content)
    except BaseException as error:
        _take_back(made)
        if isinstance(error, OSError):
            why = "exists" if isinstance(error, FileExistsError) else f"can't be written: {error.strerror}"
            raise ProjectError(f"{error.filename or path} {why}: nothing was written") from None
        raise
    return list(contents)


def sources() -> Iterator[tuple[str, Path]]:
    """Yield each file's name in the project, and the file it is copied from."""
    for name, source in _OWN.items():
        yield name, _PACKAGE / "newproject" / source
    # One copy of the workflow: that of this tree, which the wheel carries.
    base = _PACKAGE / "template"
    base = base if base.is_dir() else _PACKAGE.parent
    for pattern in _WORKFLOW:
        found = sorted(base.glob(pattern))
        if not found:
            raise ProjectError(f"{base / pattern} is missing: HeyHi is not installed as a whole")
        yield from ((path.relative_to(base).as_posix(), path) for path in found)


def _take_back(made: list[Path]) -> None:
    for path in reversed(made):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
