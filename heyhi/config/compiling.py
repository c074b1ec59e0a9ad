"""Compiling a project's protos, where the cache hasn't them; a job has them compiled, in its manifest.

What can be asked of them then is `schema`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from heyhi.config.buildable import check_buildable
from heyhi.config.schema_cache import ROOT_MESSAGE, keep_root, place_of, proto_names, write_cache
from heyhi.config.templates import OPEN, has_need, replace_needs, replace_root
from heyhi.config.type_hints import with_hints
from heyhi.config.was_lines import is_was_line, note_earlier_names
from heyhi.errors import HeyhiError, SchemaError
from heyhi.files import read_bounded
from heyhi.project import Project
from heyhi.regex import regex


def compiled_schema(project: Project) -> tuple[bytes, str]:
    """Compile a project's protos, or read them from the cache; see `schema.load_schema`.

    Returns:
        serialised FileDescriptorSet without comments, and full name of the root message.
    """
    file_set, data = _compiled(project, "schema")
    root_name = _find_root(project, file_set)
    if OPEN.encode() in data:
        _write_defaults(file_set, str(project.root))
        return file_set.SerializeToString(deterministic=True), root_name
    keep_root(project, data, root_name)
    return data, root_name


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


def read_comments(project: Project) -> dict[str, str]:
    """Read the comments in a project's protos; see `schema.load_comments`.

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
    include, names = proto_names(project)
    try:
        data = read_bounded(place_of(include, names, kind))
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
    for one, data in made.items():
        write_cache(place_of(include, names, one), data)
    return descriptor_pb2.FileDescriptorSet.FromString(made[kind]), made[kind]


def _own_text(path: Path) -> str:
    """Return the text of a proto; of one that comes with protoc, which lies elsewhere, nothing."""
    return path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""


def _less_names(comment: str) -> str:
    return "\n".join(line for line in comment.split("\n") if not is_was_line(line)).strip()


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
