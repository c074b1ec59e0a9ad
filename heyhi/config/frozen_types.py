"""What the types in the modules that `heyhi protos` writes are when a program runs.

A type checker reads the stub beside such a module. Here a type knows its message's name: by it a config is an instance
of the type or not, and `load_config(msg_class=…)` knows what a file describes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from heyhi.config.frozen import Frozen, FrozenConfig, message_of
from heyhi.config.schema import element, field_named, is_map, load_schema, type_of
from heyhi.errors import ConfigError, suggest
from heyhi.project import find_project


class FrozenType(type):
    """The type of the frozen configs of one message type: `isinstance(cfg, Train)`, and `Train(lr=0.1)` makes one."""

    _message: str

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, message: str) -> FrozenType:
        """Make a type; message is the full name of a message type."""
        made = super().__new__(mcs, name, bases, namespace)
        made._message = message
        return made

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, message: str) -> None:
        super().__init__(name, bases, namespace)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Frozen) and type_of(message_of(instance)).full_name == cls._message

    def __call__(cls, /, **fields: object) -> FrozenConfig:
        """Make a frozen config of its fields: scalars, messages, frozen configs, and lists and dicts of such.

        Raises:
            ConfigError: there is no such field, or it can't have the value.
        """
        kind = load_schema(find_project()).message_types().get(cls._message)
        if kind is None:
            raise ConfigError(f"'{cls._message}' is no message of the schema any more: run `heyhi protos` again")
        return FrozenConfig(_made(kind, fields))


def full_name_of(kind: FrozenType) -> str:
    """Return the full name of the message type that a type stands for."""
    return kind._message


def _made(kind: Descriptor, fields: Mapping[Any, Any]) -> Message:
    """Make a message of its fields; None leaves one out."""
    given: dict[str, Any] = {}
    for name, value in fields.items():
        field = field_named(kind, str(name))
        if field is None:
            raise ConfigError(f"{kind.name} has no field '{name}'{suggest(str(name), [f.name for f in kind.fields])}")
        inner = element(field).message_type
        if value is None:
            continue
        if inner is None:
            given[name] = value
        elif is_map(field):
            given[name] = {key: _as_message(inner, one) for key, one in dict(value).items()}
        else:
            given[name] = [_as_message(inner, one) for one in value] if field.is_repeated else _as_message(inner, value)
    made = message_factory.GetMessageClass(kind)()
    for name, value in given.items():
        try:
            made.MergeFrom(type(made)(**{name: value}))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{kind.name}.{name} can't be {value!r:.100}: {error}") from None
    return made


def _as_message(kind: Descriptor, value: Any) -> Message:
    if isinstance(value, Frozen | Message):
        data = message_of(value).SerializePartialToString()  # it may be of another class of the same message
        return message_factory.GetMessageClass(kind).FromString(data)
    if isinstance(value, Mapping):
        return _made(kind, value)
    raise ConfigError(f"{kind.name} can't be made of {value!r:.100}: expected a config, a message or a dict")
