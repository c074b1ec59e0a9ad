"""Loading, reading and changing configs from users' code, frozen and editable."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import heyhi
import heyhi.conf
from heyhi.config.frozen import FrozenConfig
from heyhi.errors import ConfigError, HeyhiError, OverrideError

PROTO = """
syntax = "proto2";
package lab;
message MetaCfg {
  repeated Include includes = 1;
  oneof task { Train train = 2; Check check = 3; }
}
message Include { optional string path = 1; optional string mount = 2; }
enum Colour { RED = 0; BLUE = 1; }
message Layer { optional int32 width = 1 [default = 8]; optional Colour colour = 2; }
message Data { optional string folder = 1; optional bool shuffle = 2; map<string, double> weights = 3; }
message Sgd { optional double momentum = 1 [default = 0.9]; }
message Adam { optional double beta = 1 [default = 0.99]; }
message Train {
  optional double lr = 1 [default = 0.1];
  optional int32 seed = 2;
  optional Data data = 3;
  oneof optimizer { Sgd sgd = 4; Adam adam = 5; }
  repeated Layer layers = 6;
  repeated int32 sizes = 7;
  optional int32 Iterations = 8;
  optional string start = 9;
}
message Check { optional string model = 1; }
"""

FILES = {
    "conf/lab.proto": PROTO,
    "conf/common/data/small.prototxt": 'folder: "{{ROOT_DIR}}/small"\nweights { key: "cat" value: 2 }\n',
    "conf/common/data/with_need.prototxt": 'folder: "{{exp conf/train.prototxt}}"\n',
    "conf/train.prototxt": """
includes { path: "small" mount: "data" }
train { lr: 0.03 sgd { } layers { width: 4 } layers { colour: BLUE } sizes: 3 }
""",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_files: Callable[[Path, dict[str, str]], None]) -> Path:
    write_files(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["frozen", "editable"])
def load(request: pytest.FixtureRequest, root: Path) -> Callable[..., Any]:
    """Load a task's config, frozen or editable."""

    def load(cfg: str, overrides: Sequence[str] = ()) -> Any:
        if request.param == "frozen":
            return heyhi.load_config(cfg, overrides).task
        task, message = heyhi.conf.load_root_proto_message(cfg, overrides)
        return getattr(message, task)

    return load


