"""The schema: protos compiled once, cached, and kept in a pool of their own."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import heyhi.config.compiling
from heyhi.config.compose import Composer
from heyhi.config.frozen import flatten, freeze
from heyhi.config.schema import Schema, load_comments, load_schema
from heyhi.errors import SchemaError
from heyhi.project import Project, Settings

if TYPE_CHECKING:
    from tests.unit.conftest import Lab

ROOT = """
syntax = "proto2";
message MetaCfg { oneof task { Task run = 1; } }
message Task { optional double lr = 1 [default = 0.5]; }
"""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "heyhi"


def project(root: Path, **files: str) -> Project:
    (root / "conf").mkdir(exist_ok=True)
    for name, text in files.items():
        (root / "conf" / f"{name}.proto").write_text(text)
    return Project(root)


def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> bytes:
        raise AssertionError("compiled anew")

    monkeypatch.setattr(heyhi.config.compiling, "_compile", refuse)


def test_an_unchanged_schema_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = project(tmp_path, conf=ROOT)
    first = load_schema(here)
    no_compiler(monkeypatch)
    again = load_schema(here)
    assert (again.digest, again.root_name, list(again.tasks)) == (first.digest, "MetaCfg", ["run"])
    assert load_comments(here) == {}


def test_any_change_of_a_proto_or_of_what_it_imports_is_seen(tmp_path: Path) -> None:
    root = 'import "lib/base.proto"; ' + ROOT.replace("Task {", "Task { optional Base base = 2;")
    root = root.replace('import "lib/base.proto"; ', "").replace(
        'syntax = "proto2";', 'syntax = "proto2"; import "lib/base.proto";'
    )
    here = project(tmp_path, conf=root.replace("; import", ";\nimport"))
    (tmp_path / "lib").mkdir()
    base = tmp_path / "lib/base.proto"
    base.write_text('syntax = "proto2";\nimport "lib/more.proto";\nmessage Base { optional More more = 1; }')
    more = tmp_path / "lib/more.proto"
    more.write_text('syntax = "proto2";\nmessage More { optional int32 a = 1; }')
    digests = {load_schema(here).digest}
    more.write_text('syntax = "proto2";\nmessage More { optional int32 b = 1; }')
    digests.add(load_schema(here).digest)
    base.write_text(base.read_text().replace("= 1", "= 7"))
    digests.add(load_schema(here).digest)
    project(tmp_path, other='syntax = "proto3"; message Other {}')
    digests.add(load_schema(here).digest)
    assert len(digests) == 4


def test_a_damaged_cache_is_made_anew(tmp_path: Path, cache: Path) -> None:
    here = project(tmp_path, conf=ROOT)
    digest = load_schema(here).digest
    for damage in (b"", b"\xff\xff\xff", b"\n\x05conf"):
        for file in cache.iterdir():
            file.write_bytes(damage)
        assert load_schema(here).digest == digest
    assert not [p for p in cache.iterdir() if p.suffix != ".pb"]


def test_a_cache_that_can_not_be_written_costs_only_time(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file where the folder should be")
    assert load_schema(project(tmp_path, conf=ROOT)).root_name == "MetaCfg"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(cache))
    assert load_schema(project(tmp_path, conf=ROOT)).root_name == "MetaCfg"


def test_two_schemas_of_one_name_are_open_at_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = load_schema(project(tmp_path / "a", conf=ROOT))
    two = load_schema(project(tmp_path / "b", conf=ROOT.replace("0.5", "0.7")))
    defaults = [s.tasks["run"].message_type.fields_by_name["lr"].default_value for s in (one, two, one)]
    assert defaults == [0.5, 0.7, 0.5]


def test_a_schema_is_rebuilt_from_what_another_process_compiled(tmp_path: Path) -> None:
    schema = load_schema(project(tmp_path, conf=ROOT))
    again = Schema.from_file_set(schema.file_set, schema.root_name)
    message = schema.new_root()
    message.run.lr = 3  # type: ignore[attr-defined]  # no stubs
    assert again.parse_root(message.SerializeToString()).run.lr == 3  # type: ignore[attr-defined]  # as above
    assert again.root_class is not schema.root_class


def test_comments_are_read_by_the_name_of_what_they_stand_at(tmp_path: Path) -> None:
    text = """
        syntax = "proto2";
        package a.b;
        // The root.
        message MetaCfg {
          // What to run.
          oneof task { Task run = 1; }
        }
        message Task {
          optional int32 x = 1;  // Behind.
          // In two
          // lines.
          optional int32 y = 2;
          // Not set.

          optional int32 z = 3;
          message Inner {
            // A field.
            optional int32 w = 1;
          }
          // Kinds.
          enum Kind {
            // The first.
            FIRST = 0;
          }
        }
    """
    assert load_comments(project(tmp_path, conf=text)) == {
        "a.b.MetaCfg": "The root.",
        "a.b.MetaCfg.task": "What to run.",
        "a.b.Task.x": "Behind.",
        "a.b.Task.y": "In two lines.",
        "a.b.Task.Inner.w": "A field.",
        "a.b.Task.Kind": "Kinds.",
        "a.b.Task.Kind.FIRST": "The first.",
    }


def test_message_types_are_listed_with_nested_ones(lab: Lab) -> None:
    found = lab.schema.message_types()
    assert {"lab.MetaCfg", "lab.Launcher.Slurm", "lab.modern.Modern.Part"} <= set(found)
    assert not any(name.endswith("Entry") for name in found)


def test_required_fields_are_known(lab: Lab, tmp_path: Path) -> None:
    assert lab.schema.has_required
    assert not load_schema(project(tmp_path, conf=ROOT, modern="", **{})).has_required


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'syntax = "proto2";\nmessage MetaCfg {\n  optional X x = 1;\n}',
            r'\nconf/conf\.proto:3:12: "X" is not defined\.$',
        ),
        ('syntax = "proto2";\nmessage MetaCfg {', r"\nconf/conf\.proto:2:18: Reached end of input"),
        ('syntax = "proto2";\nimport "conf/none.proto";', r"\nconf/none\.proto: File not found\."),
        ("\xff", r"\nconf/conf\.proto:1:1: "),
        ('syntax = "proto2"; message Other {}', r"^conf/\*\.proto: the root message MetaCfg is defined in none"),
    ],
)
def test_what_protoc_says_is_kept_with_its_places(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message) as raised:
        load_schema(project(tmp_path, conf=text))
    if "defined in none" not in message:
        assert str(raised.value).startswith("the protos don't compile:\n")


MANY = "".join(f"optional int32 f{n} = {n}; " for n in range(2, 18000))
REQUIRED = "".join(f"required int32 f{n} = {n}; " for n in range(2, 102))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            "optional int32 launcher = 2; optional int32 launcher_ = 3;",
            "fields launcher and launcher_ of message Task are both 'launcher' in JSON, which protobuf refuses: rename"
            " one of them, or give it another json_name",
        ),
        ("optional int32 a_b = 2; optional int32 aB = 3;", "fields a_b and aB of message Task are both 'aB' in JSON"),
        ("optional int32 a1 = 2; optional int32 a_1 = 3;", "fields a1 and a_1 of message Task are both 'a1' in JSON"),
        (
            'optional int32 a = 2 [json_name = "b"]; optional int32 b = 3;',
            "fields a and b of message Task are both 'b' in JSON",
        ),
        (
            "message In { optional int32 a_ = 1; optional int32 a = 2; }",
            "fields a_ and a of message Task.In are both 'a' in JSON",
        ),
        (
            "optional double eps = 2 [default = 1e-310];",
            "field Task.eps has the default 9.99999999999997e-311, which is too close to 0 for protobuf: expected 0,"
            " or 2.3e-308 and more",
        ),
        ("optional float eps = 2 [default = -1e-42];", "expected 0, or 1.2e-38 and more"),
        (MANY, "message Task has 17999 fields, which is more than protobuf has room for in one message"),
        (REQUIRED, "message Task has 100 required fields, which is more than protobuf takes in one message"),
    ],
)
def test_what_protoc_takes_and_protobuf_does_not_is_said(tmp_path: Path, fields: str, message: str) -> None:
    here = project(tmp_path, conf=ROOT.replace("0.5];", f"0.5]; {fields}"))
    for load in (load_schema, load_comments):
        with pytest.raises(SchemaError) as raised:
            load(here)
        assert str(raised.value).startswith("conf/conf.proto: ") and message in str(raised.value)


def test_two_fields_of_one_json_name_are_fine_where_protobuf_is_told_so(tmp_path: Path) -> None:
    more = "option deprecated_legacy_json_field_conflicts = true; optional int32 a_ = 2; optional int32 a = 3;"
    schema = load_schema(project(tmp_path, conf=ROOT.replace("0.5];", f"0.5]; {more}")))
    assert [field.name for field in schema.message_types()["Task"].fields] == ["lr", "a_", "a"]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("float64", "double"), ("int", "int32"), ("integer", "int32"), ("long", "int64"), ("boolean", "bool"),
        ("str", "string"), ("String", "string"), ("int33", "int32"), ("Lost", "Loss"),
    ],
)  # fmt: skip
def test_a_type_that_protobuf_does_not_know_is_told_the_nearest(tmp_path: Path, wrong: str, meant: str) -> None:
    text = f'syntax = "proto2";\nenum Loss {{ l1 = 0; }}\nmessage MetaCfg {{\n  optional {wrong} x = 1;\n}}'
    with pytest.raises(SchemaError) as raised:
        load_schema(project(tmp_path, conf=text))
    assert (
        str(raised.value)
        .splitlines()[1]
        .startswith(f"conf/conf.proto:4:12: \"{wrong}\" is not defined. (did you mean '{meant}'")
    )
    assert raised.value.fault.nearest[0] == meant


def test_two_root_messages_are_said(tmp_path: Path) -> None:
    two = ROOT.replace("message MetaCfg", "package two; message MetaCfg")
    with pytest.raises(SchemaError, match=r"MetaCfg is defined 2 times \(conf/conf\.proto, conf/two\.proto\)"):
        load_schema(project(tmp_path, conf=ROOT, two=two))


def test_no_proto_is_said(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"conf: no \.proto file here"):
        load_schema(project(tmp_path))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", r"conf/conf\.proto: message MetaCfg needs one oneof named 'task', .* its oneofs are: none"),
        ("oneof a { Task x = 1; } oneof b { Task y = 2; }", r"its oneofs are: a, b"),
        ("oneof task { Task x = 1; int32 y = 2; }", r"task 'y' of MetaCfg must be a message"),
    ],
)
def test_a_root_message_without_tasks_is_said(tmp_path: Path, body: str, message: str) -> None:
    schema = load_schema(project(tmp_path, conf=ROOT.replace("oneof task { Task run = 1; }", body)))
    with pytest.raises(SchemaError, match=message):
        _ = schema.tasks


def test_the_only_oneof_is_that_of_the_tasks_whatever_its_name(tmp_path: Path) -> None:
    schema = load_schema(project(tmp_path, conf=ROOT.replace("oneof task", "oneof what")))
    assert schema.task_oneof.name == "what"


def test_modules_beside_the_protos_do_not_stand_in_for_pythons(tmp_path: Path) -> None:
    for name in ("random", "tempfile", "grpc_tools", "logging"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    assert load_schema(project(tmp_path, conf=ROOT)).root_name == "MetaCfg"


def test_a_project_may_lie_in_a_folder_with_any_name(tmp_path: Path) -> None:
    root = tmp_path / "a: b=c, $(d)"
    root.mkdir()
    assert load_schema(project(root, conf=ROOT)).root_name == "MetaCfg"


def test_configs_may_lie_outside_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/conf.proto").write_text(ROOT)
    here = Project(tmp_path / "own", Settings(conf="../shared"))
    here.root.mkdir()
    assert load_schema(here).root_name == "MetaCfg"


def test_a_proto_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    here = project(tmp_path, conf=ROOT)
    path = tmp_path / "conf/conf.proto"
    path.chmod(0)
    try:
        path.read_bytes()
    except OSError:
        with pytest.raises(SchemaError, match=r"conf\.proto: can't be read: Permission denied"):
            load_schema(here)
    else:  # root reads anything; a folder is no file to anyone
        path.chmod(stat.S_IRUSR)
        path.unlink()
        path.mkdir()
        with pytest.raises(SchemaError, match=r"no \.proto file here"):
            load_schema(here)


def test_without_protoc_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$0: No module named grpc_tools" >&2; exit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(SchemaError, match=r"protoc can't be run \(is grpcio-tools installed\?\): .*No module named"):
        load_schema(project(tmp_path, conf=ROOT))


def test_a_moved_project_is_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    digest = load_schema(project(tmp_path / "a", conf=ROOT)).digest
    shutil.move(tmp_path / "a", tmp_path / "b")
    no_compiler(monkeypatch)
    assert load_schema(Project(tmp_path / "b")).digest == digest


# --- templates in defaults ---

PLACES = ROOT.replace(
    "Task {", 'Task { optional string data = 2 [default = "%s"]; optional float low = 3 [default = 0.1];'
)


def test_the_project_root_in_a_default_is_written_out_wherever_it_is_read(tmp_path: Path) -> None:
    here = project(tmp_path, conf=PLACES % "{{ROOT_DIR}}/data")
    (tmp_path / "conf/cfg.prototxt").write_text("run {}")
    for _ in range(2):  # compiled, and from the cache
        task = freeze(Composer(here, load_schema(here)).compose("cfg").task_message)
        data = f"{tmp_path}/data"
        assert (task.data, flatten(task)["data"], task.to_dict(with_defaults=True)["data"]) == (data, data, data)
        assert f'data: "{data}"' in task.to_text(with_defaults=True)
        assert flatten(task)["low"] == 0.1 and "low: 0.1\n" in task.to_text(with_defaults=True)
    other = tmp_path / "clone"
    other.mkdir()
    there = project(other, conf=PLACES % "{{ROOT_DIR}}/data")
    assert load_schema(there).new_root().run.data == f"{other}/data"  # type: ignore[attr-defined]  # of this schema


@pytest.mark.parametrize(
    ("default", "says"),
    [
        ("{{ROOTDIR}}/x", r"conf/conf\.proto: Task\.data: its default: unknown template '{{ROOTDIR}}' \(did you mean"),
        ("{{exp fit}}", r"conf/conf\.proto: Task\.data: its default names an experiment or a file \(fit\)"),
    ],
)
def test_another_template_in_a_default_is_an_error(tmp_path: Path, default: str, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        load_schema(project(tmp_path, conf=PLACES % default))


def test_quoted_braces_in_a_default_are_text(tmp_path: Path) -> None:
    schema = load_schema(project(tmp_path, conf=PLACES % '{{\\"{{name}}\\"}}!'))
    assert schema.new_root().run.data == "{{name}}!"  # type: ignore[attr-defined]  # of this schema
