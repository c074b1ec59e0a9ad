"""Includes: where they are looked up, and in which order they are merged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf import text_format

from heyhi.config.compose import Composer
from heyhi.config.includes import ConfigFiles
from heyhi.errors import ConfigError, HeyhiError, OverrideError
from heyhi.project import Project, Settings

if TYPE_CHECKING:
    from tests.unit.conftest import Lab


def text(lab: Lab, config: str, *overrides: str) -> str:
    return text_format.MessageToString(lab.compose(config, *overrides), as_one_line=True).strip()


def error(lab: Lab, config: str, *overrides: str) -> str:
    with pytest.raises(HeyhiError) as raised:
        lab.compose(config, *overrides)
    return str(raised.value)


# --- order ---


def test_each_layer_goes_over_the_one_before(lab: Lab) -> None:
    """Empty message, included files, the file, include overrides, scalar overrides."""
    lab.write("deep.prototxt", "lr: 1 i32: 1 i64: 1 u32: 1 name: 'deep'")
    lab.write("first.prototxt", "includes { path: 'deep' } i32: 2 i64: 2 u32: 2 name: 'first'")
    lab.write("second.prototxt", "i64: 3 u32: 3 name: 'second'")
    lab.write("over.prototxt", "name: 'over' s32: 5")
    config = "includes { path: 'first' } includes { path: 'second' } train { u32: 4 name: 'file' }"
    assert text(lab, config) == 'lr: 1.0 i32: 2 i64: 3 u32: 4 name: "file"'
    message = lab.compose(config, "s32=6", "I=over", "lr=7")
    assert (message.lr, message.i32, message.i64, message.u32) == (7, 2, 3, 4)
    assert (message.name, message.s32) == ("over", 6)
    assert message.color == 1
    assert not message.HasField("color")


def test_include_overrides_are_merged_in_their_order(lab: Lab) -> None:
    lab.write("a.prototxt", "name: 'a' lr: 1")
    lab.write("b.prototxt", "name: 'b'")
    assert text(lab, "train {}", "I=a", "I=b") == 'lr: 1.0 name: "b"'
    assert text(lab, "train {}", "I=b", "I=a") == 'lr: 1.0 name: "a"'


def test_lists_are_joined_and_the_last_member_of_a_oneof_stays(lab: Lab) -> None:
    lab.write("a.prototxt", "ints: [1, 2] sgd { momentum: 1 }")
    assert text(lab, "includes { path: 'a' } train { ints: 3 }") == "ints: 1 ints: 2 ints: 3 sgd { momentum: 1.0 }"
    assert text(lab, "includes { path: 'a' } train { adam {} }") == "ints: 1 ints: 2 adam { }"


def test_mounts_start_below_the_task(lab: Lab) -> None:
    lab.write("wide.prototxt", "width: 100")
    config = "includes { path: 'wide' mount: 'layer' } includes { path: 'wide' mount: 'layer.inside' } train { }"
    assert text(lab, config) == "layer { width: 100 inside { width: 100 } }"
    for override in ("I.layer=wide", "Ifoo=wide", "I.foo=wide"):
        assert text(lab, "train {}", override).endswith("{ width: 100 }")


def test_chunks_are_mounted_into_lists_and_maps(lab: Lab) -> None:
    lab.write("wide.prototxt", "width: 100")
    assert text(lab, "train {}", "I.layers.-1=wide", "I.layers.0.inside=wide", "I.named.x=wide") == (
        'layers { width: 100 inside { width: 100 } } named { key: "x" value { width: 100 } }'
    )
    config = "includes { path: 'wide' mount: 'layers.-1' } train { layers { width: 1 } }"
    assert text(lab, config) == "layers { width: 100 } layers { width: 1 }"


def test_messages_inside_include_too(lab: Lab) -> None:
    lab.write("narrow.prototxt", "width: 1 name: 'narrow'")
    lab.write("wide.prototxt", "includes { path: 'narrow' } includes { path: 'narrow' mount: 'inside' } width: 100")
    config = """
        train {
          layer { includes { path: 'wide' } inside { width: 7 } }
          layers { includes { path: 'wide' mount: 'inside' } name: 'own' }
          layers { }
          named { key: 'x' value { includes { path: 'narrow' } } }
        }
    """
    wide = 'width: 100 name: "narrow" inside {{ width: {} name: "narrow" }}'
    assert text(lab, config) == (
        f'layers {{ name: "own" inside {{ {wide.format(1)} }} }} layers {{ }}'
        ' named { key: "x" value { width: 1 name: "narrow" } }'
        f" layer {{ {wide.format(7)} }}"
    )


def test_a_task_message_may_include_by_itself(lab: Lab) -> None:
    lab.write("a.prototxt", "lr: 1 name: 'a'")
    assert text(lab, "train { includes { path: 'a' } name: 'own' }") == 'lr: 1.0 name: "own"'


def test_a_chunk_is_not_changed_by_what_it_was_merged_into(lab: Lab) -> None:
    lab.write("a.prototxt", "ints: 1")
    lab.write("cfg.prototxt", "includes { path: 'a' } train { ints: 2 }")
    composer = lab.composer()
    for _ in range(2):
        assert list(composer.compose("conf/cfg.prototxt", ["ints.0=5", "I=a"]).task_message.ints) == [5, 2, 1]
        assert list(composer.compose("conf/cfg.prototxt").task_message.ints) == [1, 2]


# --- looking up ---


def find(lab: Lab, name: str, mount: str = "", folder: str = "conf/exp", **settings: object) -> str:
    project = Project(lab.root, Settings(**settings))  # type: ignore[arg-type]  # a test's keywords
    return (
        ConfigFiles(project, lab.schema).find_include(name, mount, lab.root / folder).relative_to(lab.root).as_posix()
    )


def test_an_include_is_looked_up_beside_the_config_then_in_common_then_in_extra_folders(lab: Lab) -> None:
    places = [
        "conf/exp/x.prototxt",
        "conf/exp/layer/inside/x.prototxt",
        "conf/common/x.prototxt",
        "conf/common/layer/inside/x.prototxt",
        "more/x.prototxt",
        "more/layer/inside/x.prototxt",
        "even/x.prototxt",
    ]
    for place in places:
        lab.write(f"../{place}", "")
    for place in places:
        assert find(lab, "x", "layer.inside", include_dirs=("more", "even")) == place
        assert find(lab, "x.prototxt", "layer.inside", include_dirs=("more", "even")) == place
        (lab.root / place).unlink()


def test_folders_given_to_the_composer_come_before_those_of_the_settings(lab: Lab, tmp_path: Path) -> None:
    lab.write("../more/x.prototxt", "name: 'settings'")
    lab.write("../given/x.prototxt", "name: 'given'")
    lab.write("cfg.prototxt", "includes { path: 'x' } train {}")
    project = Project(lab.root, Settings(include_dirs=("more",)))
    composer = Composer(project, lab.schema, (tmp_path / "given",))
    assert composer.compose("conf/cfg.prototxt").task_message.name == "given"


def test_a_path_with_a_slash_is_relative_to_the_project_where_that_exists(lab: Lab) -> None:
    lab.write("sub/x.prototxt", "")
    lab.write("common/conf/sub/x.prototxt", "")
    lab.write("common/sub/y.prototxt", "")
    assert find(lab, "conf/sub/x") == "conf/sub/x.prototxt"
    assert find(lab, "sub/y") == "conf/common/sub/y.prototxt"
    assert find(lab, "../sub/x") == "conf/sub/x.prototxt"
    (lab.root / "conf/sub/x.prototxt").unlink()
    assert find(lab, "conf/sub/x") == "conf/common/conf/sub/x.prototxt"


def test_an_absolute_path_is_taken_as_it_is(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "x.prototxt"
    outside.write_text("name: 'outside'")
    for path in (outside, outside.with_suffix("")):
        assert text(lab, f"includes {{ path: '{path}' }} train {{}}") == 'name: "outside"'


def test_a_list_is_looked_up_by_its_name(lab: Lab) -> None:
    lab.write("common/layers/x.prototxt", "")
    assert find(lab, "x", "layers.0") == find(lab, "x", "layers.-1") == "conf/common/layers/x.prototxt"


def test_a_folder_of_that_name_is_no_file(lab: Lab) -> None:
    (lab.root / "conf/exp/x").mkdir(parents=True)
    lab.write("common/x.prototxt", "")
    assert find(lab, "x") == "conf/common/x.prototxt"


def test_the_folder_of_the_including_chunk_counts(lab: Lab) -> None:
    lab.write("parts/a.prototxt", "includes { path: 'b' }")
    lab.write("parts/b.prototxt", "name: 'b'")
    assert text(lab, "includes { path: 'conf/parts/a' } train {}") == 'name: "b"'


def test_root_dir_in_an_include_is_written_out(lab: Lab) -> None:
    lab.write("parts/a.prototxt", "name: 'a'")
    assert text(lab, "includes { path: '{{ROOT_DIR}}/conf/parts/a' } train {}") == 'name: "a"'
    assert text(lab, "train {}", "I={{ROOT_DIR}}/conf/parts/a") == 'name: "a"'


# --- fields that are called like includes ---


def test_a_field_of_that_name_is_no_include(lab: Lab) -> None:
    lab.write("common/layer/3.prototxt", "width: 1")
    assert text(lab, "train {}", "Ilayer=3") == "Ilayer: 3"
    assert text(lab, "train {}", "I.layer=3") == "layer { width: 1 }"
    assert text(lab, "strict { must: 1 }", "I=3") == "must: 1 I: 3"
    assert error(lab, "strict { must: 1 }", "I.x=3") == (
        "unknown key 'I.x': 'I' is an integer (int32) and has no fields"
    )


def test_an_override_of_the_field_itself_says_how_to_include(lab: Lab) -> None:
    assert error(lab, "train {}", "includes.0.path=a") == "key 'includes.0.path': files are included by I=path"
    assert error(lab, "train {}", "layer.inside.includes.-1.path=a", "includes=NULL") == (
        "key 'layer.inside.includes.-1.path': files are included by I.layer.inside=path\n"
        "key 'includes': files are included by I=path"
    )


# --- what can be wrong ---


def test_a_missing_include_is_said_with_its_line_and_the_nearest_name(lab: Lab) -> None:
    lab.write("common/layer/wide.prototxt", "")
    config = "# a comment\ntrain {\n}\nincludes {\n  path: 'wyde'\n  mount: 'layer'\n}\n"
    assert error(lab, config) == (
        "conf/cfg.prototxt:5: include 'wyde': no file 'wyde' or 'wyde.prototxt' in conf, conf/common,"
        " conf/common/layer (did you mean 'wide'?)"
    )
    assert error(lab, "train {}", "I.foo=wyde") == (
        "override 'I.foo=wyde': no file 'wyde' or 'wyde.prototxt' in conf, conf/common"
    )
    assert error(lab, "includes { path: '/no/such' } train {}") == (
        "conf/cfg.prototxt:1: include '/no/such': /no/such does not exist"
    )
    assert error(lab, "includes { path: '/' } train {}").endswith("include '/': / is a folder")
    assert error(lab, "includes { mount: 'layer' } train {}") == "conf/cfg.prototxt:1: include '': the path is empty"


def test_a_mount_that_is_no_message_is_said(lab: Lab) -> None:
    lab.write("a.prototxt", "")
    assert error(lab, "includes { path: 'a' mount: 'lair' } train {}") == (
        "conf/cfg.prototxt:1: include 'a': unknown key 'lair': Train has no field 'lair'"
        " (did you mean 'plain' or 'lr' or 'layer'?)"
    )
    assert error(lab, "includes { path: 'a' mount: 'lr' } train {}") == (
        "conf/cfg.prototxt:1: include 'a': 'lr' is a scalar, and a chunk is merged into a message"
    )
    assert error(lab, "train {}", "Iplain=a", "Ilaye=a") == (
        "unknown key 'Iplain': Train has no field 'Iplain', and no message 'plain' to include into"
        " (did you mean 'plain'?)\n"
        "unknown key 'Ilaye': Train has no field 'Ilaye', and no message 'laye' to include into"
        " (did you mean 'Ilayer' or 'layer' or 'layers'?)"
    )


def test_a_circle_of_includes_prints_its_chain(lab: Lab) -> None:
    lab.write("a.prototxt", "includes { path: 'b' }")
    lab.write("b.prototxt", "includes { path: 'c' mount: 'layer' }")
    lab.write("c.prototxt", "includes { path: 'd' }")
    lab.write("d.prototxt", "includes { path: 'c' }")
    circle = "includes go in a circle: conf/c.prototxt -> conf/d.prototxt -> conf/c.prototxt"
    assert error(lab, "includes { path: 'a' } train {}") == circle
    assert error(lab, "train {}", "I=a") == f"override 'I=a': {circle}"
    assert "conf/cfg.prototxt -> conf/cfg.prototxt" in error(lab, "includes { path: 'cfg' } train {}")
    assert "conf/cfg.prototxt -> conf/cfg.prototxt" in error(lab, "train {}", "I=cfg")


def test_an_error_in_a_chunk_has_the_place_in_the_chunk(lab: Lab) -> None:
    lab.write("a.prototxt", "width: 1\nwdth: 2")
    message = "conf/a.prototxt:2:1: Layer has no field 'wdth' (did you mean 'width'?)"
    assert error(lab, "includes { path: 'a' mount: 'layer' } train {}") == message
    assert error(lab, "train {}", "Ifoo=a") == f"override 'Ifoo=a': {message}"


def test_what_is_too_deep_only_when_merged_is_said(lab: Lab) -> None:
    lab.write("deep.prototxt", "inside { " * 90 + "}" * 90)
    mount = ".".join(["layer"] + ["inside"] * 20)
    assert "is nested too deeply" in error(lab, f"includes {{ path: 'deep' mount: '{mount}' }} train {{}}")
    assert "is nested too deeply" in error(lab, "train {}", f"I.foo{'.inside' * 20}=deep")


def test_a_name_that_no_file_can_have_is_not_found(lab: Lab) -> None:
    for name in ("a\0b", "x" * 5000, "\ud800", "~nobody/x", "*"):
        with pytest.raises(OverrideError, match="no file"):
            lab.composer().compose(lab.write("cfg.prototxt", "train {}"), [f"Ifoo={name}"])


def test_a_file_whose_name_is_no_text_is_refused(lab: Lab) -> None:
    name = os.fsdecode(b"\xff.prototxt")
    try:
        (lab.root / "conf" / name).write_text("width: 1")
    except OSError:
        pytest.skip("this file system has only names that are text")
    with pytest.raises(OverrideError, match="the file's name is no UTF-8 text"):
        lab.composer().compose(lab.write("cfg.prototxt", "train {}"), [f"Ifoo={name}"])


def test_includes_of_another_kind_are_data(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A field that is called `includes` and holds something else than the root's is a field."""
    from heyhi.config.schema import load_schema

    root = tmp_path_factory.mktemp("other")
    (root / "conf").mkdir()
    (root / "conf/conf.proto").write_text("""
        syntax = "proto3";
        message MetaCfg { repeated Include includes = 1; oneof task { Task run = 2; } }
        message Include { string path = 1; string mount = 2; }
        message Glob { string path = 1; }
        message Task { repeated Glob includes = 1; repeated string words = 2; }
    """)
    (root / "conf/a.prototxt").write_text("words: 'a'")
    (root / "conf/cfg.prototxt").write_text("includes { path: 'a' } run { includes { path: '*.txt' } }")
    project = Project(root)
    message = Composer(project, load_schema(project)).compose("conf/cfg.prototxt").task_message
    assert text_format.MessageToString(message, as_one_line=True).strip() == 'includes { path: "*.txt" } words: "a"'


