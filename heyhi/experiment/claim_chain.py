"""The files by which a claim is settled: a chain of which the last one is the current claim.

How it works. A claim's file holds a nonce, a random name that no other claim has. The first claim of a folder is
`claim.json`. To take over the claim of nonce `a`, whose owner is gone, a process creates `claim.a.json`, and leaves
`claim.json` where it is; the next one takes over by `claim.<its nonce>.json`. So the files form a chain, of which the
last one is the current claim. Each file is made by a hard link, which is atomic, fails where the name exists, also on
NFS, and never shows a half-written file; so of two processes only one gets a name. A release removes `claim.json`
first, which makes the whole chain void, then the rest. A process that has made its link reads the chain again: if a
release came in between, its own link is not the end of the chain that begins with `claim.json`, and it removes the
link and tries again.

Whose claim counts is left to `claim`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from pathlib import Path

from heyhi.errors import ClaimError, UnknownError
from heyhi.experiment.names import CLAIM_NAME
from heyhi.experiment.owner import Owner
from heyhi.files import forget, open_regular, parse_json, write_temp, writing
from heyhi.quick_dataclass import asdict, dataclass
from heyhi.text import shell_line

_MOST_BYTES = 10_000  # of a claim file: far more than any has

# A claim that seems gone is looked for again: over NFS a file that was just put in place may not be seen at first.
_LOOK_AGAIN_SECONDS = (0.05, 0.2)
# A claim's file that was in its folder just now and can't be opened was removed: unless it stays there.
_FIND_AGAIN_SECONDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True)
class Link:
    """One file of the chain; `owner` is None where it can't be read."""

    path: Path
    nonce: str
    owner: Owner | None
    touched: float


def why_lost(folder: Path, nonce: str) -> str:
    """Say who has an experiment instead of a claim; empty while that claim is the current one.

    Args:
        folder: of the experiment.
        nonce: of the claim.

    Raises:
        UnknownError: a claim file can't be read.
    """
    for pause in (*_LOOK_AGAIN_SECONDS, None):
        chain = read_chain(folder)
        if chain and chain[-1].nonce == nonce:
            return ""
        if pause is not None:
            time.sleep(pause)
    owner = chain[-1].owner if chain else None
    taken = f"taken over by {owner.describe() if owner is not None else 'another'}" if chain else "removed"
    return f"the claim {folder / CLAIM_NAME} was {taken}"


def read_chain(folder: Path) -> list[Link]:
    """Read the files of the chain, `claim.json` first."""
    for pause in (*_FIND_AGAIN_SECONDS, None):
        # What this machine remembers of a folder in NFS may be a minute old: opening the folder makes it ask. Other
        # file systems may give the names as they are now, and remember all the same that there was no such file.
        try:
            names = set(os.listdir(folder))  # noqa: PTH208 (names only)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError:  # a folder may be closed to who may open what is in it
            names = set()
        except OSError as error:
            raise unreadable(folder, error) from None
        chain, missing = _walk(folder, names)
        if missing is None:
            return chain
        if pause is None:
            raise UnknownError(f"{missing}: is there, and can't be found; {mend(missing)}")
        time.sleep(pause)
    raise AssertionError("the last look returns or raises")


def _walk(folder: Path, names: set[str]) -> tuple[list[Link], Path | None]:
    """Return the chain, and the file of it that should be there and isn't: it was removed, or is remembered not to be.

    Args:
        folder: of the experiment.
        names: of what is in it, as of just now.
    """
    chain: list[Link] = []
    path = folder / CLAIM_NAME
    while True:
        link = read_link(path)
        if link is None and path.name in names:
            forget(path)
            link = read_link(path)
        if link is None:
            return chain, path if path.name in names else None
        if any(one.nonce == link.nonce for one in chain):
            raise UnknownError(f"{link.path}: the claims of this folder go round in a circle; {mend(chain[0].path)}")
        chain.append(link)
        path = folder / f"claim.{link.nonce}.json"


def read_link(path: Path) -> Link | None:
    """Read one file of the chain; None where there is none.

    Raises:
        UnknownError: it can't be read.
    """
    try:
        # Opened rather than only looked at: this makes NFS ask its server.
        with os.fdopen(open_regular(path), "rb", buffering=0) as file:
            stat = os.fstat(file.fileno())
            data = file.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ESTALE:  # NFS: removed by another host between opening and reading
            return None
        raise unreadable(path, error) from None
    try:
        values = parse_json(data)
        kinds = Owner.__annotations__  # of its fields by name; they are the names of types here
        # Those with a default are younger than some claims.
        owner = Owner(**{name: values[name] for name in kinds if name in values})
        if any(type(getattr(owner, name)).__name__ != kind for name, kind in kinds.items()) or not owner.is_sound:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        # Its nonce must be one that no other file ever has.
        return Link(path, f"bad{stat.st_ino:x}x{stat.st_mtime_ns:x}", None, stat.st_mtime)
    return Link(path, owner.nonce, owner, stat.st_mtime)


def unreadable(path: Path, error: OSError) -> UnknownError:
    """Say why a claim file can't be read, and what to do about it."""
    return UnknownError(f"{path}: can't be read: {error.strerror or error}; {mend(path)}")


def mend(path: Path) -> str:
    """Say what to do about a claim file that is of no use."""
    return f"if nobody runs this experiment, remove it: {shell_line(['rm', '-r', str(path)])}"


def make_link(path: Path, owner: Owner) -> bool:
    """Create a claim file if there is none of this name, and return whether this call did."""
    with writing(path):
        temp = write_temp(path.with_name(CLAIM_NAME), json.dumps(asdict(owner)) + "\n")
        try:
            path.hardlink_to(temp)
        except FileExistsError:
            # Over NFS the answer may have got lost, and the call been repeated: then it is ours that is there.
            there = read_link(path)
            return there is not None and there.nonce == owner.nonce
        except OSError as error:
            if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                raise ClaimError(
                    f"{path}: this file system makes no hard links, without which no claim is exclusive"
                    f" ({error.strerror})"
                ) from None
            raise
        finally:
            with contextlib.suppress(OSError):
                temp.unlink()
    return True
