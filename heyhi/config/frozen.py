"""The frozen config that users' code reads: a composed message behind read-only attributes, as dict and as text.

Composing and changing configs is left to `compose` and `api`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NoReturn, TextIO

from google.protobuf import descriptor_pb2, message_factory, text_format
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.message import Message

from heyhi.config.overrides import default_of, in_oneof, leaves
from heyhi.config.schema import (
    Schema,
    copy_of,
    element,
    enum_type,
    field_named,
    is_map,
    real_oneofs,
    set_fields,
    type_of,
)
from heyhi.config.values import Special
from heyhi.errors import suggest


class FrozenConfig:
    """A config that is read by attributes, and can't be written.

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
        # Unpickling and copying ask for special methods before there is a message.
        if name.startswith("__"):
            raise AttributeError(name)
        cache = self._cache
        if name not in cache:
            cache[name] = self._read(name)
        return cache[name]

    def _read(self, name: str) -> Any:
        message = self._message
        kind = type_of(message)
        field = field_named(kind, name)
        if field is not None:
            return _field_value(message, field)
        for oneof in real_oneofs(kind):
            if name in (oneof.name, f"which_{oneof.name}"):
                chosen = message.WhichOneof(oneof.name)
                return chosen if chosen is None or name != oneof.name else getattr(self, chosen)
        names = [f.name for f in kind.fields]
        raise AttributeError(f"{kind.name} has no field '{name}'{suggest(name, names)}; it has: {', '.join(names)}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise RuntimeError(f"a config is read-only: '{name}' can't be set (to_editable() gives a copy that can)")

    def __delattr__(self, name: str) -> NoReturn:
        raise RuntimeError(f"a config is read-only: '{name}' can't be deleted (to_editable() gives a copy that can)")

    def __dir__(self) -> list[str]:
        kind = type_of(self._message)
        oneofs = [n for o in real_oneofs(kind) for n in (o.name, f"which_{o.name}")]
        return sorted({*object.__dir__(self), *(f.name for f in kind.fields), *oneofs})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrozenConfig) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def _content(self) -> tuple[str, bytes]:
        return type_of(self._message).full_name, self._message.SerializePartialToString(deterministic=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return _thaw, (_file_set(type_of(self._message).file), *self._content())

    def __copy__(self) -> FrozenConfig:
        return self

    def __deepcopy__(self, memo: object) -> FrozenConfig:
        return self

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        text = text_format.MessageToString(self._message, as_one_line=True, as_utf8=True)
        return f"<{type_of(self._message).name} {text}>" if text else f"<{type_of(self._message).name}>"

    def WhichOneof(self, name: str) -> str | None:  # noqa: N802 (protobuf's name)
        """Return the name of the chosen member of a oneof.

        Raises:
            ValueError: there is no such oneof.
        """
        chosen: str | None = self._message.WhichOneof(name)
        return chosen

    def is_frozen(self) -> bool:
        """Return True: nothing can be written (the first HeyHi's configs are asked so)."""
        return True

    def to_frozen(self) -> FrozenConfig:
        """Return itself, so that code may take frozen and editable configs alike."""
        return self

    def to_editable(self) -> Message:
        """Return a copy as a protobuf message, which can be written."""
        return copy_of(self._message)

    def to_dict(self, *, with_all: bool = True) -> dict[str, Any]:
        """Return the config as nested dicts, lists and scalars; unchosen members of a oneof are left out.

        Args:
            with_all: also what is not set, with its default (None where there is none).
        """
        return _to_dict(self._message, with_all, ())

    def to_text(self, with_defaults: bool = False) -> str:
        """Return the config as a protobuf text message.

        Args:
            with_defaults: also what is not set and has a default.
        """
        return to_text(self._message, with_defaults=with_defaults)

    def to_str_with_defaults(self) -> str:
        """Return the config as text with its defaults, by the first HeyHi's name for it."""
        return self.to_text(with_defaults=True)


def freeze(message: Message) -> FrozenConfig:
    """Return a frozen copy of a message."""
    return FrozenConfig(copy_of(message))


def message_of(cfg: FrozenConfig | Message) -> Message:
    """Return the message behind a config, to be read only."""
    return cfg._message if isinstance(cfg, FrozenConfig) else cfg


def flatten(cfg: FrozenConfig | Message, *, with_all: bool = True) -> dict[str, Any]:
    """Write a config as dotted keys.

    Args:
        cfg: a frozen or editable config.
        with_all: also what is not set, with its default (None where there is none, [] for a list).

    Returns:
        key -> scalar, enums by name, or list of these; a list of messages has its elements' keys, and a message with
        nothing in it reads `SELECT`, as an override writes it.
    """
    found = leaves(message_of(cfg), with_defaults=with_all, whole_lists=True)
    return {k: v.value if isinstance(v, Special) else _flat_value(f, v) for k, f, v in found}


def _flat_value(field: FieldDescriptor, value: Any) -> Any:
    return [scalar_value(field, one) for one in value] if isinstance(value, list) else scalar_value(field, value)


def to_text(message: Message, *, with_defaults: bool = False) -> str:
    """Write a message as a protobuf text message, if asked with its defaults."""
    if not with_defaults:
        return text_format.MessageToString(message, as_utf8=True)
    import io

    out = io.StringIO()
    _print(message, out, 0, ())
    return out.getvalue()


def _print(message: Message, out: TextIO, indent: int, seen: tuple[str, ...]) -> None:
    kind = type_of(message)
    seen = (*seen, kind.full_name)
    present = {field.name for field, _ in set_fields(message)}
    for field in kind.fields:
        name = field.name
        if field.is_repeated:
            if name in present:
                only = type(message)()
                getattr(only, name).MergeFrom(getattr(message, name))
                out.write(text_format.MessageToString(only, as_utf8=True, indent=indent))
        elif field.message_type is not None:
            if name in present or not (in_oneof(field) or field.message_type.full_name in seen):
                # A group goes by its type's name in text.
                is_group = field.type == FieldDescriptor.TYPE_GROUP
                out.write(f"{' ' * indent}{field.message_type.name if is_group else name} {{\n")
                _print(getattr(message, name), out, indent + 2, seen)
                out.write(f"{' ' * indent}}}\n")
        elif name in present or not in_oneof(field):
            value = getattr(message, name) if name in present else default_of(field)
            if value is not None:
                text_format.PrintField(field, value, out, indent=indent, as_utf8=True)


def scalar_value(field: FieldDescriptor, value: Any) -> Any:
    """Return a scalar as users read it: an enum by its name (an unknown number stays one)."""
    if value is not None and field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        known = enum_type(field).values_by_number.get(value)
        return known.name if known is not None else value
    return value


def _one_value(field: FieldDescriptor, value: Any) -> Any:
    return FrozenConfig(value) if field.message_type is not None else scalar_value(field, value)


def _field_value(message: Message, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    if is_map(field):
        return MappingProxyType({k: _one_value(element(field), value[k]) for k in sorted(value)})
    if field.is_repeated:
        return tuple(_one_value(field, v) for v in value)
    if field.has_presence and not message.HasField(field.name):
        if in_oneof(field):
            return None
        return _one_value(field, value if field.message_type is not None else default_of(field))
    return _one_value(field, value)


def _to_dict(message: Message, with_all: bool, seen: tuple[str, ...]) -> dict[str, Any]:
    kind = type_of(message)
    seen = (*seen, kind.full_name)
    present = {field.name for field, _ in set_fields(message)}
    out: dict[str, Any] = {}
    for field in kind.fields:
        # A message type inside itself would have no end.
        endless = field.message_type is not None and field.message_type.full_name in seen
        is_left_out = not with_all or in_oneof(field) or (endless and not field.is_repeated)
        if field.name in present or not is_left_out:
            out[field.name] = _plain(_field_value(message, field), with_all, seen)
    return out


def _plain(value: Any, with_all: bool, seen: tuple[str, ...]) -> Any:
    if isinstance(value, FrozenConfig):
        return _to_dict(value._message, with_all, seen)
    if isinstance(value, Mapping):
        return {k: _plain(v, with_all, seen) for k, v in value.items()}
    return [_plain(v, with_all, seen) for v in value] if isinstance(value, tuple) else value


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
