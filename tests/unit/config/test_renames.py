"""Renames: what was called otherwise before keeps its name in identities, and its earlier names are understood."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import heyhi.conf
import heyhi.config.api
from heyhi.config.compose import Composed, Composer
from heyhi.config.describe import describe
from heyhi.config.identity import ExpPattern
from heyhi.config.keys import schema_keys
from heyhi.config.schema import Schema, load_comments, load_schema
from heyhi.config.settings_shown import settings_lines
from heyhi.config.translation import Translation
from heyhi.errors import HeyhiError, ProjectError, SchemaError
from heyhi.project import Project, find_project

BEFORE = """\
syntax = "proto2";
package lab;
message MetaCfg {
  repeated Include includes = 1;
  oneof task { Train train = 2; }
}
message Include { optional string path = 1; optional string mount = 2; }
message Sgd { optional double mom = 1 [default = 0.9]; }
message Adam { optional double beta = 1; }
message Train {
  enum Act { RELU = 0; TANH_OLD = 1; }
  optional double lr = 1 [default = 0.1];
  optional Act act = 2;
  repeated Act acts = 3;
  oneof opt { Sgd sgd = 10; Adam adam = 11; }
  repeated Sgd layers = 20;
  map<string, Sgd> named = 21;
  optional int32 Iters = 22;
  optional string at = 30;
}
"""
AFTER = """\
syntax = "proto2";
package lab;
message MetaCfg {
  repeated Include includes = 1;
  oneof task {
    // was: train
    SlTrain sl_train = 2;
  }
}
message Include { optional string path = 1; optional string mount = 2; }
// was: Sgd
message Momentum {
  // How much of it.
  // was: mom
  optional double momentum = 1 [default = 0.9];
}
message Adam { optional double beta = 1; }
message SlTrain {  // was: Train
  enum Act {
    RELU = 0;
    TANH = 1;  // was: TANH_OLD
  }
  /* was: lr, rate
     The step size. */
  optional double learning_rate = 1 [default = 0.1];
  // was: act
  optional Act activation = 2;
  repeated Act acts = 3;
  // was: opt
  oneof optimizer {
    Momentum momentum = 10;  // was: sgd
    Adam adam = 11;
  }
  // was: layers
  repeated Momentum parts = 20;
  map<string, Momentum> named = 21;
  optional int32 iterations = 22;  // was: Iters
  optional string at = 30;
}
"""
CFG = "conf/cfg.prototxt"
OLD_TEXT = """\
includes { path: "chunk" mount: "sgd" }
train {
  lr: 0.3
  act: TANH_OLD
  acts: [TANH_OLD, RELU, TANH_OLD]
  layers { mom: 1 } layers { mom: 2 }
  named { key: "a" value { mom: 3 } }
}
"""
WriteFiles = Callable[[Path, Mapping[str, str]], None]


class Lab:
    """A project whose protos change."""

    def __init__(self, root: Path, write: WriteFiles) -> None:
        self.root = root
        self._write = write
        self.write({"pyproject.toml": "[tool.heyhi]\n", CFG: "train {}", "conf/schema.proto": BEFORE})

    def write(self, files: Mapping[str, str]) -> None:
        self._write(self.root, files)

    def rename(self) -> None:
        self.write({"conf/schema.proto": AFTER})

    @property
    def project(self) -> Project:
        return find_project(self.root)

    @property
    def schema(self) -> Schema:
        return load_schema(self.project)

    def composer(self) -> Composer:
        return Composer(self.project, self.schema)

    def compose(self, *overrides: str, cfg: str = CFG) -> Composed:
        return self.composer().compose(cfg, overrides)

    def exp_id(self, *overrides: str, cfg: str = CFG) -> str:
        return ExpPattern(self.project).exp_id(self.compose(*overrides, cfg=cfg).identity)

    def notices(self, *overrides: str, cfg: str = CFG) -> list[str]:
        composer = self.composer()
        composer.compose(cfg, overrides)
        return composer.warnings


@pytest.fixture
def lab(tmp_path: Path, write_files: WriteFiles) -> Lab:
    return Lab(tmp_path, write_files)


def schema_of(lab: Lab, body: str) -> Schema:
    text = 'syntax = "proto2"; message MetaCfg { oneof task { Train train = 1; } }\n'
    lab.write({"conf/schema.proto": text + body})
    return lab.schema


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), ()),
        (("lr=0.2",), ("learning_rate=0.2",)),
        (("act=TANH_OLD", "lr=1"), ("learning_rate=1", "activation=TANH")),
        (("opt=NULL",), ("optimizer=NULL",)),
        (("sgd=SELECT",), ("momentum=SELECT",)),
        (("sgd.mom=0.5", "adam.beta=1"), ("momentum.momentum=0.5", "adam.beta=1")),
        (("layers.-1.mom=1", "layers.0.mom=2"), ("parts.-1.momentum=1", "parts.0.momentum=2")),
        (("named.a.mom=1", "acts.-1=TANH_OLD"), ("named.a.momentum=1", "acts.-1=TANH")),
        (("I.sgd=chunk",), ("I.momentum=chunk",)),
        (("Isgd=chunk",), ("Imomentum=chunk",)),
        (("Iters=3",), ("iterations=3",)),
        (("acts=[TANH_OLD,RELU]",), ("acts=[TANH,RELU]",)),
        (("acts+=TANH_OLD",), ("acts+=[TANH]",)),
        (("layers=[{mom: 1}, {}]",), ("parts=[{momentum: 1}, {}]",)),
        (("sgd={mom: 0.5}",), ("momentum={momentum: 0.5}",)),
        (("named={key: 'a' value {mom: 1}}",), ("named={key: 'a' value {momentum: 1}}",)),
        (("opt=adam",), ("optimizer=adam",)),
        (("opt=sgd",), ("optimizer=momentum",)),
    ],
)
def test_a_renamed_key_gives_the_exp_path_of_before(lab: Lab, before: tuple[str, ...], after: tuple[str, ...]) -> None:
    lab.write({"conf/common/sgd/chunk.prototxt": "mom: 0.4"})
    was, exp_id = lab.compose(*before).identity, lab.exp_id(*before)
    lab.rename()
    assert lab.compose(*after).identity == was
    assert lab.compose(*before).identity == was  # by the names of then
    assert lab.exp_id(*after) == lab.exp_id(*before) == exp_id


def test_old_names_are_understood_with_one_notice_each(lab: Lab) -> None:
    lab.rename()
    composer = lab.composer()
    for value in ("0.1", "0.2"):
        composed = composer.compose(CFG, [f"lr={value}", "act=TANH_OLD", "opt=NULL"])
        assert composed.task_message.learning_rate == float(value)  # type: ignore[attr-defined]
    assert "lr was renamed: learning_rate" in composer.warnings
    assert "TANH_OLD was renamed: TANH" in composer.warnings
    assert len(set(composer.warnings)) == len(composer.warnings) == 5  # with opt, act, and the task in the file
    assert lab.notices("rate=1", "lr=2")[-2:] == [
        "rate was renamed: learning_rate",
        "lr was renamed: learning_rate",
    ]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("acts=[RELU,TANH_OLD]", ["TANH_OLD was renamed: TANH"]),
        ("acts+=TANH_OLD", ["TANH_OLD was renamed: TANH"]),
        ("parts=[{mom: 1},{momentum: 2}]", ["mom was renamed: momentum"]),
        ("momentum={mom: 1}", ["mom was renamed: momentum"]),
        ("named={key: 'a' value {mom: 1}}", ["mom was renamed: momentum"]),
        ('named={"mom": {"mom": 1}}', ["mom was renamed: momentum"]),
        ("acts=[TANH]", []),
        ("at=[TANH_OLD]", []),
        ('named={"mom": {"momentum": 1}}', []),
    ],
)
def test_old_names_inside_of_a_value_are_told(lab: Lab, override: str, said: list[str]) -> None:
    lab.rename()
    lab.write({CFG: "sl_train {}"})
    assert lab.notices(override) == said


def test_a_mapping_has_one_value_for_a_key_whatever_it_is_called(lab: Lab) -> None:
    lab.rename()
    with pytest.raises(HeyhiError, match=r"'lr' and 'rate' are one and the same key, .* 'learning_rate' today"):
        lab.composer().compose(CFG, {"lr": 1, "acts.-1": "RELU", "rate": 2})
    for value in ("momentum={mom: 1 momentum: 2}", "parts=[{momentum: 1 mom: 2}]"):
        with pytest.raises(HeyhiError, match="sets 'momentum' twice"):
            lab.compose(value)
    given = {"layers.-1.mom": 1, "parts.-1.momentum": 2, "acts": "[RELU]", "acts+": "[TANH_OLD]"}
    assert len(lab.composer().compose(CFG, given).task_message.parts) == 2  # type: ignore[attr-defined]
    assert lab.compose("lr=1", "rate=2").identity.overrides == ("lr=2",)  # of a list the last one counts


def test_a_config_with_old_names_may_set_a_field_twice(lab: Lab) -> None:
    lab.rename()
    lab.write({CFG: "train {\n lr: 1\n learning_rate: 2\n momentum { mom: 1 momentum: 3 }\n}"})
    task = lab.compose().task_message
    assert (task.learning_rate, task.momentum.momentum) == (2, 3)  # type: ignore[attr-defined]


def test_of_names_of_today_nothing_is_said(lab: Lab) -> None:
    lab.rename()
    lab.write({CFG: "sl_train { learning_rate: 1 activation: TANH }"})
    assert lab.notices("learning_rate=2", "activation=RELU", "optimizer=NULL") == []


def test_a_config_with_old_names_is_read_as_before(lab: Lab) -> None:
    lab.write({CFG: OLD_TEXT, "conf/chunk.prototxt": "mom: 0.4"})
    before = lab.compose()
    lab.rename()
    after = lab.compose()
    assert after.identity == before.identity
    assert after.message.SerializeToString(deterministic=True) == before.message.SerializeToString(deterministic=True)
    assert {
        "train was renamed: sl_train",
        "lr was renamed: learning_rate",
        "act was renamed: activation",
        "TANH_OLD was renamed: TANH",
        "layers was renamed: parts",
        "mom was renamed: momentum",
        "sgd was renamed: momentum",
    } == set(lab.notices())


def test_needs_follow(lab: Lab) -> None:
    lab.write({"conf/base.prototxt": "train {}"})
    before = lab.compose("at={{exp conf/base lr=0.5 act=TANH_OLD}}/x")
    (need,) = before.needs
    assert "at={{exp p/base/act=TANH_OLD,lr=0.5_" in before.identity.overrides[0]
    lab.rename()
    for words in ("lr=0.5 act=TANH_OLD", "learning_rate=0.5 activation=TANH"):
        after = lab.compose(f"at={{{{exp conf/base {words}}}}}/x")
        assert after.identity == before.identity and after.needs[0].identity == need.identity
        assert after.task_message.at == before.task_message.at  # type: ignore[attr-defined]
    folder = lab.composer().need_path(need)
    lab.write({f"{folder.relative_to(lab.root)}/identity.json": json.dumps(need.identity.to_dict())})
    again = lab.compose(*before.identity.overrides)  # as a record names it
    assert again.identity == before.identity


def test_errors_in_such_a_config_still_name_the_place(lab: Lab) -> None:
    lab.rename()
    lab.write({CFG: "train {\n  lr: 0.3\n  acts: NIX\n}\n"})
    with pytest.raises(HeyhiError, match=r"conf/cfg.prototxt:3:9: expected one of RELU, TANH, not 'NIX'"):
        lab.compose()
    lab.write({CFG: "train {\n  lr: 0.3\n}\n"})
    with pytest.raises(HeyhiError, match=r"conf/cfg.prototxt:2 sets it"):
        lab.compose("learning_rate=x")


def test_the_python_api_takes_old_names_and_warns_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lab.rename()
    monkeypatch.chdir(lab.root)
    lab.write({CFG: "sl_train {}"})
    heyhi.config.api._warn_once.cache_clear()
    for _ in range(2):
        cfg = heyhi.conf.load_config(CFG, ["lr=0.7"])
        assert cfg.learning_rate == heyhi.conf.conf_get(cfg, "lr") == 0.7
        assert heyhi.conf.conf_with_overrides(cfg, ["rate=2"]).sl_train.learning_rate == 2
        assert heyhi.conf.load_config(CFG, msg_class="MetaCfg").sl_train.learning_rate == 0.1
    assert caplog.messages == ["lr was renamed: learning_rate", "rate was renamed: learning_rate"]
    with pytest.raises(AttributeError, match=r"has no field 'lr' \(lr was renamed: learning_rate\)"):
        _ = cfg.task.lr


def test_a_schema_takes_its_renames_along(lab: Lab) -> None:
    lab.rename()
    schema = Schema.from_file_set(lab.schema.file_set, lab.schema.root_name)
    assert schema.has_renames
    assert Composer(lab.project, schema).compose(CFG, ["lr=0.5"]).identity.overrides == ("lr=0.5",)


def test_without_renames_there_are_none(lab: Lab) -> None:
    assert not lab.schema.has_renames


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("message Train { optional int32 a = 1;\n/* was: a */ optional int32 b = 2; }", r"b in Train was a, which is"),
        ("message Train { optional int32 a = 1; // was: a\n}", r"a in Train was a: that is its name still"),
        (
            "message Train { optional int32 a = 1; // was: b\n optional int32 b = 2; // was: a\n }",
            r"schema\.proto: a in Train was b, which is the name of another one there",
        ),
        (
            "message Train { optional int32 a = 1; // was: c\n optional int32 b = 2; // was: d, c\n }",
            r"b in Train was c, and so was a",
        ),
        ("message Train { oneof o { int32 a = 1;\n/* was: o */ int32 b = 2; } }", r"b in Train was o"),
        ("message Train { enum E { A = 0; B = 1; // was: A\n } }", r"B in Train\.E was A"),
        ("enum E { A = 0; B = 1; // was: A\n } message Train {}", r"B in E was A"),
        ("message A { // was: B\n} message B {} message Train {}", r"A in the protos was B"),
        ("message Train { message A {}\n/* was: B */\nmessage C {} message B {} }", r"C in Train was B"),
        ("message Train { optional int32 a = 1; // was:\n }", r"schema\.proto: a: 'was:': expected its earlier names"),
        ("message Train { optional int32 a = 1; // was: b c\n }", r"not 'b c'"),
        ("message Train { optional int32 a = 1; // was: b,\n }", r"not ''"),
        ("message Train { optional int32 a = 1; // was: x.b\n }", r"not 'x\.b'"),
        ("message Train { optional int32 a = 1; // was: b, b\n }", r"has b twice"),
        ("message Train {\n/* was: b\nwas: c */ optional int32 a = 1; }", r"a: has 2 lines 'was:'"),
        ("message Train {} // was: B\n", r"schema\.proto:2: 'was: B' belongs to nothing"),
        ("message Train { optional int32 a = 1; /* was: b */ optional int32 c = 2; }", r"'was: b' belongs to nothing"),
        ("// was: b\n\nmessage Train {}", r"schema\.proto:2: 'was: b' belongs to nothing"),
    ],
)
def test_names_that_could_be_of_two_are_refused(lab: Lab, body: str, problem: str) -> None:
    for _ in range(2):  # what is wrong is never cached
        with pytest.raises(SchemaError, match=problem):
            schema_of(lab, body)


@pytest.mark.parametrize("names", ["act", "activation, act"])
def test_a_name_that_is_its_own_still_is_refused_with_what_to_write(lab: Lab, names: str) -> None:
    with pytest.raises(SchemaError, match=r"that is its name still\. Leave it out; .*: 'was: act, other'"):
        schema_of(lab, f"message Train {{ optional int32 act = 1; // was: {names}\n }}")


def test_what_has_its_first_name_again_keeps_its_exp_paths(lab: Lab) -> None:
    text = BEFORE.replace("double lr = 1 [default = 0.1];", "double {0} = 1 [default = 0.1];  // was: {1}")
    text = text.replace("TANH_OLD = 1;", "{2} = 1;  // was: {3}\n ")
    before = lab.compose("lr=1", "act=TANH_OLD").identity

    def name(*words: str) -> None:
        made = text
        for place, word in enumerate(words):
            made = made.replace(f"{{{place}}}", word)
        lab.write({"conf/schema.proto": made})

    name("rate", "lr", "TANH", "TANH_OLD")
    assert lab.compose("rate=1", "act=TANH").identity == before
    name("lr", "lr, rate", "TANH_OLD", "TANH_OLD, TANH")
    assert lab.compose("lr=1", "act=TANH_OLD").identity == lab.compose("rate=1", "act=TANH").identity == before
    assert lab.notices("lr=1") == [] and lab.notices("rate=1") == ["rate was renamed: lr"]
    today = Translation(lab.schema)
    assert today.overrides(["rate=1", "lr=2", "act=TANH"]) == ("lr=1", "lr=2", "act=TANH_OLD")
    assert today.flat({"train.rate": 1}) == {"train.lr": 1}
    name("rate", "rate, step, lr", "TANH", "TANH_OLD")  # and once more, with another first one
    assert lab.compose("lr=1").identity.overrides == lab.compose("step=1").identity.overrides == ("rate=1",)


def test_one_message_s_names_are_no_matter_of_another_s(lab: Lab) -> None:
    assert schema_of(
        lab,
        "message Train { optional A a = 1; // was: b\n } message A { optional int32 b = 1; // was: a, Was\n }\n"
        "// What was: nothing.\nmessage C { optional int32 d = 1; // as it was: me\n }",
    ).has_renames


@pytest.mark.parametrize(
    ("comment", "names"),
    [
        ("// Was: act", "act"),
        ("// WAS : act, lr", "act, lr"),
        ("// was=act", "act"),
        ("// was = act,lr", "act,lr"),
        ("// it was: act", "act"),
        ("// It was = act", "act"),
        ("// previously was: act", "act"),
        ("// was weight_decay", "weight_decay"),
        ("// Was weight_decay, decay", "weight_decay, decay"),
        ("/* Was: act */", "act"),
        ("/* How much.\n     Was: act */", "act"),
        ("// How much.\n// it was: act", "act"),
        ("/** The slope\n * Was: act\n */", "act"),
    ],
)
def test_a_line_that_is_nearly_a_was_line_is_refused(lab: Lab, comment: str, names: str) -> None:
    for body in (f"message Train {{\n{comment}\noptional int32 a = 1; }}", f"message Train {{}} {comment}\n"):
        with pytest.raises(
            SchemaError, match=rf"schema\.proto:\d+: '.*': expected earlier names as 'was: {names}', in"
        ):
            schema_of(lab, body)


@pytest.mark.parametrize(
    "comment",
    [
        "// What it was: nothing.",
        "// was required",
        "// was int32",
        "// was slow, buggy",
        "// Was 0.1 before.",
        "// Kept as\n// it was: act",
        "/* Kept as\n   it was: act */",
        "/* Kept as\n * it was = act\n */",
        "// Nobody knows what this was: an act?",
        "// It was act that did this.",
        "// The rate was: lr",
        "// wash: act",
    ],
)
def test_english_with_a_was_in_it_stays_a_comment(lab: Lab, comment: str) -> None:
    body = f"message Train {{\n{comment}\noptional int32 a = 1; // Kept as\n  // it was: act\n }}"
    assert not schema_of(lab, body).has_renames


def test_a_proto3_optional_field_may_be_renamed(lab: Lab) -> None:
    text = 'syntax = "proto3"; message MetaCfg { oneof task { Train train = 1; } }\n'
    lab.write({"conf/schema.proto": text + "message Train { optional int32 a = 1; // was: b\n }"})
    assert lab.compose("b=3").identity.overrides == ("b=3",)


def test_comments_are_told_without_their_was_lines(lab: Lab) -> None:
    lab.rename()
    comments = load_comments(lab.project)
    assert comments["lab.Momentum.momentum"] == "How much of it."
    assert comments["lab.SlTrain.learning_rate"] == "The step size."
    assert "lab.SlTrain" not in comments


# --- configs that moved ---------------------------------------------------------------------------------------------


def move(lab: Lab, old: str, new: str, **others: str) -> None:
    (lab.root / new).parent.mkdir(parents=True, exist_ok=True)
    (lab.root / old).rename(lab.root / new)
    settle(lab, {old: new, **others})


def settle(lab: Lab, renamed: Mapping[str, str]) -> None:
    pairs = ", ".join(f'"{a}" = "{b}"' for a, b in renamed.items())
    lab.write({"pyproject.toml": f"[tool.heyhi]\nrenamed = {{{pairs}}}\n"})


def test_a_moved_config_keeps_its_exp_path(lab: Lab) -> None:
    before = lab.exp_id("lr=1")
    move(lab, CFG, "conf/new/place.prototxt")
    for cfg in ("conf/new/place.prototxt", "new/place", CFG, "conf/cfg", "cfg"):
        assert lab.exp_id("lr=1", cfg=cfg) == before, cfg
    assert lab.notices(cfg="conf/new/place") == []
    assert lab.notices(cfg="cfg") == ["conf/cfg.prototxt was renamed: conf/new/place.prototxt"]


def test_a_moved_chunk_keeps_exp_paths_and_is_found_by_its_old_name(lab: Lab) -> None:
    lab.write({"conf/common/sgd/small.prototxt": "mom: 0.4", "conf/common/sgd/more.prototxt": "mom: 0.5"})
    before = lab.compose("I.sgd=small").identity
    move(lab, "conf/common/sgd/small.prototxt", "conf/common/sgd/tiny.prototxt")
    assert lab.compose("I.sgd=tiny").identity == lab.compose("I.sgd=small").identity == before
    lab.write({CFG: 'includes { path: "small" mount: "sgd" } train {}'})
    assert lab.compose().task_message.sgd.mom == 0.4  # type: ignore[attr-defined]
    lab.rename()  # its field as well
    assert lab.compose("I.momentum=tiny").identity == before


def test_a_path_that_changed_twice_is_followed_to_the_first(lab: Lab) -> None:
    before = lab.exp_id()
    (lab.root / CFG).rename(lab.root / "conf/c.prototxt")
    settle(lab, {CFG: "conf/b.prototxt", "conf/b.prototxt": "conf/c.prototxt"})
    assert lab.exp_id(cfg="c") == lab.exp_id(cfg="b") == lab.exp_id(cfg="cfg") == before


def test_a_path_that_is_taken_again_keeps_its_exp_path(lab: Lab) -> None:
    b, c = "conf/b.prototxt", "conf/c.prototxt"
    before = lab.exp_id()
    for circle in ({CFG: b, b: CFG}, {CFG: b, b: c, c: CFG}):
        settle(lab, circle)
        for cfg in (CFG, *circle):
            assert lab.exp_id(cfg=cfg) == before, cfg
        assert lab.notices(cfg=b) == [f"{b} was renamed: {CFG}"] and lab.notices() == []
        names = ", ".join(circle)
        assert Translation(lab.schema, lab.project).lines() == [f"{CFG} (was: {names})"]
    settle(lab, {b: c, c: CFG})  # what it was first, before it was what it is today
    assert lab.exp_id().startswith("p/b/")


@pytest.mark.parametrize(
    ("renamed", "problem"),
    [
        ({"../b.prototxt": CFG}, "relative to the project root and inside it"),
        ({"conf/../../b.prototxt": CFG}, "relative to the project root and inside it"),
        ({"/b.prototxt": CFG}, "relative to the project root and inside it"),
        ({"conf/b.prototxt": "../b.prototxt"}, "relative to the project root and inside it"),
        ({"conf/b.prototxt": "/b.prototxt"}, "relative to the project root and inside it"),
        ({"conf/b.prototxt": "conf/.."}, "relative to the project root and inside it"),
        (
            {"conf/b.prototxt": CFG, CFG: "conf/b.prototxt"},
            "conf/b.prototxt -> conf/cfg.prototxt -> conf/b.prototxt, and there is no such file, but"
            " 'conf/cfg.prototxt' is: leave out what 'conf/cfg.prototxt' leads to",
        ),
        (
            {"conf/x.prototxt": CFG, CFG: "conf/b.prototxt", "conf/b.prototxt": CFG},
            'listed as what it is today: "conf/x.prototxt" = "conf/b.prototxt", "conf/b.prototxt" = "conf/cfg',
        ),
    ],
)
def test_paths_that_name_no_config_s_way_are_refused(lab: Lab, renamed: Mapping[str, str], problem: str) -> None:
    test_paths_that_can_t_be_are_refused(lab, renamed, problem)


@pytest.mark.parametrize(
    ("renamed", "problem"),
    [
        ({"conf/a.prototxt": "conf/b.prototxt"}, "'conf/a.prototxt' is 'conf/b.prototxt' by now, and there is no such"),
        ({CFG: "conf/b.prototxt"}, "'conf/cfg.prototxt' is there still"),
        ({"conf/a.prototxt": CFG, "conf/b.prototxt": CFG}, "only one of them can be"),
        ({"conf/a.prototxt": "conf/b.prototxt", "conf/b.prototxt": "conf/a.prototxt"}, "leads back to itself"),
        ({"conf/a.prototxt": "conf/./a.prototxt"}, "leads back to itself"),
    ],
)
def test_paths_that_can_t_be_are_refused(lab: Lab, renamed: Mapping[str, str], problem: str) -> None:
    settle(lab, renamed)
    with pytest.raises(ProjectError, match=f"pyproject.toml: .tool.heyhi. renamed: .*{re.escape(problem)}"):
        lab.compose()


@pytest.mark.parametrize("value", ["3", '["a"]', "{a = 3}", '{a = ""}'])
def test_renamed_must_be_a_table_of_paths(lab: Lab, value: str) -> None:
    lab.write({"pyproject.toml": f"[tool.heyhi]\nrenamed = {value}\n"})
    with pytest.raises(ProjectError, match="renamed must be a table of earlier paths"):
        lab.compose()


# --- shown ----------------------------------------------------------------------------------------------------------


def test_describe_shows_earlier_names(lab: Lab) -> None:
    lab.rename()
    text = describe(lab.project, lab.schema, "sl_train", None)
    assert re.search(r"learning_rate +double +0\.1\n +The step size\.\n +was: lr, rate\n", text), text
    assert re.search(r"TANH  was: TANH_OLD\n", text) and re.search(r"optimizer .*\n +was: opt\n", text), text
    assert "was: lr, rate" in describe(lab.project, lab.schema, CFG, "learning_rate")
    assert "was: lr, rate" in describe(lab.project, lab.schema, CFG, "lr")


def test_all_renames_can_be_listed(lab: Lab) -> None:
    lab.rename()
    (lab.root / CFG).rename(lab.root / "conf/c.prototxt")
    settle(lab, {"conf/b.prototxt": "conf/c.prototxt", CFG: "conf/b.prototxt"})
    found = Translation(lab.schema, lab.project).lines()
    assert "lab.SlTrain.learning_rate (was: lr, rate)" in found
    assert "lab.Momentum (was: Sgd)" in found and "lab.SlTrain.optimizer (was: opt)" in found
    assert any("TANH (was: TANH_OLD)" in line for line in found)
    assert found[-1] == f"conf/c.prototxt (was: {CFG}, conf/b.prototxt)"
    assert Translation.of(lab.project) is not None
    assert [line.strip() for line in settings_lines(lab.project, lab.schema)][-len(found) :] == found


def test_a_project_without_renames_needs_no_translation(lab: Lab) -> None:
    assert Translation.of(lab.project) is None


def test_completion_offers_new_names_only(lab: Lab) -> None:
    lab.rename()
    task = lab.schema.tasks["sl_train"].message_type
    assert task is not None
    assert "learning_rate" in schema_keys(task) and "lr" not in schema_keys(task)
