"""What may be found in the place of a file: any bytes, what it was and is no more, or no file at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

_DEEP = 100_000  # levels of JSON: far more than Python's parser goes down
_HUGE = 1 << 40  # bytes of a file with nothing in it
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**63, 2**70, 10**30, -(10**30), float("nan"), float("inf"), -float("inf")),
    *(
        "",
        " ",
        "x",
        "/",
        "..",
        "../../x",
        "/dev/zero",
        "\0",
        "a\0b",
        "\n",
        "\x1b[2J",
        "\ud800",
        "ä€😀",
        "x" * 5000,
        "1e999",
    ),
    *([], [[]], {}, {"": ""}, [None], ["x"], [1], {"x": [{}]}),
)
# What isn't a file of its own, by name; see `_put`.
NO_FILES = (
    "nothing",
    "a FIFO",
    "a folder",
    "a folder that isn't empty",
    "/dev/zero",
    "/dev/full",
    "itself",
    "nowhere",
)
ODD_FILES = ("empty", "huge", "NULs", "blanks", "deep JSON", "deep objects", "a huge number", "another type", "UTF-16")


@dataclass(frozen=True)
class Damage:
    """What is done to a file.

    Attributes:
        path: of the file, below the root of the tree.
        what: for people, and what no bytes say.
        data: what it holds then; None where it is no file, or one that is huge.
        is_old: whether its time stays as it was, as that of a page that a disk has lost.
    """

    path: str
    what: str
    data: bytes | None = None
    is_old: bool = False

    def __str__(self) -> str:
        held = "" if self.data is None else f": {self.data[:200]!r}{'…' * (len(self.data) > 200)}"
        return f"{self.path} is {self.what}{held}"


@st.composite
def damages(draw: st.DrawFn, path: str, data: bytes | None) -> Damage:
    """Draw what may be done to a file.

    Args:
        draw: Hypothesis's.
        path: of the file.
        data: what it holds; None for a folder.
    """
    kinds = ["no file", "odd"] if data is None else ["no file", "odd", "any bytes", *["changed"] * 3, *["JSON"] * 3]
    kind = draw(st.sampled_from(kinds))
    if kind == "no file":
        return Damage(path, draw(st.sampled_from(NO_FILES)))
    is_old = draw(st.booleans())
    if kind == "odd":
        what = draw(st.sampled_from(ODD_FILES))
        return Damage(path, what, None if what == "huge" else _odd_bytes(what), is_old)
    if kind == "any bytes":
        return Damage(path, kind, draw(st.binary(max_size=300)), is_old)
    assert data is not None
    spliced = draw(_spliced(data)) if kind == "JSON" else None
    if spliced is not None:
        return Damage(path, "JSON with other values", spliced, is_old)
    return Damage(path, "changed", draw(_changed(data)), is_old)


def _odd_bytes(what: str) -> bytes:
    return {
        "empty": b"",
        "NULs": bytes(4096),
        "blanks": b" \n" * 50,
        "deep JSON": b"[" * _DEEP,
        "deep objects": b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
        "a huge number": b"1" * 10_000,
        "another type": b'[{"x": 1}, "y", null]\n',
        "UTF-16": '{"x": 1}'.encode("utf-16"),
    }[what]


@st.composite
def _changed(draw: st.DrawFn, data: bytes) -> bytes:
    """Draw what becomes of some bytes by small changes."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(changed)))
        match draw(st.sampled_from(["flip", "cut", "head", "insert", "zero", "twice", "page"])):
            case "flip" if at < len(changed):
                changed[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del changed[at:]
            case "head":
                del changed[:at]
            case "insert":
                changed[at:at] = draw(st.binary(min_size=1, max_size=20))
            case "zero":
                count = min(draw(st.integers(1, 5000)), len(changed) - at)
                changed[at : at + count] = bytes(count)
            case "twice":
                lines = bytes(changed).splitlines(keepends=True)
                changed += b"".join(lines[: draw(st.integers(0, min(len(lines), 5)))])
            case "page":  # as a disk loses one of a database
                start = at // 512 * 512
                changed[start : start + 512] = draw(st.binary(min_size=1, max_size=1)) * len(
                    changed[start : start + 512]
                )
    return bytes(changed)


@st.composite
def _spliced(draw: st.DrawFn, data: bytes) -> bytes | None:
    """Draw JSON, or lines of it, with odd values in places of those that are there; None where it is no JSON."""
    lines = [data]
    try:
        values = [json.loads(data)]
    except ValueError:
        lines = data.splitlines(keepends=True)
        values = [_parsed(line) for line in lines]
        if not any(isinstance(value, dict | list) for value in values):
            return None
    number = draw(st.sampled_from([n for n, value in enumerate(values) if isinstance(value, dict | list)] or [0]))
    value = values[number]
    for _ in range(draw(st.integers(1, 2))):
        value = _replaced(draw, value)
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    changed = text.encode("utf-8", "surrogatepass") + b"\n"
    return b"".join([*lines[:number], changed, *lines[number + 1 :]])


def _parsed(line: bytes) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(line)
    return None


def _replaced(draw: st.DrawFn, value: Any) -> Any:
    """Return a value in which one part is gone, odd, or has another name."""
    places = list(_places(value))
    place = draw(st.sampled_from(places))
    what = draw(st.sampled_from(["odd", "odd", "odd", "gone", "named", "listed"])) if place else "odd"
    odd = draw(st.sampled_from(_ODD_VALUES))
    if not place:
        return odd
    made = json.loads(json.dumps(value))
    holder = made
    for step in place[:-1]:
        holder = holder[step]
    last = place[-1]
    if what == "gone":
        del holder[last]
    elif what == "named" and isinstance(holder, dict):
        holder[str(odd)[:100]] = holder.pop(last)
    else:
        holder[last] = [holder[last], odd] if what == "listed" else odd
    return made


def _places(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each part of a value; the empty one first."""
    yield ()
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        for rest in _places(part):
            yield (key, *rest)


class Tree:
    """A folder that is damaged and put right again.

    Where what is there must be the very file that was there (a cache may go by its inode), it is: what is damaged is
    moved aside, and what a command has written anew is replaced.

    Args:
        root: the folder.
        aside: another one, on the same file system, which needn't be there.
    """

    def __init__(self, root: Path, aside: Path) -> None:
        self.root = root
        self._aside = aside
        self._aside.mkdir(parents=True, exist_ok=True)
        self._stamps = {path: _stamp(root / path) for path in self.list()}
        self.contents: dict[str, bytes | None] = {
            path: None if (root / path).is_dir() else (root / path).read_bytes() for path in self._stamps
        }

    def list(self) -> list[str]:
        """Return the path of each file and folder, a folder before what is in it."""
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*"))

    @contextlib.contextmanager
    def damaged(self, damage: Damage) -> Iterator[None]:
        """Have the tree damaged inside; behind it is as it was, whatever was written there meanwhile."""
        path, aside = self.root / damage.path, self._aside / "one"
        path.rename(aside)
        try:
            _put(path, damage, self._stamps[damage.path][1])
            yield
        finally:
            _remove(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.rename(path)
            self._restore()

    def _restore(self) -> None:
        for name in reversed(self.list()):
            if name not in self._stamps:
                _remove(self.root / name)
        for name, stamp in self._stamps.items():
            path, data = self.root / name, self.contents[name]
            if os.path.lexists(path) and _stamp(path) == stamp:
                continue
            if data is None:
                if path.is_symlink() or not path.is_dir():
                    _remove(path)
                    path.mkdir()
            else:
                _remove(path)
                path.write_bytes(data)
                path.chmod(stamp[2] & 0o7777)
        for name in reversed(self._stamps):  # what is in a folder changes its time
            os.utime(self.root / name, ns=(self._stamps[name][1], self._stamps[name][1]))
            self._stamps[name] = _stamp(self.root / name)


def _stamp(path: Path) -> tuple[int, int, int, int]:
    found = path.lstat()
    return (found.st_size if path.is_file() else 0, found.st_mtime_ns, found.st_mode, found.st_ino)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _put(path: Path, damage: Damage, changed: int) -> None:
    makers: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "a FIFO": lambda: os.mkfifo(path),
        "a folder": path.mkdir,
        "a folder that isn't empty": lambda: (path / "a/b").mkdir(parents=True),
        "/dev/zero": lambda: path.symlink_to("/dev/zero"),
        "/dev/full": lambda: path.symlink_to("/dev/full"),
        "itself": lambda: path.symlink_to(path.name),
        "nowhere": lambda: path.symlink_to("nowhere/at/all"),
        "huge": lambda: _make_huge(path),
    }
    makers.get(damage.what, lambda: path.write_bytes(damage.data or b""))()
    if damage.is_old:
        os.utime(path, ns=(changed, changed))


def _make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(_HUGE)