def test_an_empty_chunk_chooses_the_member_that_it_is_mounted_into(lab: Lab) -> None:
    lab.write("empty.prototxt", "# nothing")
    assert text(lab, "train { adam { beta1: 1 } }", "I.sgd=empty") == "sgd { }"
    assert text(lab, "includes { path: 'empty' mount: 'sgd' } train { }") == "sgd { }"
    assert text(lab, "train { }", "I.layer=empty", "I.named.x=empty") == 'named { key: "x" value { } } layer { }'


def test_an_error_is_remembered_with_its_file(lab: Lab) -> None:
    composer = lab.composer()
    lab.write("bad.prototxt", "train { lrr: 1 }")
    lab.write("good.prototxt", "train { lr: 1 }")
    seen = []
    for _ in range(2):
        for name, message in (("bad", "lrr"), ("none", "doesn't exist")):
            with pytest.raises(ConfigError, match=message) as raised:
                composer.compose(f"conf/{name}.prototxt")
            seen.append(raised.value)
        assert composer.compose("conf/good.prototxt").task_message.lr == 1
    # One error object that is raised again and again would gather tracebacks.
    assert len({id(error) for error in seen}) == 4


# --- a field twice in one file ---


def test_fields_that_stand_twice_in_a_file_are_told_once_whatever_composes_it(lab: Lab) -> None:
    lab.write("a.prototxt", "width: 1\nwidth: 2")
    lab.write("cfg.prototxt", "includes { path: 'a' mount: 'layer' }\ntrain { lr: 1 }\ntrain { lr: 2 }")
    composer = lab.composer()
    for lr in ("lr=3", "lr=4"):
        assert composer.compose("conf/cfg.prototxt", [lr, "I.foo=a"]).task_message.foo.width == 2
    assert sorted(composer.warnings) == [
        "conf/a.prototxt:2: 'width' is set again; conf/a.prototxt:1 sets it, too: the last one counts",
        "conf/cfg.prototxt: set again on lines: 'train' 2 and 3, 'train.lr' 2 and 3: messages are merged, of a"
        " scalar the last one counts",
    ]


