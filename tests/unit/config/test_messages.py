"""Message classes and texts that are made without protobuf's larger modules are what those would have made."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

import heyhi.config.messages
from heyhi.config.messages import message_class, pool_of
from heyhi.config.plain_text import text_of

FIELD = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    **{"i": FIELD.TYPE_INT64, "u": FIELD.TYPE_UINT32, "d": FIELD.TYPE_DOUBLE, "f": FIELD.TYPE_FLOAT},
    **{"b": FIELD.TYPE_BOOL, "s": FIELD.TYPE_STRING, "y": FIELD.TYPE_BYTES},
}


def _files() -> bytes:
    """A set of two files: one message with fields of all kinds, and what it imports."""
    other = descriptor_pb2.FileDescriptorProto(name="other.proto", package="o", syntax="proto3")
    inner = other.message_type.add(name="Inner")
    inner.field.add(name="n", number=1, type=FIELD.TYPE_INT32, label=FIELD.LABEL_OPTIONAL)
    file = descriptor_pb2.FileDescriptorProto(name="m.proto", package="p", dependency=["other.proto"])
    file.enum_type.add(name="Kind").value.add(name="ONE", number=1)
    root = file.message_type.add(name="Root")
    for number, (name, kind) in enumerate(SCALARS.items(), 1):
        root.field.add(name=name, number=number, type=kind, label=FIELD.LABEL_OPTIONAL)
        root.field.add(name=f"{name}s", number=number + 20, type=kind, label=FIELD.LABEL_REPEATED)
    for name, number, label in (("in", 40, FIELD.LABEL_OPTIONAL), ("ins", 41, FIELD.LABEL_REPEATED)):
        root.field.add(name=name, number=number, type=FIELD.TYPE_MESSAGE, type_name=".o.Inner", label=label)
    root.field.add(name="k", number=42, type=FIELD.TYPE_ENUM, type_name=".p.Kind", label=FIELD.LABEL_OPTIONAL)
    entry = root.nested_type.add(name="MEntry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), 1):
        entry.field.add(name=name, number=number, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    map_name = ".p.Root.MEntry"
    root.field.add(name="m", number=43, type=FIELD.TYPE_MESSAGE, type_name=map_name, label=FIELD.LABEL_REPEATED)
    return descriptor_pb2.FileDescriptorSet(file=[other, file]).SerializeToString()


FILES = _files()


def _new() -> Any:
    return message_class(pool_of(FILES, "mark").FindMessageTypeByName("p.Root"))()


def test_a_class_is_the_one_that_protobuf_has_for_its_type() -> None:
    pool = pool_of(FILES, "mark")
    kind = pool.FindMessageTypeByName("p.Root")
    made = message_class(kind)
    assert message_factory.GetMessageClass(kind) is made is message_class(kind)
    inner = pool.FindMessageTypeByName("o.Inner")
    assert type(getattr(made(), "in")) is message_class(inner) is message_factory.GetMessageClass(inner)
    assert made.__module__ is None and type(made) is type(descriptor_pb2.FileDescriptorSet)
    assert isinstance(pool, type(descriptor_pool.DescriptorPool()))
    assert pool.FindFileByName("mark").name == "mark"


@pytest.mark.parametrize("without", ["_core", "_maker", "_files_in"])
def test_another_protobuf_is_asked_by_its_public_modules(without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heyhi.config.messages, without, lambda *_: None)
    message = _new()
    message.ins.add(n=3)
    assert type(message).FromString(message.SerializeToString()) == message


@pytest.mark.parametrize("damaged", [FILES[:-1], FILES + b"\x0a\xff", b"\x0a\x02\x12"])
def test_what_is_no_set_of_files_is_refused(damaged: bytes) -> None:
    with pytest.raises(Exception, match=r"(?i)pars"):
        pool_of(damaged, "mark")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"i": -(2**63), "u": 7, "is": [1, 0], "b": False, "bs": [True, False]},
        {"d": 0.1, "ds": [1.0, 1e300, 1e-7, 12345678.0, math.inf, -math.inf, math.nan, -0.0]},
        {"f": 0.1, "fs": [1.0, 3.4e38, 1e-45, 1 / 3, math.inf, math.nan, 16777216.0, 0.30000001]},
        {"s": "plain text é 漢", "ss": ["", 'a "b" c', "it's", "a\\b", "tab\tnew\n", "\x00\x7f", "\u2028 \ud7ff"]},
        {"y": b"\x00\xffa", "ys": [b"", b"'\"\\"]},
        {"k": 1},
        {"in": {"n": 1}, "ins": [{}, {"n": 2}]},
        {"m": {"b": "1", "a": ""}, "in": {}},
    ],
)
def test_a_text_is_the_one_of_protobufs_text_format(values: dict[str, Any]) -> None:
    message = _new().__class__(**values)
    assert text_of(message) == text_format.MessageToString(message, as_utf8=True)
    read = text_format.Parse(text_of(message), _new(), descriptor_pool=message.DESCRIPTOR.file.pool)
    assert read.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)
