"""Whether a name was mistyped for another one: so near that it can be typed in its place without asking."""

from __future__ import annotations

_SHORT, _LONG = 5, 8  # characters: another letter in a shorter name is another name; a longer one may have two slips


def is_slip(typed: str, meant: str) -> bool:
    """Return whether a name is so near another one that nothing else can have been meant.

    One letter may be left out, doubled, swapped with the next or, in longer names, be another one; the case, and
    dashes for underscores, don't count. So it is with the last part of a name that was typed without the others, which
    has to be right.

    Args:
        typed: what was written.
        meant: a name that there is.
    """
    a, b = (text.lower().strip("-").replace("-", "_") for text in (typed, meant))
    if a == b or (a and b.rpartition("/")[2].rpartition(".")[2] == a):
        return True
    longer = max(len(a), len(b))
    if longer < 3:
        return False
    return _is_within(a, b, most=2 if min(len(a), len(b)) >= _LONG else 1, may_replace=longer >= _SHORT)


def _is_within(a: str, b: str, *, most: int, may_replace: bool) -> bool:
    """Return whether at most so many slips make one text of another: a letter more or less, two swapped, another one.

    Args:
        a: one text.
        b: the other.
        most: slips.
        may_replace: whether another letter is one slip; else it is two.
    """
    if abs(len(a) - len(b)) > most:
        return False
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        earlier, before, row = before, row, [i]
        for j, other in enumerate(b, 1):
            costs = [before[j] + 1, row[j - 1] + 1, before[j - 1] + (one != other) * (1 if may_replace else 2)]
            if i > 1 and j > 1 and one == b[j - 2] and other == a[i - 2]:
                costs.append(earlier[j - 2] + 1)
            row.append(min(costs))
    return row[-1] <= most
