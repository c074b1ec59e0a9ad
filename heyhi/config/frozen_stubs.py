"""The types of frozen configs as modules of Python: `conf/lab_cfgs.py`, and its stub for editors and type checkers.

Where they are written is left to `protos`; what they are in a program, to `frozen_types`.
"""

from __future__ import annotations

import keyword
from collections.abc import Collection, Iterator, Mapping

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

from heyhi.config.frozen import FrozenConfig
from heyhi.config.leaves import default_of, in_oneof
from heyhi.config.schema import element, enum_type, is_map, is_map_entry, map_key, real_oneofs

_HEAD = "# Written by `heyhi protos`; `heyhi protos` again brings it up to date.\n"
_SCALARS = {
    FieldDescriptor.CPPTYPE_BOOL: "_b.bool",
    FieldDescriptor.CPPTYPE_DOUBLE: "_b.float",
    FieldDescriptor.CPPTYPE_FLOAT: "_b.float",
    FieldDescriptor.CPPTYPE_STRING: "_b.str",
}
# A field of such a name reads as the method: there is no other way to it than conf_get.
_TAKEN = frozenset(dir(FrozenConfig))


def module_of(file: FileDescriptor) -> str:
    """Return the module of a proto's types: `conf.lab_cfgs` of `conf/lab.proto`."""
    return f"{_stem(file)}_cfgs"


def module_text(file: FileDescriptor) -> str:
    """Write the module of a proto's types."""
    lines = [_HEAD, "from heyhi.config.frozen_types import FrozenType"]
    for message in _written(file.message_types_by_name.values()):
        lines += ["", "", *_class_lines(message)]
    return "\n".join(lines) + "\n"


def _class_lines(message: Descriptor) -> list[str]:
    lines = [f"class {message.name}(metaclass=FrozenType, message={message.full_name!r}):"]
    inner = [line for one in _written(message.nested_types) for line in ["", *_class_lines(one)]]
    return lines + _indented(inner[1:] or ["pass"])


def stub_text(file: FileDescriptor, files: Collection[str], comments: Mapping[str, str]) -> str:
    """Write the stub of a proto's types.

    Args:
        file: the proto.
        files: names of the protos that have such modules; a message of another one is a FrozenConfig.
        comments: full names -> comments in the protos.
    """
    return _Stub(file, files, comments).text()


