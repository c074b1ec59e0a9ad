"""A proto that is ours, brought up to date in a project that may have added to it: nothing that it has is lost.

Our text is the base; fields, messages and imports that only the project's has are put into it, and its defaults stay.
Where that can't be, the names that are in the way are told, and nothing comes of it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from google.protobuf import descriptor_pb2

from heyhi.errors import SchemaError

_OPTIONS = re.compile(r"\s*\[.*\]", re.DOTALL)
# Numbers of descriptor.proto, of which the paths of places are made.
_MESSAGE, _ENUM, _FIELD, _NESTED, _NESTED_ENUM, _ONEOF = 4, 5, 2, 3, 4, 8
Message = descriptor_pb2.DescriptorProto
Field = descriptor_pb2.FieldDescriptorProto


class Merged(NamedTuple):
    """The outcome.

    Attributes:
        text: of the proto.
        kept: what of the project's own is in it, a line each.
    """

    text: str
    kept: Sequence[str]


class _Source:
    """A proto's text, with the place of each declaration in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.file = compile_alone(text)
        starts = [0]
        for line in text.splitlines(keepends=True):
            starts.append(starts[-1] + len(line.encode()))
        self._data = text.encode()
        self._spans: dict[tuple[int, ...], tuple[int, int]] = {}
        for place in self.file.source_code_info.location:
            first, column, *rest = place.span
            last, end = rest if len(rest) == 2 else (first, rest[0])
            self._spans.setdefault(tuple(place.path), (starts[first] + column, starts[last] + end))

    def span(self, path: tuple[int, ...]) -> tuple[int, int]:
        """Return where a declaration begins and ends, in bytes."""
        return self._spans[path]

    def declaration(self, path: tuple[int, ...]) -> str:
        """Return the text of a declaration."""
        start, end = self.span(path)
        return self._data[start:end].decode()

    def with_comments(self, path: tuple[int, ...]) -> str:
        """Return the text of a declaration, with the lines of comments above it, indented as it is."""
        start, end = self.span(path)
        lines = self._data[:start].decode().split("\n")
        indent, above = lines.pop(), list[str]()
        while lines and lines[-1].strip().startswith("//"):
            above.insert(0, lines.pop())
        return "\n".join([*above, indent + self._data[start:end].decode()])

    def edited(self, edits: Sequence[tuple[int, int, str]]) -> str:
        """Return the text with parts replaced."""
        data = self._data
        for start, end, text in sorted(edits, reverse=True):
            data = data[:start] + text.encode() + data[end:]
        return data.decode()


def compile_alone(text: str, name: str = "launcher.proto") -> descriptor_pb2.FileDescriptorProto:
    """Compile a proto that imports nothing.

    Raises:
        SchemaError: it doesn't compile.
    """
    with tempfile.TemporaryDirectory() as temp:
        (Path(temp) / name).write_text(text, encoding="utf-8")
        out = Path(temp) / "set.pb"
        command = [sys.executable, "-P", "-m", "grpc_tools.protoc", "-I.", "--include_source_info"]
        done = subprocess.run(
            [*command, f"--descriptor_set_out={out}", name],
            cwd=temp, capture_output=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        if done.returncode != 0 or not out.is_file():
            raise SchemaError((done.stderr or done.stdout).strip())
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]


def merge(old_text: str, new_text: str) -> Merged:
    """Bring a project's copy of a proto up to date.

    Args:
        old_text: the project's.
        new_text: ours.

    Raises:
        SchemaError: one doesn't compile by itself, or the two can't be put together; the message has a line for each
            name that is in the way.
    """
    if old_text == new_text:
        return Merged(new_text, ())
    old, new = _Source(old_text), _Source(new_text)
    edits: list[tuple[int, int, str]] = []
    kept: list[str] = []
    wrong: list[str] = []
    if old.file.package != new.file.package or old.file.syntax != new.file.syntax:
        raise SchemaError("it has a package or a syntax of its own")
    ours = {message.name: index for index, message in enumerate(new.file.message_type)}
    enums = {enum.name for enum in new.file.enum_type}
    more = list[str]()
    for index, message in enumerate(old.file.message_type):
        if message.name in ours:
            at = ours[message.name]
            _merge_message(_Pair(old, (_MESSAGE, index), message), _Pair(new, (_MESSAGE, at),
                           new.file.message_type[at]), edits, kept, wrong)  # fmt: skip
        else:
            more.append(old.with_comments((_MESSAGE, index)))
            kept.append(message.name)
    for index, enum in enumerate(old.file.enum_type):
        if enum.name not in enums:
            more.append(old.with_comments((_ENUM, index)))
            kept.append(enum.name)
    if wrong:
        raise SchemaError("\n".join(wrong))
    text = new.edited(edits).rstrip("\n") + "".join(f"\n\n{one}" for one in more) + "\n"
    _check(old.file, compile_alone(text))
    return Merged(text, kept)


