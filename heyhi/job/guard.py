"""What a script does when another process imports it: which names it has then, and whether it launches anything.

`if __name__ == "__main__":` keeps what is below it from that. Only what is plain from the source is said; what isn't is
found out when a job imports it. Most scripts are plain line by line; the others are parsed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from heyhi.errors import LauncherError
from heyhi.job.importing import GUARD

_LAUNCHING = ("maybe_launch", "parse_args_and_maybe_launch")
_GUARD_LINES = (GUARD.encode(), GUARD.replace('"', "'").encode())
_QUOTES = (b'"""', b"'''")


def check_script(main: object, what_for: str) -> None:
    """Make sure that a job can import a function of the script of this process without launching again.

    Args:
        main: the function; one of another module is imported without the script.
        what_for: what it is imported for, for the error.

    Raises:
        LauncherError: it launches outside of a guard.
    """
    if getattr(main, "__module__", None) != "__main__":
        return
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    source = _source(Path(file)) if isinstance(file, str) else None
    if source is None or _launches_below_guard(source):
        return
    from heyhi.job.script_tree import first_call  # loads `ast`

    if (found := first_call(source, _LAUNCHING)) is not None:
        name, line = found
        raise LauncherError(
            f"{what_for}: {file}:{line}: {name} is called whenever this file is imported, as each run of it"
            f" does: put the call below {GUARD}"
        )


def is_bound_on_import(path: Path, name: str) -> bool:
    """Return whether a script has a name when it is imported, not only when it is run; True where nobody can tell."""
    if (source := _source(path)) is None:
        return True
    plain = (
        f"def {name}(".encode(),
        f"async def {name}(".encode(),
        f"class {name}:".encode(),
        f"class {name}(".encode(),
    )
    lines = source.splitlines()
    place = next((place for place, line in enumerate(lines) if line.startswith(plain)), None)
    if place is not None and _is_code(lines[:place]):
        return True
    from heyhi.job.script_tree import binds  # loads `ast`

    return binds(source, name)


def _source(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (OSError, ValueError):
        return None


def _launches_below_guard(source: bytes) -> bool:
    """Return whether a guard is the last statement of a script, and nothing above it launches."""
    lines = source.splitlines()
    place = next((place for place in reversed(range(len(lines))) if lines[place].rstrip() in _GUARD_LINES), None)
    if place is None or not all(line[:1] in b" \t" for line in lines[place + 1 :]):
        return False
    speaking = [line for line in lines[:place] if b"maybe_launch" in line]
    imports = all(line.startswith((b"from ", b"import ")) and b";" not in line for line in speaking)
    return imports and _is_code(lines[:place])


def _is_code(above: list[bytes]) -> bool:
    """Return whether what follows some lines is code, not part of a text of several lines."""
    return not any(sum(line.count(quotes) for line in above) % 2 for quotes in _QUOTES)
