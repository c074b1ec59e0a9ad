"""`heyhi init`: which files a project gets and where they come from; what stands in them lies in newproject/.

A folder that has things already keeps them: what is added has other names where the usual ones are taken.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from heyhi.cli.extending import check_no_settings, has_settings, is_there, with_ignored, with_settings
from heyhi.cli.made import Made
from heyhi.cli.placing import Names, OwnPackage, is_empty, names_in, own_packages, own_protos
from heyhi.errors import HeyhiError, ProjectError
from heyhi.files import write_temp
from heyhi.profiles import OTHER_SNAKEFILE
from heyhi.shipped import shipped_root

_TEMPLATES = Path(__file__).parent.parent / "newproject"
_README = "README.md"  # of a new project only
_CONFIG, _SWEEP, _OVERRIDE = "conf/fit/line.prototxt", "conf/fit/sweep.py", "lr=0.3"
LAUNCHER_PROTO = "conf/launcher.proto"  # the same in every project; `heyhi init --refresh` renews it
# Files of newproject/, and one of the tree's own, by their names where no name is taken.
_OWN = (
    _README,
    "run.py",
    "Snakefile",
    "profiles/local/config.yaml",
    "profiles/slurm/config.yaml",
    "conf/conf.proto",
    LAUNCHER_PROTO,
    "conf/common/launcher/local.prototxt",
    "conf/common/launcher/slurm.prototxt",
    _CONFIG,
    _SWEEP,
)
# What of the user's is extended where it is there.
_SETTINGS, _IGNORED = "pyproject.toml", ".gitignore"
# Lines of the latter, each with a path that it is for. Only what HeyHi makes: a user's other files are theirs.
_IGNORE = (
    ("/{results}/", "{results}/p/x"),
    ("/.snakemake/", ".snakemake/x"),
    ("/{conf}/*_pb2.py*", "{conf}/conf_pb2.py"),
    ("/{conf}/*_cfgs.py*", "{conf}/conf_cfgs.pyi"),
    ("/metrics.jsonl", "metrics.jsonl"),  # of heyhi.log, where a script runs by itself
    ("__pycache__/", "__pycache__/x.pyc"),
)
_IGNORE_IN_NEW = ((".env", ".env"),)


def init(
    folder: Path,
    *,
    drafts: Mapping[str, bytes] | None = None,
    config: str = "",
    override: str = "",
    sweep: str = "",
    is_dry_run: bool = False,
) -> Made:
    """Make a folder a project that runs at once: a proto, a config, a sweep, a task file, and the workflow.

    Args:
        folder: is made if absent; what is in it stays.
        drafts: contents of further files, or of some of these, by names relative to the project; they go before what a
            new project has, and `project_names` says which names are free. A proto of theirs has configs of its own.
        config: the first config among the drafts.
        override: such as may be tried on it.
        sweep: the first sweep among the drafts.
        is_dry_run: write nothing.

    Returns:
        what was made; `heyhi.cli.made.say` says it.

    Raises:
        ProjectError: it is a project already, or something can't be written; then nothing is.
    """
    root = _root_of(folder)
    with looking_into(root):
        is_new = is_empty(root)
        names = project_names(root)
    packages = [] if is_new else own_packages(root)
    is_drafted = f"{names.conf}/conf.proto" in (drafts or {})
    if not is_drafted:
        config, override, sweep = _placed(_CONFIG, names), _OVERRIDE, _placed(_SWEEP, names)
    contents = {
        _placed(name, names): _filled(name, path.read_bytes(), names, packages)
        for name, path in sources()
        if (is_new or name != _README) and not (is_drafted and name in (_CONFIG, _SWEEP))
    }
    contents |= drafts or {}
    settings: dict[str, object] = {"entry": names.entry, **names.settings}
    settings |= {"sweep": sweep} if sweep else {}
    settings |= {"checkpoints": ["checkpoint.json"]} if not is_drafted else {}
    changes, added = _extended(root, names, settings, is_new=is_new)
    made = [*contents, *(path for path, old, _ in changes if old is None)]
    if not is_dry_run:
        _write(root, contents, changes)
    order = {name: place for place, name in enumerate((_SETTINGS, _IGNORED, *contents))}
    return Made(
        root,
        names,
        tuple(sorted(made, key=lambda name: order[name])),
        {name: added[name] for name, old, _ in changes if old is not None},
        config,
        override,
        sweep,
        tuple(packages),
        is_dry_run,
    )


def project_names(folder: Path) -> Names:
    """Return the names by which `init` adds files to a folder.

    Raises:
        ProjectError: it is a project already, or something is in the way by all names.
    """
    _check_no_project(_root_of(folder))
    in_conf = [name.removeprefix("conf/") for name, _ in sources() if name.startswith("conf/")]
    return names_in(_root_of(folder), in_conf)


def is_project(folder: Path) -> bool:
    """Return whether a folder is a project already.

    Raises:
        ProjectError: its settings can't be read.
    """
    root = _root_of(folder)
    return has_settings(root / _SETTINGS, _read(root, _SETTINGS) or b"") or any((root / "conf").glob("*.proto"))


@contextlib.contextmanager
def looking_into(root: Path) -> Iterator[None]:
    """Say of a folder that it can't be looked into, where that is so."""
    try:
        yield
    except OSError as error:
        raise ProjectError(
            f"{error.filename or root} can't be looked into: {error.strerror}: nothing was written"
        ) from None


