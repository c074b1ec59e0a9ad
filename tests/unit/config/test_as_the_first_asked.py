"""What configs of the first HeyHi could be asked is answered here: as dicts, as messages, by its kinds of errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import heyhi
import heyhi.conf
from tests.unit.config.bakery import PROTO

FILES = {
    "pyproject.toml": "[tool.heyhi]\n",
    "conf/conf.proto": PROTO
    + """
// No task has it.
message Order { optional string loaf = 1; repeated string towns = 2; }
""",
    "conf/bread/plain.prototxt": "bake { crust: SOFT }",
    "conf/bread/bare.prototxt": "bake {}",
    "conf/bread/full.prototxt": "bake { salt: 42.0 wheat { rest_hours: 9 } yeast: 11 }",
    "conf/bread/broken.prototxt": "bake {}\nbaek {}",
    "conf/orders/weekly.prototxt": 'loaf: "rye"\ntowns: "Ulm"',
}
DEFAULTS = {
    "heat": 230.0,
    "wheat": {"rest_hours": 12},
    "rye": {"rest_hours": 12},
    "crust": "SOFT",
    "oven": {"inside": {"rest_hours": 12}},
    "wrapped": False,
    "fresh": True,
}
ALL = {
    **DEFAULTS,
    "salt": None,
    "rind": None,
    "oven": {"includes": [], "inside": {"rest_hours": 12}},
    "spices": {},
    "sliced": False,
    "launcher": {},
}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bread(name: str, *overrides: str) -> Any:
    """Load a bread as a root message that can be edited."""
    return heyhi.conf.load_proto_message(f"conf/bread/{name}.prototxt", overrides)


# --- dicts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_dict_has_what_is_set_then_what_has_a_default_then_all(is_frozen: bool) -> None:
    cfg = bread("plain").to_frozen() if is_frozen else bread("plain")
    assert cfg.to_dict() == {"bake": {"crust": "SOFT"}}
    assert cfg.to_dict(with_defaults=True) == {"bake": DEFAULTS}
    assert cfg.to_dict(with_all=True) == {"includes": [], "bake": ALL}


def test_a_dict_of_a_config_with_nothing_set_has_its_task_and_an_enum_its_default() -> None:
    cfg = bread("plain")
    cfg.bake.ClearField("crust")
    assert cfg.to_dict() == bread("bare").to_dict() == {"bake": {}}
    assert cfg.to_dict(with_all=True) == {"includes": [], "bake": ALL}


def test_a_dict_has_maps() -> None:
    cfg = bread("plain")
    cfg.bake.spices["cumin"] = 1
    cfg.bake.spices["caraway"] = 2
    spices = {"cumin": 1, "caraway": 2}
    assert cfg.to_dict() == {"bake": {"crust": "SOFT", "spices": spices}}
    assert cfg.to_dict(with_all=True) == {"includes": [], "bake": {**ALL, "spices": spices}}


def test_a_dict_has_of_a_oneof_the_member_that_is_chosen() -> None:
    cfg = bread("full")
    assert cfg.to_frozen().bake.to_dict() == {"salt": 42.0, "wheat": {"rest_hours": 9}, "yeast": 11}
    assert not {"soda", "starter"} & set(cfg.bake.to_dict(with_all=True))
    assert heyhi.conf_to_dict(bread("bare", "starter=SELECT").bake) == {"starter": {}}


def test_a_flat_config_of_what_is_set_is_what_a_dict_has() -> None:
    cfg = bread("full").bake
    assert heyhi.flatten_cfg(cfg, with_all=False) == {"salt": 42.0, "wheat.rest_hours": 9, "yeast": 11}


# --- messages -----------------------------------------------------------------------------------------------------


def test_a_message_can_be_asked_what_a_frozen_config_can() -> None:
    cfg = bread("plain")
    for one in (cfg, cfg.bake, cfg.to_frozen(), cfg.to_frozen().bake):
        assert hasattr(one, "heyhi_patched")
    assert (cfg.is_frozen(), cfg.to_frozen().is_frozen(), cfg.to_frozen().to_editable().is_frozen()) == (
        False,
        True,
        False,
    )
    assert cfg.to_str_with_defaults() == cfg.to_frozen().to_str_with_defaults()
    assert str(cfg) == str(cfg.to_frozen())


def test_a_config_is_edited_and_frozen_again() -> None:
    cfg = bread("plain").to_frozen().to_editable()
    with pytest.raises(AttributeError):
        _ = cfg.bake.leaven
    cfg.bake.yeast = 11
    heyhi.conf_set(cfg.bake, "rye.rest_hours", 30)
    cfg = cfg.to_frozen()
    assert (cfg.bake.leaven, cfg.bake.which_leaven, cfg.bake.rye.rest_hours) == (11, "yeast", 30)
    with pytest.raises(RuntimeError):
        cfg.bake.yeast = 12


def test_what_is_frozen_stays_when_its_message_is_edited() -> None:
    cfg = bread("plain")
    frozen = cfg.to_frozen()
    cfg.bake.heat = 1
    assert frozen.bake.heat == 230


# --- keys ---------------------------------------------------------------------------------------------------------


def test_in_a_root_config_a_key_may_begin_with_the_task() -> None:
    cfg = bread("plain").to_frozen()
    changed = heyhi.conf_with_overrides(cfg, ["bake.heat=3.0", "rye.rest_hours=5", "bake.yeast=1"])
    assert changed.to_dict() == {"bake": {"heat": 3.0, "rye": {"rest_hours": 5}, "crust": "SOFT", "yeast": 1}}
    message = bread("plain")
    heyhi.conf_set(message, "bake.heat", 4)
    assert (heyhi.conf_get(message, "bake.heat"), heyhi.conf_get(message, "heat")) == (4, 4)
    assert heyhi.conf_is_set(message, "bake.heat")
    assert not heyhi.conf_is_set(message, "bake.salt")


def test_a_key_of_nothing_is_named_with_its_nearest_behind_the_task_too() -> None:
    with pytest.raises(heyhi.HeyhiError, match=r"haet.*did you mean '(bake\.)?heat'"):
        heyhi.conf_set(bread("plain"), "bake.haet", 1)


# --- errors and types ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("override", ["wheat.rest_hours=20.5", "haet=1", "heat", "I=nosuch", "bake=3", "crust=CRISP"])
def test_a_wrong_override_is_a_value_error(override: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        bread("plain", override)


def test_a_broken_config_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="baek"):
        heyhi.load_root_config("conf/bread/broken.prototxt")


def test_a_chunk_that_no_task_has_loads_without_its_type(root: Path) -> None:
    cfg = heyhi.load_config(root / "conf/orders/weekly.prototxt")
    assert (cfg.loaf, cfg.towns) == ("rye", ("Ulm",))


# --- classes of messages and of frozen configs --------------------------------------------------------------------

CLASSES = """
import json
import pickle
import heyhi
from conf import conf_cfgs, conf_pb2

