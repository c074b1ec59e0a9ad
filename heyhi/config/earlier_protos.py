"""Protos of another day with the names of today, so that what was composed by them is read by these names.

Numbers, types and defaults stay those of then: what was serialised says what it said. What isn't serialised is left to
`translation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, OneofDescriptor

from heyhi.config.renames import Named, earlier_names, names_in, once_named
from heyhi.config.schema import Schema
from heyhi.config.was_lines import Proto, keep_earlier_names

_Kind = Descriptor | EnumDescriptor
_KindProto = descriptor_pb2.DescriptorProto | descriptor_pb2.EnumDescriptorProto


def with_names_of(today: Schema, then: Schema) -> Schema:
    """Return a schema with the names that its fields, values and messages have in a later one.

    Args:
        today: knows the earlier names.
        then: the other one.

    Returns:
        the same one where nothing in it is called otherwise today; else one that knows the earlier names, too.
    """
    if not today.has_renames or then.digest == today.digest:
        return then
    file_set = descriptor_pb2.FileDescriptorSet.FromString(then.file_set)
    known = _known_names(today)
    names: dict[str, str] = {}
    for file in file_set.file:
        _rename_kinds(file.message_type, file.enum_type, file.package, file.package, known, names)
    if all(old == new for old, new in names.items()):
        return then
    for file in file_set.file:
        _refer(file.message_type, names)
    root = names.get(then.root_name, then.root_name)
    return Schema.from_file_set(file_set.SerializeToString(deterministic=True), root)


def _known_names(today: Schema) -> dict[str, _Kind]:
    """Return messages and enums by each full name that they have, or had in one way or another."""
    found: dict[str, _Kind] = {}
    todo: list[tuple[_Kind, Sequence[str]]] = []
    for file in descriptor_pb2.FileDescriptorSet.FromString(today.file_set).file:
        opened = today.pool.FindFileByName(file.name)
        todo += [(kind, [file.package]) for kind in opened.message_types_by_name.values()]
        todo += [(kind, [file.package]) for kind in opened.enum_types_by_name.values()]
    while todo:
        kind, outer = todo.pop()
        own = [_inside(one, name) for one in outer for name in (kind.name, *earlier_names(kind))]
        found.update(dict.fromkeys(own, kind))
        if isinstance(kind, Descriptor):
            todo += [(inner, own) for inner in kind.nested_types]
            todo += [(inner, own) for inner in kind.enum_types]
    return found


def _rename_kinds(
    messages: Sequence[descriptor_pb2.DescriptorProto],
    enums: Sequence[descriptor_pb2.EnumDescriptorProto],
    before: str,
    after: str,
    known: dict[str, _Kind],
    names: dict[str, str],
) -> None:
    """Give messages and enums, and what is in them, the names of today.

    Args:
        messages: of one place.
        enums: of the same.
        before: full name of what they lie in, as it was.
        after: the same as it is.
        known: what there is today, by all its names.
        names: gets the full names that were, with those that are; of values of enums only the last part.
    """
    kinds: list[_KindProto] = [*messages, *enums]
    for kind in kinds:
        old = _inside(before, kind.name)
        today = known.get(old)
        if today is not None and all(one.name != today.name for one in kinds):
            kind.name = today.name
            _know_names_of(kind, today)
        new = names[old] = _inside(after, kind.name)
        if isinstance(kind, descriptor_pb2.DescriptorProto):
            _rename_kinds(kind.nested_type, kind.enum_type, old, new, known, names)
            if isinstance(today, Descriptor):
                for name, one in _rename_each([*kind.field, *kind.oneof_decl], [*today.fields, *today.oneofs]):
                    names[f"{old}.{name}"] = _inside(new, one)
        elif isinstance(today, EnumDescriptor):
            for name, one in _rename_each(kind.value, today.values):
                names[f"{old}.{name}"] = one


_PartProto = (
    descriptor_pb2.FieldDescriptorProto | descriptor_pb2.OneofDescriptorProto | descriptor_pb2.EnumValueDescriptorProto
)


def _rename_each(
    ones: Sequence[_PartProto], today: Sequence[FieldDescriptor | OneofDescriptor | EnumValueDescriptor]
) -> Iterator[tuple[str, str]]:
    """Give some things of one place their names of today, and yield each that has another one, with that."""
    taken = {one.name for one in ones}
    for one in ones:
        known = None if any(other.name == one.name for other in today) else once_named(today, one.name)
        if known is not None and known.name not in taken:
            yield one.name, known.name
            one.name = known.name
            _know_names_of(one, known)


def _know_names_of(one: Proto, today: Named) -> None:
    """Have something know all earlier names of what it is today; those that it knew itself are the first ones."""
    own = names_in(one.options)
    keep_earlier_names(one, [name for name in earlier_names(today) if name not in own])


def _refer(messages: Sequence[descriptor_pb2.DescriptorProto], names: dict[str, str]) -> None:
    """Have fields refer to their types, and defaults to values, by the names of today."""
    for message in messages:
        for field in message.field:
            full = field.type_name.removeprefix(".")
            if full in names:
                field.type_name = f".{names[full]}"
            if field.default_value and field.type == descriptor_pb2.FieldDescriptorProto.TYPE_ENUM:
                field.default_value = names.get(f"{full}.{field.default_value}", field.default_value)
        _refer(message.nested_type, names)


def _inside(outer: str, name: str) -> str:
    return f"{outer}.{name}".lstrip(".")