def sources() -> Iterator[tuple[str, Path]]:
    """Yield each file's name in a project where none is taken, and the file it is copied from."""
    for name in _OWN:
        path = shipped_root() / name if name == LAUNCHER_PROTO else _TEMPLATES / name
        if not path.is_file():
            raise ProjectError(f"{path} is missing: HeyHi is not installed as a whole")
        yield name, path


def _root_of(folder: Path) -> Path:
    # abspath, not resolve: names in messages are those that the user gave.
    root = Path(os.path.abspath(folder))  # noqa: PTH100
    try:
        if not os.path.isdir(root) and os.path.lexists(root):  # noqa: PTH112
            raise ProjectError(f"{root} exists, and is no folder: nothing was written")
        os.lstat(root)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise ProjectError(f"{root}: can't be made: {error.strerror}") from None
    return root


def _check_no_project(root: Path) -> None:
    check_no_settings(root / _SETTINGS, _read(root, _SETTINGS) or b"")
    for proto in own_protos(root / "conf"):
        raise is_there(f"{proto} exists")


def _placed(name: str, names: Names) -> str:
    """Return the name of a file where some names are taken."""
    usual = Names()
    whole = {usual.task: names.task, usual.snakefile: names.snakefile}
    first, slash, rest = name.partition("/")
    below = {usual.conf: names.conf, usual.profiles: names.profiles}
    return whole.get(name) or f"{below.get(first, first)}{slash}{rest}"


def _filled(name: str, content: bytes, names: Names, packages: list[OwnPackage]) -> bytes:
    """Return a file's content with the names that there are."""
    text = content.decode()
    for usual, own in ((Names().conf, names.conf), (Names().profiles, names.profiles)):
        if usual != own:
            text = re.sub(rf"(?<![\w/]){usual}/", f"{own}/", text)
    if name.startswith("profiles/") and names.snakefile == OTHER_SNAKEFILE:
        text += f"snakefile: {names.snakefile}\n"
    if name == "run.py" and packages:
        one = packages[0]
        how = "pip install -e ." if one.is_below_src else "it lies beside this file"
        text = text.replace(
            "import heyhi\n", f"import heyhi\n\n# import {one.name}  # the code of {one.folder}; {how}\n", 1
        )
    return text.encode()


def _extended(
    root: Path, names: Names, settings: Mapping[str, object], *, is_new: bool
) -> tuple[list[tuple[str, bytes | None, bytes]], dict[str, str]]:
    """Return what is extended: names, contents that there are, and new ones; and in words what was added to each."""
    changes: list[tuple[str, bytes | None, bytes]] = []
    old = _read(root, _SETTINGS)
    changes.append((_SETTINGS, old, with_settings(root / _SETTINGS, old or b"", settings, names.profiles)))
    lines = (*_IGNORE, *(_IGNORE_IN_NEW if is_new else ()))
    wanted = [(line.format(**names._asdict()), path.format(**names._asdict())) for line, path in lines]
    old = _read(root, _IGNORED)
    new, missing = with_ignored(old or b"", wanted)
    if missing:
        changes.append((_IGNORED, old, new))
    return changes, {_SETTINGS: "[tool.heyhi]", _IGNORED: " ".join(missing)}


def _read(root: Path, name: str) -> bytes | None:
    """Return what a file of the user's has; None where there is none."""
    path = root / name
    try:
        if not os.path.lexists(path):
            return None
        if path.is_symlink() and not os.path.realpath(path).startswith(f"{os.path.realpath(root)}/"):
            raise ProjectError(
                f"{path} leads to {os.path.realpath(path)}, out of this folder: nothing was written (a project has one"
                " of its own)"
            )
        content = path.read_bytes()
        if not os.access(path, os.W_OK):
            raise ProjectError(f"{path}: can't be written: Permission denied: nothing was written")
        return content
    except OSError as error:
        raise ProjectError(f"{path}: can't be read: {error.strerror}: nothing was written") from None


def _write(root: Path, contents: Mapping[str, bytes], changes: list[tuple[str, bytes | None, bytes]]) -> None:
    """Write all or nothing: new files first, then what is extended."""
    new = {**contents, **{name: content for name, old, content in changes if old is None}}
    made: list[Path] = []
    replaced: list[tuple[Path, bytes]] = []
    path = root
    try:
        for name, content in new.items():
            path = root / name
            for parent in reversed(path.parents):
                if not parent.is_dir():
                    parent.mkdir()
                    made.append(parent)
            with path.open("xb") as file:
                made.append(path)
                file.write(content)
        for name, old, content in changes:
            if old is not None:
                path = Path(os.path.realpath(root / name))
                if path.read_bytes() != old:
                    raise ProjectError(f"{path}: was changed by somebody else in the meantime: nothing was written")
                _replace(path, content)
                replaced.append((path, old))
    except BaseException as error:
        for path_, old in reversed(replaced):
            with contextlib.suppress(OSError, HeyhiError):
                _replace(path_, old)
        _take_back(made)
        if isinstance(error, OSError):
            why = "exists" if isinstance(error, FileExistsError) else f"can't be written: {error.strerror}"
            raise ProjectError(f"{error.filename or path} {why}: nothing was written") from None
        raise


def _replace(path: Path, content: bytes) -> None:
    """Put another content in a file's place as a whole; it stays as open to others as it was."""
    before = path.stat()
    temp = write_temp(path, content)
    try:
        temp.chmod(before.st_mode & 0o7777)
        with contextlib.suppress(OSError):
            os.chown(temp, before.st_uid, before.st_gid)
        temp.replace(path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise


def _take_back(made: list[Path]) -> None:
    for path in reversed(made):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
