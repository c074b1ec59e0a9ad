"""Owns the schema: compiles a project's protos once, caches them, and holds their message classes in a private pool."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from heyhi.errors import SchemaError
from heyhi.project import Project

ROOT_MESSAGE = "MetaCfg"
TASK_ONEOF = "task"
_CACHE_VERSION = b"1"
_IMPORT = re.compile(rb'^\s*import\s+(?:public\s+|weak\s+)?"([^"]+)"\s*;', re.MULTILINE)


@dataclass(frozen=True)
class Schema:
    """Hold compiled protos and the classes of their messages.

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
        for file in descriptor_pb2.FileDescriptorSet.FromString(self.file_set).file:
            pool.Add(file)
        return pool

    @cached_property
    def root(self) -> Descriptor:
        """Descriptor of the root message."""
        return self.pool.FindMessageTypeByName(self.root_name)

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
                f"{self.root.file.name}: message {self.root_name} needs one oneof named '{TASK_ONEOF}',"
                f" whose members are the tasks; it has {[o.name for o in oneofs] or 'none'}"
            )
        return named[0]

    @cached_property
    def tasks(self) -> dict[str, FieldDescriptor]:
        """Task fields of the root message, by name."""
        fields = {f.name: f for f in self.task_oneof.fields}
        for name, field in fields.items():
            if field.message_type is None:
                raise SchemaError(f"{self.root.file.name}: task '{name}' of {self.root_name} must be a message")
        return fields

    def message_types(self) -> dict[str, Descriptor]:
        """Return every message type of the protos by its full name, nested ones too."""
        found: dict[str, Descriptor] = {}
        for file in descriptor_pb2.FileDescriptorSet.FromString(self.file_set).file:
            todo = list(self.pool.FindFileByName(file.name).message_types_by_name.values())
            while todo:
                here = todo.pop(0)
                if not here.GetOptions().map_entry:
                    found[here.full_name] = here
                    todo += here.nested_types
        return found

    def new_root(self) -> Message:
        """Make an empty root message."""
        return message_factory.GetMessageClass(self.root)()

    def parse_root(self, data: bytes) -> Message:
        """Read a serialised root message."""
        return message_factory.GetMessageClass(self.root).FromString(data)


def real_oneofs(message: Descriptor) -> list[OneofDescriptor]:
    """List a message's oneofs, less those that protoc makes for proto3 `optional` fields."""
    return [o for o in message.oneofs if not is_synthetic(o)]


def is_synthetic(oneof: OneofDescriptor) -> bool:
    """Tell whether protoc made this oneof for a proto3 `optional` field (named `_<field>`, one member)."""
    return len(oneof.fields) == 1 and oneof.name.lstrip("X") == f"_{oneof.fields[0].name}"


def load_schema(project: Project) -> Schema:
    """Compile a project's protos, or read them from the cache when no byte of them changed.

    Raises:
        SchemaError: a proto is missing or doesn't compile, or no or two root messages are defined.
    """
    include, names = _proto_names(project)
    cached = _cached(project, include, names, "schema")
    return Schema(cached.read_bytes() if isinstance(cached, Path) else cached, _find_root(project, include, cached))


def load_comments(project: Project) -> dict[str, str]:
    """Read the comments in a project's protos.

    Returns:
        full name of each commented message, field, oneof, enum and enum value -> its comment.
    """
    include, names = _proto_names(project)
    cached = _cached(project, include, names, "source")
    data = cached.read_bytes() if isinstance(cached, Path) else cached
    comments: dict[str, str] = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        for location in file.source_code_info.location:
            text = (location.leading_comments or location.trailing_comments).strip()
            name = _name_at(file, list(location.path)) if text else None
            if name:
                comments[name] = " ".join(text.split())
    return comments


def _proto_names(project: Project) -> tuple[Path, list[str]]:
    """Choose the folder that imports are relative to, and name the protos as protoc will."""
    conf = project.conf_root
    files = sorted(p for p in conf.glob("*.proto") if p.is_file())
    if not files:
        raise SchemaError(f"{conf}: no .proto file here: the schema of the configs ({ROOT_MESSAGE}) is missing")
    # Imports say `conf/x.proto` in most projects; in some, whose protoc ran inside conf/, just `x.proto`.
    imported = {name for p in files for name in _imports(_read(p))}
    inside = any(not (project.root / n).is_file() and (conf / n).is_file() for n in imported)
    include = conf if inside else project.root
    return include, [p.relative_to(include).as_posix() for p in files]


def _imports(text: bytes) -> list[str]:
    return [name.decode("utf-8", "replace") for name in _IMPORT.findall(text)]


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
        digest.update(f"{name}\0{len(text)}\0".encode() + text)
        new = [n for n in _imports(text) if n not in seen and (include / n).is_file()]
        seen.update(new)
        todo += new
    return digest.hexdigest()[:32]


def _cached(project: Project, include: Path, names: list[str], kind: str) -> Path | bytes:
    """Return the cache file of a kind, made when absent, or its bytes where nothing can be cached."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "heyhi"
    stem = _digest(include, names)
    path = folder / f"{stem}.{kind}.pb"
    if path.is_file():
        return path
    source = _compile(project, include, names)
    file_set = descriptor_pb2.FileDescriptorSet.FromString(source)
    for file in file_set.file:
        file.ClearField("source_code_info")
    made = {"schema": file_set.SerializeToString(deterministic=True), "source": source}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in made.items():
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as temp:
                temp.write(data)
            Path(temp.name).replace(folder / f"{stem}.{name}.pb")
    except OSError:  # no home, or a full one: the cache only saves time
        return made[kind]
    return path


def _compile(project: Project, include: Path, names: list[str]) -> bytes:
    import subprocess
    import sys

    with tempfile.TemporaryDirectory() as temp:
        out = Path(temp) / "set.pb"
        flags = [f"-I{include}", "--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
        done = subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", *flags, *(str(include / n) for n in names)],
            capture_output=True,
            text=True,
            check=False,
            cwd=include,
        )
        if done.returncode != 0 or not out.is_file():
            # protoc names files relative to the include folder, or by the path that it was given.
            text = (done.stderr or done.stdout).strip().replace(f"{include}{os.sep}", "")
            folder = project.relative(include)
            where = "" if folder in (".", "") else f" (paths are relative to {folder})"
            raise SchemaError(f"the protos don't compile{where}:\n{text}")
        return out.read_bytes()


def _find_root(project: Project, include: Path, cached: Path | bytes) -> str:
    data = cached.read_bytes() if isinstance(cached, Path) else cached
    found = [
        (file, f"{file.package}.{ROOT_MESSAGE}".lstrip("."))
        for file in descriptor_pb2.FileDescriptorSet.FromString(data).file
        if any(m.name == ROOT_MESSAGE for m in file.message_type)
    ]
    if len(found) != 1:
        where = ", ".join(f.name for f, _ in found)
        problem = f"is defined {len(found)} times ({where})" if found else "is defined in none of them"
        raise SchemaError(f"{project.relative(project.conf_root)}/*.proto: the root message {ROOT_MESSAGE} {problem}")
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
