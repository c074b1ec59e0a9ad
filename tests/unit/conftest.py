"""What unit tests share: a schema with something of everything, random messages of it, and `heyhi` as a function."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from heyhi.config.compose import Composer
from heyhi.config.schema import Schema, load_schema
from heyhi.project import Project, Settings


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Put the level of the root logger back, which a task file's main sets: later tests look for warnings."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


CONF_PROTO = """\
syntax = "proto2";
package lab;
import "conf/modern.proto";

message MetaCfg {
  repeated Include includes = 1;
  oneof task {
    Train train = 2;
    Strict strict = 3;
  }
}

message Include {
  optional string path = 1;
  optional string mount = 2;
  repeated string clear = 3;
}

message Strict {
  required int32 must = 1;
  optional string name = 2;
  optional int32 I = 3;
}

message Launcher {
  oneof kind {
    Local local = 1;
    Slurm slurm = 2;
  }
  message Local { optional int32 cpus = 1; }
  message Slurm {
    optional int32 num_gpus = 1 [default = 0];
    optional double hours = 2;
    optional string partition = 3;
  }
}

message Layer {
  repeated Include includes = 1;
  optional int32 width = 2 [default = 8];
  optional string name = 3;
  repeated int32 sizes = 4;
  optional Layer inside = 5;
}

message Sgd { optional double momentum = 1 [default = 0.9]; optional bool nesterov = 2; }
message Adam { optional double beta1 = 1; optional double beta2 = 2; }

message Train {
  repeated Include includes = 1;
  enum Color { RED = 0; GREEN = 1; DEEP_BLUE = -7; }

  optional double lr = 2 [default = 0.1];
  optional float single = 3;
  optional int32 i32 = 4;
  optional int64 i64 = 5;
  optional uint32 u32 = 6;
  optional uint64 u64 = 7;
  optional sint32 s32 = 8;
  optional sint64 s64 = 9;
  optional fixed32 f32 = 10;
  optional sfixed64 sf64 = 11;
  optional bool flag = 12;
  optional string name = 13;
  optional bytes blob = 14;
  optional Color color = 15 [default = GREEN];

  repeated int32 ints = 20;
  repeated double doubles = 21;
  repeated float singles = 22;
  repeated string strings = 23;
  repeated bytes blobs = 24;
  repeated bool bools = 25;
  repeated Color colors = 26;
  repeated Layer layers = 27;

  map<string, double> scale = 30;
  map<int32, string> by_int = 31;
  map<bool, int32> by_bool = 32;
  map<uint64, Color> by_u64 = 33;
  map<sint64, bytes> by_s64 = 34;
  map<string, Layer> named = 35;

  optional Layer layer = 40;
  optional Launcher launcher = 41;
  optional modern.Modern modern = 42;
  oneof optimizer {
    Sgd sgd = 50;
    Adam adam = 51;
    double plain = 52;
    string by_name = 53;
  }
  optional int32 Ilayer = 61;
  optional Layer foo = 62;
}
"""

MODERN_PROTO = """\
syntax = "proto3";
package lab.modern;

message Modern {
  double lr = 1;
  optional int32 maybe = 2;
  int32 count = 3;
  bool flag = 4;
  optional bool perhaps = 5;
  string name = 6;
  bytes blob = 7;
  Shape shape = 8;
  float single = 9;
  repeated int32 ints = 10;
  repeated Part parts = 11;
  map<string, Part> named = 12;
  Part part = 13;
  oneof choice {
    int32 number = 14;
    string word = 15;
    Part whole = 16;
    Empty none = 17;
  }
  enum Shape { ROUND = 0; SQUARE = 1; }
  message Part { int32 x = 1; optional float y = 2; repeated string words = 3; }
  message Empty {}
}
"""


# --- random messages ----------------------------------------------------------------------------------------------

TEXT = st.text(max_size=8) | st.sampled_from(
    [
        "NULL",
        "SELECT",
        "",
        " a ",
        '"',
        '"a"',
        "a,b=c",
        "a\nb\0",
        "{{ROOT_DIR}}",
        "{{exp x}}",
        "{{{",
        "ä€😀",
        "\\n",
        "'",
        "1",
    ]
)
BYTES = st.binary(max_size=6) | st.sampled_from([b"NULL", b"SELECT", b'"', b"\\x", b"\xff\x00'"])
_INTS = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
}


def _one_nan(number: float) -> float:
    return number if number == number else math.nan


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Draw what a scalar field can hold."""
    kind = field.cpp_type
    if kind in _INTS:
        return _INTS[kind]
    if kind == FieldDescriptor.CPPTYPE_DOUBLE:
        return st.floats().map(_one_nan)
    if kind == FieldDescriptor.CPPTYPE_FLOAT:
        return st.floats(width=32).map(_one_nan)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        assert field.enum_type is not None
        return st.sampled_from(sorted(field.enum_type.values_by_number))
    return BYTES if field.type == FieldDescriptor.TYPE_BYTES else TEXT


