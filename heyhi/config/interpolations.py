"""Interpolations as other programs write them, `${oc.env:HOME}`, `${lr}`: they are text here, and it is said so.

What is meant for a shell, `$HOME` or `${HOME}`, may well be meant as text: nothing is said of that.
"""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor

from heyhi.config.keys import find_key
from heyhi.config.values import shorten
from heyhi.errors import OverrideError
from heyhi.regex import regex

_FOREIGN = regex(r"\$\{\s*(?:(?P<resolver>oc\.|hydra:|now:|env:)[^}]*\}?|\.*(?P<key>[A-Za-z_][\w.]*)\s*\})")


def interpolation_note(task: Descriptor, key: str, value: str) -> str | None:
    """Say that a value has an interpolation, which is text here; None where it has none.

    Args:
        task: message type in which keys start.
        key: whose value it is.
        value: of a field that takes text.
    """
    for match in _FOREIGN.finditer(value):
        if match["resolver"] or _is_key(task, match["key"]):
            return (
                f"override '{key}={shorten(value)}': '{shorten(match.group())}' is text here: nothing is put in"
                " its place; templates are {{…}}: heyhi docs configs"
            )
    return None


def _is_key(task: Descriptor, name: str) -> bool:
    if name.isupper():  # a variable of the shell
        return False
    try:
        find_key(task, name)
    except OverrideError:
        return False
    return True
