"""Owns the text of `heyhi describe`: a message's fields with types, defaults, comments, and what a config sets them to.

It changes nothing, and how configs are composed is not its business.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from google.protobuf import message_factory, text_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from heyhi.compose import SUFFIX, Composed, Composer
from heyhi.errors import ConfigError, HeyhiError
from heyhi.overrides import (
    Key,
    Kind,
    default_of,
    find_key,
    in_oneof,
    is_map,
    leaves,
    scalar_text,
    shorten,
)
from heyhi.project import Project
from heyhi.schema import Schema, load_comments

_MAX_WIDTH = 120
_MAX_VALUE = 60  # characters of a value or default
_MAX_WIDTHS = (40, 30, 16, 12)  # of the columns; a longer cell moves those behind it, in its own line only
_FOLD = 6  # a message with more fields is only named, unless the config sets something in it
_DEPTH = 3  # below this, too


@dataclass(frozen=True)
class _Source:
    """Hold where a file sets something."""

    file: str
    line: int


@dataclass(frozen=True)
class _Row:
    """Hold one line of the table and what is written below it."""

    cells: tuple[str, str, str, str]
    notes: tuple[str, ...]
    depth: int
    source: str = ""


@dataclass
class _Scene:
    """Hold what is described: a schema with its comments and, where a config was named, what that sets."""

    project: Project
    schema: Schema
    comments: dict[str, str]
    command: str
    folder: Path
    composed: Composed | None = None
    sources: dict[tuple[str, ...], _Source] = field(default_factory=dict)

    def comment(self, name: str) -> str:
        return self.comments.get(name, "")


def describe(project: Project, schema: Schema, cfg: str | None, key: str | None) -> str:
    """Describe the fields of a config's task, or what is below a key.

    Args:
        project: where configs are.
        schema: what they must fit.
        cfg: config file, or the name of a task; None lists the tasks.
        key: any key of the task's message; None: all of it.

    Returns:
        lines for a terminal, as wide as this one.

    Raises:
        HeyhiError: there is no such config or key.
    """
    comments = load_comments(project)
    if cfg is None:
        return "\n".join(_describe_tasks(schema, comments))
    scene, task = _set_scene(project, schema, comments, cfg)
    descriptor = _message_of(schema.tasks[task])
    message = scene.composed.task_message if scene.composed else message_factory.GetMessageClass(descriptor)()
    if key is None:
        name = scene.composed.identity.cfg if scene.composed else "no config"
        head = [f"{name}: task {task} ({descriptor.name})", *_about(scene, schema.tasks[task])]
        return "\n".join([*head, "", *_table(scene, _message_rows(scene, message, "", 0, ()))])
    return "\n".join(_describe_key(scene, message, find_key(descriptor, key)))


def mountable(project: Project, mount: str, folder: Path) -> list[str]:
    """List the chunks that `I.mount=NAME` finds in folders named after the mount.

    Args:
        project: where to look.
        mount: key of a message field.
        folder: of the config that includes; its chunks come before the common ones.
    """
    below = mount.replace(".", "/")
    bases = [folder, project.conf_root / "common", *(project.root / d for d in project.settings.include_dirs)]
    found = [p.stem for base in bases for p in sorted((base / below).glob(f"*{SUFFIX}"))]
    return list(dict.fromkeys(found))


# --- what is described --------------------------------------------------------------------------------------------


def _describe_tasks(schema: Schema, comments: dict[str, str]) -> Iterator[str]:
    yield f"tasks of {schema.root_name} ({schema.root.file.name})"
    for name, one in schema.tasks.items():
        yield f"  {name} ({_message_of(one).name})"
        yield from _wrap(comments.get(one.full_name, "") or comments.get(_message_of(one).full_name, ""), 6)
    yield ""
    yield "`heyhi describe CFG [KEY]` describes a config's fields, `heyhi describe TASK [KEY]` those of a task."


def _set_scene(project: Project, schema: Schema, comments: dict[str, str], cfg: str) -> tuple[_Scene, str]:
    """Open a config, or a task's bare schema where the word names a task and no config."""
    composer = Composer(project, schema)
    command = f"heyhi describe {cfg}"
    try:
        path = composer.find_config(cfg)
    except ConfigError:
        if cfg not in schema.tasks:
            raise
        return _Scene(project, schema, comments, command, project.conf_root), cfg
    composed = composer.compose(path)
    scene = _Scene(project, schema, comments, command, path.parent, composed)
    # Keys start below the task: what the root file sets elsewhere has none.
    own: dict[tuple[str, ...], _Source] = {}
    _find_sources(composer, path, schema.new_root(), (), own)
    for names, source in own.items():
        scene.sources[names[1:] if names[:1] == (composed.task,) else names] = source
    return scene, composed.task


