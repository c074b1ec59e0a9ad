"""A proto that is ours, brought up to date in a project that may have added to it: nothing that it has is lost.

Our text is the base; fields, messages, and numbers and names reserved that only the project's has are put into it, and
its defaults stay. Where that can't be, the names that are in the way are told, and nothing comes of it.
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

_ENDS_COMMENT = re.compile(r"\s*//|.*\*/\s*$")
_OPTIONS = re.compile(r"\s*\[.*\]", re.DOTALL)
# Numbers of descriptor.proto, of which the paths of places are made.
_MESSAGE, _ENUM, _FIELD, _NESTED, _NESTED_ENUM, _ONEOF, _RESERVED = 4, 5, 2, 3, 4, 8, (9, 10)
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
        self._spans: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for place in self.file.source_code_info.location:
            first, column, *rest = place.span
            last, end = rest if len(rest) == 2 else (first, rest[0])
            self._spans.setdefault(tuple(place.path), []).append((starts[first] + column, starts[last] + end))

    def span(self, path: tuple[int, ...]) -> tuple[int, int]:
        """Return where a declaration begins and ends, in bytes."""
        return self._spans[path][0]

    def declaration(self, path: tuple[int, ...]) -> str:
        """Return the text of a declaration."""
        start, end = self.span(path)
        return self._data[start:end].decode()

    def reserved(self, path: tuple[int, ...]) -> dict[str, str]:
        """Return what a message reserves: each statement in one line -> its text with comments."""
        spans = (span for kind in _RESERVED for span in self._spans.get((*path, kind), ()))
        return {" ".join(self._data[slice(*span)].decode().split()): self._with_comments(*span) for span in spans}

    def with_comments(self, path: tuple[int, ...]) -> str:
        """Return the text of a declaration, with the comments above it and behind it, indented as it is."""
        return self._with_comments(*self.span(path))

    def _with_comments(self, start: int, end: int) -> str:
        *lines, indent = self._data[:start].decode().split("\n")
        first, is_block = len(lines), False
        while first and (is_block or _ENDS_COMMENT.match(lines[first - 1])):
            first -= 1
            is_block = (is_block or lines[first].rstrip().endswith("*/")) and "/*" not in lines[first]
        behind = self._data[end:].decode().partition("\n")[0]
        comment = behind if behind.strip().startswith(("//", "/*")) else ""
        return "\n".join([*lines[first:], f"{indent}{self._data[start:end].decode()}{comment}"])

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
    merging = _Merging(_Source(old_text), _Source(new_text))
    text = merging.merge()
    _check(merging.old.file, compile_alone(text))
    return Merged(text, merging.kept)


class _Message(NamedTuple):
    """A message and where it stands."""

    source: _Source
    path: tuple[int, ...]
    message: Message


class _Merging:
    """How our text becomes the merged one.

    Attributes:
        old: the project's.
        new: ours.
        kept: what of the project's own is put in, a line each.
    """

    def __init__(self, old: _Source, new: _Source) -> None:
        self.old, self.new = old, new
        self.kept: list[str] = []
        self._wrong: list[str] = []
        self._edits: list[tuple[int, int, str]] = []
        self._blocks: dict[tuple[int, ...], list[str]] = {}  # of our text -> what goes in before its last brace

    def merge(self) -> str:
        """Return the merged text.

        Raises:
            SchemaError: the two can't be put together.
        """
        old, new = self.old.file, self.new.file
        if (old.package, old.syntax) != (new.package, new.syntax):
            raise SchemaError("it has a package or a syntax of its own")
        places = {message.name: index for index, message in enumerate(new.message_type)}
        enums = {enum.name for enum in new.enum_type}
        more = [(_ENUM, index, enum.name) for index, enum in enumerate(old.enum_type) if enum.name not in enums]
        for index, message in enumerate(old.message_type):
            if message.name in places:
                at = places[message.name]
                ours = _Message(self.new, (_MESSAGE, at), new.message_type[at])
                self._merge_message(_Message(self.old, (_MESSAGE, index), message), ours)
            else:
                more.append((_MESSAGE, index, message.name))
        if self._wrong:
            raise SchemaError("\n".join(self._wrong))
        self.kept += [name for _, _, name in more]
        for path, texts in self._blocks.items():
            end = self.new.span(path)[1] - 1
            indent = "  " if len(path) > 2 else ""  # before the brace that closes a oneof
            self._edits.append((end - len(indent), end, "\n".join(texts) + f"\n{indent}"))
        behind = "".join(f"\n\n{self.old.with_comments((kind, index))}" for kind, index, _ in sorted(more))
        return self.new.edited(self._edits).rstrip("\n") + f"{behind}\n"

    def _merge_message(self, old: _Message, new: _Message) -> None:
        by_name = {field.name: index for index, field in enumerate(new.message.field)}
        by_number = {field.number: field.name for field in new.message.field}
        for index, field in enumerate(old.message.field):
            name = f"{old.message.name}.{field.name}"
            if field.name in by_name:
                self._merge_field(name, old, index, new, by_name[field.name])
            elif field.number in by_number:
                other = by_number[field.number]
                self._wrong.append(f"{name}: has the number {field.number}, which '{other}' has in HeyHi: take another")
            else:
                self.kept.append(name)
                self._keep_field(old, index, new)
        there = new.source.reserved(new.path)
        for statement, text in old.source.reserved(old.path).items():
            if statement not in there:
                self.kept.append(f"{old.message.name}: {statement}")
                self._put(new.path, text)
        types = {one.name for one in new.message.nested_type} | {one.name for one in new.message.enum_type}
        own = [(_NESTED, n, one.name) for n, one in enumerate(old.message.nested_type) if not one.options.map_entry]
        own += [(_NESTED_ENUM, n, one.name) for n, one in enumerate(old.message.enum_type)]
        for kind, index, type_name in own:
            if type_name not in types:
                self.kept.append(f"{old.message.name}.{type_name}")
                self._put(new.path, old.source.with_comments((*old.path, kind, index)))

    def _merge_field(self, name: str, old: _Message, index: int, new: _Message, at: int) -> None:
        """Take a field as we have it, with the project's default."""
        field, theirs = old.message.field[index], new.message.field[at]
        here = old.source.declaration((*old.path, _FIELD, index))
        there = new.source.declaration((*new.path, _FIELD, at))
        if _kind(field) != _kind(theirs):
            self._wrong.append(f"{name}: is '{here}' here, '{there}' in HeyHi")
        elif field.default_value != theirs.default_value:
            options = _OPTIONS.search(here)
            text = f"{_OPTIONS.sub('', there).removesuffix(';')}{options.group() if options else ''};"
            self._edits.append((*new.source.span((*new.path, _FIELD, at)), text))
            shown = (one.default_value or "none" for one in (field, theirs))
            self.kept.append("{}: default {} (HeyHi's: {})".format(name, *shown))

    def _keep_field(self, old: _Message, index: int, new: _Message) -> None:
        """Put a field of the project's own in: where it is one of a choice, into that, or the choice as a whole."""
        field, path = old.message.field[index], (*old.path, _FIELD, index)
        if not field.HasField("oneof_index") or field.proto3_optional:
            self._put(new.path, old.source.with_comments(path))
            return
        choices = [one.name for one in new.message.oneof_decl]
        choice = old.message.oneof_decl[field.oneof_index].name
        if choice in choices:
            self._put((*new.path, _ONEOF, choices.index(choice)), old.source.with_comments(path))
        elif field.oneof_index not in {
            one.oneof_index for one in old.message.field[:index] if one.HasField("oneof_index")
        }:
            self._put(new.path, old.source.with_comments((*old.path, _ONEOF, field.oneof_index)))

    def _put(self, path: tuple[int, ...], text: str) -> None:
        self._blocks.setdefault(path, []).append(text)


