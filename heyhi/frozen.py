"""Owns the frozen config: what users' code reads, a composed message behind read-only attributes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NoReturn

from google.protobuf import descriptor_pb2, message_factory, text_format
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.message import Message

from heyhi.overrides import Special, default_of, in_oneof, is_map, leaves
from heyhi.schema import Schema, real_oneofs


class FrozenConfig:
    """Read a config by attributes; nothing can be written.

    An unset scalar reads its default, without one None (a bool: False; a proto3 field without presence: its zero).
    An unset message outside a oneof reads as an empty frozen config, so that its defaults can be read. An unchosen
    member of a oneof reads None, the oneof's own name the chosen value, `which_<oneof>` the chosen name. Enums read
    as names, lists as tuples, maps as read-only mappings. Frozen configs can be compared, hashed and pickled.

    Raises:
        AttributeError: there is no such field.
        RuntimeError: something was written; `to_editable()` gives a copy that can be.
    """

    __slots__ = ("_cache", "_message")
    _cache: dict[str, Any]
    _message: Message

    def __init__(self, message: Message) -> None:
        """Freeze a message; the caller gives it away (`freeze` copies)."""
        object.__setattr__(self, "_message", message)
        object.__setattr__(self, "_cache", {})

    def __getattr__(self, name: str) -> Any:
        cache = self._cache
        if name not in cache:
            cache[name] = self._read(name)
        return cache[name]

    def _read(self, name: str) -> Any:
        message = self._message
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is not None:
            return _field_value(message, field)
        for oneof in real_oneofs(message.DESCRIPTOR):
            if name in (oneof.name, f"which_{oneof.name}"):
                chosen = message.WhichOneof(oneof.name)
                return chosen if chosen is None or name != oneof.name else getattr(self, chosen)
        known = ", ".join(f.name for f in message.DESCRIPTOR.fields)
        raise AttributeError(f"{message.DESCRIPTOR.name} has no field '{name}'; it has: {known}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise RuntimeError(f"a config is read-only: '{name}' can't be set (to_editable() gives a copy that can)")

    def __delattr__(self, name: str) -> NoReturn:
        raise RuntimeError(f"a config is read-only: '{name}' can't be deleted (to_editable() gives a copy that can)")

    def __dir__(self) -> list[str]:
        descriptor = self._message.DESCRIPTOR
        oneofs = [n for o in real_oneofs(descriptor) for n in (o.name, f"which_{o.name}")]
        return sorted({*object.__dir__(self), *(f.name for f in descriptor.fields), *oneofs})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrozenConfig) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def _content(self) -> tuple[str, bytes]:
        return self._message.DESCRIPTOR.full_name, self._message.SerializePartialToString(deterministic=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return _thaw, (_file_set(self._message.DESCRIPTOR.file), *self._content())

    def __copy__(self) -> FrozenConfig:
        return self

    def __deepcopy__(self, memo: object) -> FrozenConfig:
        return self

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<{self._message.DESCRIPTOR.name} {text_format.MessageToString(self._message, as_one_line=True)}>"

    def WhichOneof(self, name: str) -> str | None:
        """Return the name of the chosen member of a oneof.

        Raises:
            ValueError: there is no such oneof.
        """
        chosen: str | None = self._message.WhichOneof(name)
        return chosen

    def to_frozen(self) -> FrozenConfig:
        """Return itself, so that code may take frozen and editable configs alike."""
        return self

    def to_editable(self) -> Message:
        """Return a copy as a protobuf message, which can be written."""
        copy = type(self._message)()
        copy.CopyFrom(self._message)
        return copy

    def to_dict(self) -> dict[str, Any]:
        """Return all that can be read as nested dicts, lists and scalars, defaults too; unchosen members are left out."""
        return _to_dict(self._message, ())

    def to_text(self, with_defaults: bool = False) -> str:
        """Return the config as a protobuf text message.

        Args:
            with_defaults: also what is not set and has a default.
        """
        return to_text(self._message, with_defaults=with_defaults)

    # The first HeyHi's names for the same.
    def to_str_with_defaults(self) -> str:
        """Return the config as text with its defaults."""
        return self.to_text(with_defaults=True)


def freeze(message: Message) -> FrozenConfig:
    """Return a frozen copy of a message."""
    copy = type(message)()
    copy.CopyFrom(message)
    return FrozenConfig(copy)


def message_of(cfg: FrozenConfig | Message) -> Message:
    """Return the message behind a config, to be read only."""
    return cfg._message if isinstance(cfg, FrozenConfig) else cfg


def flatten(cfg: FrozenConfig | Message, *, with_all: bool = True) -> dict[str, Any]:
    """Write a config as dotted keys.

    Args:
        cfg: a frozen or editable config.
        with_all: also what is not set, with its default (None where there is none).

    Returns:
        key -> scalar, enums by name; a message with nothing in it reads `SELECT`, as an override writes it.
    """
    found = leaves(message_of(cfg), with_defaults=with_all)
    return {k: v.value if isinstance(v, Special) else scalar_value(f, v) for k, f, v in found}


def to_text(message: Message, *, with_defaults: bool = False) -> str:
    """Write a message as a protobuf text message, if asked with its defaults."""
    if not with_defaults:
        return text_format.MessageToString(message, as_utf8=True)
    import io

    out = io.StringIO()
    _print(message, out, 0, ())
    return out.getvalue()


def _print(message: Message, out: Any, indent: int, seen: tuple[str, ...]) -> None:
    seen = (*seen, message.DESCRIPTOR.full_name)
    present = {field.name for field, _ in message.ListFields()}
    for field in message.DESCRIPTOR.fields:
        name = field.name
        if field.message_type is not None and not field.is_repeated:
            if name in present or not (in_oneof(field) or field.message_type.full_name in seen):
                out.write(f"{' ' * indent}{name} {{\n")
                _print(getattr(message, name), out, indent + 2, seen)
                out.write(f"{' ' * indent}}}\n")
        elif field.is_repeated:
            if name in present:
                only = type(message)()
                getattr(only, name).MergeFrom(getattr(message, name))
                out.write(text_format.MessageToString(only, as_utf8=True, indent=indent))
        elif name in present or not in_oneof(field):
            value = getattr(message, name) if name in present else default_of(field)
            if value is not None:
                text_format.PrintField(field, value, out, indent=indent, as_utf8=True)


def scalar_value(field: FieldDescriptor, value: Any) -> Any:
    """Return a scalar as users read it: an enum by its name (an unknown number stays one)."""
    if value is not None and field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    return value


def _element(field: FieldDescriptor, value: Any) -> Any:
    return FrozenConfig(value) if field.message_type is not None else scalar_value(field, value)


def _field_value(message: Message, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    if is_map(field):
        values = field.message_type.fields_by_name["value"]
        return MappingProxyType({k: _element(values, value[k]) for k in sorted(value)})
    if field.is_repeated:
        return tuple(_element(field, v) for v in value)
    if field.has_presence and not message.HasField(field.name):
        if in_oneof(field):
            return None
        return FrozenConfig(value) if field.message_type is not None else scalar_value(field, default_of(field))
    return _element(field, value)


def _to_dict(message: Message, seen: tuple[str, ...]) -> dict[str, Any]:
    seen = (*seen, message.DESCRIPTOR.full_name)
    out: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        absent = field.has_presence and not message.HasField(field.name)
        # A message type inside itself would have no end.
        endless = field.message_type is not None and field.message_type.full_name in seen
        if absent and (in_oneof(field) or endless):
            continue
        value = getattr(FrozenConfig(message), field.name)
        out[field.name] = _plain(value, seen)
    return out


def _plain(value: Any, seen: tuple[str, ...]) -> Any:
    if isinstance(value, FrozenConfig):
        return _to_dict(value._message, seen)
    if isinstance(value, Mapping):
        return {k: _plain(v, seen) for k, v in value.items()}
    return [_plain(v, seen) for v in value] if isinstance(value, tuple) else value


def _file_set(file: FileDescriptor) -> bytes:
    """Serialise a file and all that it imports, dependencies first."""
    ordered: dict[str, FileDescriptor] = {}

    def visit(one: FileDescriptor) -> None:
        for dependency in one.dependencies:
            if dependency.name not in ordered:
                visit(dependency)
        ordered.setdefault(one.name, one)

    visit(file)
    file_set = descriptor_pb2.FileDescriptorSet()
    for one in ordered.values():
        one.CopyToProto(file_set.file.add())
    return file_set.SerializeToString(deterministic=True)


@lru_cache(maxsize=8)
def _schema_of(file_set: bytes) -> Schema:
    return Schema.from_file_set(file_set, "")


def _thaw(file_set: bytes, name: str, data: bytes) -> FrozenConfig:
    """Rebuild a pickled config; it carries its schema, since the process that reads it may have none."""
    message_class = message_factory.GetMessageClass(_schema_of(file_set).pool.FindMessageTypeByName(name))
    return FrozenConfig(message_class.FromString(data))
