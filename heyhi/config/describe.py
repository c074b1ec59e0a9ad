"""The text of `heyhi describe`: a message's fields with types, defaults, comments, and what a config sets them to.

Reading and composing configs is left to `includes` and `compose`.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from heyhi.config.chunks import Root
from heyhi.config.compose import Composed
from heyhi.config.frozen import to_text
from heyhi.config.identity import SUFFIX
from heyhi.config.includes import ConfigFiles
from heyhi.config.keys import Key, Kind, find_key, present
from heyhi.config.leaves import default_of, entry_text, leaves
from heyhi.config.mounts import include_folders, mount_folder
from heyhi.config.overrides import override_lines
from heyhi.config.renames import Named, earlier_names
from heyhi.config.schema import (
    INCLUDES,
    Schema,
    element,
    is_map,
    load_comments,
    map_key,
    message_type,
    oneof_of,
    set_fields,
    type_of,
)
from heyhi.config.values import scalar_text, shorten
from heyhi.errors import ConfigError
from heyhi.files import is_offered
from heyhi.project import Project
from heyhi.text import padded, shell_word, width_of

_MAX_WIDTH = 120
_MAX_VALUE = 60  # characters of a value or default
_MAX_WIDTHS = (40, 30, 16, 12)  # of the columns; a longer cell moves those behind it, in its own line only
_FOLD = 6  # a message with more fields is only named, unless the config sets something in it
_DEPTH = 3  # below this, too
# double, int32, bytes … as the protos write them.
TYPE_NAMES = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


@dataclass(frozen=True)
class _Row:
    """One line of the table, and what is written below it.

    Attributes:
        cells: key, type, default, and what it is set to.
        notes: comments and hints.
        depth: how many messages it lies in.
        source: file and line that set it; '' where none does.
    """

    cells: tuple[str, str, str, str]
    notes: tuple[str, ...]
    depth: int
    source: str = ""


@dataclass(frozen=True)
class Scene:
    """What is described: a schema with its comments and, where a config was named, that config.

    Attributes:
        project: where configs are looked up.
        schema: its messages are described.
        files: the project's configs.
        comments: those of the protos, by full name.
        command: the user's, to which a key can be added.
        task: name of the task.
        root: the config; None where a task was named.
    """

    project: Project
    schema: Schema
    files: ConfigFiles
    comments: dict[str, str]
    command: str
    task: str
    root: Root | None = None

    @property
    def task_type(self) -> Descriptor:
        """Message type of the task."""
        return message_type(self.schema.tasks[self.task])

    @property
    def folder(self) -> Path:
        """Folder in which chunks are looked up first."""
        return self.root.path.parent if self.root is not None else self.project.conf_root

    @property
    def notes(self) -> list[str]:
        """What a user should know of the files."""
        if self.root is None:
            return self.files.notes
        message = getattr(self.root.message, self.task)
        joined = self.files.joined_lists(message, self.root.joined, self.root.sources)
        return [*self.files.notes, *(note for _, note in joined)]

    def comment(self, name: str) -> str:
        """Return the comment at what has a full name in the protos, '' where there is none."""
        return self.comments.get(name, "")

    def source(self, key: str) -> str:
        """Name the file, and the line where it is one, that sets a key."""
        if self.root is None:
            return ""
        found = find_key(self.task_type, key)
        # A chunk that was mounted there sets what is below, in no line of its own.
        mounted = [self.project.relative(s.path) for s in self.root.sources if s.names == found.names]
        return self.files.locate(self.root.sources, found) or "".join(mounted[:1])


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
    scene = set_scene(project, schema, comments, cfg)
    kind = scene.task_type
    message = getattr(scene.root.message, scene.task) if scene.root else message_factory.GetMessageClass(kind)()
    if key is not None:
        found = find_key(kind, key)
        about = (f"{found.text} is [", f"'{scene.task}.{found.text}'")  # a list, and what stands twice
        notes = [note for note in scene.notes if note.startswith(about[0]) or about[1] in note]
        told = [line for note in notes for line in _wrap(note, 0)]
        return "\n".join([*_describe_key(scene, message, found), *told])
    name = scene.root.name if scene.root else "no config"
    head = [f"{name}: task {scene.task} ({kind.name})", *_about(scene, schema.tasks[scene.task])]
    head += [line for note in scene.notes for line in _wrap(note, 0)]
    return "\n".join([*head, "", *_table(scene, _message_rows(scene, message, "", 0, ()))])


def mountable(project: Project, mount: str, folder: Path) -> list[str]:
    """List the chunks that `I.mount=NAME` finds in folders named after the mount.

    Args:
        project: where to look.
        mount: key of a message field.
        folder: of the config that includes; its chunks come before the common ones.
    """
    below = mount_folder(mount)
    folders = include_folders(project, folder)
    found = [p.stem for base in folders for p in sorted((base / below).glob(f"*{SUFFIX}")) if is_offered(p)]
    return list(dict.fromkeys(found))


def _describe_tasks(schema: Schema, comments: dict[str, str]) -> Iterator[str]:
    yield f"tasks of {schema.root_name} ({schema.root.file.name})"
    for name, one in schema.tasks.items():
        yield f"  {name} ({message_type(one).name})"
        yield from _wrap(comments.get(one.full_name, "") or comments.get(message_type(one).full_name, ""), 6)
    yield ""
    yield "`heyhi describe CFG [KEY]` describes a config's fields, `heyhi describe TASK [KEY]` those of a task."


def set_scene(project: Project, schema: Schema, comments: dict[str, str], cfg: str) -> Scene:
    """Open a config, or a task's bare schema where the word names a task and no config."""
    files = ConfigFiles(project, schema)
    command = f"heyhi describe {shell_word(cfg)}"
    try:
        path = files.find_config(cfg)
    except ConfigError:
        if cfg not in schema.tasks:
            raise
        return Scene(project, schema, files, comments, command, cfg)
    root = files.root(path)
    return Scene(project, schema, files, comments, command, root.task, root)