def _kind(field: Field) -> tuple[object, ...]:
    """Return what of a field its configs go by, less its default; in a oneof it is as optional as elsewhere."""
    return (field.number, field.type, field.type_name, field.label == Field.LABEL_REPEATED)


def _fields(messages: Sequence[Message], above: str = "") -> Iterator[tuple[str, tuple[object, ...]]]:
    for message in messages:
        for field in message.field:
            yield f"{above}{message.name}.{field.name}", (*_kind(field), field.default_value)
        yield from _fields(message.nested_type, f"{above}{message.name}.")


def _others(file: descriptor_pb2.FileDescriptorProto) -> Iterator[str]:
    """Yield what may stand in a proto beside fields, in words."""
    yield from (f"option {option.name} of the file" for option, _ in file.options.ListFields())
    for above, message in _all_messages(file.message_type):
        name = f"{above}{message.name}"
        yield from (f"{name}: option {option.name}" for option, _ in message.options.ListFields())
        yield from (f"{name}: extensions {one.start} to {one.end - 1}" for one in message.extension_range)
        yield from (f"{name}: reserved {one.start} to {one.end - 1}" for one in message.reserved_range)
        yield from (f'{name}: reserved "{one}"' for one in message.reserved_name)
        for field in message.field:
            yield from (f"{name}.{field.name}: option {option.name}" for option, _ in field.options.ListFields())


def _all_messages(messages: Sequence[Message], above: str = "") -> Iterator[tuple[str, Message]]:
    for message in messages:
        if not message.options.map_entry:
            yield above, message
            yield from _all_messages(message.nested_type, f"{above}{message.name}.")


def _check(old: descriptor_pb2.FileDescriptorProto, merged: descriptor_pb2.FileDescriptorProto) -> None:
    """Make sure that nothing was lost, whatever a proto may hold."""
    there = dict(_fields(merged.message_type))
    lost = [name for name, kind in _fields(old.message_type) if there.get(name) != kind]
    names = {enum.name: list(map(str, enum.value)) for enum in merged.enum_type}
    lost += [enum.name for enum in old.enum_type if names.get(enum.name) != list(map(str, enum.value))]
    still = set(_others(merged))
    lost += [text for text in _others(old) if text not in still]
    if lost or old.service or old.extension:
        raise SchemaError(f"{', '.join(lost) or 'what it has beside messages and enums'}: would be lost")