path = heyhi.PROJ_ROOT / "conf/bread/plain.prototxt"
by_message = heyhi.load_config(path, ["heat=10"], msg_class=conf_pb2.MetaCfg)
by_config = heyhi.load_config(path, ["heat=10"], msg_class=conf_cfgs.MetaCfg)
oven = heyhi.load_proto_message(heyhi.PROJ_ROOT / "conf/bread/stone.prototxt", msg_class=conf_pb2.Oven)
made = conf_cfgs.BakeTask(heat=10, wheat=conf_pb2.Dough(rest_hours=11), spices={"cumin": 2})
order = heyhi.load_proto_message(heyhi.PROJ_ROOT / "conf/bread/plain.prototxt")
order.bake.rye.CopyFrom(conf_cfgs.Dough(rest_hours=7).to_editable())
nested = conf_cfgs.BakeTask(rye=conf_cfgs.Dough(rest_hours=3), oven=dict(includes=[{"path": "p1", "mount": "m1"}]))
print(json.dumps({
    "heat": [by_message.bake.heat, by_config.bake.heat],
    "editable": [isinstance(by_message.to_editable(), conf_pb2.MetaCfg)],
    "oven": [isinstance(oven, conf_pb2.Oven), len(oven.includes), oven.inside.rest_hours],
    "made": [made.is_frozen(), made.heat, made.to_dict()],
    "put together": order.to_frozen().bake.rye.rest_hours,
    "nested": [nested.rye.rest_hours, [i.path for i in nested.oven.includes], isinstance(nested.oven.includes, tuple)],
    "pickled": str(pickle.loads(pickle.dumps(made))) == str(made),
}))
"""


def test_generated_classes_say_what_a_file_is_and_make_messages_and_frozen_configs(
    root: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    (root / "conf/bread/stone.prototxt").write_text('includes { mount: "inside" path: "rest" }')
    (root / "conf/bread/rest.prototxt").write_text("rest_hours: 48")
    assert run("protos")[0] == 0
    done = subprocess.run([sys.executable, "-c", CLASSES], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "heat": [10, 10],
        "editable": [True],
        "oven": [True, 0, 48],
        "made": [True, 10, {"heat": 10, "wheat": {"rest_hours": 11}, "spices": {"cumin": 2}}],
        "put together": 7,
        "nested": [3, ["p1"], True],
        "pickled": True,
    }


def test_a_message_of_one_config_goes_into_another_ones() -> None:
    cfg, other = bread("plain"), bread("full")
    cfg.bake.wheat.CopyFrom(other.bake.wheat)
    assert cfg.bake.wheat.rest_hours == 9
