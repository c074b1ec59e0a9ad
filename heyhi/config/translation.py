"""Records of another day, read by the names of today: configs as dotted keys, and what identities name.

Nothing on disk is changed by it. Messages in other protos than those of today are left to `earlier_protos`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Self

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from heyhi.config.identity import Identity
from heyhi.config.keys import Key, find_key
from heyhi.config.messages import file_names
from heyhi.config.mounts import include_mount
from heyhi.config.moved import MovedConfigs
from heyhi.config.overrides import split_override
from heyhi.config.renames import Named, earlier_names, once_named
from heyhi.config.schema import Schema, field_named, load_schema
from heyhi.config.value_names import value_of_today
from heyhi.errors import HeyhiError
from heyhi.project import Project
from heyhi.regex import regex
from heyhi.sha import sha256

_WORD = regex(r"[A-Za-z_][A-Za-z0-9_]*")


class Translation:
    """What records say, by the names that a schema and a project have today.

    Args:
        schema: of today.
        project: whose configs may have moved; None where no paths are asked for.
    """

    def __init__(self, schema: Schema, project: Project | None = None) -> None:
        self._schemas: dict[str, Schema] = {}
        self._lines: dict[tuple[str, str], str] = {}
        self._schema = schema
        self._moved = MovedConfigs(project) if project is not None else None
        self._found: dict[tuple[str, str], Key | None] = {}

    @classmethod
    def of(cls, project: Project) -> Self | None:
        """Return what a project needs; None where all has its first name, or nobody knows: for who only looks."""
        try:
            found = cls(load_schema(project), project)
        except HeyhiError:
            return None
        return None if found.is_idle else found

    @property
    def digest(self) -> str:
        """16 hex digits that change with what it knows."""
        known = f"{self._schema.digest}{self._moved.pairs() if self._moved is not None else ''}"
        return sha256(known.encode()).hexdigest()[:16]

    def schema(self, then: Schema) -> Schema:
        """Return a schema of another day by the names of today."""
        if then.digest not in self._schemas:
            from heyhi.config.earlier_protos import with_names_of  # most records are of the protos of today

            self._schemas[then.digest] = with_names_of(self._schema, then)
        return self._schemas[then.digest]

    @property
    def is_idle(self) -> bool:
        """Whether everything has the name that it first had."""
        return not (self._schema.has_renames or self._moved)

    def flat(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a config with all its defaults, as dotted keys from the root on."""
        if not self._schema.has_renames:
            return config
        found = {}
        for name, value in config.items():
            key = self._key("", name)
            found[name if key is None else key.text] = value if key is None else _value(key.field, value)
        return found

    def cfg(self, cfg: str) -> str:
        """Return the path of the config that an identity names."""
        return self._moved.today(cfg) if self._moved is not None else cfg

    def task(self, name: str) -> str:
        """Return the name of a task."""
        field = self._task(name)
        return name if field is None else str(field.name)

    def words(self, identity: Identity, task: str = "") -> list[str]:
        """Return what an identity names: its config and its overrides."""
        return [self.cfg(identity.cfg), *self.overrides(identity.overrides, task)]

    def overrides(self, overrides: Sequence[str], task: str = "") -> tuple[str, ...]:
        """Return canonical overrides; of an unknown task, they are looked up in all of them."""
        return tuple(overrides) if self.is_idle else tuple(self._override(text, task) for text in overrides)

    def key(self, name: str, task: str = "") -> Key | None:
        """Find the key of an override, None where there is no such."""
        return next((key for one in self._tasks(task) if (key := self._key(one, name)) is not None), None)

    def cell(self, name: str, value: Any, task: str = "") -> Any:
        """Return the value of a key in a table."""
        key = self.key(name, task)
        return value if key is None or key.oneof else _value(key.field, value)

    def name(self, name: str, task: str = "") -> str:
        """Return the name of a key that an override or an include has."""
        try:
            kinds = [self._kind(one) for one in self._tasks(task)]
            mounts = (include_mount(kind, name) for kind in kinds if kind is not None)
            if any(is_include for is_include, _ in mounts):
                mount = self.key(name.removeprefix("I").removeprefix("."), task)
                return "I" if mount is None else f"I.{mount.text}"
        except HeyhiError:
            return name
        key = self.key(name, task)
        return name if key is None else key.text

    def leaves(self, name: str) -> list[str]:
        """Return the names of today of all fields that had a name before."""
        named = (one for _, one in _named_in(self._schema) if isinstance(one, FieldDescriptor))
        return list(dict.fromkeys(str(one.name) for one in named if name in earlier_names(one)))

    def lines(self) -> list[str]:
        """Return what was renamed, a line for each."""
        found = {name: earlier_names(one) for name, one in _named_in(self._schema)}
        moved = self._moved.earlier() if self._moved is not None else {}
        return [f"{name} (was: {', '.join(names)})" for name, names in {**found, **moved}.items() if names]

    def _override(self, text: str, task: str) -> str:
        if (text, task) not in self._lines:
            self._lines[text, task] = self._translated(text, task)
        return self._lines[text, task]

    def _translated(self, text: str, task: str) -> str:
        try:
            name, value = split_override(text)
        except HeyhiError:
            return text
        adds = "+" if name.endswith("+") else ""  # key+=[…]
        name = name.removesuffix("+")
        today = self.name(name, task)
        is_include = today == "I" or today.startswith("I.")
        return f"{today}{adds}={self.cfg(value) if is_include else self.cell(name, value, task)}"

    def _tasks(self, task: str) -> list[str]:
        return [task] if task else list(self._schema.tasks)

    def _task(self, name: str) -> FieldDescriptor | None:
        return field_named(self._schema.root, name) or once_named(self._schema.root.fields, name)

    def _kind(self, task: str) -> Descriptor | None:
        """Return the message type in which keys start: of a task, or the root."""
        field = self._task(task) if task else None
        return self._schema.root if not task else field.message_type if field is not None else None

    def _key(self, task: str, name: str) -> Key | None:
        place = (task, name)
        if place not in self._found:
            kind = self._kind(task)
            try:
                self._found[place] = find_key(kind, name) if kind is not None else None
            except HeyhiError:  # of a field that is gone
                self._found[place] = None
        return self._found[place]