class _Stub:
    def __init__(self, file: FileDescriptor, files: Collection[str], comments: Mapping[str, str]) -> None:
        self._file = file
        self._files = files
        self._comments = comments
        self._modules: set[str] = set()

    def text(self) -> str:
        messages = _written(self._file.message_types_by_name.values())
        body = [line for message in messages for line in ["", *self._message(message)]]
        # Names that no field of a class can hide.
        body += ["", *(f"_{message.name} = {message.name}" for message in messages)]
        imports = ["import builtins as _b", "import collections.abc as _c", "import typing as _t", ""]
        imports += [
            "from google.protobuf.message import Message as _Message",
            "from heyhi.config.frozen import Frozen as _Frozen",
            "from heyhi.config.frozen import FrozenConfig as _Any",
        ]
        imports += [f"import {module} as {_alias(module)}" for module in sorted(self._modules)]
        return "\n".join([_HEAD, *imports, *body]) + "\n"

    def _message(self, message: Descriptor) -> Iterator[str]:
        yield f"class {message.name}(_Frozen):"
        yield from _indented(_docstring(self._comments.get(message.full_name, "")))
        for inner in _written(message.nested_types):
            yield from _indented([*self._message(inner), ""])
        yield from _indented(self._constructor(message))
        for field in message.fields:
            yield from self._property(field.name, self._type(field), self._comments.get(field.full_name, ""))
        for oneof in real_oneofs(message):
            names = ", ".join(repr(field.name) for field in oneof.fields)
            kinds = dict.fromkeys(self._one(field) for field in oneof.fields)
            comment = self._comments.get(oneof.full_name, "")
            yield from self._property(oneof.name, " | ".join([*kinds, "None"]), comment)
            if f"which_{oneof.name}" not in message.fields_by_name:
                yield from self._property(f"which_{oneof.name}", f"_t.Literal[{names}] | None", "")
        module = f"{_stem(message.file)}_pb2"
        self._modules.add(module)
        yield from _indented([f"def to_editable(self) -> {_alias(module)}.{_path(message)}: ..."])

    def _constructor(self, message: Descriptor) -> Iterator[str]:
        """Yield the lines of what makes one: of each field all that it takes, None leaves it out."""
        named = [field for field in message.fields if not (keyword.iskeyword(field.name) or field.name[:2] == "__")]
        me = "_self" if "self" in message.fields_by_name else "self"
        if not named and not message.fields:
            yield f"def __init__({me}) -> None: ..."
            return
        yield f"def __init__({me}, /, *," if named else f"def __init__({me},"
        yield from _indented([f"{field.name}: {self._taken(field)} | None = ...," for field in named])
        if len(named) < len(message.fields):  # what Python can't name goes by **{"class": …}
            yield "    **fields: _b.object,"
        yield ") -> None: ..."

    def _taken(self, field: FieldDescriptor) -> str:
        """Return the type of what a field can be made of."""
        one = self._one_taken(element(field))
        if is_map(field):
            return f"_c.Mapping[{_scalar(map_key(field))}, {one}]"
        return f"_c.Iterable[{one}]" if field.is_repeated else one

    def _one_taken(self, field: FieldDescriptor) -> str:
        message = field.message_type
        if message is None:
            return _scalar(field)
        kind = self._one(field)
        kinds = ["_Any"] if kind == "_Any" else [kind, "_Any"]
        protobuf = "_Message"
        if kind != "_Any":
            module = f"{_stem(message.file)}_pb2"
            self._modules.add(module)
            protobuf = f"{_alias(module)}.{_path(message)}"
        return " | ".join([*kinds, protobuf, "_c.Mapping[_b.str, _t.Any]"])

    def _property(self, name: str, kind: str, comment: str) -> list[str]:
        if not _can_be_read(name):
            return []
        head = f"def {name}(self) -> {kind}:"
        lines = [head, *_indented(_docstring(comment))] if comment else [f"{head} ..."]
        return _indented(["@_b.property", *lines])

    def _type(self, field: FieldDescriptor) -> str:
        if is_map(field):
            return f"_c.Mapping[{_scalar(map_key(field))}, {self._one(element(field))}]"
        one = self._one(field)
        if field.is_repeated:
            return f"_b.tuple[{one}, ...]"
        if in_oneof(field) or (field.message_type is None and default_of(field) is None):
            return f"{one} | None"
        return one

    def _one(self, field: FieldDescriptor) -> str:
        """Return the type of one value of a field."""
        message = field.message_type
        if message is None:
            return _scalar(field)
        if message.file.name not in self._files or any(
            not part.isidentifier() or keyword.iskeyword(part) for part in _path(message).split(".")
        ):
            return "_Any"
        if message.file.name == self._file.name:
            return f"_{_path(message)}"
        module = module_of(message.file)
        self._modules.add(module)
        return f"{_alias(module)}.{_path(message)}"


def _scalar(field: FieldDescriptor) -> str:
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        names = dict.fromkeys(value.name for value in enum_type(field).values_by_number.values())
        return f"_t.Literal[{', '.join(map(repr, names))}]"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return "_b.bytes"
    return _SCALARS.get(field.cpp_type, "_b.int")


def _written(messages: Collection[Descriptor]) -> list[Descriptor]:
    return [one for one in messages if not is_map_entry(one) and not keyword.iskeyword(one.name)]


def _can_be_read(name: str) -> bool:
    return not (keyword.iskeyword(name) or name.startswith("__") or name in _TAKEN)


def _stem(file: FileDescriptor) -> str:
    """Return a proto's name as a module's is made of it, as protoc does."""
    return file.name.removesuffix(".proto").replace("-", "_").replace("/", ".")


def _alias(module: str) -> str:
    return "_" + module.replace(".", "_dot_")


def _path(message: Descriptor) -> str:
    """Return a message's name below its module: `Train.Sgd`."""
    package = message.file.package
    return message.full_name.removeprefix(f"{package}.") if package else message.full_name


def _docstring(text: str) -> list[str]:
    if not text:
        return []
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return [f'"""{quoted}"""']


def _indented(lines: Collection[str] | Iterator[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]