def test_a_chunk_for_an_entry_lies_in_the_folder_of_its_list_or_map_or_in_its_own(lab: Lab) -> None:
    lab.write("common/named/a.prototxt", "width: 1")
    lab.write("common/named/x/b.prototxt", "width: 2")
    lab.write("common/layers/c.prototxt", "width: 3")
    for name, width in (("a", 1), ("b", 2)):
        expected = f'named {{ key: "x" value {{ width: {width} }} }}'
        assert text(lab, "train { }", f"I.named.x={name}") == expected
        assert text(lab, f"includes {{ path: '{name}' mount: 'named.x' }} train {{ }}") == expected
    assert text(lab, "train { }", "I.layers.-1=c") == "layers { width: 3 }"


# --- a oneof as a mount ---


@pytest.fixture
def optimizers(lab: Lab) -> Lab:
    lab.write("common/optimizer/fast.prototxt", "momentum: 1")
    lab.write("common/adam/slow.prototxt", "beta1: 1")
    lab.write("common/optimizer/adam.prototxt", "# at its defaults")
    lab.write("common/sgd/plain.prototxt", "# at its defaults")
    lab.write("common/optimizer/bare.prototxt", "# at its defaults")
    lab.write("common/optimizer/sgd.prototxt", "momentun: 1")
    lab.write("common/optimizer/none.prototxt", "width: 1")
    lab.write("common/optimizer/root.prototxt", "train { lr: 1 }")
    return lab


