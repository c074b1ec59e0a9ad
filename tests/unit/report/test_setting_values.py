"""What overrides are in tables and conditions: by the types of their fields, not by how they look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import heyhi
from heyhi import maybe_launch
from heyhi.cli.main import main
from heyhi.config.values import string_text
from heyhi.report.setting_values import _text

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 10; Other other = 11; } }
message Layer { optional int32 width = 1; optional string name = 2; repeated int32 kernel = 3; }
message Sgd { optional double momentum = 1 [default = 0.9]; repeated double decay = 2; }
message Adam { optional double beta = 1 [default = 0.9]; }
enum Kind { nan = 0; inf = 1; }
message Work {
  optional int32 seed = 1; optional string name = 2; optional double lr = 3 [default = 0.1]; repeated Layer layers = 4;
  oneof optimizer { Sgd sgd = 5; Adam adam = 6; Sgd lars = 7; }
  repeated int32 sizes = 8; map<string, double> weights = 9; repeated string tags = 10; optional Kind kind = 11;
  map<int32, Layer> by_id = 12; optional int32 name_or_number = 13; repeated bytes blobs = 14;
}
message Other { optional int32 seed = 1; optional double name = 2; optional string name_or_number = 13; }
"""
TEXTS = ["1.1", "1.10", "007", '"7"', "1e3", '"[1,2]"', '"[ x ]"', "nan", "inf", "true"]
HELD = ["1.1", "1.10", "007", "7", "1e3", "[1,2]", "[ x ]", "nan", "inf", "true"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    (tmp_path / "conf").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.heyhi]\n")
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "conf/work.prototxt").write_text("work { layers { width: 1 } layers { width: 2 } sizes: 8 }\n")
    (tmp_path / "conf/chosen.prototxt").write_text("work { sgd { momentum: 0.5 } }\n")
    (tmp_path / "conf/other.prototxt").write_text("other { }\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sweep(*points: dict[str, Any], cfg: str = "work") -> str:
    return mixed(*((cfg, point) for point in points))


def mixed(*points: tuple[str, dict[str, Any]]) -> str:
    text = f"def yield_sweep():\n    for cfg, point in {points!r}:\n        yield f'conf/{{cfg}}.prototxt', point\n"
    Path("sweep.py").write_text(text)
    return "sweep.py"


def launch(*points: dict[str, Any], cfg: str = "work") -> None:
    for place, point in enumerate(points):
        maybe_launch(lambda cfg, loss=place, **_: {"loss": loss}, cfg=f"conf/{cfg}.prototxt", overrides=point)


def test_text_of_a_string_field_is_shown_as_it_is(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = heyhi.table(sweep(*({"name": text} for text in TEXTS)))
    assert list(table["name"]) == HELD
    assert list(heyhi.table("sweep.py")["name"]) == HELD  # as it is remembered
    assert main(["report", "sweep.py", "--to", "-.json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == HELD


def test_a_condition_chooses_the_text_that_it_names(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = [{"name": text} for text in TEXTS]
    for text, held in zip(TEXTS, HELD, strict=True):
        assert list(heyhi.table(sweep(*points), where=f"name={held}")["name"]) == [held], text
    launch(*points)
    capsys.readouterr()
    assert main(["status", "sweep.py", "--all", "--where", "name=1.10"]) == 0
    out = capsys.readouterr().out
    assert "name=1.10_" in out
    assert "name=1.1_" not in out


def test_experiments_of_other_texts_are_never_put_together(root: Path) -> None:
    points = [{"name": name, "seed": seed} for name in ("1.1", "1.10") for seed in (1, 2)]
    launch(*points)
    grouped = heyhi.table(sweep(*points), group_by="name")
    assert list(grouped["name"]) == ["1.1", "1.10"]
    assert list(heyhi.table("sweep.py", mean_over="seed")["loss"]) == [0.5, 2.5]
    assert len(heyhi.best(heyhi.table("sweep.py"), "loss", per="name")) == 2
    heads = heyhi.pivot(heyhi.table("sweep.py"), "name", "seed", "loss")
    assert [str(one) for one in heads.iloc[:, 0]] == ["1.1", "1.10"]


def test_numbers_stay_numbers_and_names_of_enums_text(root: Path) -> None:
    table = heyhi.table(sweep({"lr": "1e-1", "kind": "nan"}, {"lr": 10, "kind": "inf"}))
    assert list(table["lr"]) == [0.1, 10]
    assert list(table["kind"]) == ["nan", "inf"]


def test_a_key_of_two_tasks_is_read_by_the_one_that_it_is_of(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = [("work", {"name": "1.10"}), ("other", {"name": "1.10"}), ("work", {"name": "1.1"})]
    assert list(heyhi.table(mixed(*points))["name"]) == ["1.10", 1.1, "1.1"]
    launch({"name": "1.10"}, {"name": "1.1"})
    launch({"name": "1.10"}, cfg="other")
    capsys.readouterr()
    assert main(["status", "sweep.py", "--all", "--where", "name=1.10"]) == 0
    assert len([line for line in capsys.readouterr().out.splitlines() if "name=" in line]) == 2


def test_a_value_that_is_not_overridden_is_text_too(root: Path) -> None:
    (root / "conf/named.prototxt").write_text('work { name: "1.10" }\n')
    table = heyhi.table(mixed(("named", {}), ("named", {"name": "1.1"})))
    assert list(table["name"]) == ["1.10", "1.1"]
    assert len(heyhi.table(mixed(("named", {}), ("named", {"seed": 1})), where="name=1.10")) == 2
    assert len(heyhi.table("sweep.py", where="name=1.1")) == 0


@given(st.text().filter(lambda text: text.isprintable() or text.isascii()))
def test_any_text_is_read_back_as_it_was_named(text: str) -> None:
    assert _text(string_text(text)) == text


@pytest.mark.parametrize(
    "points",
    [
        [{"layers+": "[{width: 9}]"}, {"layers+": "[{width: 7}]"}],
        [{"layers.-1.width": 9}, {"layers.-1.width": 7}],
        [{"layers.-1": "{width: 9}"}, {"layers.-1": "{width: 7}"}],
    ],
)
def test_messages_appended_to_a_list_have_a_column(root: Path, points: list[dict[str, Any]]) -> None:
    shown = [f"[{{width: 1}}, {{width: 2}}, {{width: {width}}}]" for width in (9, 7)]
    assert list(heyhi.table(sweep(*points))["layers"]) == shown
    assert list(heyhi.table("sweep.py", group_by="layers")["layers"]) == shown


def test_braces_in_the_text_of_an_element_stay(root: Path) -> None:
    points = [{"layers": [{"name": "},{"}, {"name": name}]} for name in ("a", "b")]
    assert heyhi.table(sweep(*points))["layers"].iloc[0] == '[{name: "},{"}, {name: "a"}]'


def test_an_element_of_a_map_is_no_list(root: Path) -> None:
    table = heyhi.table(sweep({"by_id.3.kernel.0": 1}, {"by_id.3.kernel.0": 2}))
    assert list(table["by_id.3.kernel"]) == ["[1]", "[2]"]


@pytest.mark.parametrize("cfg", ["work", "chosen"])
def test_a_oneof_that_is_swept_is_one_column(root: Path, cfg: str) -> None:
    table = heyhi.table(sweep(*({"optimizer": name} for name in ("sgd", "adam", "lars")), cfg=cfg))
    assert list(table["optimizer"]) == ["sgd", "adam", "lars"]
    assert not {"sgd", "adam", "lars"} & {*table.columns}
    points = [{"optimizer": name, "seed": seed} for name in ("sgd", "adam", "lars") for seed in (0, 1)]
    launch(*points, cfg=cfg)
    found = heyhi.pivot(heyhi.table(sweep(*points, cfg=cfg)), "optimizer", "seed", "loss")
    assert list(found.iloc[:, 0]) == ["adam", "lars", "sgd"]
    assert list(heyhi.table("sweep.py", where="optimizer=lars")["loss"]) == [4, 5]


def test_a_member_that_was_emptied_is_told_from_one_that_was_left(root: Path) -> None:
    table = heyhi.table(sweep({}, {"sgd": "SELECT"}, {"optimizer": "NULL"}, cfg="chosen"))
    assert list(table["optimizer"]) == ["sgd", "sgd", None]
    assert list(table["sgd"]) == [None, "SELECT", None]


def test_an_empty_list_is_shown_as_one(root: Path) -> None:
    assert list(heyhi.table(sweep({"sizes": []}, {"sizes": [1]}))["sizes"]) == ["[]", "[1]"]


LISTS: list[dict[str, Any]] = [
    {"layers": [{"width": 3, "kernel": [1, 2]}, {"name": "a, b"}]},
    {"weights": {"cat": 1, "a.b": 2}},
    {"sgd": {"momentum": 0.25, "decay": [1, 2]}},
    {"sizes": []},
    {"sizes": [64]},
    {"sizes": [64, 8], "tags": ["1.10"]},
    {"adam": "SELECT", "tags": ["1.1"]},
    {"by_id": {3: {"width": 2}}},
]


@pytest.mark.parametrize("name", ["report", "status"])
@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ('layers=[{kernel: [1,2], width: 3},{name:"a, b"}]', [0]),
        ("layers!=[{width: 1},{width: 2}]", [0]),
        ("layers!=[{width: 1} {width: 2}]", "error"),
        ('weights={"a.b": 2.0, "cat": 1}', [1]),
        ('weights={key: "cat" value: 1 } ', []),
        ('sgd={"momentum": 0.25, "decay": [1,2.0]}', [2]),
        ("sgd={decay: [1,2]}", []),
        ("sgd!=NULL", [2]),
        ("adam={}", [6]),
        ("sizes=NULL", [3]),
        ("sizes=", [3]),
        ("sizes=[64.0]", "error"),
        ("sizes=[64]", [4]),
        ("sizes>[8]", [4, 5]),
        ("sizes>=[64,1]", [5]),
        ("sizes<[8]", [3]),
        ('tags=["1.10"]', [5]),
        ("tags!=NULL", [5, 6]),
        ("by_id={3: {width: 2}}", "error"),
        ('by_id={"3": {width: 2}}', [7]),
        ("by_id.3={width: 2}", [7]),
        ("layers.0={width: 3 kernel: [1,2]}", [0]),
        ("sizes=[64,", "error"),
        ("sizes=64", "error"),
        ("layers>[]", "error"),
        ("layers=[{depth: 3}]", "error"),
    ],
)
def test_a_condition_on_a_list_map_or_message_is_read_as_an_override(
    root: Path, run: Any, name: str, condition: str, rows: Any
) -> None:
    points = [point | {"seed": seed} for seed, point in enumerate(LISTS)]
    launch(*points[:3])
    sweep(*points)
    more = ["--to", "-.csv"] if name == "report" else ["--all"]
    exit_code, out, err = run(name, "sweep.py", *more, "--where", condition)
    if rows == "error":
        assert (exit_code, out) == (2, "")
        assert f"--where {condition}: " in err
        return
    assert exit_code == 0
    assert [seed for seed in range(len(points)) if f"seed={seed}" in out] == rows


def test_lists_are_sorted_by_their_elements(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(*({"sizes": sizes} for sizes in ([64], [8, 1], [], [8], [64, 2])))
    assert main(["report", "sweep.py", "--sort", "sizes", "--to", "-.json"]) == 0
    found = [row["sizes"] for row in json.loads(capsys.readouterr().out)]
    assert found == ["[]", "[8]", "[8, 1]", "[64]", "[64, 2]"]


def test_a_text_from_python_is_what_the_command_line_would_have(root: Path) -> None:
    points = [{"name": '"q"'}, {"name": json.dumps('"q"')}, {"name": "NULL"}, {"tags": ['"q"', "NULL"]}]
    table = heyhi.table(sweep(*points))
    assert list(table["name"]) == ["q", '"q"', None, None]
    assert table["tags"].iloc[3] == '["\\"q\\"", "NULL"]'


def test_bytes_are_shown_as_an_override_has_them(root: Path, run: Any) -> None:
    launch({"blobs": [b"\x00\xff"]}, {"blobs": []})
    table = heyhi.table(sweep({"blobs": [b"\x00\xff"]}, {"blobs": []}))
    shown = '["\\000\\377"]'
    assert list(table["blobs"]) == [shown, "[]"]
    assert list(heyhi.table(sweep({"blobs": shown}))["status"]) == ["DONE"]
    _, out, _ = run("diff", *(table["exp_path"]))
    assert [line.split() for line in out.splitlines() if "blobs " in line] == [["blobs", shown, "-"]]
