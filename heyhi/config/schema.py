"""The schema of a project: its protos, compiled once and cached, and what can be asked of their messages.

Config files are read by `prototxt` and `includes`; generated modules, for who wants them, are written by `protos`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import DecodeError, Message

from heyhi.config.buildable import check_buildable
from heyhi.config.renames import is_was_line, may_have_earlier_names, note_earlier_names
from heyhi.config.templates import OPEN, has_need, replace_needs, replace_root
from heyhi.config.type_hints import with_hints
from heyhi.errors import HeyhiError, SchemaError
from heyhi.files import read_bounded, user_cache, write_temp
from heyhi.project import Project
from heyhi.regex import regex
from heyhi.value import Value

ROOT_MESSAGE = "MetaCfg"
TASK_ONEOF = "task"
INCLUDES = "includes"  # a message's field of what it includes: merged and gone once it is composed
_OUR_POOL = "heyhi/private"  # a file without content in each pool of ours, by which its messages are known
_CACHE_VERSION = b"5"
_IMPORT = regex(rb'^\s*import\s+(?:public\s+|weak\s+)?"([^"]+)"\s*;', re.MULTILINE)
_NAME = regex(r"[A-Za-z_][A-Za-z0-9_]*")


class Schema(Value):
    """The compiled protos of a project, and the classes of their messages.

    Attributes:
        file_set: serialised FileDescriptorSet, dependencies first, without source info.
        root_name: full name of the root message.
    """

    file_set: bytes
    root_name: str

    @classmethod
    def from_file_set(cls, file_set: bytes, root_name: str) -> Schema:
        """Build a schema from what another process compiled (a manifest holds it)."""
        return cls(file_set, root_name)

    @cached_property
    def digest(self) -> str:
        """16 hex digits of the SHA-256 of the compiled protos."""
        return hashlib.sha256(self.file_set).hexdigest()[:16]

    @cached_property
    def pool(self) -> descriptor_pool.DescriptorPool:
        """Private pool: two projects with messages of one name can be open at once."""
        pool = descriptor_pool.DescriptorPool()
        pool.Add(descriptor_pb2.FileDescriptorProto(name=_OUR_POOL))
        for file in descriptor_pb2.FileDescriptorSet.FromString(self.file_set).file:
            pool.Add(file)
        return pool

    @cached_property
    def root(self) -> Descriptor:
        """Descriptor of the root message."""
        return self.pool.FindMessageTypeByName(self.root_name)

    @cached_property
    def root_class(self) -> type[Message]:
        """Class of the root message."""
        return message_factory.GetMessageClass(self.root)

    @cached_property
    def task_oneof(self) -> OneofDescriptor:
        """Oneof of the root message whose members are the tasks.

        Raises:
            SchemaError: the root message has no oneof that could be it.
        """
        oneofs = real_oneofs(self.root)
        named = [o for o in oneofs if o.name == TASK_ONEOF] or oneofs
        if len(named) != 1:
            raise SchemaError(
                f"{self.root.file.name}: message {self.root_name} needs one oneof named '{TASK_ONEOF}', whose"
                f" members are the tasks; its oneofs are: {', '.join(o.name for o in oneofs) or 'none'}"
            )
        return named[0]

    @cached_property
    def tasks(self) -> dict[str, FieldDescriptor]:
        """Task fields of the root message, by name.

        Raises:
            SchemaError: one of them is no message.
        """
        fields = {f.name: f for f in self.task_oneof.fields}
        for name, field in fields.items():
            if field.message_type is None:
                file = self.root.file.name
                raise SchemaError(f"{file}: task '{name}' of {self.root_name} must be a message")
        return fields

    def message_types(self) -> dict[str, Descriptor]:
        """Return every message type of the protos by its full name, nested ones too."""
        found: dict[str, Descriptor] = {}
        for file in descriptor_pb2.FileDescriptorSet.FromString(self.file_set).file:
            todo = list(self.pool.FindFileByName(file.name).message_types_by_name.values())
            while todo:
                here = todo.pop(0)
                if not is_map_entry(here):
                    found[here.full_name] = here
                    todo += here.nested_types
        return found

    @cached_property
    def has_required(self) -> bool:
        """Whether any message has a required field (proto2), which a config may have left out."""
        return any(field.is_required for message in self.message_types().values() for field in message.fields)

    @cached_property
    def has_renames(self) -> bool:
        """Whether anything in it may have had another name before."""
        return may_have_earlier_names(self.file_set)

    def new_root(self) -> Message:
        """Make an empty root message."""
        return self.root_class()

    def parse_root(self, data: bytes) -> Message:
        """Read a serialised root message."""
        return self.root_class.FromString(data)


def type_of(message: Message) -> Descriptor:
    """Return a message's type."""
    # The stubs also name the C implementation's class, which is no subclass and looks the same.
    return cast(Descriptor, message.DESCRIPTOR)