@pytest.mark.parametrize(
    ("name", "member", "result"),
    [
        ("fast", "sgd", "sgd { momentum: 1.0 }"),
        ("slow", "adam", "adam { beta1: 1.0 }"),
        ("adam", "adam", "adam { }"),
        ("plain", "sgd", "sgd { }"),
        ("conf/common/adam/slow.prototxt", "adam", "adam { beta1: 1.0 }"),
    ],
)
def test_a_chunk_is_included_into_the_member_of_a_oneof_that_it_fits(
    optimizers: Lab, name: str, member: str, result: str
) -> None:
    lab = optimizers
    lab.write("cfg.prototxt", "train { plain: 1 }")
    lab.write("file.prototxt", f"includes {{ path: '{name}' mount: 'optimizer' }} train {{ }}")
    composer = lab.composer()
    found = [composer.compose("conf/cfg.prototxt", [f"{key}={name}"]) for key in ("I.optimizer", "Ioptimizer")]
    named = composer.compose("conf/cfg.prototxt", [f"I.{member}={name}"] if "/" in name or name == "slow" else ())
    for composed in (*found, composer.compose("conf/file.prototxt")):
        assert text_format.MessageToString(composed.task_message, as_one_line=True).strip() == result
    assert found[0].identity == found[1].identity
    assert found[0].identity.overrides[0].startswith(f"I.{member}=conf/common/")
    if named.identity.overrides:
        assert named.identity == found[0].identity
    assert composer.compose("conf/cfg.prototxt", found[0].identity.overrides).identity == found[0].identity


def test_a_chunk_that_fits_no_member_or_several_is_refused(optimizers: Lab) -> None:
    lab = optimizers
    assert error(lab, "train {}", "I.optimizer=bare") == (
        "override 'I.optimizer=bare': conf/common/optimizer/bare.prototxt fits several members of the oneof"
        " 'optimizer': sgd, adam: include it at one of them, or name the file as one"
    )
    assert error(lab, "train {}", "I.optimizer=sgd") == (
        "override 'I.optimizer=sgd': conf/common/optimizer/sgd.prototxt:1:1: Sgd has no field 'momentun'"
        " (did you mean 'momentum'?)"
    )
    assert error(lab, "train {}", "I.optimizer=none") == (
        "override 'I.optimizer=none': conf/common/optimizer/none.prototxt fits no member of the oneof 'optimizer':"
        " as sgd: conf/common/optimizer/none.prototxt:1:1: Sgd has no field 'width' (it has: momentum, nesterov);"
        " as adam: conf/common/optimizer/none.prototxt:1:1: Adam has no field 'width' (it has: beta1, beta2)"
    )
    assert "is a root config (it chooses a task)" in error(lab, "train {}", "I.optimizer=root")
    assert error(lab, "\nincludes { path: 'adm' mount: 'optimizer' } train {}") == (
        "conf/cfg.prototxt:2: include 'adm': no file 'adm' or 'adm.prototxt' in conf, conf/common,"
        " conf/common/optimizer, conf/common/sgd, conf/common/adam (did you mean 'adam'?)"
    )


def test_what_fits_several_members_goes_into_the_one_that_is_chosen(optimizers: Lab) -> None:
    lab = optimizers
    assert text(lab, "train { adam { beta2: 1 } }", "I.optimizer=bare") == "adam { beta2: 1.0 }"
    assert text(lab, "train { plain: 1 }", "I.optimizer=slow", "I.optimizer=bare") == "adam { }"
    assert text(
        lab, "includes { path: 'fast' mount: 'sgd' } includes { path: 'bare' mount: 'optimizer' } train { }"
    ) == ("sgd { momentum: 1.0 }")


def test_a_member_as_a_mount_is_looked_up_in_the_folder_of_its_oneof_too(optimizers: Lab) -> None:
    lab = optimizers
    assert text(lab, "train { }", "I.adam=bare") == "adam { }"
    assert text(lab, "includes { path: 'fast' mount: 'sgd' } train { }") == "sgd { momentum: 1.0 }"
    lab.write("common/sgd/fast.prototxt", "momentum: 2")
    assert text(lab, "train { }", "I.sgd=fast") == "sgd { momentum: 2.0 }"


def test_a_name_that_several_members_have_a_file_of_is_refused(optimizers: Lab) -> None:
    lab = optimizers
    lab.write("common/sgd/slow.prototxt", "momentum: 1")
    expected = (
        "members of the oneof 'optimizer' have a file of that name each: conf/common/sgd/slow.prototxt,"
        " conf/common/adam/slow.prototxt: include it at one of them"
    )
    assert error(lab, "train { adam {} }", "I.optimizer=slow") == f"override 'I.optimizer=slow': {expected}"
    assert text(lab, "train { }", "I.optimizer=conf/common/adam/slow.prototxt") == "adam { beta1: 1.0 }"
    assert text(lab, "train { }", "I.adam=slow") == "adam { beta1: 1.0 }"


