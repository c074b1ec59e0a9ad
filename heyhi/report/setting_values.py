"""What the text of an override is in a table, by its field's type: `1.10` is text of a string field, else a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from heyhi.errors import HeyhiError

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

    from heyhi.config.keys import Key
    from heyhi.config.schema import Schema
    from heyhi.project import Project

_MOST_KEYS = 5000  # of a task
Reader = Callable[[str], Any]  # of the text of a value


class SettingValues:
    """Reads the texts of overrides.

    Args:
        schema: returns that of their configs, None where nobody has it; asked once, and only where it has to be.
    """

    def __init__(self, schema: Callable[[], Schema | None]) -> None:
        self._load = schema
        self._keys: dict[tuple[str, str], Key | None] = {}
        self._loaded: list[Schema | None] = []

    def readers(self, name: str, task: str = "") -> list[Reader]:
        """Return what reads the values of a key: of an unknown task, in each of them that has such a key.

        Args:
            name: of the key, as a column has it; an include override is text.
            task: its name.
        """
        if self.schema is None:
            return [guessed]
        if name == "I" or name.startswith("I."):
            return [str]
        keys = [key for one in ([task] if task else self.schema.tasks) if (key := self.key(one, name)) is not None]
        return list(dict.fromkeys(map(_reader, keys))) or [guessed]

    def reader(self, name: str, tasks: Sequence[str]) -> Reader | None:
        """Return what reads the values of a key in all of some tasks; None where these have it of several types."""
        found = dict.fromkeys(reader for task in tasks for reader in self.readers(name, task))
        return next(iter(found)) if len(found) == 1 else None

    def key(self, task: str, name: str) -> Key | None:
        """Find a key of a task, None where there is none."""
        if (task, name) not in self._keys:
            self._keys[task, name] = find(self.schema, task, name) if self.schema is not None else None
        return self._keys[task, name]

    def keys_for(self, name: str) -> list[str] | None:
        """Return all keys, where a field of a name is none of them; None where one has it, or nobody can tell."""
        from heyhi.config.fields import covers
        from heyhi.config.keys import schema_keys
        from heyhi.config.schema import message_type

        if self.schema is None:
            return None
        keys: dict[str, None] = {}
        for task, field in self.schema.tasks.items():
            found = schema_keys(message_type(field), _MOST_KEYS)
            keys |= dict.fromkeys(found)
            is_all = len(found) < _MOST_KEYS
            if not is_all or self.key(task, name) is not None or any(covers(key, (name,)) for key in found):
                return None
        return list(keys)

    @property
    def schema(self) -> Schema | None:
        """The schema of the configs."""
        if not self._loaded:
            self._loaded.append(self._load())
        return self._loaded[0]


def values_of(project: Project) -> SettingValues:
    """Return what reads overrides by a project's schema of today."""

    def schema() -> Schema | None:
        from heyhi.config.schema import load_schema

        try:
            return load_schema(project)
        except HeyhiError:
            return None

    return SettingValues(schema)


def find(schema: Schema, task: str, name: str) -> Key | None:
    """Find a key of a task in a schema; None for what the task lacks."""
    from heyhi.config.keys import find_key

    kind = schema.tasks[task].message_type if task in schema.tasks else None
    try:
        return find_key(kind, name) if kind is not None else None
    except HeyhiError:
        return None


def read_scalar(field: FieldDescriptor, value: Any) -> Any:
    """Return what a table has for a scalar of a composed config: numbers and text as such, another one as it reads."""
    from heyhi.config.values import scalar_text

    return value if _reader_of(field) is _text else _reader_of(field)(scalar_text(field, value))


def read_list(field: FieldDescriptor, values: Any) -> Any:
    """Return what a table has for a list of a composed config."""
    from heyhi.config.composite import list_text

    return _list_reader(field)(list_text(field, values))


def guessed(text: str) -> Any:
    """Read a value of a field that nobody knows."""
    found = _number(text)
    if found is not text:
        return found
    return _list(text) if text.startswith("[") else _text(text)


def _reader(key: Key) -> Reader:
    from heyhi.config.keys import Kind

    if key.kind is Kind.SCALAR:
        return _reader_of(key.field)
    return _list_reader(key.field) if key.kind is Kind.LIST else str


def _list_reader(field: FieldDescriptor) -> Reader:
    from google.protobuf.descriptor import FieldDescriptor as Types

    return _bytes_list if field.type == Types.TYPE_BYTES else _list


def _reader_of(field: FieldDescriptor) -> Reader:
    from google.protobuf.descriptor import FieldDescriptor as Types

    if field.type == Types.TYPE_STRING:
        return _text
    return str if field.type in (Types.TYPE_BYTES, Types.TYPE_BOOL, Types.TYPE_ENUM) else _number


def _text(text: str) -> str:
    """Read the value of a string field."""
    if not text.startswith('"'):
        return text
    from heyhi.config.values import cast_string

    try:
        return cast_string(text, "")
    except HeyhiError:
        return text


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _list(text: str) -> str:
    from heyhi.config.shown_list import shown_text

    return shown_text(text)


def _bytes_list(text: str) -> str:
    from heyhi.config.shown_list import shown_bytes_text

    return shown_bytes_text(text)
