"""How SQLite files are opened that somebody may have damaged, or put something else in the place of.

What they hold, and what becomes of one that is damaged, is left to who opens them.
"""

from __future__ import annotations

import _sqlite3 as sqlite3  # what sqlite3 itself adds are conversions of dates
import os
import stat
from pathlib import Path

from heyhi.files import MOST_BYTES, open_regular

# What else SQLite opens, and waits for, of a database that may be written.
_BESIDE = ("-journal", "-wal", "-shm")
# Codes of what is wrong with the surroundings of a file, and not with what it holds.
_AROUND = {
    *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY),
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_AUTH),
}


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a database that is never written any more.

    Raises:
        OSError: it isn't there, or can't be read, or is no regular file.
        sqlite3.Error: SQLite can't open it.
    """
    # SQLite would say of any reason that it is damaged, and wait for who writes into a FIFO.
    os.close(open_regular(path))
    # immutable: no locks are taken, which some network file systems lack, and no journal is looked for.
    return _opened_by_name(path, "mode=ro&immutable=1")


def open_to_copy(path: Path) -> sqlite3.Connection:
    """Open a database that others may write, to read it.

    Raises:
        OSError: it, or a file beside it that SQLite would open, is no regular file.
        sqlite3.Error: SQLite can't open it.
    """
    for name in ("", *_BESIDE):
        _check_regular(f"{path}{name}")
    return _opened_by_name(path, "mode=ro")


def _opened_by_name(path: Path, how: str) -> sqlite3.Connection:
    name = os.path.abspath(path)  # noqa: PTH100 (a link keeps its name)
    for mark in "%?#":  # all that SQLite reads otherwise in a URI; urllib.parse would take a millisecond to load
        name = name.replace(mark, f"%{ord(mark):02x}")
    uri = f"file:{name}?{how}"
    return _made_safe(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False))


def open_to_write(path: Path, *, seconds: float) -> sqlite3.Connection:
    """Open a database of which others may write at the same time, or make it.

    Args:
        path: of the file.
        seconds: for which it is waited for others.

    Raises:
        OSError: it, or a file beside it that SQLite would open, is no regular file.
        sqlite3.Error: SQLite can't open it.
    """
    for name in ("", *_BESIDE):
        _check_regular(f"{path}{name}")
    return _made_safe(sqlite3.connect(path, timeout=seconds, isolation_level=None, check_same_thread=False))


def in_memory() -> sqlite3.Connection:
    """Make a database that is nowhere on disk."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def remove(path: Path) -> None:
    """Remove a database, with what lies beside it, whatever is in their places.

    Raises:
        OSError: some of it can't be removed, as a folder that isn't empty.
    """
    for name in ("", *_BESIDE):
        one = Path(f"{path}{name}")
        if one.is_dir() and not one.is_symlink():
            one.rmdir()
        else:
            one.unlink(missing_ok=True)


def statements_of(connection: sqlite3.Connection) -> dict[str, str]:
    """Return what a database is made of: the statement that made each table, index, view and trigger, by its name."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return dict(rows.fetchall())


def is_around(error: Exception) -> bool:
    """Return whether an error says nothing of what a database holds: it is locked, can't be written, no disk is left.

    Text that is no UTF-8 is an OperationalError, too, and has no code.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if code & 0xFF == sqlite3.SQLITE_IOERR:  # a quota that is used up, a file system without locks; or a lost page
        return code not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)
    return code & 0xFF in _AROUND


def _check_regular(path: str) -> None:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (each command does)
    except FileNotFoundError:
        if not os.path.lexists(path):
            return
        raise
    if not stat.S_ISREG(mode):
        os.close(open_regular(path))  # which says what it is


def _made_safe(connection: sqlite3.Connection) -> sqlite3.Connection:
    # Nothing in a file is run: neither functions by its schema, nor is memory taken for what no file of ours has.
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
    return connection
