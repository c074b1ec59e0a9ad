"""The keys that overrides of a config may set, as values for programs: type, default, what a value may be.

The same as a text for people is left to `describe`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from heyhi.config.describe import Scene, mountable, reach, scalar_type, set_scene, type_text
from heyhi.config.keys import Key, Kind, find_key
from heyhi.config.leaves import default_of, entry_text
from heyhi.config.renames import earlier_names
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import (
    INCLUDES,
    Schema,
    element,
    enum_type,
    is_map,
    load_comments,
    map_key,
    message_type,
    oneof_of,
    real_oneofs,
    set_fields,
)
from heyhi.config.values import INT_RANGES, scalar_text
from heyhi.project import Project

INDEX, ENTRY = "INDEX", "KEY"  # stand in a key for any element of a list, any entry of a map
_MAX_KEYS = 20_000


class NamedNumber(NamedTuple):
    """A value of an enum."""

    name: str
    number: int
    comment: str


@dataclass(frozen=True)
class DescribedKey:
    """A key, and what an override may set it to.

    Attributes:
        key: below the task; `INDEX` and `KEY` stand for any element of a list, any entry of a map.
        type: in words, as `heyhi describe` has it.
        kind: `integer`, `number`, `boolean`, `string`, `bytes`, `enum`, `message` or `oneof`; of a list or map, that of
            what is in it.
        element: the name of the message or enum; None where it is none.
        map_key: kind of the keys of a map; None where it is none.
        default: what it reads as when nothing sets it; None where it has none.
        value: what the config sets it to; a message's is None, and so is what isn't set.
        is_set: whether the config sets it.
        source: file and line that set it.
        required: whether a config must set it.
        repeated: whether it is a list or a map.
        schedules_only: whether it only says how a run is scheduled, and so is in no identity.
        values: of an enum.
        minimum: least integer that it can hold.
        maximum: greatest one.
        members: of a oneof.
        oneof: the one that it is a member of.
        chunks: names that `I.KEY=NAME` finds for it.
        comment: of the proto.
        was: names that it had before.
        unfolded: whether the keys in it follow, where it is a message; a message in itself has no end.
    """

    key: str
    type: str
    kind: str
    element: str | None = None
    map_key: str | None = None
    default: Any = None
    value: Any = None
    is_set: bool = False
    source: str | None = None
    required: bool = False
    repeated: bool = False
    schedules_only: bool = False
    values: tuple[NamedNumber, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    members: tuple[str, ...] = ()
    oneof: str | None = None
    chunks: tuple[str, ...] = ()
    comment: str = ""
    was: tuple[str, ...] = ()
    unfolded: bool = False


class KeySpace(NamedTuple):
    """The keys of a task.

    Attributes:
        cfg: config that they are of; None where a task was named.
        task: its name.
        message: its message type.
        comment: of the proto.
        remarks: what a user should know of the files.
        keys: each after the message that it lies in.
    """

    cfg: str | None
    task: str
    message: str
    comment: str
    remarks: list[str]
    keys: list[DescribedKey]


class DescribedTask(NamedTuple):
    """A task of the schema."""

    task: str
    message: str
    comment: str


def described_tasks(project: Project, schema: Schema) -> list[DescribedTask]:
    """Return the tasks that a config can be of."""
    comments = load_comments(project)

    def comment(one: FieldDescriptor) -> str:
        return comments.get(one.full_name, "") or comments.get(message_type(one).full_name, "")

    return [DescribedTask(name, message_type(one).name, comment(one)) for name, one in schema.tasks.items()]


def key_space(project: Project, schema: Schema, cfg: str, key: str | None = None) -> KeySpace:
    """Return the keys that overrides of a config may set.

    Args:
        project: where configs are.
        schema: what they must fit.
        cfg: config file, or the name of a task.
        key: only this one and those below it; None: all.

    Raises:
        HeyhiError: there is no such config or key.
    """
    scene = set_scene(project, schema, load_comments(project), cfg)
    kind = scene.task_type
    found = find_key(kind, key) if key is not None else None
    walk = _Walk(scene, Scheduling(project.settings.identity_ignore))
    message = getattr(scene.root.message, scene.task) if scene.root is not None else None
    keys = list(walk.below(kind, message, "", ()) if found is None else walk.at(found, message))
    about = scene.comment(schema.tasks[scene.task].full_name) or scene.comment(kind.full_name)
    name = scene.root.name if scene.root is not None else None
    return KeySpace(name, scene.task, kind.name, about, scene.notes, keys[:_MAX_KEYS])


class _Walk:
    """A walk through the fields of a task."""

    def __init__(self, scene: Scene, scheduling: Scheduling) -> None:
        self._scene = scene
        self._scheduling = scheduling

    def at(self, key: Key, task: Message | None) -> Iterator[DescribedKey]:
        """Yield a key, and those below it."""
        holder = key.steps if key.oneof else key.steps[:-1]
        parent = Key(tuple(holder), Kind.MESSAGE)
        message = reach(parent, task) if holder and task is not None else task
        kind = message_type(element(holder[-1].field)) if holder else self._scene.task_type
        prefix = f"{parent.text}." if holder else ""
        if key.oneof:
            oneof = next(one for one in real_oneofs(kind) if one.name == key.oneof)
            yield from self._oneof(oneof, message, prefix, ())
        else:
            yield from self._field(key.steps[-1].field, message, prefix, ())

    def below(
        self, kind: Descriptor, message: Message | None, prefix: str, above: Sequence[str]
    ) -> Iterator[DescribedKey]:
        """Yield the keys in a message.

        Args:
            kind: of the message.
            message: as the config has it; None where it has none.
            prefix: of the keys.
            above: types of the messages that it lies in.
        """
        inside = (*above, kind.full_name)
        told: set[str] = set()
        for one in kind.fields:
            if one.name == INCLUDES and one.is_repeated and one.message_type is not None:
                continue  # said in files, never by a key
            oneof = oneof_of(one)
            if oneof is not None and oneof.name not in told:
                told.add(oneof.name)
                yield from self._oneof(oneof, message, prefix, inside)
            elif oneof is None:
                yield from self._field(one, message, prefix, inside)

    def _oneof(
        self, oneof: OneofDescriptor, message: Message | None, prefix: str, inside: Sequence[str]
    ) -> Iterator[DescribedKey]:
        chosen = message.WhichOneof(oneof.name) if message is not None else None
        names = [one.name for one in oneof.fields]
        key = f"{prefix}{oneof.name}"
        yield DescribedKey(
            key,
            f"one of {', '.join(names)}",
            "oneof",
            value=chosen,
            is_set=chosen is not None,
            schedules_only=self._scheduling.ignores(key),
            members=tuple(names),
            chunks=self._chunks(key),
            comment=self._scene.comment(oneof.full_name),
            was=earlier_names(oneof),
        )
        for one in oneof.fields:
            yield from self._field(one, message, prefix, inside, oneof.name)

    def _field(
        self, one: FieldDescriptor, message: Message | None, prefix: str, inside: Sequence[str], oneof: str = ""
    ) -> Iterator[DescribedKey]:
        key, inner = f"{prefix}{one.name}", element(one).message_type
        is_set = message is not None and any(field.name == one.name for field, _ in set_fields(message))
        value = getattr(message, one.name) if is_set else None
        low, high, _ = INT_RANGES.get(element(one).cpp_type, (None, None, ""))
        is_message = inner is not None and not one.is_repeated
        unfolds = inner is not None and inner.full_name not in inside
        comment = self._scene.comment(one.full_name)
        yield DescribedKey(
            key,
            type_text(one),
            _kind(element(one)),
            element=scalar_type(element(one)) if inner is not None or element(one).enum_type is not None else None,
            map_key=_kind(map_key(one)) if is_map(one) else None,
            default=None if one.is_repeated or inner is not None else _plain(one, default_of(one)),
            value=_set_value(one, value) if is_set and not is_message else None,
            is_set=is_set,
            source=(self._scene.source(key) or None) if is_set else None,
            required=one.is_required,
            repeated=one.is_repeated,
            schedules_only=self._scheduling.ignores(key),
            values=self._values(element(one)),
            minimum=low,
            maximum=high,
            oneof=oneof or None,
            chunks=self._chunks(key) if is_message else (),
            comment=comment or (self._scene.comment(inner.full_name) if inner is not None else ""),
            was=earlier_names(one),
            unfolded=unfolds,
        )
        if inner is not None and unfolds:
            place = "" if is_message else f"{ENTRY}." if is_map(one) else f"{INDEX}."
            yield from self.below(inner, value if is_message else None, f"{key}.{place}", inside)

    def _chunks(self, key: str) -> tuple[str, ...]:
        return tuple(mountable(self._scene.project, key, self._scene.folder))

    def _values(self, one: FieldDescriptor) -> tuple[NamedNumber, ...]:
        if one.enum_type is None:
            return ()
        enum, comment = enum_type(one), self._scene.comment
        return tuple(NamedNumber(v.name, v.number, comment(f"{enum.full_name}.{v.name}")) for v in enum.values)


def _kind(one: FieldDescriptor) -> str:
    if one.message_type is not None:
        return "message"
    if one.enum_type is not None:
        return "enum"
    if one.cpp_type in INT_RANGES:
        return "integer"
    if one.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return "number"
    if one.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return "boolean"
    return "bytes" if one.type == FieldDescriptor.TYPE_BYTES else "string"


def _set_value(one: FieldDescriptor, value: Any) -> Any:
    if is_map(one):
        return {entry_text(entry): _plain(element(one), value[entry]) for entry in sorted(value)}
    return [_plain(one, each) for each in value] if one.is_repeated else _plain(one, value)


def _plain(one: FieldDescriptor, value: Any) -> Any:
    """Return a value as JSON has it: enums by their names, bytes as an override has them."""
    if value is None:
        return None
    if one.message_type is not None:
        return {field.name: _set_value(field, inner) for field, inner in set_fields(value)}
    if one.enum_type is not None or one.type == FieldDescriptor.TYPE_BYTES:
        return scalar_text(one, value)
    if one.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
        return float(scalar_text(one, value))  # with the digits that a person wrote
    return value