def test_a_oneof_inside_is_a_mount_too(lab: Lab) -> None:
    lab.write("common/launcher/kind/big.prototxt", "num_gpus: 8")
    lab.write("common/launcher/local/two.prototxt", "cpus: 2")
    assert text(lab, "train {}", "I.launcher.kind=big") == "launcher { slurm { num_gpus: 8 } }"
    assert text(lab, "train {}", "I.launcher.kind=two") == "launcher { local { cpus: 2 } }"
    config = "includes { path: 'two' mount: 'launcher.kind' } includes { path: 'big' mount: 'launcher.kind' } train {}"
    assert text(lab, config) == "launcher { slurm { num_gpus: 8 } }"


# --- a root config that extends another one ---


def test_a_root_config_extends_another_one(lab: Lab) -> None:
    lab.write("common/layer/wide.prototxt", "width: 100")
    lab.write("first.prototxt", "includes { path: 'wide' mount: 'layer' }\ntrain {\n  lr: 1\n  i32: 1\n sgd { } }")
    lab.write("second.prototxt", "includes { path: 'first' }\ntrain { i32: 2 name: '{{ROOT_DIR}}' }")
    lab.write("part.prototxt", "i64: 7")
    config = "includes { path: 'part' } includes { path: 'conf/second' } train { adam { } i32: 3 }"
    assert text(lab, config) == f'lr: 1.0 i32: 3 i64: 7 name: "{lab.root}" layer {{ width: 100 }} adam {{ }}'
    composer = lab.composer()
    assert composer.compose("conf/cfg.prototxt").identity.overrides == ()
    assert {path.name for path in composer.files} >= {"first.prototxt", "second.prototxt", "wide.prototxt"}
    assert composer.compose("conf/second.prototxt").task_message.i32 == 2


def test_a_root_config_may_be_nothing_but_what_it_extends(lab: Lab) -> None:
    lab.write("first.prototxt", "train { lr: 1 }")
    lab.write("second.prototxt", "includes { path: 'first' }")
    lab.write("part.prototxt", "i64: 7")
    assert text(lab, "includes { path: 'second' } includes { path: 'part' }") == "lr: 1.0 i64: 7"
    assert error(lab, "includes { path: 'part' }").endswith("no task is set: expected train { … } or strict { … }")


def test_lines_are_named_through_what_is_extended(lab: Lab) -> None:
    lab.write("first.prototxt", "train {\n  lr: 1\n  i32: 1\n}")
    assert error(lab, "includes { path: 'first' } train {\n i32: 2 }", "lr=x", "i32=x") == (
        "override 'lr=x': key 'lr' is a number (double), not 'x'; conf/first.prototxt:2 sets it\n"
        "override 'i32=x': key 'i32' is an integer (int32), not 'x'; conf/cfg.prototxt:2 sets it"
    )


def test_needs_of_what_is_extended_are_needs(lab: Lab) -> None:
    lab.write("need.prototxt", "train { lr: 5 }")
    lab.write("first.prototxt", "train { name: '{{exp need lr=3}}' }")
    lab.write("cfg.prototxt", "includes { path: 'first' } train { }")
    (need,) = lab.composer().compose("conf/cfg.prototxt").needs
    assert need.identity.overrides[0].startswith("lr=3")


def test_what_a_root_config_cannot_extend_is_refused(lab: Lab) -> None:
    lab.write("first.prototxt", "train { lr: 1 }")
    assert error(lab, "\nincludes { path: 'first' } strict { must: 1 }") == (
        "conf/cfg.prototxt:2: include 'first': conf/first.prototxt is a config of the task 'train': only one of the"
        " same task ('strict') can be extended"
    )
    is_root = (
        "conf/first.prototxt: is a root config (it chooses a task), and only chunks can be included: move what both"
        " share into one; a root config of the same task extends it by an include without a mount"
    )
    assert error(lab, "includes { path: 'first' mount: 'layer' } train { }") == is_root
    assert error(lab, "train { }", "I=first") == f"override 'I=first': {is_root}"
    lab.write("part.prototxt", "includes { path: 'first' }")
    assert error(lab, "train { }", "I=part") == f"override 'I=part': {is_root}"
    lab.write("a.prototxt", "includes { path: 'b' } train { }")
    lab.write("b.prototxt", "includes { path: 'a' } train { }")
    assert error(lab, "includes { path: 'a' } train { }") == (
        "includes go in a circle: conf/a.prototxt -> conf/b.prototxt -> conf/a.prototxt"
    )
    lab.write("a.prototxt", "includes { path: 'b' }")
    lab.write("b.prototxt", "includes { path: 'a' }")
    assert "no task is set" in error(lab, "includes { path: 'a' }")
    assert error(lab, "includes { path: '{{exp first}}' } train { }") == (
        "conf/cfg.prototxt:1: include '{{exp first}}': what is included can't lie in an experiment's folder: configs"
        " are there before any runs"
    )


# --- include overrides that make way for later ones ---


def identity(lab: Lab, config: str, *overrides: str) -> tuple[str, ...]:
    lab.write("cfg.prototxt", config)
    return lab.composer().compose("conf/cfg.prototxt", overrides).identity.overrides


def test_an_include_override_comes_in_the_place_of_an_earlier_one_at_its_mount(lab: Lab) -> None:
    lab.write("a.prototxt", "width: 1 name: 'a'")
    lab.write("b.prototxt", "width: 2")
    config = "train { layer { sizes: 7 } }"
    assert text(lab, config, "I.layer=a", "Ilayer=3", "I.layer=b") == "layer { width: 2 sizes: 7 } Ilayer: 3"
    assert text(lab, config, "I.layer=b", "I.foo=b", "I.layer=a") == (
        'layer { width: 1 name: "a" sizes: 7 } foo { width: 2 }'
    )
    assert identity(lab, config, "I.layer=a", "I.foo=a", "I.layer=b") == (
        "I.foo=conf/a.prototxt",
        "I.layer=conf/b.prototxt",
    )
    assert identity(lab, config, "I.layer=a", "I.layer=b") == identity(lab, config, "I.layer=b")
    composer = lab.composer()
    composer.compose("conf/cfg.prototxt", ["I.layer=a", "I.layer=b"])
    composer.compose("conf/cfg.prototxt", ["I.layer=a", "I.layer=conf/b"])
    assert composer.warnings == ["override 'I.layer=a' counts for nothing: I.layer=b, I.layer=conf/b come in its place"]


