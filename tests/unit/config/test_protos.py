"""The modules that `heyhi protos` writes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.config.protos import write
from heyhi.errors import HeyhiError, SchemaError
from heyhi.project import find_project

PROTO = """
syntax = "proto2";
import "google/protobuf/duration.proto";
import "conf/parts/data.proto";
message MetaCfg { oneof task { Train train = 1; } }
message Train { optional double lr = 1 [default = 0.5]; optional parts.Data data = 2;
                optional google.protobuf.Duration limit = 3; }
"""
DATA = 'syntax = "proto3"; package parts; enum Kind { SMALL = 0; BIG = 1; } message Data { Kind kind = 1; }'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proj/conf/parts").mkdir(parents=True)
    (tmp_path / "proj/conf/lab.proto").write_text(PROTO)
    (tmp_path / "proj/conf/parts/data.proto").write_text(DATA)
    return tmp_path / "proj"


def imported(out: Path, code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], cwd=out, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_written_modules_can_be_imported_with_all_that_they_import(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    written = write(find_project(root), out)

    assert [p.relative_to(out).as_posix() for p in written] == [
        "conf/lab_cfgs.py",
        "conf/lab_cfgs.pyi",
        "conf/lab_pb2.py",
        "conf/lab_pb2.pyi",
        "conf/parts/data_cfgs.py",
        "conf/parts/data_cfgs.pyi",
        "conf/parts/data_pb2.py",
        "conf/parts/data_pb2.pyi",
    ]
    code = "from conf import lab_pb2, parts; m = lab_pb2.MetaCfg(); m.train.data.kind = 1; print(m.train.lr, m)"
    assert imported(out, code) == "0.5 train {\n  data {\n    kind: BIG\n  }\n}"
    assert "lr: float" in (out / "conf/lab_pb2.pyi").read_text()
    for path in written:
        ast.parse(path.read_text())


def test_written_modules_are_those_of_protoc(root: Path, tmp_path: Path) -> None:
    write(find_project(root), root)
    command = "grpc_tools.protoc -I. conf/lab.proto --python_out"
    subprocess.run([sys.executable, "-m", *command.split(), str(tmp_path)], cwd=root, check=True)

    assert (root / "conf/lab_pb2.py").read_text() == (tmp_path / "conf/lab_pb2.py").read_text()


def test_protos_whose_imports_start_inside_conf_are_written_below_it(root: Path, tmp_path: Path) -> None:
    (root / "conf/lab.proto").write_text(PROTO.replace('"conf/parts/', '"parts/'))
    out = tmp_path / "out"

    assert [p.relative_to(out).as_posix() for p in write(find_project(root), out) if p.suffix == ".py"] == [
        "lab_cfgs.py",
        "lab_pb2.py",
        "parts/data_cfgs.py",
        "parts/data_pb2.py",
    ]
    assert imported(out, "import lab_pb2; print(lab_pb2.Train().lr)") == "0.5"
    assert imported(out, "import lab_cfgs; print(lab_cfgs.Train.__name__)") == "Train"


def test_the_same_again_replaces_what_is_there(root: Path) -> None:
    written = write(find_project(root), root)
    before = {path: path.read_text() for path in written}
    written[0].write_text("broken")

    assert {path: path.read_text() for path in write(find_project(root), root)} == before
    assert not [p for p in root.rglob("*") if p.name.startswith(".")]


def test_a_proto_that_does_not_compile_changes_nothing(root: Path) -> None:
    written = write(find_project(root), root)
    before = written[0].read_text()
    (root / "conf/lab.proto").write_text(PROTO.replace("double lr", "duble lr"))

    with pytest.raises(SchemaError, match=r'conf/lab\.proto:6:26.*"duble" is not defined'):
        write(find_project(root), root)
    assert written[0].read_text() == before


def test_a_folder_that_can_not_be_written_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(HeyhiError, match=r"file/conf/lab_pb2\.py: can't be written: Not a directory"):
        write(find_project(root), tmp_path / "file")
    assert [p.name for p in root.iterdir()] == ["conf"]
