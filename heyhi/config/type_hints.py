"""What a proto's author may have meant by a type that protobuf doesn't know: its own word, or the nearest name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from heyhi.errors import suggest
from heyhi.faults import Fault, remember
from heyhi.regex import regex

_SCALARS = ("double", "float", "int32", "int64", "uint32", "uint64", "bool", "string", "bytes")
# As NumPy, Python and other languages have them, in lower case.
_MEANT = {
    "double": ("float64", "number", "num", "decimal"),
    "float": ("float16", "float32", "half"),
    "int32": ("int", "integer", "int8", "int16", "short"),
    "int64": ("long",),
    "uint32": ("uint", "uint8", "uint16", "unsigned"),
    "bool": ("boolean", "flag"),
    "string": ("str", "text", "char", "path", "varchar"),
    "bytes": ("byte", "blob"),
}
_WORDS = {word: scalar for scalar, words in _MEANT.items() for word in words}
_UNDEFINED = regex(r'"([\w.]+)" is not defined\.$', re.MULTILINE)
_DEFINED = regex(r"\b(?:message|enum)\s+(\w+)")


def with_hints(said: str, protos: Iterable[str]) -> str:
    """Return what protoc says, with what may have been meant behind each type that it doesn't know.

    Args:
        said: its lines.
        protos: texts of the protos.
    """
    if not _UNDEFINED.search(said):
        return said
    known = [*_SCALARS, *dict.fromkeys(name for text in protos for name in _DEFINED.findall(text))]
    return _UNDEFINED.sub(lambda found: f"{found[0]}{_hint(found[1], known)}", said)


def _hint(name: str, known: Iterable[str]) -> str:
    meant = _WORDS.get(name.lower())
    if meant is None:
        return suggest(name, known)
    hint = f" (did you mean {meant!r}?)"
    remember(hint, Fault(name, (meant,)))
    return hint