def is_private(kind: Descriptor) -> bool:
    """Return whether a message type is of a pool that HeyHi has made, and no generated module has its class."""
    try:
        kind.file.pool.FindFileByName(_OUR_POOL)
    except KeyError:
        return False
    return True


def set_fields(message: Message) -> list[tuple[FieldDescriptor, Any]]:
    """List the fields that are set in a message, with their values; extensions have no keys and are left out."""
    return [(field, value) for field, value in message.ListFields() if not field.is_extension]


def children(message: Message) -> Iterator[tuple[str, Message]]:
    """Yield the messages that are set in a message, with their field's name; elements of lists and maps too."""
    for field, value in set_fields(message):
        if element(field).message_type is None:
            continue
        if is_map(field):
            yield from ((field.name, value[key]) for key in sorted(value))
        elif field.is_repeated:
            yield from ((field.name, one) for one in value)
        else:
            yield field.name, value


def map_strings(message: Message, change: Callable[[str], str]) -> None:
    """Rewrite each string value in a message, in place."""
    for field, value in set_fields(message):
        is_text = element(field).type == FieldDescriptor.TYPE_STRING
        if is_map(field):
            for key in list(value):
                if is_text:
                    value[key] = change(value[key])
        elif field.is_repeated and is_text:
            value[:] = [change(v) for v in value]
        elif is_text and "{" in value:
            setattr(message, field.name, change(value))
    for _, child in children(message):
        map_strings(child, change)


def copy_of(message: Message) -> Message:
    """Return a copy of a message, which can be changed by itself."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def types_below(*kinds: Descriptor) -> Iterator[Descriptor]:
    """Yield message types and all that their fields lead to, each once, outer ones first; entries of maps too."""
    todo = list(kinds)
    seen = {kind.full_name for kind in kinds}
    while todo:
        here = todo.pop(0)
        yield here
        for field in here.fields:
            for inner in (field.message_type, element(field).message_type):
                if inner is not None and inner.full_name not in seen:
                    seen.add(inner.full_name)
                    todo.append(inner)


def is_too_deep(message: Message) -> bool:
    """Return whether a message is nested deeper than protobuf reads again (100 levels)."""
    try:
        type(message).FromString(message.SerializePartialToString())
    except DecodeError:
        return True
    return False


def is_name(text: str) -> bool:
    """Return whether a text could name something in a proto; protobuf's own lookups fail on some other texts."""
    return _NAME.fullmatch(text) is not None


def field_named(message: Descriptor, name: str) -> FieldDescriptor | None:
    """Return a message type's field of a name, None where it has none."""
    return message.fields_by_name.get(name) if is_name(name) else None


def oneof_named(message: Descriptor, name: str) -> OneofDescriptor | None:
    """Return a message type's oneof of a name, None where it has none."""
    oneof = message.oneofs_by_name.get(name) if is_name(name) else None
    return None if oneof is None or is_synthetic(oneof) else oneof


def real_oneofs(message: Descriptor) -> list[OneofDescriptor]:
    """List a message's oneofs, less those that protoc makes for proto3 `optional` fields."""
    return [o for o in message.oneofs if not is_synthetic(o)]


def is_synthetic(oneof: OneofDescriptor) -> bool:
    """Return whether protoc made this oneof for a proto3 `optional` field (named `_<field>`, one member)."""
    return len(oneof.fields) == 1 and oneof.name.lstrip("X") == f"_{oneof.fields[0].name}"


def oneof_of(field: FieldDescriptor) -> OneofDescriptor | None:
    """Return the oneof that a field is a member of, None where it is of none that stands in the proto."""
    oneof: OneofDescriptor | None = field.containing_oneof
    return None if oneof is None or is_synthetic(oneof) else oneof