def _describe_key(scene: Scene, task: Message, key: Key) -> Iterator[str]:
    """Describe what a key leads to: a message's fields, or the one field."""
    if key.kind is Kind.MESSAGE:
        message = reach(key, task)
        yield f"{key.text}: {message_type(key.field).name}"
        yield from _about(scene, key.field)
        yield from _wrap(_chunks_note(scene, key.text), 0)
        yield ""
        yield from _table(scene, _message_rows(scene, message, f"{key.text}.", 0, ()))
        return
    parent = Key(key.steps if key.oneof else key.steps[:-1], Kind.MESSAGE)
    holder = reach(parent, task) if parent.steps else task
    prefix = f"{parent.text}." if parent.steps else ""
    if key.oneof:
        oneof = type_of(holder).oneofs_by_name[key.oneof]
        rows = list(_oneof_rows(scene, holder, oneof, prefix, 0, ()))
    else:
        rows = list(_field_rows(scene, holder, key.steps[-1].field, prefix, 0, ()))
    yield from _table(scene, rows)


def reach(key: Key, task: Message) -> Message:
    """Return the message at a key as the config has it, or an empty one; the config stays as it is."""
    here: Message | None = task
    for step in key.steps:
        here = present(here, step) if here is not None else None
    if here is None:
        here = message_factory.GetMessageClass(message_type(key.field))()
    return here


def _message_rows(scene: Scene, message: Message, prefix: str, depth: int, seen: tuple[str, ...]) -> Iterator[_Row]:
    seen = (*seen, type_of(message).full_name)
    told: set[str] = set()
    for one in type_of(message).fields:
        oneof = oneof_of(one)
        if one.name == INCLUDES and one.is_repeated and one.message_type is not None:
            continue  # said in files, never by a key
        if oneof is None:
            yield from _field_rows(scene, message, one, prefix, depth, seen)
        elif oneof.name not in told:
            told.add(oneof.name)
            yield from _oneof_rows(scene, message, oneof, prefix, depth, seen)


def _oneof_rows(
    scene: Scene, message: Message, oneof: OneofDescriptor, prefix: str, depth: int, seen: tuple[str, ...]
) -> Iterator[_Row]:
    chosen = message.WhichOneof(oneof.name)
    members = ", ".join(f.name for f in oneof.fields)
    notes = [
        scene.comment(oneof.full_name),
        _was(oneof),
        _chunks_note(scene, f"{prefix}{oneof.name}"),
    ]
    yield _Row((f"{prefix}{oneof.name}", f"one of {members}", "", chosen or ""), _given(notes), depth)
    for member in oneof.fields:
        yield from _field_rows(scene, message, member, prefix, depth + 1, seen)


def _field_rows(
    scene: Scene, message: Message, one: FieldDescriptor, prefix: str, depth: int, seen: tuple[str, ...]
) -> Iterator[_Row]:
    key = f"{prefix}{one.name}"
    is_set = any(f.name == one.name for f, _ in set_fields(message))
    inner, enum = element(one).message_type, element(one).enum_type
    notes = [scene.comment(one.full_name) or (scene.comment(inner.full_name) if inner is not None else "")]
    notes.append(_was(one))
    unfold: Message | None = None
    if inner is not None and one.is_repeated:
        notes += _fields_notes(scene, inner, f"{key}.{'KEY' if is_map(one) else '0'}")
    elif inner is not None:
        notes.append(_chunks_note(scene, key))
        is_large = inner.full_name in seen or len(seen) > _DEPTH or len(inner.fields) > _FOLD
        if is_large and not (is_set and _anything(getattr(message, one.name))):
            notes += _fields_notes(scene, inner, key)
        else:
            unfold = getattr(message, one.name)
    if enum is not None:
        notes += _enum_notes(scene, enum)
    source = scene.source(key) if is_set else ""
    default = "" if one.is_repeated or inner is not None else _default_text(one)
    value = _value_text(message, one) if is_set else ""
    yield _Row((key, type_text(one), default, value), _given(notes), depth, source)
    if unfold is not None:
        yield from _message_rows(scene, unfold, f"{key}.", depth + 1, seen)


