"""The frozen config that users' code reads: a composed message behind read-only attributes, as dict and as text.

Composing and changing configs is left to `compose` and `api`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TextIO

from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.message import Message

from heyhi.config.leaves import default_of, in_oneof, leaves
from heyhi.config.messages import message_class
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
from heyhi.errors import suggest
from heyhi.quick_tuple import NamedTuple


class Frozen:
    """What every frozen config has, whatever its fields: users' code names FrozenConfig, or a type of `heyhi protos`.

    To type checkers those are told apart by their fields; each object is a FrozenConfig.
    """

    __slots__ = ("_cache", "_folder", "_message")
    _cache: dict[str, Any]
    _folder: Path | None
    _message: Message
    heyhi_patched: ClassVar[bool] = True  # so scripts of the first HeyHi tell a config from a bare message

    def __init__(self, message: Message, folder: Path | None = None) -> None:
        """Freeze a message; the caller gives it away (`freeze` copies).

        Args:
            message: what is read.
            folder: of the file that it was loaded from, in which includes are looked up; no part of what it is.
        """
        object.__setattr__(self, "_message", message)
        object.__setattr__(self, "_folder", folder)
        object.__setattr__(self, "_cache", {})

    if not TYPE_CHECKING:  # the types of `heyhi protos` know their fields

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
            return _field_value(message, field, self._folder)
        for oneof in real_oneofs(kind):
            if name in (oneof.name, f"which_{oneof.name}"):
                chosen = message.WhichOneof(oneof.name)
                return chosen if chosen is None or name != oneof.name else getattr(self, chosen)
        from heyhi.config.renames import once_named, renamed_text  # most names are right

        names = [f.name for f in kind.fields]
        known = once_named(kind.fields, name) or once_named(kind.oneofs, name)
        hint = suggest(name, names) if known is None else f" ({renamed_text(name, known.name)})"
        raise AttributeError(f"{kind.name} has no field '{name}'{hint}; it has: {', '.join(names)}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise RuntimeError(f"a config is read-only: '{name}' can't be set (to_editable() gives a copy that can)")

    def __delattr__(self, name: str) -> NoReturn:
        raise RuntimeError(f"a config is read-only: '{name}' can't be deleted (to_editable() gives a copy that can)")

    def __dir__(self) -> list[str]:
        kind = type_of(self._message)
        oneofs = [n for o in real_oneofs(kind) for n in (o.name, f"which_{o.name}")]
        return sorted({*object.__dir__(self), *(f.name for f in kind.fields), *oneofs})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frozen) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def _content(self) -> tuple[str, bytes]:
        return type_of(self._message).full_name, self._message.SerializePartialToString(deterministic=True)

    def __reduce__(self) -> tuple[Any, ...]:
        folder = str(self._folder) if self._folder is not None else None
        return _thaw, (_file_set(type_of(self._message).file), *self._content(), folder)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        from google.protobuf import text_format  # most runs print none

        text = text_format.MessageToString(self._message, as_one_line=True, as_utf8=True)
        return f"<{type_of(self._message).name} {text}>" if text else f"<{type_of(self._message).name}>"

    def WhichOneof(self, name: str) -> str | None:  # noqa: N802 (protobuf's name)
        """Return the name of the chosen member of a oneof, None where none is chosen.

        Args:
            name: of the oneof.

        Raises:
            ValueError: there is no such oneof.
        """
        chosen: str | None = self._message.WhichOneof(name)
        return chosen

    def is_frozen(self) -> bool:
        """Return True: nothing can be written (the first HeyHi's configs are asked so)."""
        return True

    def to_frozen(self) -> Self:
        """Return itself, so that code may take frozen and editable configs alike."""
        return self

    def to_editable(self) -> Message:
        """Return a copy as a protobuf message, which can be written; it has to_frozen and to_dict, too."""
        return editable(copy_of(self._message))

    def to_dict(self, *, with_defaults: bool = False, with_all: bool = False) -> dict[str, Any]:
        """Return the config as nested dicts, lists and scalars; unchosen members of a oneof are left out.

        By default it has what is set, less messages outside a oneof with nothing in them.

        Args:
            with_defaults: also what the schema gives a default.
            with_all: also what has none, as it reads: None, False, an empty list or message.
        """
        return _to_dict(self._message, _Wanted(with_defaults or with_all, with_all), ())

    def to_text(self, with_defaults: bool = False) -> str:
        """Return the config as a protobuf text message.

        Args:
            with_defaults: also what is not set and has a default.
        """
        return to_text(self._message, with_defaults=with_defaults)

    def to_str_with_defaults(self) -> str:
        """Return the config as text with its defaults, by the first HeyHi's name for it."""
        return self.to_text(with_defaults=True)


class FrozenConfig(Frozen):
    """A config that is read by attributes, and can't be written.

    An unset scalar reads its default, without one None (a bool: False; a proto3 field without presence: its zero).
    An unset message outside a oneof reads as an empty frozen config, so that its defaults can be read. An unchosen
    member of a oneof reads None, the oneof's own name the chosen value, `which_<oneof>` the chosen name. Enums read
    as names, lists as tuples, maps as read-only dicts. All of it can be compared, hashed, copied and pickled.

    Args:
        message: protobuf message to be read, which is the config's from then on.
        folder: in which includes of overrides are looked up; no part of what the config is.

    Raises:
        AttributeError: there is no such field.
        RuntimeError: something was written; `to_editable()` gives a copy that can be.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def freeze(message: Message, folder: Path | None = None) -> FrozenConfig:
    """Return a frozen copy of a message; the folder is as for FrozenConfig."""
    return FrozenConfig(copy_of(message), folder)


def editable(message: Message) -> Message:
    """Make a message answer what frozen configs answer, where its class is HeyHi's own; return it."""
    from heyhi.config.message_methods import give_methods  # a run has no editable config by itself

    return give_methods(message, _METHODS)


def message_of(cfg: Frozen | Message) -> Message:
    """Return the message behind a config, to be read only."""
    return cfg._message if isinstance(cfg, Frozen) else cfg


def flatten(cfg: Frozen | Message, *, with_all: bool = True) -> dict[str, Any]:
    """Write a config as dotted keys.

    Args:
        cfg: a frozen or editable config.
        with_all: also what is not set, with its default (None where there is none, [] for a list).

    Returns:
        key -> scalar, enums by name, 32-bit floats with their fewest digits, or list of these; a list of messages has
        its elements' keys, and a message with nothing in it reads `SELECT`, as an override writes it.
    """
    from heyhi.config.special import Special  # of what a job loads, only this needs it

    found = leaves(message_of(cfg), with_defaults=with_all, whole_lists=True)
    return {k: v.value if isinstance(v, Special) else _flat_value(f, v) for k, f, v in found}


def _flat_value(field: FieldDescriptor, value: Any) -> Any:
    return [shown_scalar(field, one) for one in value] if isinstance(value, list) else shown_scalar(field, value)


def to_text(message: Message, *, with_defaults: bool = False) -> str:
    """Write a message as a protobuf text message, if asked with its defaults."""
    if not with_defaults:
        from heyhi.config.plain_text import text_of  # most configs are read field by field

        return text_of(message)
    out = StringIO()
    _print(message, out, 0, ())
    return out.getvalue()


def _print(message: Message, out: TextIO, indent: int, seen: tuple[str, ...]) -> None:
    from google.protobuf import text_format

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
                inside = StringIO()
                _print(getattr(message, name), inside, indent + 2, seen)
                if name in present or inside.getvalue():
                    # A group goes by its type's name in text.
                    is_group = field.type == FieldDescriptor.TYPE_GROUP
                    out.write(f"{' ' * indent}{field.message_type.name if is_group else name} {{\n")
                    out.write(f"{inside.getvalue()}{' ' * indent}}}\n")
        elif name in present or (not in_oneof(field) and (field.has_default_value or not field.has_presence)):
            value = getattr(message, name) if name in present else default_of(field)
            text_format.PrintField(field, value, out, indent=indent, as_utf8=True)


def scalar_value(field: FieldDescriptor, value: Any) -> Any:
    """Return a scalar as users read it: an enum by its name (an unknown number stays one)."""
    if value is not None and field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        known = enum_type(field).values_by_number.get(value)
        return known.name if known is not None else value
    return value


def shown_scalar(field: FieldDescriptor, value: Any) -> Any:
    """Return a scalar as lists of keys and tables show it.

    As users read it, but a 32-bit float has its fewest digits: 0.1, where its number is 0.10000000149011612.
    """
    is_single = field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT and value is not None
    if not is_single:
        return scalar_value(field, value)
    from heyhi.config.singles import shortest_single  # many schemas have none

    return shortest_single(value)


def _one_value(field: FieldDescriptor, value: Any, folder: Path | None) -> Any:
    return FrozenConfig(value, folder) if field.message_type is not None else scalar_value(field, value)


def _field_value(message: Message, field: FieldDescriptor, folder: Path | None = None) -> Any:
    value = getattr(message, field.name)
    if is_map(field):
        from heyhi.config.frozen_map import FrozenMap  # many schemas have no map

        return FrozenMap({k: _one_value(element(field), value[k], folder) for k in sorted(value)})
    if field.is_repeated:
        return tuple(_one_value(field, v, folder) for v in value)
    if field.has_presence and not message.HasField(field.name):
        if in_oneof(field):
            return None
        return _one_value(field, value if field.message_type is not None else default_of(field), folder)
    return _one_value(field, value, folder)


class _Wanted(NamedTuple):
    """What of a config that isn't set a dict of it has."""

    defaults: bool
    all: bool

    def has(self, field: FieldDescriptor) -> bool:
        """Return whether a field has to be there that isn't set; a message may turn out to have nothing in it."""
        if in_oneof(field):
            return False
        is_one = not field.is_repeated
        has_default = field.message_type is not None or field.has_default_value or not field.has_presence
        return self.all or (self.defaults and is_one and has_default)


def _to_dict(message: Message, wanted: _Wanted, seen: tuple[str, ...]) -> dict[str, Any]:
    kind = type_of(message)
    seen = (*seen, kind.full_name)
    present = {field.name for field, _ in set_fields(message)}
    out: dict[str, Any] = {}
    for field in kind.fields:
        # A message type inside itself would have no end.
        endless = field.message_type is not None and field.message_type.full_name in seen
        if field.name in present or (wanted.has(field) and (field.is_repeated or not endless)):
            value = _plain(_field_value(message, field), wanted, seen)
            is_nothing = value == {} and not is_map(field)
            if wanted.all or in_oneof(field) or not is_nothing:
                out[field.name] = value
    return out


def _plain(value: Any, wanted: _Wanted, seen: tuple[str, ...]) -> Any:
    if isinstance(value, FrozenConfig):
        return _to_dict(value._message, wanted, seen)
    if isinstance(value, Mapping):
        return {k: _plain(v, wanted, seen) for k, v in value.items()}
    return [_plain(v, wanted, seen) for v in value] if isinstance(value, tuple) else value


@lru_cache(maxsize=64)  # one object: a list of configs in one pickle carries it once
def _file_set(file: FileDescriptor) -> bytes:
    """Serialise a file and all that it imports, dependencies first."""
    ordered: dict[str, FileDescriptor] = {}

    def visit(one: FileDescriptor) -> None:
        for dependency in one.dependencies:
            if dependency.name not in ordered:
                visit(dependency)
        ordered.setdefault(one.name, one)

    visit(file)
    from google.protobuf import descriptor_pb2

    file_set = descriptor_pb2.FileDescriptorSet()
    for one in ordered.values():
        one.CopyToProto(file_set.file.add())
    return file_set.SerializeToString(deterministic=True)


@lru_cache(maxsize=64)
def schema_of(file_set: bytes) -> Schema:
    """Return the schema of a serialised FileDescriptorSet, the same for the same."""
    return Schema.from_file_set(file_set, "")


def _thaw(file_set: bytes, name: str, data: bytes, folder: str | None) -> FrozenConfig:
    """Rebuild a pickled config; it carries its schema, since the process that reads it may have none."""
    its_class = message_class(schema_of(file_set).pool.FindMessageTypeByName(name))
    return FrozenConfig(its_class.FromString(data), Path(folder) if folder is not None else None)


def _as_dict(self: Message, *, with_defaults: bool = False, with_all: bool = False) -> dict[str, Any]:
    return FrozenConfig(self).to_dict(with_defaults=with_defaults, with_all=with_all)


# What messages can be asked that users get, as frozen configs can; by the names that the first HeyHi has for it.
_METHODS: dict[str, object] = {
    "is_frozen": lambda self: False,
    "to_frozen": lambda self: freeze(self),
    "to_editable": lambda self: self,
    "to_dict": _as_dict,
    "to_str_with_defaults": lambda self: to_text(self, with_defaults=True),
}
