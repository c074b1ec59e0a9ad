"""Frozen configs: what users' code reads."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.frozen import FrozenConfig, flatten, freeze, message_of, to_text

if TYPE_CHECKING:
    from tests.unit.conftest import Lab


def parse(lab: Lab, text: str) -> Message:
    return text_format.Parse(text, lab.new_train())


def frozen(lab: Lab, text: str) -> FrozenConfig:
    return freeze(parse(lab, text))


def test_what_is_set_reads_as_python(lab: Lab) -> None:
    cfg = frozen(
        lab,
        "lr: 0.5 color: RED blob: '\\000a' ints: [1, 2] colors: [RED, DEEP_BLUE] layers { width: 3 }"
        " scale { key: 'b' value: 2 } scale { key: 'a' value: 1 } by_u64 { key: 1 value: GREEN }"
        " named { key: 'x' value { width: 4 } } adam { beta1: 0.5 } modern { word: 'w' shape: SQUARE maybe: 0 }",
    )
    assert (cfg.lr, cfg.color, cfg.blob) == (0.5, "RED", b"\0a")
    assert (cfg.ints, cfg.colors) == ((1, 2), ("RED", "DEEP_BLUE"))
    assert [layer.width for layer in cfg.layers] == [3]
    assert isinstance(cfg.scale, Mapping)
    assert (list(cfg.scale.items()), dict(cfg.by_u64)) == ([("a", 1.0), ("b", 2.0)], {1: "GREEN"})
    assert cfg.named["x"].width == 4
    assert (cfg.which_optimizer, cfg.optimizer.beta1, cfg.adam.beta1, cfg.sgd) == ("adam", 0.5, 0.5, None)
    assert cfg.optimizer == cfg.adam
    assert (cfg.modern.which_choice, cfg.modern.choice, cfg.modern.number) == ("word", "w", None)
    assert (cfg.modern.shape, cfg.modern.maybe) == ("SQUARE", 0)


def test_what_is_not_set_reads_as_its_default_or_none(lab: Lab) -> None:
    cfg = frozen(lab, "")
    assert (cfg.lr, cfg.color, cfg.flag) == (0.1, "GREEN", False)
    assert (cfg.name, cfg.i32, cfg.single, cfg.blob) == (None, None, None, None)
    assert (cfg.ints, cfg.layers, dict(cfg.scale)) == ((), (), {})
    assert (cfg.layer.width, cfg.layer.inside.inside.width, cfg.launcher.which_kind) == (8, 8, None)
    assert (cfg.sgd, cfg.plain, cfg.optimizer, cfg.which_optimizer) == (None, None, None, None)
    modern = cfg.modern
    assert (modern.lr, modern.count, modern.flag, modern.name, modern.shape) == (0.0, 0, False, "", "ROUND")
    assert (modern.maybe, modern.perhaps, modern.part.x, modern.part.y, modern.whole) == (None, False, 0, None, None)


def test_reading_changes_nothing(lab: Lab) -> None:
    message = parse(lab, "sgd {}")
    cfg = freeze(message)
    cfg.to_dict(), cfg.to_text(True), cfg.layer.inside.width, cfg.modern.part.x, flatten(cfg), repr(cfg)
    assert cfg.to_editable() == message


def test_writing_is_refused_and_an_editable_copy_is_offered(lab: Lab) -> None:
    cfg = frozen(lab, "lr: 1 layer { width: 1 }")
    for write in (
        lambda: setattr(cfg, "lr", 2),
        lambda: setattr(cfg, "no_such", 2),
        lambda: setattr(cfg.layer, "width", 2),
        lambda: delattr(cfg, "lr"),
    ):
        with pytest.raises(RuntimeError, match=r"a config is read-only: .*to_editable\(\)"):
            write()
    editable = cfg.to_editable()
    editable.lr = 2
    assert (cfg.lr, freeze(editable).lr) == (1.0, 2.0)


def test_a_frozen_copy_does_not_change_with_its_message(lab: Lab) -> None:
    message = parse(lab, "lr: 1")
    cfg = freeze(message)
    message.lr = 2
    assert cfg.lr == 1.0


@pytest.mark.parametrize("name", ["lrr", "which_lr", "which_sgd", "_x", "__x__", "\ud800", "", "a b"])
def test_an_unknown_name_is_an_attribute_error(lab: Lab, name: str) -> None:
    cfg = frozen(lab, "")
    assert not hasattr(cfg, name)
    with pytest.raises(AttributeError):
        getattr(cfg, name)


def test_the_error_of_an_unknown_name_says_the_nearest(lab: Lab) -> None:
    with pytest.raises(AttributeError, match=r"Sgd has no field 'momentun' \(did you mean 'momentum'\?\); it has:"):
        frozen(lab, "sgd {}").sgd.momentun  # noqa: B018 (reading is the test)


def test_which_oneof_is_protobufs(lab: Lab) -> None:
    cfg = frozen(lab, "plain: 3")
    assert cfg.WhichOneof("optimizer") == "plain"
    with pytest.raises(ValueError, match="no_such"):
        cfg.WhichOneof("no_such")


def test_a_config_names_its_fields_to_dir(lab: Lab) -> None:
    assert {"lr", "optimizer", "which_optimizer", "to_dict"} <= set(dir(frozen(lab, "")))


def test_as_a_dict_it_has_all_that_can_be_read(lab: Lab) -> None:
    cfg = frozen(lab, "lr: 1 layers { width: 2 } named { key: 'a' value {} } sgd {} color: RED")
    whole = cfg.to_dict(with_all=True)
    assert (whole["lr"], whole["color"], whole["name"], whole["flag"], whole["ints"]) == (1.0, "RED", None, False, [])
    assert whole["layers"][0]["width"] == 2
    assert whole["named"]["a"]["width"] == 8
    assert whole["sgd"] == {"momentum": 0.9, "nesterov": False}
    assert "adam" not in whole
    assert whole["layer"]["width"] == 8
    assert "inside" not in whole["layer"]


def test_as_a_dict_it_has_what_is_set_unless_more_is_asked_for(lab: Lab) -> None:
    cfg = frozen(
        lab, "lr: 1 layers { width: 2 } named { key: 'a' value {} } sgd {} color: RED layer {} modern { part {} }"
    )
    assert cfg.to_dict() == {"lr": 1.0, "color": "RED", "layers": [{"width": 2}], "named": {"a": {}}, "sgd": {}}
    some = frozen(lab, "sgd {} ints: 1").to_dict(with_defaults=True)
    assert (some["lr"], some["color"], some["sgd"], some["ints"]) == (
        0.1,
        "GREEN",
        {"momentum": 0.9},
        [1],
    )
    assert not {"name", "layers", "scale", "launcher"} & set(some)
    assert {"name", "layers", "scale", "launcher"} < set(cfg.to_dict(with_all=True))


def test_flat_keys_are_those_of_overrides(lab: Lab) -> None:
    cfg = frozen(lab, "color: RED ints: [5] scale { key: 'a.b' value: 1 } layer {} sgd {}")
    assert flatten(cfg, with_all=False) == {
        "color": "RED", "ints": [5], 'scale."a.b"': 1.0, "layer": "SELECT", "sgd": "SELECT",
    }  # fmt: skip
    whole = flatten(cfg)
    assert (whole["lr"], whole["name"], whole["layer.width"], whole["sgd.momentum"]) == (0.1, None, 8, 0.9)
    assert (whole["ints"], whole["doubles"], whole["layers"], whole["layer.sizes"]) == ([5], [], [], [])
    assert "adam.beta1" not in whole


def test_a_float_is_shown_with_its_fewest_digits_and_read_as_the_number_that_it_is(lab: Lab) -> None:
    cfg = freeze(lab.compose("train {}", "single=0.1", "singles.0=0.3", "modern.single=0.7"))
    shown = flatten(cfg)
    assert (shown["single"], shown["modern.single"]) == (0.1, 0.7)
    assert cfg.single == cfg.to_dict()["single"] == 0.10000000149011612
    assert "single: 0.1\n" in cfg.to_text()


def test_text_with_defaults_parses_to_what_reads_the_same(lab: Lab) -> None:
    cfg = frozen(lab, "color: RED ints: [5] scale { key: 'a.b' value: 1 } layers { width: 2 } name: 'ä\\n' sgd {}")
    assert str(cfg) == cfg.to_text()
    assert parse(lab, cfg.to_text()) == cfg.to_editable()
    text = cfg.to_text(with_defaults=True)
    assert "momentum: 0.9" in text
    assert "lr: 0.1" in text
    assert 'name: "ä\\n"' in text
    assert "adam" not in text
    assert freeze(parse(lab, text)).to_dict(with_all=True) == cfg.to_dict(with_all=True)


def test_repr_is_one_line(lab: Lab) -> None:
    assert repr(frozen(lab, "lr: 1 sgd {}")) == "<Train lr: 1.0 sgd { }>"
    assert repr(frozen(lab, "")) == "<Train>"


def test_old_scripts_ask_whether_it_is_frozen(lab: Lab) -> None:
    cfg = frozen(lab, "")
    assert cfg.is_frozen()
    assert cfg.to_frozen() is cfg
    assert cfg.to_str_with_defaults() == cfg.to_text(True)
    assert message_of(cfg) == cfg.to_editable()


def test_configs_of_other_values_or_types_differ(lab: Lab) -> None:
    assert frozen(lab, "lr: 1") == frozen(lab, "lr: 1")
    assert frozen(lab, "lr: 1") != frozen(lab, "lr: 2")
    assert frozen(lab, "lr: 0.1") != frozen(lab, "")
    assert frozen(lab, "").layer != frozen(lab, "").modern
    assert frozen(lab, "") != lab.new_train()
    assert len({frozen(lab, "lr: 1"), frozen(lab, "lr: 1"), frozen(lab, "lr: 2")}) == 2


def test_copies_are_the_same_object(lab: Lab) -> None:
    cfg = frozen(lab, "lr: 1")
    assert copy.copy(cfg) is cfg
    assert copy.deepcopy(cfg) is cfg


def test_another_process_that_knows_no_schema_reads_a_pickle(lab: Lab) -> None:
    data = pickle.dumps(frozen(lab, "lr: 1 sgd {} modern { word: 'w' }"))
    code = "import pickle, sys; c = pickle.load(sys.stdin.buffer); print(c.lr, c.sgd.momentum, c.modern.choice)"
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout == b"1.0 0.9 w\n"


WRITES: list[Callable[[Any], object]] = [
    lambda m: m.__setitem__("a", 1),
    lambda m: m.__delitem__("a"),
    lambda m: m.__ior__({"a": 1}),
    lambda m: m.clear(),
    lambda m: m.pop("a"),
    lambda m: m.popitem(),
    lambda m: m.setdefault("a", 1),
    lambda m: m.update(a=1),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_map_can_not_be_written(lab: Lab, write: Callable[[Any], object]) -> None:
    scale = frozen(lab, "scale { key: 'a' value: 2 }").scale

    with pytest.raises(RuntimeError, match="a config is read-only"):
        write(scale)
    assert dict(scale) == {"a": 2.0} == scale.copy()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_all_of_a_config_pickles_copies_and_hashes(lab: Lab, protocol: int) -> None:
    cfg = frozen(lab, "scale { key: 'a' value: 2 } named { key: 'x' value { width: 4 } } layers { width: 1 } ints: 3")
    for part in (cfg, cfg.scale, cfg.named, cfg.layers, cfg.ints, cfg.layer):
        again = pickle.loads(pickle.dumps(part, protocol))
        assert (type(again), again, hash(again)) == (type(part), part, hash(part))
        assert copy.copy(part) == copy.deepcopy(part) == part
        assert hash(copy.deepcopy(part)) == hash(part)
    with pytest.raises(RuntimeError):
        pickle.loads(pickle.dumps(cfg.named, protocol)).clear()


def test_a_list_of_configs_pickles_with_its_schema_once(lab: Lab) -> None:
    layers = frozen(lab, " ".join(f"layers {{ width: {n} }}" for n in range(50))).layers

    assert len(pickle.dumps(layers)) < 2 * len(pickle.dumps(layers[0])) + 50 * 40


def test_maps_and_lists_are_dumped_as_json(lab: Lab) -> None:
    cfg = frozen(lab, "scale { key: 'a' value: nan } by_u64 { key: 1 value: GREEN } ints: [1, 2] blob: '\\377'")

    assert json.dumps([cfg.scale, cfg.by_u64, cfg.ints]) == '[{"a": NaN}, {"1": "GREEN"}, [1, 2]]'
    assert json.loads(json.dumps(cfg.to_dict(), default=bytes.hex))["blob"] == "ff"


@given(data=st.data())
def test_any_config_is_dumped_as_json_and_its_maps_hash(shared_lab: Lab, data: st.DataObject) -> None:
    cfg = freeze(data.draw(shared_lab.messages(shared_lab.train)))

    assert json.dumps(cfg.to_dict(with_all=True), default=bytes.hex)
    for part in (cfg.scale, cfg.named, cfg.by_u64):
        again = pickle.loads(pickle.dumps(part))
        assert str(again) == str(part)
        assert json.dumps(cfg.scale)
        assert isinstance(hash(part), int)


def test_messages_answer_what_configs_do(lab: Lab) -> None:
    message: Any = frozen(lab, "lr: 1 sgd {} layers { width: 2 } named { key: 'x' value {} }").to_editable()
    message.layer.width = 3
    inner = [message.layer, message.sgd, message.layers[0], message.named["x"]]

    for one in (message, *inner):
        assert one.heyhi_patched
        assert not one.is_frozen()
        assert one.to_editable() is one
        assert one.to_frozen().is_frozen()
        assert one.to_frozen().to_editable() == one
        assert one.to_dict(with_all=True) == one.to_frozen().to_dict(with_all=True)
        assert one.to_str_with_defaults() == one.to_frozen().to_text(True)
    assert message.to_dict() == {
        "lr": 1.0, "layer": {"width": 3}, "layers": [{"width": 2}], "named": {"x": {}}, "sgd": {},
    }  # fmt: skip


def test_a_part_of_a_message_answers_when_the_whole_is_gone(lab: Lab) -> None:
    part: Any = frozen(lab, "layer { inside { inside { width: 3 } } }").to_editable().layer  # type: ignore[attr-defined]
    gc.collect()

    assert part.inside.inside.to_dict() == {"width": 3}
    assert part.to_frozen().to_editable().inside.heyhi_patched


def test_a_class_of_the_users_own_gets_no_methods(lab: Lab) -> None:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(lab.schema.file_set).file:
        pool.Add(file)
    own = message_factory.GetMessageClass(pool.FindMessageTypeByName(lab.schema.root_name))

    assert type(freeze(own()).to_editable()) is own
    assert not hasattr(own, "to_frozen") and not hasattr(own, "heyhi_patched")


@given(data=st.data())
def test_any_config_pickles_hashes_and_compares(shared_lab: Lab, data: st.DataObject) -> None:
    message = data.draw(shared_lab.messages(shared_lab.train))
    cfg = freeze(message)
    again = pickle.loads(pickle.dumps(cfg))
    assert again == cfg
    assert hash(again) == hash(cfg)
    assert again.to_text() == cfg.to_text()
    assert shared_lab.data(cfg.to_editable()) == shared_lab.data(message)


@given(data=st.data())
def test_any_config_is_written_in_all_forms(shared_lab: Lab, data: st.DataObject) -> None:
    message = data.draw(shared_lab.messages(shared_lab.train))
    cfg = freeze(message)
    assert shared_lab.data(parse(shared_lab, cfg.to_text())) == shared_lab.data(message)
    assert freeze(parse(shared_lab, cfg.to_text(True))).to_text(True) == cfg.to_text(True)
    assert str(freeze(parse(shared_lab, to_text(message, with_defaults=True))).to_dict(with_all=True)) == str(
        cfg.to_dict(with_all=True)
    )
    assert set(cfg.to_dict()) <= set(cfg.to_dict(with_defaults=True)) <= set(cfg.to_dict(with_all=True))
    assert isinstance(repr(cfg), str)