def _find_sources(
    composer: Composer, path: Path, message: Message, prefix: tuple[str, ...], into: dict[tuple[str, ...], _Source]
) -> None:
    """Note the line of each field that a file sets; first what it includes, which it goes over."""
    try:
        text = path.read_text(encoding="utf-8")
        text_format.Parse(text, message, descriptor_pool=composer.schema.pool)
    except (OSError, ValueError, text_format.ParseError):  # it was composed a moment ago
        return
    at_root = message.DESCRIPTOR.full_name == composer.schema.root_name
    task = message.WhichOneof(composer.schema.task_oneof.name) if at_root else None
    below = (*prefix, task) if task else prefix
    name, lines = composer.project.relative(path), text.splitlines()
    for mount, names, include in _includes_in(message, ()):
        at = below if at_root and not names else (*prefix, *names)
        at = (*at, *(part for part in mount.split(".") if part))
        try:
            wanted = include.replace("{{ROOT_DIR}}", str(composer.project.root))
            found = composer.find_include(wanted, mount, path.parent)
            chunk = _empty_at(at[len(prefix) :], message)
        except HeyhiError:
            continue
        _find_sources(composer, found, chunk, at, into)
        if at != below:
            into[at] = _Source(name, next((i for i, t in enumerate(lines, 1) if include in t), 1))
    for names, line in _lines(text):
        into[(*prefix, *names)] = _Source(name, line)