def translation_now(project: Project) -> Translation | None:
    """Return `Translation.of` a project, the same one as long as its protos are the same files: for who asks often."""
    try:
        with os.scandir(project.conf_root) as entries:
            stats = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(".proto")]
    except OSError:
        return None
    return _translation_at(project, tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)))


@lru_cache(maxsize=16)
def _translation_at(project: Project, stamps: tuple[tuple[str, int, int], ...]) -> Translation | None:
    return Translation.of(project)


def _named_in(schema: Schema) -> Iterator[tuple[str, Named]]:
    """Yield everything in the protos that can have had another name, by what it is called."""
    enums: list[EnumDescriptor] = []
    for name in file_names(schema.file_set):
        enums += schema.pool.FindFileByName(name).enum_types_by_name.values()
    for message in schema.message_types().values():
        yield message.full_name, message
        yield from ((field.full_name, field) for field in message.fields)
        yield from ((oneof.full_name, oneof) for oneof in message.oneofs)
        enums += message.enum_types
    for enum in enums:
        yield enum.full_name, enum
        yield from ((f"{enum.full_name}.{value.name}", value) for value in enum.values)


def _value(field: FieldDescriptor | None, value: Any) -> Any:
    """Return a value, or a list of them, in which values of enums and fields have the names of today."""
    if field is None:
        return value
    enum = field.enum_type
    if field.message_type is not None and isinstance(value, str) and value[:1] in ("[", "{"):
        return value_of_today(field, value)[0]
    if enum is None:
        return value

    def today(name: str) -> str:
        known = once_named(enum.values, name) if name not in enum.values_by_name else None
        return name if known is None else str(known.name)

    if isinstance(value, list):
        return [_value(field, one) for one in value]
    return _WORD.sub(lambda word: today(word[0]), value) if isinstance(value, str) else value
