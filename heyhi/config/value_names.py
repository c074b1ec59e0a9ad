"""Names of fields and of values of enums inside the text of a list, a message or a map, by the names of today."""

from __future__ import annotations

import json
from collections.abc import Sequence

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from heyhi.config.renames import Pair, once_named
from heyhi.config.schema import element, field_named, is_map
from heyhi.config.value_tree import Items, Member, Members, Node, Text, read_value
from heyhi.config.values import renamed_value
from heyhi.errors import OverrideError
from heyhi.regex import regex

_DOUBLE_QUOTE = regex(r'(?<!\\)(?:\\\\)*"')


def value_of_today(field: FieldDescriptor, text: str) -> tuple[str, Sequence[Pair]]:
    """Return the text of a value with the names of today.

    Args:
        field: whose value it is.
        text: as an override has it; what can't be read stays as it is.

    Returns:
        the text, as it was given where it has no earlier name; the earlier ones that are in it, each with the one of
        today.
    """
    try:
        node = read_value(text, field.name)
    except OverrideError:
        return text, ()
    renaming = _Renaming()
    written = renaming.value(field, node)
    return (written, renaming.found) if renaming.found else (text, ())


class _Renaming:
    """A value that is written again, as identities write it.

    Attributes:
        found: earlier names that were in it, each with the one of today.
    """

    def __init__(self) -> None:
        self.found: list[Pair] = []

    def value(self, field: FieldDescriptor, node: Node) -> str:
        if isinstance(node, Text):
            return self._scalar(element(field), node)
        if isinstance(node, Items):
            return f"[{','.join(self.value(field, one) for one in node.items)}]"
        if is_map(field) and all(member.is_quoted for member in node.members):
            inside = (f"{_quoted(one.name)}: {self.value(element(field), one.value)}" for one in node.members)
            return f"{{{', '.join(inside)}}}"
        kind = field.message_type
        separator = ", " if any(member.is_quoted for member in node.members) else " "
        return f"{{{separator.join(self._member(kind, one) for one in node.members)}}}"

    def _member(self, kind: Descriptor | None, member: Member) -> str:
        field = None if kind is None else field_named(kind, member.name) or once_named(kind.fields, member.name)
        if kind is None or field is None:  # of a field that is gone
            return f"{member.name}: {_as_it_is(member.value)}"
        if field.name != member.name:
            self.found.append((member.name, str(field.name)))
        name = _quoted(field.name) if member.is_quoted else field.name
        is_plain = field.message_type is not None and not field.is_repeated and not member.is_quoted
        has_colon = not is_plain or kind.GetOptions().map_entry
        return f"{name}{':' * has_colon} {self.value(field, member.value)}"

    def _scalar(self, field: FieldDescriptor, node: Text) -> str:
        renamed = renamed_value(field, node.text)
        if renamed is None:
            return _as_it_is(node)
        self.found.append(renamed)
        return renamed[1]


def _as_it_is(node: Node) -> str:
    if isinstance(node, Items):
        return f"[{','.join(map(_as_it_is, node.items))}]"
    if isinstance(node, Members):
        return f"{{{' '.join(f'{one.name}: {_as_it_is(one.value)}' for one in node.members)}}}"
    if not node.is_quoted:
        return node.raw
    return f"'{node.raw}'" if _DOUBLE_QUOTE.search(node.raw) else f'"{node.raw}"'


def _quoted(name: str) -> str:
    return json.dumps(name)