def test_a_config_that_takes_over_the_best_of_a_sweep_says_that_it_is_loaded_without(
    load: Callable[..., Any], caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    name = f"conf/{request.node.callspec.id}.py"  # what was said before isn't said again
    load("conf/train.prototxt", [f"I={{{{best {name} max=acc}}}}"])
    assert f"the best of {name} isn't taken over here: `heyhi print` shows a config with it" in caplog.text


def test_the_folders_are_those_of_the_project_around_the_working_directory(root: Path) -> None:
    assert root == heyhi.PROJ_ROOT
    assert root / "conf" == heyhi.CONF_ROOT


def test_a_root_config_loads_with_its_task(root: Path) -> None:
    cfg = heyhi.load_config("conf/train.prototxt", ["lr=0.5", "I.data=small", "data.weights.dog=3"])

    assert isinstance(cfg, FrozenConfig)
    assert (cfg.which_task, cfg.check) == ("train", None)
    train = cfg.train
    assert train == cfg.task
    assert (train.lr, train.seed, train.which_optimizer, train.sgd.momentum) == (0.5, None, "sgd", 0.9)
    assert train.data.folder == f"{root}/small"
    assert dict(train.data.weights) == {"cat": 2.0, "dog": 3.0}
    assert train.to_frozen() is train


@pytest.mark.parametrize("msg_class", ["MetaCfg", "lab.MetaCfg", None])
def test_a_root_config_is_the_same_however_it_is_asked_for(root: Path, msg_class: str | None) -> None:
    cfg = heyhi.load_root_config(Path("conf/train.prototxt"), ["seed=1"])

    assert heyhi.load_config("conf/train.prototxt", ["seed=1"], msg_class=msg_class) == cfg
    message = heyhi.conf.load_proto_message("train", ["seed=1"], msg_class)
    assert heyhi.flatten_cfg(message) == heyhi.flatten_cfg(cfg)


def test_a_root_message_comes_with_its_tasks_name_and_can_be_edited(root: Path) -> None:
    task, message = heyhi.conf.load_root_proto_message("conf/train.prototxt", ["seed=1"])
    cfg = getattr(message, task)
    cfg.seed += 1

    assert (task, cfg.seed) == ("train", 2)
    assert "includes" not in str(message)


def test_keys_start_below_the_task_in_a_root_config_too(root: Path) -> None:
    cfg = heyhi.load_root_config("conf/train.prototxt")

    assert heyhi.conf_get(cfg, "sgd.momentum") == 0.9
    assert heyhi.conf_is_set(cfg, "lr")
    assert not heyhi.conf_is_set(cfg, "seed")
    assert heyhi.conf_set(cfg, "lr", 1).train.lr == 1.0  # type: ignore[union-attr]
    assert heyhi.conf_with_overrides(cfg, ["I.data=small", "lr=2"]).train.lr == 2.0  # type: ignore[union-attr]
    task, message = heyhi.conf.load_root_proto_message("conf/train.prototxt")
    heyhi.conf_set(message, "data.shuffle", True)
    assert getattr(message, task).data.shuffle


def test_a_chunk_is_taken_for_what_its_folder_says_or_else_for_what_it_can_be(root: Path) -> None:
    (root / "conf/common/adam").mkdir()
    (root / "conf/common/adam/empty.prototxt").write_text("")

    assert heyhi.load_config("conf/common/data/small.prototxt").folder == f"{root}/small"
    assert heyhi.load_config("common/adam/empty", ["beta=0.5"]).beta == 0.5
    layer = heyhi.conf.load_proto_message(save(root, "layer.prototxt", "colour: BLUE"), ["width=3"])
    assert layer.width == 3  # type: ignore[attr-defined]


def save(root: Path, name: str, text: str) -> str:
    (root / name).write_text(text)
    return name


@pytest.mark.parametrize("text", ["nofield: 1", "train { lr: x }", "train {", ""])
def test_what_is_neither_root_config_nor_chunk_is_refused(root: Path, text: str) -> None:
    name = save(root, "wrong.prototxt", text)

    with pytest.raises(ConfigError, match=r"^wrong\.prototxt:"):
        heyhi.load_config(name)


@pytest.mark.parametrize(
    ("place", "text", "says"),
    [
        ("adam/mine", "beta: 0.5\nbta: 0.6", "2:1: Adam has no field 'bta' (did you mean 'beta'?)"),
        ("mine", "\nwidht: 3", "2:1: Layer has no field 'widht' (did you mean 'width'?)"),
        ("mine", "width: 3\ncolour: BLU", "2:9: expected one of RED, BLUE, not 'BLU' (did you mean 'BLUE'?)"),
        ("mine", "folder: '{{ROOTDIR}}/x'", "1: unknown template '{{ROOTDIR}}' (did you mean 'ROOT_DIR'?)"),
        ("data/mine", "folder: '{{exp'", "1: '{{exp': expected {{exp CFG [OVERRIDE …]}}"),
        (
            "adam/mine",
            "includes { path: 'x' }\ntrain {\n  lrr: 1\n}",
            "3:3: Train has no field 'lrr' (did you mean 'lr'?)",
        ),
    ],
)
def test_a_broken_chunk_says_its_own_error_however_it_is_loaded(root: Path, place: str, text: str, says: str) -> None:
    name = f"conf/common/{place}.prototxt"
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(text)
    for load in (heyhi.load_config, heyhi.load_root_config):
        with pytest.raises(HeyhiError) as raised:
            load(name)
        assert str(raised.value).startswith(f"{name}:{says}")


def test_a_broken_chunk_that_is_included_says_its_own_error(root: Path) -> None:
    for name, text in {"adam/worse": "beta: 0.5\nbta: 0.6", "data/wrong": "folder: '{{x}}'"}.items():
        (root / f"conf/common/{name}.prototxt").parent.mkdir(exist_ok=True)
        (root / f"conf/common/{name}.prototxt").write_text(text)
    with pytest.raises(
        HeyhiError, match=r"conf/common/adam/worse\.prototxt:2:1: Adam has no field 'bta' \(did you mean"
    ):
        heyhi.load_config("conf/train.prototxt", ["I.adam=worse"])
    with pytest.raises(HeyhiError, match=r"conf/common/data/wrong\.prototxt:1: unknown template '{{x}}'"):
        heyhi.load_config("conf/train.prototxt", ["I.data=wrong"])


def test_a_config_that_is_changed_keeps_braces_that_are_text(root: Path) -> None:
    cfg = heyhi.load_config("conf/train.prototxt", ['start="{{ROOT_DIR}} {{x}}"', "data.folder={{ROOT_DIR}}"]).task
    assert (cfg.start, cfg.data.folder) == ("{{ROOT_DIR}} {{x}}", str(root))
    changed = heyhi.conf_with_overrides(cfg, ["data.folder={{ROOT_DIR}}/y", "I.data=small"])
    assert heyhi.conf_get(changed, "start") == "{{ROOT_DIR}} {{x}}"
    assert heyhi.conf_get(changed, "data.folder") == f"{root}/y"
    changed = heyhi.conf_with_overrides(cfg, ['start="{{y}}"', 'data.folder={{"{{z}}"}}'])
    assert (heyhi.conf_get(changed, "start"), heyhi.conf_get(changed, "data.folder")) == ("{{y}}", "{{z}}")
    with pytest.raises(OverrideError, match=r"override 'start={{y}}': unknown template '{{y}}'"):
        heyhi.conf_with_overrides(cfg, ["start={{y}}"])


def test_includes_are_looked_up_in_extra_folders_too(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    extra = tmp_path_factory.mktemp("extra")
    save(extra, "mine.prototxt", "shuffle: true")

    for load in (heyhi.load_config, heyhi.load_root_config):
        assert load("train", ["I.data=mine"], extra_include_dirs=[extra]).train.data.shuffle
    assert heyhi.conf.load_root_proto_message("train", ["I.data=mine"], [extra])[0] == "train"
    again = heyhi.conf_with_overrides(heyhi.load_config("train"), ["I.data=mine"], extra_include_dirs=[extra])
    assert again.train.data.shuffle
    chunk = heyhi.load_config("common/data/small", ["I=mine"], extra_include_dirs=[str(extra)])
    assert chunk.shuffle


@pytest.mark.parametrize("name", ["Data", "lab.Data"])
def test_a_chunk_loads_by_the_name_of_its_message(root: Path, name: str) -> None:
    cfg = heyhi.load_config("conf/common/data/small.prototxt", ["shuffle=true"], msg_class=name)

    assert (cfg.folder, cfg.shuffle) == (f"{root}/small", True)


def test_a_chunk_loads_by_a_generated_class_and_its_message_is_an_instance(root: Path) -> None:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    from heyhi.config.schema import load_schema
    from heyhi.project import find_project

    # What a conf_pb2 module holds: a class of another pool than the schema's.
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(load_schema(find_project()).file_set).file:
        pool.Add(file)
    generated = message_factory.GetMessageClass(pool.FindMessageTypeByName("lab.Data"))

    message = heyhi.conf.load_proto_message("conf/common/data/small.prototxt", msg_class=generated)
    assert type(message) is generated
    changed = heyhi.conf_with_overrides(message, ["I=common/data/small", "shuffle=1"])
    assert type(changed) is generated
    assert changed.shuffle
    frozen = heyhi.load_config("conf/common/data/small.prototxt", msg_class=generated)
    assert frozen.to_text() == str(heyhi.load_config("conf/common/data/small.prototxt", msg_class="Data"))
    assert type(frozen.to_editable()) is generated
    assert frozen == heyhi.load_config("conf/common/data/small.prototxt", msg_class="Data")
    assert pickle.loads(pickle.dumps(frozen)) == frozen
    again = heyhi.conf_with_overrides(heyhi.conf_set(frozen, "shuffle", True), ["I=small"])
    assert type(again.to_editable()) is generated  # type: ignore[union-attr]
    assert not hasattr(generated, "to_frozen")


def test_a_chunks_needs_become_folders(root: Path) -> None:
    cfg = heyhi.load_config("conf/common/data/with_need.prototxt", msg_class="Data")

    assert cfg.folder.startswith(f"{root}/results/p/train/default_")


@pytest.mark.parametrize("name", ["Dat", "Nothing"])
def test_an_unknown_message_is_refused(root: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is no message of the schema"):
        heyhi.load_config("conf/common/data/small.prototxt", msg_class=name)


def test_a_chunk_is_no_root_config(root: Path) -> None:
    for load in (heyhi.load_root_config, heyhi.conf.load_root_proto_message):
        with pytest.raises(ConfigError, match=r"is a chunk \((a )?Data\)"):
            load("conf/common/data/small.prototxt")


def test_reading_by_key_gives_what_attributes_give(load: Callable[..., Any]) -> None:
    cfg = load("conf/train.prototxt")

    expected = {
        "lr": 0.03,
        "seed": None,
        "sgd.momentum": 0.9,
        "adam": None,
        "adam.beta": None,
        "data.weights.cat": 2.0,
        "data.weights.dog": None,
        "data.shuffle": False,
        "layers.0.width": 4,
        "layers.1.width": 8,
        "layers.1.colour": "BLUE",
        "layers.2.width": None,
        "sizes": (3,),
        "sizes.5": None,
    }
    assert {key: heyhi.conf_get(cfg, key) for key in expected} == expected
    assert heyhi.conf_get(cfg, "optimizer").momentum == 0.9


@pytest.mark.parametrize("function", [heyhi.conf_get, heyhi.conf_is_set, lambda cfg, key: heyhi.conf_set(cfg, key, 1)])
def test_an_unknown_key_is_refused_and_the_nearest_named(load: Callable[..., Any], function: Any) -> None:
    with pytest.raises(OverrideError, match=r"did you mean 'sgd\.momentum'"):
        function(load("conf/train.prototxt"), "sgd.momentun")


def test_a_key_is_set_when_a_file_or_an_override_sets_it(load: Callable[..., Any]) -> None:
    cfg = load("conf/train.prototxt", ["data.shuffle=false", "lr=nan"])

    is_set = ["lr", "data", "data.shuffle", "data.folder", "data.weights.cat", "optimizer", "sgd", "layers"]
    is_set += ["layers.0", "layers.0.width", "sizes.0", "sizes.-1"]
    is_not = ["seed", "data.weights.dog", "sgd.momentum", "adam", "adam.beta", "layers.1.width"]
    is_not += ["layers.2.width", "sizes.1"]
    assert [key for key in is_set + is_not if heyhi.conf_is_set(cfg, key)] == is_set


def test_a_oneof_without_a_choice_is_not_set(load: Callable[..., Any]) -> None:
    assert not heyhi.conf_is_set(load("conf/train.prototxt", ["optimizer=NULL"]), "optimizer")


def test_setting_changes_an_editable_config_and_copies_a_frozen_one(load: Callable[..., Any]) -> None:
    cfg = load("conf/train.prototxt")
    changed = heyhi.conf_set(cfg, "adam.beta", 0.5)

    assert heyhi.conf_get(changed, "adam.beta") == 0.5
    if isinstance(cfg, FrozenConfig):
        assert isinstance(changed, FrozenConfig)
        assert cfg.which_optimizer == "sgd"
    else:
        assert changed is cfg


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("seed", 3, 3),
        ("seed", "3", 3),
        ("lr", 1, 1.0),
        ("lr", math.inf, math.inf),
        ("data.shuffle", True, True),
        ("layers.0.colour", "BLUE", "BLUE"),
        ("layers.0.colour", 1, "BLUE"),
        ("sizes.-1", 7, 7),
        ("lr", None, 0.1),
        ("sgd", None, None),
    ],
)
def test_a_set_value_is_cast_by_its_field(load: Callable[..., Any], key: str, value: object, read: object) -> None:
    assert heyhi.conf_get(heyhi.conf_set(load("conf/train.prototxt"), key, value), key) == read


@pytest.mark.parametrize(("key", "value"), [("seed", "x"), ("seed", 2**40), ("sizes", 3), ("data", 1), ("lr", [1])])
def test_a_value_that_does_not_fit_is_refused(load: Callable[..., Any], key: str, value: object) -> None:
    cfg = load("conf/train.prototxt")
    before = str(cfg)

    with pytest.raises(OverrideError):
        heyhi.conf_set(cfg, key, value)
    assert str(cfg) == before


def test_overrides_make_a_changed_copy_of_the_same_kind(load: Callable[..., Any], root: Path) -> None:
    cfg = load("conf/train.prototxt")
    before = str(cfg)
    changed = heyhi.conf_with_overrides(
        cfg, ["data.weights.cat=1", "--lr=0.5", "I.data=small", "start={{exp conf/train.prototxt lr=1}}"]
    )

    assert type(changed) is type(cfg)
    assert str(cfg) == before
    assert heyhi.conf_get(changed, "lr") == 0.5
    assert heyhi.conf_get(changed, "data.weights.cat") == 1.0, "includes come first, then scalars"
    assert heyhi.conf_get(changed, "start").startswith(f"{root}/results/p/train/lr=1_")


def test_overrides_work_outside_a_project_too(
    load: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = load("conf/train.prototxt")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    assert heyhi.conf_get(heyhi.conf_with_overrides(cfg, ["Iterations=5"]), "Iterations") == 5


@pytest.mark.parametrize("override", ["lr", "lr=x", "nokey=1", "I.data=nofile", "I.lr=small", "start={{exp nofile}}"])
def test_a_wrong_override_of_a_copy_is_refused(load: Callable[..., Any], override: str) -> None:
    with pytest.raises(HeyhiError):
        heyhi.conf_with_overrides(load("conf/train.prototxt"), [override])


def test_a_dict_has_all_that_can_be_read(load: Callable[..., Any], root: Path) -> None:
    assert heyhi.conf_to_dict(load("conf/train.prototxt"), include_defaults=True) == {
        "lr": 0.03,
        "seed": None,
        "data": {"folder": f"{root}/small", "shuffle": False, "weights": {"cat": 2.0}},
        "sgd": {"momentum": 0.9},
        "layers": [{"width": 4, "colour": None}, {"width": 8, "colour": "BLUE"}],
        "sizes": [3],
        "Iterations": None,
        "start": None,
    }


def test_a_dict_can_have_only_what_is_set(load: Callable[..., Any]) -> None:
    cfg = load("conf/train.prototxt", ["data=NULL", "layers=NULL"])

    assert heyhi.conf_to_dict(cfg) == {"lr": 0.03, "sgd": {}, "sizes": [3]}


def test_a_flat_config_has_dotted_keys(load: Callable[..., Any], root: Path) -> None:
    cfg = load("conf/train.prototxt")

    what_is_set = {
        "lr": 0.03,
        "data.folder": f"{root}/small",
        "data.weights.cat": 2.0,
        "sgd": "SELECT",
        "layers.0.width": 4,
        "layers.1.colour": "BLUE",
        "sizes": [3],
    }
    assert heyhi.flatten_cfg(cfg, with_all=False) == what_is_set
    everything = heyhi.flatten_cfg(cfg)
    defaults = {"sgd.momentum": 0.9, "data.shuffle": False, "seed": None, "layers.1.width": 8}
    assert {key: everything[key] for key in defaults} == defaults
    assert not any(key.startswith("adam") for key in everything)
    empty = heyhi.flatten_cfg(heyhi.conf_set(cfg, "sizes", []))
    assert empty["sizes"] == []
    assert "sizes" not in heyhi.flatten_cfg(heyhi.conf_set(cfg, "sizes", []), with_all=False)


def test_whole_lists_messages_and_maps_are_set(load: Callable[..., Any]) -> None:
    cfg = heyhi.conf_set(load("conf/train.prototxt"), "sizes+", [4, 5])
    assert list(cfg.sizes) == [3, 4, 5]
    cfg = heyhi.conf_with_overrides(cfg, ["sizes=[7]", 'data={weights: {key: "dog" value: 1}}', "layers+={width: 9}"])
    assert (list(cfg.sizes), dict(cfg.data.weights), cfg.layers[-1].width) == ([7], {"dog": 1.0}, 9)


def test_a_saved_root_config_loads_as_what_it_was(root: Path) -> None:
    cfg = heyhi.load_root_config("conf/train.prototxt", ["lr=0.25", 'start="a\\nb"'])
    heyhi.save_config(cfg, "conf/saved.prototxt")

    assert heyhi.load_root_config("conf/saved.prototxt") == cfg


def test_a_saved_task_loads_as_a_chunk(load: Callable[..., Any]) -> None:
    cfg = load("conf/train.prototxt")
    heyhi.save_config(cfg, Path("saved.prototxt"))
    heyhi.save_config(cfg, Path("saved.prototxt"))

    saved = heyhi.load_config("saved.prototxt", msg_class="Train")
    assert heyhi.flatten_cfg(saved) == heyhi.flatten_cfg(cfg)


def test_a_config_that_can_not_be_saved_leaves_nothing(root: Path) -> None:
    cfg = heyhi.load_root_config("conf/train.prototxt")

    (root / "taken").mkdir()
    (root / "taken" / "inside").touch()
    for path in ("nofolder/x.prototxt", "taken"):
        with pytest.raises(ConfigError, match="can't be written"):
            heyhi.save_config(cfg, path)
    assert sorted(p.name for p in root.iterdir()) == ["conf", "taken"]


def test_fields_of_the_chosen_task_can_be_read_at_once(root: Path) -> None:
    cfg = heyhi.load_config("train")
    assert cfg.data == cfg.train.data == cfg.task.data
    again = pickle.loads(pickle.dumps(cfg))
    assert again == cfg and again.data == cfg.data
    with pytest.raises(AttributeError, match="MetaCfg has no field 'nope'"):
        _ = cfg.nope
    assert {"train", "task", "which_task", "lr", "which_optimizer", "sgd", "to_dict"} <= set(dir(cfg))
    assert "lr" not in dir(heyhi.load_root_config("train"))


def test_a_changed_root_config_is_read_at_once_too(root: Path) -> None:
    cfg = heyhi.load_config("train")

    assert heyhi.conf_set(cfg, "lr", 1).lr == 1.0  # type: ignore[union-attr]
    assert heyhi.conf_with_overrides(cfg, {"lr": 2}).lr == 2.0  # type: ignore[union-attr]


def test_overrides_may_be_a_mapping(root: Path) -> None:
    overrides = {"lr": 0.5, "I.data": "small", "data.shuffle": True, "seed": None, "start": "NULL"}

    for loaded in (
        heyhi.load_config("train", overrides),
        heyhi.load_root_config("train", overrides),
        heyhi.conf.load_proto_message("train", overrides),
        heyhi.conf.load_root_proto_message("train", overrides)[1],
        heyhi.conf_with_overrides(heyhi.load_config("train"), overrides),
    ):
        assert (loaded.train.lr, loaded.train.data.shuffle) == (0.5, True)  # type: ignore[union-attr]
    chunk = heyhi.load_config("common/data/small", {"shuffle": True, "weights.cat": 3})
    assert (chunk.shuffle, chunk.weights) == (True, {"cat": 3.0})
    assert heyhi.conf_with_overrides(chunk, (f"weights.{name}=1" for name in ["cat"])).weights == {"cat": 1.0}  # type: ignore[union-attr, arg-type]


def test_includes_of_a_copy_are_looked_up_where_the_config_lies(root: Path) -> None:
    (root / "conf/lab").mkdir()
    save(root, "conf/lab/mine.prototxt", "train { lr: 1 }")
    save(root, "conf/lab/near.prototxt", "shuffle: true")
    save(root, "conf/lab/nearer.prototxt", "width: 3")
    cfg = heyhi.load_config("lab/mine")

    for one in (cfg, heyhi.load_root_config("lab/mine"), cfg.train, pickle.loads(pickle.dumps(cfg))):
        assert heyhi.conf_with_overrides(one, ["I.data=near"]).to_dict()  # type: ignore[union-attr]
    again = heyhi.conf_with_overrides(heyhi.conf_set(cfg, "lr", 2), ["I.data=near"])
    assert again.data.shuffle and again.lr == 2.0  # type: ignore[union-attr]
    data = heyhi.load_config(root / "conf/lab/near.prototxt", msg_class="Data")
    assert heyhi.conf_with_overrides(data, ["I=near", "folder=x"]).to_dict() == {"folder": "x", "shuffle": True}  # type: ignore[union-attr]


LOADERS: list[Callable[..., Any]] = [
    lambda *args: heyhi.load_config(*args).train,
    lambda *args: heyhi.load_root_config(*args).train,
    lambda *args: heyhi.load_proto_message(*args).train,  # type: ignore[attr-defined]
    lambda *args: heyhi.conf.load_root_proto_message(*args)[1].train,  # type: ignore[attr-defined]
]


@pytest.mark.parametrize("load", LOADERS)
def test_an_absolute_path_names_its_project(
    load: Callable[..., Any],
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    write_files: Callable[[Path, dict[str, str]], None],
) -> None:
    other = tmp_path_factory.mktemp("other")
    monkeypatch.chdir(other)
    for cfg in (root / "conf/train.prototxt", str(root / "conf/train")):
        assert load(cfg, ["I.data=small", "lr=2"]).data.folder == f"{root}/small"
    # In another project, too; what lies in none goes by the one around the working directory.
    write_files(other, {"conf/other.proto": PROTO.replace("lab", "other").replace("double lr", "double rate")})
    (other / "free").mkdir()
    assert load(root / "conf/train.prototxt").lr == 0.03
    free = tmp_path_factory.mktemp("free") / "x.prototxt"
    free.write_text("train { rate: 2 }")
    assert load(free).rate == 2.0


def test_a_copy_of_code_is_no_project_of_its_own(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("results") / ".heyhi/code/0123/tree/conf"
    copy.mkdir(parents=True)
    for name in ("lab.proto", "train.prototxt", "common/data/small.prototxt"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(FILES[f"conf/{name}"])

    assert heyhi.load_config(copy / "train.prototxt").data.folder == f"{root}/small"


def test_configs_reach_workers_that_are_started_anew(root: Path) -> None:
    save(
        root,
        "workers.py",
        """
import multiprocessing
import heyhi

def work(cfg, weights):
    return cfg.lr, cfg.sgd.momentum, dict(weights), hash(cfg)

if __name__ == "__main__":
    cfg = heyhi.load_config("train").train
    for method in ("spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            (found,) = pool.starmap(work, [(cfg, cfg.data.weights)])
            assert found[:3] == (0.03, 0.9, {"cat": 2.0}), found
    print("done")
""",
    )
    run = subprocess.run([sys.executable, "workers.py"], capture_output=True, text=True, check=False)
    assert run.stdout == "done\n", run.stderr


def test_a_oneof_is_chosen_by_its_name_in_python(root: Path) -> None:
    cfg = heyhi.load_config("conf/train.prototxt", ["sgd.momentum=0.5"])
    assert heyhi.conf_set(cfg, "optimizer", "sgd").train.sgd.momentum == 0.5
    assert heyhi.conf_set(cfg, "optimizer", "adam").train.which_optimizer == "adam"
    assert heyhi.conf_with_overrides(cfg, ["optimizer=adam"]).train.which_optimizer == "adam"
    assert heyhi.conf_with_overrides(cfg, ["optimizer=NULL"]).train.which_optimizer is None
    with pytest.raises(OverrideError, match="did you mean 'adam'"):
        heyhi.conf_set(cfg, "optimizer", "adma")


def test_a_chunk_tells_of_its_lists(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "conf/a.prototxt").write_text("sizes: 1")
    (root / "conf/b.prototxt").write_text("includes { path: 'a' }\nsizes: 2")
    (root / "conf/lab.proto").write_text(
        PROTO.replace("message Train {", "message Train { repeated Include includes = 20;")
    )
    assert heyhi.load_config("conf/b", msg_class="Train").sizes == (1, 2)
    assert caplog.messages == ["sizes is [1, 2]: conf/b.prototxt:2 appends to what conf/a.prototxt:1 gives"]


def test_a_config_that_only_extends_another_one_is_loaded_as_a_root_config(root: Path) -> None:
    (root / "conf/more.prototxt").write_text("includes { path: 'train' }")
    assert heyhi.load_config("conf/more").lr == 0.03
