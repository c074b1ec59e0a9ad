"""Which digests of packages are of the same: one run may load more of them than another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any


def kinds_of(digests: Iterable[Any], same: Callable[[Sequence[str]], bool]) -> dict[str, str]:
    """Return for each digest the first that is of the same packages.

    Args:
        digests: of what experiments have loaded; what is no text is none.
        same: returns whether digests are of the same packages.
    """
    found = list(dict.fromkeys(digest for digest in digests if isinstance(digest, str)))
    if len(found) < 2 or same(found):
        return dict.fromkeys(found, found[0]) if found else {}
    kinds: dict[str, str] = {}
    for digest in found:
        kinds[digest] = next((one for one in dict.fromkeys(kinds.values()) if same([one, digest])), digest)
    return kinds