def test_the_file_that_the_config_includes_at_a_mount_gives_its_lists_once_when_an_override_names_it_too(
    lab: Lab,
) -> None:
    lab.write("mlp.prototxt", "width: 1 sizes: [64, 64] inside { sizes: 3 }")
    lab.write("outer.prototxt", "includes { path: 'mlp' mount: 'layer' }")
    includes = "includes { path: 'mlp' mount: 'layer' }"
    for config in (f"{includes} train {{}}", "includes { path: 'outer' } train {}"):
        assert text(lab, config, "I.layer=mlp") == text(lab, config)
    assert identity(lab, f"{includes} train {{}}", "I.layer=mlp") == ("I.layer=conf/mlp.prototxt",)
    config = f"{includes} train {{ layer {{ width: 2 sizes: 5 }} }}"
    assert text(lab, config, "I.layer=mlp") == "layer { width: 1 sizes: 64 sizes: 64 sizes: 5 inside { sizes: 3 } }"
    assert warnings(lab, config, "I.layer=mlp") == [
        "layer.sizes is [64, 64, 5]: conf/cfg.prototxt:1 appends to what conf/mlp.prototxt:1 gives"
    ]


def test_a_file_that_is_included_again_gives_lists_that_are_not_there_any_more(lab: Lab) -> None:
    lab.write("mlp.prototxt", "sizes: [64, 64]")
    includes = "includes { path: 'mlp' mount: 'layer' }"
    cleared = f"{includes} includes {{ clear: 'layer.sizes' }} train {{ layer {{ sizes: 5 }} }}"
    assert text(lab, cleared, "I.layer=mlp") == "layer { sizes: 5 sizes: 64 sizes: 64 }"
    lab.write("anew.prototxt", "includes { clear: 'sizes' } sizes: [1, 2]")
    anew = "includes { path: 'anew' mount: 'layer' } train { layer { sizes: 5 } }"
    assert text(lab, anew, "I.layer=anew") == "layer { sizes: 1 sizes: 2 }"
    assert text(lab, f"{includes} train {{}}", "I.foo=mlp").count("64") == 4


def test_include_overrides_without_a_mount_are_merged_and_stay_in_the_identity(lab: Lab) -> None:
    lab.write("a.prototxt", "lr: 1 i32: 1")
    lab.write("b.prototxt", "lr: 2")
    assert text(lab, "train {}", "I=a", "I=b") == "lr: 2.0 i32: 1"
    assert identity(lab, "train {}", "I=a", "I=b") == ("I=conf/a.prototxt", "I=conf/b.prototxt")


def test_includes_in_files_are_merged_also_at_one_mount(lab: Lab) -> None:
    lab.write("a.prototxt", "width: 1 name: 'a'")
    lab.write("b.prototxt", "width: 2")
    config = "includes { path: 'a' mount: 'layer' } includes { path: 'b' mount: 'layer' } train { }"
    assert text(lab, config) == 'layer { width: 2 name: "a" }'
    assert text(lab, config, "I.layer=b") == 'layer { width: 2 name: "a" }'


def test_another_member_of_a_oneof_takes_the_place_of_the_first(optimizers: Lab) -> None:
    lab, config = optimizers, "train { adam { beta2: 5 } }"
    for later in ("I.adam=slow", "I.optimizer=slow", "Ioptimizer=conf/common/adam/slow"):
        for earlier in ("I.optimizer=fast", "I.sgd=conf/common/optimizer/fast", "I.adam=conf/common/optimizer/adam"):
            assert text(lab, config, earlier, later) == "adam { beta1: 1.0 beta2: 5.0 }"
            assert identity(lab, config, earlier, later) == ("I.adam=conf/common/adam/slow.prototxt",)
    assert text(lab, config, "I.adam=slow", "I.optimizer=fast", "I.adam=slow") == "adam { beta1: 1.0 beta2: 5.0 }"


def test_elements_that_are_added_by_includes_make_no_way_for_one_another(lab: Lab) -> None:
    lab.write("a.prototxt", "width: 1 name: 'a'")
    lab.write("b.prototxt", "width: 2")
    assert (
        text(lab, "train {}", "I.layers.-1=a", "I.layers.-1=b") == 'layers { width: 1 name: "a" } layers { width: 2 }'
    )
    assert text(lab, "train {}", "I.layers.0=a", "I.layers.1=a", "I.layers.0=b") == (
        'layers { width: 2 } layers { width: 1 name: "a" }'
    )
    assert text(lab, "train {}", "I.named.x=a", "I.named.y=a", "I.named.x=b") == (
        'named { key: "x" value { width: 2 } } named { key: "y" value { width: 1 name: "a" } }'
    )


