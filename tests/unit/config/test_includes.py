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
    assert error(lab, "train {}", "Ioptimizer=a", "Ilaye=a") == (
        "unknown key 'Ioptimizer': Train has no field 'Ioptimizer', and no message 'optimizer' to include into"
        " (did you mean 'optimizer'?)\n"
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
        "conf/cfg.prototxt:3: 'train' is set again; conf/cfg.prototxt:2 has one, too: they are merged",
        "conf/cfg.prototxt:3: 'train.lr' is set again; conf/cfg.prototxt:2 sets it, too: the last one counts",
    ]