def is_map(field: FieldDescriptor) -> bool:
    """Return whether a field is a map."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def is_map_entry(message: Descriptor) -> bool:
    """Return whether protoc made this message type for the entries of a map: nobody writes one by itself."""
    return bool(message.GetOptions().map_entry)


def message_type(field: FieldDescriptor) -> Descriptor:
    """Return the message type of a field that holds messages (a map's entries are messages, too)."""
    found = field.message_type
    assert found is not None, field.full_name
    return found


def enum_type(field: FieldDescriptor) -> EnumDescriptor:
    """Return the enum of a field that holds enum values."""
    found = field.enum_type
    assert found is not None, field.full_name
    return found


def map_key(field: FieldDescriptor) -> FieldDescriptor:
    """Return the field that describes a map's keys."""
    return message_type(field).fields_by_name["key"]


def element(field: FieldDescriptor) -> FieldDescriptor:
    """Return the field that describes what a field holds: of a map its values, else the field itself."""
    return message_type(field).fields_by_name["value"] if is_map(field) else field


def load_schema(project: Project) -> Schema:
    """Compile a project's protos, or read them from the cache when no byte of them changed.

    Raises:
        SchemaError: a proto is missing or doesn't compile, protobuf makes no messages of it, no or two root messages
            are defined, or earlier names of something in them are wrong.
    """
    file_set, data = _compiled(project, "schema")
    root_name = _find_root(project, file_set)
    if OPEN.encode() in data:
        _write_defaults(file_set, str(project.root))
        data = file_set.SerializeToString(deterministic=True)
    return _same_schema(data, root_name)


@lru_cache(maxsize=16)  # one object for the same protos: messages of two configs are of the same classes then
def _same_schema(file_set: bytes, root_name: str) -> Schema:
    return Schema(file_set, root_name)


def _write_defaults(file_set: descriptor_pb2.FileDescriptorSet, root: str) -> None:
    """Write out {{ROOT_DIR}} in the defaults of strings, as in any other text.

    Raises:
        SchemaError: there is another template in one.
    """
    for file in file_set.file:
        todo = [(file.package, message) for message in file.message_type]
        for outer, message in todo:
            name = f"{outer}.{message.name}".lstrip(".")
            todo += [(name, inner) for inner in message.nested_type]
            for field in message.field:
                if field.type == field.TYPE_STRING and OPEN in field.default_value:
                    field.default_value = _written(field.default_value, root, f"{file.name}: {name}.{field.name}")


def _written(default: str, root: str, name: str) -> str:
    def refuse(words: str) -> str:
        raise SchemaError(
            f"{name}: its default names an experiment or a file ({words}): only a config or an override can"
        )

    try:
        written = replace_root(default, root)
        return replace_needs(written, refuse) if has_need(written) else written
    except SchemaError:
        raise
    except HeyhiError as error:
        raise SchemaError(f"{name}: its default: {error}") from None


def load_comments(project: Project) -> dict[str, str]:
    """Read the comments in a project's protos.

    Returns:
        full name of each commented message, field, oneof, enum and enum value -> its comment, less earlier names.
    """
    comments: dict[str, str] = {}
    for file in _compiled(project, "source")[0].file:
        for location in file.source_code_info.location:
            text = _less_names(location.leading_comments) or _less_names(location.trailing_comments)
            name = _name_at(file, list(location.path)) if text else None
            if name:
                comments[name] = " ".join(text.split())
    return comments


def _compiled(project: Project, kind: str) -> tuple[descriptor_pb2.FileDescriptorSet, bytes]:
    """Return the compiled protos (`schema`, or `source`: with comments), from the cache where it has them."""
    include, names = _proto_names(project)
    folder = user_cache()
    stem = _digest(include, names)
    try:
        data = read_bounded(folder / f"{stem}.{kind}.pb")
        found = descriptor_pb2.FileDescriptorSet.FromString(data)
        if found.file:
            return found, data
    except (OSError, DecodeError):  # not there, or damaged: make it anew
        pass
    source = _compile(project, include, names)
    file_set = descriptor_pb2.FileDescriptorSet.FromString(source)
    check_buildable(file_set)
    note_earlier_names(file_set, {file.name: _own_text(include / file.name) for file in file_set.file})
    for file in file_set.file:
        file.ClearField("source_code_info")
    made = {"schema": file_set.SerializeToString(deterministic=True), "source": source}
    _cache(folder, stem, made)
    return descriptor_pb2.FileDescriptorSet.FromString(made[kind]), made[kind]


def _own_text(path: Path) -> str:
    """Return the text of a proto; of one that comes with protoc, which lies elsewhere, nothing."""
    return path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""


def _less_names(comment: str) -> str:
    return "\n".join(line for line in comment.split("\n") if not is_was_line(line)).strip()


def _cache(folder: Path, stem: str, made: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, data in made.items():
            path = folder / f"{stem}.{kind}.pb"
            write_temp(path, data).replace(path)
    except OSError:  # no home, or a full one: the cache only saves time
        pass


def _proto_names(project: Project) -> tuple[Path, list[str]]:
    """Choose the folder that imports are relative to, and name the protos as protoc will."""
    conf = project.conf_root
    try:
        files = sorted(p for p in conf.glob("*.proto") if p.is_file())
    except OSError as error:
        raise SchemaError(f"{conf}: can't be read: {error.strerror}") from None
    if not files:
        raise SchemaError(f"{conf}: no .proto file here: the schema of the configs ({ROOT_MESSAGE}) is missing")
    # Imports say `conf/x.proto` in most projects; in some, whose protoc ran inside conf/, just `x.proto`.
    imported = {name for p in files for name in _imports(_read(p))}
    inside = any(not (project.root / n).is_file() and (conf / n).is_file() for n in imported)
    include = conf if inside or not conf.is_relative_to(project.root) else project.root
    return include, [p.relative_to(include).as_posix() for p in files]


def _imports(text: bytes) -> list[str]:
    return [os.fsdecode(name) for name in _IMPORT.findall(text) if b"\0" not in name]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SchemaError(f"{path}: can't be read: {error.strerror}") from None


def _digest(include: Path, names: list[str]) -> str:
    """Digest the protos and all that they import below the include folder."""
    digest = hashlib.sha256(_CACHE_VERSION)
    todo, seen = list(names), set(names)
    while todo:
        name = todo.pop()
        text = _read(include / name)
        digest.update(os.fsencode(f"{name}\0{len(text)}\0") + text)
        new = [n for n in dict.fromkeys(_imports(text)) if n not in seen and (include / n).is_file()]
        seen.update(new)
        todo += new
    return digest.hexdigest()[:32]


# What protoc's logging says about itself.
_NOISE = regex(r"WARNING: All log messages|[IWE]\d{4} ")


def _compile(project: Project, include: Path, names: list[str]) -> bytes:
    import subprocess
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as temp:
        out = Path(temp) / "set.pb"
        # Run where imports start, so that protoc's messages name files as the imports do. -P: the folder's own
        # modules must not stand in for Python's.
        command = [sys.executable, "-P", "-m", "grpc_tools.protoc", "-I.", "--include_imports"]
        command += ["--include_source_info", f"--descriptor_set_out={out}", *names]
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, cwd=include
        )
        if done.returncode == 0 and out.is_file():
            return out.read_bytes()
    lines = (done.stderr or done.stdout).strip().splitlines()
    text = "\n".join(line for line in lines if not _NOISE.match(line))
    if "No module named" in text:
        raise SchemaError(f"protoc can't be run (is grpcio-tools installed?): {text}")
    folder = project.relative(include)
    where = "" if folder == "." else f" (paths are relative to {folder})"
    text = with_hints(text, [_own_text(include / name) for name in names])
    raise SchemaError(f"the protos don't compile{where}:\n{text}")


def _find_root(project: Project, file_set: descriptor_pb2.FileDescriptorSet) -> str:
    found = [
        (file.name, f"{file.package}.{ROOT_MESSAGE}".lstrip("."))
        for file in file_set.file
        if any(m.name == ROOT_MESSAGE for m in file.message_type)
    ]
    if len(found) != 1:
        where = ", ".join(name for name, _ in found)
        problem = f"is defined {len(found)} times ({where})" if found else "is defined in none of them"
        protos = f"{project.relative(project.conf_root)}/*.proto"
        raise SchemaError(f"{protos}: the root message {ROOT_MESSAGE} {problem}")
    return found[0][1]


def _name_at(file: descriptor_pb2.FileDescriptorProto, path: list[int]) -> str | None:
    """Follow a source location's path (see descriptor.proto) to the full name of what stands there."""
    node: object = file
    parts = [file.package] if file.package else []
    for number, index in _pairs(path):
        field = node.DESCRIPTOR.fields_by_number.get(number)  # type: ignore[attr-defined]
        if field is None or index is None or not field.is_repeated:
            return None
        node = getattr(node, field.name)[index]
        if not hasattr(node, "name"):
            return None
        parts.append(node.name)
    return ".".join(parts) or None


def _pairs(path: list[int]) -> Iterator[tuple[int, int | None]]:
    for i in range(0, len(path), 2):
        yield path[i], path[i + 1] if i + 1 < len(path) else None