def _fields_notes(scene: Scene, inner: Descriptor, key: str) -> list[str]:
    names = [f.name for f in inner.fields]
    if not names:
        return ["It has no fields."]
    more = ", …" if len(names) > _FOLD else ""
    return [f"Its fields: {', '.join(names[:_FOLD])}{more}", f"{scene.command} {key}"]


def _enum_notes(scene: Scene, enum: EnumDescriptor) -> Iterator[str]:
    width = max(len(v.name) for v in enum.values)
    for value in enum.values:
        about = "; ".join(_given([scene.comment(f"{enum.full_name}.{value.name}"), _was(value)]))
        yield f"{value.name:{width}}  {about}".rstrip()


def _was(one: Named) -> str:
    """Say which names something had before; empty where it had none."""
    names = earlier_names(one)
    return f"was: {', '.join(names)}" if names else ""


def _chunks_note(scene: Scene, key: str) -> str:
    names = mountable(scene.project, key, scene.folder)
    return f"chunks: {', '.join(f'I.{key}={name}' for name in names)}" if names else ""


def _about(scene: Scene, one: FieldDescriptor) -> Iterator[str]:
    """Yield a field's comment, then that of its message type."""
    kind = message_type(one)
    for text in dict.fromkeys((scene.comment(one.full_name), _was(one), scene.comment(kind.full_name))):
        yield from _wrap(text, 0)


def type_text(one: FieldDescriptor) -> str:
    """Say in words what a field holds."""
    if is_map(one):
        return f"map of {scalar_type(map_key(one))} to {scalar_type(element(one))}"
    name = scalar_type(one)
    if one.is_repeated:
        return f"list of {name}"
    return f"{name}, required" if one.is_required else name


def scalar_type(one: FieldDescriptor) -> str:
    """Name the type of a field's values: as the protos write it, or of which message or enum they are."""
    if one.message_type is not None:
        return one.message_type.name
    if one.enum_type is not None:
        return one.enum_type.name
    return TYPE_NAMES[one.type]


def _default_text(one: FieldDescriptor) -> str:
    default = default_of(one)
    return "" if default is None else shorten(_shown(one, default), _MAX_VALUE)


def _value_text(message: Message, one: FieldDescriptor) -> str:
    value = getattr(message, one.name)
    if is_map(one):
        shown = ", ".join(f"{entry_text(k)}: {_element_text(element(one), value[k])}" for k in sorted(value))
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
    """Return whether anything is set in a message."""
    return next(leaves(message), None) is not None


def _given(notes: list[str]) -> tuple[str, ...]:
    return tuple(note for note in notes if note)


def _width() -> int:
    return max(40, min(shutil.get_terminal_size().columns, _MAX_WIDTH))


def _table(scene: Scene, rows: Iterator[_Row] | list[_Row]) -> Iterator[str]:
    """Align rows, each with its notes below."""
    listed = list(rows)
    heads = ("key", "type", "default", "set to" if scene.root else "")
    cells = [("  " * row.depth + row.cells[0], *row.cells[1:]) for row in listed]
    columns = list(zip(heads, *cells, strict=True))
    widths = [min(most, max(map(width_of, column))) for most, column in zip(_MAX_WIDTHS, columns, strict=True)]
    yield _joined(heads, widths).rstrip()
    for row, shown in zip(listed, cells, strict=True):
        indent = 2 * row.depth + 4
        line = _joined(shown, widths)
        if row.source and width_of(line) + 2 + width_of(row.source) <= _width():
            yield f"{line}  {row.source}"
        else:
            yield line.rstrip()
            yield from [f"{' ' * indent}by {row.source}"] if row.source else ()
        for note in row.notes:
            yield from _wrap(note, indent)


def _joined(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(padded(cell, width) for cell, width in zip(cells, widths, strict=True))


def _wrap(text: str, indent: int) -> list[str]:
    pad = " " * indent
    return textwrap.wrap(
        text, _width(), initial_indent=pad, subsequent_indent=pad, break_long_words=False, break_on_hyphens=False
    )


def render(composed: Composed, *, flat: str | None) -> str:
    """Write a composed config as text, or as overrides.

    Args:
        composed: what to write.
        flat: None for the text message, `set` for overrides that give what is set, `all` for these and the defaults.
    """
    if flat is None:
        return to_text(composed.message)
    base = getattr(composed.base, composed.task)
    lines = override_lines(composed.task_message, base, with_defaults=flat == "all")
    return "".join(f"{line}\n" for line in lines)