def test_a_chunks_own_include_overrides_make_way_too(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    import heyhi

    lab.write("a.prototxt", "width: 1 name: 'a'")
    lab.write("b.prototxt", "width: 2")
    lab.write("chunk.prototxt", "lr: 1")
    monkeypatch.chdir(lab.root)
    cfg = heyhi.load_config("conf/chunk", ["I.layer=a", "I.layer=b"], msg_class="Train")
    assert (cfg.layer.width, cfg.layer.name) == (2, None)
    lab.write("common/optimizer/fast.prototxt", "momentum: 1")
    assert heyhi.load_config("conf/chunk", ["I.optimizer=fast"], msg_class="Train").sgd.momentum == 1
    assert heyhi.conf_with_overrides(cfg, ["I.layer=a", "I.layer=b"]).layer.width == 2


# --- lists of several files ---


def warnings(lab: Lab, config: str, *overrides: str) -> list[str]:
    lab.write("cfg.prototxt", config)
    composer = lab.composer()
    for _ in range(2):
        composer.compose("conf/cfg.prototxt", overrides)
    return composer.warnings


def test_a_list_of_several_files_is_told_once_with_its_places_and_what_came_of_it(lab: Lab) -> None:
    lab.write("a.prototxt", "lr: 1\nints: [1, 2]")
    lab.write("b.prototxt", "layer { sizes: 1 }\nints: 3 strings: 'x' scale { key: 'a' value: 1 }")
    assert warnings(lab, "includes { path: 'a' }\ntrain {\n ints: 4 strings: 'y' }") == [
        "ints is [1, 2, 4]: conf/cfg.prototxt:3 appends to what conf/a.prototxt:2 gives"
    ]
    assert warnings(lab, "includes { path: 'a' } includes { path: 'b' } train { scale { key: 'b' value: 1 } }") == [
        "ints is [1, 2, 3]: conf/b.prototxt:2 appends to what conf/a.prototxt:2 gives"
    ]
    assert warnings(lab, "includes { path: 'a' } includes { path: 'b' } train {\n ints: 4 layer { sizes: 2 } }") == [
        "ints is [1, 2, 3, 4]: conf/b.prototxt:2 and conf/cfg.prototxt:2 append to what conf/a.prototxt:2 gives",
        "layer.sizes is [1, 2]: conf/cfg.prototxt:2 appends to what conf/b.prototxt:1 gives",
    ]
    assert warnings(lab, "train { ints: 0 }", "I=a") == [
        "ints is [0, 1, 2]: conf/a.prototxt:2 appends to what conf/cfg.prototxt:1 gives"
    ]
    assert warnings(lab, "train { ints: 0 }", "ints.-1=3") == []


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["ints=[9]"], None),
        (["ints=NULL", "ints.-1=9"], None),
        (["I=clears"], None),
        (
            ["ints+=[9]"],
            "ints is [1, 2, 4] before overrides: conf/cfg.prototxt:1 appends to what conf/a.prototxt:2 gives",
        ),
        (
            ["ints.0=9"],
            "ints is [1, 2, 4] before overrides: conf/cfg.prototxt:1 appends to what conf/a.prototxt:2 gives",
        ),
        (["lr=2"], "ints is [1, 2, 4]: conf/cfg.prototxt:1 appends to what conf/a.prototxt:2 gives"),
        (["I=clears", "I=more"], "ints is [5, 6]: conf/more.prototxt:1 appends to what conf/clears.prototxt:2 gives"),
    ],
)
def test_of_a_list_that_overrides_replace_nothing_is_told(lab: Lab, overrides: list[str], expected: str | None) -> None:
    lab.write("a.prototxt", "lr: 1\nints: [1, 2]")
    lab.write("more.prototxt", "ints: 6")
    lab.write("clears.prototxt", "includes { clear: 'ints' }\nints: 5")
    found = warnings(lab, "includes { path: 'a' } train { ints: 4 }", *overrides)
    assert found == ([expected] if expected is not None else [])


def test_lists_are_told_through_mounts_chunks_and_what_is_extended(lab: Lab) -> None:
    lab.write("wide.prototxt", "sizes: [1, 2]")
    lab.write("inner.prototxt", "includes { path: 'wide' mount: 'inside' }\ninside { sizes: 3 }")
    assert warnings(lab, "includes { path: 'inner' mount: 'layer' } train { }") == [
        "layer.inside.sizes is [1, 2, 3]: conf/inner.prototxt:2 appends to what conf/wide.prototxt:1 gives"
    ]
    lab.write("more.prototxt", "sizes: [1, 2]")
    assert warnings(lab, "train { layer { includes { path: 'wide' }\n sizes: 4 } }", "I.layer=more") == [
        "layer.sizes is [1, 2, 4, 1, 2]: conf/cfg.prototxt:2 and conf/more.prototxt:1 append to what"
        " conf/wide.prototxt:1 gives",
    ]
    lab.write("first.prototxt", "includes { path: 'ints' }\ntrain {\n  ints: 2 }")
    lab.write("ints.prototxt", "ints: 1")
    assert warnings(lab, "includes { path: 'first' } train { ints: 3 }") == [
        "ints is [1, 2, 3]: conf/first.prototxt:3 and conf/cfg.prototxt:1 append to what conf/ints.prototxt:1 gives"
    ]
    assert warnings(lab, "includes { path: 'first' } train { }") == [
        "ints is [1, 2]: conf/first.prototxt:3 appends to what conf/ints.prototxt:1 gives"
    ]


def test_a_list_of_another_member_of_a_oneof_is_not_told(lab: Lab) -> None:
    lab.write("a.prototxt", "parts { x: 1 } whole { words: 'a' }")
    lab.write("b.prototxt", "whole { words: 'b' }")
    lab.write("c.prototxt", "none { }")
    includes = " ".join(f"includes {{ path: '{name}' mount: 'modern' }}" for name in "acb")
    assert warnings(lab, f"{includes} train {{ }}") == []
    assert 'words: "b"' in text(lab, f"{includes} train {{ }}")


def test_an_include_clears_what_those_before_it_gave(lab: Lab) -> None:
    lab.write("a.prototxt", "ints: [1, 2] lr: 1 scale { key: 'a' value: 1 } scale { key: 'b' value: 1 } sgd { }")
    lab.write("b.prototxt", "ints: 3")
    clear = "includes { path: 'a' } includes { clear: 'ints' }"
    assert text(lab, f"{clear} train {{ ints: 4 }}").startswith("lr: 1.0 ints: 4 scale")
    assert "ints: 3 ints: 4" in text(lab, f"{clear} includes {{ path: 'b' }} train {{ ints: 4 }}")
    assert "ints" not in text(lab, f"{clear} train {{ }}")
    assert text(lab, "includes { clear: 'ints' } includes { path: 'a' } train { ints: 4 }").startswith(
        "lr: 1.0 ints: 1 ints: 2 ints: 4"
    )
    many = "includes { path: 'a' } includes { clear: 'ints' clear: 'scale' clear: 'lr' clear: 'optimizer' }"
    assert text(lab, f"{many} train {{ scale {{ key: 'c' value: 2 }} }}") == 'scale { key: "c" value: 2.0 }'
    one = "includes { path: 'a' } includes { clear: ['ints', 'scale.a', 'lr', 'sgd'] } train { }"
    assert text(lab, one) == 'scale { key: "b" value: 1.0 }'
    assert warnings(lab, f"{clear} train {{ ints: 4 }}") == []
    assert warnings(lab, f"{clear} includes {{ path: 'b' }} train {{ ints: 4 }}") == [
        "ints is [3, 4]: conf/cfg.prototxt:1 appends to what conf/b.prototxt:1 gives"
    ]


