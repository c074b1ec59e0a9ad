"""What the first HeyHi promised of composing, reading and changing configs holds here, on a bakery of our own.

Where the two differ by decision, a test says which way; docs/from-the-first-heyhi.md names each.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

import heyhi
from heyhi.conf import (
    conf_get,
    conf_is_set,
    conf_set,
    conf_with_overrides,
    load_config,
    load_proto_message,
    load_root_config,
    load_root_proto_message,
)
from tests.unit.config.bakery import PROTO

FILES = {
    "pyproject.toml": "[tool.heyhi]\n",
    "conf/conf.proto": PROTO,
    "conf/bread/plain.prototxt": "bake { crust: SOFT }",
    "conf/bread/mixed.prototxt": 'includes { mount: "rye", path: "rest_30" }\nbake {}',
    "conf/bread/own.prototxt": """\
includes { mount: "wheat", path: "rest_30" }
includes { mount: "rye", path: "rest_30" }
bake {
  # What the file says goes over what it includes.
  rye { rest_hours: 99 }
}
""",
    "conf/bread/full.prototxt": "bake { salt: 42.0 wheat { rest_hours: 9 } yeast: 11 }",
    "conf/bread/hot.prototxt": "heat: 1",
    "conf/bread/long_wheat.prototxt": "wheat { rest_hours: 30 }",
    "conf/bread/rest_30.prototxt": "rest_hours: 30",
    "conf/bread/rest_48.prototxt": "rest_hours: 48",
    "conf/bread/stone_oven.prototxt": 'includes { mount: "inside"; path: "rest_48"; }',
    "conf/common/launcher/local.prototxt": "local { use_local: true }",
}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bread(name: str, *overrides: str) -> Any:
    """Compose a bread, as a message that can be edited."""
    task, message = load_root_proto_message(f"conf/bread/{name}.prototxt", overrides)
    assert task == "bake"
    return message.bake  # type: ignore[attr-defined]


# --- composing ----------------------------------------------------------------------------------------------------


def test_what_is_not_set_has_its_default() -> None:
    cfg = bread("plain")
    assert (cfg.heat, cfg.wheat.rest_hours) == (230, 12)


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("heat=20", {"heat": 20, "hours": 12}),
        ("heat=20.5", {"heat": 20.5, "hours": 12}),
        ("wheat.rest_hours=20", {"heat": 230, "hours": 20}),
        ("--heat=20", {"heat": 20, "hours": 12}),
    ],
)
def test_an_override_sets_a_scalar_and_nothing_else(override: str, read: dict[str, float]) -> None:
    cfg = bread("plain", override)
    assert {"heat": cfg.heat, "hours": cfg.wheat.rest_hours} == read


def test_an_enum_is_a_number_in_a_message_and_a_name_in_a_frozen_config() -> None:
    assert bread("plain", "crust=HARD").crust == 1
    assert load_config("conf/bread/plain.prototxt", ["crust=HARD"]).bake.crust == "HARD"


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(heyhi.HeyhiError, match=r"wheat\.rest_hours"):
        bread("plain", "wheat.rest_hours=20.5")


@pytest.mark.parametrize("override", ["I=hot", "I.=hot", "I=hot.prototxt", "I=conf/bread/hot.prototxt"])
def test_an_include_without_a_mount_goes_into_the_task(override: str) -> None:
    cfg = bread("plain", override)
    assert (cfg.heat, cfg.wheat.rest_hours) == (1, 12)


def test_an_include_of_messages_leaves_their_neighbours() -> None:
    cfg = bread("plain", "I=long_wheat")
    assert (cfg.heat, cfg.wheat.rest_hours, cfg.rye.rest_hours) == (230, 30, 12)


@pytest.mark.parametrize("override", ["Ilauncher=local", "I.launcher=local", "I.launcher=launcher/local"])
def test_an_include_is_looked_up_in_the_folder_of_its_mount_too(override: str) -> None:
    assert bread("plain", override).launcher.local.use_local is True


def test_one_chunk_goes_to_each_mount_that_is_named() -> None:
    cfg = bread("plain", "I.wheat=rest_30")
    assert (cfg.heat, cfg.wheat.rest_hours, cfg.rye.rest_hours) == (230, 30, 12)
    cfg = bread("plain", "I.wheat=rest_30", "I.rye=rest_30")
    assert (cfg.heat, cfg.wheat.rest_hours, cfg.rye.rest_hours) == (230, 30, 30)


def test_a_config_includes_chunks_and_an_override_goes_over_them() -> None:
    cfg = bread("mixed")
    assert (cfg.heat, cfg.wheat.rest_hours, cfg.rye.rest_hours) == (230, 12, 30)
    cfg = bread("mixed", "I.rye=rest_48")
    assert (cfg.heat, cfg.wheat.rest_hours, cfg.rye.rest_hours) == (230, 12, 48)


def test_what_a_file_says_goes_over_what_it_includes() -> None:
    cfg = bread("own")
    assert (cfg.heat, cfg.wheat.rest_hours, cfg.rye.rest_hours) == (230, 30, 99)


def test_scalar_overrides_go_over_include_overrides_in_whatever_order_they_are_written() -> None:
    for overrides in (["I.rye=rest_48", "rye.rest_hours=3"], ["rye.rest_hours=3", "I.rye=rest_48"]):
        assert bread("plain", *overrides).rye.rest_hours == 3


def test_a_chunk_brings_what_it_includes_and_no_includes_are_left() -> None:
    cfg = bread("mixed", "I.oven=stone_oven")
    assert len(cfg.oven.includes) == 0
    assert cfg.oven.inside.rest_hours == 48


# --- NULL and SELECT ----------------------------------------------------------------------------------------------


def test_null_takes_a_scalar_away_and_leaves_its_message() -> None:
    cfg = bread("full", "wheat.rest_hours=NULL")
    assert not cfg.wheat.HasField("rest_hours")
    assert cfg.HasField("wheat")


def test_null_takes_a_message_away() -> None:
    cfg = bread("full", "wheat=NULL")
    assert not cfg.HasField("wheat")
    assert not cfg.wheat.HasField("rest_hours")


def test_null_of_the_chosen_member_leaves_a_oneof_without_a_choice() -> None:
    assert bread("full", "yeast=NULL").WhichOneof("leaven") is None


def test_null_of_a_member_that_is_not_chosen_changes_nothing() -> None:
    cfg = bread("full", "soda=NULL")
    assert (cfg.WhichOneof("leaven"), cfg.yeast) == ("yeast", 11)


def test_select_chooses_a_member_with_nothing_in_it() -> None:
    cfg = bread("full", "starter=SELECT")
    assert cfg.WhichOneof("leaven") == "starter"
    assert not cfg.starter.HasField("rest_hours")


def test_by_decision_select_of_the_chosen_member_empties_it() -> None:
    cfg = bread("full", "starter.rest_hours=3")
    assert cfg.starter.rest_hours == 3
    cfg = load_config("conf/bread/full.prototxt", ["I.starter=rest_48", "starter=SELECT"]).bake
    assert (cfg.which_leaven, cfg.starter.rest_hours) == ("starter", 12)


def test_by_decision_null_below_a_message_that_is_not_there_changes_nothing() -> None:
    cfg = bread("plain", "rye.rest_hours=NULL", "oven.inside=NULL", "starter.rest_hours=NULL")
    assert [field.name for field, _ in cfg.ListFields()] == ["crust"]


# --- keys of a config in Python -----------------------------------------------------------------------------------


def test_whether_a_key_is_set_is_asked_without_changing_anything() -> None:
    cfg = bread("plain", "wheat.rest_hours=1", "yeast=1")
    before = cfg.SerializeToString()
    for _ in range(2):
        answers = {
            key: conf_is_set(cfg, key)
            for key in ("heat", "wheat.rest_hours", "rye.rest_hours", "yeast", "soda", "starter.rest_hours")
        }
        assert [key for key, is_set in answers.items() if is_set] == ["wheat.rest_hours", "yeast"]
    assert cfg.SerializeToString() == before


def test_to_ask_for_a_key_that_the_schema_lacks_is_an_error() -> None:
    with pytest.raises(heyhi.HeyhiError, match=r"haet.*did you mean 'heat'"):
        conf_is_set(bread("plain"), "haet")


def test_a_key_is_read_with_its_default() -> None:
    cfg = bread("plain", "wheat.rest_hours=1", "yeast=1")
    assert [conf_get(cfg, key) for key in ("heat", "wheat.rest_hours", "rye.rest_hours")] == [230, 1, 12]


def test_a_key_of_a_message_is_set_in_place() -> None:
    cfg = bread("plain", "wheat.rest_hours=1", "yeast=1")
    conf_set(cfg, "heat", 10)
    conf_set(cfg, "wheat.rest_hours", 11)
    conf_set(cfg, "rye.rest_hours", 12)
    assert (cfg.heat, cfg.wheat.rest_hours, cfg.rye.rest_hours) == (10, 11, 12)


def test_a_frozen_config_is_changed_by_overrides_into_another_one() -> None:
    cfg = load_config("conf/bread/plain.prototxt").bake
    changed = conf_with_overrides(cfg, ["heat=3.0", "rye.rest_hours=5"])
    assert (changed.heat, changed.rye.rest_hours, changed.is_frozen()) == (3.0, 5, True)
    assert (cfg.heat, cfg.rye.rest_hours) == (230, 12)


# --- one message --------------------------------------------------------------------------------------------------


def test_a_chunk_loads_by_its_message_with_what_it_includes() -> None:
    cfg: Any = load_proto_message("conf/bread/stone_oven.prototxt", msg_class="Oven")
    assert (len(cfg.includes), cfg.inside.rest_hours) == (0, 48)


def test_a_root_config_loads_without_naming_its_message() -> None:
    cfg: Any = load_proto_message("conf/bread/plain.prototxt", overrides=["heat=10"])
    assert isinstance(cfg, Message)
    assert cfg.bake.heat == 10
    cfg = load_proto_message("conf/bread/own.prototxt")
    assert (cfg.bake.wheat.rest_hours, cfg.bake.rye.rest_hours) == (30, 99)


@pytest.mark.parametrize("is_absolute", [False, True])
def test_a_config_loads_frozen(root: Path, is_absolute: bool) -> None:
    path = root / "conf/bread/plain.prototxt" if is_absolute else Path("conf/bread/plain.prototxt")
    for cfg in (load_config(path, ["heat=10"]), load_root_config(path, ["heat=10"])):
        assert cfg.is_frozen()
        assert (cfg.which_task, cfg.bake.heat) == ("bake", 10)


# --- frozen configs -----------------------------------------------------------------------------------------------


def test_a_frozen_config_answers_for_its_oneofs_and_reading_chooses_nothing() -> None:
    cfg = load_config("conf/bread/plain.prototxt").bake
    for _ in range(2):
        assert [cfg.leaven, cfg.which_leaven, cfg.WhichOneof("leaven")] == [None, None, None]
        assert [cfg.yeast, cfg.soda, cfg.starter] == [None, None, None]


def test_a_message_has_no_attribute_for_a_oneof() -> None:
    with pytest.raises(AttributeError):
        _ = bread("plain").leaven


def test_a_frozen_config_is_written_only_by_way_of_an_editable_copy() -> None:
    frozen = load_config("conf/bread/plain.prototxt").bake
    with pytest.raises(RuntimeError):
        frozen.yeast = 11
    editable: Any = frozen.to_editable()
    editable.yeast = 11
    cfg = conf_with_overrides(frozen, ["yeast=11"])
    assert cfg.to_editable() == editable
    assert (cfg.leaven, cfg.which_leaven, cfg.WhichOneof("leaven")) == (11, "yeast", "yeast")
    assert frozen.leaven is None


def test_what_is_not_set_reads_as_the_first_had_it() -> None:
    cfg = load_config("conf/bread/full.prototxt").bake
    assert (cfg.salt, cfg.leaven, cfg.yeast, cfg.which_leaven) == (42, 11, 11, "yeast")
    assert (cfg.rind, cfg.soda, cfg.starter) == (None, None, None)  # without a default, and members not chosen
    assert (cfg.sliced, cfg.wrapped, cfg.fresh) == (False, False, True)  # a bool is never None
    assert cfg.rye.rest_hours == 12  # a message outside of a oneof is there to be read
    assert cfg.crust == "SOFT"


def test_lists_read_as_tuples_and_maps_as_mappings() -> None:
    cfg = load_config("conf/bread/full.prototxt", ["spices.cumin=1", "spices.caraway=2"]).bake
    assert dict(cfg.spices) == {"cumin": 1, "caraway": 2}
    assert load_config("conf/bread/full.prototxt").includes == ()


def test_a_pickled_config_reads_the_same() -> None:
    cfg = load_config("conf/bread/full.prototxt")
    again = pickle.loads(pickle.dumps(cfg))
    assert (str(again), again.bake.salt, again.bake.which_leaven) == (str(cfg), 42, "yeast")


def test_text_with_defaults_has_those_of_messages_that_are_not_set_too() -> None:
    text = load_config("conf/bread/plain.prototxt", ["rye.rest_hours=5"]).to_str_with_defaults()
    assert " ".join(text.split()) == (
        "bake { heat: 230.0 wheat { rest_hours: 12 } rye { rest_hours: 5 } crust: SOFT"
        " oven { inside { rest_hours: 12 } } wrapped: false fresh: true }"
    )
