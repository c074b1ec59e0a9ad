"""Records of another day: whatever a config held, it is read by the names of today, and says what it said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.comparable import changed_defaults
from heyhi.config.composite import Writing, list_text
from heyhi.config.difference import Difference, flat_of
from heyhi.config.earlier_protos import with_names_of
from heyhi.config.identity import Identity
from heyhi.config.overrides import override_lines
from heyhi.config.renames import first_name
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema, load_schema
from heyhi.config.translation import Translation
from heyhi.config.value_names import value_of_today
from heyhi.config.values import first_scalar_text
from heyhi.project import Project

HEAD = 'syntax = "proto2";\npackage lab.deep;\n'
BEFORE = """
message MetaCfg { oneof task { Train train = 1; Check check = 2; } }
enum Kind { K_A = 0; K_B = 3; }
message Train {
  message Part {
    enum Form { ROUND = 0; FLAT = 1; }
    optional Form form = 1 [default = FLAT];
    optional Part more = 2;
    optional string name = 3;
  }
  optional Kind kind = 1 [default = K_B];
  repeated Kind kinds = 2;
  optional Part part = 3;
  repeated Part parts = 4;
  map<string, Part> named = 5;
  map<int32, Kind> by_number = 6;
  oneof choice { Part.Form form = 7; string text = 8; Part whole = 9; }
}
message Check { optional Train.Part part = 1; optional double lr = 2 [default = 0.1]; }
"""
AFTER = """
message MetaCfg {
  oneof task {
    Fit fit = 1;  // was: train
    Check check = 2;
  }
}
// was: Kind
enum Sort {
  S_A = 0;  // was: K_A
  S_B = 3;  // was: K_X, K_B
}
message Fit {  // was: Train
  message Piece {  // was: Part
    enum Shape {  // was: Form
      ROUND = 0;
      EVEN = 1;  // was: FLAT
    }
    optional Shape shape = 1 [default = EVEN];  // was: form
    optional Piece inside = 2;  // was: more
    optional string name = 3;
  }
  optional Sort sort = 1 [default = S_B];  // was: kind
  repeated Sort sorts = 2;  // was: kinds
  optional Piece piece = 3;  // was: part
  repeated Piece pieces = 4;  // was: parts
  map<string, Piece> by_name = 5;  // was: named
  map<int32, Sort> by_number = 6;
  oneof chosen {  // was: choice
    Piece.Shape shape = 7;  // was: form
    string text = 8;
    Piece all = 9;  // was: whole
  }
}
message Check {
  optional Fit.Piece piece = 1;  // was: part
  optional double learning_rate = 2 [default = 0.1];  // was: lr
}
"""


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> tuple[Schema, Schema]:
    """The protos as they were, and as they are."""
    found = []
    for body in (BEFORE, AFTER):
        root = tmp_path_factory.mktemp("protos")
        (root / "conf").mkdir()
        (root / "conf/conf.proto").write_text(HEAD + body)
        found.append(load_schema(Project(root)))
    return found[0], found[1]


@given(st.data())
def test_a_config_of_before_is_the_one_of_today(schemas: tuple[Schema, Schema], shared_lab: Any, data: Any) -> None:
    before, today = schemas
    message = data.draw(shared_lab.messages(before.root))
    same = today.parse_root(message.SerializeToString())
    assert repr(Translation(today).flat(flat_of(message))) == repr(flat_of(same))  # of NaN, too
    assert Difference(today, Scheduling(())).changes(flat_of(message), flat_of(same)) == []
    named = with_names_of(today, before).parse_root(message.SerializeToString())
    assert override_lines(named, with_defaults=True) == override_lines(same, with_defaults=True)


def test_protos_of_before_get_the_names_of_today_and_keep_the_rest(schemas: tuple[Schema, Schema]) -> None:
    before, today = schemas
    named = with_names_of(today, before)
    assert named.message_types().keys() - {"lab.deep.Fit"} == today.message_types().keys() - {"lab.deep.Fit"}
    assert list(named.tasks) == ["fit", "check"]
    assert changed_defaults([named, today]) == frozenset()
    assert with_names_of(before, before) is before and with_names_of(before, today) is today


def test_a_field_that_stands_in_the_place_of_a_new_name_stays(tmp_path: Path) -> None:
    schemas = []
    for number, body in enumerate(
        ("optional int32 a = 1; optional int32 b = 2;", "optional int32 b = 1;  // was: a\n")
    ):
        (tmp_path / str(number) / "conf").mkdir(parents=True)
        text = f"{HEAD}message MetaCfg {{ oneof task {{ T t = 1; }} }} message T {{ {body} }}"
        (tmp_path / str(number) / "conf/conf.proto").write_text(text)
        schemas.append(load_schema(Project(tmp_path / str(number))))
    named = with_names_of(schemas[1], schemas[0])
    assert [field.name for field in named.message_types()["lab.deep.T"].fields] == ["a", "b"]


@given(st.data())
def test_the_text_of_a_list_of_messages_is_told_by_the_names_of_today(
    schemas: tuple[Schema, Schema], shared_lab: Any, data: Any
) -> None:
    field = schemas[1].tasks["fit"].message_type.fields_by_name["pieces"]
    pieces = shared_lab.messages(field.message_type)
    values = data.draw(st.lists(pieces, max_size=3))
    first = list_text(field, values, Writing(scalar=first_scalar_text, name=first_name))
    assert value_of_today(field, first)[0] == list_text(field, values)
    assert value_of_today(field, list_text(field, values)) == (list_text(field, values), ())


@pytest.mark.parametrize(
    ("then", "today"),
    [
        ("kind=K_B", "sort=S_B"),
        ("kind=3", "sort=3"),
        ("kinds=[K_A,K_B]", "sorts=[S_A,S_B]"),
        ("kinds+=[K_B]", "sorts+=[S_B]"),
        ("named.a.form=FLAT", "by_name.a.shape=EVEN"),
        ('named."a.b".name=K_B', 'by_name."a.b".name=K_B'),
        (
            'parts=[{form: FLAT name: "form: K_B"},{more {form: ROUND}}]',
            'pieces=[{shape: EVEN name: "form: K_B"},{inside {shape: ROUND}}]',
        ),
        ("parts+=[{form: FLAT}]", "pieces+=[{shape: EVEN}]"),
        ("parts=[{},{name: 'a \"form\"' form: FLAT}]", "pieces=[{},{name: 'a \"form\"' shape: EVEN}]"),
        ("parts=[ {name: form} ]", "pieces=[ {name: form} ]"),  # as it was given where nothing in it was renamed
        ("parts=[{form: 1, gone: {x: [1,{y: 2}]}}]", "pieces=[{shape: 1 gone: {x: [1,{y: 2}]}}]"),
        ("parts=[{form: 1", "pieces=[{form: 1"),  # no value
        ('named={"form": {"form": "FLAT"}}', 'by_name={"form": {"shape": EVEN}}'),
        ('named=[{key: "a" value: {form: FLAT}}]', 'by_name=[{key: "a" value: {shape: EVEN}}]'),
        ('by_number={"1": K_B}', 'by_number={"1": S_B}'),
        ("part={more {form: FLAT}}", "piece={inside {shape: EVEN}}"),
        ("choice=NULL", "chosen=NULL"),
        ("I.part=conf/x.prototxt", "I.piece=conf/x.prototxt"),
        ("I=conf/x.prototxt", "I=conf/x.prototxt"),
        ("lr=1.0", "learning_rate=1.0"),  # of the other task
        ("gone=1", "gone=1"),
        ("no override", "no override"),
    ],
)
def test_what_an_identity_names_is_told_by_the_names_of_today(
    schemas: tuple[Schema, Schema], then: str, today: str
) -> None:
    translation = Translation(schemas[1])
    assert translation.words(Identity("conf/a.prototxt", (then,))) == ["conf/a.prototxt", today]
    assert translation.task("train") == "fit" and translation.task("nix") == "nix"