def test_what_a_chunk_clears_is_cleared_where_it_is_merged(lab: Lab) -> None:
    lab.write("fresh.prototxt", "includes { clear: 'ints' } includes { path: 'narrow' mount: 'layer' }\nints: 9")
    lab.write("narrow.prototxt", "includes { clear: 'sizes' } sizes: 8")
    lab.write("again.prototxt", "includes { path: 'fresh' }")
    config = "train { ints: [1, 2] layer { sizes: 7 width: 1 } }"
    for name in ("fresh", "again"):
        assert text(lab, config, f"I={name}") == "ints: 9 layer { width: 1 sizes: 8 }"
        assert warnings(lab, config, f"I={name}") == []
    assert text(lab, config, "I.layer=narrow") == "ints: 1 ints: 2 layer { width: 1 sizes: 8 }"
    lab.write("a.prototxt", "ints: 1 layer { sizes: 1 }")
    assert text(lab, "includes { path: 'a' } includes { path: 'fresh' } train { }") == "ints: 9 layer { sizes: 8 }"
    assert text(lab, "includes { path: 'a' } train { layer { includes { clear: 'sizes' } sizes: 2 } }") == (
        "ints: 1 layer { sizes: 2 }"
    )
    lab.write("root.prototxt", "includes { clear: 'ints' } train { ints: 5 }")
    assert text(lab, "includes { path: 'a' } includes { path: 'root' } train { }") == "ints: 5 layer { sizes: 1 }"
    assert "conf/fresh.prototxt:2 sets it" in error(lab, config, "I=fresh", "ints.0=x")


def test_a_line_is_named_of_the_file_that_set_what_stayed(lab: Lab) -> None:
    lab.write("a.prototxt", "lr: 1")
    lab.write("b.prototxt", "i32: 1")
    config = "includes { path: 'a' } includes { clear: 'lr' } includes { path: 'b' } train { }"
    assert error(lab, config, "lr=x") == "override 'lr=x': key 'lr' is a number (double), not 'x'"
    assert error(lab, config, "i32=x").endswith("conf/b.prototxt:1 sets it")


def test_what_cannot_be_cleared_is_said_with_its_line(lab: Lab) -> None:
    lab.write("a.prototxt", "ints: 1")
    assert error(lab, "\nincludes { clear: 'itns' } train { }") == (
        "conf/cfg.prototxt:2: clear 'itns': unknown key 'itns': Train has no field 'itns' (did you mean 'ints'?)"
    )
    assert error(lab, "includes { path: 'a' clear: 'ints' } train { }") == (
        "conf/cfg.prototxt:1: clear 'ints': it stands in an include of its own: includes { clear: … } clears what"
        " those before it gave, and those behind it, includes { path: … }, add to that"
    )
    assert error(lab, "includes { clear: 'ints'\nclear: 'lr'\nclear: 'itns' } train { }").startswith(
        "conf/cfg.prototxt:3: clear 'itns': unknown key 'itns'"
    )
    assert "an element of a list has no place of its own here" in error(lab, "includes { clear: 'ints.0' } train { }")
    assert "what was included is merged already" in error(lab, "includes { clear: 'includes' } train { }")


def test_where_includes_know_no_clear_its_name_is_the_error(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    from heyhi.config.schema import load_schema

    root = tmp_path_factory.mktemp("other")
    (root / "conf").mkdir()
    (root / "conf/conf.proto").write_text("""
        syntax = "proto3";
        message MetaCfg { repeated Include includes = 1; oneof task { Task run = 2; } }
        message Include { string path = 1; string mount = 2; }
        message Task { repeated string words = 2; }
    """)
    (root / "conf/cfg.prototxt").write_text("includes { clear: 'words' } run { }")
    project = Project(root)
    with pytest.raises(
        ConfigError, match=r"conf/cfg.prototxt:1:12: Include has no field 'clear' \(it has: mount, path"
    ):
        Composer(project, load_schema(project)).compose("conf/cfg.prototxt")


def test_what_a_root_message_has_beside_its_task_is_extended_too(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from heyhi.config.schema import load_schema

    root = tmp_path_factory.mktemp("other")
    (root / "conf").mkdir()
    (root / "conf/conf.proto").write_text("""
        syntax = "proto3";
        message MetaCfg { repeated Include includes = 1; oneof task { Task run = 2; } string note = 3; string by = 4; }
        message Include { string path = 1; string mount = 2; }
        message Task { repeated string words = 2; int32 n = 3; }
    """)
    (root / "conf/base.prototxt").write_text("note: 'base' by: 'me' run { n: 1 }")
    (root / "conf/cfg.prototxt").write_text("includes { path: 'base' } note: 'own' run { words: 'a' }")
    composed = Composer(Project(root), load_schema(Project(root))).compose("conf/cfg.prototxt")
    assert text_format.MessageToString(composed.message, as_one_line=True).strip() == (
        'run { words: "a" n: 1 } note: "own" by: "me"'
    )


def test_a_tasks_own_includes_extend_too(lab: Lab) -> None:
    lab.write("first.prototxt", "train { lr: 1 i32: 1 }")
    assert text(lab, "train { includes { path: 'first' } i32: 2 }") == "lr: 1.0 i32: 2"
    assert "is a root config" in error(lab, "train { layer { includes { path: 'first' } } }")


def test_the_line_of_a_scalar_that_stands_twice_is_the_one_that_counts(lab: Lab) -> None:
    assert error(lab, "train {\n lr: 1\n lr: 2\n ints: 1\n ints: 2 }", "lr=x", "ints.0=x") == (
        "override 'lr=x': key 'lr' is a number (double), not 'x'; conf/cfg.prototxt:3 sets it\n"
        "override 'ints.0=x': key 'ints.0' is an integer (int32), not 'x'; conf/cfg.prototxt:4 sets it"
    )
    assert error(lab, "train {\n lr: 1\n lr: 1e999\n}") == (
        "conf/cfg.prototxt:3: 'train.lr' is out of range for a number (double)"
    )
