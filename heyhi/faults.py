"""What of an error a program can act on: the word at fault, what is near it, what to type; each said where it is found.

A message is often quoted by a longer one, on its way up. What belongs to a text that was said is remembered by that
text, so that whoever quotes it carries it along without knowing.
"""

from __future__ import annotations

from collections import deque

from heyhi.quick_tuple import NamedTuple

_MOST_KEPT = 24  # texts: of those that were said just now
_MIN_TEXT, _MAX_TEXT = 8, 4000  # characters of one: what is shorter stands in other messages by chance


class Fault(NamedTuple):
    """What a program can act on.

    Attributes:
        key: key, path, option or word at fault; empty where there is no single one.
        nearest: names that may have been meant, the likeliest first.
        fix: an override, an option or a command to type; empty where nobody knows one.
        code: of the error that was first to say it.
    """

    key: str = ""
    nearest: tuple[str, ...] = ()
    fix: str = ""
    code: str = ""

    def over(self, other: Fault) -> Fault:
        """Return this one, with what it leaves open taken from another."""
        return Fault(
            self.key or other.key, self.nearest or other.nearest, self.fix or other.fix, other.code or self.code
        )


_NONE = Fault()
_said: deque[tuple[str, Fault]] = deque(maxlen=_MOST_KEPT)


def remember(text: str, fault: Fault) -> None:
    """Keep what belongs to a text, for messages that will have it in them."""
    if fault != _NONE and _MIN_TEXT <= len(text) <= _MAX_TEXT:
        _said.append((text, fault))


def fault_in(text: str) -> Fault:
    """Return what belongs to the longest text in a message that was said just now, the last of equal ones."""
    found, length = _NONE, 0
    for said, fault in list(_said):
        if length <= len(said) <= len(text) and said in text:
            found, length = fault, len(said)
    return found
