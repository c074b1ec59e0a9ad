"""The schema of a project: its protos, compiled once and cached, and what can be asked of their messages.

Config files are read by `prototxt` and `includes`; generated modules, for who wants them, are written by `protos`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import DecodeError, Message

from heyhi.config.messages import file_names, message_class, pool_of
from heyhi.errors import SchemaError
from heyhi.project import Project
from heyhi.quick_dataclass import dataclass
from heyhi.sha import sha256

if TYPE_CHECKING:
    from google.protobuf.descriptor_pool import DescriptorPool

TASK_ONEOF = "task"
INCLUDES = "includes"  # a message's field of what it includes: merged and gone once it is composed
_OUR_POOL = "heyhi/private"  # a file without content in each pool of ours, by which its messages are known


@dataclass(frozen=True)
class Schema:
    """The compiled protos of a project, and the classes of their messages.

    Attributes:
        file_set: serialised FileDescriptorSet, dependencies first, without source info.
        root_name: full name of the root message.
    """

    file_set: bytes
    root_name: str

    @classmethod
    def from_file_set(cls, file_set: bytes, root_name: str) -> Schema:
        """Build a schema from what another process compiled (a manifest holds it)."""
        return cls(file_set, root_name)

    @cached_property
    def digest(self) -> str:
        """16 hex digits of the SHA-256 of the compiled protos."""
        return sha256(self.file_set).hexdigest()[:16]

    @cached_property
    def pool(self) -> DescriptorPool:
        """Private pool: two projects with messages of one name can be open at once."""
        return pool_of(self.file_set, _OUR_POOL)

    @cached_property
    def root(self) -> Descriptor:
        """Descriptor of the root message."""
        return self.pool.FindMessageTypeByName(self.root_name)

    @cached_property
    def root_class(self) -> type[Message]:
        """Class of the root message."""
        return message_class(self.root)

    @cached_property
    def task_oneof(self) -> OneofDescriptor:
        """Oneof of the root message whose members are the tasks.

        Raises:
            SchemaError: the root message has no oneof that could be it.
        """
        oneofs = real_oneofs(self.root)
        named = [o for o in oneofs if o.name == TASK_ONEOF] or oneofs
        if len(named) != 1:
            raise SchemaError(
                f"{self.root.file.name}: message {self.root_name} needs one oneof named '{TASK_ONEOF}', whose"
                f" members are the tasks; its oneofs are: {', '.join(o.name for o in oneofs) or 'none'}"
            )
        return named[0]

    @cached_property
    def tasks(self) -> dict[str, FieldDescriptor]:
        """Task fields of the root message, by name.

        Raises:
            SchemaError: one of them is no message.
        """
        fields = {f.name: f for f in self.task_oneof.fields}
        for name, field in fields.items():
            if field.message_type is None:
                file = self.root.file.name
                raise SchemaError(f"{file}: task '{name}' of {self.root_name} must be a message")
        return fields

    def message_types(self) -> dict[str, Descriptor]:
        """Return every message type of the protos by its full name, nested ones too."""
        found: dict[str, Descriptor] = {}
        for name in file_names(self.file_set):
            todo = list(self.pool.FindFileByName(name).message_types_by_name.values())
            while todo:
                here = todo.pop(0)
                if not is_map_entry(here):
                    found[here.full_name] = here
                    todo += here.nested_types
        return found

    @cached_property
    def has_required(self) -> bool:
        """Whether any message has a required field (proto2), which a config may have left out."""
        return any(field.is_required for message in self.message_types().values() for field in message.fields)

    @cached_property
    def has_renames(self) -> bool:
        """Whether anything in it may have had another name before."""
        from heyhi.config.renames import may_have_earlier_names  # who reads a whole message doesn't ask

        return may_have_earlier_names(self.file_set)

    def new_root(self) -> Message:
        """Make an empty root message."""
        return self.root_class()

    def parse_root(self, data: bytes) -> Message:
        """Read a serialised root message."""
        return self.root_class.FromString(data)


def type_of(message: Message) -> Descriptor:
    """Return a message's type."""
    # The stubs also name the C implementation's class, which is no subclass and looks the same.
    return cast(Descriptor, message.DESCRIPTOR)


def is_private(kind: Descriptor) -> bool:
    """Return whether a message type is of a pool that HeyHi has made, and no generated module has its class."""
    try:
        kind.file.pool.FindFileByName(_OUR_POOL)
    except KeyError:
        return False
    return True


def set_fields(message: Message) -> list[tuple[FieldDescriptor, Any]]:
    """List the fields that are set in a message, with their values; extensions have no keys and are left out."""
    return [(field, value) for field, value in message.ListFields() if not field.is_extension]


