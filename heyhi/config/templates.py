"""Templates in strings: where `{{ROOT_DIR}}` and `{{exp …}}` begin and end, and how they are replaced.

Which experiment a need is, and where it lies, is left to `compose`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.schema import children, element, is_map, set_fields
from heyhi.config.values import shorten
from heyhi.errors import NeedsError

OPEN = "{{"
ROOT_DIR = "{{ROOT_DIR}}"
_ROOT = re.compile(r"\{\{ *ROOT_DIR *\}\}")
_NEED = re.compile(r"\{\{ *exp(?=[\s}])")
_TWO_BRACES = re.compile(r"\{(?=\{)")
# Stands between the braces of what only looks like a template, while a message is composed.
_LITERAL = "\0literal\0"


def has_need(text: str) -> bool:
    """Return whether a text names an experiment."""
    return _NEED.search(text) is not None


def has_template(text: str) -> bool:
    """Return whether a text names the project root or an experiment."""
    return _ROOT.search(text) is not None or has_need(text)


def replace_root(text: str, root: str) -> str:
    """Write out the project root; in needs it is left alone, they are composed by themselves.

    Raises:
        NeedsError: a need doesn't end.
    """
    return replace(text, lambda part: _ROOT.sub(lambda _: root, part), lambda words, whole: whole)


def replace_needs(text: str, need: Callable[[str], str]) -> str:
    """Replace each need by what a function makes of its words.

    Raises:
        NeedsError: a need doesn't end, or has no words.
    """
    return replace(text, lambda part: part, lambda words, whole: need(words))


def canonical_template(text: str, exp_id: Callable[[str], str]) -> str:
    """Write a text's templates in one way, needs by their exp ids.

    Raises:
        NeedsError: a need doesn't end, or has no words.
    """
    return replace(text, lambda part: _ROOT.sub(ROOT_DIR, part), lambda words, whole: f"{{{{exp {exp_id(words)}}}}}")


def replace(text: str, outside: Callable[[str], str], need: Callable[[str, str], str]) -> str:
    """Rewrite a text: what stands outside its needs, and each need, given by its words and as a whole.

    Braces in a need may nest.

    Raises:
        NeedsError: a need doesn't end, or has no words.
    """
    out: list[str] = []
    position = 0
    while start := _NEED.search(text, position):
        end = _end(text, start.end()) or _end(text, start.end(), singles=False)
        words = text[start.end() : end - 2].strip()
        if not end or not words:
            raise NeedsError(f"'{shorten(text[start.start() :])}': expected {{{{exp CFG [OVERRIDE …]}}}}")
        out += [outside(text[position : start.start()]), need(words, text[start.start() : end])]
        position = end
    return "".join([*out, outside(text[position:])])


def _end(text: str, position: int, *, singles: bool = True) -> int:
    """Return where a template ends whose words begin at a position, 0 where it doesn't.

    Args:
        text: that holds it.
        position: after its braces.
        singles: also single braces in it come in pairs: `{{exp CFG sgd={momentum:0.9}}}`.
    """
    open_braces = [2]
    while open_braces and position < len(text):
        here = text[position]
        width = 2 if text.startswith(here, position + 1) else 1
        if here == "{" and (width == 2 or singles):
            open_braces.append(width)
        elif here == "}" and (width == 2 or singles) and width >= open_braces[-1]:
            width = open_braces.pop()
        position += width if here in "{}" else 1
    return 0 if open_braces else position


def protect(text: str) -> str:
    """Mark what only looks like a template: a quoted override stands for exactly what it says."""
    return _TWO_BRACES.sub("{" + _LITERAL, text)


def is_protected(text: str) -> bool:
    """Return whether `protect` has marked a text."""
    return _LITERAL in text


def unprotect(text: str) -> str:
    """Return a text that `protect` has marked as it was."""
    return text.replace("{" + _LITERAL, "{")


def map_strings(message: Message, change: Callable[[str], str]) -> None:
    """Rewrite each string value in a message, in place."""
    for field, value in set_fields(message):
        is_text = element(field).type == FieldDescriptor.TYPE_STRING
        if is_map(field):
            for key in list(value):
                if is_text:
                    value[key] = change(value[key])
        elif field.is_repeated and is_text:
            value[:] = [change(v) for v in value]
        elif is_text and "{" in value:
            setattr(message, field.name, change(value))
    for _, child in children(message):
        map_strings(child, change)
