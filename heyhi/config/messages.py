"""Message classes from compiled protos, loading no more of protobuf than its C core, where it has that.

protobuf's public modules for it, `descriptor_pool` and `message_factory`, load its text format and the classes of
descriptors, too, which takes as long as all of HeyHi that a job loads. They do what is done here, and are asked where
protobuf is another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from google.protobuf.internal import api_implementation
from google.protobuf.message import Message

from heyhi.quick_modules import load_well_known_types

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.descriptor_pool import DescriptorPool

_FILE_TAG = 0x0A  # field 1 of a FileDescriptorSet, which has length and bytes


def pool_of(file_set: bytes, mark: str) -> DescriptorPool:
    """Make a pool of compiled protos.

    Args:
        file_set: serialised FileDescriptorSet, dependencies first.
        mark: name of a file without content that is in the pool, too.

    Raises:
        TypeError: protobuf makes no pool of them.
    """
    core, files = _core(), _files_in(file_set)
    if core is None or files is None:
        return _pool_by_protobuf(file_set, mark)
    pool: DescriptorPool = core.DescriptorPool()
    name = mark.encode()
    for file in (bytes((_FILE_TAG, len(name))) + name, *files):  # of a file, field 1 is its name
        pool.AddSerializedFile(file)
    return pool


def file_names(file_set: bytes) -> list[str]:
    """Return the names of compiled protos, dependencies first.

    Args:
        file_set: serialised FileDescriptorSet.
    """
    found = []
    for file in _files_in(file_set) or ():
        # Its name is the first field of a file, with a size that mostly is one byte.
        if file[:1] != bytes((_FILE_TAG,)) or not 0 < file[1] < 0x80:
            break
        found.append(file[2 : 2 + file[1]].decode())
    else:
        return found
    from google.protobuf import descriptor_pb2

    return [file.name for file in descriptor_pb2.FileDescriptorSet.FromString(file_set).file]


def message_class(kind: Descriptor) -> type[Message]:
    """Return the class of a message type, as protobuf's `GetMessageClass` does: the same one for the same type."""
    return _class_of(kind, _maker())


def _class_of(kind: Descriptor, maker: Any) -> type[Message]:
    if maker is None or kind.extensions:
        from google.protobuf.message_factory import GetMessageClass

        return GetMessageClass(kind)
    known: type[Message] | None = getattr(kind, "_concrete_class", None)
    if known is not None:
        return known
    load_well_known_types()
    # Without the name of a module, that of this one would be its.
    made: type[Message] = maker(kind.name, (Message,), {"DESCRIPTOR": kind, "__module__": None})
    for field in kind.fields:
        if field.message_type is not None:
            _class_of(field.message_type, maker)
    return made


def _core() -> Any:
    """Return protobuf's C core, where that is the one that this module knows."""
    core = getattr(api_implementation, "_c_module", None)
    return core if api_implementation.Type() == "upb" and hasattr(core, "DescriptorPool") else None


def _maker() -> Any:
    """Return the class of message classes, where that is the one that this module knows."""
    if _core() is None:
        return None
    try:
        return import_module("google.protobuf.pyext.cpp_message").GeneratedProtocolMessageType
    except (ImportError, AttributeError):
        return None


def _files_in(file_set: bytes) -> list[bytes] | None:
    """Return the serialised files of a set; None where it has anything else."""
    try:
        return list(_split(file_set))
    except (ValueError, IndexError):
        return None


def _split(file_set: bytes) -> Iterator[bytes]:
    here = 0
    while here < len(file_set):
        if file_set[here] != _FILE_TAG:
            raise ValueError
        here += 1
        size = shift = 0
        while True:
            byte = file_set[here]
            here += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if here + size > len(file_set):
            raise ValueError
        yield file_set[here : here + size]
        here += size


def _pool_by_protobuf(file_set: bytes, mark: str) -> DescriptorPool:
    from google.protobuf import descriptor_pb2, descriptor_pool

    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto(name=mark))
    for file in descriptor_pb2.FileDescriptorSet.FromString(file_set).file:
        pool.Add(file)
    return pool
