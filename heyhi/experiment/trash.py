"""The trash: where the files of a wiped experiment lie until `heyhi clean` removes them for good.

Files are renamed into it and never copied, however much there is, so it lies on their own file system. Of an experiment
below a results root it is `<results root>/.heyhi/trash/<time>-<random>/<exp id>/`. Where an experiment lies elsewhere,
or can't be renamed to there (another file system, a folder that only somebody else may write), it is
`.heyhi-trash/<time>-<random>/<name>/` beside the experiment's folder.

What is put there has a hidden name that ends in `.tmp` until all of it is there. Who may wipe, `folder` decides; what
is removed when, `heyhi.control.clean`.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from heyhi.config.identity import TRASH_BESIDE
from heyhi.experiment.names import STATE_NAME

TRASH_NAME = "trash"  # folder in the state root
_TIME = "%Y-%m-%dT%H-%M-%SZ"
_ENTRY = re.compile(r"\.?(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)-[0-9a-f]+(\.tmp)?")
_UNFINISHED = ".tmp"


class Place(NamedTuple):
    """Where an experiment's files may go.

    Attributes:
        trash: the folder of all that was wiped.
        below: where in a new entry of it they go.
    """

    trash: Path
    below: Path


class Entry(NamedTuple):
    """What one wipe has put into the trash.

    Attributes:
        path: its folder.
        wiped: when, in seconds since 1970.
        is_unfinished: whether it is still being filled, or who filled it was killed.
    """

    path: Path
    wiped: float
    is_unfinished: bool


def places(exp_path: Path, results_root: Path | None) -> list[Place]:
    """Return where an experiment's files may go, best first."""
    found = []
    if results_root is not None and exp_path != results_root and exp_path.is_relative_to(results_root):
        state = results_root / STATE_NAME
        # Whoever put a link there has the trash on another disk, or in the hands of somebody else.
        if not state.is_symlink() and not (state / TRASH_NAME).is_symlink():
            found.append(Place(state / TRASH_NAME, exp_path.relative_to(results_root)))
    beside = exp_path.parent / TRASH_BESIDE
    return found if beside.is_symlink() else [*found, Place(beside, Path(exp_path.name))]


def move_to_trash(exp_path: Path, handle: int, names: Sequence[str], results_root: Path | None) -> Path:
    """Move entries of an experiment's folder to the trash, in their order; the folder itself stays.

    Args:
        exp_path: the folder.
        handle: the folder, opened, so that nobody can put another in its place.
        names: of what is to be moved; at least one.
        results_root: folder below which it has its exp id.

    Returns:
        the folder that they are in now.

    Raises:
        OSError: something can't be moved; what was moved before is in the trash then, the rest is where it was.
    """
    problem: OSError | None = None
    for place in places(exp_path, results_root):
        try:
            entry, folder = _make_entry(place, exp_path)
        except OSError as error:
            problem = problem or error
            continue
        moved = 0
        try:
            target = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                for name in names:
                    _rename(name, handle, target)
                    moved += 1
            finally:
                os.close(target)
        except OSError as error:
            if moved:
                raise
            problem = problem or error  # nothing was moved: perhaps the next place takes it
        finally:
            if moved:
                final = entry.with_name(entry.name.removeprefix(".").removesuffix(_UNFINISHED))
                entry.rename(final)
                entry = final
            else:
                shutil.rmtree(entry, ignore_errors=True)
        if moved:
            return entry / place.below
    raise problem or OSError(0, "no folder takes what is wiped")


def _rename(name: str, handle: int, target: int) -> None:
    """Move an entry of one open folder into another one."""
    try:
        os.rename(name, name, src_dir_fd=handle, dst_dir_fd=target)
    except PermissionError as error:
        # A folder without write permission, even one's own, can't get another parent.
        try:
            folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
        except OSError:
            raise error from None
        try:
            mode = os.fstat(folder).st_mode & 0o7777
            os.fchmod(folder, mode | 0o700)
            try:
                os.rename(name, name, src_dir_fd=handle, dst_dir_fd=target)
            finally:
                os.fchmod(folder, mode)
        finally:
            os.close(folder)


def _make_entry(place: Place, exp_path: Path) -> tuple[Path, Path]:
    """Make a new entry of the trash and in it the folder for the files; nobody can read more there than before."""
    place.trash.mkdir(parents=True, exist_ok=True)
    stamp = datetime.datetime.now(datetime.UTC).strftime(_TIME)
    entry = place.trash / f".{stamp}-{os.urandom(4).hex()}{_UNFINISHED}"
    modes = [_mode(folder) for folder in (exp_path, *exp_path.parents[: len(place.below.parts) - 1])]
    shared = 0o777
    for mode in modes:
        shared &= mode
    entry.mkdir(shared | 0o700)
    try:
        (entry / place.below).parent.mkdir(parents=True, exist_ok=True)
        (entry / place.below).mkdir(modes[0] | 0o700)
    except BaseException:
        shutil.rmtree(entry, ignore_errors=True)
        raise
    return entry, entry / place.below


def _mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def entries(trash: Path) -> Iterator[Entry]:
    """Yield what lies in a trash, the oldest first; nothing where there is none.

    Raises:
        OSError: it can't be read.
    """
    if trash.is_symlink():
        return
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(trash) as inside:
        for one in inside:
            with contextlib.suppress(FileNotFoundError):  # put in place, or removed, just now
                stamp = _ENTRY.fullmatch(one.name)
                wiped = _seconds(stamp[1]) if stamp else one.stat(follow_symlinks=False).st_mtime
                found.append(Entry(Path(one.path), wiped, bool(stamp and stamp[2])))
    yield from sorted(found, key=lambda entry: (entry.wiped, entry.path))


def _seconds(stamp: str) -> float:
    with contextlib.suppress(ValueError):
        return datetime.datetime.strptime(stamp, _TIME).replace(tzinfo=datetime.UTC).timestamp()
    return time.time()  # no such day: as young as can be


def is_in_trash(path: Path) -> bool:
    """Return whether a path lies in some trash: no experiment is there."""
    parts = path.parts
    return TRASH_BESIDE in parts or any(pair == (STATE_NAME, TRASH_NAME) for pair in pairwise(parts))


def last_wiped(exp_path: Path, results_root: Path | None) -> Path | None:
    """Return where the files of an experiment are that were wiped last; None where none are there still."""
    for place in places(exp_path, results_root):
        with contextlib.suppress(OSError):
            # By their names, the youngest first: there may be as many as there are experiments.
            for name in sorted(os.listdir(place.trash), reverse=True):  # noqa: PTH208
                if not name.startswith(".") and os.path.lexists(place.trash / name / place.below):
                    return place.trash / name / place.below
    return None