@st.composite
def messages(draw: st.DrawFn, kind: Descriptor, depth: int = 3) -> Message:
    """Draw a message of a type; `includes` stay empty."""
    message = GetMessageClass(kind)()
    names = [f.name for f in kind.fields if f.name != "includes" and (depth > 0 or f.message_type is None)]
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=6)) if names else []:
        _fill(draw, message, kind.fields_by_name[name], depth)
    return message


def _fill(draw: st.DrawFn, message: Message, field: FieldDescriptor, depth: int) -> None:
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        key, value = inner.fields_by_name["key"], inner.fields_by_name["value"]
        for entry in draw(st.lists(scalars(key), unique=True, max_size=3)):
            container = getattr(message, field.name)
            if value.message_type is not None:
                container[entry].CopyFrom(draw(messages(value.message_type, depth - 1)))
            else:
                container[entry] = draw(scalars(value))
    elif field.is_repeated:
        for _ in range(draw(st.integers(0, 3))):
            if inner is not None:
                getattr(message, field.name).add().CopyFrom(draw(messages(inner, depth - 1)))
            else:
                getattr(message, field.name).append(draw(scalars(field)))
    elif inner is not None:
        getattr(message, field.name).CopyFrom(draw(messages(inner, depth - 1)))
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, draw(scalars(field)))


class Lab:
    """A project in a folder, with that schema.

    Tests get it as a fixture, and random messages by it: the modules of a test folder can't import one another.
    """

    def __init__(self, root: Path, schema: Schema, settings: Settings | None = None) -> None:
        self.root = root
        self.schema = schema
        self.project = Project(root, settings or Settings())
        self.written: dict[Path, str] = {}
        self.train = schema.tasks["train"].message_type

    def write(self, name: str, text: str) -> Path:
        """Write a file below conf/ (or anywhere, with ../)."""
        path = self.root / "conf" / name
        if self.written.get(path) == text and path.is_file():  # tests of many examples
            return path
        self.written[path] = text
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def composer(self, *include_dirs: Path, ignore: tuple[str, ...] | None = None) -> Composer:
        """Make a composer, of today's files."""
        project = self.project
        if ignore is not None:
            project = Project(self.root, Settings(identity_ignore=ignore))
        return Composer(project, self.schema, include_dirs)

    def compose(self, text: str, *overrides: str) -> Message:
        """Compose the config of that text."""
        self.write("cfg.prototxt", text)
        return self.composer().compose("conf/cfg.prototxt", overrides).task_message

    def messages(self, kind: Descriptor) -> st.SearchStrategy[Message]:
        """Draw messages of a type."""
        return messages(kind)

    def scalars(self, field: FieldDescriptor) -> st.SearchStrategy[Any]:
        """Draw what a scalar field can hold."""
        return scalars(field)

    def data(self, message: Message) -> bytes:
        """Serialise a message, so that NaN is equal to itself and -0.0 is not 0.0."""
        return message.SerializePartialToString(deterministic=True)

    def new_train(self) -> Message:
        """Make an empty Train."""
        return GetMessageClass(self.train)()


def write_lab(root: Path) -> None:
    """Write the protos of a lab."""
    (root / "conf").mkdir(parents=True, exist_ok=True)
    (root / "conf" / "conf.proto").write_text(CONF_PROTO)
    (root / "conf" / "modern.proto").write_text(MODERN_PROTO)


@pytest.fixture(scope="session")
def lab_schema(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    """The schema of a lab."""
    root = tmp_path_factory.mktemp("lab")
    write_lab(root)
    return load_schema(Project(root))


@pytest.fixture
def lab(tmp_path: Path, lab_schema: Schema) -> Lab:
    """A lab of the test's own."""
    write_lab(tmp_path)
    return Lab(tmp_path, lab_schema)


@pytest.fixture(scope="session")
def new_lab(lab_schema: Schema) -> Callable[[Path], Lab]:
    """Make a lab in a folder of the test's choice."""

    def make(root: Path) -> Lab:
        write_lab(root)
        return Lab(root, lab_schema)

    return make


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory: pytest.TempPathFactory, new_lab: Callable[[Path], Lab]) -> Lab:
    """A lab that tests of many examples share."""
    return new_lab(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command of `heyhi`: exit code, what it prints, and what it says on standard error."""
    from heyhi.cli.main import main

    def call(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(args)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        out, err = capsys.readouterr()
        return code, out, err

    return call