def _includes_in(message: Message, names: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield mount, place and path of the includes of a message and the messages in it, which go over its own."""
    for include in getattr(message, "includes", ()):
        yield getattr(include, "mount", ""), names, getattr(include, "path", "")
    for one, value in message.ListFields():
        if one.message_type is not None and not one.is_repeated:
            yield from _includes_in(value, (*names, one.name))


def _empty_at(names: tuple[str, ...], message: Message) -> Message:
    here = cast(Descriptor, message.DESCRIPTOR)
    if names:
        here = _message_of(find_key(here, ".".join(names)).field)
    made: Message = message_factory.GetMessageClass(here)()
    return made


def _lines(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield the name of each field that a text message sets, from the outermost on, and its line."""
    tokens = text_format.Tokenizer(text.splitlines())
    stack: list[str] = []
    name, expect_name = "", True
    while not tokens.AtEnd():
        token, line = tokens.token, tokens._line + 1  # type: ignore[attr-defined]
        if token in ("{", "<"):
            stack.append(name)
            expect_name = True
        elif token in ("}", ">"):
            if stack:
                stack.pop()
            expect_name = True
        elif token in (":", "[", ",", "-"):
            expect_name = False
        elif expect_name and token.isidentifier():
            name = token
            yield (*stack, token), line
        else:
            expect_name = True
        tokens.NextToken()


# --- rows ---------------------------------------------------------------------------------------------------------


def _describe_key(scene: _Scene, task: Message, key: Key) -> Iterator[str]:
    """Describe what a key leads to: a message's fields, or the one field."""
    if key.kind is Kind.MESSAGE:
        message = _reach(key, task)
        yield f"{key.text}: {_message_of(key.field).name}"
        yield from _about(scene, key.field)
        yield from _wrap(_chunks_note(scene, key.text), 0)
        yield ""
        yield from _table(scene, _message_rows(scene, message, f"{key.text}.", 0, ()))
        return
    parent = Key(key.steps if key.oneof else key.steps[:-1], Kind.MESSAGE)
    holder = _reach(parent, task) if parent.steps else task
    prefix = f"{parent.text}." if parent.steps else ""
    if key.oneof:
        oneof = cast(Descriptor, holder.DESCRIPTOR).oneofs_by_name[key.oneof]
        rows = list(_oneof_rows(scene, holder, oneof, prefix, 0, ()))
    else:
        rows = list(_field_rows(scene, holder, key.steps[-1].field, prefix, 0, ()))
    yield from _table(scene, rows)


def _reach(key: Key, task: Message) -> Message:
    """Return the message at a key as the config has it, or an empty one; the config stays as it is."""
    here: Any = task
    for step in key.steps:
        container = getattr(here, step.field.name)
        if step.has_entry:
            here = container.get(step.entry)
        elif step.index is not None:
            here = container[step.index] if -len(container) <= step.index < len(container) else None
        else:
            here = container
        if here is None:
            empty: Message = message_factory.GetMessageClass(_message_of(key.field))()
            return empty
    return cast(Message, here)


def _message_rows(scene: _Scene, message: Message, prefix: str, depth: int, seen: tuple[str, ...]) -> Iterator[_Row]:
    seen = (*seen, message.DESCRIPTOR.full_name)
    told: set[str] = set()
    for one in cast(Descriptor, message.DESCRIPTOR).fields:
        if one.name == "includes" and one.is_repeated and one.message_type is not None:
            continue  # said in files, never by a key
        if not in_oneof(one):
            yield from _field_rows(scene, message, one, prefix, depth, seen)
        elif one.containing_oneof is not None and one.containing_oneof.name not in told:
            told.add(one.containing_oneof.name)
            yield from _oneof_rows(scene, message, one.containing_oneof, prefix, depth, seen)


def _oneof_rows(
    scene: _Scene, message: Message, oneof: OneofDescriptor, prefix: str, depth: int, seen: tuple[str, ...]
) -> Iterator[_Row]:
    chosen = message.WhichOneof(oneof.name)
    members = ", ".join(f.name for f in oneof.fields)
    notes = [scene.comment(oneof.full_name)]
    yield _Row((f"{prefix}{oneof.name}", f"one of {members}", "", chosen or ""), _given(notes), depth)
    for member in oneof.fields:
        yield from _field_rows(scene, message, member, prefix, depth + 1, seen)


def _field_rows(
    scene: _Scene, message: Message, one: FieldDescriptor, prefix: str, depth: int, seen: tuple[str, ...]
) -> Iterator[_Row]:
    key = f"{prefix}{one.name}"
    present = any(f.name == one.name for f, _ in message.ListFields())
    notes = [scene.comment(one.full_name)]
    inner = _inner(one)
    unfold: Message | None = None
    if inner is not None:
        notes = [notes[0] or scene.comment(inner.full_name)]
        if not one.is_repeated:
            notes.append(_chunks_note(scene, key))
        deep = inner.full_name in seen or len(seen) > _DEPTH or len(inner.fields) > _FOLD
        if one.is_repeated:
            notes += _fields_notes(scene, inner, f"{key}.{'KEY' if is_map(one) else '0'}")
        elif deep and not (present and _anything(getattr(message, one.name))):
            notes += _fields_notes(scene, inner, key)
        else:
            unfold = getattr(message, one.name)
    if one.enum_type is not None:
        notes += _enum_notes(scene, one.enum_type)
    source = _source(scene, key) if present else ""
    default = "" if one.is_repeated or inner is not None else _default_text(one)
    value = _value_text(message, one) if present else ""
    yield _Row((key, _type_text(one), default, value), _given(notes), depth, source)
    if unfold is not None:
        yield from _message_rows(scene, unfold, f"{key}.", depth + 1, seen)


def _fields_notes(scene: _Scene, inner: Descriptor, key: str) -> list[str]:
    names = [f.name for f in inner.fields]
    if not names:
        return ["It has no fields."]
    more = ", …" if len(names) > _FOLD else ""
    return [f"Its fields: {', '.join(names[:_FOLD])}{more}", f"{scene.command} {key}"]


def _enum_notes(scene: _Scene, enum: EnumDescriptor) -> Iterator[str]:
    width = max(len(v.name) for v in enum.values)
    for value in enum.values:
        yield f"{value.name:{width}}  {scene.comment(f'{enum.full_name}.{value.name}')}".rstrip()


def _chunks_note(scene: _Scene, key: str) -> str:
    names = mountable(scene.project, key, scene.folder)
    return f"chunks: {', '.join(f'I.{key}={name}' for name in names)}" if names else ""


def _about(scene: _Scene, one: FieldDescriptor) -> Iterator[str]:
    """Yield a field's comment, then that of its message type."""
    for text in dict.fromkeys((scene.comment(one.full_name), scene.comment(_message_of(one).full_name))):
        yield from _wrap(text, 0)


def _source(scene: _Scene, key: str) -> str:
    found = scene.sources.get(tuple(key.split(".")))
    return f"{found.file}:{found.line}" if found else ""


def _type_text(one: FieldDescriptor) -> str:
    if is_map(one):
        entry = _message_of(one)
        keys, values = entry.fields_by_name["key"], entry.fields_by_name["value"]
        return f"map of {_scalar_type(keys)} to {_scalar_type(values)}"
    name = _scalar_type(one)
    if one.is_repeated:
        return f"list of {name}"
    return f"{name}, required" if one.is_required else name


def _scalar_type(one: FieldDescriptor) -> str:
    if one.message_type is not None:
        return one.message_type.name
    if one.enum_type is not None:
        return one.enum_type.name
    return _TYPE_NAMES[one.type]


# double, int32, bytes … as the protos write them.
_TYPE_NAMES = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


def _default_text(one: FieldDescriptor) -> str:
    default = default_of(one)
    return "" if default is None else shorten(_shown(one, default), _MAX_VALUE)


def _value_text(message: Message, one: FieldDescriptor) -> str:
    value = getattr(message, one.name)
    if is_map(one):
        entry = _message_of(one).fields_by_name["value"]
        shown = ", ".join(f"{k}: {_element_text(entry, value[k])}" for k in sorted(value))
        return shorten(f"{{{shown}}}", _MAX_VALUE)
    if one.is_repeated:
        return shorten(f"[{', '.join(_element_text(one, v) for v in value)}]", _MAX_VALUE)
    if one.message_type is not None:
        return "set"
    return shorten(_shown(one, value), _MAX_VALUE)


def _element_text(one: FieldDescriptor, value: Any) -> str:
    return "{…}" if one.message_type is not None else _shown(one, value)


def _shown(one: FieldDescriptor, value: Any) -> str:
    text = scalar_text(one, value)
    return text if text or one.cpp_type != FieldDescriptor.CPPTYPE_STRING else '""'


def _anything(message: Message) -> bool:
    return next(leaves(message), None) is not None


def _inner(one: FieldDescriptor) -> Descriptor | None:
    """Return the message type of a field's values, a map's and a list's too."""
    if is_map(one):
        return _message_of(one).fields_by_name["value"].message_type
    return one.message_type


def _message_of(one: FieldDescriptor) -> Descriptor:
    assert one.message_type is not None
    return one.message_type


def _given(notes: list[str]) -> tuple[str, ...]:
    return tuple(note for note in notes if note)


# --- text ---------------------------------------------------------------------------------------------------------


def _width() -> int:
    return max(40, min(shutil.get_terminal_size().columns, _MAX_WIDTH))


def _table(scene: _Scene, rows: Iterator[_Row] | list[_Row]) -> Iterator[str]:
    """Align rows, each with its notes below."""
    listed = list(rows)
    heads = ("key", "type", "default", "set to" if scene.composed else "")
    cells = [("  " * row.depth + row.cells[0], *row.cells[1:]) for row in listed]
    columns = list(zip(heads, *cells, strict=True))
    widths = [min(most, max(map(len, column))) for most, column in zip(_MAX_WIDTHS, columns, strict=True)]
    yield _joined(heads, widths).rstrip()
    for row, shown in zip(listed, cells, strict=True):
        indent = 2 * row.depth + 4
        line = _joined(shown, widths)
        if row.source and len(line) + 2 + len(row.source) <= _width():
            yield f"{line}  {row.source}"
        else:
            yield line.rstrip()
            yield from [f"{' ' * indent}by {row.source}"] if row.source else ()
        for note in row.notes:
            yield from _wrap(note, indent)


def _joined(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))


def _wrap(text: str, indent: int) -> list[str]:
    pad = " " * indent
    return textwrap.wrap(
        text, _width(), initial_indent=pad, subsequent_indent=pad, break_long_words=False, break_on_hyphens=False
    )