def children(message: Message) -> Iterator[tuple[str, Message]]:
    """Yield the messages that are set in a message, with their field's name; elements of lists and maps too."""
    for field, value in set_fields(message):
        if element(field).message_type is None:
            continue
        if is_map(field):
            yield from ((field.name, value[key]) for key in sorted(value))
        elif field.is_repeated:
            yield from ((field.name, one) for one in value)
        else:
            yield field.name, value


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


def copy_of(message: Message) -> Message:
    """Return a copy of a message, which can be changed by itself."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def types_below(*kinds: Descriptor) -> Iterator[Descriptor]:
    """Yield message types and all that their fields lead to, each once, outer ones first; entries of maps too."""
    todo = list(kinds)
    seen = {kind.full_name for kind in kinds}
    while todo:
        here = todo.pop(0)
        yield here
        for field in here.fields:
            for inner in (field.message_type, element(field).message_type):
                if inner is not None and inner.full_name not in seen:
                    seen.add(inner.full_name)
                    todo.append(inner)


def is_too_deep(message: Message) -> bool:
    """Return whether a message is nested deeper than protobuf reads again (100 levels)."""
    try:
        type(message).FromString(message.SerializePartialToString())
    except DecodeError:
        return True
    return False


def is_name(text: str) -> bool:
    """Return whether a text could name something in a proto; protobuf's own lookups fail on some other texts."""
    return text.isascii() and text.isidentifier()


def field_named(message: Descriptor, name: str) -> FieldDescriptor | None:
    """Return a message type's field of a name, None where it has none."""
    return message.fields_by_name.get(name) if is_name(name) else None


def oneof_named(message: Descriptor, name: str) -> OneofDescriptor | None:
    """Return a message type's oneof of a name, None where it has none."""
    oneof = message.oneofs_by_name.get(name) if is_name(name) else None
    return None if oneof is None or is_synthetic(oneof) else oneof


def real_oneofs(message: Descriptor) -> list[OneofDescriptor]:
    """List a message's oneofs, less those that protoc makes for proto3 `optional` fields."""
    return [o for o in message.oneofs if not is_synthetic(o)]


def is_synthetic(oneof: OneofDescriptor) -> bool:
    """Return whether protoc made this oneof for a proto3 `optional` field (named `_<field>`, one member)."""
    return len(oneof.fields) == 1 and oneof.name.lstrip("X") == f"_{oneof.fields[0].name}"


def oneof_of(field: FieldDescriptor) -> OneofDescriptor | None:
    """Return the oneof that a field is a member of, None where it is of none that stands in the proto."""
    oneof: OneofDescriptor | None = field.containing_oneof
    return None if oneof is None or is_synthetic(oneof) else oneof


def is_map(field: FieldDescriptor) -> bool:
    """Return whether a field is a map."""
    return field.is_repeated and field.message_type is not None and is_map_entry(field.message_type)


def is_map_entry(message: Descriptor) -> bool:
    """Return whether protoc made this message type for the entries of a map: nobody writes one by itself."""
    # Most types have no options, and to make an object of some loads the classes of all descriptors.
    return message.has_options and bool(message.GetOptions().map_entry)


def message_type(field: FieldDescriptor) -> Descriptor:
    """Return the message type of a field that holds messages (a map's entries are messages, too)."""
    found = field.message_type
    assert found is not None, field.full_name
    return found


def enum_type(field: FieldDescriptor) -> EnumDescriptor:
    """Return the enum of a field that holds enum values."""
    found = field.enum_type
    assert found is not None, field.full_name
    return found


def map_key(field: FieldDescriptor) -> FieldDescriptor:
    """Return the field that describes a map's keys."""
    return message_type(field).fields_by_name["key"]


def element(field: FieldDescriptor) -> FieldDescriptor:
    """Return the field that describes what a field holds: of a map its values, else the field itself."""
    return message_type(field).fields_by_name["value"] if is_map(field) else field


def load_schema(project: Project) -> Schema:
    """Compile a project's protos, or read them from the cache when no byte of them changed.

    Raises:
        SchemaError: a proto is missing or doesn't compile, protobuf makes no messages of it, no or two root messages
            are defined, or earlier names of something in them are wrong.
    """
    from heyhi.config.schema_cache import cached_schema  # a job has its schema compiled

    found = cached_schema(project)
    if found is None:
        from heyhi.config.compiling import compiled_schema

        found = compiled_schema(project)
    return _same_schema(*found)


@lru_cache(maxsize=16)  # one object for the same protos: messages of two configs are of the same classes then
def _same_schema(file_set: bytes, root_name: str) -> Schema:
    return Schema(file_set, root_name)


def load_comments(project: Project) -> dict[str, str]:
    """Read the comments in a project's protos.

    Returns:
        full name of each commented message, field, oneof, enum and enum value -> its comment, less earlier names.
    """
    from heyhi.config.compiling import read_comments

    return read_comments(project)
