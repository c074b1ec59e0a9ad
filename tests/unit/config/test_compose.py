"""Composing: templates, needs, identities of what was composed, and all that can be wrong."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.compose import Composed
from heyhi.config.overrides import override_lines
from heyhi.errors import ConfigError, HeyhiError, NeedsError, OverrideError
from heyhi.experiment.folder import ExperimentDir

if TYPE_CHECKING:
    from tests.unit.conftest import Lab

CFG = "conf/cfg.prototxt"


def text(composed: Composed) -> str:
    return text_format.MessageToString(composed.task_message, as_one_line=True, as_utf8=True).strip()


def error(lab: Lab, config: str, *overrides: str) -> str:
    with pytest.raises(HeyhiError) as raised:
        lab.compose(config, *overrides)
    return str(raised.value)


# --- what is composed ---


def test_a_config_is_named_from_anywhere(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = lab.write("exp/cfg.prototxt", "train { lr: 1 }")
    monkeypatch.chdir(lab.root / "conf/exp")
    for name in (
        path,
        str(path),
        "cfg",
        "cfg.prototxt",
        "exp/cfg",
        "conf/exp/cfg",
        "conf/exp/cfg.prototxt",
        "../exp/cfg",
    ):
        composed = lab.composer().compose(name)
        assert composed.identity.cfg == "conf/exp/cfg.prototxt"
        assert text(composed) == "lr: 1.0"


def test_a_config_outside_of_the_project_counts_by_its_content(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def cfg(text: str, name: str = "cfg.prototxt") -> str:
        path = tmp_path_factory.mktemp("outside") / name
        path.write_text(text)
        return lab.composer().compose(path).identity.cfg

    found = cfg("train { lr: 2 }")
    assert re.fullmatch(r"outside/[0-9a-f]{16}\.prototxt", found)
    assert cfg("train {\n  lr: 2.0  # as before\n}\n", "cfg.123.prototxt") == found
    assert cfg("train { lr: 3 }") != found
    # What it includes counts, wherever that lies.
    lab.write("a.prototxt", "name: 'a'")
    part = tmp_path_factory.mktemp("part") / "part.prototxt"
    part.write_text("lr: 2")
    assert cfg(f"train {{ includes {{ path: '{part}' }} }}") == found
    assert cfg("train { lr: 2 includes { path: 'conf/a' } }") != found
    lab.write("cfg.prototxt", "train { lr: 2 }")
    link = tmp_path_factory.mktemp("link") / "project"
    link.symlink_to(lab.root)
    name = (lab.root / CFG).relative_to(lab.root)
    assert lab.composer().compose(link / name).identity.cfg == str(name)


def test_composed_has_task_message_and_base(lab: Lab) -> None:
    lab.write("a.prototxt", "name: 'a'")
    lab.write("cfg.prototxt", "includes { path: 'a' } train { lr: 1 }")
    composed = lab.composer().compose(CFG, ["lr=2"])
    assert composed.task == "train"
    assert text(composed) == 'lr: 2.0 name: "a"'
    assert not composed.message.includes
    assert text_format.MessageToString(composed.base, as_one_line=True).strip() == 'train { lr: 1.0 name: "a" }'
    assert composed.needs == ()


def test_overrides_may_be_a_mapping_with_values_of_python(lab: Lab) -> None:
    lab.write("cfg.prototxt", "train { name: 'x' sgd {} }")
    values = {
        "lr": np.float64(0.5),
        "i32": np.int64(3),
        "flag": True,
        "name": None,
        "color": "RED",
        "single": 1,
        "blob": b"\0",
    }
    composed = lab.composer().compose(CFG, values)
    assert text(composed) == 'lr: 0.5 single: 1.0 i32: 3 flag: true blob: "\\000" color: RED sgd { }'
    assert composed.identity == lab.composer().compose(CFG, [
        "lr=0.50", "i32=+3", "flag=1", "name=NULL", "color=0", "single=1.0", "blob=\\x00",
    ]).identity  # fmt: skip


def test_numbers_of_python_are_checked_as_texts_are(lab: Lab) -> None:
    lab.write("cfg.prototxt", "train {}")
    composer = lab.composer()
    for key, value, message in [
        ("i32", 2**31, "2147483648 is out of range"),
        ("u32", -1, "-1 is out of range"),
        ("i32", 1.0, "is an integer"),
        ("i32", True, "is an integer"),
        ("lr", True, "is a number"),
        ("i64", 10**5000, "more than 100 digits"),
        ("i32", [1], "is an integer"),
    ]:
        with pytest.raises(OverrideError, match=message):
            composer.compose(CFG, {key: value})
    assert composer.compose(CFG, {"lr": float("nan")}).identity.overrides == ("lr=nan",)
    assert composer.compose(CFG, {"i32": None, "lr": None}).identity.overrides == ("i32=NULL", "lr=NULL")


def test_an_experiment_is_the_same_wherever_numbers_stand_among_other_values(lab: Lab) -> None:
    lab.write("cfg.prototxt", "train { layer { sizes: 1 } sgd {} }")
    composer = lab.composer()
    values: dict[str, object] = {"lr": 0.5, "name": "{{ROOT_DIR}}/x", "i32": -3, "sgd": None, "layer.sizes.0": 7}
    texts = ["lr=0.5", "name={{ROOT_DIR}}/x", "i32=-3", "sgd=NULL", "layer.sizes.0=7"]
    expected = composer.compose(CFG, texts)
    for keys in itertools.permutations(values):
        composed = composer.compose(CFG, {key: values[key] for key in keys})
        assert composed.identity == expected.identity
        assert composed.message == expected.message


def test_a_number_that_can_not_be_written_is_said_with_all_else_that_is_wrong(lab: Lab) -> None:
    lab.write("cfg.prototxt", "train { layer { sizes: 1 } }")
    with pytest.raises(OverrideError) as raised:
        lab.composer().compose(CFG, {"lr": 1.0, "layer.sizes.5": 7, "i32": "x"})
    first, second = str(raised.value).splitlines()
    assert first.startswith("override 'layer.sizes.5=7': key 'layer.sizes.5': the list has 1 elements")
    assert second.startswith("override 'i32=x': key 'i32' is an integer")


def test_required_fields_of_proto2_are_asked_for_at_the_end(lab: Lab) -> None:
    assert error(lab, "strict { name: 'a' }") == "conf/cfg.prototxt: required fields are not set: must"
    assert lab.compose("strict {}", "must=3").must == 3


# --- templates ---


def test_root_dir_is_written_out_in_files_and_overrides(lab: Lab) -> None:
    lab.write(
        "a.prototxt",
        "strings: '{{ROOT_DIR}}/a' by_int { key: 1 value: '{{ ROOT_DIR }}' } layer { name: '{{ROOT_DIR}}' }",
    )
    lab.write("cfg.prototxt", "includes { path: 'a' } train { name: 'x{{ROOT_DIR}}y{{ROOT_DIR}}' }")
    message = lab.composer().compose(CFG, ["modern.name={{ROOT_DIR}}/b", "scale.{{ROOT_DIR}}=1"]).task_message
    root = str(lab.root)
    assert (list(message.strings), dict(message.by_int), message.layer.name) == ([f"{root}/a"], {1: root}, root)
    assert (message.name, message.modern.name) == (f"x{root}y{root}", f"{root}/b")
    assert dict(message.scale) == {"{{ROOT_DIR}}": 1}  # a key, no value


def test_a_quoted_override_is_no_template(lab: Lab) -> None:
    lab.write("need.prototxt", "train {}")
    lab.write("cfg.prototxt", "train { strings: '{{exp conf/need}}' }")
    for literal in ("{{ROOT_DIR}}", "{{exp conf/need}}", "{{{exp conf/need}}}", "{{exp"):
        quoted = literal.replace("{", "\\u007b")
        composed = lab.composer().compose(CFG, [f'name="{quoted}"'])
        assert composed.task_message.name == literal
        assert len(composed.needs) == 1
        again = lab.composer().compose(CFG, composed.identity.overrides)
        assert (again.task_message.name, again.identity) == (literal, composed.identity)


def test_a_template_that_quotes_make_just_text_is_warned_about(lab: Lab) -> None:
    lab.write("need.prototxt", "train {}")
    lab.write("cfg.prototxt", "train {}")
    composer = lab.composer()
    quoted = 'name="{{exp conf/need lr=1}}"'
    assert composer.compose(CFG, [quoted]).task_message.name == "{{exp conf/need lr=1}}"
    assert composer.warnings == [
        "key 'name': \"{{exp conf/need lr=1}}\" is just text, since it has double quotes of its own: without them it is"
        " a template, 'name={{exp conf/need lr=1}}'"
    ]
    composer = lab.composer()
    composer.compose(CFG, ['strings=["{{ROOT_DIR}}/a"]'])
    composer.compose(CFG, ['name="{{name}}"'])
    composer.compose(CFG, ["name={{exp conf/need}}"])
    composer.compose(CFG, ['name="\\u007b\\u007bexp conf/need}}"'])
    assert not composer.warnings


def test_a_template_with_a_nul_is_refused(lab: Lab) -> None:
    message = "override 'name={{ROOT_DIR}}\\x00lr=1': a string with {{…}} in it can't have a NUL character"
    assert error(lab, "train {}", "name={{ROOT_DIR}}\0lr=1") == message


def test_braces_that_nothing_closes_stay(lab: Lab) -> None:
    lab.write("need.prototxt", "train {}")
    lab.write("cfg.prototxt", "train { name: 'a}} {{ b' strings: '{{exp conf/need}}' }")
    assert lab.composer().compose(CFG).task_message.name == "a}} {{ b"
    assert lab.composer().compose(CFG, ["name=}} {{"]).task_message.name == "}} {{"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ROOTDIR}}/x", "unknown template '{{ROOTDIR}}' (did you mean 'ROOT_DIR'?)"),
        ("{{root_dir}}", "unknown template '{{root_dir}}' (did you mean 'ROOT_DIR'?)"),
        ("a {{ROOT_DIR/x}}", "unknown template '{{ROOT_DIR/x}}' (did you mean 'ROOT_DIR'?)"),
        ("{{expp need}}", "unknown template '{{expp need}}' (did you mean 'exp'?)"),
        (
            "{{x}}",
            "unknown template '{{x}}': there are {{ROOT_DIR}}, {{exp CFG [OVERRIDE …]}}, {{file PATH}},"
            " {{best SWEEP max=KEY}}; what is only",
        ),
        ("{{}}", "unknown template '{{}}': there are"),
        ("{{ROOT_DIR x}}", "'{{ROOT_DIR x}}': expected {{ROOT_DIR}}"),
        ("{{ROOT_DIR", "'{{ROOT_DIR': expected {{ROOT_DIR}}"),
        ("{{exp}}", "'{{exp}}': expected {{exp CFG [OVERRIDE …]}}"),
        ("{{exp need", "'{{exp need': expected {{exp CFG [OVERRIDE …]}}"),
    ],
)
def test_an_unknown_template_is_an_error_wherever_it_stands(lab: Lab, template: str, says: str) -> None:
    lab.write("need.prototxt", "train {}")
    lab.write("part.prototxt", f"strings: 'a'\nstrings: '{template}'")
    assert error(lab, f"train {{\n name: '{template}' }}").startswith(f"conf/cfg.prototxt:2: {says}")
    assert says in error(lab, "train {}", f"name={template}")
    assert f"conf/part.prototxt:2: {says}" in error(lab, "train {}", "I=part")


def test_quoted_braces_are_text_in_files_and_overrides(lab: Lab) -> None:
    lab.write("need.prototxt", "train {}")
    lab.write(
        "cfg.prototxt", """train { name: 'Hi {{"{{user}}"}}, in {{ROOT_DIR}}' strings: '{{ "{{exp need}}" }}' }"""
    )
    composed = lab.composer().compose(CFG)
    assert composed.task_message.name == f"Hi {{{{user}}}}, in {lab.root}"
    assert list(composed.task_message.strings) == ["{{exp need}}"] and not composed.needs
    texts = ['{{"{{user}}"}}', '{{"{{"}}user}}', '"{{user}}"', '"\\u007b\\u007buser}}"']
    made = [lab.composer().compose(CFG, [f"name={text}"]) for text in texts]
    assert {one.task_message.name for one in made} == {"{{user}}"}
    assert len({one.identity for one in made}) == 1, "they all say the same"


@given(parts=st.lists(st.sampled_from(["{", "{{", "}}", "a", " ", '"', "{{ROOT_DIR}}", "{{exp need}}"]), max_size=8))
def test_a_text_with_quoted_parts_is_named_so_that_it_reads_back(shared_lab: Lab, parts: list[str]) -> None:
    shared_lab.write("need.prototxt", "train {}")
    shared_lab.write("cfg.prototxt", "train {}")
    composer = shared_lab.composer()
    text = "".join(part if len(part) > 2 else f"{{{{{json.dumps(part)}}}}}" for part in parts)
    composed = composer.compose(CFG, [f"name={text}"])
    folder = str(composer.need_path(composer.compose("conf/need")))
    meant = {"{{ROOT_DIR}}": str(shared_lab.root), "{{exp need}}": folder}
    assert composed.task_message.name == "".join(meant.get(part, part) for part in parts)
    again = composer.compose(CFG, composed.identity.overrides)
    assert (again.identity, again.task_message.name) == (composed.identity, composed.task_message.name)


@pytest.fixture
def needs(lab: Lab) -> Callable[..., Composed]:
    """Two trainings, and a way to compose a config over them."""
    lab.write("need.prototxt", "train { lr: 1 }")
    lab.write("other.prototxt", "train { lr: 2 }")

    def compose(config: str, *overrides: str) -> Composed:
        lab.write("cfg.prototxt", config)
        return lab.composer().compose(CFG, overrides)

    return compose


def test_a_need_in_a_file_is_written_out_as_its_folder(lab: Lab, needs: Callable[..., Composed]) -> None:
    composed = needs("train { name: 'a{{exp conf/need.prototxt lr=0.50 name=x}}/ckpt' }")
    need = composed.needs[0]
    assert (need.identity.cfg, need.identity.overrides) == ("conf/need.prototxt", ("lr=0.5", "name=x"))
    folder = lab.composer().need_path(need)
    assert folder.is_relative_to(lab.root / "results/p/need")
    assert composed.task_message.name == f"a{folder}/ckpt"
    assert composed.identity.overrides == ()


def test_needs_stand_in_any_string_and_are_shared(lab: Lab, needs: Callable[..., Composed]) -> None:
    lab.write("chunk.prototxt", "name: '{{exp conf/other}}'")
    composed = needs(
        "includes { path: 'chunk' mount: 'layer' } train {"
        " strings: '{{exp conf/need}} and {{ exp conf/need lr=1.0 }}' strings: '{{exp need}}'"
        " by_int { key: 1 value: '{{exp conf/need.prototxt}}' } }"
    )
    cfgs = [(need.identity.cfg, need.identity.overrides) for need in composed.needs]
    assert cfgs == [("conf/need.prototxt", ()), ("conf/need.prototxt", ("lr=1",)), ("conf/other.prototxt", ())]
    assert "{{" not in text(composed)
    assert composed.task_message.strings[1] == composed.task_message.by_int[1]


def test_a_need_in_an_override_is_named_by_its_exp_id(lab: Lab, needs: Callable[..., Composed]) -> None:
    composed = needs("train {}", "name={{exp conf/need lr=0.50}}/x", "lr=3")
    again = needs("train {}", "name={{exp  need.prototxt  --lr=.5 }}/x", "lr=3")
    need = composed.needs[0]
    exp_id = lab.composer().need_path(need).relative_to(lab.root / "results").as_posix()
    assert composed.identity.overrides == ("lr=3", f"name={{{{exp {exp_id}}}}}/x")
    assert again.identity == composed.identity
    assert composed.task_message.name == f"{lab.root}/results/{exp_id}/x"


@pytest.mark.parametrize("written", ["data/x.npz", "./data//x.npz", " data/sub/../x.npz ", "{{ROOT_DIR}}/data/x.npz"])
def test_a_file_that_is_needed_is_named_by_its_path_in_the_project(
    lab: Lab, needs: Callable[..., Composed], written: str
) -> None:
    composed = needs("train {}", f"name={{{{file {written}}}}}.part", "lr=3")
    assert composed.files == ("data/x.npz",) and composed.needs == ()
    assert composed.identity.overrides == ("lr=3", "name={{file data/x.npz}}.part")
    assert composed.task_message.name == f"{lab.root}/data/x.npz.part"
    again = lab.composer().compose(CFG, composed.identity.overrides)
    assert (again.identity, again.files) == (composed.identity, composed.files)
    in_a_file = needs(f"train {{ name: '{{{{file {written}}}}}.part' }}")
    assert (in_a_file.files, in_a_file.task_message) == (
        composed.files,
        needs("train {}", *again.identity.overrides[1:]).task_message,
    )


def test_a_file_elsewhere_is_needed_by_its_absolute_path(needs: Callable[..., Composed]) -> None:
    composed = needs("train {}", "name={{file /datasets/my images.tar}}")
    assert (composed.files, composed.task_message.name) == (("/datasets/my images.tar",), "/datasets/my images.tar")
    assert composed.identity.overrides == ("name={{file /datasets/my images.tar}}",)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{{file}}", "'{{file}}': expected {{file PATH}}"),
        ("{{file ../x.npz}}", "{{file ../x.npz}}: leads out of the project"),
        ("{{file data/}}", "{{file data/}}: is a folder: name a file in it, such as one that the rule that fills it"),
        ("{{file data/my dir/}}", "{{file data/my dir/}}: is a folder: name a file in it"),
        ("{{file ~/x}}", "{{file ~/x}}: ~ is no home folder here, and no file of a project is named so; expected a"),
        ("{{file ./~/x}}", "{{file ./~/x}}: ~ is no home folder here"),
        ("{{file ~bob/x}}", "{{file ~bob/x}}: ~ is no home folder here"),
        ("{{file .}}", "{{file .}}: that is the project itself"),
        ("{{flie x}}", "unknown template '{{flie x}}' (did you mean 'file'?)"),
    ],
)
def test_a_need_of_no_file_is_an_error(needs: Callable[..., Composed], written: str, message: str) -> None:
    with pytest.raises(HeyhiError, match=re.escape(message)):
        needs("train {}", f"name={written}")
    with pytest.raises(HeyhiError, match=re.escape(message)):
        needs(f"train {{ name: '{written}' }}")


def test_a_need_that_an_override_replaces_is_none(lab: Lab, needs: Callable[..., Composed]) -> None:
    config = "train { name: '{{exp conf/need}}' sgd {} }"
    assert len(needs(config).needs) == 1
    assert needs(config, "name=NULL").needs == ()
    assert needs(config, "name=x").needs == ()
    assert [n.identity.cfg for n in needs(config, "name={{exp conf/other}}").needs] == ["conf/other.prototxt"]


def test_a_config_may_need_itself_with_other_overrides(lab: Lab, needs: Callable[..., Composed]) -> None:
    composed = needs("train { i32: 2 name: '{{exp conf/cfg.prototxt i32=1 name=NULL}}' }")
    assert [n.identity.overrides for n in composed.needs] == [("i32=1", "name=NULL")]
    assert composed.needs[0].needs == ()


def test_words_of_a_need_are_split_as_a_shell_does_and_may_nest(lab: Lab, needs: Callable[..., Composed]) -> None:
    lab.write("middle.prototxt", "train { name: '{{exp conf/need}}' }")
    words = "conf/middle 'name={{exp conf/other lr=5}}' 'strings.-1=a b' layer.name={{ROOT_DIR}}/y"
    composed = needs(f'train {{ name: "{{{{exp {words}}}}}" }}')
    middle = composed.needs[0]
    assert middle.identity.cfg == "conf/middle.prototxt"
    assert middle.task_message.strings == ["a b"]
    assert middle.task_message.layer.name == f"{lab.root}/y"
    assert [(n.identity.cfg, n.identity.overrides) for n in middle.needs] == [("conf/other.prototxt", ("lr=5",))]


def test_a_need_by_exp_id_is_read_from_its_folder(lab: Lab, needs: Callable[..., Composed]) -> None:
    """What an identity says can be composed again, by another process, too."""
    composed = needs("train {}", "name={{exp conf/need lr=7}}")
    fresh = lab.composer()
    with pytest.raises(HeyhiError, match="doesn't exist"):
        fresh.compose(CFG, composed.identity.overrides)
    need = composed.needs[0]
    folder = ExperimentDir(fresh.need_path(need))
    folder.path.mkdir(parents=True)
    folder.identity_path.write_text(json.dumps(need.identity.to_dict()))
    again = lab.composer().compose(CFG, composed.identity.overrides)
    assert (again.identity, again.message) == (composed.identity, composed.message)
    assert again.needs[0].identity == need.identity
    folder.identity_path.write_text("{cut sh")
    with pytest.raises(HeyhiError, match="doesn't exist"):
        lab.composer().compose(CFG, composed.identity.overrides)


def test_a_circle_of_needs_prints_its_chain(lab: Lab) -> None:
    lab.write("a.prototxt", "train { name: '{{exp conf/b.prototxt lr=1}}' }")
    lab.write("b.prototxt", "train { name: '{{exp conf/a.prototxt}}' }")
    with pytest.raises(NeedsError) as raised:
        lab.composer().compose("conf/a.prototxt")
    assert str(raised.value) == (
        "experiments need one another in a circle:"
        " conf/a.prototxt -> 'conf/b.prototxt lr=1' -> conf/a.prototxt".replace("'", "")
    )
    lab.write("self.prototxt", "train { name: '{{exp self}}' }")
    for overrides in ([], ["lr=1"]):
        with pytest.raises(NeedsError, match=r"circle: conf/self\.prototxt -> conf/self\.prototxt$"):
            lab.composer().compose("self", overrides)
    with pytest.raises(NeedsError, match="circle"):
        lab.composer().compose("conf/b.prototxt", ["name={{exp conf/a name=x 'strings.-1={{exp conf/b}}'}}"])


def test_needs_that_never_end_are_an_error(lab: Lab) -> None:
    for i in range(60):
        lab.write(f"s{i}.prototxt", f"train {{ name: '{{{{exp s{i + 1}}}}}' }}")
    with pytest.raises(NeedsError, match="more than 50 experiments"):
        lab.composer().compose("s0")
    nested = "x"
    for _ in range(8):
        nested = f"{{{{exp need {shlex.quote('name=' + nested)}}}}}"
    lab.write("need.prototxt", "train {}")
    assert len(lab.composer().compose("need", [f"name={nested}"]).needs) == 1


@pytest.mark.parametrize(
    ("config", "overrides", "message"),
    [
        (
            "train { name: '{{exp conf/nede}}' }",
            [],
            "conf/cfg.prototxt needs conf/nede: config 'conf/nede' doesn't exist (looked below {root}, {root}/conf)"
            " (did you mean 'conf/need'?)",
        ),
        (
            "train { name: '{{exp conf/need lrr=1}}' }",
            [],
            "conf/cfg.prototxt needs conf/need lrr=1: unknown key 'lrr': Train has no field 'lrr' (did you mean 'lr'?)",
        ),
        ("train { name: '{{exp}}' }", [], "conf/cfg.prototxt:1: '{{exp}}': expected {{exp CFG [OVERRIDE …]}}"),
        ("train { name: '{{exp need' }", [], "conf/cfg.prototxt:1: '{{exp need': expected {{exp CFG [OVERRIDE …]}}"),
        ("train {}", ["name={{exp  }}"], "'{{exp  }}': expected {{exp CFG [OVERRIDE …]}}"),
        (
            "train {}",
            ["name={{exp conf/need 'lr=1}}"],
            "override 'name={{exp conf/need 'lr=1}}': conf/cfg.prototxt needs conf/need 'lr=1: No closing quotation:"
            " expected {{exp CFG [OVERRIDE …]}}",
        ),
        (
            "train {}",
            ["name={{exp conf/none}}", "lrr=1"],
            "conf/cfg.prototxt needs conf/none: config 'conf/none' doesn't exist"
            " (looked below {root}, {root}/conf) (did you mean 'conf/need'?)\n"
            "unknown key 'lrr': Train has no field 'lrr' (did you mean 'lr'?)",
        ),
    ],
)  # fmt: skip
def test_a_need_that_can_not_be_composed_says_who_needs_what(
    lab: Lab, config: str, overrides: list[str], message: str
) -> None:
    lab.write("need.prototxt", "train {}")
    assert error(lab, config, *overrides) == message.replace("{root}", str(lab.root))


# --- what can be wrong ---


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "conf/cfg.prototxt: no task is set: expected train { … } or strict { … }"),
        ("includes { path: 'none' }", "conf/cfg.prototxt: no task is set: expected train { … } or strict { … }"),
        (
            "train {}\nstrict {}",
            "conf/cfg.prototxt:2:1: 'train' and 'strict' are both set; only one member of the oneof 'task' can be",
        ),
        (
            "sgd { momentum: 0.9 }",
            "conf/cfg.prototxt: is a chunk (Train), no root config:"
            " include it in one that chooses a task (train, strict)",
        ),
        (
            "momentum: 0.9",
            "conf/cfg.prototxt: is a chunk (Sgd), no root config:"
            " include it in one that chooses a task (train, strict)",
        ),
        ("momentun: 0.9", "conf/cfg.prototxt:1:1: Sgd has no field 'momentun' (did you mean 'momentum'?)"),
        ("xyzzy: 0.9", "conf/cfg.prototxt:1:1: MetaCfg has no field 'xyzzy' (it has: includes, strict, train)"),
        ("trian {}", "conf/cfg.prototxt:1:1: MetaCfg has no field 'trian' (did you mean 'train'?)"),
        ("momentum: 0.9\nbeta1: 1", "conf/cfg.prototxt:2:1: Sgd has no field 'beta1' (it has: momentum, nesterov)"),
        ("train {\n  lrr: 1 }", "conf/cfg.prototxt:2:3: Train has no field 'lrr' (did you mean 'lr'?)"),
        (
            "width: 3 name: '{{x}}'",
            "conf/cfg.prototxt:1: unknown template '{{x}}': there are {{ROOT_DIR}}, {{exp CFG"
            ' [OVERRIDE …]}}, {{file PATH}}, {{best SWEEP max=KEY}}; what is only text stands in quotes: {{"…"}}',
        ),
    ],
)
def test_a_config_that_is_no_root_config_is_said(lab: Lab, config: str, message: str) -> None:
    assert error(lab, config) == message


def test_a_config_that_does_not_exist_is_said_with_the_nearest(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab.root)
    lab.write("c02/train.prototxt", "train {}")
    looked = f"(looked below {lab.root}, {lab.root}/conf)"
    for name, near in [
        ("conf/c02/trian.prototxt", "conf/c02/train.prototxt"),
        ("conf/c02/trian", "conf/c02/train"),
        ("trian", "c02/train"),
        ("c02/trian", "c02/train"),
    ]:
        with pytest.raises(ConfigError) as raised:
            lab.composer().find_config(name)
        assert str(raised.value).startswith(f"config '{name}' doesn't exist {looked} (did you mean '{near}'")
    for name in ("conf/c02", "c02"):
        with pytest.raises(ConfigError, match=rf"^config '{name}' is a folder: which of its configs\? {name}/train"):
            lab.composer().find_config(name)
    (lab.root / "conf/none").mkdir()
    for name in (".", "conf/none"):
        with pytest.raises(ConfigError, match=rf"^config '{name}' is a folder: expected a \.prototxt file$"):
            lab.composer().find_config(name)
    for name in ("", "a\0b", "x" * 5000, "\ud800", "/no/such"):
        with pytest.raises(ConfigError, match="doesn't exist"):
            lab.composer().find_config(name)


def test_a_config_is_looked_up_where_the_working_directory_was_removed(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write("cfg.prototxt", "train {}")
    gone = tmp_path_factory.mktemp("gone")
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert lab.composer().compose("cfg").task == "train"


def test_a_file_that_can_not_be_read_is_said(lab: Lab) -> None:
    path = lab.write("cfg.prototxt", "train {}")
    composer = lab.composer()
    composer.find_config(CFG)
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match=r"^conf/cfg\.prototxt: can't be read: Is a directory$"):
        composer.compose(CFG)


def test_all_errors_of_the_overrides_come_at_once_in_their_order(lab: Lab) -> None:
    lab.write("a.prototxt", "width: x")
    config = "includes { path: 'b' mount: 'layer' }\ntrain {\n  lr: 1\n  sgd { momentum: 1 } }"
    lab.write("b.prototxt", "\nwidth: 3")
    wrong = ["lrr=1", "sgd.momentum=x", "Ifoo=a", "color=RAD", "no equals", "layer.width=x", "Ibar=a"]
    assert error(lab, config, *wrong, "flag=true").split("\n") == [
        "unknown key 'lrr': Train has no field 'lrr' (did you mean 'lr'?)",
        "override 'sgd.momentum=x': key 'sgd.momentum' is a number (double), not 'x'; conf/cfg.prototxt:4 sets it",
        "override 'Ifoo=a': conf/a.prototxt:1:8: Couldn't parse integer: x",
        "override 'color=RAD': key 'color' is one of RED, GREEN, DEEP_BLUE, not 'RAD' (did you mean 'RED'?)",
        "override 'no equals': expected key=value (or I.mount=path for an include)",
        "override 'layer.width=x': key 'layer.width' is an integer (int32), not 'x'; conf/b.prototxt:2 sets it",
        "unknown key 'Ibar': Train has no field 'Ibar', and no message 'bar' to include into (did you mean 'Ilayer'?)",
    ]


def test_the_file_that_is_named_is_the_one_whose_value_counts(lab: Lab) -> None:
    lab.write("weak.prototxt", "lr: 1\nname: 'a'")
    lab.write("strong.prototxt", "\nlr: 1")
    lab.write("over.prototxt", "\n\nlr: 1")
    lab.write("unrelated.prototxt", "train { i32: 1 }")
    config = "includes { path: 'weak' }\nincludes { path: 'strong' }\ntrain {}"
    lab.composer().compose(lab.root / "conf/unrelated.prototxt")
    assert error(lab, config, "lr=x").endswith("; conf/strong.prototxt:2 sets it")
    assert error(lab, config, "name=\udcff").endswith("; conf/weak.prototxt:2 sets it")
    assert error(lab, config, "I=over", "lr=x").endswith("; conf/over.prototxt:3 sets it")
    assert error(lab, f"{config.removesuffix('{}')} {{ lr: 3 }}", "lr=x").endswith("; conf/cfg.prototxt:3 sets it")
    assert "sets it" not in error(lab, config, "i32=x")


def test_one_text_is_no_list_of_overrides(lab: Lab) -> None:
    lab.write("cfg.prototxt", "train {}")
    with pytest.raises(OverrideError, match="must be a list of key=value texts, not one text: 'lr=1'"):
        lab.composer().compose(CFG, "lr=1")
    with pytest.raises(OverrideError, match="expected a text key=value"):
        lab.composer().compose(CFG, [3])  # type: ignore[list-item]  # that is the test


@pytest.mark.parametrize(
    "point",
    [
        lambda i: {"lrr": i},
        lambda i: {"lr": f"x{i}"},
        lambda i: {"I": f"missing{i % 7}"},
        lambda i: {"ints.5": i},
        lambda i: {"name": "{{exp conf/none}}"},
    ],
    ids=["key", "value", "include", "index", "need"],
)
def test_an_error_in_each_point_of_a_large_sweep_takes_no_time(
    lab: Lab, point: Callable[[int], dict[str, object]]
) -> None:
    for i in range(300):
        lab.write(f"some/c{i}.prototxt", "")
    lab.write("cfg.prototxt", "train {\n lr: 3 }" + "\n# a long file" * 1000)
    composer = lab.composer()
    start = time.perf_counter()
    for i in range(2000):
        with pytest.raises(HeyhiError):
            composer.compose(CFG, point(i))
    # 2,000 times a search through files would be a minute; this leaves room for a machine that is busy.
    assert time.perf_counter() - start < 10


TEXTS = st.text(st.characters(), max_size=20)
PARTS = st.lists(
    st.sampled_from(
        ["lr", "layer", "layers", "0", "-1", ".", "=", "I", "foo", "name", "scale", '"', "{{exp", "}}", "{{ROOT_DIR}}",
         "conf/cfg", " ", "'", "NULL", "SELECT", "1", "\ud800", "\0", "\\", "width", "I.", "cfg", "/", "..", "strings"]
    ),
    max_size=8,
).map("".join)  # fmt: skip


@given(overrides=st.lists(TEXTS | PARTS | st.tuples(PARTS, PARTS).map("=".join), max_size=4))
def test_any_overrides_are_composed_or_an_error(shared_lab: Lab, overrides: list[str]) -> None:
    shared_lab.write("cfg.prototxt", "train { layers { width: 1 } sgd { } }")
    composer = shared_lab.composer()
    try:
        composed = composer.compose(CFG, overrides)
        assert str(composer.need_path(composed)).startswith(f"{shared_lab.root}/results/p/cfg/")
    except HeyhiError as raised:
        assert str(raised)


@given(
    overrides=st.dictionaries(
        TEXTS | PARTS, TEXTS | PARTS | st.floats() | st.integers() | st.none() | st.binary(), max_size=4
    )
)
def test_any_mapping_is_composed_or_an_error(shared_lab: Lab, overrides: dict[str, object]) -> None:
    shared_lab.write("cfg.prototxt", "train { layers { width: 1 } sgd { } }")
    try:
        shared_lab.composer().compose(CFG, overrides)
    except HeyhiError as raised:
        assert str(raised)


@given(data=st.data())
def test_printed_overrides_give_the_same_config(shared_lab: Lab, data: st.DataObject) -> None:
    base, message = (data.draw(shared_lab.messages(shared_lab.train)) for _ in range(2))
    root = shared_lab.schema.new_root()
    root.train.CopyFrom(base)
    root.train.SetInParent()
    shared_lab.write("cfg.prototxt", text_format.MessageToString(root).replace("{{", "{_"))
    composer = shared_lab.composer()
    lines = override_lines(message, getattr(composer.compose(CFG).base, "train"))  # noqa: B009 (the stubs lack it)
    composed = composer.compose(CFG, lines)
    assert shared_lab.data(composed.task_message) == shared_lab.data(message)