class _Pair(NamedTuple):
    """A message and where it stands."""

    source: _Source
    path: tuple[int, ...]
    message: Message


def _merge_message(
    old: _Pair, new: _Pair, edits: list[tuple[int, int, str]], kept: list[str], wrong: list[str]
) -> None:
    by_name = {field.name: index for index, field in enumerate(new.message.field)}
    by_number = {field.number: field.name for field in new.message.field}
    blocks: dict[tuple[int, ...], list[str]] = {}  # what is to be closed by which brace
    whole = set[int]()
    for index, field in enumerate(old.message.field):
        name = f"{old.message.name}.{field.name}"
        path = (*old.path, _FIELD, index)
        if field.name in by_name:
            at = (*new.path, _FIELD, by_name[field.name])
            theirs = new.message.field[by_name[field.name]]
            if _kind(field) != _kind(theirs):
                wrong.append(
                    f"{name}: is '{old.source.declaration(path)}' here, '{new.source.declaration(at)}' in HeyHi"
                )
            elif field.default_value != theirs.default_value:
                options = _OPTIONS.search(old.source.declaration(path))
                plain = _OPTIONS.sub("", new.source.declaration(at))
                text = f"{plain.removesuffix(';')}{options.group() if options else ''};"
                edits.append((*new.source.span(at), text))
                kept.append(
                    f"{name}: default {field.default_value or 'none'} (HeyHi's: {theirs.default_value or 'none'})"
                )
            continue
        if field.number in by_number:
            other = by_number[field.number]
            wrong.append(f"{name}: has the number {field.number}, which '{other}' has in HeyHi: take any other one")
            continue
        kept.append(name)
        if not field.HasField("oneof_index") or field.proto3_optional:
            blocks.setdefault(new.path, []).append(old.source.with_comments(path))
            continue
        choice = old.message.oneof_decl[field.oneof_index].name
        same = next((n for n, one in enumerate(new.message.oneof_decl) if one.name == choice), None)
        if same is not None:
            blocks.setdefault((*new.path, _ONEOF, same), []).append(old.source.with_comments(path))
        elif field.oneof_index not in whole:
            whole.add(field.oneof_index)
            blocks.setdefault(new.path, []).append(old.source.with_comments((*old.path, _ONEOF, field.oneof_index)))
    types = {one.name for one in new.message.nested_type} | {one.name for one in new.message.enum_type}
    own = [(_NESTED, n, one.name) for n, one in enumerate(old.message.nested_type) if not one.options.map_entry]
    own += [(_NESTED_ENUM, n, one.name) for n, one in enumerate(old.message.enum_type)]
    for kind, index, type_name in own:
        if type_name not in types:
            kept.append(f"{old.message.name}.{type_name}")
            blocks.setdefault(new.path, []).append(old.source.with_comments((*old.path, kind, index)))
    for path, texts in blocks.items():
        end = new.source.span(path)[1] - 1
        indent = "  " if len(path) > 2 else ""  # before the brace that closes a oneof
        edits.append((end - len(indent), end, "\n".join(texts) + f"\n{indent}"))


def _kind(field: Field) -> tuple[object, ...]:
    """Return what of a field its configs go by, less its default; in a oneof it is as optional as elsewhere."""
    return (field.number, field.type, field.type_name, field.label == Field.LABEL_REPEATED)


def _fields(messages: Sequence[Message], above: str = "") -> Iterator[tuple[str, tuple[object, ...]]]:
    for message in messages:
        for field in message.field:
            yield f"{above}{message.name}.{field.name}", (*_kind(field), field.default_value)
        yield from _fields(message.nested_type, f"{above}{message.name}.")


def _check(old: descriptor_pb2.FileDescriptorProto, merged: descriptor_pb2.FileDescriptorProto) -> None:
    """Make sure that nothing was lost, whatever a proto may hold."""
    there = dict(_fields(merged.message_type))
    lost = [name for name, kind in _fields(old.message_type) if there.get(name) != kind]
    names = {enum.name: list(map(str, enum.value)) for enum in merged.enum_type}
    lost += [enum.name for enum in old.enum_type if names.get(enum.name) != list(map(str, enum.value))]
    if lost or old.service or old.extension:
        raise SchemaError(f"{', '.join(lost) or 'what it has beside messages and enums'}: would be lost")
