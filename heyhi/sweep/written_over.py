"""Overrides of a config that count for nothing, since each point over it writes their keys anew.

Who names keys says by which names they go today; what is done with such overrides is left to who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence


def written_over(keys: Sequence[str], anew: Iterable[str], today: Callable[[str], str] = str) -> list[tuple[int, str]]:
    """Return the place of each override that is written over, and the key that does it.

    Args:
        keys: of the overrides, in their order.
        anew: keys that each point gives a value.
        today: gives a key that was renamed the name that it has by now.
    """
    found = []
    names = [(one, today(one)) for one in anew]
    for place, given in enumerate(keys):
        whole = today(given.removesuffix("+"))  # what is written as a whole takes the place of what was added, too
        key = f"{whole}+" if given.endswith("+") else whole
        over = next((one for one, name in names if name in (key, whole) or key.startswith(f"{name}.")), None)
        # What appends is written beside what appends; includes without a mount are merged.
        if over is not None and over != "I" and not over.endswith((".-1", "+")):
            found.append((place, over))
    return found
